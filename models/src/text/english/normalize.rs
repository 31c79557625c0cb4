//! English text normalisation: numbers, dates, signs and abbreviations as words.

use super::numbers::{cardinal, digits, ordinal, year};
use super::tables::{ABBREVIATIONS, ADDRESS_SIGNS, MONTHS, NUMBER, NUMBERED, REGNAL, SIGNS, TITLES, UNITS};
use crate::text::normalize::{Place, Rule, Rules, after_dash, is_listed, phone, rule, said_of};
use crate::text::numbers::{roman, value};
use regex::Captures;
use std::sync::LazyLock;
use tertulia::text::boundary;

pub(super) static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    letters: letters(),
    others: others(),
    signs: SIGNS,
    address_signs: ADDRESS_SIGNS,
    digits,
});

fn letters() -> Vec<Rule> {
    vec![
        rule(r"(?i:e\.\s?g\.),?", |_, _| Some("for example".into())),
        rule(r"(?i:i\.\s?e\.),?", |_, _| Some("that is".into())),
        rule(r"(?:[A-Z]\.){2,}|U\.\s?S\.(?:\s?A\.)?", |found, place| {
            let letters: String = found[0].chars().filter(|c| c.is_alphabetic()).collect();
            Some(may_end_sentence(letters, place, found[0].len()))
        }),
        rule(r"(?:[ap])\.\s?m\.", |found, place| {
            let letters = if found[0].starts_with('a') { "AM" } else { "PM" };
            Some(may_end_sentence(letters.into(), place, found[0].len()))
        }),
        rule(r"St\.", |found, place| {
            let next = place.word_after(found[0].len());
            let named = place.word_before().starts_with(char::is_uppercase);
            let saint = next.starts_with(char::is_uppercase) && !named;
            if saint { Some("Saint".into()) } else { Some(may_end_sentence("Street".into(), place, found[0].len())) }
        }),
        rule(r"[Nn]o(s?)\.", |found, place| {
            place
                .digit_after(found[0].len())
                .then(|| if found[1].is_empty() { "number".into() } else { "numbers".into() })
        }),
        rule(r"(pp?)\.", |found, place| {
            place.digit_after(found[0].len()).then(|| if &found[1] == "p" { "page".into() } else { "pages".into() })
        }),
        rule(r"([A-Za-z]+)\.", |found, place| {
            let title = said_of(TITLES, &found[1]);
            let (said, may_end) = (title.or_else(|| said_of(ABBREVIATIONS, &found[1]))?, title.is_none());
            let month_or_time = matches!(&found[1], "Mar" | "min" | "Sep" | "Mon" | "Fri" | "est" | "ch");
            let digit_near = place.digit_after(found[0].len()) || place.digit_before();
            if month_or_time && !digit_near && !place.after(found[0].len()).starts_with(',') {
                return None;
            }
            Some(if may_end { may_end_sentence(said.into(), place, found[0].len()) } else { said.into() })
        }),
        rule(r"(Mr|Mrs|Ms|Dr)\b", |found, _| said_of(TITLES, &found[1]).map(str::to_owned)),
        rule(r"([IVXLC]+)\b", roman_numeral),
    ]
}

fn others() -> Vec<Rule> {
    [amounts_and_phones(), dates_and_times(), quantities(), plain_numbers()].into_iter().flatten().collect()
}

fn amounts_and_phones() -> Vec<Rule> {
    vec![
        rule(
            &format!(r"(US|C|A)?([$€£¥])\s?({NUMBER})(?:\s?(thousand|million|billion|trillion|k|K|M|bn|B|m)\b)?"),
            |found, _| Some(money(&found[3], &found[2], found.get(4).map(|m| m.as_str()))),
        ),
        rule(r"(\d+),(\d{2})\s?([€£])", |found, _| {
            Some(money(&format!("{}.{}", &found[1], &found[2]), &found[3], None))
        }),
        rule(&format!(r"({NUMBER})\s?([€£¥$])"), |found, _| Some(money(&found[1], &found[2], None))),
        rule(r"\+?(?:\d{1,3}[ -])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b", |found, _| {
            Some(phone(&found[0], "plus ", digits))
        }),
    ]
}

