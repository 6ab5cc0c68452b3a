# The image of `cargo image`, for those who have a Docker daemon: docker build -t groupattr-operator:0.1.0 .
FROM rust:1.95.0-bookworm AS build
WORKDIR /groupattr-operator
COPY . .
RUN cargo run --locked --package image -- --root /image

FROM scratch
LABEL org.opencontainers.image.title="groupattr-operator" \
      org.opencontainers.image.description="Kubernetes operator that clears the attributes of Tencent Cloud Chat groups" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["/groupattr-operator"]
CMD ["run"]
