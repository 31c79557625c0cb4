//! Kokoro's symbols and their ids.

use crate::gguf::Gguf;
use std::collections::HashMap;
use tertulia::{Error, ErrorCode, Result};

/// Rows of the network's embeddings; ids are below it. Id 0 encloses every utterance.
pub(super) const IDS: usize = 178;

pub(super) struct Vocab(HashMap<char, u32>);

impl Vocab {
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where the table is missing or not sound.
    pub(super) fn load(file: &Gguf) -> Result<Self> {
        let corrupt = || Error::new(ErrorCode::ModelCorrupt, format!("{}: malformed symbol table", file.file_name()));
        let (symbols, ids) = (file.strings("kokoro.vocab.symbols")?, file.i64s("kokoro.vocab.ids")?);
        if symbols.len() != ids.len() {
            return Err(corrupt());
        }
        let mut table = HashMap::with_capacity(ids.len());
        for (symbol, id) in symbols.into_iter().zip(ids) {
            let mut characters = symbol.chars();
            let id = u32::try_from(id).ok().filter(|&id| id > 0 && (id as usize) < IDS).ok_or_else(corrupt)?;
            match (characters.next(), characters.next()) {
                (Some(character), None) => table.insert(character, id),
                _ => return Err(corrupt()),
            };
        }
        Ok(Self(table))
    }

    /// The ids of the symbols that the voice knows; others make no sound.
    pub(super) fn ids(&self, symbols: &str) -> Vec<u32> {
        symbols.chars().filter_map(|symbol| self.0.get(&symbol).copied()).collect()
    }

    /// True if the voice knows the symbol.
    pub(super) fn contains(&self, symbol: char) -> bool {
        self.0.contains_key(&symbol)
    }

    #[cfg(test)]
    pub(super) fn of(symbols: &str) -> Self {
        Self(symbols.chars().zip(1..).collect())
    }
}
