//! Spanish text normalisation: numbers, dates, signs and abbreviations as words.

use super::grapheme_to_phoneme::letter_name;
use super::numbers::{Form, cardinal, digits, ordinal};
use super::tables::{
    ABBREVIATIONS, ADDRESS_SIGNS, COUNTED_FEMININE, COUNTED_MASCULINE, FEMININE_OTHERS, KINGS, MASCULINE_IN_A, MONTHS,
    NOT_COUNTED, NUMBER, NUMBERED, QUEENS, SIGNS, UNITS,
};
use crate::text::normalize::{Place, Rule, Rules, after_dash, is_listed, phone, rule};
use crate::text::numbers::{roman, value};
use regex::Captures;
use std::sync::LazyLock;

pub(super) static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    letters: letters(),
    others: others(),
    signs: SIGNS,
    address_signs: ADDRESS_SIGNS,
    digits,
});

fn letters() -> Vec<Rule> {
    let mut rules = vec![
        rule(r"D\.", |found, place| {
            place.word_after(found[0].len()).starts_with(char::is_uppercase).then(|| "don".into())
        }),
        rule(r"[Ss]\.\s?([XVI]+)\b", |found, _| Some(format!("siglo {}", cardinal(roman(&found[1])?, Form::Alone)))),
        rule(r"(?:[A-ZÑ]\.\s?){2,}", |found, _| {
            if ["EE.", "JJ.", "RR."].iter().any(|double| found[0].starts_with(double)) {
                return None;
            }
            let names: Vec<&str> = found[0].chars().filter_map(letter_name).collect();
            Some(names.join(" "))
        }),
        rule(r"US\$\s?([\d.,]*\d)", |found, _| Some(money(&found[1], "$", None))),
    ];
    rules.extend(ABBREVIATIONS.iter().map(|(pattern, _)| rule(pattern, abbreviation)));
    rules.push(rule(r"([IVXLC]+)\b", roman_numeral));
    rules
}

/// The text that matched decides which abbreviation it was.
fn abbreviation(found: &Captures<'_>, place: &Place<'_>) -> Option<String> {
    static WHOLE: LazyLock<Vec<(regex::Regex, &'static str)>> = LazyLock::new(|| {
        let whole = |(pattern, said): &(&str, &'static str)| {
            let pattern = regex::Regex::new(&format!("^(?:{pattern})$"));
            (pattern.expect("an abbreviation's pattern is part of the program"), *said)
        };
        ABBREVIATIONS.iter().map(whole).collect()
    });
    let shown = &found[0];
    let after = place.after(shown.len());
    if !shown.ends_with('.') && after.starts_with(char::is_alphanumeric) && !shown.contains('/') {
        return None;
    }
    let said = WHOLE.iter().find(|(pattern, _)| pattern.is_match(shown)).map(|(_, said)| *said)?;
    let ends = place.may_end_sentence(shown.len());
    let may_end = matches!(
        said,
        "etcétera"
            | "usted"
            | "ustedes"
            | "Estados Unidos"
            | "a eme"
            | "pe eme"
            | "antes de Cristo"
            | "después de Cristo"
            | "ese a"
            | "minutos"
            | "juegos olímpicos"
    );
    Some(if shown.ends_with('.') && ends && may_end { format!("{said} .") } else { said.into() })
}

fn others() -> Vec<Rule> {
    [amounts(), dates_and_times(), phones(), quantities(), plain_numbers()].into_iter().flatten().collect()
}

fn amounts() -> Vec<Rule> {
    vec![rule(&format!(r"(?:US)?([$€£])\s?({NUMBER})(?:\s?(mil|millón|millones)\b)?"), |found, _| {
        Some(money(&found[2], &found[1], found.get(3).map(|m| m.as_str())))
    })]
}

fn dates_and_times() -> Vec<Rule> {
    vec![
        rule(
            &format!(
                r"({NUMBER})\s?(?:(mil|millón|millones)\s(?:de\s)?)?(€|£|\$|euros?\b|dólares\b|dólar\b|pesos?\b|libras?\b|EUR\b|USD\b)"
            ),
            |found, _| Some(money(&found[1], &found[3], found.get(2).map(|m| m.as_str()))),
        ),
        rule(r"(\d{4})-(\d{1,2})-(\d{1,2})\b", |found, _| date(&found[1], &found[2], &found[3])),
        rule(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})\b", |found, _| {
            let full = if found[3].len() == 2 { format!("20{}", &found[3]) } else { found[3].into() };
            date(&full, &found[2], &found[1]).or_else(|| date(&full, &found[1], &found[2]))
        }),
        rule(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?(?:(hs?)\b\.?|([aApP])\.?\s?[mM]\b\.?))?", time),
        rule(r"(\d{1,2})[.,](\d{2})\b()()", |found, place| {
            let hour = found[1].parse::<u64>().is_ok_and(|hour| (1..=24).contains(&hour));
            let at = matches!(place.word_before(), "las" | "la") && place.word_after(found[0].len()).is_empty();
            let next = place.word_after(found[0].len()).to_lowercase();
            let at = at || (place.word_before() == "las" && is_listed(NOT_COUNTED, &next));
            if hour && at { time(found, place) } else { None }
        }),
    ]
}

