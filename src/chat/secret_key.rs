//! The account's key, as stored in a Secret.
//!
//! Anyone who may create a `ChatApp` chooses the Secret entry that is read as a key, and the host that receives the
//! signature. A weak password could be guessed from a signature, so only something that is clearly a key is used to
//! sign.

mod invalid;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

pub use self::invalid::InvalidKey;

/// Number of hexadecimal digits in a key from the console.
pub const KEY_DIGITS: usize = 64;

/// The longest key that [`KeyFormat::Any`] accepts, in bytes; anything longer is probably the wrong file.
pub const MAX_KEY_BYTES: usize = 1024;

/// Which Secret entries are accepted as an account's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyFormat {
    /// 64 hexadecimal digits, as the console shows them.
    #[default]
    Hex64,
    /// Any text without white space, for accounts whose key has another form.
    Any,
}

/// The account's key. It is never printed, and is wiped from memory when dropped.
///
/// The vendor signs with the key *as text*: its hex digits are not decoded ("Generating `UserSig`").
#[derive(Clone)]
pub struct SecretKey(SecretString);

impl SecretKey {
    /// Parses a key from the bytes of a Secret entry. Surrounding white space is ignored, because many tools end a file
    /// with a newline.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] says what the bytes are instead, without showing any of them.
    pub fn parse(bytes: &[u8], format: KeyFormat) -> Result<Self, InvalidKey> {
        let text = invalid::text(bytes)?;
        match format {
            KeyFormat::Hex64 if is_hex64(text) => Ok(Self(SecretString::from(text))),
            KeyFormat::Hex64 => Err(invalid::not_hex64(text)),
            KeyFormat::Any => {
                invalid::not_plain_text(text).map_or_else(|| Ok(Self(SecretString::from(text))), Err)
            }
        }
    }

    /// The SHA-256 of the key, which shows that a Secret was rotated without keeping the old key.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn is_hex64(text: &str) -> bool {
    text.len() == KEY_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests;
