//! When the store is tidied up: soon after opening, every hour, and when there may be too much audio. Never in the way of
//! a commit: on a thread of its own, where there are threads, in small transactions between which commits get their turn.
//! While no session is open the store is compacted, too, where most of it is unused; a commit meanwhile puts that off.

use super::Shared;
use crate::error::{Error, ErrorCode, Result};
use crate::job::{Job, JobControl};
use std::sync::Arc;

/// How long after one tidying the next is due, in microseconds.
const EVERY_US: u64 = 3_600_000_000;
/// The same where there may be too much audio: what is in use now can be deleted only later.
const OVER_QUOTA_EVERY_US: u64 = 10_000_000;

impl Shared {
    /// In how many microseconds the store is to be tidied up.
    pub(crate) fn tidying_due_in_us(&self) -> u64 {
        let last = *self.tidied_us.lock();
        let every_us = if self.store.may_exceed_quota() { OVER_QUOTA_EVERY_US } else { EVERY_US };
        last.map_or(0, |last_us| (last_us + every_us).saturating_sub(self.clock.monotonic_us()))
    }

    /// The work of deleting what may not stay, and of giving back room while no session is open; `None` where nothing is
    /// due. A failure is logged, and tried again when it is due next.
    pub(crate) fn tidying_if_due(self: &Arc<Self>) -> Option<Job<'static, ()>> {
        if self.tidying_due_in_us() > 0 {
            return None;
        }
        *self.tidied_us.lock() = Some(self.clock.monotonic_us());
        let (shared, control) = (self.clone(), JobControl::default());
        Some(Job::once(control.clone(), async move {
            match shared.store.sweep(shared.clock.unix_ms(), false) {
                Ok(swept) if swept.is_empty() => {}
                Ok(swept) => tracing::info!(?swept, "what may not stay was deleted"),
                Err(error) if is_closed(&error) => {
                    *shared.tidied_us.lock() = None;
                    return Ok(());
                }
                Err(error) => tracing::warn!(error = error.chain(), "the store could not be tidied up"),
            }
            control.piece(0.0).await?;
            // The next time will do; storage of the host's may have no second.
            match shared.compact_if_idle(&control).await {
                Ok(()) => {}
                Err(error) if is_closed(&error) || error.code() == ErrorCode::StoreCannotReplace => {}
                Err(error) => tracing::warn!(error = error.chain(), "the store could not be compacted"),
            }
            Ok(())
        }))
    }

    async fn compact_if_idle(&self, control: &JobControl) -> Result<()> {
        if self.open.is_empty() && self.store.wastes_room()? {
            self.store.compact_if_idle(control).await?;
        }
        Ok(())
    }
}

fn is_closed(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::Suspended | ErrorCode::EngineClosed)
}
