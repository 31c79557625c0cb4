//! Decoding of whole files: containers and most codecs through symphonia, Opus through [`super::opus`].

use super::edit_list::{self, Edit};
use super::opus::{HeadOrder, OPUS_RATE_HZ, OpusDecoder};
use super::{CHANNELS_MAX, Pcm, check_channels, check_rate, push_mono};
use crate::error::{Error, ErrorCode, Result};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_OPUS, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ISOMP4, FORMAT_ID_OGG};
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

/// The longest file that [`decode`] takes, in seconds.
pub const DECODE_SECONDS_MAX: u32 = 3_600;

/// Decodes one complete file of up to an hour: [`decode_limited`] with [`DECODE_SECONDS_MAX`].
///
/// # Errors
/// Those of [`decode_limited`].
pub fn decode(bytes: &[u8]) -> Result<Pcm> {
    decode_limited(bytes, DECODE_SECONDS_MAX)
}

/// Decodes one complete file: WAV, FLAC, Ogg (Vorbis, Opus), MP3, ADTS, MP4 (AAC, Opus, MP3, FLAC), or WebM (Opus,
/// Vorbis). The kind is found from the bytes.
///
/// Channels are mixed to one, the file's rate is kept (Opus always decodes at 48 kHz), samples are clamped to -1 to 1.
/// An encoder's pre-skip, priming and padding are removed where the file declares them.
///
/// Damage: a packet that cannot be decoded becomes as much silence as the packet before it held, as long as fewer
/// packets are damaged than sound; a file that is cut off, or whose container is damaged further on, gives what
/// comes before (an MP4 file whose index is at its end and was lost gives nothing). A decoder's panic is
/// contained as damage, except on WebAssembly, where it aborts.
///
/// # Errors
/// - [`ErrorCode::AudioEmpty`]: no bytes, no audio track, or no samples
/// - [`ErrorCode::AudioUnknownFormat`]: none of these containers
/// - [`ErrorCode::AudioUnsupportedCodec`]: an audio track in some other codec
/// - [`ErrorCode::AudioCorrupt`]: nothing, or less than half, could be decoded
/// - [`ErrorCode::AudioInvalidRate`]: a rate outside 8,000 to 192,000 Hz, or more than eight channels
/// - [`ErrorCode::AudioInvalidSample`]: a file of floats with one that is not finite
/// - [`ErrorCode::AudioTooLong`]: more than `seconds_max`; found without decoding beyond it
pub fn decode_limited(bytes: &[u8], seconds_max: u32) -> Result<Pcm> {
    if bytes.is_empty() {
        return Err(Error::new(ErrorCode::AudioEmpty, "the file has no bytes"));
    }
    let error = match decode_from(Cursor::new(bytes), bytes, seconds_max) {
        Err(error) if SHAPE_ERRORS.contains(&error.code()) => error,
        decoded => return decoded,
    };
    // Demuxers refuse a file that is shorter than its boxes say; read as a stream of unknown length it decodes up to
    // its end.
    decode_from(ReadOnlySource::new(bytes), bytes, seconds_max).or(Err(error))
}

/// The errors of a truncated file in a demuxer that trusts its sizes.
const SHAPE_ERRORS: [ErrorCode; 3] = [ErrorCode::AudioCorrupt, ErrorCode::AudioEmpty, ErrorCode::AudioUnsupportedCodec];

/// Decodes the file `bytes`, which the demuxer reads through `stream`.
fn decode_from<'a>(stream: impl MediaSource + 'a, bytes: &'a [u8], seconds_max: u32) -> Result<Pcm> {
    let mut source = Source::open(stream, bytes)?;
    let mut mix =
        Mix { seconds_max, edit: source.edit, stores_floats: stores_floats(&source.params), ..Mix::default() };
    // Packets hold at least a byte, except in files made up to keep a decoder busy.
    for _ in 0..bytes.len().max(1_024) {
        let Some(packet) = source.next_packet() else { break };
        if packet.track_id != source.track_id {
            continue;
        }
        if !source.decode(&packet, &mut mix)? {
            mix.conceal()?;
            // The damaged packet may have left a mess in the decoder.
            source.codec = open_codec(&source.params, source.order)?;
        }
        if mix.is_complete() {
            break;
        }
    }
    mix.finish(source.damage)
}

/// An open file: its demuxer, and the decoder of its audio track.
struct Source<'a> {
    format: Box<dyn FormatReader + 'a>,
    params: AudioCodecParameters,
    order: HeadOrder,
    codec: Codec,
    track_id: u32,
    edit: Edit,
    /// True if the last packets declare their padding; in other containers the field is not set.
    packets_tell_padding: bool,
    /// The damage of the container, if any.
    damage: Option<&'static str>,
    interleaved: Vec<f32>,
}

