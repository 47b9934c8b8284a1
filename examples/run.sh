#!/usr/bin/env bash
# Installs what is missing, builds the main example and runs it; all arguments go to it (try --help).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../.ci/build.sh"

install_packages "${packages[@]}"
configure build
compile build example_weather
exec "$root/build/examples/weather" "$@"
