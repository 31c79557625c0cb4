//! What was written and is not in the storage yet: it waits in memory, and is durable in the log or about to be.

use crate::store::log::{Range, Writes, padded};
use std::borrow::Cow;
use std::collections::HashMap;

/// What places are told apart by: redb writes whole pages of this size or a multiple, but for its header.
const BLOCK_BYTES: usize = 4096;

/// What waits, in two layers: what is durable in the log, and what was written since the last sync.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What was written, in its order, without the zeros that end a write: redb's small pages are mostly such.
    bytes: Vec<u8>,
    durable: Layer,
    recent: Layer,
    /// Where the second layer begins in `bytes`.
    recent_at: usize,
    /// What was written since the last sync, in its order.
    ranges: Vec<Range>,
}

/// Where in `bytes` something is that waits, how much of it is there, and how many bytes it is with the zeros behind.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: usize,
    kept: usize,
    len: usize,
}

#[derive(Debug, Default)]
struct Layer {
    /// The newest of each block.
    blocks: HashMap<u64, Piece>,
    /// Pieces of the header, and where they go.
    headers: Vec<(u64, Piece)>,
}

impl Layer {
    fn put_header(&mut self, offset: u64, header: Piece) {
        self.headers.retain(|(start, known)| (*start, known.len) != (offset, header.len));
        self.headers.push((offset, header));
    }

    /// Whole blocks that wait here, each place once, in the storage's order, those that follow one another as one.
    fn pieces(&self) -> Vec<(u64, Piece)> {
        let mut blocks: Vec<(u64, Piece)> = self.blocks.iter().map(|(block, piece)| (*block, *piece)).collect();
        blocks.sort_unstable_by_key(|(block, _)| *block);
        let mut pieces: Vec<(u64, Piece)> = Vec::new();
        for (block, next) in blocks {
            let offset = block * BLOCK_BYTES as u64;
            match pieces.last_mut() {
                Some((start, piece))
                    if *start + piece.len as u64 == offset
                        && piece.kept == piece.len
                        && piece.at + piece.kept == next.at =>
                {
                    piece.kept += next.kept;
                    piece.len += next.len;
                }
                _ => pieces.push((offset, next)),
            }
        }
        pieces
    }
}

impl Waiting {
    /// Takes in a piece of the header.
    pub(super) fn push_header(&mut self, offset: u64, data: &[u8]) {
        let piece = self.push(offset, data);
        self.recent.put_header(offset, piece);
    }

    /// Takes in [whole blocks](is_whole).
    pub(super) fn push_blocks(&mut self, offset: u64, data: &[u8]) {
        let Piece { at, kept, .. } = self.push(offset, data);
        let blocks = (0..data.len()).step_by(BLOCK_BYTES).map(|from| {
            let from = from.min(kept);
            Piece { at: at + from, kept: (kept - from).min(BLOCK_BYTES), len: BLOCK_BYTES }
        });
        self.recent.blocks.extend((offset / BLOCK_BYTES as u64..).zip(blocks));
    }

    /// Takes in whole blocks that the storage has already: they wait for the log alone.
    pub(super) fn push_written(&mut self, offset: u64, data: &[u8]) {
        self.push(offset, data);
        let first = offset / BLOCK_BYTES as u64;
        for block in first..first + (data.len() / BLOCK_BYTES) as u64 {
            self.durable.blocks.remove(&block);
            self.recent.blocks.remove(&block);
        }
    }

    fn push(&mut self, offset: u64, data: &[u8]) -> Piece {
        let (at, kept) = (self.bytes.len(), without_zeros(data).len());
        self.ranges.push(Range { offset, len: data.len(), kept });
        self.bytes.extend_from_slice(&data[..kept]);
        Piece { at, kept, len: data.len() }
    }

