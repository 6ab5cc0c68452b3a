//! The account's key, as it stands in a Secret.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

/// The longest key that is accepted, in bytes. The console's keys have 64; more is a mistaken file.
pub const MAX_KEY_BYTES: usize = 1024;

/// The account's key, kept out of every text and wiped from memory when dropped.
///
/// The vendor signs with the key *as text*: its hex digits are not decoded ("Generating `UserSig`").
#[derive(Clone)]
pub struct SecretKey(SecretString);

/// Why the bytes of a Secret cannot be a key. Never shows any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Nothing is left once white space around it is removed.
    #[error("the key is empty")]
    Empty,
    /// More than [`MAX_KEY_BYTES`].
    #[error("the key is longer than {MAX_KEY_BYTES} bytes, while the console's key has 64 characters")]
    TooLong,
    /// Not UTF-8.
    #[error("the key is not text")]
    NotText,
    /// White space, a control character or a byte-order mark inside.
    #[error("the key has white space or invisible characters in it")]
    Characters,
}

impl SecretKey {
    /// Reads the key from a Secret's bytes. White space around it is ignored: many tools end a file with a
    /// newline.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if bytes.len() > MAX_KEY_BYTES {
            return Err(InvalidKey::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidKey::NotText)?.trim();
        let misplaced = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
        match text {
            "" => Err(InvalidKey::Empty),
            text if text.contains(misplaced) => Err(InvalidKey::Characters),
            text => Ok(Self(SecretString::from(text))),
        }
    }

    /// Tells whether a Secret was rotated, without the old key being kept.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_the_key_is_ignored() {
        let plain = SecretKey::from_bytes(b"5bd2850f").unwrap();
        let padded = SecretKey::from_bytes(b" \t5bd2850f\r\n\n").unwrap();
        assert_eq!(plain.digest(), padded.digest());
        assert_ne!(plain.digest(), SecretKey::from_bytes(b"5bd2850e").unwrap().digest());
        assert_eq!(padded.expose(), "5bd2850f");
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_shown() {
        let refused = |bytes: &[u8]| SecretKey::from_bytes(bytes).unwrap_err();
        assert_eq!(refused(b""), InvalidKey::Empty);
        assert_eq!(refused(b" \r\n"), InvalidKey::Empty);
        assert_eq!(refused("\u{a0}".as_bytes()), InvalidKey::Empty);
        assert_eq!(refused(b"canary key"), InvalidKey::Characters);
        assert_eq!(refused(b"canary\0key"), InvalidKey::Characters);
        assert_eq!(refused("\u{feff}canary".as_bytes()), InvalidKey::Characters);
        assert_eq!(refused(b"canary\xff"), InvalidKey::NotText);
        assert_eq!(refused("canary".repeat(200_000).as_bytes()), InvalidKey::TooLong);
        assert!(SecretKey::from_bytes(&[b'a'; MAX_KEY_BYTES]).is_ok());
    }

    #[test]
    fn a_key_never_prints_itself() {
        let key = SecretKey::from_bytes(b"canary").unwrap();
        assert_eq!(format!("{key:?}"), "[hidden]");
    }
}
