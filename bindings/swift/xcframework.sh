#!/usr/bin/env bash
# bindings/swift/xcframework.sh: builds TertuliaFFI.xcframework (iOS, its simulator, macOS) beside Package.swift, and a zip of it with the checksum
# that a binaryTarget by URL needs. On macOS with Xcode; further arguments go to cargo (`--features models`).
# xcframework.sh --headers FOLDER: only puts the headers of a slice into FOLDER, on any machine.
set -euo pipefail
cd "$(dirname "$0")"
root="$(cd ../.. && pwd)"
framework=TertuliaFFI.xcframework

# The headers of one slice. A module map of its own folder is found by the module's name, and does not collide with that of another framework.
headers() {
  mkdir -p "$1/TertuliaFFI"
  cp Sources/TertuliaFFI/TertuliaFFI.h "$1/TertuliaFFI/"
  # On Apple's platforms the framework is linked, not a library by its name.
  sed '/^ *link /d' Sources/TertuliaFFI/module.modulemap >"$1/TertuliaFFI/module.modulemap"
}

if [ "${1:-}" = --headers ]; then
  headers "$2"
  exit
fi
[ "$(uname)" = Darwin ] || { echo 'an xcframework can only be built on macOS' >&2; exit 1; }

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
target="${CARGO_TARGET_DIR:-$root/target}"
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0

# The generated source comes from a library of this machine.
cargo build --manifest-path "$root/Cargo.toml" -p tertulia-ffi --features uniffi "$@"
./generate.sh "$target/debug"

# slice NAME TARGET…: one library of the slice's architectures, and its headers
arguments=()
slice() {
  local name="$1" triple libraries=()
  shift
  for triple in "$@"; do
    rustup target add "$triple"
    cargo build --manifest-path "$root/Cargo.toml" --release -p tertulia-ffi --features uniffi --target "$triple" ${extra[@]+"${extra[@]}"}
    libraries+=("$target/$triple/release/libtertulia.a")
  done
  mkdir -p "$work/$name"
  lipo -create "${libraries[@]}" -output "$work/$name/libtertulia.a"
  headers "$work/$name/headers"
  arguments+=(-library "$work/$name/libtertulia.a" -headers "$work/$name/headers")
}

extra=("$@")
slice ios aarch64-apple-ios
slice simulator aarch64-apple-ios-sim x86_64-apple-ios
slice macos aarch64-apple-darwin x86_64-apple-darwin

rm -rf "$framework" "$framework.zip"
xcodebuild -create-xcframework "${arguments[@]}" -output "$framework"
zip -qry "$framework.zip" "$framework"
swift package compute-checksum "$framework.zip"