    /// What was written since the last sync.
    pub(super) fn recent(&self) -> Writes<'_> {
        Writes { ranges: &self.ranges, bytes: &self.bytes[self.recent_at..] }
    }

    /// Whether a read there needs nothing of the storage.
    pub(super) fn covers(&self, offset: u64, len: usize) -> bool {
        let block = BLOCK_BYTES as u64;
        let (first, end) = (offset / block, (offset + len as u64).div_ceil(block));
        (first..end).all(|block| self.newest(block).is_some())
    }

    fn newest(&self, block: u64) -> Option<Piece> {
        self.recent.blocks.get(&block).or_else(|| self.durable.blocks.get(&block)).copied()
    }

    /// Writes what waits over what was read from the storage.
    pub(super) fn patch(&self, offset: u64, out: &mut [u8]) {
        let block_len = BLOCK_BYTES as u64;
        let end = offset + out.len() as u64;
        for block in offset / block_len..end.div_ceil(block_len) {
            if let Some(piece) = self.newest(block) {
                self.overlay(offset, out, block * block_len, piece);
            }
        }
        for (start, piece) in self.durable.headers.iter().chain(&self.recent.headers) {
            self.overlay(offset, out, *start, *piece);
        }
    }

    /// Writes the part of a piece, which goes to `start`, that falls into `out`, which stands at `offset`.
    fn overlay(&self, offset: u64, out: &mut [u8], start: u64, Piece { at, kept, len }: Piece) {
        let (from, to) = (offset.max(start), (offset + out.len() as u64).min(start + len as u64));
        if from < to {
            let out = &mut out[(from - offset) as usize..(to - offset) as usize];
            let data = &self.bytes[at + kept.min((from - start) as usize)..at + kept.min((to - start) as usize)];
            let (there, zeros) = out.split_at_mut(data.len());
            there.copy_from_slice(data);
            zeros.fill(0);
        }
    }

    /// What the log has, each place once, in the storage's order, the header last.
    pub(super) fn durable(&self) -> impl Iterator<Item = (u64, Cow<'_, [u8]>)> {
        self.data(self.durable.pieces()).chain(self.data(self.durable.headers.clone()))
    }

    /// The same of what was written since the last sync, without the header.
    pub(super) fn recent_blocks(&self) -> impl Iterator<Item = (u64, Cow<'_, [u8]>)> {
        self.data(self.recent.pieces())
    }

    /// The header, if it was written since the last sync.
    pub(super) fn recent_header(&self) -> impl Iterator<Item = (u64, Cow<'_, [u8]>)> {
        self.data(self.recent.headers.clone())
    }

    fn data(&self, pieces: Vec<(u64, Piece)>) -> impl Iterator<Item = (u64, Cow<'_, [u8]>)> {
        pieces.into_iter().map(|(offset, Piece { at, kept, len })| (offset, padded(&self.bytes[at..at + kept], len)))
    }

    /// The log has all of it now.
    pub(super) fn is_logged(&mut self) {
        self.durable.blocks.extend(self.recent.blocks.drain());
        for (offset, header) in std::mem::take(&mut self.recent.headers) {
            self.durable.put_header(offset, header);
        }
        self.recent_at = self.bytes.len();
        self.ranges.clear();
    }

    /// The storage has what the log has now.
    pub(super) fn is_written_back(&mut self) {
        let moved = std::mem::take(&mut self.recent_at);
        self.bytes.drain(..moved);
        self.durable = Layer::default();
        let pieces = self.recent.blocks.values_mut().chain(self.recent.headers.iter_mut().map(|(_, piece)| piece));
        pieces.for_each(|piece| piece.at -= moved);
    }

    /// The storage has everything now but the header that was written since the last sync.
    pub(super) fn is_spilt(&mut self) {
        let headers: Vec<_> = self.recent_header().map(|(offset, data)| (offset, data.into_owned())).collect();
        self.clear();
        for (offset, header) in headers {
            self.push_header(offset, &header);
        }
    }

    /// The storage has all of it now.
    pub(super) fn clear(&mut self) {
        *self = Waiting { bytes: std::mem::take(&mut self.bytes), ..Waiting::default() };
        self.bytes.clear();
    }

    /// The storage became shorter: what lies beyond its end is nobody's.
    pub(super) fn cut_off(&mut self, len: u64) {
        for layer in [&mut self.durable, &mut self.recent] {
            layer.blocks.retain(|block, _| block * (BLOCK_BYTES as u64) < len);
        }
    }
}

/// Whether a write is of whole blocks.
pub(super) fn is_whole(offset: u64, data: &[u8]) -> bool {
    offset.is_multiple_of(BLOCK_BYTES as u64) && data.len().is_multiple_of(BLOCK_BYTES)
}

