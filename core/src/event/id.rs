//! The ids of sessions and turns.

use crate::error::{Error, ErrorCode};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// A session's id: a UUID version 7, so that ids sort by age.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// An id for a session that starts at `now_ms` (Unix time in ms).
    pub fn new(now_ms: u64) -> Self {
        let (seconds, nanos) = (now_ms / 1000, (now_ms % 1000) as u32 * 1_000_000);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }
}

impl std::str::FromStr for SessionId {
    type Err = Error;

    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where the text is not a UUID.
    fn from_str(text: &str) -> Result<Self, Error> {
        let uuid = Uuid::try_parse(text)
            .map_err(|source| Error::new(ErrorCode::InvalidArgument, "not a session id").with_source(source))?;
        Ok(Self(uuid))
    }
}

/// A turn's number within its session, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TurnId(pub u64);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
