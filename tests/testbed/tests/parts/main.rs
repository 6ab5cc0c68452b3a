//! The control plane and the fault proxy against their own promises; the simulated vendor has a test of its own, and so
//! have processes, which are ended within seconds and must not wait for an API server that starts beside them.

mod control_plane;
mod proxy;
