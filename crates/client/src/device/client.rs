//! Single commands: what goes into a request, and what an answer means before its body is read.

use std::sync::Arc;
use std::time::Duration;

use eas::commands::{SendMailAnswer, SendMailRequest, Skipped};
use eas::query::{BinaryFields, Query};
use eas::status::{HttpStatus, Reaction};
use eas::wbxml::DecodeError;
use eas::{Command, ProtocolVersion, http};
use scenario::{QueryForm, with_query};
use sim_net::wall_clock;
use tokio::time::Instant;

use super::authorization::{Login, schemes};
use super::event::{Event, FailureClass, Record, ThrottleHeader};
use super::guard::{Admitted, LoginKind, LoginOutcome, Refusals};
use super::meaning::{is_web_page, retry_after, shows_login};
use super::profile::{Identity, Profile};
use super::route::Route;
use super::trouble::Trouble;
use crate::transport::{Answer, Begun, Failure, FailureKind, Method, Request, Transport};

/// Locale of a base64 query: American English, as in the examples of MS-ASHTTP.
const LOCALE: u16 = 0x0409;

/// The server's close of a kept connection and a request cross within a round trip. A server that ends the connection
/// later may have looked at the request.
const CROSSING: Duration = Duration::from_secs(1);

/// A device as far as single commands go.
pub struct Client<T> {
    pub(super) transport: T,
    pub(super) identity: Arc<Identity>,
    pub(super) profile: Arc<Profile>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) record: Arc<dyn Record>,
    pub(super) version: ProtocolVersion,
    pub(super) policy_key: Option<Box<str>>,
    pub(super) route: Route,
    login: Login,
    /// Number of the login that is under way; 0 if none.
    pub(super) admitted: u32,
    /// The server has been told what kind of device this is, where Provision does not do that.
    pub(super) is_introduced: bool,
    /// What the server lists since it changed under the device (X-MS-RP).
    changed_to: Option<Box<str>>,
    /// The device has not begun anew since.
    is_outdated: bool,
}

impl<T: Transport> Client<T> {
    /// A client that has not spoken yet.
    pub fn new(
        transport: T,
        identity: Arc<Identity>,
        profile: Arc<Profile>,
        refusals: Arc<Refusals>,
        record: Arc<dyn Record>,
    ) -> Self {
        let version = profile
            .versions
            .iter()
            .copied()
            .max()
            .unwrap_or(ProtocolVersion::V14_1);
        Self {
            transport,
            identity,
            profile,
            refusals,
            record,
            version,
            policy_key: None,
            route: Route::default(),
            login: Login::default(),
            admitted: 0,
            is_introduced: false,
            changed_to: None,
            is_outdated: false,
        }
    }

