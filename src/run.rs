//! The life of the process: connect, serve health checks, wait for the CRDs, become leader, work, shut down.

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
use crate::controller::secret_reads::SecretReads;
use crate::controller::unrecorded::Unrecorded;
use crate::controller::watches;
use crate::k8s::client::{Clients, ConnectError, connect};
use crate::k8s::clock_skew;
use crate::k8s::discovery::{RequiredKind, wait_for_kinds};
use crate::k8s::event_writer::EventWriter;
use crate::k8s::lease::{HeldLease, Leadership, acquire};
use crate::k8s::status_writer::StatusWriter;
use crate::observability::health_server::{self, BindError, Health, Limits, Pages};
use crate::observability::metrics::Metrics;

/// How the operator names itself to the vendor.
pub(crate) const USER_AGENT: &str = concat!("groupattr-operator/", env!("CARGO_PKG_VERSION"));
/// Watch events buffered for the event loop; when the buffer is full, the watches wait.
const WATCH_EVENT_BUFFER: usize = 1024;
/// When nothing is waiting for the process to exit, for example after it lost its lease: how long, in addition to the
/// shutdown grace period, it keeps trying to record the outcomes of calls in flight. An API server that was
/// unavailable is usually back by then. The next leader reads back whatever is not recorded, and a read-back says
/// less than the answer itself.
const EXTRA_RECORDING_TIME: Duration = Duration::from_secs(30);
/// Longest time a write may still be in transit after its process has exited.
const STATUS_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time allowed for releasing the lease.
const LEASE_RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the operator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The Kubernetes client could not be created.
    #[error(transparent)]
    Kubernetes(#[from] ConnectError),
    /// The HTTP client for the vendor could not be created.
    #[error(transparent)]
    Chat(#[from] ClientError),
    /// The health and metrics port could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Why the operator exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It received SIGTERM, and everything in flight is recorded.
    Shutdown,
    /// A drain requested a hand-over, and everything in flight is recorded.
    HandedOver,
    /// The grace period ended before everything in flight was recorded.
    OutOfTime,
    /// The lease was lost: another process may be leading by now.
    LeadershipLost,
    /// An internal failure: the event loop, a watch or a task ended unexpectedly.
    Broken,
}

/// Runs until `shutdown` is cancelled, a hand-over is requested, the lease is lost, or an internal task fails.
///
/// # Errors
///
/// [`StartError`] if a client cannot be created or the port cannot be bound. Later failures are an [`Exit`].
pub async fn run(settings: Run, shutdown: CancellationToken) -> Result<Exit, StartError> {
    let clients = connect().await?;
    let chat = ChatClient::new(&Settings {
        user_agent: USER_AGENT.to_owned(),
        https_proxy: settings.https_proxy.clone(),
    })?;
    if let Some(proxy) = &settings.https_proxy {
        tracing::info!(%proxy, "calls to the vendor go through a proxy");
    }
    let (metrics, registry) = Metrics::new();
    let health = Arc::new(Health::new());
    let listener = health_server::bind(settings.listen)?;
    let closing = CancellationToken::new();
    let _close = closing.clone().drop_guard();
    let pages = Pages::new(Arc::clone(&health), Arc::new(registry));
    tokio::spawn(health_server::serve(listener, pages, Limits::default(), metrics.clone(), closing));
    tokio::spawn(clock_skew::report(clients.clock_skew.clone(), metrics.clone()));
    let process =
        Process { clients, chat, metrics, health, clock: Clock::start(), identity: identity(), settings };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), holder = process.identity, "starting");
    Ok(process.run(shutdown).await)
}

