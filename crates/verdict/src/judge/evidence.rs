//! What a conclusion about the server rests on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gauge;
use crate::timeline::Interval;

/// What a conclusion about the server rests on, the strongest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The server's own figures.
    Server,
    /// What the devices see, in a pattern that nothing else explains.
    Outside,
    /// An upper bound, or a figure that has another explanation. It never makes a check pass or fail.
    Possible,
}

impl Grade {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "the server's figures",
            Self::Outside => "observed from outside",
            Self::Possible => "possible, not proven",
        }
    }
}

/// Whether an interval's value of a gauge is evidence of the server's. Every check that reads a gauge of the
/// server asks this first.
///
/// Without Active Requests and Ping Commands Pending, `stranded` is the devices' own census, an upper bound.
pub(super) fn is_of_server(interval: &Interval, name: &str) -> bool {
    let has = |name: &str| interval.gauge(name).is_some();
    match name {
        gauge::STRANDED | gauge::STRANDED_LOW => has(gauge::ACTIVE) || has(gauge::PENDING),
        gauge::GIVEN_UP => false,
        _ => has(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stranded_is_the_servers_only_with_a_counter_of_the_server() {
        let with = |names: &[&str]| {
            let mut interval = Interval::default();
            for name in names {
                interval.gauges.insert((*name).to_owned(), 1.0);
            }
            interval
        };
        let census = with(&[gauge::STRANDED, gauge::GIVEN_UP]);
        assert!(!is_of_server(&census, gauge::STRANDED));
        assert!(!is_of_server(&census, gauge::GIVEN_UP));
        assert!(!is_of_server(&census, gauge::MEMORY));
        for counter in [gauge::ACTIVE, gauge::PENDING] {
            let counted = with(&[gauge::STRANDED, counter]);
            assert!(is_of_server(&counted, gauge::STRANDED));
            assert!(is_of_server(&counted, counter));
        }
    }
}
