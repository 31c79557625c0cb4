#!/usr/bin/env bash
# bindings/c/cross/test.sh XTASK: tests the C library for other machines. For Linux on aarch64 a release is built, and C's tests
# run on it under qemu; for Android on aarch64 a release is linked, and its pages and name are checked; for Android and iOS the
# sources are checked, also with the feature uniffi. XTASK is the built program (target/ci/xtask).
set -euo pipefail
xtask="$(realpath "$1")"
cd "$(dirname "$0")/../../.."
source bindings/c/cross/tools.sh
aarch64_tools
android=aarch64-linux-android others=(x86_64-linux-android aarch64-apple-ios)
rustup target add "$android" "${others[@]}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Without uniffi the release for Android is built below.
cargo check --profile ci -p tertulia-ffi "${others[@]/#/--target=}"
cargo check --profile ci -p tertulia-ffi --features uniffi --target "$android" "${others[@]/#/--target=}"

"$xtask" dist c --target aarch64-unknown-linux-gnu --out "$work/linux"
bindings/c/package/test.sh "$work/linux" aarch64-linux-gnu
for test in misuse stress; do
  aarch64-linux-gnu-gcc -std=c11 -Wall -Wextra -Werror -pedantic -Iinclude "bindings/c/tests/$test.c" -o "$work/$test" \
    -L"$work/linux/lib" -ltertulia -lpthread
done
mkdir "$work/files"
export LD_LIBRARY_PATH="$work/linux/lib"
aarch64 "$work/misuse" "$work/files"
aarch64 "$work/stress" 20 500
unset LD_LIBRARY_PATH

export CARGO_TARGET_AARCH64_LINUX_ANDROID_LINKER="$PWD/bindings/c/cross/android-cc"
"$xtask" dist c --target "$android" --out "$work/android"
readelf -d "$work/android/lib/libtertulia.so" | grep 'soname: \[libtertulia.so\]'
bindings/kotlin/jni-libs.sh "$work/app" "arm64-v8a=$work/android/lib/libtertulia.so"
echo "the library for other machines: ok"
