//! How many wrong passwords a server sees of the built program: probes, Autodiscover, several targets.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixtures::{MockProgram, program};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs the program in that folder, away from the test's runtime.
async fn easload(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(folder)
        .env("EASLOAD_PASSWORD", "wrong")
        .env("EASLOAD_TEST_PASSWORD", "wrong");
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_probe_sends_one_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    for is_open in [false, true] {
        for more in [
            &[][..],
            &["--mail-to", "load0001@lab.example"],
            &["--commands", "--mail-to", "load0001@lab.example"],
        ] {
            let server = MockServer::start().await;
            if is_open {
                let options = ResponseTemplate::new(200)
                    .insert_header("MS-ASProtocolVersions", "14.1")
                    .insert_header("MS-ASProtocolCommands", "Sync,Provision");
                Mock::given(method("OPTIONS"))
                    .respond_with(options)
                    .mount(&server)
                    .await;
            }
            Mock::given(any())
                .respond_with(ResponseTemplate::new(401))
                .mount(&server)
                .await;
            let url = server.uri();
            let arguments = [&["probe", url.as_str(), "--user", "load0001"], more].concat();
            let output = easload(&arguments, folder.path()).await;
            let text = said(&output);
            assert_eq!(output.status.code(), Some(6), "{arguments:?}\n{text}");
            let requests = server.received_requests().await.unwrap();
            let logins = requests.iter().filter(|request| {
                let is_answered = is_open && request.method.as_str() == "OPTIONS";
                request.headers.contains_key("authorization") && !is_answered
            });
            assert_eq!(logins.count(), 1, "{is_open} {arguments:?}\n{text}");
        }
    }
}

/// What a site answers to a request with credentials, by its host and whether Autodiscover is asked.
type Answers = fn(host: &str, is_autodiscover: bool) -> (u16, &'static str);

/// A proxy in front of web sites of the domain lab.example, all of which are here.
struct Sites {
    proxy: String,
    /// Each request with credentials: its method, host and path, and the status that answered it.
    logins: Arc<Mutex<Vec<String>>>,
}

impl Sites {
    async fn start(answers: Answers) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec![
            "lab.example".to_owned(),
            "autodiscover.lab.example".to_owned(),
        ])
        .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            certified.signing_key.serialize_der(),
        ));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let logins: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&logins);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, acceptor.clone(), answers, Arc::clone(&seen)));
            }
        });
        Self { proxy, logins }
    }
}

/// The lines of a request, in lower case; none at the end of the stream.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut rest = vec![0; length.saturating_sub(body.len())];
    stream.read_exact(&mut rest).await.ok()?;
    Some(head.to_owned())
}

async fn tunnel(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    answers: Answers,
    logins: Arc<Mutex<Vec<String>>>,
) {
    let Some(asked) = head(&mut client).await else {
        return;
    };
    let Some(host) = asked.strip_prefix("connect ") else {
        return;
    };
    let host = host.split(':').next().unwrap().to_owned();
    let done = b"HTTP/1.1 200 Connection established\r\n\r\n";
    client.write_all(done).await.unwrap();
    if let Ok(mut stream) = acceptor.accept(client).await {
        while site(&mut stream, &host, answers, &logins).await.is_some() {}
    }
}

/// Answers one request.
async fn site(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
    answers: Answers,
    logins: &Mutex<Vec<String>>,
) -> Option<()> {
    let head = head(stream).await?;
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let path = path.split('?').next()?;
    let (status, body) = answers(host, path.starts_with("/autodiscover/"));
    if head.contains("\r\nauthorization:") {
        let login = format!("{method} {host}{path} {status}");
        logins.lock().unwrap().push(login);
    }
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.ok()
}

