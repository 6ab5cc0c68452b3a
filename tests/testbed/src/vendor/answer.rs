//! The vendor's regular answers.

use serde_json::{Map, Value, json};

use super::rooms::{Attributes, Reply};

/// The format of an empty attribute list; all three have been observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyShape {
    /// `"GroupAttrAry":[]`
    #[default]
    Array,
    /// `"GroupAttrAry":null`
    Null,
    /// The field is missing.
    Missing,
}

/// The fields of an answer.
pub(super) fn fields(reply: &Reply, empty: EmptyShape) -> Map<String, Value> {
    match reply {
        Reply::Cleared => status("OK", "", 0),
        Reply::Refused(refusal) => status("FAIL", refusal.text, refusal.code),
        Reply::Read(attributes) => {
            let mut fields = status("OK", "", 0);
            if let Some(list) = attribute_list(attributes, empty) {
                fields.insert("GroupAttrAry".into(), list);
            }
            fields
        }
    }
}

/// The three fields of every answer; only code 0 means success.
pub(super) fn status(action: &str, info: &str, code: i64) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("ActionStatus".into(), json!(action));
    fields.insert("ErrorInfo".into(), json!(info));
    fields.insert("ErrorCode".into(), json!(code));
    fields
}

fn attribute_list(attributes: &Attributes, empty: EmptyShape) -> Option<Value> {
    if attributes.is_empty() {
        return match empty {
            EmptyShape::Array => Some(json!([])),
            EmptyShape::Null => Some(Value::Null),
            EmptyShape::Missing => None,
        };
    }
    Some(attributes.iter().map(|(key, value)| json!({"key": key, "value": value})).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_room_is_answered_in_the_configured_format() {
        let list = |empty| fields(&Reply::Read(Attributes::new()), empty).remove("GroupAttrAry");
        assert_eq!(list(EmptyShape::Array), Some(json!([])));
        assert_eq!(list(EmptyShape::Null), Some(Value::Null));
        assert_eq!(list(EmptyShape::Missing), None);
    }
}
