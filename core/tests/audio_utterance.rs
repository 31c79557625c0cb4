//! The utterance buffer: limits, rates, block sizes, invalid samples.

use tertulia::ErrorCode;
use tertulia::audio::UtteranceBuffer;

#[test]
fn the_sample_rate_may_change_between_blocks() {
    let mut buffer = UtteranceBuffer::default();
    for rate in [48_000u32, 44_100, 16_000, 8_000, 192_000, 48_000] {
        buffer.push(&tone(rate, 0.5), rate).unwrap();
        buffer.push(&[], 96_000).unwrap();
    }
    let audio = buffer.take();
    assert_eq!(audio.len(), 6 * 8_000);
    // 200 Hz throughout: each half second holds 100 periods of the same level.
    for half_second in audio.chunks(8_000) {
        let level = (half_second.iter().map(|x| x * x).sum::<f32>() / 8_000.0).sqrt();
        assert!((level - 0.3536).abs() < 0.005, "level {level}");
    }
}

#[test]
fn the_block_size_makes_no_difference() {
    let sound = tone(48_000, 1.0);
    let (mut one, mut many) = (UtteranceBuffer::default(), UtteranceBuffer::default());
    one.push(&sound, 48_000).unwrap();
    sound.chunks(37).for_each(|block| many.push(block, 48_000).unwrap());
    assert!(one.take() == many.take());
}

#[test]
fn take_resets_the_buffer() {
    let mut buffer = UtteranceBuffer::default();
    assert!(buffer.is_empty());
    assert!(buffer.take().is_empty());
    buffer.push(&[0.25; 480], 48_000).unwrap();
    assert!(!buffer.is_empty());
    assert_eq!(buffer.take().len(), 160);
    assert!(buffer.is_empty());
    buffer.push(&[0.25; 480], 48_000).unwrap();
    buffer.clear();
    assert!(buffer.is_empty());
    assert!(buffer.take().is_empty());
}

#[test]
fn overrun_keeps_the_first_two_minutes_of_ten() {
    let mut buffer = UtteranceBuffer::default();
    let ten_minutes = vec![0.5; 600 * 16_000];
    assert_eq!(buffer.push(&ten_minutes, 16_000).unwrap_err().code(), ErrorCode::AudioOverrun);
    assert_eq!(buffer.push(&[0.5], 16_000).unwrap_err().code(), ErrorCode::AudioOverrun);
    let audio = buffer.take();
    assert_eq!(audio.len(), 120 * 16_000);
    assert!(audio.iter().all(|&sample| sample == 0.5));
    buffer.push(&[0.5; 160], 16_000).unwrap();
    assert_eq!(buffer.take().len(), 160);
}

#[test]
fn an_utterance_of_exactly_the_maximum_length_fits() {
    let mut buffer = UtteranceBuffer::new(2);
    buffer.push(&vec![0.0; 2 * 48_000], 48_000).unwrap();
    assert_eq!(buffer.take().len(), 32_000);
    for _ in 0..200 {
        buffer.push(&[0.0; 480], 48_000).unwrap();
    }
    assert_eq!(buffer.take().len(), 32_000);
}

#[test]
fn a_block_with_a_non_finite_sample_is_refused_whole() {
    let mut buffer = UtteranceBuffer::default();
    buffer.push(&[0.1; 100], 16_000).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = buffer.push(&[0.2, bad, 0.2], 16_000).unwrap_err();
        assert_eq!(error.code(), ErrorCode::AudioInvalidSample);
    }
    assert_eq!(buffer.take(), [0.1; 100]);
}

#[test]
fn sample_rates_outside_the_range_are_refused() {
    let mut buffer = UtteranceBuffer::default();
    for rate in [0, 1, 7_999, 192_001, 1_000_000, u32::MAX] {
        assert_eq!(buffer.push(&[0.0; 10], rate).unwrap_err().code(), ErrorCode::AudioInvalidRate);
        assert_eq!(buffer.push(&[], rate).unwrap_err().code(), ErrorCode::AudioInvalidRate);
    }
    assert!(buffer.is_empty());
}

#[test]
fn samples_are_clamped_to_full_scale() {
    let mut buffer = UtteranceBuffer::default();
    buffer.push(&[7.0, -7.0, f32::MAX, 0.5], 16_000).unwrap();
    buffer.push(&[f32::MAX; 48_000], 48_000).unwrap();
    let audio = buffer.take();
    assert_eq!(audio[..4], [1.0, -1.0, 1.0, 0.5]);
    assert!(audio.iter().all(|sample| sample.abs() <= 1.0));
}

fn tone(rate: u32, seconds: f64) -> Vec<f32> {
    let len = (f64::from(rate) * seconds) as usize;
    (0..len).map(|n| (0.5 * (std::f64::consts::TAU * 200.0 * n as f64 / f64::from(rate)).sin()) as f32).collect()
}
