//! Headers as they travel between front door and worker. A held Ping's answer has a dozen of them,
//! so those of an answer are one text and those of a request have numbers for names: at 20,000
//! answers a second two texts for each header are what a processor would spend its time on.

use serde::{Deserialize, Serialize};

/// A request header that an application looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestHeader {
    /// `Accept-Encoding`.
    AcceptEncoding,
    /// `MS-ASAcceptMultiPart`.
    AcceptMultiPart,
    /// `Authorization`.
    Authorization,
    /// `Content-Encoding`.
    ContentEncoding,
    /// `Content-Type`.
    ContentType,
    /// `Cookie`.
    Cookie,
    /// `Host`.
    Host,
    /// `MS-ASProtocolVersion`.
    ProtocolVersion,
    /// `User-Agent`.
    UserAgent,
    /// Carries the user over the hop from front end to back end, where a real front end sends a
    /// token of its own. Only the back end looks at it.
    Identity,
    /// `X-MS-PolicyKey`.
    PolicyKey,
}

impl RequestHeader {
    const ALL: [(Self, &str); 11] = [
        (Self::AcceptEncoding, "Accept-Encoding"),
        (Self::AcceptMultiPart, eas::http::ACCEPT_MULTIPART),
        (Self::Authorization, "Authorization"),
        (Self::ContentEncoding, "Content-Encoding"),
        (Self::ContentType, "Content-Type"),
        (Self::Cookie, "Cookie"),
        (Self::Host, "Host"),
        (Self::ProtocolVersion, eas::http::PROTOCOL_VERSION),
        (Self::UserAgent, "User-Agent"),
        (Self::Identity, "X-Mock-Identity"),
        (Self::PolicyKey, eas::http::POLICY_KEY),
    ];

    /// The header of that name in any letter case, if any application looks at it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let known = |(_, known): &&(Self, &str)| known.eq_ignore_ascii_case(name);
        Self::ALL.iter().find(known).map(|(header, _)| *header)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Headers of an answer, as lines in the order in which they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLines(String);

impl HeaderLines {
    /// Adds a line. Control characters, which would forge further lines, are left out.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push_str(name);
        self.0.push_str(": ");
        if value.contains(char::is_control) {
            self.0
                .extend(value.chars().filter(|letter| !letter.is_control()));
        } else {
            self.0.push_str(value);
        }
        self.0.push_str("\r\n");
    }

    /// The same, in a chain.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.push(name, value);
        self
    }

    /// The lines of others after these.
    pub fn append(&mut self, others: &Self) {
        self.0.push_str(&others.0);
    }

    /// Every line with its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (header, name) in RequestHeader::ALL {
            assert_eq!(header.as_str(), name);
            assert_eq!(
                RequestHeader::named(&name.to_ascii_uppercase()),
                Some(header)
            );
        }
        assert_eq!(RequestHeader::named("X-Forwarded-For"), None);
    }

    #[test]
    fn no_value_begins_another_line() {
        let lines = HeaderLines::default().with("A", "x\r\nB: y").with("C", "z");
        assert_eq!(lines.as_str(), "A: xB: y\r\nC: z\r\n");
    }
}
