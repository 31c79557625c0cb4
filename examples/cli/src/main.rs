//! The `tertulia` command: a spoken turn in the terminal.
//!
//! Results go to stdout, everything else to stderr. The exit code is 0, 2 for a wrong command line, else 10 plus the
//! block of the error code.

mod args;
mod commands;
mod conversation;
mod live;
mod output;
mod script;
mod setup;
mod sound;

use args::{Arguments, Command};
use clap::Parser;
use output::Output;
use std::process::ExitCode;
use tertulia::Error;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("TERTULIA_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let output = Output::new(arguments.json);
    match run(arguments.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            exit_code(&error)
        }
    }
}

fn run(command: Command, output: &Output) -> tertulia::Result<()> {
    match command {
        Command::Demo(options) => commands::demo::run(&options, output),
        Command::Turn(options) => commands::turn::run(&options, output),
        Command::Talk(options) => commands::talk::run(&options, output),
        Command::Transcribe(options) => commands::transcribe::run(&options, output),
        Command::Listen(options) => commands::listen::run(options, output),
        Command::Say(options) => commands::say::run(&options, output),
        Command::Sessions(command) => commands::sessions::run(command, output),
        Command::Capabilities => commands::capabilities::run(output),
        Command::Models(command) => commands::models::run(command, output),
    }
}

fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(10 + u8::try_from(error.code().block()).unwrap_or(9))
}
