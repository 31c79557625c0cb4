//! Retention: the rules by which audio and text expire. Pure: the clock is an argument.

use crate::config::{Keep, Retention};
use crate::store::payload::SessionPayload;
use crate::store::record::AudioKind;

/// A record of a turn of `at_ms` has expired. Never early, where the clock was put back.
pub(super) fn expired(rule: Keep, at_ms: u64, session_ended: bool, now_ms: u64) -> bool {
    match rule {
        Keep::Never => true,
        Keep::UntilSessionEnd => session_ended,
        Keep::ForMs(keep_ms) => now_ms.saturating_sub(at_ms) >= keep_ms,
        Keep::Forever => false,
    }
}

/// A record may be written now.
pub(super) fn may_write(rule: Keep, session_ended: bool) -> bool {
    match rule {
        Keep::Never => false,
        Keep::UntilSessionEnd => !session_ended,
        Keep::ForMs(_) | Keep::Forever => true,
    }
}

/// A session may hold expired records of this rule.
pub(super) fn may_expire(rule: Keep, session_ended: bool) -> bool {
    expired(rule, 0, session_ended, u64::MAX)
}

pub(super) fn audio_rule(retention: &Retention, kind: AudioKind) -> Keep {
    match kind {
        AudioKind::User => retention.user_audio,
        AudioKind::Reply => retention.reply_audio,
    }
}

/// Texts may be written into this session.
pub(super) fn text_allowed(session: &SessionPayload) -> bool {
    may_write(session.config.retention.text, session.ended_ms.is_some())
}
