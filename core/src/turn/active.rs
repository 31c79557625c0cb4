//! The turn under way: from its input through recognition and reply to its end.

use super::endpoint::{SAMPLES_PER_MS, Utterance};
use super::io::{Output, Redo, Report, Settings, Start, StartKind, Ticket, TurnFacts};
use super::listener::{Draft, Spoken};
use super::outbox::Outbox;
use super::reply::{Reply, Step, duration_us};
use super::turn_taking::{DraftTimes, TurnUnderWay};
use crate::error::ErrorCode;
use crate::event::{EndReason, ErrorInfo, EventKind, InterruptReason, Metrics, Stage, Transcript, TurnId, TurnState};

/// How long after the end of its playback a reply waits for the host's report of it.
const REPORT_WAIT_US: u64 = 5_000_000;
/// How long a flushed turn waits for the host's last report of what was played.
const LAST_PLAYED_WAIT_US: u64 = 100_000;

#[derive(Debug)]
pub(super) struct ActiveTurn {
    facts: TurnFacts,
    settings: Settings,
    reply: Reply,
    /// Why the recording that the turn began with was complete.
    recording_ended: Option<EndReason>,
    /// The end of the user's speech, or of the host's call: metrics count from here.
    reference_at_us: u64,
    /// When each backend was last asked.
    recognize_at_us: u64,
    reply_at_us: u64,
    speak_at_us: u64,
    /// When the reply will have been played, as far as its audio is there and the host's reports tell.
    played_out_us: u64,
    /// The host was told to pause the playback.
    paused: bool,
    stopping: Option<Stopping>,
    /// From this one on writes may be the turn's.
    first_ticket: Ticket,
}

/// A turn that has not begun.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) start: Start,
    pub(super) interrupted: Option<InterruptReason>,
}

/// How the turn ends at the deadline.
#[derive(Debug)]
struct Stopping {
    ending: Ending,
    deadline_us: u64,
}

/// How a turn ends.
#[derive(Debug)]
pub(super) enum Ending {
    Finished,
    /// The host never reported the end of the playback.
    Unreported,
    Interrupted(InterruptReason),
    Failed(Stage, ErrorInfo),
}

impl ActiveTurn {
    /// Begins a turn; one that was interrupted before only to end.
    pub(super) fn begin(
        waiting: Waiting,
        settings: Settings,
        draft: DraftTimes,
        outbox: &mut Outbox,
        now_us: u64,
    ) -> Self {
        let Waiting { start: Start { turn, what, redoes }, interrupted } = waiting;
        let (origin, retry_of, corrects) =
            (what.origin(), redoes.and_then(Redo::retry_of), redoes.and_then(Redo::corrects));
        outbox.emit(Some(turn), EventKind::TurnStarted { origin, retry_of, corrects });
        let mut active = Self {
            facts: TurnFacts {
                turn,
                origin,
                redoes,
                started_at_us: now_us,
                ended_at_us: None,
                given_text: what.given_text().to_owned(),
                transcript: None,
                reply_text: String::new(),
                heard_text: None,
                heard_estimated: false,
                state: TurnState::Open,
                metrics: Metrics::default(),
            },
            settings,
            reply: Reply::new(settings),
            recording_ended: None,
            reference_at_us: now_us,
            recognize_at_us: now_us,
            reply_at_us: now_us,
            speak_at_us: now_us,
            played_out_us: now_us,
            paused: false,
            stopping: None,
            first_ticket: outbox.next_ticket(),
        };
        if let Some(reason) = interrupted {
            active.end_at(Ending::Interrupted(reason), now_us);
            return active;
        }
        match what {
            StartKind::Utterance(reason) => {
                active.recording_ended = Some(reason);
                outbox.push(Output::Listen { turn });
            }
            StartKind::Spoken(spoken) => active.begin_spoken(*spoken, draft, outbox, now_us),
            StartKind::Text(_) | StartKind::Corrected(_) | StartKind::Reply(_) => {
                active.store(outbox, false);
                active.request_reply(outbox, now_us);
            }
            StartKind::Say(text) => {
                active.store(outbox, false);
                active.reply_text(text, outbox, now_us);
                active.reply_text_done(outbox, now_us);
            }
        }
        active
    }

