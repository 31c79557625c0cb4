//! Power losses at any moment, recovery included: acknowledged commits survive.
//!
//! Random sessions are written to a disk that forgets, tears and reorders what was not synced. After each power loss
//! the store must hold exactly what was acknowledged, or that and the one change under way, whole.
//! `TERTULIA_CRASHES=10000 cargo test -p tertulia --test store_crashes` loses power that often; without it, less.

#![allow(clippy::print_stdout, reason = "`--show-output` tells how much was tried")]

mod store_support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use store_support::{
    NOW_MS, Random, effort, on_all_processors, open_turn, reply_audio, samples, session, turn, user_audio,
};
use tertulia::event::{InterruptReason, Transcript};
use tertulia::store::{AudioKind, SessionRecord, Store, TurnRecord, TurnState, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{Error, ErrorCode, Result, SessionId, TurnId};

/// How many power losses there are without the variable.
const CRASHES: u64 = 1_000;
/// How many power losses a disk goes through before there is a new one.
const CRASHES_A_DISK: u64 = 12;
/// How many power losses in a row hit a recovery.
const RECOVERIES_HIT_MAX: u64 = 3;

#[test]
fn power_losses_lose_no_acknowledged_commit() {
    let wanted = effort("TERTULIA_CRASHES", CRASHES);
    let tallies = on_all_processors(|worker, workers| {
        let mut tally = Tally::default();
        let mut seed = worker;
        while tally.crashes < wanted.div_ceil(workers) {
            lose_power(seed, Cheat::None, &mut tally);
            seed += workers;
        }
        tally
    });
    let mut tally = Tally::default();
    tallies.into_iter().for_each(|other| tally.add(other));
    println!("{tally:?}");
    assert!(tally.is_sound(), "{tally:#?}");
    // Else the run shows less than it says.
    assert!(tally.in_recovery * 5 > tally.crashes, "few recoveries were hit: {tally:#?}");
    assert!(tally.whole * 200 > tally.crashes && tally.absent * 10 > tally.crashes, "{tally:#?}");
}

/// Proves the test above: a store that acknowledges before it commits would not pass.
#[test]
fn an_acknowledgement_before_its_commit_is_noticed() {
    let mut tally = Tally::default();
    (0..20).for_each(|seed| lose_power(seed, Cheat::AcknowledgeFirst, &mut tally));
    assert!(tally.lost >= 10, "{tally:#?}");
}

/// The same of a store that leaves out one sync.
#[test]
fn a_missing_sync_is_noticed() {
    let mut tally = Tally::default();
    (0..20).for_each(|seed| lose_power(seed, Cheat::LeaveOutSync, &mut tally));
    assert!(tally.lost + tally.unopenable >= 5, "{tally:#?}");
}

/// A deliberate mistake of the program.
#[derive(Clone, Copy, PartialEq)]
enum Cheat {
    None,
    AcknowledgeFirst,
    /// One sync in each run of the program.
    LeaveOutSync,
}

/// The outcomes of the power losses.
#[derive(Debug, Default)]
struct Tally {
    crashes: u64,
    /// Those that kept a recovery from its end.
    in_recovery: u64,
    /// Changes under way that were there afterwards.
    whole: u64,
    /// Changes under way that were not.
    absent: u64,
    lost: u64,
    unopenable: u64,
    panics: u64,
    /// Violations, a line for each.
    why: Vec<String>,
}

impl Tally {
    fn is_sound(&self) -> bool {
        self.lost + self.unopenable + self.panics == 0
    }

    fn add(&mut self, other: Tally) {
        let Tally { crashes, in_recovery, whole, absent, lost, unopenable, panics, why } = other;
        self.crashes += crashes;
        self.in_recovery += in_recovery;
        self.whole += whole;
        self.absent += absent;
        self.lost += lost;
        self.unopenable += unopenable;
        self.panics += panics;
        self.why.extend(why);
    }
}

/// The life of one disk, until it is old or something is wrong.
fn lose_power(seed: u64, cheat: Cheat, tally: &mut Tally) {
    let mut life = Life { disk: FaultyDisk::new(), held: Contents::default(), random: Random::new(seed), sessions: 0 };
    let until = tally.crashes + CRASHES_A_DISK;
    while tally.crashes < until {
        let step = catch_unwind(AssertUnwindSafe(|| life.one_run(cheat, tally)));
        let wrong = match step {
            Ok(Ok(())) => continue,
            Ok(Err(wrong)) => wrong,
            Err(_) => Wrong::Panicked("the store".into()),
        };
        let (count, what) = match wrong {
            Wrong::Lost(what) => (&mut tally.lost, what),
            Wrong::Unopenable(error) => (&mut tally.unopenable, error.to_string()),
            Wrong::Panicked(what) => (&mut tally.panics, what),
        };
        *count += 1;
        tally.why.push(format!("seed {seed}, power loss {}: {what}", tally.crashes + CRASHES_A_DISK - until));
        return;
    }
}

/// A violation.
enum Wrong {
    Lost(String),
    Unopenable(Error),
    Panicked(String),
}

struct Life {
    disk: FaultyDisk,
    /// The acknowledged changes.
    held: Contents,
    random: Random,
    /// How many sessions were ever begun.
    sessions: u64,
}

impl Life {
    /// A run of the program that a power loss ends, perhaps some more that end while recovering, and a look.
    fn one_run(&mut self, cheat: Cheat, tally: &mut Tally) -> Result<(), Wrong> {
        self.disk.lose_power(self.random.below(80));
        if cheat == Cheat::LeaveOutSync {
            self.disk.leave_out_sync(self.random.below(8));
        }
        let mut under_way = None;
        if let Ok(store) = Store::open(self.disk.location(), NOW_MS) {
            while under_way.is_none() && !self.disk.has_lost_power() {
                let change = self.next_change();
                if cheat == Cheat::AcknowledgeFirst {
                    self.held.change(&change);
                }
                match change.make(&store) {
                    Ok(()) if cheat == Cheat::AcknowledgeFirst => {}
                    Ok(()) => self.held.change(&change),
                    Err(error) if !self.disk.has_lost_power() || error.code() == ErrorCode::StoreCorrupt => {
                        return Err(Wrong::Panicked(format!("an error that no fault explains: {error}")));
                    }
                    Err(_) => under_way = Some(change),
                }
            }
        }
        self.lose_power(tally);
        for _ in 0..self.random.below(RECOVERIES_HIT_MAX + 1) {
            self.disk.lose_power(self.random.below(10));
            let recovered = Store::open(self.disk.location(), NOW_MS).is_ok();
            tally.in_recovery += u64::from(!recovered);
            self.lose_power(tally);
        }
        let store = Store::open(self.disk.location(), NOW_MS).map_err(Wrong::Unopenable)?;
        let found = Contents::of(&store).map_err(|error| Wrong::Lost(error.to_string()))?;
        let without = self.held.closed();
        if cheat == Cheat::AcknowledgeFirst {
            under_way = None;
        }
        let with = under_way.map(|change| {
            let mut with = self.held.clone();
            with.change(&change);
            with.closed()
        });
        if found == without {
            tally.absent += u64::from(with.is_some());
        } else if with.as_ref() == Some(&found) {
            tally.whole += 1;
        } else {
            return Err(Wrong::Lost(without.difference(&found)));
        }
        self.held = found;
        Ok(())
    }

    fn lose_power(&mut self, tally: &mut Tally) {
        self.disk = self.disk.crashed(self.random.below(u64::MAX));
        tally.crashes += 1;
    }

    fn next_change(&mut self) -> Change {
        let random = &mut self.random;
        let ids: Vec<SessionId> = self.held.0.keys().copied().collect();
        if ids.len() > 3 && random.below(8) == 0 {
            return Change::Delete(ids[random.below(ids.len() as u64) as usize]);
        }
        let mut writes = Vec::new();
        if ids.is_empty() || (ids.len() < 6 && random.below(5) == 0) {
            self.sessions += 1;
            writes.push(Write::PutSession(session(self.sessions)));
        }
        // Several sessions in one change, as a group commit has.
        for (id, session) in &self.held.0 {
            if session.ended || random.below(2) == 0 {
                continue;
            }
            let last = session.turns.last_key_value();
            // Now and then more than fits into one row.
            let user_samples = [300, 33_000][usize::from(random.below(16) == 0)];
            match last {
                Some((turn_id, held)) if held.state == TurnState::Open => {
                    let whole = turn(*id, turn_id.0);
                    writes.push(Write::PutTurn(whole.clone()));
                    writes.push(reply_audio(&whole, samples(turn_id.0 + 1000, 600)));
                }
                Some((turn_id, _)) if random.below(6) == 0 => {
                    writes.push(Write::DropAudio { session: *id, turn: *turn_id, kind: AudioKind::User });
                }
                Some(_) if random.below(12) == 0 => writes.push(Write::EndSession { id: *id, now_ms: NOW_MS }),
                last => {
                    let open = open_turn(*id, last.map_or(1, |(turn_id, _)| turn_id.0 + 1));
                    writes.push(Write::PutTurn(open.clone()));
                    writes.push(user_audio(&open, samples(open.turn.0, user_samples)));
                }
            }
        }
        if writes.is_empty() {
            self.sessions += 1;
            writes.push(Write::PutSession(session(self.sessions)));
        }
        Change::Apply(writes)
    }
}

/// The change of one transaction.
enum Change {
    Apply(Vec<Write>),
    Delete(SessionId),
}

impl Change {
    fn make(&self, store: &Store) -> Result<()> {
        match self {
            Change::Apply(writes) => store.apply(writes),
            Change::Delete(id) => store.delete_session(*id),
        }
    }
}

/// Everything that is in a store, or should be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Contents(BTreeMap<SessionId, HeldSession>);

#[derive(Clone, Debug, PartialEq)]
struct HeldSession {
    title: String,
    ended: bool,
    turns: BTreeMap<TurnId, HeldTurn>,
}

#[derive(Clone, Debug, PartialEq)]
struct HeldTurn {
    user_text: String,
    transcript: Option<Transcript>,
    reply_text: String,
    state: TurnState,
    audio: BTreeMap<AudioKind, (u32, Arc<[i16]>)>,
}

impl From<&SessionRecord> for HeldSession {
    fn from(session: &SessionRecord) -> Self {
        HeldSession { title: session.title.clone(), ended: session.ended_ms.is_some(), turns: BTreeMap::new() }
    }
}

impl From<&TurnRecord> for HeldTurn {
    fn from(turn: &TurnRecord) -> Self {
        HeldTurn {
            user_text: turn.user_text.clone(),
            transcript: turn.transcript.clone(),
            reply_text: turn.reply_text.clone(),
            state: turn.state,
            audio: BTreeMap::new(),
        }
    }
}

impl Contents {
    /// Reads everything; fails where something cannot be read.
    fn of(store: &Store) -> Result<Contents> {
        let page = store.sessions(&Default::default(), None, 1000)?;
        if !page.damaged.is_empty() {
            return Err(ErrorCode::RecordCorrupt.into());
        }
        let mut contents = Contents::default();
        for summary in page.sessions {
            let mut held = HeldSession::from(&store.session(summary.id)?);
            let turns = store.turns(summary.id)?;
            if !turns.is_complete() {
                return Err(ErrorCode::RecordCorrupt.into());
            }
            for turn in &turns.turns {
                let mut held_turn = HeldTurn::from(turn);
                for kind in [AudioKind::User, AudioKind::Reply] {
                    if turn.audio(kind).is_some() {
                        let audio = store.audio(summary.id, turn.turn, kind)?;
                        held_turn.audio.insert(kind, (audio.rate, audio.samples.into()));
                    }
                }
                held.turns.insert(turn.turn, held_turn);
            }
            contents.0.insert(summary.id, held);
        }
        Ok(contents)
    }

    /// Does what the store should do.
    fn change(&mut self, change: &Change) {
        let writes = match change {
            Change::Apply(writes) => writes,
            Change::Delete(id) => {
                self.0.remove(id);
                return;
            }
        };
        for write in writes {
            match write {
                Write::PutSession(session) => {
                    self.0.insert(session.id, session.into());
                }
                Write::PutTurn(turn) => {
                    let turns = &mut self.0.get_mut(&turn.session).expect("a session that is there").turns;
                    let audio = turns.remove(&turn.turn).map(|before| before.audio).unwrap_or_default();
                    turns.insert(turn.turn, HeldTurn { audio, ..turn.into() });
                }
                Write::PutAudio { session, turn, kind, rate, samples } => {
                    self.turn(*session, *turn).audio.insert(*kind, (*rate, samples.as_slice().into()));
                }
                Write::DropAudio { session, turn, kind } => {
                    self.turn(*session, *turn).audio.remove(kind);
                }
                Write::EndSession { id, .. } => {
                    let session = self.0.get_mut(id).expect("a session that is there");
                    session.ended = true;
                    session.turns.values_mut().for_each(|turn| turn.audio.clear());
                }
                _ => unreachable!("the test makes no other writes"),
            }
        }
    }

    fn turn(&mut self, session: SessionId, turn: TurnId) -> &mut HeldTurn {
        let session = self.0.get_mut(&session).expect("a session that is there");
        session.turns.get_mut(&turn).expect("a turn that is there")
    }

    /// The same after a crash, which closes the turns under way.
    fn closed(&self) -> Contents {
        let mut closed = self.clone();
        for turn in closed.0.values_mut().flat_map(|session| session.turns.values_mut()) {
            if turn.state == TurnState::Open {
                turn.state = TurnState::Interrupted { reason: InterruptReason::Crash };
            }
        }
        closed
    }

    /// The first thing that is not as it is here.
    fn difference(&self, found: &Contents) -> String {
        for (id, session) in &self.0 {
            let Some(found) = found.0.get(id) else {
                return format!("session {id} is lost");
            };
            if (&session.title, session.ended) != (&found.title, found.ended) {
                return format!("session {id} is another");
            }
            for (turn_id, turn) in &session.turns {
                match found.turns.get(turn_id) {
                    None => return format!("turn {turn_id} of session {id} is lost"),
                    Some(found) if found.audio != turn.audio => {
                        return format!("the audio of turn {turn_id} of session {id} is lost or another");
                    }
                    Some(found) if found != turn => return format!("turn {turn_id} of session {id} is another"),
                    Some(_) => {}
                }
            }
        }
        "there is more than was written".into()
    }
}
