//! What the words so far tell: whether they look complete, whether they are more than a nod, and which of them stand.

use crate::event::Transcript;
use crate::text::{Ending, ending, is_backchannel, is_open_ended};

/// How many words a nod has at most: "sí, sí, claro".
const BACKCHANNEL_WORDS_MAX: usize = 3;

/// Over the tutor, words count up to this probability that nobody speaks, and from this mean log-probability on.
const NO_SPEECH_MAX: f32 = 0.5;
const LOG_PROBABILITY_MIN: f32 = -1.2;

/// How complete what was understood is, from -1 (more is to come) to 1 (that was all): by the recogniser's own ear where
/// it tells, by the signs that it wrote where it does not, and never with a word at the end after which sentences go on.
pub(crate) fn completeness(transcript: &Transcript, languages: &[&str]) -> f32 {
    let looks = looks_complete(&transcript.text, languages);
    match transcript.finished_probability {
        Some(probability) if looks.hangs => (2.0 * probability - 1.0).min(looks.complete),
        Some(probability) => 2.0 * probability - 1.0,
        None => looks.complete,
    }
}

struct Looks {
    complete: f32,
    /// Ends with a word, or a sign, after which sentences go on.
    hangs: bool,
}

/// `languages` are tried in turn.
fn looks_complete(text: &str, languages: &[&str]) -> Looks {
    let looks = |complete, hangs| Looks { complete, hangs };
    let Some(last_word) = words(text).next_back() else { return looks(0.0, false) };
    let hangs = is_open_ended(&last_word, languages);
    match (ending(text), hangs) {
        (Ending::Open, _) => looks(-1.0, true),
        // A recogniser likes to close what the speaker did not.
        (Ending::Closed, true) => looks(-0.3, true),
        (Ending::Closed, false) => looks(1.0, false),
        (Ending::Unmarked, true) => looks(-1.0, true),
        (Ending::Unmarked, false) => looks(-0.2, false),
    }
}

/// Whether a text takes the floor, rather than saying "mhm" or nothing.
pub(crate) fn takes_the_floor(text: &str, languages: &[&str]) -> bool {
    let mut count = 0;
    let only_nods = words(text).inspect(|_| count += 1).all(|word| is_backchannel(&word, languages));
    !only_nods || count > BACKCHANNEL_WORDS_MAX
}

/// Whether what was understood while the tutor speaks was said by somebody. Of a rest of echo the recogniser makes words
/// too, and is not sure of them.
pub(crate) fn are_believed(transcript: &Transcript) -> bool {
    transcript.no_speech_probability < NO_SPEECH_MAX && transcript.average_log_probability > LOG_PROBABILITY_MIN
}

/// The words so far as they are shown: what two answers of the recogniser agree on stays as it was shown first.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    stable: Vec<String>,
    /// The last answer's words.
    earlier: Vec<String>,
}

impl Shown {
    /// Takes in the recogniser's newest answer; gives the text to show, and how many bytes of it stay.
    ///
    /// The last word of an answer never stays, as the sound may end in the middle of it.
    pub(crate) fn update(&mut self, text: &str) -> (String, usize) {
        let pieces: Vec<&str> = text.split_whitespace().collect();
        let now: Vec<String> = pieces.iter().map(|piece| bare(piece)).collect();
        let agreed = now.iter().zip(&self.earlier).take_while(|(a, b)| a == b).count().min(now.len().saturating_sub(1));
        let new = pieces.get(self.stable.len()..agreed).unwrap_or_default();
        self.stable.extend(new.iter().map(|piece| (*piece).to_owned()));
        self.earlier = now;
        let mut shown = self.stable.join(" ");
        let stable_len = shown.len();
        for piece in pieces.iter().skip(self.stable.len()) {
            if !shown.is_empty() {
                shown.push(' ');
            }
            shown.push_str(piece);
        }
        (shown, stable_len)
    }
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = String> {
    pieces(text).map(bare)
}

/// The words with their punctuation.
fn pieces(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split_whitespace().filter(|piece| piece.contains(char::is_alphanumeric))
}

fn bare(piece: &str) -> String {
    piece.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[&str] = &["es", "en"];

    fn completeness(text: &str, languages: &[&str]) -> f32 {
        super::completeness(&Transcript { text: text.into(), ..Transcript::default() }, languages)
    }

    #[test]
    fn the_recognisers_own_ear_counts_more_than_the_signs_that_it_wrote() {
        let heard = |text: &str, probability| {
            let transcript =
                Transcript { text: text.into(), finished_probability: Some(probability), ..Transcript::default() };
            super::completeness(&transcript, BOTH)
        };
        assert_eq!(heard("Quiero un café.", 0.25), -0.5);
        assert_eq!(heard("Quiero un café", 0.75), 0.5);
        assert_eq!(heard("Quiero un café y", 0.75), -1.0);
        assert_eq!(heard("Quiero un café y.", 0.75), -0.3);
    }

    #[test]
    fn what_hangs_in_the_air_is_not_complete() {
        for whole in ["Quiero un café.", "¿Dónde está el baño?", "Sí.", "I went home."] {
            assert_eq!(completeness(whole, BOTH), 1.0, "{whole}");
        }
        for hanging in ["Quiero un café y", "Fui a la", "I went to the", "Mañana...", "Primero,", "porque"] {
            assert_eq!(completeness(hanging, BOTH), -1.0, "{hanging}");
        }
        assert!(completeness("Quiero un café y.", BOTH) < 0.0);
        assert!(completeness("Quiero un café", BOTH) < 0.5);
        assert_eq!(completeness(" ", BOTH), 0.0);
        // "a" hangs in Spanish and English, but nobody said so of German.
        assert_eq!(completeness("a.", &["de"]), 1.0);
    }

    #[test]
    fn a_nod_does_not_take_the_floor() {
        for nod in ["Mhm.", "Sí, sí, claro.", "Okay.", "", "..."] {
            assert!(!takes_the_floor(nod, BOTH), "{nod}");
        }
        for floor in ["No, espera.", "Sí, pero yo no", "¡Para!", "sí sí sí sí"] {
            assert!(takes_the_floor(floor, BOTH), "{floor}");
        }
    }

    #[test]
    fn words_that_the_recogniser_is_not_sure_of_are_not_believed() {
        let believed = |no_speech_probability, average_log_probability| {
            are_believed(&Transcript { no_speech_probability, average_log_probability, ..Transcript::default() })
        };
        // "Wait." and "¡Para!", and what was made of two rests of echo.
        assert!(believed(0.07, -0.38) && believed(0.23, -1.03));
        assert!(!believed(0.75, -1.23) && !believed(0.55, -0.92));
    }

    #[test]
    fn what_was_heard_twice_stays_as_it_was_shown() {
        let mut shown = Shown::default();
        let mut show = |text: &str| {
            let (text, stable_len) = shown.update(text);
            (text[..stable_len].to_owned(), text[stable_len..].to_owned())
        };
        let pair = |stable: &str, rest: &str| (stable.to_owned(), rest.to_owned());
        assert_eq!(show("hola quiero un"), pair("", "hola quiero un"));
        assert_eq!(show("Hola, quiero un café"), pair("Hola, quiero un", " café"));
        assert_eq!(show("Hola. Quiero un cafecito"), pair("Hola, quiero un", " cafecito"));
        assert_eq!(show("Ola"), pair("Hola, quiero un", ""));
        assert_eq!(show("Hola, quiero un cafecito y"), pair("Hola, quiero un", " cafecito y"));
    }
}
