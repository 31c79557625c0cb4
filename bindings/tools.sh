# Sourced by the scripts of the bindings: installs what they need, and checks the libraries of Android.

have() { command -v "$1" >/dev/null 2>&1; }

# packages NAME…: installs Debian's.
packages() {
  local sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends "$@"; } >&2
}

# pages LIBRARY: prints the pages that its segments are aligned to; fails where they are smaller than 16 KB, which Android 15
# does not load and the store refuses.
pages() {
  local pages page
  pages="$(readelf -lW "$1" | awk '$1 == "LOAD" { print $NF }' | sort -u | tr '\n' ' ')"
  [ -n "$pages" ] || { echo "$1: no segments" >&2; return 1; }
  for page in $pages; do
    [ $((page)) -ge 16384 ] || { echo "$1: pages of $((page)) bytes, 16,384 at least were expected" >&2; return 1; }
  done
  echo "$pages"
}
