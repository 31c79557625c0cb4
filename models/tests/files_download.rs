//! A pull against a server that misbehaves: what arrives is whole and right, or is no model.

mod files_support;

use files_support::{Answer, Server, body, code_of, pull, store, store_of};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tertulia::ErrorCode;
use tertulia::backend::CancelFlag;
use tertulia_models::files::{ModelState, Phase, Progress, PullOptions};

#[test]
fn a_file_is_fetched_checked_and_put_in_place() {
    let server = Server::start(vec![Answer::Whole]);
    let (folder, store) = store(&[server.url()]);
    let mut steps: Vec<Progress> = Vec::new();
    let mut progress = |step: &Progress| steps.push(step.clone());
    store.pull(&["test-model"], PullOptions::new().on_progress(&mut progress)).unwrap();

    assert_eq!(std::fs::read(store.path("test-model").unwrap()).unwrap(), body());
    store.verify("test-model").unwrap();
    assert!(!folder.path().join("downloads").exists(), "nothing is left of the download");
    assert!(steps.iter().any(|step| step.phase == Phase::Downloading && step.total_bytes == body().len() as u64));
    assert_eq!(steps.last().unwrap().phase, Phase::Ready);
    assert_eq!(server.requests().len(), 1);

    pull(&store).unwrap();
    assert_eq!(server.requests().len(), 1, "what is there is not fetched again");
}

#[test]
fn a_connection_killed_at_nine_tenths_goes_on_where_it_stopped() {
    let nine_tenths = body().len() * 9 / 10;
    let server = Server::start(vec![Answer::WholeButKilledAfter(nine_tenths), Answer::Range]);
    let (_folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(server.requests(), [None, Some(nine_tenths)]);
}

#[test]
fn a_server_that_ignores_the_range_has_the_file_start_anew() {
    let server = Server::start(vec![Answer::WholeButKilledAfter(1000), Answer::Whole]);
    let (_folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(server.requests(), [None, Some(1000)]);
}

#[test]
fn another_range_than_asked_for_is_rejected() {
    let server = Server::start(vec![Answer::WholeButKilledAfter(1000), Answer::RangeFrom(900), Answer::Whole]);
    let (_folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(server.requests(), [None, Some(1000), None]);
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let server = Server::start(vec![Answer::WrongBytes]);
    let (folder, store) = store(&[server.url()]);
    assert_eq!(code_of(pull(&store)), ErrorCode::ModelCorrupt);
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelMissing);
    let files = folder.path().join("downloads/test-model/files");
    assert_eq!(std::fs::read_dir(files).unwrap().count(), 0, "not even a part stays");
}

#[test]
fn after_wrong_bytes_the_next_source_is_asked() {
    let wrong = Server::start(vec![Answer::WrongBytes]);
    let right = Server::start(vec![Answer::Whole]);
    let (_folder, store) = store(&[wrong.url(), right.url()]);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(right.requests(), [None], "nothing of the wrong bytes is gone on with");
}

#[test]
fn a_part_that_is_wrong_itself_is_fetched_anew() {
    let server = Server::start(vec![Answer::Range, Answer::Whole]);
    let (folder, store) = store(&[server.url()]);
    let files = folder.path().join("downloads/test-model/files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("upstream.gguf.part"), [0xAA; 5000]).unwrap();
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(server.requests(), [Some(5000), None]);
}

#[test]
fn a_short_body_is_no_model_and_its_part_is_kept() {
    // The server says how long its body is, and says too little.
    let server = Server::start(vec![Answer::ShortBody(2000), Answer::ShortRange(0)]);
    let (folder, store) = store(&[server.url()]);
    assert_eq!(code_of(pull(&store)), ErrorCode::DownloadFailed);
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelMissing);
    assert_eq!(store.list().unwrap()[0].state, ModelState::Partial);
    let part = folder.path().join("downloads/test-model/files/upstream.gguf.part");
    assert_eq!(std::fs::read(part).unwrap(), body()[..2000]);
}

#[test]
fn a_body_that_is_too_long_is_no_model() {
    let server = Server::start(vec![Answer::TooLong]);
    let (_folder, store) = store(&[server.url()]);
    assert_eq!(code_of(pull(&store)), ErrorCode::ModelCorrupt);
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelMissing);
}

#[test]
fn a_missing_file_sends_to_the_next_source() {
    let gone = Server::start(vec![Answer::Status(404)]);
    let right = Server::start(vec![Answer::Whole]);
    let (_folder, store) = store(&[gone.url(), right.url()]);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
}

#[test]
fn a_redirect_is_followed() {
    let right = Server::start(vec![Answer::Whole]);
    let server = Server::start(vec![Answer::RedirectTo(right.url())]);
    let (_folder, store) = store(&[server.url()]);
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
}

#[test]
fn when_no_source_has_the_file_the_error_says_why_of_each() {
    let first = Server::start(vec![Answer::Status(404)]);
    let second = Server::start(vec![Answer::Status(503)]);
    let (_folder, store) = store(&[first.url(), second.url()]);
    let error = pull(&store).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DownloadFailed);
    assert!(error.is_retryable());
    for part in [first.url(), second.url(), "404".into(), "503".into()] {
        assert!(error.detail().contains(&part), "{part} is not in: {}", error.detail());
    }
}

