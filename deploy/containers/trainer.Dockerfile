# The command with libtorch, for everything that trains or predicts: `voxage trainer`, `predictor`,
# `serve`, and `train`, `evaluate`, `predict` by hand. From the top of the repository:
#   docker build -t voxage-trainer:0.1.0-cuda -f deploy/containers/trainer.Dockerfile .
#   docker build -t voxage-trainer:0.1.0-cpu --target cpu -f deploy/containers/trainer.Dockerfile .
# Both have the same programs, linked against libtorch's CPU half; beside a libtorch with CUDA, which
# LD_LIBRARY_PATH names, they compute on the GPU. x86-64 only, as deploy/libtorch is.

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
RUN mv "$(dirname "$(VOXAGE_CACHE=/libtorch deploy/libtorch)")" /out/libtorch
# What `voxage --version` says: --build-arg VOXAGE_COMMIT=$(git rev-parse --short=12 HEAD).
ARG VOXAGE_COMMIT
# The caches outlive the layer and are in no image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target LIBTORCH=/out/libtorch/torch cargo build --release --locked --workspace --bins \
 && strip -o /out/voxage /target/release/voxage \
 && strip -o /out/voxage-trainer /target/release/voxage-trainer

# PyTorch's libraries with CUDA, in the layout of its wheels, by which they find each other; no Python.
# A stage of its own: a change of the source does not fetch 2 GB again.
FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS fetch-cuda
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/containers/cuda.txt deploy/containers/cuda /source/
RUN /source/cuda /out/libtorch

FROM debian:12.12-slim@sha256:d5d3f9c23164ea16f31852f95bd5959aad1c5e854332fe00f7b3a20fcc9f635c AS programs
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/resemblyzer.pt /usr/local/share/voxage/resemblyzer.pt
# Side by side: voxage looks for the trainer where it lies itself.
COPY --from=build /out/voxage /out/voxage-trainer /usr/local/bin/
ENV VOXAGE_WEIGHTS=/usr/local/share/voxage/resemblyzer.pt \
    LD_LIBRARY_PATH=/opt/libtorch/torch/lib
# A number: Kubernetes proves by it that the user is not root. It owns nothing; only /tmp is written to.
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/voxage"]
CMD ["--help"]

FROM programs AS cpu
# Without the headers.
COPY --from=build /out/libtorch/torch/lib /opt/libtorch/torch/lib
COPY --from=build /out/libtorch/nvidia /opt/libtorch/nvidia

# The last, and so what is built if no target is named.
FROM programs AS cuda
COPY --from=fetch-cuda /out/libtorch /opt/libtorch
# What the NVIDIA container toolkit is to bring of the driver. Which GPUs, is for who starts the container.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
