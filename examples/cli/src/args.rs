//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use tertulia::{LanguageTag, SessionId};

/// Practise a language by talking, on your own machine.
#[derive(Parser)]
#[command(name = "tertulia", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fetch the models, then show one conversation from opening to resuming
    Demo(Demo),
    /// Run one turn of a new or an earlier session
    Turn(Turn),
    /// Converse through the microphone and the speaker, or as a script says
    Talk(Talk),
    /// Write down what is said in an audio file
    Transcribe(Transcribe),
    /// Tell when somebody starts to speak and has finished, and what is said
    Listen(Listen),
    /// Speak a text into a WAV file
    Say(Say),
    /// Look at, take along or delete stored sessions
    #[command(subcommand)]
    Sessions(Sessions),
    /// Say what this engine can do
    Capabilities,
    /// Fetch and check model files
    #[command(subcommand)]
    Models(Models),
}

#[derive(Args)]
pub(crate) struct Demo {
    /// What the learner says, as an audio file; by default a sentence is synthesised
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) languages: Languages,
    #[command(flatten)]
    pub(crate) chat: Chat,
    #[command(flatten)]
    pub(crate) store: Store,
    /// Where the tutor's answer goes
    #[arg(long, default_value = "reply.wav")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Turn {
    /// What the learner says, as an audio file: wav, flac, ogg, mp3, mp4 or webm
    #[arg(long, conflicts_with = "text", required_unless_present = "text")]
    pub(crate) input: Option<PathBuf>,
    /// What the learner types
    #[arg(long)]
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) session: Session,
    /// Where the tutor's answer goes
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Talk {
    /// Run this script with a virtual microphone and speaker; `demo` is one that comes with the command
    #[arg(long, value_name = "SCRIPT")]
    pub(crate) simulate: Option<PathBuf>,
    /// Write what the speaker played and the microphone heard into this folder, as speaker.wav and microphone.wav
    #[arg(long, value_name = "DIR", requires = "simulate")]
    pub(crate) record_dir: Option<PathBuf>,
    /// Take the speaker's sound for what it is: for headphones, and systems that cancel echo themselves
    #[arg(long)]
    pub(crate) no_echo_canceller: bool,
    #[command(flatten)]
    pub(crate) session: Session,
}

/// An earlier session, or the settings of a new one.
#[derive(Args)]
pub(crate) struct Session {
    #[command(flatten)]
    pub(crate) languages: Languages,
    #[command(flatten)]
    pub(crate) chat: Chat,
    /// Go on with this session
    #[arg(long = "session", value_name = "ID")]
    pub(crate) id: Option<SessionId>,
    /// The learner's level
    #[arg(long)]
    pub(crate) level: Option<String>,
    /// What the conversation is about
    #[arg(long)]
    pub(crate) scenario: Option<String>,
    /// The tutor's voice
    #[arg(long)]
    pub(crate) voice: Option<String>,
    /// The tutor's pace, 0.5 to 2
    #[arg(long)]
    pub(crate) speed: Option<f32>,
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Args)]
pub(crate) struct Languages {
    /// The learner's own language
    #[arg(long, default_value = "en")]
    pub(crate) native: LanguageTag,
    /// The language to practise
    #[arg(long, default_value = "es")]
    pub(crate) target: LanguageTag,
}

#[derive(Args)]
pub(crate) struct Chat {
    /// The chat model; see `tertulia models list`
    #[arg(long = "chat-model", value_name = "NAME")]
    pub(crate) model: Option<String>,
}

#[derive(Args, Clone)]
pub(crate) struct Store {
    /// The file that holds the sessions; by default tertulia/sessions.redb in the user's data folder
    #[arg(long = "store", value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// The file that holds the key of an encrypted store: 32 bytes, or 64 hexadecimal digits. A new store is encrypted
    #[arg(long, value_name = "PATH")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Transcribe {
    /// An audio file: wav, flac, ogg, mp3, mp4 or webm
    pub(crate) file: PathBuf,
    /// The language; several, separated by commas, have the likeliest chosen
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) language: Vec<LanguageTag>,
}