enum Codec {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusDecoder>),
}

impl<'a> Source<'a> {
    fn open(stream: impl MediaSource + 'a, bytes: &'a [u8]) -> Result<Self> {
        let format = open_container(stream, bytes)?;
        let kind = format.format_info().format;
        let (track_id, params) = choose_track(format.as_ref())?;
        let order = if kind == FORMAT_ID_ISOMP4 { HeadOrder::Big } else { HeadOrder::Little };
        let codec = open_codec(&params, order)?;
        let rate = if matches!(codec, Codec::Opus(_)) { OPUS_RATE_HZ } else { params.sample_rate.unwrap_or(0) };
        let packets_tell_padding = kind == FORMAT_ID_OGG;
        let listed = (kind == FORMAT_ID_ISOMP4).then(|| edit_list::read(bytes, track_id, rate)).flatten();
        let edit = match (&codec, listed) {
            // An edit list that starts at 0 was written by a muxer that left the pre-skip to the header.
            (Codec::Opus(opus), Some(edit)) if edit.skip == 0 => Edit { skip: opus.pre_skip, ..edit },
            (_, Some(edit)) => edit,
            (Codec::Opus(opus), None) => Edit { skip: opus.pre_skip, keep: None },
            _ => Edit::default(),
        };
        let interleaved = Vec::new();
        Ok(Self { format, params, order, codec, track_id, edit, packets_tell_padding, damage: None, interleaved })
    }

    /// The next packet of any track; `None` at the end, or where the container is damaged.
    fn next_packet(&mut self) -> Option<Packet> {
        match contained(|| self.format.next_packet()) {
            Some(Ok(packet)) => return packet,
            // The end of a file that does not know its length.
            Some(Err(SymphoniaError::IoError(error))) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.damage = Some("the file is cut off");
            }
            Some(Err(SymphoniaError::ResetRequired)) => self.damage = Some("another stream follows"),
            Some(Err(_)) | None => self.damage = Some("the container is damaged"),
        }
        None
    }

    /// Adds the packet's sound to `mix`; false where the packet is damaged.
    fn decode(&mut self, packet: &Packet, mix: &mut Mix) -> Result<bool> {
        let padding_len = if self.packets_tell_padding { packet.trim_end.get() as usize } else { 0 };
        match &mut self.codec {
            Codec::Opus(decoder) => {
                let decoded = contained(|| decoder.decode(&packet.data)).flatten();
                let Some((samples, channels)) = decoded else { return Ok(false) };
                let kept_len = samples.len().saturating_sub(padding_len.saturating_mul(channels));
                mix.add(&samples[..kept_len], channels, OPUS_RATE_HZ)
            }
            Codec::Symphonia(decoder) => {
                let interleaved = &mut self.interleaved;
                let decoded = contained(|| match decoder.decode(packet) {
                    Ok(buffer) => {
                        let spec = buffer.spec();
                        let (channels, rate) = (spec.channels().count(), spec.rate());
                        // Refused before the samples are copied out.
                        if channels <= CHANNELS_MAX {
                            buffer.copy_to_vec_interleaved(interleaved);
                        }
                        Some((channels, rate))
                    }
                    Err(_) => None,
                });
                let Some((channels, rate)) = decoded.flatten() else { return Ok(false) };
                mix.add(&self.interleaved, channels, rate)
            }
        }
    }
}

fn open_container<'a>(stream: impl MediaSource + 'a, bytes: &[u8]) -> Result<Box<dyn FormatReader + 'a>> {
    let open = || {
        let stream = MediaSourceStream::new(Box::new(stream), Default::default());
        let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
        symphonia::default::get_probe().probe(&Hint::new(), stream, format, metadata)
    };
    match contained(open) {
        Some(Ok(format)) => Ok(format),
        // WAV names its codec in the header; other readers call damage unsupported, too.
        Some(Err(SymphoniaError::Unsupported(what))) if what.starts_with("wav: unsupported") => {
            Err(Error::new(ErrorCode::AudioUnsupportedCodec, what))
        }
        _ if looks_familiar(bytes) => Err(Error::new(ErrorCode::AudioCorrupt, "the container cannot be opened")),
        _ => Err(ErrorCode::AudioUnknownFormat.into()),
    }
}

/// True if the first bytes are those of a container that is known here.
fn looks_familiar(bytes: &[u8]) -> bool {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    starts(b"RIFF") || starts(b"fLaC") || starts(b"OggS") || starts(b"ID3") || starts(&[0x1a, 0x45, 0xdf, 0xa3])
        || bytes.get(4..8) == Some(b"ftyp")
        // The frame sync of MPEG audio and ADTS.
        || matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0)
}

