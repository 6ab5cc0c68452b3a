//! Tests of the protocol without I/O: resets, apps and times are plain values.

mod steps;
mod stored;

use super::*;
use crate::api::{PendingAttempt, ResetSpec};
use crate::chat::AccountId;
use crate::protocol::classify::{CallResult, Delivery};
use jiff::Timestamp;

fn reset(spec: ResetSpec) -> GroupAttributeReset {
    let mut reset = GroupAttributeReset::new("room", spec);
    reset.metadata.generation = Some(1);
    reset.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(0).unwrap()));
    reset
}

fn spec() -> ResetSpec {
    serde_json::from_value(serde_json::json!({ "groupID": "@TGS#room" })).unwrap()
}

fn at(second: u64) -> Now {
    Now {
        wall: Timestamp::from_second(i64::try_from(second).unwrap()).unwrap(),
        mono: Mono::START + Duration::from_secs(second),
    }
}

fn works() -> AppView {
    AppView { state: AppState::Working, account: Some(account()) }
}

fn account() -> AccountId {
    AccountId { sdk_app_id: 1, host: "chat:443".to_owned() }
}

fn attempt(number: i32, now: Now) -> PendingAttempt {
    PendingAttempt {
        id: format!("attempt-{number}-{}", now.wall),
        number,
        start_time: now.wall,
        deadline: now.wall + Duration::from_secs(10),
        holder: "me".to_owned(),
        sdk_app_id: 1,
        host: "chat:443".to_owned(),
    }
}

fn result(delivery: Delivery) -> CallResult {
    CallResult {
        delivery,
        http_status: Some(200),
        code: Some(1),
        error_info: String::new(),
        vendor_request_id: None,
        fault: "fault".to_owned(),
        attributes: 0,
        retry_after: None,
    }
}
