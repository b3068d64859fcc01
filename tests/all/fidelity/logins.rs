//! Ways to log in beside Basic, and TLS with given files.

use std::path::Path;
use std::process::Command;

use eas::http::PATH;
use mock_api::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};

use super::raw::head_only;
use crate::fixtures::mock;

#[tokio::test]
async fn bearer_tokens_log_in_as_the_user_they_name() {
    let mock = mock(|config| config.bearer_token = Some("t0ken".to_owned())).await;
    for (token, status) in [
        ("load1.t0ken", 200),
        ("load1@lab.example.t0ken", 200),
        ("load1.wrong", 401),
        (".t0ken", 401),
        ("t0ken", 401),
    ] {
        let header = format!("Authorization: Bearer {token}\r\n");
        let answer = head_only(&mock, "OPTIONS", &header).await;
        assert_eq!(answer.status, status, "{token}");
    }
    mock.shutdown().await;
    // Not offered, not taken.
    let mock = crate::fixtures::mock(|_| {}).await;
    let header = "Authorization: Bearer load1.t0ken\r\n";
    assert_eq!(head_only(&mock, "OPTIONS", header).await.status, 401);
    mock.shutdown().await;
}

/// A certificate of that authority, and its key, as files.
fn certificate(folder: &Path, name: &str, issuer: &Issuer<'_, KeyPair>, is_server: bool) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    if is_server {
        let address = SanType::IpAddress("127.0.0.1".parse().unwrap());
        parameters.subject_alt_names.push(address);
    } else {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        parameters.extended_key_usages.push(usage);
    }
    let signed = parameters.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), signed.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn client_certificates_log_in_over_tls_with_given_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let authority = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, name);
        std::fs::write(at(name), ca.self_signed(&key).unwrap().pem()).unwrap();
        Issuer::new(ca, key)
    };
    let trusted = authority("ca");
    let foreign = authority("foreign-ca");
    certificate(folder.path(), "server", &trusted, true);
    certificate(folder.path(), "load0007", &trusted, false);
    certificate(folder.path(), "stranger", &foreign, false);
    let mock = mock(|config| {
        config.tls = Tls::Files {
            certificate: at("server.pem"),
            key: at("server.key"),
        };
        config.client_ca = Some(at("ca"));
    })
    .await;
    let url = format!("https://{}{PATH}", mock.addresses().listen);
    let status = async |certificate: Option<&str>| {
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            "OPTIONS",
        ]);
        curl.arg("--cacert").arg(at("ca")).arg(&url);
        if let Some(name) = certificate {
            curl.arg("--cert").arg(at(&format!("{name}.pem")));
            curl.arg("--key").arg(at(&format!("{name}.key")));
        }
        let output = tokio::task::spawn_blocking(move || curl.output()).await;
        output
            .unwrap()
            .map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Ok(without) = status(None).await else {
        assert!(
            std::env::var_os("EASLOAD_REQUIRE_ORACLES").is_none(),
            "curl is missing"
        );
        eprintln!("skipped: curl is not here");
        return;
    };
    assert_eq!(without, "401");
    assert_eq!(status(Some("load0007")).await.unwrap(), "200");
    // The handshake fails: there is no HTTP answer.
    assert_eq!(status(Some("stranger")).await.unwrap(), "000");
    mock.shutdown().await;
}
