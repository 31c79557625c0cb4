//! A session is exported and imported again as it was; an archive that is not one is refused, and leaves nothing.

mod store_support;

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom, Write as _};
use std::sync::Mutex;
use store_support::{
    MINUTE_MS, NOW_MS, code, memory, open_turn, reply_audio, rounds, samples, session, turn, user_audio,
};
use tertulia::event::InterruptReason;
use tertulia::store::{
    AudioKind, ExportReport, ImportOptions, ImportReport, SessionRecord, Store, StoreLocation, StoreOptions,
    TurnRecord, TurnState, Write,
};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, Keep, Result, Retention, SessionId, TurnId};
use zip::write::SimpleFileOptions;

const FOREVER: Retention = Retention { user_audio: Keep::Forever, reply_audio: Keep::Forever, text: Keep::Forever };

/// A session of which two recordings are longer than a row of the store, and one has no samples.
fn talk(store: &Store, s: &SessionRecord) {
    talk_of(store, s, [0, 1, 32_672, 32_673, 100_001]);
}

/// The same with less audio, where a test reads every byte.
fn short_talk(store: &Store, s: &SessionRecord) {
    talk_of(store, s, [0, 1, 700, 800, 900]);
}

/// A session of five turns with so many samples each; every other one has a reply's recording.
fn talk_of(store: &Store, s: &SessionRecord, lens: [usize; 5]) {
    let mut writes = vec![Write::PutSession(s.clone())];
    for n in 1..=5 {
        let mut t = turn(s.id, n);
        if n == 4 {
            t.retry_of = Some(TurnId(3));
        }
        t.corrects = (n == 5).then_some(TurnId(2));
        writes.push(Write::PutTurn(t.clone()));
        writes.push(user_audio(&t, samples(n, lens[n as usize - 1])));
        if n % 2 == 1 {
            writes.push(reply_audio(&t, samples(n + 50, lens[4] / 2)));
        }
    }
    store.apply(&writes).unwrap();
}

fn kept(n: u64) -> SessionRecord {
    let mut s = session(n);
    s.config.retention = FOREVER;
    s
}

fn exported(store: &Store, id: SessionId) -> Vec<u8> {
    let mut archive = Vec::new();
    let report = store.export_to(id, Box::new(&mut archive)).wait().unwrap();
    assert_eq!(report.bytes, archive.len() as u64);
    archive
}

/// The archive of a store with one session.
fn archive() -> Vec<u8> {
    let store = memory();
    talk(&store, &kept(1));
    exported(&store, kept(1).id)
}

fn short_archive() -> Vec<u8> {
    let store = memory();
    short_talk(&store, &kept(1));
    exported(&store, kept(1).id)
}

fn import(store: &Store, archive: &[u8]) -> Result<ImportReport> {
    store.import_from(Box::new(Cursor::new(archive)), ImportOptions::default(), NOW_MS).wait()
}

/// The code with which the archive is refused. Nothing of it is in the store then, and what was there still is.
fn refused(archive: &[u8]) -> ErrorCode {
    refused_with(archive, &ImportOptions::default())
}

fn refused_with(archive: &[u8], options: &ImportOptions) -> ErrorCode {
    let store = memory();
    short_talk(&store, &kept(9));
    let code = code(store.import_from(Box::new(Cursor::new(archive)), options.clone(), NOW_MS).wait());
    let page = store.sessions(&Default::default(), None, 10).unwrap();
    assert_eq!(page.sessions.iter().map(|s| s.id).collect::<Vec<_>>(), [kept(9).id], "something was left");
    code
}

/// The files of an archive.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut files = BTreeMap::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(file.name().unwrap().into_owned(), bytes);
    }
    files
}

fn zipped<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive of these files, with a manifest that is right.
fn packed(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let listed = files.iter().filter(|(name, _)| *name != "manifest.json").map(|(name, bytes)| {
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({"name": name, "bytes": bytes.len(), "sha256": sha256})
    });
    manifest["files"] = listed.collect();
    packed_with(files, &manifest)
}

fn packed_with(files: &BTreeMap<String, Vec<u8>>, manifest: &serde_json::Value) -> Vec<u8> {
    let manifest = manifest.to_string();
    let others = files.iter().filter(|(name, _)| *name != "manifest.json");
    zipped(others.map(|(name, bytes)| (&name[..], &bytes[..])).chain([("manifest.json", manifest.as_bytes())]))
}

/// The archive with these lines changed, and a manifest that is right.
fn with_lines(change: impl FnOnce(&mut Vec<serde_json::Value>)) -> Vec<u8> {
    let mut files = unpacked(&short_archive());
    let lines = std::str::from_utf8(&files["session.jsonl"]).unwrap().lines();
    let mut lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    change(&mut lines);
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    files.insert("session.jsonl".into(), lines.into());
    packed(&files)
}

/// Everything of a session.
fn contents(store: &Store, id: SessionId) -> (SessionRecord, Vec<TurnRecord>, Vec<Vec<i16>>) {
    let turns = store.turns(id).unwrap();
    assert!(turns.is_complete());
    let mut audio = Vec::new();
    for turn in &turns.turns {
        for kind in [AudioKind::User, AudioKind::Reply] {
            if turn.audio(kind).is_some() {
                audio.push(store.audio(id, turn.turn, kind).unwrap().samples);
            }
        }
    }
    (store.session(id).unwrap(), turns.turns, audio)
}

