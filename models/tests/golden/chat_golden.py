"""Makes chat_golden.json: what llama.cpp says about the two GGUF chat models.

    pip install numpy gguf jinja2 xllamacpp tokenizers
    python chat_golden.py MODEL_FOLDER > chat_golden.json

llama.cpp's C functions are called in the xllamacpp wheel's shared library. Its parameter structs change from version
to version, so they stay opaque here; only their first fields (n_ctx, n_batch, n_ubatch) and llama_batch are touched.
"""
import ctypes as C
import json
import os
import sys

import jinja2
import numpy as np
import tokenizers
import xllamacpp
from gguf import GGUFReader

QWEN = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SMOL = "smollm2-135m-instruct-q4_1.gguf"

TUTOR_ES = "Eres Ana, una profesora de español amable. Responde siempre en español, con cuatro o cinco frases y una pregunta."
TUTOR_EN = "You are Tom, a friendly English tutor. Answer in four or five sentences and ask one question back."
EXAMPLE = [("user", "Hola, me llamo Ben."), ("assistant", "¡Hola, Ben! Encantada. ¿De dónde eres?")]
CHATS = {
    QWEN: [
        [("system", TUTOR_ES), *EXAMPLE, ("user", "Soy de Londres. Me gusta mucho el café. ¿Qué puedo visitar en Madrid?")],
        [("system", TUTOR_ES), *EXAMPLE, ("user", "Ayer fui al mercado. Cuéntame una historia larga sobre un mercado, con todos los detalles.")],
        [("system", TUTOR_EN), ("user", "Hi! Yesterday I go to the cinema with my sister. Tell me about your favourite film.")],
        [("system", TUTOR_EN), ("user", "What is the difference between 'since' and 'for'?")],
        [("user", "Explain in simple Spanish and English what 'tengo hambre' means.")],
    ],
    SMOL: [
        [("system", TUTOR_EN), ("user", "Hi! My name is Maria and I live in a small town near the sea.")],
        [("user", "Tell me a short story about a dog who learns to speak.")],
    ],
}
GREEDY_TOKENS = 40
TEXT = """The old harbour was quiet when Elena arrived. She had travelled for three days, first by train and then by a slow
ferry that smelled of salt and diesel, and all she wanted was a hot drink and a bed. The woman at the hotel spoke no
English, so Elena tried her Spanish. «Buenas noches. ¿Tiene una habitación libre para dos noches?» La mujer sonrió y le
dio una llave. «Habitación número 27, segundo piso. El desayuno es de 7:30 a 10:00.» The next morning she walked along
the beach. Fishermen were mending their nets, children were running after a yellow dog, and an old man was selling
oranges from the back of a van. She bought two of them and paid 1,50 euros. "Where are you from?" he asked. "From a
city with no sea," she said. He laughed, and gave her a third orange for free. Later, in a letter to her brother, she
wrote that the light was different there, that everything seemed to happen a little more slowly, and that she was not
sure she would come back at the end of the week. Él nunca contestó. Pero en septiembre, cuando ya habían pasado cuatro
meses, apareció en el puerto con una maleta pequeña y una guitarra, y preguntó por la mujer que compraba naranjas."""
STRINGS = [
    "Hello, world!", "¿Qué tal, señor Muñoz? ¡Muy bien, gracias!", "  two  spaces   three    four ", "tabs\t\tand\n\nnew\r\nlines \n x",
    "1234567890 3.14159 1,000,000 2026-11-23 17:05", "I'm you're WE'LL they'd IT'S l'eau O'Neill", "日本語のテキストと中文字符。", "Привет, мир! Ελληνικά עברית العربية",
    "👍🏽 family: 👨‍👩‍👧‍👦 flags 🇪🇸🇬🇧 heart ❤️", "naïve café ﬁn e\u0301 n\u0303 Å", "snake_case camelCase HTML <b>x</b> a==b && c||d",
    "\u00a0nbsp\u2003em\u200bzero\u3000wide", "...!!!???---###", "", " ", "\n", "a", "ñ", "ยินดีต้อนรับ नमस्ते 안녕하세요", "½ ² ٣ Ⅷ x²", "end with space ", "'", "''s", "don' t",
    "\U0001f600\U0001f601 \ufffd \u0000 \u007f", "supercalifragilisticexpialidocious" * 3, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "<|im_end|> <|im_start|>system", "=" * 70, " " * 70 + "x",
]


class Batch(C.Structure):
    _fields_ = [("n_tokens", C.c_int32), ("token", C.POINTER(C.c_int32)), ("embd", C.c_void_p), ("pos", C.POINTER(C.c_int32)),
                ("n_seq_id", C.POINTER(C.c_int32)), ("seq_id", C.POINTER(C.POINTER(C.c_int32))), ("logits", C.POINTER(C.c_int8))]


class Opaque(C.Structure):
    _fields_ = [("words", C.c_uint32 * 128)]


