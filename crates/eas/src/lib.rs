//! The Exchange ActiveSync protocol (EAS) on the wire, and nothing else: no sockets, no files, no
//! clock.
//!
//! * [`wbxml`]: the binary XML that carries every command, its code pages, and a view as XML;
//! * [`commands`]: typed requests and answers, in both directions, so that a client and a server
//!   are written with the same types;
//! * [`status`]: what every Status and HTTP status means and what a client does about it;
//! * [`query`]: the two forms of the request URI;
//! * [`multipart`]: answers that consist of several parts;
//! * [`http`]: header and media type names.
//!
//! Sections cited as *ASCMD*, *ASHTTP*, *ASPROV* and *ASWBXML* are those of Microsoft's open
//! specifications MS-ASCMD, MS-ASHTTP, MS-ASPROV and MS-ASWBXML.

pub mod commands;
pub mod http;
pub mod multipart;
pub mod query;
pub mod status;
mod version;
pub mod wbxml;

pub use query::Command;
pub use version::{ProtocolVersion, UnknownVersion};
