"""Makes chat_tiny.json: what llama.cpp says about small models made of random bytes, one for each type of weights, and
about each way to cut text before byte pairs are merged.

    pip install numpy gguf tokenizers llama-cpp-python
    python chat_tiny.py > chat_tiny.json

The weights are the bytes of a generator that the test has, too, so that only results need to be kept. llama.cpp runs with
32-bit keys and values, without flash attention and on one thread.
"""
import json
import os
import sys
import tempfile

import llama_cpp as lib
import numpy as np
import tokenizers
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

WIDTH, INNER, KEY_WIDTH = 256, 512, 128
SHAPES = {"attn_q": (WIDTH, WIDTH), "attn_k": (KEY_WIDTH, WIDTH), "attn_v": (KEY_WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
          "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
# Elements and bytes of a block, and the 16-bit floats in it: where they stand and what they are.
TYPES = {"F32": (1, 4, {}), "F16": (1, 2, {}), "Q8_0": (32, 34, {0: 7e-4}), "Q4_0": (32, 18, {0: 1e-2}),
         "Q4_1": (32, 20, {0: 1e-2, 2: -7.5e-2}), "Q5_0": (32, 22, {0: 5e-3}), "Q4_K": (256, 144, {0: 3e-4, 2: 2.25e-3}),
         "Q5_K": (256, 176, {0: 1.5e-4, 2: 2.25e-3}), "Q6_K": (256, 210, {208: 4e-5})}
CUTS = ["gpt-2", "smollm", "qwen2", "llama-bpe"]
MORE = ["1 12 123 1234 12345 123456 7.890,12", "ÁÉÍÓÚÜÑ áéíóúüñ ¡Qué pingüino! ¿Cuántos años?", "it'S WE'Re I'LL you'D 'tis l'été",
        "a\n\n\nb \n c\t\n  d   \n", "日本12３４語 ٣٤٥ x²y³ ½¾", "👩🏽‍🚀🚀🇪🇸!!! :-) ¯\\_(ツ)_/¯", "fin.\r\n\r\n¿Sí?\r\n", "one,two;three/four_five-six"]
CHAT = [("system", "Eres Ana."), ("user", "¿Qué tal?"), ("assistant", "¡Bien!"), ("user", "Dime 3 cosas.")]
MARKS = ["<|im_start|>", "<|im_end|>"]
GREEDY_TOKENS = 12
PENALTY_WINDOW = 64
LOGITS_KEPT = 128


def random_bytes(count, state):
    out = bytearray(count)
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = state >> 33 & 0xFF
    return np.frombuffer(bytes(out), dtype=np.uint8)


def weights(kind, rows, cols, seed):
    if kind in ("F32", "F16"):
        numbers = (random_bytes(rows * cols, seed).astype(np.float32) - 128) / 2048
        return numbers.astype(np.float32 if kind == "F32" else np.float16).reshape(rows, cols)
    block_len, block_bytes, scales = TYPES[kind]
    blocks = random_bytes(rows * cols // block_len * block_bytes, seed).reshape(-1, block_bytes).copy()
    for at, scale in scales.items():
        blocks[:, at : at + 2] = np.frombuffer(np.float16(np.float32(scale)).tobytes(), dtype=np.uint8)
    return blocks.reshape(rows, -1)


def write(path, vocabulary, merges, cut, kind):
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(64)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut)
    writer.add_token_list(vocabulary)
    writer.add_token_types([TokenType.CONTROL if t in MARKS else TokenType.NORMAL for t in vocabulary])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(vocabulary.index("<|im_end|>"))
    writer.add_bos_token_id(vocabulary.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    shapes = {"token_embd": (len(vocabulary), WIDTH), "output": (len(vocabulary), WIDTH),
              **{f"blk.0.{name}": shape for name, shape in SHAPES.items()}}
    for seed, (name, (rows, cols)) in enumerate(shapes.items()):
        data = weights(kind, rows, cols, seed)
        raw = None if kind in ("F32", "F16") else GGMLQuantizationType[kind]
        writer.add_tensor(f"{name}.weight", data, raw_dtype=raw)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Llama:
    def __init__(self, path):
        model_params = lib.llama_model_default_params()
        model_params.use_extra_bufts = False
        self.model = lib.llama_model_load_from_file(path.encode(), model_params)
        params = lib.llama_context_default_params()
        params.n_ctx = 512
        params.n_threads = params.n_threads_batch = 1
        params.flash_attn_type = 0
        params.type_k = params.type_v = lib.GGML_TYPE_F32
        self.context = lib.llama_init_from_model(self.model, params)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.batch = lib.llama_batch_init(1, 0, 1)

    def tokenize(self, text, special):
        ids = (lib.llama_token * 4096)()
        data = text.encode()
        return list(ids[: lib.llama_tokenize(self.vocab, data, len(data), ids, 4096, False, special)])

    def logits(self, ids, start=0):
        """After the last of the tokens."""
        for position, token in enumerate(ids, start):
            self.batch.token[0], self.batch.pos[0], self.batch.n_seq_id[0] = token, position, 1
            self.batch.seq_id[0][0], self.batch.logits[0], self.batch.n_tokens = 0, 1, 1
            assert lib.llama_decode(self.context, self.batch) == 0
        count = lib.llama_vocab_n_tokens(self.vocab)
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.context, 0), (count,)).copy()

    def chatml(self, chat):
        messages = (lib.llama_chat_message * len(chat))(*[(role.encode(), text.encode()) for role, text in chat])
        out = (lib.ctypes.c_char * 4096)()
        count = lib.llama_chat_apply_template(b"chatml", messages, len(chat), True, out, 4096)
        return out.raw[:count].decode()

    def greedy(self, prompt):
        """The likeliest tokens that are not among the last ones: random weights would repeat themselves."""
        logits, ids = self.logits(prompt), list(prompt)
        for at in range(len(prompt), len(prompt) + GREEDY_TOKENS):
            recent = [token for token in ids[-PENALTY_WINDOW:] if not lib.llama_vocab_is_control(self.vocab, token)]
            logits[recent] = -np.inf
            ids.append(int(np.argmax(logits)))
            logits = self.logits(ids[-1:], at)
        return ids[len(prompt) :]


def vocabulary(texts):
    """Pairs merged without a thought for words, so that each cut changes the tokens."""
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(vocab_size=496, initial_alphabet=alphabet, show_progress=False))
    merges = [" ".join(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]
    return sorted(alphabet) + [merge.replace(" ", "") for merge in merges] + MARKS, merges


def main():
    silent = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(silent, None)
    here = os.path.dirname(os.path.abspath(__file__))
    texts = json.load(open(os.path.join(here, "chat_golden.json")))["strings"] + MORE
    tokens, merges = vocabulary(texts)
    golden = {"tokens": tokens, "merges": merges, "texts": texts, "ids": {}, "logits": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tiny.gguf")
        for cut in CUTS:
            write(path, tokens, merges, cut, "F32")
            llama = Llama(path)
            golden["ids"][cut] = [llama.tokenize(text, False) for text in texts]
        for kind in TYPES:
            write(path, tokens, merges, "gpt-2", kind)
            llama = Llama(path)
            prompt = llama.tokenize(texts[1], False)
            golden["prompt"] = prompt
            golden["logits"][kind] = [float(f"{logit:.6g}") for logit in llama.logits(prompt)[:LOGITS_KEPT]]
        write(path, tokens, merges, "gpt-2", "F32")
        llama = Llama(path)
        prompt = llama.tokenize(llama.chatml(CHAT), True)
        golden["chat"] = {"messages": [{"role": r, "content": c} for r, c in CHAT], "prompt": prompt, "reply": llama.greedy(prompt)}
    json.dump(golden, sys.stdout, separators=(",", ":"))


main()
