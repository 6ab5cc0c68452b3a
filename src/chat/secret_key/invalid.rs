//! Diagnoses what a Secret entry is instead of a key, with a remedy, and without showing any of it.
//!
//! The entry may be a password, so its length or content is described only where it is almost a key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{KEY_DIGITS, MAX_KEY_BYTES, is_hex64};
use crate::text::is_invisible;

/// A text with at most this many missing, extra or wrong digits counts as almost a key.
const MAX_WRONG_DIGITS: usize = 16;
/// Longer texts are not searched for a key, in bytes.
const MAX_SEARCHED_BYTES: usize = 8 * 1024;
/// How many layers of base64 are decoded.
const BASE64_LAYERS: usize = 3;

/// Why the bytes of a Secret entry are not a key, and what to do about it. Never shows any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Empty, or only white space.
    #[error("it is empty. Store the account's key there, as the chat console shows it")]
    Empty,
    /// UTF-16, with or without a byte-order mark.
    #[error("it is UTF-16, as some shells and editors on Windows write it. Save it as UTF-8 or ASCII")]
    Utf16,
    /// Text that starts with a byte-order mark; the rest may be a key.
    #[error("it begins with a byte-order mark. Save it as UTF-8 without one (BOM)")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("it is not text. Store the key as text, as the chat console shows it")]
    NotText,
    /// Control, format or other invisible characters.
    #[error("it contains invisible or control characters. Copy the key again, without the text around it")]
    Invisible,
    /// A private key of the vendor's previous algorithm.
    #[error(
        "it is a PEM file, as used by the old algorithm (ECDSA). The operator signs with HMAC-SHA256: switch the \
         account to it in the chat console, and store the key that is shown there"
    )]
    Pem,
    /// The key in quotes.
    #[error("the key is in quotes, and with them has more than 64 characters. Remove the quotes")]
    Quoted,
    /// A name before the key.
    #[error("the key is preceded by a name, as in secretKey=… or key: …. Store only the key")]
    Named,
    /// `0x` before the key.
    #[error("the key is preceded by 0x. Store only its 64 digits")]
    HexPrefix,
    /// Anything else around the key.
    #[error("it contains other text around the key. Store only the key's 64 hexadecimal digits")]
    Surrounded,
    /// A key split by white space.
    #[error("the key is split by white space. Store its 64 hexadecimal digits on one line")]
    Broken,
    /// More than one key.
    #[error("it contains more than one key. Store only the one that the chat console shows now")]
    Several,
    /// A key that was base64-encoded once more than Kubernetes decodes.
    #[error(
        "it is a base64-encoded key. Put that text under data: instead of stringData:, or decode it once"
    )]
    Base64,
    /// 32 bytes in base64.
    #[error(
        "it is 32 bytes in base64. The key is text: store its 64 hexadecimal digits, as the chat console shows them"
    )]
    Base64OfBytes,
    /// This many digits are missing.
    #[error("{0} of the key's 64 hexadecimal digits are missing. Copy the whole key again")]
    Short(usize),
    /// This many digits too many.
    #[error("it has {0} hexadecimal digits more than the 64 of a key. Copy only the key again")]
    Long(usize),
    /// This many characters that are not hexadecimal digits.
    #[error(
        "{0} of its 64 characters are not hexadecimal digits (0-9, a-f). Copy the key again instead of typing it"
    )]
    OtherLetters(usize),
    /// White space inside.
    #[error(
        "it contains white space, which a key does not. Store only the account's key, as the chat console shows it"
    )]
    Blanks,
    /// Far longer than a key.
    #[error("it is much longer than a key. Store only the account's key, as the chat console shows it")]
    TooLong,
    /// Anything else.
    #[error(
        "it is not 64 hexadecimal digits, the form in which the chat console shows a key. Store the account's key \
         there, or name its entry in credentials.secretKeyRef"
    )]
    Other,
}

/// The bytes as text, without surrounding white space.
pub(super) fn text(bytes: &[u8]) -> Result<&str, InvalidKey> {
    if is_utf16(bytes) {
        return Err(InvalidKey::Utf16);
    }
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| InvalidKey::NotText)?.trim();
    if text.is_empty() { Err(InvalidKey::Empty) } else { Ok(text) }
}

/// Starts with a UTF-16 byte-order mark, or in at least 9 of 10 byte pairs the same one of the two bytes is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let pairs: &[[u8; 2]] = bytes.as_chunks().0;
    let zero_at = |at: usize| pairs.iter().filter(|pair| pair[at] == 0 && pair[1 - at] != 0).count();
    let is_most = |count: usize| pairs.len() >= 4 && count * 10 >= pairs.len() * 9;
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || is_most(zero_at(0))
        || is_most(zero_at(1))
}

