//! Request validation in the vendor's order and with its codes.
//!
//! Where the documentation does not specify a code, the simulator answers:
//!
//! | error | code |
//! |---|---|
//! | not POST; `contenttype` or `random` missing or wrong; an ambiguous `+` in the query | 60002 |
//! | unknown service · unknown command of a known service | 60009 · 10003 |
//! | `sdkappid` missing, repeated or not a number · unknown account | 60012 · 60006 |
//! | `identifier` or `usersig` missing or repeated | 60025 |
//! | UserSig empty · not decodable · incomplete | 70002 · 70003 · 70005 |
//! | signed with another key · for another user · for another account · expired | 70009 · 70013 · 70014 · 70001 |
//! | not an administrator of the app | 60010 |
//! | more calls than allowed | 60007, or what [`Limits`](super::Limits) says |
//! | body empty · not a JSON object · `GroupId` missing, empty or not a string | 60003 · 10011 · 10004 |
//! | group unknown | 10010 |
//! | more writes to the group than allowed | 10049 |
//!
//! HTTP headers are not checked: the documentation requires `contenttype=json` in the query, and no header.

use serde_json::Value;

use super::{Command, http::Request, rooms::Account, usersig::UserSig};

/// A vendor error code with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `ErrorCode`.
    pub code: i64,
    /// `ErrorInfo`.
    pub text: &'static str,
}

impl Refusal {
    pub(super) const fn of(code: i64, text: &'static str) -> Self {
        Self { code, text }
    }
}

/// The service names of clear and read really are different.
const COMMANDS: [(&str, &str, Command); 2] = [
    ("group_open_http_svc", "clear_group_attr", Command::Clear),
    ("group_open_attr_http_svc", "get_group_attr", Command::Get),
];

/// The command of a path, even if the request is otherwise invalid.
pub(super) fn command_of(path: &str) -> Command {
    known_command(path).unwrap_or(Command::Other)
}

/// Validates method and path.
pub(super) fn known_call(request: &Request) -> Result<Command, Refusal> {
    if request.method != "POST" {
        return Err(Refusal::of(60002, "only POST is supported"));
    }
    known_command(&request.path)
}

fn known_command(path: &str) -> Result<Command, Refusal> {
    let unknown_service = Refusal::of(60009, "resource request error");
    let Some((service, command)) = path.strip_prefix("/v4/").and_then(|rest| rest.split_once('/')) else {
        return Err(unknown_service);
    };
    let of_service = || COMMANDS.iter().filter(|(name, ..)| *name == service);
    match of_service().find(|(_, name, _)| *name == command) {
        Some((_, _, command)) => Ok(*command),
        None if of_service().next().is_some() => Err(Refusal::of(10003, "wrong command")),
        None => Err(unknown_service),
    }
}

/// The account number in the query, before any check of the account.
pub(super) fn account_number(query: &[(String, String)]) -> Result<u64, Refusal> {
    let number = once(query, "sdkappid").and_then(|text| text.parse().ok());
    number.ok_or(Refusal::of(60012, "sdkappid is missing or no number"))
}

/// Validates query, signature and caller.
pub(super) fn caller(
    request: &Request,
    query: &[(String, String)],
    number: u64,
    account: &Account,
    now: i64,
) -> Result<(), Refusal> {
    if request.raw_query.contains('+') {
        return Err(Refusal::of(60002, "a plus sign in the query must be percent-encoded"));
    }
    if once(query, "contenttype") != Some("json") {
        return Err(Refusal::of(60002, "contenttype must be json"));
    }
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if once(query, "random").filter(digits).and_then(|text| text.parse::<u32>().ok()).is_none() {
        return Err(Refusal::of(60002, "random must be an unsigned 32-bit number"));
    }
    let identifier =
        once(query, "identifier").ok_or(Refusal::of(60025, "identifier is missing or repeated"))?;
    let sig = once(query, "usersig").ok_or(Refusal::of(60025, "usersig is missing or repeated"))?;
    let sig = UserSig::decode(sig)?;
    if !sig.is_signed_with(&account.key) {
        return Err(Refusal::of(70009, "UserSig does not match the key"));
    }
    if sig.identifier != identifier {
        return Err(Refusal::of(70013, "UserSig was made for another identifier"));
    }
    if sig.sdkappid != number {
        return Err(Refusal::of(70014, "UserSig was made for another sdkappid"));
    }
    if !sig.is_valid_at(now) {
        return Err(Refusal::of(70001, "UserSig expired"));
    }
    if !account.administrators.iter().any(|administrator| administrator == identifier) {
        return Err(Refusal::of(60010, "the caller is no administrator of the app"));
    }
    Ok(())
}

/// Validates the body.
pub(super) fn group(body: &[u8]) -> Result<String, Refusal> {
    if body.is_empty() {
        return Err(Refusal::of(60003, "the body is empty"));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => match fields.get("GroupId") {
            Some(Value::String(group)) if !group.is_empty() => Ok(group.clone()),
            _ => Err(Refusal::of(10004, "GroupId is missing or no string")),
        },
        _ => Err(Refusal::of(10011, "the body cannot be parsed")),
    }
}

/// The value of a parameter that occurs exactly once in the query.
fn once<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = query.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
    values.next().filter(|_| values.next().is_none())
}