fn dates_and_times() -> Vec<Rule> {
    vec![
        rule(r"\d{3}-\d{4}\b", |found, _| Some(phone(&found[0], "plus ", digits))),
        rule(r"(\d{4})-(\d{1,2})-(\d{1,2})\b", |found, place| date(&found[1], &found[2], &found[3], place.british)),
        rule(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})\b", |found, place| {
            let (first, second): (u32, u32) = (found[1].parse().ok()?, found[2].parse().ok()?);
            let day_first = first > 12 || (place.british && second <= 12);
            let (day, month) = if day_first { (&found[1], &found[2]) } else { (&found[2], &found[1]) };
            let full = if found[3].len() == 2 { format!("20{}", &found[3]) } else { found[3].into() };
            date(&full, month, day, place.british)
        }),
        rule(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([aApP])\.?\s?([mM])\b\.?)?", time),
        // "at 7.45", as the British write it
        rule(r"(\d{1,2})\.(\d{2})\b()()", |found, place| {
            let hour = found[1].parse::<u64>().is_ok_and(|hour| (1..=12).contains(&hour));
            let alone = !place.after(found[0].len()).trim_start().starts_with(['%', '€', '$', '£', '.']);
            let at = matches!(place.word_before().to_ascii_lowercase().as_str(), "at" | "until" | "till");
            if hour && at && alone { time(found, place) } else { None }
        }),
    ]
}

fn quantities() -> Vec<Rule> {
    vec![
        rule(r"(\d{1,2})\s?([aApP])\.?\s?([mM])\b\.?", |found, place| {
            let hour: u64 = found[1].parse().ok().filter(|hour| *hour <= 24)?;
            let half = if found[2].eq_ignore_ascii_case("a") { "AM" } else { "PM" };
            Some(ending_like(&found[0], format!("{} {half}", cardinal(hour)), place))
        }),
        rule(&format!(r"({NUMBER})\s?%"), |found, _| Some(format!("{} percent", number(&found[1])))),
        rule(&format!(r"({NUMBER})\s?([A-Za-z°]+(?:/[hs]|[²³])?)"), |found, place| {
            if place.after(found[0].len()).starts_with(char::is_alphanumeric) {
                return None;
            }
            let spaced = found[0].len() > found[1].len() + found[2].len();
            let (unit, one, many) = UNITS.iter().find(|(unit, ..)| *unit == &found[2])?;
            if spaced && unit.len() == 1 && *unit != "°" && !matches!(*unit, "g" | "m" | "l" | "h" | "L") {
                return None;
            }
            Some(format!("{} {}", number(&found[1]), if &found[1] == "1" { one } else { many }))
        }),
        rule(r"(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th|ST|ND|RD|TH)\b", |found, _| {
            Some(value(&found[1]).map_or_else(|| digits(&found[1]), ordinal))
        }),
        rule(r"['’]?(\d{2}|\d{4})s\b", |found, _| {
            let decade = value(&found[1]).filter(|decade| decade.is_multiple_of(10))?;
            let words = if found[1].len() == 4 { year(decade) } else { cardinal(decade) };
            Some(match words.strip_suffix('y') {
                Some(stem) => format!("{stem}ies"),
                None => format!("{words}s"),
            })
        }),
        rule(r"24/7\b", |_, _| Some("twenty four seven".into())),
        rule(r"(?:(\d+)\s)?(\d{1,2})/(\d{1,3})\b", |found, _| {
            fraction(found.get(1).map(|m| m.as_str()), &found[2], &found[3])
        }),
    ]
}

