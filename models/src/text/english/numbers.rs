//! English numbers as words: cardinals, ordinals and years.

use crate::text::numbers::{digit_words, nth};

const SMALL: &str = "\
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
    eighteen nineteen";
const TENS: &str = "twenty thirty forty fifty sixty seventy eighty ninety";
const SCALES: [(u64, &str); 4] =
    [(1_000_000_000_000, "trillion"), (1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")];

/// `1250` as "one thousand two hundred fifty".
pub(crate) fn cardinal(number: u64) -> String {
    if number < 20 {
        return nth(SMALL, number).into();
    }
    if number < 100 {
        let tens = nth(TENS, number / 10 - 2);
        return if number.is_multiple_of(10) { tens.into() } else { format!("{tens} {}", nth(SMALL, number % 10)) };
    }
    let (unit, name) = SCALES.into_iter().find(|(unit, _)| number >= *unit).unwrap_or((100, "hundred"));
    join(&cardinal(number / unit), name, number % unit)
}

fn join(many: &str, name: &str, rest: u64) -> String {
    if rest == 0 { format!("{many} {name}") } else { format!("{many} {name} {}", cardinal(rest)) }
}

/// `21` as "twenty first".
pub(crate) fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let (head, last) = match words.rsplit_once(' ') {
        Some((head, last)) => (format!("{head} "), last.to_owned()),
        None => (String::new(), words),
    };
    let last = match last.as_str() {
        "one" => "first".into(),
        "two" => "second".into(),
        "three" => "third".into(),
        "five" => "fifth".into(),
        "eight" => "eighth".into(),
        "nine" => "ninth".into(),
        "twelve" => "twelfth".into(),
        other => match other.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{other}th"),
        },
    };
    head + &last
}

/// `1989` as "nineteen eighty nine"; numbers that are no likely year as cardinals.
pub(crate) fn year(number: u64) -> String {
    let (century, rest) = (number / 100, number % 100);
    match (century, rest) {
        (11..=19 | 21..=99, 0) if !number.is_multiple_of(1000) => format!("{} hundred", cardinal(century)),
        (11..=19 | 21..=99, 1..=9) if !(number / 10).is_multiple_of(100) => {
            format!("{} oh {}", cardinal(century), cardinal(rest))
        }
        (11..=99, 10..=99) => format!("{} {}", cardinal(century), cardinal(rest)),
        _ => cardinal(number),
    }
}

/// The digits one by one.
pub(crate) fn digits(text: &str) -> String {
    digit_words(text, SMALL)
}
