//! Word lists by language. A language without an entry in [`LISTS`] is treated safely: no word of it leaves a sentence
//! open, and only the backchannels of all languages are taken for one.

/// The lists of one language, all in lower case.
struct Lists {
    /// The primary tag.
    language: &'static str,
    /// Words that end in a period without ending a sentence.
    abbreviations: &'static [&'static str],
    /// Words after which a sentence goes on.
    open_ended: &'static [&'static str],
    /// Listener's words that do not claim the turn, those of [`BACKCHANNELS`] apart.
    backchannels: &'static [&'static str],
}

/// Backchannels of every language.
const BACKCHANNELS: &[&str] = &["ah", "aha", "hm", "hmm", "mhm", "mm", "oh", "ok", "okay"];

const LISTS: &[Lists] = &[ENGLISH, SPANISH];

const ENGLISH: Lists = Lists {
    language: "en",
    abbreviations: &[
        "a.m", "co", "dept", "dr", "e.g", "esp", "etc", "fig", "gen", "i.e", "inc", "jr", "ltd", "mr", "mrs", "ms",
        "mt", "no", "p", "p.m", "prof", "sr", "st", "vol", "vs",
    ],
    open_ended: &[
        "a", "about", "am", "an", "and", "are", "as", "at", "because", "but", "by", "can", "could", "did", "do",
        "does", "er", "erm", "for", "from", "had", "has", "have", "he", "her", "his", "if", "in", "into", "is", "it's",
        "its", "i", "i'm", "like", "maybe", "my", "not", "of", "on", "or", "our", "she", "should", "since", "so",
        "some", "than", "that", "that's", "the", "their", "then", "there's", "they", "this", "to", "uh", "um", "until",
        "very", "was", "we", "were", "when", "where", "which", "while", "who", "will", "with", "would", "your",
    ],
    backchannels: &["huh", "mmhm", "right", "sure", "uh-huh", "yeah", "yes", "yep"],
};

const SPANISH: Lists = Lists {
    language: "es",
    abbreviations: &[
        "a.m", "av", "avda", "cap", "d", "dr", "dra", "dña", "ee", "ej", "esp", "etc", "fig", "gen", "gob", "lic",
        "núm", "p", "p.m", "pág", "prof", "profa", "sr", "sra", "srta", "tel", "ud", "uds", "uu", "vd", "vol", "vs",
    ],
    open_ended: &[
        "a", "al", "ante", "aunque", "bajo", "como", "con", "creo", "cuando", "cuyo", "de", "del", "desde", "donde",
        "e", "eh", "el", "em", "en", "entonces", "entre", "era", "es", "esta", "este", "está", "están", "estoy", "fue",
        "ha", "han", "hasta", "hay", "he", "la", "las", "le", "les", "lo", "los", "me", "mi", "mientras", "mis", "muy",
        "más", "ni", "nuestra", "nuestro", "o", "para", "pero", "por", "porque", "pues", "que", "se", "ser", "si",
        "sin", "sobre", "son", "soy", "su", "sus", "también", "te", "tengo", "tu", "tus", "u", "un", "una", "unas",
        "unos", "voy", "y", "ya",
    ],
    backchannels: &["ahá", "ajam", "ajá", "claro", "eh", "si", "sí", "vale", "ya"],
};

/// `word`, in lower case, is an abbreviation of any language: a reply may mix them.
pub(super) fn is_abbreviation(word: &str) -> bool {
    LISTS.iter().any(|lists| lists.abbreviations.contains(&word))
}

/// A sentence in one of `languages` goes on after `word`, in lower case.
pub(crate) fn is_open_ended(word: &str, languages: &[&str]) -> bool {
    of(languages).any(|lists| lists.open_ended.contains(&word))
}

/// `word`, in lower case, is said by a listener who does not claim the turn.
pub(crate) fn is_backchannel(word: &str, languages: &[&str]) -> bool {
    BACKCHANNELS.contains(&word) || of(languages).any(|lists| lists.backchannels.contains(&word))
}

fn of(languages: &[&str]) -> impl Iterator<Item = &'static Lists> {
    LISTS.iter().filter(move |lists| languages.contains(&lists.language))
}
