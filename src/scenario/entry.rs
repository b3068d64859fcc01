//! How devices get to their server, as far as `[target]` says more than a URL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::Section;

/// What `[target]` says of the way in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EntryPlan {
    /// Hosts that a server may send devices to (HTTP 451), beside the target's own.
    pub redirect_to: Vec<String>,
}

pub(super) fn entry(section: &Section<'_>) -> EntryPlan {
    EntryPlan {
        redirect_to: hosts(section, "redirect_to"),
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
