#!/usr/bin/env bash
# bindings/react-native/pack.sh OUT [ABI=libtertulia.so]… [TertuliaFFI.xcframework]: packs the npm package into the folder OUT,
# with the library of each of Android's ABIs, and that of Apple's platforms. TOOLS is a folder with TypeScript and React Native's
# codegen in its node_modules; test.sh makes one.
set -euo pipefail
out="$(realpath "$1")"
shift
cd "$(dirname "$0")"
source ../tools.sh
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

node generate.mjs --check
cp -r ./*.json ./*.podspec ./*.cjs README.md src cpp android ios "$work"
mkdir "$work/include"
cp ../../include/tertulia.h "$work/include"
mkdir "$work/android/src/main/kotlin/dev/tertulia/android" "$work/ios/devices"
./devices.sh "$work/android/src/main/kotlin/dev/tertulia/android" kotlin
./devices.sh "$work/ios/devices" swift
node spec.mjs "$work/generated"
for library in "$@"; do
    case "$library" in
        *.xcframework | *.xcframework/) cp -r "$library" "$work/ios/TertuliaFFI.xcframework" ;;
        *)
            file="${library#*=}"
            pages "$file" >/dev/null
            install -D "$file" "$work/android/libs/${library%%=*}/libtertulia.so"
            ;;
    esac
done
cd "$work"
ln -s "$TOOLS/node_modules" node_modules
node_modules/.bin/tsc -p .
rm node_modules
npm pack --silent --ignore-scripts --pack-destination "$out"
