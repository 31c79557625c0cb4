#!/usr/bin/env bash
# bindings/python/test.sh [LIBRARY_FOLDER]: packs a wheel from a built library, installs it, and runs its tests, pyright and
# the examples. LIBRARY_FOLDER (target/ci) holds libtertulia.so, built with the feature uniffi and not stripped, and
# tertulia-bindgen. With the feature models the examples that talk run, too; with testing the conformance scenarios.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
library="$(cd "${1:-${CARGO_TARGET_DIR:-$root/target}/ci}" && pwd)"
cd "$root/bindings/python"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tertulia"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

./wheel.sh "$library" "$work"
wheel="$(ls "$work"/tertulia-*-py3-none-*.whl)"

# The tools, once; the wheel also alone in an environment of its own.
tools="$cache/python-test"
[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
"$tools/bin/pip" install -q pytest numpy 'pyright[nodejs]'
python3 -m venv "$work/bare"
"$work/bare/bin/pip" install -q --no-index "$wheel"
"$work/bare/bin/python" examples/custom_chat.py | tee "$work/said"
grep -q '¿Tengo hambre? ¡Qué bien!' "$work/said"

"$tools/bin/pip" install -q --no-index --no-deps --force-reinstall "$wheel"
"$tools/bin/python" -m pytest -q -p no:cacheprovider tests
"$tools/bin/pyright" --pythonpath "$tools/bin/python"

if "$tools/bin/python" -c 'from tertulia._generated import ConformanceRun' 2>/dev/null; then
    ../conformance/check "$tools/bin/python" tests/conformance.py ../conformance
else
    echo "the library was built without the feature testing: the conformance scenarios are left out"
fi

if "$tools/bin/python" -c 'import tertulia; tertulia.ModelStore().list()' 2>/dev/null; then
    "$work/bare/bin/python" - "$work/hello.wav" <<'PYTHON'
import sys, wave
from array import array
from tertulia import ModelChoices, ModelStore, TertuliaEngine
for _ in ModelStore().pull():
    pass
with TertuliaEngine(models=ModelChoices(vad="none", turn_detector="none", recognizer="none", chat="none")) as engine:
    chunks = list(engine.synthesize("Hola, me gusta mucho viajar por España.", ["es"]))
with wave.open(sys.argv[1], "wb") as file:
    file.setparams((1, 2, chunks[0].rate, 0, "NONE", ""))
    for chunk in chunks:
        file.writeframes(array("h", (int(sample * 32_767) for sample in array("f", chunk.pcm))).tobytes())
PYTHON
    "$work/bare/bin/python" examples/transcribe.py "$work/hello.wav" es | tee "$work/said"
    grep -qi 'viajar por España' "$work/said"
    "$work/bare/bin/python" examples/talk.py "$work/hello.wav" "$work/reply.wav" "$work/store.redb"
    [ "$(stat -c %s "$work/reply.wav")" -gt 10000 ]
    "$work/bare/bin/python" examples/history.py "$work/store.redb" | tee "$work/said"
    grep -qi 'viajar por España' "$work/said"
    # The interpreter exits in the middle of a turn of the models.
    timeout 300 "$work/bare/bin/python" - <<'PYTHON'
from tertulia import ReplyTextDelta, SessionConfig, TertuliaEngine
engine = TertuliaEngine()
engine.preload().result()
session = engine.create_session(SessionConfig(native="en", target="es"))
session.send_text("Cuéntame un cuento largo.")
next(event for event in session.events() if isinstance(event.kind, ReplyTextDelta))
PYTHON
else
    echo "the library has no models: the examples transcribe and talk are left out"
    "$work/bare/bin/python" - "$work/store.redb" <<'PYTHON'
import sys
from tertulia import SessionConfig, TertuliaEngine
with TertuliaEngine(sys.argv[1]) as engine, engine.create_session(SessionConfig(native="en", target="es")) as session:
    session.send_text("Hola.")
PYTHON
    "$work/bare/bin/python" examples/history.py "$work/store.redb" | tee "$work/said"
    grep -q '1. Hola.' "$work/said"
fi
echo "the Python package: ok"
