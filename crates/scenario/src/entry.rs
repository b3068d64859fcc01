//! How devices get to their server, as far as `[target]` says more than a URL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::{Section, split_port};
use crate::Detour;

/// What `[target]` says of the way in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EntryPlan {
    /// Hosts that a server may send devices to (HTTP 451), beside the target's own.
    pub redirect_to: Vec<String>,
    /// Another way to the server than the URL says.
    pub detour: Detour,
    /// The server is found by Autodiscover.
    pub autodiscover: Option<Autodiscover>,
    /// Domains that Autodiscover may lead to, beside the address's own.
    pub autodiscover_domains: Vec<String>,
    /// Weights by which devices are dealt out to the servers; alike where there are none.
    pub weights: Vec<u32>,
    /// Which of a name's addresses are used.
    pub dns: Dns,
}

/// Which of the addresses of a server's name devices connect to. Names are resolved anew for every
/// connection, by the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dns {
    /// The first that answers, in the system's order: what a phone does.
    #[default]
    First,
    /// All of them: each device has one of its own, and the others if that refuses.
    Spread,
}

/// Larger differences would only make a round of the deal long.
const MAX_WEIGHT: u32 = 1000;

/// Whose server Autodiscover is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Autodiscover {
    /// That mail address's.
    Address(String),
    /// The first user's, whose name is a mail address.
    FirstUser,
}

/// Reads them; `servers` is how many URLs there are.
pub(super) fn entry(section: &Section<'_>, servers: Option<usize>) -> EntryPlan {
    let autodiscover = section
        .text_or_true("autodiscover")
        .map(|address| match address {
            Some(address) => Autodiscover::Address(address),
            None => Autodiscover::FirstUser,
        });
    if let Some(Autodiscover::Address(address)) = &autodiscover
        && !address.contains('@')
    {
        section.problem(
            "autodiscover",
            "expected a mail address such as \"load0001@lab.example\", or true for the first user's",
        );
    }
    let domains = hosts(section, "autodiscover_domains");
    if autodiscover.is_none() && !domains.is_empty() {
        section.problem(
            "autodiscover_domains",
            "belongs to autodiscover, which is missing",
        );
    }
    EntryPlan {
        redirect_to: hosts(section, "redirect_to"),
        detour: detour(section),
        autodiscover,
        autodiscover_domains: domains,
        weights: weights(section, servers),
        dns: section.choice("dns", &DNS).unwrap_or_default(),
    }
}

const DNS: [(&str, Dns); 2] = [("first", Dns::First), ("spread", Dns::Spread)];

fn weights(section: &Section<'_>, servers: Option<usize>) -> Vec<u32> {
    let Some(weights) = section.integers("weights", 1..=MAX_WEIGHT.into()) else {
        return Vec::new();
    };
    let found = weights.len();
    match servers {
        Some(servers) if servers != found => section.problem(
            "weights",
            format!("expected one for each URL: {servers}, found {found}"),
        ),
        None if section.has("autodiscover") => {
            section.problem("weights", "Autodiscover finds one server; remove this key");
        }
        _ => {}
    }
    weights.into_iter().map(|weight| weight as u32).collect()
}

/// The keys `connect_to`, `sni` and `host_header`.
fn detour(section: &Section<'_>) -> Detour {
    let connect_to = section.text("connect_to").and_then(|text| {
        let split = split_port(&text).map(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host.to_owned(), port)
        });
        if split.is_none() {
            section.problem("connect_to", "expected host:port, such as \"10.0.0.5:443\"");
        }
        split
    });
    let sni = section.text("sni");
    if sni.as_ref().is_some_and(|name| !is_host(name)) {
        section.problem("sni", "expected a host name, such as \"mail.lab.example\"");
    }
    let host_header = section.text("host_header");
    if let Some(text) = &host_header
        && (text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        section.problem(
            "host_header",
            "expected a host, such as \"mail.lab.example\" or \"mail.lab.example:444\"",
        );
    }
    Detour {
        connect_to,
        sni,
        host_header,
    }
}

/// A list of hosts, each a name, an address, or `*.` and a domain.
fn hosts(section: &Section<'_>, key: &'static str) -> Vec<String> {
    let hosts = section.text_or_texts(key).unwrap_or_default();
    for host in hosts.iter().filter(|host| !is_host(host)) {
        section.problem(
            key,
            format!(
                "`{host}` is no host; expected a name without scheme, port and path, such as \
                 \"mail2.lab.example\", or \"*.lab.example\" for all below"
            ),
        );
    }
    hosts
}

fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let allowed = |letter: char| letter.is_alphanumeric() || "-._".contains(letter);
    is_address || (!name.is_empty() && !name.starts_with('.') && name.chars().all(allowed))
}
