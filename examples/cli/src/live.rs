//! The loop of a conversation through the machine's own devices: reopens them, shows the level meter, reads the keys.

use crate::output::Output;
use crate::sound::device::Devices;
use crate::sound::player::Player;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tertulia::{Error, ErrorCode, Result, Session};

/// The time between two polls.
const PACE: Duration = Duration::from_millis(20);

/// The time before a lost device is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// The level meter: its width, and its lowest level.
const METER_WIDTH: usize = 20;
const METER_DB_MIN: f32 = -60.0;

pub(crate) struct Live {
    session: Session,
    player: Option<Arc<Mutex<Player>>>,
    cancel_echo: bool,
    level: Arc<AtomicU32>,
    /// The devices, or the time of the last attempt to open them.
    devices: RefCell<std::result::Result<Devices, Instant>>,
    stop: Arc<AtomicBool>,
    keys: Keys,
}

impl Live {
    /// Opens the devices.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] where there are none.
    pub(crate) fn open(session: &Session, player: Option<Arc<Mutex<Player>>>, cancel_echo: bool) -> Result<Self> {
        let level = Arc::new(AtomicU32::new(0));
        let devices = Devices::open(session, player.as_ref(), cancel_echo, &level)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, stop.clone()).map_err(|source| {
                Error::new(ErrorCode::Internal, "Ctrl-C handler could not be installed").with_source(source)
            })?;
        }
        let (session, devices) = (session.clone(), RefCell::new(Ok(devices)));
        Ok(Self { session, player, cancel_echo, level, devices, stop, keys: Keys::open() })
    }

    /// Runs until Ctrl-C, calling `each` at every poll.
    pub(crate) fn run(&self, output: &Output, mut each: impl FnMut(&Self) -> Result<()>) -> Result<()> {
        while !self.stop.load(Ordering::Acquire) {
            each(self)?;
            self.read_keys()?;
            self.check_devices(output)?;
            std::thread::sleep(PACE);
        }
        output.status("")
    }

    /// Shows the microphone's level and the partial transcript.
    pub(crate) fn show(&self, text: &str, output: &Output) -> Result<()> {
        let peak = f32::from_bits(self.level.swap(0, Ordering::Relaxed));
        let part = 1.0 - (20.0 * peak.max(1e-6).log10()).max(METER_DB_MIN) / METER_DB_MIN;
        let filled = ((part * METER_WIDTH as f32) as usize).min(METER_WIDTH);
        output.status(&format!("[{}{}] {text}", "#".repeat(filled), " ".repeat(METER_WIDTH - filled)))
    }

    fn read_keys(&self) -> Result<()> {
        while self.keys.raw && poll(Duration::ZERO).unwrap_or(false) {
            let Ok(Event::Key(key)) = read() else { continue };
            if key.kind != KeyEventKind::Press {
                continue;
            }
            match key.code {
                KeyCode::Char(' ') => self.session.interrupt()?,
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    self.stop.store(true, Ordering::Release);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_devices(&self, output: &Output) -> Result<()> {
        let mut devices = self.devices.borrow_mut();
        match &*devices {
            Ok(open) if open.are_lost() => {
                output.text("         (sound device lost)")?;
                self.session.input_interrupted()?;
                *devices = Err(Instant::now());
            }
            Err(since) if since.elapsed() >= RETRY => {
                *devices = Devices::open(&self.session, self.player.as_ref(), self.cancel_echo, &self.level)
                    .map_err(|_none_yet| Instant::now());
                if devices.is_ok() {
                    self.session.input_resumed()?;
                    output.text("         (sound devices are back)")?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A terminal in raw mode, until this is dropped.
struct Keys {
    raw: bool,
}

impl Keys {
    fn open() -> Self {
        Self { raw: io::stdin().is_terminal() && enable_raw_mode().is_ok() }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if self.raw {
            let _ = disable_raw_mode();
        }
    }
}
