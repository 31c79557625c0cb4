//! Project tasks: `cargo xtask ci`.

mod ci;

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
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Ci => ci::run(),
    }
}
