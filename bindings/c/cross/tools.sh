# Sourced, at the root of the checkout, by scripts that build for other machines. Puts cargo-zigbuild on the PATH, with Zig as its linker: both come from
# Python's packages, once, into the user's cache. `aarch64 PROGRAM ARGUMENT…` runs a program for Linux on aarch64 with qemu,
# once `aarch64_tools` has installed that and a C compiler.

source bindings/tools.sh

zig="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/zig-0.15.2"
if [ ! -x "$zig/bin/cargo-zigbuild" ]; then
  python3 -c 'import ensurepip' 2>/dev/null || packages python3-venv
  python3 -m venv "$zig"
  "$zig/bin/pip" install -q ziglang==0.15.2 cargo-zigbuild==0.24.1
fi
export PATH="$zig/bin:$PATH"

aarch64_tools() {
  have qemu-aarch64 && have aarch64-linux-gnu-gcc || packages qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  rustup target add aarch64-unknown-linux-gnu
}

aarch64() { qemu-aarch64 -L /usr/aarch64-linux-gnu "$@"; }
