//! The one table of error codes.
//!
//! Append only: a number is never reused and never changes its meaning. Blocks of one hundred say where the
//! fault lies. Every binding is generated from this table through [`for_each_error_code!`](crate::for_each_error_code).

/// Calls the macro `$callback` with the whole table: `(number, Name, retryable, "doc");` a row.
///
/// ```
/// macro_rules! count { ($(($n:literal, $name:ident, $retry:literal, $doc:literal);)*) => { [$($n),*].len() } }
/// assert!(tertulia::for_each_error_code!(count) > 40);
/// ```
#[macro_export]
macro_rules! for_each_error_code {
    ($callback:ident) => {
        $callback! {
            (100, InvalidArgument, false, "An argument is outside its documented range.");
            (101, EventsTaken, false, "The session's events already have a reader.");
            (102, SessionBusy, false, "The session is already open in this engine.");
            (103, SessionNotFound, false, "The store holds no session with this id.");
            (104, TurnNotFound, false, "The session holds no turn with this id, or the turn cannot be retried or corrected.");
            (105, TextEmpty, false, "The text is empty.");
            (106, TextTooLong, false, "The text is longer than the limit.");
            (107, Unsupported, false, "The call is not supported on this platform or by this build.");
            (108, CalledFromCallback, false, "The call would wait for its own caller: a backend or a waker made it.");
            (109, PlaybackNotReported, false, "The host did not report the playback of a reply.");
            (200, InvalidConfig, false, "A setting is missing, malformed or contradicts another.");
            (201, UnknownLanguage, false, "The text is not a BCP 47 language tag.");
            (202, LanguageUnsupported, false, "No backend of this engine handles the language.");
            (203, UnknownVoice, false, "The synthesizer has no voice with this name.");
            (204, UnknownLevel, false, "No level with this name is known.");
            (205, UnknownScenario, false, "No scenario with this name is known.");
            (206, InvalidLexicon, false, "A lexicon entry is not a pronunciation that the voice can speak.");
            (207, BackendMissing, false, "The engine was built without the backend that this call needs.");
            (220, ModelUnknown, false, "The manifest has no model with this name.");
            (221, ModelMissing, false, "A model file is missing.");
            (222, ModelTruncated, false, "A model file is truncated.");
            (223, ModelCorrupt, false, "A model file is damaged.");
            (224, ModelUnsupported, false, "A model file is intact, but of an architecture or type that this build cannot run.");
            (225, ModelLoadFailed, true, "A model could not be loaded.");
            (226, DownloadFailed, true, "A model could not be fetched from any of its sources.");
            (227, ModelDiskFull, true, "The disk has no room for a model file.");
            (228, ModelStoreFailed, true, "The model folder could not be read or written.");
            (300, AudioEmpty, false, "The audio holds no samples.");
            (301, AudioTooLong, false, "The audio is longer than the longest utterance.");
            (302, AudioInvalidSample, false, "The audio holds a sample that is not a finite number.");
            (303, AudioInvalidRate, false, "The sample rate is outside 8,000 to 192,000 Hz, or the channel count outside 1 to 8.");
            (304, AudioOverrun, true, "More audio arrived than the queue holds.");
            (305, AudioUnknownFormat, false, "The bytes are in no supported audio container.");
            (306, AudioUnsupportedCodec, false, "The container is supported, its audio codec is not.");
            (307, AudioCorrupt, false, "The audio file is damaged.");
            (308, NoSpeech, false, "The audio holds no speech.");
            (400, RecognizerFailed, true, "The recogniser failed.");
            (401, VadFailed, true, "The voice activity detector failed.");
            (402, TurnDetectorFailed, true, "The turn detector failed.");
            (500, ChatFailed, true, "The chat model failed.");
            (501, ContextFull, false, "The prompt does not fit the chat model's context.");
            (502, ChatTemplateInvalid, false, "The chat model's template could not be rendered.");
            (503, ReplyEmpty, true, "The chat model's reply is empty.");
            (600, SynthesizerFailed, true, "The synthesizer failed.");
            (700, StoreOpenFailed, true, "The store could not be opened.");
            (701, StoreLocked, true, "The store is open elsewhere.");
            (702, StoreFull, true, "The disk under the store is full.");
            (703, StoreCorrupt, false, "The store's file is damaged.");
            (704, StoreFromFuture, false, "The store was written by a newer version that this one cannot read.");
            (705, StoreReadOnly, false, "The store cannot be written.");
            (706, RecordCorrupt, false, "One record of the store is damaged.");
            (707, StoreIo, true, "Reading or writing the store failed.");
            (708, StoreNotAStore, false, "The path is not a store: a directory, or some other program's file.");
            (709, AudioGone, false, "The audio was not retained, or its retention has ended.");
            (710, StoreWrongKey, false, "The store is encrypted and the key is missing or wrong, or it is not encrypted and a key was given.");
            (711, StoreCannotReplace, false, "The store's storage cannot be replaced by a copy.");
            (712, StoreNeedsRepair, false, "The store was not closed cleanly, and cannot be written to repair it.");
            (713, StoreHasLog, false, "A write-ahead log of an unreleased version lies beside the store.");
            (720, SessionExists, false, "The store holds a session with this id already.");
            (721, ImportNotAnArchive, false, "The file is not a session archive.");
            (722, ImportDamaged, false, "The session archive is damaged.");
            (723, ImportTooLarge, false, "The session archive is larger than the limits allow.");
            (724, ImportUnsafePath, false, "The session archive holds a file with an unsafe path.");
            (725, ImportFromFuture, false, "The session archive was written by a newer version that this one cannot read.");
            (726, ArchiveIo, true, "Reading or writing a session archive failed.");
            (800, Cancelled, false, "The work was cancelled.");
            (801, SessionClosed, false, "The session has ended or was closed.");
            (802, EngineClosed, false, "The engine was shut down.");
            (803, OutOfMemory, true, "There is not enough memory.");
            (804, QueueFull, true, "Too many turns are waiting.");
            (805, Suspended, true, "The engine is suspended.");
            (900, Internal, false, "A bug in the engine.");
            (901, HostCallback, false, "A callback of the host failed.");
        }
    };
}

