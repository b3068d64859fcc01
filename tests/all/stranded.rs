//! The estimate of stranded requests against what the mock knows for certain. The mock is a server
//! like any other here: the harness is not told what it is.

use std::process::Command;

use mock_api::{Fault, Topology};
use serde_json::Value;

use crate::fixtures::{mock, program};

const SCENARIO: &str = "
name = \"estimate\"
[target]
url = \"URL\"
[observe]
back_end_port = BACK_END
[[observe.source]]
url = \"CONTROL/metrics\"
[devices]
count = 150
users = 75
user = \"load####\"
password_env = \"EASLOAD_TEST_PASSWORD\"
heartbeat = \"3s\"
grace = \"3s\"
retry = \"200ms..1s\"
ramp = \"2s\"
[[phase]]
kind = \"ramp\"
duration = \"3s\"
[[phase]]
kind = \"baseline\"
duration = \"7s\"
[[phase]]
kind = \"aging\"
duration = \"8s\"
abandon = { share = 0.6, after = \"300ms..1500ms\", away = \"0s..500ms\", fin = 2, rst = 1 }
[[phase]]
kind = \"settle\"
duration = \"4s\"
[[phase]]
kind = \"recovered\"
duration = \"5s\"
[checks]
symptom = \"any\"
recycle = \"any\"
";

/// One server counts every Ping twice, front end and back end on two servers once: the harness finds that out by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_estimate_matches_the_truth_in_every_topology() {
    tokio::join!(
        estimate_matches(Topology::OneServer, "2 for each"),
        estimate_matches(Topology::TwoServers, "1 for each"),
    );
}

async fn estimate_matches(topology: Topology, per_ping: &str) {
    let mock = mock(|config| {
        config.topology = topology;
        config.faults = vec![Fault::strand(1.0)];
    })
    .await;
    let addresses = mock.addresses().clone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("estimate.toml");
    let text = SCENARIO
        .replace("URL", &addresses.url)
        .replace("CONTROL", &addresses.control)
        .replace("BACK_END", &addresses.back_end.port().to_string());
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program());
    command
        .args(["run", "--quiet", "--seed", "9", "--runs"])
        .arg(folder.path().join("runs"))
        .arg(&file)
        .env("EASLOAD_TEST_PASSWORD", "secret");
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let run = std::fs::read_dir(folder.path().join("runs")).expect(&said);
    let directory = run.into_iter().next().unwrap().unwrap().path();
    let record: Value =
        serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap();
    let basis = record["stranded_basis"].as_str().unwrap();
    assert!(basis.contains(per_ping), "{basis}");

    let truth: u64 = mock
        .truth()
        .workers
        .iter()
        .map(|worker| worker.counts.stranded)
        .sum();
    assert!(truth > 100, "{truth}");
    let phases = record["phases"].as_array().unwrap();
    let last = phases
        .iter()
        .find(|phase| phase["phase"] == "recovered")
        .unwrap();
    let level = |name: &str| last["levels"][name]["median"].as_f64().unwrap();
    // Within one in a hundred or three requests.
    let allowed = (truth as f64 / 100.0).max(3.0);
    let estimate = level("stranded");
    assert!(
        (estimate - truth as f64).abs() <= allowed,
        "{estimate} of {truth}"
    );
    assert!(level("stranded.low") <= truth as f64 + allowed);
    assert!(level("stranded.high") >= truth as f64 - allowed);
    let source = &record["sources"][0];
    // The mock is in this process, beside whatever else is tested: an answer may be late.
    assert!(source["failures"].as_u64().unwrap() <= 2, "{source}");
    assert!(source["readings"].as_u64().unwrap() > 15, "{source}");
    mock.shutdown().await;
}
