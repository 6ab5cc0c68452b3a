//! `kubectl get`: names, columns, field selectors and the category.

use serde_json::json;

use crate::crds::{app, manifest, reset, with};
use crate::world::plane;

#[tokio::test]
async fn kubectl_lists_and_prints_the_kinds_as_documented() {
    let plane = plane().await;
    let namespace = plane.namespace().await.unwrap();
    let other = with(&reset(), &json!({"groupID": "@TGS#other", "appRef": {"name": "second"}}));
    let objects = [
        manifest("GroupAttributeReset", "one", &reset()),
        manifest("GroupAttributeReset", "two", &other),
        manifest("ChatApp", "default", &app()),
        manifest("ClusterChatApp", &format!("cluster-{namespace}"), &app()),
    ];
    plane.apply_in(&namespace, &objects.join("\n---\n")).await.unwrap();
    let get = |args: &'static [&'static str]| {
        let namespace = namespace.clone();
        async move {
            let all = [&["-n", namespace.as_str(), "get"][..], args].concat();
            let got = plane.kubectl(&all).await.unwrap();
            assert!(got.ok, "{args:?}: {}", got.stderr);
            got.stdout
        }
    };
    let header =
        |text: &str| text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");

    let narrow = get(&["gar"]).await;
    assert_eq!(header(&narrow), "NAME APP GROUP SUCCEEDED REASON CODE ATTEMPTS AGE");
    let row: Vec<&str> =
        narrow.lines().find(|line| line.starts_with("one ")).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["one", "default", "@TGS#room", "Unknown", "Pending"]);
    let wide = get(&["gar", "-o", "wide"]).await;
    assert_eq!(
        header(&wide),
        "NAME APP GROUP SUCCEEDED REASON CODE ATTEMPTS AGE REQUEST NEXT FINISHED MESSAGE"
    );

    for (args, expected) in [
        (&["gar", "-o", "name"][..], &["one", "two"][..]),
        (&["groupattributereset", "-o", "name"], &["one", "two"]),
        (&["groupattributeresets.groupattr.dev", "-o", "name"], &["one", "two"]),
        (&["gar", "-o", "name", "--field-selector=spec.groupID=@TGS#other"], &["two"]),
        (&["gar", "-o", "name", "--field-selector=spec.appRef.name=default"], &["one"]),
        (&["gar", "-o", "name", "--field-selector=spec.appRef.name!=default"], &["two"]),
    ] {
        let shown = get(args).await;
        let expected: Vec<_> =
            expected.iter().map(|name| format!("groupattributereset.groupattr.dev/{name}")).collect();
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{args:?}");
    }
    assert_eq!(get(&["chatapp", "-o", "name"]).await.trim(), "chatapp.groupattr.dev/default");

    let category = get(&["chat", "-o", "name"]).await;
    for one in [
        "groupattributereset.groupattr.dev/one",
        "chatapp.groupattr.dev/default",
        "clusterchatapp.groupattr.dev/",
    ] {
        assert!(category.contains(one), "{category}");
    }
    let all = plane.kubectl(&["-n", &namespace, "get", "all", "-o", "name"]).await.unwrap();
    assert!(!all.stdout.contains("groupattr.dev"), "{}", all.stdout);
}
