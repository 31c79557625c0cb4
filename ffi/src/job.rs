//! Jobs: work without a session, which runs on the thread that asks for its items.

use crate::boundary::{call, give, invalid, put, quietly};
use crate::data::{Data, Samples, tertulia_data};
use crate::error::{free, tertulia_error};
use crate::handle;
use engine::backend::{SpeechChunk, Transcript, block_on};
use engine::store::{ExportReport, ImportReport, Verified};
use engine::{ErrorCode, Event, Job, JobControl, Result};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Work without a session. Free it with `tertulia_job_free()`, which stops it.
pub struct tertulia_job(());

/// A job, and its items in the form of a language.
pub(crate) struct JobObject<D = Data> {
    control: JobControl,
    is_cancelled: AtomicBool,
    /// The next item; none once the job is over.
    next: Mutex<Option<Next<D>>>,
}

type Next<D> = Box<dyn FnMut() -> Result<Option<D>> + Send>;

impl<D: 'static> JobObject<D> {
    pub(crate) fn of<T: Send + 'static>(mut job: Job<'static, T>, form: fn(T) -> D) -> Self {
        let control = job.control();
        let next: Next<D> = Box::new(move || Ok(block_on(job.next())?.map(form)));
        Self { control, is_cancelled: AtomicBool::new(false), next: Mutex::new(Some(next)) }
    }

    /// The next item; none once the job is over.
    pub(crate) fn next(&self) -> Result<Option<D>> {
        let Some(mut next) = self.next.try_lock() else {
            return Err(invalid("the job runs on another thread"));
        };
        let Some(work) = &mut *next else { return Ok(None) };
        let item = work();
        let over = if matches!(item, Ok(Some(_))) { None } else { next.take() };
        drop(next);
        // Outside of the lock: a backend of the host's may be told that its results are not wanted any more.
        drop(over);
        if self.is_cancelled.load(Ordering::SeqCst) {
            self.drop_work();
        }
        item
    }

    /// Stops the job; its backend is told at once, also where no thread asks for the next item.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        self.control.cancel();
        self.drop_work();
    }

    fn drop_work(&self) {
        // The thread that runs it does so itself.
        let Some(mut next) = self.next.try_lock() else { return };
        if next.is_some() {
            let work = next.replace(Box::new(|| Err(ErrorCode::Cancelled.into())));
            drop(next);
            drop(work);
        }
    }

    pub(crate) fn progress(&self) -> f32 {
        self.control.progress()
    }
}

impl JobObject {
    pub(crate) fn new<T: Item>(job: Job<'static, T>) -> Self {
        Self::of(job, T::into_data)
    }
}

/// An item of a job as data of C.
pub(crate) trait Item: Send + 'static {
    fn into_data(self) -> Data;
}

impl Item for () {
    fn into_data(self) -> Data {
        Data::json("{}")
    }
}

macro_rules! items {
    ($($item:ty),*) => {$(
        impl Item for $item {
            fn into_data(self) -> Data {
                Data::json(&serde_json::to_string(&self).expect("reports hold strings and numbers"))
            }
        }
    )*};
}

items!(ExportReport, ImportReport, Transcript, Verified);

#[cfg(feature = "models")]
items!(tertulia_models::files::Progress);

impl Item for Event {
    fn into_data(self) -> Data {
        Data::json(&self.to_json())
    }
}

impl Item for SpeechChunk {
    fn into_data(self) -> Data {
        let Self { samples, rate, text_span, words, .. } = self;
        let words = serde_json::to_value(&words).expect("words hold strings and numbers");
        let span = [text_span.start, text_span.end];
        let json = serde_json::json!({"rate": rate, "text_span": span, "samples": samples.len(), "words": words});
        Data { samples: Samples::F32(samples.into()), ..Data::json(&json.to_string()) }
    }
}

/// Works until there is the next item, which is written to `out_item` and must be freed; NULL once the job is over. The
/// work is done on this thread; another thread may cancel it meanwhile.
///
/// A transcription, an export, an import, a verification has one item: its result. A recording that is listened to has
/// events; speech has chunks, with samples; a pull has progress.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_job_next(
    job: *const tertulia_job,
    out_item: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        if out_item.is_null() {
            return Err(invalid("the place for the item is NULL"));
        }
        put(out_item, std::ptr::null_mut());
        match handle::get::<JobObject>(job)?.next()? {
            Some(item) => give(out_item, || Ok(item)),
            None => Ok(()),
        }
    })
}

/// Stops a job after the piece under way; any thread.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_job_cancel(job: *const tertulia_job) -> i32 {
    call(std::ptr::null_mut(), || {
        handle::get::<JobObject>(job)?.cancel();
        Ok(())
    })
}

/// The share of a job that is done, 0 to 1; 0 where it is not known. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_job_progress(job: *const tertulia_job) -> f32 {
    quietly(0.0, || handle::get::<JobObject>(job).map_or(0.0, |object| object.progress()))
}

/// Frees a job, and stops it. NULL does nothing. Where another thread runs it, it stops after the piece under way.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_job_free(job: *mut tertulia_job) -> i32 {
    if !job.is_null() && tertulia_job_cancel(job) != crate::boundary::OK {
        return i32::from(ErrorCode::InvalidArgument.number());
    }
    free::<JobObject>(job)
}
