//! The controller: one event loop that owns the state, the tasks that do the I/O, and the caches between them.
//!
//! | question | file |
//! |---|---|
//! | where is it decided what happens next? | [`event_loop`] |
//! | what comes in? | [`watches`] (watch events), [`task_result`] |
//! | what are the steps of one attempt, in order? | [`attempt`] |
//! | how is a group read back, and an app probed? | [`read_back`] |
//! | how is a status stored? | [`persist`] |
//! | which outcomes are known but not stored yet? | [`unrecorded`] |
//! | what is cached? | [`reset_cache`], [`app_entry`] (with [`any_chat_app`] and [`call_config`]), [`account_limits`] |
//! | when is something due? | [`timers`], [`clock`] |
//! | where do signatures come from? | [`credential_cache`]; [`secret_reads`] bounds the reads of Secrets |
//! | what does every task share? | [`context`] |
//!
//! Startup, leader election and graceful shutdown are in [`crate::run`].

pub(crate) mod account_limits;
pub mod any_chat_app;
pub mod app_entry;
pub(crate) mod attempt;
pub(crate) mod call_config;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod credential_cache;
pub(crate) mod event_loop;
pub(crate) mod persist;
pub(crate) mod read_back;
pub mod reset_cache;
pub(crate) mod secret_reads;
pub(crate) mod task_result;
pub(crate) mod timers;
pub(crate) mod unrecorded;
pub(crate) mod watches;
