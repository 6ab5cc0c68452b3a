//! Stands in for what a cluster has and an API server alone has not: somebody who runs the pods of Jobs, and ends those
//! of a Deployment that is scaled to zero.

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use testbed::control_plane::ControlPlane;
use testbed::operator_process::Trace;
use testbed::{Pod, until};
use tokio::process::Command;
use tokio::time::sleep;

const PROGRAM: &str = env!("CARGO_BIN_EXE_groupattr-operator");
const PAUSE: Duration = Duration::from_millis(200);

/// The operator as a process, and the Pod that stands for it: the Pod goes when the process has ended.
pub(crate) struct Running {
    pub(crate) deployment: &'static str,
    pub(crate) pod: String,
    pub(crate) process: Arc<Trace>,
}

/// The machines of one namespace.
pub(crate) struct Machines<'a> {
    pub(crate) plane: &'a ControlPlane,
    pub(crate) namespace: &'a str,
    pub(crate) running: Option<Running>,
    /// What the Jobs wrote.
    pub(crate) said: Mutex<Vec<String>>,
}

impl<'a> Machines<'a> {
    pub(crate) fn new(plane: &'a ControlPlane, namespace: &'a str) -> Self {
        Self { plane, namespace, running: None, said: Mutex::default() }
    }

    /// Runs what there is to run, for as long as `work` goes on.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let jobs = Box::pin(async {
            loop {
                self.run_jobs().await;
                sleep(PAUSE).await;
            }
        });
        let pods = Box::pin(async {
            loop {
                self.end_pods().await;
                sleep(PAUSE).await;
            }
        });
        tokio::select! {
            done = work => done,
            () = jobs => unreachable!(),
            () = pods => unreachable!(),
        }
    }

    async fn run_jobs(&self) {
        let jobs: Api<Job> = Api::namespaced(self.plane.admin().await, self.namespace);
        let Ok(list) = jobs.list(&kube::api::ListParams::default()).await else { return };
        for job in list.items.into_iter().filter(|job| {
            job.status.as_ref().is_none_or(|status| status.conditions.as_ref().is_none_or(Vec::is_empty))
        }) {
            let (name, start) = (job.name_any(), Timestamp::now());
            let spec = job.spec.unwrap_or_default().template.spec.unwrap_or_default();
            let pod = Pod::new(self.plane, self.namespace, &format!("{name}-x7k2p"), spec).await.unwrap();
            let command = pod.command(Path::new(PROGRAM)).unwrap();
            let output = Command::from(command).kill_on_drop(true).output().await.unwrap();
            self.said.lock().unwrap().push(said(&output));
            let status = json!({ "status": status(output.status.success(), start) });
            let done = jobs.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await;
            // Gone meanwhile, if nobody waits for it any more.
            if let Err(error) = done {
                assert!(matches!(&error, kube::Error::Api(answer) if answer.code == 404), "{error}");
            }
        }
    }

    async fn end_pods(&self) {
        let Some(Running { deployment, pod, process }) = &self.running else { return };
        let client = self.plane.admin().await;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), self.namespace);
        let is_wanted = match deployments.get_opt(deployment).await {
            Ok(found) => found.is_some_and(|found| found.spec.replicas != Some(0)),
            Err(_) => return,
        };
        if is_wanted {
            return;
        }
        process.signal(Signal::TERM);
        until(Duration::from_mins(1), "the process to end", || async { process.exit_status() }).await;
        let pods: Api<PodObject> = Api::namespaced(client, self.namespace);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        drop(pods.delete(pod, &now).await);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// As kube-controller-manager writes it, step by step, all at once.
fn status(is_good: bool, start: Timestamp) -> Value {
    let now = Timestamp::now();
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "Pods", "message": "by the machines of the test",
            "lastProbeTime": format!("{now:.0}"), "lastTransitionTime": format!("{now:.0}"),
        })
    };
    let (start, end) = (format!("{start:.0}"), format!("{now:.0}"));
    if is_good {
        let conditions = [condition("SuccessCriteriaMet"), condition("Complete")];
        json!({ "startTime": start, "completionTime": end, "succeeded": 1, "conditions": conditions })
    } else {
        let conditions = [condition("FailureTarget"), condition("Failed")];
        json!({ "startTime": start, "failed": 1, "conditions": conditions })
    }
}
