//! Keys: the host's, and those of the records.
//!
//! Each record is sealed with a data key that the store made itself; the data keys lie in the store, wrapped by the
//! host's key. A new host's key therefore holds at once, and records are sealed anew bit by bit while the store is used:
//! in between, the ring holds both data keys, and each record says by number which one it needs.

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
/// Bytes of the tag that tells whether a sealed text is what somebody with the key wrote.
pub(super) const TAG_LEN: usize = 16;

/// The key to an encrypted store: 32 random bytes, kept by the host and wiped from memory when dropped.
///
/// Keep it where the platform keeps secrets, never beside the store: on iOS and macOS in the keychain
/// (`kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly`, so that it is there while the device is locked and is in no
/// backup), on Android wrapped by a key of the Android Keystore (`setUserAuthenticationRequired` if a lock screen shall
/// guard it), in browsers wrapped by a non-extractable `CryptoKey` in IndexedDB (which keeps it from being read out by
/// name, not from scripts of the same origin), on desktops in the system's secret service. Without the key the store
/// cannot be read by anybody, and nothing recovers it.
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

/// The data keys of a store.
#[derive(Clone, Default)]
pub(super) struct Ring {
    keys: Vec<(u8, DataKey)>,
    /// The number of the youngest key that there ever was.
    last_number: u8,
    /// The number of the key that seals; `None` where records are written as they are.
    sealing: Option<u8>,
    /// Whether records that are not encrypted are taken for ours. In an encrypted store they would be somebody else's.
    takes_plain: bool,
}

#[derive(Clone)]
struct DataKey {
    bytes: Zeroizing<[u8; KEY_LEN]>,
    cipher: XChaCha20Poly1305,
}

/// The ring as it lies in the store, before it is wrapped.
#[derive(Serialize, Deserialize)]
struct RingPayload {
    #[serde(rename = "k")]
    keys: Vec<(u8, [u8; KEY_LEN])>,
    #[serde(rename = "n")]
    last_number: u8,
    #[serde(rename = "s")]
    sealing: Option<u8>,
    #[serde(rename = "p")]
    takes_plain: bool,
}

impl Drop for RingPayload {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(|(_, key)| key.zeroize());
    }
}

impl Ring {
    /// The ring of a store that is not encrypted.
    pub(super) fn plain() -> Ring {
        Ring { takes_plain: true, ..Ring::default() }
    }

    /// The ring of a new encrypted store.
    pub(super) fn encrypted() -> Result<Ring> {
        let mut ring = Ring::default();
        ring.add_key()?;
        Ok(ring)
    }

    /// Whether what is written is encrypted.
    pub(super) fn seals(&self) -> bool {
        self.sealing.is_some()
    }

    /// Whether any record may need a key.
    pub(super) fn holds_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn takes_plain(&self) -> bool {
        self.takes_plain
    }

    /// Whether there are records that have to be sealed anew.
    pub(super) fn is_changing(&self) -> bool {
        self.keys.len() + usize::from(self.takes_plain) > 1
    }

    /// The ring while records change to a new data key.
    pub(super) fn changing_to_new_key(&self) -> Result<Ring> {
        let mut ring = self.clone();
        ring.add_key()?;
        Ok(ring)
    }

    /// The ring while records change to not being encrypted.
    pub(super) fn changing_to_plain(&self) -> Ring {
        Ring { sealing: None, takes_plain: true, ..self.clone() }
    }

    /// The ring once all records have changed.
    pub(super) fn changed(&self) -> Ring {
        let sealing = self.sealing;
        let keys = self.keys.iter().filter(|(number, _)| Some(*number) == sealing).cloned().collect();
        Ring { keys, last_number: self.last_number, sealing, takes_plain: sealing.is_none() }
    }

    /// This ring, which opens in addition what the older one opens.
    pub(super) fn with_keys_of(&self, older: &Ring) -> Ring {
        let mut ring = self.clone();
        ring.keys.extend(older.keys.iter().filter(|(number, _)| self.key(*number).is_none()).cloned());
        ring.takes_plain |= older.takes_plain;
        ring
    }

    /// Whether a record under this key, or none, is as it is to be.
    pub(super) fn is_current(&self, number: Option<u8>) -> bool {
        self.sealing == number
    }

    fn add_key(&mut self) -> Result<()> {
        // In turn, so that a number that somebody may still be reading by is not given to another key so soon.
        let number = (1..=u8::MAX)
            .map(|step| self.last_number.wrapping_add(step))
            .find(|number| self.key(*number).is_none())
            .ok_or_else(|| Error::new(ErrorCode::Internal, "the store has no number for a new key"))?;
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        fill_random(&mut bytes[..])?;
        self.keys.push((number, DataKey::new(bytes)));
        (self.sealing, self.last_number) = (Some(number), number);
        Ok(())
    }

    /// The number of the key, the nonce and the sealed text.
    pub(super) fn seal(&self, aad: impl FnOnce(u8) -> Vec<u8>, text: &[u8]) -> Result<Option<(u8, Vec<u8>)>> {
        let Some(number) = self.sealing else { return Ok(None) };
        let key = self.key(number).ok_or_else(|| Error::new(ErrorCode::Internal, "a data key is missing"))?;
        Ok(Some((number, seal(&key.cipher, &aad(number), text)?)))
    }

