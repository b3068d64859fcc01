//! Autodiscover: from a mail address to the URL of its ActiveSync server (MS-OXDSCLI 3.1.5, MS-ASCMD
//! 2.2.1.1), step by step, each of them told.
//!
//! Two things are never done, whatever a server says: credentials do not go over plain HTTP, and
//! neither requests nor load go to a domain that the user did not name.

mod pox;
mod services;
mod web;

use std::collections::HashSet;

use eas::http::{has_html_element, is_html_type};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pox::{Meaning, shown};
use scenario::{Target, with_query};

use crate::transport::{Answer, Method, names_host};

pub use services::Service;
pub use web::{Ask, Internet, Web};

/// Redirects of all kinds; MS-OXDSCLI lets a client stop at ten.
const MAX_REDIRECTS: u32 = 10;
/// Refused passwords: one fewer than the devices' own bound, so that the lookup and a first login
/// together lock nobody out.
const MAX_REFUSED: u32 = 2;
/// Path of the JSON form, from Exchange 2016 on.
const JSON_PATH: &str = "/autodiscover/autodiscover.json";
/// The path that a redirect means that names none.
const ROOT: &str = "/";
/// Path of the XML form.
const XML_PATH: &str = "/autodiscover/autodiscover.xml";

/// Whose server is looked for.
#[derive(Clone)]
pub struct Question {
    /// The mail address.
    pub address: String,
    /// The value of the Authorization header.
    pub authorization: String,
    /// Domains and hosts beside the address's own: names, or `*.` and a domain.
    pub domains: Vec<String>,
}

/// Why there is no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// Not a mail address.
    #[error("`{0}` is no mail address; expected user@domain")]
    Address(String),
    /// It was stopped.
    #[error("{0}")]
    Stopped(String),
    /// Every step failed.
    #[error("no step led to a server: {}", .0.join("; "))]
    Nothing(Vec<String>),
}

/// How a step ended.
enum Step {
    Found(Target),
    /// The server knows the user by another address.
    Address(String),
    Failed(String),
    /// Nothing more must be tried.
    Stop(String),
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// POST of XML, with credentials.
    Xml,
    /// GET of JSON, without.
    Json,
}

struct Walk<'a, W> {
    web: &'a mut W,
    question: &'a Question,
    tell: &'a mut (dyn FnMut(&str) + Send),
    /// The address that is asked for now.
    address: String,
    redirects: u32,
    refused: u32,
    /// What was asked, for which address.
    asked: HashSet<(String, String)>,
}

