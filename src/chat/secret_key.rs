//! The account's key, as it stands in a Secret.
//!
//! Whoever may create a `ChatApp` chooses the entry that is read as a key, and the host that gets the signature. From a
//! signature a weak password can be guessed, so nothing but a key is ever signed with.

mod invalid;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

pub use self::invalid::InvalidKey;

/// A key of the console has this many hexadecimal digits.
pub const KEY_DIGITS: usize = 64;

/// The longest key that is accepted with [`KeyFormat::Any`], in bytes; more is a mistaken file.
pub const MAX_KEY_BYTES: usize = 1024;

/// What counts as an account's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyFormat {
    /// 64 hexadecimal digits, as the console shows them.
    #[default]
    Hex64,
    /// Any text without blanks, for accounts whose key has another form.
    Any,
}

/// The account's key, kept out of every text and wiped from memory when dropped.
///
/// The vendor signs with the key *as text*: its hex digits are not decoded ("Generating `UserSig`").
#[derive(Clone)]
pub struct SecretKey(SecretString);

impl SecretKey {
    /// Reads the key from a Secret's bytes. White space around it is ignored: many tools end a file with a
    /// newline.
    pub fn parse(bytes: &[u8], format: KeyFormat) -> Result<Self, InvalidKey> {
        let text = invalid::text(bytes)?;
        match format {
            KeyFormat::Hex64 if is_hex64(text) => Ok(Self(SecretString::from(text))),
            KeyFormat::Hex64 => Err(invalid::no_hex64(text)),
            KeyFormat::Any => {
                invalid::no_plain_text(text).map_or_else(|| Ok(Self(SecretString::from(text))), Err)
            }
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
