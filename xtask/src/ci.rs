//! `cargo xtask ci`: everything that CI checks, in the order in which failures are cheapest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// One check: a name and the command line.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
}

const fn step(name: &'static str, command: &'static [&'static str]) -> Step {
    Step { name, command }
}

const STEPS: &[Step] = &[
    step("formatting", &["cargo", "fmt", "--all", "--check"]),
    step(
        "the core's tests",
        &[
            "env",
            "SIM_STEPS=100000",
            "TERTULIA_CRASHES=10000",
            "TERTULIA_KILLS=200",
            "TERTULIA_FLIPS=2000",
            "cargo",
            "test",
            "--no-fail-fast",
            "-p",
            "tertulia",
        ],
    ),
    step(
        "the core in a browser",
        &["cargo", "check", "-p", "tertulia", "--target", "wasm32-unknown-unknown", "--all-features"],
    ),
    step("lints of the core", &["cargo", "clippy", "-p", "tertulia", "--all-targets", "--", "-D", "warnings"]),
    step(
        "lints of the rest",
        &[
            "cargo",
            "clippy",
            "--release",
            "-p",
            "tertulia-models",
            "-p",
            "tertulia-cli",
            "-p",
            "tertulia-benches",
            "-p",
            "xtask",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    step("licences and sources", &["cargo", "deny", "check", "licenses", "bans", "sources"]),
    step("models", &["cargo", "run", "--release", "-p", "tertulia-cli", "--", "models", "pull"]),
    step(
        "the chat model for tests",
        &["cargo", "run", "--release", "-p", "tertulia-cli", "--", "models", "pull", "smollm2-135m-instruct-q4_1"],
    ),
    step("the models' tests", &["cargo", "test", "--release", "--no-fail-fast", "-p", "tertulia-models"]),
    step("the benches run", &["cargo", "bench", "-p", "tertulia-benches", "--", "--test"]),
    step("the command's tests", &["cargo", "test", "--release", "-p", "tertulia-cli", "-p", "xtask"]),
];

/// Checks that need the shared recordings beside the checkout.
const SPEECH_STEPS: &[Step] = &[
    step("words recognised", &["cargo", "xtask", "wer", "../shared/speech", "--detect", "--joined", "95"]),
    step("words in noise", &["cargo", "xtask", "noise", "--minutes", "1"]),
    step("echo", &["cargo", "xtask", "echo", "../shared/speech", "--replies", "10"]),
    step("what was heard", &["cargo", "xtask", "heard", "../shared/speech/sentences", "--replies", "10"]),
    step("speech understood", &["cargo", "xtask", "speech", "../shared/speech/sentences"]),
    step("ends of utterances", &["cargo", "xtask", "endpoint", "../shared/speech", "--quick"]),
];

/// Runs every step, and says at the end which failed; whether none did.
pub(crate) fn run() -> bool {
    let speech: &[Step] = if Path::new("../shared/speech/manifest.json").exists() {
        SPEECH_STEPS
    } else {
        println!("the shared recordings are not here: their checks are left out");
        &[]
    };
    let mut failed = Vec::new();
    let mut times = Vec::new();
    for step in STEPS.iter().chain(speech) {
        println!("\n== {}: {}", step.name, step.command.join(" "));
        let start = Instant::now();
        let status = Command::new(step.command[0]).args(&step.command[1..]).status();
        if !status.is_ok_and(|status| status.success()) {
            failed.push(step.name);
        }
        times.push((step.name, start.elapsed().as_secs()));
    }
    println!();
    for (name, seconds) in &times {
        println!("{seconds:5} s  {name}");
    }
    for name in &failed {
        println!("failed: {name}");
    }
    println!("{} passed, {} failed", times.len() - failed.len(), failed.len());
    failed.is_empty()
}
