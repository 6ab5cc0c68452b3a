//! An API server of a test's own.

use std::ops::Deref;

use testbed::{ControlPlane, Options};

use super::CRDS;

/// An API server for a test that disturbs it or changes its CRDs. It stops at the end of the test, after the oracles of
/// the test's worlds: left running, it would slow down all later tests, even when idle.
pub(crate) struct OwnPlane(&'static ControlPlane);

impl OwnPlane {
    /// Starts one with the CRDs installed.
    pub(crate) async fn new() -> Self {
        let plane = Self::of(ControlPlane::start(Options::default()).await.expect("control plane"));
        plane.install_crds(CRDS).await.expect("CRDs");
        plane
    }

    /// Takes over this one.
    pub(crate) fn of(plane: ControlPlane) -> Self {
        // Worlds borrow their API server for `'static`, because the shared one lives as long as the process.
        Self(Box::leak(Box::new(plane)))
    }
}

impl Deref for OwnPlane {
    type Target = &'static ControlPlane;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for OwnPlane {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}
