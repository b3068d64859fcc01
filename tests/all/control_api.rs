//! The description of the control API, against the running mock: every call of it is made, and what
//! comes back is what it says.

use std::time::Duration;

use mock_server::FrontDoor;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::{eventually, mock};

fn stored() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/mock-server/openapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The schema of a component, with everything it refers to.
fn validator(api: &Value, schema: &Value) -> jsonschema::Validator {
    let mut schema = schema.clone();
    schema["components"] = api["components"].clone();
    jsonschema::validator_for(&schema).unwrap()
}

/// A body for each call that takes one.
fn body(path: &str, method: &str) -> Value {
    match (path, method) {
        ("/faults", "put") => json!([{"fault": "latency", "delay": "1ms", "command": "Ping"}]),
        ("/faults", "post") => json!({"fault": "strand", "probability": 0.5, "trigger": "abandon"}),
        ("/mail", _) => json!({"to": ["load1"], "subject": "s", "body": "b"}),
        ("/clock", _) => json!({"advance": "6h"}),
        ("/users/{name}", _) => {
            json!({"enabled": true, "sync": true, "policy": true, "wipe": false})
        }
        other => panic!("no body for {other:?}"),
    }
}

struct Caller {
    client: reqwest::Client,
    base: String,
}

impl Caller {
    fn new(mock: &FrontDoor) -> Self {
        Self {
            client: mock_client::plain_http().build().unwrap(),
            base: mock.addresses().control.clone(),
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> reqwest::Response {
        let method: Method = method.to_uppercase().parse().unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }
}

#[test]
fn the_stored_description_is_the_program_s() {
    let served = serde_json::to_value(mock_server::openapi()).unwrap();
    assert!(
        stored() == served,
        "write it again: easload schema mock > mock-server/openapi.json"
    );
}

#[tokio::test]
async fn every_call_of_the_description_does_what_it_says() {
    let mock = mock(|config| {
        config.servers = 2;
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
    })
    .await;
    let caller = Caller::new(&mock);
    let api = stored();
    let served = caller.call("get", "/openapi.json", None).await;
    assert_eq!(served.json::<Value>().await.unwrap(), api);
    let mut calls = 0;
    for (path, operations) in api["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            // The mock ends with it; see below.
            if path == "/shutdown" {
                continue;
            }
            let sent = operation.get("requestBody").map(|_| body(path, method));
            if let Some(sent) = &sent {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert!(validator(&api, schema).is_valid(sent), "{path} {sent}");
            }
            let concrete = path.replace("{server}", "2").replace("{name}", "load1");
            if concrete.ends_with("kill-worker") || concrete.ends_with("recycle") {
                // Those before may have left a pool without a worker for a moment.
                eventually("both serve", || async {
                    let truth = mock.truth();
                    let running = truth.workers.iter().filter(|one| one.state == "running");
                    truth.pools == ["running", "running"] && running.count() == 2
                })
                .await;
            }
            let answer = caller.call(method, &concrete, sent).await;
            let status = answer.status().as_u16();
            let described = &operation["responses"][status.to_string()];
            assert!(described.is_object(), "{method} {path}: {status}");
            assert!(status < 300, "{method} {path}: {status}");
            let text = answer.text().await.unwrap();
            match described.get("content") {
                None => assert_eq!(text, "", "{method} {path}"),
                Some(content) if content.get("text/plain").is_some() => {
                    assert!(!text.is_empty(), "{method} {path}");
                }
                Some(content) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    let schema = &content["application/json"]["schema"];
                    let validator = validator(&api, schema);
                    let errors: Vec<String> = validator
                        .iter_errors(&value)
                        .map(|error| format!("{}: {error}", error.instance_path()))
                        .collect();
                    assert!(errors.is_empty(), "{method} {path}: {errors:#?}");
                }
            }
            // A stopped pool would refuse what comes after it in the alphabet.
            if concrete.ends_with("/pool/stop") {
                let start = concrete.replace("stop", "start");
                caller.call("post", &start, None).await;
            }
            calls += 1;
        }
    }
    assert!(calls >= 35, "{calls}");
    let unknown = caller.call("get", "/servers/3/metrics", None).await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("from 1 to 2"));
    for (method, path) in [
        ("post", "/servers/0/pool/stop"),
        ("post", "/servers/9/kill-worker"),
        ("get", "/nonsense"),
    ] {
        assert_eq!(
            caller.call(method, path, None).await.status(),
            404,
            "{path}"
        );
    }
    let asked = caller.call("post", "/shutdown", None).await;
    assert_eq!(asked.status(), 204);
    mock.asked_to_stop().await;
    mock.shutdown().await;
}

/// What the description refuses, the mock refuses: 422, and the values stay as they were.
#[tokio::test]
async fn what_the_schema_of_a_fault_refuses_the_mock_refuses() {
    let mock = mock(|_| {}).await;
    let caller = Caller::new(&mock);
    let api = stored();
    let schema = &api["components"]["schemas"]["Fault"];
    for (wrong, schema_knows) in [
        (json!({"fault": "lightning"}), true),
        (json!({"fault": "strand", "probability": 2}), true),
        (json!({"fault": "strand", "probabillity": 0.5}), true),
        (json!({"probability": 0.5}), true),
        (json!({"fault": "latency", "delay": 5}), true),
        (json!({"fault": "latency"}), false),
        (json!({"fault": "error", "status": 200}), false),
        (json!({"fault": "stop-pool", "user": "load1"}), false),
    ] {
        let is_valid = validator(&api, schema).is_valid(&wrong);
        assert_eq!(!is_valid, schema_knows, "{wrong}");
        let answer = caller.call("post", "/faults", Some(wrong.clone())).await;
        assert_eq!(answer.status(), 422, "{wrong}");
        assert!(!answer.text().await.unwrap().is_empty(), "{wrong}");
    }
    let faults = caller.call("get", "/faults", None).await;
    assert_eq!(faults.json::<Value>().await.unwrap(), json!([]));
    mock.shutdown().await;
}
