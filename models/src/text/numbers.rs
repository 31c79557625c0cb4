//! Numbers, as far as they are read alike in all languages.

/// The most digits that are read as a number; longer runs are read digit by digit.
const READ_AS_NUMBER_DIGITS_MAX: usize = 15;

/// The value of a number's digits, whatever stands between them; `None` where there are too many to be read as a number.
pub(super) fn value(text: &str) -> Option<u64> {
    let plain: String = text.chars().filter(char::is_ascii_digit).collect();
    (plain.len() <= READ_AS_NUMBER_DIGITS_MAX).then(|| plain.parse().ok())?
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

/// The word at `index`, from 0, of a list with blanks between.
pub(super) fn nth(list: &'static str, index: u64) -> &'static str {
    list.split(' ').nth(index as usize).expect("the number is within its list")
}

/// The digits one by one, by their names.
pub(super) fn digit_words(text: &str, names: &'static str) -> String {
    let words: Vec<&str> = text.chars().filter_map(|c| c.to_digit(10)).map(|digit| nth(names, digit.into())).collect();
    words.join(" ")
}
