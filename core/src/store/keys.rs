//! Encryption: the host's key, and the data key that it wraps.
//!
//! Records are sealed (XChaCha20-Poly1305) with a random data key, which lies in the store, wrapped by the host's key.

use crate::error::{Error, ErrorCode, Result};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub(super) const KEY_LEN: usize = 32;
/// Bytes of a nonce, which is random for each sealing.
pub(super) const NONCE_LEN: usize = 24;
/// Bytes of the authentication tag.
pub(super) const TAG_LEN: usize = 16;

/// The key to an encrypted store: 32 random bytes, kept by the host and wiped from memory when dropped.
///
/// Keep it where the platform keeps secrets, never beside the store: on iOS and macOS in the keychain
/// (`kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly`, so that it is there while the device is locked and is in no
/// backup), on Android wrapped by a key of the Android Keystore (`setUserAuthenticationRequired` if a lock screen shall
/// guard it), in browsers wrapped by a non-extractable `CryptoKey` in IndexedDB (which keeps it from being read out by
/// name, not from scripts of the same origin), on desktops in the system's secret service. Without the key the store
/// cannot be read, and nothing recovers it.
///
/// ```
/// use tertulia::store::{Store, StoreKey, StoreLocation, StoreOptions};
/// let key = StoreKey::generate()?;
/// // ... `key.as_bytes()` goes into the keychain.
/// let options = StoreOptions { key: Some(key), ..StoreOptions::default() };
/// let store = Store::open_with(StoreLocation::Memory, options, 0)?;
/// assert!(store.is_encrypted());
/// # Ok::<(), tertulia::Error>(())
/// ```
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; KEY_LEN]>);

impl StoreKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_LEN]) -> StoreKey {
        StoreKey(Zeroizing::new(bytes))
    }

    /// A key of these bytes.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where they are not 32.
    pub fn from_slice(bytes: &[u8]) -> Result<StoreKey> {
        let bytes = bytes.try_into().map_err(|_| {
            Error::new(ErrorCode::InvalidArgument, format!("a key has {KEY_LEN} bytes, not {}", bytes.len()))
        })?;
        Ok(StoreKey::new(bytes))
    }

    /// A key of these hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where they are not 64.
    pub fn from_hex(digits: &str) -> Result<StoreKey> {
        let mut key = StoreKey::new([0; KEY_LEN]);
        let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        let bytes = digits.as_bytes().chunks_exact(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?));
        let all = key.0.iter_mut().zip(bytes).try_for_each(|(byte, read)| read.map(|read| *byte = read));
        if all.is_some() && digits.len() == 2 * KEY_LEN {
            return Ok(key);
        }
        Err(Error::new(ErrorCode::InvalidArgument, format!("a key has {} hexadecimal digits", 2 * KEY_LEN)))
    }

    /// The bytes as hexadecimal digits, to be kept by the host.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A random key, from the operating system's generator.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] where the system has none.
    pub fn generate() -> Result<StoreKey> {
        let mut key = StoreKey::new([0; KEY_LEN]);
        fill_random(&mut key.0[..])?;
        Ok(key)
    }

    /// The bytes, to be kept by the host.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// How the records of a store are sealed: with a data key, or not at all.
#[derive(Clone)]
pub(super) struct Sealing(Option<DataKey>);

#[derive(Clone)]
struct DataKey {
    /// A byte of each record that says which key it needs.
    number: u8,
    bytes: Zeroizing<[u8; KEY_LEN]>,
    cipher: XChaCha20Poly1305,
}

/// The data key in the store, before it is wrapped. The form allows for several keys, which unreleased versions had
/// while a key was rotated.
#[derive(Serialize, Deserialize)]
struct KeysPayload {
    #[serde(rename = "k")]
    keys: Vec<(u8, [u8; KEY_LEN])>,
    #[serde(rename = "n")]
    last_number: u8,
    #[serde(rename = "s")]
    sealing: Option<u8>,
    #[serde(rename = "p")]
    takes_plain: bool,
}

impl Drop for KeysPayload {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(|(_, key)| key.zeroize());
    }
}

impl Sealing {
    /// Records that are not encrypted.
    pub(super) fn plain() -> Sealing {
        Sealing(None)
    }

