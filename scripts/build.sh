#!/bin/sh
# Builds the sandbox's bundles; with --binary the self-contained program, with --image the container image.
set -eu

usage() {
  cat <<'HELP'
Builds what the service runs from.

Usage: scripts/build.sh                       dist/sandbox, which sandbox hosts read
       scripts/build.sh --binary [OPTION]...  dist/rexec, one self-contained program (--target, --output)
       scripts/build.sh --image [TAG]         the container image, rexec:0.1.0 unless a tag is given
HELP
}

cd "$(dirname -- "$0")/.."
case "${1-}" in
  --help | -h) usage ;;
  --binary)
    shift
    exec npx -y deno@2.9.3 task compile "$@"
    ;;
  --image) exec docker build --tag "${2-rexec:0.1.0}" . ;;
  '') exec npx -y deno@2.9.3 task bundle ;;
  *)
    echo "Unknown option: $1" >&2
    usage >&2
    exit 2
    ;;
esac
