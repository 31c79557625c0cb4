//! `cargo xtask codegen`: writes what is generated for the bindings, `include/tertulia.h` and `include/errors.md`, or
//! compares it.

use crate::wer::Failure;
use std::fmt::Write;
use std::path::PathBuf;

const HEADER: &str = "include/tertulia.h";
const ERRORS: &str = "include/errors.md";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Compare with the files instead of writing them
    #[arg(long)]
    check: bool,
}

/// A row of the table of errors: its number, name, whether it can be tried again, and its meaning.
type Row = (u16, &'static str, bool, &'static str);

macro_rules! rows {
    ($(($number:literal, $name:ident, $retryable:literal, $doc:literal);)*) => {
        &[$(($number, stringify!($name), $retryable, $doc)),*]
    };
}

const ROWS: &[Row] = tertulia::for_each_error_code!(rows);

pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    write_or_compare("codegen", arguments.check, [(HEADER.into(), header()?), (ERRORS.into(), errors())])
}

/// Writes the files that a task generates, or compares them with those that are there; true where they are as generated.
pub(crate) fn write_or_compare(
    task: &str,
    compare: bool,
    files: impl IntoIterator<Item = (PathBuf, String)>,
) -> Result<bool, Failure> {
    let mut same = true;
    for (path, text) in files {
        if !compare {
            std::fs::create_dir_all(path.parent().expect("it is in a folder"))?;
            std::fs::write(path, text)?;
        } else if !std::fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
            println!("{} is not up to date; `cargo xtask {task}` writes it", path.display());
            same = false;
        }
    }
    Ok(same)
}

fn header() -> Result<String, Failure> {
    let mut config = cbindgen::Config::from_file("ffi/cbindgen.toml")?;
    config.after_includes = Some(codes());
    let mut header = Vec::new();
    cbindgen::Builder::new().with_crate("ffi").with_config(config).generate()?.write(&mut header);
    Ok(String::from_utf8(header)?)
}

/// The codes as constants, which is all that C has for an open set of numbers.
fn codes() -> String {
    let mut text = String::from("\n/** The code of success. */\n#define TERTULIA_OK 0\n");
    for (number, name, retryable, doc) in ROWS {
        let retry = if *retryable { " The same call can succeed later." } else { "" };
        write!(text, "/** {doc}{retry} */\n#define TERTULIA_ERROR_{} {number}\n", shouted(name)).expect("a string");
    }
    text
}

fn errors() -> String {
    let mut text = String::from(
        "# Errors\n\nThe codes of errors, the same in every language; made from core/src/error/code.rs by `cargo xtask codegen`. A number \
         is never reused; a newer\nlibrary may have more.\n\n| number | name | again | meaning |\n|---|---|---|---|\n",
    );
    for (number, name, retryable, doc) in ROWS {
        let again = if *retryable { "can succeed later" } else { "" };
        writeln!(text, "| {number} | `{name}` | {again} | {doc} |").expect("a string");
    }
    text
}

/// A name in capitals: `ModelMissing` is `MODEL_MISSING`.
fn shouted(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(character.to_ascii_uppercase());
    }
    text
}
