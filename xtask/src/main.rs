//! The project's tasks: `cargo xtask api | ci | codegen | dist | echo | endpoint | heard | latency | noise | schema | size |
//! speech | wer`.

#![allow(clippy::print_stdout, reason = "a task prints its result to stdout")]

mod api;
mod ci;
mod codegen;
mod dist;
mod echo;
mod endpoint;
mod heard;
mod latency;
mod noise;
mod schema;
mod size;
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
    /// Write the public API of the libraries to docs/api.txt, or compare it
    Api(api::Arguments),
    /// Write the C header and the table of errors, or compare them
    Codegen(codegen::Arguments),
    /// Write a release of the C library into a folder
    Dist(dist::Arguments),
    /// Run everything that CI checks
    Ci,
    /// Score end-of-turn decisions: false cut-offs and delay, in hesitant speech and in noise
    Endpoint(endpoint::Arguments),
    /// Play replies whose echo reaches the microphone; count self-interruptions and detected barge-ins
    Echo(echo::Arguments),
    /// Interrupt replies; compare the stored heard text with the audio that was played
    Heard(heard::Arguments),
    /// Recognise audio without speech; count the words
    Noise(noise::Arguments),
    /// Measure the latency of the cues of an end-of-turn decision
    Latency(latency::Arguments),
    /// Write the JSON Schemas of events and commands to docs/schema, or compare them
    Schema(schema::Arguments),
    /// Measure the shipped libraries, or compare them with their budget
    Size(size::Arguments),
    /// Synthesise a folder of texts and score them with the recogniser
    Speech(speech::Arguments),
    /// Transcribe a folder of clips and score the word error rate
    Wer(wer::Arguments),
}

fn main() -> ExitCode {
    if std::env::var_os(api::RUSTDOC).is_some() {
        return api::rustdoc();
    }
    let (name, outcome) = match Arguments::parse().task {
        Task::Api(arguments) => ("api", api::run(&arguments)),
        Task::Codegen(arguments) => ("codegen", codegen::run(&arguments)),
        Task::Dist(arguments) => ("dist", dist::run(&arguments)),
        Task::Ci => ("ci", ci::run()),
        Task::Endpoint(arguments) => ("endpoint", endpoint::run(&arguments)),
        Task::Echo(arguments) => ("echo", echo::run(&arguments)),
        Task::Heard(arguments) => ("heard", heard::run(&arguments)),
        Task::Noise(arguments) => ("noise", noise::run(&arguments)),
        Task::Latency(arguments) => ("latency", latency::run(&arguments)),
        Task::Schema(arguments) => ("schema", schema::run(&arguments)),
        Task::Size(arguments) => ("size", size::run(&arguments)),
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
