//! English grapheme-to-phoneme conversion by rule, for words that no dictionary has: names, inventions, misspellings.

use crate::text::numbers::nth;
use std::sync::LazyLock;

/// The phonemes of `word` (any case, accents folded), with one main stress; never empty for a word with a letter a-z.
pub(super) fn sounds(word: &str, british: bool) -> String {
    let letters: Vec<u8> = word.to_ascii_lowercase().bytes().filter(u8::is_ascii_lowercase).collect();
    let mut sounds = read(&letters);
    if sounds.iter().all(|sound| !is_vowel(sound)) {
        return spell(&letters);
    }
    stress(&mut sounds);
    let mut out = sounds.concat();
    if british {
        out = out.replace("ɜɹ", "ɜː").replace("ɑɹ", "ɑː").replace("ɔɹ", "ɔː").replace('O', "Q");
    }
    out
}

/// The names of the letters, one after the other, the last one stressed.
pub(super) fn spell(letters: &[u8]) -> String {
    const NAMES: &str = "A bi si di i ɛf ʤi Aʧ I ʤA kA ɛl ɛm ɛn O pi kju ɑɹ ɛs ti ju vi dˈʌbᵊlju ɛks wI zi";
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let name = nth(NAMES, u64::from(letter.to_ascii_lowercase().saturating_sub(b'a')).min(25));
        let mark = if index + 1 == letters.len() { 'ˈ' } else { 'ˌ' };
        match name.find(|c| VOWELS.contains(c)) {
            Some(at) if !name.contains('ˈ') => {
                out.push_str(&name[..at]);
                out.push(mark);
                out.push_str(&name[at..]);
            }
            _ => out.push_str(name),
        }
    }
    out
}

const VOWELS: &str = "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ";

/// Groups of letters and their sounds, longest first among those that start alike. `^` and `$` are the word's ends,
/// `+` behind a group: a front vowel must follow; `@`: a consonant, then a final e.
const GROUPS: &str = "\
    ^kn=n, ^gn=n, ^wr=ɹ, ^ps=s, ^x=z, ^mc=m ə k, tion=ʃ ə n, sion=ʒ ə n, cious=ʃ ə s, tious=ʃ ə s, cial=ʃ ə l, \
    tial=ʃ ə l, ture$=ʧ ə ɹ, ough=O, augh=ɔ, eigh=A, igh=I, tch=ʧ, dge=ʤ, sch=ʃ, scr=s k ɹ, sc+=s, que$=k, gue$=ɡ, \
    ck=k, ch=ʧ, sh=ʃ, th=θ, ph=f, gh=ɡ, wh=w, qu=k w, ng$=ŋ, ngs$=ŋ z, nk=ŋ k, mb$=m, ss=s, zz=z, cc+=k s, gg=ɡ, \
    air=ɛ ɹ, ear=ɪ ɹ, eer=ɪ ɹ, oor=ɔ ɹ, our=ɔ ɹ, are$=ɛ ɹ, ire$=I ə ɹ, ore$=ɔ ɹ, ure$=j ʊ ɹ, ere$=ɪ ɹ, ar$=ə ɹ, \
    ar=ɑ ɹ, er=ɜ ɹ, ir=ɜ ɹ, or=ɔ ɹ, ur=ɜ ɹ, ee=i, ea=i, ai=A, ay=A, ey$=i, ei=A, ie$=i, ies$=i z, ie=i, oa=O, oo=u, \
    ou=W, ow$=O, ow=W, oi=Y, oy=Y, au=ɔ, aw=ɔ, ew=u, eu=j u, ue$=u, ui=u, io=i O, ia$=i ə, ia=i ɑ, eo=i O, le$=ə l, \
    ed$=d, es$=z, a@=A, e@=i, i@=I, o@=O, u@=u, y@=I, a$=ə, e$=, i$=i, o$=O, u$=u, ^y=j, y$=i, c+=s, g+=ʤ, a=æ, b=b, \
    c=k, d=d, e=ɛ, f=f, g=ɡ, h=h, i=ɪ, j=ʤ, k=k, l=l, m=m, n=n, o=ɑ, p=p, q=k, r=ɹ, s=s, t=t, u=ʌ, v=v, w=w, x=k s, \
    y=ɪ, z=z";

/// The groups, each with its sounds.
static PATTERNS: LazyLock<Vec<(&str, Vec<&str>)>> = LazyLock::new(|| {
    let groups = GROUPS.split(", ").filter_map(|group| group.split_once('='));
    groups.map(|(pattern, sounds)| (pattern, sounds.split_whitespace().collect())).collect()
});

fn read(letters: &[u8]) -> Vec<&'static str> {
    let mut sounds: Vec<&'static str> = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let Some((len, group)) =
            PATTERNS.iter().find_map(|(pattern, group)| Some((fits(pattern, letters, at)?, group)))
        else {
            at += 1;
            continue;
        };
        let doubled = len == 1 && !is_vowel_letter(letters[at]) && letters.get(at + 1) == Some(&letters[at]);
        // A final e is silent only beside another vowel.
        if group.is_empty() && !sounds.iter().any(is_vowel) {
            sounds.push("i");
        }
        sounds.extend(group);
        at += if doubled { 2 } else { len };
    }
    sounds
}

/// How many letters the pattern takes at this place.
fn fits(pattern: &str, letters: &[u8], at: usize) -> Option<usize> {
    let (start, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (body, end) = match rest.as_bytes().last() {
        Some(b'$' | b'+' | b'@') => rest.split_at(rest.len() - 1),
        _ => (rest, ""),
    };
    let after = &letters[at..];
    if (start && at > 0) || !after.starts_with(body.as_bytes()) {
        return None;
    }
    let next = &after[body.len()..];
    let fits = match end {
        "$" => next.is_empty() && !(body == "ed" && at < 2),
        "+" => next.first().is_some_and(|letter| matches!(letter, b'e' | b'i' | b'y')),
        "@" => {
            next.len() >= 2
                && !is_vowel_letter(next[0])
                && !matches!(next[0], b'x' | b'w')
                && matches!(&next[1..], b"e" | b"es" | b"ed")
        }
        _ => true,
    };
    fits.then_some(body.len())
}

fn is_vowel_letter(letter: u8) -> bool {
    matches!(letter, b'a' | b'e' | b'i' | b'o' | b'u' | b'y')
}

fn is_vowel(sound: &&'static str) -> bool {
    sound.chars().next().is_some_and(|c| VOWELS.contains(c))
}

/// Stresses the last syllable but one (the one before that in words of four and more), and blurs short a's.
fn stress(sounds: &mut Vec<&'static str>) {
    let vowels: Vec<usize> = (0..sounds.len()).filter(|&index| is_vowel(&sounds[index])).collect();
    let stressed = match vowels.len() {
        0 => return,
        1 => vowels[0],
        2 if matches!(sounds[vowels[0]], "ə") => vowels[1],
        2 => vowels[0],
        count => vowels[count - 2],
    };
    let stressed = if sounds[stressed] == "ə" { vowels[0] } else { stressed };
    for &index in vowels.iter().skip(1) {
        if index != stressed && matches!(sounds[index], "æ" | "ʌ" | "ɜ") {
            sounds[index] = "ə";
        }
    }
    sounds.insert(stressed, "ˈ");
}
