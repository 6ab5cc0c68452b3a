//! Links on all pages, and the tests and files they name.

use std::path::Path;

use groupattr::api::Region;
use groupattr::chat::region::host;
use serde_json::Value;

use crate::sources::tests;
use crate::text::{page, pages, quoted, root};

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

/// The anchors that GitHub generates for headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let plain = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(plain).collect()
}

/// Link targets: `](target)` and `]: target`.
fn links(text: &str) -> Vec<String> {
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let listed =
        text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
    inline.chain(listed).map(str::to_owned).collect()
}

#[test]
fn every_internal_link_resolves() {
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
fn every_test_named_on_a_page_exists() {
    let tests = tests();
    let has_module = |name: &str| {
        let parts = [format!("/{name}.rs"), format!("/{name}/")];
        let mut paths = tests.values().flatten().map(|test| test.path.to_string_lossy());
        paths.any(|path| parts.iter().any(|part| path.contains(part.as_str())))
    };
    let mut checked = 0;
    for path in pages() {
        for quote in quoted(&std::fs::read_to_string(&path).unwrap()) {
            // Alone, or as a filter that may be a prefix of the name: `--test e2e faults::module::name`.
            let name = quote.rsplit([' ', ':']).next().unwrap_or_default();
            let words = name.split('_').count();
            let sentence =
                words >= 5 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if sentence && !name.starts_with("groupattr_") {
                assert!(
                    tests.keys().any(|test| test.starts_with(name)),
                    "{}: there is no test {name}",
                    path.display()
                );
                checked += 1;
            }
            // All tests of a module: `--test e2e faults::late_events::`.
            let module = quote.strip_suffix("::").and_then(|filter| filter.rsplit([' ', ':']).next());
            if let Some(module) = module.filter(|module| !module.is_empty()) {
                assert!(has_module(module), "{}: there are no tests in {quote}", path.display());
            }
        }
    }
    assert!(checked >= 15, "only {checked} tests are named");
}

#[test]
fn every_file_named_on_a_page_exists() {
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
