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
    /// Fetch the models, then run one conversation: create a session, talk, reopen it
    Demo(Demo),
    /// Run one turn of a new or an earlier session
    Turn(Turn),
    /// Converse through the microphone and the speaker, or run a script
    Talk(Talk),
    /// Transcribe an audio file
    Transcribe(Transcribe),
    /// Print speech onsets, end-of-turn decisions and transcripts of a recording or the microphone
    Listen(Listen),
    /// Synthesise a text into a WAV file
    Say(Say),
    /// Show, export, import, correct or delete stored sessions, and maintain the store
    #[command(subcommand)]
    Sessions(Sessions),
    /// Print the languages, voices, levels and scenarios of the engine
    Capabilities,
    /// Fetch and check model files
    #[command(subcommand)]
    Models(Models),
}

#[derive(Args)]
pub(crate) struct Demo {
    /// The learner's utterance as an audio file; by default a sentence is synthesised
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) languages: Languages,
    #[command(flatten)]
    pub(crate) chat: Chat,
    #[command(flatten)]
    pub(crate) store: Store,
    /// The WAV file for the tutor's reply
    #[arg(long, default_value = "reply.wav")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Turn {
    /// The learner's utterance as an audio file: wav, flac, ogg, mp3, mp4 or webm
    #[arg(long, conflicts_with = "text", required_unless_present = "text")]
    pub(crate) input: Option<PathBuf>,
    /// The learner's utterance as text
    #[arg(long)]
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) session: Session,
    /// The WAV file for the tutor's reply
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Talk {
    /// Run this script with a virtual microphone and speaker; `demo` is one that comes with the command
    #[arg(long, value_name = "SCRIPT")]
    pub(crate) simulate: Option<PathBuf>,
    /// Record the virtual speaker and microphone into this folder, as speaker.wav and microphone.wav
    #[arg(long, value_name = "DIR", requires = "simulate")]
    pub(crate) record_dir: Option<PathBuf>,
    /// Turn the echo canceller off: for headphones, and systems that cancel echo themselves
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
    /// Resume this session
    #[arg(long = "session", value_name = "ID")]
    pub(crate) id: Option<SessionId>,
    /// The learner's level
    #[arg(long)]
    pub(crate) level: Option<String>,
    /// The topic of the conversation; see `tertulia capabilities`
    #[arg(long)]
    pub(crate) scenario: Option<String>,
    /// The tutor's voice
    #[arg(long)]
    pub(crate) voice: Option<String>,
    /// The tutor's speaking rate, 0.5 to 2
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
    /// The language; of several, separated by commas, the likeliest is chosen
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) language: Vec<LanguageTag>,
}

#[derive(Args)]
pub(crate) struct Listen {
    /// An audio file: wav, flac, ogg, mp3, mp4 or webm; without one, the microphone
    pub(crate) file: Option<PathBuf>,
    /// The language; of several, separated by commas, the likeliest is chosen
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) language: Vec<LanguageTag>,
    /// Patience with hesitations, 0 to 1
    #[arg(long, default_value_t = 0.5)]
    pub(crate) patience: f32,
    /// Print partial transcripts
    #[arg(long)]
    pub(crate) partials: bool,
}

#[derive(Args)]
pub(crate) struct Say {
    /// The text
    pub(crate) text: String,
    /// Its language, or several, separated by commas
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) language: Vec<LanguageTag>,
    /// The voice; by default the first of the language
    #[arg(long)]
    pub(crate) voice: Option<String>,
    /// The speaking rate, 0.5 to 2
    #[arg(long, default_value_t = 1.0)]
    pub(crate) speed: f32,
    /// The WAV file to write
    #[arg(long)]
    pub(crate) out: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// List sessions, most recently changed first
    List {
        #[command(flatten)]
        store: Store,
        /// Only those with this part in the title or the texts
        #[arg(long)]
        text: Option<String>,
        /// The number of sessions, at most
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
    /// Export a session and its audio as a zip archive
    Export {
        /// The session's id
        session: SessionId,
        #[command(flatten)]
        store: Store,
        /// The archive, which must not exist
        #[arg(long)]
        out: PathBuf,
    },
    /// Import an exported session
    Import {
        /// The archive
        archive: PathBuf,
        #[command(flatten)]
        store: Store,
        /// A new id for the session; it must not exist in the store
        #[arg(long)]
        id: Option<SessionId>,
    },
    /// Delete a session
    Delete {
        /// The session's id
        session: SessionId,
        #[command(flatten)]
        store: Store,
        /// Leave no byte of it in the file (copies the whole file)
        #[arg(long)]
        erase: bool,
    },
    /// Delete everything; leaves no byte of it in the file
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
    /// Correct the transcript of a turn, and continue the conversation from there
    Correct {
        /// The session's id
        session: SessionId,
        /// The turn's number
        turn: u64,
        /// The correct transcript
        text: String,
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        chat: Chat,
    },
    /// Print the number and size of the stored records
    Usage {
        #[command(flatten)]
        store: Store,
    },
    /// Read every record, and print which are damaged or missing; fails if any is
    Verify {
        #[command(flatten)]
        store: Store,
    },
    /// Copy the store into a smaller file, without the space of deleted data
    Compact {
        #[command(flatten)]
        store: Store,
    },
    /// Delete data that has expired by the sessions' retention rules
    Sweep {
        #[command(flatten)]
        store: Store,
        /// Only print what would be deleted
        #[arg(long)]
        dry_run: bool,
        /// The audio quota: delete the oldest audio above it
        #[arg(long, value_name = "BYTES")]
        audio_bytes_max: Option<u64>,
    },
    /// Change the store's key, encrypt it, or decrypt it
    Rekey {
        #[command(flatten)]
        store: Store,
        /// The file that holds the new key; without one, the store is decrypted
        #[arg(long, value_name = "PATH")]
        new_key_file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Models {
    /// Fetch models; without names, the default ones
    Pull {
        /// Fetch from a bundle that is served at this address; without names, all of it
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// Names of models
        names: Vec<String>,
    },
    /// List the files that a pull would fetch; without names, of the default models
    Plan {
        /// Names of models
        names: Vec<String>,
    },
    /// Take a GGUF file as a model
    Install {
        /// The model's name
        name: String,
        /// The file
        path: PathBuf,
    },
    /// Remove models' files
    Remove {
        /// Names of models
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// List the models of the manifest
    List,
    /// Check model files against their hashes; without names, all that are present
    Verify {
        /// Names of models
        names: Vec<String>,
    },
    /// Print the path of a model's file; without a name, of the folder
    Path {
        /// The model's name
        name: Option<String>,
    },
    /// Copy models into a folder that an app ships
    Bundle {
        /// The languages of the app
        #[arg(long, value_delimiter = ',', default_value = "en,es")]
        languages: Vec<LanguageTag>,
        /// The folder
        #[arg(long)]
        out: PathBuf,
        /// Names of models; without them, the default ones
        names: Vec<String>,
    },
}
