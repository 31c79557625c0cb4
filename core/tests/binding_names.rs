//! The table of binding names, against the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PAGE: &str = include_str!("../../docs/binding-names.md");

/// Types of standard libraries and frameworks that are in scope, or imported everywhere, in the bindings' languages.
const TAKEN: &str = "Clock Command Error Event Exception Job Level Lock Manifest Message Model Module Notification Process \
                     Progress Range Record Request Response Role Scenario Session Speech Stage Thread Transcript Warning \
                     Worker";

/// The cells of each row.
fn rows() -> Vec<Vec<&'static str>> {
    let cells = |row: &'static str| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
    PAGE.lines().filter_map(|line| line.strip_prefix("| `")).map(cells).collect()
}

/// The public types below a folder, with the crate that each is in.
fn types(folder: &Path, krate: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            types(&path, krate, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("pub ")) {
            let Some((kind, name)) = line.split_once(' ') else { continue };
            if ["struct", "enum", "trait", "type"].contains(&kind) {
                let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap();
                found.entry(name.to_owned()).or_default().insert(krate.to_owned());
            }
        }
    }
}

#[test]
fn binding_names_are_of_public_types_and_differ() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeMap::new();
    types(&root.join("core/src"), "tertulia", &mut found);
    types(&root.join("models/src"), "tertulia_models", &mut found);
    let rows = rows();
    assert!(rows.len() > 25, "{} rows", rows.len());
    let mut listed = BTreeSet::new();
    for row in &rows {
        let (krate, _) = row[0].split_once("::").unwrap();
        let (_, name) = row[0].rsplit_once("::").unwrap();
        assert!(found.get(name).is_some_and(|crates| crates.contains(krate)), "{} is no public type", row[0]);
        listed.insert((krate, name));
    }
    let taken: BTreeSet<&str> = TAKEN.split(' ').collect();
    for (name, crates) in found.iter().filter(|(name, crates)| taken.contains(name.as_str()) || crates.len() > 1) {
        for krate in crates {
            assert!(listed.contains(&(krate.as_str(), name.as_str())), "{krate}'s {name} needs a binding name");
        }
    }
    for language in 1..=5 {
        let mut names = BTreeSet::new();
        for row in &rows {
            let name = row[language];
            assert!(names.insert(name) && !taken.contains(name) && !found.contains_key(name), "{name} is taken");
        }
    }
}
