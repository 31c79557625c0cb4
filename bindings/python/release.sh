#!/usr/bin/env bash
# bindings/python/release.sh OUT [FEATURES [TARGET…]]: builds the wheels of a release into OUT: for each TARGET of Rust (Linux on
# x86_64 and on aarch64) one that installs on every distribution with glibc 2.17 (2012) or later. FEATURES are the library's:
# models by default, or "" for a small one without.
set -euo pipefail
out="$(mkdir -p "$1" && cd "$1" && pwd)"
features="uniffi,${2-models}"
targets=("${@:3}")
[ "${#targets[@]}" -gt 0 ] || targets=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu)
cd "$(dirname "$0")/../.."
source bindings/c/cross/tools.sh
rustup target add "${targets[@]}"
auditwheel="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/auditwheel-6.8.2"
if [ ! -x "$auditwheel/bin/auditwheel" ]; then
  python3 -m venv "$auditwheel"
  "$auditwheel/bin/pip" install -q auditwheel==6.8.2
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo build --profile ci -p tertulia-bindgen
built="${CARGO_TARGET_DIR:-target}"
for target in "${targets[@]}"; do
  cargo-zigbuild build --profile dist --config 'profile.dist.strip="none"' -p tertulia-ffi --features "$features" \
    --target "$target.2.17"
  mkdir "$work/$target"
  ln -s "$(realpath "$built/ci/tertulia-bindgen")" "$(realpath "$built/$target/dist/libtertulia.so")" "$work/$target"
  platform="manylinux_2_17_${target%%-*}"
  bindings/python/wheel.sh "$work/$target" "$out" "$platform"
  "$auditwheel/bin/auditwheel" show "$out"/tertulia-*-"$platform.whl" >"$work/shown"
  tr -s '\n ' ' ' <"$work/shown" | grep "is consistent with the following platform tag: \"$platform\"" >/dev/null ||
    { cat "$work/shown"; exit 1; }
  ls -l "$out"/tertulia-*-"$platform.whl"
done
