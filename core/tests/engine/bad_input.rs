//! Invalid input: error codes, no panic, and the session stays usable.

use crate::support::{Host, Reader, config, failure, type_of};
use tertulia::backend::block_on;
use tertulia::event::Stage;
use tertulia::testing::scripted::{SPEECH_LEVEL, Scripted, noise_16k, sound};
use tertulia::{
    EngineBuilder, ErrorCode, LanguageTag, Listening, ListeningMode, Playback, Session, SessionConfig, SessionEngine,
    SessionId, SessionUpdate,
};

fn still_usable(host: &Host, session: &Session, reader: &mut Reader) {
    host.scripted.chat.then(["Aquí estoy."]);
    let turn = session.send_text("¿Sigues ahí?").unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
}

fn code<T: std::fmt::Debug>(result: tertulia::Result<T>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn empty_audio_is_refused() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    assert_eq!(code(session.end_utterance()), ErrorCode::AudioEmpty);
    session.push_audio(&[], 16_000).unwrap();
    assert_eq!(code(session.end_utterance()), ErrorCode::AudioEmpty);
    assert_eq!(code(session.push_encoded(Vec::new())), ErrorCode::AudioEmpty);
    still_usable(&host, &session, &mut reader);
}

#[test]
fn invalid_sample_rates_and_samples_are_refused() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    for rate in [0, 1, 7_999, 192_001, 1_000_000] {
        assert_eq!(code(session.push_audio(&[0.0; 160], rate)), ErrorCode::AudioInvalidRate, "{rate} Hz");
    }
    for sample in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(code(session.push_audio(&[0.0, sample], 16_000)), ErrorCode::AudioInvalidSample);
    }
    for (samples, channels, expected) in [
        (&[0.0; 9][..], 9, ErrorCode::AudioInvalidRate),
        (&[0.0], 0, ErrorCode::AudioInvalidRate),
        (&[0.0; 3], 2, ErrorCode::AudioInvalidSample),
    ] {
        assert_eq!(code(session.push_interleaved(samples, channels, 16_000)), expected);
    }
    assert_eq!(code(session.end_utterance()), ErrorCode::AudioEmpty);
    still_usable(&host, &session, &mut reader);
}

#[test]
fn overrun_of_an_open_microphone_keeps_nothing_of_the_block() {
    let builder = EngineBuilder::new().backends(Scripted::new().backends()).utterance_seconds_max(1);
    let (engine, mut driver) = block_on(builder.build_local()).unwrap();
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    let session = engine.create_session(SessionConfig { listening, ..config() }).unwrap();
    session.push_audio(&[0.1; 10_000], 16_000).unwrap();
    assert_eq!(code(session.push_audio(&[0.1; 10_000], 16_000)), ErrorCode::AudioOverrun);
    session.push_audio(&[0.1; 6_000], 16_000).unwrap();
    assert_eq!(code(session.push_audio(&[0.1], 16_000)), ErrorCode::AudioOverrun);
    driver.run_until_idle();
    session.push_audio(&[0.1; 16_000], 16_000).unwrap();
}

#[test]
fn an_utterance_of_exactly_the_maximum_length_fits() {
    let scripted = Scripted::new();
    let engine = EngineBuilder::new().backends(scripted.backends()).utterance_seconds_max(2).build().unwrap();
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
    let mut reader = Reader::of(&session);
    let speech = sound(SPEECH_LEVEL, 2_000, 48_000);
    for block_len in [speech.len(), 480] {
        speech.chunks(block_len).for_each(|block| session.push_audio(block, 48_000).unwrap());
        assert_eq!(code(session.push_audio(&[0.5; 480], 48_000)), ErrorCode::AudioOverrun);
        scripted.recognizer.then("Justo.");
        scripted.chat.then(["Vale."]);
        let turn = session.end_utterance().unwrap();
        assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    }
}

#[test]
fn samples_are_clamped_to_full_scale() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let loud: Vec<f32> = noise_16k(600).iter().map(|sample| sample * 1e6).chain([f32::MAX; 320]).collect();
    session.push_audio(&loud, 16_000).unwrap();
    host.script_turn("Grito.", "Te oigo.");
    let turn = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    assert!(host.scripted.recognizer.requests()[0].audio.iter().all(|sample| sample.abs() <= 1.0));
}

