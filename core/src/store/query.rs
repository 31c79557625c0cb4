//! The list of sessions: filters, pages, and the search in texts.

use crate::error::Result;
use crate::event::{SessionId, TurnId, TurnOrigin};
use crate::store::fault::Fault;
use crate::store::payload::{Stored, TextsPayload};
use crate::store::record::{SessionCursor, SessionPage, SessionSummary};
use crate::store::schema::{Kind, UpdatedKey, bounds, decode, split_updated_key, turn_key, turn_of_key, updated_key};
use crate::store::tables::{Snapshot, rows, unless_damaged};
use crate::strict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Bytes of records that do not match, or of turns, which one page looks through at most.
const SCAN_BYTES_MAX: usize = 1 << 20;
/// About the cost of a record besides its bytes, and ...
const ROW_BYTES: usize = 256;
/// ... of a session.
const SESSION_BYTES: usize = 1_024;

/// The filters of a list of sessions: a session is listed where all of them match. The default lists every session.
///
/// Texts match by any part, without regard to case in any script; accents count.
///
/// ```
/// use tertulia::store::SessionQuery;
/// let query = SessionQuery::from_json(r#"{"text": "playa", "metadata": {"course": "es-1"}}"#)?;
/// assert_eq!(query, SessionQuery { text: Some("playa".into()), ..query.clone() });
/// # Ok::<(), tertulia::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SessionQuery {
    /// A part of the title: the host's, or the first words of the user where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A part of the title, or of what the user or the tutor said in one turn, as far as retention left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The name of the scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Created at this Unix time in ms or later, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_from_ms: Option<u64>,
    /// ... and before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before_ms: Option<u64>,
    /// Changed last at this Unix time in ms or later, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_from_ms: Option<u64>,
    /// ... and before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_before_ms: Option<u64>,
    /// Names and values that the session's metadata hold, among others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl SessionQuery {
    /// Reads a query from JSON.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`](crate::ErrorCode::InvalidConfig) with the path of a filter that is unknown or of
    /// another type.
    pub fn from_json(json: &str) -> Result<Self> {
        strict::from_json(json)
    }

    /// Matches all that the list itself shows of a session.
    fn matches(&self, session: &SessionSummary) -> bool {
        let SessionSummary { created_ms, updated_ms, title, metadata, scenario, .. } = session;
        let has = |(name, value): (&String, &String)| metadata.get(name) == Some(value);
        self.scenario.as_ref().is_none_or(|wanted| wanted == scenario)
            && self.created_from_ms.is_none_or(|from| *created_ms >= from)
            && self.created_before_ms.is_none_or(|before| *created_ms < before)
            && self.updated_from_ms.is_none_or(|from| *updated_ms >= from)
            && self.updated_before_ms.is_none_or(|before| *updated_ms < before)
            && self.metadata.iter().all(has)
            && self.title.as_ref().is_none_or(|part| folded(title).contains(&folded(part)))
    }

    /// The place after which the list begins: that of the cursor, or of a later limit of the query.
    fn begin(&self, after: Option<SessionCursor>) -> Bound<UpdatedKey> {
        let limit = self.updated_before_ms.map(|ms| updated_key(ms, SessionId(uuid::Uuid::nil())));
        let Some(after) = after else { return limit.map_or(Bound::Unbounded, Bound::Excluded) };
        let key = updated_key(after.updated_ms, after.id);
        match (limit.filter(|limit| *limit <= key), after.turn) {
            (Some(limit), _) => Bound::Excluded(limit),
            (None, Some(_)) => Bound::Included(key),
            (None, None) => Bound::Excluded(key),
        }
    }
}

/// The result of a search in one session.
enum Found {
    Match,
    Nothing,
    /// The page ends before this turn.
    Unfinished(TurnId),
}

impl Snapshot {
    pub(super) fn page(
        &self,
        query: &SessionQuery,
        after: Option<SessionCursor>,
        limit: usize,
    ) -> Result<SessionPage, Fault> {
        let limit = limit.max(1);
        let (mut page, mut left, mut last) = (SessionPage::default(), SCAN_BYTES_MAX, None);
        let begin = query.begin(after);
        for row in self.by_updated.range::<&UpdatedKey>((Bound::Unbounded, begin.as_ref()))?.rev() {
            if page.sessions.len() + page.damaged.len() == limit || left == 0 {
                page.next = last;
                break;
            }
            let (updated_ms, id) = split_updated_key(row?.0.value());
            if query.updated_from_ms.is_some_and(|from| updated_ms < from) {
                break;
            }
            let session = match self.load_session(id) {
                Ok(session) => session,
                Err(Fault::Own(_)) => {
                    page.damaged.push(id);
                    last = Some(SessionCursor { updated_ms, id, turn: None });
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let begun = after.filter(|after| after.id == id).and_then(|after| after.turn);
            let text_from = TurnId(session.text_from).max(begun.unwrap_or(TurnId(0)));
            let summary = SessionSummary::from(&session.record(id)?);
            match self.find(query, &summary, text_from, &mut left)? {
                Found::Match => page.sessions.push(summary),
                Found::Nothing => left = left.saturating_sub(SESSION_BYTES),
                Found::Unfinished(turn) => {
                    page.next = Some(SessionCursor { updated_ms, id, turn: Some(turn) });
                    break;
                }
            }
            last = Some(SessionCursor { updated_ms, id, turn: None });
        }
        Ok(page)
    }

    /// Looks through a session from a turn on, within the bytes that are left.
    fn find(
        &self,
        query: &SessionQuery,
        session: &SessionSummary,
        from: TurnId,
        left: &mut usize,
    ) -> Result<Found, Fault> {
        if !query.matches(session) {
            return Ok(Found::Nothing);
        }
        let Some(part) = query.text.as_deref().map(folded) else { return Ok(Found::Match) };
        if folded(&session.title).contains(&part) {
            return Ok(Found::Match);
        }
        let (_, last) = bounds(session.id.0.as_bytes());
        for row in rows(&self.turns, (turn_key(session.id, from), last))? {
            let (key, value) = row?;
            if *left == 0 {
                return Ok(Found::Unfinished(turn_of_key(key.value())));
            }
            *left = left.saturating_sub(ROW_BYTES + value.value().len());
            let texts = decode::<TextsPayload>(&self.sealing, Kind::Turn, key.value(), value.value());
            if unless_damaged(texts.map_err(Fault::from))?.is_some_and(|texts| texts.contain(&part)) {
                return Ok(Found::Match);
            }
        }
        Ok(Found::Nothing)
    }
}

impl TextsPayload {
    fn contain(&self, part: &str) -> bool {
        // Earlier versions stored the host's instructions as the user's text.
        let is_users = self.origin != TurnOrigin::Reply.form();
        is_users && folded(&self.user_text).contains(part) || folded(&self.reply_text).contains(part)
    }
}

/// The text without differences of case.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // By way of the capital letters, so that 'ß' is 'ss', and 'ς' is 'σ'.
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_without_case() {
        for (one, other) in
            [("ÁRBOL", "árbol"), ("Straße", "STRASSE"), ("ΟΔΟΣ", "οδος"), ("οδός", "ΟΔΌΣ"), ("ЁЖ", "ёж"), ("İ", "i̇")]
        {
            assert_eq!(folded(one), folded(other));
        }
        assert_ne!(folded("árbol"), folded("arbol"));
    }
}
