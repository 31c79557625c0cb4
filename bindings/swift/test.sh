#!/usr/bin/env bash
# bindings/swift/test.sh [LIBRARY_FOLDER]: builds the Swift package on the built library and runs its tests, the conformance scenarios and the
# examples, in a Debian 13 root with Swift 6 (swift_root.sh makes it in the cache folder). LIBRARY_FOLDER (target/ci) holds libtertulia.so with
# the features `uniffi` and `testing`, and tertulia-bindgen.
set -euo pipefail
# A root of another Debian can only be made and entered as root.
[ "$(id -u)" = 0 ] || exec sudo --preserve-env=HOME,PATH,XDG_CACHE_HOME,CARGO_TARGET_DIR "$0" "$@"
cd "$(dirname "$0")"
library="$(cd "${1:-${CARGO_TARGET_DIR:-../../target}/ci}" && pwd)"
models="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/models"
mkdir -p "$models"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib" "$work/build" "$work/app"
cp "$library/libtertulia.so" "$work/lib/"
# Programs look for the library by the version of its ABI.
ln -s libtertulia.so "$work/lib/libtertulia.so.0"

has() { grep -q "$1" "$work/lib/libtertulia.so"; }
has uniffi_tertulia_fn || { echo "$library/libtertulia.so was built without the feature uniffi" >&2; exit 1; }
testing=; if has conformancerun; then testing='export TERTULIA_TESTING=1;'; fi

./generate.sh "$library"
# The scratch folder is new: Swift 6.0 does not always see that a module has changed.
cat >"$work/in_root" <<END
exec ./swift_root.sh . --bind "$work/lib" opt/tertulia --bind "$work/build" swift-build --bind "$work/app" app \
  --bind ../conformance conformance --bind "$models" models -- "$testing export LD_LIBRARY_PATH=/opt/tertulia; \$*"
END
in_root() { sh "$work/in_root" "$@"; }
built=/swift-build/debug

in_root swift build --scratch-path /swift-build --build-tests -Xlinker -L/opt/tertulia --quiet
in_root swift test --scratch-path /swift-build --skip-build -Xlinker -L/opt/tertulia --disable-swift-testing
if [ -n "$testing" ]; then
  ../conformance/check sh "$work/in_root" "$built/TertuliaConformance" /conformance
else
  echo 'the conformance scenarios were skipped: the library was built without the feature testing'
fi

in_root "$built/CustomChat" | grep -x 'tutor: You said: Hola, ¿qué tal?'
in_root "$built/History" | grep -x '1 turn: Me llamo Ana.'
if has kokoro-82m && [ -e "$models/kokoro-82m.gguf" ]; then
  in_root "$built/Talk /models /app/reply.wav 'Hola, ¿qué tal?'"
  in_root "$built/Transcribe /models /app/reply.wav es" | grep '[[:alpha:]]'
else
  echo 'the examples Talk and Transcribe were skipped: the library was built without models, or they are not in the cache'
fi

# The program in the README, built as the README says.
# block LANGUAGE LINE: the block of code after a line
block() { awk -v start="\`\`\`$1" -v line="$2" '$0 == "```" {on = 0} on {print} $0 == start && last == line {on = 1} NF {last = $0}' README.md; }
mkdir -p "$work/app/Sources/App"
block swift '`Package.swift`:' | sed 's|"../tertulia/bindings/swift"|"/w"|' >"$work/app/Package.swift"
block swift '`Sources/App/main.swift`:' >"$work/app/Sources/App/main.swift"
block sh 'Then:' | sed 's|../tertulia/target/release|/opt/tertulia|g' >"$work/app/build.sh"
in_root 'cd /app; . ./build.sh' | grep -x 'tutor: ¡Hola!'

# The headers of the xcframework are a module.
./xcframework.sh --headers "$work/app/headers"
in_root "echo '@import TertuliaFFI; int size = sizeof(RustBuffer);' | /usr/libexec/swift/bin/clang -x objective-c -fmodules -fsyntax-only -I/app/headers -"
# The source for Apple's platforms, against the declarations that it uses.
in_root 'swiftc -swift-version 5 -parse-as-library -emit-module -module-name AVFoundation -o /app/AVFoundation.swiftmodule Tests/AppleStub/*.swift
  swiftc -swift-version 6 -package-name w -typecheck -warnings-as-errors -I /app -I /swift-build/debug/Modules \
    -Xcc -fmodule-map-file=Sources/TertuliaFFI/module.modulemap Sources/Tertulia/*.swift Sources/Tertulia/Audio/*.swift'
../react-native/test/apple.sh "$library"
echo 'the Swift package: ok'
