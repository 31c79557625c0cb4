//! Files of every version that was ever written open, and read as what was written into them.
//!
//! `core/tests/golden/stores/` holds one of each schema, compressed; they are never rewritten. A new schema adds
//! its own: `TERTULIA_WRITE_GOLDEN=<folder> cargo test -p tertulia --test store_versions -- --ignored`.

mod store_support;

use std::io::{Read, Write as _};
use store_support::{Expected, NOW_MS, code, open_turn, reply_audio, samples, session, turn, user_audio};
use tertulia::event::InterruptReason;
use tertulia::store::{Store, StoreKey, StoreLocation, StoreOptions, TurnState, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, TurnId};

const VERSION_1: &[u8] = include_bytes!("golden/stores/schema-1.redb.zlib");
const VERSION_2: &[u8] = include_bytes!("golden/stores/schema-2.redb.zlib");
const VERSION_2_ENCRYPTED: &[u8] = include_bytes!("golden/stores/schema-2-encrypted.redb.zlib");

fn key() -> StoreKey {
    StoreKey::new(*b"the key of the golden store file")
}

fn options(key: Option<StoreKey>) -> StoreOptions {
    StoreOptions { key, ..StoreOptions::default() }
}

/// The content of each file. Never changed: a new schema's file may hold more.
fn content() -> Vec<Write> {
    let (first, second) = (session(1), session(2));
    let mut writes = vec![Write::PutSession(first.clone()), Write::PutSession(second.clone())];
    for n in 1..=6 {
        let said = turn(first.id, n);
        writes.extend([
            Write::PutTurn(said.clone()),
            user_audio(&said, samples(n, 40 * n as usize)),
            reply_audio(&said, samples(n + 50, 30)),
        ]);
    }
    writes.push(Write::PutTurn(open_turn(second.id, 1)));
    writes
}

fn inflated(compressed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(compressed).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_file_of_every_version_reads_as_it_was_written_and_can_be_written_on() {
    for (name, compressed, key) in
        [("1", VERSION_1, None), ("2", VERSION_2, None), ("2, encrypted", VERSION_2_ENCRYPTED, Some(key()))]
    {
        let disk = FaultyDisk::from_bytes(inflated(compressed));
        let store = Store::open_with(disk.location(), options(key.clone()), NOW_MS).unwrap();
        let mut expected = Expected::default();
        expected.acknowledge(&content()[..content().len() - 1]);
        expected.assert_in(&store, name);
        let crashed = store.turn(session(2).id, TurnId(1)).unwrap();
        assert_eq!(crashed.state, TurnState::Interrupted { reason: InterruptReason::Crash });
        assert!(store.verify().wait().unwrap().is_sound());
        let more = [Write::PutTurn(turn(session(2).id, 2))];
        store.apply(&more).unwrap();
        expected.acknowledge(&more);
        store.compact().wait().unwrap();
        // Encrypting an old file, and taking that back, is the same.
        store.rotate_key(Some(StoreKey::new([9; 32]))).wait().unwrap();
        drop(store);
        let store = Store::open_with(disk.location(), options(Some(StoreKey::new([9; 32]))), NOW_MS).unwrap();
        expected.assert_in(&store, name);
    }
}

#[test]
fn the_golden_store_of_the_bindings_is_one_of_these_files() {
    assert!(inflated(VERSION_2) == include_bytes!("../../bindings/conformance/golden.redb"));
}

#[test]
fn an_encrypted_file_without_its_key_is_refused() {
    let disk = FaultyDisk::from_bytes(inflated(VERSION_2_ENCRYPTED));
    assert_eq!(code(Store::open(disk.location(), NOW_MS)), ErrorCode::StoreWrongKey);
}

#[test]
#[ignore = "writes the files of this version"]
fn write_the_files_of_this_version() {
    let folder = std::env::var_os("TERTULIA_WRITE_GOLDEN").expect("TERTULIA_WRITE_GOLDEN names a folder");
    for (name, key) in [("plain", None), ("encrypted", Some(key()))] {
        let file = std::path::Path::new(&folder).join(format!("{name}.redb"));
        let store = Store::open_with(StoreLocation::File(file.clone()), options(key), NOW_MS).unwrap();
        store.apply(&content()).unwrap();
        drop(store);
        let mut compressed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        compressed.write_all(&std::fs::read(&file).unwrap()).unwrap();
        std::fs::write(file.with_extension("redb.zlib"), compressed.finish().unwrap()).unwrap();
    }
}
