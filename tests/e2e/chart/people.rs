//! What people may do: by the roles for them, and by the policy about the verb `use`.

use serde_json::json;
use testbed::control_plane::{ControlPlane, Kubectl};
use testbed::{Helm, until, until_ok};

use crate::chart::{CHART, NAMED, bare_plane, objects};
use crate::world::{CRDS, DEADLINE, plane};

/// On an API server that others share: these policies would be for their objects too.
pub(crate) const NO_POLICIES: &str = "statusPolicy.enabled=false,secretPolicy.enabled=false";

/// Installs the chart in a namespace of its own, and tells the name of its objects.
pub(crate) async fn install(plane: &ControlPlane, values: &str) -> String {
    let home = plane.namespace().await.unwrap();
    let values = format!("crds.enabled=false,replicas=0,{values}");
    let args = ["install", &home, CHART, NAMED, "--namespace", &home, "--set", &values];
    let _ = Helm::V4.run(&plane.admin_kubeconfig(), &args).await.unwrap().unwrap();
    format!("{home}-groupattr-operator")
}

async fn ok(plane: &ControlPlane, args: &[&str]) {
    let done = plane.kubectl(args).await.unwrap();
    assert!(done.ok, "{args:?}: {}", done.stderr);
}

#[tokio::test]
async fn viewers_see_and_editors_make_but_nobody_writes_a_status() {
    let plane = plane().await;
    let name = install(plane, &format!("rbac.aggregate.edit=true,{NO_POLICIES}")).await;
    let namespace = plane.namespace().await.unwrap();
    let home = name.strip_suffix("-groupattr-operator").unwrap();
    for role in ["view", "edit"] {
        let clusterrole = format!("--clusterrole={name}-{home}-{role}");
        ok(
            plane,
            &["-n", &namespace, "create", "rolebinding", role, &clusterrole, &format!("--user={role}er")],
        )
        .await;
    }
    let can = async |user: &str, verb: &str, resource: &str| {
        let (resource, below) = resource.split_once('/').unwrap_or((resource, ""));
        let (user, below) = (format!("--as={user}"), format!("--subresource={below}"));
        let args = ["-n", &namespace, "auth", "can-i", verb, resource, &below, &user];
        plane.kubectl(&args).await.unwrap().stdout.trim() == "yes"
    };
    until(DEADLINE, "the roles to be in force", || async {
        (can("viewer", "get", "gar").await && can("editer", "create", "gar").await).then_some(())
    })
    .await;
    let resources = [
        "groupattributeresets",
        "chatapps",
        "groupattributeresets/status",
        "chatapps/status",
        "clusterchatapps",
        "secrets",
    ];
    for resource in resources {
        let ours = ["groupattributeresets", "chatapps"].contains(&resource);
        for verb in ["watch", "update"] {
            assert_eq!(
                can("viewer", verb, resource).await,
                ours && verb == "watch",
                "viewer {verb} {resource}"
            );
            assert_eq!(
                can("editer", verb, resource).await,
                ours && verb == "update",
                "editer {verb} {resource}"
            );
        }
        assert!(!can("editer", "use", resource).await, "edit does not open an account: {resource}");
    }
    // A cluster adds them to its own roles by these labels.
    let rendered = objects(Helm::V4, &["--set=rbac.aggregate.edit=true"]).await;
    for (suffix, label) in [("view", "aggregate-to-view"), ("edit", "aggregate-to-edit")] {
        let role = rendered.iter().find(|object| {
            object["metadata"]["name"] == format!("groupattr-operator-groupattr-system-{suffix}")
        });
        assert_eq!(role.unwrap()["metadata"]["labels"][format!("rbac.authorization.k8s.io/{label}")], "true");
    }
    let without = objects(Helm::V4, &[]).await;
    assert!(
        without.iter().all(|object| object["metadata"]["name"] != "groupattr-operator-groupattr-system-edit"),
        "off by default"
    );
}

const RESET: &str = "apiVersion: groupattr.dev/v1alpha1\nkind: GroupAttributeReset\nmetadata: { name: NAME }\n\
                     spec: { groupID: '@TGS#a', appRef: APP }";

/// Somebody who may do anything with the resets of a namespace.
struct Person<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    user: String,
}

impl Person<'_> {
    async fn kubectl(&self, args: &[&str], stdin: &str) -> Kubectl {
        let user = format!("--as={}", self.user);
        let args = [&["-n", &self.namespace, &user], args].concat();
        self.plane.kubectl_with_input(&args, stdin).await.unwrap()
    }

    async fn reset(&self, name: &str, app: &str) -> Kubectl {
        let yaml = RESET.replace("NAME", name).replace("APP", app);
        self.kubectl(&["create", "-f", "-"], &yaml).await
    }

    async fn patch(&self, name: &str, patch: &str) -> Kubectl {
        self.kubectl(&["patch", "gar", name, "--type=merge", "-p", patch], "").await
    }
}

async fn person<'a>(plane: &'a ControlPlane, namespace: &str, user: &str) -> Person<'a> {
    let role = format!("resets-{user}");
    let everything = "--verb=get,create,update,patch,delete";
    ok(
        plane,
        &[
            "-n",
            namespace,
            "create",
            "role",
            &role,
            everything,
            "--resource=groupattributeresets.groupattr.dev",
        ],
    )
    .await;
    let (role_flag, user_flag) = (format!("--role={role}"), format!("--user={user}"));
    ok(plane, &["-n", namespace, "create", "rolebinding", &role, &role_flag, &user_flag]).await;
    Person { plane, namespace: namespace.to_owned(), user: user.to_owned() }
}

