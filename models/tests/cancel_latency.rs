//! How long work goes on after its cancel. Measured by hand, on a quiet machine:
//! `cargo test --release -p tertulia-models --test cancel_latency -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "common/whisper.rs"]
mod common;

use common::models::model_path;
use std::time::{Duration, Instant};
use tertulia::ErrorCode;
use tertulia::backend::{
    CancelFlag, ChatModel, ChatRequest, Message, Model, RecognitionRequest, Recognizer, Role, Sampling,
    SynthesisRequest, Synthesizer, block_on, run_steps,
};
use tertulia_models::chat::{ChatOptions, GgufChat};
use tertulia_models::kokoro::Kokoro;

/// At each of four stages: a thousand in all.
const CANCELS: u32 = 250;
/// Far over what a quiet machine needs (100 ms): only work that does not look at its flag takes so long.
const LATENCY_MAX: Duration = Duration::from_secs(2);

/// Cancels `work` at moments spread evenly over its length, and prints how long each cancel took.
fn measure(name: &str, work: impl Fn(CancelFlag) -> tertulia::Result<()> + Sync) {
    let begun = Instant::now();
    work(CancelFlag::new()).unwrap();
    let whole = begun.elapsed();
    let mut latencies: Vec<(Duration, Duration)> = vec![];
    for index in 0..CANCELS {
        let wait = whole * index / CANCELS;
        let cancel = CancelFlag::new();
        std::thread::scope(|scope| {
            let working = scope.spawn(|| (work(cancel.clone()), Instant::now()));
            std::thread::sleep(wait);
            let cancelled = Instant::now();
            cancel.cancel();
            let (result, ended) = working.join().unwrap();
            match result {
                // It was done before the cancel.
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::Cancelled);
                    latencies.push((ended.saturating_duration_since(cancelled), wait));
                }
            }
        });
    }
    latencies.sort();
    let (longest, at) = latencies[latencies.len() - 1];
    let [median, late] = [50, 99].map(|percent| latencies[latencies.len() * percent / 100].0);
    println!(
        "{name}: {whole:?} in all; cancelled {} times: median {median:?}, p99 {late:?}, longest {longest:?}, at {at:?}",
        latencies.len()
    );
    assert!(longest < LATENCY_MAX);
}

#[test]
#[ignore = "measures time"]
fn recognition_stops() {
    let whisper = common::whisper();
    block_on(whisper.load(&mut |_| {})).unwrap();
    let audio = common::clip("en/libri_2412-153948-0000.flac");
    measure("Whisper base, 11.7 s", |cancel| {
        let mut request = RecognitionRequest::new(audio.clone(), vec!["en".parse().unwrap()]);
        request.cancel = cancel;
        run_steps(whisper.recognize(request)?, |_| Ok(()))
    });
}

#[test]
#[ignore = "measures time"]
fn synthesis_stops() {
    let kokoro = Kokoro::new(model_path("kokoro-82m"), Default::default());
    block_on(kokoro.load(&mut |_| {})).unwrap();
    let text = "The narrative would be tedious to you and painful to me, so let us speak of something else.";
    measure("Kokoro, one sentence", |cancel| {
        let mut request = SynthesisRequest::new(text, vec!["en".parse().unwrap()]);
        request.cancel = cancel;
        run_steps(kokoro.synthesize(request)?, |_| Ok(()))
    });
}

/// A conversation's reply of at most `tokens` to `text`, as work that can be cancelled.
fn measure_reply(name: &str, text: &str, tokens: u32) {
    let path = model_path("qwen2.5-coder-0.5b-instruct-q4_k_m");
    let chat = GgufChat::new(path, Default::default(), ChatOptions::default());
    block_on(chat.load(&mut |_| {})).unwrap();
    measure(name, |cancel| {
        let sampling = Sampling { temperature: 0.0, max_tokens: tokens, ..Sampling::default() };
        let messages = vec![Message::new(Role::User, text)];
        let mut conversation = chat.open_conversation()?;
        let mut request = ChatRequest::new(messages);
        (request.sampling, request.cancel) = (sampling, cancel);
        run_steps(conversation.reply(request)?, |_| Ok(()))
    });
}

#[test]
#[ignore = "measures time"]
fn reading_a_prompt_stops() {
    let text = "The narrative would be tedious to you and painful to me, so let us speak of something else. ";
    measure_reply("Chat, a long prompt", &text.repeat(8), 1);
}

#[test]
#[ignore = "measures time"]
fn a_reply_stops() {
    measure_reply("Chat, a long reply", "Tell me a long story.", 64);
}
