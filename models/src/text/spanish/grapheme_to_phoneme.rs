//! Spanish grapheme-to-phoneme conversion.
//!
//! Spanish spelling tells the pronunciation almost wholly; the exceptions below are words whose letters lie. The
//! symbols are the narrow ones that Kokoro's Spanish voices were trained on: approximants `β ð ɣ` wherever a stop is
//! not called for, nasals that lean on the next consonant, and stress marks right before the vowel.

use crate::text::normalize::fold_accent;

/// The sounds before and after a word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Neighbours {
    /// The last sound of the word before; `None` after a pause.
    pub before: Option<char>,
    /// The first sound of the word after, as [`Sounds::first`] gives it; `None` before a pause.
    pub after: Option<char>,
}

/// A word's sounds before its neighbours are known: capitals stand for sounds that depend on them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sounds(Vec<char>);

impl Sounds {
    /// The first sound that is not a stress mark.
    pub(super) fn first(&self) -> Option<char> {
        self.0.iter().copied().find(|c| !matches!(c, 'ˈ' | 'ˌ'))
    }

    /// The phonemes between these neighbours. A word that leans on the next one is stressed where none follows.
    pub(super) fn between(&self, neighbours: Neighbours) -> String {
        let mut sounds = self.0.clone();
        if neighbours.after.is_none() && neighbours.before.is_some() && !sounds.contains(&'ˈ') {
            stress_last_vowel(&mut sounds);
        }
        realise(&sounds, neighbours)
    }
}

/// The sounds of one word in any case; letters that Spanish does not have are read as their nearest neighbours.
/// `seseo` is the pronunciation of the Americas: z and c as s, ll as y.
pub(super) fn sounds(word: &str, seseo: bool) -> Sounds {
    let letters: Vec<char> = word.chars().flat_map(char::to_lowercase).map(fold_foreign).collect();
    let lower: String = letters.iter().collect();
    let mut phones = phones(&respell(&lower).chars().collect::<Vec<_>>());
    if seseo {
        for phone in &mut phones {
            phone.sound = match phone.sound {
                'θ' => 's',
                'ʎ' => 'Y',
                other => other,
            };
        }
    }
    Sounds(with_stress(&phones, &lower))
}

/// The name of a letter, for spelling aloud; `None` where it is no letter of Spanish.
pub(super) fn letter_name(letter: char) -> Option<&'static str> {
    const NAMES: &str = "a, be, ce, de, e, efe, ge, hache, i, jota, ka, ele, eme, ene, o, pe, cu, erre, ese, te, u, uve, uve doble, equis, \
        i griega, zeta";
    match fold_accent(letter.to_lowercase().next().unwrap_or(letter)) {
        'ñ' => Some("eñe"),
        letter @ 'a'..='z' => NAMES.split(", ").nth((u32::from(letter) - u32::from('a')) as usize),
        _ => None,
    }
}

/// Words that lean on the next one and carry no stress.
const UNSTRESSED: &[&str] = &[
    "a", "al", "con", "de", "del", "e", "el", "en", "la", "las", "le", "les", "lo", "los", "me", "mi", "mis", "nos",
    "o", "os", "por", "que", "quien", "se", "si", "sin", "su", "sus", "te", "tras", "tu", "tus", "u", "y",
];

/// Words that lean on the next one and keep a weak stress.
const WEAK: &[&str] = &[
    "ante", "aunque", "bajo", "como", "cuando", "cuanto", "desde", "donde", "entre", "hacia", "hasta", "mientras",
    "nuestra", "nuestras", "nuestro", "nuestros", "para", "pero", "porque", "quienes", "sobre", "vuestra", "vuestras",
    "vuestro", "vuestros",
];

/// Beginnings of words that are not said as they are spelled, and a spelling that is.
const RESPELLED: &[(&str, &str)] = &[
    ("méxic", "méjic"),
    ("mexic", "mejic"),
    ("oaxaq", "oajaq"),
    ("oaxac", "oajac"),
    ("texa", "teja"),
    ("hollywood", "jóligud"),
    ("whats", "guats"),
    ("youtube", "yutub"),
    ("internet", "internét"),
    ("facebook", "féisbuk"),
    ("google", "gúguel"),
    ("email", "iméil"),
    ("software", "sófgüer"),
    ("online", "onláin"),
    ("show", "shóu"),
    ("jazz", "yas"),
    ("pizza", "pitsa"),
];

/// One sound of a word.
#[derive(Clone, Copy, Debug)]
struct Phone {
    sound: char,
    /// It is the vowel of a syllable.
    nucleus: bool,
    /// It is the first half of a diphthong said as two syllables, which spelling counts as one.
    light: bool,
    /// Its letter carries the written accent.
    accent: bool,
}

