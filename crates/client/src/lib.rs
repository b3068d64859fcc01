//! A fleet of Exchange ActiveSync clients: discovery of the server, connections, devices that wait in held Pings, and a
//! fleet that starts, paces and stops them.
//!
//! What a device does is data ([`device::Profile`], with the words of the crate `scenario`). What it sees goes to a
//! [`device::Record`] of the caller. The crate judges nothing, and knows neither how the mock works nor the files of a run.

pub mod device;
pub mod discover;
pub mod fleet;
pub mod transport;