def library():
    lib = C.CDLL(os.path.join(os.path.dirname(xllamacpp.__file__), "xllamacpp.abi3.so"))
    lib.llama_model_default_params.restype = Opaque
    lib.llama_context_default_params.restype = Opaque
    lib.llama_model_load_from_file.argtypes, lib.llama_model_load_from_file.restype = [C.c_char_p, Opaque], C.c_void_p
    lib.llama_init_from_model.argtypes, lib.llama_init_from_model.restype = [C.c_void_p, Opaque], C.c_void_p
    lib.llama_model_get_vocab.argtypes, lib.llama_model_get_vocab.restype = [C.c_void_p], C.c_void_p
    lib.llama_vocab_n_tokens.argtypes = [C.c_void_p]
    lib.llama_vocab_is_eog.argtypes, lib.llama_vocab_is_eog.restype = [C.c_void_p, C.c_int32], C.c_bool
    lib.llama_tokenize.argtypes = [C.c_void_p, C.c_char_p, C.c_int32, C.POINTER(C.c_int32), C.c_int32, C.c_bool, C.c_bool]
    lib.llama_detokenize.argtypes = [C.c_void_p, C.POINTER(C.c_int32), C.c_int32, C.c_char_p, C.c_int32, C.c_bool, C.c_bool]
    lib.llama_batch_init.argtypes, lib.llama_batch_init.restype = [C.c_int32, C.c_int32, C.c_int32], Batch
    lib.llama_decode.argtypes = [C.c_void_p, Batch]
    lib.llama_get_logits_ith.argtypes, lib.llama_get_logits_ith.restype = [C.c_void_p, C.c_int32], C.POINTER(C.c_float)
    lib.llama_log_set.argtypes = [C.c_void_p, C.c_void_p]
    lib.llama_get_memory.argtypes, lib.llama_get_memory.restype = [C.c_void_p], C.c_void_p
    lib.llama_memory_clear.argtypes = [C.c_void_p, C.c_bool]
    return lib


LIB = library()
SILENT = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda *_: None)


class Llama:
    def __init__(self, path):
        self.model = LIB.llama_model_load_from_file(path.encode(), LIB.llama_model_default_params())
        params = LIB.llama_context_default_params()
        params.words[0] = params.words[1] = params.words[2] = 1024
        self.context = LIB.llama_init_from_model(self.model, params)
        self.vocab = LIB.llama_model_get_vocab(self.model)
        self.vocab_len = LIB.llama_vocab_n_tokens(self.vocab)
        fields = GGUFReader(path).fields
        self.template = fields["tokenizer.chat_template"].contents()
        self.batch = LIB.llama_batch_init(1024, 0, 1)

    def tokenize(self, text, special):
        ids = (C.c_int32 * 4096)()
        data = text.encode()
        count = LIB.llama_tokenize(self.vocab, data, len(data), ids, 4096, False, special)
        assert count >= 0
        return list(ids[:count])

    def text(self, ids):
        """The text up to the token that ends the reply; the ids go on behind it."""
        ends = [i for i, token in enumerate(ids) if LIB.llama_vocab_is_eog(self.vocab, token)]
        ids = ids[: ends[0]] if ends else ids
        data = C.create_string_buffer(4096)
        array = (C.c_int32 * len(ids))(*ids)
        count = LIB.llama_detokenize(self.vocab, array, len(ids), data, 4096, True, False)
        assert count >= 0
        return data.raw[:count].decode(errors="ignore")

    def render(self, chat):
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        messages = [{"role": role, "content": content} for role, content in chat]
        return environment.from_string(self.template).render(messages=messages, add_generation_prompt=True)

    def logits(self, ids, start):
        """The logits after each of the tokens, which stand at positions start, start + 1, ...

        One token at a time: llama.cpp computes batches by coarser kernels, which alone change 2 to 3 % of the likeliest
        tokens on this text.
        """
        return [self.next_logits(token, start + i) for i, token in enumerate(ids)]

    def next_logits(self, token, position):
        self.batch.token[0], self.batch.pos[0], self.batch.n_seq_id[0] = token, position, 1
        self.batch.seq_id[0][0], self.batch.logits[0], self.batch.n_tokens = 0, 1, 1
        assert LIB.llama_decode(self.context, self.batch) == 0
        return np.ctypeslib.as_array(LIB.llama_get_logits_ith(self.context, 0), (self.vocab_len,)).copy()

    def clear(self):
        LIB.llama_memory_clear(LIB.llama_get_memory(self.context), True)

    def greedy(self, prompt):
        self.clear()
        logits, at, ids, margins = self.logits(prompt, 0)[-1], len(prompt), [], []
        for _ in range(GREEDY_TOKENS):
            best, margin = top(logits)
            ids.append(best)
            margins.append(margin)
            logits, at = self.logits([best], at)[0], at + 1
        return ids, margins


def top(logits):
    second, best = np.partition(logits, -2)[-2:]
    return int(np.argmax(logits)), round(float(best - second), 3)


def pieces(pattern):
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    return [[piece for piece, _ in split.pre_tokenize_str(text)] for text in STRINGS]


def main():
    folder = sys.argv[1]
    LIB.llama_log_set(SILENT, None)
    golden = {"strings": STRINGS, "models": []}
    for name in (QWEN, SMOL):
        llama = Llama(os.path.join(folder, name))
        chats = []
        for chat in CHATS[name]:
            rendered = llama.render(chat)
            prompt = llama.tokenize(rendered, True)
            ids, margins = llama.greedy(prompt)
            chats.append({"messages": [{"role": r, "content": c} for r, c in chat], "rendered": rendered, "prompt": prompt,
                          "reply": ids, "reply_text": llama.text(ids), "margins": margins})
        llama.clear()
        text = llama.tokenize(TEXT, False)
        tops = [top(logits) for logits in llama.logits(text, 0)]
        golden["models"].append({"file": name, "ids": [llama.tokenize(s, False) for s in STRINGS], "chats": chats,
                                 "text": text, "top": [t for t, _ in tops], "top_margins": [m for _, m in tops]})
    word = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    golden["pieces"] = {"gpt-2": pieces(word), "llama-bpe": pieces(llama3)}
    json.dump(golden, sys.stdout, ensure_ascii=True, separators=(",", ":"))


main()
