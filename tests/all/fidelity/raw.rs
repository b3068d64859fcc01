//! A client that shares no code with the harness's device: bytes on a socket, answers as they come,
//! and the control API.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::wbxml::to_xml;
use mock_server::FrontDoor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for anything that should come.
const PATIENCE: Duration = Duration::from_secs(60);
/// The name devices know the server by.
pub(super) const HOST: &str = "mail.lab.example";
pub(super) const PATH: &str = "/Microsoft-Server-ActiveSync";
pub(super) const WBXML: &str = "application/vnd.ms-sync.wbxml";

/// How a server ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

/// One connection.
pub(super) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The connection ends with a reset when it is dropped.
    pub(super) fn reset(&self) {
        self.stream.set_zero_linger().unwrap();
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        sent.expect("the server reads").unwrap();
    }

    /// More bytes; `None` at the end of the connection.
    async fn fill(&mut self) -> std::io::Result<Option<()>> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        let seen = || String::from_utf8_lossy(&self.unread).into_owned();
        let count =
            read.unwrap_or_else(|_| panic!("nothing within a minute after `{}`", seen()))?;
        Ok((count > 0).then_some(()))
    }

    async fn need(&mut self, count: usize) {
        while self.unread.len() < count {
            let more = self.fill().await.unwrap();
            assert!(more.is_some(), "closed after {} bytes", self.unread.len());
        }
    }

    async fn take(&mut self, count: usize) -> Vec<u8> {
        self.need(count).await;
        self.unread.drain(..count).collect()
    }

    /// Up to and with `mark`.
    async fn take_through(&mut self, mark: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.unread).into_owned();
            if let Some(at) = text.find(mark) {
                let bytes = self.take(at + mark.len()).await;
                return String::from_utf8(bytes).unwrap();
            }
            self.need(self.unread.len() + 1).await;
        }
    }

    /// One answer, its body as it was sent but for the transfer coding.
    pub(super) async fn answer(&mut self) -> Answer {
        let head = self.take_through("\r\n\r\n").await;
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line}")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status: status_line.split(' ').nth(1).unwrap().parse().unwrap(),
            status_line,
            headers,
            body: Vec::new(),
        };
        let coding = answer.header("Transfer-Encoding").map(str::to_owned);
        let length = answer.header("Content-Length").map(str::to_owned);
        answer.body = match (coding.as_deref(), length) {
            (None, Some(length)) => self.take(length.parse().unwrap()).await,
            (Some("chunked"), None) => self.chunks().await,
            (None, None) if answer.status == 204 => Vec::new(),
            other => panic!("exactly one way to tell the length, not {other:?}: {head}"),
        };
        answer
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.take_through("\r\n").await;
            let size = line.trim_end().split(';').next().unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            body.extend(self.take(size).await);
            assert_eq!(self.take(2).await, b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// What still comes until the server closes.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.unwrap().is_some() {}
        std::mem::take(&mut self.unread)
    }

    /// Only a head.
    pub(super) async fn head(&mut self) -> String {
        self.take_through("\r\n\r\n").await
    }

    /// An answer without a body, or `None` if the server closes first.
    pub(super) async fn rest_or_answer(&mut self) -> Option<()> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                self.unread.drain(..end + 4);
                return Some(());
            }
            if !matches!(self.fill().await, Ok(Some(()))) {
                return None;
            }
        }
    }

    /// Waits until the server closes without another byte.
    pub(super) async fn closed(&mut self) -> End {
        let end = self.fill().await;
        assert_eq!(String::from_utf8_lossy(&self.unread), "");
        match end {
            Ok(_) => End::Fin,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error}"),
        }
    }

    /// The connection stays open and silent for so long.
    pub(super) async fn nothing_for(&mut self, duration: Duration) {
        let read = timeout(duration, self.stream.read_buf(&mut self.unread)).await;
        let seen = String::from_utf8_lossy(&self.unread);
        assert!(read.is_err() && seen.is_empty(), "{read:?} `{seen}`");
    }
}

