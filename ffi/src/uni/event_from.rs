//! The engine's events as those of uniffi.

use super::event::{ErrorInfo, Metrics, SpeechTranscript, SpokenWord, TertuliaEvent, TertuliaEventKind as Kind, Word};
use engine::event as core;

impl From<core::Event> for TertuliaEvent {
    fn from(event: core::Event) -> Self {
        Self {
            kind: event.kind.into(),
            seq: event.seq,
            session: event.session.map(|session| session.to_string()),
            turn: event.turn.map(|turn| turn.0),
            at_ms: event.at_ms,
        }
    }
}

impl From<core::EventKind> for Kind {
    fn from(kind: core::EventKind) -> Self {
        use core::EventKind as Core;
        match kind {
            Core::SessionOpened { resumed, turns } => Self::SessionOpened { resumed, turns },
            Core::TurnStarted { origin, retry_of, corrects } => Self::TurnStarted {
                origin: origin.into(),
                retry_of: retry_of.map(|turn| turn.0),
                corrects: corrects.map(|turn| turn.0),
            },
            Core::SpeechStarted { start_ms } => Self::SpeechStarted { start_ms },
            Core::SpeechStopped { end_ms } => Self::SpeechStopped { end_ms },
            Core::Idle { silence_ms } => Self::Idle { silence_ms },
            Core::UtteranceEnded { start_ms, end_ms, decided_ms, reason } => {
                Self::UtteranceEnded { start_ms, end_ms, decided_ms, reason: reason.into() }
            }
            Core::TranscriptPartial { text, stable_len } => {
                Self::TranscriptPartial { text, stable_len: stable_len as u64 }
            }
            Core::TranscriptDone { transcript, stored } => {
                Self::TranscriptDone { transcript: transcript.into(), stored }
            }
            Core::ReplyTextDelta { text } => Self::ReplyTextDelta { text },
            Core::ReplyTextDone { text } => Self::ReplyTextDone { text },
            Core::ReplyAudioDelta { chunk, rate, samples, pcm, text_span, words } => Self::ReplyAudioDelta {
                chunk,
                rate,
                samples,
                pcm: bytemuck::cast_slice(&pcm).to_vec(),
                text_span: text_span.into(),
                words: words.into_iter().map(Into::into).collect(),
            },
            Core::ReplyAudioDone { samples_total } => Self::ReplyAudioDone { samples_total },
            Core::PlaybackPause => Self::PlaybackPause,
            Core::PlaybackResume => Self::PlaybackResume,
            Core::PlaybackFlush => Self::PlaybackFlush,
            Core::TurnFinished { reply_text } => Self::TurnFinished { reply_text },
            Core::TurnInterrupted { reason, heard_text, estimated } => {
                Self::TurnInterrupted { reason: reason.into(), heard_text, estimated }
            }
            Core::TurnFailed { stage, error } => Self::TurnFailed { stage: stage.into(), error: error.into() },
            Core::Metrics(metrics) => Self::Metrics { metrics: metrics.into() },
            Core::SessionClosed { ended } => Self::SessionClosed { ended },
            Core::ModelLoading { model, progress } => Self::ModelLoading { model, progress },
            Core::Error(error) => Self::Error { error: error.into() },
            _ => Self::Unknown,
        }
    }
}

impl From<core::Transcript> for SpeechTranscript {
    fn from(transcript: core::Transcript) -> Self {
        let word = |word: core::Word| Word {
            text: word.text,
            start_ms: word.start_ms,
            end_ms: word.end_ms,
            confidence: word.confidence,
        };
        Self {
            text: transcript.text,
            language: transcript.language.map(Into::into),
            language_probability: transcript.language_probability,
            no_speech_probability: transcript.no_speech_probability,
            average_log_probability: transcript.average_log_probability,
            finished_probability: transcript.finished_probability,
            words: transcript.words.into_iter().map(word).collect(),
        }
    }
}

impl From<core::SpokenWord> for SpokenWord {
    fn from(word: core::SpokenWord) -> Self {
        Self {
            text_span: word.text_span.into(),
            language: word.language.into(),
            start_sample: word.start_sample,
            end_sample: word.end_sample,
        }
    }
}

impl From<core::ErrorInfo> for ErrorInfo {
    fn from(error: core::ErrorInfo) -> Self {
        let core::ErrorInfo { code, name, retryable, detail, .. } = error;
        Self { code: code.into(), number: code.number(), name: name.into_owned(), retryable, detail }
    }
}

impl From<core::Metrics> for Metrics {
    fn from(of: core::Metrics) -> Self {
        Self {
            decided_ms: of.decided_ms,
            transcript_ms: of.transcript_ms,
            first_text_ms: of.first_text_ms,
            first_audio_ms: of.first_audio_ms,
            computed_ms: of.computed_ms,
            recognize_ms: of.recognize_ms,
            reply_ms: of.reply_ms,
            speak_ms: of.speak_ms,
            ahead_ms: of.ahead_ms,
            wasted_ms: of.wasted_ms,
            unread_events: of.unread_events,
            speech_ms: of.speech_ms,
            reply_audio_ms: of.reply_audio_ms,
            prompt_tokens: of.prompt_tokens,
            evaluated_tokens: of.evaluated_tokens,
            reply_tokens: of.reply_tokens,
            dropped_messages: of.dropped_messages,
        }
    }
}
