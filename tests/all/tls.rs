//! TLS: what is trusted, and what a refusal says.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use easload::transport::{
    Carrier, ConnectError, Failure, FailureKind, Lean, Limits, Method, Network, Redirects, Request,
    Reqwest, Target, TlsError, TlsOptions, Transport,
};
use tokio::time::Instant;

use crate::fixtures::{Do, MockProgram, raw_server};

fn lean(url: &str, tls: &TlsOptions) -> impl Transport {
    let network = Network::new(Target::parse(url).unwrap(), tls).unwrap();
    Lean::factory(network, 0, Limits::default(), Arc::default()).make()
}

fn reqwest(url: &str, tls: &TlsOptions) -> impl Transport {
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
    factory.unwrap().make()
}

/// Over both transports, which say the same.
async fn options(url: &str, tls: TlsOptions) -> Result<(u16, bool), Failure> {
    let by_lean = options_over(lean(url, &tls)).await;
    let by_reqwest = options_over(reqwest(url, &tls)).await;
    assert_eq!(by_lean, by_reqwest);
    by_lean
}

async fn options_over(mut transport: impl Transport) -> Result<(u16, bool), Failure> {
    let request = Request {
        method: Method::Options,
        path: eas::http::PATH,
        headers: &[],
        body: &[],
        held: false,
    };
    transport.begin(request).await?;
    let answer = transport
        .answer(Instant::now() + Duration::from_secs(5))
        .await?;
    Ok((answer.status, answer.timing.tls.is_some()))
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
        insecure: false,
    };
    let url = mock.addresses.url.as_str();
    assert_eq!(options(url, trusted.clone()).await, Ok((401, true)));
    assert_eq!(
        options(
            url,
            TlsOptions {
                ca_file: None,
                insecure: true
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
        insecure: false,
    };
    let text = reason(&options(url, strange).await.unwrap_err());
    for part in [
        "127.0.0.1",
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
    assert!(text.contains("not valid for name"), "{text}");
}

#[tokio::test]
async fn a_plain_server_is_told_from_a_tls_one() {
    let insecure = TlsOptions {
        ca_file: None,
        insecure: true,
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
        insecure: false,
    };
    let error = Network::new(target.clone(), &missing).err().unwrap();
    assert!(
        matches!(error, TlsError::CaFile { .. }) && error.to_string().contains("/nowhere/ca.pem")
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    let options = TlsOptions {
        ca_file: Some(empty.path().to_owned()),
        insecure: false,
    };
    let error = Network::new(target, &options).err().unwrap().to_string();
    assert!(error.contains("no certificate"), "{error}");
}