/// The default audio track, or the first in a known codec: its id and parameters.
fn choose_track(format: &dyn FormatReader) -> Result<(u32, AudioCodecParameters)> {
    if format.tracks().is_empty() {
        return Err(Error::new(ErrorCode::AudioEmpty, "the file has no track"));
    }
    let track = format.default_track(TrackType::Audio).ok_or(ErrorCode::AudioUnsupportedCodec)?;
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) if params.codec != CODEC_ID_NULL_AUDIO => Ok((track.id, params.clone())),
        _ => Err(ErrorCode::AudioUnsupportedCodec.into()),
    }
}

fn open_codec(params: &AudioCodecParameters, order: HeadOrder) -> Result<Codec> {
    if params.codec == CODEC_ID_OPUS {
        return OpusDecoder::new(params.extra_data.as_deref(), order).map(|decoder| Codec::Opus(Box::new(decoder)));
    }
    if let Some(rate) = params.sample_rate {
        check_rate(rate)?;
    }
    let options = AudioDecoderOptions::default();
    match contained(|| symphonia::default::get_codecs().make_audio_decoder(params, &options)) {
        Some(Ok(decoder)) => Ok(Codec::Symphonia(decoder)),
        Some(Err(SymphoniaError::Unsupported(_))) => Err(ErrorCode::AudioUnsupportedCodec.into()),
        _ => Err(Error::new(ErrorCode::AudioCorrupt, "the codec's settings are damaged")),
    }
}

fn stores_floats(params: &AudioCodecParameters) -> bool {
    [CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_F64BE].contains(&params.codec)
}

/// The result, or `None` where foreign code panicked over damaged bytes; whatever it worked on is not used again,
/// or replaced.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Collects the sound: mixed to mono, trimmed, bounded, checked.
#[derive(Default)]
struct Mix {
    samples: Vec<f32>,
    rate: u32,
    seconds_max: u32,
    /// The presented part; samples to leave out count down.
    edit: Edit,
    /// True if the file stores float samples; from a codec, a sample that is not finite is damage.
    stores_floats: bool,
    /// Frames of the last sound packet, before trimming.
    last_len: usize,
    sound_packets: u64,
    damaged_packets: u64,
}

impl Mix {
    /// Adds the sound of a packet; false where it cannot be sound of this file.
    fn add(&mut self, interleaved: &[f32], channels: usize, rate: u32) -> Result<bool> {
        check_rate(rate)?;
        check_channels(channels)?;
        if self.rate != 0 && self.rate != rate {
            return Ok(false);
        }
        if interleaved.iter().any(|sample| !sample.is_finite()) {
            if !self.stores_floats {
                return Ok(false);
            }
            return Err(Error::new(ErrorCode::AudioInvalidSample, "a sample of the file is not finite"));
        }
        self.rate = rate;
        self.sound_packets += 1;
        let frames = interleaved.len() / channels;
        self.last_len = frames;
        let skipped = self.edit.skip.min(frames as u64) as usize;
        self.edit.skip -= skipped as u64;
        let start = self.samples.len();
        push_mono(&interleaved[skipped * channels..], channels, &mut self.samples);
        self.samples[start..].iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        self.check_length()?;
        Ok(true)
    }

    /// Silence in place of a packet that is damaged.
    fn conceal(&mut self) -> Result<()> {
        self.damaged_packets += 1;
        self.samples.resize(self.samples.len() + self.last_len, 0.0);
        self.check_length()
    }

    fn check_length(&self) -> Result<()> {
        if self.samples.len() as u64 > u64::from(self.seconds_max) * u64::from(self.rate) && !self.is_complete() {
            return Err(Error::new(ErrorCode::AudioTooLong, format!("more than {} s", self.seconds_max)));
        }
        Ok(())
    }

    /// True if all samples of the edit are there.
    fn is_complete(&self) -> bool {
        self.edit.keep.is_some_and(|keep| self.samples.len() as u64 >= keep)
    }

    fn finish(mut self, damage: Option<&'static str>) -> Result<Pcm> {
        if self.damaged_packets > self.sound_packets {
            return Err(Error::new(ErrorCode::AudioCorrupt, "most of the file cannot be decoded"));
        }
        if let Some(keep) = self.edit.keep {
            self.samples.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
        self.check_length()?;
        match (self.samples.is_empty(), damage, self.damaged_packets) {
            (false, _, _) => Ok(Pcm { samples: self.samples, rate: self.rate }),
            (true, None, 0) => Err(ErrorCode::AudioEmpty.into()),
            (true, damage, _) => Err(Error::new(ErrorCode::AudioCorrupt, damage.unwrap_or("no packet is sound"))),
        }
    }
}
