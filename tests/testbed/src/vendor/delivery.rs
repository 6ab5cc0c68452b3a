//! Turns a result and its scripted misbehaviour into bytes on the wire.

use std::{io::Write as _, sync::OnceLock};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};

use super::{
    answer::{EmptyShape, fields, status},
    http::{chunked, response},
    journal::Answer,
    rooms::Reply,
    script::Misbehaviour,
};

const JSON: &str = "application/json";
const HTML: &str = "text/html";

/// How an answer is sent.
pub(super) enum Delivery {
    /// As a whole.
    Whole { response: Vec<u8>, answer: Answer },
    /// As a whole; then the connection is closed.
    ThenClose { response: Vec<u8>, answer: Answer },
    /// Byte by byte.
    Slowly { response: Vec<u8> },
    /// This head and a body of `length` bytes.
    Stream { head: Vec<u8>, length: u64 },
    /// Not at all; the connection stays open.
    Hang,
    /// Not at all; the connection is reset.
    Reset,
}

impl Delivery {
    /// What the journal records.
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Whole { answer, .. } | Self::ThenClose { answer, .. } => *answer,
            Self::Slowly { .. } => Answer::Fault("SlowBytes"),
            Self::Stream { .. } => Answer::Fault("HugeBody"),
            Self::Hang => Answer::Fault("Hang"),
            Self::Reset => Answer::Fault("Reset"),
        }
    }
}

/// `reply` is `None` if the script prevents execution.
pub(super) fn delivery(
    misbehaviour: Option<Misbehaviour>,
    reply: Option<&Reply>,
    empty: EmptyShape,
) -> Delivery {
    let right = || reply.map_or_else(|| status("OK", "", 0), |reply| fields(reply, empty));
    let refused = matches!(reply, Some(Reply::Refused(_)));
    match misbehaviour {
        None | Some(Misbehaviour::DelayBefore(_) | Misbehaviour::DelayAfter(_)) => json_answer(&right()),
        Some(Misbehaviour::CodeAfterExecuting(_) | Misbehaviour::StatusAfterExecuting(_)) if refused => {
            json_answer(&right())
        }
        Some(Misbehaviour::Code(code) | Misbehaviour::CodeAfterExecuting(code)) => {
            let action = if code == 0 { "OK" } else { "FAIL" };
            json_answer(&status(action, "scripted", code))
        }
        Some(Misbehaviour::Status(code) | Misbehaviour::StatusAfterExecuting(code)) => gateway(code, ""),
        Some(Misbehaviour::RetryAfter(code, value)) => gateway(code, &format!("Retry-After: {value}\r\n")),
        Some(Misbehaviour::Redirect(url)) => gateway(302, &format!("Location: {url}\r\n")),
        Some(Misbehaviour::Hang { .. }) => Delivery::Hang,
        Some(Misbehaviour::Reset { .. }) => Delivery::Reset,
        Some(Misbehaviour::Truncate) => {
            let body = text(&right());
            let half = &body.as_bytes()[..body.len() / 2];
            let response = response(200, JSON, "", body.len() as u64, half);
            Delivery::ThenClose { response, answer: Answer::Fault("Truncate") }
        }
        Some(Misbehaviour::WrongBody(body)) => whole(JSON, "", body.as_bytes(), Answer::Fault("WrongBody")),
        Some(Misbehaviour::Html) => {
            let page = b"<html><body><h1>502 Bad Gateway</h1></body></html>";
            whole(HTML, "", page, Answer::Fault("Html"))
        }
        Some(Misbehaviour::HugeBody(length)) => {
            Delivery::Stream { head: response(200, JSON, "", length, b""), length }
        }
        Some(Misbehaviour::SlowBytes) => {
            let body = text(&right());
            Delivery::Slowly { response: response(200, JSON, "", body.len() as u64, body.as_bytes()) }
        }
        Some(Misbehaviour::Compress | Misbehaviour::CompressUnlessTold) => {
            let body = gzip(text(&right()).as_bytes());
            whole(JSON, "Content-Encoding: gzip\r\n", &body, Answer::Fault("Compress"))
        }
        Some(Misbehaviour::PassedOn) => {
            let fields = right();
            Delivery::Whole { response: chunked(203, &text(&fields)), answer: code_of(&fields) }
        }
        Some(Misbehaviour::GzipBomb) => {
            whole(JSON, "Content-Encoding: gzip\r\n", gzip_bomb(), Answer::Fault("GzipBomb"))
        }
        Some(Misbehaviour::WrongContentType) => {
            let fields = right();
            whole(HTML, "", text(&fields).as_bytes(), code_of(&fields))
        }
        Some(Misbehaviour::CodeAsString) => {
            let mut fields = right();
            let code = fields.get("ErrorCode").map_or_else(String::new, Value::to_string);
            fields.insert("ErrorCode".into(), json!(code));
            whole(JSON, "", text(&fields).as_bytes(), Answer::Fault("CodeAsString"))
        }
        Some(Misbehaviour::MissingActionStatus) => json_answer(&without(right(), "ActionStatus")),
        Some(Misbehaviour::MissingErrorInfo) => json_answer(&without(right(), "ErrorInfo")),
        Some(Misbehaviour::FailWithCodeZero) => {
            let fields = status("FAIL", "scripted", 0);
            whole(JSON, "", text(&fields).as_bytes(), Answer::Fault("FailWithCodeZero"))
        }
        Some(Misbehaviour::CloseIdle) => match json_answer(&right()) {
            Delivery::Whole { response, answer } => Delivery::ThenClose { response, answer },
            other => other,
        },
    }
}

fn json_answer(fields: &Map<String, Value>) -> Delivery {
    whole(JSON, "", text(fields).as_bytes(), code_of(fields))
}

fn whole(content_type: &str, extra: &str, body: &[u8], answer: Answer) -> Delivery {
    Delivery::Whole { response: response(200, content_type, extra, body.len() as u64, body), answer }
}

fn gateway(code: u16, extra: &str) -> Delivery {
    let body = b"answered by a gateway";
    let response = response(code, "text/plain", extra, body.len() as u64, body);
    Delivery::Whole { response, answer: Answer::Status(code) }
}

fn text(fields: &Map<String, Value>) -> String {
    serde_json::to_string(fields).expect("a map of plain values")
}

fn code_of(fields: &Map<String, Value>) -> Answer {
    Answer::Code(fields.get("ErrorCode").and_then(Value::as_i64).unwrap_or_default())
}

fn without(mut fields: Map<String, Value>, name: &str) -> Map<String, Value> {
    fields.remove(name);
    fields
}

/// 1 MiB of zeros, compressed once and repeated 1024 times: gzip allows several consecutive members.
fn gzip_bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| gzip(&vec![0; 1024 * 1024]).repeat(1024))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("writing to memory");
    packer.finish().expect("writing to memory")
}
