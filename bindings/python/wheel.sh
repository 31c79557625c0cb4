#!/usr/bin/env bash
# bindings/python/wheel.sh LIBRARY_FOLDER OUT: packs a wheel into OUT. LIBRARY_FOLDER (target/release) holds libtertulia.so,
# built with the feature uniffi and not stripped, and tertulia-bindgen.
set -euo pipefail
library="$(cd "$1" && pwd)"
mkdir -p "$2"
out="$(cd "$2" && pwd)"
cd "$(dirname "$0")"
sources="$(mktemp -d)"
trap 'rm -rf "$sources"' EXIT
"$library/tertulia-bindgen" "$library/libtertulia.so" python "$sources" >"$sources/log"
mv "$sources/tertulia.py" src/tertulia/_generated.py
rm -f src/tertulia/libtertulia.so
strip --strip-unneeded -o src/tertulia/libtertulia.so "$library/libtertulia.so"
tools="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/python-wheel"
[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
rm -rf build
"$tools/bin/pip" wheel -q --no-deps --wheel-dir "$out" .
