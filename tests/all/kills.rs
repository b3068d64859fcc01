//! SIGKILL at any moment: what was measured is on disk, but for the last two seconds.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use easload::report::digest;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::time::Instant;

use crate::fixtures::program;

const SCENARIO: &str = "
name = \"killed\"
[mock]
min_heartbeat = \"1s\"
[devices]
count = 5
heartbeat = \"2s\"
[[phase]]
kind = \"baseline\"
duration = \"60s\"
";
/// Seconds of measurements that a kill may cost.
const MOST_LOST: f64 = 2.0;
const KILLS: usize = 50;
/// At once: a start is what a busy machine is slow with.
const TOGETHER: usize = 5;

/// Kills a run so long after it began; gives the seconds that are on disk.
#[expect(
    clippy::disallowed_methods,
    reason = "the moment of the kill is real time, as the run's is"
)]
fn killed_after(delay: Duration) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("killed.toml");
    std::fs::write(&scenario, SCENARIO).unwrap();
    let mut child = Command::new(program())
        .args(["run", "--runs"])
        .arg(folder.path().join("runs"))
        .arg(&scenario)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The recorder has started when this is said.
    let begun = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.starts_with("run directory"));
    assert!(begun.is_some(), "the run did not begin");
    let began = Instant::now();
    std::thread::spawn(move || lines.for_each(drop));
    std::thread::sleep(delay.saturating_sub(began.elapsed()));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
    let directory = runs.next().unwrap().unwrap().path();
    let digest = digest(&directory).unwrap();
    digest.intervals.last().map_or(0.0, |interval| interval.t)
}

#[test]
fn fifty_kills_lose_at_most_two_seconds_each() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(50);
    let delays: Vec<Duration> = (0..KILLS)
        .map(|_| Duration::from_millis(random.random_range(0..4500)))
        .collect();
    for some in delays.chunks(TOGETHER) {
        let kills: Vec<_> = some
            .iter()
            .map(|delay| {
                let delay = *delay;
                (delay, std::thread::spawn(move || killed_after(delay)))
            })
            .collect();
        for (delay, kill) in kills {
            let kept = kill.join().unwrap();
            let lost = delay.as_secs_f64() - kept;
            assert!(
                lost <= MOST_LOST,
                "killed after {delay:?}, {kept} s are on disk"
            );
        }
    }
}
