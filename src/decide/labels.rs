//! Label selectors, as Kubernetes reads them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether labels match a selector; an unknown operator matches nothing, an empty selector everything.
#[must_use]
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let wanted = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten().all(|expression| {
        let value = labels.get(&expression.key);
        let listed = value.is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
        match expression.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    wanted && expressions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_matches_as_kubernetes_does() {
        let namespace = |labels: serde_json::Value| serde_json::from_value(labels).expect("labels");
        let gold = namespace(serde_json::json!({"tier": "gold"}));
        let free = namespace(serde_json::json!({"tier": "free"}));
        let none = namespace(serde_json::json!({}));
        for (operator, expected) in [
            ("In", [true, false, false]),
            ("NotIn", [false, true, true]),
            ("Exists", [true, true, false]),
            ("DoesNotExist", [false, false, true]),
            ("Near", [false, false, false]),
        ] {
            let expression =
                serde_json::json!({"key": "tier", "operator": operator, "values": ["silver", "gold"]});
            let with = |labels: serde_json::Value| {
                let selector = serde_json::json!({"matchLabels": labels, "matchExpressions": [expression]});
                serde_json::from_value::<LabelSelector>(selector).expect("a selector")
            };
            let alone = with(serde_json::json!({}));
            assert_eq!([&gold, &free, &none].map(|labels| matches(&alone, labels)), expected, "{operator}");
            let both = with(serde_json::json!({"chat": "live"}));
            assert!(![&gold, &free, &none].into_iter().any(|labels| matches(&both, labels)), "{operator}");
        }
        assert!(matches(&LabelSelector::default(), &none), "an empty selector is open to all");
    }
}
