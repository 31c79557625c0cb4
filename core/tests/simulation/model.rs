//! The invariants, checked from outside of the engine: by the events that the host read, its reports, the chat model's
//! requests, and the store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use tertulia::backend::{ChatRequest, Role};
use tertulia::catalog::Catalog;
use tertulia::event::{InterruptReason, SpokenWord, Stage, TurnState};
use tertulia::store::TurnRecord;
use tertulia::testing::scripted::VOICE_RATE_HZ;
use tertulia::{ErrorCode, Event, EventKind, Playback, SessionConfig, TurnId, prompt};

pub(crate) struct Model {
    playback_assumed: bool,
    output_latency_ms: u64,
    /// How many messages stand before what was said.
    system_messages: usize,
    /// True where the moment of each event is known: the engine was idle before the next one.
    exact: bool,
    /// Turns begin in the order of their numbers, and the store never fails.
    calm: bool,
    opened_ms: u64,
    seq: u64,
    closed: bool,
    turns: BTreeMap<TurnId, Turn>,
    /// In the order in which they began.
    begun: Vec<TurnId>,
    /// The replies of turns that nothing was left of.
    lost: Vec<(TurnId, String)>,
    active: Option<TurnId>,
    paused: bool,
    /// When the host read sound last.
    audio_read_ms: u64,
    told: Vec<String>,
}

#[derive(Default)]
struct Turn {
    /// The turns whose place it takes, as it was told.
    retry_of: Option<TurnId>,
    corrects: Option<TurnId>,
    text: String,
    chunks: Vec<Chunk>,
    samples: u64,
    /// Once the sound is complete, all of it.
    samples_total: Option<u64>,
    flushed: bool,
    /// When the host reported, and how much it had played.
    reports: Vec<(u64, u64)>,
    /// The user's words that were acknowledged as stored.
    transcript: Option<String>,
    /// When its first audio came.
    audio_ms: Option<u64>,
    /// The engine told that the end of its playback was not reported.
    unreported: bool,
    end: Option<End>,
    /// The process died before the turn, or its end, was acknowledged.
    may_be_lost: bool,
}

struct Chunk {
    samples: Range<u64>,
    text: Range<usize>,
    words: Vec<SpokenWord>,
}

struct End {
    state: TurnState,
    /// The possible heard texts; one where it is known exactly.
    heard: BTreeSet<String>,
}