    /// Whether the user's devices must not try any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.refusals.is_stopped(self.identity.user)
    }

    /// The version that is spoken.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Whether a connection to the server is open.
    pub fn is_connected(&self) -> bool {
        self.transport.is_connected()
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.transport.origin().is_some_and(|origin| origin.secure)
    }

    /// Its identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Waits for the next request's turn, and gives the Authorization header for it, if it has one.
    pub(super) async fn authorize(&mut self, kind: LoginKind) -> Result<Option<Arc<str>>, Trouble> {
        let identity = Arc::clone(&self.identity);
        self.settle(LoginOutcome::Lost);
        self.admitted = match self.refusals.admit(identity.user, kind).await {
            Admitted::Login(number) => number,
            Admitted::ProveFirst => return Err(Trouble::Unproven),
            Admitted::Stopped => return Err(Trouble::Stopped),
        };
        match self.login.header(&identity.authorization).await {
            Ok(header) => {
                if header.is_new {
                    self.tell(Event::TokenRenewed);
                }
                Ok(header.value)
            }
            Err(no) => {
                self.tell(Event::TokenFailed { text: &no.text });
                if no.is_refusal {
                    let again = self.settle(LoginOutcome::Refused);
                    self.tell(Event::Refused { why: None, again });
                }
                self.settle(LoginOutcome::Unsent);
                Err(Trouble::Token(no.text))
            }
        }
    }

    /// Fetches the token of the next request, if it needs one that has to be fetched: a wait for the
    /// server's answer then holds no wait for the token.
    ///
    /// # Errors
    /// When there is no token, or the user is stopped.
    pub async fn fetch_token(&mut self) -> Result<(), Trouble> {
        if self.identity.authorization.tokens().is_some() {
            self.authorize(LoginKind::Answered).await?;
            self.settle(LoginOutcome::Unsent);
        }
        Ok(())
    }

    /// What became of the login that is under way, if one is. Whether the user's credential was right the last time
    /// before.
    pub(super) fn settle(&mut self, outcome: LoginOutcome) -> bool {
        let admitted = std::mem::take(&mut self.admitted);
        admitted != 0 && self.refusals.settle(self.identity.user, admitted, outcome)
    }

    /// What became of a login whose request got no answer.
    fn settle_failure(&mut self, failure: &Failure) {
        let is_unsent = match &failure.kind {
            FailureKind::Connect(_) => failure.sent.is_none(),
            // A server closes a kept connection without a look at the request that crosses the close. One
            // that ends it while the request is being written may have refused what it had got.
            kind => {
                let crosses = failure.sent.is_some_and(|sent| sent.elapsed() < CROSSING);
                failure.reused && crosses && kind.is_disconnect()
            }
        };
        self.settle(if is_unsent {
            LoginOutcome::Unsent
        } else {
            LoginOutcome::Lost
        });
    }

    /// Whether the next request goes out at once with another token, and the refusal is counted as the
    /// user's or as that of an expired token.
    fn may_renew(&mut self, by_options: bool) -> bool {
        let identity = Arc::clone(&self.identity);
        let Some(tokens) = identity.authorization.tokens() else {
            return false;
        };
        let is_current = self.login.is_current(tokens);
        let is_free = self
            .refusals
            .renew(self.identity.user, self.admitted, by_options);
        if is_free {
            self.admitted = 0;
            self.login.give_up(tokens);
        }
        // Another device of the user may have given the same token up before.
        let may = is_free || !is_current;
        if may {
            self.settle(LoginOutcome::Refused);
            self.tell(Event::TokenRefused);
        }
        may
    }

    /// Goes to the server that an HTTP 451 names, for the rest of the device's life (ASHTTP 3.1.5.2.2).
    ///
    /// # Errors
    /// Says why the device does not: no or no good X-MS-Location, a host that the run must not load,
    /// or too many redirects in a row.
    pub fn follow(&mut self, trouble: &Trouble) -> Result<(), String> {
        let location = match trouble {
            Trouble::Http { location, .. } => location.as_deref(),
            _ => None,
        };
        let gone = self
            .route
            .follow(&mut self.transport, location, &self.profile.path);
        match &gone {
            Ok(()) => self.tell(Event::Redirected),
            Err(text) => self.tell(Event::NotRedirected { text }),
        }
        gone
    }

    pub(super) fn tell(&self, event: Event<'_>) {
        self.record.record(self.identity.device, event);
    }

    /// Sends a command; the answer is fetched with [`receive`](Self::receive).
    pub(super) async fn send(
        &mut self,
        command: Command,
        body: &[u8],
        kind: LoginKind,
    ) -> Result<Instant, Trouble> {
        self.send_query(&self.query(command), body, kind).await
    }

    /// What every request's query says. Nothing is saved in Sent Items: a copy would look like a mail
    /// that went astray.
    pub(super) fn query(&self, command: Command) -> Query {
        let (identity, profile) = (&self.identity, &self.profile);
        let is_plain = profile.query == QueryForm::Plain;
        let user = is_plain.then(|| identity.user_name.clone());
        let device_type = profile.device_type.clone();
        Query {
            user,
            ..Query::new(command, identity.device_id.clone(), device_type)
        }
    }

    async fn send_query(
        &mut self,
        query: &Query,
        body: &[u8],
        kind: LoginKind,
    ) -> Result<Instant, Trouble> {
        let profile = Arc::clone(&self.profile);
        let command = query.command;
        let sends_mail = matches!(
            command,
            Command::SendMail | Command::SmartReply | Command::SmartForward
        );
        let is_mime = sends_mail && !self.version.sends_mail_as_wbxml();
        // 0 until there is one; not on Ping at all (ASPROV 3.1.5.1).
        let policy_key = match command {
            Command::Ping => None,
            _ => Some(self.policy_key.as_deref().unwrap_or("0").to_owned()),
        };
        let is_plain = profile.query == QueryForm::Plain;
        let query = if is_plain {
            query.to_plain()
        } else {
            query.to_base64(&BinaryFields {
                version: self.version,
                locale: LOCALE,
                // Four bytes or none (ASHTTP 2.2.1.1.1.1). Provision has reported a key that is no
                // number.
                policy_key: policy_key.as_deref().and_then(|key| key.parse().ok()),
            })
        };
        let path = with_query(self.route.path(&profile.path), &query);
        let authorization = self.authorize(kind).await?;
        let cookies = self.route.cookies(&path);
        let mut headers = Vec::new();
        headers.extend(authorization.as_deref().map(|text| ("Authorization", text)));
        headers.extend([
            ("User-Agent", profile.user_agent.as_str()),
            ("Accept-Encoding", "gzip"),
        ]);
        headers.extend(cookies.as_deref().map(|cookies| ("Cookie", cookies)));
        // A base64 query holds both.
        if is_plain {
            headers.push((http::PROTOCOL_VERSION, self.version.as_str()));
            headers.extend(policy_key.as_deref().map(|key| (http::POLICY_KEY, key)));
        }
        if !body.is_empty() {
            headers.push((
                "Content-Type",
                if is_mime { http::MIME } else { http::WBXML },
            ));
        }
        let request = Request {
            method: Method::Post,
            path: &path,
            headers: &headers,
            body,
            held: kind.is_held(),
        };
        let begun = self.transport.begin(request).await;
        self.begun(Some(command), begun)
    }

    pub(super) fn begun(
        &mut self,
        command: Option<Command>,
        begun: Result<Begun, Failure>,
    ) -> Result<Instant, Trouble> {
        let begun = match begun {
            Ok(begun) => begun,
            Err(failure) => {
                self.settle_failure(&failure);
                return Err(self.failed(command, false, failure));
            }
        };
        self.refusals.written(self.identity.user, self.admitted);
        let Begun {
            sent, connect, tls, ..
        } = begun;
        self.tell(Event::Begun { connect, tls });
        Ok(sent)
    }

    /// Waits for the answer to the command that was sent.
    pub(super) async fn receive(
        &mut self,
        command: Command,
        deadline: Instant,
        held: bool,
    ) -> Result<Answer, Trouble> {
        let answer = self.transport.answer(deadline).await;
        self.examine(Some(command), held, answer)
    }

    /// What an answer to a held request means that was received elsewhere.
    pub(super) fn received(
        &mut self,
        command: Command,
        answer: Result<Answer, Failure>,
    ) -> Result<Answer, Trouble> {
        self.examine(Some(command), true, answer)
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn call(&mut self, command: Command, body: &[u8]) -> Result<Answer, Trouble> {
        let sent = self.send(command, body, LoginKind::Answered).await?;
        let deadline = sent + self.profile.request_timeout;
        self.receive(command, deadline, false).await
    }

    /// Sends a command whose query says more, and waits for its answer.
    pub(super) async fn call_query(
        &mut self,
        query: &Query,
        body: &[u8],
    ) -> Result<Answer, Trouble> {
        let sent = self.send_query(query, body, LoginKind::Answered).await?;
        let deadline = sent + self.profile.request_timeout;
        self.receive(query.command, deadline, false).await
    }

    fn failed(&self, command: Option<Command>, held: bool, failure: Failure) -> Trouble {
        let class = FailureClass::of(&failure.kind);
        // The deadline of a held request is its device's decision, and told as the end of it.
        if !held || class != FailureClass::TimedOut {
            let text = failure.to_string();
            let age = failure.sent.map(|sent| sent.elapsed());
            self.tell(Event::Failed {
                command,
                class,
                text: &text,
                age,
            });
        }
        Trouble::Transport(failure)
    }

    /// A server that has changed says so in every answer until the device begins anew (ASHTTP 3.1.5.1);
    /// one that goes on saying the same is listened to once. The first FolderSync is always answered so,
    /// and says nothing.
    fn look_for_change(&mut self, command: Option<Command>, answer: &Answer) {
        if matches!(command, None | Some(Command::FolderSync)) {
            return;
        }
        if let Some(versions) = answer.header(http::RESYNC_VERSIONS)
            && self.changed_to.as_deref() != Some(versions)
        {
            self.changed_to = Some(versions.into());
            self.is_outdated = true;
        }
    }

    /// Whether the device has to begin anew, asked once.
    pub(super) fn take_outdated(&mut self) -> bool {
        std::mem::take(&mut self.is_outdated)
    }

    pub(super) fn examine(
        &mut self,
        command: Option<Command>,
        held: bool,
        answer: Result<Answer, Failure>,
    ) -> Result<Answer, Trouble> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                self.settle_failure(&failure);
                return Err(self.failed(command, held, failure));
            }
        };
        if self.profile.cookies {
            let origin = self.transport.origin();
            self.route.take_in(&answer, &self.profile.path, origin);
        }
        self.look_for_change(command, &answer);
        self.tell(Event::Answered {
            command,
            http_status: answer.status,
            took: answer.timing.total,
            end: answer.end,
        });
        let status = HttpStatus::from_code(answer.status);
        match status {
            HttpStatus::Ok if is_web_page(command, &answer) => {
                self.settle(LoginOutcome::Answered);
                let text =
                    "the answer is an HTML page, not WBXML: a login page, a proxy or a web server";
                self.tell(Event::BadBody { command, text });
                self.tell(Event::WebPage);
                Err(Trouble::Body(text.to_owned()))
            }
            HttpStatus::Ok => {
                self.settle(shows_login(command, &answer));
                if command.is_some() {
                    self.route.arrived();
                }
                Ok(answer)
            }
            HttpStatus::Unauthorized if self.may_renew(command.is_none()) => Err(Trouble::Renew),
            HttpStatus::Unauthorized => {
                let again = self.settle(LoginOutcome::Refused);
                let why = self.not_offered(&answer);
                self.tell(Event::Refused {
                    why: why.as_deref(),
                    again,
                });
                Err(Trouble::Http {
                    status,
                    retry_after: None,
                    location: None,
                })
            }
            _ => {
                // Only a user that is known can lack a policy.
                let is_known = status.reaction() == Reaction::Provision;
                self.settle(if is_known {
                    LoginOutcome::Accepted
                } else {
                    LoginOutcome::Answered
                });
                if matches!(answer.status, 429 | 503) {
                    let named = |header: &ThrottleHeader| answer.header(header.as_str()).is_some();
                    for by in ThrottleHeader::ALL.into_iter().filter(named) {
                        self.tell(Event::Throttled { by });
                    }
                }
                let retry_after = answer
                    .header(ThrottleHeader::RetryAfter.as_str())
                    .and_then(|text| retry_after(text, wall_clock::now().into()));
                let location = answer.header(http::LOCATION).map(Into::into);
                Err(Trouble::Http {
                    status,
                    retry_after,
                    location,
                })
            }
        }
    }

    /// What a refusal says where the server does not even offer what the device logs in with: nobody looked
    /// at its password then. Basic switched off is a classic of Exchange.
    fn not_offered(&self, answer: &Answer) -> Option<String> {
        let scheme = self.identity.authorization.scheme()?;
        let lines = answer.header_values("WWW-Authenticate");
        let offered: Vec<&str> = lines.iter().flat_map(|line| schemes(line)).collect();
        if offered.is_empty() || offered.iter().any(|one| one.eq_ignore_ascii_case(scheme)) {
            return None;
        }
        let offered = offered.join(", ");
        Some(format!(
            "HTTP 401: the server does not offer {scheme} authentication here, but {offered}"
        ))
    }

    /// A status of a command, counted unless it is plain success.
    pub(super) fn status(
        &self,
        command: Command,
        code: u16,
        reaction: Reaction,
    ) -> Result<(), Trouble> {
        if reaction == Reaction::Proceed {
            return Ok(());
        }
        self.tell(Event::Status { command, code });
        Err(Trouble::Status(code, reaction))
    }

    /// A body that could not be decoded.
    pub(super) fn bad_body(&self, command: Command, error: &DecodeError) -> Trouble {
        let text = error.to_string();
        self.tell(Event::BadBody {
            command: Some(command),
            text: &text,
        });
        Trouble::Body(text)
    }

    /// Reports the items of an answer that were skipped, if there are any.
    pub(super) fn skipped(&self, command: Command, skipped: &Skipped) {
        if !skipped.is_empty() {
            self.tell(Event::Skipped {
                command,
                count: skipped.count,
                text: &skipped.to_string(),
            });
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub async fn send_mail(&mut self, client_id: &str, mime: &[u8]) -> Result<(), Trouble> {
        const COMMAND: Command = Command::SendMail;
        if !self.version.sends_mail_as_wbxml() {
            return self.call(COMMAND, mime).await.map(drop);
        }
        let request = SendMailRequest {
            client_id: client_id.into(),
            save_in_sent: false,
            mime: mime.into(),
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer =
            SendMailAnswer::decode(&answer.body).map_err(|error| self.bad_body(COMMAND, &error))?;
        match answer.failure {
            None => Ok(()),
            Some(status) => {
                self.tell(Event::Status {
                    command: COMMAND,
                    code: status.code(),
                });
                Err(Trouble::Status(status.code(), status.reaction()))
            }
        }
    }
}

/// A request that is given up with its device may have been looked at.
impl<T> Drop for Client<T> {
    fn drop(&mut self) {
        if self.admitted != 0 {
            let user = self.identity.user;
            self.refusals
                .settle(user, self.admitted, LoginOutcome::Lost);
        }
    }
}

#[cfg(test)]
mod tests;