/// The lease holder identity: the pod name and a random part, so that a restarted pod does not mistake the attempts
/// of its previous process for its own.
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
        tracing::info!(?exit, "exited");
        exit
    }

    async fn wait_for_kinds(&self) {
        let needed = RequiredKind::of(&self.settings.watch_namespaces);
        wait_for_kinds(&self.clients.main, &needed, |line| self.health.not_ready(line)).await;
    }

    /// Waits for leadership, then works. A standby reports ready, so that a rolling update does not wait forever; one
    /// that could never take over reports not ready.
    async fn lead(self, shutdown: &CancellationToken) -> Exit {
        if !self.settings.leader_elect {
            self.metrics.leader(true);
            return self.work(Leadership::without_election(), &CancellationToken::new(), shutdown).await;
        }
        self.health.not_ready("the lease has not been read yet");
        self.metrics.leader(false);
        let leases = Api::namespaced(self.clients.lease.clone(), &self.settings.namespace);
        let waiting = beat(Arc::clone(&self.health));
        let on_standby = |can_lead: Result<(), &str>| match can_lead {
            Ok(()) => self.health.ready(),
            Err(why) => self.health.not_ready(why),
        };
        let held = acquire(leases, &self.identity, self.settings.lease_timing(), shutdown, on_standby).await;
        waiting.abort();
        let Some(held) = held else { return Exit::Shutdown };
        if shutdown.is_cancelled() {
            held.release().await;
            return Exit::Shutdown;
        }
        self.metrics.leader(true);
        let (leadership, hand_over) = (held.leadership(), held.hand_over_requested());
        let done = CancellationToken::new();
        let lease_task = tokio::spawn(hold_lease(held, done.clone()));
        let exit = self.work(leadership, &hand_over, shutdown).await;
        if hand_over.is_cancelled() && exit == Exit::OutOfTime {
            // A released lease would tell the drain that everything is recorded, so it is left to expire.
            lease_task.abort();
            return exit;
        }
        done.cancel();
        // The lease is released after the last write, so that the successor need not wait for it to expire.
        if timeout(LEASE_RELEASE_TIMEOUT, lease_task).await.is_err() {
            tracing::warn!(
                "the lease could not be released in time; the next leader must wait until it expires"
            );
        }
        exit
    }

    async fn work(
        self,
        leadership: Leadership,
        hand_over: &CancellationToken,
        shutdown: &CancellationToken,
    ) -> Exit {
        self.health.not_ready("the initial lists are not complete yet");
        let (reports, task_results) = mpsc::unbounded_channel();
        let (events, watch_events) = mpsc::channel(WATCH_EVENT_BUFFER);
        let stop = CancellationToken::new();
        let Self { clients, chat, metrics, health, clock, identity, settings } = self;
        let leader_metrics = metrics.clone();
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
            secret_reads: SecretReads::default(),
            unrecorded: Unrecorded::default(),
            clock,
            clock_skew: clients.clock_skew,
            identity,
            stop: stop.clone(),
            results: reports,
        });
        let mut watch_tasks = JoinSet::new();
        let sources = watches::start(
            &clients.watches,
            &settings.watch_namespaces,
            &mut watch_tasks,
            &events,
            &ctx.metrics,
        );
        drop(events);
        let rules = AppRules {
            own_namespace: settings.namespace,
            allow_endpoints: settings.allow_endpoints,
            predecessor_writes: EXTRA_RECORDING_TIME + settings.shutdown_grace + STATUS_WRITE_TIMEOUT,
            key_format: settings.key_format,
        };
        let loop_health = Arc::clone(&health);
        let mut controller = Controller::new(Arc::clone(&ctx), rules, health, sources);
        let exit = {
            let working = controller.run(watch_events, task_results);
            tokio::pin!(working);
            let why = tokio::select! {
                loop_exit = &mut working => return broken(loop_exit),
                ended = watch_tasks.join_next() => {
                    tracing::error!(?ended, "a watch ended unexpectedly; the process exits");
                    Exit::Broken
                }
                () = shutdown.cancelled() => Exit::Shutdown,
                () = hand_over.cancelled() => Exit::HandedOver,
                () = leadership.lost() => Exit::LeadershipLost,
            };
            tracing::info!(
                ?why,
                "shutting down: nothing new is started; calls in flight are finished and recorded"
            );
            stop.cancel();
            if why == Exit::LeadershipLost {
                leader_metrics.leader(false);
            }
            let grace_period = async {
                if why != Exit::Shutdown {
                    let _ = timeout(EXTRA_RECORDING_TIME, shutdown.cancelled()).await;
                }
                sleep(settings.shutdown_grace).await;
            };
            let waiting = beat(loop_health);
            let exit = tokio::select! {
                loop_exit = &mut working => if loop_exit == LoopExit::Stopped { why } else { Exit::Broken },
                () = grace_period => Exit::OutOfTime,
            };
            waiting.abort();
            exit
        };
        if exit == Exit::OutOfTime {
            let left = controller.abandon();
            ctx.unrecorded.log_all();
            tracing::error!(
                left,
                "the grace period is over; the next leader reads back what is not recorded"
            );
        }
        exit
    }
}

fn broken(exit: LoopExit) -> Exit {
    tracing::error!(ending = ?exit, "the event loop ended unexpectedly; the process exits");
    Exit::Broken
}

async fn hold_lease(mut held: HeldLease, done: CancellationToken) {
    tokio::select! {
        () = held.renew_until_lost() => {}
        () = done.cancelled() => held.release().await,
    }
}

/// Keeps the liveness probe satisfied while the event loop is not running.
fn beat(health: Arc<Health>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            health.beat();
            sleep(Duration::from_secs(5)).await;
        }
    })
}
