//! The same work by a generic "HTTP call as a resource" provider, side by side.

use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use procfs::process::Process;
use serde_json::json;
use testbed::control_plane::{OperatorRights, Scope, ServiceAccount};

use super::{Bench, Scenario, millis};
use crate::calls;
use crate::cpu::{Parts, Used};
use crate::figures::Case;
use crate::load::{all_cleared, create, group_of, is_true, numbered, rooms};
use crate::requests::Requests;
use crate::stage::{ACCOUNT, Stage, stop};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "peer",
    title: "beside Crossplane's provider-http",
    about: "The same resets as `DisposableRequest` objects of Crossplane's provider-http 1.0.0, run as a plain \
            process with administrator rights; success is `.body.ErrorCode == 0`, as far as its fields can express \
            it, and the signed URL is stored in the object. All objects exist before the program starts; the vendor \
            takes 20 ms. Built with Go from the module in benches/operator/peer, once.",
    run: |bench| run(bench).boxed_local(),
};

const MODULE: &str = "github.com/crossplane-contrib/provider-http";
/// A program that is slower is stopped, and what it did until then is counted.
const PATIENCE: Duration = Duration::from_secs(90);

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    bench.progress.heading("peer");
    bench.progress.now("building provider-http");
    let provider = tokio::task::spawn_blocking(Provider::built).await??;
    let mut cases = Vec::new();
    for (name, rate) in [
        ("groupattr-operator", None),
        ("provider-http, as installed", Some(10)),
        ("provider-http, rate 200", Some(200)),
    ] {
        bench.progress.heading(&format!("peer, {name}"));
        cases.push(measure(bench, &provider, name, rate).await?);
    }
    Ok(cases)
}

async fn measure(bench: &Bench, provider: &Provider, name: &str, rate: Option<u32>) -> Result<Case> {
    let count = bench.size(1_000, 200);
    let names = numbered("peer", 0, count);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(20)).await?;
    rooms(&stage.vendor, ACCOUNT, &names);
    stage.namespace("peer", "callsPerSecond: 200").await?;
    let resets = stage.resets("peer");

    let (pid, name_in_log, objects, _running): (i32, String, Api<DynamicObject>, Box<dyn Send>) = match rate {
        None => {
            create(&resets, &names, "default", &bench.progress).await?;
            let operator = stage.start(&[], None)?;
            (operator.pid(), stage.account.user(), resets, Box::new(operator))
        }
        Some(rate) => {
            let url = signed_url(bench, &stage).await?;
            let account = provider.install(&stage).await?;
            let objects = requests(&stage);
            create_requests(bench, &objects, &names, &url).await?;
            let child = provider.start(&stage, &account, rate)?;
            let pid = child.id().context("provider-http has ended at once")?;
            (i32::try_from(pid)?, account.user(), objects, Box::new(child))
        }
    };
    let before = if rate.is_some() { calls::arrived(&stage.vendor, ACCOUNT) } else { 0 };
    let (apiserver, etcd) = stage.plane.pids();
    let parts = Parts { operator: pid, apiserver, etcd };
    let (since, begun, first) = (Timestamp::now(), Instant::now(), parts.read()?);
    let mut done = 0;
    while begun.elapsed() < PATIENCE && done < count {
        tokio::time::sleep(Duration::from_secs(1)).await;
        done = finished(&objects).await?;
        bench.progress.count("done", done, count);
    }
    let used = Used::between(&first, &parts.read()?);
    let memory = Process::new(pid)?.status()?.vmrss.unwrap_or_default() as f64 * 1024.0 / 1e6;
    let asked = Requests::of(&stage.plane, &name_in_log, since).await?;
    let arrivals = calls::arrivals(&stage.vendor, ACCOUNT).split_off(before);
    let per = |number: f64| number / done.max(1) as f64;

    let mut case = Case::named(name);
    case.more("ended", format!("of {count}").as_str(), done as f64);
    case.more("ended a second", "/s", done as f64 / used.seconds);
    case.less("calls at the vendor per reset", "", per(arrivals.len() as f64)).wanted(1.0);
    case.less("fullest second", "calls", calls::fullest_second(&stage.vendor, ACCOUNT)).wanted(200.0);
    case.less("writes per reset", "", per(asked.count(|verb, _| !matches!(verb, "get" | "list" | "watch"))));
    case.less("reads per reset", "", per(asked.count(|verb, _| matches!(verb, "get" | "list"))));
    case.less("processor per reset: the program", "ms", 1e3 * per(used.operator));
    case.less("processor per reset: kube-apiserver", "ms", 1e3 * per(used.apiserver));
    case.less("memory", "MB", memory);
    if done == count {
        bench.progress.now("at rest");
        let since = Timestamp::now();
        tokio::time::sleep(Duration::from_secs(bench.size(60, 20))).await;
        let rest = Requests::of(&stage.plane, &name_in_log, since).await?;
        let rest = rest.count(|verb, resource| verb != "watch" && resource != "leases");
        case.less(
            "requests at rest, lease and watches aside",
            "a minute",
            rest * 60.0 / bench.size(60.0, 20.0),
        );
    }
    Ok(case)
}