fn plain_numbers() -> Vec<Rule> {
    vec![
        rule(r"(\d+)?\s?([½¼¾⅓⅔⅛])", |found, _| {
            let part = match &found[2] {
                "½" => "half",
                "¼" => "quarter",
                "¾" => "three quarters",
                "⅓" => "third",
                "⅔" => "two thirds",
                _ => "eighth",
            };
            let whole = found.get(1).map(|whole| number(whole.as_str()));
            Some(match (whole, part.contains(' ')) {
                (Some(whole), true) => format!("{whole} and {part}"),
                (Some(whole), false) => format!("{whole} and a {part}"),
                (None, true) => part.into(),
                (None, false) if part == "half" => "a half".into(),
                (None, false) => format!("one {part}"),
            })
        }),
        rule(r"\d+(?:\.\d+){2,}", |found, _| {
            let parts: Vec<String> = found[0].split('.').map(number).collect();
            Some(parts.join(" point "))
        }),
        rule(&format!(r"[-−–]\s?({NUMBER})"), |found, place| {
            after_dash(found, place, number(&found[1]), ["to", "minus"])
        }),
        rule(&format!(r"#\s?({NUMBER})"), |found, _| Some(format!("number {}", number(&found[1])))),
        rule(r"\.(\d+)", |found, place| (!place.is_glued()).then(|| format!("point {}", digits(&found[1])))),
        rule(NUMBER, plain_number),
    ]
}

fn plain_number(found: &Captures<'_>, place: &Place<'_>) -> Option<String> {
    let text = &found[0];
    let before = place.word_before();
    let after = place.word_after(text.len());
    let blank_or_sign = !place.before.ends_with(['-', '–', '/']);
    if let Some(day) = value(text).filter(|day| (1..=31).contains(day) && text.len() <= 2 && blank_or_sign) {
        if is_month(before) {
            return Some(ordinal(day));
        }
        if is_month(after) && place.after(text.len()).starts_with(' ') {
            let the = if before.eq_ignore_ascii_case("the") { "" } else { "the " };
            return Some(format!("{the}{} of", ordinal(day)));
        }
    }
    let year_like = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    match value(text).filter(|number| year_like && (1100..2100).contains(number)) {
        Some(number) => Some(year(number)),
        None => Some(number(text)),
    }
}

fn roman_numeral(found: &Captures<'_>, place: &Place<'_>) -> Option<String> {
    let text = &found[0];
    let value = roman(text)?;
    if place.after(text.len()).starts_with(['.', '\'', '’', '-']) && text.len() == 1 && !ends_after(place, text.len())
    {
        return None;
    }
    let before = place.word_before();
    if is_listed(NUMBERED, &before.to_lowercase()) {
        return Some(cardinal(value));
    }
    let next = place.word_after(text.len());
    if next.eq_ignore_ascii_case("century") {
        return Some(ordinal(value));
    }
    if is_listed(REGNAL, before) {
        let certain = text.len() > 1
            || ends_after(place, text.len())
            || matches!(next, "of" | "was" | "reigned" | "ruled" | "became" | "died" | "and" | "had");
        return certain.then(|| format!("the {}", ordinal(value)));
    }
    let after_name =
        before.starts_with(char::is_uppercase) && text.len() > 1 && !matches!(text, "CC" | "CD" | "MI" | "LI");
    after_name.then(|| cardinal(value))
}

/// A sentence or clause ends after the first `len` bytes of the piece.
fn ends_after(place: &Place<'_>, len: usize) -> bool {
    let after = place.after(len);
    after.is_empty() || after.starts_with(|c| boundary(c).is_some() || matches!(c, ')' | '"' | '”'))
}

fn is_month(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    MONTHS.split(' ').any(|month| month == word || (word.len() >= 3 && word.len() <= 4 && month.starts_with(word)))
}

/// Keeps the sentence's end where an abbreviation's full stop is also that of the sentence.
fn may_end_sentence(words: String, place: &Place<'_>, len: usize) -> String {
    if place.may_end_sentence(len) { format!("{words} .") } else { words }
}

fn ending_like(shown: &str, words: String, place: &Place<'_>) -> String {
    if shown.ends_with('.') { may_end_sentence(words, place, shown.len()) } else { words }
}

