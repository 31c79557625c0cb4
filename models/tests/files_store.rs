//! A folder of models says what is wrong with each, and a bundle is one that needs nothing else.

mod files_support;

use files_support::{Answer, Server, body, code_of, pull, store, store_of};
use tertulia::ErrorCode;
use tertulia_models::files::{BUNDLE_FILE, Conversion, Manifest, ModelState, ModelStore, Role, Source};

#[test]
fn an_absent_model_is_missing_and_the_error_tells_the_remedy() {
    let (folder, store) = store(&["http://127.0.0.1:1/model".into()]);
    for result in [store.path("test-model").map(drop), store.verify("test-model")] {
        let error = result.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ModelMissing);
        assert!(error.detail().contains(folder.path().to_str().unwrap()), "{}", error.detail());
        assert!(error.detail().contains("tertulia models pull test-model"), "{}", error.detail());
    }
    assert_eq!(store.list().unwrap()[0].state, ModelState::Missing);
    assert_eq!(code_of(store.path("nobody").map(drop)), ErrorCode::ModelUnknown);
    assert_eq!(code_of(store.pull(&["nobody"], Default::default())), ErrorCode::ModelUnknown);
}

#[test]
fn a_truncated_and_a_changed_model_have_their_own_codes_and_are_made_anew() {
    let server = Server::start(vec![Answer::Whole; 2]);
    let (_folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    let path = store.path("test-model").unwrap();

    std::fs::write(&path, &body()[..500_000]).unwrap();
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelTruncated);
    assert_eq!(code_of(store.verify("test-model")), ErrorCode::ModelTruncated);
    assert_eq!(store.list().unwrap()[0].state, ModelState::Damaged);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();

    let mut changed = body();
    changed[777_777] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    store.path("test-model").expect("the size is right, and nothing else is looked at");
    assert_eq!(code_of(store.verify("test-model")), ErrorCode::ModelCorrupt);

    changed.push(0);
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelCorrupt);
}

#[test]
fn a_model_put_there_by_hand_is_taken_where_its_bytes_are_right() {
    let (folder, store) = store(&["http://127.0.0.1:1/model".into()]);
    let path = folder.path().join("test-model.gguf");
    std::fs::write(&path, body()).unwrap();
    store.verify("test-model").unwrap();
    pull(&store).expect("nothing needs to be fetched");
    assert_eq!(store.list().unwrap()[0].state, ModelState::Ready);

    std::fs::remove_file(folder.path().join("test-model.gguf.json")).unwrap();
    std::fs::write(&path, vec![0; body().len()]).unwrap();
    assert_eq!(code_of(store.verify("test-model")), ErrorCode::ModelCorrupt);
    assert_eq!(code_of(pull(&store)), ErrorCode::DownloadFailed);
}

#[test]
fn a_model_of_another_manifest_version_is_made_anew() {
    let server = Server::start(vec![Answer::Whole]);
    let (folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    let newer =
        files_support::manifest("upstream.gguf", b"newer bytes", serde_json::json!([{ "https": server.url() }]));
    let newer = ModelStore::with_manifest(folder.path(), newer).unwrap();
    assert_eq!(newer.list().unwrap()[0].state, ModelState::Outdated);
}

#[test]
fn a_bundle_is_a_store_that_needs_nothing_else() {
    let server = Server::start(vec![Answer::Whole]);
    let (_folder, store) = store(&[server.url()]);
    let out = tempfile::tempdir().unwrap();
    let en = ["en".parse().unwrap()];
    assert_eq!(code_of(store.bundle(&[], &en, out.path())), ErrorCode::ModelMissing);
    pull(&store).unwrap();
    let es = ["en".parse().unwrap(), "es-MX".parse().unwrap()];
    assert_eq!(code_of(store.bundle(&[], &es, out.path())), ErrorCode::LanguageUnsupported);
    store.bundle(&[], &en, out.path()).unwrap();

    let mut names: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [BUNDLE_FILE, "test-model.gguf"]);

    // The app's library knows nothing of the model but what the bundle says.
    let shipped = ModelStore::open(out.path()).unwrap();
    shipped.verify("test-model").unwrap();
    assert_eq!(shipped.manifest().default_model(Role::Chat).unwrap().name, "test-model");
    shipped.pull(&["test-model"], Default::default()).expect("the server would answer 500 now");
    assert_eq!(server.requests().len(), 1);

    std::fs::write(out.path().join("test-model.gguf"), b"cut").unwrap();
    assert_eq!(code_of(shipped.verify("test-model")), ErrorCode::ModelTruncated);
    std::fs::write(out.path().join(BUNDLE_FILE), b"{").unwrap();
    assert_eq!(ModelStore::open(out.path()).unwrap_err().code(), ErrorCode::InvalidConfig);
}

