//! Plays scenarios in simulated worlds.

use std::path::Path;

use easload::run::{Finished, Interrupt, Options, simulatable, simulate};
use scenario::{Plan, parse};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

/// The plan of a scenario file, as a simulation plays it.
pub(crate) fn plan(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scenarios")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let plan = parse(&path.to_string_lossy(), &text).unwrap();
    simulatable(plan).plan
}

/// A run that was played, with its directory.
pub(crate) struct Played {
    pub(crate) finished: Finished,
    _runs: TempDir,
}

impl Played {
    /// `run.json`, as it was written.
    pub(crate) fn record(&self) -> Value {
        let path = self.finished.directory.join("run.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
}

/// Plays a plan with a seed. Panics with each invariant that is broken.
pub(crate) fn play(plan: Plan, seed: u64) -> Played {
    play_in(plan, seed, false, true)
}

/// The same with a server for which invariants do not hold: it loses mail and keys by what it is.
pub(crate) fn play_lossy(plan: Plan, seed: u64) -> Played {
    play_in(plan, seed, false, false)
}

/// The same with faults that the seed draws.
pub(crate) fn play_with_faults(plan: Plan, seed: u64) -> Played {
    play_in(plan, seed, true, true)
}

fn play_in(plan: Plan, seed: u64, faults: bool, has_invariants: bool) -> Played {
    let runs = tempfile::tempdir().unwrap();
    let options = Options {
        runs: Some(runs.path().to_owned()),
        seed: Some(seed),
        quiet: true,
        metrics: None,
        faults,
    };
    let mix = if faults { " --faults any" } else { "" };
    let again = format!(
        "easload simulate scenarios/{}.toml{mix} --seed {seed}",
        plan.name
    );
    let (_signal, interrupt) = watch::channel(Interrupt::None);
    let finished = simulate(plan, &options, interrupt).unwrap();
    let broken = finished.broken.join("\n");
    assert!(
        !has_invariants || broken.is_empty(),
        "{broken}\nrepeat it with `{again}`"
    );
    Played {
        finished,
        _runs: runs,
    }
}
