//! What can be seen from outside: TCP states of both ends, the server's counters, this process.
//! Every reading is a set of gauges; what cannot be read is absent. Knows no verdicts.

mod process;
mod server;
mod sockets;

pub use process::{HarnessProbe, cpu_time, descriptors, resident_bytes};
pub use server::{MetricsSource, SourceError, sample_all};
pub use sockets::{Group, SocketGroups, SocketTable};