/// Why a text is not a key in [`super::KeyFormat::Any`]; `None` if it is one.
pub(super) fn not_plain_text(text: &str) -> Option<InvalidKey> {
    if let Some(invisible) = find_invisible(text) {
        return Some(invisible);
    }
    if text.len() > MAX_KEY_BYTES {
        return Some(InvalidKey::TooLong);
    }
    text.contains(char::is_whitespace).then_some(InvalidKey::Blanks)
}

fn find_invisible(text: &str) -> Option<InvalidKey> {
    if text.starts_with('\u{feff}') {
        return Some(InvalidKey::ByteOrderMark);
    }
    text.contains(|c: char| is_invisible(c) && !c.is_whitespace()).then_some(InvalidKey::Invisible)
}

/// Diagnoses a text that is not 64 hexadecimal digits.
pub(super) fn not_hex64(text: &str) -> InvalidKey {
    if let Some(invisible) = find_invisible(text) {
        return invisible;
    }
    if text.contains("-----BEGIN") {
        return InvalidKey::Pem;
    }
    if text.len() > MAX_SEARCHED_BYTES {
        return InvalidKey::TooLong;
    }
    if let Some(found) = find_key(text) {
        return found;
    }
    let joined: String = text.split_whitespace().collect();
    if is_hex64(&joined) {
        return InvalidKey::Broken;
    }
    if let Some(encoded) = in_base64(&joined) {
        return encoded;
    }
    let (length, digits) = (joined.len(), joined.bytes().filter(u8::is_ascii_hexdigit).count());
    let is_number = digits == length;
    if joined.len() != text.len() {
        return InvalidKey::Blanks;
    }
    match length {
        _ if is_number && length == 2 * KEY_DIGITS => InvalidKey::Several,
        _ if is_number && (KEY_DIGITS - MAX_WRONG_DIGITS..KEY_DIGITS).contains(&length) => {
            InvalidKey::Short(KEY_DIGITS - length)
        }
        _ if is_number && (KEY_DIGITS..=KEY_DIGITS + MAX_WRONG_DIGITS).contains(&length) => {
            InvalidKey::Long(length - KEY_DIGITS)
        }
        KEY_DIGITS if digits >= KEY_DIGITS - MAX_WRONG_DIGITS => {
            InvalidKey::OtherLetters(KEY_DIGITS - digits)
        }
        _ if length > MAX_KEY_BYTES => InvalidKey::TooLong,
        _ => InvalidKey::Other,
    }
}

/// Finds a whole key in a text with other characters around it.
fn find_key(text: &str) -> Option<InvalidKey> {
    let mut keys = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| is_hex64(run));
    let key = keys.next()?;
    if keys.next().is_some() {
        return Some(InvalidKey::Several);
    }
    let (before, after) = text.split_once(key)?;
    let unquoted =
        |text: &str| text.trim_matches(|c: char| c.is_whitespace() || is_quote(c)).to_ascii_lowercase();
    let (before, after) = (unquoted(before), unquoted(after));
    Some(match (before.as_str(), after.as_str()) {
        ("", "") => InvalidKey::Quoted,
        ("0x", "") => InvalidKey::HexPrefix,
        (name, "") if name.ends_with(['=', ':']) => InvalidKey::Named,
        _ => InvalidKey::Surrounded,
    })
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '´' | '‘'..='‟' | '«' | '»' | '‹' | '›')
}

/// Recognises a key, or its 32 decoded bytes, in base64 of either alphabet.
fn in_base64(text: &str) -> Option<InvalidKey> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const EITHER: [GeneralPurpose; 2] = [
        GeneralPurpose::new(&alphabet::STANDARD, LENIENT),
        GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT),
    ];
    let decode = |text: &str| EITHER.iter().find_map(|engine| engine.decode(text).ok());
    let mut layer = decode(text)?;
    // Require the padding, which tools write: without it, the text may just as well be a password of that length.
    if layer.len() == 32 && text.ends_with('=') {
        return Some(InvalidKey::Base64OfBytes);
    }
    for _ in 0..BASE64_LAYERS {
        let inner = std::str::from_utf8(&layer).ok()?.trim();
        if is_hex64(inner) || find_key(inner).is_some() {
            return Some(InvalidKey::Base64);
        }
        if inner.contains("-----BEGIN") {
            return Some(InvalidKey::Pem);
        }
        let joined: String = inner.split_whitespace().collect();
        layer = decode(&joined)?;
    }
    None
}
