# The Remote Execution Service as a container: gRPC on port 50051, metrics and health on port 8080.
#
#   docker build --tag rexec:0.1.0 .
#   docker compose up
#
# Base images are pinned by version. To pin them by digest, so that not even their publisher can change them, write what
# `docker buildx imagetools inspect debian:12.11-slim` prints behind the tag: debian:12.11-slim@sha256:…

# Deno comes from the npm registry, like everywhere else in this project; the binary is all that is kept of it.
FROM node:22.14.0-bookworm-slim AS build
WORKDIR /app
ENV DENO_DIR=/deno-dir DENO_NO_UPDATE_CHECK=1
RUN ["npx", "-y", "deno@2.9.3", "eval", "Deno.copyFileSync(Deno.execPath(), '/usr/local/bin/deno')"]
COPY deno.json deno.lock ./
COPY protos protos
COPY workers workers
COPY src src
COPY scripts scripts
RUN ["deno", "run", "--allow-all", "--frozen", "scripts/bundle.ts"]
# A cache of its own, so that it holds what the service needs and nothing of the build.
ENV DENO_DIR=/deno-cache
RUN ["deno", "cache", "--frozen", "src/cli/main.ts"]

FROM debian:12.11-slim
LABEL org.opencontainers.image.title="Remote Execution Service" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /usr/local/bin/deno /usr/local/bin/deno
COPY --from=build /deno-cache /deno-cache
WORKDIR /app
COPY deno.json deno.lock ./
COPY protos protos
COPY workers workers
COPY src src
COPY config config
COPY deploy/healthcheck.ts deploy/healthcheck.ts
COPY --from=build /app/dist/sandbox dist/sandbox
ENV DENO_DIR=/deno-cache DENO_NO_UPDATE_CHECK=1 LOG_FORMAT=json
# Nobody in particular: owns no file of the image, so that the root may be read-only and nothing here can be changed.
# The service writes to /tmp alone.
USER 65532:65532
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
# Asks the service itself, with Deno: the image needs no curl. Fails where METRICS_ENABLED is false.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["deno", "run", "--no-config", "--no-lock", "--allow-net=127.0.0.1", "--allow-env=METRICS_PORT", "deploy/healthcheck.ts"]
# The service binds to 127.0.0.1 until GRPC_HOST says otherwise, and then wants ALLOW_UNAUTHENTICATED_PUBLIC_BIND=true:
# whoever runs the image decides who may reach it. compose.yml shows how.
ENTRYPOINT ["deno", "run", "--allow-all", "--no-prompt", "--cached-only", "--frozen", "--v8-flags=--no-allocation-site-pretenuring", "src/cli/main.ts"]
CMD ["serve"]
