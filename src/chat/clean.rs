//! What of the vendor's text may be shown: no control characters, not too long, nothing secret.
//!
//! The signature travels in the URL, and gateways like to quote URLs in their errors.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::text::is_invisible;

/// The longest text of the vendor that is kept, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;

/// A piece of a secret this long gives it away; whole secrets that are shorter are found too.
const PIECE_BYTES: usize = 16;

/// The console's keys are this many hex digits. Calls never carry the key, but the vendor knows it.
const KEY_DIGITS: usize = 64;

/// How many layers of percent-encoding are looked through.
const PERCENT_LAYERS: usize = 4;

/// Makes the vendor's text fit to be shown: control and other invisible characters removed, cut at
/// `max_bytes` on a character boundary.
///
/// Empty if the text holds one of `secrets`, or a piece of one of at least 16 bytes, in any case, plain,
/// percent-encoded or base64 at any alignment; or anything that looks like the signature's URL parameter or
/// like an account's key.
#[must_use]
pub fn clean_text(text: &str, secrets: &[&str], max_bytes: usize) -> String {
    let mut clean: String = text.chars().filter(|&c| !is_invisible(c)).collect();
    if clean.is_empty() || tells(&clean, secrets) {
        return String::new();
    }
    clean.truncate(clean.floor_char_boundary(max_bytes));
    clean
}

fn tells(clean: &str, secrets: &[&str]) -> bool {
    let needles: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let mut pieces: HashSet<&[u8]> = HashSet::new();
    let mut lengths: HashSet<usize> = HashSet::new();
    for needle in needles.iter().filter(|needle| !needle.is_empty()) {
        let length = needle.len().min(PIECE_BYTES);
        pieces.extend(needle.windows(length));
        lengths.insert(length);
    }
    let mut layer = clean.as_bytes().to_ascii_lowercase();
    for _ in 0..PERCENT_LAYERS {
        let found = lengths.iter().any(|&length| layer.windows(length).any(|window| pieces.contains(window)));
        let shows_key = layer.split(|byte| !byte.is_ascii_hexdigit()).any(|run| run.len() >= KEY_DIGITS);
        if found || shows_key || layer.windows(8).any(|window| window == b"usersig=") {
            return true;
        }
        let decoded = percent_decoded(&layer);
        if decoded == layer {
            return false;
        }
        layer = decoded;
    }
    // Nobody wraps honest text that often.
    true
}

/// The secret as it may appear in a text, lower case: plain, and in base64, where its place in what was
/// encoded shifts the letters in three ways and the letters at either end depend on the neighbours.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend(secret.as_bytes());
        let encoded = STANDARD_NO_PAD.encode(&shifted);
        let first = (shift * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        let Some(own) = encoded.get(first..last) else { continue };
        forms.push(own.as_bytes().to_vec());
        forms.push(own.replace('+', "-").replace('/', "_").into_bytes());
        forms.push(own.replace('+', "*").replace('/', "-").into_bytes());
    }
    for form in &mut forms {
        form.make_ascii_lowercase();
    }
    forms
}

/// Undoes one layer of percent-encoding; lower case, and without what [`clean_text`] would have removed, or a secret could
/// be taken apart by encoded characters that nobody sees.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit =
        |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    let shown: String = String::from_utf8_lossy(&decoded).chars().filter(|&c| !is_invisible(c)).collect();
    shown.to_ascii_lowercase().into_bytes()
}

#[cfg(test)]
mod tests;
