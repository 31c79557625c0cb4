//! Project tasks: `cargo xtask ci`, `cargo xtask wer`, `cargo xtask speech`, `cargo xtask endpoint`.

#![allow(clippy::print_stdout, reason = "what a task finds goes to stdout")]

mod ci;
mod endpoint;
mod speech;
mod wer;

use clap::{Parser, Subcommand};
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
    /// Speak a folder of texts and score what the recogniser hears
    Speech(speech::Arguments),
    /// Transcribe a folder of clips and score the words
    Wer(wer::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Endpoint(arguments) => endpoint::run(&arguments),
        Task::Speech(arguments) => speech::run(&arguments),
        Task::Wer(arguments) => wer::run(&arguments),
    }
}
