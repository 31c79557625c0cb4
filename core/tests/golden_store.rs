//! The golden store of the bindings' conformance tests, read in Rust.

use serde_json::json;
use std::fs;
use std::io::BufReader;
use std::path::Path;
use tertulia::store::{ImportOptions, StoreLocation};
use tertulia::testing::scenario::{GoldenAction, GoldenRun};
use tertulia::{Engine, EngineBuilder, Result, SessionEngine};

const GOLDEN: &str = include_str!("../../bindings/conformance/golden.json");
const STORE: &[u8] = include_bytes!("../../bindings/conformance/golden.redb");

fn act(engine: &mut Option<Engine>, action: GoldenAction) -> Result<Option<String>> {
    if let GoldenAction::OpenEngine(store) = action {
        *engine = Some(EngineBuilder::new().store(StoreLocation::File(store)).build()?);
        return Ok(None);
    }
    let engine = engine.as_ref().expect("it is opened first");
    let json = match action {
        GoldenAction::OpenEngine(_) => unreachable!("it was opened above"),
        GoldenAction::Apply(command) => engine.apply(*command)?.to_json(),
        GoldenAction::ReadAudio { session, turn, kind } => {
            let audio = engine.audio(session, turn, kind)?;
            json!({"rate": audio.rate, "samples": audio.samples}).to_string()
        }
        GoldenAction::Export { session, path } => {
            let file = Box::new(fs::File::create(path).unwrap());
            serde_json::to_string(&engine.export_session_to(session, file).wait()?).unwrap()
        }
        GoldenAction::Import { path, new_id } => {
            let file = Box::new(BufReader::new(fs::File::open(path).unwrap()));
            let options = ImportOptions { new_id: Some(new_id), ..ImportOptions::default() };
            serde_json::to_string(&engine.import_session(file, options).wait()?).unwrap()
        }
    };
    Ok(Some(json))
}

fn check(golden: &str, store: &Path) -> std::result::Result<(), String> {
    fs::write(store, STORE).unwrap();
    let mut run = GoldenRun::new(golden, store).unwrap();
    let (mut engine, mut result) = (None, Ok(None));
    while let Some(action) = run.next(result).map_err(|error| error.to_string())? {
        result = act(&mut engine, action);
    }
    run.finish()
}

#[test]
fn the_golden_store_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("golden.redb");
    check(GOLDEN, &store).unwrap_or_else(|difference| panic!("{difference}"));
    for (part, other) in
        [("número 1", "número 9"), ("\"turns\": 6", "\"turns\": 7"), ("\"rate\": 16000", "\"rate\": 8000")]
    {
        let changed = GOLDEN.replacen(part, other, 1);
        assert_ne!(changed, GOLDEN, "{part}");
        let difference = check(&changed, &store).expect_err(part);
        assert!(difference.contains(other) || difference.contains(&other.replace(": ", ":")), "{part}: {difference}");
    }
}
