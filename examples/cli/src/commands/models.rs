//! `tertulia models`: model files.

use crate::args;
use crate::output::Output;
use crate::setup;
use tertulia::Result;
use tertulia_models::files::{ModelInfo, ModelState, ModelStore, PullOptions};

pub(crate) fn run(command: args::Models, output: &Output) -> Result<()> {
    let models = ModelStore::open_default()?;
    match command {
        args::Models::Pull { from: Some(url), names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let pull = |options: PullOptions<'_>| ModelStore::pull_bundle(models.folder(), &url, &names, options);
            let models = setup::with_progress(output, pull)?;
            list(&models, |model| model.state == ModelState::Ready, output)
        }
        args::Models::Pull { from: None, names } => {
            let defaults = models.manifest().default_names();
            let names: Vec<&str> = if names.is_empty() { defaults } else { names.iter().map(String::as_str).collect() };
            setup::pull(&models, &names, output)?;
            list(&models, |model| names.contains(&model.name.as_str()), output)
        }
        args::Models::Plan { names } => plan(&models, &names, output),
        args::Models::Install { name, path } => {
            models.install(&name, &path)?;
            list(&models, |model| model.name == name, output)
        }
        args::Models::Remove { names } => {
            names.iter().try_for_each(|name| models.remove(name))?;
            list(&models, |model| names.contains(&model.name), output)
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

fn list(models: &ModelStore, wanted: impl Fn(&ModelInfo) -> bool, output: &Output) -> Result<()> {
    for model in models.list()?.iter().filter(|model| wanted(model)) {
        output.result(model, || {
            let state = match model.state {
                ModelState::Ready => "ready",
                ModelState::Missing => "missing",
                ModelState::Partial => "partial",
                ModelState::Outdated => "outdated",
                ModelState::Damaged => "damaged",
                _ => "unknown",
            };
            let default = if model.is_default { "default" } else { "" };
            let megabytes = model.download_bytes / 1_000_000;
            format!("{:42} {state:9} {default:8} {megabytes:5} MB  {}", model.name, model.licence)
        })?;
    }
    Ok(())
}

fn plan(models: &ModelStore, names: &[String], output: &Output) -> Result<()> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan = models.plan(&names)?;
    output.result(&plan, || {
        let mut text = String::new();
        for file in &plan.files {
            let from = file.sources.first().map(ToString::to_string).unwrap_or_default();
            text += &format!("{}: {}, {} bytes, {}, {from}\n", file.model, file.name, file.bytes, file.licence);
        }
        text + &format!("{} bytes in all", plan.bytes)
    })
}

fn verify(models: &ModelStore, names: Vec<String>, output: &Output) -> Result<()> {
    let verified = if names.is_empty() {
        models.verify_all()?
    } else {
        names.into_iter().map(|name| (name.clone(), models.verify(&name))).collect()
    };
    for (name, result) in verified {
        result?;
        output.result(&serde_json::json!({"name": name, "verified": true}), || format!("{name}: verified"))?;
    }
    Ok(())
}
