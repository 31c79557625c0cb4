//! Sinks: the results of the host's backends, pushed from any thread.

use super::event::{SpeechTranscript, SpokenWord, TextSpan};
use super::{Result, call, samples};
use crate::sink::{OnCancel, SinkObject, host_error};
use engine::backend::{RecognitionStep, SpeechChunk, SpokenWord as CoreSpoken, Transcript, Word};
use std::sync::Arc;

/// Tells that the results of a sink are not wanted any more. It is called once, on any thread, with no lock of the library
/// held, and not after the sink has ended; it may make calls, and end the sink, but must not wait.
#[uniffi::export(foreign)]
pub trait CancelHandler: Send + Sync {
    /// The results are not wanted any more.
    fn cancelled(&self) -> Result<()>;
}

/// Calls a handler of the host's, whose exceptions have nowhere to go.
fn tell(handler: &dyn CancelHandler) {
    if let Err(error) = handler.cancelled() {
        tracing::warn!(%error, "a cancel handler failed");
    }
}

/// Declares a sink with the calls that all have.
macro_rules! sink {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(uniffi::Object)]
        pub struct $name(pub(super) SinkObject);

        #[uniffi::export]
        impl $name {
            /// Ends the results; so does letting go of the sink.
            pub fn done(&self) -> Result<()> {
                call(|| self.0.done())
            }

            /// Ends the results with an error: the number of a code of the table, or any other for HostCallback.
            pub fn fail(&self, number: u16, detail: String) -> Result<()> {
                call(|| self.0.fail(host_error(number.into(), &detail)))
            }

            /// Has the handler called where the results are not wanted any more, at once where that is so already; none for
            /// no call. The engine lets go of it with the results.
            pub fn set_cancel_handler(&self, handler: Option<Arc<dyn CancelHandler>>) {
                self.0.set_on_cancel(handler.map(|handler| Box::new(move || tell(&*handler)) as OnCancel));
            }

            /// True where the results are not wanted any more.
            pub fn is_cancelled(&self) -> bool {
                self.0.is_cancelled()
            }
        }
    };
}

sink! {
    /// Takes the transcripts of an utterance. A push fails with Cancelled where no more is wanted.
    RecognitionSink
}

sink! {
    /// Takes the parts of a reply. A push fails with Cancelled where no more is wanted.
    ChatSink
}

sink! {
    /// Takes chunks of speech. A push fails with Cancelled where no more is wanted.
    SpeechSink
}

#[uniffi::export]
impl RecognitionSink {
    /// Pushes a partial transcript, which replaces the one before; its first `stable_len` bytes will not change.
    #[uniffi::method(default(stable_len = 0))]
    pub fn push_partial(&self, text: String, stable_len: u64) -> Result<()> {
        let stable_len = usize::try_from(stable_len).unwrap_or(usize::MAX);
        call(|| self.0.push_transcript(RecognitionStep::Partial { text, stable_len }))
    }

    /// Pushes the transcript of the utterance.
    pub fn push_final(&self, transcript: SpeechTranscript) -> Result<()> {
        call(|| {
            let word = |word: super::event::Word| Word::new(word.text, word.start_ms..word.end_ms, word.confidence);
            let mut core = Transcript::from(transcript.text);
            core.language = transcript.language.map(|language| language.parse()).transpose()?;
            core.language_probability = transcript.language_probability;
            core.no_speech_probability = transcript.no_speech_probability;
            core.average_log_probability = transcript.average_log_probability;
            core.finished_probability = transcript.finished_probability;
            core.words = transcript.words.into_iter().map(word).collect();
            self.0.push_transcript(RecognitionStep::Final(core))
        })
    }
}

#[uniffi::export]
impl ChatSink {
    /// Pushes the next part of the reply's text, in whole characters.
    pub fn push_text(&self, text: String) -> Result<()> {
        call(|| self.0.push_text(text))
    }
}

#[uniffi::export]
impl SpeechSink {
    /// Pushes the next chunk: mono samples (little-endian 32-bit floats) at `rate` Hz that speak a part of the request's
    /// text. The chunks cover the text without gap. The words, with samples of the chunk, may be left out.
    #[uniffi::method(default(words = []))]
    pub fn push_audio(&self, pcm: &[u8], rate: u32, text_span: TextSpan, words: Vec<SpokenWord>) -> Result<()> {
        call(|| {
            let word = |word: SpokenWord| {
                let samples = word.start_sample..word.end_sample;
                Ok(CoreSpoken::new(word.text_span.into(), word.language.parse()?, samples))
            };
            let mut chunk = SpeechChunk::new(samples(pcm)?.into_owned(), rate, text_span.into());
            chunk.words = words.into_iter().map(word).collect::<engine::Result<_>>()?;
            self.0.push_speech(chunk)
        })
    }
}
