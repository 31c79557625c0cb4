//! A virtual room in place of sound hardware: its microphone records the user's speech and the speaker's echo.

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

/// The length of a step: 10 ms.
pub(crate) const BLOCK_LEN: usize = RATE_HZ as usize / 100;

/// The room. Its clock advances when [`advance`](Self::advance) is called.
pub(crate) struct Room {
    /// The user's speech that is still to come.
    speech: VecDeque<f32>,
    echo_gain: f32,
    /// The speaker's audio that has not reached the microphone.
    delayed: VecDeque<f32>,
    recordings: Option<[Recording; 2]>,
    blocks: u64,
}

/// The audio of one step.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) speaker: [f32; BLOCK_LEN],
    pub(crate) microphone: [f32; BLOCK_LEN],
}

impl Room {
    /// A room whose speaker is recorded `echo_gain` times as loud, `echo_delay_ms` later.
    pub(crate) fn new(echo_gain: f32, echo_delay_ms: u32) -> Self {
        let delay = (RATE_HZ / 1000 * echo_delay_ms) as usize;
        Self { speech: VecDeque::new(), echo_gain, delayed: vec![0.0; delay].into(), recordings: None, blocks: 0 }
    }

    /// Records the audio into speaker.wav and microphone.wav.
    pub(crate) fn record(&mut self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| file_error("made", folder, source))?;
        self.recordings = Some([Recording::new(folder, "speaker.wav")?, Recording::new(folder, "microphone.wav")?]);
        Ok(())
    }

    /// Appends to the user's speech.
    pub(crate) fn speak(&mut self, samples: &[f32]) {
        self.speech.extend(samples);
    }

    pub(crate) fn user_speaks(&self) -> bool {
        !self.speech.is_empty()
    }

    /// The room's clock, in ms.
    pub(crate) fn now_ms(&self) -> u64 {
        self.blocks * 10
    }

    /// Advances the clock by one step.
    pub(crate) fn advance(&mut self, player: &mut Player) -> Result<Block> {
        let mut block = Block { speaker: [0.0; BLOCK_LEN], microphone: [0.0; BLOCK_LEN] };
        player.render(&mut block.speaker);
        self.delayed.extend(block.speaker);
        for (sample, echo) in block.microphone.iter_mut().zip(self.delayed.drain(..BLOCK_LEN)) {
            *sample = (self.speech.pop_front().unwrap_or(0.0) + echo * self.echo_gain).clamp(-1.0, 1.0);
        }
        if let Some([speaker, microphone]) = &mut self.recordings {
            speaker.write(&block.speaker)?;
            microphone.write(&block.microphone)?;
        }
        self.blocks += 1;
        Ok(block)
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
    fn microphone_records_speech_and_delayed_softer_echo() {
        let mut player = Player::new(RATE_HZ);
        player.push(TurnId(1), &[0.5; BLOCK_LEN], RATE_HZ).unwrap();
        let mut room = Room::new(0.1, 20);
        room.speak(&[0.25; BLOCK_LEN]);
        let recorded: Vec<f32> = (0..4).map(|_| room.advance(&mut player).unwrap().microphone[7]).collect();
        assert_eq!(recorded, [0.25, 0.0, 0.05, 0.0]);
        assert!(!room.user_speaks());
        assert_eq!(room.now_ms(), 40);
    }
}