fn respell(word: &str) -> String {
    match RESPELLED.iter().find_map(|(from, to)| word.strip_prefix(from).map(|rest| (to, rest))) {
        Some((to, rest)) => format!("{to}{rest}"),
        None => word.to_owned(),
    }
}

fn fold_foreign(letter: char) -> char {
    match letter {
        'á' | 'é' | 'í' | 'ó' | 'ú' | 'ü' | 'ñ' => letter,
        'ç' => 's',
        'ã' | 'õ' | 'à' | 'è' | 'ì' | 'ò' | 'ù' | 'â' | 'ê' | 'î' | 'ô' | 'û' | 'ä' | 'ë' | 'ï' | 'ö' | 'å' => {
            fold_accent(letter)
        }
        other => other,
    }
}

fn is_vowel(letter: char) -> bool {
    matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'á' | 'é' | 'í' | 'ó' | 'ú' | 'ü')
}

fn is_front(letter: Option<char>) -> bool {
    matches!(letter, Some('e' | 'i' | 'é' | 'í' | 'y'))
}

fn phones(letters: &[char]) -> Vec<Phone> {
    let mut phones: Vec<Phone> = Vec::with_capacity(letters.len() + 4);
    let is_vowel_at = |at: usize| {
        is_vowel(letters[at]) || (letters[at] == 'y' && !letters.get(at + 1).copied().is_some_and(is_vowel))
    };
    let mut at = 0;
    while at < letters.len() {
        let run = (at..letters.len()).take_while(|&at| is_vowel_at(at)).count();
        if run > 0 {
            vowels(&letters[at..at + run], &mut phones);
            at += run;
            continue;
        }
        let (sounds, taken) = consonant(letters, at);
        phones.extend(sounds.iter().map(|&sound| Phone { sound, nucleus: false, light: false, accent: false }));
        at += taken;
    }
    phones
}

/// The sounds of the consonant at `at`, and how many letters it takes.
fn consonant(letters: &[char], at: usize) -> (&'static [char], usize) {
    let (letter, first) = (letters[at], at == 0);
    let next = letters.get(at + 1).copied();
    let previous = at.checked_sub(1).map(|i| letters[i]);
    let taken = |both: bool| if both { 2 } else { 1 };
    let silent_u = next == Some('u') && is_front(letters.get(at + 2).copied());
    let doubled = taken(next == Some(letter));
    match letter {
        'b' | 'v' => (&['B'], 1),
        'd' => (&['D'], 1),
        'c' if next == Some('h') => (&['ʧ'], 2),
        'c' if is_front(next) => (&['θ'], 1),
        'c' | 'k' => (&['k'], taken(next == Some('k'))),
        'q' => (&['k'], taken(silent_u)),
        'f' => (&['f'], 1),
        'g' if is_front(next) => (&['x'], 1),
        'g' => (&['G'], taken(silent_u)),
        'j' => (&['x'], 1),
        'l' if next == Some('l') => (&['ʎ'], 2),
        'l' => (&['l'], 1),
        'm' => (&['m'], 1),
        'n' => (&['N'], 1),
        'ñ' => (&['ɲ'], 1),
        'p' if first && next == Some('s') => (&[], 1),
        'p' if next == Some('h') => (&['f'], 2),
        'p' => (&['p'], 1),
        'r' if next == Some('r') => (&['r'], 2),
        'r' if first || matches!(previous, Some('n' | 'l' | 's')) => (&['r'], 1),
        'r' => (&['ɾ'], 1),
        's' if next == Some('h') && previous != Some('e') => (&['ʃ'], 2),
        's' => (&['s'], doubled),
        't' => (&['t'], doubled),
        'w' => (&['w'], 1),
        'x' if first => (&['s'], 1),
        'x' => (&['k', 's'], 1),
        'y' => (&['Y'], 1),
        'z' => (&['θ'], doubled),
        _ => (&[], 1),
    }
}

