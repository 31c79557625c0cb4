//! A disk that fills up in the middle of a conversation: nothing acknowledged is lost, without a restart.

use crate::support::{Host, failure, type_of};
use std::time::Duration;
use tertulia::event::{EventKind, Stage};
use tertulia::store::AudioKind;
use tertulia::testing::fault::FaultyDisk;
use tertulia::testing::scripted::noise_16k;
use tertulia::{ErrorCode, SessionEngine, SessionUpdate};

#[test]
fn a_full_disk_fails_the_turn_after_its_reply_and_everything_is_stored_once_there_is_space() {
    fill_up_in_mid_turn(Duration::ZERO);
}

/// Later writes of the turn are on their way before it is known that the first has failed.
#[test]
fn a_slow_full_disk_loses_nothing_acknowledged() {
    fill_up_in_mid_turn(Duration::from_millis(5));
}

fn fill_up_in_mid_turn(pace: Duration) {
    let disk = FaultyDisk::new();
    let host = Host::with_store(disk.location());
    let (session, mut reader) = host.session();
    let id = session.id();
    let speak = |transcript_text: &str, seconds: usize| {
        host.script_turn(transcript_text, "Te escucho.");
        session.push_audio(&noise_16k(seconds * 1000), 16_000).unwrap();
        session.end_utterance().unwrap()
    };
    let before = speak("Antes.", 2);
    assert_eq!(type_of(&reader.until_end_of(before)), "turn_finished");

    // Room for the words, and none for three megabytes of audio, whatever the file holds in reserve.
    disk.set_capacity(Some(disk.bytes_used() + 1_000_000));
    disk.slow_down(pace);
    let during = speak("Durante.", 100);
    let transcript = reader.until("transcript_done");
    let EventKind::TranscriptDone { stored, .. } = transcript.kind else { unreachable!() };
    reader.until("reply_audio_delta");
    assert_eq!(failure(&reader.until_end_of(during)), (Stage::Store, ErrorCode::StoreFull));
    // The words alone may find room before it is known that the sound does not.
    let acknowledged = if stored { vec!["Antes.", "Durante."] } else { vec!["Antes."] };
    let turns = session.turns().unwrap();
    let readable: Vec<&str> = turns.iter().map(|turn| turn.user_text.as_str()).collect();
    assert!(readable.starts_with(&acknowledged), "{readable:?}, not {acknowledged:?}");

    disk.recover();
    let after = speak("Después.", 2);
    assert_eq!(type_of(&reader.until_end_of(after)), "turn_finished");
    drop((session, reader));
    drop(host);

    let host = Host::with_store(disk.location());
    let session = host.engine.open_session(id, &SessionUpdate::new()).unwrap();
    let texts: Vec<String> = session.turns().unwrap().into_iter().map(|turn| turn.user_text).collect();
    assert_eq!(texts, ["Antes.", "Durante.", "Después."]);
    for (turn, seconds) in [(before, 2), (during, 100), (after, 2)] {
        assert_eq!(session.audio(turn, AudioKind::User).unwrap().samples.len(), seconds * 16_000);
    }
}
