//! [`Reader`]: the sound of a word by the word lists: as a whole, by its letters, without its ending; after misaki 0.9.4,
//! whose English Kokoro was trained on.

use super::dictionary::{Dictionary, Sounds};
use super::stress::{MAIN, SECOND, Stress, is_vowel, restress, weakened};

/// Consonants of the lists' sounds.
const CONSONANTS: &str = "bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθT";
/// American sounds after which a t between vowels is a tap.
const BEFORE_TAP: &str = "AIOWYiuæɑəɛɪɹʊʌ";

/// Sounds of one dialect.
pub(super) struct Reader<'d> {
    pub(super) dictionary: &'d Dictionary,
    pub(super) british: bool,
}

/// A word's part of speech and what follows it.
#[derive(Clone, Copy, Default)]
pub(super) struct Context<'t> {
    /// The Penn Treebank tag; empty where it is not known.
    pub(super) tag: &'t str,
    pub(super) next: Next,
}

/// The word after a word, and its first sound.
#[derive(Clone, Copy, Default)]
pub(super) struct Next {
    /// The next sound is a vowel; `None` before a pause.
    pub(super) vowel: Option<bool>,
    /// The next word is "to".
    pub(super) to: bool,
}

impl Next {
    /// The same for the word before this sound; a sound without letters changes nothing.
    pub(super) fn before(self, sound: &str, is_to: bool) -> Self {
        let vowel = sound.chars().find_map(|c| (is_vowel(c) || CONSONANTS.contains(c)).then(|| Some(is_vowel(c))));
        Self { vowel: vowel.unwrap_or(self.vowel), to: is_to }
    }
}

