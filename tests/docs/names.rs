//! Fields, reasons and flags: all are documented, and everything documented exists in the program.

use std::collections::BTreeSet;
use std::process::Command;

use groupattr::api::{AppReason, Reason};
use serde_json::Value;

use crate::text::{page, quoted, rows, section};

const REFERENCE: &str = "docs/reference.md";
const RESET: &str = "## GroupAttributeReset";
const APPS: &str = "## ChatApp and ClusterChatApp";

fn schema(file: &str, part: &str) -> Value {
    let crd: Value = serde_saphyr::from_str(&page(&format!("crds/{file}.yaml"))).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part].clone()
}

/// All fields of a schema by dotted path, with their defaults. Conditions and label selectors are skipped,
/// because their fields are Kubernetes' own.
fn fields(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found.push((path.clone(), field["default"].clone()));
        if name != "conditions" && name != "selector" {
            fields(&path, field, found);
            fields(&path, &field["items"], found);
        }
    }
}

fn all_fields(file: &str, part: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    fields("", &schema(file, part), &mut found);
    assert!(!found.is_empty(), "{file} {part}");
    found
}

#[test]
fn every_field_is_documented_with_its_default() {
    for (heading, file) in [(RESET, "groupattributeresets"), (APPS, "chatapps"), (APPS, "clusterchatapps")] {
        let text = section(&page(REFERENCE), heading);
        let words: BTreeSet<String> = quoted(&text)
            .iter()
            .flat_map(|quote| quote.split(['.', ':', ' ']).map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let table = rows(&text);
        let listed: BTreeSet<String> = table.iter().flat_map(|row| quoted(&row[0])).collect();
        let within =
            |path: &str, other: &str| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
        for (path, default) in all_fields(file, "spec") {
            let is_listed = |one: &String| *one == path || within(&path, one) || within(one, &path);
            assert!(listed.iter().any(is_listed), "{file}: spec.{path} is not in the table of {REFERENCE}");
            let shown = match &default {
                Value::String(text) => text.clone(),
                Value::Null | Value::Object(_) | Value::Array(_) => continue,
                other => other.to_string(),
            };
            for row in table.iter().filter(|row| quoted(&row[0]).contains(&path)) {
                assert!(row[1].contains(&shown), "{file}: the default of {path} is {shown}, not {}", row[1]);
            }
        }
        for (path, _) in all_fields(file, "status") {
            let name = path.rsplit('.').next().unwrap();
            assert!(words.contains(name), "{file}: status.{path} is not in {REFERENCE}");
        }
    }
}

#[test]
fn every_documented_field_exists() {
    for (heading, files) in
        [(RESET, vec!["groupattributeresets"]), (APPS, vec!["chatapps", "clusterchatapps"])]
    {
        let known: BTreeSet<String> = files
            .iter()
            .flat_map(|file| ["spec", "status"].map(|part| all_fields(file, part)))
            .flatten()
            .map(|(path, _)| path)
            .collect();
        let mut checked = 0;
        let mut in_fields = false;
        for row in rows(&section(&page(REFERENCE), heading)) {
            if row[0].starts_with("field of ") {
                in_fields = true;
            } else if ["type", "`Ready`"].contains(&row[0].as_str()) {
                in_fields = false;
            } else if in_fields {
                for field in quoted(&row[0]) {
                    assert!(known.contains(&field), "{field} is in {REFERENCE} but in no CRD");
                    checked += 1;
                }
            }
        }
        assert!(checked >= 8, "{heading}: {checked}");
    }
}

/// All reasons of `Succeeded`.
pub(crate) fn reasons() -> BTreeSet<String> {
    let schema = serde_json::to_value(schemars::schema_for!(Reason)).unwrap();
    let listed = schema["oneOf"].as_array().unwrap().iter();
    let all: BTreeSet<String> = listed.map(|one| one["const"].as_str().unwrap().to_owned()).collect();
    assert!(all.iter().all(|reason| Reason::parse(reason).is_some()), "{all:?}");
    all
}

/// All reasons of an app's `Ready`.
pub(crate) fn app_reasons() -> BTreeSet<String> {
    use AppReason::{
        AccountUnavailable, CredentialsRejected, EndpointNotAllowed, EndpointRejected, Pending,
        SecretKeyInvalid, SecretKeyMissing, SecretNotFound, Suspended, Unreachable, Verified, WrongRegion,
    };
    let all = [
        Pending,
        Verified,
        SecretNotFound,
        SecretKeyMissing,
        SecretKeyInvalid,
        CredentialsRejected,
        AccountUnavailable,
        WrongRegion,
        EndpointRejected,
        EndpointNotAllowed,
        Unreachable,
        Suspended,
    ];
    for reason in all {
        // Fails to compile when a variant is added; add it to the list above as well.
        match reason {
            Pending | Verified | SecretNotFound | SecretKeyMissing | SecretKeyInvalid
            | CredentialsRejected | AccountUnavailable | WrongRegion | EndpointRejected
            | EndpointNotAllowed | Unreachable | Suspended => {}
        }
    }
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn exactly_the_reasons_of_the_program_are_documented() {
    for (heading, condition, known) in
        [("### Conditions", "`Succeeded`", reasons()), (APPS, "`Ready`", app_reasons())]
    {
        let table = rows(&section(&page(REFERENCE), heading));
        let start = table.iter().position(|row| row[0] == condition && row[1] == "reason");
        let start = start.unwrap_or_else(|| panic!("no table of reasons of {condition}"));
        let documented: BTreeSet<String> =
            table[start + 2..].iter().flat_map(|row| quoted(&row[1])).collect();
        assert_eq!(documented, known);
    }
}

#[test]
fn every_flag_is_documented_with_its_variable_and_default() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_groupattr-operator")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let flags = help
        .split("\n      --")
        .skip(1)
        .chain(help.split("\n  -").skip(1).filter(|text| !text.starts_with("h,")));
    let mut known = BTreeSet::new();
    let table = rows(&section(&page(REFERENCE), "## Command line"));
    for text in flags {
        let name = format!("--{}", text.split([' ', '=', '[', '\n']).next().unwrap());
        if name == "--help" {
            continue;
        }
        let bracket = |key: &str| {
            let (_, rest) = text.split_once(&format!("[{key}: "))?;
            Some(rest.split(']').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let row = table.iter().find(|row| row[0].trim_matches('`').split([' ', '=']).next() == Some(&name));
        let row = row.unwrap_or_else(|| panic!("{name} is not in {REFERENCE}"));
        assert_eq!(row[1].trim_matches('`'), bracket("env").unwrap(), "{name}");
        if let Some(default) = bracket("default") {
            assert!(row[2].contains(&default), "{name}: the default is {default}, not {}", row[2]);
        }
        known.insert(name);
    }
    assert_eq!(known.len(), 13, "{known:?}");
    for row in table.iter().filter(|row| row[0].starts_with("`--")) {
        let name = row[0].trim_matches('`').split([' ', '=']).next().unwrap();
        assert!(known.contains(name), "{name} is in {REFERENCE} but is not a flag");
    }
}

#[test]
fn every_command_is_documented() {
    let output = Command::new(env!("CARGO_BIN_EXE_groupattr-operator")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"run"), "{names:?}");
    let text = section(&page(REFERENCE), "## Command line");
    for name in names.iter().filter(|name| **name != "help") {
        assert!(text.contains(&format!("`groupattr-operator {name}`")), "{name} is not in {REFERENCE}");
    }
}

/// The flags of `run` are in the table above; those of other commands are in the text.
#[test]
fn every_flag_of_the_other_commands_is_documented() {
    let flags = |command: &str| -> BTreeSet<String> {
        let output =
            Command::new(env!("CARGO_BIN_EXE_groupattr-operator")).args([command, "--help"]).output();
        let help = String::from_utf8(output.unwrap().stdout).unwrap();
        let flags = help.split("\n      --").skip(1);
        flags.map(|text| text.split([' ', '=', '[', '\n']).next().unwrap().to_owned()).collect()
    };
    let text = section(&page(REFERENCE), "## Command line");
    for (command, count) in [("check", 2), ("drain", 2)] {
        let (all, shared) = (flags(command), flags("run"));
        let own: Vec<&String> = all.difference(&shared).collect();
        assert_eq!(own.len(), count, "{own:?}");
        for flag in own {
            let is_documented =
                text.contains(&format!("`--{flag} ")) || text.contains(&format!("`--{flag}`"));
            assert!(is_documented, "--{flag} of {command} is not in {REFERENCE}");
        }
    }
}