fn phones() -> Vec<Rule> {
    vec![
        rule(r"(\d{1,2})\.(\d{2})\s?(h)\b()", time),
        rule(r"\+\d{1,3}(?:[ -]\d{2,4}){2,5}\b", |found, _| Some(phone(&found[0], "más ", phone_group))),
        rule(r"[6-9]\d{2}[ -]\d{3}[ -]\d{3}\b", |found, _| Some(phone(&found[0], "más ", phone_group))),
        rule(r"[6-9]\d{2}(?:[ -]\d{2}){3}\b", |found, _| Some(phone(&found[0], "más ", phone_group))),
        rule(r"\(?\d{2,3}\)?[ -]\d{3,4}[ -]\d{4}\b", |found, _| Some(phone(&found[0], "más ", phone_group))),
    ]
}

fn quantities() -> Vec<Rule> {
    vec![
        rule(r"\d{3}-\d{4}\b", |found, _| Some(phone(&found[0], "más ", phone_group))),
        rule(&format!(r"({NUMBER})[\s\x{{a0}}\x{{202f}}]?%"), |found, _| {
            Some(format!("{} por ciento", number(&found[1], Form::Alone)))
        }),
        rule(
            r"(\d+)\s?\.?(º|ª|[oa]\b|er\b|ro\b|ra\b|do\b|da\b|to\b|ta\b|mo\b|ma\b|vo\b|va\b|no\b|na\b|°)",
            |found, place| {
                let after = place.after(found[0].len());
                let spaced = found[0].contains(' ');
                let temperature = matches!(&found[2], "°" | "º") && after.trim_start().starts_with(['C', 'F']);
                if spaced || temperature || (&found[2] == "°" && !found[0].contains('.')) {
                    return None;
                }
                let feminine = matches!(&found[2], "ª" | "a" | "ra" | "da" | "ta" | "ma" | "va" | "na");
                let next = place.word_after(found[0].len()).to_lowercase();
                let before_noun = !next.is_empty() && !is_listed(NOT_COUNTED, &next);
                let form = match (feminine, &found[2] == "er" || before_noun) {
                    (true, _) => Form::Feminine,
                    (false, true) => Form::Masculine,
                    (false, false) => Form::Alone,
                };
                Some(value(&found[1]).map_or_else(|| digits(&found[1]), |value| ordinal(value, form)))
            },
        ),
        rule(&format!(r"({NUMBER})[\s\x{{a0}}\x{{202f}}]?([A-Za-z°º]+(?:/[hs]\b|[²³])?)"), |found, place| {
            if place.after(found[0].len()).starts_with(char::is_alphanumeric) {
                return None;
            }
            let (.., one, many, feminine) = UNITS.iter().find(|(unit, ..)| *unit == &found[2])?;
            let form = if *feminine { Form::Feminine } else { Form::Masculine };
            Some(format!("{} {}", number(&found[1], form), if &found[1] == "1" { one } else { many }))
        }),
        rule(r"24/7\b", |_, _| Some("veinticuatro siete".into())),
        rule(r"(?:(\d+)\s)?(\d{1,2})/(\d{1,3})\b", |found, _| {
            fraction(found.get(1).map(|m| m.as_str()), &found[2], &found[3])
        }),
    ]
}

