//! What can go wrong with a command.

use std::time::Duration;

use eas::status::{HttpStatus, Reaction};
use eas::wbxml::{DecodeError, EncodeError};

use crate::transport::Failure;

/// Why a command did not lead to what it should.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// No answer.
    Transport(Failure),
    /// An HTTP status other than 200.
    Http {
        /// The status.
        status: HttpStatus,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// Where a 451 sends the device.
        location: Option<Box<str>>,
    },
    /// A Status that stops the command.
    Status(u16, Reaction),
    /// A body that is not what it should be.
    Body(String),
    /// The server refused a Bearer token; the next request has another one.
    Renew,
    /// There is no Bearer token, for this reason.
    Token(String),
    /// Nothing was sent: the user is stopped after refused logins.
    Stopped,
    /// Nothing was sent: a request that is answered immediately has to prove the user's password first.
    Unproven,
}

/// Whether an answer to OPTIONS with that status shows that there is no ActiveSync server. A refusal of one
/// user, a missing policy and a busy server show nothing of the kind.
pub fn is_no_server(status: HttpStatus) -> bool {
    status.reaction() != Reaction::Redirect
        && !matches!(status.code(), 200 | 401 | 403 | 429 | 449 | 503)
}

impl From<DecodeError> for Trouble {
    fn from(error: DecodeError) -> Self {
        Self::Body(error.to_string())
    }
}

impl From<EncodeError> for Trouble {
    fn from(error: EncodeError) -> Self {
        Self::Body(format!("cannot write the request: {error}"))
    }
}
