#!/usr/bin/env bash
# bindings/kotlin/conformance.sh LIBRARY_FOLDER BINDGEN: prints the name of every scenario of bindings/conformance that it ran;
# for bindings/conformance/check. LIBRARY_FOLDER holds a library with the features `testing` and `uniffi`, BINDGEN is the built
# tertulia-bindgen.
set -euo pipefail
library="$(cd "$1" && pwd)"
bindgen="$(realpath "$2")"
cd "$(dirname "$0")"
source ./maven.sh
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$bindgen" "$library/libtertulia.so" kotlin "$work/generated" >&2
maven test -pl tertulia -Dtertulia.library="$library" -Dtertulia.generated="$work/generated" -Dtertulia.build="$work/build" \
  -Dtertulia.tests="$PWD/tertulia/src/conformance/kotlin" -DargLine="-Dtertulia.ran=$work/ran" >&2
cat "$work/ran"
