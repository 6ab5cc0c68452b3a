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

pub mod accounts;
pub mod app_object;
pub mod apps;
pub mod attempt;
pub mod clock;
pub mod desk;
pub mod hands;
pub mod lifecycle;
pub mod metrics;
pub mod read_back;
pub mod record;
pub mod report;
pub mod resets;
pub mod secret_reads;
pub mod signer;
pub mod timers;
pub mod unhurried;
pub mod unrecorded;
pub mod watches;
