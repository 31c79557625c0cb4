//! Tells sound that cannot be speech, however loud: silence, and noise that never changes.

/// Samples of one frame: 25 ms.
const FRAME: usize = 400;
/// Frames louder than this are sound: -70 dB of full scale.
const SOUND_POWER_MIN: f32 = 1e-7;

/// Whether somebody may speak in the sound.
pub(super) fn may_hold_speech(samples: &[f32]) -> bool {
    samples.chunks(FRAME).any(|frame| frame.iter().map(|s| s * s).sum::<f32>() / frame.len() as f32 > SOUND_POWER_MIN)
}
