//! What can be seen from outside: TCP states of both ends, the server's figures from whatever
//! sources there are, this process. Every reading is a set of gauges; what cannot be read is
//! absent. Knows no verdicts.

mod place;
mod process;
mod sockets;
mod source;
mod stranded;

pub use process::{HarnessProbe, cpu_time, descriptors, resident_bytes};
pub use sockets::{Group, SocketGroups, SocketTable};
pub use source::{Open, Sources};
pub use stranded::{Basis, Census, Estimate, Estimator};
