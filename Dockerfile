# One image, one binary, many subcommands. It builds with BuildKit and with the classic builder (docker-compose 1.29).
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUN_IMAGE=debian:bookworm-slim
ARG PAGE_IMAGE=node:22-bookworm-slim

# The page, which the gateway carries. Packages first: they change less often than the sources.
FROM ${PAGE_IMAGE} AS page
WORKDIR /src/clients/dashboard
COPY clients/dashboard/package.json clients/dashboard/package-lock.json clients/dashboard/.npmrc ./
RUN npm ci
WORKDIR /src
COPY clients/js clients/js
COPY clients/dashboard clients/dashboard
RUN cd clients/dashboard && npm run build

FROM ${BUILD_IMAGE} AS build
WORKDIR /src

# Dependencies first, over empty sources: this layer is built again only when a manifest or the lock file changes.
# Every member of the workspace stands here; `cargo xtask test --only compose` notices a missing one.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY protocol/Cargo.toml protocol/
COPY services/kit/Cargo.toml services/kit/
COPY services/websocket/Cargo.toml services/websocket/
COPY services/scraper/Cargo.toml services/scraper/
COPY services/gateway/Cargo.toml services/gateway/
COPY services/demo-site/Cargo.toml services/demo-site/
COPY services/dev/Cargo.toml services/dev/
COPY services/oddswire/Cargo.toml services/oddswire/
COPY clients/cli/Cargo.toml clients/cli/
COPY tests/Cargo.toml tests/
COPY bench/Cargo.toml bench/
COPY xtask/Cargo.toml xtask/
RUN for manifest in $(find . -mindepth 2 -name Cargo.toml); do \
      package="$(dirname "$manifest")"; \
      mkdir -p "$package/src" && touch "$package/src/lib.rs"; \
    done \
    && echo 'fn main() {}' | tee services/oddswire/src/main.rs > xtask/src/main.rs \
    && mkdir -p tests/it && touch tests/lib.rs tests/it/main.rs \
    && cargo build --profile dist --locked --package oddswire --features otlp \
    && find . -name '*.rs' -not -path './target/*' -delete

# What `--version` says besides the number; after the dependencies, which do not depend on it.
ARG ODDSWIRE_COMMIT=
ENV ODDSWIRE_COMMIT=${ODDSWIRE_COMMIT}

# The touch makes every source newer than what the empty ones were built into.
COPY . .
COPY --from=page /src/clients/dashboard/dist clients/dashboard/dist
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
    && cargo build --profile dist --locked --package oddswire --features otlp

# Where docker-compose.yml puts a volume for each role's key: a new volume takes over whose the folder is.
RUN mkdir -p /keys/provision /keys/scraper /keys/gateway /keys/reader /keys/operator /keys/users

# Nothing runs in this stage, so it needs no network and no package of its own.
FROM ${RUN_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/oddswire /usr/local/bin/oddswire
COPY --from=build --chown=65532:65532 /keys /keys
COPY sources /etc/oddswire/sources
# A gateway that listens for others starts with a key for tokens alone, or with ODDSWIRE_INSECURE_NO_AUTH=true.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    ODDSWIRE_SOURCES=/etc/oddswire/sources \
    ODDSWIRE_LISTEN=0.0.0.0:8080 \
    ODDSWIRE_OPS_LISTEN=0.0.0.0:8081 \
    ODDSWIRE_DEMO_LISTEN=0.0.0.0:4600 \
    ODDSWIRE_LOG_FORMAT=json
USER 65532:65532
# Exec form: the binary is process 1 and gets the signal that asks it to drain.
ENTRYPOINT ["/usr/local/bin/oddswire"]
CMD ["--help"]