fn without_zeros(data: &[u8]) -> &[u8] {
    /// As many bytes as are looked at together.
    const STRIDE: usize = 64;
    let zeros = data.rchunks_exact(STRIDE).take_while(|chunk| **chunk == [0; STRIDE]).count() * STRIDE;
    let rest = &data[..data.len() - zeros];
    &rest[..rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fill: u8, blocks: usize) -> Vec<u8> {
        vec![fill; blocks * BLOCK_BYTES]
    }

    /// What a reader finds at a block, and how the storage has it.
    fn read(waiting: &Waiting, number: u64) -> u8 {
        let mut out = block(b'.', 1);
        waiting.patch(number * BLOCK_BYTES as u64, &mut out);
        assert!(out.iter().all(|byte| *byte == out[0]));
        out[0]
    }

    #[test]
    fn readers_find_the_newest_and_the_storage_gets_what_is_durable() {
        let mut waiting = Waiting::default();
        waiting.push_blocks(4096, &block(b'a', 2));
        waiting.push_blocks(4096 * 3, &block(b'b', 1));
        waiting.push_header(0, b"first");
        waiting.is_logged();
        waiting.push_blocks(4096 * 2, &block(b'c', 1));
        waiting.push_header(0, b"later");
        assert_eq!([1, 2, 3, 4].map(|number| read(&waiting, number)), *b"acb.");
        assert!(waiting.covers(4096, 3 * BLOCK_BYTES) && !waiting.covers(4096, 4 * BLOCK_BYTES));
        let pieces: Vec<_> = waiting.durable().map(|(offset, data)| (offset, data.len(), data[0])).collect();
        assert_eq!(pieces, [(4096, 3 * BLOCK_BYTES, b'a'), (0, 5, b'f')]);
        waiting.is_written_back();
        assert_eq!([1, 2, 3].map(|number| read(&waiting, number)), *b".c.");
        let ranges: Vec<_> = waiting.recent().ranges.iter().map(|range| (range.offset, range.len)).collect();
        assert_eq!(ranges, [(8192, 4096), (0, 5)]);
        waiting.is_logged();
        let pieces: Vec<_> = waiting.durable().map(|(offset, data)| (offset, data[0])).collect();
        assert_eq!(pieces, [(8192, b'c'), (0, b'l')]);
        let mut header = *b"......";
        waiting.patch(1, &mut header);
        assert_eq!(&header, b"ater..");
    }

    #[test]
    fn zeros_at_the_end_take_no_room_and_are_read_all_the_same() {
        let mut waiting = Waiting::default();
        let page = [block(b'a', 1), b"ab".repeat(10), vec![0; 2 * BLOCK_BYTES - 20]].concat();
        waiting.push_blocks(4096, &page);
        waiting.push_blocks(4096 * 9, &block(0, 1));
        assert_eq!(waiting.recent().bytes.len(), BLOCK_BYTES + 20);
        waiting.is_logged();
        let mut out = block(b'.', 3);
        waiting.patch(4096, &mut out);
        assert_eq!(out, page);
        let mut out = [b'.'; 100];
        waiting.patch(8192 + 10, &mut out);
        assert_eq!(out, page[BLOCK_BYTES + 10..BLOCK_BYTES + 110]);
        let mut storage = block(b'.', 10);
        for (offset, data) in waiting.durable() {
            storage[offset as usize..][..data.len()].copy_from_slice(&data);
        }
        assert_eq!(storage, [block(b'.', 1), page, block(b'.', 5), block(0, 1)].concat());
    }

    #[test]
    fn what_is_cut_off_or_in_the_storage_waits_no_longer() {
        let mut waiting = Waiting::default();
        waiting.push_blocks(4096, &block(b'a', 3));
        waiting.is_logged();
        waiting.cut_off(4096 * 3);
        assert_eq!([1, 2, 3].map(|number| read(&waiting, number)), *b"aa.");
        waiting.push_written(4096 * 2, &block(b'b', 1));
        assert_eq!([1, 2, 3].map(|number| read(&waiting, number)), *b"a..");
        assert_eq!(waiting.recent().bytes, block(b'b', 1));
        waiting.clear();
        assert_eq!([1, 2, 3].map(|number| read(&waiting, number)), *b"...");
    }
}
