//! The bounds of a zip archive's directory, checked before the `zip` crate reads it into memory.

use super::read::{BLOCK_BYTES, damaged, too_large};
use super::{ArchiveSource, ImportOptions, archive_io};
use crate::error::{Error, ErrorCode, Result};
use std::io::SeekFrom;

/// Bytes of the directory for each file; our names are short.
const DIRECTORY_BYTES_PER_FILE: u64 = 256;

/// Checks that the archive ends in a directory of bounded size.
pub(super) fn check_directory(source: &mut dyn ArchiveSource, bytes: u64, options: &ImportOptions) -> Result<()> {
    const END_LEN: u64 = 22;
    const LOCATOR_LEN: u64 = 20;
    const END_64_LEN: u64 = 56;
    let mut first = [0; 4];
    read_at(source, 0, &mut first, bytes)?;
    let begins = [*b"PK\x03\x04", *b"PK\x05\x06"].contains(&first);
    let no_end = || match begins {
        true => damaged("its end is missing"),
        false => Error::new(ErrorCode::ImportNotAnArchive, "the file is no zip archive"),
    };
    let end_at = bytes.checked_sub(END_LEN).ok_or_else(no_end)?;
    let mut end = [0; END_LEN as usize];
    read_at(source, end_at, &mut end, bytes)?;
    if !begins || !end.starts_with(b"PK\x05\x06") || end[20..] != [0, 0] {
        return Err(no_end());
    }
    let mut files = number(&end[10..12]);
    let mut directory_len = number(&end[12..16]);
    let mut directory_at = number(&end[16..20]);
    let mut directory_end = end_at;
    let saturated = files == u64::from(u16::MAX) || [directory_len, directory_at].contains(&u64::from(u32::MAX));
    if saturated {
        // An archive of more than 4 GiB or 65,534 files.
        let mut locator = [0; LOCATOR_LEN as usize];
        let locator_at = end_at.checked_sub(LOCATOR_LEN).ok_or_else(no_end)?;
        directory_end = locator_at.checked_sub(END_64_LEN).ok_or_else(no_end)?;
        let mut end_64 = [0; END_64_LEN as usize];
        read_at(source, locator_at, &mut locator, bytes)?;
        read_at(source, directory_end, &mut end_64, bytes)?;
        if !locator.starts_with(b"PK\x06\x07") || !end_64.starts_with(b"PK\x06\x06") {
            return Err(no_end());
        }
        files = number(&end_64[32..40]);
        directory_len = number(&end_64[40..48]);
        directory_at = number(&end_64[48..56]);
    }
    let entries_max = options.entries_max as u64;
    if files > entries_max || directory_len > BLOCK_BYTES as u64 + entries_max * DIRECTORY_BYTES_PER_FILE {
        return Err(too_large("it has too many files"));
    }
    if directory_at.checked_add(directory_len) != Some(directory_end) {
        return Err(damaged("its directory is not where it should be"));
    }
    Ok(())
}

/// Reads bytes; leaves zeros where the file is too short.
fn read_at(source: &mut dyn ArchiveSource, at: u64, out: &mut [u8], bytes: u64) -> Result<()> {
    if bytes.checked_sub(at).is_none_or(|left| left < out.len() as u64) {
        return Ok(());
    }
    source.seek(SeekFrom::Start(at)).and_then(|_| source.read_exact(out)).map_err(archive_io)
}

/// The number whose bytes these are, the least significant first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
