//! The contract of a transport: every implementation has to pass [`suite`].

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::transport::{
    Abandon, Answer, Begun, Carrier, ConnectError, ConnectionEnd, Ends, Failure, FailureKind, Lean,
    LeanFactory, Limits, LinkSpeed, Method, Network, Redirects, Request, Reqwest, ReqwestFactory,
    Transport,
};
use scenario::{Target, TlsOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use wiremock::matchers::{body_bytes, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixtures::{Do, eventually, raw_server, text};

const LIMITS: Limits = Limits {
    head: 8 << 10,
    body: 64 << 10,
};
/// Long enough for a loaded machine, short enough for a test.
const SOON: Duration = Duration::from_secs(60);

/// Makes the transport under test.
trait Make {
    type Transport: Transport;
    fn make(&self, address: SocketAddr) -> Self::Transport;

    /// Whether a connection can be reset; it is closed otherwise.
    fn can_reset(&self) -> bool;

    /// Whether it sees bytes as they come, and not only whole heads and pieces of bodies.
    fn sees_bytes(&self) -> bool;
}

struct MakeReqwest;

impl MakeReqwest {
    fn factory(address: SocketAddr) -> ReqwestFactory {
        let target = Target::parse(&format!("http://{address}")).unwrap();
        let (tls, carrier) = (TlsOptions::default(), Carrier::default());
        Reqwest::factory(
            &target,
            &tls,
            carrier,
            4,
            LIMITS,
            Arc::default(),
            Redirects::default(),
        )
        .unwrap()
    }
}

impl Make for MakeReqwest {
    type Transport = Reqwest;

    fn make(&self, address: SocketAddr) -> Self::Transport {
        Self::factory(address).make()
    }

    fn can_reset(&self) -> bool {
        false
    }

    fn sees_bytes(&self) -> bool {
        false
    }
}

struct MakeLean;

impl MakeLean {
    fn factory(address: SocketAddr) -> LeanFactory<Network> {
        let target = Target::parse(&format!("http://{address}")).unwrap();
        let network = Network::new(target, &TlsOptions::default()).unwrap();
        Lean::factory(network, 4, LIMITS, Arc::default())
    }
}

impl Make for MakeLean {
    type Transport = Lean<Network>;

    fn make(&self, address: SocketAddr) -> Self::Transport {
        Self::factory(address).make()
    }

    fn can_reset(&self) -> bool {
        true
    }

    fn sees_bytes(&self) -> bool {
        true
    }
}

const GET: Request<'static> = Request {
    method: Method::Get,
    path: "/x",
    headers: &[],
    body: &[],
    held: false,
};

async fn call(transport: &mut impl Transport) -> Result<Answer, Failure> {
    exchange(transport).await.map(|(_, answer)| answer)
}

async fn exchange(transport: &mut impl Transport) -> Result<(Begun, Answer), Failure> {
    let begun = transport.begin(GET).await?;
    let answer = transport.answer(Instant::now() + SOON).await?;
    Ok((begun, answer))
}

/// One request against one script.
async fn against(make: &impl Make, script: Vec<Do>) -> Result<Answer, FailureKind> {
    let address = raw_server(vec![script]).await;
    call(&mut make.make(address))
        .await
        .map_err(|failure| failure.kind)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn with_head(head: &str, body: &[u8]) -> Do {
    Do::Send([head.as_bytes(), body].concat())
}

async fn suite(make: &impl Make) {
    ordinary_requests(make).await;
    bodies(make).await;
    misbehaviour(make).await;
    limits(make).await;
    connection_ends(make).await;
    deadlines(make).await;
    refused(make).await;
    another(make).await;
    answers_after_a_deadline(make).await;
}

/// Another transport of the same device has a connection of its own.
async fn another(make: &impl Make) {
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let scripts = vec![
        vec![Do::Read, Do::Hold],
        vec![Do::Read, text(good), Do::Hold],
    ];
    let mut first = make.make(raw_server(scripts).await);
    first.begin(GET).await.unwrap();
    let mut second = first.another();
    assert!(!second.is_connected());
    let (begun, answer) = exchange(&mut second).await.unwrap();
    assert_eq!(answer.body, b"ok");
    assert!(begun.connect.is_some());
    // The first is as open as before, also after a wait in vain.
    let failure = first.answer(Instant::now()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut { received: 0 });
    assert!(first.is_connected());
    second.abandon(Abandon::Fin);
    assert!(first.is_connected() && !second.is_connected());
}

/// A deadline may be followed by another wait: what comes later is the whole answer.
async fn answers_after_a_deadline(make: &impl Make) {
    let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let (report, mut reports) = mpsc::unbounded_channel();
    let address = raw_server(vec![vec![Do::Read, Do::Wait(report), Do::Send(good)]]).await;
    let mut transport = make.make(address);
    transport.begin(GET).await.unwrap();
    let begun = reports.recv().await.unwrap();
    let failure = transport.answer(Instant::now()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut { received: 0 });
    begun.send(()).unwrap();
    let answer = transport.answer(Instant::now() + SOON).await.unwrap();
    assert_eq!(answer.body, b"ok");
}

async fn ordinary_requests(make: &impl Make) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/as"))
        .and(header("x-test", "1"))
        .and(body_bytes(b"hello"))
        .respond_with(
            ResponseTemplate::new(207)
                .insert_header("X-Answer", "yes")
                .set_body_bytes(b"world"),
        )
        .expect(2)
        .mount(&server)
        .await;
    let mut transport = make.make(*server.address());
    let request = Request {
        method: Method::Post,
        path: "/as?Cmd=Ping",
        headers: &[("X-Test", "1")],
        body: b"hello",
        held: false,
    };
    let mut ports = Vec::new();
    for reused in [false, true] {
        let begun = transport.begin(request).await.unwrap();
        assert!(transport.is_connected());
        let answer = transport.answer(Instant::now() + SOON).await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (207, &b"world"[..])
        );
        assert_eq!(answer.header("x-answer"), Some("yes"));
        assert_eq!(answer.header("absent"), None);
        assert_eq!(answer.end, ConnectionEnd::Kept);
        assert_eq!(begun.connect.is_none(), reused);
        assert!(begun.tls.is_none());
        assert!(answer.timing.total <= begun.sent.elapsed());
        ports.push(begun.local.port);
    }
    assert!(
        ports[0] != 0 && ports[0] == ports[1],
        "one connection: {ports:?}"
    );
}

