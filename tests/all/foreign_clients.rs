//! The mock as foreign clients see it: pyactivesync, an implementation of EAS 16.1 by others, runs its whole
//! public API. The calls are listed in `docs/interop.md`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::MockProgram;

/// Set where the client is installed: then it must not be missing.
const REQUIRE: &str = "EASLOAD_REQUIRE_FOREIGN_CLIENTS";
/// A Python that has the client.
const PYTHON: &str = "EASLOAD_PYTHON";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The calls that the script makes, in its order.
fn steps() -> Vec<String> {
    let script = std::fs::read_to_string(repository("tests/clients/pyactivesync_api.py")).unwrap();
    let mut lines = script.lines();
    let mut steps = Vec::new();
    while lines.by_ref().any(|line| line == "@step") {
        let name = lines.next().and_then(|line| line.strip_prefix("def "));
        steps.push(name.unwrap().trim_end_matches("():").to_owned());
    }
    steps
}

#[test]
fn pyactivesync_runs_its_whole_api() {
    let Some(python) = std::env::var_os(PYTHON) else {
        assert!(std::env::var_os(REQUIRE).is_none(), "{PYTHON} is not set");
        println!("skipped: {PYTHON} names no Python with pyactivesync");
        return;
    };
    let mock = MockProgram::start(&["--tls"]);
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), mock.addresses.ca.as_deref().unwrap()).unwrap();
    let server = mock.addresses.url.trim_start_matches("https://");
    let server = server.split('/').next().unwrap();
    let output = Command::new(python)
        .arg(repository("tests/clients/pyactivesync_api.py"))
        .args([server, &mock.addresses.control])
        .arg(ca.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}\n{errors}");
    // The script must have reached its last step.
    let expected = steps();
    assert!(expected.len() > 20, "{expected:?}");
    let passed: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("ok "))
        .collect();
    assert_eq!(passed[..expected.len()], expected[..], "{printed}");
}

#[test]
fn the_docs_list_every_call_of_pyactivesync() {
    let docs = std::fs::read_to_string(repository("docs/interop.md")).unwrap();
    let (_, section) = docs.split_once("## pyactivesync").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for step in steps() {
        assert!(section.contains(&format!("`{step}`")), "{step} is missing");
    }
}
