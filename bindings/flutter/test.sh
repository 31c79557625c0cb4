#!/usr/bin/env bash
# bindings/flutter/test.sh [LIBRARY_FOLDER]: compares the declarations in Dart with the header by the C compiler, and with the
# functions of libtertulia.so in LIBRARY_FOLDER (target/ci); and parses every file. No Dart runs here: no registry has its compiler.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
library="$(cd "${1:-${CARGO_TARGET_DIR:-$root/target}/ci}" && pwd)"
cd "$root/bindings/flutter"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
source ../tools.sh
have node || packages nodejs

node generate.mjs --check
node generate.mjs --c >"$work/declarations.c"
cc -std=c11 -Wall -Wextra -Werror -I "$root/include" -c "$work/declarations.c" -o "$work/declarations.o"
# The comparison finds a declaration that differs.
sed -i 's/uint32_t tertulia_abi_version(void);/uint64_t tertulia_abi_version(void);/' "$work/declarations.c"
if cc -std=c11 -I "$root/include" -c "$work/declarations.c" -o "$work/declarations.o" 2>/dev/null; then
    echo "a declaration that differs from the header passed" >&2
    exit 1
fi
node generate.mjs --names >"$work/declared"
nm -D --defined-only "$library/libtertulia.so" | sed -n 's/.* T \(tertulia_[a-z0-9_]*\)$/\1/p' | { grep -v '^tertulia_testing_' || true; } | LC_ALL=C sort >"$work/exported"
diff "$work/declared" "$work/exported"

tools="$cache/dart-syntax"
[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
"$tools/bin/pip" install -q 'tree-sitter>=0.24,<0.26' tree-sitter-dart-orchard==0.7.0
"$tools/bin/python" - $(find lib -name '*.dart') <<'PYTHON'
import sys
import tree_sitter_dart_orchard
from tree_sitter import Language, Parser

parser = Parser(Language(tree_sitter_dart_orchard.language()))


def errors(source: bytes):
    nodes = [parser.parse(source).root_node]
    while nodes:
        node = nodes.pop()
        if node.type == "ERROR" or node.is_missing:
            yield node
        nodes.extend(node.children)


assert list(errors(b"class A { void f( { } }")), "the parser finds nothing"
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        for node in errors(file.read()):
            sys.exit(f"{path}:{node.start_point[0] + 1}: no Dart: {node.text!r:.100}")
PYTHON
echo "the declarations in Dart: ok"
