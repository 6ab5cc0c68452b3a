//! The size of a status and of its `managedFields`.

use serde_json::{Value, json};
use testbed::vendor::{Misbehaviour, When};

use super::{request_is, set_request};
use crate::world::{DEADLINE, World};

#[tokio::test]
async fn the_largest_possible_status_fits_into_8_kib() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("  limits: { groupIntervalMilliseconds: 200 }").await;
    world.app_is("Verified").await;
    let group = format!("@TGS#{}", "g".repeat(91));
    let request = |number: u8| format!("{number}{}", "r".repeat(127));
    world.room(&group);
    world.reset("long", &group, &format!("  requestID: \"{}\"", request(1))).await;
    for number in 2..=6 {
        request_is(&world, "long", &request(number - 1), "Cleared").await;
        set_request(&world, "long", &request(number)).await;
    }
    request_is(&world, "long", &request(6), "Cleared").await;
    let body = json!({"ActionStatus": "FAIL", "ErrorCode": 10002, "ErrorInfo": "\"\\é房".repeat(100),
        "RequestId": "r".repeat(200)});
    world.vendor.script(When::clear().of(&group).times(1), Misbehaviour::WrongBody(body.to_string()));
    set_request(&world, "long", &request(7)).await;
    let object = request_is(&world, "long", &request(7), "Verifying").await;
    let mut status = object["status"].clone();
    for field in ["pendingAttempt", "lastAttempt"] {
        assert!(status[field].is_object(), "{status:#}");
    }
    assert_eq!(status["history"].as_array().map(Vec::len), Some(5));
    let info = status["lastAttempt"]["errorInfo"].as_str().unwrap();
    assert!((250..=256).contains(&info.len()), "{} bytes", info.len());
    assert_eq!(status["lastAttempt"]["vendorRequestID"], "r".repeat(128));
    assert!(status.to_string().len() <= 8192);

    // The same with every string as long as the CRD allows.
    let crd = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/crds/groupattributeresets.yaml"))
        .unwrap();
    let crd: Value = serde_saphyr::from_str(&crd).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    stretch(&mut status, schema);
    let length = status.to_string().len();
    assert!((5000..=8192).contains(&length), "{length} bytes");
    request_is(&world, "long", &request(7), "VerifiedEmpty").await;
    world.check(&[&operator]).await;
}

#[tokio::test]
async fn managed_fields_hold_one_entry_for_the_whole_status() {
    let world = World::new().await;
    let operator = world.operator(&[]).await;
    world.app("").await;
    world.app_is("Verified").await;
    world.room("@TGS#room");
    world.reset("plain", "@TGS#room", "").await;
    world.until_cleared(1, DEADLINE).await;
    let object = world.object("gar", "plain").await.unwrap();
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let of_status: Vec<_> = managers.iter().filter(|manager| manager["subresource"] == "status").collect();
    let [manager] = of_status[..] else { panic!("{of_status:#?}") };
    assert_eq!(manager["fieldsV1"], json!({"f:status": {}}));
    let length = object.to_string().len();
    assert!(length <= 2048, "{length} bytes");
    world.check(&[&operator]).await;
}

/// Pads every string to the length that its schema allows, except timestamps and enums.
fn stretch(value: &mut Value, schema: &Value) {
    match value {
        Value::String(text) if schema["format"].is_null() && schema["enum"].is_null() => {
            let longest = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap();
            text.extend(std::iter::repeat_n('x', longest.saturating_sub(text.len())));
        }
        Value::Array(all) => all.iter_mut().for_each(|one| stretch(one, &schema["items"])),
        Value::Object(fields) => {
            for (name, field) in fields {
                stretch(field, &schema["properties"][name]);
            }
        }
        _ => {}
    }
}
