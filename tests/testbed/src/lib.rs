//! Real parts to test the operator against: an API server with etcd, the operator as a process with the rights of
//! its own service account, and a simulated vendor that checks signatures and enforces limits.
//!
//! | question | module |
//! |---|---|
//! | Where does the API server come from, how do I talk to it, who did what? | [`control_plane`] |
//! | How do I start, watch, freeze and kill the operator? | [`operator_process`] |
//! | How do I run the container of a pod without a cluster of machines? | [`pod`] |
//! | What did the vendor receive, and how do I make it misbehave? | [`vendor`] |
//! | How do I run Helm, both of them? | [`helm`] |
//! | How do I break the way to either, at exactly this moment? | [`proxy`] |
//! | How do I put a forward proxy between the operator and the world? | [`forward_proxy`] |
//! | How often does this test run, and how do I repeat a run? | [`runs`](mod@runs) |
//! | Which versions of an object were there, as somebody else sees it? | [`sightings`] |
//! | What would Helm and Flux think of this object? | [`kstatus`] |
//! | And by the libraries of the tools themselves, Argo CD too? | [`gitops`] |
//! | How do I wait for something? | [`until`](mod@until) |
//! | Who signs the certificates? | [`certificates`] |
//!
//! Nothing here uses the operator's library. What this crate knows of the vendor is written a second time from the
//! vendor's pages, so that a mistake in one of the two shows.

pub mod certificates;
mod children;
pub mod control_plane;
pub mod forward_proxy;
pub mod gitops;
pub mod helm;
pub mod kstatus;
pub mod operator_process;
pub mod pod;
pub mod ports;
pub mod proxy;
pub mod runs;
mod scratch;
mod server;
pub mod sightings;
pub mod until;
pub mod vendor;

pub use control_plane::{ControlPlane, Options};
pub use forward_proxy::ForwardProxy;
pub use gitops::GitOps;
pub use helm::Helm;
pub use operator_process::{Launch, OperatorProcess, metric_in};
pub use pod::Pod;
pub use proxy::FaultProxy;
pub use runs::runs;
pub use until::{until, until_ok};
pub use vendor::Vendor;
