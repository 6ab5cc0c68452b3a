//! The samples on all pages work.

use serde_json::Value;
use testbed::Helm;

use super::text::{files, pages, root};
use crate::world::{World, plane};

#[tokio::test]
async fn every_sample_is_yaml_and_the_api_server_accepts_our_kinds() {
    let world = World::without_rights(plane().await).await;
    let mut texts = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        texts.extend(blocks(&text, "yaml").into_iter().map(|block| (path.clone(), block)));
    }
    for path in files("examples", ".yaml") {
        // Chart templates are not YAML.
        if !path.to_string_lossy().contains("/templates/") {
            texts.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    let mut ours = 0;
    for (path, text) in texts {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()));
        for mut document in documents {
            if document["apiVersion"] != "groupattr.dev/v1alpha1" {
                continue;
            }
            document["metadata"].as_object_mut().unwrap().remove("namespace");
            let args = ["create", "--dry-run=server", "--validate=strict", "-n", &world.namespace, "-f", "-"];
            let accepted = world.plane.kubectl_with_input(&args, &document.to_string()).await.unwrap();
            assert!(accepted.ok, "{}: {}\n{text}", path.display(), accepted.stderr);
            ours += 1;
        }
    }
    assert!(ours >= 12, "only {ours} objects of our kinds were found");
}

/// A block of values starts with `# values.yaml`. It may need nothing besides Kubernetes.
#[tokio::test]
async fn both_helm_versions_install_with_the_documented_values() {
    let plane = plane().await;
    let (chart, kubeconfig) = (root().join("charts/groupattr-operator"), plane.admin_kubeconfig());
    let mut checked = 0;
    for path in pages() {
        for block in blocks(&std::fs::read_to_string(&path).unwrap(), "yaml") {
            if !block.starts_with("# values.yaml") {
                continue;
            }
            let values = plane.folder().join(format!("values-{checked}.yaml"));
            std::fs::write(&values, &block).unwrap();
            let args = ["install", "op", chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
            // The CRDs are already installed, but not by Helm.
            let args = [&args[..], &["--dry-run=server", "--set=crds.enabled=false"]].concat();
            for helm in Helm::BOTH {
                let installed = helm.run(&kubeconfig, &args).await.unwrap();
                assert!(installed.ok, "{}: {}\n{block}", path.display(), installed.stderr);
            }
            checked += 1;
        }
    }
    assert!(checked > 0, "no page shows values");
}

/// The code blocks of one language in a Markdown text.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(tag) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")).collect();
        if tag == language {
            found.push(block.join("\n"));
        }
    }
    found
}
