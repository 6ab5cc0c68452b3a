//! The operator: the desk where events come in and steps go out, the tasks that take the steps, and the memory of
//! the process.
//!
//! | question | file |
//! |---|---|
//! | how does it start and end? | `lifecycle` |
//! | where is it decided what happens next? | `desk` |
//! | what are the steps of one attempt, in order? | `attempt` |
//! | how is a group read back, and an app probed? | `read_back` |
//! | how is an outcome stored, whatever happens? | `record`; when nobody waits for it: `unhurried`; if it cannot be: `unrecorded` |
//! | how many Secrets are read at once? | `secret_reads` |
//! | what is remembered? | `resets`, `apps` (and `app_object`), `accounts`, `timers` |
//! | what comes in? | `watches`, `report` |

pub mod account_limits;
pub mod any_chat_app;
pub mod app_entry;
pub mod attempt;
pub mod clock;
pub mod context;
pub mod credential_cache;
pub mod event_loop;
pub mod pacer;
pub mod persist;
pub mod read_back;
pub mod reset_cache;
pub mod secret_reads;
pub mod task_result;
pub mod timers;
pub mod unrecorded;
pub mod watches;