fn plain_numbers() -> Vec<Rule> {
    vec![
        rule(r"(\d+)?\s?([½¼¾⅓⅔⅛])", |found, _| {
            let part = match &found[2] {
                "½" => "medio",
                "¼" => "un cuarto",
                "¾" => "tres cuartos",
                "⅓" => "un tercio",
                "⅔" => "dos tercios",
                _ => "un octavo",
            };
            Some(match found.get(1) {
                Some(whole) => format!("{} y {part}", number(whole.as_str(), Form::Alone)),
                None => part.into(),
            })
        }),
        rule(r"\d+(?:\.\d+){2,}\b", |found, _| {
            let thousands = found[0].split('.').skip(1).all(|group| group.len() == 3);
            let parts: Vec<String> = found[0].split('.').map(|part| number(part, Form::Alone)).collect();
            (!thousands).then(|| parts.join(" punto "))
        }),
        rule(&format!(r"[-−–]\s?({NUMBER})"), |found, place| {
            after_dash(found, place, number(&found[1], Form::Alone), ["a", "menos"])
        }),
        rule(&format!(r"#\s?({NUMBER})"), |found, _| Some(format!("número {}", number(&found[1], Form::Alone)))),
        rule(NUMBER, |found, place| {
            let text = &found[0];
            let month =
                MONTHS.split(' ').any(|month| place.after(text.len()).trim_start().starts_with(&format!("de {month}")));
            if text == "1" && month {
                return Some("primero".into());
            }
            Some(number(text, form_before(place, text.len())))
        }),
    ]
}

/// The form that a number takes before the word after it.
fn form_before(place: &Place<'_>, len: usize) -> Form {
    if !place.after(len).starts_with([' ', '\u{a0}', '\u{202f}']) {
        return Form::Alone;
    }
    let next = place.word_after(len).to_lowercase();
    if next.is_empty() || is_listed(NOT_COUNTED, &next) && next != "veces" {
        return Form::Alone;
    }
    let feminine = ["a", "as", "ción", "ciones", "sión", "siones", "dad", "dades", "tud", "tudes"]
        .iter()
        .any(|ending| next.ends_with(ending));
    if is_listed(FEMININE_OTHERS, &next) || (feminine && !is_listed(MASCULINE_IN_A, &next)) {
        Form::Feminine
    } else {
        Form::Masculine
    }
}

fn roman_numeral(found: &Captures<'_>, place: &Place<'_>) -> Option<String> {
    let text = &found[0];
    let value = roman(text)?;
    let before = place.word_before();
    if is_listed(NUMBERED, &before.to_lowercase()) {
        return Some(cardinal(value, Form::Alone));
    }
    // "siglos XVI y XVII", "siglos XV a XVI"
    let earlier = Place { before: place.before.trim_end().trim_end_matches(before), rest: "", british: false };
    if matches!(before, "y" | "a" | "al" | "o") && roman(roman_before(earlier.before)).is_some() {
        return Some(cardinal(value, Form::Alone));
    }
    let next = place.word_after(text.len()).to_lowercase();
    if is_listed(COUNTED_FEMININE, &next) {
        return Some(ordinal(value, Form::Feminine));
    }
    if is_listed(COUNTED_MASCULINE, &next) {
        return Some(ordinal(value, Form::Masculine));
    }
    let queen = is_listed(QUEENS, before);
    if !queen && !is_listed(KINGS, before) {
        let after_name =
            before.starts_with(char::is_uppercase) && text.len() > 1 && !matches!(text, "CC" | "CI" | "LI");
        return after_name.then(|| cardinal(value, Form::Alone));
    }
    Some(if value > 10 {
        cardinal(value, Form::Alone)
    } else {
        ordinal(value, if queen { Form::Feminine } else { Form::Alone })
    })
}

fn roman_before(text: &str) -> &str {
    let text = text.trim_end();
    let start = text
        .rfind(|c: char| !c.is_alphabetic())
        .map_or(0, |index| index + text[index..].chars().next().map_or(1, char::len_utf8));
    &text[start..]
}

/// Whole part, and decimals with the word for their sign.
fn parts(text: &str) -> (String, Option<(&'static str, String)>) {
    let grouped = |sign: char| {
        let mut groups = text.split(sign);
        groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && first != "0")
            && text.contains(sign)
            && groups.all(|group| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit()))
    };
    if grouped('.') || grouped(',') {
        return (text.into(), None);
    }
    let at = text.rfind([',', '.']);
    match at {
        Some(at) => {
            let word = if text[at..].starts_with(',') { "coma" } else { "punto" };
            (text[..at].into(), Some((word, text[at + 1..].into())))
        }
        None => (text.into(), None),
    }
}

fn number(text: &str, form: Form) -> String {
    let (whole, decimals) = parts(text);
    let form = if decimals.is_some() { Form::Alone } else { form };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let whole = match value(&whole).filter(|_| !leading_zero) {
        Some(value) => cardinal(value, form),
        None => digits(&whole),
    };
    match decimals {
        Some((sign, decimals)) => format!("{whole} {sign} {}", decimal_words(&decimals)),
        None => whole,
    }
}

