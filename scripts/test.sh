#!/bin/sh
# Runs all checks and tests, or those that are named.
set -eu

if [ "${1-}" = --help ] || [ "${1-}" = -h ]; then
  cat <<'HELP'
Format, lint, types, generated files and all tests. The last line is `N passed, N failed`.

Usage: scripts/test.sh                     everything
       scripts/test.sh tests/codecs        these tests, without the checks
       scripts/test.sh --filter resampler  likewise; arguments go to `deno test`
HELP
  exit 0
fi

cd "$(dirname -- "$0")/.."
exec npx -y deno@2.9.3 task test "$@"
