//! Tests of the command line: arguments, exit codes, JSON lines, and a scripted conversation. Needs the models (`tertulia models pull`) where it says so.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// Held by tests that compute with models: a conversation in real time needs the processors for itself.
static MODELS: Mutex<()> = Mutex::new(());

fn tertulia(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tertulia"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    tertulia(arguments).output().expect("the command runs")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

#[track_caller]
fn assert_success(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

#[test]
fn wrong_command_line_exits_with_2_and_an_empty_stdout() {
    for arguments in [&["fly"][..], &["turn"], &["turn", "--text", "a", "--input", "b"], &["transcribe", "x.wav"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    assert_eq!(run(&["transcribe", "x.wav", "--language", "Spanish!"]).status.code(), Some(2));
}

#[test]
fn missing_model_names_its_path_and_exits_with_its_block() {
    let folder = tempfile::tempdir().unwrap();
    let output = tertulia(&["capabilities", "--json"]).env("TERTULIA_MODELS", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(12));
    let error = lines(&output).pop().unwrap();
    assert_eq!(
        (&error["type"], &error["code"], &error["name"]),
        (&"error".into(), &221.into(), &"ModelMissing".into())
    );
    assert!(error["detail"].as_str().unwrap().contains(path_text(folder.path())));
}

#[test]
fn unreadable_audio_file_has_its_error_code() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.wav");
    std::fs::write(&text, "this is no recording").unwrap();
    let output = run(&["transcribe", path_text(&text), "--language", "es", "--json"]);
    assert_eq!((output.status.code(), lines(&output)[0]["code"].as_u64()), (Some(13), Some(305)));
    let output = run(&["transcribe", "/nowhere/x.wav", "--language", "es", "--json"]);
    assert_eq!((output.status.code(), lines(&output)[0]["code"].as_u64()), (Some(11), Some(100)));
}

#[test]
fn sessions_need_no_models() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sessions.redb");
    let sessions = |arguments: &[&str]| {
        let mut command = tertulia(&["sessions"]);
        command.args(arguments).args(["--json", "--store", path_text(&store)]);
        command.env("TERTULIA_MODELS", folder.path()).output().unwrap()
    };
    let empty = sessions(&["list"]);
    assert_success(&empty);
    assert!(empty.stdout.is_empty());
    let nothing = sessions(&["list", "--text", "playa"]);
    assert_success(&nothing);
    assert!(nothing.stdout.is_empty());
    let unknown = sessions(&["show", "0192f0c1-2345-7abc-8def-0123456789ab"]);
    assert_eq!((unknown.status.code(), lines(&unknown)[0]["name"].as_str()), (Some(11), Some("SessionNotFound")));
    let folder_as_store = tertulia(&["sessions", "list", "--store", path_text(folder.path())]).output().unwrap();
    assert_eq!(folder_as_store.status.code(), Some(17));
}

/// Needs the models.
#[test]
fn transcribe_gives_back_the_text_of_say() {
    let _alone = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("said.wav");
    let said = run(&["say", "Buenos días, me llamo Carmen.", "--language", "es", "--out", path_text(&wav), "--json"]);
    assert_success(&said);
    assert!(lines(&said)[0]["duration_ms"].as_u64().unwrap() > 1000);
    let transcribed = run(&["transcribe", path_text(&wav), "--language", "es"]);
    assert_success(&transcribed);
    let text = String::from_utf8(transcribed.stdout).unwrap().to_lowercase();
    assert!(text.contains("buenos días") && text.contains("carmen"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let voice = run(&["say", "Hola", "--language", "es", "--voice", "unknown", "--out", path_text(&wav), "--json"]);
    assert_eq!((voice.status.code(), lines(&voice)[0]["name"].as_str()), (Some(12), Some("UnknownVoice")));
}

/// Needs the models.
#[test]
fn session_resumes_exports_rekeys_and_erases_across_processes() {
    let _alone = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sessions.redb");
    let turn = |arguments: &[&str]| {
        let mut command = tertulia(&["turn", "--json", "--store", path_text(&store)]);
        let output = command.args(arguments).output().unwrap();
        assert_success(&output);
        lines(&output)
    };
    let wav = folder.path().join("reply.wav");
    let first = turn(&["--text", "Hola, me llamo Carmen.", "--out", path_text(&wav)]);
    let types: Vec<&str> = first.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in ["session_opened", "turn_started", "reply_text_done", "reply_audio_delta", "metrics", "turn_finished"] {
        assert!(types.contains(&kind), "{kind} is missing in {types:?}");
    }
    let samples: u64 =
        first.iter().filter(|e| e["type"] == "reply_audio_delta").map(|e| e["samples"].as_u64().unwrap()).sum();
    assert_eq!(hound::WavReader::open(&wav).unwrap().duration() as u64, samples);
    let id = first.iter().find_map(|event| event["session"].as_str()).unwrap().to_owned();

    turn(&["--text", "¿Qué tal?", "--session", &id]);
    let shown = run(&["sessions", "show", &id, "--json", "--store", path_text(&store)]);
    assert_success(&shown);
    let shown = lines(&shown);
    assert_eq!(shown.len(), 3, "the session and two turns");
    assert_eq!(shown[1]["user_text"], "Hola, me llamo Carmen.");
    assert_eq!(shown[2]["state"], "finished");

    let out = folder.path().join("session.zip");
    let export = run(&["sessions", "export", &id, "--out", path_text(&out), "--store", path_text(&store)]);
    assert_success(&export);
    let deleted = run(&["sessions", "delete", &id, "--store", path_text(&store)]);
    assert_success(&deleted);
    let imported = run(&["sessions", "import", path_text(&out), "--store", path_text(&store)]);
    assert_success(&imported);
    let shown_again = run(&["sessions", "show", &id, "--json", "--store", path_text(&store)]);
    assert_eq!(lines(&shown_again), shown);
    // The words of a turn are corrected, and the conversation goes on from there.
    let corrected =
        run(&["sessions", "correct", &id, "1", "Hola, me llamo Ximena.", "--json", "--store", path_text(&store)]);
    assert_success(&corrected);
    let started = lines(&corrected).into_iter().find(|event| event["type"] == "turn_started").unwrap();
    assert_eq!((&started["turn"], &started["corrects"]), (&3.into(), &1.into()));

    maintain(&store);
    encrypt_and_decrypt(&store, &folder.path().join("key"), &id);

    let deleted = run(&["sessions", "delete", &id, "--erase", "--store", path_text(&store)]);
    assert_success(&deleted);
    assert!(!holds_name(&store));
    let gone = run(&["sessions", "show", &id, "--store", path_text(&store)]);
    assert_eq!(gone.status.code(), Some(11));
}

/// A `sessions` command on a store: its first line of JSON.
fn sessions(store: &Path, arguments: &[&str]) -> Value {
    let output = run(&[&["sessions"], arguments, &["--json", "--store", path_text(store)]].concat());
    assert_success(&output);
    lines(&output).remove(0)
}

fn holds_name(store: &Path) -> bool {
    std::fs::read(store).unwrap().windows(6).any(|window| window == b"Carmen")
}

/// Usage, verification, sweep and compaction of a store with one session of three turns.
fn maintain(store: &Path) {
    let sessions = |arguments: &[&str]| sessions(store, arguments);
    let usage = sessions(&["usage"]);
    assert_eq!((&usage["sessions"], &usage["turns"], &usage["reply_audio"]), (&1.into(), &3.into(), &3.into()));
    assert_eq!(sessions(&["verify"])["recordings"], 3);
    assert_eq!(sessions(&["sweep", "--dry-run", "--audio-bytes-max", "0"])["reply_audio"], 3);
    assert_eq!(sessions(&["usage"])["reply_audio"], 3, "a dry run deletes nothing");
    assert_eq!(sessions(&["sweep", "--audio-bytes-max", "0"])["reply_audio"], 3);
    assert_eq!(sessions(&["usage"])["reply_audio_bytes"], 0);
    let compacted = sessions(&["compact"]);
    assert!(compacted["storage_bytes"].as_u64() < compacted["storage_bytes_before"].as_u64(), "{compacted}");
}

/// A store that is given a key opens with it alone, until it is decrypted.
fn encrypt_and_decrypt(store: &Path, key: &Path, id: &str) {
    let sessions = |arguments: &[&str]| sessions(store, arguments);
    std::fs::write(key, format!("{}\n", "5a".repeat(32))).unwrap();
    assert!(holds_name(store));
    sessions(&["rekey", "--new-key-file", path_text(key)]);
    assert!(!holds_name(store));
    let refused = run(&["sessions", "list", "--json", "--store", path_text(store)]);
    assert_eq!(lines(&refused)[0]["name"], "StoreWrongKey");
    let shown = sessions(&["show", id, "--key-file", path_text(key)]);
    assert_eq!(shown["title"], "Hola, me llamo Ximena.", "the title is the corrected text");
    sessions(&["rekey", "--key-file", path_text(key)]);
    assert!(holds_name(store));
}

/// Needs the models.
#[test]
fn simulated_talk_resumes_after_a_backchannel_and_flushes_on_barge_in() {
    let _alone = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    // The first sentence is one chunk of five seconds: all happens while it plays, however slowly the next is made.
    let tutor = "El sábado fui al mercado con mi hermana y compramos mucha fruta para toda la familia y también un ramo de \
                 flores para mi madre. El domingo dimos un paseo muy largo por la playa, hasta que empezó a llover.";
    // The backchannel comes when the echo canceller has converged.
    let script = serde_json::json!({"echo_db": -12, "echo_delay_ms": 120, "lines": [
        {"at_s": 0.2, "tutor": tutor},
        {"after": "reply_audio_delta", "delay_s": 3.5, "say": "Yeah.", "language": "en", "voice": "af_bella", "speed": 1.3},
        {"after": "playback_resume", "delay_s": 0.5, "say": "Perdona, tengo una pregunta sobre la fruta."},
    ]});
    let path = folder.path().join("script.json");
    std::fs::write(&path, script.to_string()).unwrap();
    let store = folder.path().join("sessions.redb");
    let arguments = ["talk", "--simulate", path_text(&path), "--record-dir", path_text(folder.path()), "--json"];
    let output = tertulia(&arguments).args(["--store", path_text(&store)]).output().unwrap();
    assert_success(&output);
    let events = lines(&output);
    let place = |kind: &str, from: usize| {
        let found = events.iter().skip(from).position(|event| event["type"] == kind);
        from + found.unwrap_or_else(|| panic!("no {kind} after {from} in {events:?}"))
    };
    let at_ms = |place: usize| events[place]["at_ms"].as_u64().unwrap();
    let line = |number: u64| events.iter().position(|e| e["type"] == "script_line" && e["line"] == number).unwrap();

    // The backchannel pauses the playback, which then resumes.
    assert!(place("playback_pause", line(2)) < place("playback_resume", line(2)));
    assert!(!events[..line(3)].iter().any(|event| event["type"] == "playback_flush"));
    // The question is a barge-in: the reply is flushed before the question is over.
    let flush = place("playback_flush", line(3));
    assert!(flush < place("utterance_ended", line(3)));
    let interrupted = &events[place("turn_interrupted", flush)];
    let heard = interrupted["heard_text"].as_str().unwrap();
    assert!(!heard.is_empty() && tutor.starts_with(heard) && heard != tutor, "{heard}");
    let next_reply = place("reply_audio_delta", flush);
    assert!(events[flush..].iter().any(|event| event["type"] == "turn_finished"));

    // The recordings agree: from the pause on, the speaker is silent until the next reply.
    let samples = |name: &str| -> Vec<i16> {
        hound::WavReader::open(folder.path().join(name)).unwrap().into_samples().map(Result::unwrap).collect()
    };
    let (speaker, microphone) = (samples("speaker.wav"), samples("microphone.wav"));
    assert_eq!(speaker.len(), microphone.len());
    let between = |from_ms: u64, to_ms: u64| &speaker[from_ms as usize * 48..to_ms as usize * 48];
    assert!(between(at_ms(line(2)), at_ms(line(3))).iter().any(|sample| *sample != 0));
    assert!(between(at_ms(flush) + 500, at_ms(next_reply) - 500).iter().all(|sample| *sample == 0));
}

#[test]
fn invalid_script_names_the_wrong_line() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.json");
    std::fs::write(&script, r#"{"lines": [{"at_s": 0}]}"#).unwrap();
    let output = run(&["talk", "--simulate", path_text(&script), "--json"]);
    assert_eq!(output.status.code(), Some(11));
    assert!(lines(&output)[0]["detail"].as_str().unwrap().contains("line 1"));
}

/// Needs the models' files.
#[test]
#[cfg(target_os = "linux")]
fn talk_without_sound_devices_is_unsupported() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sessions.redb");
    for arguments in [&["talk", "--store", path_text(&store), "--json"][..], &["listen", "--language", "es", "--json"]]
    {
        // No sound card is found with settings that are not there.
        let output = tertulia(arguments).env("ALSA_CONFIG_PATH", folder.path().join("none")).output().unwrap();
        let error = lines(&output).pop().unwrap();
        assert_eq!((output.status.code(), error["name"].as_str()), (Some(11), Some("Unsupported")), "{error}");
    }
}
