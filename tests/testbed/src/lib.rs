//! A test environment for the operator: a real API server with etcd, the operator as a process with its own
//! service account and RBAC permissions, and a simulated vendor that checks signatures and enforces limits.
//!
//! | question | module |
//! |---|---|
//! | Where does the API server come from, how do I use it, and who did what? | [`control_plane`] |
//! | How do I start, watch, freeze and kill the operator? | [`operator_process`] |
//! | How do I run a pod's container without nodes? | [`pod`] |
//! | What did the vendor receive, and how do I make it misbehave? | [`vendor`] |
//! | How do I run Helm 3 and Helm 4? | [`helm`] |
//! | How do I inject a fault into a connection at an exact moment? | [`proxy`] |
//! | How do I put a forward proxy between the operator and the vendor or API server? | [`forward_proxy`] |
//! | How often does this test run, and how do I repeat a run? | [`runs`](mod@runs) |
//! | Which versions of an object did an independent watch see? | [`sightings`] |
//! | Which status do Helm and Flux compute for this object? | [`kstatus`] |
//! | And which one by the tools' own libraries, including Argo CD's? | [`gitops`] |
//! | How do I wait for something? | [`until`](mod@until) |
//! | Where do certificates come from? | [`certificates`] |
//!
//! Nothing here uses the operator's library. The vendor's protocol is implemented a second time, from the
//! vendor's documentation, so that a mistake in either implementation shows.

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
