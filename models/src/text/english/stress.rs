//! Marks of stress in Kokoro's alphabet.

pub(super) const MAIN: char = 'ˈ';
pub(super) const SECOND: char = 'ˌ';
const VOWELS: &str = "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ";

pub(super) fn is_vowel(symbol: char) -> bool {
    VOWELS.contains(symbol)
}

/// How a word's stress is changed, from none at all to the strongest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stress {
    /// The main stress becomes a second one.
    Weaker,
    /// A word without stress gets a second one.
    Second,
    /// A word without a main stress gets one.
    Main,
}

/// The sound with its stress changed.
pub(super) fn restress(sound: &str, stress: Option<Stress>) -> String {
    let Some(stress) = stress else { return sound.to_owned() };
    let (main, second) = (sound.contains(MAIN), sound.contains(SECOND));
    match stress {
        Stress::Weaker if main => weakened(sound),
        Stress::Second if !main && !second => with(SECOND, sound),
        Stress::Main if !main && second => sound.replace(SECOND, "ˈ"),
        Stress::Main if !main => with(MAIN, sound),
        _ => sound.to_owned(),
    }
}

/// The sound with a second stress for its main one, and none for its second ones.
pub(super) fn weakened(sound: &str) -> String {
    sound.replace(SECOND, "").replace(MAIN, "ˌ")
}

/// The sound with a mark before its first vowel, where it has one.
fn with(mark: char, sound: &str) -> String {
    match sound.find(is_vowel) {
        Some(at) => format!("{}{mark}{}", &sound[..at], &sound[at..]),
        None => sound.to_owned(),
    }
}

/// Stresses one of the parts of a word only: the parts that weigh least lose theirs, half of them at most.
pub(super) fn balance(parts: &mut [(usize, String)]) {
    let main = |sound: &str| sound.contains(MAIN);
    let weight = |sound: &str| sound.chars().map(|c| if "AIOQWYʤʧ".contains(c) { 2 } else { 1 }).sum::<usize>();
    let sounding: Vec<usize> = (0..parts.len()).filter(|&index| !parts[index].1.is_empty()).collect();
    let weaken = |part: &mut (usize, String)| part.1 = restress(&part.1, Some(Stress::Weaker));
    if let [first, second] = sounding[..]
        && parts[first].0 == 1
    {
        return weaken(&mut parts[second]);
    }
    let stressed = sounding.iter().filter(|&&index| main(&parts[index].1)).count();
    if sounding.len() < 2 || stressed <= sounding.len().div_ceil(2) {
        return;
    }
    let mut order = sounding;
    order.sort_by_key(|&index| (main(&parts[index].1), weight(&parts[index].1), index));
    for &index in &order[..order.len() / 2] {
        weaken(&mut parts[index]);
    }
}
