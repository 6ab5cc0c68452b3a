//! Versions of Kubernetes: the pinned one, the oldest supported one, and what a program says it is.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use semver::Version;

/// The module file says which Kubernetes is built; the version is stated nowhere else.
const MODULE: &str = include_str!("../../modules/kubernetes/go.mod");

/// The oldest minor version that the operator supports, as `kubeVersion` of the chart says.
const OLDEST_MINOR: u64 = 33;

/// The version that is built from source, and preferred among prebuilt ones.
pub(super) fn pinned() -> Result<Version> {
    MODULE
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .and_then(in_text)
        .context("modules/kubernetes/go.mod names no version of k8s.io/kubernetes")
}

/// The version in `Kubernetes v1.37.2` or `Client Version: v1.36.0-gke.1`.
pub(super) fn in_text(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| Version::parse(word.strip_prefix('v')?).ok())
}

/// Runs `program` with `args` and reads the version that it prints.
pub(super) fn printed_by(program: &Path, args: &[&str]) -> Result<Version> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    in_text(&text).with_context(|| format!("{} {} prints no version", program.display(), args.join(" ")))
}

/// Whether the operator supports this version.
pub(super) fn is_supported(version: &Version) -> bool {
    version.major == 1 && version.minor >= OLDEST_MINOR
}

/// The same, with the reason.
pub(super) fn check_supported(version: &Version) -> Result<()> {
    if !is_supported(version) {
        bail!("it is Kubernetes {version}, and the operator needs 1.{OLDEST_MINOR} or newer");
    }
    Ok(())
}

/// How far a kubectl may be from its API server: https://kubernetes.io/releases/version-skew-policy
pub(super) fn within_one_minor(one: &Version, other: &Version) -> bool {
    one.major == other.major && one.minor.abs_diff(other.minor) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        in_text(text).unwrap()
    }

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(version("Kubernetes v1.37.2\n"), Version::new(1, 37, 2));
        let kubectl = version("Client Version: v1.36.4-dispatcher\nKustomize Version: v5.5.0\n");
        assert_eq!((kubectl.minor, kubectl.patch), (36, 4));
        assert_eq!(in_text("etcd Version: 3.7.3"), None);
        assert!(is_supported(&pinned().unwrap()));
    }

    #[test]
    fn versions_are_supported_from_1_33_on_as_the_chart_says() {
        for (text, supported) in [
            ("v1.32.9", false),
            ("v1.33.0", true),
            ("v1.33.0-rc.1", true),
            ("v1.40.1", true),
            ("v2.0.0", false),
        ] {
            assert_eq!(check_supported(&version(text)).is_ok(), supported, "{text}");
        }
        let chart = include_str!("../../../../charts/groupattr-operator/Chart.yaml");
        assert!(chart.contains(&format!("kubeVersion: \">=1.{OLDEST_MINOR}.0-0\"")), "{chart}");
    }

    #[test]
    fn kubectl_may_be_one_minor_version_older_or_newer() {
        let server = version("v1.37.2");
        for (text, fits) in
            [("v1.35.9", false), ("v1.36.0", true), ("v1.37.9", true), ("v1.38.0", true), ("v1.39.0", false)]
        {
            assert_eq!(within_one_minor(&version(text), &server), fits, "{text}");
        }
        assert!(!within_one_minor(&version("v2.37.2"), &server));
    }
}
