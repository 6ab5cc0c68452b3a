//! Everything that runs during the show, and the order in which it starts.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail};
use testbed::{
    ControlPlane, Launch, OperatorProcess, Options, Vendor,
    control_plane::{Binaries, Kubectl},
};

use super::{
    build,
    rooms::{self, Room},
    samples::{Sample, Samples},
    screen::{Waiting, command, good, printed},
    seconds,
    story::Story,
};

/// Where the samples are applied. One of them opens an account to exactly this namespace.
pub(crate) const NAMESPACE: &str = "shows";
/// Where the burst happens.
pub(crate) const FESTIVAL: &str = "festival";
/// Where the operator's service account is.
const HOME: &str = "groupattr-system";

/// What runs. Fields are dropped in this order: the API server last.
pub(crate) struct Stage {
    pub(crate) story: Story,
    pub(crate) operator: OperatorProcess,
    pub(crate) vendor: Vendor,
    pub(crate) samples: Samples,
    pub(crate) rooms: Vec<Room>,
    pub(crate) plane: ControlPlane,
}

impl Stage {
    pub(crate) async fn set_up() -> Result<Self> {
        let program = build::operator().await?;
        let plane = control_plane().await?;
        install(&plane, &program).await?;
        let (vendor, samples) = simulator()?;
        let rooms = rooms::cast(&samples)?;
        for room in &rooms {
            room.fill(&vendor);
        }
        rooms::fill_festival(&vendor, samples.app.account()?);

        let story = Story::begin(&plane.admin().await);
        let operator = operator(&plane, &vendor, program).await?;
        let stage = Self { story, operator, vendor, samples, rooms, plane };
        let ready = stage.until_ready().await;
        ready.map_err(|error| stage.with_logs_kept(error))?;
        Ok(stage)
    }

