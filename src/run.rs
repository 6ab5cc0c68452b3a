//! From start to end: connect, be ready to be asked, wait for the kinds, lead, work, stop.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::chat::{ChatClient, ClientError, Settings};
use crate::cli::Run;
use crate::controller::app_entry::AppRules;
use crate::controller::clock::Clock;
use crate::controller::context::Context;
use crate::controller::event_loop::{Controller, LoopExit};
use crate::controller::pacer::Pacer;
use crate::controller::secret_reads::SecretReads;
use crate::controller::unrecorded::Unrecorded;
use crate::controller::watches;
use crate::k8s::client::{Clients, ConnectError, connect};
use crate::k8s::discovery::{RequiredKind, wait_for_kinds};
use crate::k8s::event_writer::EventWriter;
use crate::k8s::lease::{HeldLease, Leadership, acquire};
use crate::k8s::status_writer::StatusWriter;
use crate::observability::health_server::{self, BindError, Health, Limits, Pages};
use crate::observability::metrics::Metrics;

/// Events that may wait for the desk before the watches wait.
const WATCH_EVENT_BUFFER: usize = 1024;
/// When nobody waits for the process to end, as after a lost lease: how much longer than its grace time it tries to record
/// what is known of calls in flight. An API server that was away is mostly back by then, and what is not recorded the
/// next leader reads back, which is the worse knowledge.
const EXTRA_RECORDING_TIME: Duration = Duration::from_secs(30);
/// Longest that a write may be on its way after its process has ended.
const STATUS_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two outcomes that nobody waits for, of all accounts.
const LOW_PRIORITY_SPACING: Duration = Duration::from_millis(20);
/// What giving the lease back may take.
const LEASE_RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the operator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No way to Kubernetes.
    #[error(transparent)]
    Kubernetes(#[from] ConnectError),
    /// No way to the vendor.
    #[error(transparent)]
    Chat(#[from] ClientError),
    /// No port.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// How the operator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was told to, and everything in flight is recorded.
    Shutdown,
    /// A drain asked for its lease, and everything in flight is recorded.
    HandedOver,
    /// The time to stop was over before everything in flight was recorded.
    OutOfTime,
    /// Another process may lead by now.
    LeadershipLost,
    /// Something broke that must not.
    Broken,
}

/// Runs until `told` is cancelled, the lease is lost, or something breaks.
pub async fn run(settings: Run, shutdown: CancellationToken) -> Result<Exit, StartError> {
    let clients = connect().await?;
    let chat = ChatClient::new(&Settings {
        user_agent: concat!("groupattr-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
    })?;
    let (metrics, registry) = Metrics::new();
    let health = Arc::new(Health::new());
    let listener = health_server::bind(settings.listen)?;
    let closing = CancellationToken::new();
    let _close = closing.clone().drop_guard();
    let pages = Pages::new(Arc::clone(&health), Arc::new(registry));
    tokio::spawn(health_server::serve(listener, pages, Limits::default(), metrics.clone(), closing));
    let process =
        Process { clients, chat, metrics, health, clock: Clock::start(), identity: identity(), settings };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), holder = process.identity, "starting");
    Ok(process.run(shutdown).await)
}

/// Pod name and a random part: what is "mine" must not survive a restart of the same pod.
#[must_use]
pub fn identity() -> String {
    let pod = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let pod: String = pod.unwrap_or_else(|| "groupattr-operator".to_owned()).chars().take(253).collect();
    format!("{pod}_{}", Uuid::new_v4())
}

struct Process {
    clients: Clients,
    chat: ChatClient,
    metrics: Metrics,
    health: Arc<Health>,
    clock: Clock,
    identity: String,
    settings: Run,
}

impl Process {
    async fn run(self, shutdown: CancellationToken) -> Exit {
        let heartbeat = beat(Arc::clone(&self.health));
        let exit = tokio::select! {
            () = shutdown.cancelled() => Exit::Shutdown,
            () = self.wait_for_kinds() => {
                heartbeat.abort();
                self.lead(&shutdown).await
            }
        };
        tracing::info!(?exit, "ended");
        exit
    }

    async fn wait_for_kinds(&self) {
        let needed = RequiredKind::of(&self.settings.watch_namespaces);
        wait_for_kinds(&self.clients.main, &needed, |line| self.health.not_ready(line)).await;
    }

