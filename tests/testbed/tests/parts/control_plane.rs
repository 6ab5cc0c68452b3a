//! The control plane of the testbed against its own promises.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use testbed::{
    ControlPlane, Options,
    control_plane::{AuditEvent, OperatorRights, Scope},
    until_ok,
};
use tokio::sync::OnceCell;

/// One for all tests of this file, as other test files do it too.
async fn control_plane() -> &'static ControlPlane {
    static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            ControlPlane::start(Options::default()).await.unwrap_or_else(|e| panic!("{e:#}"))
        })
        .await
}

/// Everything a test of this project does first.
#[tokio::test]
async fn a_request_in_a_fresh_namespace_shows_in_the_audit_log() {
    let control_plane = control_plane().await;
    let namespace = control_plane.namespace().await.unwrap();
    control_plane.audit_marker().await.unwrap();

    let audit = control_plane.audit().unwrap();
    let created = audit.iter().find(|event| event.verb == "create" && event.name == namespace).unwrap();
    assert_eq!(
        (created.resource.as_str(), created.user.as_str(), created.code),
        ("namespaces", "admin", 201)
    );
}

#[tokio::test]
async fn two_namespaces_never_have_the_same_name() {
    let control_plane = control_plane().await;
    assert_ne!(control_plane.namespace().await.unwrap(), control_plane.namespace().await.unwrap());
}

const RIGHTS: &str = "
kind: ClusterRole
rules:
- { apiGroups: [''], resources: [configmaps], verbs: [list] }
- { apiGroups: [''], resources: [namespaces], verbs: [list] }
---
kind: Role
rules:
- { apiGroups: [''], resources: [secrets], verbs: [list] }
";

/// Whether a list of something is allowed to a token, in a namespace or everywhere.
async fn may_list<K>(api: Api<K>) -> bool
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match api.list(&Default::default()).await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.code == 403 => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_service_account_may_do_what_the_manifest_grants_and_nothing_else() {
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
    let control_plane = control_plane().await;
    let rights = OperatorRights::from_yaml(RIGHTS).unwrap();
    let (home, watched) =
        (control_plane.namespace().await.unwrap(), control_plane.namespace().await.unwrap());

    let everywhere = control_plane.service_account(&home, "everywhere").await.unwrap();
    control_plane.grant(&everywhere, &rights, &Scope::Cluster).await.unwrap();
    let client = control_plane.client(&everywhere.token).await.unwrap();
    until_ok(Duration::from_secs(5), "the rights to be known to the authorizer", || async {
        may_list(Api::<ConfigMap>::all(client.clone())).await.then_some(()).ok_or("refused")
    })
    .await;
    assert!(may_list(Api::<Namespace>::all(client.clone())).await);
    assert!(may_list(Api::<Secret>::namespaced(client.clone(), &home)).await);
    assert!(!may_list(Api::<Secret>::namespaced(client, &watched)).await);

    let restricted = control_plane.service_account(&home, "restricted").await.unwrap();
    control_plane.grant(&restricted, &rights, &Scope::Namespaces(vec![watched.clone()])).await.unwrap();
    let client = control_plane.client(&restricted.token).await.unwrap();
    until_ok(Duration::from_secs(5), "the rights to be known to the authorizer", || async {
        may_list(Api::<ConfigMap>::namespaced(client.clone(), &watched)).await.then_some(()).ok_or("refused")
    })
    .await;
    assert!(!may_list(Api::<Namespace>::all(client.clone())).await);
    assert!(!may_list(Api::<ConfigMap>::namespaced(client, &home)).await);

    control_plane.audit_marker().await.unwrap();
    let refused = control_plane.audit_of(&restricted.user()).unwrap();
    assert!(refused.iter().any(|event| event.code == 403 && event.resource == "namespaces"));
}

const SAMPLE_CRD: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: samples.groupattr.dev }
spec:
  group: groupattr.dev
  scope: Namespaced
  names: { kind: Sample, plural: samples, singular: sample }
  versions:
  - name: v1
    served: true
    storage: true
    subresources: { status: {} }
    schema:
      openAPIV3Schema:
        type: object
        properties:
          status: { type: object, x-kubernetes-preserve-unknown-fields: true }
";

#[tokio::test]
async fn the_body_of_a_status_write_can_be_read_in_the_audit_log() {
    let control_plane = control_plane().await;
    let namespace = control_plane.namespace().await.unwrap();
    control_plane.install_crds(SAMPLE_CRD).await.unwrap();
    let sample = "{ apiVersion: groupattr.dev/v1, kind: Sample, metadata: { name: first } }";
    let stored = control_plane.apply_in(&namespace, sample).await.unwrap();
    assert_eq!(stored[0].metadata.namespace.as_deref(), Some(namespace.as_str()));

    let patch =
        ["patch", "sample", "first", "--subresource=status", "--type=merge", "-p", r#"{"status":{"a":7}}"#];
    let patched = control_plane.kubectl(&[&["-n", &namespace], patch.as_slice()].concat()).await.unwrap();
    assert!(patched.ok, "{}", patched.stderr);

    control_plane.audit_marker().await.unwrap();
    let audit = control_plane.audit().unwrap();
    let written = |e: &AuditEvent| e.subresource == "status" && e.verb == "patch" && e.namespace == namespace;
    let write = audit.iter().find(|event| written(event)).unwrap();
    assert_eq!(write.response_object["status"]["a"], 7);
    assert_eq!(write.request_object["status"]["a"], 7);
}

#[tokio::test]
async fn kubectl_reads_manifests_from_its_input_and_its_refusals_are_answers() {
    let control_plane = control_plane().await;
    let namespace = control_plane.namespace().await.unwrap();
    let manifest = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: from-input } }";
    let args = ["-n", namespace.as_str(), "apply", "-f", "-"];
    let applied = control_plane.kubectl_with_input(&args, manifest).await.unwrap();
    assert!(applied.ok && applied.stdout.contains("from-input created"), "{applied:?}");

    let refused = control_plane.kubectl(&["get", "configmap", "nobody"]).await.unwrap();
    assert!(!refused.ok && refused.stderr.contains("NotFound"), "{refused:?}");
}

#[tokio::test]
async fn a_restarted_api_server_has_its_address_and_its_objects_again() {
    // One of its own: the others must not notice.
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let (url, namespace) = (control_plane.url(), control_plane.namespace().await.unwrap());
    control_plane.stop_apiserver().await;
    control_plane.restart_apiserver().await.unwrap();
    control_plane.restart_etcd().await.unwrap();
    assert_eq!(control_plane.url(), url);
    assert!(control_plane.kubectl(&["get", "namespace", &namespace]).await.unwrap().ok);

    let folder = control_plane.folder().to_path_buf();
    drop(control_plane);
    assert!(!folder.exists(), "nothing is left behind");
}

#[tokio::test]
async fn a_control_plane_that_does_not_become_ready_says_why() {
    let options = Options { apiserver_flags: vec!["--no-such-flag".into()], ..Options::default() };
    let error =
        ControlPlane::start(options).await.err().expect("an unknown flag ends the API server").to_string();
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}
