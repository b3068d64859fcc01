//! HTTP.sys: client sockets, HTTP/1.1, its own error pages.
//!
//! Written here and not taken from a library because it is what the mock imitates: pages byte for
//! byte, headers in order, connections that are reset, dripped or cut in the middle of an answer,
//! and many thousands of them that cost little more than their socket while a Ping is held.

mod answer;
mod connection;
mod listen;
mod message;
mod stream;

pub(super) use connection::{Client, serve};
pub(super) use listen::{accept, bind};
pub(super) use message::{Head, Refusal, parse_head};
pub(super) use stream::ClientStream;

/// When the front door handed an answer to the connection, in microseconds since 1970: a client on
/// the same machine can tell its own delay from the server's. Not a header of Exchange.
pub const ANSWERED: &str = "X-Mock-Answered";
