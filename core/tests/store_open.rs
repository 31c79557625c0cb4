//! Opening: locks, files that are no store, versions, read-only storage, usage and verification.

mod store_support;

use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use store_support::{NOW_MS, code, memory, open_turn, reply_audio, samples, session, turn, user_audio};
use tertulia::store::{AudioKind, Store, StoreKey, StoreLocation, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{Error, ErrorCode, Result};

const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");

fn open(path: &Path) -> Result<Store> {
    Store::open(StoreLocation::File(path.to_owned()), NOW_MS)
}

#[test]
fn a_store_is_locked_by_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error.code(), ErrorCode::StoreLocked);
    assert!(error.is_retryable());
    // The owner is not disturbed, and when the last clone is gone the next one may open it.
    let clone = store.clone();
    store.apply(&[Write::PutSession(session(1))]).unwrap();
    drop(store);
    assert_eq!(code(open(&path)), ErrorCode::StoreLocked);
    drop(clone);
    assert_eq!(open(&path).unwrap().session(session(1).id).unwrap().title, "session 1");

    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    assert_eq!(code(Store::open(disk.location(), NOW_MS)), ErrorCode::StoreLocked);
    drop(store);
    Store::open(disk.location(), NOW_MS).unwrap();
}

/// The process that holds the store of the next test until its input ends.
#[test]
#[ignore = "the child process of the next test"]
fn child_that_holds_a_store() {
    use std::io::{Read, Write as _};
    let path = std::env::var("TERTULIA_TEST_CHILD_STORE").expect("the parent names the store");
    let _store = open(Path::new(&path)).unwrap();
    std::io::stdout().write_all(b"\nopened\n").unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_second_process_finds_the_store_locked() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_holds_a_store", "--exact", "--ignored", "--nocapture"])
        .env("TERTULIA_TEST_CHILD_STORE", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap() == "opened"));
    assert_eq!(code(open(&path)), ErrorCode::StoreLocked);
    drop(child.stdin.take());
    output.for_each(drop);
    assert!(child.wait().unwrap().success());
    open(&path).unwrap();
}

#[test]
fn a_folder_or_a_pipe_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(open(folder.path())), ErrorCode::StoreNotAStore);
    assert_eq!(code(open(&folder.path().join("missing/store.redb"))), ErrorCode::StoreOpenFailed);
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let below = code(open(&file.join("store.redb")));
    assert!(matches!(below, ErrorCode::StoreNotAStore | ErrorCode::StoreOpenFailed), "{below}");
}

