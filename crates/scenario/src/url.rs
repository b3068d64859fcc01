//! A server's URL.

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Speak TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of the EAS virtual directory, with the query if the URL has one.
    pub path: String,
}

/// Bytes of the longest URL that is followed: half of what HTTP.sys takes as a request line.
const MAX_URL: usize = 8 << 10;
/// Characters of a URL that an error shows.
const SHOWN: usize = 200;

/// A path, which may have a query, with more of a query.
#[must_use]
pub fn with_query(path: &str, query: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{query}")
}

/// A URL that cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not a target: {problem}; expected a URL such as {expected}")]
pub struct TargetError {
    url: String,
    problem: &'static str,
    expected: String,
}

/// A URL for those whose own gives no better example.
const EXAMPLE: &str = "https://mail.lab.example";

impl TargetError {
    /// For a host without a scheme, if the text is one.
    fn without_scheme(url: &str) -> Option<Self> {
        let url = url.trim();
        if url.contains("://") || url.is_empty() {
            return None;
        }
        let expected = format!("https://{url}");
        let parsed = url::Url::parse(&expected).ok()?;
        let host = parsed.host_str()?;
        let is_secret = !parsed.username().is_empty() || parsed.password().is_some();
        Some(Self {
            url: if is_secret {
                format!("***@{host}")
            } else {
                url.chars().take(SHOWN).collect()
            },
            problem: "it has no scheme",
            expected: if is_secret {
                format!("https://{host}")
            } else {
                expected.chars().take(SHOWN).collect()
            },
        })
    }
}

impl TargetError {
    fn new(url: &str, problem: &'static str) -> Self {
        Self {
            url: url.chars().take(SHOWN).collect(),
            problem,
            expected: EXAMPLE.to_owned(),
        }
    }
}

impl Target {
    /// The value of the Host header.
    #[must_use]
    pub fn host_header(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        match (self.host.contains(':'), self.port == default) {
            (true, true) => format!("[{}]", self.host),
            (true, false) => format!("[{}]:{}", self.host, self.port),
            (false, true) => self.host.clone(),
            (false, false) => format!("{}:{}", self.host, self.port),
        }
    }

    /// Reads a URL. Without a path it is the EAS one.
    ///
    /// # Errors
    /// When the URL is not http or https, or has no host.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        Self::check_length(url)?;
        if let Some(error) = TargetError::without_scheme(url) {
            return Err(error);
        }
        let parsed = url::Url::parse(url).map_err(|_| TargetError::new(url, "it is not a URL"))?;
        Self::from_url(url, &parsed, eas::http::PATH)
    }

    /// Where a Location leads that this server sent: a URL, or a part of one that counts from here
    /// (RFC 9110 10.2.2). `root` is the path where it names none.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn follow(&self, location: &str, root: &str) -> Result<Self, TargetError> {
        Self::check_length(location)?;
        // A URL library would escape a blank, and take any text for a relative path.
        if location.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(TargetError::new(location, "it is not a URL"));
        }
        let parsed = url::Url::parse(&self.url())
            .and_then(|here| here.join(location))
            .map_err(|_| TargetError::new(location, "it is not a URL"))?;
        Self::from_url(location, &parsed, root)
    }

    fn check_length(url: &str) -> Result<(), TargetError> {
        if url.len() > MAX_URL {
            return Err(TargetError::new(url, "it is longer than 8192 bytes"));
        }
        Ok(())
    }

    fn from_url(url: &str, parsed: &url::Url, root: &str) -> Result<Self, TargetError> {
        let fail = |problem| TargetError::new(url, problem);
        let tls = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(fail("its scheme is neither https nor http")),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            // The URL is shown, and a report with it.
            return Err(TargetError {
                url: format!(
                    "{}://***@{}",
                    parsed.scheme(),
                    parsed.host_str().unwrap_or_default()
                ),
                problem: "it must not hold credentials",
                expected: EXAMPLE.to_owned(),
            });
        }
        let host = parsed.host_str().ok_or_else(|| fail("it has no host"))?;
        let path = match parsed.path() {
            "" | "/" => root,
            path => path,
        };
        let path = match parsed.query() {
            Some(query) => with_query(path, query),
            None => path.to_owned(),
        };
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: parsed
                .port_or_known_default()
                .filter(|port| *port > 0)
                .ok_or_else(|| fail("it has no port"))?,
            path,
        })
    }

    /// Itself as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// The URL without its path.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{scheme}://{host}:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_query_and_has_a_default_path() {
        for (url, expected) in [
            (
                "https://mail.lab.example",
                "https://mail.lab.example:443/Microsoft-Server-ActiveSync",
            ),
            (
                "https://mail.lab.example/?a=1",
                "https://mail.lab.example:443/Microsoft-Server-ActiveSync?a=1",
            ),
            (
                "http://[::1]:8080/x?a=1&b=%20#top",
                "http://[::1]:8080/x?a=1&b=%20",
            ),
        ] {
            assert_eq!(Target::parse(url).unwrap().url(), expected, "{url}");
        }
    }

    #[test]
    fn a_location_counts_from_the_url_that_sent_it() {
        let here = Target::parse("https://mail.lab.example:444/eas/x?old=1").unwrap();
        for (location, expected) in [
            (
                "https://other.example/y?a=1",
                "https://other.example:443/y?a=1",
            ),
            ("https://other.example", "https://other.example:443/root"),
            ("//other.example/y", "https://other.example:443/y"),
            ("/y", "https://mail.lab.example:444/y"),
            ("/y?a=1", "https://mail.lab.example:444/y?a=1"),
            ("y", "https://mail.lab.example:444/eas/y"),
            ("../y", "https://mail.lab.example:444/y"),
            ("?a=1", "https://mail.lab.example:444/eas/x?a=1"),
            // Steps above the root stay at it; a fragment is not sent.
            ("../../../y", "https://mail.lab.example:444/y"),
            ("/a/./b/../y", "https://mail.lab.example:444/a/y"),
            ("y#top", "https://mail.lab.example:444/eas/y"),
            ("#top", "https://mail.lab.example:444/eas/x?old=1"),
            ("//other.example", "https://other.example:443/root"),
            (
                "HTTPS://Other.Example:8443/y",
                "https://other.example:8443/y",
            ),
            ("https://[::1]/y", "https://[::1]:443/y"),
        ] {
            let there = here.follow(location, "/root").unwrap();
            assert_eq!(there.url(), expected, "{location}");
        }
    }

    #[test]
    fn urls_are_followed_up_to_8_kib_and_shown_shortened() {
        let here = Target::parse("https://mail.lab.example").unwrap();
        let longest = format!("/{}", "a".repeat(MAX_URL - 1));
        assert_eq!(here.follow(&longest, "/").unwrap().path, longest);
        let error = here.follow(&format!("{longest}a"), "/").unwrap_err();
        assert!(error.problem.contains("longer than 8192 bytes"), "{error}");
        assert_eq!(error.url.len(), SHOWN);
        for location in [
            "ftp://mail.lab.example/x",
            "https://a:b@mail.lab.example/x",
            "https://",
            "https://mail.lab.example:0/x",
            "https://mail.lab.example:65536/x",
            "not a URL",
        ] {
            assert!(here.follow(location, "/").is_err(), "{location}");
        }
    }

    #[test]
    fn a_query_is_added_to_the_one_that_is_there() {
        assert_eq!(with_query("/x", "Cmd=Sync"), "/x?Cmd=Sync");
        assert_eq!(with_query("/x?a=1", "Cmd=Sync"), "/x?a=1&Cmd=Sync");
    }
}
