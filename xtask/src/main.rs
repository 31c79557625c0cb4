//! Project tasks: `cargo xtask ci`, `cargo xtask echo`, `cargo xtask endpoint`, `cargo xtask heard`,
//! `cargo xtask latency`, `cargo xtask noise`, `cargo xtask speech`, `cargo xtask wer`.

#![allow(clippy::print_stdout, reason = "what a task finds goes to stdout")]

mod ci;
mod echo;
mod endpoint;
mod heard;
mod latency;
mod noise;
mod speech;
mod stand_in;
mod wer;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Project tasks.
#[derive(Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that CI checks
    Ci,
    /// Score when an utterance is taken for complete
    Endpoint(endpoint::Arguments),
    /// Play replies that come back into the microphone, and count who is interrupted
    Echo(echo::Arguments),
    /// Interrupt replies, and compare what is stored as heard with what can be heard
    Heard(heard::Arguments),
    /// Listen where nobody speaks, and count the words
    Noise(noise::Arguments),
    /// Measure how long the witnesses of an end take to answer
    Latency(latency::Arguments),
    /// Speak a folder of texts and score what the recogniser hears
    Speech(speech::Arguments),
    /// Transcribe a folder of clips and score the words
    Wer(wer::Arguments),
}

fn main() -> ExitCode {
    let (name, outcome) = match Arguments::parse().task {
        Task::Ci => ("ci", Ok(ci::run())),
        Task::Endpoint(arguments) => ("endpoint", endpoint::run(&arguments)),
        Task::Echo(arguments) => ("echo", echo::run(&arguments)),
        Task::Heard(arguments) => ("heard", heard::run(&arguments)),
        Task::Noise(arguments) => ("noise", noise::run(&arguments)),
        Task::Latency(arguments) => ("latency", latency::run(&arguments)),
        Task::Speech(arguments) => ("speech", speech::run(&arguments)),
        Task::Wer(arguments) => ("wer", wer::run(&arguments)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{name}: {failure}");
            ExitCode::FAILURE
        }
    }
}
