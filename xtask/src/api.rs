//! `cargo xtask api`: writes the public API of the libraries to `docs/api.txt`, or compares it with that file.
//!
//! The list is made from rustdoc's JSON, which the stable compiler gives only where it is told to; only rustdoc is, so that
//! no dependency is built another way. The format belongs to the compiler's version: with another toolchain than CI's the
//! list may not be readable.

use crate::wer::Failure;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Set where this program stands in for rustdoc.
pub(crate) const RUSTDOC: &str = "TERTULIA_RUSTDOC";
const FILE: &str = "docs/api.txt";
const LIBRARIES: [&str; 2] = ["tertulia", "tertulia_models"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Compare with docs/api.txt instead of writing it
    #[arg(long)]
    check: bool,
}

/// Runs rustdoc with this program's arguments, unstable options allowed.
pub(crate) fn rustdoc() -> ExitCode {
    let status = Command::new("rustdoc").args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let program = std::env::current_exe()?;
    // The profile that this program was built in: its dependencies are there.
    let profile = program.parent().and_then(|folder| folder.file_name()).ok_or("no profile")?;
    let profile = if profile == "debug" { "dev".into() } else { profile.to_owned() };
    let status = Command::new("cargo")
        // The C library has the engine's name.
        .args(["doc", "--workspace", "--exclude", "tertulia-ffi", "--no-deps", "--lib", "--profile"])
        .arg(profile)
        .env("RUSTDOC", &program)
        .env(RUSTDOC, "1")
        .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json")
        .status()?;
    if !status.success() {
        return Err("rustdoc failed".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let mut lines = Vec::new();
    for library in LIBRARIES {
        let api = public_api::Builder::from_rustdoc_json(target.join(format!("doc/{library}.json")))
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()?;
        lines.extend(api.items().map(|item| format!("{item}\n")));
    }
    let api = lines.concat();
    if !arguments.check {
        std::fs::write(FILE, api)?;
        return Ok(true);
    }
    let committed = std::fs::read_to_string(FILE)?;
    let gone = committed.lines().filter(|line| !api.lines().any(|now| now == *line));
    gone.for_each(|line| println!("- {line}"));
    let new = api.lines().filter(|line| !committed.lines().any(|before| before == *line));
    new.for_each(|line| println!("+ {line}"));
    if api != committed {
        println!("the public API is not that of {FILE}; `cargo xtask api` writes it");
    }
    Ok(api == committed)
}
