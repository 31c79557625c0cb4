//! [`RequestContext`]: for what, and for whom, a request is made.

use crate::event::{SessionId, TurnId};
use std::sync::Arc;

/// For what, and for whom, a request is made: for logs, accounts and caches of a backend. Its answer must not depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// The purpose of the answer.
    pub purpose: Purpose,
    /// The session; `None` for work without one.
    pub session: Option<SessionId>,
    /// The turn; `None` where none has begun yet.
    pub turn: Option<TurnId>,
    /// The host's own string: [`SessionConfig::request_tag`](crate::SessionConfig::request_tag).
    pub tag: Arc<str>,
}

/// The purpose of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// A partial transcript, or a turn detector's cue, while the user speaks.
    Partial,
    /// A transcript that is final if the user says no more; it is dropped if speech goes on.
    Draft,
    /// A final transcript.
    #[default]
    Final,
    /// A reply.
    Reply,
    /// Nothing yet: the tokens of a reply's prompt are evaluated ahead of it.
    Prefill,
    /// A summary of the conversation.
    Summary,
    /// Speech.
    Speech,
}
