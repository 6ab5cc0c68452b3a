//! Entries of Secrets: what is accepted as a key is 64 hexadecimal digits with white space around them, or with the other
//! format a text without blanks; and no refusal shows a piece of what it refuses.
#![no_main]

use std::collections::HashSet;

use groupattr::chat::{KeyFormat, SecretKey};
use libfuzzer_sys::fuzz_target;

/// A piece this long would tell something; shorter ones stand in messages by accident.
const PIECE: usize = 9;

fuzz_target!(|entry: &[u8]| {
    let text = std::str::from_utf8(entry).ok().map(str::trim);
    let is_key = text.is_some_and(|text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()));
    let strict = SecretKey::parse(entry, KeyFormat::Hex64);
    assert_eq!(strict.is_ok(), is_key);
    let any = SecretKey::parse(entry, KeyFormat::Any);
    assert!(any.is_ok() || !is_key, "whatever is a key is one of any format");
    if any.is_ok() {
        let text = text.expect("text");
        let is_plain =
            !text.is_empty() && text.len() <= 1024 && !text.contains([' ', '\n', '\0', '\u{feff}', '\u{a0}']);
        assert!(is_plain, "{} bytes are taken for a key", text.len());
    }
    for result in [strict, any] {
        match result {
            Ok(key) => assert_eq!(format!("{key:?}"), "[hidden]"),
            Err(why) => {
                let said = format!("{why} {why:?}");
                assert!(said.len() <= 300 && !said.contains(char::is_control), "{said}");
                assert!(!shows(said.as_bytes(), entry), "a piece of the entry is shown: {said}");
            }
        }
    }
});

/// Whether a piece of `entry` stands in `said`, but for entries that are our own words.
fn shows(said: &[u8], entry: &[u8]) -> bool {
    let pieces = |length: usize| said.windows(length).collect::<HashSet<_>>();
    let (short, long) = (pieces(PIECE), pieces(4 * PIECE));
    entry.windows(PIECE).any(|piece| piece.iter().all(u8::is_ascii_hexdigit) && short.contains(piece))
        || entry.windows(4 * PIECE).any(|piece| !is_ours(piece) && long.contains(piece))
}

/// The fuzzer finds our own texts in the program, and tries them as entries.
fn is_ours(piece: &[u8]) -> bool {
    piece.contains(&b' ')
}
