//! Damaged, odd and hostile audio files: error codes, concealment, no panic and no hang.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use tertulia::audio::{decode, decode_limited, write_wav};
use tertulia::{ErrorCode, Result};

const FILES: [&str; 10] = [
    "containers/en.mp3",
    "containers/en_live_unknown_size_stereo.webm",
    "containers/es_8k.wav",
    "containers/es_chrome_like.webm",
    "containers/es_faststart.m4a",
    "containers/es_firefox_like.ogg",
    "containers/es_safari_like_fragmented.mp4",
    "containers/chromium_mediarecorder_audio_mp4_codecs_opus.mp4",
    "containers/chromium_mediarecorder_audio_webm_codecs_opus.webm",
    "en/LJ001-0002.flac",
];

/// MP4 with its `moov` box, which says where the samples are, behind them.
const INDEX_AT_THE_END: &str = "containers/es_faststart.m4a";

#[test]
fn a_truncated_file_decodes_up_to_the_cut() {
    quiet_contained_panics();
    for file in FILES.into_iter().filter(|file| *file != INDEX_AT_THE_END) {
        let bytes = speech(file);
        let whole = decode(&bytes).unwrap().samples.len() as f64;
        for percent in (5..100).step_by(5) {
            let share = f64::from(percent) / 100.0;
            let cut = &bytes[..bytes.len() * percent as usize / 100];
            let decoded = match checked(cut) {
                Ok(decoded) => decoded,
                // The headers and the first fragment, page or frame reach this far.
                Err(error) if percent <= 20 => {
                    assert!(
                        [ErrorCode::AudioCorrupt, ErrorCode::AudioEmpty].contains(&error.code()),
                        "{file}: {error}"
                    );
                    continue;
                }
                Err(error) => panic!("{file} at {percent} %: {error}"),
            };
            let got = decoded.len() as f64 / whole;
            // Fragments, clusters and pages are lost whole.
            assert!(got <= share + 0.15 && got >= share - 0.3, "{file} at {percent} %: {got} of the sound");
        }
    }
}

#[test]
fn an_mp4_without_its_index_is_audio_corrupt() {
    let bytes = speech(INDEX_AT_THE_END);
    for percent in (5..100).step_by(5) {
        let error = checked(&bytes[..bytes.len() * percent / 100]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::AudioCorrupt, "at {percent} %");
    }
}

#[test]
fn damaged_packets_are_concealed_and_the_rest_decodes() {
    quiet_contained_panics();
    // MP3 frames carry no time: what follows moves by the frames that were lost.
    for (file, keeps_time) in [
        ("containers/en.mp3", false),
        ("containers/es_faststart.m4a", true),
        ("containers/es_safari_like_fragmented.mp4", true),
    ] {
        let mut bytes = speech(file);
        let whole = decode(&bytes).unwrap().samples;
        let middle = bytes.len() / 2;
        bytes[middle..middle + 600].iter_mut().for_each(|byte| *byte ^= 0x5a);
        let saved = decode(&bytes).unwrap().samples;
        assert!(saved.len() as f64 > whole.len() as f64 * 0.97, "{file}: {} of {}", saved.len(), whole.len());
        let tail = whole.len() / 4;
        let (a, b) = (&whole[whole.len() - tail..], &saved[saved.len() - tail..]);
        let error: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        let level: f32 = a.iter().map(|a| a * a).sum();
        assert!(error < level * 0.01 || !keeps_time, "{file}: the last quarter is not what it was");
    }
}

#[test]
fn bit_flips_neither_panic_nor_hang() {
    quiet_contained_panics();
    let mut random = Random(0x5eed);
    let mut outcomes = [0usize; 2];
    for file in FILES {
        let whole = speech(file);
        // The headers and a second of sound, so that each run is short.
        let start = &whole[..whole.len().min(6_000)];
        for round in 0..300 {
            let mut bytes = start.to_vec();
            // Every other round aims at the headers.
            let reach = if round % 2 == 0 { 400 } else { bytes.len() };
            for _ in 0..1 + random.below(8) {
                bytes[random.below(reach)] = random.below(256) as u8;
            }
            if random.below(8) == 0 {
                bytes.truncate(random.below(start.len()));
            }
            outcomes[usize::from(checked(&bytes).is_ok())] += 1;
        }
    }
    assert!(outcomes.iter().all(|&count| count > 100), "{outcomes:?} failed and decoded");
}

#[test]
fn random_bytes_are_an_unknown_format() {
    quiet_contained_panics();
    let mut random = Random(7);
    for len in [1, 2, 3, 4, 7, 8, 12, 44, 100, 5_000] {
        for _ in 0..20 {
            let bytes: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
            let error = checked(&bytes).expect_err("noise is no audio file");
            assert!(matches!(error.code(), ErrorCode::AudioUnknownFormat | ErrorCode::AudioCorrupt), "{error}");
        }
    }
}

