//! What recycles the pool: commands with their recipes, web hooks, the policy.

use std::path::Path;
use std::process::Command;

use easload::trigger::{TriggerError, pull};
use scenario::{Trigger, parse};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixtures::write_executable;

const SCENARIO: &str = "
name = \"recipe\"
[target]
url = \"https://ex01.lab.example\"
[devices]
count = 10
user = \"load##\"
password_env = \"PASSWORD\"
[[phase]]
kind = \"baseline\"
duration = \"1m\"
";

/// The scenario parts that docs/triggers.md shows.
fn recipes() -> Vec<String> {
    let text = include_str!("../../docs/triggers.md");
    text.split("```toml\n")
        .skip(1)
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

fn trigger(recipe: &str) -> Trigger {
    let folder = tempfile::tempdir().unwrap();
    // The policy recipe names a file that the user has.
    let config = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/iis/tests/data/exchange2016-applicationHost.config");
    let text = std::fs::read_to_string(config).unwrap();
    let text = text.replacen(
        "<periodicRestart time=\"00:00:00\" />",
        "<periodicRestart time=\"1.00:00:00\" />",
        usize::MAX,
    );
    std::fs::write(folder.path().join("applicationHost.config"), text).unwrap();
    let file = folder.path().join("recipe.toml");
    let plan = parse(
        &file.display().to_string(),
        &format!("{SCENARIO}\n{recipe}"),
    );
    let plan = plan.unwrap_or_else(|error| panic!("{recipe}\n{error}"));
    plan.phases[1].trigger.clone()
}

#[test]
fn every_recipe_of_the_documentation_is_a_scenario() {
    let triggers: Vec<Trigger> = recipes().iter().map(|recipe| trigger(recipe)).collect();
    assert_eq!(triggers.len(), 8);
    assert!(triggers.contains(&Trigger::Observe));
    let commands = triggers
        .iter()
        .filter(|trigger| matches!(trigger, Trigger::Command(_)));
    assert_eq!(commands.count(), 6);
}

/// Programs of these names that write down how they were called.
#[cfg(unix)]
fn stand_ins(folder: &Path) {
    for name in ["pwsh", "powershell", "winrs", "ssh"] {
        let file = folder.join(name);
        let log = folder.join("calls");
        let script = format!(
            "#!/bin/sh\n{{ printf '%s' {name}; for one in \"$@\"; do printf '|%s' \"$one\"; done; echo; }} >> {}\n",
            log.display()
        );
        write_executable(&file, script.as_bytes());
    }
}

/// Each command reaches its program in the pieces that it should: quotes and backslashes are where
/// such recipes break.
#[cfg(unix)]
#[test]
fn recipes_reach_their_programs_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    stand_ins(folder.path());
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    for recipe in recipes() {
        let Trigger::Command(line) = trigger(&recipe) else {
            continue;
        };
        // appcmd by its path is for cmd.exe, which takes backslashes as they are.
        if line.starts_with('C') || line.starts_with("winrs") {
            continue;
        }
        let status = Command::new("sh")
            .args(["-c", &line])
            .env("PATH", &path)
            .status()
            .unwrap();
        assert!(status.success(), "{line}");
    }
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let block = "{ Import-Module WebAdministration; Restart-WebAppPool MSExchangeSyncAppPool }";
    let appcmd = "C:/Windows/System32/inetsrv/appcmd.exe|recycle|apppool|/apppool.name:MSExchangeSyncAppPool";
    let expected = [
        format!(
            "powershell|-NoProfile|-NonInteractive|-Command|Invoke-Command -ComputerName EX01 -ErrorAction Stop -ScriptBlock {block}"
        ),
        format!(
            "pwsh|-NoProfile|-NonInteractive|-Command|Invoke-Command -HostName EX01 -UserName admin -ErrorAction Stop -ScriptBlock {block}"
        ),
        format!("ssh|-o|BatchMode=yes|admin@EX01|{appcmd}"),
        format!("ssh|-o|BatchMode=yes|admin@EX01|{appcmd}"),
        format!("ssh|-o|BatchMode=yes|admin@EX02|{appcmd}"),
    ];
    assert_eq!(calls.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_web_hook_is_posted_to_with_its_token() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/hooks/recycle"))
        .and(header("authorization", "Bearer PATHLIKE"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&server)
        .await;
    let client = mock_client::plain_http().build().unwrap();
    let hook = |path: &str, token: Option<&str>| Trigger::Hook {
        url: format!("{}{path}", server.uri()),
        token_env: token.map(str::to_owned),
    };
    // The variable that every test process has.
    let right = hook("/hooks/recycle", Some("CARGO_MANIFEST_DIR"));
    let refused = pull(&right, None, &client).await.unwrap_err();
    assert!(matches!(&refused, TriggerError::Hook { .. }));
    assert!(
        refused.to_string().contains("404"),
        "the token is another: {refused}"
    );
    let missing = hook("/hooks/recycle", Some("EASLOAD_NO_SUCH_VARIABLE"));
    let error = pull(&missing, None, &client).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("EASLOAD_NO_SUCH_VARIABLE is not set"),
        "{error}"
    );
    Mock::given(method("POST"))
        .and(path("/open"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    pull(&hook("/open", None), None, &client).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let sent = requests[0].headers["authorization"].to_str().unwrap();
    assert_eq!(sent, format!("Bearer {}", env!("CARGO_MANIFEST_DIR")));
}

#[test]
fn mistakes_of_triggers_and_policies_are_told() {
    let problems = |more: &str| {
        let error = parse("x.toml", &format!("{SCENARIO}\n{more}")).unwrap_err();
        error.lines().join("\n")
    };
    let phase = "[[phase]]\nkind = \"recycle\"\nduration = \"1m\"\n";
    for (more, part) in [
        (format!("{phase}trigger = \"mock\""), "trigger_url"),
        (format!("{phase}trigger = \"pray\""), "\"manual\""),
        (format!("{phase}trigger_url = \"ftp://x\""), "expected http"),
        (
            format!("{phase}trigger_token_env = \"X\""),
            "trigger_url, which is missing",
        ),
        (
            format!("{phase}trigger = \"manual\"\ntrigger_command = \"x\""),
            "name one of",
        ),
        (
            "[checks]\nrecycle = \"by-policy\"".to_owned(),
            "needs a policy",
        ),
        (
            "[policy]\nfile = \"absent.config\"".to_owned(),
            "absent.config",
        ),
        (
            "[policy]\nstarted = \"yesterday\"".to_owned(),
            "expected a time",
        ),
        ("[policy]\ntime_zone = \"Atlantis\"".to_owned(), "IANA"),
        (
            "[policy]\nschedule = [\"25:00\"]".to_owned(),
            "times of day",
        ),
        (
            "[[observe.source]]\nurl = \"x\"".to_owned(),
            "expected http",
        ),
        ("[[observe.source]]\ncommand = \"x\"".to_owned(), "format"),
        (
            "[[observe.source]]\nurl = \"http://x\"\npath = \"y\"".to_owned(),
            "exactly one",
        ),
        (
            "[[observe.source]]\nurl = \"http://x\"\nevery = \"10s\"\nstale_after = \"5s\""
                .to_owned(),
            "at least the period",
        ),
        (
            "[checks]\nthresholds = [\"sinc.p99 < 1s\"]".to_owned(),
            "did you mean `sync`",
        ),
        (
            "[checks]\nthresholds = [\"sync.p99.aging < 1s\"]".to_owned(),
            "no aging phase",
        ),
    ] {
        let said = problems(&more);
        assert!(said.contains(part), "{more}\n{said}");
    }
}
