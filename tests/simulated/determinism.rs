//! The same seed gives the same bytes, in whichever process and on whichever machine.

use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A pool that recycles at a time of the day. A simulation begins at 08:00 UTC, and a second is an hour of
/// the pool's life.
const DAILY: &str = "
name = \"daily\"
[mock]
time_scale = 3600
min_heartbeat = \"1s\"
[mock.pool]
schedule = [\"14:00\"]
shutdown_time_limit = \"1s\"
[devices]
count = 20
heartbeat = \"2s\"
ramp = \"1s\"
[mail]
rate = 10
[[phase]]
kind = \"ramp\"
duration = \"1s\"
[[phase]]
kind = \"baseline\"
duration = \"4s\"
[[phase]]
kind = \"recycle\"
duration = \"4s\"
trigger = \"observe\"
[checks]
symptom = \"any\"
recycle = \"by-policy\"
";

/// A simulation in a process of its own.
struct Simulation {
    child: Child,
    runs: TempDir,
}

impl Simulation {
    fn start(scenario: &[&str], seed: u64, time_zone: &str) -> Self {
        let runs = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_easload"))
            .arg("simulate")
            .args(scenario)
            .args(["--seed", &seed.to_string(), "--runs"])
            .arg(runs.path())
            .env("TZ", time_zone)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, runs }
    }

    /// The bytes of its record and of its timeline.
    fn files(self) -> [Vec<u8>; 2] {
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let mut directories = std::fs::read_dir(self.runs.path()).unwrap();
        let directory = directories.next().expect(&said).unwrap().path();
        ["run.json", "timeline.jsonl.gz"].map(|name| std::fs::read(directory.join(name)).unwrap())
    }
}

fn scenario(name: &str) -> String {
    format!("{}/scenarios/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Processes have other addresses and other seeds of their hash tables. These two also have other time zones,
/// and run beside each other.
fn in_two_processes(scenario: &[&str], seeds: [u64; 2]) -> [[Vec<u8>; 2]; 2] {
    let [first, second] = seeds;
    let first = Simulation::start(scenario, first, "UTC");
    let second = Simulation::start(scenario, second, "Asia/Tokyo");
    [first.files(), second.files()]
}

#[test]
fn a_seed_gives_the_same_bytes_in_another_process() {
    for (name, options) in [
        ("symptom-ports.toml", &[][..]),
        ("control-loses-mail.toml", &[]),
        // Faults that strike a share of the requests make it matter in which order tasks are woken.
        ("symptom-active-requests.toml", &["--faults", "any"]),
    ] {
        let scenario = scenario(name);
        let arguments = [&[&*scenario], options].concat();
        let [first, second] = in_two_processes(&arguments, [7, 7]);
        assert!(first[0] == second[0], "{name}: the records differ");
        assert!(first[1] == second[1], "{name}: the timelines differ");
        let record: Value = serde_json::from_slice(&first[0]).unwrap();
        assert_eq!(record["simulated"], true);
        assert_eq!(record["state"], "complete");
    }
}

#[test]
fn another_seed_gives_other_bytes() {
    let [first, second] = in_two_processes(&[&scenario("symptom-ports.toml")], [7, 8]);
    assert!(first[0] != second[0] && first[1] != second[1]);
}

#[test]
fn the_machine_s_time_zone_does_not_move_a_recycle_at_a_time_of_day() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daily.toml");
    for (zone, hours) in [
        ("", 6.0),
        // It is 09:00 there when the simulation begins.
        ("time_zone = \"Europe/Berlin\"\n", 5.0),
    ] {
        std::fs::write(&file, DAILY.replace("[mock]\n", &format!("[mock]\n{zone}"))).unwrap();
        let [first, second] = in_two_processes(&[file.to_str().unwrap()], [1, 1]);
        assert!(first == second, "{zone}: records or timelines differ");
        let record: Value = serde_json::from_slice(&first[0]).unwrap();
        assert_eq!(record["due"][0]["at"], "2026-01-05 14:00:00");
        let due = record["due"][0]["t"].as_f64().unwrap();
        assert!((due - hours).abs() < 0.01, "{zone}: due at {due} s");
        // The pool looks at its schedule each minute, and the run at the pool each second.
        let seen = record["recycles"][0]["t"].as_f64().unwrap();
        assert!(
            (hours..=hours + 2.0).contains(&seen),
            "{zone}: seen at {seen} s"
        );
    }
}