#[test]
fn ten_minutes_of_audio_overrun_the_utterance() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let minute = noise_16k(60_000);
    let overrun = (0..10).find_map(|_| session.push_audio(&minute, 16_000).err()).expect("a limit");
    assert_eq!(overrun.code(), ErrorCode::AudioOverrun);
    // The audio that fitted is still there.
    host.script_turn("Hablo mucho.", "Ya veo.");
    let kept = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(kept)), "turn_finished");
    let request = &host.scripted.recognizer.requests()[0];
    assert!((100 * 16_000..=120 * 16_000).contains(&request.audio.len()), "{}", request.audio.len());
    // As one file it is refused whole.
    let turn = session.push_encoded(wav(&minute.repeat(10))).unwrap();
    assert_eq!(failure(&reader.until_end_of(turn)), (Stage::Decode, ErrorCode::AudioTooLong));
    still_usable(&host, &session, &mut reader);
}

#[test]
fn files_without_audio_fail_at_decode() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let broken = wav(&noise_16k(500))[..30].to_vec();
    for bytes in [b"this is a text, not a recording".to_vec(), broken, vec![0; 4096]] {
        let turn = session.push_encoded(bytes).unwrap();
        let (stage, code) = failure(&reader.until_end_of(turn));
        assert_eq!((stage, code.block()), (Stage::Decode, 3), "{code}");
    }
    still_usable(&host, &session, &mut reader);
}

#[test]
fn silence_fails_with_no_speech_before_recognition() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    session.push_audio(&vec![0.0; 32_000], 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    assert_eq!(failure(&reader.until_end_of(turn)), (Stage::Decode, ErrorCode::NoSpeech));
    assert!(host.scripted.recognizer.requests().is_empty());
    still_usable(&host, &session, &mut reader);
}

#[test]
fn empty_and_too_long_texts_are_refused() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let long = "a".repeat(100 * 1024);
    for text in ["", "   \n\t"] {
        assert_eq!(code(session.send_text(text)), ErrorCode::TextEmpty);
        assert_eq!(code(session.say(text)), ErrorCode::TextEmpty);
        assert_eq!(code(session.reply(Some(text))), ErrorCode::TextEmpty);
    }
    assert_eq!(code(session.send_text(&long)), ErrorCode::TextTooLong);
    assert_eq!(code(session.say(&long)), ErrorCode::TextTooLong);
    still_usable(&host, &session, &mut reader);
}

#[test]
fn unsupported_settings_are_refused() {
    let host = Host::new();
    let create = |change: &dyn Fn(&mut SessionConfig)| {
        let mut config = config();
        change(&mut config);
        code(host.engine.create_session(config))
    };
    assert_eq!(code("Klingon!".parse::<LanguageTag>()), ErrorCode::UnknownLanguage);
    assert_eq!(create(&|c| c.target = "tlh".parse().unwrap()), ErrorCode::LanguageUnsupported);
    assert_eq!(create(&|c| c.native = "ja".parse().unwrap()), ErrorCode::LanguageUnsupported);
    assert_eq!(create(&|c| c.voice = Some("nobody".into())), ErrorCode::UnknownVoice);
    assert_eq!(create(&|c| c.level = "Z9".into()), ErrorCode::UnknownLevel);
    assert_eq!(create(&|c| c.scenario = "on the moon".into()), ErrorCode::UnknownScenario);
    assert_eq!(create(&|c| c.speed = f32::NAN), ErrorCode::InvalidConfig);
    assert_eq!(create(&|c| c.speed = 9.0), ErrorCode::InvalidConfig);
    let lexicon = |c: &mut SessionConfig| {
        c.lexicon.entry("es".parse().unwrap()).or_default().insert("hola".into(), String::new());
    };
    assert_eq!(create(&lexicon), ErrorCode::InvalidLexicon);
}

#[test]
fn missing_and_busy_sessions_are_refused() {
    let host = Host::new();
    assert_eq!(code(host.engine.open_session(SessionId::new(0), &SessionUpdate::new())), ErrorCode::SessionNotFound);
    assert_eq!(code("no id".parse::<SessionId>()), ErrorCode::InvalidArgument);
    let (session, _reader) = host.session();
    assert_eq!(code(host.engine.open_session(session.id(), &SessionUpdate::new())), ErrorCode::SessionBusy);
    assert_eq!(code(host.engine.delete_session(session.id())), ErrorCode::SessionBusy);
}

fn wav(samples: &[f32]) -> Vec<u8> {
    tertulia::audio::write_wav(samples, 16_000)
}
