//! Clears the attributes of Tencent Cloud Chat groups: the library behind `groupattr-operator`.
//!
//! A `GroupAttributeReset` names one group. The operator makes the vendor's call for it and records the outcome in
//! the object's status.
//!
//! # Modules
//!
//! In dependency order: a module uses only modules listed above it.
//!
//! | module | contents |
//! |---|---|
//! | [`text`] | makes untrusted text safe to show: one line, bounded length |
//! | [`proxy`] | the URL of a proxy; prints without its password |
//! | [`api`] | the custom resources, their conditions and reasons, and the CRD schemas |
//! | [`chat`] | the vendor: wire format, `UserSig`, error codes, HTTP client |
//! | [`limits`] | pure: permits, rate limits, in-flight window, fair queues, watch lag |
//! | [`protocol`] | pure: the next step, what an answer means, the next status, circuit breaker, backoff |
//! | [`observability`] | logging, metrics, the HTTP port for `/livez`, `/readyz` and `/metrics` |
//! | [`k8s`] | Kubernetes I/O, one kind per file, no decisions |
//! | [`controller`] | watches, cache, event loop, and the tasks that do the I/O |
//! | [`cli`] | flags and subcommands |
//! | [`run`] | `groupattr-operator run`: startup, leader election, graceful shutdown |
//! | [`check`] | `groupattr-operator check`: are the CRDs and RBAC permissions in place? |
//! | [`drain`] | `groupattr-operator drain`: lets the operator finish before it is removed |
//!
//! # Data flow
//!
//! ```text
//!   API server                                                  Tencent Cloud Chat
//!      |  watch events                                                  ^
//!      v                                                                | clear, read
//!   watches --> event loop (one task, owns the cache) --> tasks --------+
//!                  ^   |                                  (attempt, read-back, probe, status write)
//!                  |   +-- asks protocol and limits       |
//!                  |                                      +--> API server (status, events, deletion)
//!                  +------------- task results -----------+
//! ```
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | reset | a `GroupAttributeReset` object |
//! | app | a `ChatApp` or `ClusterChatApp`: endpoint, credentials and limits for one account |
//! | account | an `SDKAppID` at a host; apps that name the same one share its rate limit |
//! | attempt | one try to clear a group: stored intent, permit, call, stored outcome |
//! | intent | `status.pendingAttempt`, stored before the call so that a crash cannot hide that call |
//! | permit | permission to send one call now, under the account's rate limit |
//! | unknown outcome | the call was sent and no answer came back |
//! | read-back | a read of the group that decides what an unknown outcome was |
//! | probe | a harmless read that shows whether the vendor accepts an app's credentials |
//! | lease holder | the process that won leader election; only it makes attempts |

pub mod api;
pub mod chat;
pub mod check;
pub mod cli;
pub mod controller;
pub mod drain;
mod k8s;
pub mod limits;
pub mod observability;
pub mod protocol;
pub mod proxy;
pub mod run;
pub mod text;
