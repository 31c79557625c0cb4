//! Rules about words: completeness (a cue of the end of turn), backchannels, and the stable prefix of partials.

use crate::event::Transcript;
use crate::text::{self, Ending};

/// Words of the longest backchannel: "sí, sí, claro".
const BACKCHANNEL_WORDS_MAX: usize = 3;

/// A transcript over a reply is reliable below this probability of no speech, and above this mean log-probability.
const NO_SPEECH_MAX: f32 = 0.5;
const LOG_PROBABILITY_MIN: f32 = -1.2;

/// How complete a transcript is, from -1 (more is to come) to 1 (that was all): by the recogniser's own probability where
/// it has one, by words and punctuation otherwise, and never complete where those leave the sentence open.
pub(crate) fn completeness(transcript: &Transcript) -> f32 {
    let last_word = words(&transcript.text).next_back();
    let goes_on = last_word.map(|word| text::is_open_ended(&word, language(transcript).as_slice()));
    let (complete, is_open) = match (text::ending(&transcript.text), goes_on) {
        (_, None) => (0.0, false),
        (Ending::Open, _) | (Ending::Unmarked, Some(true)) => (-1.0, true),
        // A recogniser likes to close what the speaker did not.
        (Ending::Closed, Some(true)) => (-0.3, true),
        (Ending::Closed, Some(false)) => (1.0, false),
        (Ending::Unmarked, Some(false)) => (-0.2, false),
    };
    match transcript.finished_probability.map(|probability| 2.0 * probability - 1.0) {
        Some(by_recognizer) if is_open => by_recognizer.min(complete),
        Some(by_recognizer) => by_recognizer,
        None => complete,
    }
}

/// The words are a backchannel ("mhm"), or none at all.
pub(crate) fn is_backchannel(transcript: &Transcript) -> bool {
    let language = language(transcript);
    let mut words = words(&transcript.text).take(BACKCHANNEL_WORDS_MAX + 1).enumerate();
    words.all(|(count, word)| count < BACKCHANNEL_WORDS_MAX && text::is_backchannel(&word, language.as_slice()))
}

/// The words were spoken by the user. The recogniser makes words of residual echo too, and is not sure of them.
pub(crate) fn are_reliable(transcript: &Transcript) -> bool {
    transcript.no_speech_probability < NO_SPEECH_MAX && transcript.average_log_probability > LOG_PROBABILITY_MIN
}

/// The stable prefix of the partial transcripts of an utterance: words on which two answers of the recogniser agree stay
/// as they were shown first (local agreement).
#[derive(Debug, Default)]
pub(crate) struct StablePrefix {
    stable: Vec<String>,
    /// The last answer's words.
    earlier: Vec<String>,
}

impl StablePrefix {
    /// Takes the recogniser's newest answer; gives the text to show, and how many bytes of it stay.
    ///
    /// The last word of an answer never stays, as the audio may end in the middle of it.
    pub(crate) fn update(&mut self, text: &str) -> (String, usize) {
        let pieces: Vec<&str> = text.split_whitespace().collect();
        let now: Vec<String> = pieces.iter().map(|piece| bare(piece)).collect();
        let agreed = now.iter().zip(&self.earlier).take_while(|(a, b)| a == b).count().min(now.len().saturating_sub(1));
        let new = pieces.get(self.stable.len()..agreed).unwrap_or_default();
        self.stable.extend(new.iter().map(|piece| (*piece).to_owned()));
        self.earlier = now;
        let rest = pieces.into_iter().skip(self.stable.len());
        let shown: Vec<&str> = self.stable.iter().map(String::as_str).chain(rest).collect();
        (shown.join(" "), self.stable.join(" ").len())
    }
}

fn language(transcript: &Transcript) -> Option<&str> {
    transcript.language.as_ref().map(|language| language.primary())
}

/// The words without punctuation, in lower case.
fn words(text: &str) -> impl DoubleEndedIterator<Item = String> {
    text.split_whitespace().filter(|piece| piece.contains(char::is_alphanumeric)).map(bare)
}

fn bare(piece: &str) -> String {
    piece.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(language: &str, text: &str) -> Transcript {
        Transcript { text: text.into(), language: language.parse().ok(), ..Transcript::default() }
    }

    #[test]
    fn the_recognisers_own_probability_counts_more_than_its_punctuation() {
        let completeness = |text, probability| {
            completeness(&Transcript { finished_probability: Some(probability), ..said("es", text) })
        };
        assert_eq!(completeness("Quiero un café.", 0.25), -0.5);
        assert_eq!(completeness("Quiero un café", 0.75), 0.5);
        assert_eq!(completeness("Quiero un café y", 0.75), -1.0);
        assert_eq!(completeness("Quiero un café y.", 0.75), -0.3);
    }

    #[test]
    fn completeness_depends_on_the_last_word_and_the_punctuation() {
        let completeness = |language, text| completeness(&said(language, text));
        for (language, whole) in
            [("es", "Quiero un café."), ("es", "¿Dónde está el baño?"), ("es", "Sí."), ("en", "I went home.")]
        {
            assert_eq!(completeness(language, whole), 1.0, "{whole}");
        }
        for (language, hanging) in [
            ("es", "Quiero un café y"),
            ("es", "Fui a la"),
            ("en", "I went to the"),
            ("es", "Mañana..."),
            ("es", "Primero,"),
            ("es", "porque"),
        ] {
            assert_eq!(completeness(language, hanging), -1.0, "{hanging}");
        }
        assert!(completeness("es", "Quiero un café y.") < 0.0);
        assert!(completeness("es", "Quiero un café") < 0.5);
        assert_eq!(completeness("es", " "), 0.0);
        // A sentence goes on after "a" in Spanish and English; German has no list.
        assert_eq!(completeness("de", "a."), 1.0);
    }

    #[test]
    fn a_backchannel_has_few_words_and_only_known_ones() {
        for (language, backchannel) in
            [("en", "Mhm."), ("es", "Sí, sí, claro."), ("en", "Okay."), ("es", ""), ("es", "...")]
        {
            assert!(is_backchannel(&said(language, backchannel)), "{backchannel}");
        }
        for (language, barge_in) in
            [("es", "No, espera."), ("es", "Sí, pero yo no"), ("es", "¡Para!"), ("es", "sí sí sí sí"), ("de", "ja")]
        {
            assert!(!is_backchannel(&said(language, barge_in)), "{barge_in}");
        }
    }

    #[test]
    fn words_of_residual_echo_are_not_reliable() {
        let reliable = |no_speech_probability, average_log_probability| {
            are_reliable(&Transcript { no_speech_probability, average_log_probability, ..Transcript::default() })
        };
        // "Wait." and "¡Para!", and two transcripts of residual echo.
        assert!(reliable(0.07, -0.38) && reliable(0.23, -1.03));
        assert!(!reliable(0.75, -1.23) && !reliable(0.55, -0.92));
    }

    #[test]
    fn the_stable_prefix_of_partials_stays_as_it_was_shown() {
        let mut prefix = StablePrefix::default();
        let mut show = |text: &str| {
            let (text, stable_len) = prefix.update(text);
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
