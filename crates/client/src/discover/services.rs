//! DNS SRV records: hosts that a domain names for a service (RFC 2782). The system's own resolver has
//! no question for them, so its name servers are asked directly.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

/// Records that are looked at; a domain has one or two.
const MOST: usize = 5;

/// A host that offers a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, without a dot at the end.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// The system's name servers.
pub(super) fn resolver() -> Result<TokioResolver, String> {
    let builder = TokioResolver::builder_tokio();
    builder
        .and_then(|builder| builder.build())
        .map_err(|error| format!("no name servers are known: {error}"))
}

/// The hosts of a service, such as `_autodiscover._tcp.lab.example`, best first; none where the domain
/// says that there are none. Between records of one priority the heavier comes first, and not by
/// chance: a run is to find the same server again.
pub(super) async fn services(
    resolver: &TokioResolver,
    service: &str,
) -> Result<Vec<Service>, String> {
    // With the dot, names of the search list are not tried.
    let answer = resolver.srv_lookup(format!("{service}.")).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let records = answer.answers().iter();
    let mut records: Vec<_> = records
        .filter_map(|record| match &record.data {
            // The root: the service is decidedly not available. And a name of DNS may hold any byte.
            RData::SRV(record) if is_host(&record.target.to_ascii()) => Some(record),
            _ => None,
        })
        .collect();
    records.sort_by_key(|record| (record.priority, u16::MAX - record.weight));
    let best = records.into_iter().take(MOST);
    Ok(best
        .map(|record| Service {
            host: record.target.to_ascii().trim_end_matches('.').to_owned(),
            port: record.port,
        })
        .collect())
}

fn is_host(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.trim_end_matches('.').is_empty() && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use tokio::net::UdpSocket;

    use super::*;

    /// What a name server says of a name.
    enum Says {
        /// Records: priority, weight, port, host.
        Records(&'static [(u16, u16, u16, &'static str)]),
        /// A code of RFC 1035, 4.1.1.
        Code(u8),
        /// Bytes that are no answer, after the header of one.
        Garbage,
        Nothing,
    }

    fn labels(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    /// The answer, byte by byte as RFC 1035 and RFC 2782 have it.
    fn answer(query: &[u8], name: &str, says: &Says) -> Option<Vec<u8>> {
        let (code, records) = match says {
            Says::Records(records) => (0, *records),
            Says::Code(code) => (*code, &[][..]),
            Says::Garbage => (0, &[][..]),
            Says::Nothing => return None,
        };
        let question = [labels(name), vec![0, 33, 0, 1]].concat();
        let count = if matches!(says, Says::Garbage) {
            7
        } else {
            records.len() as u8
        };
        let mut bytes = query[..2].to_vec();
        bytes.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
        bytes.extend(question);
        for (priority, weight, port, host) in records {
            let data = [
                priority.to_be_bytes().to_vec(),
                weight.to_be_bytes().to_vec(),
                port.to_be_bytes().to_vec(),
                labels(host),
            ]
            .concat();
            // The name is the question's, 12 bytes from the start.
            bytes.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        Some(bytes)
    }

    const SERVICE: &str = "_autodiscover._tcp.lab.example";

    /// A name server that says that, and what comes of asking it.
    async fn ask(says: Says) -> Result<Vec<Service>, String> {
        // What does not come is not waited for as long as what a busy machine is late with.
        let patience = Duration::from_millis(match says {
            Says::Garbage | Says::Nothing => 200,
            Says::Records(_) | Says::Code(_) => 10_000,
        });
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (size, from) = socket.recv_from(&mut query).await.unwrap();
                assert!(size > 12 + SERVICE.len());
                let asked = &query[12..][..labels(SERVICE).len()];
                assert_eq!(asked, labels(SERVICE), "nothing else is asked");
                if let Some(answer) = answer(&query, SERVICE, &says) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        let found = services(&resolver_at(address, patience), SERVICE).await;
        server.abort();
        found
    }

    fn resolver_at(address: SocketAddr, patience: Duration) -> TokioResolver {
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        builder.options_mut().timeout = patience;
        builder.options_mut().attempts = 1;
        builder.build().unwrap()
    }

    #[tokio::test]
    async fn the_best_of_a_domains_hosts_comes_first() {
        let records = Says::Records(&[
            (20, 0, 443, "reserve.lab.example"),
            (10, 1, 443, "small.lab.example"),
            (10, 9, 8443, "Large.lab.example"),
        ]);
        let found = ask(records).await.unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|service| (service.host.to_lowercase(), service.port))
            .collect();
        let expected = [
            ("large.lab.example".to_owned(), 8443),
            ("small.lab.example".to_owned(), 443),
            ("reserve.lab.example".to_owned(), 443),
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn what_is_no_service_is_told() {
        const NXDOMAIN: u8 = 3;
        const SERVFAIL: u8 = 2;
        for nothing in [
            Says::Records(&[]),
            Says::Records(&[(0, 0, 0, ".")]),
            Says::Records(&[(0, 0, 443, "evil.example/x.lab.example")]),
            Says::Records(&[(0, 0, 443, "a b.lab.example")]),
            Says::Code(NXDOMAIN),
        ] {
            assert_eq!(ask(nothing).await, Ok(Vec::new()));
        }
        for broken in [Says::Code(SERVFAIL), Says::Garbage, Says::Nothing] {
            let error = ask(broken).await.unwrap_err();
            assert!(!error.is_empty());
        }
        let many: &'static [_] = &[(1, 1, 443, "a.lab.example"); 9];
        assert_eq!(ask(Says::Records(many)).await.unwrap().len(), MOST);
    }
}
