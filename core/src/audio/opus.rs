//! Opus packets (RFC 6716) and their stream header (RFC 7845, 5.1), through ropus.
//!
//! ropus is a fixed-point port, bit-exact with the reference decoder, without C code and with one small dependency.
//! The other pure Rust decoder, ruopus, is in floating point (a little nearer to the reference's float build), but
//! either transforms in quadratic time or takes an FFT crate that alone builds longer than all of this crate.

use crate::error::{Error, ErrorCode, Result};
use ropus::{Channels, DecodeMode, Decoder};

/// Opus always decodes at this rate here.
pub(super) const OPUS_RATE_HZ: u32 = 48_000;

/// The longest packet: 120 ms.
const PACKET_LEN_MAX: usize = 5_760;

/// The byte order of the header's numbers: big-endian in MP4, little-endian elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadOrder {
    Little,
    Big,
}

/// A decoder of one stream of packets.
pub(super) struct OpusDecoder {
    decoder: Decoder,
    channels: usize,
    /// Samples to leave out at the stream's start.
    pub(super) pre_skip: u64,
    interleaved: Vec<f32>,
}

impl OpusDecoder {
    /// A decoder for the stream that `head` describes; without a header it is taken for stereo, as RFC 7845 allows
    /// for every mono or stereo stream.
    ///
    /// # Errors
    /// [`ErrorCode::AudioCorrupt`] for a header that is cut off; [`ErrorCode::AudioUnsupportedCodec`] for more than
    /// two channels.
    pub(super) fn new(head: Option<&[u8]>, order: HeadOrder) -> Result<Self> {
        let head = head.map(|head| Head::parse(head, order)).transpose()?.unwrap_or(Head::DEFAULT);
        if !(1..=2).contains(&head.channels) || head.streams != 1 {
            return Err(Error::new(ErrorCode::AudioUnsupportedCodec, "Opus with more than two channels"));
        }
        let layout = if head.channels == 1 { Channels::Mono } else { Channels::Stereo };
        let internal = |_| Error::new(ErrorCode::Internal, "the Opus decoder refused its settings");
        let mut decoder = Decoder::new(OPUS_RATE_HZ, layout).map_err(internal)?;
        decoder.set_gain(i32::from(head.gain)).map_err(|_| ErrorCode::AudioCorrupt)?;
        let channels = usize::from(head.channels);
        let interleaved = vec![0.0; PACKET_LEN_MAX * channels];
        Ok(Self { decoder, channels, pre_skip: u64::from(head.pre_skip), interleaved })
    }

    /// Decodes one packet; the samples are interleaved, with their channel count. An empty packet is a lost one, and
    /// is concealed for 20 ms. `None` for a packet that is damaged.
    pub(super) fn decode(&mut self, packet: &[u8]) -> Option<(&[f32], usize)> {
        const LOST_LEN: usize = 960;
        let frames_max = if packet.is_empty() { LOST_LEN } else { PACKET_LEN_MAX };
        let buffer = &mut self.interleaved[..frames_max * self.channels];
        let frames = self.decoder.decode_float(packet, buffer, DecodeMode::Normal).ok()?;
        Some((self.interleaved.get(..frames * self.channels)?, self.channels))
    }
}

struct Head {
    channels: u8,
    pre_skip: u16,
    gain: i16,
    streams: u8,
}

impl Head {
    const DEFAULT: Head = Head { channels: 2, pre_skip: 0, gain: 0, streams: 1 };

    /// Reads the header with its magic, as all demuxers hand it out.
    fn parse(head: &[u8], order: HeadOrder) -> Result<Self> {
        let (true, Some(&[_, channels, s0, s1, _, _, _, _, g0, g1, family])) =
            (head.starts_with(b"OpusHead"), head.get(8..).and_then(<[u8]>::first_chunk::<11>))
        else {
            return Err(Error::new(ErrorCode::AudioCorrupt, "the Opus header is truncated"));
        };
        let number = |bytes| match order {
            HeadOrder::Little => u16::from_le_bytes(bytes),
            HeadOrder::Big => u16::from_be_bytes(bytes),
        };
        let streams = if family == 0 { 1 } else { head.get(19).copied().unwrap_or(0) };
        Ok(Self { channels, pre_skip: number([s0, s1]), gain: number([g0, g1]) as i16, streams })
    }
}