async fn bodies(make: &impl Make) {
    let ok = "HTTP/1.1 200 OK\r\n";
    let empty = against(
        make,
        vec![
            Do::Read,
            text(&format!("{ok}Content-Length: 0\r\n\r\n")),
            Do::Hold,
        ],
    )
    .await
    .unwrap();
    assert!(empty.body.is_empty());

    let chunked = format!(
        "{ok}Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n1\r\ne\r\n0\r\nTrailer: t\r\n\r\n"
    );
    let answer = against(make, vec![Do::Read, text(&chunked), Do::Hold])
        .await
        .unwrap();
    assert_eq!(
        (answer.body.as_slice(), answer.end),
        (&b"abcde"[..], ConnectionEnd::Kept)
    );
    // The same, byte by byte: no boundary may matter.
    let drip = Do::Drip(chunked.into_bytes(), Duration::from_micros(200));
    assert_eq!(
        against(make, vec![Do::Read, drip, Do::Hold])
            .await
            .unwrap()
            .body,
        b"abcde"
    );

    let packed = gzip(b"hello hello hello");
    let head = format!(
        "{ok}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let answer = against(make, vec![Do::Read, with_head(&head, &packed), Do::Hold])
        .await
        .unwrap();
    assert_eq!(answer.body, b"hello hello hello");

    let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let answer = against(make, vec![Do::Read, text(continued), Do::Hold])
        .await
        .unwrap();
    assert_eq!((answer.status, answer.end), (204, ConnectionEnd::Kept));

    let old = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
    let answer = against(make, vec![Do::Read, text(old), Do::Close])
        .await
        .unwrap();
    assert_eq!(
        (answer.body.as_slice(), answer.end),
        (&b"until the end"[..], ConnectionEnd::ClosedByServer)
    );
}

async fn misbehaviour(make: &impl Make) {
    let ok = "HTTP/1.1 200 OK\r\n";
    let truncated = format!("{ok}Content-Length: 100\r\n\r\nten bytes.");
    let kind = against(make, vec![Do::Read, text(&truncated), Do::Close])
        .await
        .unwrap_err();
    assert!(
        matches!(kind, FailureKind::Truncated { received } if received == truncated.len()),
        "{kind:?}"
    );
    let cut_chunk = format!("{ok}Transfer-Encoding: chunked\r\n\r\nff\r\nab");
    let kind = against(make, vec![Do::Read, text(&cut_chunk), Do::Close])
        .await
        .unwrap_err();
    assert!(matches!(kind, FailureKind::Truncated { .. }), "{kind:?}");

    assert_eq!(
        against(make, vec![Do::Read, Do::Close]).await.unwrap_err(),
        FailureKind::ClosedWithoutAnswer
    );
    assert_eq!(
        against(make, vec![Do::Read, Do::Reset]).await.unwrap_err(),
        FailureKind::Reset
    );
    for bad in [
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "<html>hello</html>\r\n\r\n".to_owned(),
        format!("{ok}Content-Length: many\r\n\r\n"),
        format!("{ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n"),
        format!("{ok}Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx"),
        format!("{ok}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
    ] {
        let kind = against(make, vec![Do::Read, text(&bad), Do::Hold])
            .await
            .unwrap_err();
        assert!(
            matches!(kind, FailureKind::Malformed(_)),
            "{bad:?}: {kind:?}"
        );
    }
}

async fn limits(make: &impl Make) {
    let ok = "HTTP/1.1 200 OK\r\n";
    let many = "X-Header: value\r\n".repeat(500);
    let long = format!("{ok}X-Long: {}\r\n\r\n", "x".repeat(LIMITS.head));
    let endless = format!("{ok}X-Endless: {}", "x".repeat(LIMITS.head + 1));
    let announced = format!("{ok}Content-Length: {}\r\n\r\n", LIMITS.body + 1);
    let huge = format!("{ok}Content-Length: {}\r\n\r\n", u64::MAX);
    let chunk = format!("{ok}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n");
    let bomb = gzip(&vec![0; LIMITS.body + 1]);
    assert!(bomb.len() < 1000);
    let bomb_head = format!(
        "{ok}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    );
    let endless_body = format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(LIMITS.body + 1));
    for send in [
        text(&format!("{ok}{many}\r\n")),
        text(&long),
        text(&announced),
        text(&huge),
        with_head(&bomb_head, &bomb),
        text(&endless_body),
    ] {
        let kind = against(make, vec![Do::Read, send.clone(), Do::Hold])
            .await
            .unwrap_err();
        assert!(
            matches!(kind, FailureKind::TooLarge { .. }),
            "{send:?}: {kind:?}"
        );
    }
    // What is too large and does not come is known to who reads the announcement.
    for send in [text(&endless), text(&chunk)] {
        let address = raw_server(vec![vec![Do::Read, send.clone(), Do::Hold]]).await;
        let mut transport = make.make(address);
        transport.begin(GET).await.unwrap();
        let soon = if make.sees_bytes() {
            SOON
        } else {
            Duration::from_millis(200)
        };
        let answer = transport.answer(Instant::now() + soon).await;
        let kind = answer.unwrap_err().kind;
        let is_seen = matches!(kind, FailureKind::TooLarge { .. });
        let in_vain = matches!(kind, FailureKind::TimedOut { .. });
        assert_eq!(
            (is_seen, in_vain),
            (make.sees_bytes(), !make.sees_bytes()),
            "{send:?}: {kind:?}"
        );
    }
}

async fn connection_ends(make: &impl Make) {
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXTRA";
    // Without a look at the bytes it is not known that the connection is of no use any more.
    let end_of_extra = if make.sees_bytes() {
        ConnectionEnd::ClosedByUs
    } else {
        ConnectionEnd::Kept
    };
    for (first, end) in [
        (close, ConnectionEnd::ClosedByServer),
        (extra, end_of_extra),
    ] {
        let scripts = vec![
            vec![Do::Read, text(first), Do::Hold],
            vec![Do::Read, text(good), Do::Hold],
        ];
        let mut transport = make.make(raw_server(scripts).await);
        let answer = call(&mut transport).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.end), (&b"ok"[..], end));
        assert_eq!(transport.is_connected(), end == ConnectionEnd::Kept);
        let (begun, _) = exchange(&mut transport).await.unwrap();
        assert!(begun.connect.is_some());
    }

    // A server that closes a kept connection between two requests: the next one goes out over a
    // new connection, without a failure.
    let (tell, mut closed) = mpsc::unbounded_channel();
    let scripts = vec![
        vec![Do::Read, text(good), Do::CloseAndTell(tell)],
        vec![Do::Read, text(good), Do::Hold],
    ];
    let mut transport = make.make(raw_server(scripts).await);
    let (begun, answer) = exchange(&mut transport).await.unwrap();
    assert_eq!(answer.end, ConnectionEnd::Kept);
    closed.recv().await.unwrap();
    // A busy kernel delivers the end of the stream later.
    #[cfg(target_os = "linux")]
    eventually("the end of the stream is here", || async {
        let sockets = tcp_table::rows(tcp_table::Query {
            ipv6: false,
            local_port: Some(begun.local.port),
            remote_port: None,
            established: true,
        });
        let mut sockets = sockets.unwrap().into_iter();
        sockets.all(|row| row.state != tcp_table::State::Established)
    })
    .await;
    // And the runtime may not have been told yet.
    tokio::task::yield_now().await;
    let (begun, _) = exchange(&mut transport).await.unwrap();
    assert!(begun.connect.is_some());

    // One that closes it when the next request is on its way: a failure that says "reused".
    let scripts = vec![vec![Do::Read, text(good), Do::Read, Do::Close]];
    let mut transport = make.make(raw_server(scripts).await);
    call(&mut transport).await.unwrap();
    let failure = call(&mut transport).await.unwrap_err();
    assert!(
        failure.reused && failure.kind.is_disconnect(),
        "{failure:?}"
    );
}

