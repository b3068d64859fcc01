//! What is known only for the whole run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known only for the whole run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Error texts and how often they came.
    pub errors: BTreeMap<String, u64>,
    /// Statuses other than success (`Ping 5`), and HTTP statuses (`HTTP 503`).
    pub statuses: BTreeMap<String, u64>,
    /// Pings that were open when the run ended; 0 in one that did not end.
    pub pings_open_at_end: u64,
    /// Those among them past heartbeat and grace.
    pub pings_overdue_at_end: u64,
    /// Age of the oldest of them, in seconds.
    pub oldest_ping_at_end: f64,
    /// The first few mails that are missing: number among the user's mails, number of the user from
    /// 1, DeviceId. None in a run that is not complete, which leaves mails under way.
    pub missing_mails: Vec<String>,
}
