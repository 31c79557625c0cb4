//! The chat model agrees with llama.cpp on the same files. `golden/chat_golden.py` made the values.

#![allow(clippy::print_stdout, reason = "near ties are shown")]

use serde_json::Value;
use std::path::PathBuf;
use tertulia::backend::{CancelFlag, ChatModel, ChatRequest, ChatStep, Message, Model, Sampling, run_steps};
use tertulia_models::chat::{ChatOptions, GgufChat};
use tertulia_models::gguf::{GgmlType, Gguf, GgufWriter, quant};

const SMOL: &str = "smollm2-135m-instruct-q4_1.gguf";
/// Two logits closer than this are a tie that rounding may decide either way.
const TIE: f64 = 0.1;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/chat_golden.json")).expect("the golden values are JSON")
}

fn model_path(name: &str) -> PathBuf {
    let folder = std::env::var_os("TERTULIA_MODELS").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| std::env::home_dir().expect("a home").join(".cache"));
        cache.join("tertulia").join("models")
    });
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `tertulia models pull`", path.display());
    path
}

fn model(name: &str, options: ChatOptions) -> GgufChat {
    GgufChat::new(model_path(name), Default::default(), options)
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn best_two(logits: &[f32]) -> (u32, f32) {
    let (mut best, mut most, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (at, &logit) in (0..).zip(logits) {
        if logit > most {
            (best, second, most) = (at, most, logit);
        } else if logit > second {
            second = logit;
        }
    }
    (best, most - second)
}

/// The share of positions of the golden text where the likeliest token is the reference's: of all positions, and of
/// those that the reference decides by more than a tie.
fn agreement(chat: &GgufChat, golden: &Value) -> (f64, f64) {
    let (text, top) = (ids(&golden["text"]), ids(&golden["top"]));
    let mut ours = Vec::new();
    chat.each_logits(&text, &mut |logits| ours.push(best_two(logits).0)).unwrap();
    assert_eq!(ours.len(), top.len());
    let decided = |at: usize| golden["top_margins"][at].as_f64().unwrap() >= TIE;
    let share = |among: &dyn Fn(usize) -> bool| {
        let positions: Vec<usize> = (0..top.len()).filter(|&at| among(at)).collect();
        positions.iter().filter(|&&at| ours[at] == top[at]).count() as f64 / positions.len() as f64
    };
    let shares = (share(&|_| true), share(&decided));
    println!("{}: of all {:.2} %, of the decided {:.2} %", chat.name(), shares.0 * 100.0, shares.1 * 100.0);
    shares
}

#[test]
fn tokens_equal_the_reference_on_nasty_texts() {
    let golden = golden();
    for expected in golden["models"].as_array().unwrap() {
        let chat = model(expected["file"].as_str().unwrap(), ChatOptions::default());
        for (text, tokens) in golden["strings"].as_array().unwrap().iter().zip(expected["ids"].as_array().unwrap()) {
            let text = text.as_str().unwrap();
            assert_eq!(chat.tokenize(text).unwrap(), ids(tokens), "{text:?}");
        }
    }
}

#[test]
fn greedy_replies_equal_the_reference() {
    let mut long = 0;
    for expected in golden()["models"].as_array().unwrap() {
        let name = expected["file"].as_str().unwrap();
        let chat = model(name, ChatOptions::default());
        for (at, case) in expected["chats"].as_array().unwrap().iter().enumerate() {
            let mut messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
            let (prompt, reply) = (ids(&case["prompt"]), ids(&case["reply"]));
            // The prompt and the reply in one run: every position's choice given the reference's own past.
            let sequence: Vec<u32> = prompt.iter().chain(&reply[..reply.len() - 1]).copied().collect();
            let mut ours = Vec::new();
            chat.each_logits(&sequence, &mut |logits| ours.push(best_two(logits))).unwrap();
            let ours = &ours[prompt.len() - 1..];
            let mut equal = true;
            for (step, ((token, margin), expected)) in ours.iter().zip(&reply).enumerate() {
                if token == expected {
                    continue;
                }
                let theirs = case["margins"][step].as_f64().unwrap();
                println!("{name}, chat {at}, token {step}: ahead by {margin}, the reference's by {theirs}");
                // Each choice is made given the reference's own past, so that all of them can be compared. The tiny
                // model's logits are too close to each other for this; the share of equal choices is its check.
                assert!(f64::from(*margin) < TIE || theirs < TIE || name == SMOL, "no tie for either");
                equal = false;
            }
            long += usize::from(reply.len() >= 32 && name != SMOL);

            // The same through the conversation: template, cache, steps and all.
            let mut conversation = chat.open_conversation().unwrap();
            let sampling = Sampling {
                temperature: 0.0,
                repetition_penalty: 1.0,
                max_tokens: reply.len() as u32,
                ..Sampling::default()
            };
            let pinned = messages.len() - 1;
            let request = ChatRequest { messages: messages.split_off(0), pinned, sampling, cancel: CancelFlag::new() };
            let (mut text, mut usage) = (String::new(), None);
            run_steps(conversation.reply(request).unwrap(), |step| {
                match step {
                    ChatStep::Text(more) => text += &more,
                    ChatStep::Done { usage: took, .. } => usage = Some(took),
                    ChatStep::Working => {}
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(usage.unwrap().prompt_tokens as usize, prompt.len(), "the template's tokens");
            if equal {
                assert_eq!(text, case["reply_text"].as_str().unwrap());
            }
        }
    }
    assert!(long >= 5, "five replies of 32 tokens and more: {long}");
}

#[test]
fn the_likeliest_next_tokens_agree_on_a_long_text() {
    for expected in golden()["models"].as_array().unwrap() {
        let name = expected["file"].as_str().unwrap();
        let (all, decided) = agreement(&model(name, ChatOptions::default()), expected);
        // llama.cpp agrees with itself on 97.5 % of all positions when its batch size changes.
        assert!(all >= 0.95 && decided >= 0.99, "{name}: {all}, {decided}");
    }
}

#[test]
fn unpacked_weights_and_stock_operations_agree_too() {
    let golden = golden();
    let options = ChatOptions { weights_as_floats: true, ..ChatOptions::default() };
    // Here activations are not rounded to eight bits as the reference's are.
    let (all, decided) = agreement(&model(SMOL, options), &golden["models"][1]);
    assert!(all >= 0.93 && decided >= 0.98, "{all}, {decided}");
}

#[test]
fn one_disturbed_layer_breaks_the_agreement() {
    let file = Gguf::open(&model_path(SMOL)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disturbed.gguf");
    let mut writer = GgufWriter::new();
    for key in file.keys() {
        writer.set(key, file.value(key).unwrap().clone());
    }
    for tensor in file.tensors() {
        if tensor.name == "blk.14.ffn_down.weight" {
            let halved: Vec<f32> = tensor.to_f32().unwrap().iter().map(|value| value * 0.5).collect();
            writer.tensor(tensor.name, tensor.shape, GgmlType::Q8_0, quant::encode_q8_0(&halved).unwrap()).unwrap();
        } else {
            writer.tensor(tensor.name, tensor.shape, tensor.dtype, tensor.data.to_vec()).unwrap();
        }
    }
    writer.write(&path).unwrap();
    let chat = GgufChat::new(path, Default::default(), ChatOptions::default());
    let (all, decided) = agreement(&chat, &golden()["models"][1]);
    assert!(all < 0.95 && decided < 0.99, "{all}, {decided}");
}
