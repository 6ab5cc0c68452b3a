//! The operator as its users run it: a process with its own RBAC permissions, a real API server, a simulated vendor.
//! Most tests share one API server; a test that disturbs it, or needs other CRDs, starts its own.
//!
//! | question | folder |
//! |---|---|
//! | what does a user see of a reset? | `resets` |
//! | what do the policies in its spec do? | `policies` |
//! | what does a user see of an app? | `apps` |
//! | what does a user see of an app shared by namespaces? | `cluster_apps` |
//! | what does each answer of the vendor lead to? | `vendor_faults` |
//! | can a secret leak? | `secrecy` |
//! | what does an administrator see of the process? | `process` |
//! | which of two replicas leads? | `leadership`, `replicas` |
//! | what if something breaks at exactly the wrong moment? | `faults` (the fault matrix), `disorder` |
//! | is it ever too fast, or slower than necessary? | `limits`, `neighbours` |
//! | what can a tenant do to other tenants? | `tenancy`, and `attacks` (all at once) |
//! | what do the CRDs accept, default and reject? | `crds` |
//! | does the chart work with Helm 3 and 4? | `chart` |
//! | does the documentation match the program? | `documentation` |
//! | how does it behave under GitOps tools? | `gitops` |
//!
//! What must hold in every test, besides its own point, is checked when its `World` is dropped; see `world`.

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
