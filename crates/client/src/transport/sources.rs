//! Source addresses are tried before a load starts: one that cannot be used would fail its share of the
//! connections, and look like the server's doing.

use std::net::{IpAddr, SocketAddr};
use std::{fmt, io};

use scenario::Target;
use tokio::net::{TcpSocket, lookup_host};

/// Source addresses that cannot be used, each with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    of: usize,
    unusable: Vec<(IpAddr, String)>,
}

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to see the pattern.
        const SHOWN: usize = 10;
        let shown = self.unusable.iter().take(SHOWN);
        let texts: Vec<String> = shown
            .map(|(source, why)| format!("{source} ({why})"))
            .collect();
        let more = self.unusable.len() - texts.len();
        write!(
            formatter,
            "source_addresses: {} of {} cannot be used: {}",
            self.unusable.len(),
            self.of,
            texts.join(", ")
        )?;
        if more > 0 {
            write!(formatter, " and {more} more")?;
        }
        Ok(())
    }
}

impl std::error::Error for SourceError {}

/// Whether this machine has all those addresses, and can reach the target from them as far as families
/// go. A target without an address is not their mistake.
///
/// # Errors
/// With all that cannot be used.
pub async fn check_sources(target: &Target, sources: &[IpAddr]) -> Result<(), SourceError> {
    if sources.is_empty() {
        return Ok(());
    }
    let found = lookup_host((target.host.as_str(), target.port)).await;
    let addresses: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    check(&target.host, &addresses, sources)
}

/// Whether this machine has all those addresses. Nobody is asked.
///
/// # Errors
/// With all that it has not.
pub fn check_own_sources(sources: &[IpAddr]) -> Result<(), SourceError> {
    check("", &[], sources)
}

fn check(host: &str, addresses: &[SocketAddr], sources: &[IpAddr]) -> Result<(), SourceError> {
    let mut unusable = Vec::new();
    for source in sources {
        let reaches = |address: &SocketAddr| address.is_ipv4() == source.is_ipv4();
        if let Err(error) = bind(*source) {
            let text = if error.kind() == io::ErrorKind::AddrNotAvailable {
                "not an address of this machine".to_owned()
            } else {
                error.to_string()
            };
            unusable.push((*source, text));
        } else if !addresses.is_empty() && !addresses.iter().any(reaches) {
            let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
            let text = format!("the target {host} has no {family} address");
            unusable.push((*source, text));
        }
    }
    if unusable.is_empty() {
        Ok(())
    } else {
        Err(SourceError {
            of: sources.len(),
            unusable,
        })
    }
}

fn bind(source: IpAddr) -> io::Result<()> {
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_that_cannot_be_used_are_named() {
        let target = Target::parse("http://127.0.0.1:9").unwrap();
        // TEST-NET-2 and -3 are nobody's.
        let sources: Vec<IpAddr> = ["127.0.0.1", "198.51.100.1", "203.0.113.2", "::1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(check_sources(&target, &sources[..1]).await, Ok(()));
        let error = check_sources(&target, &sources).await.unwrap_err();
        let error = error.to_string();
        for part in [
            "3 of 4",
            "198.51.100.1 (not an address of this machine)",
            "203.0.113.2 (not",
            "::1 (",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let many: Vec<IpAddr> = (1..=20)
            .map(|last| IpAddr::from([203, 0, 113, last]))
            .collect();
        let error = check_sources(&target, &many).await.unwrap_err().to_string();
        assert!(error.ends_with("and 10 more"), "{error}");
    }
}