#[derive(Args)]
pub(crate) struct Listen {
    /// An audio file: wav, flac, ogg, mp3, mp4 or webm; without one, the microphone
    pub(crate) file: Option<PathBuf>,
    /// The language; several, separated by commas, have the likeliest chosen
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) language: Vec<LanguageTag>,
    /// How willing to wait for somebody who hesitates, 0 to 1
    #[arg(long, default_value_t = 0.5)]
    pub(crate) patience: f32,
    /// Show the words so far while somebody speaks
    #[arg(long)]
    pub(crate) partials: bool,
}

#[derive(Args)]
pub(crate) struct Say {
    /// The text
    pub(crate) text: String,
    /// Its language; several, separated by commas, where it mixes them
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) language: Vec<LanguageTag>,
    /// The voice; by default the first of the language
    #[arg(long)]
    pub(crate) voice: Option<String>,
    /// The pace, 0.5 to 2
    #[arg(long, default_value_t = 1.0)]
    pub(crate) speed: f32,
    /// The WAV file to write
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// List sessions, the one that changed last first
    List {
        #[command(flatten)]
        store: Store,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a session's turns
    Show {
        /// The session's id
        session: SessionId,
        #[command(flatten)]
        store: Store,
    },
    /// Write a session and its audio into a zip archive
    Export {
        /// The session's id
        session: SessionId,
        #[command(flatten)]
        store: Store,
        /// The archive, which must not exist
        #[arg(long)]
        out: PathBuf,
    },
    /// Take in a session that was exported
    Import {
        /// The archive
        archive: PathBuf,
        #[command(flatten)]
        store: Store,
        /// Give the session another id, which the store may not have yet
        #[arg(long)]
        id: Option<SessionId>,
    },
    /// Delete a session
    Delete {
        /// The session's id
        session: SessionId,
        #[command(flatten)]
        store: Store,
        /// Leave no byte of it in the file, which is copied for that
        #[arg(long)]
        erase: bool,
    },
    /// Delete everything, so that no byte of it is left in the file
    DeleteEverything {
        #[command(flatten)]
        store: Store,
    },
    /// Try a failed or interrupted turn again, with the audio or text it had
    Retry {
        /// The session's id
        session: SessionId,
        /// The turn's number
        turn: u64,
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        chat: Chat,
    },
    /// Say that the words of a turn were others: the conversation goes on from there
    Correct {
        /// The session's id
        session: SessionId,
        /// The turn's number
        turn: u64,
        /// What was really said
        text: String,
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        chat: Chat,
    },
    /// Say how much there is, and what it takes
    Usage {
        #[command(flatten)]
        store: Store,
    },
    /// Read everything, and say what is damaged or lost; fails where something is
    Verify {
        #[command(flatten)]
        store: Store,
    },
    /// Give back the room that deleted data takes
    Compact {
        #[command(flatten)]
        store: Store,
    },
    /// Delete what the sessions' rules no longer let stay
    Sweep {
        #[command(flatten)]
        store: Store,
        /// Only say what would be deleted
        #[arg(long)]
        dry_run: bool,
        /// Delete the oldest audio where there are more bytes of it than this
        #[arg(long, value_name = "BYTES")]
        audio_bytes_max: Option<u64>,
    },
    /// Encrypt the store with another key, with its first, or no more
    Rekey {
        #[command(flatten)]
        store: Store,
        /// The file that holds the new key; without one, the encryption is taken away
        #[arg(long, value_name = "PATH")]
        new_key_file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Models {
    /// Fetch models; without names, those that a conversation needs
    Pull {
        /// Names of models
        names: Vec<String>,
    },
    /// List the models that are known
    List,
    /// Compare model files with the hashes they should have; without names, all that are there
    Verify {
        /// Names of models
        names: Vec<String>,
    },
    /// Print where a model's file lies; without a name, the folder
    Path {
        /// The model's name
        name: Option<String>,
    },
    /// Copy models that are ready into a folder that an app ships
    Bundle {
        /// The languages that the app needs
        #[arg(long, value_delimiter = ',', default_value = "en,es")]
        languages: Vec<LanguageTag>,
        /// The folder
        #[arg(long)]
        out: PathBuf,
        /// Names of models; without them, those that a conversation needs
        names: Vec<String>,
    },
}
