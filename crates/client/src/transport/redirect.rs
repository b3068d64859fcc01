//! Where a server may send a device: load goes only where the user pointed it.

use scenario::Target;

use super::Origin;

/// Servers that one run may be sent to; more is a server that makes names up.
pub(super) const MAX_PLACES: usize = 64;

/// Hosts that a server may send devices to, beside itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    hosts: Vec<String>,
}

/// Why a device does not go to another server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The user did not name the host.
    #[error(
        "the host `{0}` is not one that this run may load; name it in [target] redirect_to if it is yours"
    )]
    NotAllowed(String),
    /// From TLS to plain text.
    #[error("it leads from https to http, which would show passwords to everybody")]
    Downgrade,
    /// This transport has one server only.
    #[error("this connection has no other server")]
    NotHere,
    /// Too many different servers.
    #[error("the run has been sent to {} servers already", MAX_PLACES)]
    TooMany,
    /// The connector cannot be made.
    #[error("{0}")]
    Unusable(String),
}

impl Redirects {
    /// Those hosts: names as in URLs, or `*.lab.example` for all below.
    #[must_use]
    pub fn to(hosts: Vec<String>) -> Self {
        Self { hosts }
    }

    pub(super) fn check(&self, from: Origin<'_>, to: &Target) -> Result<(), RedirectError> {
        let is_same = from.host.eq_ignore_ascii_case(&to.host);
        if !is_same && !names_host(&self.hosts, &to.host) {
            return Err(RedirectError::NotAllowed(to.host.clone()));
        }
        if from.secure && !to.tls {
            return Err(RedirectError::Downgrade);
        }
        Ok(())
    }
}

/// Whether one of those names is that host: the same, or `*.` and a domain that it is below.
#[must_use]
pub fn names_host(names: &[String], host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    names.iter().any(|name| {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some(domain) => {
                domain.len() > 1
                    && host
                        .strip_suffix(domain)
                        .is_some_and(|rest| domain.starts_with('.') && !rest.is_empty())
            }
            None => name == host,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_hosts_are_gone_to_and_never_in_plain_text() {
        let names = ["mail2.lab.example", "*.eu.example"].map(str::to_owned);
        let redirects = Redirects::to(names.to_vec());
        let from = Origin {
            host: "mail.lab.example",
            port: 443,
            secure: true,
        };
        for (url, is_allowed) in [
            ("https://mail.lab.example:444/x", true),
            ("https://MAIL2.lab.example", true),
            ("https://a.b.eu.example", true),
            ("https://eu.example", false),
            ("https://evileu.example", false),
            ("https://mail3.lab.example", false),
            ("http://mail2.lab.example", false),
            ("http://mail.lab.example", false),
        ] {
            let to = Target::parse(url).unwrap();
            assert_eq!(redirects.check(from, &to).is_ok(), is_allowed, "{url}");
        }
        assert!(!names_host(&["*".to_owned(), "*.".to_owned()], "a.example"));
        let plain = Origin {
            secure: false,
            ..from
        };
        let better = Target::parse("https://mail.lab.example").unwrap();
        assert_eq!(redirects.check(plain, &better), Ok(()));
    }
}
