//! A hundred recycles under load: no mailbox state is lost.

use scenario::parse;
use serde_json::Value;

use crate::world::play;

/// The pool's policy recycles once a second.
const SCENARIO: &str = "
name = \"endurance\"
[mock]
time_scale = 3600
min_heartbeat = \"1s\"
poll_interval = \"100ms\"
[mock.pool]
time = \"1h\"
shutdown_time_limit = \"60ms\"
[devices]
count = 40
heartbeat = \"5s\"
grace = \"5s\"
retry = \"100ms..2s\"
ramp = \"1s\"
[mail]
rate = 20
late_after = \"20s\"
[[phase]]
kind = \"baseline\"
duration = \"110s\"
[checks]
symptom = \"any\"
recycle = \"any\"
";

#[test]
fn a_hundred_recycles_under_load_lose_no_mail_and_double_none() {
    let record = play(parse("endurance.toml", SCENARIO).unwrap(), 1).record();
    let phase = &record["phases"][0];
    let recycles = phase["levels"]["server.recycles"]["last"].as_f64().unwrap();
    assert!(recycles >= 100.0, "{recycles} recycles");
    let counts = &phase["counts"];
    let cut = counts["pings_cut"].as_u64().unwrap();
    assert!(cut > 1000, "{cut} Pings cut");
    // Cut Pings are the price; no device had to start anew.
    assert_eq!(counts.get("sync_key_resets"), None);
    let checks = record["checks"].as_array().unwrap();
    let lost = checks.iter().find(|check| check["name"] == "nothing lost");
    assert_eq!(lost.unwrap()["outcome"], "pass");
    assert_eq!(record["totals"]["missing_mails"], Value::Array(Vec::new()));
}
