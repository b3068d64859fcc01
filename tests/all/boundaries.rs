//! Crates know only the crates that ARCHITECTURE.md lets them know, and most of them know no network. Cargo itself says
//! what a crate is built with on this machine. Dependencies of tests are not counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Libraries for network and asynchronous work.
const NETWORK: [&str; 11] = [
    "axum",
    "h2",
    "hickory-resolver",
    "hyper",
    "lettre",
    "mio",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
    "tokio-rustls",
];

/// A crate, the crates of this workspace that it depends on, and whether it may use the network.
struct Crate {
    name: &'static str,
    depends_on: &'static [&'static str],
    has_network: bool,
}

const fn data(name: &'static str, depends_on: &'static [&'static str]) -> Crate {
    Crate {
        name,
        depends_on,
        has_network: false,
    }
}

const fn network(name: &'static str, depends_on: &'static [&'static str]) -> Crate {
    Crate {
        name,
        depends_on,
        has_network: true,
    }
}

/// The table of ARCHITECTURE.md.
const CRATES: &[Crate] = &[
    data("text", &[]),
    data("eas", &[]),
    data("tcp-table", &[]),
    data("iis", &["text"]),
    network("sim-net", &["tcp-table"]),
    data("mock-api", &["eas", "iis", "text"]),
    network("mock-client", &["mock-api"]),
    network(
        "mock-server",
        &[
            "eas",
            "iis",
            "mock-api",
            "mock-client",
            "sim-net",
            "tcp-table",
            "text",
        ],
    ),
    data("scenario", &["eas", "iis", "mock-api", "tcp-table", "text"]),
    data("figures", &["scenario", "tcp-table", "text"]),
    network("client", &["eas", "scenario", "sim-net", "text"]),
    data("verdict", &["iis", "mock-api", "scenario", "text"]),
];

/// The harness: it ties all of them together.
const HARNESS: &str = "easload";

/// The names of all crates that a crate is built with.
fn built_with(name: &str) -> BTreeSet<String> {
    let arguments = "tree --offline --locked --edges normal --prefix none --format {p} --package";
    let output = Command::new(env!("CARGO"))
        .args(arguments.split(' '))
        .arg(name)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    let mut names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.remove(name), "{name} is not in {names:?}");
    names
}

/// The crates of this workspace.
fn members() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args("metadata --offline --locked --no-deps --format-version 1".split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a crate may know: what it depends on, and what that depends on.
fn known(one: &Crate) -> BTreeSet<&'static str> {
    let mut known: BTreeSet<&str> = one.depends_on.iter().copied().collect();
    for name in one.depends_on {
        let of = CRATES.iter().find(|other| other.name == *name);
        known.extend(self::known(
            of.unwrap_or_else(|| panic!("{name} is in no row")),
        ));
    }
    known
}

/// What a crate is built with and may not know.
fn crossed(one: &Crate, built_with: &BTreeSet<String>, members: &BTreeSet<String>) -> Vec<String> {
    let known = known(one);
    let is_crossed = |name: &&String| {
        let is_network = NETWORK.contains(&name.as_str());
        members.contains(*name) && !known.contains(name.as_str()) || is_network && !one.has_network
    };
    built_with.iter().filter(is_crossed).cloned().collect()
}

#[test]
fn crates_are_built_only_with_what_they_may_know() {
    let members = members();
    for one in CRATES {
        let crossed = crossed(one, &built_with(one.name), &members);
        assert_eq!(crossed, [""; 0], "{}", one.name);
    }
}

/// The control: a crate without permission to know anything crosses every boundary that it has.
#[test]
fn crossed_boundaries_are_found() {
    let members = members();
    let found = |name| crossed(&data(name, &[]), &built_with(name), &members);
    assert_eq!(
        found("verdict"),
        ["eas", "iis", "mock-api", "scenario", "tcp-table", "text"]
    );
    let of_harness = found(HARNESS);
    for name in CRATES.iter().map(|one| one.name).chain(NETWORK) {
        assert!(of_harness.iter().any(|one| one == name), "{name}");
    }
}

/// The table and the workspace have the same crates.
#[test]
fn every_crate_of_the_workspace_has_a_boundary() {
    let names = CRATES.iter().map(|one| one.name).chain([HARNESS]);
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(names, members());
}

/// The table of ARCHITECTURE.md names the same dependencies.
#[test]
fn architecture_page_has_the_same_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let page = std::fs::read_to_string(page).unwrap();
    for one in CRATES {
        let row = format!("| `{}` |", one.name);
        let line = page.lines().find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("no row {row}"));
        let depends_on = line.rsplit('|').nth(1).unwrap().trim();
        let expected: Vec<String> = one
            .depends_on
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let expected = if expected.is_empty() {
            "nothing".to_owned()
        } else {
            expected.join(", ")
        };
        assert_eq!(depends_on, expected, "{}", one.name);
    }
}