#[test]
fn an_archive_is_json_lines_wav_files_and_a_manifest() {
    let store = memory();
    let s = kept(1);
    talk(&store, &s);
    let mut bytes = Vec::new();
    let report = store.export_to(s.id, Box::new(&mut bytes)).wait().unwrap();
    let len = bytes.len() as u64;
    let mut expected = ExportReport::default();
    (expected.turns, expected.audio, expected.bytes) = (5, 8, len);
    assert_eq!(report, expected);
    let files = unpacked(&bytes);

    let lines = std::str::from_utf8(&files["session.jsonl"]).unwrap().lines();
    let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!((&lines[0]["type"], &lines[0]["config"]["target"]), (&"session".into(), &"es-MX".into()));
    assert_eq!(lines[0]["id"], s.id.to_string());
    for (line, turn) in lines[1..].iter().zip(store.turns(s.id).unwrap().turns) {
        assert_eq!(line["type"], "turn");
        assert_eq!(serde_json::from_value::<TurnRecord>(line.clone()).unwrap(), turn);
    }
    assert_eq!(lines[1]["user_audio_file"], "audio/turn-1-user.wav");
    assert_eq!(lines[2].get("reply_audio_file"), None);
    assert_eq!((&lines[2]["state"], &lines[2]["reason"]), (&"interrupted".into(), &"barge_in".into()));

    for (name, expected, rate) in [
        ("audio/turn-1-user.wav", Vec::new(), 16_000),
        ("audio/turn-5-user.wav", samples(5, 100_001), 16_000),
        ("audio/turn-3-reply.wav", samples(53, 50_000), 24_000),
    ] {
        let mut reader = hound::WavReader::new(&files[name][..]).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, rate, 16));
        assert!(reader.samples::<i16>().map(std::result::Result::unwrap).eq(expected), "{name}");
    }

    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!((&manifest["format"], &manifest["format_version"]), (&"tertulia-session".into(), &1.into()));
    assert_eq!(manifest["engine_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["files"].as_array().unwrap().len(), 9);
    for file in manifest["files"].as_array().unwrap() {
        let bytes = &files[file["name"].as_str().unwrap()];
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&file["bytes"], &file["sha256"]), (&bytes.len().into(), &sha256.into()));
    }
}

#[test]
fn a_session_survives_export_and_import_unchanged() {
    for ended in [false, true] {
        let store = memory();
        let s = kept(1);
        talk(&store, &s);
        if ended {
            store.apply(&[Write::EndSession { id: s.id, now_ms: NOW_MS + MINUTE_MS }]).unwrap();
        }
        let first = exported(&store, s.id);
        let disk = FaultyDisk::new();
        let elsewhere = Store::open(disk.location(), NOW_MS).unwrap();
        let report = import(&elsewhere, &first).unwrap();
        let whole = serde_json::json!({"session": s.id, "turns": 5, "audio": 8, "audio_forbidden": 0, "texts_forbidden": 0,
            "turns_closed": 0, "turns_missing": 0, "audio_missing": 0});
        assert_eq!(serde_json::json!(report), whole);
        assert!(contents(&elsewhere, s.id) == contents(&store, s.id));
        assert_eq!(elsewhere.session(s.id).unwrap().ended_ms.is_some(), ended);
        assert_eq!(
            elsewhere.sessions(&Default::default(), None, 10).unwrap(),
            store.sessions(&Default::default(), None, 10).unwrap()
        );
        // Byte by byte, and after a restart too.
        drop(elsewhere);
        let elsewhere = Store::open(disk.location(), NOW_MS).unwrap();
        assert!(exported(&elsewhere, s.id) == first);
        // And it is a session like any other.
        if !ended {
            elsewhere.apply(&[Write::PutTurn(turn(s.id, 6)), user_audio(&turn(s.id, 6), samples(6, 100))]).unwrap();
            assert_eq!(contents(&elsewhere, s.id).1.len(), 6);
        }
        elsewhere.delete_session(s.id).unwrap();
        import(&elsewhere, &first).unwrap();
        assert!(exported(&elsewhere, s.id) == first);
    }
}

#[test]
fn a_metric_that_is_not_a_number_survives_export_and_import() {
    let store = memory();
    let s = kept(1);
    let mut t = turn(s.id, 1);
    t.transcript.as_mut().unwrap().average_log_probability = f32::NEG_INFINITY;
    store.apply(&[Write::PutSession(s.clone()), Write::PutTurn(t)]).unwrap();
    let first = exported(&store, s.id);
    let elsewhere = memory();
    import(&elsewhere, &first).unwrap();
    assert!(exported(&elsewhere, s.id) == first);
}

#[test]
fn an_import_does_not_overwrite_a_session() {
    let store = memory();
    let s = kept(1);
    talk(&store, &s);
    let archive = exported(&store, s.id);
    store.apply(&[Write::PutTurn(turn(s.id, 6))]).unwrap();
    assert_eq!(code(import(&store, &archive)), ErrorCode::SessionExists);
    assert_eq!(store.turns(s.id).unwrap().turns.len(), 6);

    let new_id = Some(kept(2).id);
    let options = ImportOptions { new_id, ..ImportOptions::default() };
    let report = store.import_from(Box::new(Cursor::new(&archive)), options.clone(), NOW_MS).wait().unwrap();
    assert_eq!(report.session, kept(2).id);
    let (mut copy, turns, audio) = contents(&store, kept(2).id);
    let mut original = store.session(s.id).unwrap();
    (copy.id, original.turns, original.next_turn) = (s.id, 5, 6);
    assert_eq!(copy, original);
    assert!(turns.iter().all(|turn| turn.session == kept(2).id) && audio.len() == 8);
    assert_eq!(
        code(store.import_from(Box::new(Cursor::new(&archive)), options.clone(), NOW_MS).wait()),
        ErrorCode::SessionExists
    );
}

