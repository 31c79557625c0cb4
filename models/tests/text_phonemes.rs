//! Every word gets a sound that the voice can speak, and the sounds are right.

use tertulia::LanguageTag;
use tertulia_models::text::{PhonemeWord, phonemize};

/// Kokoro's alphabet.
const SYMBOLS: &str = ";:,.!?—…\"()“” \u{303}ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈ\
    ʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ";

fn words(text: &str, language: &str) -> Vec<PhonemeWord> {
    let language: LanguageTag = language.parse().unwrap();
    let british = language.as_str() == "en-GB";
    let words = phonemize(text, &[language], &Default::default(), british).unwrap();
    for word in &words {
        let sound = format!("{}{}", word.phonemes, word.trailing);
        assert!(!word.phonemes.trim().is_empty(), "{text}");
        assert!(sound.chars().all(|c| SYMBOLS.contains(c)), "{text}: {sound}");
        assert!(text.get(word.text_span.clone()).is_some_and(|shown| !shown.is_empty()), "{text}");
    }
    words
}

fn spoken(text: &str, language: &str) -> String {
    let spoken: String = words(text, language).iter().map(|w| format!("{}{}", w.phonemes, w.trailing)).collect();
    spoken.trim_end().to_owned()
}

#[test]
fn spanish_sounds_follow_its_spelling() {
    let table = [
        ("Tengo hambre.", "tˈɛŋɡo ˈambɾe."),
        ("¿Cómo dormiste?", "kˈomo ðoɾmˈiste?"),
        ("la guerra, el pingüino, la guitarra", "la ɣˈera, el pˌiŋɡuˈino, la ɣitˈara"),
        ("el perro pero caro", "el pˈero pˌeɾo kˈaɾo"),
        ("gente, jamón, zapato, cielo", "xˈɛnte, xamˈon, θapˈato, θjˈelo"),
        ("calle, yo, lluvia", "kˈaʎe, ʝˈo, ʎˈuβja"),
        ("un beso, un gato, en pie", "ˈum bˈeso, ˈuŋ ɡˈato, em pjˈe"),
        ("aire, rey, causa, deuda", "ˈIɾe, rˈA, kˈWsa, dˈeʊða"),
        ("México", "mˈexiko"),
        ("fácilmente", "fˈaθilmˈente"),
        ("ciudad, país, día, dio", "θjuðˈad, paˈis, dˈia, djˈo"),
        ("niño, mañana", "nˈiɲo, maɲˈana"),
        ("lo siento, dímelo", "lo sjˈɛnto, dˈimelo"),
        ("responsabilidad internacional", "rˌesponsˌaβiliðˈad ˌinteɾnˌaθjonˈal"),
    ];
    for (text, expected) in table {
        assert_eq!(spoken(text, "es"), expected, "{text}");
    }
}

#[test]
fn the_americas_have_no_theta() {
    assert_eq!(spoken("cielo, zapato, calle", "es-MX"), "sjˈelo, sapˈato, kˈaʝe");
    assert_eq!(spoken("cielo", "es-ES"), "θjˈelo");
}

#[test]
fn english_words_sound_by_their_part_of_speech() {
    assert_eq!(spoken("They record a record.", "en"), "ðˌA ɹəkˈɔɹd ɐ ɹˈɛkəɹd.");
    let reads = words("I read it yesterday. I will read it.", "en");
    assert_ne!(reads[1].phonemes, reads[6].phonemes);
    assert_eq!(words("the apple", "en")[0].phonemes, "ði");
    assert_eq!(words("the pear", "en")[0].phonemes, "ðə");
}

#[test]
fn british_english_sounds_british() {
    assert_ne!(spoken("I can't dance in the bath.", "en-GB"), spoken("I can't dance in the bath.", "en"));
    assert!(spoken("car", "en-GB").ends_with("kˈɑː"));
}

#[test]
fn unknown_words_are_read_by_their_letters() {
    let invented = "Blorptang zixwick Grunthorpe quimbly vrelt Tertulia Oaxtepec frumious kubectl gpt xkcd \
        Dzheltyy Nguyen Szczecin brillig slithy toves mimsy borogoves Zbigniew Wojciechowski antifrumiousness bookhouse \
        qzxwv Ng Pt zzz";
    let words = words(invented, "en");
    assert_eq!(words.len(), invented.split_whitespace().count());
    for word in words {
        assert!(!word.phonemes.contains('❓'));
        assert!(word.phonemes.contains(|c| "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ".contains(c)), "{}", word.phonemes);
    }
}

#[test]
fn a_number_speaks_its_own_bytes() {
    let text = "It costs $12.50 today.";
    let words = words(text, "en");
    let amount = words.iter().filter(|word| word.text_span == (9..15)).count();
    assert_eq!(amount, 5, "twelve dollars and fifty cents");
    assert_eq!(words.last().map(|word| word.trailing.as_str()), Some(". "));
}

#[test]
fn marks_that_are_not_spoken_leave_no_sound() {
    assert_eq!(spoken("**Hello** 🙂 `world`", "en"), spoken("Hello world", "en"));
    assert!(words("🙂🙂 *** ```", "es").is_empty());
    assert!(words("", "en").is_empty());
    assert!(words("привет 你好", "en").is_empty());
}
