use std::fmt;

/// Id of a group at the vendor, checked against the vendor's page on group ids.
///
/// 1–96 printable ASCII characters; more than 48 only for ids that the vendor made (prefix `@TGS#`); never a
/// Community (`@TGS#_`) or one of its topics (`@TOPIC#_`), which have no attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(String);

/// Why a text is not the id of a group that can be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroupId {
    /// Empty, or longer than 96 characters.
    #[error("groupID must have 1 to 96 characters")]
    Length,
    /// A character outside printable ASCII.
    #[error("groupID may hold printable ASCII characters only")]
    Characters,
    /// Longer than 48 characters without the vendor's prefix.
    #[error("groupID may be longer than 48 characters only if it starts with @TGS#")]
    CustomTooLong,
    /// A Community or a topic of one.
    #[error("groupID names a Community or a topic, which have no group attributes")]
    Community,
}

impl GroupId {
    /// Checks `text`, character for character as the CEL rules of the CRD do.
    pub fn parse(text: &str) -> Result<Self, InvalidGroupId> {
        if text.is_empty() || text.len() > 96 {
            return Err(InvalidGroupId::Length);
        }
        if !text.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
            return Err(InvalidGroupId::Characters);
        }
        if text.len() > 48 && !text.starts_with("@TGS#") {
            return Err(InvalidGroupId::CustomTooLong);
        }
        if text.starts_with("@TGS#_") || text.contains("@TOPIC#_") {
            return Err(InvalidGroupId::Community);
        }
        Ok(Self(text.to_owned()))
    }

    /// The group that probes ask for: no room has this id, so reading it shows nothing and harms nobody.
    #[must_use]
    pub fn reserved_for_probes() -> Self {
        Self("groupattr-operator-probe".to_owned())
    }

    /// The id as the vendor spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ids_are_accepted() {
        for id in ["a", "room 42", "@TGS#aC5SZEAEF", &"x".repeat(48), &format!("@TGS#{}", "y".repeat(91))] {
            assert_eq!(GroupId::parse(id).unwrap().as_str(), id);
        }
        assert!(GroupId::parse(GroupId::reserved_for_probes().as_str()).is_ok());
    }

    #[test]
    fn each_rule_refuses_with_its_own_reason() {
        assert_eq!(GroupId::parse(""), Err(InvalidGroupId::Length));
        assert_eq!(GroupId::parse(&format!("@TGS#{}", "y".repeat(92))), Err(InvalidGroupId::Length));
        assert_eq!(GroupId::parse("room\n"), Err(InvalidGroupId::Characters));
        assert_eq!(GroupId::parse("räume"), Err(InvalidGroupId::Characters));
        assert_eq!(GroupId::parse(&"x".repeat(49)), Err(InvalidGroupId::CustomTooLong));
        assert_eq!(GroupId::parse("@TGS#_community"), Err(InvalidGroupId::Community));
        assert_eq!(GroupId::parse("@TGS#_abc@TOPIC#_x"), Err(InvalidGroupId::Community));
    }
}