#[test]
fn an_import_interrupts_open_turns_as_a_crash_does() {
    let store = memory();
    let s = kept(1);
    let open = open_turn(s.id, 1);
    store
        .apply(&[Write::PutSession(s.clone()), Write::PutTurn(open.clone()), user_audio(&open, samples(1, 9))])
        .unwrap();
    let elsewhere = memory();
    assert_eq!(import(&elsewhere, &exported(&store, s.id)).unwrap().turns_closed, 1);
    let closed = elsewhere.turn(s.id, TurnId(1)).unwrap();
    assert_eq!(closed.state, TurnState::Interrupted { reason: InterruptReason::Crash });
    assert_eq!(
        (closed.ended_ms, closed.transcript),
        (Some(elsewhere.session(s.id).unwrap().updated_ms), open.transcript)
    );
    assert_eq!(elsewhere.audio(s.id, TurnId(1), AudioKind::User).unwrap().samples, samples(1, 9));
}

#[test]
fn an_import_keeps_to_the_retention_of_the_session() {
    let archive = |retention: Retention, ended: bool| {
        with_lines(|lines| {
            lines[0]["config"]["retention"] = serde_json::to_value(retention).unwrap();
            lines[0]["ended_ms"] = if ended { NOW_MS.into() } else { serde_json::Value::Null };
        })
    };
    let hour_ms = 60 * MINUTE_MS;
    let aged = Retention { user_audio: Keep::ForMs(hour_ms), reply_audio: Keep::Forever, text: Keep::ForMs(hour_ms) };
    let never = Retention { user_audio: Keep::Never, reply_audio: Keep::Never, text: Keep::Never };
    let until_end = Retention { user_audio: Keep::UntilSessionEnd, reply_audio: Keep::UntilSessionEnd, ..FOREVER };
    // Retention, whether the session has ended, when it is imported; recordings that stay, and texts.
    for (retention, ended, later_ms, audio, texts) in [
        (aged, false, 0, 8, 5),
        (aged, false, 2 * hour_ms, 3, 0),
        (never, false, 0, 0, 0),
        (until_end, false, 0, 8, 5),
        (until_end, true, 0, 0, 5),
    ] {
        let disk = FaultyDisk::new();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let source = Cursor::new(archive(retention, ended));
        let report = store.import_from(Box::new(source), ImportOptions::default(), NOW_MS + later_ms).wait().unwrap();
        assert_eq!((report.audio, report.audio_forbidden), (audio, 8 - audio), "{retention:?}");
        assert_eq!(report.texts_forbidden, 5 - texts);
        let (session, turns, sound) = contents(&store, kept(1).id);
        assert_eq!(sound.len() as u64, audio);
        assert_eq!(turns.iter().filter(|turn| !turn.text_gone && !turn.user_text.is_empty()).count() as u64, texts);
        assert_eq!(session.title.is_empty(), texts == 0);
        // It is as if a sweep had been here.
        assert!(store.sweep(NOW_MS + later_ms, true).unwrap().is_empty());
        if audio == 0 {
            let bytes = disk.bytes();
            let sound: Vec<u8> = samples(5, 8).iter().flat_map(|sample| sample.to_le_bytes()).collect();
            assert!(!bytes.windows(sound.len()).any(|window| window == sound), "forbidden sound is on the disk");
        }
    }
}

#[test]
fn an_export_leaves_out_and_counts_damaged_records() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = kept(1);
    talk(&store, &s);
    drop(store);
    let flip = |pattern: &[u8]| {
        let bytes = disk.bytes();
        let places: Vec<usize> =
            (0..bytes.len() - pattern.len()).filter(|&at| bytes[at..].starts_with(pattern)).collect();
        assert!(!places.is_empty());
        places.iter().for_each(|&at| disk.flip_bit(at, 3));
    };
    flip(&samples(5, 8).iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>());
    flip("Muy bien, gracias. ¿Y tú? (2)".as_bytes());
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let mut bytes = Vec::new();
    let report = store.export_to(s.id, Box::new(&mut bytes)).wait().unwrap();
    assert_eq!((report.turns, report.turns_missing, report.audio_missing), (4, 1, 1));
    assert_eq!(report.audio, 6, "the recording of the damaged turn cannot be reached");
    let manifest: serde_json::Value = serde_json::from_slice(&unpacked(&bytes)["manifest.json"]).unwrap();
    assert_eq!((&manifest["turns_missing"], &manifest["audio_missing"]), (&1.into(), &1.into()));
    let elsewhere = memory();
    let report = import(&elsewhere, &bytes).unwrap();
    assert_eq!((report.turns, report.turns_missing, report.audio_missing), (4, 1, 1));
    let (_, turns, _) = contents(&elsewhere, s.id);
    assert_eq!(turns.iter().map(|turn| turn.turn.0).collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(unpacked(&exported(&elsewhere, s.id))["session.jsonl"], unpacked(&bytes)["session.jsonl"]);
}

/// A writer that does something else at each write.
struct Meddler<'a>(Vec<u8>, Box<dyn FnMut(usize) -> std::io::Result<()> + Send + 'a>);

impl std::io::Write for Meddler<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        (self.1)(self.0.len())?;
        // Less than was asked for, as a pipe may.
        let taken = bytes.len().min(1000);
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_is_a_snapshot() {
    let store = memory();
    let s = kept(1);
    talk(&store, &s);
    let before = exported(&store, s.id);
    let mut changed = false;
    let mut out = Meddler(
        Vec::new(),
        Box::new(|_| {
            if !std::mem::replace(&mut changed, true) {
                store.apply(&[Write::PutTurn(turn(s.id, 6)), user_audio(&turn(s.id, 2), samples(7, 500))]).unwrap();
                store.delete_session(s.id).unwrap();
            }
            Ok(())
        }),
    );
    store.export_to(s.id, Box::new(&mut out)).wait().unwrap();
    assert!(out.0 == before);
    assert_eq!(code(store.export_to(s.id, Box::new(&mut Vec::new())).wait()), ErrorCode::SessionNotFound);
}