/// Decimals are read as a number where that is short, else digit by digit.
fn decimal_words(decimals: &str) -> String {
    match value(decimals) {
        Some(value) if decimals.len() <= 2 && !decimals.starts_with('0') => cardinal(value, Form::Alone),
        _ => digits(decimals),
    }
}

fn money(amount: &str, sign: &str, scale: Option<&str>) -> String {
    let (one, many, feminine) = match sign {
        "€" | "euro" | "euros" | "EUR" => ("euro", "euros", false),
        "£" | "libra" | "libras" => ("libra", "libras", true),
        "peso" | "pesos" => ("peso", "pesos", false),
        _ => ("dólar", "dólares", false),
    };
    let form = if feminine { Form::Feminine } else { Form::Masculine };
    if let Some(scale) = scale {
        let of = if scale == "mil" { "" } else { "de " };
        return format!("{} {scale} {of}{many}", number(amount, Form::Masculine));
    }
    let (whole, decimals) = parts(amount);
    let cents = decimals.as_ref().filter(|(_, cents)| cents.len() == 2).and_then(|(_, cents)| value(cents));
    let name = |amount: u64| if amount == 1 { one } else { many };
    match (value(&whole), cents) {
        (Some(whole), Some(0)) => format!("{} {}", cardinal(whole, form), name(whole)),
        (Some(0), Some(cents)) => {
            format!("{} {}", cardinal(cents, Form::Masculine), if cents == 1 { "céntimo" } else { "céntimos" })
        }
        (Some(whole), Some(cents)) => {
            format!("{} {} con {}", cardinal(whole, form), name(whole), cardinal(cents, Form::Alone))
        }
        (Some(whole), None) if decimals.is_none() => format!("{} {}", cardinal(whole, form), name(whole)),
        _ => format!("{} {many}", number(amount, form)),
    }
}

/// The digits of a telephone number that belong together: three or two at a time are read as a number.
fn phone_group(group: &str) -> String {
    match value(group) {
        Some(value) if !group.starts_with('0') && group.len() <= 3 => cardinal(value, Form::Alone),
        _ => digits(group),
    }
}

fn date(full_year: &str, month: &str, day: &str) -> Option<String> {
    let month = MONTHS.split(' ').nth(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let day = if day == 1 { "primero".into() } else { cardinal(day, Form::Alone) };
    Some(format!("{day} de {month} de {}", cardinal(full_year.parse().ok()?, Form::Alone)))
}

fn time(found: &Captures<'_>, _: &Place<'_>) -> Option<String> {
    let (hour, minute): (u64, u64) = (found[1].parse().ok()?, found[2].parse().ok()?);
    if hour > 24 || minute > 59 {
        return None;
    }
    let clock = found.get(4).or_else(|| found.get(3)).is_some_and(|mark| mark.as_str().starts_with('h'));
    let hours = cardinal(hour, Form::Feminine);
    let half = match found.get(5).map(|half| half.as_str().eq_ignore_ascii_case("a")) {
        Some(true) => " a eme",
        Some(false) => " pe eme",
        None => "",
    };
    let seconds = found.get(3).and_then(|seconds| value(seconds.as_str()).filter(|_| seconds.as_str().len() == 2));
    let minutes = match minute {
        0 if clock => " horas".into(),
        0 => String::new(),
        _ if hour > 12 => format!(" {}", cardinal(minute, Form::Alone)),
        _ => format!(" y {}", cardinal(minute, Form::Alone)),
    };
    let seconds =
        seconds.map_or(String::new(), |seconds| format!(" y {} segundos", cardinal(seconds, Form::Masculine)));
    Some(format!("{hours}{minutes}{seconds}{half}"))
}

fn fraction(whole: Option<&str>, top: &str, bottom: &str) -> Option<String> {
    let (top, bottom) = (value(top)?, value(bottom)?);
    if top == 0 || bottom < 2 {
        return None;
    }
    let plural = if top == 1 { "" } else { "s" };
    let part = match bottom {
        2 => format!("medio{plural}"),
        3 => format!("tercio{plural}"),
        4..=10 => format!("{}{plural}", ordinal(bottom, Form::Alone)),
        100 => format!("centésimo{plural}"),
        _ => format!("{}avo{plural}", cardinal(bottom, Form::Alone).replace(' ', "")),
    };
    let part = match (top, bottom) {
        (1, 2) => part,
        _ => format!("{} {part}", cardinal(top, Form::Masculine)),
    };
    Some(match whole {
        Some(whole) => format!("{} y {part}", number(whole, Form::Alone)),
        None => part,
    })
}
