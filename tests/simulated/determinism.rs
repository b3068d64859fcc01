//! The same seed gives the same bytes.

use std::io::Read as _;
use std::path::Path;

use crate::world::{plan, play};

fn timeline(directory: &Path) -> String {
    let file = std::fs::File::open(directory.join("timeline.jsonl.gz")).unwrap();
    let mut text = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(file);
    reader.read_to_string(&mut text).unwrap();
    text
}

/// Threads of their own give the hash tables other seeds, and other runs beside them another timing.
#[test]
fn a_seed_gives_the_same_timeline_and_record_each_time() {
    for scenario in ["symptom-ports.toml", "control-loses-mail.toml"] {
        let both: Vec<_> = (0..2)
            .map(|_| std::thread::spawn(move || play(plan(scenario), 7)))
            .collect();
        let both: Vec<_> = both.into_iter().map(|one| one.join().unwrap()).collect();
        let [first, second] = both.as_slice() else {
            panic!("two runs");
        };
        assert!(
            timeline(&first.directory()) == timeline(&second.directory()),
            "{scenario}: the timelines differ"
        );
        assert_eq!(first.record(), second.record(), "{scenario}");
        assert_eq!(first.record()["simulated"], true);
    }
}

#[test]
fn another_seed_gives_another_timeline() {
    let scenario = "symptom-ports.toml";
    let (first, second) = (play(plan(scenario), 7), play(plan(scenario), 8));
    assert_ne!(
        timeline(&first.directory()),
        timeline(&second.directory()),
        "the seed decides"
    );
}
