//! Bearer tokens: where they come from, how they are renewed, and who is to blame.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use client::device::{
    Authorization, Client, Fetching, Identity, Life, NoToken, Refusals, Token, TokenSource, Tokens,
    Trouble, device_random,
};
use scenario::TlsOptions;
use wiremock::matchers::{any, body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::entry::{Deaf, lean, options_answer};
use crate::fixtures::{MockProgram, identity, profile, program, together};

/// Takes `USER.hush` for the user's token.
fn token_mock() -> MockProgram {
    MockProgram::start(&[
        "--scenario",
        "scenarios/healthy.toml",
        "--bearer-token",
        "hush",
    ])
}

/// Gives `t1`, `t2` and so on.
struct Numbered(AtomicU32);

impl TokenSource for Numbered {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Token {
                value: format!("t{number}"),
                lasts: None,
            })
        })
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_a_second_refusal_is_the_users() {
    let server = MockServer::start().await;
    Mock::given(header("Authorization", "Bearer t2"))
        .respond_with(options_answer())
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    let tokens = Arc::new(Tokens::new(Numbered(AtomicU32::new(0))));
    let refusals = Arc::new(Refusals::new(1, 1, 1.0));
    let token_client = || {
        let identity = Identity {
            authorization: Authorization::Token(Arc::clone(&tokens)),
            ..(*identity(0, "")).clone()
        };
        Client::new(
            lean(&server.uri(), &TlsOptions::default()),
            Arc::new(identity),
            profile(5),
            Arc::clone(&refusals),
            Arc::new(Deaf),
        )
    };
    let mut first = token_client();
    assert_eq!(first.options().await.unwrap_err(), Trouble::Renew);
    first.options().await.unwrap();
    assert!(refusals.stopped().is_empty(), "nobody is to blame");
    // Another device of the user has the new token from the start.
    token_client().options().await.unwrap();

    server.reset().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    let mut second = token_client();
    assert_eq!(second.options().await.unwrap_err(), Trouble::Renew);
    let trouble = second.options().await.unwrap_err();
    assert!(matches!(trouble, Trouble::Http { .. }), "{trouble:?}");
    assert_eq!(refusals.stopped(), [0]);
}