async fn deadlines(make: &impl Make) {
    // What the server sees of each way to give up; `None` is nothing at all.
    for (how, seen) in [
        (Abandon::Fin, Some(true)),
        (Abandon::Rst, Some(!make.can_reset())),
        (Abandon::Silence, None),
    ] {
        let (report, mut reports) = mpsc::unbounded_channel();
        let address = raw_server(vec![vec![Do::Read, Do::Watch(report)]]).await;
        let mut transport = make.make(address);
        transport.begin(GET).await.unwrap();
        let begun = Instant::now();
        let failure = transport
            .answer(begun + Duration::from_millis(100))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::TimedOut { received: 0 });
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert!(transport.is_connected(), "still there to be abandoned");
        transport.abandon(how);
        assert!(!transport.is_connected());
        let wait = match seen {
            Some(_) => SOON,
            None => Duration::from_millis(500),
        };
        let end = tokio::time::timeout(wait, reports.recv()).await;
        assert_eq!(end.ok().flatten().map(|end| end.is_ok()), seen, "{how:?}");
    }
    // An answer that drips past its deadline.
    let drip = Do::Drip(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        Duration::from_millis(50),
    );
    let mut transport = make.make(raw_server(vec![vec![Do::Read, drip]]).await);
    transport.begin(GET).await.unwrap();
    let failure = transport
        .answer(Instant::now() + Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(
        matches!(failure.kind, FailureKind::TimedOut { received } if (received > 0) == make.sees_bytes()),
        "{failure:?}"
    );
    // A body that does: what came is counted.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let drip = Do::Drip(b"okok".to_vec(), Duration::from_secs(1));
    let script = vec![Do::Read, text(head), drip, Do::Hold];
    let mut transport = make.make(raw_server(vec![script]).await);
    transport.begin(GET).await.unwrap();
    let failure = transport
        .answer(Instant::now() + Duration::from_millis(1500))
        .await
        .unwrap_err();
    assert!(
        matches!(failure.kind, FailureKind::TimedOut { received } if received >= head.len()),
        "{failure:?}"
    );
    assert!(transport.is_connected());
    transport.abandon(Abandon::Fin);
}

