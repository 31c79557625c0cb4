# Sourced by the scripts beside it: installs what they need, and defines `maven`, with its repository in the user's cache.

for tool in mvn javac readelf unzip; do
  if ! command -v "$tool" > /dev/null; then
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -q >&2
    $sudo apt-get install -qy --no-install-recommends maven openjdk-17-jdk-headless binutils unzip >&2
    break
  fi
done

# maven GOAL…: without the network once the cache has everything that these files name.
maven() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/maven" offline=() complete
  complete="$cache/complete-$(cat pom.xml */pom.xml | sha256sum | cut -c1-16)-$1"
  [ ! -e "$complete" ] || offline=(-o)
  # The compiler's daemon would outlive the tests.
  mvn -q -B "${offline[@]}" -Dmaven.repo.local="$cache" -Dkotlin.compiler.daemon=false "$@"
  touch "$complete"
}