/// The sounds of a run of vowel letters.
fn vowels(run: &[char], phones: &mut Vec<Phone>) {
    let weak = |letter: char| matches!(letter, 'i' | 'u' | 'ü' | 'y');
    let plain = |letter: char| match letter {
        'y' => 'i',
        other => fold_accent(other),
    };
    let accented = |letter: char| matches!(letter, 'á' | 'é' | 'í' | 'ó' | 'ú');
    let mut at = 0;
    while at < run.len() {
        let letter = run[at];
        let next = run.get(at + 1).copied();
        if weak(letter)
            && let Some(following) = next
            && plain(following) != plain(letter)
            && !(following == 'y' && at == 0 && run.len() == 2)
        {
            // A glide into the next vowel. After r, ll or a group with r or l the mouth is not free for one.
            let mut behind = phones.iter().rev().map(|phone| phone.sound);
            let (after, before_that) = (behind.next(), behind.next());
            let group = matches!(after, Some('ɾ' | 'l')) && before_that.is_none_or(|c| !"aeiouAIWʊɪjw".contains(c));
            let sound = match plain(letter) {
                'i' if group || after == Some('r') => 'i',
                'i' => 'j',
                _ if letter == 'ü' || matches!(after, Some('r' | 'ɾ' | 'l' | 'ʎ')) => 'u',
                _ => 'w',
            };
            let light = matches!(sound, 'i' | 'u');
            phones.push(Phone { sound, nucleus: light, light, accent: false });
            at += 1;
            continue;
        }
        // A strong vowel, perhaps with a glide out of it.
        let glide = next.filter(|&following| {
            let then_vowel = run.get(at + 2).copied();
            weak(following) && !weak(letter) && then_vowel.is_none()
        });
        let uy = letter == 'u' && next == Some('y');
        let (sounds, taken): (&[char], usize) = match (letter, glide.map(plain)) {
            ('a', Some('i')) => (&['I'], 2),
            ('a', Some(_)) => (&['W'], 2),
            ('e', Some('i')) => (&['A'], 2),
            ('e', Some(_)) => (&['e', 'ʊ'], 2),
            ('o', Some('i')) => (&['o', 'ɪ'], 2),
            ('o', Some(_)) => (&['o', 'w'], 2),
            ('á', Some('i')) => (&['a', 'i'], 2),
            ('á', Some(_)) => (&['a', 'u'], 2),
            ('é', Some('i')) => (&['e', 'i'], 2),
            ('é', Some(_)) => (&['e', 'u'], 2),
            ('ó', Some('i')) => (&['o', 'i'], 2),
            ('ó', Some(_)) => (&['o', 'u'], 2),
            _ if uy => (&['u', 'j'], 2),
            _ => (&[], 1),
        };
        if sounds.is_empty() {
            phones.push(Phone { sound: plain(letter), nucleus: true, light: false, accent: accented(letter) });
        }
        for (index, &sound) in sounds.iter().enumerate() {
            phones.push(Phone { sound, nucleus: index == 0, light: false, accent: index == 0 && accented(letter) });
        }
        at += taken;
    }
}

/// Which syllable is stressed, counted from 0 among `nuclei`.
fn stressed_syllable(phones: &[Phone], nuclei: &[usize], word: &str) -> usize {
    if let Some(written) = nuclei.iter().position(|&index| phones[index].accent) {
        return written;
    }
    let heavy: Vec<usize> = (0..nuclei.len()).filter(|&syllable| !phones[nuclei[syllable]].light).collect();
    let from_end = match word.chars().last() {
        Some('a' | 'e' | 'i' | 'o' | 'u' | 'n' | 's') => 2,
        _ => 1,
    };
    heavy.get(heavy.len().saturating_sub(from_end)).copied().unwrap_or(nuclei.len() - 1)
}

/// The sounds with stress marks: the main one before its vowel, weak ones on every second syllable before it.
fn with_stress(phones: &[Phone], word: &str) -> Vec<char> {
    let nuclei: Vec<usize> = (0..phones.len()).filter(|&index| phones[index].nucleus).collect();
    let mut sounds = Vec::with_capacity(phones.len() + 2);
    let mut marks: Vec<(usize, char)> = Vec::new();
    let mut open_e = None;
    if !nuclei.is_empty() && !UNSTRESSED.contains(&word) {
        let mut stressed = stressed_syllable(phones, &nuclei, word);
        let adverb = word.strip_suffix("mente").filter(|stem| stem.chars().count() > 3);
        let adverb = adverb.filter(|stem| nuclei.len() > 2 && !matches!(*stem, "vehe" | "cle" | "incle"));
        if let Some(stem) = adverb {
            // Both parts of an adverb in -mente keep their stress.
            marks.push((nuclei[nuclei.len() - 2], 'ˈ'));
            stressed = stressed_syllable(phones, &nuclei[..nuclei.len() - 2], stem);
        }
        let vowel = nuclei[stressed];
        let opens = phones.get(vowel + 1).is_some_and(|phone| phone.sound == 'N')
            && phones.get(vowel + 2).is_some_and(|phone| !phone.nucleus && !matches!(phone.sound, 'j' | 'w'));
        if opens && !phones[vowel].accent && !WEAK.contains(&word) {
            open_e = Some(vowel);
        }
        marks.push((nuclei[stressed], if WEAK.contains(&word) { 'ˌ' } else { 'ˈ' }));
        let mut syllable = 0;
        while syllable + 1 < stressed {
            if phones[nuclei[syllable]].light {
                syllable += 1;
                continue;
            }
            marks.push((nuclei[syllable], 'ˌ'));
            syllable += 2;
        }
    }
    for (index, phone) in phones.iter().enumerate() {
        if let Some((_, mark)) = marks.iter().find(|(nucleus, _)| *nucleus == index) {
            sounds.push(*mark);
        }
        sounds.push(if phone.sound == 'e' && open_e == Some(index) { 'ɛ' } else { phone.sound });
    }
    sounds
}

