//! Whole numbers as words, so that `25` and `twenty five` are the same to the scorer.

const EN_SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const EN_TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ES_SMALL: [&str; 30] = [
    "cero",
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
];
const ES_TENS: [&str; 10] =
    ["", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
const ES_HUNDREDS: [&str; 10] = [
    "",
    "ciento",
    "doscientos",
    "trescientos",
    "cuatrocientos",
    "quinientos",
    "seiscientos",
    "setecientos",
    "ochocientos",
    "novecientos",
];

/// The words for digits that stand for 0 to 9999; `None` for anything else, and in other languages.
pub(crate) fn spelled(digits: &str, language: &str) -> Option<String> {
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    match language {
        "en" => Some(english(number)),
        "es" => Some(spanish(number)),
        _ => None,
    }
}

fn english(number: usize) -> String {
    let rest = |head: String, rest: usize| if rest == 0 { head } else { format!("{head} {}", english(rest)) };
    match number {
        0..20 => EN_SMALL[number].to_owned(),
        20..100 => rest(EN_TENS[number / 10].to_owned(), number % 10),
        100..1000 => rest(format!("{} hundred", EN_SMALL[number / 100]), number % 100),
        _ => rest(format!("{} thousand", english(number / 1000)), number % 1000),
    }
}

fn spanish(number: usize) -> String {
    let rest = |head: String, rest: usize| if rest == 0 { head } else { format!("{head} {}", spanish(rest)) };
    match number {
        0..30 => ES_SMALL[number].to_owned(),
        30..100 if number.is_multiple_of(10) => ES_TENS[number / 10].to_owned(),
        30..100 => format!("{} y {}", ES_TENS[number / 10], ES_SMALL[number % 10]),
        100 => "cien".to_owned(),
        101..1000 => rest(ES_HUNDREDS[number / 100].to_owned(), number % 100),
        1000..2000 => rest("mil".to_owned(), number % 1000),
        _ => rest(format!("{} mil", spanish(number / 1000)), number % 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::spelled;

    #[test]
    fn numbers_are_spelled_as_they_are_said() {
        assert_eq!(spelled("30", "en").as_deref(), Some("thirty"));
        assert_eq!(spelled("1985", "en").as_deref(), Some("one thousand nine hundred eighty five"));
        assert_eq!(spelled("268", "es").as_deref(), Some("doscientos sesenta y ocho"));
        assert_eq!(spelled("2002", "es").as_deref(), Some("dos mil dos"));
        assert_eq!(spelled("1000", "es").as_deref(), Some("mil"));
        assert_eq!(spelled("12345", "es"), None);
        assert_eq!(spelled("1a", "en"), None);
    }
}
