//! No text is too strange or too long.

#[path = "common/words.rs"]
mod common;

use common::pronunciations;
use std::time::{Duration, Instant};
use tertulia::LanguageTag;
use tertulia_models::text::{normalize, phonemize};

/// A small generator of pseudo-random numbers (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

const SCRAPS: &[&str] = &[
    "a",
    "é",
    "ñ",
    "I",
    "XIV",
    "St.",
    "Dr.",
    "EE. UU.",
    "1",
    "0",
    "12",
    "007",
    "1.250",
    "1,250",
    "12:30",
    "-",
    "–",
    "$",
    "€",
    "%",
    "º",
    "ª",
    "/",
    "½",
    ".",
    ",",
    "…",
    "¿",
    "¡",
    "\"",
    "'",
    "’",
    "«",
    "»",
    "(",
    ")",
    "[",
    "](",
    "*",
    "_",
    "`",
    "#",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{a0}",
    "\u{202f}",
    "\u{200d}",
    "\u{301}",
    "🙂",
    "👩‍👩‍👧",
    "ß",
    "İ",
    "ﬁ",
    "ǆ",
    "你",
    "ع",
    "०",
    "\u{0}",
    "\u{feff}",
    "e.g.",
    "p. ej.",
    "http://",
    "www.",
    "@",
    "kg",
    "°C",
    "ing",
    "éing",
    "aaéing",
    "ed",
    "'s",
    "s'",
    "mente",
    "qu",
    "gü",
    "x",
    "López",
    "hello",
    "Hola",
    "th",
    "2-",
    "1st",
    "3.er",
    "--",
    "=",
    "&",
    "+",
    "C/",
    "n.º",
    "s.",
    "D.",
    "No.",
    "999999999999999999999",
    "1989",
    "March",
    "de mayo",
    "am",
    "p.m.",
    "II",
    "Felipe",
    "Elizabeth",
];

#[test]
fn random_texts_neither_panic_nor_lose_their_place() {
    let languages = languages();
    let mut random = Random(0x7e27_71a1);
    for round in 0..1500 {
        let mut text = String::new();
        for _ in 0..random.below(30) {
            match random.below(12) {
                0 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
                1 => text.extend(char::from_u32(random.below(0x250) as u32)),
                2..5 => text.push(' '),
                _ => text.push_str(SCRAPS[random.below(SCRAPS.len())]),
            }
        }
        let languages = if round % 3 == 0 { &languages[..] } else { &languages[round % 3 - 1..round % 3] };
        let words = phonemize(&text, languages, &Default::default(), round % 2 == 0, pronunciations()).unwrap();
        let mut last = 0..0;
        for word in &words {
            assert!(text.get(word.text_span.clone()).is_some(), "{text:?}");
            assert!(word.text_span == last || word.text_span.start >= last.end, "{text:?}");
            assert!(!word.phonemes.is_empty() && !word.phonemes.contains(['❓', 'B', 'D', 'G', 'N']), "{text:?}");
            last = word.text_span.clone();
        }
        normalize(&text, &languages[0]);
    }
}

#[test]
fn long_texts_take_time_in_proportion() {
    let prose = [
        "The train leaves at 7:45 and costs $12.50, Dr. Smith. ",
        "El tren sale a las 7:45 y cuesta 12,50 €, Dra. Ruiz. ",
    ];
    let odd = ["a", "1", "1,", "\"", "-", "(", "[", "[a](", "I.", "a.", "é'", "@a.", "á ", "D. "];
    phonemize("Warm up.", &languages(), &Default::default(), false, pronunciations()).unwrap();
    for (pieces, len) in [(&prose[..], 600), (&odd[..], 500)] {
        for piece in pieces {
            let (short, long) = (time(piece, len), time(piece, 4 * len));
            // Four times the text, with room for a busy machine; quadratic would be sixteen times.
            let limit = short * 9 + Duration::from_millis(800);
            assert!(long < limit, "{piece:?}: {short:?} for {len} bytes, {long:?} for four times as many");
        }
    }
}

#[test]
fn a_run_of_marks_takes_time_in_proportion() {
    for mark in [",", "\"", "(", "—", "tomato "] {
        let text = mark.repeat(50_000);
        let lexicon = [("en".parse().unwrap(), [("tomato".into(), "təˈmɑːtoʊ".into())].into())].into();
        let start = Instant::now();
        phonemize(&text, &languages()[..1], &lexicon, false, pronunciations()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "{mark:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_hundred_kilobytes_are_spoken() {
    let text = "Hace frío y llueve. ".repeat(5_000);
    let words = phonemize(&text, &languages(), &Default::default(), false, pronunciations()).unwrap();
    assert_eq!(words.len(), 4 * 5_000);
    assert!(words.iter().all(|word| word.language.as_str() == "es"));
}

fn time(piece: &str, len: usize) -> Duration {
    let text = piece.repeat(len / piece.len());
    let start = Instant::now();
    phonemize(&text, &languages(), &Default::default(), false, pronunciations()).unwrap();
    start.elapsed()
}

fn languages() -> Vec<LanguageTag> {
    vec!["en".parse().unwrap(), "es".parse().unwrap()]
}
