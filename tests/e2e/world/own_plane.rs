//! An API server for one test alone.

use std::ops::Deref;

use testbed::{ControlPlane, Options};

use super::CRDS;

/// An API server that a test disturbs, or needs for itself. It ends with the test, after its worlds have looked back:
/// one that is left running costs all the tests after it, even when nobody asks it for anything.
pub(crate) struct OwnPlane(&'static ControlPlane);

impl OwnPlane {
    /// With the CRDs installed.
    pub(crate) async fn new() -> Self {
        let plane = Self::of(ControlPlane::start(Options::default()).await.expect("control plane"));
        plane.install_crds(CRDS).await.expect("CRDs");
        plane
    }

    /// This one.
    pub(crate) fn of(plane: ControlPlane) -> Self {
        // Worlds are also made for API servers that live as long as the process, so all of them take a reference that does.
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
