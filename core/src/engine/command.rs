//! [`Command`]: the calls of a host as data, with the one JSON form that every language shares.

use super::{Capabilities, SessionEngine, TrimLevel};
use crate::config::{SessionConfig, SessionUpdate};
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::event::{SessionId, TurnId};
use crate::store::{SessionCursor, SessionPage, SessionQuery, SessionRecord, StoreUsage, Swept, TurnPage};
use crate::strict;
use serde::{Deserialize, Serialize};

/// A call of the host as data; in JSON an object whose `type` is the call's name. [`SessionEngine::apply`] makes it.
///
/// Audio, files and work that takes long are calls of their own in every language.
///
/// ```
/// use tertulia::{Command, CommandOutput, EngineBuilder, SessionEngine};
/// # fn main() -> tertulia::Result<()> {
/// let engine = EngineBuilder::new().build()?;
/// let command = Command::from_json(r#"{"type": "create_session", "config": {"native": "en", "target": "es"}}"#)?;
/// let output = engine.apply(command)?;
/// let CommandOutput::Session { session } = output else { panic!("{output:?}") };
/// let turn = engine.apply(Command::SendText { session, text: "Hola.".into() })?;
/// assert_eq!(turn.to_json(), r#"{"turn":1}"#);
/// engine.apply(Command::CloseSession { session })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Command {
    /// [`SessionEngine::create_session`]; the session stays open until it is closed or ended.
    CreateSession {
        /// Its settings.
        #[serde(deserialize_with = "strict::nested")]
        config: Box<SessionConfig>,
    },
    /// [`SessionEngine::open_session`]; the session stays open until it is closed or ended.
    OpenSession {
        /// The session.
        session: SessionId,
        /// Changes of its settings.
        #[serde(default)]
        update: SessionUpdate,
    },
    /// [`SessionEngine::close_session`].
    CloseSession {
        /// The session.
        session: SessionId,
    },
    /// [`SessionEngine::end_session`].
    EndSession {
        /// The session.
        session: SessionId,
    },
    /// [`SessionEngine::delete_session`].
    DeleteSession {
        /// The session.
        session: SessionId,
    },
    /// [`SessionEngine::sessions`].
    Sessions {
        /// The sessions that are wanted.
        #[serde(default, deserialize_with = "strict::nested")]
        query: SessionQuery,
        /// The last one of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "strict::nested")]
        after: Option<SessionCursor>,
        /// The most sessions of a page.
        limit: usize,
    },
    /// The record of a session, open or not.
    Session {
        /// The session.
        session: SessionId,
    },
    /// [`SessionEngine::turns`].
    Turns {
        /// The session.
        session: SessionId,
        /// The last one of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<TurnId>,
        /// The most turns of a page.
        limit: usize,
    },
    /// [`SessionEngine::capabilities`].
    Capabilities,
    /// [`SessionEngine::memory_needed`].
    MemoryNeeded {
        /// The settings of a session; all models where there are none.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "strict::nested")]
        config: Option<Box<SessionConfig>>,
    },
    /// [`SessionEngine::unload`].
    Unload,
    /// [`SessionEngine::trim`].
    Trim {
        /// The memory to free.
        level: TrimLevel,
    },
    /// [`SessionEngine::sweep`].
    Sweep {
        /// True only to count.
        #[serde(default)]
        dry_run: bool,
    },
    /// [`SessionEngine::store_usage`].
    StoreUsage,
    /// [`Session::config`](crate::Session::config).
    Config {
        /// The session.
        session: SessionId,
    },
    /// [`Session::update`](crate::Session::update).
    Update {
        /// The session.
        session: SessionId,
        /// The changes.
        update: SessionUpdate,
    },
    /// [`Session::send_text`](crate::Session::send_text).
    SendText {
        /// The session.
        session: SessionId,
        /// The user's text.
        text: String,
    },
    /// [`Session::say`](crate::Session::say).
    Say {
        /// The session.
        session: SessionId,
        /// The text to speak.
        text: String,
    },
    /// [`Session::reply`](crate::Session::reply).
    Reply {
        /// The session.
        session: SessionId,
        /// The instructions; those that open a conversation where there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instructions: Option<String>,
    },
    /// [`Session::retry_turn`](crate::Session::retry_turn).
    RetryTurn {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
    },
    /// [`Session::correct`](crate::Session::correct).
    Correct {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
        /// The corrected text.
        text: String,
    },
    /// [`Session::end_utterance`](crate::Session::end_utterance).
    EndUtterance {
        /// The session.
        session: SessionId,
    },
    /// [`Session::input_interrupted`](crate::Session::input_interrupted).
    InputInterrupted {
        /// The session.
        session: SessionId,
    },
    /// [`Session::input_resumed`](crate::Session::input_resumed).
    InputResumed {
        /// The session.
        session: SessionId,
    },
    /// [`Session::discard_utterance`](crate::Session::discard_utterance).
    DiscardUtterance {
        /// The session.
        session: SessionId,
    },
    /// [`Session::interrupt_all`](crate::Session::interrupt_all).
    InterruptAll {
        /// The session.
        session: SessionId,
    },
    /// [`Session::interrupt`](crate::Session::interrupt).
    Interrupt {
        /// The session.
        session: SessionId,
    },
    /// [`Session::played`](crate::Session::played).
    Played {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
        /// Samples of its reply that were played in total.
        samples_total: u64,
    },
}

