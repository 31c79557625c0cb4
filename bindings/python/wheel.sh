#!/usr/bin/env bash
# bindings/python/wheel.sh LIBRARY_FOLDER OUT [PLATFORM]: packs a wheel into OUT. LIBRARY_FOLDER (target/release) holds
# libtertulia.so, built with the feature uniffi and not stripped, and tertulia-bindgen. PLATFORM (manylinux_2_17_aarch64) is the
# library's as Python names it, by default this machine's; release.sh builds for others.
set -euo pipefail
library="$(cd "$1" && pwd)"
mkdir -p "$2"
out="$(cd "$2" && pwd)"
platform=("${@:3}")
cd "$(dirname "$0")"
sources="$(mktemp -d)"
trap 'rm -rf "$sources"' EXIT
"$library/tertulia-bindgen" "$library/libtertulia.so" python "$sources" >"$sources/log"
mv "$sources/tertulia.py" src/tertulia/_generated.py
rm -f src/tertulia/libtertulia.so
# Rust's own knows the libraries of every machine.
rust="$(rustc --print sysroot)"
LD_LIBRARY_PATH="$rust/lib" "$rust/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-objcopy" --strip-unneeded \
  "$library/libtertulia.so" src/tertulia/libtertulia.so
tools="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/python-wheel"
[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
rm -rf build
"$tools/bin/pip" wheel -q --no-deps --wheel-dir "$out" "${platform[@]/#/--config-settings=--build-option=--plat-name=}" .
