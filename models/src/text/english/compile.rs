//! Writes an English [`Dictionary`](super::dictionary::Dictionary) from the lists of misaki 0.9.4.

use super::dictionary::{BLOCK_WORDS, VARIANTS};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use tertulia::{Error, ErrorCode, Result};

/// The bytes of a dictionary from four lists in JSON: American words checked by hand and others, British ones and others.
/// Each is an object that gives a word a sound or an object of sounds by part of speech, `DEFAULT` among them.
///
/// # Errors
/// [`ErrorCode::ModelCorrupt`] for another form.
pub(crate) fn dictionary(lists: [&[u8]; 4]) -> Result<Vec<u8>> {
    let corrupt = || Error::new(ErrorCode::ModelCorrupt, "malformed list of English words");
    let mut words: BTreeMap<String, [String; 4]> = BTreeMap::new();
    for (index, json) in lists.into_iter().enumerate() {
        let list: BTreeMap<String, Value> = serde_json::from_slice(json).map_err(|e| corrupt().with_source(e))?;
        for (word, sounds) in list {
            let sounds = encode(&sounds).filter(|_| word.is_ascii()).ok_or_else(corrupt)?;
            words.entry(word).or_default()[index] = sounds;
        }
    }
    let mut texts = Vec::with_capacity(2 * words.len());
    let mut shared = Vec::with_capacity(words.len());
    let mut last = String::new();
    for (index, (word, mut sounds)) in words.into_iter().enumerate() {
        for list in [2, 3] {
            if !sounds[list].is_empty() && sounds[list] == sounds[list - 2] {
                sounds[list] = "=".into();
            }
        }
        let same = word.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count().min(255);
        let same = if index % BLOCK_WORDS == 0 { 0 } else { same };
        shared.push(same as u8);
        texts.push(word[same..].to_owned());
        texts.push(sounds.join("/").trim_end_matches('/').to_owned());
        last = word;
    }
    let (codes, texts) = compress(&texts).ok_or_else(corrupt)?;
    Ok(layout(&codes, &shared, &texts))
}

/// The sounds of one list's entry as text.
fn encode(sounds: &Value) -> Option<String> {
    let plain = |sound: &str| (!sound.contains(|c: char| c.is_ascii_digit() || c == '/')).then(|| sound.to_owned());
    let Value::Object(sounds) = sounds else { return plain(sounds.as_str()?) };
    let mut text = plain(sounds.get("DEFAULT")?.as_str()?)?;
    for (part, sound) in sounds.iter().filter(|(part, _)| *part != "DEFAULT") {
        let (_, digit) = VARIANTS.iter().find(|(name, _)| name == part)?;
        text.push(*digit);
        text += &if sound.is_null() { String::new() } else { plain(sound.as_str()?)? };
    }
    Some(text)
}

/// The text of each code, and the texts in codes: a code for every character, the others for the pairs of codes
/// that occur most often, one after the other.
fn compress(texts: &[String]) -> Option<(Vec<String>, Vec<Vec<u8>>)> {
    let mut characters: Vec<char> = texts.iter().flat_map(|text| text.chars()).collect();
    characters.sort_unstable();
    characters.dedup();
    let mut codes = vec![String::new()];
    codes.extend(characters.iter().map(char::to_string));
    let of: HashMap<char, u8> =
        characters.iter().enumerate().map(|(i, c)| Some((*c, u8::try_from(i + 1).ok()?))).collect::<Option<_>>()?;
    let mut texts: Vec<Vec<u8>> = texts.iter().map(|text| text.chars().map(|c| of[&c]).collect()).collect();
    while codes.len() < 256 {
        let mut counts = vec![0u32; 1 << 16];
        for pair in texts.iter().flat_map(|text| text.windows(2)) {
            counts[usize::from(pair[0]) << 8 | usize::from(pair[1])] += 1;
        }
        let (pair, _) = counts.iter().enumerate().max_by_key(|(pair, count)| (**count, usize::MAX - pair))?;
        let (first, second, new) = ((pair >> 8) as u8, (pair & 255) as u8, codes.len() as u8);
        codes.push(format!("{}{}", codes[usize::from(first)], codes[usize::from(second)]));
        for text in &mut texts {
            let (mut from, mut to) = (0, 0);
            while from < text.len() {
                let is_pair = text[from] == first && text.get(from + 1) == Some(&second);
                text[to] = if is_pair { new } else { text[from] };
                from += if is_pair { 2 } else { 1 };
                to += 1;
            }
            text.truncate(to);
        }
    }
    Some((codes, texts))
}

fn layout(codes: &[String], shared: &[u8], texts: &[Vec<u8>]) -> Vec<u8> {
    let (mut starts, mut words) = (Vec::new(), Vec::new());
    for (index, (shared, texts)) in shared.iter().zip(texts.chunks(2)).enumerate() {
        if index % BLOCK_WORDS == 0 {
            starts.push(words.len() as u32);
        }
        words.push(*shared);
        for text in texts {
            words.extend_from_slice(text);
            words.push(0);
        }
    }
    let mut bytes = (starts.len() as u32).to_le_bytes().to_vec();
    for code in &codes[1..] {
        bytes.push(code.len() as u8);
        bytes.extend_from_slice(code.as_bytes());
    }
    bytes.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
    bytes.extend(words);
    bytes
}
