//! Finds the tests of this repository in their sources.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::text::files;

/// A test function.
pub(crate) struct Test {
    pub(crate) path: PathBuf,
    /// The text of its file.
    pub(crate) file: Rc<str>,
    /// The source from its attribute up to the next test.
    pub(crate) body: String,
}

/// All tests by name; different packages may use the same name.
pub(crate) type Tests = BTreeMap<String, Vec<Test>>;

pub(crate) fn tests() -> Tests {
    let mut tests = Tests::new();
    for path in ["src", "tests"].iter().flat_map(|folder| files(folder, ".rs")) {
        let file: Rc<str> = std::fs::read_to_string(&path).unwrap().into();
        let lines: Vec<&str> = file.lines().map(str::trim_start).collect();
        let is_attribute = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        for body in lines.split(is_attribute).skip(1) {
            let signature =
                body.iter().find_map(|line| line.trim_start_matches("async ").strip_prefix("fn "));
            let name = signature.and_then(|text| text.split('(').next()).expect("a function");
            let test = Test { path: path.clone(), file: Rc::clone(&file), body: body.join("\n") };
            tests.entry(name.to_owned()).or_default().push(test);
        }
    }
    tests
}
