//! Project tasks: `cargo xtask ci`, `cargo xtask wer`.

mod ci;
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
    /// Transcribe a folder of clips and score the words
    Wer(wer::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Wer(arguments) => wer::run(&arguments),
    }
}