#[test]
fn a_host_that_cannot_be_reached_is_asked_once() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/model");
    let (_folder, store) = store(&[url.clone(), url]);
    let error = pull(&store).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DownloadFailed);
    assert!(error.detail().contains("could not be reached before"), "{}", error.detail());
}

#[test]
fn a_cancelled_pull_stops_at_once_and_the_next_one_goes_on() {
    let half = body().len() / 2;
    let server = Server::start(vec![Answer::WholeButStalledAfter(half), Answer::Range]);
    let (_folder, store) = store(&[server.url()]);
    let cancel = CancelFlag::new();
    let stalled = AtomicBool::new(false);
    let (error, waited) = std::thread::scope(|scope| {
        let puller = scope.spawn(|| {
            let mut progress = |step: &Progress| {
                stalled.fetch_or(step.done_bytes == half as u64, Ordering::SeqCst);
            };
            let options = PullOptions::new().on_progress(&mut progress).cancel(cancel.clone());
            let error = store.pull(&["test-model"], options).unwrap_err();
            (error, Instant::now())
        });
        while !stalled.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        let cancelled = Instant::now();
        let (error, ended) = puller.join().unwrap();
        (error, ended - cancelled)
    });
    assert_eq!(error.code(), ErrorCode::Cancelled);
    assert!(waited < Duration::from_secs(2), "the cancel took {waited:?} on a connection that is silent for ever");
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelMissing);

    pull(&store).unwrap();
    store.verify("test-model").unwrap();
    assert_eq!(server.requests(), [None, Some(half)]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_has_its_own_code_and_leaves_no_model() {
    let server = Server::start(vec![Answer::Whole, Answer::Whole]);
    let (folder, store) = store(&[server.url()]);
    let files = folder.path().join("downloads/test-model/files");
    std::fs::create_dir_all(&files).unwrap();
    let part = files.join("upstream.gguf.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = pull(&store).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ModelDiskFull);
    assert!(error.is_retryable());
    assert_eq!(code_of(store.path("test-model").map(drop)), ErrorCode::ModelMissing);

    std::fs::remove_file(&part).unwrap();
    pull(&store).unwrap();
    store.verify("test-model").unwrap();
}

#[test]
fn of_two_pulls_at_once_one_waits_and_neither_fetches_twice() {
    let server = Server::start(vec![Answer::WholeSlowly]);
    let (folder, first) = store(&[server.url()]);
    let second = store_of(folder.path(), &[server.url()]);
    let waited = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pulls = [&first, &second].map(|store| {
            scope.spawn(|| {
                let mut progress = |step: &Progress| {
                    waited.fetch_or(step.phase == Phase::Waiting, Ordering::SeqCst);
                };
                store.pull(&["test-model"], PullOptions::new().on_progress(&mut progress))
            })
        });
        for pull in pulls {
            pull.join().unwrap().unwrap();
        }
    });
    assert!(waited.load(Ordering::SeqCst));
    assert_eq!(server.requests().len(), 1);
    first.verify("test-model").unwrap();
}

#[test]
fn a_host_may_bring_the_bytes_itself() {
    struct FromMemory;
    impl tertulia_models::files::Fetcher for FromMemory {
        fn fetch(
            &self,
            source: &tertulia_models::files::Source,
            part: &mut tertulia_models::files::Part<'_>,
        ) -> tertulia::Result<()> {
            assert_eq!(source.to_string(), "https://models.invalid/model");
            let start = part.len() as usize;
            part.write(&body()[start..])?;
            part.report(Phase::Downloading, part.len())
        }
    }
    let (_folder, store) = store(&["https://models.invalid/model".into()]);
    store.pull(&["test-model"], PullOptions::new().fetcher(&FromMemory)).unwrap();
    store.verify("test-model").unwrap();
}
