//! A key with nothing after it is a null, and a null means the default: for every key, at every depth, with both Helms, and
//! in a chart that brings this one nested. Helm itself takes such a key away, or keeps the null, depending on where it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::Helm;

use crate::chart::{CHART, objects, parse_all, the};
use crate::world::plane;

const REGISTRY: &str = "registry.example.com";

/// Null for each key at this depth, and nothing else.
fn nulls(values: &Value, depth: usize) -> Value {
    let below = |value: &Value| if depth == 0 { Value::Null } else { nulls(value, depth - 1) };
    let fields = values.as_object().into_iter().flatten();
    let fields = fields.filter(|(_, value)| depth == 0 || value.is_object());
    fields.map(|(key, value)| (key.clone(), below(value))).collect()
}

/// The chart alone, and one that brings it nested.
struct Charts {
    folder: PathBuf,
    umbrella: String,
}

impl Charts {
    fn new(folder: PathBuf) -> Self {
        let umbrella = folder.join("platform");
        fs::create_dir_all(umbrella.join("charts")).unwrap();
        symlink(CHART, umbrella.join("charts/groupattr-operator")).unwrap();
        let chart = "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n- name: groupattr-operator\n  \
                     version: '*'\n  condition: groupattr-operator.enabled\n";
        fs::write(umbrella.join("Chart.yaml"), chart).unwrap();
        fs::write(umbrella.join("values.yaml"), "{}\n").unwrap();
        Self { folder, umbrella: umbrella.to_str().unwrap().to_owned() }
    }

    /// What each Helm renders of each chart.
    async fn render(&self, values: &Value) -> Vec<String> {
        let (alone, nested) = (self.folder.join("alone.json"), self.folder.join("nested.json"));
        fs::write(&alone, values.to_string()).unwrap();
        fs::write(&nested, json!({ "groupattr-operator": values }).to_string()).unwrap();
        let files = [(CHART, alone), (self.umbrella.as_str(), nested)]
            .map(|(chart, file)| (chart, format!("--values={}", file.display())));
        let renders = Helm::BOTH.into_iter().flat_map(|helm| {
            files.iter().map(move |(chart, file)| async move {
                let args =
                    ["template", "groupattr-operator", *chart, "--namespace=groupattr-system", file.as_str()];
                helm.offline(&args).await.unwrap().unwrap()
            })
        });
        join_all(renders).await
    }
}

#[tokio::test]
async fn a_null_means_the_default_for_every_key_at_every_depth() {
    let charts = Charts::new(plane().await.folder().join("nulls"));
    let defaults = parse_all(&fs::read_to_string(format!("{CHART}/values.yaml")).unwrap()).remove(0);
    let mut deepest = 0;
    // The registry is the only value without a default; it can be named in two places.
    for (place, named) in
        [("image", json!({ "registry": REGISTRY })), ("global", json!({ "imageRegistry": REGISTRY }))]
    {
        let expected = charts.render(&json!({ place: named })).await;
        for depth in 0.. {
            let mut values = nulls(&defaults, depth);
            if !values.to_string().contains("null") {
                deepest = depth;
                break;
            }
            values[place] = named.clone();
            for (got, expected) in charts.render(&values).await.iter().zip(&expected) {
                assert!(got.contains(&format!("image: \"{REGISTRY}/groupattr-operator:")), "{got}");
                assert!(got == expected, "at depth {depth} a null is no default:\n{got}");
            }
        }
    }
    assert!(deepest >= 3, "only {deepest} depths were tried");
}

#[tokio::test]
async fn a_null_for_a_key_without_a_default_is_left_out() {
    for helm in Helm::BOTH {
        let values = [
            "--set-json=podAnnotations={\"gone\":null,\"kept\":\"yes\"}",
            "--set-json=strategy={\"type\":\"Recreate\",\"rollingUpdate\":null}",
            "--set-json=livenessProbe.initialDelaySeconds=null",
        ];
        let objects = objects(helm, &values).await;
        let spec = &the("Deployment", &objects)["spec"];
        assert_eq!(spec["template"]["metadata"]["annotations"], json!({ "kept": "yes" }), "{helm:?}");
        assert_eq!(spec["strategy"], json!({ "type": "Recreate" }), "{helm:?}");
        let probe = &spec["template"]["spec"]["containers"][0]["livenessProbe"];
        assert!(probe.get("initialDelaySeconds").is_none(), "{helm:?}");
    }
}
