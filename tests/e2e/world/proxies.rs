//! Worlds with fault proxies: one in front of the API server, one in front of the vendor.

use std::path::PathBuf;

use testbed::proxy::{Boundary, Fault, Plan, Position};
use testbed::{ControlPlane, FaultProxy};

use super::{World, plane};

/// Which of the two connections.
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

    /// The proxy on this connection.
    pub(crate) fn proxy(&self, leg: Leg) -> &FaultProxy {
        let proxy = match leg {
            Leg::Api => &self.api,
            Leg::Vendor => &self.chat,
        };
        proxy.as_ref().expect("a breakable world")
    }

    /// Plans a fault on this connection.
    pub(crate) fn plan(&self, leg: Leg, boundary: Boundary, position: Position, fault: Fault) -> Plan {
        self.proxy(leg).plan(boundary, position, fault)
    }

    /// The vendor's URL as the operator sees it.
    pub(crate) fn chat_url(&self) -> String {
        self.chat.as_ref().map_or_else(|| self.vendor.url(), FaultProxy::url)
    }

    /// The operator's kubeconfig.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        let token = &self.account.token;
        let file = match &self.api {
            Some(proxy) => proxy.kubeconfig(token),
            None => self.plane.kubeconfig("operator", token),
        };
        file.expect("kubeconfig")
    }
}
