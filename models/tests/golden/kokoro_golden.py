"""Makes kokoro_golden.json: kokoro_golden.py MODEL_DIR OUT.json (pip: numpy onnx onnxruntime).

MODEL_DIR holds kokoro-v1.0.int8.onnx, vocab.json and the voices as NAME.bin (f32, 510 x 256). Durations come from the
int8 file as it is, and from a graph in which its int8 weights are written out as f32 and activations are not rounded;
pitch and log band energies from the latter.
"""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

CASES = [
    ("af_heart", 1.0, "həlˈO, mˈI nˈAm ɪz hˈɑɹt."),
    ("af_heart", 1.0, "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˌOvəɹ ðə lˈAzi dˈɔɡ."),
    ("am_michael", 1.0, "wˈʌt wʊd ju lˈIk tə dɹˈɪŋk wɪð jʊɹ mˈil?"),
    ("am_michael", 0.8, "plˈiz spˈik mˈɔɹ slˈOli; ˌI dˈOnt ˌʌndəɹstˈænd."),
    ("bf_emma", 1.0, "ðə wˈɛðə ɪz lˈʌvli tədˈA, ˈɪznt ɪt?"),
    ("bm_george", 1.3, "ɪts hˈɑːf pˈɑːst sˈɛvən, ænd ðə tɹˈAn lˈiːvz ɪn tˈɛn mˈɪnɪts."),
    ("ef_dora", 1.0, "bwˈenos dˈias, kˈomo estˈas ˈoi?"),
    ("ef_dora", 1.0, "me ɡustarˈia reservˈar ˈuna mˈesa pˈaɾa kwˈatɾo peɾsˈonas, poɾ faβˈoɾ."),
    ("em_alex", 1.0, "el tɾˈen sˈale a las sˈjete de la maɲˈana."),
    ("em_santa", 1.0, "nˈo ɛntjˈɛndo, pwˈedes rɛpɛtˈiɾlo mˈas despˈasjo?"),
]
SPECTRA = [0, 6, 7]
BANDS = 24
RATE = 24000


def main(folder, out):
    path = os.path.join(folder, "kokoro-v1.0.int8.onnx")
    vocab = json.load(open(os.path.join(folder, "vocab.json"), encoding="utf-8"))["vocab"]
    names = {"durations": "/encoder/Cast_output_0", "pitch": "/encoder/Reshape_output_0"}
    rounded = session(onnx.load(path), names)
    exact = session(dequantised(onnx.load(path)), names)
    cases = []
    for index, (voice, speed, phonemes) in enumerate(CASES):
        ids = [vocab[symbol] for symbol in phonemes]
        style = np.fromfile(os.path.join(folder, voice + ".bin"), dtype="<f4").reshape(510, 256)[len(ids)]
        feed = {
            "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
            "style": style[None],
            "speed": np.array([speed], dtype=np.float32),
        }
        int8 = rounded.run([names["durations"]], feed)[0]
        durations, pitch, audio = exact.run([names["durations"], names["pitch"], "audio"], feed)
        case = {
            "voice": voice,
            "speed": speed,
            "phonemes": phonemes,
            "durations_int8": int8.flatten().astype(int).tolist(),
            "durations_f32": durations.flatten().astype(int).tolist(),
            "pitch_hz": [round(float(hz), 1) for hz in pitch.flatten()],
        }
        if index in SPECTRA:
            # The export leaves out the division by the sum of the squared windows: 1.5 everywhere but at the ends.
            case["bands_db"] = bands_db(audio.flatten() / 1.5).round(1).tolist()
        cases.append(case)
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"cases": cases}, file, ensure_ascii=False, separators=(",", ":"))


def bands_db(samples):
    """Energy in dB of 24 bands, even on the mel scale from 0 to 12 kHz; a frame each 600 samples, 1200 long."""
    window = np.hanning(1201)[:-1]
    frames = np.stack([samples[i : i + 1200] * window for i in range(0, len(samples) - 1199, 600)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = 2595 * np.log10(1 + np.arange(power.shape[1]) * RATE / 1200 / 700)
    band = np.minimum((mel / (2595 * np.log10(1 + RATE / 2 / 700)) * BANDS).astype(int), BANDS - 1)
    energy = np.stack([power[:, band == b].sum(1) for b in range(BANDS)], 1)
    return 10 * np.log10(energy + 1e-4)


def session(model, names):
    del model.graph.value_info[:]
    model.graph.output.extend(
        [
            helper.make_tensor_value_info(names["durations"], onnx.TensorProto.INT64, None),
            helper.make_tensor_value_info(names["pitch"], onnx.TensorProto.FLOAT, None),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        onnx.save(model, path)
        return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def dequantised(model):
    """The same graph with f32 weights and products in place of the int8 ones."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    written, replaced, dropped = {}, {}, set()

    def write(name, values):
        if name not in written:
            written[name] = numpy_helper.from_array(np.ascontiguousarray(values.astype(np.float32)), name)
        return name

    for node in graph.node:
        if node.op_type in ("ConvInteger", "MatMulInteger") and node.input[1] in constants:
            weight = constants[node.input[1]].astype(np.float32)
            zero = constants[node.input[3]].astype(np.float32) if len(node.input) > 3 else np.float32(0)
            base = node.input[1][: -len("_quantized")]
            name = write("f32::" + base, (weight - zero) * constants[base + "_scale"])
            inputs = [makers[node.input[0]].input[0], name]
            (following,) = readers[node.output[0]]
            if following.op_type == "Add":
                inputs.append(makers[following.input[1]].input[0][: -len("_quantized")])
                (following,) = readers[following.output[0]]
            (product,) = readers[following.output[0]]
            kind = "Conv" if node.op_type == "ConvInteger" else "MatMul"
            made = helper.make_node(kind, inputs, [product.output[0]], name=node.name + "_f32")
            if kind == "Conv":
                made.attribute.extend(node.attribute)
            replaced[id(product)] = made
            dropped |= {id(node), id(following)}
        elif node.op_type == "DynamicQuantizeLSTM":
            inputs = list(node.input)
            for slot, scale, zero in ((1, 8, 9), (2, 10, 11)):
                scale, zero = (constants[inputs[i]].astype(np.float32).reshape(-1, 1, 1) for i in (scale, zero))
                values = (constants[inputs[slot]].astype(np.float32) - zero) * scale
                inputs[slot] = write("f32::" + inputs[slot], values.transpose(0, 2, 1))
            made = helper.make_node("LSTM", inputs[:8], list(node.output), name=node.name + "_f32")
            made.attribute.extend(node.attribute)
            replaced[id(node)] = made
    nodes = [replaced.get(id(node), node) for node in graph.node if id(node) not in dropped]
    while True:
        used = {output.name for output in graph.output} | {name for node in nodes for name in node.input}
        kept = [node for node in nodes if any(output in used for output in node.output)]
        if len(kept) == len(nodes):
            break
        nodes = kept
    initialisers = [tensor for tensor in [*graph.initializer, *written.values()] if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initialisers)
    return model


if __name__ == "__main__":
    main(*sys.argv[1:])
