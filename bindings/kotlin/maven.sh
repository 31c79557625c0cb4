# Sourced by the scripts beside it: installs what they need, and defines `maven`, with its repository in the user's cache.

source ../tools.sh
for tool in mvn javac readelf unzip; do
  have "$tool" || { packages maven openjdk-17-jdk-headless binutils unzip; break; }
done

# maven GOAL…: without the network once the cache has everything that these files name, and that of the variable `pom`.
maven() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia/maven" offline=() complete
  complete="$cache/complete-$(cat pom.xml */pom.xml ${pom:+"$pom"} | sha256sum | cut -c1-16)-$1"
  [ ! -e "$complete" ] || offline=(-o)
  # The compiler's daemon would outlive the tests.
  mvn -q -B ${pom:+-f "$pom"} "${offline[@]}" -Dmaven.repo.local="$cache" -Dkotlin.compiler.daemon=false "$@"
  touch "$complete"
}