/// The answer to a [`Command`]; in JSON an object, empty where there is nothing to say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum CommandOutput {
    /// It is done.
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 0)))]
    Done {},
    /// The turn that was started.
    Turn {
        /// Its number.
        turn: TurnId,
    },
    /// The session that was opened.
    Session {
        /// Its id.
        session: SessionId,
    },
    /// Bytes of memory.
    Memory {
        /// How many.
        bytes: u64,
    },
    /// A page of sessions.
    Sessions(SessionPage),
    /// A session's record.
    Record(Box<SessionRecord>),
    /// A page of turns.
    Turns(TurnPage),
    /// Settings.
    Config(Box<SessionConfig>),
    /// Abilities.
    Capabilities(Capabilities),
    /// Deleted data.
    Swept(Swept),
    /// Space taken.
    StoreUsage(StoreUsage),
}

impl Command {
    /// Reads a command from JSON.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names what is unknown, missing or of another type.
    pub fn from_json(json: &str) -> Result<Self> {
        strict::from_json(json)
    }

    /// The command in JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("commands hold only strings, numbers and plain structs")
    }

    /// Makes the call.
    pub(super) fn apply_to(self, engine: &(impl SessionEngine + ?Sized)) -> Result<CommandOutput> {
        let done = |()| CommandOutput::Done {};
        let turn = |turn| CommandOutput::Turn { turn };
        Ok(match self {
            Self::CreateSession { config } => {
                CommandOutput::Session { session: engine.create_session(*config)?.detach() }
            }
            Self::OpenSession { session, update } => {
                CommandOutput::Session { session: engine.open_session(session, &update)?.detach() }
            }
            Self::CloseSession { session } => done(engine.close_session(session)?),
            Self::EndSession { session } => done(engine.end_session(session)?),
            Self::DeleteSession { session } => done(engine.delete_session(session)?),
            Self::Sessions { query, after, limit } => CommandOutput::Sessions(engine.sessions(&query, after, limit)?),
            Self::Session { session } => CommandOutput::Record(engine.session(session)?.0.into()),
            Self::Turns { session, after, limit } => CommandOutput::Turns(engine.turns(session, after, limit)?),
            Self::Capabilities => CommandOutput::Capabilities(engine.capabilities()),
            Self::MemoryNeeded { config } => CommandOutput::Memory { bytes: engine.memory_needed(config.as_deref()) },
            Self::Unload => {
                engine.unload();
                CommandOutput::Done {}
            }
            Self::Trim { level } => {
                engine.trim(level);
                CommandOutput::Done {}
            }
            Self::Sweep { dry_run } => CommandOutput::Swept(engine.sweep(dry_run)?),
            Self::StoreUsage => CommandOutput::StoreUsage(engine.store_usage()?),
            Self::Config { session } => CommandOutput::Config(engine.handle(session)?.config().into()),
            Self::Update { session, update } => done(engine.handle(session)?.update(&update)?),
            Self::SendText { session, text } => turn(engine.handle(session)?.send_text(&text)?),
            Self::Say { session, text } => turn(engine.handle(session)?.say(&text)?),
            Self::Reply { session, instructions } => turn(engine.handle(session)?.reply(instructions.as_deref())?),
            Self::RetryTurn { session, turn: retried } => turn(engine.handle(session)?.retry_turn(retried)?),
            Self::Correct { session, turn: wrong, text } => turn(engine.handle(session)?.correct(wrong, &text)?),
            Self::EndUtterance { session } => turn(engine.handle(session)?.end_utterance()?),
            Self::InputInterrupted { session } => done(engine.handle(session)?.input_interrupted()?),
            Self::InputResumed { session } => done(engine.handle(session)?.input_resumed()?),
            Self::DiscardUtterance { session } => done(engine.handle(session)?.discard_utterance()?),
            Self::InterruptAll { session } => done(engine.handle(session)?.interrupt_all()?),
            Self::Interrupt { session } => done(engine.handle(session)?.interrupt()?),
            Self::Played { session, turn, samples_total } => done(engine.handle(session)?.played(turn, samples_total)?),
        })
    }
}

impl CommandOutput {
    /// The answer in JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("answers hold only strings, numbers and plain structs")
    }
}
