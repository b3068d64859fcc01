//! SIGKILL at any moment: what was measured is on disk, but for the second that was just told.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::time::Instant;
use verdict::report::{RunRecord, digest};

use crate::fixtures::{program, together};

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
/// Seconds of measurements that a kill costs at most, where the machine keeps time.
const MOST_LOST: f64 = 2.0;
const KILLS: usize = 50;
/// The most runs at the same time. They wait more than they work, but a busy machine is slow to start them.
const TOGETHER: usize = 8;

/// A run that was killed.
struct Killed {
    /// The last second that is on disk.
    until: f64,
    /// The intervals that are on disk.
    kept: usize,
    /// The intervals that were told.
    told: usize,
}

/// Kills a run so long after it began.
#[expect(
    clippy::disallowed_methods,
    reason = "the moment of the kill is real time, as the run's is"
)]
fn killed_after(delay: Duration) -> Killed {
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
    let reader = std::thread::spawn(move || {
        let lines = lines.map_while(Result::ok);
        lines.filter(|line| line.contains("s baseline")).count()
    });
    std::thread::sleep(delay.saturating_sub(began.elapsed()));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
    let directory = runs.next().unwrap().unwrap().path();
    RunRecord::load(&directory).expect("it can be reported");
    let digest = digest(&directory).unwrap();
    Killed {
        until: digest.intervals.last().map_or(0.0, |interval| interval.t),
        kept: digest.intervals.len(),
        told: reader.join().unwrap(),
    }
}

#[test]
fn fifty_kills_lose_nothing_that_was_told_but_the_last_second() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(50);
    let delays: Vec<Duration> = (0..KILLS)
        .map(|_| Duration::from_millis(random.random_range(0..4500)))
        .collect();
    let (mut late, mut most_told) = (0, 0);
    let next = AtomicUsize::new(0);
    let killer = |_| {
        let take = || delays.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take)
            .map(|delay| (*delay, killed_after(*delay)))
            .collect::<Vec<_>>()
    };
    for (delay, killed) in together(0..TOGETHER, killer).into_iter().flatten() {
        let Killed { until, kept, told } = killed;
        // A second is told just before it is written.
        assert!(
            kept + 1 >= told,
            "killed after {delay:?}: {told} s were told, {kept} s are on disk"
        );
        most_told = most_told.max(told);
        late += usize::from(delay.as_secs_f64() - until > MOST_LOST);
    }
    assert!(most_told > 0, "nothing was told at all");
    // A busy machine that also starts other runs may be late with a second.
    assert!(late <= KILLS / 10, "{late} of {KILLS} lost more");
}
