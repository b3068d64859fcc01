//! The network as its users see it, under a paused clock.

mod closing;
mod connecting;
mod ports;
mod support;
