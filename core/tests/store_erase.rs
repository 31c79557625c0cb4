//! Erasing and compaction: no byte of an erased session is left, and nothing else is lost, whatever fails.

mod store_support;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store_support::{Expected, NOW_MS, code, open_turn, session, turn};
use tertulia::store::redb::{StorageBackend, backends::InMemoryBackend};
use tertulia::store::{AudioKind, BackendFactory, Store, StoreKey, StoreLocation, StoreOptions, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, Result, SessionId};

const SECRET: &[u8] = b"xilofono";
const SECRET_SAMPLES: [i16; 4] = [0x4321, 0x1111, 0x2222, 0x3333];

/// Writes a conversation of which every text and all audio can be found.
fn talk(store: &Store, number: u64, word: &[u8], sample: &[i16]) -> Expected {
    let s = session(number);
    let mut expected = Expected::default();
    let mut apply = |writes: Vec<Write>| {
        store.apply(&writes).unwrap();
        expected.acknowledge(&writes);
    };
    let mut titled = s.clone();
    titled.title = String::from_utf8_lossy(word).into_owned();
    apply(vec![Write::PutSession(titled)]);
    for n in 1..=4 {
        let mut said = turn(s.id, n);
        said.user_text = format!("{} {n}", String::from_utf8_lossy(word));
        said.reply_text.clone_from(&said.user_text);
        let samples: Vec<i16> = sample.iter().copied().cycle().take(40_000).collect();
        apply(vec![
            Write::PutTurn(open_turn(s.id, n)),
            Write::PutAudio { session: s.id, turn: said.turn, kind: AudioKind::User, rate: 16_000, samples },
        ]);
        apply(vec![Write::PutTurn(said)]);
    }
    expected
}

fn traces(bytes: &[u8]) -> usize {
    let sound: Vec<u8> = SECRET_SAMPLES.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let id = session(1).id;
    let found = |what: &[u8]| bytes.windows(what.len()).filter(|window| window == &what).count();
    found(SECRET) + found(&sound) + found(id.0.as_bytes())
}

/// In the store's file and in those beside it.
fn traces_in(folder: &std::path::Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| traces(&std::fs::read(file.unwrap().path()).unwrap())).sum()
}

fn talk_secretly(store: &Store) {
    talk(store, 1, SECRET, &SECRET_SAMPLES);
}

#[test]
fn an_erased_session_leaves_no_byte_and_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let location = || StoreLocation::File(path.clone());
    let store = Store::open(location(), NOW_MS).unwrap();
    talk_secretly(&store);
    let others = talk(&store, 2, b"otra cosa", &[1, 2, 3]);
    assert!(traces_in(folder.path()) > 100);
    store.delete_session(session(1).id).unwrap();
    assert!(traces_in(folder.path()) > 0, "deleting alone leaves traces, or this shows nothing");
    store.erase(&[session(1).id]).wait().unwrap();
    assert_eq!(traces_in(folder.path()), 0);
    others.assert_in(&store, "erased");
    // The same store goes on, in the same file.
    let more = talk(&store, 3, b"aun otra", &[7]);
    drop(store);
    let store = Store::open(location(), NOW_MS).unwrap();
    others.assert_in(&store, "opened again");
    more.assert_in(&store, "opened again");
    assert_eq!(code(store.session(session(1).id)), ErrorCode::SessionNotFound);
    drop(store);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["store.redb"], "no second file stays");
}

#[test]
fn erasing_everything_leaves_no_byte() {
    for key in [None, Some(StoreKey::new([7; 32]))] {
        let disk = FaultyDisk::new();
        let open = || {
            Store::open_with(disk.location(), StoreOptions { key: key.clone(), ..StoreOptions::default() }, NOW_MS)
                .unwrap()
        };
        let store = open();
        talk_secretly(&store);
        talk(&store, 2, SECRET, &SECRET_SAMPLES);
        store.erase_all().wait().unwrap();
        assert_eq!(traces(&disk.bytes()), 0);
        assert!(store.sessions(&Default::default(), None, 10).unwrap().sessions.is_empty());
        let next = talk(&store, 3, b"de nuevo", &[5]);
        assert_eq!(store.is_encrypted(), key.is_some());
        drop(store);
        next.assert_in(&open(), "opened again");
    }
}

#[test]
fn erasing_shrinks_the_storage() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let empty = disk.len();
    let ids: Vec<SessionId> = (1..=8).map(|n| session(n).id).collect();
    (1..=8).for_each(|n| drop(talk(&store, n, b"algo", &[1])));
    let full = disk.len();
    store.erase(&ids).wait().unwrap();
    assert!(disk.len() <= empty.max(full / 4), "{empty} {full} {}", disk.len());
}