/// Finds the ActiveSync server of an address. Every step is told in a line.
///
/// # Errors
/// When no step leads to a server, or one leads where it must not.
pub async fn discover<W: Web>(
    web: &mut W,
    question: &Question,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Target, DiscoverError> {
    let mut walk = Walk {
        web,
        question,
        tell,
        address: question.address.clone(),
        redirects: 0,
        refused: 0,
        asked: HashSet::new(),
    };
    loop {
        match walk.address().await? {
            Step::Found(target) => {
                (walk.tell)(&format!("found {}", target.url()));
                return Ok(target);
            }
            Step::Address(next) => {
                (walk.tell)(&format!("  → asks for {} instead", shown(&next)));
                walk.redirect().map_err(DiscoverError::Stopped)?;
                walk.address = next;
            }
            Step::Failed(text) | Step::Stop(text) => return Err(DiscoverError::Stopped(text)),
        }
    }
}

/// Whether Autodiscover can ask for that user: by the domain of a mail address.
pub fn is_address(user: &str) -> bool {
    domain_of(user).is_some()
}

/// The domain of a mail address, in lower case.
fn domain_of(address: &str) -> Option<String> {
    let (user, domain) = address.rsplit_once('@')?;
    let allowed = |letter: char| letter.is_alphanumeric() || "-.".contains(letter);
    let is_good = !user.is_empty() && !domain.is_empty() && domain.chars().all(allowed);
    (is_good && !domain.starts_with('.')).then(|| domain.to_lowercase())
}

fn target(scheme: &str, host: &str, path: &str) -> Result<Target, String> {
    Target::parse(&format!("{scheme}://{host}{path}")).map_err(|error| error.to_string())
}

impl<W: Web> Walk<'_, W> {
    /// All steps for one address, until one leads on.
    async fn address(&mut self) -> Result<Step, DiscoverError> {
        let domain =
            domain_of(&self.address).ok_or_else(|| DiscoverError::Address(shown(&self.address)))?;
        if !self.is_allowed(&domain) {
            return Ok(Step::Stop(foreign(&domain)));
        }
        let below = format!("autodiscover.{domain}");
        let mut failed = Vec::new();
        for number in 0..5 {
            let step = match number {
                0 => {
                    self.ask(Form::Xml, target("https", &domain, XML_PATH))
                        .await
                }
                1 => self.ask(Form::Xml, target("https", &below, XML_PATH)).await,
                2 => self.pointed(&below).await,
                3 => self.named(&domain).await,
                _ => {
                    self.ask(Form::Json, target("https", &below, JSON_PATH))
                        .await
                }
            };
            match step {
                Step::Failed(text) => {
                    (self.tell)(&format!("  → {text}"));
                    failed.push(text);
                }
                other => return Ok(other),
            }
        }
        Err(DiscoverError::Nothing(failed))
    }

    /// Whether the user named that host: it is in the domain of the address that he gave, or on the
    /// list.
    fn is_allowed(&self, host: &str) -> bool {
        let own = domain_of(&self.question.address).unwrap_or_default();
        let own = [own.clone(), format!("*.{own}")];
        names_host(&own, host) || names_host(&self.question.domains, host)
    }

    fn redirect(&mut self) -> Result<(), String> {
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return Err(format!(
                "more than {MAX_REDIRECTS} redirects: Autodiscover leads in a circle"
            ));
        }
        Ok(())
    }

    /// Asks a server, and those that it points to.
    async fn ask(&mut self, form: Form, first: Result<Target, String>) -> Step {
        let mut to = match first {
            Ok(to) => to,
            Err(text) => return Step::Failed(text),
        };
        loop {
            let url = to.url();
            if !self.asked.insert((url.clone(), self.address.clone())) {
                return Step::Failed(format!("{url} was asked already: it leads in a circle"));
            }
            let answer = match self.send(form, &to).await {
                Ok(answer) => answer,
                Err(text) => return Step::Failed(format!("{url}: {text}")),
            };
            match answer.status {
                200 => return self.understand(form, &url, &answer),
                301 | 302 | 303 | 307 | 308 | 451 => {
                    to = match self.next(&to, &answer) {
                        Ok(next) => next,
                        Err(step) => return step,
                    };
                }
                401 => return self.refuse(&url),
                status => return Step::Failed(format!("{url}: HTTP {status}")),
            }
        }
    }

    async fn send(&mut self, form: Form, to: &Target) -> Result<Answer, String> {
        let url = to.url();
        let user_agent = concat!("easload/", env!("CARGO_PKG_VERSION"));
        let (method, path, body) = match form {
            Form::Xml => (Method::Post, to.path.clone(), pox::request(&self.address)),
            Form::Json => {
                let address = utf8_percent_encode(&self.address, NON_ALPHANUMERIC);
                let (path, redirects) = (&to.path, self.redirects);
                let query =
                    format!("Email={address}&Protocol=ActiveSync&RedirectCount={redirects}");
                // A redirect may name the address already.
                let path = match names_address(path) {
                    true => path.clone(),
                    false => with_query(path, &query),
                };
                (Method::Get, path, String::new())
            }
        };
        let mut headers = vec![("User-Agent", user_agent)];
        match form {
            Form::Xml => {
                headers.push(("Authorization", self.question.authorization.as_str()));
                headers.push(("Content-Type", "text/xml"));
            }
            Form::Json => headers.push(("Accept", "application/json")),
        }
        (self.tell)(&format!("{} {url}", method.as_str()));
        let ask = Ask {
            method,
            target: to,
            path: &path,
            headers: &headers,
            body: &body,
        };
        self.web.ask(ask).await
    }

    /// Where a redirect leads, if it may.
    fn next(&mut self, here: &Target, answer: &Answer) -> Result<Target, Step> {
        let (from, status) = (here.url(), answer.status);
        let location = answer
            .header(eas::http::LOCATION)
            .or(answer.header("Location"));
        let Some(location) = location else {
            return Err(Step::Failed(format!(
                "{from}: HTTP {status} that does not say where to"
            )));
        };
        let location = location.trim();
        (self.tell)(&format!("  → HTTP {status}: go to {}", shown(location)));
        self.redirect().map_err(Step::Stop)?;
        let to = here
            .follow(location, ROOT)
            .map_err(|error| Step::Failed(format!("{from}: HTTP {status}: {error}")))?;
        let location = shown(location);
        if !to.tls {
            return Err(Step::Failed(format!(
                "{from}: it leads to {location}, where the password would be shown to everybody"
            )));
        }
        if !self.is_allowed(&to.host) {
            return Err(Step::Stop(format!("{from}: {}", foreign(&to.host))));
        }
        Ok(to)
    }

    fn refuse(&mut self, url: &str) -> Step {
        self.refused += 1;
        let text = format!("{url}: HTTP 401, the password is refused");
        if self.refused >= MAX_REFUSED {
            return Step::Stop(format!(
                "{text}; no further try, which might lock the user out"
            ));
        }
        Step::Failed(text)
    }

    fn understand(&mut self, form: Form, url: &str, answer: &Answer) -> Step {
        let (meaning, expected) = match form {
            Form::Xml => (pox::parse(&answer.body), "XML"),
            Form::Json => (pox::parse_json(&answer.body), "JSON"),
        };
        let is_html = answer.header("Content-Type").is_some_and(is_html_type)
            || has_html_element(&answer.body);
        let meaning = meaning.map_err(|text| match is_html {
            true => format!(
                "the answer is an HTML page and not {expected}: this is a web site or a login page, not \
                 Autodiscover"
            ),
            false => text,
        });
        match meaning {
            Err(text) => Step::Failed(format!("{url}: {text}")),
            Ok(Meaning::Refusal(text)) => Step::Failed(format!("{url}: the server says: {text}")),
            Ok(Meaning::Address(address)) => Step::Address(address),
            Ok(Meaning::Url(text)) => match Target::parse(&text) {
                Err(error) => Step::Failed(format!("{url}: {error}")),
                Ok(target) if !target.tls => Step::Stop(format!(
                    "{url}: it names {}, which is not https",
                    target.url()
                )),
                Ok(target) if !self.is_allowed(&target.host) => {
                    Step::Stop(format!("{url}: {}", foreign(&target.host)))
                }
                Ok(target) => Step::Found(target),
            },
        }
    }

    /// The hosts that the domain names in DNS, each asked until one leads on.
    async fn named(&mut self, domain: &str) -> Step {
        let service = format!("_autodiscover._tcp.{domain}");
        (self.tell)(&format!("SRV {service}"));
        let found = match self.web.services(&service).await {
            Ok(found) => found,
            Err(text) => return Step::Failed(format!("SRV {service}: {text}")),
        };
        let mut failed = Vec::new();
        for Service { host, port } in found {
            (self.tell)(&format!("  → {}, port {port}", shown(&host)));
            let to = match target("https", &format!("{host}:{port}"), XML_PATH) {
                Ok(to) => to,
                Err(text) => return Step::Failed(text),
            };
            // Anybody on the way may have written the name, so what counts is where a request to it
            // would go.
            if !self.is_allowed(&to.host) {
                return Step::Stop(format!("SRV {service}: {}", foreign(&to.host)));
            }
            match self.ask(Form::Xml, Ok(to)).await {
                Step::Failed(text) => {
                    (self.tell)(&format!("  → {text}"));
                    failed.push(text);
                }
                other => return other,
            }
        }
        Step::Failed(match failed.as_slice() {
            [] => format!("SRV {service}: the domain names no host"),
            failed => failed.join("; "),
        })
    }

    /// A GET in plain text, without credentials, that only asks where to go.
    async fn pointed(&mut self, host: &str) -> Step {
        let to = match target("http", host, XML_PATH) {
            Ok(to) => to,
            Err(text) => return Step::Failed(text),
        };
        let url = to.url();
        (self.tell)(&format!("GET {url}"));
        let ask = Ask {
            method: Method::Get,
            target: &to,
            path: XML_PATH,
            headers: &[],
            body: "",
        };
        match self.web.ask(ask).await {
            Err(text) => Step::Failed(format!("{url}: {text}")),
            Ok(answer) if matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
                match self.next(&to, &answer) {
                    Ok(next) => self.ask(Form::Xml, Ok(next)).await,
                    Err(step) => step,
                }
            }
            Ok(answer) => Step::Failed(format!("{url}: HTTP {} and no redirect", answer.status)),
        }
    }
}

