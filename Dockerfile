# Tallybook in an image of its own: the binary and the libraries it needs, no shell, not root.
#
#   docker build -t tallybook .
#   docker build -t tallybook --build-arg BUILD_IMAGE=… .         another image to compile in
#   docker build -t tallybook --build-arg BINARY=prebuilt .       target/release/tallybook as it is
#
# BUILD_IMAGE needs cargo, a C and C++ compiler, make, pkg-config and the files of OpenSSL. With
# BINARY=prebuilt it needs only the libraries that the binary was linked to (BuildKit skips the rest).
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG BINARY=compiled

FROM ${BUILD_IMAGE} AS compiled
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY events events
COPY projections projections
COPY src src
RUN cargo build --release --locked --bin tallybook && cp target/release/tallybook /tallybook

FROM ${BUILD_IMAGE} AS prebuilt
COPY target/release/tallybook /tallybook

FROM ${BINARY} AS binary
# The libraries that it is linked to, where it looks for them, and whom it trusts.
RUN mkdir -p /image/etc/ssl /image/data /image/tmp \
    && cp /tallybook /image/tallybook \
    && ldd /tallybook | grep -o '/[^ ]*' | xargs -I '{}' cp --parents -L '{}' /image \
    && if [ -d /etc/ssl/certs ]; then cp -r -L /etc/ssl/certs /image/etc/ssl/certs; fi \
    && echo 'tallybook:x:65532:65532::/data:' > /image/etc/passwd \
    && chown 65532:65532 /image/data /image/tmp && chmod 700 /image/data

FROM scratch
COPY --from=binary /image/ /
# What is copied above as root may be written to by its user only here.
COPY --from=binary --chown=65532:65532 /image/data /data
COPY --from=binary --chown=65532:65532 /image/tmp /tmp
USER 65532:65532
VOLUME /data
EXPOSE 8080
ENV TALLYBOOK_DATA=/data TALLYBOOK_LISTEN=0.0.0.0:8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/tallybook", "health"]
ENTRYPOINT ["/tallybook"]
CMD ["serve"]