    async fn until_ready(&self) -> Result<()> {
        let since = Instant::now();
        let _waiting = Waiting::for_("waiting for the operator to be ready");
        while !self.operator.is_ready().await {
            if let Some(status) = self.operator.exit_status() {
                bail!("the operator ended at once ({status})");
            }
            if since.elapsed() > Duration::from_secs(30) {
                bail!("the operator was not ready within 30 s");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(_waiting);
        good(&format!(
            "operator: process {} with the rights of its ServiceAccount, ready after {}",
            self.operator.pid(),
            seconds(since.elapsed())
        ));
        Ok(())
    }

    /// Applies a sample with the real kubectl, and shows it.
    pub(crate) async fn apply(&self, namespace: &str, sample: &Sample) -> Result<()> {
        self.apply_with(&["-n", namespace], sample).await
    }

    /// The same for a sample whose objects name their namespaces.
    pub(crate) async fn apply_as_it_is(&self, sample: &Sample) -> Result<()> {
        self.apply_with(&[], sample).await
    }

    async fn apply_with(&self, flags: &[&str], sample: &Sample) -> Result<()> {
        let file = format!("examples/{}", sample.file);
        let shown = quoted(&[flags, &["apply", "-f", &file]].concat());
        command(&shown);
        let args = [flags, &["apply", "-f", "-"]].concat();
        printed(&accepted(&shown, self.plane.kubectl_with_input(&args, &sample.text).await?)?);
        Ok(())
    }

    /// Runs kubectl, and shows the command.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let shown = quoted(args);
        command(&shown);
        accepted(&shown, self.plane.kubectl(args).await?)
    }

    /// Waits for what must not happen during the show.
    pub(crate) async fn operator_ends(&self) -> Error {
        while self.operator.exit_status().is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::anyhow!("The operator has ended by itself")
    }

    /// Ends the operator the polite way, as a rolling update would, and the rest by dropping it.
    pub(crate) async fn take_down(self) -> Result<()> {
        let since = Instant::now();
        self.operator.terminate();
        while since.elapsed() < Duration::from_secs(27) {
            if let Some(status) = self.operator.exit_status() {
                if !status.success() {
                    let error = anyhow::anyhow!("the operator was asked to end and ended with {status}");
                    return Err(self.with_logs_kept(error));
                }
                good(&format!(
                    "operator: asked to end, ended in good order after {}",
                    seconds(since.elapsed())
                ));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(self.with_logs_kept(anyhow::anyhow!("the operator was asked to end and did not within 27 s")))
    }

    /// The logs lie in a folder that goes away; they are copied, and the error says where to.
    pub(crate) fn with_logs_kept(&self, error: Error) -> Error {
        let ended = match self.operator.exit_status() {
            Some(status) => format!("\nThe operator is not running any more ({status})."),
            None => String::new(),
        };
        match self.keep_logs() {
            Ok(folder) => {
                anyhow::anyhow!("{error:#}{ended}\nThe logs of this run are in {}", folder.display())
            }
            Err(_) => anyhow::anyhow!("{error:#}{ended}"),
        }
    }

    fn keep_logs(&self) -> Result<PathBuf> {
        let here = env::current_exe()?;
        let target = here.ancestors().nth(2).context("no target folder")?;
        let folder = target.join("demo-logs").join(process::id().to_string());
        fs::create_dir_all(&folder)?;
        fs::copy(self.operator.log_file(), folder.join("operator.log"))?;
        fs::copy(self.plane.apiserver_log(), folder.join("apiserver.log"))?;
        Ok(folder)
    }
}

async fn control_plane() -> Result<ControlPlane> {
    // Before the line that waits: downloading and building have progress lines of their own.
    let binaries = tokio::task::spawn_blocking(Binaries::find_or_build).await?;
    let binaries = binaries.context("there is no control plane to show it on")?;
    good(&format!("etcd, kube-apiserver and kubectl: {}", binaries.origin()));
    let options = Options { binaries: Some(binaries), ..Options::default() };
    let since = Instant::now();
    let waiting = Waiting::for_("starting etcd and kube-apiserver, about 4 s");
    let plane = ControlPlane::start(options).await.context("the control plane did not start")?;
    let version = plane.admin().await.apiserver_version().await?.git_version;
    drop(waiting);
    good(&format!(
        "control plane: Kubernetes {version} at {}, ready after {}",
        plane.url(),
        seconds(since.elapsed())
    ));
    Ok(plane)
}

/// What an administrator does once: the kinds, the operator's rights; and the namespaces of the show.
async fn install(plane: &ControlPlane, program: &Path) -> Result<()> {
    let crds = process::Command::new(program).arg("crd").output().context("cannot run the operator")?;
    plane.install_crds(String::from_utf8(crds.stdout)?).await.context("the CRDs are not accepted")?;
    let rights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/kustomize/rights.yaml");
    let rights = fs::read_to_string(&rights).with_context(|| format!("cannot read {}", rights.display()))?;
    plane.apply(&rights).await.context("the operator's rights are not accepted")?;
    for namespace in [NAMESPACE, FESTIVAL] {
        plane.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}")).await?;
    }
    good("installed: the CRDs (groupattr-operator crd) and charts/kustomize/rights.yaml");
    Ok(())
}

/// The vendor with the accounts of the samples, answering about as fast as a near data centre.
fn simulator() -> Result<(Vendor, Samples)> {
    let vendor = Vendor::start().context("the simulator cannot open a port")?;
    vendor.set_latency(Duration::from_millis(10), Duration::from_millis(40));
    let samples = Samples::read(&vendor.url())?;
    for sample in [&samples.app, &samples.cluster_app] {
        vendor.account(sample.account()?, sample.key()?, &["administrator"]);
    }
    // In the sample of the second account there is no key yet; the show mends that.
    vendor.account(samples.second_account.account()?, RIGHT_KEY, &["administrator"]);
    good(&format!("vendor: a simulator at {}, 200 calls a second, 10–40 ms an answer", vendor.url()));
    Ok((vendor, samples))
}

/// What the Secret of `second-account.yaml` ought to hold.
pub(crate) const RIGHT_KEY: &str = "5ea7ed005ea7ed005ea7ed005ea7ed005ea7ed005ea7ed005ea7ed005ea7ed00";

async fn operator(plane: &ControlPlane, vendor: &Vendor, binary: PathBuf) -> Result<OperatorProcess> {
    let account = plane.service_account(HOME, "groupattr-operator").await?;
    OperatorProcess::start(Launch {
        binary,
        kubeconfig: plane.kubeconfig("operator", &account.token)?,
        args: vec![
            format!("--namespace={HOME}"),
            format!("--allow-endpoint={}", vendor.address()),
            "--log-format=text".to_owned(),
        ],
        env: Vec::new(),
    })
}

fn accepted(shown: &str, done: Kubectl) -> Result<String> {
    if !done.ok {
        bail!("`{shown}` failed: {}", done.stderr.trim());
    }
    Ok(done.stdout)
}

/// As somebody would type it.
fn quoted(args: &[&str]) -> String {
    let plain = |arg: &str| arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=,:@".contains(c));
    let args: Vec<_> =
        args.iter().map(|arg| if plain(arg) { (*arg).to_owned() } else { format!("'{arg}'") }).collect();
    format!("kubectl {}", args.join(" "))
}