/// What provider-http cannot make itself: a URL with a signature, as the operator made one.
async fn signed_url(bench: &Bench, stage: &Stage) -> Result<String> {
    let (operator, _) = stage.start_ready(&[]).await?;
    let one = ["template".to_owned()];
    rooms(&stage.vendor, ACCOUNT, &one);
    let resets = stage.resets("peer");
    create(&resets, &one, "default", &bench.progress).await?;
    all_cleared(&resets, 1, Duration::from_secs(30)).await?;
    stop(operator).await;
    calls::signed_url(&stage.vendor).context("no call of the operator has succeeded")
}

fn requests(stage: &Stage) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("http.crossplane.io", "v1alpha2", "DisposableRequest");
    Api::all_with(stage.client.clone(), &ApiResource::from_gvk_with_plural(&kind, "disposablerequests"))
}

async fn create_requests(bench: &Bench, api: &Api<DynamicObject>, names: &[String], url: &str) -> Result<()> {
    let creations = names.iter().enumerate().map(|(done, name)| async move {
        let object = json!({
            "apiVersion": "http.crossplane.io/v1alpha2", "kind": "DisposableRequest",
            "metadata": {"name": name},
            "spec": {
                "deletionPolicy": "Orphan",
                "providerConfigRef": {"name": "default"},
                "forProvider": {
                    "url": url, "method": "POST", "body": json!({"GroupId": group_of(name)}).to_string(),
                    "expectedResponse": ".body.ErrorCode == 0", "rollbackRetriesLimit": 5, "waitTimeout": "10s",
                },
            },
        });
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        api.create(&PostParams::default(), &object).await?;
        bench.progress.count("making requests", done, names.len());
        Ok::<_, kube::Error>(())
    });
    stream::iter(creations).buffer_unordered(16).try_collect::<()>().await.context("cannot make the requests")
}

/// How many objects have ended well, in either program's words.
async fn finished(api: &Api<DynamicObject>) -> Result<usize> {
    let list = api.list(&ListParams::default()).await?;
    let ended =
        |object: &&DynamicObject| object.data["status"]["synced"] == true || is_true(object, "Succeeded");
    Ok(list
        .items
        .iter()
        .filter(ended)
        .filter(|object| object.metadata.name.as_deref() != Some("template"))
        .count())
}

/// The program and its CRDs.
struct Provider {
    program: PathBuf,
    crds: PathBuf,
}

impl Provider {
    fn built() -> Result<Self> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/operator/peer");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench").join("provider-http");
        let go = |args: &[&str]| {
            output(
                Program::new("go").args(args).current_dir(&module).env("GOFLAGS", "-mod=readonly -trimpath"),
            )
        };
        go(&["build", "-o", &program.to_string_lossy(), &format!("{MODULE}/cmd/provider")])?;
        let sources = go(&["list", "-m", "-f", "{{.Dir}}", MODULE])?;
        Ok(Self { program, crds: Path::new(sources.trim()).join("package/crds") })
    }

    /// Its CRDs, its configuration, and an account that may do everything.
    async fn install(&self, stage: &Stage) -> Result<ServiceAccount> {
        stage.plane.install_crds(self.crds.to_string_lossy()).await?;
        stage
            .plane
            .apply(
                "apiVersion: v1
kind: Namespace
metadata: { name: crossplane-system }
---
apiVersion: http.crossplane.io/v1alpha1
kind: ProviderConfig
metadata: { name: default }
spec: { credentials: { source: None } }",
            )
            .await?;
        let account = stage.plane.service_account("crossplane-system", "provider-http").await?;
        let rights = OperatorRights::from_yaml(
            "kind: ClusterRole
rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]",
        )?;
        stage.plane.grant(&account, &rights, &Scope::Cluster).await?;
        Ok(account)
    }

    fn start(&self, stage: &Stage, account: &ServiceAccount, rate: u32) -> Result<tokio::process::Child> {
        let kubeconfig = stage.plane.kubeconfig("provider-http", &account.token)?;
        tokio::process::Command::new(&self.program)
            .arg(format!("--max-reconcile-rate={rate}"))
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start provider-http")
    }
}

fn output(program: &mut Program) -> Result<String> {
    let output = program.output().with_context(|| format!("cannot run {program:?}"))?;
    if !output.status.success() {
        bail!("{program:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