/// Plays a scenario of three seconds with two devices and says what it said.
fn play(url: &str, devices: &str, variable: Option<(&str, &str)>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = \"t\"\n[target]\nurl = \"{url}\"\n[devices]\ncount = 2\nretry = \"50ms..200ms\"\n\
         ramp = \"100ms\"\nheartbeat = \"2s\"\n{devices}\n[[phase]]\nkind = \"baseline\"\nduration = \"3s\"\n"
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let output = std::process::Command::new(program())
        .args(["run", "s.toml"])
        .current_dir(folder.path())
        .envs(variable)
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn tokens_come_from_a_command_and_are_never_shown() {
    let mock = token_mock();
    let command = "user = \"load{0001..0002}\"\ntoken_command = \"echo $EASLOAD_USER.hush\"\n";
    let said = play(&mock.addresses.url, command, None);
    assert!(!said.contains("HTTP 401"), "{said}");
    assert!(said.contains("tokens fetched"), "{said}");
    let command = "user = \"load{0001..0002}\"\ntoken_command = \"echo hush >&2; exit 3\"\n";
    let said = play(&mock.addresses.url, command, None);
    assert!(said.contains("devices.token_command"), "{said}");
    // The command itself is in the message; what it printed is not.
    assert!(!said.contains(": hush"), "{said}");
}

/// A server gets 10 s for its first answers.
#[test]
fn a_token_that_takes_11_s_is_no_silence_of_the_server() {
    let mock = token_mock();
    let command = "user = \"load0001\"\ntoken_command = \"sleep 11; echo $EASLOAD_USER.hush\"\n";
    let said = play(&mock.addresses.url, command, None);
    assert!(!said.contains("within 10 s"), "{said}");
    assert!(said.contains("Pings held"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_from_an_oauth_endpoint() {
    let mock = token_mock();
    let endpoint = MockServer::start().await;
    let answer = serde_json::json!({
        "access_token": "load0001.hush", "token_type": "Bearer", "expires_in": 3600
    });
    Mock::given(method("POST"))
        .and(path("/token"))
        .and(body_string_contains(
            "grant_type=client_credentials&client_id=easload&client_secret=topsecret",
        ))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&endpoint)
        .await;
    let devices = |path: &str| {
        format!(
            "user = \"load0001\"\n[devices.oauth]\nendpoint = \"{}{path}\"\ngrant = \"client_credentials\"\n\
             client_id = \"easload\"\nclient_secret_env = \"TOKEN_SECRET\"\n",
            endpoint.uri()
        )
    };
    let url = mock.addresses.url.clone();
    let (good, wrong) = (devices("/token"), devices("/nowhere"));
    let said = tokio::task::spawn_blocking(move || {
        let secret = Some(("TOKEN_SECRET", "topsecret"));
        let cases = [(&good, secret), (&wrong, secret), (&good, None)];
        together(cases, |(devices, secret)| play(&url, devices, secret))
    })
    .await
    .unwrap();
    assert!(!said[0].contains("HTTP 401"), "{}", said[0]);
    assert!(said[0].contains("Pings held"), "{}", said[0]);
    assert!(said[1].contains("/nowhere: HTTP 404"), "{}", said[1]);
    assert!(
        said[2].contains("client_secret_env, is not set"),
        "{}",
        said[2]
    );
    assert!(said.iter().all(|text| !text.contains("topsecret")));
    let asked = endpoint.received_requests().await.unwrap();
    let good = asked.iter().filter(|one| one.url.path() == "/token");
    assert_eq!(good.count(), 1, "one token for all devices");
}

/// Each user's own, by the user's password or from a file.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_each_users() {
    let mock = token_mock();
    let endpoint = MockServer::start().await;
    for user in ["load0001", "load0002"] {
        let answer = serde_json::json!({
            "access_token": format!("{user}.hush"), "token_type": "Bearer", "expires_in": 3600
        });
        let form =
            format!("grant_type=password&client_id=easload&username={user}&password=pass-{user}");
        Mock::given(method("POST"))
            .and(body_string_contains(form))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&endpoint)
            .await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let passwords = file("p", "load0001:pass-load0001\nload0002:pass-load0002\n");
    let tokens = file("t", "load0001:load0001.hush\nload0002:load0002.hush\n");
    let users = "user = \"load{0001..0002}\"\n";
    let by_password = format!(
        "{users}password_file = {passwords:?}\n[devices.oauth]\nendpoint = \"{}/token\"\n\
         grant = \"password\"\nclient_id = \"easload\"\n",
        endpoint.uri()
    );
    let by_file = format!("{users}token_file = {tokens:?}\n");
    for devices in [by_password, by_file] {
        let url = mock.addresses.url.clone();
        let said = tokio::task::spawn_blocking(move || play(&url, &devices, None));
        let said = said.await.unwrap();
        assert!(!said.contains("HTTP 401"), "{said}");
        assert!(said.contains("tokens fetched"), "{said}");
        assert!(!said.contains("hush") && !said.contains("pass-"), "{said}");
    }
    let asked = endpoint.received_requests().await.unwrap();
    for user in ["load0001", "load0002"] {
        let of_user = asked.iter().filter(|one| {
            let form = String::from_utf8_lossy(&one.body);
            form.contains(&format!("username={user}&"))
        });
        assert_eq!(of_user.count(), 1, "{user}");
    }
}

/// Takes nobody's password, and counts how often it was asked.
struct Refusing(Arc<AtomicUsize>);

impl TokenSource for Refusing {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(NoToken {
                text: "invalid_grant".to_owned(),
                is_refusal: true,
            })
        })
    }
}

/// A password that the source of tokens does not take counts as one that the server does not: a
/// directory locks accounts whoever asks it.
#[tokio::test]
async fn a_password_that_gives_no_token_stops_its_user() {
    let server = MockServer::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens = Arc::new(Tokens::new(Refusing(Arc::clone(&asked))));
    let refusals = Arc::new(Refusals::new(1, 1, 1.0));
    let identity = Identity {
        authorization: Authorization::Token(tokens),
        ..(*identity(0, "")).clone()
    };
    let client = Client::new(
        lean(&server.uri(), &TlsOptions::default()),
        Arc::new(identity),
        profile(5),
        Arc::clone(&refusals),
        Arc::new(Deaf),
    );
    let life = Life::new(client, Arc::default(), device_random(1, 0));
    let ended = tokio::time::timeout(Duration::from_secs(60), life.run()).await;
    assert!(ended.is_ok(), "the device has ended");
    assert_eq!(refusals.stopped(), [0]);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(server.received_requests().await.unwrap().is_empty());
}

/// The server of the tokens is down. That is no mistake of the scenario.
#[test]
fn autodiscover_without_a_token_is_an_unreachable_target() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing listens on port 1.
    let scenario = "name = \"t\"\n[target]\nautodiscover = \"load0001@lab.example\"\n[devices]\ncount = 1\n\
                    user = \"load0001\"\n[devices.oauth]\nendpoint = \"http://127.0.0.1:1/token\"\n\
                    grant = \"client_credentials\"\nclient_id = \"easload\"\nclient_secret_env = \"TOKEN_SECRET\"\n\
                    [[phase]]\nkind = \"baseline\"\nduration = \"3s\"\n";
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    for arguments in [["run", "s.toml"], ["probe", "s.toml"]] {
        let output = std::process::Command::new(program())
            .args(arguments)
            .current_dir(folder.path())
            .env("TOKEN_SECRET", "topsecret")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{errors}");
        assert!(errors.contains("http://127.0.0.1:1/token: "), "{errors}");
        assert!(!errors.contains("topsecret"));
    }
}
