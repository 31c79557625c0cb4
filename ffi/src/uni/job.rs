//! Jobs: work without a session.

use super::config::mirrored;
use super::event::{SpeechTranscript, SpokenWord, TertuliaEvent, TextSpan};
use super::models::PullProgress;
use super::record::{ExportReport, ImportReport, Verified};
use super::{Result, call};
use crate::job::JobObject;
use engine::backend::{SpeechChunk as CoreChunk, Transcript};
use engine::{Event, Job, store};
use std::sync::Arc;

/// A chunk of synthesised speech.
#[derive(Clone, Debug, uniffi::Record)]
pub struct SpeechChunk {
    /// Mono samples: little-endian 32-bit floats.
    pub pcm: Vec<u8>,
    /// Samples per second.
    pub rate: u32,
    /// The part of the text that it speaks.
    pub text_span: TextSpan,
    /// Its words; empty where the voice has no word times.
    pub words: Vec<SpokenWord>,
}

/// An item of a job.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum JobItem {
    /// The work is done; nothing else is to be told.
    Done,
    /// The result of a transcription.
    Transcript { transcript: SpeechTranscript },
    /// The next event of a recording that is listened to.
    Event { event: TertuliaEvent },
    /// The next chunk of speech.
    Speech { chunk: SpeechChunk },
    /// The result of an export.
    Exported { report: ExportReport },
    /// The result of an import.
    Imported { report: ImportReport },
    /// The result of a verification.
    Checked { report: Verified },
    /// The progress of a pull.
    Pull { progress: PullProgress },
}

/// An item of a job of the engine's.
pub(super) trait Item: Send + 'static {
    fn into_item(self) -> JobItem;
}

impl Item for () {
    fn into_item(self) -> JobItem {
        JobItem::Done
    }
}

impl Item for Transcript {
    fn into_item(self) -> JobItem {
        JobItem::Transcript { transcript: self.into() }
    }
}

impl Item for Event {
    fn into_item(self) -> JobItem {
        JobItem::Event { event: self.into() }
    }
}

impl Item for CoreChunk {
    fn into_item(self) -> JobItem {
        let CoreChunk { samples, rate, text_span, words, .. } = self;
        let pcm = bytemuck::cast_slice(&samples).to_vec();
        let words = words.into_iter().map(Into::into).collect();
        JobItem::Speech { chunk: SpeechChunk { pcm, rate, text_span: text_span.into(), words } }
    }
}

/// Reports, whose forms a test compares.
macro_rules! reports {
    ($($report:ty, $item:ident, $field:ident;)*) => {$(
        impl Item for $report {
            fn into_item(self) -> JobItem {
                JobItem::$item { $field: mirrored(&self).expect("the forms are the same") }
            }
        }
    )*};
}

reports! {
    store::ExportReport, Exported, report;
    store::ImportReport, Imported, report;
    store::Verified, Checked, report;
}

#[cfg(feature = "models")]
reports!(tertulia_models::files::Progress, Pull, progress;);

/// Work without a session. It is done on the thread that asks for its items.
#[derive(uniffi::Object)]
pub struct EngineJob(JobObject<JobItem>);

impl EngineJob {
    pub(super) fn new<T: Item>(job: Job<'static, T>) -> Arc<Self> {
        Arc::new(Self(JobObject::of(job, T::into_item)))
    }
}

impl Drop for EngineJob {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[uniffi::export]
impl EngineJob {
    /// Works until there is the next item; none once the job is over.
    pub fn next(&self) -> Result<Option<JobItem>> {
        call(|| self.0.next())
    }

    /// Stops the job after the piece under way; any thread.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// The share that is done, 0 to 1; 0 where it is not known.
    pub fn progress(&self) -> f32 {
        self.0.progress()
    }
}
