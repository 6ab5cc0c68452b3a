//! All pages: samples, links, and the tests that they name.

use std::path::Path;

use groupattr::api::Region;
use groupattr::chat::region::host;
use serde_json::Value;
use testbed::Helm;

use crate::world::{World, plane};
use crate::{files, page, pages, quoted, root};

/// The blocks of one language in a Markdown text.
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

#[tokio::test]
async fn every_sample_is_yaml_and_the_api_server_takes_those_of_our_kinds() {
    let world = World::without_rights(plane().await).await;
    let mut texts = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        texts.extend(blocks(&text, "yaml").into_iter().map(|block| (path.clone(), block)));
    }
    for path in files("examples", ".yaml") {
        // The templates of a chart are no YAML yet.
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
            let taken = world.plane.kubectl_with_input(&args, &document.to_string()).await.unwrap();
            assert!(taken.ok, "{}: {}\n{text}", path.display(), taken.stderr);
            ours += 1;
        }
    }
    assert!(ours >= 12, "only {ours} objects of our kinds were found");
}

/// A block of values begins with the name of their file. Nothing but Kubernetes may be needed for them.
#[tokio::test]
async fn both_helms_install_with_the_values_that_a_page_shows() {
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
            // The CRDs are there already, and not by Helm.
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

/// Whichever region an app names, its host is allowed.
#[test]
fn the_policy_by_name_allows_the_vendors_host_of_every_region() {
    let crd: Value = serde_saphyr::from_str(&page("crds/chatapps.yaml")).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let regions: Vec<Region> = serde_json::from_value(spec["properties"]["region"]["enum"].clone()).unwrap();
    let mut hosts: Vec<&str> = regions.into_iter().map(host).collect();
    hosts.sort_unstable();
    let policy: Value = serde_saphyr::from_str(&page("examples/cilium/networkpolicy.yaml")).unwrap();
    let rules = policy["spec"]["egress"].as_array().unwrap().iter();
    let names = rules.flat_map(|rule| rule["toFQDNs"].as_array().cloned().unwrap_or_default());
    let mut allowed: Vec<String> = names.map(|name| name["matchName"].as_str().unwrap().to_owned()).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, hosts);
}

/// Headings become anchors as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let plain = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(plain).collect()
}

/// Targets of links: `](target)` and `]: target`.
fn links(text: &str) -> Vec<String> {
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let listed =
        text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
    inline.chain(listed).map(str::to_owned).collect()
}

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let mut checked = 0;
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|one| one == anchor), "{}: {link}: no such heading", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} links were found");
}

#[test]
fn every_test_that_a_page_names_exists() {
    let mut sources = String::new();
    for path in ["tests", "src"].iter().flat_map(|folder| files(folder, ".rs")) {
        sources.push_str(&std::fs::read_to_string(path).unwrap());
    }
    let mut checked = 0;
    for path in pages() {
        for quote in quoted(&std::fs::read_to_string(&path).unwrap()) {
            // By itself, or as the tests of a binary are chosen, by the beginning of the name: `--test faults module::name`.
            let name = quote.rsplit([' ', ':']).next().unwrap_or_default();
            let words = name.split('_').count();
            let sentence =
                words >= 5 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if sentence && !name.starts_with("groupattr_") {
                assert!(
                    sources.contains(&format!("fn {name}")),
                    "{}: there is no test {name}",
                    path.display()
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 15, "only {checked} tests are named");
}

#[test]
fn every_file_that_a_page_names_exists() {
    let is_ours = |name: &str| {
        ["docs/", "examples/", "tests/", "src/", "crds/", "charts/", ".ci/"]
            .iter()
            .any(|top| name.starts_with(top))
            && !name.contains(['*', '…', ' ', '{'])
    };
    for path in pages() {
        for name in quoted(&std::fs::read_to_string(&path).unwrap()).iter().filter(|name| is_ours(name)) {
            assert!(root().join(Path::new(name)).exists(), "{}: there is no {name}", path.display());
        }
    }
}