fn stress_last_vowel(sounds: &mut Vec<char>) {
    sounds.retain(|&c| c != 'ˌ');
    if let Some(index) = sounds.iter().rposition(|&c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'A' | 'I' | 'W')) {
        sounds.insert(index, 'ˈ');
    }
}

/// Fixes the sounds that depend on what stands beside them.
fn realise(sounds: &[char], neighbours: Neighbours) -> String {
    let mut out = String::with_capacity(sounds.len() * 2);
    let mut before = neighbours.before;
    for (index, &sound) in sounds.iter().enumerate() {
        if matches!(sound, 'ˈ' | 'ˌ') {
            out.push(sound);
            continue;
        }
        let inside = sounds[index + 1..].iter().copied().find(|c| !matches!(c, 'ˈ' | 'ˌ'));
        let after = inside.or(neighbours.after);
        let stop = before.is_none_or(|c| matches!(c, 'n' | 'm' | 'ŋ'));
        let vowel_or_liquid = after.is_some_and(|c| "aeiouɛjwɪʊAIWlɾ".contains(c));
        let realised = match sound {
            'B' if stop || inside.is_none() => 'b',
            'B' if matches!(after, Some('D' | 'B' | 'm' | 'N' | 't' | 'k' | 'p')) => 'b',
            'B' => 'β',
            'D' if stop || inside.is_none() || !(vowel_or_liquid || matches!(after, Some('B' | 'Y' | 'x'))) => 'd',
            'D' => 'ð',
            'G' if stop || inside.is_none() || !vowel_or_liquid => 'ɡ',
            'G' => 'ɣ',
            'Y' if before == Some('n') => 'ʤ',
            'Y' => 'ʝ',
            'N' => match after {
                Some('B' | 'p' | 'f') => 'm',
                Some('G' | 'x') => 'ŋ',
                Some('Y') if inside.is_some() => 'ɲ',
                _ => 'n',
            },
            other => other,
        };
        if sound == 'Y' && before == Some('ɲ') {
            continue;
        }
        out.push(realised);
        if sound == 'p' && inside == Some('t') {
            out.push('ː');
        }
        before = Some(realised);
    }
    out
}

/// An acronym can be read as a word, as `ONU` can and `ONG` cannot.
pub(super) fn is_readable(acronym: &str) -> bool {
    const ONSETS: &[&str] =
        &["bl", "br", "cl", "cr", "dr", "fl", "fr", "gl", "gr", "pl", "pr", "tr", "ch", "ll", "rr", "qu", "gu"];
    let lower = acronym.to_lowercase();
    let letters: Vec<char> = lower.chars().collect();
    if letters.len() < 3 {
        return false;
    }
    let mut run = String::new();
    let mut seen_vowel = false;
    for letter in letters {
        if !is_vowel(letter) {
            run.push(letter);
            continue;
        }
        let count = run.chars().count();
        let joined = ONSETS.contains(&run.as_str());
        let fits = match (seen_vowel, count) {
            (_, 0 | 1) => true,
            (false, 2) => joined,
            (true, 2) => joined || run.starts_with(['l', 'm', 'n', 'r', 's', 'd', 'c', 'p', 'b', 'x']),
            (true, 3) => ONSETS.iter().any(|onset| run.ends_with(onset)) && run.starts_with(['l', 'm', 'n', 'r', 's']),
            _ => false,
        };
        if !fits {
            return false;
        }
        run.clear();
        seen_vowel = true;
    }
    seen_vowel
        && (run.is_empty()
            || (run.chars().count() == 1 && !run.starts_with(['q', 'h', 'w', 'g', 'p', 'v', 'f', 'b', 'j', 'k'])))
}