#[test]
fn a_compaction_waits_for_an_export() {
    let store = memory();
    talk(&store, &kept(1));
    let (expected, mut compacting) = (exported(&store, kept(1).id), None);
    let mut out = Meddler(
        Vec::new(),
        Box::new(|written| {
            if compacting.is_none() && written > 1000 {
                let store = store.clone();
                compacting = Some(std::thread::spawn(move || store.compact().wait()));
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            Ok(())
        }),
    );
    store.export_to(kept(1).id, Box::new(&mut out)).wait().unwrap();
    let archive = std::mem::take(&mut out.0);
    drop(out);
    assert!(archive == expected);
    compacting.expect("the archive is long enough").join().unwrap().unwrap();
    assert!(exported(&store, kept(1).id) == expected);
}

#[test]
fn a_writer_that_fails_ends_the_export_and_gets_no_whole_archive() {
    let store = memory();
    talk(&store, &kept(1));
    let len = exported(&store, kept(1).id).len();
    for room in [0, 10, 100, len / 2, len - 30] {
        let fail = |len| if len >= room { Err(ErrorKind::StorageFull.into()) } else { Ok(()) };
        let mut out = Meddler(Vec::new(), Box::new(fail));
        let error = store.export_to(kept(1).id, Box::new(&mut out)).wait().unwrap_err();
        assert_eq!(error.code(), ErrorCode::ArchiveIo);
        assert!(error.is_retryable());
        assert!([ErrorCode::ImportDamaged, ErrorCode::ImportNotAnArchive].contains(&refused(&out.0)), "{room}");
    }
}

#[test]
fn a_store_that_fails_ends_the_export_without_a_whole_archive() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = kept(1);
    talk(&store, &s);
    let len = exported(&store, s.id).len();
    // Pages in the cache could be read without the disk.
    drop(store);
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let mut broken = false;
    let mut out = Meddler(
        Vec::new(),
        Box::new(|written| {
            if written > len / 3 && !std::mem::replace(&mut broken, true) {
                // A write that fails makes the store drop its database, and with it the export's view of it.
                disk.fail_operation(0, ErrorKind::Other);
                store.apply(&[Write::PutTurn(turn(s.id, 6))]).unwrap_err();
                store.apply(&[Write::PutTurn(turn(s.id, 6))]).unwrap();
            }
            Ok(())
        }),
    );
    assert_eq!(code(store.export_to(s.id, Box::new(&mut out)).wait()), ErrorCode::StoreIo);
    assert_eq!(refused(&out.0), ErrorCode::ImportDamaged);
    drop(out);
    assert!(broken && store.export_to(s.id, Box::new(&mut Vec::new())).wait().unwrap().turns == 6);
}

#[test]
fn an_archive_that_is_truncated_anywhere_is_refused() {
    let archive = short_archive();
    let mut codes = BTreeMap::new();
    for len in (0..archive.len()).step_by(97) {
        let store = memory();
        *codes.entry(code(import(&store, &archive[..len])).number()).or_insert(0) += 1;
        assert!(store.sessions(&Default::default(), None, 10).unwrap().sessions.is_empty());
    }
    let expected = [ErrorCode::ImportNotAnArchive.number(), ErrorCode::ImportDamaged.number()];
    assert!(codes.keys().eq(&expected), "{codes:?}");
    assert_eq!(codes[&expected[0]], 1, "only of nothing it cannot be told that it was an archive: {codes:?}");
}

#[test]
fn a_flipped_byte_in_an_archive_is_refused_or_changes_nothing() {
    let archive = short_archive();
    let expected = {
        let store = memory();
        import(&store, &archive).unwrap();
        contents(&store, kept(1).id)
    };
    let (mut seen, mut harmless) = (0, 0);
    // Every place of the directories at the end, and many of the rest.
    let places = (0..archive.len() - 1500).step_by(53).chain(archive.len() - 1500..archive.len());
    for (place, bit) in places.flat_map(|place| [(place, 0), (place, 6)]) {
        let mut flipped = archive.clone();
        flipped[place] ^= 1 << bit;
        let store = memory();
        match import(&store, &flipped) {
            Ok(_) => {
                assert!(contents(&store, kept(1).id) == expected, "byte {place} is wrong, without an error");
                harmless += 1;
            }
            Err(error) => {
                assert!((720..730).contains(&error.code().number()), "byte {place}: {error}");
                assert!(store.sessions(&Default::default(), None, 10).unwrap().sessions.is_empty());
                seen += 1;
            }
        }
    }
    assert!(seen > 3 * harmless && harmless > 0, "{seen} seen, {harmless} harmless");
}

#[test]
fn a_file_that_is_no_archive_of_a_session_is_refused() {
    let archives = [
        Vec::new(),
        b"PK".to_vec(),
        b"{\"type\":\"session\"}\n".to_vec(),
        vec![0; 100_000],
        zipped([]),
        zipped([("notes.txt", &b"a zip, but none of ours"[..])]),
        zipped([("manifest.json", &b"{\"format\": \"another\", \"format_version\": 1}"[..])]),
        zipped([("manifest.json", &b"{\"name\": \"a web app\"}"[..])]),
    ];
    for (index, archive) in archives.iter().enumerate() {
        assert_eq!(refused(archive), ErrorCode::ImportNotAnArchive, "{index}");
    }
}

#[test]
fn an_archive_of_a_newer_version_is_refused_as_such() {
    let files = unpacked(&short_archive());
    let mut manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    manifest["format_version"] = 2.into();
    // Whatever else it has become.
    manifest["files"] = "elsewhere".into();
    assert_eq!(refused(&packed_with(&files, &manifest)), ErrorCode::ImportFromFuture);
    manifest["format_version"] = 0.into();
    assert_eq!(refused(&packed_with(&files, &manifest)), ErrorCode::ImportDamaged);
}

