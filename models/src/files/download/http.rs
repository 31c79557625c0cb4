//! [`HttpFetcher`]: downloads that go on where they stopped.

use super::progress::Phase;
use super::{Fetcher, Part, Source};
use std::collections::HashSet;
use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use tertulia::backend::CancelFlag;
use tertulia::{Error, ErrorCode, Result};

const BLOCK_BYTES: usize = 1 << 16;
/// The most bytes of a file that is read into memory.
const SMALL_BYTES_MAX: usize = 1 << 20;
/// Blocks that may wait between the connection and the disk.
const BLOCKS_WAITING: usize = 8;
/// How often a download that broke off after some bytes goes on by itself.
const RESUMES_MAX: usize = 5;
/// How soon a cancel is seen.
const CANCEL_LATENCY: Duration = Duration::from_millis(50);

/// Downloads over HTTP(S): goes on with a Range request where a part is there, starts again where the server does not
/// know ranges, follows redirects.
///
/// A host that could not be reached is not tried again by the same fetcher.
#[derive(Debug)]
pub struct HttpFetcher {
    agent: ureq::Agent,
    unreachable_hosts: Mutex<HashSet<String>>,
}

/// How long a download waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// For the host's address, and as long again for a connection.
    pub connect: Duration,
    /// For the next bytes.
    pub read: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(30) }
    }
}

impl Default for HttpFetcher {
    fn default() -> Self {
        Self::new(HttpTimeouts::default())
    }
}

impl HttpFetcher {
    /// A fetcher that knows nothing of any host yet.
    pub fn new(timeouts: HttpTimeouts) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.read))
            .timeout_per_read(Some(timeouts.read))
            .user_agent(concat!("tertulia/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .build()
            .new_agent();
        Self { agent, unreachable_hosts: Mutex::default() }
    }

    /// One request. `Ok` where the body ended by itself.
    fn attempt(&self, url: &str, part: &mut Part<'_>) -> Result<(), Failure> {
        let start = part.len();
        let messages = self.request(url, start)?;
        let Some(Message::Head { status, content_range }) = next(&messages, part)? else {
            return Err(Failure::Broken("download thread ended".into()));
        };
        match status {
            200 => part.restart()?,
            206 if start > 0 && continues_at(content_range.as_deref(), start, part.expected_len()) => {}
            206 | 416 if start > 0 => return Err(Failure::WrongRange(content_range)),
            status => return Err(Failure::Final(failed(format!("server answered {status}")))),
        }
        while let Some(Message::Data(block)) = next(&messages, part)? {
            part.write(&block)?;
            part.report(Phase::Downloading, part.len())?;
        }
        Ok(())
    }

    /// The whole of a small file, at most 1 MiB.
    pub(super) fn small_file(&self, url: &str, cancel: &CancelFlag) -> Result<Vec<u8>> {
        let failed = |why: String| failed(format!("{url}: {why}"));
        let messages = self.request(url, 0)?;
        let mut bytes = Vec::new();
        loop {
            cancel.check()?;
            match messages.recv_timeout(CANCEL_LATENCY) {
                Ok(Ok(Message::Head { status: 200, .. })) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Ok(Message::Head { status, .. })) => return Err(failed(format!("server answered {status}"))),
                Ok(Ok(Message::Data(block))) => bytes.extend_from_slice(&block),
                Ok(Err(Failure::Unreachable(error))) => return Err(failed(error.to_string()).with_source(error)),
                Ok(Err(Failure::Broken(why))) => return Err(failed(why)),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::WrongRange(_))) => return Err(failed("server sent a range".into())),
                Err(RecvTimeoutError::Disconnected) => return Ok(bytes),
            }
            if bytes.len() > SMALL_BYTES_MAX {
                return Err(failed("file is too large: 1 MiB at most expected".into()));
            }
        }
    }

    /// Starts a request for the bytes from `start` on. It runs on a thread of its own, because a read cannot be
    /// cancelled; a forgotten one ends with its next block or time limit.
    fn request(&self, url: &str, start: u64) -> Result<Receiver<Result<Message, Failure>>> {
        let mut request = self.agent.get(url);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let (sender, receiver) = sync_channel(BLOCKS_WAITING);
        std::thread::Builder::new()
            .name("tertulia-download".into())
            .spawn(move || {
                if let Err(failure) = receive(request, &sender) {
                    let _ = sender.send(Err(failure));
                }
            })
            .map_err(|error| failed("download thread cannot be started").with_source(error))?;
        Ok(receiver)
    }

    fn unreachable(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.unreachable_hosts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Fetcher for HttpFetcher {
    fn fetch(&self, source: &Source, part: &mut Part<'_>) -> Result<()> {
        let Source::Https { https: url } = source else {
            return Err(failed("source is a package: an address expected"));
        };
        if self.unreachable().contains(host(url)) {
            return Err(failed("host could not be reached before"));
        }
        let mut ranges_wrong = 0;
        let mut resumes = 0;
        loop {
            let before = part.len();
            let why = match self.attempt(url, part) {
                Ok(()) if part.len() == part.expected_len() => return Ok(()),
                Ok(()) => format!("body is truncated: {} of {} bytes", part.len(), part.expected_len()),
                Err(Failure::Broken(why)) => why,
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unreachable(error)) => {
                    self.unreachable().insert(host(url).to_owned());
                    return Err(failed(error.to_string()).with_source(error));
                }
                Err(Failure::WrongRange(range)) => {
                    // Bytes from another place of the file would spoil it: ask for all of it, once.
                    ranges_wrong += 1;
                    if ranges_wrong > 1 {
                        return Err(failed(format!("server sent another range than asked for: {range:?}")));
                    }
                    part.restart()?;
                    continue;
                }
            };
            resumes += 1;
            if part.len() <= before || resumes > RESUMES_MAX {
                return Err(failed(why));
            }
            tracing::debug!(resumes, "a download broke off and goes on");
        }
    }
}

