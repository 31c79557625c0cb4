//! The comparison of expected and actual outcome, as a readable diff.

use super::{Outcome, Scenario};
use serde_json::Value;
use std::fmt::Write;

pub(super) fn check(scenario: &Scenario, outcome: &Outcome) -> Result<(), String> {
    let mut report = String::new();
    let is_left_out = |event: &Value| scenario.leave_out.iter().any(|kind| event["type"] == kind.as_str());
    let events: Vec<Value> = outcome.events.iter().filter(|event| !is_left_out(event)).cloned().collect();
    compare(&mut report, "events", Some(&scenario.events), &events);
    compare(&mut report, "turns in the store", Some(&scenario.turns), &outcome.turns);
    let (wanted, came) = (&scenario.requests, &outcome.requests);
    for (what, wanted, came) in [
        ("requests to the recogniser", &wanted.recognizer, &came.recognizer),
        ("requests to the chat model", &wanted.chat, &came.chat),
        ("requests to the voice", &wanted.voice, &came.voice),
    ] {
        compare(&mut report, what, wanted.as_ref(), came.as_deref().unwrap_or_default());
    }
    for fault in &outcome.faults {
        let _ = writeln!(report, "{fault}");
    }
    if report.is_empty() { Ok(()) } else { Err(report) }
}

/// Compares two lists, entry by entry; nothing where nothing is expected of them.
pub(super) fn compare(report: &mut String, what: &str, expected: Option<&Vec<Value>>, came: &[Value]) {
    let Some(expected) = expected else { return };
    let steps = alignment(expected, came);
    if steps.iter().all(|step| matches!(step, Step::Same(_))) {
        return;
    }
    let _ = writeln!(report, "{what} (- expected, + came):");
    for step in steps {
        let _ = match step {
            Step::Same(came) => writeln!(report, "    {}", shown(came)),
            Step::Missing(expected) => writeln!(report, "  - {}", shown(expected)),
            Step::Extra(came) => writeln!(report, "  + {}", shown(came)),
        };
    }
}

/// Compares a value with its expectation: numbers, texts and truth values are equal, lists match entry by entry, objects in
/// every key that is expected. `{"between": [a, b]}` matches every number from a to b.
fn matches(expected: &Value, came: &Value) -> bool {
    match (expected, came) {
        (Value::Object(expected), _) if expected.len() == 1 && expected.contains_key("between") => {
            let (limits, came) = (&expected["between"], came.as_f64());
            let limit = |at: usize| limits.get(at).and_then(Value::as_f64);
            matches!((limit(0), came, limit(1)), (Some(a), Some(came), Some(b)) if (a..=b).contains(&came))
        }
        (Value::Object(expected), Value::Object(came)) => {
            expected.iter().all(|(key, expected)| matches(expected, came.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(expected), Value::Array(came)) => {
            expected.len() == came.len() && expected.iter().zip(came).all(|(expected, came)| matches(expected, came))
        }
        _ => expected == came,
    }
}

enum Step<'a> {
    Same(&'a Value),
    Missing(&'a Value),
    Extra(&'a Value),
}

/// The longest common subsequence of both lists, and the entries beside it.
fn alignment<'a>(expected: &'a [Value], came: &'a [Value]) -> Vec<Step<'a>> {
    let (rows, columns) = (expected.len(), came.len());
    // The length of the longest common subsequence from each place on.
    let mut longest = vec![vec![0; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            longest[row][column] = match matches(&expected[row], &came[column]) {
                true => longest[row + 1][column + 1] + 1,
                false => longest[row + 1][column].max(longest[row][column + 1]),
            };
        }
    }
    let (mut row, mut column, mut steps) = (0, 0, Vec::new());
    while row < rows || column < columns {
        if row < rows && column < columns && matches(&expected[row], &came[column]) {
            steps.push(Step::Same(&came[column]));
            (row, column) = (row + 1, column + 1);
        } else if column == columns || (row < rows && longest[row + 1][column] >= longest[row][column + 1]) {
            steps.push(Step::Missing(&expected[row]));
            row += 1;
        } else {
            steps.push(Step::Extra(&came[column]));
            column += 1;
        }
    }
    steps
}

/// Without what no scenario names.
fn shown(value: &Value) -> String {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        for key in ["session", "seq"] {
            fields.remove(key);
        }
    }
    value.to_string()
}
