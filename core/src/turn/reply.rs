//! The pipeline of one reply: from text through clauses and their audio to what was played.

use super::io::Settings;
use super::playback::{Heard, Timeline};
use crate::event::{EventKind, SpokenWord};
use crate::text::{ClauseSplitter, blank_markup};
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Reply {
    settings: Settings,
    splitter: ClauseSplitter,
    text_done: bool,
    /// The clause being synthesised.
    clause: Option<Range<usize>>,
    timeline: Timeline,
    rate: u32,
    chunks: u32,
    audio_done: bool,
    /// Samples that the host has played.
    played: u64,
    /// The reply was cut off: what the host has not played is taken back.
    flushed: bool,
}

/// The next step of a reply.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Synthesise this clause.
    Speak(String),
    /// All of the reply is synthesised.
    Done,
}

/// The duration of so many samples, in microseconds.
pub(super) fn duration_us(samples: u64, rate: u32) -> u64 {
    samples * 1_000_000 / u64::from(rate.max(1))
}

impl Reply {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    pub(super) fn text(&self) -> &str {
        self.splitter.text()
    }

    pub(super) fn samples_total(&self) -> u64 {
        self.timeline.samples_total()
    }

    pub(super) fn audio_ms(&self) -> u64 {
        self.samples_total() * 1000 / u64::from(self.rate.max(1))
    }

    pub(super) fn push_text(&mut self, text: &str) {
        self.splitter.push(text);
    }

    pub(super) fn finish_text(&mut self) {
        self.splitter.finish();
        self.text_done = true;
    }

    /// The next step, unless a clause is being synthesised or none is complete.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        if self.clause.is_some() || self.audio_done {
            return None;
        }
        while self.settings.speaks
            && let Some(clause) = self.splitter.next_clause()
        {
            let text = blank_markup(&self.text()[clause.clone()]);
            // A lone emoji is shown, not spoken.
            if text.contains(char::is_alphanumeric) {
                self.clause = Some(clause);
                return Some(Step::Speak(text));
            }
        }
        self.audio_done = self.text_done;
        self.audio_done.then_some(Step::Done)
    }

    /// Takes a chunk of the clause's audio; gives its event, unless it is empty.
    pub(super) fn push_audio(
        &mut self,
        pcm: Arc<[f32]>,
        rate: u32,
        span: Range<usize>,
        mut words: Vec<SpokenWord>,
    ) -> Option<EventKind> {
        let clause_start = self.clause.as_ref().expect("audio comes of the clause being synthesised").start;
        let first_sample = self.samples_total();
        // The spaces that stand for an emoji can be told apart, its bytes cannot.
        let place = |byte: usize| self.text().floor_char_boundary(byte + clause_start);
        let in_reply = |span: Range<usize>| place(span.start)..place(span.end);
        for word in &mut words {
            word.text_span = in_reply(word.text_span.clone());
            word.start_sample += first_sample;
            word.end_sample += first_sample;
        }
        let text_span = in_reply(span);
        self.timeline.push(pcm.len() as u64, text_span.clone(), &words);
        self.rate = rate;
        if pcm.is_empty() {
            return None;
        }
        self.chunks += 1;
        let samples = pcm.len() as u64;
        Some(EventKind::ReplyAudioDelta { chunk: self.chunks - 1, rate, samples, pcm, text_span, words })
    }

    pub(super) fn finish_clause(&mut self) {
        self.clause = None;
    }

    /// All of it was synthesised and played.
    pub(super) fn is_finished(&self) -> bool {
        self.audio_done && self.samples_heard() >= self.samples_total()
    }

    /// All of it was synthesised, and the host is to report that it was played.
    pub(super) fn awaits_playback(&self) -> bool {
        self.audio_done && !self.is_finished()
    }

    /// How long playing the rest takes, in microseconds.
    pub(super) fn unplayed_us(&self) -> u64 {
        duration_us(self.samples_total().saturating_sub(self.played), self.rate)
    }

    /// Takes the host's count of samples played. Counts are cumulative: a late one takes nothing back.
    pub(super) fn on_played(&mut self, samples: u64) {
        self.played = self.played.max(samples.min(self.samples_total()));
    }

    /// Cuts the reply off; so many samples of it never reached the host's queue.
    pub(super) fn flush(&mut self, samples_withdrawn: u64) {
        self.flushed = true;
        self.timeline.withdraw(samples_withdrawn);
        self.played = self.played.min(self.samples_total());
    }

    /// Takes how many samples the host had not read at the flush; true where no report of it is missing any more.
    pub(super) fn on_purged(&mut self, samples: u64) -> bool {
        let read = self.samples_total().saturating_sub(samples);
        if self.settings.playback_assumed {
            self.played = read;
        }
        self.played >= read
    }

    /// The heard text. Without a voice the reply is read, not heard.
    pub(super) fn heard(&self) -> Heard {
        let heard = self.timeline.heard(self.text(), self.samples_heard());
        if self.settings.speaks { heard } else { Heard { text_len: self.text().len(), ..heard } }
    }

    /// Samples that have reached the user's ear.
    fn samples_heard(&self) -> u64 {
        let total = self.samples_total();
        if self.settings.playback_assumed && !self.flushed {
            total
        } else if self.audio_done && self.played >= total {
            self.played
        } else {
            let under_way = u64::from(self.settings.output_latency_ms) * u64::from(self.rate) / 1000;
            self.played.saturating_sub(under_way)
        }
    }
}
