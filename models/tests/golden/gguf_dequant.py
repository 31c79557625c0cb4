"""Makes gguf_dequant.json: two random blocks of each quantised type, and what they mean by ggml's own Python package.

    pip install numpy gguf
    python gguf_dequant.py > gguf_dequant.json
"""
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import dequantize

SIZES = {"Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q8_0": 34, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}
SCALES = {"Q4_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
random = np.random.default_rng(3)
cases = {}
for name, size in SIZES.items():
    blocks = random.integers(0, 256, (2, size), dtype=np.uint8)
    for block in blocks:
        for at in SCALES.get(name, [0]):
            block[at : at + 2] = np.frombuffer(np.float16(random.normal()).tobytes(), dtype=np.uint8)
    values = dequantize(blocks.reshape(1, -1), Type[name]).reshape(-1)
    cases[name] = {"bytes": blocks.reshape(-1).tolist(), "values": [float(f"{v:.7g}") for v in values]}
json.dump(cases, sys.stdout, separators=(",", ":"))
