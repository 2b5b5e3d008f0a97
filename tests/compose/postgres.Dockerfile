# PostgreSQL as Debian has it, where its image cannot be pulled. It is told by the same variables.
FROM tallybook-base
COPY postgres.sh /postgres.sh
CMD ["sh", "/postgres.sh"]
