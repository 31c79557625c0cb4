//! The host's pronunciations win, and those that no voice can speak are refused.

#[path = "common/words.rs"]
mod common;

use common::pronunciations;
use tertulia::backend::Lexicon;
use tertulia::{ErrorCode, LanguageTag};
use tertulia_models::text::{check_lexicon, phonemize};

fn lexicon(entries: &[(&str, &str, &str)]) -> Lexicon {
    let mut lexicon = Lexicon::new();
    for (language, word, ipa) in entries {
        lexicon.entry(language.parse().unwrap()).or_default().insert((*word).into(), (*ipa).into());
    }
    lexicon
}

fn tags(languages: &[&str]) -> Vec<LanguageTag> {
    languages.iter().map(|tag| tag.parse().unwrap()).collect()
}

#[test]
fn an_entry_changes_the_sound_in_its_language_alone() {
    let lexicon = lexicon(&[("es", "xóchitl", "ˈsot͡ʃil"), ("en", "tomato", "təˈmɑːtoʊ")]);
    let spanish = phonemize("Xóchitl come tomato.", &tags(&["es"]), &lexicon, false, pronunciations()).unwrap();
    assert_eq!(spanish[0].phonemes, "ˈsoʧil");
    assert_ne!(spanish[2].phonemes, "təˈmɑːtO");
    let english = phonemize("A TOMATO!", &tags(&["en-US"]), &lexicon, false, pronunciations()).unwrap();
    assert_eq!(english[1].phonemes, "təˈmɑːtO");
    assert_eq!(english[1].text_span, 2..8);
    assert_eq!(english[1].trailing, "! ");
}

#[test]
fn an_entry_matches_whole_words_and_the_longest_wins() {
    let lexicon = lexicon(&[("en", "new york", "nuˈjɔɹk"), ("en", "new", "nu"), ("en", "c++", "siːplʌsplʌs")]);
    let words =
        phonemize("New  York is newer, not new. C++!", &tags(&["en"]), &lexicon, false, pronunciations()).unwrap();
    assert_eq!((words[0].phonemes.as_str(), words[0].text_span.clone()), ("nuˈjɔɹk", 0..9));
    assert_ne!(words[2].phonemes, "nu");
    assert_eq!(words[4].phonemes, "nu");
    assert_eq!(words[5].phonemes, "siplʌsplʌs");
}

#[test]
fn an_entry_wins_over_text_normalization() {
    let lexicon = lexicon(&[("en", "24/7", "ˈɔlwAz"), ("es", "ong", "ˈoŋ")]);
    assert_eq!(
        phonemize("Open 24/7.", &tags(&["en"]), &lexicon, false, pronunciations()).unwrap()[1].phonemes,
        "ˈɔlwAz"
    );
    assert_eq!(phonemize("Una ONG.", &tags(&["es"]), &lexicon, false, pronunciations()).unwrap()[1].phonemes, "ˈoŋ");
}

#[test]
fn the_first_bad_entry_is_named_by_its_place() {
    let is_symbol = |c: char| "abdeijklmnostuˈɡʧː ".contains(c);
    assert!(check_lexicon(&lexicon(&[("es", "secreto", "seˈketo")]), is_symbol).is_ok());
    assert!(check_lexicon(&Lexicon::new(), is_symbol).is_ok());
    for bad in ["", "ˈ", "se7", "hello🙂"] {
        let lexicon = lexicon(&[("es", "abad", "aˈbad"), ("es", "secreto", bad)]);
        let error = check_lexicon(&lexicon, is_symbol).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidLexicon);
        assert!(error.detail().contains("entry 2") && error.detail().contains("es"), "{}", error.detail());
        assert!(!error.detail().contains("secreto"));
    }
    assert!(check_lexicon(&lexicon(&[("en", "  ", "as")]), is_symbol).is_err());
}
