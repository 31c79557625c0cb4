//! A bundle that is served over HTTP brings models, the voice too, without Python, npm or conversion; and the other calls
//! for files.

mod files_support;

use files_support::{Answer, Server, body, code_of, pull, store};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tertulia::backend::CancelFlag;
use tertulia::{ErrorCode, Result};
use tertulia_models::files::{BUNDLE_FILE, Manifest, ModelState, ModelStore, Phase, PullOptions, Role};
use tertulia_models::gguf::{GgmlType, GgufWriter};

const VOICE: &str = "small-voice";
const VOICE_BYTES: usize = 300_000;

/// Serves a folder, with ranges. The first answer with a GGUF file is cut after 100,000 bytes.
struct FolderServer {
    url: String,
    requests: Arc<Mutex<Vec<(String, usize)>>>,
}

impl FolderServer {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/models", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // The client may hang up; that is its right.
                let _ = serve(stream.unwrap(), &folder, &seen);
            }
        });
        Self { url, requests }
    }

    /// The file and the first byte of each request.
    fn requests(&self) -> Vec<(String, usize)> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, folder: &Path, seen: &Mutex<Vec<(String, usize)>>) -> std::io::Result<()> {
    let (mut name, mut start) = (String::new(), 0);
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(path) = line.strip_prefix("get /models/") {
            name = path.split(' ').next().unwrap().to_owned();
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let Ok(file) = std::fs::read(folder.join(&name)) else {
        return write!(stream, "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let is_first = !seen.lock().unwrap().iter().any(|(other, _)| *other == name);
    seen.lock().unwrap().push((name.clone(), start));
    let status = if start == 0 {
        "200 OK".to_owned()
    } else {
        format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", file.len() - 1, file.len())
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", file.len() - start)?;
    let end = if is_first && name.ends_with(".gguf") { 100_000 } else { file.len() };
    stream.write_all(&file[start..end])
}

/// A manifest with a voice that is published for Python alone and converted.
fn voice_manifest() -> Manifest {
    let json = serde_json::json!({
        "defaults": { "synthesizer": VOICE },
        "models": [{
            "name": VOICE, "role": "synthesizer", "licence": "Apache-2.0", "languages": ["en", "es"],
            "conversion": "kokoro_onnx", "output": "small-voice.gguf",
            "files": [{
                "name": "voice.onnx", "bytes": 1000, "sha256": "0".repeat(64),
                "sources": [{ "pip": ["voice==1"], "member": "*" }],
            }],
        }],
    });
    Manifest::from_json(&json.to_string()).unwrap()
}

/// A GGUF file as a conversion would make it.
fn voice_file(folder: &Path) -> PathBuf {
    let path = folder.join("converted.gguf");
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "kokoro");
    let data = (0..VOICE_BYTES).map(|i| ((i * 31) >> 3) as u8).collect();
    writer.tensor("weights", &[VOICE_BYTES / 4], GgmlType::F32, data).unwrap();
    writer.write(&path).unwrap();
    path
}

/// A folder with a bundle of the voice.
fn bundle(folder: &Path) -> PathBuf {
    let maker = ModelStore::with_manifest(folder.join("maker"), voice_manifest()).unwrap();
    maker.install(VOICE, &voice_file(folder)).unwrap();
    maker.verify(VOICE).unwrap();
    let out = folder.join("bundle");
    maker.bundle(&[VOICE], &["es".parse().unwrap()], &out).unwrap();
    out
}

#[test]
fn a_voice_comes_from_a_served_bundle_over_a_connection_that_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let server = FolderServer::start(bundle(folder.path()));
    let mut phases = Vec::new();
    let mut progress = |step: &tertulia_models::files::Progress| phases.push((step.model.clone(), step.done_bytes));
    let device = folder.path().join("device");
    let options = PullOptions::new().on_progress(&mut progress);
    let store = ModelStore::pull_bundle(&device, &format!("{}/", server.url), &[], options).unwrap();

    store.verify(VOICE).unwrap();
    assert_eq!(store.manifest().default_model(Role::Synthesizer).unwrap().name, VOICE);
    let info = store.list().unwrap().into_iter().find(|model| model.name == VOICE).unwrap();
    assert_eq!(info.state, ModelState::Ready);
    let json = serde_json::to_value(&info).unwrap();
    assert_eq!((&json["licence"], &json["languages"]), (&"Apache-2.0".into(), &serde_json::json!(["en", "es"])));
    let requests = server.requests();
    assert_eq!(requests[..2], [(BUNDLE_FILE.to_owned(), 0), ("small-voice.gguf".to_owned(), 0)]);
    assert!(requests[2].1 > 0, "the download goes on in the middle: {requests:?}");
    assert_eq!(requests.len(), 3);
    assert!(phases.iter().all(|(model, _)| model == VOICE) && !phases.is_empty());

    let again = ModelStore::pull_bundle(&device, &server.url, &[VOICE], PullOptions::new()).unwrap();
    again.verify(VOICE).unwrap();
    assert_eq!(server.requests().len(), 4, "the manifest alone is fetched again");
    assert_eq!(ModelStore::open(&device).unwrap().plan(&[VOICE]).unwrap().bytes, 0);
}

#[test]
fn a_served_bundle_that_is_absent_damaged_or_cancelled_leaves_nothing_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let out = bundle(folder.path());
    let server = FolderServer::start(out.clone());
    let device = folder.path().join("device");
    let pull = |url: &str, names: &[&str], options| ModelStore::pull_bundle(&device, url, names, options).map(drop);
    assert_eq!(code_of(pull(&format!("{}/no", server.url), &[], PullOptions::new())), ErrorCode::DownloadFailed);
    assert_eq!(code_of(pull("http://127.0.0.1:1/x", &[], PullOptions::new())), ErrorCode::DownloadFailed);
    assert_eq!(code_of(pull(&server.url, &["unknown"], PullOptions::new())), ErrorCode::ModelUnknown);
    let cancel = CancelFlag::new();
    cancel.cancel();
    assert_eq!(code_of(pull(&server.url, &[], PullOptions::new().cancel(cancel))), ErrorCode::Cancelled);

    let model = out.join("small-voice.gguf");
    let mut bytes = std::fs::read(&model).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&model, bytes).unwrap();
    assert_eq!(code_of(pull(&server.url, &[], PullOptions::new())), ErrorCode::ModelCorrupt);
    std::fs::write(out.join(BUNDLE_FILE), "{}").unwrap();
    assert_eq!(code_of(pull(&server.url, &[], PullOptions::new())), ErrorCode::InvalidConfig);
    assert!(!device.join("small-voice.gguf").exists() && !device.join(BUNDLE_FILE).exists());
}

