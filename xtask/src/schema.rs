//! `cargo xtask schema`: writes the JSON Schemas of events and commands to `docs/schema`, or compares them with those files.

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
    let mut same = true;
    for (name, schema) in tertulia::schema::files() {
        let path = Path::new(FOLDER).join(name);
        if !arguments.check {
            std::fs::create_dir_all(FOLDER)?;
            std::fs::write(path, schema)?;
        } else if std::fs::read_to_string(&path)? != schema {
            println!("{} is not up to date; `cargo xtask schema` writes it", path.display());
            same = false;
        }
    }
    Ok(same)
}