#[test]
fn fields_and_files_of_a_newer_version_are_skipped() {
    let mut files = unpacked(&with_lines(|lines| {
        lines[0]["mood"] = serde_json::json!({"deep": [1, 2]});
        lines[1]["mood"] = "new".into();
        lines[2]["transcript"]["ipa"] = "ˈola".into();
    }));
    files.insert("summary.txt".into(), b"a file that only it knows".to_vec());
    let store = memory();
    import(&store, &packed(&files)).unwrap();
    assert_eq!(unpacked(&exported(&store, kept(1).id))["session.jsonl"], unpacked(&short_archive())["session.jsonl"]);
}

#[test]
fn instructions_in_an_archive_of_an_older_version_are_no_text_of_the_user() {
    let archive = with_lines(|lines| {
        lines[1]["origin"] = "reply".into();
        lines[1]["user_text"] = "Pregunta otra vez.".into();
    });
    let store = memory();
    import(&store, &archive).unwrap();
    let turn = store.turn(kept(1).id, TurnId(1)).unwrap();
    assert_eq!((turn.user_text.as_str(), turn.instructions.as_str()), ("", "Pregunta otra vez."));
    let again = memory();
    import(&again, &exported(&store, kept(1).id)).unwrap();
    assert_eq!(again.turn(kept(1).id, TurnId(1)).unwrap(), turn);
}

#[test]
fn a_file_that_does_not_match_the_manifest_is_refused() {
    let files = unpacked(&short_archive());
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    type Change = dyn Fn(&mut BTreeMap<String, Vec<u8>>, &mut serde_json::Value);
    let tampered = |change: &Change| {
        let (mut files, mut manifest) = (files.clone(), manifest.clone());
        change(&mut files, &mut manifest);
        refused(&packed_with(&files, &manifest))
    };
    let sound = "audio/turn-5-user.wav";
    let changes: [(&str, &Change); 10] = [
        ("another byte", &|files, _| files.get_mut(sound).unwrap()[500] ^= 1),
        ("another word", &|files, _| {
            let lines = String::from_utf8(files["session.jsonl"].clone()).unwrap();
            files.insert("session.jsonl".into(), lines.replace("gracias", "desgracia").into());
        }),
        ("a byte more", &|files, _| files.get_mut(sound).unwrap().push(0)),
        ("a byte less", &|files, _| assert!(files.get_mut(sound).unwrap().pop().is_some())),
        ("another hash", &|_, manifest| manifest["files"][3]["sha256"] = "00".repeat(32).into()),
        ("another size", &|_, manifest| manifest["files"][3]["bytes"] = 7.into()),
        ("a missing file", &|files, _| drop(files.remove(sound))),
        ("a file too many", &|files, _| drop(files.insert("audio/turn-2-reply.wav".into(), vec![1, 2, 3]))),
        ("a file listed twice", &|_, manifest| {
            let twice = manifest["files"][0].clone();
            manifest["files"].as_array_mut().unwrap().push(twice);
        }),
        ("no list", &|_, manifest| manifest["files"] = serde_json::Value::Null),
    ];
    for (what, change) in changes {
        assert_eq!(tampered(change), ErrorCode::ImportDamaged, "{what}");
    }
    assert_eq!(
        refused(&zipped([("manifest.json", &b"{\"format\": \"tertulia-session\","[..])])),
        ErrorCode::ImportDamaged
    );
}

#[test]
fn an_inconsistent_archive_is_refused_though_every_hash_is_right() {
    type Change = dyn Fn(&mut Vec<serde_json::Value>);
    let changes: [(&str, &Change); 17] = [
        ("no session", &|lines| drop(lines.remove(0))),
        ("two sessions", &|lines| lines.push(lines[0].clone())),
        ("nothing", &Vec::clear),
        ("a turn too few", &|lines| drop(lines.pop())),
        ("a turn twice", &|lines| {
            lines.push(lines[5].clone());
            lines[0]["turns"] = 6.into();
        }),
        ("turns out of order", &|lines| lines.swap(2, 3)),
        ("another session's turn", &|lines| lines[2]["session"] = kept(2).id.to_string().into()),
        ("a turn of the future", &|lines| lines[0]["next_turn"] = 5.into()),
        ("no turn number left", &|lines| lines[0]["next_turn"] = u64::MAX.into()),
        ("a time beyond all times", &|lines| lines[0]["updated_ms"] = u64::MAX.into()),
        ("a retry of a later turn", &|lines| lines[2]["retry_of"] = 4.into()),
        ("an unknown origin", &|lines| lines[2]["origin"] = "telepathy".into()),
        ("a missing field", &|lines| drop(lines[2].as_object_mut().unwrap().remove("started_ms"))),
        ("an unknown line", &|lines| lines[2]["type"] = "note".into()),
        ("a recording longer than its file", &|lines| lines[2]["user_audio"]["samples"] = u64::MAX.into()),
        ("a recording of another rate", &|lines| lines[2]["user_audio"]["rate"] = 8000.into()),
        ("a recording of another turn", &|lines| lines[2]["user_audio_file"] = "audio/turn-3-user.wav".into()),
    ];
    for (what, change) in changes {
        assert_eq!(refused(&with_lines(change)), ErrorCode::ImportDamaged, "{what}");
    }
    let text = |change: &dyn Fn(&str) -> String| {
        let mut files = unpacked(&short_archive());
        let lines = change(std::str::from_utf8(&files["session.jsonl"]).unwrap());
        files.insert("session.jsonl".into(), lines.into());
        refused(&packed(&files))
    };
    assert_eq!(text(&|lines| lines.replacen('}', "", 1)), ErrorCode::ImportDamaged);
    assert_eq!(text(&|lines| lines.replacen("\"turn\":1,", "\"turn\":1,\"turn\":2,", 1)), ErrorCode::ImportDamaged);
    assert_eq!(text(&|lines| format!("{lines}{}", "[".repeat(100_000))), ErrorCode::ImportDamaged);
    let mut files = unpacked(&short_archive());
    files.insert("audio/notes.txt".into(), b"no recording".to_vec());
    assert_eq!(refused(&packed(&files)), ErrorCode::ImportDamaged);
}

