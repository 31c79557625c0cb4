//! When the store is tidied up: soon after opening, every hour, and when there may be too much audio. Never in the way of
//! a commit: on a thread of its own, where there are threads, in small transactions between which commits get their turn.
//! While no session is open the store is compacted, too, where most of it is unused.

use super::Shared;
use crate::error::ErrorCode;

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

    /// Deletes what may not stay; false where nothing was due. A failure is logged, and tried again when it is due next.
    pub(crate) fn tidy_if_due(&self) -> bool {
        if self.tidying_due_in_us() > 0 {
            return false;
        }
        *self.tidied_us.lock() = Some(self.clock.monotonic_us());
        match self.store.sweep(self.clock.unix_ms(), false) {
            Ok(swept) if swept.is_empty() => {}
            Ok(swept) => tracing::info!(?swept, "what may not stay was deleted"),
            Err(error) if matches!(error.code(), ErrorCode::Suspended | ErrorCode::EngineClosed) => {
                *self.tidied_us.lock() = None;
                return true;
            }
            Err(error) => tracing::warn!(error = error.chain(), "the store could not be tidied up"),
        }
        self.compact_if_idle();
        true
    }

    /// Gives back room while no session is open; who opens one waits for it.
    fn compact_if_idle(&self) {
        let compacted = self.open.while_none_is_open(|| match self.store.wastes_room()? {
            true => self.store.compact(),
            false => Ok(()),
        });
        match compacted {
            Ok(()) => {}
            // The next time will do; storage of the host's may have no second.
            Err(error)
                if matches!(
                    error.code(),
                    ErrorCode::SessionBusy
                        | ErrorCode::StoreCannotReplace
                        | ErrorCode::Suspended
                        | ErrorCode::EngineClosed
                ) => {}
            Err(error) => tracing::warn!(error = error.chain(), "the store could not be compacted"),
        }
    }
}
