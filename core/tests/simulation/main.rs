//! Random simulations of host, microphone, disk and backends, checked against invariants.
//!
//! A life is made of its seed alone. One that goes wrong names its seed; `SIM_SEED=n cargo test -p tertulia --test
//! simulation` lives it again, and `SIM_STEPS=n` sets how many steps there are in all, 20,000 by default; CI takes 100,000.

mod model;
mod random;
#[path = "../schema_support/mod.rs"]
mod schema_support;
mod world;

use model::Model;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tertulia::event::{ErrorInfo, InterruptReason, SpokenWord, TurnOrigin};
use tertulia::{ErrorCode, Event, EventKind, SessionConfig, TurnId};
use world::World;

const LIFE_STEPS: u64 = 500;

/// Events that happen in at least one simulation of twenty.
const KINDS: [&str; 20] = [
    r#""type":"turn_finished""#,
    r#""reason":"barge_in""#,
    r#""reason":"cancel""#,
    r#""reason":"input_stalled""#,
    r#""reason":"input_interrupted""#,
    r#""reason":"silence""#,
    r#""stage":"decode""#,
    r#""stage":"recognise""#,
    r#""stage":"reply""#,
    r#""stage":"speak""#,
    r#""stage":"store""#,
    r#""type":"playback_pause""#,
    r#""type":"playback_resume""#,
    r#""type":"playback_flush""#,
    r#""type":"idle""#,
    r#""name":"PlaybackNotReported""#,
    r#""resumed":true"#,
    r#""estimated":true"#,
    r#""retry_of""#,
    r#""corrects""#,
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Lets backends panic without a word.
fn hush_scripted_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !message(info.payload()).contains("as the script says") {
            hook(info);
        }
    }));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The events of a simulation.
fn live(seed: u64) -> Vec<String> {
    let life = AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        for _ in 0..LIFE_STEPS {
            world.act();
        }
        world.wind_down()
    });
    catch_unwind(life).unwrap_or_else(|panic| panic!("SIM_SEED={seed}: {}", message(&*panic)))
}

#[test]
fn random_simulations_hold_every_invariant() {
    hush_scripted_panics();
    if let Some(seed) = number("SIM_SEED") {
        live(seed);
        return;
    }
    let lives = number("SIM_STEPS").unwrap_or(20_000).div_ceil(LIFE_STEPS);
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let mut counts = [0; KINDS.len()];
            for event in (half..lives).step_by(2).flat_map(live) {
                schema_support::assert_valid(&schema_support::EVENT, &serde_json::from_str(&event).unwrap());
                for (count, kind) in counts.iter_mut().zip(KINDS) {
                    *count += u64::from(event.contains(kind));
                }
            }
            counts
        })
    });
    let [ours, theirs] = halves.map(|half| half.join().unwrap_or_else(|panic| panic!("{}", message(&*panic))));
    // The lives were not dull.
    for ((kind, ours), theirs) in KINDS.iter().zip(ours).zip(theirs) {
        let count = ours + theirs;
        assert!(count >= lives / 20, "{kind} happened {count} times in {lives} lives");
    }
}

#[test]
fn a_seed_reproduces_a_simulation() {
    hush_scripted_panics();
    for seed in [3, 4] {
        assert_eq!(live(seed), live(seed), "SIM_SEED={seed} gives two different lives");
    }
}

/// Checks a turn of two words, of which the host played the first, 400 samples.
fn verdict(change: impl FnOnce(&mut Vec<EventKind>)) -> Result<(), String> {
    let word = |text_span, start, end| SpokenWord::new(text_span, "es".parse().unwrap(), start..end);
    let chunk = |chunk, text_span: std::ops::Range<usize>| EventKind::ReplyAudioDelta {
        chunk,
        rate: 8_000,
        samples: 500,
        pcm: vec![0.0; 500].into(),
        words: vec![word(text_span.start..text_span.end, u64::from(chunk) * 500, u64::from(chunk) * 500 + 400)],
        text_span,
    };
    let (reason, heard_text, estimated) = (InterruptReason::Cancel, "uno".to_owned(), false);
    let mut kinds = vec![
        EventKind::TurnStarted { origin: TurnOrigin::Say, retry_of: None, corrects: None },
        EventKind::ReplyTextDelta { text: "uno dos".to_owned() },
        chunk(0, 0..3),
        chunk(1, 4..7),
        EventKind::PlaybackFlush,
        EventKind::TurnInterrupted { reason, heard_text, estimated },
    ];
    change(&mut kinds);
    let config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    let judge = AssertUnwindSafe(|| {
        let mut model = Model::new(&config, true, true);
        for (at, kind) in kinds.into_iter().enumerate() {
            let (seq, at_ms) = (at as u64 + 1, at as u64);
            let mut event = Event::new(kind, seq, at_ms);
            event.turn = Some(TurnId(1));
            model.read(event, at_ms);
            model.report(TurnId(1), 400, at_ms);
        }
        model.assert_quiet(&[TurnId(1)]);
    });
    catch_unwind(judge).map_err(|panic| message(&*panic))
}

#[test]
fn the_invariant_checks_detect_violations() {
    assert_eq!(verdict(|_| ()), Ok(()));
    let heard = |text: &str| {
        let (heard_text, reason) = (text.to_owned(), InterruptReason::Cancel);
        EventKind::TurnInterrupted { reason, heard_text, estimated: false }
    };
    let unreported = EventKind::Error(ErrorInfo::from(&ErrorCode::PlaybackNotReported.into()));
    type Change<'a> = Box<dyn FnOnce(&mut Vec<EventKind>) + 'a>;
    let wrong: [(Change<'_>, &str); 9] = [
        (Box::new(|kinds| kinds[5] = heard("uno dos")), "heard"),
        (Box::new(|kinds| kinds[5] = heard("")), "heard"),
        (Box::new(|kinds| kinds.swap(3, 4)), "sound after the flush"),
        (Box::new(|kinds| kinds.push(heard("uno"))), "not the turn under way"),
        (Box::new(|kinds| kinds.insert(1, kinds[0].clone())), "begins during another"),
        (Box::new(|kinds| kinds.insert(3, kinds[2].clone())), "chunks are counted"),
        (Box::new(|kinds| kinds.insert(5, EventKind::PlaybackResume)), "goes on and was not held"),
        (Box::new(|kinds| kinds.insert(4, unreported)), "too early"),
        (Box::new(|kinds| drop(kinds.pop())), "never ends"),
    ];
    for (change, noticed) in wrong {
        let noticed_as = verdict(change).expect_err(noticed);
        assert!(noticed_as.contains(noticed), "{noticed_as}");
    }
}
