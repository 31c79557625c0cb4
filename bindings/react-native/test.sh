#!/usr/bin/env bash
# bindings/react-native/test.sh [LIBRARY_FOLDER]: builds the module with a host that has JavaScriptCore behind React Native's own
# JSI and TurboModules, and runs the package, its conformance scenarios and its examples in it. LIBRARY_FOLDER (target/ci) holds
# libtertulia.so. With the feature models the examples that talk run, too; with testing the conformance scenarios.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
library="$(cd "${1:-${CARGO_TARGET_DIR:-$root/target}/ci}" && pwd)"
# The last release whose package has the sources of JavaScriptCore's JSI.
version=0.78.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/react-native-$version"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

source "$root/bindings/tools.sh"
needed=(cmake g++ libgoogle-glog-dev libjavascriptcoregtk-4.1-dev ninja-build nodejs npm pkg-config rsync ruby)
missing=()
for package in "${needed[@]}"; do
    case "$package" in
        # A Node.js of another origin does as well.
        nodejs) have node || missing+=(nodejs) ;;
        npm) have npm || missing+=(npm) ;;
        *) dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package") ;;
    esac
done
[ ${#missing[@]} -eq 0 ] || packages "${missing[@]}"

# The tools, and React Native's package without the many that it depends on, once.
export TOOLS="$cache/tools"
tools=(abort-controller@3 esbuild@0.25 typescript@5.8 hermes-engine-cli@0.12 @babel/core@7 @types/react@19)
for tool in babel-preset codegen virtualized-lists; do tools+=("@react-native/$tool@$version"); done
if [ "$(cat "$cache/ready" 2>/dev/null)" != "${tools[*]}" ]; then
    rm -rf "$cache"
    mkdir -p "$TOOLS" "$cache/react-native"
    echo '{"private": true}' >"$TOOLS/package.json"
    (cd "$TOOLS" && npm install --silent --no-audit --no-fund --legacy-peer-deps "${tools[@]}")
    (cd "$cache" && npm pack --silent "react-native@$version" >/dev/null)
    tar -xzf "$cache/react-native-$version.tgz" -C "$cache/react-native" --strip-components 1
    rm "$cache/react-native-$version.tgz"
    ln -s "$cache/react-native" "$TOOLS/node_modules/react-native"
    echo "${tools[*]}" >"$cache/ready"
fi

# The package as an app has it, and its tests beside it. Files that stay as they are make no work for the compiler.
cd "$root/bindings/react-native"
./pack.sh "$work"
tar -xzf "$work"/tertulia-react-native-*.tgz -C "$work"
mkdir -p "$cache/package"
rsync -rc --delete "$work/package/" "$cache/package"
cd "$cache/package"
cp -r "$root/bindings/react-native/"{tsconfig.json,test,examples} .
ln -s "$TOOLS/node_modules" node_modules
mkdir -p android/libs/host
ln -s "$library/libtertulia.so" android/libs/host/libtertulia.so
node_modules/.bin/tsc -p test
node -e 'const { platforms } = require("./react-native.config.cjs").dependency; if (!platforms.android.cxxModuleHeaderName) process.exit(1)'
ruby -c tertulia-react-native.podspec >/dev/null

ln -s "$library/libtertulia.so" "$work/libtertulia.so.0"
export LD_LIBRARY_PATH="$work"
# The collector reads all of the stack, and the engine keeps what a process needs until its end.
export ASAN_OPTIONS=detect_leaks=0:allow_user_segv_handler=1
cmake --fresh -S "$root/bindings/react-native/test/host" -B "$cache/host" -G Ninja -DREACT_NATIVE="$cache/react-native" -DPACKAGE="$cache/package" \
    >"$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
ninja -C "$cache/host" >"$work/ninja.log" || { cat "$work/ninja.log"; exit 1; }

# play PROGRAM ARGUMENT…: runs a program in the host.
play() {
    local program="$1" script
    shift
    script="$work/$(basename "$program").js"
    [ -e "$script" ] || node test/bundle.mjs "$program.ts" "$script"
    RUST_BACKTRACE=0 timeout 600 "$cache/host/host" "$script" "$@"
}

node test/bundle.mjs test/hermes.ts "$work/hermes.js" --hermes
"$TOOLS/node_modules/hermes-engine-cli/linux64-bin/hermes" "$work/hermes.js" | tee "$work/said"
grep -q '1 passed, 0 failed' "$work/said"

"$root/bindings/react-native/test/android.sh" "$cache/package" "$library"

mkdir "$work/stores"
play test/main '' "$work/stores"
play test/reload "$work/stores"
play test/killed "$work/stores/killed.redb" >"$work/session" 2>/dev/null && exit 1 || [ $? -eq 137 ]
play test/killed "$work/stores/killed.redb" "$(cat "$work/session")"

if grep -q tertulia_testing_open < <(nm -D --defined-only "$library/libtertulia.so"); then
    cp "$root/bindings/conformance/golden.redb" "$work/stores"
    node test/bundle.mjs test/conformance.ts "$work/conformance.js"
    "$root/bindings/conformance/check" "$cache/host/host" "$work/conformance.js" "$root/bindings/conformance" "$work/stores/golden.redb"
else
    echo "the library was built without the feature testing: the conformance scenarios are left out"
fi
# The examples, as they stand in the README.
play test/examples customChat | tee "$work/said"
grep -q '¿Tengo hambre? ¡Qué bien!' "$work/said"
play test/examples turn "$work/stores/written.redb"
play test/examples history "$work/stores/written.redb" | tee "$work/said"
grep -q '1. Hola.' "$work/said"
if [ "$(play test/examples models)" = yes ]; then
    play test/examples record "$work/hello.wav"
    play test/examples transcribe "$work/hello.wav" es | tee "$work/said"
    grep -qi 'viajar por España' "$work/said"
    play test/examples listen "$work/hello.wav" | tee "$work/said"
    grep -q 'transcript_done .*viajar por España' "$work/said"
    grep -q 'done 1' "$work/said"
    play test/examples talk "$work/hello.wav" "$work/reply.wav" "$work/stores/talk.redb"
    [ "$(stat -c %s "$work/reply.wav")" -gt 10000 ]
    play test/examples history "$work/stores/talk.redb" | tee "$work/said"
    grep -qi 'viajar por España' "$work/said"
else
    echo "the library has no models: the examples transcribe and talk are left out"
fi
echo "the React Native package: ok"
