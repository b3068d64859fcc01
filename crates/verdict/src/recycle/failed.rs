//! A trigger without success.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A trigger without success. The phase that it should begin did not happen, so neither this phase nor a
/// later one is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedTrigger {
    /// The phase's place in the plan, from 0.
    pub phase: usize,
    /// What went wrong.
    pub problem: String,
}
