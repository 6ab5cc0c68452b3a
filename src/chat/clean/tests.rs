use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

const SIG: &str =
    "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZi*QUFmSlAKUMTAyiAyqVWFGQ-ZpYJk__";

fn hidden(text: &str) -> bool {
    clean_text(text, &[SIG], MAX_TEXT_BYTES).is_empty()
}

fn percent(text: &str, upper: bool) -> String {
    let hex = |b: u8| if upper { format!("%{b:02X}") } else { format!("%{b:02x}") };
    text.bytes().map(hex).collect()
}

#[test]
fn plain_text_is_kept_without_control_characters() {
    assert_eq!(clean_text("group\u{1b}[31m not\r\n found\u{202e}", &[SIG], 256), "group[31m not found");
    assert_eq!(clean_text("the UserSig is invalid", &[SIG], 256), "the UserSig is invalid");
    assert_eq!(clean_text("100% %zz %4", &[SIG], 256), "100% %zz %4");
    assert_eq!(clean_text("", &[SIG], 256), "");
    assert_eq!(clean_text("text", &["", SIG], 256), "text");
}

#[test]
fn long_text_is_cut_on_a_character_boundary() {
    assert_eq!(clean_text(&"x".repeat(1000), &[], 256).len(), 256);
    let cut = clean_text(&"群".repeat(1000), &[], 256);
    assert_eq!((cut.len(), cut.chars().count()), (255, 85));
}

#[test]
fn a_secret_hides_the_text_in_every_disguise() {
    assert!(hidden(&format!("bad sig {SIG}!")));
    assert!(hidden(&SIG.to_uppercase()));
    assert!(hidden(&percent(SIG, true)));
    assert!(hidden(&percent(SIG, false)));
    assert!(hidden(&percent(&percent(SIG, true), false)));
    assert!(hidden(&SIG.replace('*', "%2a").replace('_', "%5F")));
    assert!(hidden(&format!("{}\u{0}{}", &SIG[..20], &SIG[20..])));
    assert!(hidden(&format!("{}{}", "x".repeat(10_000), SIG)));
    for before in ["", "a", "ab", "abc", "abcd"] {
        let wrapped = format!("{before}{SIG}tail");
        assert!(hidden(&STANDARD.encode(&wrapped)), "{before}");
        assert!(hidden(&URL_SAFE.encode(&wrapped)), "{before}");
        assert!(hidden(&percent(&STANDARD.encode(&wrapped), true)), "{before}");
    }
}

/// With an invisible character after each of its characters, plain or percent-encoded.
#[test]
fn a_secret_that_is_taken_apart_by_what_nobody_sees_is_found() {
    for unseen in
        ['\u{ad}', '\u{34f}', '\u{3164}', '\u{fe0f}', '\u{e0041}', '\u{e000}', '\u{180e}', '\u{ffff}']
    {
        let apart: String = SIG.chars().flat_map(|c| [c, unseen]).collect();
        assert!(hidden(&apart), "U+{:04X}", u32::from(unseen));
        assert!(hidden(&percent(&apart, true)), "U+{:04X}, encoded", u32::from(unseen));
        assert!(
            hidden(&percent(&percent(&apart, false), true)),
            "U+{:04X}, encoded twice",
            u32::from(unseen)
        );
        assert!(hidden(&format!("user{unseen}sig=abc")), "U+{:04X}", u32::from(unseen));
    }
}

#[test]
fn a_piece_of_a_secret_hides_the_text_too() {
    assert!(hidden(&format!("sig {}...", &SIG[30..46])));
    assert!(!hidden(&format!("sig {}...", &SIG[30..40])));
    assert_eq!(clean_text("key hunter2 refused", &["hunter2"], 256), "");
}

#[test]
fn whatever_looks_like_the_url_parameter_hides_the_text() {
    assert!(hidden("GET /v4/x?sdkappid=1&UserSig=abc"));
    assert!(hidden("usersig%3Dabc"));
    assert!(hidden("usersig%253dabc"));
    assert!(hidden("user\u{200b}sig=abc"));
    assert!(hidden("usersig%2525252525253dabc"));
}

#[test]
fn whatever_looks_like_an_accounts_key_hides_the_text() {
    let key = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
    assert!(hidden(&format!("key {key} is wrong")));
    assert!(hidden(&key.to_uppercase()));
    assert!(hidden(&percent(&percent(key, true), false)));
    assert!(!hidden(&format!("request {} failed", &key[..40])));
}

proptest! {
    #[test]
    fn the_result_is_short_and_printable_whatever_comes(text in any::<String>(), max in 0usize..300) {
        let clean = clean_text(&text, &[SIG], max);
        prop_assert!(clean.len() <= max);
        prop_assert!(!clean.contains(is_invisible));
    }

    #[test]
    fn no_text_around_a_secret_brings_it_out(before in any::<String>(), after in any::<String>()) {
        prop_assert_eq!(clean_text(&format!("{before}{SIG}{after}"), &[SIG], 4096), "");
        let encoded = STANDARD.encode(format!("{before}{SIG}{after}"));
        prop_assert_eq!(clean_text(&encoded, &[SIG], 4096), "");
    }
}