#[test]
fn a_plan_says_what_a_pull_would_fetch() {
    let server = Server::start(vec![Answer::Whole]);
    let (_folder, store) = store(&[server.url()]);
    let plan = store.plan(&[]).unwrap();
    assert_eq!(plan, store.plan(&["test-model", "test-model"]).unwrap());
    assert_eq!(plan.bytes, body().len() as u64);
    let json = serde_json::to_value(&plan).unwrap();
    let file = &json["files"][0];
    assert_eq!((&file["model"], &file["licence"]), (&"test-model".into(), &"MIT".into()));
    assert_eq!(file["sources"][0]["https"], server.url());
    assert_eq!(store.plan(&["unknown"]).unwrap_err().code(), ErrorCode::ModelUnknown);
    pull(&store).unwrap();
    assert_eq!(store.plan(&[]).unwrap(), Default::default());
}

#[test]
fn a_file_is_installed_where_its_bytes_are_right_and_removed() -> Result<()> {
    let (folder, store) = store(&["http://127.0.0.1:1/model".into()]);
    let file = folder.path().join("fetched-by-the-host");
    assert_eq!(code_of(store.install("test-model", &file)), ErrorCode::ModelMissing);
    std::fs::write(&file, b"other bytes").unwrap();
    assert_eq!(code_of(store.install("test-model", &file)), ErrorCode::ModelCorrupt);
    assert_eq!(store.list()?[0].state, ModelState::Missing);
    assert!(store.verify_all()?.is_empty());

    std::fs::write(&file, body()).unwrap();
    store.install("test-model", &file)?;
    assert_eq!(store.list()?[0].state, ModelState::Ready);
    store.verify("test-model")?;
    let path = store.path("test-model")?;
    let sha256: String = Sha256::digest(std::fs::read(&path).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sha256, store.manifest().model("test-model")?.files[0].sha256);

    let mut changed = body();
    changed[5] ^= 1;
    std::fs::write(&path, changed).unwrap();
    let verified = store.verify_all()?;
    assert_eq!((verified.len(), verified[0].1.as_ref().unwrap_err().code()), (1, ErrorCode::ModelCorrupt));

    store.remove("test-model")?;
    store.remove("test-model")?;
    assert_eq!(store.list()?[0].state, ModelState::Missing);
    assert_eq!(code_of(store.remove("unknown")), ErrorCode::ModelUnknown);
    Ok(())
}

#[test]
fn a_converted_model_is_installed_as_a_whole_gguf_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::with_manifest(folder.path().join("models"), voice_manifest()).unwrap();
    let file = voice_file(folder.path());
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(code_of(store.install(VOICE, &file)), ErrorCode::ModelTruncated);
    std::fs::write(&file, b"nonsense, and not a model").unwrap();
    assert_eq!(code_of(store.install(VOICE, &file)), ErrorCode::ModelCorrupt);
    std::fs::write(&file, &bytes).unwrap();
    store.install(VOICE, &file).unwrap();
    store.verify(VOICE).unwrap();
}

#[test]
fn a_pull_is_a_job_that_gives_progress_and_can_be_dropped() {
    let server = Server::start(vec![Answer::Whole]);
    let (_folder, store) = store(&[server.url()]);
    let job = store.pull_job(&["test-model"]);
    let control = job.control();
    let (mut phases, mut last) = (Vec::new(), 0.0);
    job.run(|progress| {
        phases.push(progress.phase);
        assert!(control.progress() >= last);
        last = control.progress();
        Ok(())
    })
    .unwrap();
    assert_eq!((phases.last(), control.progress()), (Some(&Phase::Ready), 1.0));
    store.verify("test-model").unwrap();

    let job = store.pull_job(&["unknown"]);
    assert_eq!(job.run(|_| Ok(())).unwrap_err().code(), ErrorCode::ModelUnknown);
    let job = store.pull_job(&["test-model"]);
    job.control().cancel();
    assert_eq!(job.run(|_| Ok(())).unwrap_err().code(), ErrorCode::Cancelled);
}
