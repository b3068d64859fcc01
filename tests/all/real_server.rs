//! A real server (SOGo), which nobody of this project wrote. Ignored by default: it needs root,
//! Debian packages and some four minutes. `.ci/run` runs it where the packages can be installed.

use std::path::Path;
use std::process::Command;

use crate::fixtures::program;

fn script(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/real-server")
        .join(name);
    Command::new(path)
}

#[test]
#[ignore = "needs root and the SOGo packages; see .ci/run"]
fn nothing_is_lost_on_sogo() {
    let up = script("up")
        .args(["--users", "20", "--workers", "70"])
        .output()
        .unwrap();
    assert!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );
    let runs = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .args([
            "run",
            "scenarios/real-server.toml",
            "--quiet",
            "--seed",
            "1",
            "--runs",
        ])
        .arg(runs.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("EASLOAD_PASSWORD", "secret")
        .output()
        .unwrap();
    let down = script("down").status().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("every accepted mail reached every device of its user exactly once"));
    assert!(down.success());
}
