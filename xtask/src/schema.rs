//! `cargo xtask schema`: writes the JSON Schemas of events and commands to `docs/schema`, or compares them with those files.

use crate::codegen::write_or_compare;
use crate::wer::Failure;
use std::path::Path;

const FOLDER: &str = "docs/schema";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Compare with docs/schema instead of writing it
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let files = tertulia::schema::files().into_iter().map(|(name, schema)| (Path::new(FOLDER).join(name), schema));
    write_or_compare("schema", arguments.check, files)
}