/// An answer with its headers in the order and letter case received.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status_line: String,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Every value of a header, whatever its letter case.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let wanted = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        let values = self.headers.iter().filter(wanted);
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that may come once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} more than once: {values:?}");
        values.first().copied()
    }

    /// Names that begin so, in lower case.
    pub(super) fn names_with(&self, prefix: &str) -> Vec<String> {
        let names = self.headers.iter().map(|(name, _)| name.to_lowercase());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    pub(super) fn unzipped(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(self.body.as_slice());
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// The body of a command that was processed.
    pub(super) fn xml(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        to_xml(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Every Status in the body, in order.
    pub(super) fn statuses(&self) -> Vec<String> {
        texts_of(&self.xml(), "Status")
    }

    pub(super) fn assert_empty(&self) {
        assert_eq!(self.status, 200);
        assert_eq!(self.header("Content-Length"), Some("0"));
        assert_eq!(self.header("Content-Type"), None);
    }
}

/// The texts of all elements whose path ends so (`Status`, `Policy/Status`); one that begins with
/// a slash is the whole path.
pub(super) fn texts_of(xml: &str, path: &str) -> Vec<String> {
    let (mut open, mut texts) = (String::new(), Vec::new());
    let wanted = format!("/{}", path.trim_start_matches('/'));
    let is_wanted = |open: &str| match path.starts_with('/') {
        true => open == wanted,
        false => open.ends_with(&wanted),
    };
    for piece in xml.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if tag.starts_with('/') {
            open.truncate(open.rfind('/').unwrap());
            continue;
        }
        let end = open.len();
        open.push('/');
        open.push_str(tag.split([' ', '/']).next().unwrap());
        if is_wanted(&open) {
            texts.push(text.trim().to_owned());
        }
        if tag.ends_with('/') {
            open.truncate(end);
        }
    }
    texts
}

/// The text of the one element of that path.
pub(super) fn text_of(xml: &str, path: &str) -> String {
    let mut texts = texts_of(xml, path);
    assert_eq!(texts.len(), 1, "one {path} is expected in {xml}");
    texts.remove(0)
}

/// The `Date` of an answer is a valid one, and now.
pub(super) fn assert_date(date: &str) {
    const RFC_1123: &str = "%a, %d %b %Y %H:%M:%S GMT";
    let parsed = jiff::civil::DateTime::strptime(RFC_1123, date).unwrap();
    assert_eq!(parsed.strftime(RFC_1123).to_string(), date);
    let told = parsed.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let off = jiff::Timestamp::now().as_second() - told.timestamp().as_second();
    assert!(off.abs() <= 5, "{date} is off by {off} s");
}

pub(super) fn basic(user: &str, password: &str) -> String {
    let credentials = BASE64.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {credentials}\r\n")
}

/// Sends a request that is only a head to the EAS path, on a connection of its own.
pub(super) async fn head_only(mock: &FrontDoor, method: &str, headers: &str) -> Answer {
    let mut raw = Raw::connect(mock.addresses().listen).await;
    let head =
        format!("{method} {PATH} HTTP/1.1\r\nHost: {HOST}\r\n{headers}Content-Length: 0\r\n\r\n");
    raw.send(head.as_bytes()).await;
    raw.answer().await
}

/// One call of the control API, which must accept it.
pub(super) async fn control(mock: &FrontDoor, method: &str, path: &str, json: &str) -> Answer {
    let address = mock.addresses().control.clone();
    let address = address.trim_start_matches("http://").parse().unwrap();
    let mut raw = Raw::connect(address).await;
    let kind = match json {
        "" => "",
        _ => "Content-Type: application/json\r\n",
    };
    let length = json.len();
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: {address}\r\n{kind}");
    raw.send(format!("{head}Content-Length: {length}\r\n\r\n{json}").as_bytes())
        .await;
    let answer = raw.answer().await;
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    answer
}

pub(super) async fn fault(mock: &FrontDoor, json: &str) {
    control(mock, "POST", "faults", json).await;
}

pub(super) async fn mail(mock: &FrontDoor, user: &str, count: usize) {
    for number in 1..=count {
        let json = format!(r#"{{"to":["{user}"],"subject":"mail {number}","body":"text"}}"#);
        control(mock, "POST", "mail", &json).await;
    }
}

pub(super) const ORDINARY_USER: &str = r#"{"enabled":true,"sync":true,"policy":true,"wipe":false}"#;

/// Changes one flag of a user.
pub(super) async fn set_user(mock: &FrontDoor, user: &str, flag: &str, value: bool) {
    let mut settings: serde_json::Value = serde_json::from_str(ORDINARY_USER).unwrap();
    settings[flag] = value.into();
    control(mock, "PUT", &format!("users/{user}"), &settings.to_string()).await;
}

pub(super) fn active(mock: &FrontDoor) -> u64 {
    let truth = mock.truth();
    truth.workers.iter().map(|one| one.counts.active).sum()
}

pub(super) fn held(mock: &FrontDoor) -> u64 {
    let truth = mock.truth();
    let counts = truth.workers.iter().map(|one| one.counts.held_pings);
    counts.sum()
}
