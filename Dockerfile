# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# `ring` compiles some C.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*

# The dependencies, in a layer of their own that only a changed Cargo.toml or Cargo.lock makes anew: they are built
# for an empty program that declares the same targets.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/compare benches/faults benches/instructions benches/quota \
    && echo 'fn main() {}' > src/main.rs \
    && cp src/main.rs benches/end_to_end.rs \
    && cp src/main.rs benches/compare/main.rs \
    && cp src/main.rs benches/faults/main.rs \
    && cp src/main.rs benches/instructions/main.rs \
    && cp src/main.rs benches/quota/main.rs \
    && touch src/lib.rs \
    && cargo build --locked --profile dist \
    && rm -r src benches

COPY src src
# Cargo goes by time stamps, and those of the sources may be older than the empty program's.
RUN mkdir -p benches/compare benches/faults benches/instructions benches/quota /state \
    && touch benches/end_to_end.rs benches/compare/main.rs benches/faults/main.rs benches/instructions/main.rs \
        benches/quota/main.rs src/main.rs src/lib.rs \
    && cargo build --locked --profile dist

# glibc, CA certificates, a user without rights; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/ai-proxy-free /usr/local/bin/ai-proxy-free
# What was used of the free limits, for the next start: a volume here keeps it.
COPY --from=build --chown=65532:65532 /state /state
ENV HOST=0.0.0.0 PORT=3001 STATE_FILE=/state/ai-proxy-free.state
# Without it, glibc keeps the memory of large requests: up to 40 MiB in each thread.
ENV MALLOC_MMAP_THRESHOLD_=1048576
EXPOSE 3001
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/ai-proxy-free", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/ai-proxy-free"]
