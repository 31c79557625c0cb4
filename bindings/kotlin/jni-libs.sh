#!/usr/bin/env bash
# bindings/kotlin/jni-libs.sh FOLDER [ABI=LIBRARY]…: fills FOLDER/jniLibs, as Android's build takes it, with JNA's library for
# each ABI and the given libtertulia.so of each (such as arm64-v8a=target/aarch64-linux-android/release/libtertulia.so).
#
# Fails where a library has pages smaller than 16 KB.
set -euo pipefail
out="$(mkdir -p "$1" && cd "$1" && pwd)/jniLibs"
libraries=()
for pair in "${@:2}"; do libraries+=("${pair%%=*}=$(realpath "${pair#*=}")"); done
cd "$(dirname "$0")"
source ./maven.sh
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
jna="$(grep -A1 '<artifactId>jna</artifactId>' pom.xml | sed -n 's|.*<version>\(.*\)</version>.*|\1|p')"
maven org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -N -Dartifact="net.java.dev.jna:jna:$jna:aar" \
  -DoutputDirectory="$work"
unzip -q "$work/jna-$jna.aar" 'jni/*' -d "$work"
for abi in arm64-v8a armeabi-v7a x86 x86_64; do
  install -D "$work/jni/$abi/libjnidispatch.so" "$out/$abi/libjnidispatch.so"
done
for pair in "${libraries[@]}"; do install -D "${pair#*=}" "$out/${pair%%=*}/libtertulia.so"; done
for library in "$out"/*/*.so; do
  aligned="$(pages "$library")"
  echo "${library#"$out"/}: pages of $aligned"
done
