//! The architecture: dependencies between the modules of core, and what stands in no file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules of this crate that a file names, apart from tests at its end.
fn rooms_named(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.match_indices("crate::")
        .map(|(at, _)| code[at + 7..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned())
        .collect()
}

/// The modules of the driver that one of its files names.
fn driver_modules_named(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    let word = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    let mut named = Vec::new();
    for prefix in ["super::", "crate::driver::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => {
                    named.extend(group[..group.find(';').unwrap()].split(',').map(|part| word(part.trim_start())))
                }
                None => named.push(word(rest)),
            }
        }
    }
    named
}

/// Panics where modules use each other in a circle; each comes with those that it names.
fn assert_no_circle(mut uses: BTreeMap<String, BTreeSet<String>>) {
    while let Some(leaf) = uses.iter().find(|(_, named)| named.is_empty()).map(|(room, _)| room.clone()) {
        uses.remove(&leaf);
        uses.values_mut().for_each(|named| _ = named.remove(&leaf));
    }
    assert!(uses.is_empty(), "a circle among {uses:?}");
}

/// The top-level module or, below a folder, the module within it that a file belongs to.
fn room_of(path: &Path, folder: &Path) -> String {
    let first = path.strip_prefix(folder).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn uses_within(folder: &Path, named: impl Fn(&Path) -> Vec<String>) -> BTreeMap<String, BTreeSet<String>> {
    let files: Vec<PathBuf> = sources(folder).into_iter().filter(|path| room_of(path, folder) != "mod").collect();
    let rooms: BTreeSet<String> = files.iter().map(|path| room_of(path, folder)).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files {
        let room = room_of(&path, folder);
        let others = named(&path).into_iter().filter(|name| *name != room && rooms.contains(name));
        uses.entry(room.clone()).or_default().extend(others);
    }
    uses
}

#[test]
fn modules_of_core_have_no_dependency_cycle() {
    assert_no_circle(uses_within(&core_src(), rooms_named));
}

#[test]
fn modules_of_the_driver_have_no_dependency_cycle() {
    assert_no_circle(uses_within(&core_src().join("driver"), driver_modules_named));
}

fn core_src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn the_turn_machine_depends_on_event_error_and_text_only() {
    for path in sources(&core_src().join("turn")) {
        for room in rooms_named(&path) {
            assert!(["event", "error", "text", "turn"].contains(&room.as_str()), "{path:?} knows {room}");
        }
        let text = fs::read_to_string(&path).unwrap();
        for outside in ["std::time", "std::thread", "std::fs", "std::io", "parking_lot"] {
            assert!(!text.contains(outside), "{path:?} knows {outside}");
        }
    }
}

#[test]
fn text_depends_on_nothing_of_the_crate() {
    for path in sources(&core_src().join("text")) {
        assert_eq!(rooms_named(&path), [""; 0], "{path:?}");
    }
}

#[test]
fn dependencies_point_from_the_engine_to_the_turn_machine() {
    let below: [(&str, &[&str]); 8] = [
        ("error", &["engine", "session", "driver", "turn", "store", "audio", "backend", "event"]),
        ("event.rs", &["engine", "session", "driver", "turn", "store", "audio", "backend"]),
        ("audio", &["engine", "session", "driver", "turn", "store"]),
        ("store", &["engine", "session", "driver", "turn", "audio"]),
        ("driver", &["engine", "session"]),
        ("session.rs", &["engine"]),
        ("session", &["engine"]),
        ("backend", &["engine", "session", "driver", "turn", "store", "audio"]),
    ];
    for (room, forbidden) in below {
        let place = core_src().join(room);
        let files = if place.is_dir() { sources(&place) } else { vec![place] };
        for path in files {
            for named in rooms_named(&path) {
                let is_doc_only = ["Session", "SessionEngine", "EngineBuilder"].contains(&named.as_str());
                assert!(is_doc_only || !forbidden.contains(&named.as_str()), "{path:?} knows {named}");
            }
        }
    }
}

#[test]
fn burn_is_named_in_models_alone_and_core_has_no_unsafe_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for manifest in
        ["core/Cargo.toml", "ffi/Cargo.toml", "examples/cli/Cargo.toml", "examples/rust/Cargo.toml", "xtask/Cargo.toml"]
    {
        let text = fs::read_to_string(root.join(manifest)).unwrap();
        assert!(!text.contains("burn"), "{manifest} names burn");
    }
    for path in sources(&core_src()) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("unsafe {") && !text.contains("burn::"), "{path:?}");
    }
}

/// The name and the number of lines of each function of a formatted file: from its `fn` to the brace in the same column.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let is_item = ["fn ", "pub", "async ", "const fn ", "unsafe "].iter().any(|prefix| code.starts_with(prefix));
        let Some((_, rest)) = code.split_once("fn ").filter(|_| is_item) else { continue };
        let end = lines[start..].iter().position(|line| {
            let ends_here = line.len() - line.trim_start().len() == indent;
            ends_here && (line.trim_start().starts_with('}') || line.ends_with(';') || line.ends_with('}'))
        });
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
        found.extend(end.map(|end| (name, end + 1)));
    }
    found
}

#[test]
fn no_function_is_over_70_lines_and_no_file_over_500_without_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut long = Vec::new();
    for folder in ["core/src", "models/src", "ffi/src", "xtask/src", "examples/cli/src", "examples/rust/src"] {
        for path in sources(&root.join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let (name, lines) = (path.strip_prefix(root).unwrap().display(), text.lines().count());
            // The reason stands in the file's first lines: "Longer than 500 lines because …".
            if lines > 500 && !text.lines().take(15).any(|line| line.contains("onger than 500 lines")) {
                long.push(format!("{name} has {lines} lines"));
            }
            let functions = functions(&text).into_iter().filter(|(_, lines)| *lines > 70);
            long.extend(functions.map(|(function, lines)| format!("{name}: {function} has {lines} lines")));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn function_lengths_are_counted_to_the_closing_brace() {
    let text =
        "pub(crate) fn one(\n    a: u8,\n) -> u8 {\n    a\n}\n\ntrait T {\n    fn two(&self);\n}\nfn three() {}\n";
    let expected = [("one", 5), ("two", 1), ("three", 1)].map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(functions(text), expected);
}
