#!/bin/sh
# Serves: bundles the sandbox's code if need be, and starts the service.
set -eu

if [ "${1-}" = --help ] || [ "${1-}" = -h ]; then
  cat <<'HELP'
Serves gRPC until it is told to stop.

Usage: scripts/run.sh [OPTION]...

Options go to `rexec serve`; `scripts/rexec serve --help` lists them. Settings also come from the environment
(GRPC_PORT=6000 scripts/run.sh) and from config/*.yaml; docs/configuration.md lists them.
HELP
  exit 0
fi

cd "$(dirname -- "$0")/.."
exec npx -y deno@2.9.3 task start "$@"
