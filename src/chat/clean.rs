//! Makes the vendor's text safe to show: no control characters, limited length, no secrets.
//!
//! The signature is part of the URL, and gateways often quote URLs in their errors.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::percent_decode;

use crate::text::is_invisible;

/// The longest vendor text that is kept, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;

/// The longest vendor ID of a call that is kept, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 128;

/// A piece of a secret of this length, in bytes, counts as a leak. Shorter secrets are searched for as a whole.
const PIECE_BYTES: usize = 16;

/// Number of hex digits in a key from the console. Calls never carry the key, but the vendor knows it.
const KEY_DIGITS: usize = 64;

/// How many layers of percent-encoding are decoded.
const PERCENT_LAYERS: usize = 4;

/// Makes the vendor's text safe to show: removes control and other invisible characters, and cuts it at `max_bytes` on
/// a character boundary.
///
/// Returns an empty text if it contains one of `secrets`, or a piece of at least 16 bytes of one, in upper or lower
/// case, plain, percent-encoded or in base64 at any alignment; or anything that looks like the signature's URL
/// parameter or like an account's key.
#[must_use]
pub fn clean_text(text: &str, secrets: &[&str], max_bytes: usize) -> String {
    let mut clean: String = text.chars().filter(|&c| !is_invisible(c)).collect();
    if clean.is_empty() || leaks(&clean, secrets) {
        return String::new();
    }
    clean.truncate(clean.floor_char_boundary(max_bytes));
    clean
}

fn leaks(clean: &str, secrets: &[&str]) -> bool {
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
    // Harmless text is never encoded this many times.
    true
}

/// The forms in which a secret may appear in a text, in lower case: plain, and in base64. Base64 has three alignments,
/// depending on the secret's offset; the letters at either end are left out because they depend on the text around it.
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

/// Decodes one layer of percent-encoding, in lower case. Also removes what [`clean_text`] would have removed; otherwise
/// encoded invisible characters could break up a secret so that it is not found.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let decoded = percent_decode(text).decode_utf8_lossy();
    let shown: String = decoded.chars().filter(|&c| !is_invisible(c)).collect();
    shown.to_ascii_lowercase().into_bytes()
}

#[cfg(test)]
mod tests;
