//! What is written twice is the same twice. `WRITE_CHART=1 cargo test --test e2e chart::files` writes the copies.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testbed::Helm;

use crate::chart::{CHART, parse_all, rendered, values_files};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Compares a file with what it should hold; writes it first if that is asked for.
fn holds(file: &Path, text: &str) {
    if std::env::var_os("WRITE_CHART").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let kept = fs::read_to_string(file).unwrap_or_default();
    let name = file.strip_prefix(ROOT).unwrap().display();
    assert!(kept == text, "{name} is out of date: WRITE_CHART=1 cargo test --test e2e chart::files");
}

/// A value as `values.yaml` has it.
struct Documented {
    path: String,
    default: Value,
    comment: String,
}

/// Reads `values.yaml` line by line: a comment that begins with `# --` belongs to the key below it.
fn documented() -> Vec<Documented> {
    let text = fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    let values = parse_all(&text).remove(0);
    let (mut all, mut comment, mut above) = (Vec::new(), String::new(), Vec::<(usize, String)>::new());
    for line in text.lines() {
        let trimmed = line.trim_start();
        let depth = line.len() - trimmed.len();
        if let Some(first) = trimmed.strip_prefix("# -- ") {
            first.clone_into(&mut comment);
        } else if let Some(more) = trimmed.strip_prefix("# ").filter(|_| !comment.is_empty()) {
            let _ = write!(comment, " {more}");
        } else if let Some((key, _)) = trimmed.split_once(':') {
            above.retain(|(at, _)| *at < depth);
            above.push((depth, key.to_owned()));
            if !comment.is_empty() {
                let keys: Vec<&str> = above.iter().map(|(_, key)| key.as_str()).collect();
                let default = keys.iter().fold(&values, |value, key| &value[*key]).clone();
                all.push(Documented { path: keys.join("."), default, comment: std::mem::take(&mut comment) });
            }
        }
    }
    all
}

