//! Ways that can be broken: a fault proxy before the API server and one before the vendor.

use std::path::PathBuf;

use testbed::proxy::{Boundary, Fault, Plan, Position};
use testbed::{ControlPlane, FaultProxy};

use super::{World, plane};

/// Which of the two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    Api,
    Vendor,
}

impl World {
    /// A world whose operators reach the API server and the vendor through fault proxies.
    pub(crate) async fn breakable() -> Self {
        Self::breakable_on(plane().await).await
    }

    /// The same on another API server.
    pub(crate) async fn breakable_on(plane: &'static ControlPlane) -> Self {
        let mut world = Self::on(plane).await;
        world.api = Some(FaultProxy::to_api_server(plane).expect("proxy"));
        world.chat = Some(FaultProxy::to_vendor(world.vendor.address()).expect("proxy"));
        world
    }

    /// The proxy on this way.
    pub(crate) fn proxy(&self, leg: Leg) -> &FaultProxy {
        let way = match leg {
            Leg::Api => &self.api,
            Leg::Vendor => &self.chat,
        };
        way.as_ref().expect("a world with ways that can be broken")
    }

    /// Plans a fault on the way that this boundary lies on.
    pub(crate) fn plan(&self, leg: Leg, boundary: Boundary, position: Position, fault: Fault) -> Plan {
        self.proxy(leg).plan(boundary, position, fault)
    }

    /// Where the operator finds the vendor.
    pub(crate) fn chat_url(&self) -> String {
        self.chat.as_ref().map_or_else(|| self.vendor.url(), FaultProxy::url)
    }

    /// How the operator finds the API server.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        let token = &self.account.token;
        let file = match &self.api {
            Some(proxy) => proxy.kubeconfig(token),
            None => self.plane.kubeconfig("operator", token),
        };
        file.expect("kubeconfig")
    }
}