/// An Autodiscover answer that names a server.
const FOUND: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\
    <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006\">\
    <Culture>en:us</Culture><User><EMailAddress>load0001@lab.example</EMailAddress></User>\
    <Action><Settings><Server><Type>MobileSync</Type>\
    <Url>https://lab.example/Microsoft-Server-ActiveSync</Url>\
    <Name>https://lab.example/Microsoft-Server-ActiveSync</Name></Server></Settings></Action>\
    </Response></Autodiscover>";

/// Autodiscover ends after the second refusal. If a site that it asked first refuses the password and another one does
/// not, the login before the load is the second.
#[tokio::test]
async fn autodiscover_and_the_first_login_send_two_wrong_passwords() {
    let all: Answers = |_, _| (401, "");
    let second: Answers = |host, is_autodiscover| match (host, is_autodiscover) {
        ("autodiscover.lab.example", true) => (200, FOUND),
        _ => (401, ""),
    };
    let xml = "/autodiscover/autodiscover.xml";
    for (answers, expected, part) in [
        (
            all,
            vec![
                format!("post lab.example{xml} 401"),
                format!("post autodiscover.lab.example{xml} 401"),
            ],
            "no further try, which might lock the user out",
        ),
        (
            second,
            vec![
                format!("post lab.example{xml} 401"),
                format!("post autodiscover.lab.example{xml} 200"),
                "options lab.example/microsoft-server-activesync 401".to_owned(),
            ],
            "the server refuses the login of user `load0001@lab.example` (HTTP 401)",
        ),
    ] {
        let sites = Sites::start(answers).await;
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "name = \"t\"\n[target]\nautodiscover = true\ninsecure = true\ntransport = \"reqwest\"\n\
             proxy = \"{}\"\n[devices]\ncount = 4\nusers = 4\nuser = \"load####@lab.example\"\n\
             password_env = \"EASLOAD_TEST_PASSWORD\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"2s\"\n",
            sites.proxy
        );
        std::fs::write(folder.path().join("s.toml"), text).unwrap();
        let output = easload(&["run", "s.toml"], folder.path()).await;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(6), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
        assert_eq!(*sites.logins.lock().unwrap(), expected, "{text}");
    }
}

/// Two of twelve users have a wrong password, each with four devices at two servers.
#[tokio::test]
async fn a_run_at_two_servers_counts_the_logins_of_both_together() {
    let healthy = ["--scenario", "scenarios/healthy.toml"];
    let mocks = [MockProgram::start(&healthy), MockProgram::start(&healthy)];
    let urls = mocks.each_ref().map(|mock| mock.addresses.url.clone());
    let folder = tempfile::tempdir().unwrap();
    let users: String = (1..=12)
        .map(|user| {
            let password = if user % 6 == 5 { "wrong" } else { "secret" };
            format!("load{user:04},{password}\n")
        })
        .collect();
    std::fs::write(
        folder.path().join("u.csv"),
        format!("user,password\n{users}"),
    )
    .unwrap();
    let text = format!(
        "name = \"t\"\n[target]\nurl = {urls:?}\n[devices]\ncount = 48\nusers = 12\n\
         users_file = \"u.csv\"\nretry = \"50ms..200ms\"\nramp = \"500ms\"\nheartbeat = \"2s\"\n\
         [[phase]]\nkind = \"baseline\"\nduration = \"8s\"\n"
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let output = easload(&["run", "s.toml", "--quiet"], folder.path()).await;
    let text = said(&output);
    assert!(
        text.contains("2 of 12 users were stopped after 3 refused logins each")
            && text.contains("load0005, load0011"),
        "{text}"
    );
    let mut refused = Vec::new();
    for mock in &mocks {
        let control = mock_client::Control::new(&mock.addresses.control).unwrap();
        let log = control.iis_log().await.unwrap();
        // The field sc-status.
        let statuses = log.lines().map(|line| line.split(' ').nth(11));
        refused.push(statuses.filter(|status| *status == Some("401")).count());
    }
    assert_eq!(refused.iter().sum::<usize>(), 6, "{refused:?}\n{text}");
}
