//! [`ModelStore::pull`]: fetch, check, convert, put in place.

use super::progress::{Phase, Progress};
use super::{
    Conversion, DefaultFetcher, Fetcher, ModelEntry, ModelState, ModelStore, Part, Record, Source, UpstreamFile,
    convert, disk,
};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tertulia::backend::{CancelFlag, steps_channel};
use tertulia::{Error, ErrorCode, Job, JobControl, Result};

/// How often the same phase of the same file is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// How often a pull that waits for another one looks again.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// How to pull.
#[derive(Default)]
pub struct PullOptions<'a> {
    progress: Option<&'a mut dyn FnMut(&Progress)>,
    cancel: CancelFlag,
    fetcher: Option<&'a dyn Fetcher>,
}

impl<'a> PullOptions<'a> {
    /// Quietly, with the [`DefaultFetcher`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `progress` some ten times a second, on the calling thread.
    pub fn on_progress(mut self, progress: &'a mut dyn FnMut(&Progress)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops when `cancel` is raised, within 100 ms or so; a conversion, which takes a few seconds, is finished. What
    /// is there by then is kept, and the next pull goes on with it.
    pub fn cancel(mut self, cancel: CancelFlag) -> Self {
        self.cancel = cancel;
        self
    }

    pub(super) fn cancel_flag(&self) -> &CancelFlag {
        &self.cancel
    }

    /// Fetches with the host's own fetcher.
    pub fn fetcher(mut self, fetcher: &'a dyn Fetcher) -> Self {
        self.fetcher = Some(fetcher);
        self
    }
}

impl ModelStore {
    /// Fetches and converts those of the named models that are not ready. A second pull into the same folder waits
    /// for the first. Blocks.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`]; [`ErrorCode::DownloadFailed`] where no source could give a file, with what was
    /// wrong with each; [`ErrorCode::ModelCorrupt`] where a source gave wrong bytes and no other gave the right ones;
    /// [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`], [`ErrorCode::Cancelled`]; a converter's.
    pub fn pull(&self, names: &[&str], options: PullOptions<'_>) -> Result<()> {
        let entries = names.iter().map(|name| self.manifest().model(name)).collect::<Result<Vec<_>>>()?;
        let PullOptions { progress, cancel, fetcher } = options;
        let own_fetcher = DefaultFetcher::default();
        let mut pull = Pull {
            store: self,
            fetcher: fetcher.unwrap_or(&own_fetcher),
            reporter: Reporter { progress, last: None, model: String::new(), file: String::new() },
            cancel,
        };
        disk::create_folder(self.folder())?;
        let _lock = pull.lock(entries.first().map_or("", |entry| &entry.name))?;
        entries.iter().try_for_each(|entry| pull.model(entry))
    }
}

impl ModelStore {
    /// The same on a thread of its own, as a [`Job`] that gives the progress. It goes on while an engine is suspended.
    ///
    /// ```no_run
    /// # fn main() -> tertulia::Result<()> {
    /// let store = tertulia_models::files::ModelStore::open_default()?;
    /// let job = store.pull_job(&["whisper-base"]);
    /// let control = job.control(); // `control.cancel()` stops it; the next pull goes on with what is there
    /// job.run(|progress| Ok(println!("{} {:3.0} %", progress.file, control.progress() * 100.0)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The job fails as [`pull`](Self::pull) does.
    pub fn pull_job(&self, names: &[&str]) -> Job<'static, Progress> {
        let (store, names) = (self.clone(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let cancel = CancelFlag::new();
        let (control, (sender, steps)) = (JobControl::new(cancel.clone()), steps_channel());
        let told = control.clone();
        std::thread::spawn(move || {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut show = |progress: &Progress| {
                let model = names.iter().position(|name| *name == progress.model).unwrap_or(0);
                let downloads = progress.phase == Phase::Downloading;
                let share = progress.done_bytes as f32 / progress.total_bytes.max(1) as f32;
                let done = if downloads { share } else { 0.0 };
                told.set_progress((model as f32 + done) / names.len() as f32);
                if sender.send(progress.clone()).is_err() {
                    // The job was dropped.
                    told.cancel();
                }
            };
            let options = PullOptions::new().on_progress(&mut show).cancel(cancel);
            if let Err(error) = store.pull(&names, options) {
                sender.fail(error);
            }
        });
        Job::new(control, steps)
    }
}

/// Hands progress to the host, not too often.
struct Reporter<'a> {
    progress: Option<&'a mut dyn FnMut(&Progress)>,
    /// The last report, and its time.
    last: Option<(Progress, Instant)>,
    model: String,
    file: String,
}

impl Reporter<'_> {
    fn report(&mut self, phase: Phase, done_bytes: u64, total_bytes: u64) {
        let Some(callback) = &mut self.progress else {
            return;
        };
        let now = Instant::now();
        if let Some((last, at)) = &self.last {
            let is_same = last.phase == phase && last.file == self.file && last.model == self.model;
            if is_same && (done_bytes < total_bytes && now - *at < REPORT_INTERVAL || done_bytes == last.done_bytes) {
                return;
            }
        }
        let progress = Progress { model: self.model.clone(), file: self.file.clone(), phase, done_bytes, total_bytes };
        callback(&progress);
        self.last = Some((progress, now));
    }
}