#[test]
fn an_import_error_quotes_no_user_text() {
    let secret = "nadie-debe-leer-esto";
    for archive in [
        with_lines(|lines| lines[2]["origin"] = secret.into()),
        with_lines(|lines| lines[2]["user_text"] = serde_json::json!({secret: 1})),
    ] {
        let error = import(&memory(), &archive).unwrap_err();
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
}

#[test]
fn a_zip_bomb_is_refused_before_it_is_inflated() {
    // 100 MiB of silence in 100 KB, honestly listed.
    let mut files = unpacked(&short_archive());
    files.insert("silence".into(), vec![0; 100 << 20]);
    let bomb = packed(&files);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(refused(&bomb), ErrorCode::ImportTooLarge);
    let roomy = ImportOptions { ratio_max: 10_000, ..ImportOptions::default() };
    memory().import_from(Box::new(Cursor::new(&bomb)), roomy.clone(), NOW_MS).wait().unwrap();
    let tight = ImportOptions { bytes_max: 99 << 20, ..roomy };
    assert_eq!(refused_with(&bomb, &tight), ErrorCode::ImportTooLarge);
    assert_eq!(refused_with(&short_archive(), &ImportOptions { bytes_max: 5_000, ..tight }), ErrorCode::ImportTooLarge);

    // The same, listed as a small file: it is inflated no further than that.
    let mut manifest: serde_json::Value = serde_json::from_slice(&unpacked(&bomb)["manifest.json"]).unwrap();
    for file in manifest["files"].as_array_mut().unwrap() {
        if file["name"] == "silence" {
            file["bytes"] = 10.into();
        }
    }
    assert_eq!(refused(&packed_with(&files, &manifest)), ErrorCode::ImportDamaged);
    // And with headers that lie about it too.
    let mut lying = bomb.clone();
    let (size, small) = ((100u32 << 20).to_le_bytes(), 10u32.to_le_bytes());
    let places: Vec<usize> = (0..lying.len() - 4).filter(|&at| lying[at..].starts_with(&size)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|&at| lying[at..at + 4].copy_from_slice(&small));
    assert_eq!(refused(&lying), ErrorCode::ImportDamaged);

    // A manifest, a line or a directory without end.
    let manifest =
        format!("{{\"format\": \"tertulia-session\", \"format_version\": 1, \"x\": \"{}\"}}", "x".repeat(20 << 20));
    assert_eq!(refused(&zipped([("manifest.json", manifest.as_bytes())])), ErrorCode::ImportTooLarge);
    let long_line = with_lines(|lines| lines[2]["reply_text"] = "x".repeat(5 << 20).into());
    assert_eq!(refused(&long_line), ErrorCode::ImportTooLarge);
    let names: Vec<String> = (0..20_001).map(|n| format!("f{n}")).collect();
    let many = zipped(names.iter().map(|name| (name.as_str(), &b""[..])));
    assert_eq!(refused(&many), ErrorCode::ImportTooLarge);
    assert_eq!(
        refused_with(&short_archive(), &ImportOptions { entries_max: 9, ..ImportOptions::default() }),
        ErrorCode::ImportTooLarge
    );
    // Two files that share their bytes count twice.
    let mut shared = zip::ZipWriter::new(Cursor::new(Vec::new()));
    shared.start_file("a", SimpleFileOptions::default()).unwrap();
    shared.write_all(&vec![0; 40 << 20]).unwrap();
    shared.shallow_copy_file("a", "b").unwrap();
    let (zeros, mut files) = (vec![0; 40 << 20], unpacked(&short_archive()));
    files.extend([("a".to_owned(), zeros.clone()), ("b".to_owned(), zeros)]);
    let honest: serde_json::Value = serde_json::from_slice(&unpacked(&packed(&files))["manifest.json"]).unwrap();
    for (name, bytes) in unpacked(&short_archive()).iter().filter(|(name, _)| *name != "manifest.json") {
        shared.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        shared.write_all(bytes).unwrap();
    }
    shared.start_file("manifest.json", SimpleFileOptions::default()).unwrap();
    shared.write_all(honest.to_string().as_bytes()).unwrap();
    assert_eq!(refused(&shared.finish().unwrap().into_inner()), ErrorCode::ImportTooLarge);
}

#[test]
fn a_directory_that_lies_about_its_length_does_no_harm() {
    let archive = short_archive();
    let end = archive.len() - 22;
    // The number of files on this disk and in all, the directory's length, its place.
    for (at, len) in [(8, 2), (10, 2), (12, 4), (16, 4)] {
        for value in [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFE_u32, 0xFFFF_FFFF] {
            let mut lying = archive.clone();
            lying[end + at..end + at + len].copy_from_slice(&value.to_le_bytes()[..len]);
            let store = memory();
            match import(&store, &lying) {
                Ok(_) => assert!(exported(&store, kept(1).id) == archive),
                Err(error) => assert!((721..=723).contains(&error.code().number()), "{at} {value}: {error}"),
            }
        }
    }
}

#[test]
fn unsafe_paths_are_refused() {
    let files = unpacked(&short_archive());
    for name in [
        "../evil",
        "audio/../../evil",
        "audio/./turn-1-user.wav",
        "/etc/passwd",
        "//server/share",
        "C:evil",
        "C:/evil",
        "audio\\turn-9-user.wav",
        "..\\evil",
        "audio//turn-9-user.wav",
        "evil\0.wav",
        "evil\n",
        "",
    ] {
        let mut files = files.clone();
        files.insert(name.into(), b"evil".to_vec());
        assert_eq!(refused(&packed(&files)), ErrorCode::ImportUnsafePath, "{name:?}");
    }
    let long = "x".repeat(300);
    assert_eq!(refused(&zipped([(long.as_str(), &b""[..])])), ErrorCode::ImportUnsafePath);

    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("audio/turn-1-user.wav", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    assert_eq!(refused(&zip.finish().unwrap().into_inner()), ErrorCode::ImportUnsafePath);

    // The zip writer refuses to write a name twice: two of the same length become the same.
    let mut twice = zipped([("session.jsonl", &b"a"[..]), ("session.jsonX", b"b")]);
    let places: Vec<usize> = (0..twice.len() - 13).filter(|&at| twice[at..].starts_with(b"session.jsonX")).collect();
    places.iter().for_each(|&at| twice[at + 12] = b'l');
    assert_eq!(refused(&twice), ErrorCode::ImportUnsafePath);
}

#[test]
fn an_archive_that_was_unpacked_and_packed_again_is_the_same() {
    let files = unpacked(&short_archive());
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_directory("audio/", SimpleFileOptions::default()).unwrap();
    for (name, bytes) in files.iter().rev() {
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let store = memory();
    import(&store, &zip.finish().unwrap().into_inner()).unwrap();
    assert!(exported(&store, kept(1).id) == short_archive());
    // Any other folder has no business there.
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_directory("other/", SimpleFileOptions::default()).unwrap();
    assert_eq!(refused(&zip.finish().unwrap().into_inner()), ErrorCode::ImportDamaged);
}

/// A change to a block that is read.
type Then = dyn FnMut(&mut [u8]) -> std::io::Result<()> + Send;

/// A source that fails, or changes, after so many bytes were read.
struct Fickle<'a> {
    bytes: Cursor<&'a [u8]>,
    left: usize,
    then: &'a Mutex<Then>,
}

impl Read for Fickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = self.bytes.read(out)?;
        if self.left < len {
            (self.then.lock().unwrap())(&mut out[..len])?;
        }
        self.left = self.left.saturating_sub(len);
        Ok(len)
    }
}

