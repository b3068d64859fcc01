//! Faults of the mock that are in force at the same time.

use mock_api::fault::MAX_FAULTS;
use scenario::parse;

/// A scenario with `whole_run` faults in its whole run and `phase` faults in its second phase.
fn scenario(whole_run: usize, phase: usize, strand: f64) -> String {
    let of_run = "[[mock.fault]]\nfault = \"reset\"\n".repeat(whole_run);
    let of_phase = "[[phase.fault]]\nfault = \"reset\"\n".repeat(phase);
    format!(
        "name = \"x\"\n[mock]\n{of_run}[devices]\ncount = 1\n[[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n\
         [[phase]]\nkind = \"aging\"\nduration = \"1s\"\nstrand = {strand}\n{of_phase}"
    )
}

fn mistakes(text: &str) -> Vec<String> {
    parse("x.toml", text).map_or_else(|error| error.lines(), |_| Vec::new())
}

#[test]
fn as_many_faults_as_the_mock_takes_are_no_mistake() {
    assert_eq!(mistakes(&scenario(MAX_FAULTS, 0, 0.0)), [""; 0]);
    assert_eq!(mistakes(&scenario(MAX_FAULTS - 2, 1, 1.0)), [""; 0]);
}

/// The mock would refuse them when the phase begins.
#[test]
fn too_many_faults_in_a_phase_are_a_mistake_of_that_phase() {
    for (whole_run, phase, strand) in [
        (MAX_FAULTS, 1, 0.0),
        (MAX_FAULTS, 0, 0.5),
        (0, MAX_FAULTS + 1, 0.0),
    ] {
        let lines = mistakes(&scenario(whole_run, phase, strand));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let expected = "phase[2].fault: expected at most 1000 faults in force, with those of the whole run and a share \
                        of strands; found 1001";
        assert!(lines[0].contains(expected), "{lines:?}");
    }
}

#[test]
fn too_many_faults_of_the_whole_run_are_one_mistake() {
    let lines = mistakes(&scenario(MAX_FAULTS + 1, 1, 0.0));
    assert_eq!(lines.len(), 1, "{lines:?}");
    let expected = "mock.fault: expected at most 1000 faults in force, found 1001";
    assert!(lines[0].contains(expected), "{lines:?}");
}
