//! What stands between a device and its server: cookies, redirects, addresses, certificates.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::device::{
    Authorization, Behaviour, Client, Event, Identity, Profile, Record, Refusals, Trouble,
};
use client::discover::{Ask, Internet, Question, Service, Web, discover};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{
    Abandon, Answer, Begun, Failure, Lean, Limits, Network, Origin, RedirectError, Request,
    Transport,
};
use easload::measure::Recorder;
use mock_api::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use scenario::names::{Counter, DeviceState, Gauges};
use scenario::{ClientCertificate, Detour, Target, TlsOptions};
use tokio::time::Instant;
use wiremock::matchers::{any, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixtures::{MockProgram, eventually, identity, mock, profile, program, together};

/// Sees nothing.
pub(crate) struct Deaf;

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

    fn another(&self) -> Self {
        Self {
            inner: self.inner.another(),
            cookies: Arc::clone(&self.cookies),
        }
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.inner.origin()
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        self.inner.redirect(to)
    }
}

pub(crate) fn lean(url: &str, tls: &TlsOptions) -> Lean<Network> {
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

pub(crate) fn options_answer() -> ResponseTemplate {
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
        ..TlsOptions::default()
    };
    let cookies = Arc::default();
    let spy = Spy {
        inner: lean(&mock.addresses.url, &tls),
        cookies: Arc::clone(&cookies),
    };
    let mut client = client(spy, profile(5));
    client.options().await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), client.provision())
        .await
        .unwrap()
        .unwrap();
    let seen = cookies.lock().unwrap();
    assert_eq!(seen[0], None);
    let cookie = seen[1].as_deref().unwrap();
    assert!(cookie.starts_with("X-BackEndCookie=MOCK"), "{cookie}");
}

/// HTTP 451 to that URL, for everything but OPTIONS.
async fn redirecting_to(location: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("OPTIONS"))
        .respond_with(options_answer())
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(451).insert_header("X-MS-Location", location))
        .mount(&server)
        .await;
    server
}

fn redirected_client(server: &MockServer) -> Client<Lean<Network>> {
    client(lean(&server.uri(), &TlsOptions::default()), profile(5))
}

#[tokio::test]
async fn a_device_goes_where_a_451_sends_it_and_stays_there() {
    let there = redirecting_to("http://127.0.0.1:1").await;
    let here = redirecting_to(&format!("{}/Other-Path", there.uri())).await;
    let mut client = redirected_client(&here);
    let trouble = client.provision().await.unwrap_err();
    client.follow(&trouble).unwrap();
    client.options().await.unwrap();
    let seen = there.received_requests().await.unwrap();
    assert_eq!(
        (seen.len(), seen[0].url.path()),
        (1, "/Other-Path"),
        "the path goes with the host"
    );
    assert_eq!(here.received_requests().await.unwrap().len(), 1);
}

/// What a 451 names may be a part of a URL, have a query, and be long.
#[tokio::test]
async fn a_location_may_be_relative_and_keeps_its_query() {
    let long = format!("/{}", "a".repeat(2000));
    for (location, path, query) in [
        ("/Other-Path", "/Other-Path", None),
        (
            "/Other-Path?farm=2&x=%20",
            "/Other-Path",
            Some("farm=2&x=%20"),
        ),
        ("Other-Path?farm=2", "/Other-Path", Some("farm=2")),
        ("?farm=2", eas::http::PATH, Some("farm=2")),
        (long.as_str(), &long, None),
    ] {
        let server = redirecting_to(location).await;
        let mut client = redirected_client(&server);
        let trouble = client.provision().await.unwrap_err();
        client.follow(&trouble).unwrap();
        client.options().await.unwrap();
        client.provision().await.unwrap_err();
        let seen = server.received_requests().await.unwrap();
        let urls: Vec<_> = seen.iter().map(|request| &request.url).collect();
        assert_eq!(
            (urls[1].path(), urls[1].query()),
            (path, query),
            "{location}"
        );
        let command = "Cmd=Provision&User=load0000&";
        let expected = match query {
            Some(query) => format!("{query}&{command}"),
            None => command.to_owned(),
        };
        assert_eq!(urls[2].path(), path);
        let sent = urls[2].query().unwrap();
        assert!(sent.starts_with(&expected), "{location}: {sent}");
    }
}