#[test]
fn each_bad_audio_file_has_its_error_code() {
    quiet_contained_panics();
    let second = wav(1, 16, 16_000, 1, &[0; 32_000]);
    let refused = |bytes: &[u8]| decode(bytes).map(|pcm| pcm.samples.len()).unwrap_err().code();
    assert_eq!(decode(&second).unwrap().samples.len(), 16_000);
    assert_eq!(refused(b""), ErrorCode::AudioEmpty);
    assert_eq!(refused(&write_wav(&[], 16_000)), ErrorCode::AudioEmpty);
    assert_eq!(refused(b"To be, or not to be: that is the question."), ErrorCode::AudioUnknownFormat);
    assert_eq!(
        refused(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"),
        ErrorCode::AudioUnknownFormat
    );
    // GSM 6.10 in WAV, at 13 kbit/s.
    assert_eq!(refused(&wav(0x31, 0, 8_000, 1, &[0; 650])), ErrorCode::AudioUnsupportedCodec);
    assert_eq!(refused(&second[..20]), ErrorCode::AudioCorrupt);
    assert_eq!(refused(&speech("containers/es_faststart.m4a")[..300]), ErrorCode::AudioCorrupt);
    for rate in [0, 4_000, 192_001, 1_000_000] {
        assert_eq!(refused(&wav(1, 16, rate, 1, &[0; 3_200])), ErrorCode::AudioInvalidRate, "{rate} Hz");
    }
    assert_eq!(refused(&wav(1, 16, 16_000, 9, &[0; 18 * 100])), ErrorCode::AudioInvalidRate);
    let floats: Vec<u8> = [0.5f32, f32::NAN, 0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(refused(&wav(3, 32, 16_000, 1, &floats)), ErrorCode::AudioInvalidSample);
    let floats: Vec<u8> = [0.5f32, f32::INFINITY].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(refused(&wav(3, 32, 16_000, 1, &floats)), ErrorCode::AudioInvalidSample);
}

#[test]
fn float_samples_are_clamped_and_channels_mixed() {
    let floats: Vec<u8> = [4.0f32, 2.0, 0.5, -0.25].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(decode(&wav(3, 32, 16_000, 1, &floats)).unwrap().samples, [1.0, 1.0, 0.5, -0.25]);
    assert_eq!(decode(&wav(3, 32, 16_000, 2, &floats)).unwrap().samples, [1.0, 0.125]);
}

#[test]
fn the_decoded_duration_is_limited() {
    let file = write_wav(&vec![0.1; 16_000 * 3], 16_000);
    assert_eq!(decode_limited(&file, 2).unwrap_err().code(), ErrorCode::AudioTooLong);
    assert_eq!(decode_limited(&file, 3).unwrap().samples.len(), 48_000);
}

#[test]
fn a_decompression_bomb_of_silence_is_stopped() {
    let file = flac_silence(40_000);
    assert!(file.len() < 800_000);
    let started = Instant::now();
    // 40,000 frames of 65,535 samples: 45 hours, 10 GB.
    assert_eq!(decode_limited(&file, 120).unwrap_err().code(), ErrorCode::AudioTooLong);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(decode(&flac_silence(3)).unwrap().samples.len(), 3 * 65_535);
}

/// Decodes within a time that only a hang exceeds.
fn checked(bytes: &[u8]) -> Result<Vec<f32>> {
    let started = Instant::now();
    let decoded = decode_limited(bytes, 60);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?} for {} bytes", started.elapsed(), bytes.len());
    let pcm = decoded?;
    assert!(!pcm.samples.is_empty() && pcm.samples.iter().all(|sample| sample.abs() <= 1.0));
    Ok(pcm.samples)
}

/// A WAV file with any settings.
fn wav(format: u16, bits: u16, rate: u32, channels: u16, data: &[u8]) -> Vec<u8> {
    let frame_len = (bits / 8 * channels).max(1);
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.saturating_mul(u32::from(frame_len)).to_le_bytes());
    file.extend(frame_len.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

/// FLAC frames of one constant each: 65,535 samples in some 16 bytes.
fn flac_silence(frames: u32) -> Vec<u8> {
    let mut file = b"fLaC\x80\0\0\x22".to_vec();
    file.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]); // block sizes, unknown frame sizes
    file.extend([0x03, 0xe8, 0x00, 0xf0, 0, 0, 0, 0]); // 16 kHz, mono, 16 bits, unknown length
    file.extend([0; 16]);
    for number in 0..frames {
        let mut frame = vec![0xff, 0xf8, 0x70, 0x08];
        frame.extend(char::from_u32(number).map_or("?".into(), String::from).bytes());
        frame.extend([0xff, 0xfe]);
        frame.push(crc(&frame, 8, 0x07) as u8);
        frame.extend([0, 0, 0]);
        frame.extend((crc(&frame, 16, 0x8005) as u16).to_be_bytes());
        file.extend(frame);
    }
    file
}

fn crc(bytes: &[u8], bits: u32, polynomial: u32) -> u32 {
    let top = 1 << (bits - 1);
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << (bits - 8), |crc, _| {
            (crc << 1 ^ if crc & top != 0 { polynomial } else { 0 }) & (top | (top - 1))
        })
    })
}

/// The decoders' own panics are contained and expected here; they need not fill the test's output.
fn quiet_contained_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |location| location.file());
            if !file.contains("symphonia") && !file.contains("ropus") {
                loud(info);
            }
        }));
    });
}

fn speech(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/speech").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{} is needed: {error}", path.display()))
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}
