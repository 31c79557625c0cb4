"""Makes silero_0870.pcm, silero_0880.pcm and silero_golden.json: two cuts of real speech and what ONNX Runtime says of them.

Usage: silero_golden.py MODELS SPEECH
MODELS holds vad/silero_vad_16k_op15.onnx (PyPI silero-vad 6.2.3), SPEECH holds the clips named below, which are in the public domain.
Needs numpy, onnxruntime and soundfile. The cuts are 16-bit little-endian mono samples at 16 kHz.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
import soundfile

HERE = pathlib.Path(__file__).parent
# Name, clip, first sample, samples.
CUTS = [
    ("0870", "en/librivox_64kb-0870.wav", 0, 64_000),
    ("0880", "en/librivox_64kb-0880.wav", 0, 47_840),
]
FRAME = 512
CONTEXT = 64


def probabilities(session, samples):
    state = np.zeros((2, 1, 128), dtype=np.float32)
    context = np.zeros(CONTEXT, dtype=np.float32)
    result = []
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        frame = samples[start : start + FRAME]
        feed = {
            "input": np.concatenate([context, frame])[None, :],
            "state": state,
            "sr": np.array(16000, dtype=np.int64),
        }
        output, state = session.run(None, feed)
        result.append(float(output[0, 0]))
        context = frame[-CONTEXT:]
    return result


def main():
    models, speech = map(pathlib.Path, sys.argv[1:3])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(models / "vad/silero_vad_16k_op15.onnx"), options)
    golden = {}
    for name, clip, first, count in CUTS:
        samples, rate = soundfile.read(speech / clip, dtype="int16", always_2d=True)
        assert rate == 16000, clip
        cut = samples[first : first + count, 0]
        cut.astype("<i2").tofile(HERE / f"silero_{name}.pcm")
        golden[name] = [round(p, 7) for p in probabilities(session, cut.astype(np.float32) / 32768)]
    (HERE / "silero_golden.json").write_text(json.dumps(golden) + "\n")


main()