macro_rules! define {
    ($(($number:literal, $name:ident, $retryable:literal, $doc:literal);)*) => {
        /// The reason of an error. The number and the name are the same in every language.
        ///
        /// A number from a newer library stays representable as [`ErrorCode::Unknown`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $doc] $name,)*
            /// A code that this version does not know.
            Unknown(u16),
        }

        impl ErrorCode {
            /// Every code of this version, in the table's order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),*];

            /// The stable number. 0 stands for success and is no code.
            pub const fn number(self) -> u16 {
                match self { $(ErrorCode::$name => $number,)* ErrorCode::Unknown(number) => number }
            }

            /// The stable name, as in the table.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => stringify!($name),)* ErrorCode::Unknown(_) => "Unknown" }
            }

            /// One sentence for a person.
            pub const fn doc(self) -> &'static str {
                match self { $(ErrorCode::$name => $doc,)* ErrorCode::Unknown(_) => "An error of a newer version." }
            }

            /// True if the same call may succeed later without any other change.
            pub const fn is_retryable(self) -> bool {
                match self { $(ErrorCode::$name => $retryable,)* ErrorCode::Unknown(_) => false }
            }

            /// The code with this number.
            pub const fn from_number(number: u16) -> ErrorCode {
                match number { $($number => ErrorCode::$name,)* other => ErrorCode::Unknown(other) }
            }
        }
    };
}

for_each_error_code!(define);

impl ErrorCode {
    /// The block of the code: 1 for misuse, 2 configuration and models, 3 audio, 4 recogniser, 5 chat model,
    /// 6 synthesizer, 7 storage, 8 cancelled, closed and limits, 9 internal.
    pub const fn block(self) -> u16 {
        self.number() / 100
    }
}

impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<'de> serde::Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(ErrorCode::from_number)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}
