//! Small models made of random bytes agree with llama.cpp, whatever their weights' type; so do all ways to cut text into
//! words. `golden/chat_tiny.py` made the values, and the same models.

#[path = "common/chat.rs"]
mod chat;

use chat::finish;
use half::f16;
use serde_json::Value;
use std::path::Path;
use tertulia::backend::{ChatModel, ChatRequest, Message, Sampling};
use tertulia_models::chat::{ChatOptions, GgufChat, Tokenizer};
use tertulia_models::gguf::{GgmlType, Gguf, GgufWriter, quant};

const WIDTH: usize = 256;
const INNER: usize = 512;
const KEY_WIDTH: usize = 128;
/// The matrices of the only layer.
const SHAPES: [(&str, [usize; 2]); 7] = [
    ("attn_q", [WIDTH, WIDTH]),
    ("attn_k", [KEY_WIDTH, WIDTH]),
    ("attn_v", [KEY_WIDTH, WIDTH]),
    ("attn_output", [WIDTH, WIDTH]),
    ("ffn_gate", [INNER, WIDTH]),
    ("ffn_up", [INNER, WIDTH]),
    ("ffn_down", [WIDTH, INNER]),
];

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/chat_tiny.json")).expect("the golden values are JSON")
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn random_bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn weights(dtype: GgmlType, [rows, cols]: [usize; 2], seed: u64) -> Vec<u8> {
    let floats = || -> Vec<f32> {
        random_bytes(rows * cols, seed).into_iter().map(|byte| (f32::from(byte) - 128.0) / 2048.0).collect()
    };
    // The 16-bit floats in a block, and where they stand.
    let scales: &[(usize, f32)] = match dtype {
        GgmlType::F32 => return quant::encode_f32(&floats()),
        GgmlType::F16 => return quant::encode_f16(&floats()),
        GgmlType::Q8_0 => &[(0, 7e-4)],
        GgmlType::Q4_0 => &[(0, 1e-2)],
        GgmlType::Q4_1 => &[(0, 1e-2), (2, -7.5e-2)],
        GgmlType::Q5_0 => &[(0, 5e-3)],
        GgmlType::Q4K => &[(0, 3e-4), (2, 2.25e-3)],
        GgmlType::Q5K => &[(0, 1.5e-4), (2, 2.25e-3)],
        GgmlType::Q6K => &[(208, 4e-5)],
        GgmlType::I8 | GgmlType::I32 => unreachable!("no type of weights"),
    };
    let mut bytes = random_bytes(dtype.tensor_bytes(&[rows, cols]).unwrap(), seed);
    for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
        for &(at, scale) in scales {
            block[at..at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        }
    }
    bytes
}

fn vocabulary(golden: &Value, cut: &str) -> GgufWriter {
    let tokens = texts(&golden["tokens"]);
    let kinds: Vec<i32> =
        tokens.iter().map(|token| if ["<|im_start|>", "<|im_end|>"].contains(token) { 3 } else { 1 }).collect();
    let end = tokens.iter().position(|token| *token == "<|im_end|>").unwrap() as u32;
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "llama").set("llama.context_length", 512u32).set("llama.block_count", 1u32);
    writer.set("llama.embedding_length", WIDTH as u32).set("llama.feed_forward_length", INNER as u32);
    writer.set("llama.attention.head_count", 4u32).set("llama.attention.head_count_kv", 2u32);
    writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5f32).set("llama.rope.dimension_count", 64u32);
    writer.set("tokenizer.ggml.model", "gpt2").set("tokenizer.ggml.pre", cut);
    writer.set("tokenizer.ggml.tokens", tokens).set("tokenizer.ggml.token_type", kinds);
    writer.set("tokenizer.ggml.merges", texts(&golden["merges"])).set("tokenizer.ggml.eos_token_id", end);
    writer.set("tokenizer.ggml.add_bos_token", false);
    writer
}

