//! `helm test`, and the command in its pod.

use k8s_openapi::api::rbac::v1::PolicyRule;
use testbed::control_plane::{ControlPlane, OperatorRights, Scope, ServiceAccount};
use testbed::{Helm, until_ok};
use tokio::process::Command;

use crate::chart::machines::Machines;
use crate::chart::people::NO_POLICIES;
use crate::chart::{CHART, NAMED, bare_plane};
use crate::world::{DEADLINE, plane};

const PROGRAM: &str = env!("CARGO_BIN_EXE_groupattr-operator");

/// What a check said, and whether it found everything.
pub(crate) async fn check(plane: &ControlPlane, account: &ServiceAccount, args: &[&str]) -> (bool, String) {
    let kubeconfig = plane.kubeconfig("check", &account.token).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("check").args(args).env_clear().env("KUBECONFIG", kubeconfig);
    let output = command.output().await.unwrap();
    let (said, complained) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(complained, "", "{said}");
    (output.status.success(), said)
}

fn lines<'a>(said: &'a str, word: &str) -> Vec<&'a str> {
    said.lines().filter(|line| line.starts_with(word)).collect()
}

/// Each verb on each resource by itself.
fn one_by_one(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut all = Vec::new();
    for rule in rules {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                let (resources, verbs) = (Some(vec![resource.clone()]), vec![verb.clone()]);
                all.push(PolicyRule { resources, verbs, ..rule.clone() });
            }
        }
    }
    all
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_and_no_other() {
    let plane = plane().await;
    let home = plane.namespace().await.unwrap();
    let account = plane.service_account(&home, "checked").await.unwrap();
    let rights = crate::world::rights();
    let all =
        OperatorRights { everywhere: one_by_one(&rights.everywhere), at_home: one_by_one(&rights.at_home) };
    assert!(all.count() > 15, "{}", all.count());
    let args = [format!("--namespace={home}")];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    for index in 0..all.count() {
        let (fewer, removed) = all.without(index);
        plane.grant(&account, &fewer, &Scope::Cluster).await.unwrap();
        let (verb, resource) = (&removed.verbs[0], &removed.resources.as_ref().unwrap()[0]);
        let is_needed = verb != "delete" && resource != "events";
        // What was granted before is in force a moment later.
        until_ok(DEADLINE, &format!("the lack of {verb} {resource} to be named"), || async {
            let (good, said) = check(plane, &account, &args).await;
            let named = [lines(&said, "missing"), lines(&said, "without")].concat();
            let is_named = named.len() == 1 && named[0].contains(&format!(" {verb} {resource} "));
            let is_named =
                is_named || (named.len() == 1 && named[0].contains(&format!(" {verb} {resource}:")));
            if is_named && good != is_needed { Ok(()) } else { Err(said) }
        })
        .await;
    }
    plane.grant(&account, &all, &Scope::Cluster).await.unwrap();
    until_ok(DEADLINE, "everything to be there", || async {
        let (good, said) = check(plane, &account, &args).await;
        if good && said.ends_with("everything is in place\n") { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test]
async fn in_an_empty_cluster_everything_is_missing() {
    let plane = &bare_plane().await;
    let account = plane.service_account("default", "stranger").await.unwrap();
    let (good, said) = check(plane, &account, &[]).await;
    assert!(!good && lines(&said, "ok").is_empty(), "{said}");
    let missing = lines(&said, "missing");
    assert!(missing[0].contains("groupattr-operator crd | kubectl apply"), "{said}");
    assert!(said.ends_with(&format!("{} missing: the operator would not work\n", missing.len())), "{said}");
    let (_, less) = check(plane, &account, &["--leader-elect=false", "--watch-namespace=shop"]).await;
    assert!(!less.contains("leases") && !less.contains("clusterchatapps"), "{less}");
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_said_once() {
    let plane = plane().await;
    let stranger =
        ServiceAccount { namespace: String::new(), name: String::new(), token: "unknown".to_owned() };
    let (good, said) = check(plane, &stranger, &[]).await;
    assert!(!good && said.contains("rejected the token"), "{said}");
    assert_eq!((lines(&said, "unknown").len(), lines(&said, "ok").len()), (1, 0), "{said}");
}

#[tokio::test]
async fn helm_test_passes_after_an_install_and_fails_without_a_right() {
    let plane = plane().await;
    let kubeconfig = plane.admin_kubeconfig();
    for helm in Helm::BOTH {
        for values in [
            "replicas=1",
            "watchNamespaces={default},rbac.deleteFinished=false,rbac.secrets=Named,rbac.secretNames={chat}",
            "leaderElection.enabled=false,rbac.secrets=None",
        ] {
            let home = plane.namespace().await.unwrap();
            let values = format!("crds.enabled=false,{NO_POLICIES},{values}");
            let install = ["install", &home, CHART, NAMED, "--namespace", &home, "--set", &values];
            let _ = helm.run(&kubeconfig, &install).await.unwrap().unwrap();
            let test = async || {
                let machines = Machines::new(plane, &home);
                let args = ["test", &home, "--namespace", &home, "--timeout=60s"];
                let tested = machines.beside(helm.run(&kubeconfig, &args)).await.unwrap();
                let said = machines.said.lock().unwrap().join("\n");
                (tested, said)
            };
            let (tested, said) = test().await;
            assert!(tested.ok, "{helm:?} {values}: {} {said}", tested.stderr);
            let jobs = async |output: &str| {
                plane.kubectl(&["-n", &home, "get", "jobs", "-o", output]).await.unwrap().stdout
            };
            assert_eq!(jobs("name").await, "", "the Job of a test that passed stays behind");
            assert!(!said.contains("missing"), "{said}");
            assert_eq!(lines(&said, "skipped").len(), usize::from(values.contains("None")), "{said}");
            let reduced = values.contains("deleteFinished=false");
            assert_eq!(lines(&said, "without").len(), usize::from(reduced), "{said}");

            let kind = if values.contains("watchNamespaces") { "rolebinding" } else { "clusterrolebinding" };
            let mut binding = format!("{home}-groupattr-operator");
            if kind == "clusterrolebinding" {
                binding = format!("{binding}-{home}");
            }
            let removed = plane.kubectl(&["delete", kind, &binding]).await.unwrap();
            assert!(removed.ok, "{}", removed.stderr);
            let (tested, said) = test().await;
            assert!(!tested.ok, "{helm:?} {values}: passes without rights: {said}");
            assert!(said.contains("missing  get groupattributeresets of groupattr.dev"), "{said}");
            // So that its log can be read; Kubernetes takes it away, release or no release.
            let ends = jobs("jsonpath={.items[*].spec.ttlSecondsAfterFinished}").await;
            assert_eq!(ends, "600", "the Job of a test that failed");
        }
    }
}
