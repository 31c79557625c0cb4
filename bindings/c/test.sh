#!/usr/bin/env bash
# bindings/c/test.sh LIBRARY_FOLDER [TESTING_FOLDER]: compiles the tests in C and C++ against the header and the built library,
# and runs them: as they are, under the sanitizers, and under valgrind. LIBRARY_FOLDER holds libtertulia.so and libtertulia.a
# (`cargo build --release -p tertulia-ffi` puts them into target/release), TESTING_FOLDER the library with the feature `testing`,
# which is built where it is not given.
set -euo pipefail
library="$(cd "$1" && pwd)"
cd "$(dirname "$0")/../.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Programs look for the library by the version of its ABI.
ln -s "$library/libtertulia.so" "$work/libtertulia.so.0"
export LD_LIBRARY_PATH="$work"
warnings=(-Wall -Wextra -Werror -pedantic -Iinclude)

# compile COMPILER STANDARD SOURCE [FLAG…]: makes $work/program
compile() {
  local language=c; [ "$1" = cc ] || language=c++
  "$1" "-std=$2" "${warnings[@]}" -x "$language" "$3" -x none "${@:4}" -o "$work/program" "$library/libtertulia.so" -lpthread
}

# run COMMAND… -- ARGUMENT…: runs the program in a new folder, which is its first argument
run() {
  local before=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do before+=("$1"); shift; done
  rm -rf "$work/files"; mkdir "$work/files"; "${before[@]}" "$work/program" "$work/files" "${@:2}"
}

for standard in c99 c11 c17; do compile cc "$standard" bindings/c/tests/turn.c; run env; done
for standard in c++11 c++17 c++20; do compile c++ "$standard" bindings/c/tests/turn.c; run env; done
for source in turn misuse; do
  compile cc c11 "bindings/c/tests/$source.c" -g; run env
  run valgrind -q --error-exitcode=9 --leak-check=full \
    --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect
  compile cc c11 "bindings/c/tests/$source.c" -g -fsanitize=address,undefined -fno-sanitize-recover; run env
done
# The end of a process in the middle of something, on models too where the library has them.
compile cc c11 bindings/c/tests/exit.c -g
for scene in open job callback reader model; do
  for end in shut exit; do
    run timeout 60 -- "$scene" "$end"
    [ "$scene" = model ] || run timeout 120 valgrind -q --error-exitcode=9 -- "$scene" "$end"
  done
done

# Two copies of the library in one process.
cc -std=c11 "${warnings[@]}" -g bindings/c/tests/twice.c -ldl -o "$work/program"
cp "$library/libtertulia.so" "$work/copy.so"
run_twice() { rm -rf "$work/files"; mkdir "$work/files"; "$@" "$work/program" "$library/libtertulia.so" "$work/copy.so" "$work/files"; }
run_twice env
run_twice valgrind -q --error-exitcode=9

compile cc c11 bindings/c/tests/stress.c -g; "$work/program" 200 3000

# The static library, and the names that the shared one gives away.
cc -std=c99 "${warnings[@]}" bindings/c/tests/turn.c "$library/libtertulia.a" -lpthread -ldl -lm -o "$work/program"; run env
others="$(nm -D --defined-only "$library/libtertulia.so" | awk '{print $3}' | grep -v '^tertulia_' || true)"
[ -z "$others" ] || { echo "the library exports more than tertulia_*: $others"; exit 1; }
declared="$(grep -o 'tertulia_[a-z0-9_]*(' include/tertulia.h | tr -d '(' | sort -u)"
exported="$(nm -D --defined-only "$library/libtertulia.so" | awk '{print $3}' | sort -u)"
missing="$(comm -23 <(echo "$exported") <(echo "$declared"))"
[ -z "$missing" ] || { echo "the header lacks: $missing"; exit 1; }
readelf -d "$library/libtertulia.so" | grep -q 'soname: \[libtertulia.so.0\]' || { echo "the soname is wrong"; exit 1; }
! grep -q tertulia_testing <<<"$exported" || { echo "the library has the feature testing"; exit 1; }

# The conformance scenarios and the golden store, on the library for tests. A scenario that goes wrong is found out.
testing="$(cd "${2:-$(bindings/conformance/library)}" && pwd)"
ln -sf "$testing/libtertulia.so" "$work/libtertulia.so.0"
cc -std=c99 -g "${warnings[@]}" bindings/c/tests/conformance.c "$testing/libtertulia.so" -o "$work/conformance"
bindings/conformance/check "$work/conformance" bindings/conformance/scenarios
cc -std=c99 -g "${warnings[@]}" -DTERTULIA_TESTING bindings/c/tests/misuse.c "$testing/libtertulia.so" -lpthread -o "$work/program"
"$work/program"
cp bindings/conformance/golden.redb "$work/golden.redb"
"$work/conformance" bindings/conformance/golden.json "$work/golden.redb"
mkdir "$work/scenarios"
cp bindings/conformance/scenarios/crash_in_mid_turn.json "$work/scenarios"
valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect \
  --errors-for-leak-kinds=definite,indirect "$work/conformance" "$work/scenarios"
sed -i 's/"reply_text": "/&Nunca. /' "$work/scenarios/crash_in_mid_turn.json"
! "$work/conformance" "$work/scenarios" 2>"$work/difference" || { echo "a wrong scenario passed"; exit 1; }
grep -q '^  - .*Nunca' "$work/difference" || { echo "no difference is shown"; exit 1; }
echo "the C library: ok"
