//! Every word gets a sound that the voice can speak, and the sounds are right.

#[path = "common/words.rs"]
mod common;

use common::{models::model_path, pronunciations};
use tertulia::{ErrorCode, LanguageTag};
use tertulia_models::gguf::{Gguf, GgufWriter};
use tertulia_models::text::{PhonemeWord, Pronunciations, phonemize};

/// Kokoro's alphabet.
const SYMBOLS: &str = ";:,.!?—…\"()“” \u{303}ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈ\
    ʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ";

fn words(text: &str, language: &str) -> Vec<PhonemeWord> {
    let language: LanguageTag = language.parse().unwrap();
    let british = language.as_str() == "en-GB";
    let words = phonemize(text, &[language], &Default::default(), british, pronunciations()).unwrap();
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
    for word in ["water", "schedule", "tomato", "go", "better"] {
        assert_ne!(spoken(word, "en-GB"), spoken(word, "en"), "{word}");
    }
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

#[test]
fn heteronyms_sound_by_their_sentence() {
    // Each word in two sentences, and what its sound has in one of them and not in the other.
    let table = [
        ("read", "I will read it.", "I have read it.", "ɹˈid"),
        ("live", "They live in Rome.", "We watched a live show.", "lˈɪv"),
        ("close", "Please close the door.", "The shop is close to the station.", "klˈOz"),
        ("use", "You can use my pen.", "It is of no use.", "jˈuz"),
        ("record", "We record every call.", "She broke the record.", "ɹəkˈɔɹd"),
        ("object", "They object to it.", "It is a strange object.", "əbʤˈɛkt"),
        ("present", "Let me present the plan.", "Thanks for the present.", "pɹizˈɛnt"),
        ("project", "They project the film.", "The project is late.", "pɹəʤˈɛkt"),
        ("increase", "Prices increase every year.", "There was an increase.", "ɪnkɹˈis"),
        ("excuse", "Please excuse me.", "That is a poor excuse.", "ɪkskjˈuz"),
        ("separate", "We separate the eggs.", "They have separate rooms.", "ˌAt"),
        ("estimate", "We estimate the cost.", "He gave an estimate.", "ˌAt"),
        ("house", "They house three families.", "This is my house.", "hˈWz"),
        ("abuse", "They abuse their power.", "It is an abuse of power.", "əbjˈuz"),
    ];
    let sound = |word: &str, text: &str| {
        let found = words(text, "en").into_iter().find(|found| &text[found.text_span.clone()] == word);
        found.map(|found| found.phonemes).unwrap()
    };
    for (word, here, there, part) in table {
        let (here, there) = (sound(word, here), sound(word, there));
        assert!(here.contains(part) && !there.contains(part), "{word}: {here}, {there}");
    }
}

#[test]
fn function_words_sound_by_the_word_after_them() {
    assert_eq!(spoken("the end of the day", "en"), "ði ˈɛnd ʌv ðə dˈA");
    assert_eq!(spoken("We used to use it.", "en"), "wˌi jˈust tə jˈuz ɪt.");
    assert_eq!(spoken("I used two.", "en"), "ˌI jˈuzd tˈu.");
    assert_eq!(words("an offer to Anne", "en")[2].phonemes, "tʊ");
    // A name that no list has counts, too.
    assert_eq!(words("the Ygritte", "en")[0].phonemes, "ðə");
    assert_eq!(words("the Oaxtepec road", "en")[0].phonemes, "ði");
}

#[test]
fn endings_and_possessives_follow_the_stem() {
    let table = [
        ("cats dogs horses", "kˈæts dˈɔɡz hˈɔɹsᵻz"),
        ("Alice's cats' Thomas's", "ˈælɪsᵻz kˈæts tˈɑməsᵻz"),
        ("ISPs", "ˌIˌɛspˈiz"),
        ("NASA USA", "nˈæsə jˌuˌɛsˈA"),
        ("well-known", "wˌɛlnˈOn"),
    ];
    for (text, expected) in table {
        assert_eq!(spoken(text, "en"), expected, "{text}");
    }
    assert_eq!(spoken("started", "en"), "stˈɑɹTᵻd");
    assert_eq!(spoken("started", "en-GB"), "stˈɑːtɪd");
}

#[test]
fn strange_words_have_a_sound() {
    for text in ["naïve café Zoë Łódź", "éing aaéing éed", "İstanbul ﬁne", "l'été o'", "'", "-", "x-", "'s", "a'b'c'd"]
    {
        for language in ["en", "en-GB"] {
            words(text, language);
        }
    }
    for letters in ["a", "x", "A", "Zq", "e'", "a-", "s"] {
        let long = letters.repeat(10_000 / letters.len());
        assert!(!words(&long, "en").is_empty(), "{letters}");
    }
}

#[test]
fn english_without_its_words_is_read_by_rule() {
    let languages = ["en".parse().unwrap(), "es".parse().unwrap()];
    let by_rule = Pronunciations::by_rule();
    assert!(by_rule.is_by_rule() && !pronunciations().is_by_rule());
    let words = phonemize("The cat sat. Buenos días.", &languages, &Default::default(), false, &by_rule).unwrap();
    assert_eq!(words.len(), 5);
    assert_eq!((words[1].phonemes.as_str(), words[4].phonemes.as_str()), ("kˈæt", "ðˈias"));
    assert!(words.iter().all(|word| !word.phonemes.is_empty()));
}

#[test]
fn damaged_words_are_refused_or_spoken_but_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.gguf");
    let file = Gguf::open(&model_path("kokoro-82m")).unwrap();
    let tags = file.value("english.tagger.tags").unwrap().clone();
    let text = "The quick brown foxes used to jump over an Oaxtepec dog's well-known ISPs.";
    let mut seed = 7u64;
    let mut next = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    for round in 0..8 {
        let mut writer = GgufWriter::new();
        writer.set("english.tagger.tags", tags.clone());
        for tensor in file.tensors().filter(|tensor| tensor.name.starts_with("english.")) {
            let mut data = tensor.data.to_vec();
            if tensor.name == "english.dictionary" {
                // Half of the rounds leave the head alone.
                let from = if round % 2 == 0 { 0 } else { 60_000 };
                for _ in 0..40_000 {
                    let at = from + next(data.len() - from);
                    data[at] = next(256) as u8;
                }
            }
            writer.tensor(tensor.name, tensor.shape, tensor.dtype, data).unwrap();
        }
        writer.write(&path).unwrap();
        match Pronunciations::read(&Gguf::open(&path).unwrap()) {
            Ok(damaged) => {
                let words = phonemize(text, &["en".parse().unwrap()], &Default::default(), false, &damaged).unwrap();
                assert!(words.iter().all(|word| !word.phonemes.is_empty()));
            }
            Err(error) => assert_eq!(error.code(), ErrorCode::ModelCorrupt),
        }
    }
}