async fn refused(make: &impl Make) {
    // Bound and never listening: the port stays ours, and nobody answers.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let failure = call(&mut make.make(socket.local_addr().unwrap()))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Connect(ConnectError::Refused));
    assert_eq!(failure.sent, None);
}

#[tokio::test]
async fn lean_passes_the_contract() {
    suite(&MakeLean).await;
}

/// A server refuses a large request before it has read all of it, and reads no more, closes or resets.
#[tokio::test]
async fn lean_reads_an_answer_that_comes_while_the_request_is_written() {
    let body = vec![b'x'; 32 << 20];
    for status in [401, 413] {
        for (then, end) in [
            (Do::Hold, ConnectionEnd::ClosedByUs),
            (Do::Close, ConnectionEnd::ClosedByUs),
            (Do::Reset, ConnectionEnd::ClosedByUs),
        ] {
            let refused = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nno");
            let good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let scripts = vec![
                vec![text(&refused), then.clone()],
                vec![Do::Read, text(good), Do::Hold],
            ];
            let mut transport = MakeLean.make(raw_server(scripts).await);
            let request = Request {
                method: Method::Post,
                body: &body,
                ..GET
            };
            transport.begin(request).await.unwrap();
            let answer = transport.answer(Instant::now() + SOON).await.unwrap();
            assert_eq!((answer.status, &answer.body[..]), (status, &b"no"[..]));
            assert_eq!(answer.end, end, "{then:?}");
            assert!(!transport.is_connected());
            // The rest of the request is not taken for the next one.
            let (begun, answer) = exchange(&mut transport).await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(begun.connect.is_some());
        }
    }
    // Without an answer, it is a failure.
    let mut transport = MakeLean.make(raw_server(vec![vec![Do::Reset]]).await);
    let request = Request {
        method: Method::Post,
        body: &body,
        ..GET
    };
    let failure = transport.begin(request).await.unwrap_err();
    assert_eq!((failure.kind, failure.sent), (FailureKind::Reset, None));
}

