#!/bin/sh
# Makes (once) a Debian 13 root with the Swift 6 toolchain in the cache folder, and runs a command in it: Debian 12 has no Swift.
# usage: swift_root.sh DIR [--bind HOST_DIR NAME]... -- COMMAND...   DIR appears as /w inside, HOST_DIR as /NAME. Needs root.
set -eu
[ "$(id -u)" = 0 ] || { echo 'a root of another Debian can only be made and entered as root' >&2; exit 1; }
root="${TERTULIA_SWIFT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/swift-root}"
dir=$(readlink -f "$1"); shift
binds=
while [ "$1" = --bind ]; do
    binds="$binds $(readlink -f "$2"):$3"; shift 3
done
[ "$1" = -- ] && shift

make_root() {
    command -v debootstrap >/dev/null || { apt-get update -qq; apt-get install -y -qq debootstrap >/dev/null; }
    # the mirror that apt itself is set up with, where this is a Debian
    mirror=; ! grep -qx 'ID=debian' /etc/os-release || mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
        awk '$1=="URIs:"{print $2; exit} $1=="deb"{for(i=2;i<=NF;i++) if ($i ~ /^http/) {print $i; exit}}')
    # a half-made root of a run that was cut short has no .ready: made from the start
    rm -rf "$root"; mkdir -p "$root"
    debootstrap --variant=minbase trixie "$root" ${mirror:+"$mirror"} >/dev/null
    chroot "$root" apt-get install -y -qq --no-install-recommends swiftlang swiftlang-dev libc6-dev libstdc++-14-dev >/dev/null
    chroot "$root" apt-get clean
    touch "$root/.ready"
}
mkdir -p "$(dirname "$root")"
# One makes it, others wait.
exec 9>"$root.lock"; flock 9
[ -e "$root/.ready" ] || make_root
exec 9>&-

# a mount namespace of its own: nothing stays mounted when the command ends
exec unshare --mount sh -eu -c '
    root=$1; dir=$2; binds=$3; shift 3
    mount -t proc proc "$root/proc"; mount --bind /dev "$root/dev"
    mkdir -p "$root/w"; mount --bind "$dir" "$root/w"
    for bind in $binds; do
        mkdir -p "$root/${bind##*:}"; mount --bind "${bind%:*}" "$root/${bind##*:}"
    done
    exec chroot "$root" env -i HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 sh -eu -c "cd /w && $*"
' sh "$root" "$dir" "$binds" "$@"
