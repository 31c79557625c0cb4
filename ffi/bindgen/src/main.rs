//! `tertulia-bindgen LIBRARY LANGUAGE FOLDER`: writes the sources that call the library, in `kotlin`, `swift` or `python`.
//!
//! The library must be built with the feature `uniffi` and not be stripped.

use std::io::Write;
use std::process::ExitCode;
use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate};

const NAMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bindgen.toml");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, language, folder] = &arguments[..] else { return failed("tertulia-bindgen LIBRARY LANGUAGE FOLDER") };
    let language = match language.as_str() {
        "kotlin" => TargetLanguage::Kotlin,
        "swift" => TargetLanguage::Swift,
        "python" => TargetLanguage::Python,
        other => return failed(&format!("{other} is none of kotlin, swift, python")),
    };
    let options = GenerateOptions {
        languages: vec![language],
        source: library.into(),
        out_dir: folder.into(),
        config_override: Some(NAMES.into()),
        ..GenerateOptions::default()
    };
    generate(options).map_or_else(|error| failed(&format!("{error:#}")), |()| ExitCode::SUCCESS)
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}
