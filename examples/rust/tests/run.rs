//! Each program does what it says, and is short.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;
use tertulia::audio::{decode, write_wav};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("the program was built")
}

/// The output of a program that succeeds.
fn output(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(program, arguments);
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[cfg(unix)]
#[test]
fn the_recogniser_gives_a_program_the_speech_and_takes_its_words() {
    let program = env!("CARGO_BIN_EXE_host_recognizer");
    let folder = tempfile::tempdir().unwrap();
    let recording = path(&folder, "speech.wav");
    fs::write(&recording, write_wav(&vec![0.25; 8_000], 8_000)).unwrap();
    // A second at 16 kHz and 16 bits, behind a header of 44 bytes.
    assert_eq!(output(program, &[&recording, "wc", "-c"]).trim(), "32044");
    let failed = run(program, &[&recording, "sh", "-c", "cat > /dev/null; exit 3"]);
    let reason = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success() && reason.contains("RecognizerFailed") && reason.contains('3'), "{reason}");
}

#[test]
fn the_chat_model_answers() {
    let program = env!("CARGO_BIN_EXE_host_chat");
    assert_eq!(output(program, &["Me", "llamo", "Ana"]), "¡Encantado, Ana! ¿De dónde eres?\n");
    assert_eq!(output(program, &["Hola."]), "Cuéntame más.\n");
    assert!(!run(program, &[]).status.success());
}

#[test]
fn the_voice_writes_a_note_of_100_ms_for_each_letter() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "reply.wav");
    let printed = output(env!("CARGO_BIN_EXE_host_voice"), &[&file, "Buenos días."]);
    assert_eq!(printed, format!("{file}: 1200 ms\n"));
    let reply = decode(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((reply.rate, reply.samples.len()), (24_000, 28_800));
    let power = |notes: &[f32]| notes.iter().map(|sample| sample * sample).sum::<f32>() / notes.len() as f32;
    assert!(power(&reply.samples[..14_400]) > 1e-3 && power(&reply.samples[14_400..16_800]) == 0.0);
}

#[test]
fn a_hundred_sessions_are_stored_listed_searched_shown_and_exported() {
    let (folder, history) = (tempfile::tempdir().unwrap(), env!("CARGO_BIN_EXE_history"));
    let store = path(&folder, "sessions.redb");
    assert!(!run(history, &[&store, "list"]).status.success());

    let printed = output(env!("CARGO_BIN_EXE_hundred_sessions"), &[&store]);
    assert!(printed.contains("100 turns finished after "), "{printed}");
    assert_eq!(printed.contains("kB a session"), cfg!(target_os = "linux"), "{printed}");

    assert_eq!(output(history, &[&store, "list"]).lines().count(), 100);
    let found = output(history, &[&store, "list", "NÚMERO 42."]);
    let (id, rest) = found.split_once("  ").unwrap();
    assert_eq!(rest, "1 turns  Hola, ¿qué número tengo?\n");
    let shown = output(history, &[&store, "show", id]);
    assert_eq!(shown, "1  Hola, ¿qué número tengo?\n   ¡Hola! Tienes el número 42.\n");
    let file = path(&folder, "session.zip");
    assert!(output(history, &[&store, "export", id, &file]).contains("1 turns"));
    assert!(fs::read(&file).unwrap().starts_with(b"PK"));
}

#[test]
fn every_program_is_under_60_lines_and_run_above() {
    let tests = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run.rs")).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin")).unwrap() {
        let path = entry.unwrap().path();
        let (name, lines) = (path.file_stem().unwrap().to_str().unwrap(), fs::read_to_string(&path).unwrap());
        assert!(lines.lines().count() < 60, "{name} has {} lines", lines.lines().count());
        assert!(tests.contains(&format!("CARGO_BIN_EXE_{name}\"")), "{name} is not run");
    }
}
