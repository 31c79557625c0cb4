//! A room without sound hardware: its microphone hears the learner, and what comes back from the speaker.

use super::player::Player;
use crate::output::file_error;
use hound::{SampleFormat, WavSpec, WavWriter};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// The rate of the room's microphone and speaker.
pub(crate) const RATE_HZ: u32 = 48_000;

/// What passes at a time: 10 ms.
pub(crate) const BLOCK_LEN: usize = RATE_HZ as usize / 100;

/// The room. Time passes in it as [`pass`](Self::pass) is called.
pub(crate) struct Room {
    /// What the learner is still to say.
    speech: VecDeque<f32>,
    echo_gain: f32,
    /// What the speaker played and the microphone has yet to hear.
    on_the_way: VecDeque<f32>,
    recordings: Option<[Recording; 2]>,
    blocks: u64,
}

/// The sound of 10 ms.
#[derive(Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) speaker: [f32; BLOCK_LEN],
    pub(crate) microphone: [f32; BLOCK_LEN],
}

impl Room {
    /// A room in which the speaker returns into the microphone `echo_gain` times as loud, `echo_delay_ms` later.
    pub(crate) fn new(echo_gain: f32, echo_delay_ms: u32) -> Self {
        let delay = (RATE_HZ / 1000 * echo_delay_ms) as usize;
        Self { speech: VecDeque::new(), echo_gain, on_the_way: vec![0.0; delay].into(), recordings: None, blocks: 0 }
    }

    /// Writes what passes into speaker.wav and microphone.wav.
    pub(crate) fn record(&mut self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| file_error("made", folder, source))?;
        self.recordings = Some([Recording::new(folder, "speaker.wav")?, Recording::new(folder, "microphone.wav")?]);
        Ok(())
    }

    /// The learner says this, after what is still to be said.
    pub(crate) fn speak(&mut self, samples: &[f32]) {
        self.speech.extend(samples);
    }

    pub(crate) fn learner_speaks(&self) -> bool {
        !self.speech.is_empty()
    }

    /// How long the room has been there, in ms.
    pub(crate) fn now_ms(&self) -> u64 {
        self.blocks * 10
    }

    /// Lets 10 ms pass.
    pub(crate) fn pass(&mut self, player: &mut Player) -> Result<Passed> {
        let mut passed = Passed { speaker: [0.0; BLOCK_LEN], microphone: [0.0; BLOCK_LEN] };
        player.render(&mut passed.speaker);
        self.on_the_way.extend(passed.speaker);
        for (heard, echo) in passed.microphone.iter_mut().zip(self.on_the_way.drain(..BLOCK_LEN)) {
            *heard = (self.speech.pop_front().unwrap_or(0.0) + echo * self.echo_gain).clamp(-1.0, 1.0);
        }
        if let Some([speaker, microphone]) = &mut self.recordings {
            speaker.write(&passed.speaker)?;
            microphone.write(&passed.microphone)?;
        }
        self.blocks += 1;
        Ok(passed)
    }

    /// Completes the recordings.
    pub(crate) fn close(self) -> Result<()> {
        self.recordings.into_iter().flatten().try_for_each(|recording| recording.wav.finalize().map_err(write_error))
    }
}

struct Recording {
    wav: WavWriter<BufWriter<File>>,
}

impl Recording {
    fn new(folder: &Path, name: &str) -> Result<Self> {
        let spec = WavSpec { channels: 1, sample_rate: RATE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
        Ok(Self { wav: WavWriter::create(folder.join(name), spec).map_err(write_error)? })
    }

    fn write(&mut self, samples: &[f32]) -> Result<()> {
        samples.iter().try_for_each(|sample| self.wav.write_sample((sample * 32_767.0) as i16)).map_err(write_error)
    }
}

fn write_error(source: hound::Error) -> Error {
    Error::new(ErrorCode::InvalidArgument, "a recording could not be written").with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tertulia::TurnId;

    #[test]
    fn the_microphone_hears_the_learner_and_the_speaker_later_and_softer() {
        let mut player = Player::new(RATE_HZ);
        player.push(TurnId(1), &[0.5; BLOCK_LEN], RATE_HZ).unwrap();
        let mut room = Room::new(0.1, 20);
        room.speak(&[0.25; BLOCK_LEN]);
        let heard: Vec<f32> = (0..4).map(|_| room.pass(&mut player).unwrap().microphone[7]).collect();
        assert_eq!(heard, [0.25, 0.0, 0.05, 0.0]);
        assert!(!room.learner_speaks());
        assert_eq!(room.now_ms(), 40);
    }
}