#[test]
fn a_crash_at_any_operation_of_an_erasing_leaves_the_old_or_the_new_store() {
    let at_start = FaultyDisk::new();
    let store = Store::open(at_start.location(), NOW_MS).unwrap();
    talk_secretly(&store);
    let others = talk(&store, 2, b"otra cosa", &[1, 2, 3]);
    drop(store);
    let bytes = at_start.bytes();
    let operations = {
        let disk = FaultyDisk::from_bytes(bytes.clone());
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let before = disk.operations();
        store.erase(&[session(1).id]).wait().unwrap();
        disk.operations() - before
    };
    let mut outcomes = [0, 0];
    for nth in 0..operations {
        for seed in 0..3 {
            let disk = FaultyDisk::from_bytes(bytes.clone());
            let store = Store::open(disk.location(), NOW_MS).unwrap();
            disk.fail_from_operation(nth, ErrorKind::Other);
            let context = format!("operation {nth} of {operations}, seed {seed}");
            let told = store.erase(&[session(1).id]).wait().map_err(|error| error.code());
            let crashed = disk.crashed(seed);
            let found = Store::open(crashed.location(), NOW_MS).unwrap();
            others.assert_in(&found, &context);
            let is_there = found.session(session(1).id).is_ok();
            match told {
                // Only closing the old file failed: what was acknowledged holds.
                Ok(()) => assert!(traces(&crashed.bytes()) == 0 && !is_there, "{context}"),
                Err(code) => assert_eq!(code, ErrorCode::StoreIo, "{context}"),
            }
            outcomes[usize::from(is_there)] += 1;
            // Done once more, it is done.
            found.erase(&[session(1).id]).wait().unwrap();
            assert_eq!(traces(&crashed.bytes()), 0, "{context}");
            others.assert_in(&found, &context);
        }
        // Without a crash the same store goes on.
        let disk = FaultyDisk::from_bytes(bytes.clone());
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        disk.fail_operation(nth, ErrorKind::Other);
        if store.erase(&[session(1).id]).wait().is_ok() {
            assert_eq!(traces(&disk.bytes()), 0, "operation {nth}");
        }
        others.assert_in(&store, "failed");
        store.erase(&[session(1).id]).wait().unwrap();
        assert_eq!(traces(&disk.bytes()), 0, "operation {nth}");
        others.assert_in(&store, "once more");
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

#[test]
fn a_full_disk_fails_a_compaction_and_changes_nothing() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let others = talk(&store, 2, b"otra cosa", &[1, 2, 3]);
    disk.set_capacity(Some(disk.bytes_used() + 10_000));
    assert_eq!(code(store.compact().wait()), ErrorCode::StoreFull);
    others.assert_in(&store, "full");
    disk.set_capacity(None);
    store.compact().wait().unwrap();
    others.assert_in(&store, "freed");
}

#[test]
fn a_storage_that_cannot_be_replaced_refuses_compaction() {
    let disk = FaultyDisk::new();
    let location = StoreLocation::backend(move || BackendFactory::open(&disk));
    let store = Store::open(location, NOW_MS).unwrap();
    let others = talk(&store, 2, b"otra cosa", &[1, 2, 3]);
    assert_eq!(code(store.compact().wait()), ErrorCode::StoreCannotReplace);
    assert_eq!(code(store.erase_all().wait()), ErrorCode::StoreCannotReplace);
    others.assert_in(&store, "refused");
}

#[test]
fn no_write_is_lost_to_compactions_beside_it() {
    let store = Store::open(StoreLocation::Memory, NOW_MS).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut record = session(writer);
                for round in 0u64.. {
                    record.title = round.to_string();
                    store.apply(&[Write::PutSession(record.clone())]).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(round % 12));
                    assert_eq!(store.session(record.id).unwrap().title, record.title, "the write was lost");
                }
            });
        }
        (0..500).for_each(|_| store.compact().wait().unwrap());
        stop.store(true, Ordering::Relaxed);
    });
}

/// Storage of a host whose swaps take effect and fail, as where the last sync fails.
#[derive(Clone, Default)]
struct TwoStorages(Arc<Mutex<[Option<Arc<InMemoryBackend>>; 2]>>);

impl BackendFactory for TwoStorages {
    fn open(&self) -> Result<Arc<dyn StorageBackend>> {
        Ok(self.0.lock().unwrap()[0].get_or_insert_default().clone())
    }

    fn fresh(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        let fresh = Arc::new(InMemoryBackend::new());
        self.0.lock().unwrap()[1] = Some(fresh.clone());
        Ok(Some(fresh))
    }

    fn swap(&self) -> Result<()> {
        // The fresh one is what is opened now, and still the fresh one, too.
        let mut storages = self.0.lock().unwrap();
        storages[0] = storages[1].clone();
        Err(ErrorCode::StoreIo.into())
    }

    fn discard(&self) {
        let mut storages = self.0.lock().unwrap();
        if let Some(fresh) = storages[1].take()
            && storages[0].as_ref().is_some_and(|current| Arc::ptr_eq(current, &fresh))
        {
            storages[0] = None;
        }
    }
}

#[test]
fn a_swap_that_fails_after_it_took_effect_keeps_the_storage() {
    let store = Store::open(StoreLocation::Backend(Box::new(TwoStorages::default())), NOW_MS).unwrap();
    let others = talk(&store, 2, b"otra cosa", &[1, 2, 3]);
    assert_eq!(code(store.compact().wait()), ErrorCode::StoreIo);
    others.assert_in(&store, "after the swap");
    store.apply(&[Write::PutTurn(turn(session(2).id, 9))]).unwrap();
}
