//! A transport that tells what goes through it.

use std::time::Duration;

use client::transport::{
    Abandon, Answer, Begun, Failure, Method, Origin, Peer, RedirectError, Request, Transport,
};
use scenario::Target;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::Heard;

/// A request as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The server is meant to keep it open.
    pub(super) held: bool,
    /// Unless it could not be sent.
    pub(super) begun: Option<Begun>,
    /// Who is at the other end.
    pub(super) peer: Peer,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) answer: Result<Answer, Failure>,
    /// Since the request went out, or since it was tried.
    pub(super) after: Duration,
}

/// Tells of every request and answer.
pub(super) struct Tap<T> {
    inner: T,
    heard: UnboundedSender<Heard>,
    since: Instant,
}

impl<T> Tap<T> {
    pub(super) fn new(inner: T, heard: UnboundedSender<Heard>) -> Self {
        Self {
            inner,
            heard,
            since: Instant::now(),
        }
    }

    fn tell(&self, heard: Heard) {
        // Nobody listens any more when the probe is over.
        let _ = self.heard.send(heard);
    }
}

impl<T: Transport> Transport for Tap<T> {
    fn another(&self) -> Self {
        Self::new(self.inner.another(), self.heard.clone())
    }

    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        let began = Instant::now();
        let begun = self.inner.begin(request).await;
        self.since = begun.as_ref().map_or(began, |begun| begun.sent);
        let headers = request.headers.iter();
        self.tell(Heard::Sent(Box::new(Sent {
            method: request.method,
            path: request.path.to_owned(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: request.body.to_vec(),
            held: request.held,
            begun: begun.as_ref().ok().copied(),
            peer: self.inner.peer(),
        })));
        if let Err(failure) = &begun {
            self.tell(Heard::Received(Box::new(Received {
                answer: Err(failure.clone()),
                after: began.elapsed(),
            })));
        }
        begun
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let answer = self.inner.answer(deadline).await;
        let after = match &answer {
            Ok(answer) => answer.timing.total,
            Err(_) => self.since.elapsed(),
        };
        self.tell(Heard::Received(Box::new(Received {
            answer: answer.clone(),
            after,
        })));
        answer
    }

    fn abandon(&mut self, how: Abandon) {
        self.inner.abandon(how);
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.inner.origin()
    }

    fn peer(&self) -> Peer {
        self.inner.peer()
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        self.inner.redirect(to)
    }
}