struct Pull<'a, 'p> {
    store: &'a ModelStore,
    fetcher: &'a dyn Fetcher,
    reporter: Reporter<'p>,
    cancel: CancelFlag,
}

impl Pull<'_, '_> {
    /// The lock of the model folder, held until the file is dropped.
    fn lock(&mut self, model: &str) -> Result<File> {
        let path = self.store.folder().join(".lock");
        let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(disk::failed(&path))?;
        loop {
            self.cancel.check()?;
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::WouldBlock) => {
                    model.clone_into(&mut self.reporter.model);
                    self.reporter.report(Phase::Waiting, 0, 0);
                    std::thread::sleep(LOCK_INTERVAL);
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(disk::failed(&path)(error)),
            }
        }
    }

    fn model(&mut self, entry: &ModelEntry) -> Result<()> {
        self.reporter.model.clone_from(&entry.name);
        if !self.is_ready(entry)? {
            self.make(entry)?;
        }
        self.reporter.file.clone_from(&entry.output);
        let bytes = disk::file_bytes(&self.store.output_path(entry))?.unwrap_or(0);
        self.reporter.report(Phase::Ready, bytes, bytes);
        Ok(())
    }

    /// True if the model is in its place; a record is written for an upstream file that was put there by hand.
    fn is_ready(&mut self, entry: &ModelEntry) -> Result<bool> {
        match (self.store.state(entry)?, ModelStore::record_of_upstream(entry)) {
            (ModelState::Ready, _) => Ok(true),
            (ModelState::Outdated, Some(record)) => {
                let path = self.store.output_path(entry);
                let is_upstreams = self.is_whole(&path, record.bytes, &record.sha256)?;
                if is_upstreams {
                    self.write_record(entry, &record)?;
                }
                Ok(is_upstreams)
            }
            _ => Ok(false),
        }
    }

    fn make(&mut self, entry: &ModelEntry) -> Result<()> {
        let downloads = self.store.downloads_folder(entry);
        let (files, packages) = (downloads.join("files"), downloads.join("packages"));
        disk::create_folder(&files)?;
        disk::create_folder(&packages)?;
        for file in &entry.files {
            self.reporter.file.clone_from(&file.name);
            self.file(entry, file, &files, &packages)?;
        }
        let (made, record) = self.convert(entry, &files, &downloads.join("converted"))?;
        // The record first: a file without its record would be taken for one of another origin.
        self.write_record(entry, &record)?;
        disk::rename(&made, &self.store.output_path(entry))?;
        super::remove_folder(&downloads)?;
        // Other models' downloads may lie there.
        let _ = std::fs::remove_dir(self.store.folder().join("downloads"));
        Ok(())
    }

    fn convert(&mut self, entry: &ModelEntry, files: &Path, folder: &Path) -> Result<(PathBuf, Record)> {
        self.cancel.check()?;
        self.reporter.file.clone_from(&entry.output);
        if entry.conversion != Conversion::None {
            self.reporter.report(Phase::Converting, 0, 0);
        }
        super::remove_folder(folder)?;
        disk::create_folder(folder)?;
        let made = folder.join(&entry.output);
        convert::convert(entry, files, &made)?;
        if let Some(record) = ModelStore::record_of_upstream(entry) {
            return Ok((made, record));
        }
        let bytes = disk::file_bytes(&made)?.unwrap_or(0);
        let sha256 = self.hash(&made, bytes)?;
        Ok((made, Record::new(entry, bytes, sha256)))
    }

    /// Sees to it that an upstream file is whole in `files`.
    fn file(&mut self, entry: &ModelEntry, file: &UpstreamFile, files: &Path, packages: &Path) -> Result<()> {
        let path = files.join(&file.name);
        if disk::file_bytes(&path)?.is_some() {
            if self.is_whole(&path, file.bytes, &file.sha256)? {
                return Ok(());
            }
            disk::remove_file(&path)?;
        }
        let mut code = ErrorCode::DownloadFailed;
        let (mut failures, mut cause) = (Vec::new(), None);
        for source in &file.sources {
            tracing::debug!(model = entry.name, file = file.name, %source, "fetching");
            match self.fetch(source, file, &path, packages) {
                Ok(()) => return Ok(()),
                Err(error) if ends_the_pull(error.code()) => return Err(error),
                Err(error) => {
                    if error.code() == ErrorCode::ModelCorrupt {
                        code = ErrorCode::ModelCorrupt;
                    }
                    failures.push(format!("{source}: {}", error.detail()));
                    cause = Some(error);
                }
            }
        }
        let name = format!("{} of {}", file.name, entry.name);
        let error = Error::new(code, format!("no source gave {name}: {}", failures.join("; ")));
        Err(match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }

    /// Fetches a file from one source and puts it to its place. Wrong bytes that began with what an earlier pull had
    /// left are fetched once more from the start: the fault may lie in those.
    fn fetch(&mut self, source: &Source, file: &UpstreamFile, path: &Path, packages: &Path) -> Result<()> {
        let part_path = disk::with_suffix(path, ".part");
        loop {
            let mut report = |phase, done, total| self.reporter.report(phase, done, total);
            let mut part = Part::open(part_path.clone(), file.bytes, packages, &mut report, &self.cancel)?;
            let was_begun = !part.is_empty();
            let fetched = if part.len() < file.bytes { self.fetcher.fetch(source, &mut part) } else { Ok(()) };
            if let Err(error) = fetched {
                if error.code() == ErrorCode::ModelCorrupt {
                    disk::remove_file(&part_path)?;
                }
                return Err(error);
            }
            if part.len() < file.bytes {
                let what = format!("source gave {} of {} bytes", part.len(), file.bytes);
                return Err(Error::new(ErrorCode::DownloadFailed, what));
            }
            if part.finish()? == file.sha256 {
                return disk::rename(&part_path, path);
            }
            disk::remove_file(&part_path)?;
            if !was_begun {
                return Err(Error::new(ErrorCode::ModelCorrupt, format!("SHA-256 mismatch: {}", file.name)));
            }
        }
    }

    fn write_record(&self, entry: &ModelEntry, record: &Record) -> Result<()> {
        disk::write_json(&self.store.record_path(entry), record)
    }

    fn is_whole(&mut self, path: &Path, bytes: u64, sha256: &str) -> Result<bool> {
        Ok(disk::file_bytes(path)? == Some(bytes) && self.hash(path, bytes)? == sha256)
    }

    fn hash(&mut self, path: &Path, bytes: u64) -> Result<String> {
        let mut done = 0;
        disk::hash_file(path, |len| {
            done += len as u64;
            self.reporter.report(Phase::Verifying, done, bytes);
            self.cancel.check()
        })
    }
}

/// True if another source would not help.
fn ends_the_pull(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Cancelled | ErrorCode::ModelDiskFull | ErrorCode::ModelStoreFailed)
}
