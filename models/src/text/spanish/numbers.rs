//! Spanish numbers as words: cardinals with gender, and ordinals.

use crate::text::numbers::{digit_words, nth};

/// The form of a number's ones and hundreds, by the noun that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing: "veintiuno".
    Alone,
    /// A masculine noun: "veintiún".
    Masculine,
    /// A feminine noun: "veintiuna".
    Feminine,
}

const SMALL: &str = "\
    cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete \
    dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete \
    veintiocho veintinueve";
const TENS: &str = "treinta cuarenta cincuenta sesenta setenta ochenta noventa";
const HUNDREDS: &str = "\
    ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos";

/// `1250` as "mil doscientos cincuenta".
pub(crate) fn cardinal(number: u64, form: Form) -> String {
    match number {
        0..100 => below_hundred(number, form),
        100 => "cien".into(),
        101..1000 => {
            let hundreds = nth(HUNDREDS, number / 100 - 1);
            let hundreds = match (form, hundreds.strip_suffix("os")) {
                (Form::Feminine, Some(stem)) => format!("{stem}as"),
                _ => hundreds.into(),
            };
            joined(hundreds, number % 100, form)
        }
        1000..1_000_000 => {
            let thousands = match number / 1000 {
                1 => "mil".into(),
                many => {
                    format!("{} mil", cardinal(many, if form == Form::Feminine { form } else { Form::Masculine }))
                }
            };
            joined(thousands, number % 1000, form)
        }
        1_000_000..1_000_000_000_000 => scaled(number, 1_000_000, "millón", "millones", form),
        _ => scaled(number, 1_000_000_000_000, "billón", "billones", form),
    }
}

fn scaled(number: u64, unit: u64, one: &str, many: &str, form: Form) -> String {
    let name = if number / unit == 1 { one } else { many };
    joined(format!("{} {name}", cardinal(number / unit, Form::Masculine)), number % unit, form)
}

fn joined(head: String, rest: u64, form: Form) -> String {
    if rest == 0 { head } else { format!("{head} {}", cardinal(rest, form)) }
}

fn below_hundred(number: u64, form: Form) -> String {
    match (number, form) {
        (1, Form::Masculine) => "un".into(),
        (1, Form::Feminine) => "una".into(),
        (21, Form::Masculine) => "veintiún".into(),
        (21, Form::Feminine) => "veintiuna".into(),
        (0..30, _) => nth(SMALL, number).into(),
        _ if number.is_multiple_of(10) => nth(TENS, number / 10 - 3).into(),
        _ => format!("{} y {}", nth(TENS, number / 10 - 3), below_hundred(number % 10, form)),
    }
}

/// `3` as "tercero", "tercera", or "tercer" before a masculine noun; above 99 the cardinal, as people say it.
pub(crate) fn ordinal(number: u64, form: Form) -> String {
    const ONES: &str = "primero segundo tercero cuarto quinto sexto séptimo octavo noveno";
    const ORDINAL_TENS: &str = "\
        décimo vigésimo trigésimo cuadragésimo quincuagésimo sexagésimo septuagésimo octogésimo nonagésimo";
    let words = match number {
        1..=9 => nth(ONES, number - 1).to_owned(),
        11 => "undécimo".into(),
        12 => "duodécimo".into(),
        10..=99 if number.is_multiple_of(10) => nth(ORDINAL_TENS, number / 10 - 1).into(),
        13..=99 => format!("{} {}", nth(ORDINAL_TENS, number / 10 - 1), nth(ONES, number % 10 - 1)),
        _ => return cardinal(number, form),
    };
    match form {
        Form::Alone => words,
        Form::Masculine if words.ends_with("primero") || words.ends_with("tercero") => {
            words[..words.len() - 1].to_owned()
        }
        Form::Masculine => words,
        Form::Feminine => {
            let feminine: Vec<String> = words.split(' ').map(|word| format!("{}a", &word[..word.len() - 1])).collect();
            feminine.join(" ")
        }
    }
}

/// The digits one by one.
pub(crate) fn digits(text: &str) -> String {
    digit_words(text, SMALL)
}
