//! What `Reqwest` is for: proxies and HTTP/2. And that both transports measure the same.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::device::{Behaviour, Record, Refusals};
use client::discover::{Ask, Internet, Web as _};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{
    Abandon, Answer, Begun, Carrier, ConnectError, ConnectionEnd, Failure, FailureKind, Lean,
    Limits, Method, Network, Proxy, ProxyLogin, Redirects, Request, Reqwest, Transport,
};
use easload::measure::Recorder;
use mock_api::control::NewMail;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use scenario::names::{DeviceState, Gauges};
use scenario::{Target, TlsOptions};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::fixtures::{Do, MockProgram, eventually, identity, mock, profile, raw_server, text};

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(60);
/// `eas:hunter2`.
const AUTHORIZATION: &str = "proxy-authorization: basic zwfzomh1bnrlcji=";

const INSECURE: TlsOptions = TlsOptions {
    ca_file: None,
    insecure: true,
    versions: Vec::new(),
    full_handshakes: false,
};

fn reqwest_to(url: &str, tls: &TlsOptions, carrier: Carrier) -> Reqwest {
    let target = Target::parse(url).unwrap();
    let factory = Reqwest::factory(
        &target,
        tls,
        carrier,
        1,
        Limits::default(),
        Arc::default(),
        Redirects::default(),
    );
    factory.unwrap().make()
}

fn get(path: &str) -> Request<'_> {
    Request {
        method: Method::Get,
        path,
        headers: &[],
        body: &[],
        held: false,
    }
}

async fn call(transport: &mut impl Transport, request: Request<'_>) -> Result<Answer, Failure> {
    exchange(transport, request).await.map(|(_, answer)| answer)
}

async fn exchange(
    transport: &mut impl Transport,
    request: Request<'_>,
) -> Result<(Begun, Answer), Failure> {
    let begun = transport.begin(request).await?;
    let answer = transport.answer(Instant::now() + SOON).await?;
    Ok((begun, answer))
}

/// What the proxy does with who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// Asks for `eas:hunter2`.
    Login,
    Closed,
}

/// A forward proxy; tells the head of each first request of a connection.
async fn proxy(door: Door) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, heads) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(pass_on(client, door, tell.clone()));
        }
    });
    (url, heads)
}

