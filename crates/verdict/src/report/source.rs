//! What a source of the server's figures did in a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a source did in a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SourceReport {
    /// What it is: server, format and place.
    pub name: String,
    /// How often it could be read.
    pub readings: u64,
    /// How often not.
    pub failures: u64,
    /// Seconds of the run in which its last reading was too old to count.
    pub stale_seconds: u64,
    /// Oldest reading that counted, in seconds.
    pub oldest: f64,
    /// Why it could not be read, the last time.
    pub last_failure: Option<String>,
    /// Names in it that look like misspelt ones, and for what they are taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misspelt: Vec<String>,
    /// What was left out of its texts, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}
