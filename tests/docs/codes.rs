//! The page of vendor error codes.

use std::fmt::Write as _;

use groupattr::chat::codes::{AccountFailure, Class, all_listed};

/// Writes `docs/codes.md` if `UPDATE_DOCS` is set, and compares it otherwise.
#[test]
fn the_error_code_page_lists_what_the_program_knows() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/codes.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == page, "docs/codes.md is out of date: UPDATE_DOCS=1 cargo test --test docs");
}

fn page() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         What the operator knows of the vendor's codes, and what it does about each. The same words stand in the \
         messages of the conditions.\n\n\
         | code | meaning | what to do | what becomes of the reset |\n|---|---|---|---|\n",
    );
    for code in all_listed() {
        writeln!(page, "| {} | {} | {} | {} |", code.number, code.explanation, code.remedy, fate(code.class))
            .unwrap();
    }
    page.push_str(
        "\nOther codes 700xx and 7034x are treated like 70003. Any other code that is not listed counts as an unknown \
         outcome, and is counted in `groupattr_unlisted_codes_total`.\n",
    );
    page
}

fn fate(class: Class) -> &'static str {
    match class {
        Class::Success => "`Cleared`",
        Class::GroupNotFound => "`GroupNotFound`, or `GroupGone` with `onGroupNotFound: Succeed`",
        Class::NotSupported => "`GroupTypeNotSupported`",
        Class::Invalid => "`InvalidRequest`",
        Class::ThrottledGroup => "waits (`RateLimited`); writes to this group slow down",
        Class::ThrottledAccount => "waits (`RateLimited`); the account's rate halves and recovers",
        Class::SignatureExpired => "sent again with a fresh signature; twice in a row: `CredentialsRejected`",
        Class::Account(AccountFailure::Credentials) => {
            "waits (`AppNotReady`); the app is `CredentialsRejected`"
        }
        Class::Account(AccountFailure::Unavailable) => {
            "waits (`AppNotReady`); the app is `AccountUnavailable`"
        }
        Class::Account(AccountFailure::WrongRegion) => "waits (`AppNotReady`); the app is `WrongRegion`",
        Class::Account(AccountFailure::Endpoint) => "waits (`AppNotReady`); the app is `EndpointRejected`",
        Class::Unknown => "outcome unknown: read back (`Verifying`)",
    }
}
