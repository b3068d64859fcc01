//! TLS: what is trusted, and what a refusal says.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use client::transport::{
    Abandon, Carrier, ConnectError, Failure, FailureKind, Lean, LeanFactory, Limits, Method,
    Network, Redirects, Request, Reqwest, ReqwestFactory, TlsError, Transport,
};
use scenario::{Target, TlsOptions, TlsVersion};
use tokio::time::Instant;

use crate::fixtures::{Do, MockProgram, program, raw_server, together};

fn lean_factory(url: &str, tls: &TlsOptions) -> LeanFactory<Network> {
    let network = Network::new(Target::parse(url).unwrap(), tls).unwrap();
    Lean::factory(network, 0, Limits::default(), Arc::default())
}

fn lean(url: &str, tls: &TlsOptions) -> impl Transport {
    lean_factory(url, tls).make()
}

fn reqwest(url: &str, tls: &TlsOptions) -> impl Transport {
    reqwest_factory(url, tls).make()
}

fn reqwest_factory(url: &str, tls: &TlsOptions) -> ReqwestFactory {
    let target = Target::parse(url).unwrap();
    let (carrier, limits) = (Carrier::default(), Limits::default());
    let factory = Reqwest::factory(
        &target,
        tls,
        carrier,
        0,
        limits,
        Arc::default(),
        Redirects::default(),
    );
    factory.unwrap()
}

/// Over both transports, which say the same.
async fn options(url: &str, tls: TlsOptions) -> Result<(u16, bool), Failure> {
    let by_lean = options_over(lean(url, &tls)).await;
    let by_reqwest = options_over(reqwest(url, &tls)).await;
    assert_eq!(by_lean, by_reqwest);
    by_lean
}

const OPTIONS: Request<'static> = Request {
    method: Method::Options,
    path: eas::http::PATH,
    headers: &[],
    body: &[],
    held: false,
};

async fn options_over(mut transport: impl Transport) -> Result<(u16, bool), Failure> {
    let begun = transport.begin(OPTIONS).await?;
    let answer = transport
        .answer(Instant::now() + Duration::from_secs(60))
        .await?;
    Ok((answer.status, begun.tls.is_some()))
}

fn reason(failure: &Failure) -> String {
    match &failure.kind {
        FailureKind::Connect(ConnectError::Tls(text)) => text.clone(),
        other => panic!("expected a TLS failure, got {other:?}"),
    }
}

