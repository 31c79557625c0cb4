//! The edit list of an MP4 track (ISO/IEC 14496-12, 8.6.6): the part of the decoded audio that is presented.
//!
//! AAC encoders put 1,024 to 2,112 samples of priming in front and say so only here; the demuxer leaves it alone.

/// The presented part of a track, in samples at the requested rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Samples to leave out in front.
    pub(super) skip: u64,
    /// Samples to keep after them; `None` for all.
    pub(super) keep: Option<u64>,
}

/// The edit of track `track_id`, or `None` where the file has none, or none that can be read.
pub(super) fn read(file: &[u8], track_id: u32, rate: u32) -> Option<Edit> {
    let movie = child(file, b"moov")?;
    let movie_scale = timescale(child(movie, b"mvhd")?)?;
    let track = boxes(movie).filter(|(kind, _)| kind == b"trak").map(|(_, body)| body).find(|track| {
        child(track, b"tkhd").and_then(|header| u32_at(header, if is_version_1(header) { 20 } else { 12 }))
            == Some(track_id)
    })?;
    let media_scale = timescale(child(child(track, b"mdia")?, b"mdhd")?)?;
    let list = child(child(track, b"edts")?, b"elst")?;
    let (count, wide) = (u32_at(list, 4)?, is_version_1(list));
    let entry_len = if wide { 20 } else { 12 };
    let entries = list.get(8..)?.chunks_exact(entry_len).take(count as usize).map(|entry| {
        if wide {
            (u64_at(entry, 0).unwrap_or(0), u64_at(entry, 8).unwrap_or(0) as i64)
        } else {
            (u64::from(u32_at(entry, 0).unwrap_or(0)), i64::from(u32_at(entry, 4).unwrap_or(0) as i32))
        }
    });
    // A media time of -1 is a pause before the sound; it is not played out here.
    let mut played = entries.filter(|&(_, media_time)| media_time >= 0);
    let (duration, media_time) = played.next()?;
    let scale = |time: u64, scale: u32| {
        u64::try_from(u128::from(time) * u128::from(rate) / u128::from(scale)).unwrap_or(u64::MAX)
    };
    // Of several edits only the first start is used: cutting a recording to pieces is not what microphones do.
    let whole = duration == 0 || played.next().is_some();
    let keep = (!whole).then(|| scale(duration, movie_scale));
    Some(Edit { skip: scale(media_time as u64, media_scale), keep })
}

fn timescale(header: &[u8]) -> Option<u32> {
    u32_at(header, if is_version_1(header) { 20 } else { 12 }).filter(|&scale| scale > 0)
}

fn is_version_1(full_box: &[u8]) -> bool {
    full_box.first() == Some(&1)
}

fn child<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(parent).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The boxes that lie side by side in `bytes`, up to the first damaged one.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let kind: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        let (header_len, len) = match u32_at(bytes, 0)? {
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(u64_at(bytes, 8)?).ok()?),
            len => (8, len as usize),
        };
        let body = bytes.get(header_len..len.min(bytes.len()))?;
        bytes = bytes.get(len..).unwrap_or(&[]);
        Some((kind, body))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
