//! The simulated vendor against its own promises.

mod caller;
mod limits;
mod misbehaviour;
mod network;
mod refusals;

use std::collections::BTreeMap;

use caller::{ACCOUNT, ADMINISTRATOR, CLEAR, Caller, GET, GROUP, KEY};
use serde_json::{Value, json};
use testbed::{
    Vendor,
    vendor::{Answer, Command, EmptyShape},
};

/// A vendor with one account and one room in which two seats are taken.
fn vendor() -> Vendor {
    furnished(Vendor::start().unwrap())
}

fn furnished(vendor: Vendor) -> Vendor {
    vendor.account(ACCOUNT, KEY, &[ADMINISTRATOR]);
    vendor.room(ACCOUNT, GROUP, &[("seat-1", "anna"), ("seat-2", "bo")]);
    vendor
}

fn seats(vendor: &Vendor) -> usize {
    vendor.attributes(ACCOUNT, GROUP).unwrap().len()
}

#[tokio::test]
async fn a_clear_empties_the_room() {
    let vendor = vendor();
    let answer = Caller::of(&vendor).call(CLEAR).await;
    assert_eq!(answer, json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}));
    assert_eq!(vendor.attributes(ACCOUNT, GROUP), Some(BTreeMap::new()));
}

#[tokio::test]
async fn a_read_lists_the_attributes_and_changes_nothing() {
    let vendor = vendor();
    let answer = Caller::of(&vendor).call(GET).await;
    assert_eq!(answer["GroupAttrAry"][1], json!({"key": "seat-2", "value": "bo"}));
    assert_eq!(seats(&vendor), 2);
}

#[tokio::test]
async fn an_empty_room_can_be_answered_in_three_shapes() {
    let vendor = vendor();
    vendor.room(ACCOUNT, GROUP, &[]);
    let caller = Caller::of(&vendor);
    for (shape, expected) in [
        (EmptyShape::Array, Some(json!([]))),
        (EmptyShape::Null, Some(Value::Null)),
        (EmptyShape::Missing, None),
    ] {
        vendor.set_empty_shape(shape);
        assert_eq!(caller.call(GET).await.get("GroupAttrAry").cloned(), expected, "{shape:?}");
    }
}

#[tokio::test]
async fn the_journal_tells_what_arrived_and_what_became_of_it() {
    let vendor = vendor();
    let caller = Caller::of(&vendor);
    caller.call(CLEAR).await;
    caller.clone().group("nobody").call(GET).await;

    let journal = vendor.journal();
    let [clear, read] = journal.as_slice() else { panic!("{journal:?}") };
    assert_eq!((clear.sequence, read.sequence), (0, 1));
    assert_eq!(
        (clear.command, clear.sdkappid, clear.group.as_deref()),
        (Command::Clear, Some(ACCOUNT), Some(GROUP))
    );
    assert_eq!((clear.answer, clear.executed), (Answer::Code(0), true));
    assert_eq!((read.answer, read.executed), (Answer::Code(10010), false));
    assert_eq!((clear.parameter("contenttype"), clear.method.as_str()), (Some("json"), "POST"));
    assert!(clear.answered.unwrap() >= clear.arrived && read.arrived > clear.arrived);
    assert_eq!(clear.connection, read.connection, "the connection was kept and used again");
    assert_eq!((vendor.clears().len(), vendor.reads().len(), vendor.clears_of("nobody").len()), (1, 1, 0));
}
