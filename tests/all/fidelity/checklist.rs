//! The checklist of `docs/mock-server.md` names tests that exist, and each test that bears ids.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Ids and the tests in their row, as `module::test`.
type Rows = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each text between backticks that is the path of a test, by the id of its row. Rows without an id have
/// `–`.
fn rows(page: &str) -> Rows {
    let (_, list) = page.split_once("## The checklist").unwrap();
    let mut rows = Rows::new();
    for line in list.lines().filter(|line| line.starts_with("| ")) {
        let (id, tests) = line[2..].split_once(" | ").unwrap();
        let paths = tests.split('`').skip(1).step_by(2);
        let paths = paths.filter(|path| path.contains("::")).map(str::to_owned);
        rows.entry(id.to_owned()).or_default().extend(paths);
    }
    rows
}

/// Files with tests, by the name of their module.
fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
            let name = match stem(&path).as_str() {
                "mod" => stem(path.parent().unwrap()),
                name => name.to_owned(),
            };
            let text = std::fs::read_to_string(&path).unwrap();
            modules
                .entry(name)
                .or_insert_with(String::new)
                .push_str(&text);
        }
    }
    modules
}

/// The functions of a file.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name)
}

/// The ids at the beginning of a name: `x2_g5_the_copy` has X2 and G5.
fn ids(name: &str) -> Vec<String> {
    let parts = name.split('_').take_while(|part| {
        let (letter, number) = part.split_at(part.len().min(1));
        letter.bytes().all(|byte| byte.is_ascii_lowercase())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    parts.map(str::to_uppercase).collect()
}

/// What is wrong with a checklist.
fn problems(rows: &Rows, modules: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, tests) in rows {
        for test in tests {
            let (module, name) = test.split_once("::").unwrap();
            let exists = modules.get(module).is_some_and(|text| {
                name == "*" || functions(text).any(|function| function == name)
            });
            if !exists {
                problems.push(format!("{id}: no test {test}"));
            }
        }
    }
    // The names in this file are examples.
    for (module, text) in modules.iter().filter(|(module, _)| *module != "checklist") {
        for name in functions(text) {
            for id in ids(name) {
                // Other letters are those of other lists.
                let Some(tests) = rows.get(&id) else { continue };
                if !tests.contains(&format!("{module}::{name}")) {
                    problems.push(format!("{id}: {module}::{name} is not in its row"));
                }
            }
        }
    }
    problems
}

#[test]
fn the_checklist_names_every_test_that_bears_an_id_and_no_other() {
    let page = std::fs::read_to_string(root().join("docs/mock-server.md")).unwrap();
    let (rows, modules) = (rows(&page), modules());
    assert!(rows.len() > 100, "{} rows", rows.len());
    let found = problems(&rows, &modules);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_checklist_that_differs_from_the_tests_is_noticed() {
    let modules = BTreeMap::from([
        ("ping".to_owned(), "fn g1_a() {} fn g1_h2_b() {}".to_owned()),
        ("other".to_owned(), "async fn helper(x: u8) {}".to_owned()),
    ]);
    let found = |list: &str| problems(&rows(&format!("## The checklist\n{list}")), &modules);
    let good =
        "| G1 | `ping::g1_a`, `ping::g1_h2_b` |\n| H2 | `ping::g1_h2_b` |\n| – | `other::*` |";
    assert_eq!(found(good), [""; 0]);
    for (before, after, problem) in [
        ("`ping::g1_a`, ", "", "G1: ping::g1_a is not in its row"),
        ("g1_a", "g1_c", "G1: no test ping::g1_c"),
        ("other", "missing", "–: no test missing::*"),
    ] {
        let problems = found(&good.replace(before, after));
        assert!(problems.contains(&problem.to_owned()), "{problems:?}");
    }
}
