//! A simulation does nothing outside of itself.

use easload::run::simulatable;
use scenario::{TargetPlan, Trigger, parse};

use crate::record::outcome;
use crate::world::play;

#[test]
fn a_trigger_command_and_logs_of_the_mock_stay_outside_of_a_simulation() {
    let folder = tempfile::tempdir().unwrap();
    let (called, logs) = (folder.path().join("called"), folder.path().join("logs"));
    let text = format!(
        "name = \"outside\"\n[mock]\nmin_heartbeat = \"1s\"\nlogs = {logs:?}\n[mock.pool]\n\
         shutdown_time_limit = \"1s\"\n[devices]\ncount = 4\nheartbeat = \"2s\"\nramp = \"100ms\"\n\
         [[phase]]\nkind = \"baseline\"\nduration = \"4s\"\n[[phase]]\nkind = \"recycle\"\nduration = \"4s\"\n\
         trigger_command = \"touch {}\"\n[checks]\nsymptom = \"any\"\n",
        called.display()
    );
    let plan = parse("outside.toml", &text).unwrap();
    assert!(matches!(plan.phases[1].trigger, Trigger::Command(_)));
    let simulatable = simulatable(plan);
    assert_eq!(simulatable.changes.len(), 2, "{:?}", simulatable.changes);
    let record = play(simulatable.plan, 1).record();
    assert_eq!(outcome(&record, "recycle seen"), "pass");
    assert!(!called.exists() && !logs.exists());
}

/// The mock in place of a real server: whether it is a fixed one, and what share of abandoned Pings it strands.
fn in_place_of_a_server(symptom: &str) -> (bool, f64) {
    let text = format!(
        "name = \"outside\"\n[target]\nurl = \"https://mail.lab.example\"\n[devices]\ncount = 4\nuser = \"u#\"\n\
         password_env = \"NONE\"\n[[phase]]\nkind = \"baseline\"\nduration = \"4s\"\n[[phase]]\nkind = \"aging\"\n\
         duration = \"4s\"\nabandon = {{ share = 0.5, after = \"1s\" }}\n[checks]\nsymptom = \"{symptom}\"\n"
    );
    let plan = simulatable(parse("outside.toml", &text).unwrap()).plan;
    let TargetPlan::Mock(config) = &plan.target else {
        panic!("{:?}", plan.target);
    };
    (config.fixed, plan.phases[1].strand)
}

#[test]
fn mock_in_place_of_a_server_strands_unless_the_scenario_expects_no_symptom() {
    assert_eq!(in_place_of_a_server("absent"), (true, 0.0));
    for symptom in ["expected", "any"] {
        assert_eq!(in_place_of_a_server(symptom), (false, 1.0), "{symptom}");
    }
}