    /// A new data key, where the host has a key to wrap it with.
    pub(super) fn new(key: Option<&StoreKey>) -> Result<Sealing> {
        if key.is_none() {
            return Ok(Sealing::plain());
        }
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        fill_random(&mut bytes[..])?;
        Ok(Sealing(Some(DataKey::new(1, bytes))))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.0.is_some()
    }

    /// The number of the key, and nonce and sealed text; `None` where nothing is encrypted.
    pub(super) fn seal(&self, aad: impl FnOnce(u8) -> Vec<u8>, text: &[u8]) -> Result<Option<(u8, Vec<u8>)>> {
        let Some(key) = &self.0 else { return Ok(None) };
        Ok(Some((key.number, seal(&key.cipher, &aad(key.number), text)?)))
    }

    /// The text of nonce and sealed text; `None` where the key with this number did not seal it under this `aad`.
    pub(super) fn unseal(&self, number: u8, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        unseal(&self.0.as_ref().filter(|key| key.number == number)?.cipher, aad, sealed)
    }

    /// The data key, wrapped by the host's key.
    pub(super) fn wrap(&self, key: &StoreKey, aad: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(DataKey { number, bytes, .. }) = &self.0 else { return Ok(None) };
        let (last_number, sealing) = (*number, Some(*number));
        let payload = KeysPayload { keys: vec![(*number, **bytes)], last_number, sealing, takes_plain: false };
        let text = rmp_serde::to_vec_named(&payload)
            .map_err(|source| Error::new(ErrorCode::Internal, "the keys could not be encoded").with_source(source))?;
        seal(&cipher(key.as_bytes()), aad, &Zeroizing::new(text)).map(Some)
    }

    /// # Errors
    /// [`ErrorCode::StoreWrongKey`]; [`ErrorCode::StoreFromFuture`] where the keys are of an unknown form.
    pub(super) fn unwrap(key: &StoreKey, aad: &[u8], sealed: &[u8]) -> Result<Sealing> {
        let unknown = || Error::new(ErrorCode::StoreFromFuture, "the store's keys are of an unknown form");
        let text = unseal(&cipher(key.as_bytes()), aad, sealed).ok_or(ErrorCode::StoreWrongKey)?;
        let text = Zeroizing::new(text);
        let payload: KeysPayload = rmp_serde::from_slice(&text).map_err(|source| unknown().with_source(source))?;
        match (&payload.keys[..], payload.takes_plain) {
            ([(number, key)], false) if payload.sealing == Some(*number) => {
                Ok(Sealing(Some(DataKey::new(*number, Zeroizing::new(*key)))))
            }
            _ => Err(unknown()),
        }
    }
}

impl DataKey {
    fn new(number: u8, bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        let cipher = cipher(&bytes);
        Self { number, bytes, cipher }
    }
}

fn cipher(key: &[u8; KEY_LEN]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// Nonce and sealed text.
fn seal(cipher: &XChaCha20Poly1305, aad: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    fill_random(&mut nonce)?;
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: text, aad })
        .map_err(|_| Error::new(ErrorCode::Internal, "a record could not be encrypted"))?;
    Ok([&nonce[..], &sealed].concat())
}

fn unseal(cipher: &XChaCha20Poly1305, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad }).ok()
}

pub(super) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::new(ErrorCode::Internal, format!("the system gives no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encrypted() -> Sealing {
        Sealing::new(Some(&StoreKey::new([1; KEY_LEN]))).unwrap()
    }

    #[test]
    fn a_sealed_record_opens_only_with_its_key_and_its_associated_data() {
        let sealing = encrypted();
        let (number, sealed) = sealing.seal(|_| b"here".to_vec(), b"hola").unwrap().unwrap();
        assert_eq!(sealing.unseal(number, b"here", &sealed).unwrap(), b"hola");
        assert_eq!(sealing.unseal(number, b"there", &sealed), None);
        assert_eq!(encrypted().unseal(number, b"here", &sealed), None);
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let sealing = encrypted();
        let mut nonces: Vec<Vec<u8>> =
            (0..1000).map(|_| sealing.seal(|_| Vec::new(), b"x").unwrap().unwrap().1[..NONCE_LEN].to_vec()).collect();
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 1000);
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        let key = StoreKey::new([0x5a; KEY_LEN]);
        assert_eq!(format!("{key:?}"), "StoreKey(..)");
        assert_eq!(StoreKey::from_slice(&[0; 31]).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}
