//! Names of the gauges that the checks read.

pub(super) const STRANDED: &str = "stranded";
pub(super) const STRANDED_LOW: &str = "stranded.low";
/// What `stranded` rests on, as a number: the smaller, the better.
pub(super) const BASIS: &str = "stranded.basis";
pub(super) const ACTIVE: &str = "server.active_requests";
pub(super) const PENDING: &str = "server.pings_pending";
pub(super) const CPU: &str = "server.cpu";
pub(super) const MAILBOX: &str = "server.mailbox_latency";
pub(super) const GIVEN_UP: &str = "devices.given_up";
pub(super) const CLOSE_WAIT: &str = "tcp.outgoing.close_wait";
pub(super) const MEMORY: &str = "server.private_bytes";
pub(super) const GC: &str = "server.gc_time";
