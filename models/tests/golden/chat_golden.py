"""Makes chat_golden.json: what llama.cpp says about the two GGUF chat models.

    pip install numpy gguf jinja2 llama-cpp-python
    python chat_golden.py MODEL_FOLDER > chat_golden.json

The reference runs at its most exact settings: keys and values as 32-bit floats, no flash attention (which sums values in
16 bits), no repacked weights, one thread, one token at a time (batches of quantised weights may take coarser kernels). It
speaks three times:

* "exact": the file as it is.
* "default": the same with llama.cpp's defaults (16-bit cache, flash attention), for the long text alone: how far the
  reference agrees with itself.
* "floats": the same weights unpacked to 32-bit floats. Nothing is rounded to eight bits there, so that this tells whether
  the network is the same.
"""
import json
import os
import sys
import tempfile

import jinja2
import llama_cpp as lib
import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, dequantize

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


SILENT = lib.llama_log_callback(lambda *_: None)


class Llama:
    def __init__(self, path, exact=True, chunk=1):
        model_params = lib.llama_model_default_params()
        model_params.use_extra_bufts = not exact
        self.model = lib.llama_model_load_from_file(path.encode(), model_params)
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = 1024
        params.n_threads = params.n_threads_batch = 1
        if exact:
            params.flash_attn_type = 0
            params.type_k = params.type_v = lib.GGML_TYPE_F32
        self.context = lib.llama_init_from_model(self.model, params)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.vocab_len = lib.llama_vocab_n_tokens(self.vocab)
        self.chunk = chunk
        self.batch = lib.llama_batch_init(chunk, 0, 1)

    def tokenize(self, text, special):
        ids = (lib.llama_token * 4096)()
        data = text.encode()
        count = lib.llama_tokenize(self.vocab, data, len(data), ids, 4096, False, special)
        assert count >= 0
        return list(ids[:count])

    def text(self, ids):
        """The text up to the token that ends the reply; the ids go on behind it."""
        ends = [i for i, token in enumerate(ids) if lib.llama_vocab_is_eog(self.vocab, token)]
        ids = ids[: ends[0]] if ends else ids
        data = (lib.ctypes.c_char * 4096)()
        array = (lib.llama_token * len(ids))(*ids)
        count = lib.llama_detokenize(self.vocab, array, len(ids), data, 4096, True, False)
        assert count >= 0
        return data.raw[:count].decode(errors="ignore")

    def logits(self, ids, start=0):
        """The logits after each of the tokens, which stand at positions start, start + 1, ..."""
        if start == 0:
            lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
        rows = []
        for first in range(0, len(ids), self.chunk):
            chunk = ids[first : first + self.chunk]
            for i, token in enumerate(chunk):
                self.batch.token[i], self.batch.pos[i], self.batch.logits[i] = token, start + first + i, 1
                self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, 0
            self.batch.n_tokens = len(chunk)
            assert lib.llama_decode(self.context, self.batch) == 0
            for i in range(len(chunk)):
                row = lib.llama_get_logits_ith(self.context, i)
                rows.append(np.ctypeslib.as_array(row, (self.vocab_len,)).copy())
        return rows

    def greedy(self, prompt):
        logits, at, ids, margins = self.logits(prompt)[-1], len(prompt), [], []
        for _ in range(GREEDY_TOKENS):
            best, margin = top(logits)
            ids.append(best)
            margins.append(margin)
            logits, at = self.logits([best], at)[0], at + 1
        return {"reply": ids, "reply_text": self.text(ids), "margins": margins}

    def say(self, text, prompts):
        tops = [top(logits) for logits in self.logits(text)]
        replies = [self.greedy(prompt) for prompt in prompts]
        return {"top": [t for t, _ in tops], "top_margins": [m for _, m in tops], "replies": replies}


def top(logits):
    second, best = np.partition(logits, -2)[-2:]
    return int(np.argmax(logits)), round(float(best - second), 3)


def render(path, chat):
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(GGUFReader(path).fields["tokenizer.chat_template"].contents())
    messages = [{"role": role, "content": content} for role, content in chat]
    return template.render(messages=messages, add_generation_prompt=True)


def unpack(path, out):
    """Writes the same model with 32-bit floats."""
    reader = GGUFReader(path)
    writer = GGUFWriter(out, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            element = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=element)
    for tensor in reader.tensors:
        floats = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, floats.reshape([int(n) for n in tensor.shape][::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    folder = sys.argv[1]
    lib.llama_log_set(SILENT, None)
    golden = {"strings": STRINGS, "models": []}
    for name in (QWEN, SMOL):
        path = os.path.join(folder, name)
        llama = Llama(path)
        prompts = [llama.tokenize(render(path, chat), True) for chat in CHATS[name]]
        text = llama.tokenize(TEXT, False)
        chats = [{"messages": [{"role": r, "content": c} for r, c in chat], "prompt": prompt}
                 for chat, prompt in zip(CHATS[name], prompts)]
        with tempfile.TemporaryDirectory() as scratch:
            unpacked = os.path.join(scratch, "floats.gguf")
            unpack(path, unpacked)
            floats = Llama(unpacked, chunk=64).say(text, prompts)
        golden["models"].append({"file": name, "ids": [llama.tokenize(s, False) for s in STRINGS], "chats": chats, "text": text,
                                 "exact": llama.say(text, prompts), "default": Llama(path, exact=False).say(text, []),
                                 "floats": floats})
    json.dump(golden, sys.stdout, ensure_ascii=True, separators=(",", ":"))


main()
