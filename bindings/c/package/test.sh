#!/usr/bin/env bash
# bindings/c/package/test.sh RELEASE [MACHINE]: builds and runs a program on a release that `cargo xtask dist c --out RELEASE`
# wrote, by pkg-config and by CMake, with the shared and with the static library; then all again with the release at another
# place. MACHINE (aarch64-linux-gnu) is the release's where it is not this one: its GCC compiles, and qemu runs.
set -euo pipefail
release="$(cd "$1" && pwd)"
machine="${2:-}" cc=cc cross=() emulator=()
if [ -n "$machine" ]; then
  cc="$machine-gcc"
  cross=(-DCMAKE_SYSTEM_NAME=Linux "-DCMAKE_C_COMPILER=$cc")
  emulator=("qemu-${machine%%-*}" -L "/usr/$machine")
fi
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
source ../tools.sh
for tool in cmake pkg-config; do have "$tool" || packages "$tool"; done

run() { rm -rf "$work/files"; mkdir "$work/files"; "${emulator[@]}" "$@" "$work/files"; }
needs() { readelf -d "$1" | grep 'NEEDED.*libtertulia' >/dev/null; }

# try PREFIX
try() {
  export PKG_CONFIG_PATH="$1/lib/pkgconfig"
  local flags=(-std=c99 -Wall -Wextra -Werror -pedantic)
  read -a shared <<<"$(pkg-config --cflags --libs tertulia)"
  "$cc" "${flags[@]}" tests/turn.c "${shared[@]}" -o "$work/shared"
  LD_LIBRARY_PATH="$1/lib" run "$work/shared"
  read -a static <<<"$(pkg-config --static --cflags --libs tertulia)"
  "$cc" "${flags[@]}" tests/turn.c -static "${static[@]}" -o "$work/static"
  run "$work/static"
  rm -rf "$work/build"
  { cmake -S package -B "$work/build" -DCMAKE_PREFIX_PATH="$1" "${cross[@]}" && cmake --build "$work/build"; } >"$work/log" ||
    { cat "$work/log"; exit 1; }
  run "$work/build/with_tertulia"
  run "$work/build/with_tertulia_static"
  for program in "$work/shared" "$work/build/with_tertulia"; do
    needs "$program" || { echo "$program does not need the shared library"; exit 1; }
  done
  for program in "$work/static" "$work/build/with_tertulia_static"; do
    if needs "$program"; then echo "$program needs the shared library"; exit 1; fi
  done
}

mkdir "$work/here"
cp -a "$release/." "$work/here"
try "$work/here"
mv "$work/here" "$work/there with a space"
try "$work/there with a space"
[ "$(pkg-config --modversion tertulia)" = "$(sed -n 's/^set(PACKAGE_VERSION "\(.*\)")/\1/p' "$work"/there*/lib/cmake/tertulia/tertuliaConfigVersion.cmake)" ]
echo "the release: ok"