impl Model {
    pub(crate) fn new(config: &SessionConfig, exact: bool, calm: bool) -> Self {
        Self {
            playback_assumed: config.playback == Playback::Assumed,
            output_latency_ms: u64::from(config.output_latency_ms),
            system_messages: prompt::system_messages(config, &Catalog::builtin()).expect("known settings").len(),
            exact,
            calm,
            opened_ms: 0,
            seq: 0,
            closed: false,
            turns: BTreeMap::new(),
            begun: Vec::new(),
            lost: Vec::new(),
            active: None,
            paused: false,
            audio_read_ms: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn open(&mut self, now_ms: u64) {
        (self.opened_ms, self.seq, self.closed, self.active, self.paused) = (now_ms, 0, false, None, false);
    }

    /// The process is gone, and with it what was not acknowledged.
    pub(crate) fn crash(&mut self) {
        for turn in self.turns.values_mut() {
            let ended = turn.end.as_ref().is_some_and(|end| !matches!(end.state, TurnState::Failed { .. }));
            turn.may_be_lost |= !ended && turn.transcript.is_none();
        }
    }

    pub(crate) fn report(&mut self, turn: TurnId, samples: u64, now_ms: u64) {
        if let Some(turn) = self.turns.get_mut(&turn) {
            turn.reports.push((now_ms, samples));
        }
    }

    /// A turn that the host has sound of, and how much: the last one, or with 3 the one before.
    pub(crate) fn turn_with_audio(&self, which: u64) -> Option<(TurnId, u64)> {
        // Audio lost in a crash is not played after it, and its number is free again.
        let has_audio = |turn: &&TurnId| {
            let turn = &self.turns[*turn];
            !turn.chunks.is_empty() && !turn.may_be_lost
        };
        let mut with_audio = self.begun.iter().rev().filter(has_audio);
        let turn = with_audio.nth(usize::from(which == 3))?;
        Some((*turn, self.turns[turn].samples))
    }

    pub(crate) fn is_flushed(&self, turn: TurnId) -> bool {
        self.turns[&turn].flushed
    }

    /// The end of the first word that ends after so many samples; of the sound, where there is none.
    pub(crate) fn word_end_after(&self, turn: TurnId, samples: u64) -> u64 {
        let turn = &self.turns[&turn];
        let mut ends = turn.chunks.iter().flat_map(|chunk| &chunk.words).map(|word| word.end_sample);
        ends.find(|end| *end > samples).unwrap_or(turn.samples)
    }

    pub(crate) fn into_told(self) -> Vec<String> {
        self.told
    }

    pub(crate) fn read(&mut self, event: Event, now_ms: u64) {
        self.seq += 1;
        assert_eq!(event.seq, self.seq, "events are counted without a gap");
        assert!(!self.closed, "{event:?} after the end of the session");
        let at_ms = self.opened_ms + event.at_ms;
        let mut told = event.clone();
        told.session = None;
        let json = told.to_json();
        self.told.push(json.clone());
        match (event.turn, event.kind) {
            (Some(turn), EventKind::TurnStarted { retry_of, corrects, .. }) => {
                self.begin(turn, Turn { retry_of, corrects, ..Turn::default() });
            }
            (Some(turn), kind) => {
                assert_eq!(self.active, Some(turn), "not the turn under way: {json}");
                if let EventKind::ReplyAudioDelta { .. } = kind {
                    self.audio_read_ms = now_ms;
                }
                self.follow(turn, kind, at_ms, &json);
            }
            (None, EventKind::SessionClosed { .. }) => self.closed = true,
            (None, _) => {}
        }
    }

    fn begin(&mut self, turn: TurnId, begun: Turn) {
        assert_eq!(self.active, None, "{turn} begins during another");
        if let Some(before) = self.turns.remove(&turn) {
            assert!(before.may_be_lost, "{turn} begins twice, and ended before: {:?}", before.end.map(|end| end.state));
            self.begun.retain(|begun| *begun != turn);
            self.lost.push((turn, before.text));
        }
        assert!(!self.calm || self.begun.last().is_none_or(|last| *last < turn), "{turn} begins out of order");
        self.turns.insert(turn, begun);
        self.begun.push(turn);
        self.active = Some(turn);
    }

    fn follow(&mut self, id: TurnId, kind: EventKind, at_ms: u64, json: &str) {
        let turn = self.turns.get_mut(&id).expect("it has begun");
        match kind {
            EventKind::TranscriptDone { transcript, stored } => {
                turn.transcript = Some(transcript.text).filter(|_| stored);
            }
            EventKind::ReplyTextDelta { text } => {
                assert!(!turn.flushed, "text after the flush: {json}");
                turn.text += &text;
            }
            EventKind::ReplyTextDone { text } => assert_eq!(text, turn.text),
            EventKind::ReplyAudioDelta { chunk, pcm, text_span, words, .. } => {
                assert!(!turn.flushed, "sound after the flush: {json}");
                assert_eq!(chunk as usize, turn.chunks.len(), "chunks are counted");
                let samples = turn.samples..turn.samples + pcm.len() as u64;
                turn.samples = samples.end;
                turn.audio_ms.get_or_insert(at_ms);
                turn.chunks.push(Chunk { samples, text: text_span, words });
            }
            EventKind::ReplyAudioDone { samples_total } => turn.samples_total = Some(samples_total),
            EventKind::PlaybackPause => {
                assert!(!self.paused && !turn.flushed, "held twice: {json}");
                self.paused = true;
            }
            EventKind::PlaybackResume => {
                assert!(self.paused && !turn.flushed, "goes on and was not held: {json}");
                self.paused = false;
            }
            EventKind::PlaybackFlush => {
                assert!(!turn.flushed, "flushed twice: {json}");
                let is_late = !turn.chunks.is_empty() && self.audio_read_ms > at_ms;
                assert!(!is_late, "sound was given out after the flush: {json}");
                (turn.flushed, self.paused) = (true, false);
            }
            EventKind::Error(error) if error.code == ErrorCode::PlaybackNotReported => {
                assert!(!self.playback_assumed && !self.paused && !turn.flushed, "a report is not due: {json}");
                let first_ms =
                    turn.audio_ms.map_or(at_ms, |first_ms| first_ms + turn.samples * 1000 / u64::from(VOICE_RATE_HZ));
                let reports = turn.reports.iter().map(|(reported_ms, _)| *reported_ms);
                let since_ms = reports.filter(|reported_ms| *reported_ms <= at_ms).max().unwrap_or(first_ms);
                assert!(at_ms >= since_ms + 5_000, "too early, {since_ms} ms: {json}");
                turn.unreported = true;
            }
            EventKind::TurnFinished { reply_text } => {
                assert_eq!(reply_text, turn.text);
                assert!(!turn.flushed, "a turn that was flushed is finished: {json}");
                assert_eq!(turn.samples_total, Some(turn.samples), "sound is missing: {json}");
                let played = turn.played_until(at_ms);
                let was_played = self.playback_assumed || played >= turn.samples;
                assert!(was_played || turn.unreported, "finished at {played} samples: {json}");
                let heard = BTreeSet::from([reply_text]);
                self.end(id, End { state: TurnState::Finished, heard });
            }
            EventKind::TurnInterrupted { reason, heard_text, estimated } => {
                let heard = self.heard(id, at_ms);
                assert!(
                    heard.contains(&(heard_text.clone(), estimated)),
                    "heard {heard:?}, not {heard_text:?} (estimated: {estimated}) of {:?} at {at_ms} ms with {:?} played: {json}",
                    self.turns[&id].text,
                    self.turns[&id].reports
                );
                let heard = BTreeSet::from([heard_text]);
                self.end(id, End { state: TurnState::Interrupted { reason }, heard });
            }
            EventKind::TurnFailed { stage, error } => {
                let heard = self.heard(id, at_ms).into_iter().map(|(text, _)| text).collect();
                self.end(id, End { state: TurnState::Failed { stage, code: error.code }, heard });
            }
            _ => {}
        }
    }

    fn end(&mut self, id: TurnId, end: End) {
        (self.active, self.paused) = (None, false);
        self.turns.get_mut(&id).expect("it has begun").end = Some(end);
    }
    /// The possible heard texts of the turn at its end, and whether each is an estimate.
    fn heard(&self, id: TurnId, at_ms: u64) -> BTreeSet<(String, bool)> {
        let turn = &self.turns[&id];
        let played = match (self.playback_assumed, self.exact) {
            // Unread audio was purged.
            (true, _) => vec![turn.samples],
            (false, true) => vec![turn.played_until(at_ms)],
            (false, false) => turn.reports.iter().map(|(_, played)| *played).chain([0]).collect(),
        };
        played.into_iter().map(|played| turn.heard(self.at_the_ear(turn, played))).collect()
    }

    fn at_the_ear(&self, turn: &Turn, played: u64) -> u64 {
        match turn.samples_total {
            Some(total) if played >= total => played,
            _ => played.saturating_sub(self.output_latency_ms * u64::from(VOICE_RATE_HZ) / 1000),
        }
    }

    /// Everybody has been given the time to end what was begun.
    pub(crate) fn assert_quiet(&self, promised: &[TurnId]) {
        assert_eq!(self.active, None, "a turn never ends");
        let missing: Vec<&TurnId> = promised.iter().filter(|turn| !self.turns.contains_key(turn)).collect();
        assert!(missing.is_empty(), "{missing:?} never began");
    }

    pub(crate) fn assert_closed(&self) {
        assert!(self.closed && self.active.is_none(), "the session was closed and goes on");
    }

    /// Everything acknowledged is in the store, word by word.
    pub(crate) fn assert_stored(&self, records: &[TurnRecord]) {
        let records: BTreeMap<TurnId, &TurnRecord> = records.iter().map(|record| (record.turn, record)).collect();
        for (id, record) in &records {
            assert_ne!(record.state, TurnState::Open, "{id} is open for ever");
        }
        for (id, turn) in &self.turns {
            if let Some(transcript) = &turn.transcript {
                let record = records.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is gone"));
                assert_eq!(&record.user_text, transcript, "the words of {id}");
            }
            let Some(end) = &turn.end else { continue };
            let record = match (end.state, records.get(id)) {
                // The store said that it could not.
                (TurnState::Failed { stage: Stage::Store, .. }, _) => continue,
                // That a turn failed is told even where it cannot be stored.
                (TurnState::Failed { .. }, None) if !self.calm => continue,
                (TurnState::Failed { .. }, Some(record)) if !self.calm && is_crashed(record) => continue,
                (_, record) => record.unwrap_or_else(|| panic!("the end of {id} was acknowledged and is gone")),
            };
            assert_eq!(record.state, end.state, "how {id} ended");
            assert_eq!((record.retry_of, record.corrects), (turn.retry_of, turn.corrects), "whose place {id} takes");
            // A reply of which no word was read may have been generated all the same.
            assert_eq!(record.reply_text, turn.text, "the reply of {id}");
            match end.state {
                TurnState::Finished => {
                    let heard = (&record.heard_text, record.heard_estimated);
                    assert_eq!(heard, (&None, turn.unreported), "{id} was heard to the end");
                }
                _ => {
                    let heard = record.heard_text.as_ref().expect("the heard text of an interrupted turn");
                    assert!(end.heard.contains(heard), "{:?} was heard of {id}, not {heard:?}", end.heard);
                }
            }
        }
    }

    /// No word that was not heard is in the chat model's context, and the roles alternate.
    pub(crate) fn assert_contexts(&self, requests: &[ChatRequest], records: &[TurnRecord]) {
        let heard = Heard::new(self, records);
        let mut told = 0;
        for request in requests {
            let conversation = &request.messages[self.system_messages..];
            for (at, message) in conversation.iter().enumerate() {
                let expected = if at % 2 == 0 { Role::User } else { Role::Assistant };
                assert_eq!(message.role, expected, "the roles take turns: {conversation:?}");
                assert!(!message.content.trim().is_empty(), "nothing was said: {conversation:?}");
            }
            assert_eq!(conversation.last().map(|last| last.role), Some(Role::User), "{conversation:?}");
            let replies: Vec<&str> = conversation
                .iter()
                .filter(|message| message.role == Role::Assistant)
                .flat_map(|message| message.content.split_whitespace())
                .collect();
            for word in &replies {
                assert!(heard.turn_of.contains_key(*word), "{word} was not heard: {conversation:?}");
            }
            for pair in conversation.windows(2).filter(|pair| pair[0].role == Role::Assistant) {
                let last_word = pair[0].content.split_whitespace().next_back().expect("a message has words");
                if let Some(interrupted) = heard.was_interrupted(last_word) {
                    let noted = pair[1].content.starts_with("(Te interrumpo.) ");
                    assert_eq!(noted, interrupted, "the note that it was interrupted: {pair:?}");
                }
            }
            if self.calm && request.sampling.max_tokens > 0 {
                // The heard text of the turns before some turn that does not begin before the last request's, without
                // those that had made way by then.
                let fits = |asking: &usize| {
                    let made_way = self.made_way(*asking);
                    let stands = |turn: &TurnId| self.begun[..*asking].contains(turn) && !made_way.contains(turn);
                    let known = heard.in_order.iter().filter(|(turn, _)| stands(turn));
                    known.flat_map(|(_, words)| words).eq(&replies)
                };
                let asking = (told..self.begun.len()).find(fits);
                told = asking.unwrap_or_else(|| panic!("what was heard before the turn is not {replies:?}"));
            }
        }
    }

    /// The turns whose places others had taken when this one was under way.
    fn made_way(&self, asking: usize) -> BTreeSet<TurnId> {
        let first_attempt = |mut turn: TurnId| {
            while let Some(earlier) = self.turns.get(&turn).and_then(|turn| turn.retry_of) {
                turn = earlier;
            }
            turn
        };
        let mut gone = BTreeSet::new();
        for (at, id) in self.begun[..=asking].iter().enumerate() {
            let turn = &self.turns[id];
            let is_gone = |earlier: &&TurnId| {
                let is_attempt = turn.retry_of.is_some() && first_attempt(**earlier) == first_attempt(*id);
                is_attempt || turn.corrects.is_some_and(|corrected| **earlier >= corrected)
            };
            gone.extend(self.begun[..at].iter().filter(is_gone));
        }
        gone
    }
}

fn is_crashed(record: &TurnRecord) -> bool {
    record.state == TurnState::Interrupted { reason: InterruptReason::Crash }
}

impl Turn {
    fn played_until(&self, at_ms: u64) -> u64 {
        let reports = self.reports.iter().filter(|(reported_ms, _)| *reported_ms <= at_ms);
        reports.map(|(_, played)| *played).max().unwrap_or(0)
    }

    /// The heard text once so many samples had reached the ear, and whether it is an estimate.
    fn heard(&self, samples: u64) -> (String, bool) {
        let (mut end, mut estimated) = (0, false);
        for chunk in &self.chunks {
            for word in &chunk.words {
                if word.end_sample <= samples {
                    (end, estimated) = (word.text_span.end, false);
                }
            }
            if !chunk.words.is_empty() || chunk.samples.start >= samples {
                continue;
            }
            let (part, whole) = (samples.min(chunk.samples.end) - chunk.samples.start, &chunk.samples);
            let reach = chunk.text.len() as u64 * part / (whole.end - whole.start);
            match chunk.samples.end <= samples {
                true => (end, estimated) = (chunk.text.end, true),
                false => {
                    let words = self.text[chunk.text.clone()].split_inclusive(' ').scan(0, |at, word| {
                        let word_end = *at + word.trim_end().len();
                        *at += word.len();
                        Some(word_end)
                    });
                    if let Some(word_end) = words.filter(|word_end| *word_end as u64 <= reach).last() {
                        (end, estimated) = (chunk.text.start + word_end, true);
                    }
                }
            }
        }
        (self.text[..end].to_owned(), estimated)
    }
}

/// The heard words and their turns: no word of a reply is used twice.
struct Heard {
    turn_of: BTreeMap<String, TurnId>,
    /// How a turn ended, where that is certain.
    ends: BTreeMap<TurnId, TurnState>,
    /// The words of each turn of which anything was heard, in the order in which the turns began.
    in_order: Vec<(TurnId, Vec<String>)>,
}

impl Heard {
    fn new(model: &Model, records: &[TurnRecord]) -> Self {
        let mut heard = Self { turn_of: BTreeMap::new(), ends: BTreeMap::new(), in_order: Vec::new() };
        for record in records {
            // A turn whose end the host did not read is in the store.
            let text = record.heard_text.as_ref().unwrap_or(&record.reply_text);
            heard.add(record.turn, text);
        }
        for (id, text) in &model.lost {
            heard.add(*id, text);
        }
        for id in &model.begun {
            let turn = &model.turns[id];
            let Some(end) = &turn.end else { continue };
            match end.state {
                // No event told how it would have ended.
                TurnState::Failed { stage: Stage::Store, .. } => heard.add(*id, &turn.text),
                state => {
                    heard.ends.insert(*id, state);
                    end.heard.iter().for_each(|text| heard.add(*id, text));
                }
            }
            let words: Vec<String> =
                end.heard.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
            if !words.is_empty() {
                heard.in_order.push((*id, words));
            }
        }
        heard
    }

    fn add(&mut self, turn: TurnId, text: &str) {
        self.turn_of.extend(text.split_whitespace().map(|word| (word.to_owned(), turn)));
    }

    /// True if the user interrupted the turn that this word is of; `None` where that is not known.
    fn was_interrupted(&self, word: &str) -> Option<bool> {
        let state = self.ends.get(self.turn_of.get(word)?)?;
        Some(*state == TurnState::Interrupted { reason: InterruptReason::BargeIn })
    }
}
