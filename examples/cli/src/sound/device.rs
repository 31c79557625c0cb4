//! The machine's own microphone and speaker.

use super::player::{Player, lock};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, Device, ErrorKind, FromSample, SampleFormat, SizedSample, Stream, StreamConfig, SupportedBufferSize,
    SupportedStreamConfig,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tertulia::{Error, ErrorCode, Result, Session};

/// Periods per second, where a device lets one choose: shorter ones underrun while the models work.
const PERIODS_PER_S: u32 = 25;

/// The shortest time between two log lines of the same device error.
const LOG_AGAIN: Duration = Duration::from_secs(1);

/// Open streams, which end when this is dropped.
pub(crate) struct Devices {
    _streams: Vec<Stream>,
    lost: Arc<AtomicBool>,
}

impl Devices {
    /// Opens the microphone, and the speaker if there is a player. With `cancel_echo` the speaker's audio is pushed to the
    /// session. `level` is the microphone's peak since it was last set to 0, as the bits of an `f32`.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] if there is no such device, or it cannot be started.
    pub(crate) fn open(
        session: &Session,
        player: Option<&Arc<Mutex<Player>>>,
        cancel_echo: bool,
        level: &Arc<AtomicU32>,
    ) -> Result<Self> {
        let host = cpal::default_host();
        let lost = Arc::new(AtomicBool::new(false));
        let mut streams = Vec::new();
        if let Some(player) = player {
            let device = host.default_output_device().ok_or_else(|| none("speaker"))?;
            streams.push(open_speaker(&device, session, player, cancel_echo, &lost)?);
        }
        let device = host.default_input_device().ok_or_else(|| none("microphone"))?;
        streams.push(open_microphone(&device, session, level, &lost)?);
        for stream in &streams {
            stream.play().map_err(|source| failed("started", source))?;
        }
        Ok(Self { _streams: streams, lost })
    }

    /// True if a device is gone or has changed its format: all must be opened again.
    pub(crate) fn are_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

fn open_microphone(
    device: &Device,
    session: &Session,
    level: &Arc<AtomicU32>,
    lost: &Arc<AtomicBool>,
) -> Result<Stream> {
    let config = device.default_input_config().map_err(|source| failed("asked for its format", source))?;
    let (format, config) = (config.sample_format(), with_period(&config));
    let (session, level) = (session.clone(), level.clone());
    match format {
        SampleFormat::F32 => record::<f32>(device, config, session, level, lost),
        SampleFormat::I16 => record::<i16>(device, config, session, level, lost),
        SampleFormat::I32 => record::<i32>(device, config, session, level, lost),
        SampleFormat::U16 => record::<u16>(device, config, session, level, lost),
        other => Err(unknown_format(other)),
    }
}

fn record<T>(
    device: &Device,
    config: StreamConfig,
    session: Session,
    level: Arc<AtomicU32>,
    lost: &Arc<AtomicBool>,
) -> Result<Stream>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let (rate, channels) = (config.sample_rate, usize::from(config.channels).max(1));
    let mut samples = Vec::new();
    let take = move |block: &[T], _: &cpal::InputCallbackInfo| {
        samples.clear();
        samples.extend(block.iter().map(|sample| f32::from_sample_(*sample)));
        let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        level.fetch_max(peak.to_bits(), Ordering::Relaxed);
        // The session's events tell when it is closed.
        let _ = session.push_interleaved(&samples, channels, rate);
    };
    device.build_input_stream(config, take, on_error(lost), None).map_err(|source| failed("opened", source))
}

fn open_speaker(
    device: &Device,
    session: &Session,
    player: &Arc<Mutex<Player>>,
    cancel_echo: bool,
    lost: &Arc<AtomicBool>,
) -> Result<Stream> {
    let config = device.default_output_config().map_err(|source| failed("asked for its format", source))?;
    let (format, config) = (config.sample_format(), with_period(&config));
    lock(player).set_rate(config.sample_rate)?;
    let (session, player) = (cancel_echo.then(|| session.clone()), player.clone());
    match format {
        SampleFormat::F32 => play::<f32>(device, config, session, player, lost),
        SampleFormat::I16 => play::<i16>(device, config, session, player, lost),
        SampleFormat::I32 => play::<i32>(device, config, session, player, lost),
        SampleFormat::U16 => play::<u16>(device, config, session, player, lost),
        other => Err(unknown_format(other)),
    }
}

fn play<T>(
    device: &Device,
    config: StreamConfig,
    session: Option<Session>,
    player: Arc<Mutex<Player>>,
    lost: &Arc<AtomicBool>,
) -> Result<Stream>
where
    T: SizedSample + FromSample<f32>,
{
    let (rate, channels) = (config.sample_rate, usize::from(config.channels).max(1));
    let mut mono = Vec::new();
    let give = move |block: &mut [T], _: &cpal::OutputCallbackInfo| {
        mono.resize(block.len() / channels, 0.0);
        lock(&player).render(&mut mono);
        for (frame, sample) in block.chunks_exact_mut(channels).zip(&mono) {
            frame.fill(T::from_sample_(*sample));
        }
        if let Some(session) = &session {
            let _ = session.push_playback(&mono, rate);
        }
    };
    device.build_output_stream(config, give, on_error(lost), None).map_err(|source| failed("opened", source))
}

fn with_period(supported: &SupportedStreamConfig) -> StreamConfig {
    let frames = supported.sample_rate() / PERIODS_PER_S;
    let buffer_size = match supported.buffer_size() {
        SupportedBufferSize::Range { min, max } if (*min..=*max).contains(&frames) => BufferSize::Fixed(frames),
        _ => BufferSize::Default,
    };
    StreamConfig { buffer_size, ..supported.config() }
}

/// A stream's error callback: logs, and notes that the device is lost.
fn on_error(lost: &Arc<AtomicBool>) -> impl FnMut(cpal::Error) + Send + 'static {
    let lost = lost.clone();
    let mut logged: Option<(ErrorKind, Instant)> = None;
    move |error| {
        let kind = error.kind();
        if matches!(kind, ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated) {
            lost.store(true, Ordering::Release);
        }
        // An underrun may be reported thousands of times until the device has recovered.
        if logged.is_none_or(|(last, at)| last != kind || at.elapsed() > LOG_AGAIN) {
            logged = Some((kind, Instant::now()));
            tracing::warn!(%error, "sound device failed");
        }
    }
}

fn none(what: &str) -> Error {
    Error::new(ErrorCode::Unsupported, format!("no {what} on this machine"))
}

fn failed(what: &str, source: cpal::Error) -> Error {
    Error::new(ErrorCode::Unsupported, format!("sound device could not be {what}: {source}")).with_source(source)
}

fn unknown_format(format: SampleFormat) -> Error {
    Error::new(ErrorCode::Unsupported, format!("sound device has an unknown sample format: {format}"))
}