#[tokio::test]
async fn reqwest_passes_the_contract() {
    suite(&MakeReqwest).await;
}

/// Answers every request over a connection with 40 kB that begin with the client's port.
async fn answer_all(mut stream: TcpStream) {
    let mut head = Vec::new();
    let port = stream.peer_addr().unwrap().port();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 40960\r\n\r\n{port:05}").into_bytes();
    answer.resize(answer.len() + 40_955, b'x');
    while stream.read_buf(&mut head).await.unwrap_or(0) > 0 {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            // The client may be gone.
            let _ = stream.write_all(&answer).await;
        }
    }
}

/// The pool may have a connection back a moment after the answer: the device's next request is not to
/// make another one meanwhile. On several threads, where that happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_over_reqwest_has_one_connection() {
    const MOST: usize = 5;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(answer_all(stream));
        }
    });
    let mut transport = MakeReqwest.make(address);
    let (mut last, mut wrong) = (0, 0);
    for _ in 0..=200 {
        let (begun, answer) = exchange(&mut transport).await.unwrap();
        let port: u16 = std::str::from_utf8(&answer.body[..5])
            .unwrap()
            .parse()
            .unwrap();
        let is_reused = begun.connect.is_none();
        wrong += usize::from(begun.local.port != port || is_reused != (port == last));
        last = port;
    }
    let accepted = accepted.load(Ordering::Relaxed);
    // More than one where the pool is kept from the processor for longer than a request waits for it;
    // what is told may be wrong where the request gets the old one at the last moment.
    assert!(accepted <= MOST, "{accepted} connections for 201 requests");
    assert!(wrong < accepted, "{wrong} of 201 were told wrong");
}

#[tokio::test]
async fn silent_connections_over_reqwest_are_bounded() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let address = raw_server(vec![vec![Do::Read, Do::Watch(report)]]).await;
    let factory = MakeReqwest::factory(address);
    for _ in 0..5 {
        let mut transport = factory.make();
        transport.begin(GET).await.unwrap();
        transport.abandon(Abandon::Silence);
    }
    assert_eq!(factory.silenced(), 4);
    let end = tokio::time::timeout(SOON, reports.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(end.is_ok(), "the oldest is closed");
}

