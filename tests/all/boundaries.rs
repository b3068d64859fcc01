//! Crates depend only on what ARCHITECTURE.md lets them depend on. Cargo itself says what a crate is built with, so a
//! dependency of a dependency counts as well.

use std::collections::BTreeSet;
use std::process::Command;

/// Libraries for network and asynchronous work.
const NETWORK: &[&str] = &["tokio", "reqwest", "hyper", "rustls", "socket2", "axum"];

/// A crate, and what it must not be built with.
struct Boundary {
    name: &'static str,
    must_not_know: &'static [&'static str],
    /// Whether it may use the network.
    has_network: bool,
}

const fn without_network(name: &'static str, must_not_know: &'static [&'static str]) -> Boundary {
    Boundary {
        name,
        must_not_know,
        has_network: false,
    }
}

const fn with_network(name: &'static str, must_not_know: &'static [&'static str]) -> Boundary {
    Boundary {
        name,
        must_not_know,
        has_network: true,
    }
}

/// The table of ARCHITECTURE.md.
const BOUNDARIES: &[Boundary] = &[
    without_network("text", &["eas", "iis", "scenario", "verdict", "client"]),
    without_network(
        "eas",
        &["text", "iis", "scenario", "verdict", "client", "mock-api"],
    ),
    without_network("iis", &["eas", "scenario", "verdict", "client", "mock-api"]),
    without_network(
        "tcp-table",
        &["text", "eas", "iis", "scenario", "verdict", "client"],
    ),
    with_network(
        "sim-net",
        &["eas", "iis", "scenario", "verdict", "client", "mock-api"],
    ),
    without_network(
        "mock-api",
        &["scenario", "verdict", "client", "mock-server", "sim-net"],
    ),
    without_network("scenario", &["verdict", "client", "mock-server", "sim-net"]),
    without_network("verdict", &["client", "mock-server", "sim-net"]),
    with_network("client", &["verdict", "mock-server"]),
    with_network("mock-server", &["scenario", "verdict", "client", "easload"]),
];

/// The names of all crates that a crate is built with, tests not counted.
fn built_with(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}", "--package", name])
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

impl Boundary {
    /// What it is built with and must not be.
    fn crossed(&self, built_with: &BTreeSet<String>) -> Vec<&'static str> {
        let network: &[&str] = if self.has_network { &[] } else { NETWORK };
        let forbidden = self.must_not_know.iter().chain(network);
        forbidden
            .copied()
            .filter(|name| built_with.contains(*name))
            .collect()
    }
}

#[test]
fn crates_are_built_only_with_what_they_may_know() {
    for boundary in BOUNDARIES {
        let crossed = boundary.crossed(&built_with(boundary.name));
        assert_eq!(crossed, [""; 0], "{}", boundary.name);
    }
}

/// The control: the harness knows everything, so the check must speak.
#[test]
fn crossed_boundary_is_found() {
    let harness = without_network("easload", &["client", "mock-server", "verdict"]);
    let crossed = harness.crossed(&built_with(harness.name));
    let expected = [
        "client",
        "mock-server",
        "verdict",
        "tokio",
        "reqwest",
        "hyper",
        "rustls",
        "socket2",
        "axum",
    ];
    assert_eq!(crossed, expected);
}

/// A crate without a boundary would be in no test.
#[test]
fn every_crate_has_a_boundary() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = std::fs::read_dir(root.join("crates")).unwrap();
    for folder in folders {
        let name = folder.unwrap().file_name().into_string().unwrap();
        let is_bounded = BOUNDARIES.iter().any(|boundary| boundary.name == name);
        assert!(is_bounded, "{name}");
    }
}
