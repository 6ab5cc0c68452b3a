//! The operator as its users meet it: a process with its own rights, a real API server, a simulated vendor. One program
//! and one API server for all of it; what needs those for itself is a test of its own beside this one, like `tenants`.
//!
//! | question | folder |
//! |---|---|
//! | what does a user see of a reset? | `resets` |
//! | what do the policies in its spec do? | `policies` |
//! | what does a user see of an account? | `apps` |
//! | what becomes of each answer of the vendor? | `vendor_faults` |
//! | does anything secret come out? | `secrecy` |
//! | what does an administrator see of the process? | `process` |
//! | which of two processes works? | `leadership` |

mod apps;
mod leadership;
mod policies;
mod process;
mod resets;
mod secrecy;
mod vendor_faults;
mod world;