#[test]
fn a_changed_model_does_not_get_into_a_bundle() {
    let server = Server::start(vec![Answer::Whole]);
    let (folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    let mut changed = body();
    changed[5] ^= 1;
    std::fs::write(store.path("test-model").unwrap(), changed).unwrap();
    let out = folder.path().join("out");
    assert_eq!(code_of(store.bundle(&[], &[], &out)), ErrorCode::ModelCorrupt);
    assert_eq!(std::fs::read_dir(out).unwrap().count(), 0);
}

#[test]
fn the_model_folder_may_be_no_folder() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let store = store_of(file.path(), &["http://127.0.0.1:1/model".into()]);
    assert_eq!(code_of(pull(&store)), ErrorCode::ModelStoreFailed);
}

#[test]
fn the_built_in_manifest_names_every_default_and_pins_every_file() {
    let manifest = Manifest::built_in();
    let names = manifest.default_names();
    assert_eq!(names.len(), 5);
    for role in [Role::Recognizer, Role::Chat, Role::Synthesizer, Role::Vad, Role::TurnDetector] {
        assert_eq!(manifest.default_model(role).unwrap().role, role);
    }
    for model in &manifest.models {
        assert!(!model.licence.is_empty());
        for file in &model.files {
            let first_https = file.sources.iter().position(|source| matches!(source, Source::Https { .. }));
            assert!(first_https.is_none_or(|at| at == 0), "{}: addresses come first", file.name);
            let has_package = file.sources.iter().any(|source| !matches!(source, Source::Https { .. }));
            assert!(has_package, "{}: every file has a package to fall back to", file.name);
        }
    }
    let kokoro = manifest.model("kokoro-82m").unwrap();
    assert_eq!(kokoro.conversion, Conversion::KokoroOnnx);
    assert_eq!(kokoro.files.iter().filter(|file| file.name.ends_with(".bin")).count(), 31);
}

#[test]
fn a_manifest_that_could_do_harm_is_refused() {
    let good =
        serde_json::to_value(files_support::manifest("a.gguf", b"x", serde_json::json!([{ "https": "https://x/y" }])));
    let good = good.unwrap();
    Manifest::from_json(&good.to_string()).unwrap();
    let harm = |pointer: &str, value: serde_json::Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        let refused = Manifest::from_json(&bad.to_string()).expect_err(&format!("{pointer} = {value}"));
        assert_eq!(refused.code(), ErrorCode::InvalidConfig);
    };
    for name in ["../x.gguf", "a/b.gguf", "", ".hidden.gguf", "c:\\x.gguf", "x.bin"] {
        harm("/models/0/output", name.into());
    }
    harm("/models/0/files/0/name", "../../x".into());
    harm("/models/0/name", "a/b".into());
    harm("/models/0/files/0/sha256", "ABC".into());
    harm("/models/0/files/0/bytes", 0.into());
    harm("/models/0/files/0/sources", serde_json::json!([]));
    harm("/models/0/files/0/sources/0", serde_json::json!({ "https": "file:///etc/passwd" }));
    harm("/models/0/files/0/sources/0", serde_json::json!({ "pip": ["--index-url=x==1"], "member": "*" }));
    harm("/models/0/files/0/sources/0", serde_json::json!({ "npm": "-g@1", "member": "*" }));
    harm("/models/0/conversion", "magic".into());
}
