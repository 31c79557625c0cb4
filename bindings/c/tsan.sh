#!/usr/bin/env bash
# bindings/c/tsan.sh [ENDS ROUNDS]: builds the library, and Rust's standard library, with ThreadSanitizer, and runs the stress
# test in C on them; before, a race between C and the library must be found. It takes a nightly Rust, which it installs with
# rustup.
set -euo pipefail
cd "$(dirname "$0")/../.."
rustup toolchain list | grep '^nightly' >/dev/null || rustup toolchain install nightly --profile minimal
rustup component add rust-src --toolchain nightly
host="$(rustc -vV | sed -n 's/^host: //p')"
RUSTFLAGS=-Zsanitizer=thread cargo +nightly build -Zbuild-std -p tertulia-ffi --target "$host"
library="$(realpath "${CARGO_TARGET_DIR:-target}/$host/debug/libtertulia.so")"
# The sanitizer of Rust's LLVM serves both: GCC's own may be older than what that LLVM calls.
sanitizer="$(rustc +nightly --print sysroot)/lib/rustlib/$host/lib/librustc-nightly_rt.tsan.a"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
ln -s "$library" "$work/libtertulia.so.0"
export LD_LIBRARY_PATH="$work"
for test in race stress; do
  cc -std=c11 -Wall -Wextra -Werror -pedantic -Iinclude -g -O1 -fsanitize=thread -c "bindings/c/tests/$test.c" -o "$work/$test.o"
  cc "$work/$test.o" -Wl,--whole-archive "$sanitizer" -Wl,--no-whole-archive -rdynamic "$library" -lstdc++ -lpthread -ldl -lm \
    -o "$work/$test"
done
! "$work/race" 2>"$work/report" || { echo "a race was not found"; exit 1; }
# Either side may come second, and be the one that the summary names.
for part in 'WARNING: ThreadSanitizer: data race' core/src/audio write_samples; do
  grep -q "$part" "$work/report" || { cat "$work/report"; exit 1; }
done
TSAN_OPTIONS=halt_on_error=1 "$work/stress" "${1:-200}" "${2:-3000}"
echo "the C library's threads: ok"
