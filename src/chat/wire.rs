//! What is sent and how an answer is read, without any network.
//!
//! The vendor answers HTTP 200 to everything; success and failure are told apart by `ErrorCode` in the body
//! ("REST API Overview").

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::codes::{self, Class};
use crate::api::GroupId;

/// The two commands that the operator sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Clears all attributes of a group (`clear_group_attr`).
    Clear,
    /// Reads all attributes of a group (`get_group_attr`). The vendor serves it from a different service than writes.
    Read,
}

impl Command {
    /// The URL path of the command, with the leading slash.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Clear => "/v4/group_open_http_svc/clear_group_attr",
            Self::Read => "/v4/group_open_attr_http_svc/get_group_attr",
        }
    }
}

/// The JSON body of both commands.
#[must_use]
pub fn request_body(group: &GroupId) -> String {
    serde_json::json!({ "GroupId": group.as_str() }).to_string()
}

/// The vendor's answer. [`Reply::class`] is the only place that interprets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `ErrorCode`; 0 is success.
    pub error_code: i64,
    /// `OK`, `FAIL`, or `other` for any other text. Some real answers lack it.
    pub action_status: Option<String>,
    /// The vendor's text, empty if there is none. It is as received and must be cleaned before it is shown.
    pub error_info: String,
    /// The vendor's ID of the call, for its support. As received, like the text.
    pub request_id: Option<String>,
    /// How many attributes a read returned; 0 without a list.
    pub attributes: usize,
}

/// Why an answer is unreadable. Contains none of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReply {
    /// The body ends too early.
    #[error("the answer was cut off")]
    Truncated,
    /// The body is longer than any answer of the vendor.
    #[error("the answer was too large")]
    TooLarge,
    /// The body is compressed, although the request asks for none of that.
    #[error(
        "the answer was compressed (Content-Encoding), which the request rules out: check the gateway in between"
    )]
    Compressed,
    /// Another format, such as a gateway's HTML page.
    #[error("the answer was not JSON")]
    NotJson,
    /// JSON, but not the documented object.
    #[error("the answer was not the documented JSON object")]
    Shape,
    /// `ErrorCode` is missing or not an integer.
    #[error("the answer had no integer ErrorCode")]
    NoCode,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "ErrorCode")]
    error_code: Option<Value>,
    #[serde(rename = "ActionStatus")]
    action_status: Option<String>,
    #[serde(rename = "ErrorInfo")]
    error_info: Option<String>,
    #[serde(rename = "RequestId")]
    request_id: Option<String>,
    #[serde(rename = "GroupAttrAry")]
    attributes: Option<Vec<IgnoredAny>>,
}

/// Parses the body of an HTTP 200. Unknown fields are ignored; every field but `ErrorCode` may be missing or null.
///
/// # Errors
///
/// [`InvalidReply`] if the body is not the documented object.
pub fn parse_reply(body: &[u8]) -> Result<Reply, InvalidReply> {
    // A byte-order mark changes nothing, and JSON lets a reader ignore it.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Reject arrays first: serde would also fill a struct from an array, field by field.
    match body.trim_ascii_start().first() {
        None => return Err(InvalidReply::Truncated),
        Some(b'{') => {}
        Some(_) if serde_json::from_slice::<IgnoredAny>(body).is_ok() => return Err(InvalidReply::Shape),
        Some(_) => return Err(InvalidReply::NotJson),
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            InvalidReply::Truncated
        } else if error.is_data() {
            InvalidReply::Shape
        } else {
            InvalidReply::NotJson
        }
    })?;
    let error_code = body.error_code.as_ref().and_then(Value::as_i64).ok_or(InvalidReply::NoCode)?;
    Ok(Reply {
        error_code,
        action_status: body.action_status.map(|status| match status.as_str() {
            "OK" | "FAIL" => status,
            _ => "other".to_owned(),
        }),
        error_info: body.error_info.unwrap_or_default(),
        request_id: body.request_id,
        attributes: body.attributes.map_or(0, |list| list.len()),
    })
}

