//! [`Dictionary`]: English words and their sounds, looked up in the form that they have in the model file.
//!
//! The words are sorted and cut into blocks of [`BLOCK_WORDS`]; a block is found by its first word and read through. A
//! word is stored without the letters that it shares with the one before it. Text is stored in codes of a byte, each of
//! which stands for a few characters. All numbers are little-endian.
//!
//! | bytes | contents |
//! |---|---|
//! | 4 | the number of blocks |
//! | 255 times 1 + n | what the codes 1 to 255 stand for: n, and n bytes of UTF-8 |
//! | 4 for each block | where it starts, counted from the first block |
//! | | the words: the number of letters shared, the codes of the others, 0, the codes of the sounds, 0 |
//!
//! The sounds are those of four lists, parted by `/`: American words that were checked by hand and others, British ones
//! and others; `=` stands for the American sound. A list's sound is followed by those of certain parts of speech, each
//! after the digit of [`VARIANTS`].

use tertulia::{Error, ErrorCode, Result};

/// Words of a block.
pub(super) const BLOCK_WORDS: usize = 16;
/// The parts of speech with sounds of their own, as the lists name them, and their digits.
pub(super) const VARIANTS: [(&str, char); 9] = [
    ("NOUN", '1'),
    ("VERB", '2'),
    ("ADJ", '3'),
    ("None", '4'),
    ("VBD", '5'),
    ("ADV", '6'),
    ("VBN", '7'),
    ("VBP", '8'),
    ("DT", '9'),
];

/// The words and their sounds.
pub(super) struct Dictionary {
    bytes: Vec<u8>,
    /// Where the text of each code lies.
    codes: [(u16, u8); 256],
    /// Where the blocks' table and the blocks start.
    table: usize,
    blocks: usize,
}

/// The sounds of a word in one list.
pub(super) struct Sounds(String);

impl Sounds {
    /// The sound where nothing is known of the word's place in its sentence.
    pub(super) fn plain(&self) -> &str {
        self.0.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
    }

    /// The sound of a part of speech, where it has one of its own; empty where the word is spelled then.
    pub(super) fn of(&self, part: &str) -> Option<&str> {
        let (_, digit) = VARIANTS.iter().find(|(name, _)| *name == part)?;
        let (_, rest) = self.0.split_once(*digit)?;
        rest.split(|c: char| c.is_ascii_digit()).next()
    }
}

impl Dictionary {
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where the bytes are not as the module says.
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self> {
        let corrupt = || Error::new(ErrorCode::ModelCorrupt, "malformed English dictionary");
        let blocks = number(&bytes, 0).ok_or_else(corrupt)?;
        let mut codes = [(0, 0); 256];
        let mut at = 4;
        for code in &mut codes[1..] {
            let len = *bytes.get(at).ok_or_else(corrupt)?;
            let text = bytes.get(at + 1..at + 1 + usize::from(len)).ok_or_else(corrupt)?;
            std::str::from_utf8(text).map_err(|_| corrupt())?;
            *code = (u16::try_from(at + 1).map_err(|_| corrupt())?, len);
            at += 1 + usize::from(len);
        }
        if blocks == 0 || blocks.checked_mul(4).is_none_or(|table| table > bytes.len() - at) {
            return Err(corrupt());
        }
        Ok(Self { bytes, codes, table: at, blocks })
    }

    /// The word's sounds in the list checked by hand, and in the other.
    pub(super) fn sounds(&self, word: &str, british: bool) -> (Option<Sounds>, Option<Sounds>) {
        let Some(lists) = self.find(word) else { return (None, None) };
        let lists: Vec<&str> = lists.split('/').collect();
        let list = |index: usize| {
            let own = lists.get(index).copied().filter(|sounds| !sounds.is_empty())?;
            let sounds = if own == "=" { *lists.get(index.checked_sub(2)?)? } else { own };
            Some(Sounds(sounds.to_owned()))
        };
        if british { (list(2), list(3)) } else { (list(0), list(1)) }
    }

    fn find(&self, word: &str) -> Option<String> {
        let word = word.as_bytes();
        let mut found = Vec::with_capacity(64);
        let (mut low, mut high) = (0, self.blocks);
        while low + 1 < high {
            let middle = low.midpoint(high);
            found.clear();
            self.extend(&mut found, self.block(middle)?.get(1..)?);
            if found.as_slice() <= word { low = middle } else { high = middle }
        }
        let mut rest = self.block(low)?;
        found.clear();
        for _ in 0..BLOCK_WORDS {
            found.truncate(usize::from(*rest.first()?));
            let letters = self.extend(&mut found, &rest[1..]);
            rest = rest.get(1 + letters + 1..)?;
            if found.as_slice() >= word {
                break;
            }
            let sounds = rest.iter().position(|&code| code == 0)?;
            rest = &rest[sounds + 1..];
        }
        if found != word {
            return None;
        }
        found.clear();
        self.extend(&mut found, rest);
        String::from_utf8(found).ok()
    }

    fn block(&self, index: usize) -> Option<&[u8]> {
        let start = number(&self.bytes, self.table + 4 * index)?;
        self.bytes.get(start.checked_add(self.table + 4 * self.blocks)?..)
    }

    /// Adds the text of the codes up to 0, and says how many they were.
    fn extend(&self, out: &mut Vec<u8>, codes: &[u8]) -> usize {
        let end = codes.iter().position(|&code| code == 0).unwrap_or(codes.len());
        for &code in &codes[..end] {
            let (start, len) = self.codes[usize::from(code)];
            out.extend_from_slice(&self.bytes[usize::from(start)..][..usize::from(len)]);
        }
        end
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}
