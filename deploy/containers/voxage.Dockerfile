# The command without libtorch: coordinators, feature workers, and every verb but those that train or
# predict. From the top of the repository:
#   docker build -t voxage:0.1.0 -f deploy/containers/voxage.Dockerfile .

FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
# Debian keeps no old versions, so pins of them would break; the base's digest names the compiler.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake g++ python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN mkdir /out \
 && cp "$(VOXAGE_CACHE=/weights deploy/weights)" /out/resemblyzer.pt
# What `voxage --version` says: --build-arg VOXAGE_COMMIT=$(git rev-parse --short=12 HEAD).
ARG VOXAGE_COMMIT
# The caches outlive the layer and are in no image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target cargo build --release --locked --package voxage --bins \
 && strip -o /out/voxage /target/release/voxage

# The same Debian as above: the binary needs its libc, and libgcc_s, which are in it.
FROM debian:12.12-slim@sha256:d5d3f9c23164ea16f31852f95bd5959aad1c5e854332fe00f7b3a20fcc9f635c
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/resemblyzer.pt /usr/local/share/voxage/resemblyzer.pt
COPY --from=build /out/voxage /usr/local/bin/voxage
ENV VOXAGE_WEIGHTS=/usr/local/share/voxage/resemblyzer.pt
# A number: Kubernetes proves by it that the user is not root. It owns nothing; only /tmp is written to.
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/voxage"]
CMD ["--help"]
