//! Numbers as words.

/// The most digits that are read as a number; longer runs are read digit by digit.
pub(super) const READ_AS_NUMBER_DIGITS_MAX: usize = 15;

/// English: cardinals, ordinals and years.
pub(super) mod english {
    const SMALL: [&str; 20] = [
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
    const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    const SCALES: [(u64, &str); 4] =
        [(1_000_000_000_000, "trillion"), (1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")];

    /// `1250` as "one thousand two hundred fifty".
    pub(crate) fn cardinal(number: u64) -> String {
        if number < 20 {
            return SMALL[number as usize].into();
        }
        if number < 100 {
            let tens = TENS[(number / 10) as usize];
            return if number.is_multiple_of(10) {
                tens.into()
            } else {
                format!("{tens} {}", SMALL[(number % 10) as usize])
            };
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
        super::digit_words(text, &SMALL)
    }
}

/// Spanish: cardinals with gender, and ordinals.
pub(super) mod spanish {
    /// What the number stands before, which decides the form of its ones and hundreds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Form {
        /// Nothing: "veintiuno".
        Alone,
        /// A masculine noun: "veintiún".
        Masculine,
        /// A feminine noun: "veintiuna".
        Feminine,
    }

    const SMALL: [&str; 30] = [
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
    const TENS: [&str; 10] =
        ["", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
    const HUNDREDS: [&str; 10] = [
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

    /// `1250` as "mil doscientos cincuenta".
    pub(crate) fn cardinal(number: u64, form: Form) -> String {
        match number {
            0..100 => below_hundred(number, form),
            100 => "cien".into(),
            101..1000 => {
                let hundreds = HUNDREDS[(number / 100) as usize];
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
            (0..30, _) => SMALL[number as usize].into(),
            _ if number.is_multiple_of(10) => TENS[(number / 10) as usize].into(),
            _ => format!("{} y {}", TENS[(number / 10) as usize], below_hundred(number % 10, form)),
        }
    }

    /// `3` as "tercero", "tercera", or "tercer" before a masculine noun; above 99 the cardinal, as people say it.
    pub(crate) fn ordinal(number: u64, form: Form) -> String {
        const ONES: [&str; 10] =
            ["", "primero", "segundo", "tercero", "cuarto", "quinto", "sexto", "séptimo", "octavo", "noveno"];
        const TENS: [&str; 10] = [
            "",
            "décimo",
            "vigésimo",
            "trigésimo",
            "cuadragésimo",
            "quincuagésimo",
            "sexagésimo",
            "septuagésimo",
            "octogésimo",
            "nonagésimo",
        ];
        let words = match number {
            1..=9 => ONES[number as usize].to_owned(),
            11 => "undécimo".into(),
            12 => "duodécimo".into(),
            10..=99 if number.is_multiple_of(10) => TENS[(number / 10) as usize].into(),
            13..=99 => format!("{} {}", TENS[(number / 10) as usize], ONES[(number % 10) as usize]),
            _ => return cardinal(number, form),
        };
        match form {
            Form::Alone => words,
            Form::Masculine if words.ends_with("primero") || words.ends_with("tercero") => {
                words[..words.len() - 1].to_owned()
            }
            Form::Masculine => words,
            Form::Feminine => {
                let feminine: Vec<String> =
                    words.split(' ').map(|word| format!("{}a", &word[..word.len() - 1])).collect();
                feminine.join(" ")
            }
        }
    }

    /// The digits one by one.
    pub(crate) fn digits(text: &str) -> String {
        super::digit_words(text, &SMALL)
    }
}

/// The value of a Roman numeral in capitals below 100; `None` where it is not one, or not in its usual form.
pub(super) fn roman(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 8 {
        return None;
    }
    let value = |c| match c {
        'I' => Some(1),
        'V' => Some(5),
        'X' => Some(10),
        'L' => Some(50),
        'C' => Some(100),
        _ => None,
    };
    let values: Option<Vec<i64>> = text.chars().map(value).collect();
    let values = values?;
    let signed = |(index, &v): (usize, &i64)| if values.get(index + 1).is_some_and(|&next| next > v) { -v } else { v };
    let total: i64 = values.iter().enumerate().map(signed).sum();
    let total = u64::try_from(total).ok()?;
    (to_roman(total) == text && total < 100).then_some(total)
}

fn to_roman(mut number: u64) -> String {
    const PARTS: [(u64, &str); 9] =
        [(100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")];
    let mut out = String::new();
    for (value, text) in PARTS {
        while number >= value {
            out.push_str(text);
            number -= value;
        }
    }
    out
}

fn digit_words(text: &str, names: &[&str]) -> String {
    let words: Vec<&str> = text.chars().filter_map(|c| c.to_digit(10)).map(|d| names[d as usize]).collect();
    words.join(" ")
}
