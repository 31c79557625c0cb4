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
