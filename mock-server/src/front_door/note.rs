//! What faults and logs need of a request after it was given to a worker.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use mock_api::fault::OPTIONS;
use tokio::time::Instant;

use super::http::Head;
use crate::fault::Subject;
use crate::headers::RequestHeader;

/// What the logs need of a request after it was given to a worker.
#[derive(Debug, Clone)]
pub(super) struct RequestNote {
    pub(super) inner: Arc<Noted>,
}

#[derive(Debug)]
pub(super) struct Noted {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) user_agent: Option<String>,
    pub(super) client: Option<SocketAddr>,
    pub(super) began: Instant,
    /// `Authorization` of a request whose query may not name its user.
    login: Option<String>,
    who: OnceLock<Who>,
}

/// Read from the query, and only when somebody asks: of most requests nobody does.
#[derive(Debug)]
struct Who {
    user: String,
    device: String,
    command: String,
}

impl Noted {
    fn who(&self) -> &Who {
        self.who.get_or_init(|| {
            let (_, query) = self.uri.split_once('?').unwrap_or_default();
            let query = eas::query::Query::parse(query).ok();
            let command = match (&query, self.method.as_str()) {
                (_, "OPTIONS") => OPTIONS.to_owned(),
                (Some(query), _) => query.command.as_str().to_owned(),
                (None, _) => String::new(),
            };
            let user = query.as_ref().and_then(|query| query.user.clone());
            let user = user.or_else(|| crate::worker::basic_user(self.login.as_deref()?));
            Who {
                user: crate::worker::local_part(&user.unwrap_or_default()),
                device: query.map(|query| query.device_id).unwrap_or_default(),
                command,
            }
        })
    }
}

impl RequestNote {
    pub(super) fn new(head: &Head, client: Option<SocketAddr>) -> Self {
        let login = head.header(RequestHeader::Authorization);
        Self {
            inner: Arc::new(Noted {
                // A base64 query may name no user; of a plain one that can be read none is missing.
                login: login
                    .filter(|_| !head.uri.contains("&User="))
                    .map(str::to_owned),
                who: OnceLock::new(),
                method: head.method.clone(),
                uri: head.uri.clone(),
                user_agent: head.header(RequestHeader::UserAgent).map(str::to_owned),
                client,
                began: Instant::now(),
            }),
        }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        let who = self.inner.who();
        Subject {
            user: &who.user,
            device: &who.device,
            command: &who.command,
        }
    }
}
