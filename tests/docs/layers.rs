//! The modules of `src/` are layers: each depends only on those before it. Neither there nor in `benches/` do modules depend
//! on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::text::{files, root};

/// In the order of the table in `src/lib.rs`.
const LAYERS: [&str; 13] = [
    "text",
    "proxy",
    "api",
    "chat",
    "limits",
    "protocol",
    "observability",
    "k8s",
    "controller",
    "cli",
    "run",
    "check",
    "drain",
];

type Module = Vec<String>;

/// `controller/event_loop/mod.rs` is `controller::event_loop`.
fn module_of(file: &Path) -> Module {
    let path = file.with_extension("");
    let mut parts: Module = path.to_str().unwrap().split('/').map(ToOwned::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The paths in a use tree: `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let inner = &rest[..rest.rfind('}').expect("a use tree")];
    let (mut depth, mut items) = (0, vec![String::new()]);
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("an item").push(letter);
    }
    let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
    items.flat_map(paths).map(|path| format!("{}{path}", prefix.trim())).collect()
}

/// The modules that each module of a crate uses outside of its tests.
fn uses(folder: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let sources: BTreeMap<Module, String> = files(folder, ".rs")
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root().join(folder)).unwrap();
            (module_of(name), std::fs::read_to_string(&path).unwrap())
        })
        .filter(|(module, _)| !module.contains(&"tests".to_owned()))
        .collect();
    let mut uses = BTreeMap::new();
    for (module, text) in &sources {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |all, line| all + line + "\n");
        // The word "use" also occurs in string literals.
        let is_statement = |at: &usize| {
            let line = code[..*at].rsplit('\n').next().unwrap_or_default().trim();
            ["", "pub", "pub(crate)", "pub(super)"].contains(&line)
        };
        let statements = code.match_indices("use ").map(|(at, _)| at).filter(is_statement);
        let trees =
            statements.filter_map(|at| code[at + "use ".len()..].split_once(';').map(|(tree, _)| tree));
        let inline = code.split("crate::").skip(1).map(|rest| {
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            format!("crate::{}", &rest[..end])
        });
        let named = trees.flat_map(paths).chain(inline);
        let targets = named.filter_map(|path| {
            let mut parts: Vec<&str> = path.split("::").map(str::trim).collect();
            let mut base = match parts.first() {
                Some(&"crate") => Vec::new(),
                Some(&("self" | "super")) => module.clone(),
                _ => return None,
            };
            while let Some(&("crate" | "self" | "super")) = parts.first() {
                if parts.remove(0) == "super" {
                    base.pop();
                }
            }
            base.extend(parts.iter().map(|part| (*part).to_owned()));
            while !base.is_empty() && !sources.contains_key(&base) {
                base.pop();
            }
            (!base.is_empty() && base != *module).then_some(base)
        });
        uses.insert(module.clone(), targets.collect::<BTreeSet<_>>());
    }
    uses
}

#[test]
fn modules_depend_only_on_those_listed_before_them() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let listed: Vec<usize> =
        LAYERS.iter().map(|layer| map.find(&format!("[`{layer}`]")).expect("a row of the map")).collect();
    assert!(listed.is_sorted(), "src/lib.rs lists the modules in a different order");
    let rank =
        |module: &Module| LAYERS.iter().position(|layer| module.first().is_some_and(|top| top == layer));
    let mut checked = 0;
    for (module, targets) in uses("src") {
        for target in targets {
            if let (Some(own), Some(other)) = (rank(&module), rank(&target)) {
                assert!(
                    other <= own,
                    "{} uses {}, which is listed after it",
                    module.join("::"),
                    target.join("::")
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 200, "{checked}");
}

/// Follows the dependencies of each module, and fails if they lead back to it.
fn assert_no_circle(uses: &BTreeMap<Module, BTreeSet<Module>>) {
    let is_family = |a: &Module, b: &Module| a.starts_with(b) || b.starts_with(a);
    for start in uses.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(module) = next.pop() {
            for target in uses.get(module).into_iter().flatten().filter(|target| !is_family(module, target)) {
                assert!(
                    target != start,
                    "{} and {} depend on each other",
                    start.join("::"),
                    module.join("::")
                );
                if seen.insert(target) {
                    next.push(target);
                }
            }
        }
    }
}

#[test]
fn no_two_files_depend_on_each_other() {
    assert_no_circle(&uses("src"));
}

/// The scenarios count as one module: none of what they are built from may use them.
#[test]
fn no_two_modules_of_the_bench_depend_on_each_other() {
    let top = |module: &Module| module[..module.len().min(1)].to_vec();
    let mut modules = BTreeMap::<Module, BTreeSet<Module>>::new();
    for (module, targets) in uses("benches/operator") {
        modules.entry(top(&module)).or_default().extend(targets.iter().map(top));
    }
    assert!(modules.len() > 15, "{modules:?}");
    assert_no_circle(&modules);
}