async fn pass_on(mut client: TcpStream, door: Door, tell: UnboundedSender<String>) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    tell.send(head.clone()).unwrap();
    let has_login = head.to_ascii_lowercase().contains(AUTHORIZATION);
    match door {
        Door::Closed => return,
        Door::Login if !has_login => {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                           Proxy-Authenticate: Basic realm=\"lab\"\r\n\
                           Connection: close\r\nContent-Length: 0\r\n\r\n";
            client.write_all(refusal.as_bytes()).await.unwrap();
            return;
        }
        Door::Login | Door::Open => {}
    }
    let asked = head.split(' ').nth(1).unwrap();
    let is_tunnel = head.starts_with("CONNECT ");
    let address = if is_tunnel {
        asked
    } else {
        asked
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap()
    };
    let mut server = TcpStream::connect(address).await.unwrap();
    if is_tunnel {
        let done = b"HTTP/1.1 200 Connection established\r\n\r\n";
        client.write_all(done).await.unwrap();
    } else {
        // Servers take the whole URL in the request line as well.
        server.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

fn through(url: &str, has_login: bool) -> Carrier {
    Carrier {
        proxy: Some(Proxy {
            url: url.to_owned(),
            login: has_login.then(|| ProxyLogin {
                user: "eas".to_owned(),
                password: "hunter2".to_owned(),
            }),
        }),
        http2: false,
    }
}

async fn plain_server() -> String {
    let ok = text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let script = vec![Do::Read, ok.clone(), Do::Read, ok, Do::Hold];
    format!("http://{}", raw_server(vec![script]).await)
}

#[tokio::test]
async fn plain_requests_go_through_a_proxy_by_their_whole_url() {
    let server = plain_server().await;
    for (door, has_login) in [(Door::Open, false), (Door::Open, true), (Door::Login, true)] {
        let (url, mut heads) = proxy(door).await;
        let mut transport = reqwest_to(&server, &INSECURE, through(&url, has_login));
        for reused in [false, true] {
            let (begun, answer) = exchange(&mut transport, get("/x")).await.unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
            assert_eq!(begun.connect.is_none(), reused);
            assert_ne!(begun.local.port, 0);
        }
        let head = heads.recv().await.unwrap();
        assert!(
            head.starts_with(&format!("GET {server}/x HTTP/1.1\r\n")),
            "{head}"
        );
        let head = head.to_ascii_lowercase();
        assert_eq!(head.contains(AUTHORIZATION), has_login, "{head}");
    }
}

#[tokio::test]
async fn requests_over_tls_go_through_a_tunnel_that_sees_nothing_of_them() {
    let mock = MockProgram::start(&["--tls"]);
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(mock.addresses.ca.as_ref().unwrap().as_bytes())
        .unwrap();
    let tls = TlsOptions {
        ca_file: Some(ca.path().to_owned()),
        ..TlsOptions::default()
    };
    for (door, has_login) in [(Door::Open, false), (Door::Login, true)] {
        let (url, mut heads) = proxy(door).await;
        let carrier = through(&url, has_login);
        let mut transport = reqwest_to(&mock.addresses.url, &tls, carrier.clone());
        let request = Request {
            method: Method::Options,
            headers: &[("Authorization", "Basic Zm9yIHRoZSBzZXJ2ZXI=")],
            ..get(eas::http::PATH)
        };
        let (begun, answer) = exchange(&mut transport, request).await.unwrap();
        assert_eq!(answer.status, 401);
        assert!(begun.tls.is_some() && begun.connect.is_some());
        // The address is the proxy's; the certificate tells whether it looks into the tunnel.
        let peer = transport.peer();
        assert_eq!(format!("http://{}", peer.address.unwrap()), url);
        let shown = peer.certificate.unwrap().to_string();
        assert!(shown.contains("issuer CN=easload mock CA"), "{shown}");
        let head = heads.recv().await.unwrap();
        let port = mock.addresses.listen.port();
        assert!(
            head.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")),
            "{head}"
        );
        let head = head.to_ascii_lowercase();
        assert_eq!(head.contains(AUTHORIZATION), has_login, "{head}");
        assert!(!head.contains("\r\nauthorization"), "{head}");
        assert!(!format!("{carrier:?}").contains("hunter2"));
    }

    // A certificate that is not trusted is the server's affair, through a proxy too.
    let (url, _heads) = proxy(Door::Open).await;
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stranger.cert.pem().as_bytes()).unwrap();
    let strange = TlsOptions {
        ca_file: Some(file.path().to_owned()),
        ..TlsOptions::default()
    };
    let mut transport = reqwest_to(&mock.addresses.url, &strange, through(&url, false));
    let failure = call(&mut transport, get("/")).await.unwrap_err();
    let FailureKind::Connect(ConnectError::Tls(text)) = &failure.kind else {
        panic!("{failure:?}");
    };
    assert!(text.contains("issuer CN=easload mock CA"), "{text}");
}

