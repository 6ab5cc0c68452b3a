//! What an entry of a Secret is instead of a key: said so that it can be mended, and without any of it.
//!
//! The entry may be somebody's password. How long it is, or what is in it, is told only where it is nearly a key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{KEY_DIGITS, MAX_KEY_BYTES, is_hex64};
use crate::text::is_invisible;

/// So many digits too few or too many, or wrong ones, still make it nearly a key.
const NEARLY: usize = 16;
/// Longer texts are not searched for a key.
const SEARCHED_BYTES: usize = 8 * 1024;
/// How often base64 is undone.
const BASE64_LAYERS: usize = 3;

/// Why the bytes of a Secret are no key, and what to do about it. Never shows any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Nothing is left once white space around it is removed.
    #[error("it is empty. Store the account's key there, as the chat console shows it")]
    Empty,
    /// UTF-16, with or without a byte-order mark.
    #[error("it is UTF-16, as some shells and editors on Windows write it. Save it as UTF-8 or ASCII")]
    Utf16,
    /// A key, perhaps, behind a byte-order mark.
    #[error("it begins with a byte-order mark. Save it as UTF-8 without one (BOM)")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("it is not text. Store the key as text, as the chat console shows it")]
    NotText,
    /// Control or format characters, or others that nobody sees.
    #[error(
        "it has invisible or control characters in it. Copy the key again, without what stands around it"
    )]
    Invisible,
    /// A private key of the algorithm that came before.
    #[error(
        "it is a PEM file, as the old algorithm (ECDSA) has it. The operator signs by HMAC-SHA256: switch the account to \
         it in the chat console, and store the key that is shown there"
    )]
    Pem,
    /// The key in quotes.
    #[error("the key stands in quotes, and with them has more than 64 characters. Remove the quotes")]
    Quoted,
    /// A name before the key.
    #[error("a name stands before the key, as in secretKey=… or key: …. Store the key alone")]
    Named,
    /// `0x` before the key.
    #[error("0x stands before the key. Store its 64 digits alone")]
    HexPrefix,
    /// Anything else around the key.
    #[error("the key stands among other text in it. Store its 64 hexadecimal digits alone")]
    Surrounded,
    /// The key in pieces.
    #[error("the key is broken by white space. Store its 64 hexadecimal digits in one line")]
    Broken,
    /// More than one key.
    #[error("it holds more than one key. Store the one that the chat console shows now, alone")]
    Several,
    /// A key that was encoded once more than Kubernetes decodes.
    #[error("it is a key in base64. Write that text under data: instead of stringData:, or decode it once")]
    Base64,
    /// 32 bytes in base64.
    #[error(
        "it is the base64 of 32 bytes. The key is text: store its 64 hexadecimal digits, as the chat console shows them"
    )]
    Base64OfBytes,
    /// Digits are missing.
    #[error("{0} of the 64 hexadecimal digits of a key are missing. Copy the key again, all of it")]
    Short(usize),
    /// Digits too many.
    #[error("it has {0} hexadecimal digits more than the 64 of a key. Copy the key again, and nothing else")]
    Long(usize),
    /// Letters that are no hexadecimal digits.
    #[error(
        "{0} of its 64 characters are no hexadecimal digits (0-9, a-f). Copy the key again instead of typing it"
    )]
    OtherLetters(usize),
    /// White space in it.
    #[error(
        "it has white space in it, and a key has none. Store the account's key alone, as the chat console shows it"
    )]
    Blanks,
    /// Far more than a key.
    #[error("it is much longer than a key. Store the account's key alone, as the chat console shows it")]
    TooLong,
    /// Something else.
    #[error(
        "it is not 64 hexadecimal digits, as the chat console shows a key. Store the account's key there, or name its \
         entry in credentials.secretKeyRef"
    )]
    Other,
}

/// The bytes as text without white space around it.
pub(super) fn text(bytes: &[u8]) -> Result<&str, InvalidKey> {
    if is_utf16(bytes) {
        return Err(InvalidKey::Utf16);
    }
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| InvalidKey::NotText)?.trim();
    if text.is_empty() { Err(InvalidKey::Empty) } else { Ok(text) }
}

/// With a byte-order mark, or text of which every other byte is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let pairs: &[[u8; 2]] = bytes.as_chunks().0;
    let zero_at = |at: usize| pairs.iter().filter(|pair| pair[at] == 0 && pair[1 - at] != 0).count();
    let is_most = |count: usize| pairs.len() >= 4 && count * 10 >= pairs.len() * 9;
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || is_most(zero_at(0))
        || is_most(zero_at(1))
}

/// What keeps a text from being taken as a key of any form.
pub(super) fn no_plain_text(text: &str) -> Option<InvalidKey> {
    if let Some(hidden) = hides_something(text) {
        return Some(hidden);
    }
    if text.len() > MAX_KEY_BYTES {
        return Some(InvalidKey::TooLong);
    }
    text.contains(char::is_whitespace).then_some(InvalidKey::Blanks)
}

fn hides_something(text: &str) -> Option<InvalidKey> {
    if text.starts_with('\u{feff}') {
        return Some(InvalidKey::ByteOrderMark);
    }
    text.contains(|c: char| is_invisible(c) && !c.is_whitespace()).then_some(InvalidKey::Invisible)
}

/// What a text is that is not 64 hexadecimal digits.
pub(super) fn no_hex64(text: &str) -> InvalidKey {
    if let Some(hidden) = hides_something(text) {
        return hidden;
    }
    if text.contains("-----BEGIN") {
        return InvalidKey::Pem;
    }
    if text.len() > SEARCHED_BYTES {
        return InvalidKey::TooLong;
    }
    if let Some(around) = holds_key(text) {
        return around;
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
        _ if is_number && (KEY_DIGITS - NEARLY..KEY_DIGITS).contains(&length) => {
            InvalidKey::Short(KEY_DIGITS - length)
        }
        _ if is_number && (KEY_DIGITS..=KEY_DIGITS + NEARLY).contains(&length) => {
            InvalidKey::Long(length - KEY_DIGITS)
        }
        KEY_DIGITS if digits >= KEY_DIGITS - NEARLY => InvalidKey::OtherLetters(KEY_DIGITS - digits),
        _ if length > MAX_KEY_BYTES => InvalidKey::TooLong,
        _ => InvalidKey::Other,
    }
}

/// A whole key in a text, with other characters around it.
fn holds_key(text: &str) -> Option<InvalidKey> {
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

/// A key, or the bytes that one stands for, in base64 of either alphabet.
fn in_base64(text: &str) -> Option<InvalidKey> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const EITHER: [GeneralPurpose; 2] = [
        GeneralPurpose::new(&alphabet::STANDARD, LENIENT),
        GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT),
    ];
    let decode = |text: &str| EITHER.iter().find_map(|engine| engine.decode(text).ok());
    let mut layer = decode(text)?;
    // Without its padding, which tools write, it may as well be a password of that length.
    if layer.len() == 32 && text.ends_with('=') {
        return Some(InvalidKey::Base64OfBytes);
    }
    for _ in 0..BASE64_LAYERS {
        let inner = std::str::from_utf8(&layer).ok()?.trim();
        if is_hex64(inner) || holds_key(inner).is_some() {
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