enum Failure {
    /// Asking again makes no sense.
    Final(Error),
    /// The host did not answer.
    Unreachable(ureq::Error),
    /// The connection ended too early.
    Broken(String),
    /// The server answered with a range that was not asked for, or has none.
    WrongRange(Option<String>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// A part of an answer; the channel closes at its end.
enum Message {
    Head { status: u16, content_range: Option<String> },
    Data(Vec<u8>),
}

/// The next message, with a look at the cancel flag while there is none; `None` at the end.
fn next(messages: &Receiver<Result<Message, Failure>>, part: &mut Part<'_>) -> Result<Option<Message>, Failure> {
    loop {
        match messages.recv_timeout(CANCEL_LATENCY) {
            Ok(message) => return message.map(Some),
            Err(RecvTimeoutError::Timeout) => part.report(Phase::Downloading, part.len())?,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Sends one answer, block by block. It ends when the receiver is gone.
fn receive(
    request: ureq::RequestBuilder<ureq::typestate::WithoutBody>,
    sender: &SyncSender<Result<Message, Failure>>,
) -> Result<(), Failure> {
    let response = request.call().map_err(Failure::Unreachable)?;
    let content_range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let content_range = content_range.map(str::to_owned);
    let mut message = Message::Head { status: response.status().as_u16(), content_range };
    let mut body = response.into_body().into_reader();
    while sender.send(Ok(message)).is_ok() {
        let mut block = vec![0; BLOCK_BYTES];
        let len = body.read(&mut block).map_err(|error| Failure::Broken(error.to_string()))?;
        if len == 0 {
            break;
        }
        block.truncate(len);
        message = Message::Data(block);
    }
    Ok(())
}

/// True if a Content-Range says that the body goes on at `start` of a file of `len` bytes.
fn continues_at(content_range: Option<&str>, start: u64, len: u64) -> bool {
    let parse = || {
        let (range, total) = content_range?.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total_fits = total == "*" || total.parse() == Ok(len);
        let last: u64 = last.trim().parse().ok()?;
        Some(first.trim().parse() == Ok(start) && last >= start && last < len && total_fits)
    };
    parse().unwrap_or(false)
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn failed(why: impl Into<String>) -> Error {
    Error::new(ErrorCode::DownloadFailed, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_range_that_was_asked_for_continues_a_file() {
        assert!(continues_at(Some("bytes 10-99/100"), 10, 100));
        assert!(continues_at(Some("bytes 10-50/*"), 10, 100));
        for wrong in
            ["bytes 0-99/100", "bytes 11-99/100", "bytes 10-99/101", "bytes 10-100/*", "bytes */100", "10-99/100"]
        {
            assert!(!continues_at(Some(wrong), 10, 100), "{wrong}");
        }
        assert!(!continues_at(None, 10, 100));
    }
}
