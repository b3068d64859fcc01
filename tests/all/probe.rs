//! `easload probe`: one device's whole life, as a person sees it.

use std::process::{Command, Output};

use crate::fixtures::{Do, MockProgram, program, raw_server, text};

fn probe(arguments: &[&str]) -> Output {
    Command::new(program())
        .arg("probe")
        .args(arguments)
        .env("EASLOAD_PASSWORD", "secret")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What the table at the end says: step and outcome of each.
fn steps(text: &str) -> Vec<(String, String)> {
    let table = text.split_once("\nstep ").expect("a table").1;
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
    rows.map(|row| {
        let mut cells = row
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        let mut next = || cells.next().unwrap_or_default().to_owned();
        (next(), next())
    })
    .collect()
}

fn names(text: &str) -> Vec<String> {
    steps(text).into_iter().map(|(name, _)| name).collect()
}

/// Neither the password nor what can be turned into it.
fn assert_no_secret(text: &str) {
    assert!(!text.contains("secret"), "{text}");
    // Base64 of `load0001:secret` ends like this.
    assert!(!text.contains("OnNlY3JldA"), "{text}");
    assert!(text.contains("Authorization: Basic ***"), "{text}");
}

#[test]
fn a_whole_life_on_the_bundled_mock_ends_with_a_mail_that_arrives() {
    let output = probe(&["--mail-to", "load0001@lab.example"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_no_secret(&text);
    assert_eq!(
        names(&text),
        [
            "OPTIONS",
            "Provision",
            "Provision",
            "FolderSync",
            "Sync",
            "Sync",
            "Ping",
            "Sync",
            "Sync"
        ]
    );
    for part in [
        "> POST /Microsoft-Server-ActiveSync?Cmd=Ping&User=load0001",
        "<   <Status>2</Status>",
        "<Subject xmlns=\"Email\">easload Ping probe-",
        "the mail is there, and the device waits again",
        "The device lives",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// Everything a user can do, on the oldest and the newest version: what a version has not is left out,
/// and a command that fails is told with its reason and the exit code.
#[test]
fn every_command_is_tried_once_and_told() {
    let mail = ["--brief", "--commands", "--mail-to", "load0001@lab.example"];
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
    let url = mock.addresses.url.as_str();
    for (version, left_out) in [
        ("16.1", &[][..]),
        // Once more: a server takes a message with an id that it has seen for a repetition.
        ("16.1", &[]),
        ("2.5", &["flag", "set and read the automatic reply"]),
    ] {
        let user = ["--user", "load0001", "--versions", version];
        let output = probe(&[&[url], &user[..], &mail[..]].concat());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        let steps = text.split("Everything a user can do").nth(1).unwrap();
        let steps: Vec<&str> = steps.lines().skip(2).collect();
        assert_eq!(steps.len(), 25, "{text}");
        for step in steps {
            let (name, outcome) = step.split_at(34);
            let wanted = if left_out.contains(&name.trim()) {
                "left out"
            } else {
                "done"
            };
            assert!(outcome.trim_start().starts_with(wanted), "{step}");
        }
    }
}

#[test]
fn without_a_mail_a_ping_is_held_and_given_up() {
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
    let url = mock.addresses.url.as_str();
    for (more, last) in [
        (&["--versions", "2.5"][..], "Ping"),
        (&["--versions", "16.1,14.1", "--base64"], "Ping"),
        (&["--hanging-sync", "--brief"], "Sync"),
        (&["--transport", "reqwest"], "Ping"),
    ] {
        let mut arguments = vec![url, "--user", "load0001", "--hold", "300ms"];
        arguments.extend(more);
        let output = probe(&arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert_no_secret(&text);
        let address = url.trim_start_matches("http://").split('/').next().unwrap();
        assert!(text.contains(&format!(" to {address}\n")), "{text}");
        assert!(
            text.contains("held for 300.0 ms, as it should be"),
            "{text}"
        );
        let end = ("held".to_owned(), last.to_owned());
        let steps = steps(&text);
        assert_eq!(
            steps
                .last()
                .map(|(name, outcome)| (outcome.clone(), name.clone())),
            Some(end)
        );
        assert_eq!(text.contains("<PolicyType>"), !more.contains(&"--brief"));
    }
    // A user is refused once, not until the account is locked.
    let output = Command::new(program())
        .args(["probe", url, "--user", "load0001"])
        .env("EASLOAD_PASSWORD", "hush")
        .output()
        .unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(
        text.contains("The device is stuck: the server refuses the user's password"),
        "{text}"
    );
    assert_eq!(text.matches("HTTP 401 after").count(), 1, "{text}");
}

/// What a person asks of openssl first: who answers, in what TLS, and until when the certificate is good.
#[test]
fn the_other_end_is_told_with_its_certificate() {
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml", "--tls"]);
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    let pem = mock.addresses.ca.as_ref().unwrap();
    std::io::Write::write_all(&mut ca, pem.as_bytes()).unwrap();
    let ca = ca.path().to_str().unwrap();
    let url = mock.addresses.url.as_str();
    for (version, cipher) in [("1.3", "TLS_AES_"), ("1.2", "TLS_ECDHE_")] {
        let output = probe(&[
            url,
            "--user",
            "load0001",
            "--ca-file",
            ca,
            "--tls-version",
            version,
            "--hold",
            "100ms",
        ]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        let line = |start: &str| text.lines().find(|line| line.contains(start)).unwrap();
        let connection = line("* new connection: TCP ");
        assert!(
            connection.contains(&format!(", TLS {version} ")),
            "{connection}"
        );
        assert!(connection.contains(cipher), "{connection}");
        let certificate = line("* certificate: ");
        for part in [
            "subject CN=localhost, issuer CN=easload mock CA",
            "for localhost, 127.0.0.1, valid until ",
        ] {
            assert!(certificate.contains(part), "{certificate}");
        }
        let (_, until) = certificate.rsplit_once(' ').unwrap();
        assert_eq!(until.split('-').count(), 3, "{until}");
        assert!(!text.contains("not verified"), "{text}");
    }
    let output = probe(&[url, "--user", "load0001", "--insecure", "--hold", "100ms"]);
    let text = said(&output);
    assert!(
        text.contains(" (certificate not verified), user load0001"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_server_is_told_for_what_it_is() {
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    let html = raw_server(vec![vec![Do::Read, text(html), Do::Hold]]).await;
    let old = "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 1.0,2.0\r\nMS-ASProtocolCommands: Sync\r\n\
               Content-Length: 0\r\n\r\n";
    let old = raw_server(vec![vec![Do::Read, text(old), Do::Hold]]).await;
    // What would be asked again in a minute, and be told the same.
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\nno such\u{1b}[2Jdoor";
    let gone = gone.replace("14", &"no such\u{1b}[2Jdoor".len().to_string());
    let gone = [(); 2].map(|()| vec![Do::Read, text(&gone), Do::Hold]);
    let gone = raw_server(gone.into()).await;
    let negotiate = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n\
                     WWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    let negotiate = raw_server(vec![vec![Do::Read, text(negotiate), Do::Hold]]).await;
    let basic = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate, basic realm=\"x\"\r\n\
                 Content-Length: 0\r\n\r\n";
    let basic = raw_server(vec![vec![Do::Read, text(basic), Do::Hold]]).await;
    // Bound and never listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = socket.local_addr().unwrap();
    for (address, code, part) in [
        (
            html,
            6,
            "not an ActiveSync server; it answers with an HTML page",
        ),
        (
            old,
            6,
            "the server lists the versions 1.0,2.0 and none of those asked for (2.5, 12.0, 12.1, 14.0, 14.1, 16.0, 16.1)",
        ),
        (
            gone,
            6,
            "The device is stuck: OPTIONS was answered with HTTP 404 (no ActiveSync server at this URL)",
        ),
        // The page that says so, and nothing that a terminal would obey.
        (gone, 6, "< no such\u{fffd}[2Jdoor"),
        (
            negotiate,
            6,
            "The device is stuck: HTTP 401: the server does not offer Basic authentication here, but Negotiate, NTLM",
        ),
        (
            basic,
            6,
            "The device is stuck: the server refuses the user's password",
        ),
        (dead, 6, "There is no connection: connection refused"),
    ] {
        let url = format!("http://{address}");
        let output = tokio::task::spawn_blocking(move || probe(&[&url, "--user", "a"]));
        let output = output.await.unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
    }
    for (arguments, part) in [
        (&["https://mail.lab.example"][..], "a URL needs a user"),
        (
            &["ftp://mail.lab.example", "--user", "a"],
            "target.url: `ftp://",
        ),
        (
            &["http://127.0.0.1:9", "--user", "a", "--versions", "15.0"],
            "unknown protocol version `15.0`",
        ),
        (
            &[
                "http://127.0.0.1:9",
                "--user",
                "a",
                "--password-env",
                "NOT_SET",
            ],
            "NOT_SET",
        ),
        (
            &["scenarios/mixed-devices.toml", "--profile", "nokia"],
            "there is no profile `nokia`; there are iphone,",
        ),
        (&["no-such-file.toml"], "no-such-file.toml"),
        (&["mail.lab.example"], "; expected a scenario file (.toml)"),
    ] {
        let output = probe(arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// One bad message of three: the transcript says so, and the device goes on to its Ping.
#[tokio::test]
async fn a_skipped_item_is_noted_and_the_device_goes_on() {
    let answer = |headers: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        [Do::Read, Do::Send([head.as_bytes(), body].concat())]
    };
    let wbxml = |xml: &str| answer("", &eas::wbxml::from_xml(xml).unwrap());
    let sync = |key: u32, commands: &str| {
        wbxml(&format!(
            "<Sync xmlns='AirSync' xmlns:e='Email'><Collections><Collection><SyncKey>{key}</SyncKey>\
             <CollectionId>5</CollectionId><Status>1</Status>{commands}</Collection></Collections></Sync>"
        ))
    };
    let add = |id: u32, content: &str| {
        format!(
            "<Add><ServerId>5:{id}</ServerId><ApplicationData>{content}</ApplicationData></Add>"
        )
    };
    let bad = add(2, "<e:Importance>high</e:Importance>");
    let good = [
        add(1, "<e:Subject>x</e:Subject>"),
        add(3, "<e:Importance/>"),
    ]
    .concat();
    let versions = "MS-ASProtocolVersions: 14.1\r\nMS-ASProtocolCommands: Sync,Ping\r\n";
    let script = [
        answer(versions, b""),
        wbxml(
            "<Provision xmlns='Provision'><Status>1</Status><Policies><Policy>\
             <PolicyType>MS-EAS-Provisioning-WBXML</PolicyType><Status>2</Status></Policy></Policies></Provision>",
        ),
        wbxml(
            "<FolderSync xmlns='FolderHierarchy'><Status>1</Status><SyncKey>1</SyncKey><Changes>\
             <Add><ServerId>5</ServerId><DisplayName>Inbox</DisplayName><Type>2</Type></Add>\
             </Changes></FolderSync>",
        ),
        sync(1, ""),
        sync(2, &format!("<Commands>{bad}{good}</Commands>")),
        answer("", b""),
    ];
    let script = script.into_iter().flatten().chain([Do::Read, Do::Hold]);
    let address = raw_server(vec![script.collect()]).await;
    let url = format!("http://{address}");
    let arguments = [&url, "--user", "load0001", "--hold", "1s"];
    let arguments = arguments.map(str::to_owned);
    let output =
        tokio::task::spawn_blocking(move || probe(&arguments.each_ref().map(|one| &**one)))
            .await
            .unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains(
            "\n    * skipped 1 bad item: Email:Importance: expected a number, found `high` (byte "
        ),
        "{text}"
    );
    assert_eq!(text.matches("skipped").count(), 1, "{text}");
    assert_eq!(
        names(&text).last().map(String::as_str),
        Some("Ping"),
        "{text}"
    );
}

/// A self-signed certificate is refused in words, with the option that trusts it; with that option the probe works.
#[test]
fn a_self_signed_certificate_is_trusted_with_a_ca_file() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("mail.pem"),
        folder.path().join("mail.key"),
    );
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let shown = params.self_signed(&pair).unwrap();
    std::fs::write(&certificate, shown.pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let mock = MockProgram::start(&["--certificate", &path(&certificate), "--key", &path(&key)]);
    let url = mock.addresses.url.replace("localhost", "127.0.0.1");
    let output = probe(&[&url, "--user", "load0001"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("it is self-signed; to trust it"), "{text}");
    assert!(text.contains("--ca-file"), "{text}");
    for transport in ["lean", "reqwest"] {
        let trusted = ["--ca-file", &path(&certificate), "--transport", transport];
        let output = probe(&[&[url.as_str(), "--user", "load0001"], &trusted[..]].concat());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
    }
}
