#!/usr/bin/env bash
# test/apple.sh LIBRARY_FOLDER: checks the package's Swift, and runs it with its C++ on the library, in the Swift package's root.
set -euo pipefail
[ "$(id -u)" = 0 ] || exec sudo --preserve-env=HOME,PATH,XDG_CACHE_HOME "$0" "$@"
library="$(realpath "$1")"
here="$(cd "$(dirname "$0")/.." && pwd)"
swift="$here/../swift"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# As pack.sh lays them out.
mkdir "$work/devices" "$work/include"
"$here/devices.sh" "$work/devices" swift
cp -r "$here"/cpp/Audio.* "$here"/ios/*.* "$here"/test/apple/* "$here"/test/native/* "$work"
cp "$here/../../include/tertulia.h" "$work/include"
cp "$library/libtertulia.so" "$work/libtertulia.so.0"
ln -s libtertulia.so.0 "$work/libtertulia.so"
cat >"$work/script" <<'END'
stub=/w/Tests/AppleStub
cd /rn
swiftc -swift-version 5 -parse-as-library -emit-module -module-name AVFoundation -o AVFoundation.swiftmodule $stub/*.swift
swiftc -swift-version 6 -module-name tertulia_react_native -typecheck -warnings-as-errors -I . TertuliaAudio.swift devices/*.swift
rm AVFoundation.swiftmodule
clang=/usr/libexec/swift/bin/clang++
$clang -x objective-c++ -std=c++20 -Wall -Wextra -Werror -fsyntax-only -Istub -I. -Iinclude TertuliaOnLoad.mm
for file in Audio AppleAudio engine; do $clang -std=c++20 -O1 -Wall -Wextra -Werror -I. -Iinclude -c $file.cpp -o $file.o; done
swiftc -swift-version 6 -module-name tertulia_react_native main.swift TertuliaAudio.swift devices/*.swift *.o -L. -ltertulia -lstdc++ -o program
LD_LIBRARY_PATH=. timeout 120 ./program
END
"$swift/swift_root.sh" "$swift" --bind "$work" rn -- sh -eu /rn/script