impl Seek for Fickle<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.bytes.seek(to)
    }
}

#[test]
fn a_source_that_fails_or_changes_leaves_nothing() {
    let archive = archive();
    let fails = Mutex::new(|_: &mut [u8]| Err(ErrorKind::PermissionDenied.into()));
    let changes = Mutex::new(|out: &mut [u8]| {
        out.iter_mut().step_by(200).for_each(|byte| *byte ^= 0x10);
        Ok(())
    });
    let (mut failed, mut imported) = (0, 0);
    for left in (0..3 * archive.len()).step_by(archive.len() / 10) {
        for (then, expected) in [(&fails as &Mutex<Then>, ErrorCode::ArchiveIo), (&changes, ErrorCode::ImportDamaged)] {
            let disk = FaultyDisk::new();
            let store = Store::open(disk.location(), NOW_MS).unwrap();
            let source = Fickle { bytes: Cursor::new(&archive), left, then };
            match store.import_from(Box::new(source), ImportOptions::default(), NOW_MS).wait() {
                Ok(_) => {
                    imported += 1;
                    assert!(exported(&store, kept(1).id) == archive);
                }
                Err(error) => {
                    failed += 1;
                    let early = [ErrorCode::ImportNotAnArchive, ErrorCode::ImportTooLarge];
                    let known = error.code() == expected || (left == 0 && early.contains(&error.code()));
                    assert!(known, "{left}: {error}");
                    assert_eq!(code(store.session(kept(1).id)), ErrorCode::SessionNotFound);
                    // A second attempt is not in the way of the first.
                    import(&store, &archive).unwrap();
                    assert!(exported(&store, kept(1).id) == archive);
                }
            }
        }
    }
    // It is read twice: to be verified, and to be written.
    assert!(failed >= 36 && imported > 0, "{failed} failed, {imported} were imported");
}

/// How many rows of a session, seen or not, a closed store holds.
fn rows(disk: &FaultyDisk, id: SessionId) -> usize {
    use redb::{ReadableDatabase, ReadableTable, TableDefinition};
    let database = redb::Builder::new().create_with_backend(disk.backend()).unwrap();
    let read = database.begin_read().unwrap();
    let mut rows = 0;
    macro_rules! count {
        ($($name:literal: $key:ty => $value:ty;)*) => { $(
            let table = read.open_table(TableDefinition::<$key, $value>::new($name)).unwrap();
            rows += table.iter().unwrap().filter(|row| row.as_ref().unwrap().0.value().starts_with(id.0.as_bytes())).count();
        )* };
    }
    count! {
        "sessions": &[u8; 16] => &[u8]; "turns": &[u8; 24] => &[u8]; "audio": &[u8; 29] => &[u8];
        "blob_refs": &[u8; 25] => &[u8]; "open_turns": &[u8; 24] => (); "tombstones": &[u8] => ();
        "imports": &[u8; 16] => ();
    }
    rows
}

/// A session whose import takes several transactions.
fn long_archive() -> Vec<u8> {
    let store = memory();
    let s = kept(1);
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    for n in 1..=4 {
        let t = turn(s.id, n);
        store.apply(&[Write::PutTurn(t.clone()), user_audio(&t, samples(n, 600_000))]).unwrap();
    }
    exported(&store, s.id)
}

