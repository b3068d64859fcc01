//! What is measured, by name: the same words in code, files and on the terminal.

mod metric;
mod server;
mod state;
mod usage;

use std::collections::BTreeMap;

pub use metric::{Counter, Metric};
pub use server::{SERVER_GAUGES, Together, together};
pub use state::DeviceState;
pub use usage::Use;

/// Values at one moment, by name. What could not be read is absent.
pub type Gauges = BTreeMap<String, f64>;