#[tokio::test]
async fn certificates_are_verified_unless_told_otherwise() {
    let mock = MockProgram::start(&["--tls"]);
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(mock.addresses.ca.as_ref().unwrap().as_bytes())
        .unwrap();
    let trusted = TlsOptions {
        ca_file: Some(ca.path().to_owned()),
        ..TlsOptions::default()
    };
    let url = mock.addresses.url.as_str();
    assert_eq!(options(url, trusted.clone()).await, Ok((401, true)));
    assert_eq!(
        options(
            url,
            TlsOptions {
                insecure: true,
                ..TlsOptions::default()
            }
        )
        .await,
        Ok((401, true))
    );

    // Another authority: the message names host, subject and issuer.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut other = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    other.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let mut stranger = tempfile::NamedTempFile::new().unwrap();
    stranger
        .write_all(other.self_signed(&key).unwrap().pem().as_bytes())
        .unwrap();
    let strange = TlsOptions {
        ca_file: Some(stranger.path().to_owned()),
        ..TlsOptions::default()
    };
    let text = reason(&options(url, strange).await.unwrap_err());
    for part in [
        "127.0.0.1",
        ": no authority in the CA file has signed it (",
        "issuer CN=easload mock CA",
        "subject CN=localhost",
    ] {
        assert!(text.contains(part), "{text}");
    }

    // The right authority, the wrong name.
    let wrong = url.replace("127.0.0.1", "127.0.0.2");
    let port = mock.addresses.listen.port();
    // Nobody listens on 127.0.0.2, so go through a relay there.
    let relay = tokio::net::TcpListener::bind(("127.0.0.2", 0))
        .await
        .unwrap();
    let wrong = wrong.replace(
        &format!(":{port}"),
        &format!(":{}", relay.local_addr().unwrap().port()),
    );
    tokio::spawn(async move {
        loop {
            let (mut client, _) = relay.accept().await.unwrap();
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    let text = reason(&options(&wrong, trusted).await.unwrap_err());
    assert!(
        text.contains("it is not for the name `127.0.0.2`"),
        "{text}"
    );
    assert!(
        !text.contains("CA file"),
        "another one would not help: {text}"
    );
}

#[tokio::test]
async fn a_plain_server_is_told_from_a_tls_one() {
    let insecure = TlsOptions {
        insecure: true,
        ..TlsOptions::default()
    };
    let hello = Do::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let address = raw_server(vec![vec![hello, Do::Hold]]).await;
    let text = reason(
        &options(&format!("https://{address}"), insecure.clone())
            .await
            .unwrap_err(),
    );
    assert!(text.contains("does not speak TLS"), "{text}");
    // Whether the hello or the end is sent first is chance, so they may differ here.
    let url = format!("https://{}", raw_server(vec![vec![Do::Close]]).await);
    for outcome in [
        options_over(lean(&url, &insecure)).await,
        options_over(reqwest(&url, &insecure)).await,
    ] {
        let text = reason(&outcome.unwrap_err());
        assert!(text.contains("closed") || text.contains("reset"), "{text}");
    }
}

#[test]
fn a_useless_ca_file_is_named() {
    let target = Target::parse("https://mail.lab.example").unwrap();
    let missing = TlsOptions {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..TlsOptions::default()
    };
    let error = Network::new(target.clone(), &missing).err().unwrap();
    assert!(
        matches!(error, TlsError::CaFile { .. }) && error.to_string().contains("/nowhere/ca.pem")
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    let options = TlsOptions {
        ca_file: Some(empty.path().to_owned()),
        ..TlsOptions::default()
    };
    let error = Network::new(target, &options).err().unwrap().to_string();
    assert!(error.contains("no certificate"), "{error}");
}

/// What the handshakes of a device were that connects so many times, at the end of which it says
/// goodbye; each time over another transport of its own, as a device that pings and syncs at once.
async fn handshakes(mut transport: impl Transport, count: usize) -> Vec<(TlsVersion, bool)> {
    let mut made = Vec::new();
    for _ in 0..count {
        let begun = transport.begin(OPTIONS).await.unwrap();
        let handshake = begun.tls.unwrap();
        assert!(!handshake.took.is_zero());
        made.push((handshake.version, handshake.resumed));
        // TLS 1.3 sends its tickets after the handshake, with the answer.
        let deadline = Instant::now() + Duration::from_secs(60);
        transport.answer(deadline).await.unwrap();
        let next = transport.another();
        transport.abandon(Abandon::Fin);
        transport = next;
    }
    made
}

#[tokio::test]
async fn a_device_resumes_its_own_sessions_and_nobody_elses() {
    use TlsVersion::{Tls12, Tls13};
    let mock = MockProgram::start(&["--tls"]);
    let url = mock.addresses.url.as_str();
    for (versions, agreed) in [
        (vec![], Tls13),
        (vec![Tls12], Tls12),
        (vec![Tls12, Tls13], Tls13),
    ] {
        let insecure = TlsOptions {
            insecure: true,
            versions,
            ..TlsOptions::default()
        };
        let expected = [(agreed, false), (agreed, true), (agreed, true)];
        let leans = lean_factory(url, &insecure);
        assert_eq!(handshakes(leans.make_for(0), 3).await, expected);
        assert_eq!(handshakes(leans.make_for(1), 3).await, expected);
        let reqwests = reqwest_factory(url, &insecure);
        assert_eq!(handshakes(reqwests.make(), 3).await, expected);
        assert_eq!(handshakes(reqwests.make(), 3).await, expected);

        let always_full = TlsOptions {
            full_handshakes: true,
            ..insecure
        };
        let expected = [(agreed, false), (agreed, false)];
        assert_eq!(handshakes(lean(url, &always_full), 2).await, expected);
        assert_eq!(handshakes(reqwest(url, &always_full), 2).await, expected);
    }
}

/// Plays devices that give every Ping up, and gives what the report counts.
fn counts(mock: &str, devices: &str) -> BTreeMap<String, u64> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = \"t\"\n[mock]\ntls = true\n{mock}\n[devices]\ncount = 10\n{devices}\n[[phase]]\n\
         kind = \"baseline\"\nduration = \"4s\"\n\
         abandon = {{ share = 1, after = \"600ms..800ms\" }}\n[checks]\nsymptom = \"any\"\n"
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let output = std::process::Command::new(program())
        .args(["run", "s.toml", "--quiet", "--seed", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let run = said.split("Run directory: ").nth(1).unwrap().trim();
    let run = std::fs::read(folder.path().join(run).join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run).unwrap();
    let mut counts = BTreeMap::new();
    for phase in run["phases"].as_array().unwrap() {
        for (name, count) in phase["counts"].as_object().unwrap() {
            *counts.entry(name.clone()).or_default() += count.as_u64().unwrap();
        }
    }
    counts
}

#[test]
fn a_run_counts_full_and_resumed_handshakes_and_their_versions() {
    let count = |counts: &BTreeMap<String, u64>, name: &str| counts.get(name).copied().unwrap_or(0);
    let cases = [
        ("", ""),
        ("", "tls_resumption = false\ntls_versions = [\"1.2\"]"),
        ("tls_versions = \"1.2\"", ""),
    ];
    let counted = together(cases, |(mock, devices)| counts(mock, devices));
    let [usual, full, old_server] = counted.try_into().unwrap();
    // The senders' and the preflight's connections are not the devices'.
    assert_eq!(count(&usual, "tls_full"), 10, "{usual:?}");
    assert!(count(&usual, "tls_resumptions") >= 20, "{usual:?}");
    assert_eq!(count(&usual, "tls_1_2"), 0);
    for name in ["tls_1_3", "connects"] {
        let both = count(&usual, "tls_full") + count(&usual, "tls_resumptions");
        assert_eq!(count(&usual, name), both, "{name}: {usual:?}");
    }
    assert_eq!(count(&full, "tls_resumptions"), 0, "{full:?}");
    assert!(count(&full, "tls_full") >= 30, "{full:?}");
    assert_eq!(count(&full, "tls_1_2"), count(&full, "tls_full"));
    assert!(count(&old_server, "tls_1_2") >= 30 && count(&old_server, "tls_1_3") == 0);
    assert!(
        count(&old_server, "tls_resumptions") >= 20,
        "{old_server:?}"
    );
}

#[test]
fn versions_that_do_not_meet_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let scenario = |mock: &str, devices: &str| {
        let text = format!(
            "name = \"t\"\n[mock]\ntls = true\n{mock}\n[devices]\ncount = 1\n{devices}\n[[phase]]\n\
             kind = \"baseline\"\nduration = \"1s\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let output = std::process::Command::new(program())
            .args(["run", "s.toml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = scenario("tls_versions = \"1.2\"", "tls_versions = \"1.3\"");
    assert_eq!(code, Some(6), "{said}");
    let part = "the server speaks none of the versions of TLS that are offered";
    assert!(said.contains(part), "{said}");
    let (code, said) = scenario("tls_versions = \"1.1\"", "tls_versions = \"1.0\"");
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(
        said.matches("expected \"1.2\", \"1.3\", or both").count(),
        2
    );
}

/// HTTP.sys has the sessions, not the pool (mock-fidelity R9).
#[tokio::test]
async fn a_recycle_leaves_the_sessions_of_devices() {
    let mock = MockProgram::start(&["--tls"]);
    let insecure = TlsOptions {
        insecure: true,
        ..TlsOptions::default()
    };
    let leans = lean_factory(&mock.addresses.url, &insecure);
    let before = handshakes(leans.make_for(0), 1).await;
    let control = mock_client::Control::new(&mock.addresses.control).unwrap();
    control.recycle().await.unwrap();
    let after = handshakes(leans.make_for(0), 1).await;
    assert_eq!((before[0].1, after[0].1), (false, true));
}