    /// The text of nonce and sealed text; `None` where it is not what somebody with the key wrote under this `aad`.
    pub(super) fn unseal(&self, number: u8, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        unseal(&self.key(number)?.cipher, aad, sealed)
    }

    fn key(&self, number: u8) -> Option<&DataKey> {
        self.keys.iter().find(|(known, _)| *known == number).map(|(_, key)| key)
    }

    /// The ring, wrapped by the host's key.
    pub(super) fn wrap(&self, key: &StoreKey, aad: &[u8]) -> Result<Vec<u8>> {
        let payload = RingPayload {
            keys: self.keys.iter().map(|(number, key)| (*number, *key.bytes)).collect(),
            last_number: self.last_number,
            sealing: self.sealing,
            takes_plain: self.takes_plain,
        };
        let text = rmp_serde::to_vec_named(&payload)
            .map_err(|source| Error::new(ErrorCode::Internal, "the keys could not be encoded").with_source(source))?;
        seal(&cipher(key.as_bytes()), aad, &Zeroizing::new(text))
    }

    /// # Errors
    /// [`ErrorCode::StoreWrongKey`]; [`ErrorCode::StoreFromFuture`] where the keys are of an unknown form.
    pub(super) fn unwrap(key: &StoreKey, aad: &[u8], sealed: &[u8]) -> Result<Ring> {
        let text = unseal(&cipher(key.as_bytes()), aad, sealed).ok_or(ErrorCode::StoreWrongKey)?;
        let text = Zeroizing::new(text);
        let payload: RingPayload = rmp_serde::from_slice(&text).map_err(|source| {
            Error::new(ErrorCode::StoreFromFuture, "the store's keys are of an unknown form").with_source(source)
        })?;
        let keys = payload.keys.iter().map(|(number, key)| (*number, DataKey::new(Zeroizing::new(*key)))).collect();
        let RingPayload { last_number, sealing, takes_plain, .. } = payload;
        Ok(Ring { keys, last_number, sealing, takes_plain })
    }
}

impl DataKey {
    fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        let cipher = cipher(&bytes);
        Self { bytes, cipher }
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
    let mut both = Vec::with_capacity(NONCE_LEN + sealed.len());
    both.extend_from_slice(&nonce);
    both.extend_from_slice(&sealed);
    Ok(both)
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

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_its_place() {
        let ring = Ring::encrypted().unwrap();
        let (number, sealed) = ring.seal(|_| b"here".to_vec(), b"hola").unwrap().unwrap();
        assert_eq!(ring.unseal(number, b"here", &sealed).unwrap(), b"hola");
        assert_eq!(ring.unseal(number, b"there", &sealed), None);
        assert_eq!(Ring::encrypted().unwrap().unseal(number, b"here", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ring.unseal(number, b"here", &flipped), None, "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(ring.unseal(number, b"here", &sealed[..len]), None);
        }
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let ring = Ring::encrypted().unwrap();
        let mut nonces: Vec<Vec<u8>> =
            (0..1000).map(|_| ring.seal(|_| Vec::new(), b"x").unwrap().unwrap().1[..NONCE_LEN].to_vec()).collect();
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 1000);
    }

    #[test]
    fn a_ring_opens_with_the_host_s_key_alone() {
        let (key, other) = (StoreKey::generate().unwrap(), StoreKey::generate().unwrap());
        let ring = Ring::encrypted().unwrap();
        let wrapped = ring.wrap(&key, b"a").unwrap();
        let (number, sealed) = ring.seal(|_| Vec::new(), b"hola").unwrap().unwrap();
        assert_eq!(Ring::unwrap(&key, b"a", &wrapped).unwrap().unseal(number, b"", &sealed).unwrap(), b"hola");
        for (key, aad) in [(&other, &b"a"[..]), (&key, b"b")] {
            let refused = Ring::unwrap(key, aad, &wrapped).err().unwrap();
            assert_eq!(refused.code(), ErrorCode::StoreWrongKey);
        }
    }

    #[test]
    fn a_changing_ring_reads_both_and_a_changed_one_only_what_is_new() {
        let old = Ring::encrypted().unwrap();
        let (number, sealed) = old.seal(|_| Vec::new(), b"hola").unwrap().unwrap();
        let changing = old.changing_to_new_key().unwrap();
        assert!(changing.is_changing() && !changing.is_current(Some(number)));
        assert_eq!(changing.unseal(number, b"", &sealed).unwrap(), b"hola");
        let changed = changing.changed();
        assert!(!changed.is_changing() && changed.seals() && !changed.takes_plain());
        assert_eq!(changed.unseal(number, b"", &sealed), None);
        let plain = changed.changing_to_plain();
        assert!(plain.is_changing() && !plain.seals());
        assert!(plain.changed().takes_plain() && !plain.changed().is_changing());
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let key = StoreKey::new([0x5a; KEY_LEN]);
        assert_eq!(format!("{key:?}"), "StoreKey(..)");
        assert_eq!(StoreKey::from_slice(&[0; 31]).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}