#[tokio::test]
async fn who_makes_a_reset_must_hold_the_verb_use_on_its_app() {
    // Of its own, because the policy is for all namespaces.
    let plane = &bare_plane().await;
    plane.install_crds(CRDS).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let (with, without) = (person(plane, &namespace, "ann").await, person(plane, &namespace, "bob").await);
    let use_it = |kind: &str, name: &str, resource: &str| {
        let rule = json!({
            "apiGroups": ["groupattr.dev"], "resources": [resource], "resourceNames": ["default"], "verbs": ["use"],
        });
        let version = "rbac.authorization.k8s.io/v1";
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "rules": [rule]}).to_string()
    };
    plane.apply_in(&namespace, &use_it("Role", "use-default", "chatapps")).await.unwrap();
    let bind = ["-n", &namespace, "create", "rolebinding", "use-default", "--role=use-default", "--user=ann"];
    ok(plane, &bind).await;
    // Before there is a policy, a right to make resets is enough.
    until_ok(DEADLINE, "the role to be in force", || async {
        let made = without.reset("before", "{}").await;
        if made.ok { Ok(()) } else { Err(made.stderr) }
    })
    .await;

    install(plane, "usePolicy.enabled=true").await;
    let mut tries = 0;
    let refused = until(DEADLINE, "the policy to be in force", || {
        tries += 1;
        let name = format!("try-{tries}");
        let without = &without;
        async move {
            let made = without.reset(&name, "{}").await;
            (!made.ok).then_some(made.stderr)
        }
    })
    .await;
    assert!(refused.contains("you lack the verb use on chatapps.groupattr.dev \"default\""), "{refused}");
    let made = with.reset("made", "{}").await;
    assert!(made.ok, "{}", made.stderr);
    let other = with.reset("other", "{ name: other }").await.stderr;
    assert!(other.contains("chatapps.groupattr.dev \"other\""), "{other}");
    // A role in a namespace opens no account of the cluster.
    let shared = "{ kind: ClusterChatApp, name: default }";
    let cluster = with.reset("cluster", shared).await.stderr;
    assert!(cluster.contains("clusterchatapps.groupattr.dev \"default\""), "{cluster}");
    let role = format!("use-{namespace}");
    plane.apply(&use_it("ClusterRole", &role, "clusterchatapps")).await.unwrap();
    ok(plane, &["create", "clusterrolebinding", &role, &format!("--clusterrole={role}"), "--user=ann"]).await;
    until_ok(DEADLINE, "a right in the cluster to open it", || async {
        let made = with.reset("cluster", shared).await;
        if made.ok { Ok(()) } else { Err(made.stderr) }
    })
    .await;

    // What is left out is filled in first, and who may not make a reset may not make one to be sent later.
    for spec in
        ["", ", appRef: null", ", appRef: { name: default }", ", appRef: { kind: null }", ", suspend: true"]
    {
        let yaml = RESET.replace("NAME", "short").replace(", appRef: APP", spec);
        let said = without.kubectl(&["create", "-f", "-"], &yaml).await.stderr;
        assert!(
            said.contains("you lack the verb use on chatapps.groupattr.dev \"default\""),
            "{spec}: {said}"
        );
    }
    let parked = RESET.replace("NAME", "parked").replace(", appRef: APP", ", suspend: true");
    let made = with.kubectl(&["create", "-f", "-"], &parked).await;
    assert!(made.ok, "{}", made.stderr);
    let resumed = r#"{"spec":{"suspend":false}}"#;
    assert!(without.patch("parked", resumed).await.stderr.contains("you lack the verb use"));
    assert!(with.patch("parked", resumed).await.ok);

    // A new request is a new reset; a label or the end of the object is none.
    let again = r#"{"spec":{"requestID":"again"}}"#;
    let refused = without.patch("made", again).await.stderr;
    assert!(refused.contains("you lack the verb use"), "{refused}");
    assert!(with.patch("made", again).await.ok);
    for done in [
        without.patch("made", r#"{"metadata":{"labels":{"seen":"yes"}}}"#).await,
        without.kubectl(&["delete", "gar", "made"], "").await,
    ] {
        assert!(done.ok, "{}", done.stderr);
    }
}

#[tokio::test]
async fn a_policy_of_watched_namespaces_leaves_others_alone_and_can_warn_only() {
    let plane = plane().await;
    let (watched, other) = (plane.namespace().await.unwrap(), plane.namespace().await.unwrap());
    let (inside, outside) = (person(plane, &watched, "cid").await, person(plane, &other, "cid").await);
    let values =
        format!("watchNamespaces={{{watched}}},usePolicy.enabled=true,usePolicy.validationActions={{Warn}}");
    install(plane, &values).await;
    let mut tries = 0;
    let warned = until(DEADLINE, "the policy to be in force", || {
        tries += 1;
        let name = format!("try-{tries}");
        let inside = &inside;
        async move {
            let made = inside.reset(&name, "{}").await;
            (made.ok && made.stderr.contains("you lack the verb use")).then_some(made.stderr)
        }
    });
    assert!(warned.await.contains("Warning"));
    let made = outside.reset("free", "{}").await;
    assert!(made.ok && !made.stderr.contains("Warning"), "{}", made.stderr);
}
