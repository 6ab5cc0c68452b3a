//! Label selectors, validated as strictly as the API server validates those in built-in objects.
//! (`kube::core::Selector` is more lenient, and an empty one matches everything.)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Selector, SelectorExt as _};

/// Why a selector is invalid. An invalid selector matches nothing: it decides who may use an account, and a typo must
/// not open the account to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSelector {
    /// Neither labels nor expressions.
    #[error("it is empty")]
    Empty,
    /// An expression with an operator that Kubernetes does not know.
    #[error("an expression has an unknown operator")]
    Operator,
    /// `In` or `NotIn` without values, or `Exists` or `DoesNotExist` with some.
    #[error(
        "an expression has the wrong values for its operator: In and NotIn require values, the others take none"
    )]
    Values,
    /// A key or value that is not valid for a label.
    #[error("it contains a key or value that is not valid for a label")]
    Label,
}

/// Whether labels match a selector. An invalid selector matches nothing.
#[must_use]
pub(crate) fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    invalid(selector).is_none()
        && Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Why a selector is invalid; `None` if it is valid.
#[must_use]
pub(crate) fn invalid(selector: &LabelSelector) -> Option<InvalidSelector> {
    let labels = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    if labels.clone().next().is_none() && expressions.clone().next().is_none() {
        return Some(InvalidSelector::Empty);
    }
    let is_label = |(key, value): (&String, &String)| is_key(key) && is_value(value);
    if !labels.into_iter().all(is_label) {
        return Some(InvalidSelector::Label);
    }
    expressions.into_iter().find_map(invalid_expression)
}

fn invalid_expression(expression: &LabelSelectorRequirement) -> Option<InvalidSelector> {
    let values = expression.values.as_deref().unwrap_or_default();
    let fits = match expression.operator.as_str() {
        "In" | "NotIn" => !values.is_empty(),
        "Exists" | "DoesNotExist" => values.is_empty(),
        _ => return Some(InvalidSelector::Operator),
    };
    if !fits {
        return Some(InvalidSelector::Values);
    }
    (!is_key(&expression.key) || !values.iter().all(|value| is_value(value)))
        .then_some(InvalidSelector::Label)
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_domain = |domain: &str| {
        let ends_plain =
            |part: &str| part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
        domain.len() <= 253
            && domain.split('.').all(|part| ends_plain(part) && part.bytes().all(|b| plain(b) || b == b'-'))
    };
    prefix.is_none_or(is_domain) && !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let alphanumeric = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    value.len() <= 63
        && alphanumeric(value.bytes().next())
        && alphanumeric(value.bytes().last())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selector(of: Value) -> LabelSelector {
        serde_json::from_value(of).expect("a selector")
    }

    fn namespace(labels: Value) -> BTreeMap<String, String> {
        serde_json::from_value(labels).expect("labels")
    }

    #[test]
    fn a_selector_matches_as_kubernetes_does() {
        let gold = namespace(json!({"tier": "gold"}));
        let free = namespace(json!({"tier": "free"}));
        let none = namespace(json!({}));
        let values = json!(["silver", "gold"]);
        for (operator, values, expected) in [
            ("In", &values, [true, false, false]),
            ("NotIn", &values, [false, true, true]),
            ("Exists", &Value::Null, [true, true, false]),
            ("DoesNotExist", &json!([]), [false, false, true]),
        ] {
            let expression = json!({"key": "tier", "operator": operator, "values": values});
            let with =
                |labels: Value| selector(json!({"matchLabels": labels, "matchExpressions": [expression]}));
            let alone = with(json!({}));
            assert_eq!([&gold, &free, &none].map(|labels| matches(&alone, labels)), expected, "{operator}");
            let both = with(json!({"chat": "live"}));
            assert!(![&gold, &free, &none].into_iter().any(|labels| matches(&both, labels)), "{operator}");
        }
    }

    /// Read leniently, each of these would admit namespaces by mistake.
    #[test]
    fn a_selector_that_is_empty_or_cannot_be_read_matches_nothing() {
        let one = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let long = "x".repeat(64);
        for (of, why) in [
            (json!({}), InvalidSelector::Empty),
            (json!({"matchLabels": {}, "matchExpressions": []}), InvalidSelector::Empty),
            (json!({"matchLables": {"chat": "live"}}), InvalidSelector::Empty),
            (one("tier", "Near", json!(["gold"])), InvalidSelector::Operator),
            (one("tier", "notin", json!(["gold"])), InvalidSelector::Operator),
            (one("tier", "", json!(["gold"])), InvalidSelector::Operator),
            (one("tier", "In", json!([])), InvalidSelector::Values),
            (one("tier", "NotIn", json!([])), InvalidSelector::Values),
            (one("tier", "NotIn", Value::Null), InvalidSelector::Values),
            (one("tier", "Exists", json!(["gold"])), InvalidSelector::Values),
            (one("tier", "DoesNotExist", json!(["gold"])), InvalidSelector::Values),
            (one("", "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one("the tier", "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one("a/b/c", "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one("/tier", "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one("Example.com/tier", "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one("-tier", "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one(&long, "DoesNotExist", Value::Null), InvalidSelector::Label),
            (one("tier", "NotIn", json!(["gold "])), InvalidSelector::Label),
            (one("tier", "NotIn", json!(["gold", long])), InvalidSelector::Label),
            (json!({"matchLabels": {"tier": "a b"}}), InvalidSelector::Label),
        ] {
            let selector = selector(of.clone());
            assert_eq!(invalid(&selector), Some(why), "{of}");
            for labels in [json!({}), json!({"tier": "gold"}), json!({"chat": "live"})] {
                assert!(!matches(&selector, &namespace(labels)), "{of}");
            }
        }
    }

    #[test]
    fn what_kubernetes_takes_for_a_label_can_be_selected() {
        for (key, value) in
            [("kubernetes.io/metadata.name", "shop"), ("a", ""), ("A_b.c-9", "X_y.z-0"), ("x.y/Z", "1")]
        {
            let selector = selector(json!({"matchLabels": {key: value}}));
            assert_eq!(invalid(&selector), None, "{key}");
            assert!(matches(&selector, &namespace(json!({key: value, "more": "x"}))), "{key}");
        }
    }

    /// As in Kubernetes: `NotIn` and `DoesNotExist` match every namespace without the label.
    #[test]
    fn a_selector_of_exclusions_alone_is_used_as_it_stands() {
        let selector = selector(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}));
        assert!(matches(&selector, &namespace(json!({}))));
        assert!(!matches(&selector, &namespace(json!({"tier": ""}))));
    }
}
