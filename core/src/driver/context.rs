//! The chat model's view of a conversation: a summary of its beginning, and the rest word for word.
//!
//! Pure. Nothing leaves unnoticed: an exchange stays until a summary that covers it takes its place.

use crate::backend::{ChatModel, Message, Role};
use crate::catalog::Catalog;
use crate::config::SessionConfig;
use crate::error::Result;
use crate::event::{InterruptReason, TurnId, TurnOrigin, TurnState};
use crate::prompt;
use crate::store::{Summary, TurnRecord};
use std::sync::Arc;

/// Tokens that a chat template puts around a message.
const MESSAGE_TOKENS: usize = 8;
/// The longest summary, in tokens, and as a part of the context.
const SUMMARY_TOKENS_MAX: usize = 256;
const SUMMARY_PART_OF_CONTEXT: usize = 8;
/// Exchanges that stay word for word as long as they fit.
const KEPT_MIN: usize = 2;

/// A turn's part of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    turn: TurnId,
    /// Nothing where the host had the tutor speak.
    user: Option<Message>,
    /// The user's words, not the host's.
    is_learners: bool,
    /// The heard text; empty where the user went on before a word of it.
    reply: String,
    /// The learner spoke into it.
    interrupted: bool,
}

/// A conversation up to now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialogue {
    summary: Option<Summary>,
    /// The turns that the summary does not cover, in order.
    exchanges: Vec<Arc<Exchange>>,
    /// How often something was taken out of the conversation; a summary that was begun before may tell of it.
    generation: u32,
}

/// A summary that was made, and the one that it continues, by the last turn that was covered.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    generation: u32,
    pub(crate) after: Option<TurnId>,
    pub(crate) summary: Summary,
}

/// The settings that a prompt is worded by.
pub(crate) type Wording<'a> = (&'a SessionConfig, &'a Catalog);

/// The room for a prompt in the chat model's context.
pub(crate) struct Room<'a> {
    wording: Wording<'a>,
    chat: &'a dyn ChatModel,
    /// The most tokens of a prompt, so that there is room for the reply.
    pub(crate) tokens_max: usize,
    /// The most tokens of a summary.
    pub(crate) summary_max: usize,
}

impl<'a> Room<'a> {
    pub(crate) fn new(chat: &'a dyn ChatModel, wording: Wording<'a>) -> Self {
        let context_len = chat.context_len();
        let reply_max = (wording.0.sampling.max_tokens as usize).clamp(1, (context_len / 4).max(1)).min(context_len);
        let summary_max = (context_len / SUMMARY_PART_OF_CONTEXT).clamp(1, SUMMARY_TOKENS_MAX);
        Self { wording, chat, tokens_max: context_len - reply_max, summary_max }
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.chat.count_tokens(text)
    }

    /// Tokens of the messages, marks of the chat format included.
    pub(crate) fn tokens_of(&self, messages: &[Message]) -> usize {
        messages.iter().map(|message| self.count(&message.content) + MESSAGE_TOKENS).sum()
    }

    /// Tokens of what is in every prompt.
    fn fixed(&self) -> Result<usize> {
        Ok(self.tokens_of(&prompt::system_messages(self.wording.0, self.wording.1)?))
    }
}

/// How many of the oldest exchanges are to be summarised next, given the tokens of each and how many all may have
/// together: so many that half of the room is free, and the next time is far. At least one.
fn to_fold(tokens: &[usize], room: usize) -> usize {
    let kept_within = |room: usize| {
        let mut left = room;
        let fits = |tokens: &&usize| left.checked_sub(**tokens).map(|rest| left = rest).is_some();
        tokens.iter().rev().take_while(fits).count()
    };
    let kept = kept_within(room / 2).max(kept_within(room).min(KEPT_MIN));
    tokens.len().saturating_sub(kept).max(1)
}

