//! What admission keeps people from who hold every right in a namespace of theirs: by the policies about statuses and
//! about Secrets, as the chart installs them.

use serde_json::{Value, json};
use testbed::control_plane::{ControlPlane, Kubectl};
use testbed::{Helm, until, until_ok};

use crate::chart::{bare_plane, people, works};
use crate::world::{CRDS, DEADLINE, OwnPlane};

/// What would end a reset, or hold a permit of a stranger's account.
pub(crate) const FORGED: &str = r#"{"status":{"attempts":7,"completionTime":"2026-01-01T00:00:00Z",
    "conditions":[{"type":"Succeeded","status":"True","reason":"Cleared","message":"forged","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
/// What makes an app look proved.
const PROVED: &str = r#"{"status":{"lastVerifiedTime":"2026-01-01T00:00:00Z","lastErrorCode":7}}"#;
const TRY_OUT: &str = "--dry-run=server";
const MERGE: &str = "--type=merge";

/// Somebody with a token of their own, at work in one namespace.
pub(crate) struct Somebody<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    user: String,
    kubeconfig: String,
}

impl<'a> Somebody<'a> {
    pub(crate) async fn new(plane: &'a ControlPlane, namespace: &str, name: &str) -> Self {
        let account = plane.service_account(namespace, name).await.unwrap();
        let kubeconfig = plane.kubeconfig(name, &account.token).unwrap().display().to_string();
        Self { plane, namespace: namespace.to_owned(), user: account.user(), kubeconfig }
    }

    /// With a ClusterRole in one namespace.
    pub(crate) async fn bound_to(self, clusterrole: &str, namespace: &str) -> Self {
        let name = format!("{}-{clusterrole}", self.user.replace(':', "-"));
        let (role, user) = (format!("--clusterrole={clusterrole}"), format!("--user={}", self.user));
        ok(self.plane, &["-n", namespace, "create", "rolebinding", &name, &role, &user]).await;
        self
    }

    /// With these rules: in one namespace, or in all.
    pub(crate) async fn with(self, namespace: Option<&str>, name: &str, rules: Value) -> Self {
        let version = "rbac.authorization.k8s.io/v1";
        let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
        let metadata = json!({"name": name});
        let role = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules});
        let binding = json!({
            "apiVersion": version, "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.user}],
        });
        for object in [role, binding] {
            match namespace {
                Some(namespace) => self.plane.apply_in(namespace, &object.to_string()).await.unwrap(),
                None => self.plane.apply(&object.to_string()).await.unwrap(),
            };
        }
        self
    }

    async fn kubectl(&self, args: &[&str], input: &str) -> Kubectl {
        let own = ["--kubeconfig", &self.kubeconfig, "--namespace", &self.namespace];
        self.plane.kubectl_with_input(&[&own[..], args].concat(), input).await.unwrap()
    }

    async fn create(&self, object: &Value, more: &[&str]) -> Kubectl {
        self.kubectl(&[&["create", "-f", "-"], more].concat(), &object.to_string()).await
    }

    pub(crate) async fn patch(&self, what: &[&str], patch: &str) -> Kubectl {
        self.kubectl(&[&["patch"], what, &[MERGE, "-p", patch]].concat(), "").await
    }

    /// Waits until the server refuses a try with this text, and not for want of a right.
    pub(crate) async fn is_refused(&self, what: &[&str], patch: &str, text: &str) -> String {
        until(DEADLINE, text, || async {
            let said = self.patch(&[what, &[TRY_OUT]].concat(), patch).await.stderr;
            said.contains(text).then_some(said)
        })
        .await
    }
}

pub(crate) async fn ok(plane: &ControlPlane, args: &[&str]) {
    let done = plane.kubectl(args).await.unwrap();
    assert!(done.ok, "{args:?}: {}", done.stderr);
}

fn everything() -> Value {
    json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
}

pub(crate) fn apps() -> Value {
    json!([{"apiGroups": ["groupattr.dev"], "resources": ["chatapps", "clusterchatapps"], "verbs": ["*"]}])
}

pub(crate) fn secret(name: &str) -> Value {
    json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}])
}