impl Reply {
    /// What the answer means. Code 0 counts as success only if `ActionStatus` does not contradict it.
    #[must_use]
    pub fn class(&self) -> Class {
        match (self.error_code, self.action_status.as_deref()) {
            (0, None | Some("OK")) => Class::Success,
            (0, Some(_)) => Class::Unknown,
            (code, _) => codes::lookup(code).class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> Reply {
        parse_reply(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    fn unreadable(body: &str) -> InvalidReply {
        parse_reply(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn code_zero_is_success_unless_the_status_contradicts() {
        for (body, class) in [
            (r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#, Class::Success),
            (r#"{"ErrorCode":0}"#, Class::Success),
            (r#"  {"ErrorCode":0,"ActionStatus":null,"ErrorInfo":null,"New":[{}]} "#, Class::Success),
            (r#"{"ActionStatus":"FAIL","ErrorCode":0}"#, Class::Unknown),
            (r#"{"ActionStatus":"ok","ErrorCode":0}"#, Class::Unknown),
            (r#"{"ActionStatus":"","ErrorCode":0}"#, Class::Unknown),
            (r#"{"ActionStatus":"OK","ErrorCode":10010}"#, Class::GroupNotFound),
            (r#"{"ErrorCode":10049}"#, Class::ThrottledGroup),
            (r#"{"ErrorCode":-5}"#, Class::Unknown),
        ] {
            assert_eq!(reply(body).class(), class, "{body}");
        }
    }

    #[test]
    fn a_byte_order_mark_changes_nothing() {
        assert_eq!(reply("\u{feff}{\"ErrorCode\":0}").class(), Class::Success);
        assert_eq!(unreadable("\u{feff}"), InvalidReply::Truncated);
    }

    #[test]
    fn attributes_are_counted_and_may_be_missing() {
        for (list, count) in [("", 0), (r#","GroupAttrAry":null"#, 0), (r#","GroupAttrAry":[]"#, 0)] {
            assert_eq!(reply(&format!(r#"{{"ErrorCode":0{list}}}"#)).attributes, count);
        }
        let two = r#"{"ErrorCode":0,"GroupAttrAry":[{"key":"a","value":"b"},{"key":"c","value":""}]}"#;
        assert_eq!(reply(two).attributes, 2);
        assert_eq!(unreadable(r#"{"ErrorCode":0,"GroupAttrAry":{"key":"a"}}"#), InvalidReply::Shape);
    }

    #[test]
    fn what_is_not_the_documented_object_is_unreadable() {
        for (body, error) in [
            ("", InvalidReply::Truncated),
            (" \n", InvalidReply::Truncated),
            (r#"{"ErrorCode":0"#, InvalidReply::Truncated),
            (r#"{"ErrorInfo":"gro"#, InvalidReply::Truncated),
            ("<html>", InvalidReply::NotJson),
            (r#"{"ErrorCode":0} trailing"#, InvalidReply::NotJson),
            (r#"{"ErrorCode":00}"#, InvalidReply::NotJson),
            (r#"[0,"OK","",null,[]]"#, InvalidReply::Shape),
            ("0", InvalidReply::Shape),
            ("null", InvalidReply::Shape),
            (r#"{"ErrorCode":0,"ActionStatus":1}"#, InvalidReply::Shape),
            (r#"{"ErrorCode":10002,"ErrorCode":0}"#, InvalidReply::Shape),
            ("{}", InvalidReply::NoCode),
            (r#"{"errorCode":0}"#, InvalidReply::NoCode),
            (r#"{"ErrorCode":null}"#, InvalidReply::NoCode),
            (r#"{"ErrorCode":"0"}"#, InvalidReply::NoCode),
            (r#"{"ErrorCode":0.0}"#, InvalidReply::NoCode),
            (r#"{"ErrorCode":0.5}"#, InvalidReply::NoCode),
            (r#"{"ErrorCode":false}"#, InvalidReply::NoCode),
            (r#"{"ErrorCode":99999999999999999999}"#, InvalidReply::NoCode),
        ] {
            assert_eq!(unreadable(body), error, "{body}");
        }
        assert_eq!(parse_reply(b"{\"ErrorCode\":0,\"ErrorInfo\":\"\xff\"}"), Err(InvalidReply::NotJson));
        assert_eq!(parse_reply(b"\x1f\x8b\x08\x00"), Err(InvalidReply::NotJson));
        assert_eq!(unreadable(&"[".repeat(60_000)), InvalidReply::NotJson);
    }

    #[test]
    fn text_and_request_id_are_kept_and_an_odd_status_is_not() {
        let body = r#"{"ActionStatus":"<b>","ErrorInfo":"no","ErrorCode":10002,"RequestId":"r-1"}"#;
        let reply = reply(body);
        assert_eq!((reply.error_info.as_str(), reply.request_id.as_deref()), ("no", Some("r-1")));
        assert_eq!(reply.action_status.as_deref(), Some("other"));
    }

    #[test]
    fn the_request_is_what_the_vendor_documents() {
        assert_eq!(Command::Clear.path(), "/v4/group_open_http_svc/clear_group_attr");
        assert_eq!(Command::Read.path(), "/v4/group_open_attr_http_svc/get_group_attr");
    }
}
