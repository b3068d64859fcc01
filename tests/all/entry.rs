//! What stands between a device and its server: cookies, redirects, tokens, certificates.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use easload::device::{Client, Event, Profile, Record, Refusals};
use easload::transport::{
    Abandon, Answer, Begun, Failure, Lean, Limits, Network, Origin, Request, Target, TlsOptions,
    Transport,
};
use tokio::time::Instant;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixtures::{MockProgram, identity, profile};

/// Sees nothing.
struct Deaf;

impl Record for Deaf {
    fn record(&self, _: u32, _: Event<'_>) {}
}

/// Keeps the Cookie header of every request.
struct Spy<T> {
    inner: T,
    cookies: Arc<Mutex<Vec<Option<String>>>>,
}

impl<T: Transport> Transport for Spy<T> {
    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        let mut headers = request.headers.iter();
        let cookie = headers.find(|(name, _)| *name == "Cookie");
        let cookie = cookie.map(|(_, value)| (*value).to_owned());
        self.cookies.lock().unwrap().push(cookie);
        self.inner.begin(request).await
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        self.inner.answer(deadline).await
    }

    fn abandon(&mut self, how: Abandon) {
        self.inner.abandon(how);
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.inner.origin()
    }
}

fn lean(url: &str, tls: &TlsOptions) -> Lean<Network> {
    let network = Network::new(Target::parse(url).unwrap(), tls).unwrap();
    Lean::factory(network, 0, Limits::default(), Arc::default()).make()
}

fn client<T: Transport>(transport: T, profile: Arc<Profile>) -> Client<T> {
    Client::new(
        transport,
        identity(0, "secret"),
        profile,
        Arc::new(Refusals::new(1, 3, 1.0)),
        Arc::new(Deaf),
    )
}

fn options_answer() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .insert_header("MS-ASProtocolVersions", "14.1")
        .insert_header("MS-ASProtocolCommands", "Sync,Ping")
}

#[tokio::test]
async fn a_device_sends_the_cookies_of_its_server_back() {
    let server = MockServer::start().await;
    let answer = options_answer()
        .append_header("Set-Cookie", "X-BackEndCookie=abc~1; path=/; HttpOnly")
        .append_header("Set-Cookie", "lb=two")
        .append_header("Set-Cookie", "elsewhere=x; path=/owa")
        .append_header("Set-Cookie", "safe=x; secure")
        .append_header("Set-Cookie", "foreign=x; Domain=other.example");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    for keeps in [true, false] {
        let mut kind = (*profile(5)).clone();
        kind.cookies = keeps;
        let transport = lean(&server.uri(), &TlsOptions::default());
        let mut client = client(transport, Arc::new(kind));
        client.options().await.unwrap();
        client.options().await.unwrap();
        // The answer is no WBXML; what was sent is what counts.
        let _ = client.provision().await;
        let requests = server.received_requests().await.unwrap();
        let sent: Vec<Option<&str>> = requests
            .iter()
            .map(|request| {
                request
                    .headers
                    .get("Cookie")
                    .map(|one| one.to_str().unwrap())
            })
            .collect();
        let back = keeps.then_some("X-BackEndCookie=abc~1; lb=two");
        assert_eq!(sent, [None, back, back], "cookies = {keeps}");
        server.reset().await;
        Mock::given(any())
            .respond_with(options_answer().append_header("Set-Cookie", "a=b"))
            .mount(&server)
            .await;
    }
}

#[tokio::test]
async fn the_back_end_cookie_of_the_mock_comes_back() {
    let mock = MockProgram::start(&["--tls"]);
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(mock.addresses.ca.as_ref().unwrap().as_bytes())
        .unwrap();
    let tls = TlsOptions {
        ca_file: Some(ca.path().to_owned()),
        insecure: false,
    };
    let cookies = Arc::default();
    let spy = Spy {
        inner: lean(&mock.addresses.url, &tls),
        cookies: Arc::clone(&cookies),
    };
    let mut client = client(spy, profile(5));
    client.options().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), client.provision())
        .await
        .unwrap()
        .unwrap();
    let seen = cookies.lock().unwrap();
    assert_eq!(seen[0], None);
    let cookie = seen[1].as_deref().unwrap();
    assert!(cookie.starts_with("X-BackEndCookie=MOCK"), "{cookie}");
}
