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
    match rule {
        Keep::Never | Keep::ForMs(_) => true,
        Keep::UntilSessionEnd => session_ended,
        Keep::Forever => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_retention_rule_expires_when_it_says() {
        let day_ms = 86_400_000;
        assert!(expired(Keep::Never, 0, false, 0));
        assert!(!expired(Keep::UntilSessionEnd, 0, false, u64::MAX));
        assert!(expired(Keep::UntilSessionEnd, 0, true, 0));
        assert!(!expired(Keep::ForMs(day_ms), 1000, true, 999 + day_ms));
        assert!(expired(Keep::ForMs(day_ms), 1000, false, 1000 + day_ms));
        assert!(!expired(Keep::Forever, 0, true, u64::MAX));
    }

    #[test]
    fn retention_deletes_nothing_after_the_clock_was_put_back() {
        assert!(!expired(Keep::ForMs(1), 1_000_000, false, 5));
    }
}
