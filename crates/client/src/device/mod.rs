//! One simulated EAS client: one user, one DeviceId, one connection at a time.
//!
//! [`Client`] speaks single commands; [`Life`] is the state machine around them: OPTIONS →
//! Provision → FolderSync → Sync until drained → Ping or hanging Sync, for ever, with the reaction that the
//! protocol names for everything a server may answer. A device knows neither sockets nor files;
//! what it sees goes to a [`Record`].

mod act;
mod authorization;
mod beside;
mod client;
mod commands;
mod cookies;
mod desk;
mod event;
mod guard;
mod heartbeat;
mod held;
mod introduction;
mod letter;
mod life;
mod meaning;
mod profile;
mod rehearsal;
mod route;
mod second;
mod sleep;
mod trouble;
mod waiting;

pub use authorization::{Authorization, Fetching, NoToken, Token, TokenSource, Tokens};
pub use client::Client;
pub use desk::Activity;
pub use event::{Event, FailureClass, PingEnd, Record, ThrottleHeader};
pub use guard::{Admitted, LoginKind, LoginOutcome, Refusals};
pub use life::Life;
pub use profile::{
    AbandonShares, Abandonment, Behaviour, Flight, Identity, Profile, device_random,
};
pub use rehearsal::Rehearsed;
pub use trouble::{Trouble, is_no_server};