impl Exchange {
    /// A stored turn's exchange; none where the tutor never answered, unless the user only went on before it could.
    pub(crate) fn of(record: &TurnRecord) -> Option<Exchange> {
        let interrupted = record.state == TurnState::Interrupted { reason: InterruptReason::BargeIn };
        let reply = record.heard_text.as_ref().unwrap_or(&record.reply_text).clone();
        let given = if record.origin == TurnOrigin::Reply { &record.instructions } else { &record.user_text };
        let has_words = record.origin != TurnOrigin::Say && !given.is_empty();
        if reply.is_empty() && !(interrupted && has_words) {
            return None;
        }
        let user = has_words.then(|| learners_message(record.origin, given.clone()));
        let is_learners = matches!(record.origin, TurnOrigin::Utterance | TurnOrigin::Text);
        Some(Exchange { turn: record.turn, user, is_learners, reply, interrupted })
    }

    fn tokens(&self, room: &Room<'_>) -> usize {
        let user = self.user.as_ref().map_or(0, |user| room.count(&user.content) + MESSAGE_TOKENS);
        user + room.count(&self.reply) + MESSAGE_TOKENS
    }

    /// The lines for a summary.
    fn lines(&self, (config, catalog): Wording<'_>) -> String {
        let mut lines = String::new();
        if let Some(user) = &self.user {
            lines += &match self.is_learners {
                true => prompt::spoken_line(Role::User, &user.content, config, catalog),
                false => user.content.clone(),
            };
            lines.push('\n');
        }
        if !self.reply.is_empty() {
            lines += &prompt::spoken_line(Role::Assistant, &self.reply, config, catalog);
            lines.push('\n');
        }
        lines
    }
}

/// The chat model's message for the user's words, or for an instruction.
pub(crate) fn learners_message(origin: TurnOrigin, given: String) -> Message {
    match origin {
        TurnOrigin::Reply | TurnOrigin::Say => prompt::instruction_message(&given),
        TurnOrigin::Utterance | TurnOrigin::Text => Message::new(Role::User, given),
    }
}