/// Half of what HTTP.sys takes as a request line.
#[tokio::test]
async fn a_location_of_more_than_8_kib_is_not_followed() {
    let server = redirecting_to(&format!("/{}", "a".repeat(8192))).await;
    let mut client = redirected_client(&server);
    let trouble = client.provision().await.unwrap_err();
    let problem = client.follow(&trouble).unwrap_err();
    assert!(
        problem.contains("it is longer than 8192 bytes"),
        "{problem}"
    );
    assert!(problem.len() < 400, "{problem}");
}

#[tokio::test]
async fn a_device_is_not_sent_to_strangers_nor_round_for_ever() {
    for (location, part) in [
        ("http://127.0.0.2:9", "name it in [target] redirect_to"),
        ("https://mail.other.example", "`mail.other.example`"),
        ("not a URL", "it is not a URL"),
        ("ftp://127.0.0.1", "neither https nor http"),
    ] {
        let server = redirecting_to(location).await;
        let mut client = redirected_client(&server);
        let trouble = client.provision().await.unwrap_err();
        let problem = client.follow(&trouble).unwrap_err();
        assert!(problem.contains(part), "{problem}");
    }
    let here = MockServer::start().await;
    let round = ResponseTemplate::new(451).insert_header("X-MS-Location", here.uri());
    Mock::given(any()).respond_with(round).mount(&here).await;
    let mut client = redirected_client(&here);
    let mut followed = 0;
    let problem = loop {
        let trouble = client.options().await.unwrap_err();
        match client.follow(&trouble) {
            Ok(()) => followed += 1,
            Err(problem) => break problem,
        }
        assert!(followed < 100, "it goes round for ever");
    };
    assert!(problem.contains("lead nowhere"), "{problem}");
    let mut nowhere = redirected_client(&here);
    here.reset().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(451))
        .mount(&here)
        .await;
    let trouble = nowhere.options().await.unwrap_err();
    let problem = nowhere.follow(&trouble).unwrap_err();
    assert!(
        problem.contains("without a header X-MS-Location"),
        "{problem}"
    );
}

