#!/usr/bin/env bash
# bindings/kotlin/test.sh [LIBRARY_FOLDER]: writes the Kotlin sources of the calls, compiles the modules, runs their tests, and
# checks the pages of Android's libraries; with the feature `testing` it runs the conformance scenarios, too.
#
# LIBRARY_FOLDER holds libtertulia.so, built with the feature `uniffi`, and tertulia-bindgen; by default target/debug, as
# `cargo build -p tertulia-ffi --features uniffi && cargo build -p tertulia-bindgen` fills it.
set -euo pipefail
library="$(cd "${1:-${CARGO_TARGET_DIR:-"$(dirname "$0")/../../target"}/debug}" && pwd)"
cd "$(dirname "$0")"
source ./maven.sh
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$library/tertulia-bindgen" "$library/libtertulia.so" kotlin "$work/generated"
maven verify -Dtertulia.library="$library" -Dtertulia.generated="$work/generated"

if grep -q conformancerun "$library/libtertulia.so"; then
  ../conformance/check ./conformance.sh "$library" "$library/tertulia-bindgen"
else
  echo "the library was built without the feature testing: the conformance scenarios are left out"
fi

./jni-libs.sh "$work/android"
# The check finds a library with small pages.
echo 'int answer(void) { return 42; }' | cc -x c - -shared -fPIC -Wl,-z,max-page-size=4096 -o "$work/small.so"
if ./jni-libs.sh "$work/small" "x86_64=$work/small.so" > /dev/null 2> "$work/refused"; then
  echo "a library with pages of 4 KB passed" >&2
  exit 1
fi
grep -q 'pages of 4096 bytes' "$work/refused"
echo "the Kotlin packages: ok"