/// A number with its thousands' commas and its decimals.
fn number(text: &str) -> String {
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (text, None),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let whole = match value(whole).filter(|_| !leading_zero) {
        Some(value) => cardinal(value),
        None => digits(whole),
    };
    match decimals {
        Some(decimals) => format!("{whole} point {}", digits(decimals)),
        None => whole,
    }
}

fn money(amount: &str, sign: &str, scale: Option<&str>) -> String {
    let (one, many, cents) = match sign {
        "€" => ("euro", "euros", Some(("cent", "cents"))),
        "£" => ("pound", "pounds", Some(("penny", "pence"))),
        "¥" => ("yen", "yen", None),
        _ => ("dollar", "dollars", Some(("cent", "cents"))),
    };
    if let Some(scale) = scale {
        let scale = match scale {
            "k" | "K" => "thousand",
            "M" | "m" => "million",
            "bn" | "B" => "billion",
            other => other,
        };
        return format!("{} {scale} {many}", number(amount));
    }
    let unit =
        |amount: u64, one: &str, many: &str| format!("{} {}", cardinal(amount), if amount == 1 { one } else { many });
    let split = amount.split_once('.').and_then(|(whole, part)| {
        let part: u64 = (part.len() == 2).then(|| part.parse().ok())??;
        Some((value(whole)?, part))
    });
    match (split, cents) {
        (Some((0, part)), Some((cent, cents))) if part > 0 => unit(part, cent, cents),
        (Some((whole, 0)), _) => unit(whole, one, many),
        (Some((whole, part)), Some((cent, cents))) => {
            format!("{} and {}", unit(whole, one, many), unit(part, cent, cents))
        }
        _ => format!("{} {}", number(amount), if amount == "1" { one } else { many }),
    }
}

fn date(full_year: &str, month: &str, day: &str, british: bool) -> Option<String> {
    let month = MONTHS.split(' ').nth(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let year = year(full_year.parse().ok()?);
    Some(if british {
        format!("the {} of {month} , {year}", ordinal(day))
    } else {
        format!("{month} {} , {year}", ordinal(day))
    })
}

fn time(found: &Captures<'_>, place: &Place<'_>) -> Option<String> {
    let (hour, minute): (u64, u64) = (found[1].parse().ok()?, found[2].parse().ok()?);
    if hour > 24 || minute > 59 {
        return None;
    }
    let half = found
        .get(4)
        .filter(|half| !half.is_empty())
        .map(|half| if half.as_str().eq_ignore_ascii_case("a") { " AM" } else { " PM" });
    let minutes = match minute {
        0 if half.is_some() => String::new(),
        0 if hour <= 12 => " o'clock".into(),
        0 => " hundred hours".into(),
        1..=9 => format!(" oh {}", cardinal(minute)),
        _ => format!(" {}", cardinal(minute)),
    };
    let seconds = match found.get(3).filter(|seconds| !seconds.is_empty()).and_then(|seconds| value(seconds.as_str())) {
        Some(seconds) => format!(" and {} seconds", cardinal(seconds)),
        None => String::new(),
    };
    Some(ending_like(&found[0], format!("{}{minutes}{seconds}{}", cardinal(hour), half.unwrap_or_default()), place))
}

fn fraction(whole: Option<&str>, top: &str, bottom: &str) -> Option<String> {
    let (top, bottom) = (value(top)?, value(bottom)?);
    if top == 0 || bottom < 2 {
        return None;
    }
    let part = match (top, bottom) {
        (1, 2) => "half".into(),
        (_, 2) => format!("{} halves", cardinal(top)),
        (1, 4) => "quarter".into(),
        (_, 4) => format!("{} quarters", cardinal(top)),
        (1, _) => ordinal(bottom),
        _ => format!("{} {}s", cardinal(top), ordinal(bottom)),
    };
    let one = top == 1;
    Some(match whole {
        Some(whole) if one => format!("{} and a {part}", number(whole)),
        Some(whole) => format!("{} and {part}", number(whole)),
        None if one => format!("one {part}"),
        None => part,
    })
}
