//! A real server (SOGo), which nobody of this project wrote. Ignored by default: it needs root,
//! Debian packages and some ten minutes. `.ci/run` runs it where the packages can be installed.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixtures::program;

fn script(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/real-server")
        .join(name);
    Command::new(path)
}

/// SOGo with so many workers and empty mailboxes, for as long as this lives. One at a time: they share ports.
struct Sogo;

impl Sogo {
    fn start(users: &str, workers: &str) -> Self {
        // Mail of earlier runs would be read in the baseline, and slow it down.
        let purged = script("down").arg("--purge").status().unwrap();
        assert!(purged.success());
        let up = script("up")
            .args(["--users", users, "--workers", workers])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&up.stderr).into_owned();
        assert!(up.status.success(), "{said}");
        Self
    }
}

impl Drop for Sogo {
    fn drop(&mut self) {
        // A second panic would hide the first.
        let _ = script("down").status();
    }
}

/// Plays a scenario, and once more where the verdict says that it does not know: machines that do other
/// things as well disturb what is measured.
fn play(scenario: &Path) -> (Option<i32>, String) {
    const INCONCLUSIVE: Option<i32> = Some(5);
    let (code, text) = play_once(scenario);
    if code == INCONCLUSIVE {
        println!("inconclusive, and played again");
        return play_once(scenario);
    }
    (code, text)
}

fn play_once(scenario: &Path) -> (Option<i32>, String) {
    let runs = tempfile::tempdir().unwrap();
    let output = Command::new(program())
        .arg("run")
        .arg(scenario)
        .args(["--quiet", "--seed", "1", "--runs"])
        .arg(runs.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("EASLOAD_PASSWORD", "secret")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

#[test]
#[ignore = "needs root and the SOGo packages; see .ci/run"]
fn nothing_is_lost_on_sogo_and_a_starved_one_is_cured_by_a_recycle() {
    {
        let _sogo = Sogo::start("100", "240");
        // Ten minutes by hand; here the phases are cut short, with as many mails in each.
        let mut quick = std::fs::read_to_string("scenarios/real-server.toml").unwrap();
        for (long, short) in [
            ("duration = \"180s", "duration = \"45s"),
            ("duration = \"150s", "duration = \"30s"),
            ("rate = 0.5", "rate = 1.8"),
        ] {
            assert!(quick.contains(long), "{long}");
            quick = quick.replace(long, short);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), quick).unwrap();
        let (code, text) = play(file.path());
        assert_eq!(code, Some(0));
        for said in [
            "every accepted mail reached every device of its user exactly once",
            "the server's own limit: it works on 240 requests at once, and each held Ping or Sync is 1 of them",
        ] {
            assert!(text.contains(said), "{said}");
        }
    }
    let _sogo = Sogo::start("20", "30");
    let story = Path::new("scenarios/sogo-starved.toml");
    let (code, text) = play(story);
    assert_eq!(code, Some(0));
    for check in [
        "recycle seen",
        "restored",
        "cost",
        "nothing lost",
        "devices.mails_due.p50.aging >= 1.5 * baseline",
        "devices.mails_due.p50.recovered <= 1.5 * baseline + 5",
    ] {
        assert!(text.contains(&format!("  pass     {check}")), "{check}");
    }
    assert!(
        text.contains("a gateway lost the server under ")
            || text.contains("right after the trigger"),
        "the recycle is seen from outside"
    );
    // The same without the recycle, and shorter: what is missing is known at once.
    let without = std::fs::read_to_string(story)
        .unwrap()
        .replace("duration = \"58s\"", "duration = \"15s\"")
        .replace("duration = \"60s\"", "duration = \"15s\"")
        .replace("trigger_command = ", "# trigger_command = ");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), without).unwrap();
    let (code, text) = play(file.path());
    assert_eq!(code, Some(3));
    assert!(text.contains("  FAIL     recycle seen"));
}

/// The rows of the table in `docs/interop.md`: a step, and its outcome for each version.
fn table(versions: usize) -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/interop.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("### Every command").nth(1).unwrap();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells)
        .map(|mut row| {
            assert_eq!(row.len(), 2 + versions, "{row:?}");
            (row.remove(0), row.split_off(1))
        })
        .collect()
}

#[test]
#[ignore = "needs root and the SOGo packages; see .ci/run"]
fn every_command_does_on_sogo_what_the_table_says() {
    /// Each with its column in the table.
    const VERSIONS: [(&str, usize); 4] = [("14.1", 0), ("12.1", 1), ("2.5", 2), ("14.0", 0)];
    let _sogo = Sogo::start("20", "30");
    let rows = table(3);
    assert_eq!(rows.len(), 25);
    let probing: Vec<_> = (11..)
        .zip(VERSIONS)
        .map(|(number, (version, column))| {
            let user = format!("user{number:04}");
            let mut probe = Command::new(program());
            probe
                .args(["probe", "http://127.0.0.1:18080", "--brief", "--commands"])
                .args(["--user", &user, "--versions", version])
                .args(["--mail-to", &format!("{user}@eas.test")])
                .env("EASLOAD_PASSWORD", "secret")
                .stdout(Stdio::piped());
            (version, column, probe.spawn().unwrap())
        })
        .collect();
    for (version, column, probe) in probing {
        let output = probe.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{version}\n{text}");
        let said = text.split("Everything a user can do").nth(1).unwrap();
        for (step, outcomes) in &rows {
            let line = said
                .lines()
                .find(|line| line.starts_with(&format!("{step}  ")));
            let line = line.unwrap_or_else(|| panic!("{version}: no step `{step}`"));
            let outcome = line[step.len()..].trim_start();
            assert!(outcome.starts_with(&outcomes[column]), "{version}: {line}");
        }
    }
}
