//! The control plane, the places that its programs come from, and the fault proxy, against their own promises. The
//! simulated vendor has a test program of its own, and so have processes, which are ended within seconds and must not
//! wait for an API server that starts beside them.

mod control_plane;
mod prebuilt;
mod proxy;