#[test]
fn files_of_other_programs_are_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let long_text = "a letter to a friend\n".repeat(100_000);
    for content in [&b"x"[..], b"SQLite format 3\0 and so on", long_text.as_bytes(), &[0xFF; 5000]] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(code(open(&path)), ErrorCode::StoreNotAStore);
        assert!(std::fs::read(&path).unwrap() == content, "the file was changed");
    }
    // Another program's database, with a table named as one of ours, and without.
    const OTHER: TableDefinition<'_, u64, u64> = TableDefinition::new("meta");
    const NOTES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("notes");
    for case in 0..3 {
        std::fs::remove_file(&path).unwrap();
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        match case {
            0 => drop(transaction.open_table(OTHER).unwrap()),
            1 => drop(transaction.open_table(NOTES).unwrap()),
            _ => drop(transaction.open_table(META).unwrap()),
        }
        transaction.commit().unwrap();
        drop(database);
        assert_eq!(code(open(&path)), ErrorCode::StoreNotAStore, "case {case}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_file_is_refused_as_such() {
    // The kernel refuses to write this one to anybody, the superuser included.
    let error = open(Path::new("/sys/kernel/uevent_seqnum")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::StoreReadOnly, "{error}");
}

#[test]
fn errors_of_a_backend_factory_reach_the_caller() {
    let location = StoreLocation::backend(|| Err(Error::new(ErrorCode::StoreOpenFailed, "no storage in this browser")));
    let error = Store::open(location, NOW_MS).unwrap_err();
    assert_eq!((error.code(), error.detail()), (ErrorCode::StoreOpenFailed, "no storage in this browser"));
}

#[test]
fn a_first_opening_that_a_crash_cut_off_is_repeated() {
    // Every operation of the very first opening may be the last; nothing was acknowledged, so an empty store is right.
    let whole = FaultyDisk::new();
    drop(Store::open(whole.location(), NOW_MS).unwrap());
    for nth in 0..whole.operations() {
        for seed in 0..4 {
            let disk = FaultyDisk::new();
            disk.fail_from_operation(nth, std::io::ErrorKind::Other);
            let _ = Store::open(disk.location(), NOW_MS);
            let disk = disk.crashed(seed);
            let store = Store::open(disk.location(), NOW_MS);
            let store = store.unwrap_or_else(|error| panic!("operation {nth}, seed {seed}: {error}"));
            assert_eq!(store.sessions(&Default::default(), None, 10).unwrap().sessions, []);
            store.apply(&[Write::PutSession(session(1))]).unwrap();
        }
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let s = session(1);
    open(&path).unwrap().apply(&[Write::PutSession(s.clone()), Write::PutTurn(turn(s.id, 1))]).unwrap();
    // A newer version that this one can still read, and one that it cannot.
    write_meta(&path, 200, 1);
    assert_eq!(open(&path).unwrap().turns(s.id).unwrap().turns, [turn(s.id, 1)]);
    write_meta(&path, 200, 100);
    let error = open(&path).unwrap_err();
    assert_eq!(error.code(), ErrorCode::StoreFromFuture);
    assert!(error.detail().contains("100"), "{error}");
    write_meta(&path, 1, 1);
    assert_eq!(open(&path).unwrap().turns(s.id).unwrap().turns, [turn(s.id, 1)]);
}

/// Writes the store's own record as another version would, byte by byte.
fn write_meta(path: &Path, schema: u8, min_reader: u8) {
    let text = |payload: &mut Vec<u8>, text: &str| {
        payload.push(0xA0 | text.len() as u8);
        payload.extend_from_slice(text.as_bytes());
    };
    let mut payload = vec![0x84]; // a map of four: app, schema, least reader, and a field of that version's own
    text(&mut payload, "a");
    text(&mut payload, "tertulia");
    for (name, value) in [("s", schema), ("m", min_reader), ("new", 7)] {
        text(&mut payload, name);
        payload.extend_from_slice(&[0xCC, value]);
    }
    let (header, key) = ([1, 1, 0], b"store");
    let mut checked = header.to_vec();
    checked.extend_from_slice(&[0, key.len() as u8]);
    checked.extend_from_slice(key);
    checked.extend_from_slice(&payload);
    let mut record = header.to_vec();
    record.extend_from_slice(&crc32fast::hash(&checked).to_be_bytes());
    record.extend_from_slice(&payload);
    let database = redb::Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(&key[..], record.as_slice()).unwrap();
    transaction.commit().unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    assert_eq!(meta.iter().unwrap().count(), 1, "the record replaced the store's own");
}

#[test]
fn a_store_with_a_write_ahead_log_of_an_unreleased_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join("store.redb"), folder.path().join("store.redb.log"));
    open(&path).unwrap().apply(&[Write::PutSession(session(1))]).unwrap();
    let before = std::fs::read(&path).unwrap();
    std::fs::write(&log, [&b"tertlog1"[..], &[7; 500]].concat()).unwrap();
    assert_eq!(code(open(&path)), ErrorCode::StoreHasLog);
    assert!(std::fs::read(&path).unwrap() == before, "a refused opening writes nothing");
    // An empty one has nothing that the file lacks, and another program's file is none.
    for other in [&b""[..], b"?", b"Dear friend, this is what the app did today."] {
        std::fs::write(&log, other).unwrap();
        assert_eq!(open(&path).unwrap().sessions(&Default::default(), None, 10).unwrap().sessions.len(), 1);
        assert_eq!(std::fs::read(&log).unwrap(), other);
    }
}

#[test]
fn memory_is_a_store_of_its_own_each_time() {
    let (one, other) = (memory(), memory());
    one.apply(&[Write::PutSession(session(1))]).unwrap();
    assert_eq!(code(other.session(session(1).id)), ErrorCode::SessionNotFound);
}

