#!/usr/bin/env bash
# test/android.sh PACKAGE LIBRARY_FOLDER: compiles the Kotlin of the packed package and its C++ for a JVM, and runs both in
# Robolectric on the library.
set -euo pipefail
package="$(realpath "$1")"
library="$(realpath "$2")"
here="$(cd "$(dirname "$0")/android" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$here/../../../kotlin"
source ./maven.sh

mkdir -p "$work/main" "$work/test"
cp -r "$package/android/src/main/kotlin/." "$here/stub" "$work/main"
cp -r "$here/src/." android/src/test/kotlin/dev/tertulia/android/FakeDevices.kt "$work/test"
ln -s "$library/libtertulia.so" "$work/libtertulia.so.0"
java="$(dirname "$(dirname "$(realpath "$(command -v javac)")")")"
c++ -std=c++20 -O1 -g -Wall -Wextra -Werror -shared -fPIC -I"$package/cpp" -I"$package/include" -I"$here/../native" \
    -isystem "$java/include" -isystem "$java/include/linux" \
    "$package/cpp/Audio.cpp" "$package/android/cpp/AndroidAudio.cpp" "$here/engine.cpp" "$library/libtertulia.so" \
    -Wl,-rpath,"$work" -Wl,--no-undefined -o "$work/libtertulia_jni.so"
pom="$here/pom.xml" maven verify -Dwork="$work"
echo "the audio of Android: ok"