fn foreign(host: &str) -> String {
    format!(
        "it leads to `{}`, outside the address's domain; name it in [target] autodiscover_domains \
         (on the command line --autodiscover-domain) if it is yours",
        shown(host)
    )
}

/// Whether the query of a path has a parameter with the address.
fn names_address(path: &str) -> bool {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| {
        let name = parameter
            .split_once('=')
            .map_or(parameter, |(name, _)| name);
        name.eq_ignore_ascii_case("Email")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::transport::{ConnectionEnd, Timing};

    /// Answers by method and URL; everything else is unreachable.
    #[derive(Default)]
    struct Fake {
        answers: HashMap<String, Answer>,
        /// What was asked, and whether with credentials.
        asked: Vec<(String, bool)>,
        /// Hosts and ports of the SRV record.
        named: Vec<(&'static str, u16)>,
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let timing = Timing {
            sent: Instant::now(),
            total: Duration::ZERO,
        };
        let body = body.as_bytes().to_vec();
        Answer::from_parts(status, headers, body, timing, ConnectionEnd::Kept)
    }

    fn found(url: &str) -> Answer {
        let server = format!(
            "<Action><Settings><Server><Type>MobileSync</Type><Url>{url}</Url></Server></Settings></Action>"
        );
        xml(&server)
    }

    fn xml(action: &str) -> Answer {
        let text = format!("<Autodiscover><Response>{action}</Response></Autodiscover>");
        answer(200, &[], &text)
    }

    impl Fake {
        fn with(mut self, what: &str, answer: Answer) -> Self {
            self.answers.insert(what.to_owned(), answer);
            self
        }
    }

    impl Web for Fake {
        async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, String> {
            let scheme = if ask.target.tls { "https" } else { "http" };
            let url = format!(
                "{} {scheme}://{}{}",
                ask.method.as_str(),
                ask.target.host,
                ask.path
            );
            let has_password = ask.headers.iter().any(|(name, _)| *name == "Authorization");
            self.asked.push((url.clone(), has_password));
            self.answers
                .get(&url)
                .cloned()
                .ok_or_else(|| "connection refused".to_owned())
        }

        async fn services(&mut self, service: &str) -> Result<Vec<Service>, String> {
            self.asked.push((format!("SRV {service}"), false));
            let named = self.named.iter().map(|(host, port)| Service {
                host: (*host).to_owned(),
                port: *port,
            });
            Ok(named.collect())
        }
    }

    const ROOT: &str = "POST https://lab.example/autodiscover/autodiscover.xml";
    const BELOW: &str = "POST https://autodiscover.lab.example/autodiscover/autodiscover.xml";
    const PLAIN: &str = "GET http://autodiscover.lab.example/autodiscover/autodiscover.xml";
    const JSON: &str = "GET https://autodiscover.lab.example/autodiscover/autodiscover.json?\
                        Email=anna%40lab%2Eexample&Protocol=ActiveSync&RedirectCount=0";
    const EAS: &str = "https://mail.lab.example/Microsoft-Server-ActiveSync";

    /// A URL with its port, as it is shown.
    fn at(url: &str) -> String {
        Target::parse(url).unwrap().url()
    }

    async fn look(web: &mut Fake, domains: &[&str]) -> Result<String, String> {
        let question = Question {
            address: "anna@lab.example".to_owned(),
            authorization: "Basic hush".to_owned(),
            domains: domains.iter().map(|one| (*one).to_owned()).collect(),
        };
        let mut told = Vec::new();
        let found = discover(web, &question, &mut |line: &str| told.push(line.to_owned())).await;
        assert!(told.iter().all(|line| !line.contains("hush")), "{told:?}");
        for (asked, has_password) in &web.asked {
            assert!(
                !has_password || asked.starts_with("POST https://"),
                "{asked} with a password"
            );
        }
        found
            .map(|target| target.url())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn each_step_is_tried_in_its_turn() {
        let url = "https://mail.lab.example:443/Microsoft-Server-ActiveSync";
        let location = [(
            "Location",
            "https://mail.lab.example/autodiscover/autodiscover.xml",
        )];
        let there = "POST https://mail.lab.example/autodiscover/autodiscover.xml";
        let json = format!("{{\"Protocol\":\"ActiveSync\",\"Url\":\"{EAS}\"}}");
        for (number, (mut web, steps)) in [
            (Fake::default().with(ROOT, found(EAS)), 1),
            (Fake::default().with(BELOW, found(EAS)), 2),
            (
                Fake::default()
                    .with(PLAIN, answer(302, &location, ""))
                    .with(there, found(EAS)),
                4,
            ),
            (
                Fake::default()
                    .with(PLAIN, answer(303, &location, ""))
                    .with(there, found(EAS)),
                4,
            ),
            (
                Fake::default()
                    .with(PLAIN, answer(308, &location, ""))
                    .with(there, found(EAS)),
                4,
            ),
            (
                named(&[("mail.lab.example", 443)]).with(there, found(EAS)),
                5,
            ),
            (Fake::default().with(JSON, answer(200, &[], &json)), 5),
        ]
        .into_iter()
        .enumerate()
        {
            let found = look(&mut web, &[]).await;
            assert_eq!(found.as_deref(), Ok(url), "{number}: {:?}", web.asked);
            assert_eq!(web.asked.len(), steps, "{number}: {:?}", web.asked);
        }
        let error = look(&mut Fake::default(), &[]).await.unwrap_err();
        assert_eq!(error.matches("connection refused").count(), 4, "{error}");
        assert!(error.contains("names no host"), "{error}");
    }

    fn named(hosts: &[(&'static str, u16)]) -> Fake {
        Fake {
            named: hosts.to_vec(),
            ..Fake::default()
        }
    }

    #[tokio::test]
    async fn hosts_of_the_srv_record_are_asked_one_after_the_other() {
        let second = "POST https://two.lab.example/autodiscover/autodiscover.xml";
        let hosts = [("one.lab.example", 443), ("two.lab.example", 8443)];
        let mut web = named(&hosts).with(second, found(EAS));
        let found_at = look(&mut web, &[]).await.unwrap();
        assert!(found_at.starts_with("https://mail.lab.example"));
        // A password refused twice is not sent to the next.
        let refused = |host: &str| {
            let url = format!("POST https://{host}.lab.example/autodiscover/autodiscover.xml");
            (url, answer(401, &[], ""))
        };
        let mut web = named(&[
            ("one.lab.example", 443),
            ("two.lab.example", 443),
            ("three.lab.example", 443),
        ]);
        web.answers.extend(["one", "two", "three"].map(refused));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("might lock the user out"), "{error}");
        let three = web.asked.iter().any(|(url, _)| url.contains("three"));
        assert!(!three, "{:?}", web.asked);
        // DNS is no proof of a host's being the domain's.
        let mut web = named(&[("mail.hoster.example", 443)]);
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("`mail.hoster.example`"), "{error}");
        let gone = web
            .asked
            .iter()
            .any(|(url, _)| url.contains("://mail.hoster"));
        assert!(!gone, "{:?}", web.asked);
        // A name that ends as the domain does, and leads elsewhere.
        for trick in ["evil.example\\/x.lab.example", "evil.example/.lab.example"] {
            let mut web = named(&[(trick, 443)]);
            let error = look(&mut web, &[]).await.unwrap_err();
            assert!(error.contains("`evil.example`"), "{trick}: {error}");
            let gone = web.asked.iter().any(|(url, _)| url.contains("evil"));
            assert!(!gone, "{:?}", web.asked);
        }
    }

    #[tokio::test]
    async fn a_foreign_domain_is_gone_to_only_when_it_is_named() {
        let location = [(
            "Location",
            "https://autodiscover.hoster.example/autodiscover/autodiscover.xml",
        )];
        let web = || {
            Fake::default()
                .with(BELOW, answer(302, &location, ""))
                .with(
                    "POST https://autodiscover.hoster.example/autodiscover/autodiscover.xml",
                    found("https://mail.hoster.example/Microsoft-Server-ActiveSync"),
                )
        };
        let mut refused = web();
        let error = look(&mut refused, &[]).await.unwrap_err();
        assert!(error.contains("autodiscover_domains"), "{error}");
        let hosters = |web: &Fake| web.asked.iter().any(|(url, _)| url.contains("hoster"));
        assert!(!hosters(&refused), "{:?}", refused.asked);
        let found = look(&mut web(), &["*.hoster.example"]).await;
        assert!(found.unwrap().starts_with("https://mail.hoster.example"));
        // The server may also be elsewhere than its Autodiscover.
        let mut web = Fake::default().with(ROOT, self::found("https://mail.hoster.example/x"));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("`mail.hoster.example`"), "{error}");
        let mut web = Fake::default().with(ROOT, self::found("http://mail.lab.example/x"));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("not https"), "{error}");
    }

    #[tokio::test]
    async fn circles_end() {
        let back = [(
            "Location",
            "https://lab.example/autodiscover/autodiscover.xml",
        )];
        let mut web = Fake::default().with(ROOT, answer(302, &back, ""));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("leads in a circle"), "{error}");
        let path = |number: u32| format!("https://lab.example/{number}");
        let mut web =
            Fake::default().with(ROOT, answer(302, &[("Location", path(0).as_str())], ""));
        for number in 0..100 {
            let next = answer(451, &[("X-MS-Location", path(number + 1).as_str())], "");
            web = web.with(&format!("POST {}", path(number)), next);
        }
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("more than 10 redirects"), "{error}");
        assert!(web.asked.len() <= 12, "{:?}", web.asked);
        // Two addresses that point at each other.
        let to = |name: &str| {
            xml(&format!(
                "<Action><Redirect>{name}@lab.example</Redirect></Action>"
            ))
        };
        let mut web = Fake::default().with(ROOT, to("bert"));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("leads in a circle"), "{error}");
    }

    #[tokio::test]
    async fn a_redirect_may_be_relative_long_and_have_a_query() {
        let long = format!("/{}", "a".repeat(1000));
        for (location, asked) in [
            ("/other.xml", "POST https://lab.example/other.xml"),
            (
                "other.xml?a=1",
                "POST https://lab.example/autodiscover/other.xml?a=1",
            ),
            (
                "//mail.lab.example/x?a=1",
                "POST https://mail.lab.example/x?a=1",
            ),
            ("https://mail.lab.example", "POST https://mail.lab.example/"),
            (&long, &format!("POST https://lab.example{long}")),
        ] {
            let headers = [("Location", location)];
            let mut web = Fake::default()
                .with(ROOT, answer(302, &headers, ""))
                .with(asked, found(EAS));
            assert_eq!(look(&mut web, &[]).await.unwrap(), at(EAS), "{location}");
        }
        let headers = [("Location", &*"/a".repeat(5000))];
        let mut web = Fake::default().with(ROOT, answer(302, &headers, ""));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("it is longer than 8192 bytes"), "{error}");
    }

    #[tokio::test]
    async fn the_url_that_is_found_keeps_its_query() {
        let url = format!("{EAS}?farm=2&amp;x=1");
        let mut web = Fake::default().with(ROOT, found(&url));
        let expected = format!("{}?farm=2&x=1", at(EAS));
        assert_eq!(look(&mut web, &[]).await, Ok(expected));
    }

    #[test]
    fn only_a_parameter_of_that_name_is_the_address() {
        for (path, is_named) in [
            ("/a?Email=anna", true),
            ("/a?x=1&eMAIL=anna", true),
            ("/a?Email", true),
            ("/a?AltEmail=anna", false),
            ("/a?x=Email=anna", false),
            ("/Email=anna", false),
            ("/a", false),
        ] {
            assert_eq!(names_address(path), is_named, "{path}");
        }
    }

    #[tokio::test]
    async fn the_address_is_asked_for_once_where_a_redirect_names_it() {
        let there = "https://mail.lab.example/autodiscover.json?Email=anna&RedirectCount=1";
        let headers = [("Location", there)];
        let json = answer(200, &[], &format!("{{\"Url\":\"{EAS}\"}}"));
        let mut web = Fake::default()
            .with(JSON, answer(302, &headers, ""))
            .with(&format!("GET {there}"), json);
        assert_eq!(look(&mut web, &[]).await.unwrap(), at(EAS));
    }

    #[tokio::test]
    async fn a_web_page_is_called_html_in_every_form() {
        let page = "<html><body>Sign in</body></html>";
        let typed = [("Content-Type", "text/html; charset=utf-8")];
        for (asked, page, expected) in [
            (ROOT, answer(200, &[], page), "XML"),
            (ROOT, answer(200, &[], "<!-- x --><head>"), "XML"),
            (ROOT, answer(200, &typed, "Sign in"), "XML"),
            (JSON, answer(200, &[], page), "JSON"),
            (JSON, answer(200, &typed, "Sign in"), "JSON"),
        ] {
            let mut web = Fake::default().with(asked, page);
            let error = look(&mut web, &[]).await.unwrap_err();
            let text = format!("the answer is an HTML page and not {expected}: ");
            assert!(error.contains(&text), "{error}");
        }
        // Negative controls: XML under that type, and JSON that is none.
        let good = answer(200, &typed, std::str::from_utf8(&found(EAS).body).unwrap());
        let mut web = Fake::default().with(ROOT, good);
        assert_eq!(look(&mut web, &[]).await.unwrap(), at(EAS));
        let mut web = Fake::default().with(ROOT, answer(200, &[], "<a></b>"));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("no good XML"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_autodiscover_is_named_and_passwords_are_tried_twice_at_most() {
        let page = "<!DOCTYPE html><html><body>Welcome</body></html>";
        let mut web = Fake::default()
            .with(ROOT, answer(200, &[], page))
            .with(BELOW, found(EAS));
        assert!(look(&mut web, &[]).await.is_ok(), "the next step is tried");
        let mut web = Fake::default().with(ROOT, answer(200, &[], page));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("HTML page"), "{error}");
        let mut web = Fake::default()
            .with(ROOT, answer(401, &[], ""))
            .with(BELOW, answer(401, &[], ""))
            .with(PLAIN, answer(200, &[], ""));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("might lock the user out"), "{error}");
        assert_eq!(web.asked.len(), 2);
        let plain = [("Location", "http://lab.example/x")];
        let mut web = Fake::default().with(ROOT, answer(302, &plain, ""));
        let error = look(&mut web, &[]).await.unwrap_err();
        assert!(error.contains("shown to everybody"), "{error}");
        let question = Question {
            address: "anna".to_owned(),
            authorization: String::new(),
            domains: Vec::new(),
        };
        let error = discover(&mut Fake::default(), &question, &mut |_: &str| {}).await;
        assert_eq!(error, Err(DiscoverError::Address("anna".to_owned())));
    }
}