/// What is asked before the load (Autodiscover, OAuth) leaves by the same way.
#[tokio::test]
async fn what_is_asked_beside_the_devices_goes_through_the_proxy_too() {
    let mock = MockProgram::start(&["--tls"]);
    let target = Target::parse(&mock.addresses.url).unwrap();
    for (door, has_login) in [(Door::Open, false), (Door::Login, true)] {
        let (url, mut heads) = proxy(door).await;
        let carrier = through(&url, has_login);
        let mut internet = Internet::new(INSECURE).through(carrier.proxy);
        let ask = Ask {
            method: Method::Options,
            target: &target,
            path: eas::http::PATH,
            headers: &[],
            body: "",
        };
        assert_eq!(internet.ask(ask).await.unwrap().status, 401);
        let head = heads.recv().await.unwrap().to_ascii_lowercase();
        let port = mock.addresses.listen.port();
        let connect = format!("connect 127.0.0.1:{port} http/1.1\r\n");
        assert!(head.starts_with(&connect), "{head}");
        assert_eq!(head.contains(AUTHORIZATION), has_login, "{head}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_a_server_that_does() {
    let server = plain_server().await;
    let of_proxy = |failure: Failure| match failure {
        Failure {
            kind: FailureKind::Connect(ConnectError::Proxy(text)),
            sent: None,
            ..
        } => text,
        other => panic!("expected a failure of the proxy, got {other:?}"),
    };
    let secure = server.replace("http://", "https://");

    let (url, _heads) = proxy(Door::Login).await;
    let mut plain = reqwest_to(&server, &INSECURE, through(&url, false));
    let answer = call(&mut plain, get("/x")).await.unwrap();
    assert_eq!(answer.status, 407);
    assert_eq!(answer.end, ConnectionEnd::ClosedByServer);
    let mut tunnel = reqwest_to(&secure, &INSECURE, through(&url, false));
    let text = of_proxy(call(&mut tunnel, get("/x")).await.unwrap_err());
    assert!(text.contains("authorization required"), "{text}");

    let (url, _heads) = proxy(Door::Closed).await;
    let mut plain = reqwest_to(&server, &INSECURE, through(&url, false));
    let failure = call(&mut plain, get("/x")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ClosedWithoutAnswer);
    let mut tunnel = reqwest_to(&secure, &INSECURE, through(&url, false));
    of_proxy(call(&mut tunnel, get("/x")).await.unwrap_err());

    // Bound and never listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    for target in [&server, &secure] {
        let mut transport = reqwest_to(target, &INSECURE, through(&url, false));
        let text = of_proxy(call(&mut transport, get("/x")).await.unwrap_err());
        assert_eq!(text, "connection refused");
    }
}

/// An HTTP/2 server: gives bodies back, and never answers `/wait`. Tells when a connection is over.
async fn http2_server(tls: Option<TlsAcceptor>) -> (SocketAddr, UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, over) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (tls, tell) = (tls.clone(), tell.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream).await;
                        }
                    }
                }
                let _ = tell.send(());
            });
        }
    });
    (address, over)
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut waiting = Vec::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if request.uri().path() == "/wait" {
            waiting.push(respond);
            continue;
        }
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut bytes = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                body.flow_control().release_capacity(piece.len()).unwrap();
                bytes.extend_from_slice(&piece);
            }
            let answer = http::Response::builder()
                .header("X-Answer", "yes")
                .body(())
                .unwrap();
            let mut send = respond.send_response(answer, false).unwrap();
            send.send_data(bytes.into(), true).unwrap();
        });
    }
}

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|one| one.as_bytes().to_vec())
        .collect();
    TlsAcceptor::from(Arc::new(config))
}