pub(crate) fn app(kind: &str, name: &str, secret: &str) -> Value {
    let spec = json!({"sdkAppID": 7, "region": "Seoul", "credentials": {"secretKeyRef": {"name": secret}}});
    json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub(crate) fn reset(name: &str) -> Value {
    let spec = json!({"groupID": "@TGS#parked", "suspend": true});
    json!({"apiVersion": "groupattr.dev/v1alpha1", "kind": "GroupAttributeReset", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_status_is_written_by_nobody_but_the_operator_and_those_who_are_named() {
    let plane = OwnPlane::of(bare_plane().await);
    let named = "statusPolicy.alsoAllowed={system:serviceaccount:default:velero,group:restorers}";
    let installed = works::install(*plane, Helm::V4, |_| named.to_owned()).await;
    let (world, operator) = (&installed.world, &installed.operator);
    let namespace = world.namespace.as_str();
    world.room("@TGS#a");
    world.app("").await;
    world.reset("parked", "@TGS#parked", "  suspend: true").await;
    plane.apply(&app("ClusterChatApp", "shared", "chat").to_string()).await.unwrap();

    // Every right that somebody can be given in one namespace.
    let by_role = Somebody::new(*plane, namespace, "by-role").await;
    let by_role = by_role.with(Some(namespace), "everything", everything()).await;
    let by_binding = Somebody::new(*plane, namespace, "by-binding").await;
    let by_binding = by_binding.bound_to("cluster-admin", namespace).await;
    let text = "only system:serviceaccount:groupattr-system:groupattr-operator writes this status";
    for attacker in [&by_role, &by_binding] {
        for (kind, name, patch) in [("gar", "parked", FORGED), ("chatapp", "default", PROVED)] {
            let what = [kind, name, "--subresource=status"];
            let said = attacker.is_refused(&what, patch, text).await;
            assert!(said.contains("statusPolicy.alsoAllowed") && said.contains(&attacker.user), "{said}");
            assert!(!attacker.patch(&what, patch).await.ok);
        }
    }
    // The operator goes on as ever.
    world.reset("a", "@TGS#a", "").await;
    let cleared = world.reset_is("a", "Cleared").await;
    world.check(&[operator]).await;
    // From here on others touch what has ended, and service accounts are taken for operators.
    world.skip_oracles();
    let ways = [
        &[
            "patch",
            "gar",
            "a",
            "--subresource=status",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/status"}]"#,
        ][..],
        &["replace", "--subresource=status", "-f", "-"],
        &["apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-"],
    ];
    let mut forged = cleared.clone();
    forged["status"]["attempts"] = json!(0);
    forged["metadata"].as_object_mut().unwrap().remove("managedFields");
    for way in ways {
        let said = by_role.kubectl(way, &forged.to_string()).await;
        assert!(!said.ok && said.stderr.contains(text), "{way:?}: {} {}", said.stdout, said.stderr);
    }
    // Not even an administrator of the cluster, who says so first.
    let shared = ["patch", "clusterchatapp", "shared", "--subresource=status", MERGE, "-p", PROVED, TRY_OUT];
    let said = plane.kubectl(&shared).await.unwrap();
    assert!(!said.ok && said.stderr.contains(text), "{} {}", said.stdout, said.stderr);

    // The side doors: through the object itself a status is dropped, and there is no other subresource.
    let mut born = reset("born");
    born["status"] = serde_json::from_str::<Value>(FORGED).unwrap()["status"].take();
    assert!(by_role.create(&born, &[]).await.ok);
    assert!(by_role.patch(&["gar", "parked"], FORGED).await.ok);
    for name in ["born", "parked"] {
        let stored = world.object("gar", name).await.unwrap();
        assert!(!stored["status"].to_string().contains("forged"), "{stored:#}");
    }
    let scaled = by_role.kubectl(&["scale", "gar/a", "--replicas=2"], "").await;
    assert!(!scaled.ok, "{}", scaled.stdout);
    assert_eq!(world.object("gar", "a").await.unwrap()["status"], cleared["status"]);

    // Who restores backups is named.
    let velero = Somebody::new(*plane, "default", "velero").await.bound_to("cluster-admin", namespace).await;
    let of_velero = ["-n", namespace, "gar", "parked", "--subresource=status", TRY_OUT];
    until_ok(DEADLINE, "a named user to be let in", || async {
        let done = velero.patch(&of_velero, FORGED).await;
        if done.ok { Ok(()) } else { Err(done.stderr) }
    })
    .await;
    let parked =
        ["-n", namespace, "patch", "gar", "parked", "--subresource=status", TRY_OUT, MERGE, "-p", FORGED];
    let bound =
        ["-n", namespace, "create", "rolebinding", "jane", "--clusterrole=cluster-admin", "--user=jane"];
    ok(*plane, &bound).await;
    let as_jane = |group: &'static str| [&["--as=jane", group], &parked[..]].concat();
    until_ok(DEADLINE, "a named group to be let in", || async {
        let done = plane.kubectl(&as_jane("--as-group=restorers")).await.unwrap();
        if done.ok { Ok(()) } else { Err(done.stderr) }
    })
    .await;
    let said = plane.kubectl(&as_jane("--as-group=others")).await.unwrap();
    assert!(said.stderr.contains(text), "{}", said.stderr);
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
}

#[tokio::test]
async fn who_points_an_app_at_a_secret_must_be_able_to_read_that_secret() {
    // Of its own, because the policy is for all namespaces.
    let plane = &bare_plane().await;
    plane.install_crds(CRDS).await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    plane.apply_in(&namespace, &app("ChatApp", "default", "chat").to_string()).await.unwrap();
    plane.apply(&app("ClusterChatApp", "default", "chat").to_string()).await.unwrap();
    let tenant = Somebody::new(plane, &namespace, "tenant").await.with(None, "apps", apps()).await;
    let installed = people::install(plane, "rbac.aggregate.view=false").await;
    let home = installed.strip_suffix("-groupattr-operator").unwrap();

    // Nothing that moves a key, or lets it sign for something else, without the right to read it.
    let elsewhere = r#"{"spec":{"region":null,"endpoint":"https://evil.example.com"}}"#;
    let refused = |secret: &str, place: &str| {
        format!("you may not get the Secret \"{secret}\" in namespace \"{place}\"")
    };
    for (kind, place) in [("chatapp", namespace.as_str()), ("clusterchatapp", home)] {
        for (patch, secret) in [
            (elsewhere, "chat"),
            (r#"{"spec":{"region":"Tokyo"}}"#, "chat"),
            (r#"{"spec":{"identifier":"root"}}"#, "chat"),
            (r#"{"spec":{"credentials":{"secretKeyRef":{"key":"other"}}}}"#, "chat"),
            (r#"{"spec":{"credentials":{"secretKeyRef":{"name":"other"}}}}"#, "other"),
        ] {
            tenant.is_refused(&[kind, "default"], patch, &refused(secret, place)).await;
        }
        // A slower pace, a stop or a label does not.
        for patch in [
            r#"{"spec":{"limits":{"callsPerSecond":7}}}"#,
            r#"{"spec":{"suspend":true}}"#,
            r#"{"metadata":{"labels":{"seen":"yes"}}}"#,
        ] {
            let done = tenant.patch(&[kind, "default"], patch).await;
            assert!(done.ok, "{kind} {patch}: {}", done.stderr);
        }
    }
    let opened =
        tenant.patch(&["clusterchatapp", "default"], r#"{"spec":{"allowedNamespaces":{"from":"All"}}}"#);
    assert!(opened.await.ok);
    let said = tenant.create(&app("ChatApp", "made", "chat"), &[]).await;
    assert!(said.stderr.contains(&refused("chat", &namespace)), "{}", said.stderr);

    // A Secret of one's own, and no other.
    let tenant = tenant.with(Some(&namespace), "mine", secret("mine")).await;
    until_ok(DEADLINE, "an app with a Secret of one's own", || async {
        let done = tenant.create(&app("ChatApp", "own", "mine"), &[]).await;
        if done.ok { Ok(()) } else { Err(done.stderr) }
    })
    .await;
    assert!(tenant.patch(&["chatapp", "own"], elsewhere).await.ok);
    let stolen = r#"{"spec":{"credentials":{"secretKeyRef":{"name":"chat"}}}}"#;
    tenant.is_refused(&["chatapp", "own"], stolen, &refused("chat", &namespace)).await;

    // The Secret of a ClusterChatApp is where the operator is.
    let said = tenant.create(&app("ClusterChatApp", "own", "mine"), &[]).await;
    assert!(said.stderr.contains(&refused("mine", home)), "{}", said.stderr);
    let tenant = tenant.with(Some(home), "mine", secret("mine")).await;
    until_ok(DEADLINE, "an account for others with a Secret that one may read", || async {
        let done = tenant.create(&app("ClusterChatApp", "own", "mine"), &[]).await;
        if done.ok { Ok(()) } else { Err(done.stderr) }
    })
    .await;
}

#[tokio::test]
async fn policies_for_watched_namespaces_leave_the_others_alone() {
    let plane = crate::world::plane().await;
    let (watched, other) = (plane.namespace().await.unwrap(), plane.namespace().await.unwrap());
    let values = format!("watchNamespaces={{{watched}}},statusPolicy.enabled=true,secretPolicy.enabled=true");
    people::install(plane, &values).await;
    let mut people = Vec::new();
    for namespace in [&watched, &other] {
        for object in [reset("parked"), app("ChatApp", "default", "chat")] {
            plane.apply_in(namespace, &object.to_string()).await.unwrap();
        }
        let tenant = Somebody::new(plane, namespace, "tenant").await;
        let ours = json!([{"apiGroups": ["groupattr.dev"], "resources": ["*"], "verbs": ["*"]}]);
        people.push(tenant.with(Some(namespace), "ours", ours).await);
    }
    let status = ["gar", "parked", "--subresource=status"];
    let spec = ["chatapp", "default"];
    let moved = r#"{"spec":{"region":"Tokyo"}}"#;
    people[0].is_refused(&status, FORGED, "writes this status; others go into").await;
    people[0].is_refused(&spec, moved, "you may not get the Secret").await;
    for (what, patch) in [(&status[..], FORGED), (&spec, moved)] {
        let done = people[1].patch(what, patch).await;
        assert!(done.ok, "{}", done.stderr);
    }
}
