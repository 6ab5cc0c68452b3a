//! The manifests of `examples/`, as a user would apply them: with a key, and with the way to the simulator.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// What somebody put into the samples.
const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// A file of `examples/`.
pub(crate) struct Sample {
    /// Its name there.
    pub(crate) file: &'static str,
    /// What is applied.
    pub(crate) text: String,
    documents: Vec<Value>,
}

/// All of them.
pub(crate) struct Samples {
    pub(crate) app: Sample,
    pub(crate) reset: Sample,
    pub(crate) again: Sample,
    pub(crate) missing_room: Sample,
    pub(crate) busy_room: Sample,
    pub(crate) careful: Sample,
    pub(crate) second_account: Sample,
    pub(crate) cluster_app: Sample,
    pub(crate) suspended: Sample,
}

impl Samples {
    pub(crate) fn read(endpoint: &str) -> Result<Self> {
        let read = |file| Sample::read(file, endpoint, Some(KEY));
        Ok(Self {
            app: read("chatapp.yaml")?,
            reset: read("reset.yaml")?,
            again: read("reset-again.yaml")?,
            missing_room: read("reset-missing-room.yaml")?,
            busy_room: read("reset-busy-room.yaml")?,
            careful: read("reset-careful.yaml")?,
            // As it is: the show puts the key in.
            second_account: Sample::read("second-account.yaml", endpoint, None)?,
            cluster_app: read("clusterchatapp.yaml")?,
            suspended: read("suspended.yaml")?,
        })
    }
}

impl Sample {
    fn read(file: &'static str, endpoint: &str, key: Option<&str>) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut text = with_line(&text, "region:", &format!("endpoint: {endpoint}"));
        if let Some(key) = key {
            text = with_line(&text, "secretKey:", &format!("secretKey: {key}"));
        }
        let documents =
            serde_saphyr::from_multiple(&text).with_context(|| format!("examples/{file} is no YAML"))?;
        Ok(Self { file, text, documents })
    }

    /// The account of the `ChatApp` or `ClusterChatApp` in it.
    pub(crate) fn account(&self) -> Result<u64> {
        let app = self.first(|document| document["spec"]["sdkAppID"].is_u64())?;
        app["spec"]["sdkAppID"].as_u64().context("not a number")
    }

    /// The key that stands in its Secret.
    pub(crate) fn key(&self) -> Result<&str> {
        let secret = self.first(|document| document["kind"] == "Secret")?;
        secret["stringData"]["secretKey"].as_str().context("a Secret without secretKey")
    }

    /// The name of the reset in it.
    pub(crate) fn name(&self) -> Result<&str> {
        self.reset()?["metadata"]["name"].as_str().context("a reset without a name")
    }

    /// The room that its reset names.
    pub(crate) fn group(&self) -> Result<&str> {
        self.reset()?["spec"]["groupID"].as_str().context("a reset without groupID")
    }

    /// The reset in it, to be copied.
    pub(crate) fn reset(&self) -> Result<&Value> {
        self.first(|document| document["kind"] == "GroupAttributeReset")
    }

    fn first(&self, wanted: impl Fn(&Value) -> bool) -> Result<&Value> {
        let found = self.documents.iter().find(|document| wanted(document));
        found.with_context(|| format!("examples/{} lacks an object that the demo needs", self.file))
    }
}

/// Replaces the lines that begin with `word`, comment included, and nothing else.
fn with_line(text: &str, word: &str, line_instead: &str) -> String {
    let lines = text.lines().map(|line| {
        let blank = line.len() - line.trim_start().len();
        if line.trim_start().starts_with(word) {
            format!("{}{line_instead}\n", &line[..blank])
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_region_is_replaced() {
        let text = "# region: stays\nspec:\n  region: Singapore # here\n  limits: {}\n";
        let changed = "# region: stays\nspec:\n  endpoint: http://h:1\n  limits: {}\n";
        assert_eq!(with_line(text, "region:", "endpoint: http://h:1"), changed);
    }

    #[test]
    fn the_samples_hold_what_the_demo_needs() {
        let samples = Samples::read("http://127.0.0.1:1").unwrap();
        for app in [&samples.app, &samples.second_account, &samples.cluster_app] {
            app.account().unwrap();
            let file = Sample::read(app.file, "http://127.0.0.1:1", None).unwrap();
            assert!(file.key().unwrap().starts_with("REPLACE"), "no real key in a sample");
        }
        assert_eq!([&samples.app, &samples.cluster_app].map(|app| app.key().unwrap()), [KEY; 2]);
        assert_eq!(samples.reset.name().unwrap(), samples.again.name().unwrap());
    }
}
