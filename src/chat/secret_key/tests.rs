use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;

use super::*;

/// Varied enough that no piece of it is in a message by accident.
const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
const OTHER: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZm9vYmFyZm9vYmFy\n-----END PRIVATE KEY-----\n";

fn refused(bytes: impl AsRef<[u8]>) -> InvalidKey {
    SecretKey::parse(bytes.as_ref(), KeyFormat::Hex64).unwrap_err()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn wrapped(text: &str, width: usize) -> String {
    let lines: Vec<_> =
        text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n")
}

#[test]
fn sixty_four_hexadecimal_digits_are_a_key_whatever_white_space_stands_around_them() {
    let plain = SecretKey::parse(KEY.as_bytes(), KeyFormat::Hex64).unwrap();
    for padded in [format!("{KEY}\n"), format!(" \t{KEY}\r\n\n"), format!("\u{a0}{KEY}\u{3000}\u{b}")] {
        let padded = SecretKey::parse(padded.as_bytes(), KeyFormat::Hex64).unwrap();
        assert_eq!((padded.digest(), padded.expose()), (plain.digest(), KEY));
    }
    assert_ne!(plain.digest(), SecretKey::parse(OTHER.as_bytes(), KeyFormat::Hex64).unwrap().digest());
    // The key is used as text, so the case of its letters is kept.
    let upper = SecretKey::parse(KEY.to_uppercase().as_bytes(), KeyFormat::Hex64).unwrap();
    assert_eq!(upper.expose(), KEY.to_uppercase());
}

#[test]
fn what_is_no_key_is_said_to_be_what_it_is() {
    let base64 = STANDARD.encode(KEY);
    let of_bytes = STANDARD.encode([7_u8; 32]);
    let table: Vec<(Vec<u8>, InvalidKey)> = [
        ("", InvalidKey::Empty),
        (" \r\n", InvalidKey::Empty),
        ("\u{a0}", InvalidKey::Empty),
        (&format!("\"{KEY}\""), InvalidKey::Quoted),
        (&format!("'{KEY}'\n"), InvalidKey::Quoted),
        (&format!("“{KEY}”"), InvalidKey::Quoted),
        (&format!("{KEY}'"), InvalidKey::Quoted),
        (&format!("secretKey={KEY}"), InvalidKey::Named),
        (&format!("key: {KEY}\n"), InvalidKey::Named),
        (&format!("SECRETKEY=\"{KEY}\""), InvalidKey::Named),
        (&format!("0x{KEY}"), InvalidKey::HexPrefix),
        (&format!("0X{KEY}"), InvalidKey::HexPrefix),
        (&format!("{{\"secretKey\":\"{KEY}\"}}"), InvalidKey::Surrounded),
        (&format!("{KEY},"), InvalidKey::Surrounded),
        (&format!("{KEY}\\n"), InvalidKey::Surrounded),
        (&wrapped(KEY, 32), InvalidKey::Broken),
        (&wrapped(KEY, 8).replace('\n', " "), InvalidKey::Broken),
        (&format!("{KEY}\n{OTHER}\n"), InvalidKey::Several),
        (&format!("{KEY} {KEY}"), InvalidKey::Several),
        (&format!("{KEY}{OTHER}"), InvalidKey::Several),
        (&base64, InvalidKey::Base64),
        (&STANDARD_NO_PAD.encode(KEY), InvalidKey::Base64),
        (&URL_SAFE.encode(KEY), InvalidKey::Base64),
        (&STANDARD.encode(format!("{KEY}\n")), InvalidKey::Base64),
        (&STANDARD.encode(format!("\"{KEY}\"")), InvalidKey::Base64),
        (&wrapped(&base64, 76), InvalidKey::Base64),
        (&STANDARD.encode(wrapped(&base64, 76)), InvalidKey::Base64),
        (&of_bytes, InvalidKey::Base64OfBytes),
        (PEM, InvalidKey::Pem),
        (&STANDARD.encode(PEM), InvalidKey::Pem),
        (&format!("\u{feff}{KEY}"), InvalidKey::ByteOrderMark),
        (&format!("{KEY}\u{200b}"), InvalidKey::Invisible),
        (&format!("{}\u{ad}{}", &KEY[..9], &KEY[9..]), InvalidKey::Invisible),
        (&format!("\u{202d}{KEY}\u{202c}"), InvalidKey::Invisible),
        (&format!("{KEY}\0"), InvalidKey::Invisible),
        (&KEY[1..], InvalidKey::Short(1)),
        (&KEY[..48], InvalidKey::Short(16)),
        (&format!("{KEY}5"), InvalidKey::Long(1)),
        (&format!("{KEY}{}", &KEY[..16]), InvalidKey::Long(16)),
        (&KEY.replacen('0', "O", 2), InvalidKey::OtherLetters(2)),
        (&format!("0x{}", &KEY[2..]), InvalidKey::OtherLetters(1)),
        ("correct horse battery staple", InvalidKey::Blanks),
        (&"k".repeat(100_000), InvalidKey::TooLong),
        (&"k".repeat(MAX_KEY_BYTES + 1), InvalidKey::TooLong),
        ("hunter2", InvalidKey::Other),
        ("REPLACE-BY-THE-SECRET-KEY-OF-YOUR-ACCOUNT", InvalidKey::Other),
        ("ｃ０ｆｆｅｅ００", InvalidKey::Other),
    ]
    .map(|(text, why)| (text.as_bytes().to_vec(), why))
    .into();
    let utf16s = [
        utf16(KEY, u16::to_le_bytes),
        utf16(KEY, u16::to_be_bytes),
        utf16(&format!("\u{feff}{KEY}\r\n"), u16::to_le_bytes),
        utf16(&format!("\u{feff}{KEY}\r\n"), u16::to_be_bytes),
        utf16(&format!("{KEY}\n"), u16::to_be_bytes),
    ];
    let raw = vec![0xff; 32];
    let bytes =
        utf16s.map(|bytes| (bytes, InvalidKey::Utf16)).into_iter().chain([(raw, InvalidKey::NotText)]);
    for (bytes, why) in table.into_iter().chain(bytes) {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
        assert_eq!(refused(&bytes), why, "{shown:?}");
    }
}

/// Such an entry may be a password that was never meant for the operator.
#[test]
fn of_what_is_not_nearly_a_key_nothing_is_told_not_even_its_length() {
    let mut messages: Vec<String> = Vec::new();
    for password in
        ["1", "123456", "deadbeef", "hunter2", "Tr0ub4dor&3", &KEY[..47], &"Zq".repeat(32), &"x".repeat(99)]
    {
        let why = refused(password);
        assert_eq!(why, InvalidKey::Other, "{password}");
        messages.push(why.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[test]
fn with_any_format_every_text_without_blanks_is_a_key() {
    let any = |bytes: &[u8]| SecretKey::parse(bytes, KeyFormat::Any).map(|key| key.expose().to_owned());
    assert_eq!(any(b" \t5bd2850f\r\n\n").as_deref(), Ok("5bd2850f"));
    assert_eq!(any(b"\"quoted\"").as_deref(), Ok("\"quoted\""));
    assert!(any(&[b'a'; MAX_KEY_BYTES]).is_ok());
    for (bytes, why) in [
        (&b" \r\n"[..], InvalidKey::Empty),
        (b"canary key", InvalidKey::Blanks),
        (b"canary\0key", InvalidKey::Invisible),
        ("\u{feff}canary".as_bytes(), InvalidKey::ByteOrderMark),
        ("can\u{200b}ary".as_bytes(), InvalidKey::Invisible),
        (b"canary\xff", InvalidKey::NotText),
        (&utf16("canary", u16::to_le_bytes), InvalidKey::Utf16),
        (&[b'a'; MAX_KEY_BYTES + 1], InvalidKey::TooLong),
    ] {
        assert_eq!(any(bytes), Err(why));
    }
}

#[test]
fn a_key_never_prints_itself() {
    let key = SecretKey::parse(KEY.as_bytes(), KeyFormat::Hex64).unwrap();
    assert_eq!(format!("{key:?}"), "[hidden]");
}

proptest! {
    #[test]
    fn whatever_stands_in_a_secret_is_a_key_only_if_it_looks_like_one_and_is_never_shown(
        bytes in prop_oneof![
            any::<Vec<u8>>(),
            "[ \\n\"]{0,2}[0-9a-fA-F]{60,66}[ \\n\"=]{0,2}".prop_map(String::into_bytes),
            "[!-~]{8,90}".prop_map(String::into_bytes),
        ]
    ) {
        let parsed = SecretKey::parse(&bytes, KeyFormat::Hex64);
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        prop_assert_eq!(parsed.is_ok(), text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Err(why) = parsed {
            let message = why.to_string();
            let shown = text.as_bytes().windows(12).any(|piece| message.as_bytes().windows(12).any(|one| one == piece));
            prop_assert!(message.len() <= 250 && !shown, "{}", message);
        }
    }
}