impl Dialogue {
    /// A conversation as it is stored.
    pub(crate) fn new<'t>(summary: Option<Summary>, turns: impl Iterator<Item = &'t TurnRecord>) -> Self {
        let exchanges = turns.filter_map(Exchange::of).map(Arc::new).collect();
        Self { summary, exchanges, generation: 0 }
    }

    /// Begins the conversation afresh with these turns and without a summary; later exchanges stay.
    pub(crate) fn renew<'t>(&mut self, turns: impl Iterator<Item = &'t TurnRecord>) {
        let fresh = Self { generation: self.generation + 1, ..Self::new(None, turns) };
        let last = fresh.exchanges.last().map(|exchange| exchange.turn);
        let later = std::mem::replace(self, fresh).exchanges;
        self.exchanges.extend(later.into_iter().filter(|exchange| Some(exchange.turn) > last));
    }

    /// Leaves out turns that others have taken the place of.
    pub(crate) fn leave_out(&mut self, turns: &[TurnId]) {
        self.exchanges.retain(|exchange| !turns.contains(&exchange.turn));
        self.generation += 1;
    }

    /// True where it has words of the user.
    pub(crate) fn has_learners_words(&self) -> bool {
        self.summary.is_some() || self.exchanges.iter().any(|exchange| exchange.is_learners)
    }

    pub(crate) fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Adds what a turn said; true where the summary says of less turns than before that it covers them: this turn began
    /// before one of them and ended after it.
    pub(crate) fn push(&mut self, exchange: Exchange) -> bool {
        let turn = exchange.turn;
        let place = self.exchanges.partition_point(|other| other.turn < turn);
        self.exchanges.insert(place, Arc::new(exchange));
        match self.summary.as_mut().filter(|summary| summary.through >= turn) {
            Some(summary) => {
                summary.through = TurnId(turn.0.saturating_sub(1));
                true
            }
            None => false,
        }
    }

    /// Takes in a summary, in place of what it covers; false where it continues another one than there is.
    pub(crate) fn fold(&mut self, folded: Folded) -> bool {
        if folded.after != self.through() || folded.generation != self.generation {
            return false;
        }
        self.exchanges.retain(|exchange| exchange.turn > folded.summary.through);
        self.summary = Some(folded.summary);
        true
    }

    /// The last turn that is covered.
    fn through(&self) -> Option<TurnId> {
        self.summary.as_ref().map(|summary| summary.through)
    }

    /// The summary as it becomes when `text` covers the first `count` exchanges too.
    pub(crate) fn folded(&self, count: usize, text: String) -> Option<Folded> {
        let (first, last) = (self.exchanges.first()?.turn, self.exchanges[..count].last()?.turn);
        let from = self.summary.as_ref().map_or(first, |summary| summary.from.min(first));
        Some(Folded {
            generation: self.generation,
            after: self.through(),
            summary: Summary { text, from, through: last },
        })
    }

    /// All of it for the chat model, with a new last message.
    pub(crate) fn messages(&self, last: Option<&Message>, wording: Wording<'_>) -> Result<Vec<Message>> {
        let (config, catalog) = wording;
        let mut messages = prompt::system_messages(config, catalog)?;
        if let Some(summary) = &self.summary {
            prompt::remember(&mut messages, &summary.text, config, catalog);
        }
        let pinned = messages.len();
        let mut interrupted = false;
        for exchange in &self.exchanges {
            if let Some(message) = exchange.user.clone() {
                add_user(&mut messages, message, interrupted, wording);
            }
            if !exchange.reply.is_empty() {
                if messages.len() == pinned {
                    // A first reply of the host's answers nothing.
                    let opening = match self.summary {
                        Some(_) => "…".to_owned(),
                        None => prompt::opening_instruction(config, catalog)?,
                    };
                    messages.push(prompt::instruction_message(&opening));
                }
                add_message(&mut messages, Message::new(Role::Assistant, exchange.reply.clone()));
            }
            interrupted = exchange.interrupted;
        }
        if let Some(last) = last {
            add_user(&mut messages, last.clone(), interrupted, wording);
        }
        Ok(messages)
    }

    /// True where summaries can make the messages with `last` fit: all but the last one is summarised at most.
    pub(crate) fn can_make_room(&self, last: &Message, room: &Room<'_>) -> Result<bool> {
        let bare = Dialogue { exchanges: Vec::new(), ..self.clone() };
        let tokens_min = room.tokens_of(&bare.messages(Some(last), room.wording)?);
        Ok(!self.exchanges.is_empty() && tokens_min <= room.tokens_max)
    }

    /// How many of the oldest exchanges have to be summarised for the messages with `last` to fit; none where they do.
    pub(crate) fn excess(&self, last: &Message, room: &Room<'_>) -> Result<usize> {
        let total = room.tokens_of(&self.messages(Some(last), room.wording)?);
        if total <= room.tokens_max || self.exchanges.is_empty() {
            return Ok(0);
        }
        let taken = room.fixed()? + room.summary_max + room.count(&last.content) + MESSAGE_TOKENS;
        Ok(to_fold(&self.exchange_tokens(room), room.tokens_max.saturating_sub(taken)))
    }

    /// How many of the oldest exchanges should be summarised ahead: none while three quarters of the room suffice.
    pub(crate) fn excess_to_come(&self, room: &Room<'_>) -> Result<usize> {
        let fixed = room.fixed()?;
        let used = room.tokens_of(&self.messages(None, room.wording)?).saturating_sub(fixed);
        let free = room.tokens_max.saturating_sub(fixed);
        if used * 4 <= free * 3 || self.exchanges.len() <= KEPT_MIN {
            return Ok(0);
        }
        let wanted = to_fold(&self.exchange_tokens(room), free.saturating_sub(room.summary_max));
        // The last exchanges are summarised only when they have to be.
        Ok(wanted.min(self.exchanges.len() - KEPT_MIN))
    }

    fn exchange_tokens(&self, room: &Room<'_>) -> Vec<usize> {
        self.exchanges.iter().map(|exchange| exchange.tokens(room)).collect()
    }

    /// The first of the `wanted` oldest exchanges, as lines of at most `tokens_max` tokens, and how many they are. One that
    /// is too long by itself comes in several pieces.
    pub(crate) fn part(&self, wanted: usize, tokens_max: usize, room: &Room<'_>) -> (usize, Vec<String>) {
        let mut part = String::new();
        let (mut exchanges, mut tokens) = (0, 0);
        for exchange in &self.exchanges[..wanted] {
            let lines = exchange.lines(room.wording);
            tokens += room.count(&lines);
            if tokens > tokens_max {
                break;
            }
            part += &lines;
            exchanges += 1;
        }
        match self.exchanges[..wanted].first().filter(|_| exchanges == 0) {
            Some(first) => (1, pieces(&first.lines(room.wording), tokens_max, |text| room.count(text))),
            None => (exchanges, vec![part]),
        }
    }
}

