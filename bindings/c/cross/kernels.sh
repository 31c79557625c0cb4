#!/usr/bin/env bash
# bindings/c/cross/kernels.sh: runs the tests of the models' kernels that need no model files for Linux on aarch64, under qemu.
set -euo pipefail
cd "$(dirname "$0")/../../.."
source bindings/c/cross/tools.sh
aarch64_tools
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo-zigbuild test --profile ci --no-run --message-format=json --target aarch64-unknown-linux-gnu -p tertulia-models --lib \
  --test chat_tiny >"$work/built"
grep -o '"executable":"[^"]*"' "$work/built" | cut -d'"' -f4 >"$work/tests"
[ "$(wc -l <"$work/tests")" = 2 ]
cd models
while read -r test; do aarch64 "$test" --quiet </dev/null; done <"$work/tests"
