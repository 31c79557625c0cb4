#!/bin/sh
# Writes the generated Swift source and its C header into Sources/.
# usage: generate.sh LIBRARY_FOLDER    holds libtertulia.so or .dylib (unstripped, with the feature `uniffi`), and tertulia-bindgen unless cargo has to build it
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "$1" && pwd)
made=$(mktemp -d); trap 'rm -rf "$made"' EXIT
cd "$here/../.."
built="$library/libtertulia.so"; [ -e "$built" ] || built="$library/libtertulia.dylib"
if [ -x "$library/tertulia-bindgen" ]; then
    "$library/tertulia-bindgen" "$built" swift "$made"
else
    cargo run -q -p tertulia-bindgen -- "$built" swift "$made"
fi
# uniffi escapes a call named `open` in C as it does in Swift.
sed 's/`//g' "$made/TertuliaFFI.h" >"$made/header"
mv "$made/header" "$made/TertuliaFFI.h"
# Only a file that changed is written: the compiler goes by its time.
put() { mkdir -p "$here/Sources/$2"; cmp -s "$made/$1" "$here/Sources/$2/$1" || cp "$made/$1" "$here/Sources/$2/$1"; }
put TertuliaGenerated.swift TertuliaGenerated
put TertuliaFFI.h TertuliaFFI
