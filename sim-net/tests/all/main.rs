//! The network as its users see it, under a paused clock.

mod connecting;
mod support;