impl Reader<'_> {
    /// The sound of a word of letters, apostrophes and hyphens; `None` where neither list helps.
    pub(super) fn sound(&self, word: &str, context: Context<'_>) -> Option<String> {
        let stress = match word {
            word if !has_capital(word) => None,
            word if is_capitals(word) => Some(Stress::Main),
            _ => Some(Stress::Second),
        };
        if let Some(sound) = self.function_word(word, stress, context) {
            return Some(sound);
        }
        let lower = word.to_ascii_lowercase();
        let word = if self.is_known_small(word, &lower, stress, context) { &lower } else { word };
        if self.knows(word) {
            return self.lookup(word, stress, context.tag, Some(context.next));
        }
        if let Some(stem) = word.strip_suffix('\'') {
            if let Some(owner) =
                stem.strip_suffix('s').map(|owner| format!("{owner}'s")).filter(|owner| self.knows(owner))
            {
                return self.lookup(&owner, stress, context.tag, Some(context.next));
            }
            if self.knows(stem) {
                return self.lookup(stem, stress, context.tag, Some(context.next));
            }
        }
        self.inflected(word, stress, context)
    }

    /// The word has no ending of its own and is in a list.
    pub(super) fn in_lists(&self, word: &str) -> bool {
        let (checked, other) = self.sounds(word);
        checked.is_some() || other.is_some()
    }

    /// The sound of a word of the lists as a noun, where nothing is known of what follows.
    pub(super) fn noun(&self, word: &str) -> Option<String> {
        self.lookup(word, None, "NN", None)
    }

    /// A capitalised or shouted word that only its small letters are known of.
    fn is_known_small(&self, word: &str, lower: &str, stress: Option<Stress>, context: Context<'_>) -> bool {
        word.len() > 1
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'\'')
            && has_capital(word)
            && (context.tag != "NNP" || word.len() > 7)
            && (is_capitals(word) || !has_capital(&word[1..]))
            && !self.in_lists(word)
            && (self.in_lists(lower) || self.inflected(lower, stress, context).is_some())
    }

    /// Words whose sound depends on the words around them.
    fn function_word(&self, word: &str, stress: Option<Stress>, context: Context<'_>) -> Option<String> {
        let Context { tag, next } = context;
        let lower = word.to_ascii_lowercase();
        let shouted = word.len() > 1 && is_capitals(word);
        let listed = |word: &str, part: &str| {
            let sounds = self.checked(word)?;
            Some(sounds.of(part).unwrap_or(sounds.plain()).to_owned())
        };
        let sound = match lower.as_str() {
            "a" if tag == "DT" => "ɐ",
            "a" => "ˈA",
            "am" if tag.starts_with("NN") => return self.spelled(word),
            "am" if next.vowel.is_none() || word != "am" || stress == Some(Stress::Main) => return listed("am", ""),
            "am" => "ɐm",
            "an" if shouted && tag.starts_with("NN") => return self.spelled(word),
            "an" => "ɐn",
            "i" if word == "I" && tag == "PRP" => "ˌI",
            "by" if matches!(tag, "RB" | "RBR" | "RBS") => "bˈI",
            "to" if !shouted || matches!(tag, "TO" | "IN") => match next.vowel {
                None => return listed("to", ""),
                Some(false) => "tə",
                Some(true) => "tʊ",
            },
            "in" if !shouted || tag != "NNP" => {
                if next.vowel.is_none() || tag != "IN" {
                    "ˈɪn"
                } else {
                    "ɪn"
                }
            }
            "the" if !shouted || tag == "DT" => {
                if next.vowel == Some(true) {
                    "ði"
                } else {
                    "ðə"
                }
            }
            "vs" if tag == "IN" => return self.lookup("versus", None, tag, Some(next)),
            "used" if matches!(tag, "VBD" | "JJ") && next.to => return listed("used", "VBD"),
            "used" => return listed("used", ""),
            _ => return None,
        };
        Some(sound.to_owned())
    }

    /// The sounds in the list that was checked by hand.
    pub(super) fn checked(&self, word: &str) -> Option<Sounds> {
        self.sounds(word).0
    }

    /// The sounds in the list that was checked by hand, and if there are none those in the other: of the word as it is
    /// written; else of a capitalised word small, or of a small one capitalised.
    fn sounds(&self, word: &str) -> (Option<Sounds>, Option<Sounds>) {
        let found = self.dictionary.sounds(word, self.british);
        if found.0.is_some() || word.len() < 2 || !word.is_ascii() || has_capital(&word[1..]) {
            return found;
        }
        let first = &word[..1];
        let first = if has_capital(first) { first.to_ascii_lowercase() } else { first.to_ascii_uppercase() };
        let recased = self.dictionary.sounds(&(first + &word[1..]), self.british);
        (recased.0, found.1.or(recased.1))
    }

    /// The lists have the word, or it is read by its letters.
    fn knows(&self, word: &str) -> bool {
        self.in_lists(word)
            || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()))
                && (word.len() == 1
                    || is_capitals(word) && self.checked(&word.to_ascii_lowercase()).is_some()
                    || is_capitals(&word[1..]))
    }

    fn lookup(&self, word: &str, stress: Option<Stress>, tag: &str, next: Option<Next>) -> Option<String> {
        let lower = word.to_ascii_lowercase();
        let as_name = is_capitals(word) && self.checked(word).is_none();
        let word = if as_name { &lower } else { word };
        let is_name = as_name && tag == "NNP";
        let (checked, other) = self.sounds(word);
        let sounds = checked.or(if is_name { None } else { other });
        let before_pause = next.is_some_and(|next| next.vowel.is_none());
        let sound = sounds.as_ref().map(|sounds| {
            let at_pause = if before_pause { sounds.of("None") } else { None };
            at_pause.or_else(|| sounds.of(tag)).or_else(|| sounds.of(group(tag))).unwrap_or(sounds.plain())
        });
        match sound {
            Some(sound) if !sound.is_empty() && (!is_name || sound.contains(MAIN)) => Some(restress(sound, stress)),
            other => {
                let sound = other.filter(|sound| !sound.is_empty());
                self.spelled(word).or_else(|| sound.map(|sound| restress(sound, stress)))
            }
        }
    }

    /// The word's letters, the last one stressed.
    fn spelled(&self, word: &str) -> Option<String> {
        let mut sound = String::new();
        for letter in word.chars().filter(char::is_ascii_alphabetic) {
            sound += self.checked(letter.to_ascii_uppercase().encode_utf8(&mut [0; 4]))?.plain();
        }
        let mut sound = weakened(&sound);
        if let Some(last) = sound.rfind(SECOND) {
            sound.replace_range(last..last + SECOND.len_utf8(), "ˈ");
        }
        Some(sound)
    }

    /// A word with the ending of a plural or a possessive, of the past, or of a participle.
    fn inflected(&self, word: &str, stress: Option<Stress>, context: Context<'_>) -> Option<String> {
        let sound = |stem: &str, stress| {
            self.lookup(stem, stress, context.tag, Some(context.next)).filter(|sound| !sound.is_empty())
        };
        if let Some(stem) = self.stem_of_s(word) {
            return Some(self.with_s(&sound(&stem, stress)?));
        }
        if let Some(stem) = self.stem_of_ed(word) {
            return Some(self.with_ed(&sound(stem, stress)?));
        }
        self.with_ing(&sound(&self.stem_of_ing(word)?, stress.or(Some(Stress::Second)))?)
    }

    fn stem_of_s(&self, word: &str) -> Option<String> {
        let stem = word.strip_suffix('s').filter(|stem| stem.len() >= 2)?;
        let known = |stem: &str| self.knows(stem).then(|| stem.to_owned());
        if !stem.ends_with('s') && self.knows(stem) {
            return known(stem);
        }
        let long = word.len() > 4;
        let short =
            stem.strip_suffix('\'').or_else(|| stem.strip_suffix('e').filter(|_| long && !word.ends_with("ies")));
        let ies = || stem.strip_suffix("ie").filter(|_| long).and_then(|stem| known(&format!("{stem}y")));
        short.and_then(known).or_else(ies)
    }

    fn with_s(&self, stem: &str) -> String {
        match stem.chars().last() {
            Some('p' | 't' | 'k' | 'f' | 'θ') => format!("{stem}s"),
            Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => format!("{stem}{}z", self.blurred()),
            _ => format!("{stem}z"),
        }
    }

    fn stem_of_ed<'w>(&self, word: &'w str) -> Option<&'w str> {
        let stem = word.strip_suffix('d').filter(|stem| stem.len() >= 3)?;
        if !stem.ends_with('d') && self.knows(stem) {
            return Some(stem);
        }
        stem.strip_suffix('e').filter(|stem| word.len() > 4 && !stem.ends_with('e') && self.knows(stem))
    }

    fn with_ed(&self, stem: &str) -> String {
        let mut from_end = stem.chars().rev();
        match (from_end.next(), from_end.next()) {
            (Some('p' | 'k' | 'f' | 'θ' | 'ʃ' | 's' | 'ʧ'), _) => format!("{stem}t"),
            (Some('d'), _) => format!("{stem}{}d", self.blurred()),
            (Some('t'), Some(before)) if !self.british && BEFORE_TAP.contains(before) => {
                format!("{}ɾᵻd", &stem[..stem.len() - 1])
            }
            (Some('t'), Some(_)) if !self.british => format!("{stem}ᵻd"),
            (Some('t'), _) => format!("{stem}ɪd"),
            _ => format!("{stem}d"),
        }
    }

    fn stem_of_ing(&self, word: &str) -> Option<String> {
        let stem = word.strip_suffix("ing").filter(|stem| stem.len() >= 2)?;
        if stem.len() > 2 && self.knows(stem) {
            return Some(stem.to_owned());
        }
        let whole = format!("{stem}e");
        if self.knows(&whole) {
            return Some(whole);
        }
        let (short, doubled) = stem.split_at(stem.len() - 1);
        let twice = short.ends_with(doubled) && "bcdgklmnprstvxz".contains(doubled) || stem.ends_with("ck");
        (stem.len() > 2 && twice && self.knows(short)).then(|| short.to_owned())
    }

    /// `None` for a British r that would come back.
    fn with_ing(&self, stem: &str) -> Option<String> {
        let mut from_end = stem.chars().rev();
        match (from_end.next()?, from_end.next()) {
            ('ə' | 'ː', _) if self.british => None,
            ('t', Some(before)) if !self.british && BEFORE_TAP.contains(before) => {
                Some(format!("{}ɾɪŋ", &stem[..stem.len() - 1]))
            }
            _ => Some(format!("{stem}ɪŋ")),
        }
    }

    fn blurred(&self) -> char {
        if self.british { 'ɪ' } else { 'ᵻ' }
    }
}

/// The lists' group of a tag.
fn group(tag: &str) -> &str {
    match tag {
        tag if tag.starts_with("VB") => "VERB",
        tag if tag.starts_with("NN") => "NOUN",
        tag if tag.starts_with("RB") => "ADV",
        tag if tag.starts_with("JJ") => "ADJ",
        tag => tag,
    }
}

fn has_capital(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Nothing in the word is a small letter.
fn is_capitals(word: &str) -> bool {
    !word.bytes().any(|byte| byte.is_ascii_lowercase())
}
