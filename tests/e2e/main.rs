//! The operator as its users meet it: a process with its own RBAC, a real API server, a simulated vendor. One program, and
//! one API server for most of it; a test that disturbs the API server, or needs other CRDs, starts one of its own.
//!
//! | question | folder |
//! |---|---|
//! | what does a user see of a reset? | `resets` |
//! | what do the policies in its spec do? | `policies` |
//! | what does a user see of an account? | `apps` |
//! | what does a user see of an account that others share? | `cluster_apps` |
//! | what becomes of each answer of the vendor? | `vendor_faults` |
//! | does anything secret come out? | `secrecy` |
//! | what does an administrator see of the process? | `process` |
//! | which of two processes works? | `leadership`, `replicas` |
//! | what happens when something breaks at exactly the wrong moment? | `faults` (the fault matrix), `disorder` |
//! | is it ever too fast, or slower than it need be? | `limits`, `neighbours` |
//! | what can a tenant take that is somebody else's? | `tenancy`, and `attacks` (all at once) |
//! | what does the API server make of the CRDs? | `crds` |
//! | does the Helm chart work with both Helms? | `chart` |
//! | does the documentation say what the program says? | `documentation` |
//! | what do GitOps tools make of it? | `gitops` |
//!
//! What must hold in every test besides its own point is checked when its `World` is dropped; see `world`.

mod apps;
mod attacks;
mod chart;
mod cluster_apps;
mod crds;
mod disorder;
mod documentation;
mod faults;
mod gitops;
mod leadership;
mod limits;
mod neighbours;
mod policies;
mod process;
mod replicas;
mod resets;
mod secrecy;
mod tenancy;
mod vendor_faults;
mod world;
