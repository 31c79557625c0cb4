//! Lineage of turns: a retry supersedes the earlier attempts, a correction supersedes every turn from the corrected one
//! on; the rest make up the conversation. Pure.

use crate::event::TurnId;
use crate::store::record::{TurnRecord, Turns};
use std::collections::{BTreeMap, BTreeSet};

/// The turns of a session, added in their order.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// The first attempt of each turn; itself where it is no retry.
    first_attempts: BTreeMap<TurnId, TurnId>,
    current: BTreeSet<TurnId>,
}

impl Lineage {
    /// Adds the next turn, and returns the turns that it supersedes. Adding a turn again changes nothing.
    pub(crate) fn add(&mut self, turn: &TurnRecord) -> Vec<TurnId> {
        if self.first_attempts.contains_key(&turn.turn) {
            return Vec::new();
        }
        let first = turn.retry_of.map_or(turn.turn, |of| self.first_attempt(of));
        let is_superseded = |earlier: TurnId| {
            let is_attempt = turn.retry_of.is_some() && self.first_attempt(earlier) == first;
            is_attempt || turn.corrects.is_some_and(|corrected| earlier >= corrected)
        };
        let superseded: Vec<TurnId> = self.current.iter().copied().filter(|&earlier| is_superseded(earlier)).collect();
        for earlier in &superseded {
            self.current.remove(earlier);
        }
        self.first_attempts.insert(turn.turn, first);
        self.current.insert(turn.turn);
        superseded
    }

    pub(crate) fn is_current(&self, turn: TurnId) -> bool {
        self.current.contains(&turn)
    }

    /// The attempt at this turn that is part of the conversation: the turn itself, or its last retry. `None` where a
    /// correction supersedes it.
    pub(crate) fn current_attempt(&self, turn: TurnId) -> Option<TurnId> {
        let first = self.first_attempt(turn);
        self.current.iter().rev().copied().find(|&current| self.first_attempt(current) == first)
    }

    /// A turn that was not added, because it is damaged, counts as a first attempt.
    fn first_attempt(&self, turn: TurnId) -> TurnId {
        self.first_attempts.get(&turn).copied().unwrap_or(turn)
    }
}

impl<'t> FromIterator<&'t TurnRecord> for Lineage {
    fn from_iter<I: IntoIterator<Item = &'t TurnRecord>>(turns: I) -> Self {
        let mut lineage = Lineage::default();
        for turn in turns {
            lineage.add(turn);
        }
        lineage
    }
}

impl Turns {
    /// The turns that make up the conversation as it stands, in order: those that no later one supersedes. It is what
    /// the tutor remembers, and what a host shows; the others stay in the store as they were.
    pub fn current(&self) -> impl Iterator<Item = &TurnRecord> {
        let lineage: Lineage = self.turns.iter().collect();
        self.turns.iter().filter(move |turn| lineage.is_current(turn.turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{SessionId, TurnOrigin};

    enum Redoes {
        Nothing,
        Retry(u64),
        Correction(u64),
    }
    use Redoes::{Correction, Nothing, Retry};

    fn lineage(turns: &[Redoes]) -> Lineage {
        let record = |(n, redoes): (u64, &Redoes)| {
            let mut turn = TurnRecord::new(SessionId(uuid::Uuid::nil()), TurnId(n), TurnOrigin::Text, 0);
            match redoes {
                Nothing => {}
                Retry(of) => turn.retry_of = Some(TurnId(*of)),
                Correction(of) => turn.corrects = Some(TurnId(*of)),
            }
            turn
        };
        let records: Vec<TurnRecord> = (1..).zip(turns).map(record).collect();
        records.iter().collect()
    }

    fn current(turns: &[Redoes]) -> Vec<u64> {
        lineage(turns).current.iter().map(|turn| turn.0).collect()
    }

    #[test]
    fn a_retry_supersedes_every_earlier_attempt_and_nothing_else() {
        assert_eq!(current(&[Nothing, Nothing, Retry(1)]), [2, 3]);
        assert_eq!(current(&[Nothing, Nothing, Retry(1), Retry(3)]), [2, 4]);
        // The host may name the first attempt again.
        assert_eq!(current(&[Nothing, Nothing, Retry(1), Retry(1)]), [2, 4]);
    }

    #[test]
    fn a_correction_supersedes_every_turn_from_there_on() {
        assert_eq!(current(&[Nothing, Nothing, Nothing, Correction(2)]), [1, 4]);
        assert_eq!(current(&[Nothing, Nothing, Correction(2), Nothing, Correction(3)]), [1, 5]);
        assert_eq!(current(&[Nothing, Correction(1), Nothing, Retry(2)]), [3, 4]);
    }

    #[test]
    fn the_current_attempt_is_found_unless_a_correction_supersedes_it() {
        let lineage = lineage(&[Nothing, Nothing, Retry(1), Nothing, Correction(3), Retry(5)]);
        let found: Vec<Option<u64>> = (1..=6).map(|n| lineage.current_attempt(TurnId(n)).map(|t| t.0)).collect();
        assert_eq!(found, [None, Some(2), None, None, Some(6), Some(6)]);
    }

    #[test]
    fn a_turn_is_added_once() {
        let mut lineage = lineage(&[Nothing, Nothing]);
        let mut turn = TurnRecord::new(SessionId(uuid::Uuid::nil()), TurnId(3), TurnOrigin::Text, 0);
        turn.corrects = Some(TurnId(2));
        assert_eq!(lineage.add(&turn), [TurnId(2)]);
        assert_eq!(lineage.add(&turn), []);
    }
}
