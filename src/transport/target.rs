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
    /// Path of the EAS virtual directory.
    pub path: String,
}

/// A URL that cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not a target: {problem}; expected a URL such as https://mail.lab.example")]
pub struct TargetError {
    url: String,
    problem: &'static str,
}

impl Target {
    /// Reads a URL. Without a path it is the EAS one.
    ///
    /// # Errors
    /// When the URL is not http or https, or has no host.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let fail = |problem| TargetError {
            url: url.to_owned(),
            problem,
        };
        let parsed = reqwest::Url::parse(url).map_err(|_| fail("it is not a URL"))?;
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
            });
        }
        let host = parsed.host_str().ok_or_else(|| fail("it has no host"))?;
        let path = match parsed.path() {
            "" | "/" => eas::http::PATH,
            path => path,
        };
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: parsed
                .port_or_known_default()
                .ok_or_else(|| fail("it has no port"))?,
            path: path.to_owned(),
        })
    }

    /// Itself as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// The URL without its path.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{scheme}://{host}:{}", self.port)
    }
}