const HTTP2: Carrier = Carrier {
    proxy: None,
    http2: true,
};

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge_and_by_alpn() {
    for tls in [None, Some(acceptor(&["h2", "http/1.1"]))] {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let is_tls = tls.is_some();
        let (address, mut over) = http2_server(tls).await;
        let mut transport = reqwest_to(&format!("{scheme}://{address}"), &INSECURE, HTTP2);
        let mut ports = Vec::new();
        // As large as a mail: more than the windows of a connection that has just begun.
        for (size, reused) in [(5, false), (300 << 10, true), (0, true)] {
            let body = vec![b'x'; size];
            let request = Request {
                method: Method::Post,
                headers: &[("X-Test", "1")],
                body: &body,
                ..get("/as?Cmd=Ping")
            };
            let (begun, answer) = exchange(&mut transport, request).await.unwrap();
            assert_eq!((answer.status, answer.body), (200, body));
            assert_eq!(begun.connect.is_none(), reused);
            assert_eq!(begun.tls.is_some(), is_tls && !reused);
            assert_eq!(answer.end, ConnectionEnd::Kept);
            ports.push(begun.local.port);
        }
        assert!(
            ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
            "{ports:?}"
        );

        transport.begin(get("/wait")).await.unwrap();
        let deadline = Instant::now() + Duration::from_millis(100);
        let failure = transport.answer(deadline).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::TimedOut { received: 0 });
        assert!(transport.is_connected());
        transport.abandon(Abandon::Fin);
        tokio::time::timeout(SOON, over.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_without_http2_is_told_as_such() {
    let failed = async |url: String| {
        let mut transport = reqwest_to(&url, &INSECURE, HTTP2);
        call(&mut transport, get("/x")).await.unwrap_err().kind
    };
    // One that has no word for it.
    let (address, _over) = http2_server(Some(acceptor(&[]))).await;
    let kind = failed(format!("https://{address}")).await;
    assert_eq!(
        kind.to_string(),
        "TLS: the server does not offer HTTP/2 (ALPN h2)"
    );
    // One that insists on another.
    let (address, _over) = http2_server(Some(acceptor(&["http/1.1"]))).await;
    let kind = failed(format!("https://{address}")).await;
    assert!(
        matches!(kind, FailureKind::Connect(ConnectError::Tls(_))),
        "{kind:?}"
    );
}

/// A whole life over reqwest, on the mock with a real worker: the mail arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_over_reqwest_get_their_mail() {
    const DEVICES: u32 = 5;
    let mock = mock(|_| {}).await;
    let users: Vec<u32> = (0..DEVICES).collect();
    let recorder = Arc::new(Recorder::new(1, &users, Duration::from_secs(60)));
    let target = Target::parse(&mock.addresses().url).unwrap();
    let (carrier, limits) = (Carrier::default(), Limits::default());
    let factory = Reqwest::factory(
        &target,
        &INSECURE,
        carrier,
        0,
        limits,
        Arc::default(),
        Redirects::default(),
    );
    let factory = factory.unwrap();
    let profile = profile(60);
    let devices = users.iter();
    let devices = devices.map(|device| (identity(*device, "secret"), Arc::clone(&profile)));
    let fleet = Fleet::start(
        FleetPlan {
            devices: devices.collect(),
            refusals: Arc::new(Refusals::new(users.len(), 3, 1.0)),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(100.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |_| factory.make(),
    );
    eventually("every device holds a Ping", || async {
        recorder.devices_in(DeviceState::Holding) == u64::from(DEVICES)
    })
    .await;
    for user in &users {
        let marker = recorder.mail_meant(*user, Instant::now()).unwrap();
        recorder.mail_sent(marker.id);
        mock.deliver(&NewMail {
            to: vec![format!("load{user:04}")],
            subject: marker.to_string(),
            body: "x".to_owned(),
        });
        recorder.mail_accepted(marker.id, Duration::ZERO);
    }
    eventually("every mail is there", || async {
        let ledger = recorder.interval("mail", Gauges::new()).ledger;
        assert_eq!(ledger.duplicates, 0);
        ledger.synced == u64::from(DEVICES)
    })
    .await;
    let totals = recorder.totals();
    assert!(totals.errors.is_empty(), "{:?}", totals.errors);
    fleet.stop(Duration::from_secs(1)).await;
    mock.shutdown().await;
}

/// Answers `/<milliseconds>` after so long.
async fn late_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(answer_late(stream));
        }
    });
    address
}

async fn answer_late(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        if !bytes.ends_with(b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let delay = path.trim_start_matches('/').parse().unwrap();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Both on one thread with the server, in turn: what the machine does to one it does to the other.
#[tokio::test]
async fn both_transports_measure_the_same_latencies() {
    const DELAYS: [u64; 5] = [0, 20, 50, 100, 200];
    const ROUNDS: usize = 8;
    let url = format!("http://{}", late_server().await);
    let network = Network::new(Target::parse(&url).unwrap(), &INSECURE).unwrap();
    let mut lean = Lean::factory(network, 0, Limits::default(), Arc::default()).make();
    let mut reqwest = reqwest_to(&url, &INSECURE, Carrier::default());
    let mut totals: BTreeMap<u64, [Vec<Duration>; 2]> = BTreeMap::new();
    for round in 0..ROUNDS {
        for delay in DELAYS {
            let path = format!("/{delay}");
            for turn in 0..2 {
                // Who comes first changes.
                let which = (turn + round) % 2;
                let answer = if which == 0 {
                    call(&mut lean, get(&path)).await
                } else {
                    call(&mut reqwest, get(&path)).await
                };
                let took = answer.unwrap().timing.total;
                assert!(took >= Duration::from_millis(delay), "{took:?}");
                totals.entry(delay).or_default()[which].push(took);
            }
        }
    }
    // The quickest of each: a machine only adds.
    for (delay, [lean, reqwest]) in &totals {
        let [lean, reqwest] = [lean, reqwest].map(|totals| *totals.iter().min().unwrap());
        let most = Duration::from_millis(10).max(lean.max(reqwest) / 10);
        assert!(
            lean.abs_diff(reqwest) < most,
            "{delay} ms: {lean:?} by lean, {reqwest:?} by reqwest"
        );
    }
}
