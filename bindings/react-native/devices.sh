#!/usr/bin/env bash
# bindings/react-native/devices.sh FOLDER kotlin|swift: copies the devices of the packages for Kotlin and Swift, without what ties
# them to sessions of those packages.
set -euo pipefail
folder="$(realpath "$1")"
cd "$(dirname "$0")/.."
case "$2" in
    kotlin) cp kotlin/android/src/main/kotlin/dev/tertulia/android/{AndroidDevices,AudioDevices,Capture,DeviceAudio,Playback}.kt "$folder" ;;
    swift) cp swift/Sources/Tertulia/{Locked,Audio/AudioEngineDevice,Audio/AudioLink,Audio/AudioRouteController}.swift "$folder" ;;
esac