    /// Waits for its turn to lead, then works. Followers are ready, so that a rolling update does not wait for ever; but
    /// not those that could never take over.
    async fn lead(self, shutdown: &CancellationToken) -> Exit {
        if !self.settings.leader_elect {
            self.metrics.leader(true);
            return self.work(Leadership::alone(), &CancellationToken::new(), shutdown).await;
        }
        self.health.not_ready("the lease has not been looked at yet");
        self.metrics.leader(false);
        let leases = Api::namespaced(self.clients.lease.clone(), &self.settings.namespace);
        let waiting = beat(Arc::clone(&self.health));
        let stands_by = |could: Result<(), &str>| match could {
            Ok(()) => self.health.ready(),
            Err(why) => self.health.not_ready(why),
        };
        let held = acquire(leases, &self.identity, self.settings.lease_timing(), shutdown, stands_by).await;
        waiting.abort();
        let Some(held) = held else { return Exit::Shutdown };
        if shutdown.is_cancelled() {
            held.release().await;
            return Exit::Shutdown;
        }
        self.metrics.leader(true);
        let (leadership, asked) = (held.leadership(), held.hand_over_requested());
        let done = CancellationToken::new();
        let keeper = tokio::spawn(keep(held, done.clone()));
        let exit = self.work(leadership, &asked, shutdown).await;
        if asked.is_cancelled() && exit == Exit::OutOfTime {
            // Whoever asked would take what it gets for the word that all is recorded.
            keeper.abort();
            return exit;
        }
        done.cancel();
        // The lease goes back after the last write, so that the successor need not wait for it to run out.
        if timeout(LEASE_RELEASE_TIMEOUT, keeper).await.is_err() {
            tracing::warn!("the lease could not be given back in time; others wait until it runs out");
        }
        exit
    }

    async fn work(
        self,
        leadership: Leadership,
        asked: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Exit {
        self.health.not_ready("the objects are being listed");
        let (reports, heard) = mpsc::unbounded_channel();
        let (events, observed) = mpsc::channel(WATCH_EVENT_BUFFER);
        let stop = CancellationToken::new();
        let Self { clients, chat, metrics, health, clock, identity, settings } = self;
        let leads = metrics.clone();
        let ctx = Arc::new(Context {
            statuses: StatusWriter::new(clients.main.clone()),
            chat,
            events: EventWriter::new(clients.main.clone(), &identity, {
                let metrics = metrics.clone();
                move |result| metrics.api_write("event", result)
            }),
            client: clients.main,
            metrics,
            leadership: leadership.clone(),
            unhurried: Pacer::new(LOW_PRIORITY_SPACING),
            secret_reads: SecretReads::default(),
            unrecorded: Unrecorded::default(),
            clock,
            identity,
            stop: stop.clone(),
            reports,
        });
        let mut watching = JoinSet::new();
        let sources =
            watches::start(&ctx.client, &settings.watch_namespaces, &mut watching, &events, &ctx.metrics);
        drop(events);
        let rules = AppRules {
            own_namespace: settings.namespace,
            allow_endpoints: settings.allow_endpoints,
            predecessor_writes: EXTRA_RECORDING_TIME + settings.shutdown_grace + STATUS_WRITE_TIMEOUT,
            key_format: settings.key_format,
        };
        let alive = Arc::clone(&health);
        let mut controller = Controller::new(Arc::clone(&ctx), rules, health, sources);
        let exit = {
            let working = controller.run(observed, heard);
            tokio::pin!(working);
            let why = tokio::select! {
                ending = &mut working => return broken(ending),
                ended = watching.join_next() => {
                    tracing::error!(?ended, "a watch ended");
                    Exit::Broken
                }
                () = shutdown.cancelled() => Exit::Shutdown,
                () = asked.cancelled() => Exit::HandedOver,
                () = leadership.lost() => Exit::LeadershipLost,
            };
            tracing::info!(
                ?why,
                "stopping: nothing new is started, what is in flight is finished and recorded"
            );
            stop.cancel();
            if why == Exit::LeadershipLost {
                leads.leader(false);
            }
            let patience = async {
                if why != Exit::Shutdown {
                    let _ = timeout(EXTRA_RECORDING_TIME, shutdown.cancelled()).await;
                }
                sleep(settings.shutdown_grace).await;
            };
            let waiting = beat(alive);
            let exit = tokio::select! {
                ending = &mut working => if ending == LoopExit::Stopped { why } else { Exit::Broken },
                () = patience => Exit::OutOfTime,
            };
            waiting.abort();
            exit
        };
        if exit == Exit::OutOfTime {
            let left = controller.abandon();
            ctx.unrecorded.log_all();
            tracing::error!(
                left,
                "the time to stop is over; what is unrecorded is read back by the next leader"
            );
        }
        exit
    }
}

fn broken(ending: LoopExit) -> Exit {
    tracing::error!(?ending, "the desk ended");
    Exit::Broken
}

async fn keep(mut held: HeldLease, done: CancellationToken) {
    tokio::select! {
        () = held.renew_until_lost() => {}
        () = done.cancelled() => held.release().await,
    }
}

/// While there is no desk yet, waiting is a sign of life.
fn beat(health: Arc<Health>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            health.beat();
            sleep(Duration::from_secs(5)).await;
        }
    })
}
