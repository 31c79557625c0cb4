//! The header of WAV files, which the audio and the store's archives share. PURE

/// Bytes of [`wav_header`].
pub(crate) const WAV_HEADER_LEN: usize = 44;

/// The header of a WAV file (RIFF, PCM, mono, 16 bits). Its sizes have 32 bits: they say less of a longer file.
pub(crate) fn wav_header(rate: u32, samples: u64) -> [u8; WAV_HEADER_LEN] {
    let riff_rest_len = WAV_HEADER_LEN as u32 - 8;
    let data_len = u32::try_from(samples.saturating_mul(2)).unwrap_or(u32::MAX).min(u32::MAX - riff_rest_len);
    let (pcm, channels, frame_len, bits) = (1u16, 1u16, 2u16, 16u16);
    let parts: [&[u8]; 11] = [
        b"RIFF",
        &(riff_rest_len + data_len).to_le_bytes(),
        b"WAVEfmt ",
        &16u32.to_le_bytes(),
        &[pcm.to_le_bytes(), channels.to_le_bytes()].concat(),
        &rate.to_le_bytes(),
        &rate.saturating_mul(2).to_le_bytes(),
        &frame_len.to_le_bytes(),
        &bits.to_le_bytes(),
        b"data",
        &data_len.to_le_bytes(),
    ];
    parts.concat().try_into().expect("the parts have the header's length")
}