/// The text in pieces of at most `tokens_max` tokens, halved until they are; a character is never taken apart.
fn pieces(text: &str, tokens_max: usize, count: impl Fn(&str) -> usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = vec![text];
    while let Some(piece) = rest.pop() {
        let middle = piece.floor_char_boundary(piece.len() / 2);
        if middle == 0 || count(piece) <= tokens_max {
            pieces.push(piece.to_owned());
            continue;
        }
        // Between two words, if there are two.
        let middle = piece[..middle].rfind(char::is_whitespace).filter(|&space| space > 0).unwrap_or(middle);
        let (before, after) = piece.split_at(middle);
        rest.extend([after, before]);
    }
    pieces
}

/// Adds the user's words, with a note where they came into the tutor's.
fn add_user(messages: &mut Vec<Message>, mut message: Message, interrupts: bool, (config, catalog): Wording<'_>) {
    if interrupts && messages.last().is_some_and(|last| last.role == Role::Assistant) {
        message = prompt::interrupting_message(&message.content, config, catalog);
    }
    add_message(messages, message);
}

/// Adds a message; templates want the roles to take turns.
fn add_message(messages: &mut Vec<Message>, message: Message) {
    match messages.last_mut().filter(|last| last.role == message.role) {
        Some(last) => last.content = format!("{} {}", last.content, message.content),
        None => messages.push(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Conversation, Model};
    use crate::language::LanguageTag;

    fn settings() -> (SessionConfig, Catalog) {
        (SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap()), Catalog::builtin())
    }

    fn exchange(turn: u64, user: &str, reply: &str) -> Exchange {
        let user = Some(Message::new(Role::User, user));
        Exchange { turn: TurnId(turn), user, is_learners: true, reply: reply.into(), interrupted: false }
    }

    /// Turns of 50 tokens each.
    fn dialogue(turns: std::ops::RangeInclusive<u64>) -> Dialogue {
        let mut dialogue = Dialogue::default();
        for turn in turns {
            dialogue.push(exchange(turn, &words(20), &words(30 - 2 * MESSAGE_TOKENS)));
        }
        dialogue
    }

    fn words(count: usize) -> String {
        vec!["a"; count].join(" ")
    }

    /// A chat model that counts words.
    struct Words;

    impl Model for Words {
        fn name(&self) -> &str {
            "words"
        }
    }

    impl ChatModel for Words {
        fn languages(&self) -> Vec<LanguageTag> {
            Vec::new()
        }
        fn context_len(&self) -> usize {
            0
        }
        fn count_tokens(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }
        fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
            unreachable!("it is only asked for numbers")
        }
    }

    fn room<'a>((config, catalog): &'a (SessionConfig, Catalog), tokens_max: usize) -> Room<'a> {
        Room { wording: (config, catalog), chat: &Words, tokens_max, summary_max: 30 }
    }

    fn folded(dialogue: &Dialogue, count: usize) -> Dialogue {
        let mut dialogue = dialogue.clone();
        let folded = dialogue.folded(count, "notes".into()).unwrap();
        assert!(dialogue.fold(folded));
        dialogue
    }

    #[test]
    fn half_of_the_room_is_kept_free_and_the_last_exchanges_stay() {
        assert_eq!(to_fold(&[50; 10], 400), 6, "four of 50 fit half of 400");
        assert_eq!(to_fold(&[50, 50, 150, 150], 400), 2, "two stay, though half of the room holds one");
        assert_eq!(to_fold(&[50, 50, 150, 350], 400), 3, "but no more than fit");
        assert_eq!(to_fold(&[50, 500], 400), 2, "and none that does not");
        assert_eq!(to_fold(&[50], 400), 1, "it was found not to fit");
        assert_eq!(to_fold(&[10; 3], 0), 3);
    }

    #[test]
    fn nothing_is_summarised_before_it_has_to_be() {
        let settings = settings();
        let fixed = room(&settings, 0).fixed().unwrap();
        let last = Message::new(Role::User, words(42));
        let dialogue = dialogue(1..=10);
        let excess = |tokens_max| dialogue.excess(&last, &room(&settings, tokens_max)).unwrap();
        assert_eq!(excess(fixed + 550), 0);
        // 549 less 50 for the last message and 30 for the summary: four of 50 fit half of it.
        assert_eq!(excess(fixed + 549), 6);
        let to_come = |tokens_max| dialogue.excess_to_come(&room(&settings, tokens_max)).unwrap();
        assert_eq!(to_come(fixed + 667), 0, "500 of 667 are three quarters");
        assert_eq!(to_come(fixed + 666), 4, "six of 50 fit half of 636");
        assert_eq!(to_come(fixed), 8, "the last two are not summarised ahead");
        let mut folded = folded(&dialogue, 10);
        assert_eq!(folded.excess(&last, &room(&settings, 0)).unwrap(), 0, "nothing is left to summarise");
        folded.push(exchange(11, "Hola", &words(900)));
        assert_eq!(folded.excess_to_come(&room(&settings, fixed)).unwrap(), 0);
        assert_eq!(folded.excess(&last, &room(&settings, fixed + 100)).unwrap(), 1);
    }

    #[test]
    fn a_summary_of_an_older_state_is_not_taken() {
        let mut dialogue = dialogue(1..=6);
        let late = dialogue.folded(2, "late".into()).unwrap();
        let early = dialogue.folded(4, "early".into()).unwrap();
        assert!(dialogue.fold(early));
        assert!(!dialogue.fold(late));
        assert_eq!(dialogue.summary().unwrap().text, "early");
    }

    #[test]
    fn a_turn_that_ends_late_is_not_taken_for_covered() {
        let mut dialogue = folded(&dialogue(1..=6), 4);
        assert!(!dialogue.push(exchange(7, "siete", "7")));
        assert!(dialogue.push(exchange(3, "tres", "3")));
        assert_eq!(dialogue.summary().unwrap().through, TurnId(2));
        let turns: Vec<u64> = dialogue.exchanges.iter().map(|exchange| exchange.turn.0).collect();
        assert_eq!(turns, [3, 5, 6, 7]);
        assert_eq!(folded(&dialogue, 1).summary().unwrap().through, TurnId(3));
    }

    #[test]
    fn a_part_is_as_many_whole_exchanges_as_fit_or_one_in_pieces() {
        let settings = settings();
        let room = room(&settings, 0);
        let mut dialogue = Dialogue::default();
        dialogue.push(exchange(1, "uno dos", "tres"));
        dialogue.push(exchange(2, "cuatro", "cinco"));
        let whole = "Alumno: uno dos\nTutor: tres\n";
        assert_eq!(dialogue.part(2, 9, &room), (2, vec![format!("{whole}Alumno: cuatro\nTutor: cinco\n")]));
        assert_eq!(dialogue.part(2, 8, &room), (1, vec![whole.into()]));
        assert_eq!(dialogue.part(1, 100, &room), (1, vec![whole.into()]));
        let (exchanges, pieces) = dialogue.part(2, 2, &room);
        assert!(exchanges == 1 && pieces.len() >= 3 && pieces.iter().all(|piece| room.count(piece) <= 2));
        assert_eq!(pieces.concat(), whole);
    }

    #[test]
    fn pieces_break_no_character_and_lose_nothing() {
        for text in ["", "é", "ñandú", "日本語のとても長い文です", "a b  c\n\nd"] {
            let pieces = pieces(text, 2, str::len);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| piece.len() <= 2 || piece.chars().count() <= 2), "{pieces:?}");
        }
    }

    #[test]
    fn instructions_of_the_host_are_nobodys_words() {
        let (config, catalog) = settings();
        let mut record = TurnRecord::new(crate::SessionId::new(0), TurnId(1), TurnOrigin::Reply, 0);
        (record.instructions, record.reply_text) = ("Más despacio".into(), "Buenos días.".into());
        record.state = TurnState::Finished;
        let lines = Exchange::of(&record).unwrap().lines((&config, &catalog));
        assert_eq!(lines, "(Más despacio)\nTutor: Buenos días.\n");
    }
}
