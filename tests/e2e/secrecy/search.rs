//! Searches text for a secret in any encoding.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::world::KEY;

/// The length of the pieces of a secret that are searched for.
const PIECE: usize = 32;

/// The encoded pieces of all secrets and what each one is, by their first bytes.
pub(crate) struct Needles(HashMap<Vec<u8>, Vec<(String, String)>>);

/// How many first bytes of a needle are the key of the map.
const START: usize = 16;

impl Needles {
    /// All encodings of all pieces of these secrets.
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut seen = BTreeSet::new();
        let mut needles: HashMap<_, Vec<_>> = HashMap::new();
        for (name, secret) in secrets {
            for (form, text) in pieces(secret).flat_map(forms) {
                if seen.insert(text.clone()) {
                    let start = text.as_bytes()[..START].to_vec();
                    needles.entry(start).or_default().push((format!("{name}, {form}"), text));
                }
            }
        }
        Self(needles)
    }

    /// Which of them a text contains, ignoring case.
    pub(crate) fn found_in(&self, text: &str) -> BTreeSet<&str> {
        let text = text.to_ascii_lowercase().into_bytes();
        let mut found = BTreeSet::new();
        for (at, start) in text.windows(START).enumerate() {
            let candidates = self.0.get(start).into_iter().flatten();
            found.extend(
                candidates
                    .filter(|(_, needle)| text[at..].starts_with(needle.as_bytes()))
                    .map(|(name, _)| name.as_str()),
            );
        }
        found
    }
}

/// Splits a secret into pieces that overlap by half, so that a part of it is found as well.
fn pieces(secret: &str) -> impl Iterator<Item = &str> {
    assert!(secret.is_ascii() && secret.len() >= PIECE, "too short to search for: {secret:?}");
    (0..=secret.len() - PIECE).step_by(PIECE / 2).map(|start| &secret[start..start + PIECE])
}

/// The encodings of a piece, in lower case.
fn forms(piece: &str) -> Vec<(&'static str, String)> {
    let hex = |before: &str| {
        piece.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{before}{byte:02x}");
            text
        })
    };
    let percent = piece.bytes().fold(String::new(), |mut text, byte| {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(text, "{}", byte as char)
            }
            _ => write!(text, "%{byte:02x}"),
        };
        text
    });
    let mut forms = vec![
        ("as it is", piece.to_owned()),
        ("percent-encoded", percent.clone()),
        ("percent-encoded twice", percent.replace('%', "%25")),
        ("percent-encoded, every byte", hex("%")),
        ("in JSON as Go writes it", piece.replace('&', "\\u0026")),
        ("hex", hex("")),
        ("hex with \\x", hex("\\x")),
        ("a list of numbers", piece.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")),
    ];
    for shift in 0..3 {
        // The characters at either end depend on the text around the secret, so only those between are searched for.
        let shifted = [&[0; 3][..shift], piece.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&shifted);
        let own = &encoded[(shift * 8).div_ceil(6)..shifted.len() * 8 / 6];
        forms.push(("base64", own.to_owned()));
        forms.push(("base64, for URLs", own.replace('+', "-").replace('/', "_")));
    }
    forms.into_iter().map(|(form, text)| (form, text.to_lowercase())).collect()
}

#[test]
fn the_search_finds_a_secret_in_every_encoding() {
    let needles = Needles::of([("the canary", KEY)]);
    let query = "sdkappid=1400000000&identifier=administrator&usersig=eJw1jl0LgjAYhf*LrhXm";
    let queries = Needles::of([("the query", query)]);
    let base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{KEY}and more"));
    let hex = KEY.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02X}"));
    let escaped = query.replace('=', "%3D").replace('&', "%26");
    for (what, hay) in [
        ("as it is", format!("key {KEY}.")),
        ("in capitals", KEY.to_uppercase()),
        ("cut in half", format!("…{}", &KEY[20..])),
        ("base64", base64("")),
        ("base64, shifted by one", base64("x")),
        ("base64, shifted by two", base64("{\"")),
        ("hex", format!("0x{hex}")),
        ("bytes as Debug shows them", format!("{:?}", KEY.as_bytes())),
    ] {
        assert!(!needles.found_in(&hay).is_empty(), "not found: {what} in {hay}");
    }
    for (what, hay) in [
        ("as it is", format!("error sending request for url (https://host/v4/x?{query})")),
        ("percent-encoded", format!("?next={escaped}")),
        ("percent-encoded twice", escaped.replace('%', "%25")),
        ("as Go writes JSON", format!("\"{}\"", query.replace('&', "\\u0026"))),
    ] {
        assert!(!queries.found_in(&hay).is_empty(), "not found: {what} in {hay}");
    }
    let harmless = "identifier administrator sdkappid 1400000000 c0ffee usersig expired, code 70001";
    assert!(needles.found_in(harmless).is_empty() && queries.found_in(harmless).is_empty());
}
