//! The crate's public items name no type of the tensor library.

use std::path::{Path, PathBuf};

#[test]
fn no_type_of_the_tensor_library_is_public() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut checked = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("burn::") {
            continue;
        }
        checked += 1;
        // What a file that works with tensors makes public is only its module's.
        for line in text.lines().map(str::trim_start).filter(|line| line.starts_with("pub ")) {
            let is_device = path.ends_with("src/device.rs") && line == "pub enum Device {";
            assert!(is_device, "{}: {line}", path.display());
        }
    }
    assert!(checked > 10, "only {checked} files name the tensor library: is this test still of use?");
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
