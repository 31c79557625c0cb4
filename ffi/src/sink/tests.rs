//! Telling the host that results are not wanted any more.

use super::{Sender, SinkObject, sink};
use engine::ErrorCode;
use engine::backend::{CancelFlag, ChatStep, RecognitionStep, Steps};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

fn reply() -> (Arc<SinkObject>, Steps<'static, ChatStep>) {
    let (sink, steps) = sink(Sender::Reply, CancelFlag::new());
    (Arc::new(sink), steps)
}

/// Counts its calls.
fn counted(sink: &SinkObject) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    sink.set_on_cancel(Some(Box::new(move || _ = count.fetch_add(1, Ordering::SeqCst))));
    calls
}

#[test]
fn the_host_is_told_once_when_the_results_are_dropped() {
    let (sink, steps) = reply();
    let calls = counted(&sink);
    assert!(!sink.is_cancelled());
    drop(steps);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(sink.is_cancelled());
    assert_eq!(sink.push_text("Hola".into()).unwrap_err().code(), ErrorCode::Cancelled);
    assert_eq!(counted(&sink).load(Ordering::SeqCst), 1, "at once where that is so already");
    sink.end();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn an_answer_is_not_cancelled_after_its_end() {
    let (ended, steps) = reply();
    let calls = counted(&ended);
    ended.done().unwrap();
    drop(steps);
    assert_eq!((calls.load(Ordering::SeqCst), counted(&ended).load(Ordering::SeqCst)), (0, 0));
    let (dropped, steps) = reply();
    let calls = counted(&dropped);
    drop(dropped);
    drop(steps);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    // A transcript is the last result, whenever its sink ends.
    let (sink, steps) = sink(Sender::Transcript, CancelFlag::new());
    let calls = counted(&sink);
    sink.push_transcript(RecognitionStep::Final("Hola.".to_owned().into())).unwrap();
    drop(steps);
    assert_eq!((calls.load(Ordering::SeqCst), counted(&sink).load(Ordering::SeqCst)), (0, 0));
    assert!(!sink.is_cancelled());
}

#[test]
fn every_call_may_be_made_while_the_host_is_told() {
    let (sink, steps) = reply();
    let (inner, calls) = (sink.clone(), Arc::new(AtomicUsize::new(0)));
    let count = calls.clone();
    sink.set_on_cancel(Some(Box::new(move || {
        assert!(inner.is_cancelled() && inner.push_text("Hola".into()).is_err());
        let count = count.clone();
        inner.set_on_cancel(Some(Box::new(move || _ = count.fetch_add(1, Ordering::SeqCst))));
        let other = inner.clone();
        thread::spawn(move || assert!(other.is_cancelled())).join().expect("no lock is held");
        inner.fail(ErrorCode::Cancelled.into()).unwrap();
    })));
    drop(steps);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "the second one, within the first");
    assert!(sink.fail(ErrorCode::Cancelled.into()).is_err());
}

#[test]
fn the_end_on_another_thread_waits_for_the_call_under_way() {
    let (sink, steps) = reply();
    let (called, go_on) = (channel(), channel::<()>());
    let until: Receiver<()> = go_on.1;
    sink.set_on_cancel(Some(Box::new(move || {
        called.0.send(()).unwrap();
        until.recv().unwrap();
    })));
    let dropping = thread::spawn(move || drop(steps));
    called.1.recv().unwrap();
    let (ended, end) = channel();
    let ending = thread::spawn(move || {
        sink.end();
        ended.send(()).unwrap();
    });
    assert!(end.recv_timeout(Duration::from_millis(50)).is_err());
    go_on.0.send(()).unwrap();
    end.recv_timeout(Duration::from_secs(5)).unwrap();
    [dropping, ending].into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_race_of_the_end_and_the_cancellation_is_one_or_the_other() {
    for _ in 0..2_000 {
        let (sink, steps) = reply();
        let (barrier, calls) = (Arc::new(Barrier::new(2)), counted(&sink));
        let other = barrier.clone();
        let dropping = thread::spawn(move || {
            other.wait();
            drop(steps);
        });
        barrier.wait();
        sink.end();
        let at_the_end = calls.load(Ordering::SeqCst);
        dropping.join().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), at_the_end, "told after the end");
    }
}

#[test]
fn a_panic_in_the_call_is_contained() {
    let (sink, steps) = reply();
    sink.set_on_cancel(Some(Box::new(|| panic!("a host's bug"))));
    drop(steps);
    assert_eq!(sink.end().map(|_| ()), Some(()));
}