/// The paths of all values that can be set, down to those with a comment of their own.
fn leaves(path: &str, value: &Value, stops: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(fields) if !stops.contains(path) => {
            for (key, value) in fields {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&below, value, stops, found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn every_value_is_documented_and_known_to_the_schema() {
    let documented: BTreeSet<String> = documented().into_iter().map(|value| value.path).collect();
    let values = parse_all(&fs::read_to_string(format!("{CHART}/values.yaml")).unwrap()).remove(0);
    let mut set = BTreeSet::new();
    leaves("", &values, &documented, &mut set);
    assert_eq!(documented, set, "each value needs a comment that begins with `# --`");

    let text = fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut known = BTreeSet::new();
    in_schema("", &schema, &schema, &documented, &mut known);
    assert_eq!(documented, known, "values.yaml on the left, values.schema.json on the right");
}

/// The paths that the schema knows. It knows no others: each object on the way is closed.
fn in_schema(
    path: &str,
    schema: &Value,
    root: &Value,
    stops: &BTreeSet<String>,
    found: &mut BTreeSet<String>,
) {
    let resolved = schema["$ref"].as_str().map(|to| &root["$defs"][to.trim_start_matches("#/$defs/")]);
    let schema = resolved.unwrap_or(schema);
    match schema["properties"].as_object() {
        Some(fields) if !stops.contains(path) => {
            assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
            for (key, schema) in fields {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                in_schema(&below, schema, root, stops, found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_readme_of_the_chart_lists_the_values() {
    let file = PathBuf::from(format!("{CHART}/README.md"));
    let readme = fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- values: begin -->\n", "<!-- values: end -->\n");
    let (before, rest) = readme.split_once(begin).expect("the mark where the table begins");
    let (_, after) = rest.split_once(end).expect("the mark where the table ends");
    let mut table = String::from("\n| value | default | |\n|---|---|---|\n");
    for Documented { path, default, comment } in documented() {
        let default = default.to_string().replace('|', "\\|");
        writeln!(table, "| `{path}` | `{default}` | {} |", comment.replace('|', "\\|")).unwrap();
    }
    holds(&file, &format!("{before}{begin}{table}\n{end}{after}"));
}

/// Templates cannot read `values.yaml` itself, and have to know what a null stands for.
#[test]
fn the_templates_know_the_defaults() {
    let values = fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    holds(&PathBuf::from(format!("{CHART}/files/defaults.yaml")), &values);
}

#[test]
fn the_chart_has_the_crds_of_the_program() {
    for kind in ["chatapps", "clusterchatapps", "groupattributeresets"] {
        let source = fs::read_to_string(format!("{ROOT}/crds/{kind}.yaml")).unwrap();
        holds(&PathBuf::from(format!("{CHART}/files/crds/{kind}.yaml")), &source);
    }
}

#[test]
fn the_chart_has_the_version_and_the_licence_of_the_program() {
    let chart = parse_all(&fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap()).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["annotations"]["artifacthub.io/license"], "Apache-2.0");
    assert_eq!(chart["kubeVersion"], ">=1.33.0-0");
    for url in [&chart["home"], &chart["sources"][0]] {
        assert!(url.as_str().unwrap().starts_with("https://"), "{url}");
    }
    // Catalogues show it; without a server that could be away.
    assert!(chart["icon"].as_str().unwrap().starts_with("data:image/svg+xml;base64,"));
    let named = parse_all(chart["annotations"]["artifacthub.io/crds"].as_str().unwrap()).remove(0);
    assert_eq!(named.as_array().unwrap().len(), 3);
}

/// What Helm puts in, and a kustomize base has no use for. The namespace is the pod's own without a flag too, and an
/// overlay cannot change it inside of an argument.
const OF_HELM: [&str; 3] =
    ["helm.sh/chart:", "app.kubernetes.io/managed-by:", "- --namespace=groupattr-system"];

/// A namespace that an overlay cannot change inside of a name; it has prefixes for that.
const OF_THE_CLUSTER: (&str, &str) = ("groupattr-operator-groupattr-system", "groupattr-operator");

/// An overlay with a namespace of its own changes the subjects of bindings, and no text inside of an expression. So the
/// policies of the base read from the operator's binding who it is.
const OF_THE_BINDING: [(&str, &str); 4] = [
    (
        "\"'system:serviceaccount:groupattr-system:groupattr-operator'\"",
        "\"'system:serviceaccount:' + params.subjects[0].namespace + ':' + params.subjects[0].name\"",
    ),
    ("\"'groupattr-system'\"", "params.subjects[0].namespace"),
    (
        "  failurePolicy: Fail\n",
        "  failurePolicy: Fail\n  paramKind: { apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding }\n",
    ),
    (
        "\n  validationActions:\n",
        "\n  paramRef:\n    # Who the operator is: the subject of its binding, whatever namespace or prefix an overlay gives it.\n    \
         selector: { matchLabels: { app.kubernetes.io/name: groupattr-operator } }\n    \
         parameterNotFoundAction: Deny\n  validationActions:\n",
    ),
];

#[tokio::test]
async fn the_kustomize_base_is_what_the_chart_renders() {
    // A registry that cannot be: who names no image pulls none from where nobody chose to.
    let values =
        "image.registry=name-a-registry.invalid,crds.enabled=false,tests.enabled=false,drain.enabled=false";
    let text = rendered(Helm::V4, &["--set", values]).await;
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: groupattr-system\n  labels:\n    \
                     pod-security.kubernetes.io/enforce: restricted\n";
    let (mut operator, mut rights, mut people, mut policies) =
        (String::new(), namespace.to_owned(), String::new(), String::new());
    for document in text.split("---\n# Source: groupattr-operator/templates/").skip(1) {
        let (template, body) = document.split_once('\n').unwrap();
        let file = match template {
            "rights.yaml" | "serviceaccount.yaml" => &mut rights,
            "people.yaml" => &mut people,
            "status-policy.yaml" | "secret-policy.yaml" => &mut policies,
            _ => &mut operator,
        };
        file.push_str("---\n");
        for line in body.trim_end().lines().filter(|line| OF_HELM.iter().all(|word| !line.contains(word))) {
            file.push_str(&line.replace(OF_THE_CLUSTER.0, OF_THE_CLUSTER.1));
            file.push('\n');
        }
    }
    for (literal, read) in OF_THE_BINDING {
        assert!(policies.contains(literal), "{policies}");
        policies = policies.replace(literal, read);
    }
    assert!(!policies.contains("groupattr-system"), "an overlay would not change it: {policies}");
    let files = [
        ("operator.yaml", operator),
        ("rights.yaml", rights),
        ("people.yaml", people),
        ("policies.yaml", policies),
    ];
    let head = "# Made from the Helm chart; see charts/kustomize/kustomization.yaml.\n";
    for (name, text) in files {
        holds(&PathBuf::from(format!("{ROOT}/charts/kustomize/{name}")), &format!("{head}{text}"));
    }
}

#[tokio::test]
async fn every_flag_of_the_program_can_be_set_by_a_value() {
    // Which takes those of `run` as well.
    let output =
        Command::new(env!("CARGO_BIN_EXE_groupattr-operator")).args(["drain", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words = help.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    let flags: BTreeSet<&str> =
        words.map(|word| word.split(['[', '=']).next().unwrap()).filter(|flag| *flag != "help").collect();
    assert!(
        flags.len() >= 12 && flags.contains("watch-namespace") && flags.contains("deployment"),
        "{flags:?}"
    );
    let mut rendered_flags = BTreeSet::new();
    for file in values_files().values() {
        let file = format!("--values={}", file.display());
        for object in crate::chart::objects(Helm::V4, &[&file]).await {
            let args = object["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned();
            rendered_flags.extend(
                args.into_iter()
                    .flatten()
                    .filter_map(|arg| Some(arg.as_str()?.strip_prefix("--")?.split('=').next()?.to_owned())),
            );
        }
    }
    for flag in flags {
        assert!(rendered_flags.contains(flag), "no values file leads to --{flag}: {rendered_flags:?}");
    }
}