#[test]
fn a_suspended_store_releases_its_lock_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("store.redb"));
    let store = Store::open(location(), NOW_MS).unwrap();
    let s = session(1);
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    for n in 1..=20 {
        assert_eq!(code(Store::open(location(), NOW_MS)), ErrorCode::StoreLocked);
        store.suspend();
        assert_eq!(code(store.session(s.id)), ErrorCode::Suspended);
        assert_eq!(code(store.apply(&[Write::PutTurn(turn(s.id, n))])), ErrorCode::Suspended);
        // Another process may work on it meanwhile, or hold on to it.
        let other = Store::open(location(), NOW_MS).unwrap();
        other.apply(&[Write::PutTurn(turn(s.id, 100 + n))]).unwrap();
        assert_eq!(code(store.resume()), ErrorCode::StoreLocked);
        assert_eq!(code(store.session(s.id)), ErrorCode::StoreLocked);
        drop(other);
        store.apply(&[Write::PutTurn(turn(s.id, n))]).unwrap();
        assert_eq!(store.turns(s.id).unwrap().turns.len() as u64, 2 * n);
    }
}

#[test]
fn a_read_only_storage_is_read_if_it_was_closed_cleanly_and_refused_if_not() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = session(1);
    store.apply(&[Write::PutSession(s.clone()), Write::PutTurn(open_turn(s.id, 1))]).unwrap();
    let crashed = disk.crashed(0);
    drop(store);
    disk.protect();
    let before = disk.bytes();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    assert!(store.is_read_only().unwrap());
    assert_eq!(store.turns(s.id).unwrap().turns.len(), 1);
    assert_eq!(store.sessions(&Default::default(), None, 10).unwrap().sessions.len(), 1);
    for refused in [
        store.apply(&[Write::PutTurn(turn(s.id, 2))]),
        store.delete_session(s.id),
        store.erase_all().wait(),
        store.compact().wait(),
        store.rotate_key(Some(StoreKey::new([1; 32]))).wait(),
    ] {
        assert_eq!(code(refused), ErrorCode::StoreReadOnly);
    }
    assert_eq!(store.usage().unwrap().turns, 1);
    assert!(store.verify().wait().unwrap().is_sound());
    drop(store);
    assert_eq!(disk.bytes(), before, "nothing was written");
    crashed.protect();
    assert_eq!(code(Store::open(crashed.location(), NOW_MS)), ErrorCode::StoreNeedsRepair);
}

#[test]
fn usage_counts_records_and_verify_lists_damage() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = session(1);
    let said = turn(s.id, 1);
    let writes = [
        Write::PutSession(s.clone()),
        Write::PutTurn(said.clone()),
        user_audio(&said, vec![0x0c0c; 100_000]),
        reply_audio(&said, samples(2, 1_000)),
    ];
    store.apply(&writes).unwrap();
    let usage = store.usage().unwrap();
    assert_eq!((usage.sessions, usage.turns, usage.user_audio, usage.reply_audio), (1, 1, 1, 1));
    assert_eq!((usage.user_audio_bytes, usage.reply_audio_bytes), (200_000, 2_000));
    assert_eq!(usage.storage_bytes, disk.len());
    assert!(usage.unused_bytes < usage.storage_bytes, "{usage:?}");
    let verified = store.verify().wait().unwrap();
    assert!(verified.is_sound());
    assert_eq!((verified.sessions, verified.turns, verified.recordings), (1, 1, 2));
    drop(store);
    let bytes = disk.bytes();
    // Anywhere in the sound as it lies in the file at last; there may be stale copies.
    let runs: Vec<usize> =
        (0..bytes.len() - 4_000).step_by(4_000).filter(|&at| bytes[at..at + 4_000] == [0x0c; 4_000]).collect();
    runs.iter().for_each(|&run| disk.flip_bit(run, 1));
    let verified = Store::open(disk.location(), NOW_MS).unwrap().verify().wait().unwrap();
    let damage: Vec<_> = verified.damaged.iter().map(|d| (d.session, d.turn, d.audio, d.code)).collect();
    assert_eq!(damage, [(s.id, Some(said.turn), Some(AudioKind::User), ErrorCode::RecordCorrupt)]);
    assert_eq!(verified.recordings, 1);
}