fn model(folder: &Path, golden: &Value, dtype: GgmlType, options: ChatOptions) -> GgufChat {
    let mut writer = vocabulary(golden, "gpt-2");
    let vocabulary_len = golden["tokens"].as_array().unwrap().len();
    let outer = [("token_embd", [vocabulary_len, WIDTH]), ("output", [vocabulary_len, WIDTH])];
    let layer = SHAPES.iter().map(|(name, shape)| (format!("blk.0.{name}"), *shape));
    let matrices = outer.iter().map(|(name, shape)| ((*name).to_owned(), *shape)).chain(layer);
    for (seed, (name, shape)) in (0..).zip(matrices) {
        writer.tensor(format!("{name}.weight"), &shape, dtype, weights(dtype, shape, seed)).unwrap();
    }
    for name in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"] {
        let ones = quant::encode_f32(&[1.0; WIDTH]);
        writer.tensor(format!("{name}.weight"), &[WIDTH], GgmlType::F32, ones).unwrap();
    }
    let path = folder.join(format!("{dtype:?}.gguf"));
    writer.write(&path).unwrap();
    GgufChat::new(path, Default::default(), options)
}

#[test]
fn every_type_of_weights_gives_the_reference_s_logits() {
    let types = [
        // The cache's 16 bits are the only difference; llama.cpp also rounds activations to 16 bits for F16.
        ("F32", GgmlType::F32, 1e-3),
        ("F16", GgmlType::F16, 2e-3),
        // They decide here and there which way an activation is rounded to eight bits. Weights that were unpacked
        // wrongly, be it a few of them, differ by far more.
        ("Q8_0", GgmlType::Q8_0, 3e-2),
        ("Q4_0", GgmlType::Q4_0, 3e-2),
        ("Q4_1", GgmlType::Q4_1, 3e-2),
        ("Q5_0", GgmlType::Q5_0, 3e-2),
        ("Q4_K", GgmlType::Q4K, 3e-2),
        ("Q5_K", GgmlType::Q5K, 3e-2),
        ("Q6_K", GgmlType::Q6K, 3e-2),
    ];
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    for (name, dtype, bound) in types {
        let chat = model(folder.path(), &golden, dtype, ChatOptions::default());
        let expected: Vec<f32> =
            golden["logits"][name].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() as f32).collect();
        let mut logits = Vec::new();
        chat.each_logits(&ids(&golden["prompt"]), &mut |row| logits = row[..expected.len()].to_vec()).unwrap();
        let size = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
        let difference = size(&mut logits.iter().zip(&expected).map(|(ours, theirs)| ours - theirs));
        let relative = difference / size(&mut expected.iter().copied());
        assert!(relative <= bound, "{name}: the logits differ by {relative} of their size");
    }
}

#[test]
fn texts_are_cut_as_the_reference_cuts_them() {
    let golden = golden();
    for (cut, expected) in golden["ids"].as_object().unwrap() {
        let file = Gguf::from_bytes(vocabulary(&golden, cut).to_bytes().unwrap()).unwrap();
        let tokenizer = Tokenizer::from_gguf(&file).unwrap();
        for (text, expected) in texts(&golden["texts"]).into_iter().zip(expected.as_array().unwrap()) {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokens, ids(expected), "{cut}: {text:?}");
            assert_eq!(tokenizer.decode(&tokens), text);
        }
    }
}

#[test]
fn a_file_without_a_template_speaks_chatml() {
    let golden = golden();
    let (prompt, reply) = (ids(&golden["chat"]["prompt"]), ids(&golden["chat"]["reply"]));
    let folder = tempfile::tempdir().unwrap();
    let chat = model(folder.path(), &golden, GgmlType::F32, ChatOptions::default());
    let messages: Vec<Message> = serde_json::from_value(golden["chat"]["messages"].clone()).unwrap();
    // Random weights would say the same token again and again: a large penalty forbids what was said of late.
    let sampling =
        Sampling { temperature: 0.0, repetition_penalty: 1e6, max_tokens: reply.len() as u32, ..Sampling::default() };
    let mut request = ChatRequest::new(messages);
    (request.pinned, request.sampling) = (1, sampling);
    let (text, _, usage) = finish(&mut *chat.open_conversation().unwrap(), request);
    assert_eq!(usage.prompt_tokens as usize, prompt.len());
    // The reply depends on every token of the prompt.
    let file = Gguf::from_bytes(vocabulary(&golden, "gpt-2").to_bytes().unwrap()).unwrap();
    let expected = Tokenizer::from_gguf(&file).unwrap().decode(&reply);
    assert_eq!(text, expected.trim_end_matches(char::REPLACEMENT_CHARACTER));
}