/// A server's first frame is SETTINGS; GOAWAY comes from one that waits for the preface of HTTP/2.
#[tokio::test]
async fn a_server_that_speaks_only_http_2_is_named() {
    const ONLY: FailureKind = FailureKind::Malformed(
        "the server speaks HTTP/2 only; set transport = \"reqwest\" and http2 = true in [target]",
    );
    const BROKEN: FailureKind = FailureKind::Malformed("the status line or a header is broken");
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec();
    let bare = b"\0\0\0\x04\0\0\0\0\0".to_vec();
    let goaway = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01".to_vec();
    let drip = Do::Drip(settings.clone(), Duration::from_millis(1));
    for send in [Do::Send(settings), Do::Send(bare), Do::Send(goaway), drip] {
        let kind = against(&MakeLean, vec![Do::Read, send, Do::Hold]).await;
        assert_eq!(kind.unwrap_err(), ONLY);
    }
    // Negative controls: DATA, a stream that is not 0, a length that no SETTINGS has, other zeros.
    for other in [
        &b"\0\0\x06\0\0\0\0\0\0"[..],
        b"\0\0\x06\x04\0\0\0\0\x01",
        b"\0\0\x05\x04\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0\0",
    ] {
        let script = vec![Do::Read, Do::Send(other.to_vec()), Do::Hold];
        assert_eq!(against(&MakeLean, script).await.unwrap_err(), BROKEN);
    }
    let cut = vec![Do::Read, Do::Send(b"\0\0\x06\x04".to_vec()), Do::Close];
    let kind = against(&MakeLean, cut).await.unwrap_err();
    assert!(matches!(kind, FailureKind::Truncated { .. }), "{kind:?}");
    let page = vec![Do::Read, text("<html>hello</html>\r\n\r\n"), Do::Hold];
    assert_eq!(
        against(&MakeLean, page).await.unwrap_err(),
        FailureKind::Malformed("an HTML page without an HTTP status line")
    );
}

#[tokio::test]
async fn a_real_http_2_server_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Fails at the preface, which HTTP/1.1 is not, after its SETTINGS.
        let _ = h2::server::handshake(stream).await;
    });
    let failure = call(&mut MakeLean.make(address)).await.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("the server speaks HTTP/2 only"),
        "{failure}"
    );
    server.await.unwrap();
}

/// Over a link of a megabyte a second.
struct MakeLinked;

impl Make for MakeLinked {
    type Transport = Lean<Network>;

    fn make(&self, address: SocketAddr) -> Self::Transport {
        let target = Target::parse(&format!("http://{address}")).unwrap();
        let speed = LinkSpeed {
            // The suite asks at once whether a connection was closed.
            latency: Duration::ZERO,
            bandwidth: Some(1_000_000),
        };
        let network = Network::new(target, &TlsOptions::default()).unwrap();
        let links = Arc::new([Some(speed)]);
        let network = network.with_ends(Ends::new(&[], Arc::default(), links));
        Lean::factory(network, 4, LIMITS, Arc::default()).make()
    }

    fn can_reset(&self) -> bool {
        true
    }

    fn sees_bytes(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn lean_over_a_link_passes_the_contract() {
    suite(&MakeLinked).await;
}

/// Silence is bounded: beyond the limit the oldest connection is reset.
#[tokio::test]
async fn silent_connections_are_bounded() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let address = raw_server(vec![vec![Do::Read, Do::Watch(report)]]).await;
    let factory = MakeLean::factory(address);
    for _ in 0..5 {
        let mut transport = factory.make();
        transport.begin(GET).await.unwrap();
        transport.abandon(Abandon::Silence);
    }
    assert_eq!(factory.silenced(), 4);
    let end = tokio::time::timeout(SOON, reports.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(end.is_err(), "the oldest is reset");
}

#[test]
fn targets_are_checked() {
    let target = Target::parse("https://mail.lab.example").unwrap();
    assert_eq!(
        (target.tls, target.port, target.path.as_str()),
        (true, 443, eas::http::PATH)
    );
    for (url, problem) in [
        (
            "mail.lab.example",
            "expected a URL such as https://mail.lab.example",
        ),
        ("ftp://mail", "scheme"),
        ("https://user:secret@mail", "credentials"),
    ] {
        let error = Target::parse(url).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
