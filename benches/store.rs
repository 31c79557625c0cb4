//! Latency of the store: `cargo bench -p tertulia-benches --bench store`. The side-by-side run
//! (`store_side_by_side`) compares; this one tells a change of one of them.

#![allow(missing_docs, reason = "criterion's macros make public items")]

mod store_work;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use store_work::{Bare, NOW_MS, SAMPLES, Sqlite, noise, open, session, spoken, turn};
use tertulia::store::{SessionQuery, Store, StoreKey, StoreLocation, StoreOptions, Write};

/// A turn with 200 KB of audio, made durable.
fn commit(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("commit of a turn with 200 KB of audio");
    group.throughput(Throughput::Bytes(2 * SAMPLES as u64)).sample_size(50);
    let s = session(1);
    let mut n = 0;
    let mut next = || {
        n += 1;
        (turn(s.id, n), noise(n, SAMPLES))
    };
    for (name, key) in [("store", None), ("store, encrypted", Some(StoreKey::generate().expect("random bytes")))] {
        let location = StoreLocation::File(folder.path().join(name));
        let options = StoreOptions { key, ..StoreOptions::default() };
        let store = Store::open_with(location, options, NOW_MS).expect("a store");
        store.apply(&[Write::PutSession(s.clone())]).expect("room");
        group.bench_function(name, |bencher| {
            let mut writes = || {
                let (turn, samples) = next();
                spoken(&turn, samples)
            };
            bencher.iter_batched(&mut writes, |writes| store.apply(&writes).expect("room"), BatchSize::PerIteration);
        });
    }
    let mut bare = Bare::create(&folder.path().join("bare"));
    group.bench_function("write + fdatasync", |bencher| {
        bencher.iter_batched(&mut next, |(turn, samples)| bare.put(&turn, &samples), BatchSize::PerIteration);
    });
    let mut sqlite = Sqlite::create(&folder.path().join("sqlite"));
    sqlite.put_session(&s);
    group.bench_function("SQLite", |bencher| {
        bencher.iter_batched(&mut next, |(turn, samples)| sqlite.put(&turn, &samples), BatchSize::PerIteration);
    });
    group.finish();
}

/// A store of many turns is opened, and read.
fn read(criterion: &mut Criterion) {
    const SESSIONS: u64 = 500;
    const TURNS: u64 = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let store = open(&path);
    let mut last = None;
    for number in 0..SESSIONS {
        let s = session(number);
        let turns = (1..=TURNS).flat_map(|n| spoken(&turn(s.id, n), noise(n, 100)));
        let writes: Vec<Write> = std::iter::once(Write::PutSession(s.clone())).chain(turns).collect();
        store.apply(&writes).expect("room");
        last = Some(s.id);
    }
    drop(store);
    let last = last.expect("there are sessions");
    let mut group = criterion.benchmark_group("store of 10,000 turns in 500 sessions");
    group.sample_size(20);
    group.bench_function("open and close", |bencher| bencher.iter(|| drop(open(&path))));
    let store = open(&path);
    group.bench_function("first page of 50 sessions", |bencher| {
        bencher.iter(|| black_box(store.sessions(&Default::default(), None, 50).expect("a page")));
    });
    let query = SessionQuery { text: Some("no such text".into()), ..SessionQuery::default() };
    group.bench_function("page of a search without a match", |bencher| {
        bencher.iter(|| black_box(store.sessions(&query, None, 50).expect("a page")));
    });
    group.bench_function("turns of a session", |bencher| {
        bencher.iter(|| black_box(store.turns(last).expect("turns")));
    });
    group.finish();
}

criterion_group!(benches, commit, read);
criterion_main!(benches);
