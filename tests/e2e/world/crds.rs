//! The CRDs: as shipped, and without their schemas.

use serde_json::{Value, json};
use testbed::ControlPlane;

use super::CRDS;

/// The YAML of a CRD as shipped.
pub(crate) fn crd(name: &str) -> String {
    std::fs::read_to_string(format!("{CRDS}/{name}.yaml")).expect("a CRD")
}

/// Installs the CRDs without their schemas, so that any object can be stored. They take effect a moment later.
pub(crate) async fn install_loose_crds(plane: &ControlPlane) {
    let loose = ["groupattributeresets", "chatapps", "clusterchatapps"].map(|name| loose(name).to_string());
    plane.install_crds(&loose.join("\n---\n")).await.expect("loose CRDs");
}

fn loose(name: &str) -> Value {
    let mut crd: Value = serde_saphyr::from_str(&crd(name)).expect("YAML");
    let version = crd["spec"]["versions"][0].as_object_mut().expect("a version");
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    version.insert("schema".to_owned(), json!({"openAPIV3Schema": anything}));
    version.remove("selectableFields");
    version.remove("additionalPrinterColumns");
    crd
}
