//! The append-only table of error codes.

use tertulia::ErrorCode;

const TABLE: &[(u16, &str)] = &[
    (100, "InvalidArgument"),
    (101, "EventsTaken"),
    (102, "SessionBusy"),
    (103, "SessionNotFound"),
    (104, "TurnNotFound"),
    (105, "TextEmpty"),
    (106, "TextTooLong"),
    (107, "Unsupported"),
    (108, "CalledFromCallback"),
    (109, "PlaybackNotReported"),
    (200, "InvalidConfig"),
    (201, "UnknownLanguage"),
    (202, "LanguageUnsupported"),
    (203, "UnknownVoice"),
    (204, "UnknownLevel"),
    (205, "UnknownScenario"),
    (206, "InvalidLexicon"),
    (207, "BackendMissing"),
    (220, "ModelUnknown"),
    (221, "ModelMissing"),
    (222, "ModelTruncated"),
    (223, "ModelCorrupt"),
    (224, "ModelUnsupported"),
    (225, "ModelLoadFailed"),
    (226, "DownloadFailed"),
    (227, "ModelDiskFull"),
    (228, "ModelStoreFailed"),
    (300, "AudioEmpty"),
    (301, "AudioTooLong"),
    (302, "AudioInvalidSample"),
    (303, "AudioInvalidRate"),
    (304, "AudioOverrun"),
    (305, "AudioUnknownFormat"),
    (306, "AudioUnsupportedCodec"),
    (307, "AudioCorrupt"),
    (308, "NoSpeech"),
    (400, "RecognizerFailed"),
    (401, "VadFailed"),
    (402, "TurnDetectorFailed"),
    (500, "ChatFailed"),
    (501, "ContextFull"),
    (502, "ChatTemplateInvalid"),
    (503, "ReplyEmpty"),
    (600, "SynthesizerFailed"),
    (700, "StoreOpenFailed"),
    (701, "StoreLocked"),
    (702, "StoreFull"),
    (703, "StoreCorrupt"),
    (704, "StoreFromFuture"),
    (705, "StoreReadOnly"),
    (706, "RecordCorrupt"),
    (707, "StoreIo"),
    (708, "StoreNotAStore"),
    (709, "AudioGone"),
    (710, "StoreWrongKey"),
    (711, "StoreCannotReplace"),
    (712, "StoreNeedsRepair"),
    (713, "StoreHasLog"),
    (720, "SessionExists"),
    (721, "ImportNotAnArchive"),
    (722, "ImportDamaged"),
    (723, "ImportTooLarge"),
    (724, "ImportUnsafePath"),
    (725, "ImportFromFuture"),
    (726, "ArchiveIo"),
    (800, "Cancelled"),
    (801, "SessionClosed"),
    (802, "EngineClosed"),
    (803, "OutOfMemory"),
    (804, "QueueFull"),
    (805, "Suspended"),
    (900, "Internal"),
    (901, "HostCallback"),
];

#[test]
fn error_positions_numbers_and_names_never_change() {
    let now: Vec<(u16, &str)> = ErrorCode::ALL.iter().map(|code| (code.number(), code.name())).collect();
    assert_eq!(now, TABLE);
}

#[test]
fn error_numbers_are_unique_and_map_back_to_their_codes() {
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_number(code.number()), *code);
        assert!((1..=9).contains(&code.block()), "{code}");
        assert!(code.doc().ends_with('.'), "{code}");
    }
}

#[test]
fn an_unknown_error_number_is_preserved() {
    let code = ErrorCode::from_number(777);
    assert_eq!((code, code.number(), code.name()), (ErrorCode::Unknown(777), 777, "Unknown"));
}
