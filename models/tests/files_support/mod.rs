//! A server that answers as it is told, and a store whose one model comes from it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tertulia::{ErrorCode, Result};
use tertulia_models::files::{Manifest, ModelStore, PullOptions};

/// The server's answer to one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 with everything, whatever was asked for.
    Whole,
    /// The same, over half a second.
    WholeSlowly,
    /// 200, and the connection is closed after so many bytes.
    WholeButKilledAfter(usize),
    /// 200, and after so many bytes nothing more ever comes.
    WholeButStalledAfter(usize),
    /// 206 from where it was asked for.
    Range,
    /// 206 from somewhere else.
    RangeFrom(usize),
    /// 200 with so many bytes, and a Content-Length that says just that.
    ShortBody(usize),
    /// 206 from where it was asked for, with so many bytes.
    ShortRange(usize),
    /// 200 with as many bytes, but others.
    WrongBytes,
    /// 200 with more than there should be.
    TooLong,
    /// Nothing but a status.
    Status(u16),
    /// 302 to another address.
    RedirectTo(String),
}

/// Listens on a port of its own until the process ends.
pub(crate) struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    /// Answers the requests with `answers`, one after the other; further ones with 500.
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/model", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let answer = answers.next().unwrap_or(Answer::Status(500));
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(stream.unwrap(), answer, &seen));
            }
        });
        Self { url, requests }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The first byte that each request asked for with a Range header.
    pub(crate) fn requests(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answer: Answer, seen: &Mutex<Vec<Option<usize>>>) {
    let mut start = None;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap().to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = Some(range.strip_suffix('-').unwrap().parse().unwrap());
        }
        if line.is_empty() {
            break;
        }
    }
    seen.lock().unwrap().push(start);
    // The client may hang up in the middle; that is its right.
    let _ = respond(stream, answer, start.unwrap_or(0));
}

fn respond(mut stream: TcpStream, answer: Answer, start: usize) -> std::io::Result<()> {
    let body = body();
    let len = body.len();
    let range = |first: usize| format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{len}", len - 1);
    let mut head = |status: &str, len: usize| {
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n")?;
        stream.try_clone()
    };
    match answer {
        Answer::Whole => head("200 OK", len)?.write_all(&body),
        Answer::WholeSlowly => {
            let mut stream = head("200 OK", len)?;
            for block in body.chunks(len.div_ceil(10)) {
                std::thread::sleep(Duration::from_millis(50));
                stream.write_all(block)?;
            }
            Ok(())
        }
        Answer::WholeButKilledAfter(sent) => head("200 OK", len)?.write_all(&body[..sent]),
        Answer::WholeButStalledAfter(sent) => {
            let mut stream = head("200 OK", len)?;
            stream.write_all(&body[..sent])?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Answer::Range => head(&range(start), len - start)?.write_all(&body[start..]),
        Answer::RangeFrom(first) => head(&range(first), len - first)?.write_all(&body[first..]),
        Answer::ShortBody(sent) => head("200 OK", sent)?.write_all(&body[..sent]),
        Answer::ShortRange(sent) => head(&range(start), sent)?.write_all(&body[start..start + sent]),
        Answer::WrongBytes => head("200 OK", len)?.write_all(&vec![0x55; len]),
        Answer::TooLong => head("200 OK", len + 1)?.write_all(&[body.as_slice(), &[0]].concat()),
        Answer::Status(status) => head(&format!("{status} No"), 0).map(drop),
        Answer::RedirectTo(url) => head(&format!("302 Found\r\nLocation: {url}"), 0).map(drop),
    }
}

/// The model's bytes; several blocks of whatever anybody reads or writes at once, and not a multiple of them.
pub(crate) fn body() -> Vec<u8> {
    (0..1_000_003u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A store in a folder of its own, whose one model, `test-model`, comes from these addresses.
pub(crate) fn store(urls: &[String]) -> (tempfile::TempDir, ModelStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(folder.path(), urls);
    (folder, store)
}

pub(crate) fn store_of(folder: &Path, urls: &[String]) -> ModelStore {
    let sources: Vec<_> = urls.iter().map(|url| serde_json::json!({ "https": url })).collect();
    ModelStore::with_manifest(folder, manifest("upstream.gguf", &body(), sources.into())).unwrap()
}

/// A manifest with one chat model, `test-model`, that needs no conversion.
pub(crate) fn manifest(file: &str, bytes: &[u8], sources: serde_json::Value) -> Manifest {
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let json = serde_json::json!({
        "defaults": { "chat": "test-model" },
        "models": [{
            "name": "test-model", "role": "chat", "licence": "MIT", "languages": ["en"], "output": "test-model.gguf",
            "files": [{ "name": file, "bytes": bytes.len(), "sha256": sha256, "sources": sources }],
        }],
    });
    Manifest::from_json(&json.to_string()).unwrap()
}

pub(crate) fn pull(store: &ModelStore) -> Result<()> {
    store.pull(&["test-model"], PullOptions::new())
}

pub(crate) fn code_of(result: Result<()>) -> ErrorCode {
    result.unwrap_err().code()
}
