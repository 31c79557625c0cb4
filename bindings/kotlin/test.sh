#!/usr/bin/env bash
# bindings/kotlin/test.sh [LIBRARY_FOLDER]: writes the Kotlin sources of the calls, compiles the modules and runs their tests.
#
# LIBRARY_FOLDER holds libtertulia.so, built with the feature `uniffi`, and tertulia-bindgen; by default target/debug, as
# `cargo build -p tertulia-ffi --features uniffi && cargo build -p tertulia-bindgen` fills it.
set -euo pipefail
cd "$(dirname "$0")"
source ./maven.sh
library="$(cd "${1:-${CARGO_TARGET_DIR:-../../target}/debug}" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$library/tertulia-bindgen" "$library/libtertulia.so" kotlin "$work"
maven verify -Dtertulia.library="$library" -Dtertulia.generated="$work"
echo "the Kotlin packages: ok"
