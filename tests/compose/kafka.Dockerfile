# Apache Kafka from its own jars, where its image cannot be pulled. It is told by the same variables.
FROM tallybook-base
COPY kafka-4.1.0 /opt/kafka
COPY kafka.sh /kafka.sh
CMD ["sh", "/kafka.sh"]