    pub(super) fn turn(&self) -> TurnId {
        self.facts.turn
    }

    /// The turn as turn-taking sees it.
    pub(super) fn under_way(&self) -> TurnUnderWay {
        TurnUnderWay {
            turn: self.turn(),
            interruptible: self.settings.interruptible,
            has_audio: self.reply.samples_total() > 0,
            stopping: self.stopping.is_some(),
        }
    }

    /// When the turn ends even without the host's last report.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        let awaits_report = !self.paused && self.reply.awaits_playback();
        let stopped_us = self.stopping.as_ref().map(|stopping| stopping.deadline_us);
        stopped_us.or(awaits_report.then_some(self.played_out_us + REPORT_WAIT_US))
    }

    /// Takes note that the playback is paused, or goes on.
    pub(super) fn set_paused(&mut self, paused: bool, now_us: u64) {
        if std::mem::replace(&mut self.paused, paused) && !paused {
            self.restart_playback(now_us);
        }
    }

    /// Counts the time of the playback from now on.
    pub(super) fn restart_playback(&mut self, now_us: u64) {
        self.played_out_us = now_us + self.reply.unplayed_us();
    }

    /// How the turn ends now, if it does.
    pub(super) fn take_ending(&mut self, now_us: u64) -> Option<Ending> {
        match &self.stopping {
            Some(_) => self.stopping.take_if(|stopping| stopping.deadline_us <= now_us).map(|stopping| stopping.ending),
            None if self.reply.is_finished() => Some(Ending::Finished),
            None => self.deadline_us().filter(|deadline_us| *deadline_us <= now_us).map(|_| Ending::Unreported),
        }
    }

    /// Begins with an utterance that is endpointed, and perhaps recognised.
    fn begin_spoken(&mut self, spoken: Spoken, draft: DraftTimes, outbox: &mut Outbox, now_us: u64) {
        let Utterance { start, end, decided, .. } = spoken.place;
        self.reference_at_us = now_us.saturating_sub((decided - end) * 1000 / SAMPLES_PER_MS);
        let metrics = &mut self.facts.metrics;
        metrics.speech_ms = (end - start) / SAMPLES_PER_MS;
        metrics.decided_ms = Some((decided - end) / SAMPLES_PER_MS);
        metrics.wasted_ms = draft.wasted_us / 1000;
        if let Some(asked_at_us) = draft.asked_at_us {
            self.recognize_at_us = asked_at_us;
            metrics.ahead_ms = now_us.saturating_sub(asked_at_us) / 1000;
        }
        outbox.emit(Some(self.turn()), spoken.place.ended());
        self.store(outbox, true);
        match spoken.draft {
            Draft::Done(transcript) => self.transcribed(transcript, draft.answered_at_us, outbox, now_us),
            Draft::Pending => {}
            Draft::None => outbox.push(Output::Recognise { turn: self.turn() }),
        }
    }

    pub(super) fn on_report(&mut self, report: Report, outbox: &mut Outbox, now_us: u64) {
        let of = Some(self.turn());
        match report {
            Report::SpeechFound { start_ms, end_ms, audio_ms } => {
                let reason = self.recording_ended.expect("speech is looked for in a turn's recording");
                self.facts.metrics.speech_ms = end_ms.saturating_sub(start_ms);
                self.recognize_at_us = now_us;
                outbox.emit(of, EventKind::UtteranceEnded { start_ms, end_ms, decided_ms: audio_ms, reason });
                // The audio is committed now, so that a turn that fails or is killed can be tried again.
                self.store(outbox, true);
                outbox.push(Output::Recognise { turn: self.turn() });
            }
            Report::Partial { text, stable_len } => outbox.emit(of, EventKind::TranscriptPartial { text, stable_len }),
            Report::Transcribed(transcript) => self.transcribed(transcript, now_us, outbox, now_us),
            Report::ReplyText(text) => self.reply_text(text, outbox, now_us),
            Report::ReplyDone { prompt_tokens, evaluated_tokens, reply_tokens, dropped_messages } => {
                let reply_ms = now_us.saturating_sub(self.reply_at_us) / 1000;
                let metrics = self.facts.metrics;
                self.facts.metrics =
                    Metrics { reply_ms, prompt_tokens, evaluated_tokens, reply_tokens, dropped_messages, ..metrics };
                if self.reply.text().trim().is_empty() {
                    return self
                        .end_at(Ending::Failed(Stage::Reply, ErrorInfo::from(&ErrorCode::ReplyEmpty.into())), now_us);
                }
                self.reply_text_done(outbox, now_us);
            }
            Report::Spoken { pcm, rate, text_span, words } => {
                if let Some(delta) = self.reply.push_audio(pcm.clone(), rate, text_span, words) {
                    let since_ms = self.since_reference_ms(now_us);
                    self.facts.metrics.first_audio_ms.get_or_insert(since_ms);
                    self.facts.metrics.reply_audio_ms = self.reply.audio_ms();
                    self.played_out_us = self.played_out_us.max(now_us) + duration_us(pcm.len() as u64, rate);
                    outbox.push(Output::Keep { turn: self.turn(), pcm, rate });
                    outbox.emit(of, delta);
                }
            }
            Report::ClauseSpoken => {
                self.facts.metrics.speak_ms += now_us.saturating_sub(self.speak_at_us) / 1000;
                self.reply.finish_clause();
                self.advance_reply(outbox, now_us);
            }
            Report::Failed { stage, error } => self.end_at(Ending::Failed(stage, error), now_us),
        }
    }

    /// `answered_at_us` is when the recogniser was done, which may be before the turn began.
    fn transcribed(&mut self, transcript: Transcript, answered_at_us: u64, outbox: &mut Outbox, now_us: u64) {
        self.facts.metrics.transcript_ms = Some(self.since_reference_ms(now_us));
        self.facts.metrics.recognize_ms = answered_at_us.saturating_sub(self.recognize_at_us) / 1000;
        if transcript.text.is_empty() {
            return self.end_at(Ending::Failed(Stage::Recognise, ErrorInfo::from(&ErrorCode::NoSpeech.into())), now_us);
        }
        self.facts.transcript = Some(transcript.clone());
        let ticket = self.store(outbox, false);
        let done = EventKind::TranscriptDone { transcript, stored: true };
        outbox.emit_after(ticket..=ticket, Some(self.turn()), done);
        self.request_reply(outbox, now_us);
    }

    fn request_reply(&mut self, outbox: &mut Outbox, now_us: u64) {
        self.reply_at_us = now_us;
        let facts = &self.facts;
        let given = facts.transcript.as_ref().map_or(&facts.given_text, |transcript| &transcript.text).clone();
        outbox.push(Output::Reply { turn: facts.turn, origin: facts.origin, given });
    }

    fn reply_text(&mut self, text: String, outbox: &mut Outbox, now_us: u64) {
        self.reply.push_text(&text);
        let since_ms = self.since_reference_ms(now_us);
        self.facts.metrics.first_text_ms.get_or_insert(since_ms);
        outbox.emit(Some(self.turn()), EventKind::ReplyTextDelta { text });
        self.advance_reply(outbox, now_us);
    }

    fn reply_text_done(&mut self, outbox: &mut Outbox, now_us: u64) {
        self.reply.finish_text();
        let text = self.reply.text().to_owned();
        outbox.emit(Some(self.turn()), EventKind::ReplyTextDone { text });
        self.advance_reply(outbox, now_us);
    }

    fn advance_reply(&mut self, outbox: &mut Outbox, now_us: u64) {
        match self.reply.next_step() {
            Some(Step::Speak(text)) => {
                self.speak_at_us = now_us;
                outbox.push(Output::Speak { turn: self.turn(), text });
            }
            Some(Step::Done) => {
                self.facts.metrics.computed_ms = Some(self.since_reference_ms(now_us));
                if self.settings.speaks {
                    let samples_total = self.reply.samples_total();
                    outbox.emit(Some(self.turn()), EventKind::ReplyAudioDone { samples_total });
                }
            }
            None => {}
        }
    }

    pub(super) fn on_played(&mut self, samples_total: u64, now_us: u64) {
        self.reply.on_played(samples_total);
        self.restart_playback(now_us);
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline_us = now_us;
        }
    }

    pub(super) fn on_purged(&mut self, samples: u64, now_us: u64) {
        let stopping = self.stopping.as_mut().expect("audio is purged of a turn that stops");
        if self.reply.on_purged(samples) {
            stopping.deadline_us = now_us;
        }
    }

    /// Stops the turn; it ends once the host has reported what was played.
    pub(super) fn stop(&mut self, reason: InterruptReason, outbox: &mut Outbox, now_us: u64) {
        if self.stopping.is_some() {
            return;
        }
        let (turn, has_audio) = (self.turn(), self.reply.samples_total() > 0);
        let deadline_us = if has_audio { now_us + LAST_PLAYED_WAIT_US } else { now_us };
        self.end_at(Ending::Interrupted(reason), deadline_us);
        outbox.push(Output::StopWork { turn });
        if has_audio {
            outbox.push(Output::Purge { turn });
            self.reply.flush(outbox.withdraw_audio());
            outbox.emit(Some(turn), EventKind::PlaybackFlush);
        }
    }

    fn end_at(&mut self, ending: Ending, deadline_us: u64) {
        self.stopping = Some(Stopping { ending, deadline_us });
    }

    /// Stops the turn of a session that closes: no last report comes of a host that is going away.
    pub(super) fn close(&mut self, outbox: &mut Outbox, now_us: u64) {
        self.stop(InterruptReason::Cancel, outbox, now_us);
        if !self.settings.playback_assumed {
            self.stopping.as_mut().expect("it was stopped").deadline_us = now_us;
        }
    }

    /// Ends the turn. Its last event waits for the commit.
    pub(super) fn end(self, ending: Ending, outbox: &mut Outbox, now_us: u64) {
        let Self { mut facts, reply, first_ticket, .. } = self;
        let of = Some(facts.turn);
        facts.reply_text = reply.text().to_owned();
        facts.ended_at_us = Some(now_us);
        if let Ending::Unreported = ending {
            // All of it counts as heard, for all that is known.
            facts.heard_estimated = true;
            outbox.emit(of, EventKind::Error(ErrorInfo::from(&ErrorCode::PlaybackNotReported.into())));
        } else if !matches!(ending, Ending::Finished) {
            let heard = reply.heard();
            facts.heard_text = Some(reply.text()[..heard.text_len].to_owned());
            facts.heard_estimated = heard.estimated;
        }
        let (state, kind) = match ending {
            Ending::Finished | Ending::Unreported => {
                (TurnState::Finished, EventKind::TurnFinished { reply_text: facts.reply_text.clone() })
            }
            Ending::Interrupted(reason) => {
                let (heard_text, estimated) = (facts.heard_text.clone().unwrap_or_default(), facts.heard_estimated);
                (TurnState::Interrupted { reason }, EventKind::TurnInterrupted { reason, heard_text, estimated })
            }
            Ending::Failed(stage, error) => {
                outbox.push(Output::StopWork { turn: facts.turn });
                (TurnState::Failed { stage, code: error.code }, EventKind::TurnFailed { stage, error })
            }
        };
        facts.state = state;
        outbox.emit(of, EventKind::Metrics(facts.metrics));
        let ticket = outbox.store(facts, true);
        outbox.emit_after(first_ticket..=ticket, of, kind);
    }

    fn store(&self, outbox: &mut Outbox, with_audio: bool) -> Ticket {
        outbox.store(TurnFacts { reply_text: self.reply.text().to_owned(), ..self.facts.clone() }, with_audio)
    }

    fn since_reference_ms(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.reference_at_us) / 1000
    }
}