#[test]
fn a_crash_during_an_import_leaves_nothing_or_all_of_it() {
    let archive = long_archive();
    let id = kept(1).id;
    let operations = {
        let disk = FaultyDisk::new();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let before = disk.operations();
        import(&store, &archive).unwrap();
        disk.operations() - before
    };
    assert!(operations > 30, "{operations}: the import is too short to show anything");
    let (mut nothing, mut all, mut halfway) = (0, 0, 0);
    let step = (operations / rounds(10)).max(1) as usize;
    for nth in (0..operations).step_by(step) {
        let disk = FaultyDisk::new();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        short_talk(&store, &kept(9));
        disk.fail_from_operation(nth, ErrorKind::Other);
        assert_eq!(code(import(&store, &archive)), ErrorCode::StoreIo);
        for seed in [0, nth + 1] {
            let context = format!("operation {nth} of {operations}, seed {seed}");
            let crashed = disk.crashed(seed);
            let len = disk.len();
            let store = Store::open(crashed.location(), NOW_MS).unwrap_or_else(|error| panic!("{context}: {error}"));
            let listed: Vec<SessionId> =
                store.sessions(&Default::default(), None, 10).unwrap().sessions.iter().map(|s| s.id).collect();
            assert!(listed.contains(&kept(9).id), "{context}");
            if listed.contains(&id) {
                assert!(exported(&store, id) == archive, "{context}");
                all += 1;
                continue;
            }
            assert_eq!(code(store.session(id)), ErrorCode::SessionNotFound, "{context}");
            drop(store);
            halfway += usize::from(len > 2 << 20);
            assert_eq!(rows(&crashed, id), 0, "{context}: the next opening removes what was left");
            let store = Store::open(crashed.location(), NOW_MS).unwrap();
            import(&store, &archive).unwrap();
            assert!(exported(&store, id) == archive, "{context}");
            nothing += 1;
        }
    }
    assert!(nothing > 8 && halfway > 4, "{nothing} times nothing, {all} times all, {halfway} times it was under way");
}

#[test]
fn an_error_during_an_import_removes_its_rows() {
    let archive = long_archive();
    let id = kept(1).id;
    for nth in (0..200).step_by(7) {
        let disk = FaultyDisk::new();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        disk.fail_operation(nth, ErrorKind::Other);
        match import(&store, &archive) {
            Ok(_) => assert!(exported(&store, id) == archive),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::StoreIo);
                if store.session(id).is_ok() {
                    assert!(exported(&store, id) == archive, "{nth}");
                    continue;
                }
                drop(store);
                assert_eq!(rows(&disk, id), 0, "{nth}");
                let store = Store::open(disk.location(), NOW_MS).unwrap();
                import(&store, &archive).unwrap();
            }
        }
    }
}

#[test]
fn a_full_disk_keeps_nothing_of_an_import() {
    let archive = long_archive();
    let id = kept(1).id;
    for room in [0, 1 << 20, 2 << 20, 4 << 20] {
        let disk = FaultyDisk::new();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        short_talk(&store, &kept(9));
        disk.set_capacity(Some(disk.bytes_used() + room));
        assert_eq!(code(import(&store, &archive)), ErrorCode::StoreFull, "{room}");
        assert_eq!(code(store.session(id)), ErrorCode::SessionNotFound);
        contents(&store, kept(9).id);
        // The store goes on, also where the disk is full still; with room the import succeeds.
        assert_eq!(code(import(&store, &archive)), ErrorCode::StoreFull, "{room}");
        disk.set_capacity(None);
        store.sweep(NOW_MS, false).unwrap();
        drop(store);
        assert_eq!(rows(&disk, id), 0, "{room}");
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        import(&store, &archive).unwrap();
        assert!(exported(&store, id) == archive);
    }
}

#[test]
fn a_session_created_during_its_import_wins() {
    let archive = long_archive();
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = kept(1);
    let then = {
        let (store, s) = (store.clone(), s.clone());
        let mut done = false;
        Mutex::new(move |_: &mut [u8]| {
            if !std::mem::replace(&mut done, true) {
                store.apply(&[Write::PutSession(s.clone()), Write::PutTurn(turn(s.id, 1))]).unwrap();
            }
            Ok(())
        })
    };
    // Verified, half of it written, and then there is a session with its id.
    let source = Fickle { bytes: Cursor::new(&archive), left: archive.len() * 17 / 10, then: &then };
    assert_eq!(
        code(store.import_from(Box::new(source), ImportOptions::default(), NOW_MS).wait()),
        ErrorCode::SessionExists
    );
    let (session, turns, audio) = contents(&store, s.id);
    assert_eq!((session.turns, turns.len(), audio.len()), (1, 1, 0));
    drop((then, store));
    assert_eq!(rows(&disk, s.id), 2, "the session, its turn, and nothing of the import");
}

#[test]
fn sweeping_and_deleting_do_not_disturb_an_import() {
    let archive = long_archive();
    let store = memory();
    talk(&store, &kept(9));
    let then = {
        let store = store.clone();
        Mutex::new(move |_: &mut [u8]| {
            store.sweep(NOW_MS, false).map_err(std::io::Error::other)?;
            let drop_audio = Write::DropAudio { session: kept(9).id, turn: TurnId(1), kind: AudioKind::User };
            store.apply(&[drop_audio]).map_err(std::io::Error::other)
        })
    };
    let source = Fickle { bytes: Cursor::new(&archive), left: archive.len() * 12 / 10, then: &then };
    store.import_from(Box::new(source), ImportOptions::default(), NOW_MS).wait().unwrap();
    assert!(exported(&store, kept(1).id) == archive);
}

#[test]
fn imported_audio_counts_for_the_quota() {
    let options = StoreOptions { audio_bytes_max: Some(100_000), ..StoreOptions::default() };
    let store = Store::open_with(StoreLocation::Memory, options, NOW_MS).unwrap();
    store.sweep(NOW_MS, false).unwrap();
    assert!(!store.may_exceed_quota());
    import(&store, &long_archive()).unwrap();
    assert!(store.may_exceed_quota());
    store.sweep(NOW_MS, false).unwrap();
    let usage = store.usage().unwrap();
    assert!(usage.user_audio_bytes + usage.reply_audio_bytes <= 100_000, "{usage:?}");
}

#[test]
fn settings_out_of_their_ranges_are_refused() {
    let store = memory();
    let mut s = kept(1);
    s.config.metadata.insert("notes".into(), "x".repeat(5_000));
    talk(&store, &s);
    assert_eq!(refused(&exported(&store, s.id)), ErrorCode::ImportDamaged);
}
