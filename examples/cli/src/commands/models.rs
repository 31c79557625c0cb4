//! `tertulia models`: model files.

use crate::args;
use crate::output::Output;
use crate::setup;
use tertulia::Result;
use tertulia_models::files::{ModelState, ModelStatus, ModelStore};

pub(crate) fn run(command: args::Models, output: &Output) -> Result<()> {
    let models = ModelStore::open_default()?;
    match command {
        args::Models::Pull { names } => {
            let defaults = models.manifest().default_names();
            let names: Vec<&str> = if names.is_empty() { defaults } else { names.iter().map(String::as_str).collect() };
            setup::pull(&models, &names, output)?;
            list(&models, |model| names.contains(&model.name.as_str()), output)
        }
        args::Models::List => list(&models, |_| true, output),
        args::Models::Verify { names } => verify(&models, names, output),
        args::Models::Path { name: Some(name) } => {
            let path = models.path(&name)?;
            output.result(&serde_json::json!({"name": name, "path": path}), || path.display().to_string())
        }
        args::Models::Path { name: None } => {
            let path = models.folder();
            output.result(&serde_json::json!({"path": path}), || path.display().to_string())
        }
        args::Models::Bundle { languages, out, names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            models.bundle(&names, &languages, &out)?;
            output.result(&serde_json::json!({"folder": out}), || out.display().to_string())
        }
    }
}

fn list(models: &ModelStore, wanted: impl Fn(&ModelStatus) -> bool, output: &Output) -> Result<()> {
    for model in models.list()?.iter().filter(|model| wanted(model)) {
        output.result(model, || {
            let state = match model.state {
                ModelState::Ready => "ready",
                ModelState::Missing => "missing",
                ModelState::Partial => "partial",
                ModelState::Outdated => "outdated",
                ModelState::Damaged => "damaged",
            };
            let default = if model.is_default { "default" } else { "" };
            let megabytes = model.download_bytes / 1_000_000;
            format!("{:42} {state:9} {default:8} {megabytes:5} MB  {}", model.name, model.licence)
        })?;
    }
    Ok(())
}

fn verify(models: &ModelStore, names: Vec<String>, output: &Output) -> Result<()> {
    let names = if names.is_empty() {
        let there = models.list()?.into_iter().filter(|model| model.state != ModelState::Missing);
        there.map(|model| model.name).collect()
    } else {
        names
    };
    for name in names {
        models.verify(&name)?;
        output.result(&serde_json::json!({"name": name, "verified": true}), || format!("{name}: verified"))?;
    }
    Ok(())
}
