"""Makes smart_turn_golden.json: what ONNX Runtime says of utterances cut out of silero_0870.pcm and silero_0880.pcm.

Usage: smart_turn_golden.py MODELS
MODELS holds turn/smart-turn-v3.2-cpu.onnx (PyPI pipecat-ai 1.14.0). Needs numpy and onnxruntime. The cuts are
counted in samples of both clips, joined and repeated; 200 ms of silence follow each, as a detector hears them.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

HERE = pathlib.Path(__file__).parent
WINDOW = 128_000
SILENCE = 3_200


def filters():
    """Slaney's mel filters, area-normalised: [80, 201]."""
    to_hz = lambda mel: np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    edges = to_hz(np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 82))[:, None]
    hz = np.linspace(0, 8000, 201)
    rise = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rise, fall)) * 2 / (edges[2:] - edges[:-2])


def log_mel(samples):
    """As pipecat computes it: the last 8 s, zeros in front, normalised in 32 bits, the spectrum in 64."""
    x = samples[-WINDOW:].astype(np.float32)
    x = np.pad(x, (WINDOW - len(x), 0))
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
    x = np.pad(x.astype(np.float64), 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160][:800]
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:400])) ** 2
    log = np.log10(np.maximum(1e-10, filters() @ power.T))
    return ((np.maximum(log, log.max() - 8) + 4) / 4).astype(np.float32)


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(pathlib.Path(sys.argv[1]) / "turn/smart-turn-v3.2-cpu.onnx"), options)
    clips = [np.fromfile(HERE / f"silero_{name}.pcm", "<i2") for name in ("0870", "0880")]
    audio = (np.concatenate([*clips, *clips]) / 32768).astype(np.float32)
    ends = [*range(12_000, 112_000, 8_000), len(audio) // 2]
    cuts = [(0, end) for end in ends]
    cuts += [(60_000, 100_000), (64_000, 90_000), (100_000, 100_160), (0, 150_000), (0, len(audio))]
    golden = []
    for start, end in cuts:
        samples = np.concatenate([audio[start:end], np.zeros(SILENCE, np.float32)])
        probability = session.run(None, {"input_features": log_mel(samples)[None]})[0].item()
        golden.append({"start": start, "end": end, "probability": round(probability, 6)})
    lines = ",\n".join(json.dumps(cut) for cut in golden)
    (HERE / "smart_turn_golden.json").write_text(f"[\n{lines}\n]\n")


main()
