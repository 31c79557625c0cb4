"""Golden values of Whisper base, from NumPy (the front end) and CTranslate2 (encoder, greedy tokens).

    python whisper_reference.py WHISPER_BASE_DIR SPEECH_DIR

WHISPER_BASE_DIR holds model.bin, tokenizer.json, config.json as CTranslate2 has them; SPEECH_DIR is the folder of
clips with manifest.json. Writes whisper_mel.json and whisper_base.json beside this script.
Needs numpy, ctranslate2, tokenizers, av.
"""

import json
import pathlib
import sys

import av
import ctranslate2
import numpy as np
import tokenizers

HERE = pathlib.Path(__file__).parent
# Stored at 16 kHz without loss: both sides hear the very same samples.
CLIPS = [
    "en/libri_2412-153948-0000.flac",
    "en/librivox_64kb-0870.wav",
    "en/librivox_64kb-0890.wav",
    "en/asterisk_agent-user.flac",
    "es/leopard_test_es.wav",
    "es/asterisk_agent-alreadyon.flac",
    "es/asterisk_conf-getpin.flac",
    "es/asterisk_agent-user.flac",
]
ENCODED_ROWS = [0, 1, 60, 149, 700, 1499]
ENCODED_COLUMNS = 24
MEL_FRAMES = [0, 1, 2, 50, 99, 100, 101, 150, 2999]


def mel_filters(bins):
    step, knee, log_step = 200 / 3, 15.0, np.log(6.4) / 27
    to_mel = lambda f: f / step if f < 1000 else knee + np.log(f / 1000) / log_step
    to_hz = lambda m: np.where(m < knee, m * step, 1000 * np.exp(log_step * (m - knee)))
    edges = to_hz(np.linspace(0, to_mel(8000.0), bins + 2))
    frequencies = np.linspace(0, 8000, 201)[None]
    rise = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def log_mel(samples, bins):
    samples = np.pad(samples[:480000].astype(np.float64), (0, max(0, 480000 - len(samples))))
    samples = np.pad(samples, 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160][:3000] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    spectrum = np.log10(np.maximum(mel_filters(bins) @ power.T, 1e-10))
    return ((np.maximum(spectrum, spectrum.max() - 8) + 4) / 4).astype(np.float32)


def chirp(count):
    """The sound that the test makes for itself: a chirp that swells, and a hum."""
    t = np.arange(count) / 16000
    return 0.4 * np.sin(np.pi * t) ** 2 * np.sin(2 * np.pi * (200 + 1500 * t) * t) + 0.05 * np.sin(2 * np.pi * 50 * t)


def decode(path):
    container = av.open(str(path))
    assert container.streams.audio[0].rate == 16000, path
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16000)
    frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames + resampler.resample(None)])


def rounded(array):
    return [round(float(x), 5) for x in np.asarray(array).reshape(-1)]


def main(model_dir, speech_dir):
    sound = chirp(16000).astype(np.float32)
    mel = {str(bins): rounded(log_mel(sound, bins)[:, MEL_FRAMES].T) for bins in (80, 128)}
    (HERE / "whisper_mel.json").write_text(json.dumps({"frames": MEL_FRAMES, "mel": mel}) + "\n")

    model = ctranslate2.models.Whisper(str(model_dir), device="cpu", compute_type="float32")
    tokenizer = tokenizers.Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    special = tokenizer.token_to_id
    golden = {"clips": []}
    for clip in CLIPS:
        language = clip.split("/")[0]
        features = ctranslate2.StorageView.from_array(log_mel(decode(speech_dir / clip), 80)[None])
        if not golden["clips"]:
            encoded = np.array(model.encode(features, to_cpu=True)).reshape(1500, -1)
            part = encoded[ENCODED_ROWS][:, :ENCODED_COLUMNS]
            golden["encoded"] = {"clip": clip, "rows": ENCODED_ROWS, "columns": ENCODED_COLUMNS, "values": rounded(part)}
        prompt = [special(t) for t in ("<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>")]
        result = model.generate(features, [prompt], beam_size=1)[0]
        golden["clips"].append({"path": clip, "language": language, "tokens": result.sequences_ids[0]})
    (HERE / "whisper_base.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