/// The whole life: sent away at its first command, a device holds its Ping at the other server.
#[tokio::test]
async fn a_life_goes_on_at_the_other_server_and_is_counted() {
    let mock = mock(|_| {}).await;
    let here = redirecting_to(&mock.addresses().url).await;
    let network = Network::new(Target::parse(&here.uri()).unwrap(), &TlsOptions::default());
    let factory = Lean::factory(network.unwrap(), 0, Limits::default(), Arc::default());
    let recorder = Arc::new(Recorder::new(1, &[0], Duration::from_secs(20)));
    let fleet = Fleet::start(
        FleetPlan {
            devices: vec![(identity(0, "secret"), profile(60))],
            refusals: Arc::new(Refusals::new(1, 3, 1.0)),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(100.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |_| factory.make(),
    );
    eventually("the device holds a Ping", || async {
        recorder.devices_in(DeviceState::Holding) == 1
    })
    .await;
    let interval = recorder.interval("baseline", Gauges::default());
    assert_eq!(interval.count(Counter::Redirected), 1);
    assert_eq!(interval.count(Counter::NotRedirected), 0);
    fleet.stop(Duration::ZERO).await;
}

/// Everything that is asked of `autodiscover.lab.example` goes to the mock; nothing else is there.
struct ToMock {
    internet: Internet,
    mock: Target,
}

impl Web for ToMock {
    async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, String> {
        if ask.target.host != "autodiscover.lab.example" || !ask.target.tls {
            return Err("connection refused".to_owned());
        }
        let ask = Ask {
            target: &self.mock,
            ..ask
        };
        self.internet.ask(ask).await
    }

    async fn services(&mut self, _: &str) -> Result<Vec<Service>, String> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn autodiscover_finds_the_mock() {
    let mock = MockProgram::start(&["--tls"]);
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(mock.addresses.ca.as_ref().unwrap().as_bytes())
        .unwrap();
    let mut web = ToMock {
        internet: Internet::new(TlsOptions {
            ca_file: Some(ca.path().to_owned()),
            ..TlsOptions::default()
        }),
        mock: Target::parse(&mock.addresses.url).unwrap(),
    };
    let authorization = {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode("load0001:secret");
        format!("Basic {encoded}")
    };
    let mut question = Question {
        address: "load0001@lab.example".to_owned(),
        authorization,
        domains: vec!["127.0.0.1".to_owned()],
    };
    let found = discover(&mut web, &question, &mut |_: &str| {}).await;
    assert_eq!(found.unwrap(), web.mock);
    // A server outside the domain that nobody named.
    question.domains.clear();
    let found = discover(&mut web, &question, &mut |_: &str| {}).await;
    let error = found.unwrap_err().to_string();
    assert!(
        error.contains("it leads to `127.0.0.1`") && error.contains("autodiscover_domains"),
        "{error}"
    );
    "Basic wrong".clone_into(&mut question.authorization);
    let found = discover(&mut web, &question, &mut |_: &str| {}).await;
    let error = found.unwrap_err().to_string();
    assert!(error.contains("the password is refused"), "{error}");
}

/// The devices that a server has seen, by its IIS log.
async fn devices_of(mock: &MockProgram) -> BTreeSet<String> {
    let control = mock_client::Control::new(&mock.addresses.control).unwrap();
    let log = control.iis_log().await.unwrap();
    let ids = log.split("DeviceId=").skip(1);
    ids.map(|rest| rest.split(['&', ' ']).next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn devices_are_dealt_out_to_servers_by_weight() {
    let healthy = ["--scenario", "scenarios/healthy.toml"];
    let mocks = [MockProgram::start(&healthy), MockProgram::start(&healthy)];
    let urls = mocks.each_ref().map(|mock| mock.addresses.url.clone());
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = \"t\"\n[target]\nurl = {urls:?}\nweights = [3, 1]\n[devices]\ncount = 8\n\
         user = \"load####\"\npassword_env = \"P\"\nheartbeat = \"2s\"\n[[phase]]\n\
         kind = \"baseline\"\nduration = \"6s\"\n"
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let output = std::process::Command::new(program())
        .args(["run", "s.toml", "--quiet"])
        .current_dir(folder.path())
        .env("P", "secret")
        .output()
        .unwrap();
    // So short a run judges nothing.
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let seen = [devices_of(&mocks[0]).await, devices_of(&mocks[1]).await];
    let devices = |numbers: &[u32]| -> BTreeSet<String> {
        let ids = numbers.iter().map(|device| format!("EASLOAD{device:08}"));
        ids.collect()
    };
    assert_eq!(seen, [devices(&[0, 1, 3, 4, 5, 7]), devices(&[2, 6])]);
}

fn check(target: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let text = format!(
        "name = \"t\"\n[target]\n{target}\n[devices]\ncount = 1\nuser = \"a@lab.example\"\n\
         password_env = \"PATH\"\n[[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(program())
        .arg("check")
        .arg(&file)
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn mistakes_of_the_way_in_are_told() {
    for (target, part) in [
        (
            "autodiscover = true",
            "what Autodiscover finds for the first user",
        ),
        (
            "autodiscover = \"b@lab.example\"",
            "what Autodiscover finds for b@lab.example",
        ),
        ("", "target.url: is missing"),
        ("autodiscover = false", "expected a text or true"),
        ("autodiscover = \"lab.example\"", "expected a mail address"),
        (
            "autodiscover = true\nurl = \"https://a\"",
            "name either url or autodiscover",
        ),
        (
            "url = \"https://a\"\nautodiscover_domains = [\"b\"]",
            "belongs to autodiscover",
        ),
        (
            "url = [\"https://a\", \"https://b\"]\nweights = [3, 1]\ndns = \"spread\"",
            "https://a (75 %), https://b (25 %), spread over all addresses",
        ),
        (
            "url = \"https://a\"\nweights = [3, 1]",
            "target.weights: expected one for each URL: 1, found 2",
        ),
        (
            "url = \"https://a\"\nweights = [0]",
            "target.weights: expected whole numbers from 1 to 1000, found 0",
        ),
        (
            "autodiscover = true\nweights = [1]",
            "Autodiscover finds one server",
        ),
        (
            "url = \"https://a\"\ndns = \"all\"",
            "target.dns: expected one of \"first\", \"spread\"",
        ),
        (
            "url = \"https://a\"\nredirect_to = \"https://b\"",
            "`https://b` is no host",
        ),
    ] {
        let said = check(target);
        assert!(said.contains(part), "{target}: {said}");
    }
}

/// What a scenario says of addresses and links is what a server sees of a run.
#[tokio::test]
async fn a_run_comes_from_its_addresses_over_its_link() {
    let mock = MockProgram::start(&["--scenario", "scenarios/healthy.toml"]);
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = \"t\"\n[target]\nurl = \"{}\"\n[devices]\ncount = 4\nuser = \"load####\"\n\
         password_env = \"P\"\nheartbeat = \"30s\"\nsource_addresses = [\"127.0.0.2..127.0.0.3\"]\n\
         latency = \"200ms\"\n[[phase]]\nkind = \"baseline\"\nduration = \"8s\"\n",
        mock.addresses.url
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let output = std::process::Command::new(program())
        .args(["run", "s.toml", "--quiet"])
        .current_dir(folder.path())
        .env("P", "secret")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let run = said.split("Run directory: ").nth(1).expect(&said).trim();
    let run = std::fs::read(folder.path().join(run).join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run).unwrap();
    let sync = &run["phases"][0]["latencies"]["sync"];
    assert_eq!(sync["count"], 8, "{said}");
    let p50 = sync["p50"].as_u64().unwrap();
    assert!(p50 >= 200_000, "{p50} µs");
    let control = mock_client::Control::new(&mock.addresses.control).unwrap();
    let log = control.iis_log().await.unwrap();
    let fields = log
        .lines()
        .find_map(|line| line.strip_prefix("#Fields: "))
        .unwrap();
    let client = fields.split(' ').position(|field| field == "c-ip").unwrap();
    let lines = log.lines().filter(|line| line.contains("Cmd=Sync"));
    let addresses: BTreeSet<&str> = lines
        .map(|line| line.split(' ').nth(client).unwrap())
        .collect();
    assert_eq!(addresses, BTreeSet::from(["127.0.0.2", "127.0.0.3"]));
}

/// A certificate of that authority as `NAME.pem`, and its key as `NAME.key`.
fn certificate(folder: &std::path::Path, name: &str, issuer: &Issuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let address = SanType::IpAddress("127.0.0.1".parse().unwrap());
    parameters.subject_alt_names.push(address);
    let usages = [
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    parameters.extended_key_usages.extend(usages);
    let signed = parameters.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), signed.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn authority(folder: &std::path::Path, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, name);
    std::fs::write(folder.join(name), ca.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(ca, key)
}

/// Of two users one has a certificate of an authority that the server does not know.
#[test]
fn a_run_shows_the_certificates_of_its_users_file() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = authority(folder.path(), "ca");
    let foreign = authority(folder.path(), "foreign");
    for name in ["load0001", "load0002"] {
        certificate(folder.path(), name, &trusted);
    }
    certificate(folder.path(), "stranger", &foreign);
    let scenario = "name = \"t\"\n[mock]\ntls = true\nclient_ca = \"ca\"\nmin_heartbeat = \"1s\"\n\
                    [devices]\ncount = 2\nusers_file = \"u.csv\"\nheartbeat = \"30s\"\n\
                    retry = \"50ms..200ms\"\n[[phase]]\nkind = \"baseline\"\nduration = \"4s\"\n";
    together([("load0002", 2), ("stranger", 1)], |(second, held)| {
        let users = format!(
            "user,certificate,key\nload0001,load0001.pem,load0001.key\n\
             load0002,{second}.pem,{second}.key\n"
        );
        let list = format!("{second}.csv");
        std::fs::write(folder.path().join(&list), users).unwrap();
        let file = folder.path().join(format!("{second}.toml"));
        std::fs::write(&file, scenario.replace("u.csv", &list)).unwrap();
        let output = std::process::Command::new(program())
            .args(["run", "--quiet"])
            .arg(&file)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.starts_with("Pings held"));
        let last = line.and_then(|line| line.split_whitespace().last());
        assert_eq!(last, Some(held.to_string().as_str()), "{text}");
    });
}

#[tokio::test]
async fn each_user_shows_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let trusted = authority(folder.path(), "ca");
    let foreign = authority(folder.path(), "foreign");
    for name in ["server", "load0001", "load0002"] {
        certificate(folder.path(), name, &trusted);
    }
    certificate(folder.path(), "stranger", &foreign);
    let mock = mock(|config| {
        config.tls = Tls::Files {
            certificate: at("server.pem"),
            key: at("server.key"),
        };
        config.client_ca = Some(at("ca"));
    })
    .await;
    let url = format!("https://{}", mock.addresses().listen);
    let tls = TlsOptions {
        ca_file: Some(at("ca")),
        ..TlsOptions::default()
    };
    let network = Network::new(Target::parse(&url).unwrap(), &tls).unwrap();
    let factory = Lean::factory(network, 0, Limits::default(), Arc::default());
    let of = |name: &str, key: &str| ClientCertificate {
        certificate: at(&format!("{name}.pem")),
        key: at(&format!("{key}.key")),
    };
    let device = |transport: Lean<Network>| {
        let identity = Identity {
            authorization: Authorization::Certificate,
            ..(*identity(1, "")).clone()
        };
        let refusals = Arc::new(Refusals::new(2, 3, 1.0));
        Client::new(
            transport,
            Arc::new(identity),
            profile(5),
            refusals,
            Arc::new(Deaf),
        )
    };
    for name in ["load0001", "load0002"] {
        let presenting = factory.presenting(&of(name, name)).unwrap();
        device(presenting.make()).options().await.unwrap();
    }
    // Nobody, after somebody: no session is shared.
    let trouble = device(factory.make()).options().await.unwrap_err();
    assert!(
        matches!(&trouble, Trouble::Http { status, .. } if status.code() == 401),
        "{trouble:?}"
    );
    let stranger = factory.presenting(&of("stranger", "stranger")).unwrap();
    let trouble = device(stranger.make()).options().await.unwrap_err();
    let Trouble::Transport(failure) = trouble else {
        panic!("{trouble:?}");
    };
    // The server's words for a certificate of somebody else's authority.
    let text = failure.to_string().to_lowercase();
    assert!(text.contains("alert"), "{text}");

    let mixed = factory
        .presenting(&of("load0001", "load0002"))
        .err()
        .unwrap();
    assert!(mixed.to_string().contains("do not go together"), "{mixed}");
    let missing = factory.presenting(&of("load0003", "load0001")).err();
    let missing = missing.unwrap().to_string();
    assert!(missing.contains("load0003.pem"), "{missing}");
    mock.shutdown().await;
}

/// A lab without DNS: the URL's name is nobody's, and the server is at an address.
#[tokio::test]
async fn a_server_is_reached_at_another_address_under_its_name() {
    let server = MockServer::start().await;
    Mock::given(header("Host", "mail.lab.example"))
        .respond_with(options_answer())
        .mount(&server)
        .await;
    Mock::given(header("Host", "other.lab.example:444"))
        .respond_with(options_answer())
        .mount(&server)
        .await;
    let address = *server.address();
    let connect_to = Some((address.ip().to_string(), address.port()));
    for host_header in [None, Some("other.lab.example:444".to_owned())] {
        let target = Target::parse("http://mail.lab.example").unwrap();
        let network = Network::new(target, &TlsOptions::default()).unwrap();
        let network = network.via(Detour {
            connect_to: connect_to.clone(),
            sni: None,
            host_header,
        });
        let factory = Lean::factory(network.unwrap(), 0, Limits::default(), Arc::default());
        client(factory.make(), profile(5)).options().await.unwrap();
    }

    // Over TLS the certificate is checked for the server name: the mock's is for localhost.
    let mock = MockProgram::start(&["--tls"]);
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(mock.addresses.ca.as_ref().unwrap().as_bytes())
        .unwrap();
    let tls = TlsOptions {
        ca_file: Some(ca.path().to_owned()),
        ..TlsOptions::default()
    };
    let listen = mock.addresses.listen;
    for (sni, is_good) in [(Some("localhost"), true), (None, false)] {
        let target = Target::parse("https://mail.lab.example").unwrap();
        let network = Network::new(target, &tls).unwrap().via(Detour {
            connect_to: Some((listen.ip().to_string(), listen.port())),
            sni: sni.map(str::to_owned),
            host_header: None,
        });
        let factory = Lean::factory(network.unwrap(), 0, Limits::default(), Arc::default());
        let answer = client(factory.make(), profile(5)).options().await;
        assert_eq!(answer.is_ok(), is_good, "{answer:?}");
    }
}
