//! The back-end application: executes EAS commands.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::commands::{
    Change, CollectionAnswer, Email, Estimate, EstimateAnswer, EstimateRequest, Folder,
    FolderSyncAnswer, FolderSyncRequest, FolderType, POLICY_TYPE, PingAnswer, PingRequest,
    PolicyAnswer, ProvisionAnswer, ProvisionRequest, SendMailAnswer, SendMailRequest, SyncAnswer,
    SyncRequest, encode_status_only,
};
use eas::query::Query;
use eas::status::{
    EstimateStatus, FolderSyncStatus, GlobalStatus, PingStatus, PolicyStatus, ProvisionStatus,
    SyncStatus,
};
use eas::wbxml::{self, DecodeError, EncodeError, Tag};
use eas::{Command, ProtocolVersion, http};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Worker;
use super::pings::Wake;
use crate::config::Topology;
use crate::link::{App, WireAnswer, WireRequest};
use crate::store::{Mail, Operation, StoreReply, SyncOutcome, SyncPart};

/// What Exchange 2016 lists; the exact string is an assumption (mock-fidelity H14).
const VERSIONS: &str = "2.0,2.1,2.5,12.0,12.1,14.0,14.1,16.0,16.1";
/// The commands of this mock, in the order of MS-ASHTTP's example.
const COMMANDS: &str = "Sync,SendMail,FolderSync,GetItemEstimate,Ping,Provision";
/// The window of a Sync that names none (ASCMD 2.2.3.199).
const DEFAULT_WINDOW: u16 = 100;
/// The server's short version (`FullServerVersion=false`).
const SERVER_VERSION: &str = "15.1";
const SERVER_NAME: &str = "MOCK01";

/// One command on its way through the back end.
struct Call<'a> {
    worker: &'a Worker,
    user: String,
    query: Query,
    version: ProtocolVersion,
    policy_key: Option<u32>,
    body: &'a [u8],
}

/// Why a command has no ordinary answer.
enum Refusal {
    /// A common status: in the body from 14.0 on, as HTTP status before.
    Status(GlobalStatus),
    /// The body is not what it should be.
    Decode,
    /// An answer that cannot be written: text with a NUL.
    Encode,
}

impl From<DecodeError> for Refusal {
    fn from(_: DecodeError) -> Self {
        Self::Decode
    }
}

impl From<EncodeError> for Refusal {
    fn from(_: EncodeError) -> Self {
        Self::Encode
    }
}

type Outcome = Result<WireAnswer, Refusal>;

/// Serves one request; `None` when its client has gone while it was held.
pub(super) async fn serve(
    worker: &Worker,
    request: &WireRequest,
    app: App,
    client_gone: oneshot::Receiver<()>,
) -> Option<WireAnswer> {
    let mut answer = execute(worker, request, client_gone).await?;
    if app == App::FrontEnd && worker.config.topology == Topology::Direct {
        answer.headers.extend(front_end_headers(worker));
    }
    Some(answer)
}

async fn execute(
    worker: &Worker,
    request: &WireRequest,
    client_gone: oneshot::Receiver<()>,
) -> Option<WireAnswer> {
    let Some(user) = user(worker, request) else {
        return Some(unauthorized(worker));
    };
    let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
    if !path
        .to_ascii_lowercase()
        .starts_with(&http::PATH.to_ascii_lowercase())
    {
        return Some(plain(worker, 404));
    }
    match request.method.as_str() {
        "OPTIONS" => return Some(options(worker)),
        "POST" => {}
        _ => return Some(plain(worker, 501)),
    }
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(eas::query::QueryError::UnknownCommand(_)) => return Some(plain(worker, 501)),
        Err(_) => return Some(plain(worker, 400)),
    };
    let (version, policy_key) = match query.binary {
        Some(fields) => (Some(fields.version), fields.policy_key),
        None => (
            request
                .header(http::PROTOCOL_VERSION)
                .and_then(|text| text.parse().ok()),
            request
                .header(http::POLICY_KEY)
                .and_then(|text| text.parse().ok()),
        ),
    };
    let Some(version) = version else {
        return Some(plain(worker, 400));
    };
    let root = root_of(query.command);
    let call = Call {
        worker,
        user,
        query,
        version,
        policy_key,
        body: &request.body,
    };
    let outcome = tokio::select! {
        outcome = call.execute() => outcome,
        _ = client_gone => return None,
    };
    Some(match outcome {
        Ok(answer) => answer,
        Err(refusal) => {
            let status = match refusal {
                Refusal::Status(status) => status,
                Refusal::Decode => GlobalStatus::InvalidWbxml,
                Refusal::Encode => GlobalStatus::ServerError,
            };
            refuse(worker, version, root, status)
        }
    })
}

/// Root and Status elements of a command's answer.
fn root_of(command: Command) -> (Tag, Tag) {
    match command {
        Command::Ping => (wbxml::ping::PING, wbxml::ping::STATUS),
        Command::FolderSync => (
            wbxml::folder_hierarchy::FOLDER_SYNC,
            wbxml::folder_hierarchy::STATUS,
        ),
        Command::Provision => (wbxml::provision::PROVISION, wbxml::provision::STATUS),
        Command::GetItemEstimate => (
            wbxml::get_item_estimate::GET_ITEM_ESTIMATE,
            wbxml::get_item_estimate::STATUS,
        ),
        Command::SendMail => (wbxml::compose_mail::SEND_MAIL, wbxml::compose_mail::STATUS),
        _ => (wbxml::air_sync::SYNC, wbxml::air_sync::STATUS),
    }
}

fn refuse(
    worker: &Worker,
    version: ProtocolVersion,
    (root, status_tag): (Tag, Tag),
    status: GlobalStatus,
) -> WireAnswer {
    if version.has_status_in_body() {
        return match encode_status_only(root, status_tag, status) {
            Ok(body) => wbxml_answer(worker, body),
            Err(_) => plain(worker, 500),
        };
    }
    plain(
        worker,
        status.as_http().map_or(500, eas::status::HttpStatus::code),
    )
}

impl Call<'_> {
    async fn execute(&self) -> Outcome {
        match self.query.command {
            Command::Provision => self.provision().await,
            Command::FolderSync => self.folder_sync().await,
            Command::Sync => self.sync().await,
            Command::Ping => self.ping().await,
            Command::GetItemEstimate => self.estimate().await,
            Command::SendMail => self.send_mail().await,
            _ => Err(Refusal::Status(GlobalStatus::CommandNotSupported)),
        }
    }

    /// Asks the store in a command that needs the policy key.
    async fn ask(&self, operation: Operation) -> Result<StoreReply, Refusal> {
        self.ask_with(Some(self.policy_key), operation).await
    }

    async fn ask_with(
        &self,
        policy_key: Option<Option<u32>>,
        operation: Operation,
    ) -> Result<StoreReply, Refusal> {
        self.worker
            .ask(&self.user, &self.query.device_id, policy_key, operation)
            .await
            .map_err(|code| Refusal::Status(GlobalStatus::from_code(code)))
    }

    fn body(&self, body: Vec<u8>) -> Outcome {
        Ok(wbxml_answer(self.worker, body))
    }

    async fn provision(&self) -> Outcome {
        let request = ProvisionRequest::decode(self.body)?;
        let fail = |status| {
            ProvisionAnswer {
                status,
                policy: None,
                remote_wipe: false,
            }
            .encode()
        };
        let Some(policy) = request.policy else {
            return self.body(fail(ProvisionStatus::ProtocolError)?);
        };
        let mut answer = PolicyAnswer {
            policy_type: Cow::Borrowed(POLICY_TYPE),
            status: PolicyStatus::Success,
            key: None,
            document: Vec::new(),
        };
        if policy.policy_type != POLICY_TYPE {
            answer.status = PolicyStatus::UnknownPolicyType;
        } else if !self.worker.config.require_provisioning {
            answer.status = PolicyStatus::NoPolicy;
        } else if let Some((key, _)) = policy.acknowledgement {
            match self
                .ask_with(None, Operation::AcknowledgePolicy(key))
                .await?
            {
                StoreReply::PolicyKey(key) => answer.key = Some(key),
                _ => answer.status = PolicyStatus::WrongKey,
            }
        } else {
            if self.version.provisions_device_information() && request.device.is_none() {
                return Err(Refusal::Status(GlobalStatus::DeviceInformationRequired));
            }
            if let StoreReply::PolicyKey(key) = self.ask_with(None, Operation::AskPolicy).await? {
                answer.key = Some(key);
            }
            answer.document = vec![
                (wbxml::provision::DEVICE_PASSWORD_ENABLED, "0".into()),
                (wbxml::provision::ATTACHMENTS_ENABLED, "1".into()),
                (wbxml::provision::ALLOW_SIMPLE_DEVICE_PASSWORD, "1".into()),
            ];
        }
        let answer = ProvisionAnswer {
            status: ProvisionStatus::Success,
            policy: Some(answer),
            remote_wipe: false,
        };
        self.body(answer.encode()?)
    }

    async fn folder_sync(&self) -> Outcome {
        let request = FolderSyncRequest::decode(self.body)?;
        let first = request.sync_key == "0";
        let reply = self
            .ask(Operation::FolderSync(request.sync_key.into_owned()))
            .await?;
        let answer = match reply {
            StoreReply::Folders { key, added } => FolderSyncAnswer {
                sync_key: Some(key.into()),
                added: added
                    .into_iter()
                    .map(|folder| Folder {
                        server_id: folder.id.to_string().into(),
                        parent_id: "0".into(),
                        display_name: folder.name.into(),
                        folder_type: FolderType(folder.folder_type),
                    })
                    .collect(),
                ..FolderSyncAnswer::failed(FolderSyncStatus::Success)
            },
            _ => FolderSyncAnswer::failed(FolderSyncStatus::InvalidSyncKey),
        };
        let mut answer = wbxml_answer(self.worker, answer.encode()?);
        if first {
            for (name, value) in [
                (http::RESYNC_VERSIONS, VERSIONS),
                (http::PROTOCOL_VERSIONS, VERSIONS),
                (http::PROTOCOL_COMMANDS, COMMANDS),
            ] {
                answer.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer)
    }

    async fn sync(&self) -> Outcome {
        self.worker.syncs.fetch_add(1, Ordering::Relaxed);
        let operation = if self.body.is_empty() {
            Operation::RepeatSync
        } else {
            let request = SyncRequest::decode(self.body)?;
            if request.wait.is_some() || request.heartbeat.is_some() {
                // Hanging Sync is not there yet; saying so beats answering at once for ever.
                return self.body(SyncAnswer::failed(SyncStatus::ProtocolError).encode()?);
            }
            Operation::Sync(
                request
                    .collections
                    .iter()
                    .map(|part| self.sync_part(part))
                    .collect(),
            )
        };
        let answer = match self.ask(operation).await? {
            StoreReply::Sync(outcomes) => sync_answer(outcomes),
            StoreReply::NothingCached => SyncAnswer::failed(SyncStatus::IncompleteRequest),
            StoreReply::HierarchyChanged => SyncAnswer::failed(SyncStatus::HierarchyChanged),
            _ => SyncAnswer::failed(SyncStatus::ServerError),
        };
        if answer.status.is_none() && answer.collections.is_empty() {
            return Ok(empty_answer(self.worker));
        }
        self.body(answer.encode()?)
    }

    fn sync_part(&self, part: &eas::commands::SyncCollection<'_>) -> SyncPart {
        /// 0 and everything above 512 mean 512 (ASCMD 2.2.3.199).
        const LARGEST: u16 = 512;
        let window = match part.window_size {
            None => DEFAULT_WINDOW,
            Some(0) => LARGEST,
            Some(size) => size.min(LARGEST),
        };
        SyncPart {
            id: part.id.to_string(),
            key: part.sync_key.to_string(),
            window: window.min(self.worker.config.max_window),
            get_changes: part.get_changes.unwrap_or(true),
        }
    }

    async fn ping(&self) -> Outcome {
        let started = Instant::now();
        let request = PingRequest::decode(self.body)?;
        if request.is_empty_element(self.body) {
            return self.body(PingAnswer::new(PingStatus::SyntaxError).encode()?);
        }
        if let Some(answer) = self.out_of_bounds(&request) {
            return self.body(answer.encode()?);
        }
        let registration = self
            .worker
            .pings
            .register(&self.user, &self.query.device_id);
        let operation = Operation::Ping {
            heartbeat: request
                .heartbeat
                .and_then(|seconds| seconds.try_into().ok()),
            folders: request.folders.map(|folders| {
                folders
                    .into_iter()
                    .map(|folder| folder.id.into_owned())
                    .collect()
            }),
        };
        let reply = match self.ask_with(None, operation).await {
            Err(Refusal::Status(GlobalStatus::Unknown(code))) => {
                return self.body(PingAnswer::new(PingStatus::from_code(code)).encode()?);
            }
            other => other?,
        };
        let answer = match reply {
            StoreReply::HierarchyChanged => PingAnswer::new(PingStatus::HierarchyOutOfDate),
            StoreReply::Changed(folders) => changed(&folders),
            StoreReply::Hold { heartbeat, folders } => {
                let end = started + Duration::from_secs(heartbeat.into());
                tokio::select! {
                    wake = registration.woken(&folders) => {
                        self.poll_tick(started, end).await;
                        match wake {
                            Wake::Changed(folders) => changed(&folders),
                            Wake::HierarchyChanged => PingAnswer::new(PingStatus::HierarchyOutOfDate),
                            Wake::Superseded => PingAnswer::new(PingStatus::Expired),
                        }
                    }
                    () = tokio::time::sleep_until(end) => PingAnswer::new(PingStatus::Expired),
                }
            }
            _ => PingAnswer::new(PingStatus::ServerError),
        };
        self.body(answer.encode()?)
    }

    /// Changes are found by polling: an answer waits for the next look (mock-fidelity G6).
    async fn poll_tick(&self, started: Instant, end: Instant) {
        let interval = self.worker.config.poll_interval;
        if interval.is_zero() {
            return;
        }
        let looks = started.elapsed().as_nanos().div_ceil(interval.as_nanos());
        let next = started + interval * u32::try_from(looks).unwrap_or(u32::MAX);
        tokio::time::sleep_until(next.min(end)).await;
    }

    fn out_of_bounds(&self, request: &PingRequest<'_>) -> Option<PingAnswer<'static>> {
        let config = &self.worker.config;
        if let Some(seconds) = request.heartbeat {
            let (low, high) = (
                config.min_heartbeat.as_secs(),
                config.max_heartbeat.as_secs(),
            );
            let nearest = match u64::try_from(seconds) {
                Ok(seconds) if seconds > high => Some(high),
                Ok(seconds) if seconds >= low => None,
                _ => Some(low),
            };
            if let Some(nearest) = nearest {
                return Some(PingAnswer {
                    heartbeat: Some(nearest.try_into().unwrap_or(u32::MAX)),
                    ..PingAnswer::new(PingStatus::HeartbeatOutOfRange)
                });
            }
        }
        let count = request.folders.as_ref().map_or(0, Vec::len);
        (count > config.max_ping_folders).then(|| PingAnswer {
            max_folders: Some(config.max_ping_folders.try_into().unwrap_or(u32::MAX)),
            ..PingAnswer::new(PingStatus::TooManyFolders)
        })
    }

    async fn estimate(&self) -> Outcome {
        let request = EstimateRequest::decode(self.body)?;
        let pairs: Vec<(String, String)> = request
            .collections
            .iter()
            .map(|part| (part.id.to_string(), part.sync_key.to_string()))
            .collect();
        let StoreReply::Estimates(counts) = self.ask(Operation::Estimate(pairs.clone())).await?
        else {
            return Err(Refusal::Status(GlobalStatus::ServerError));
        };
        let estimates = pairs
            .into_iter()
            .zip(counts)
            .map(|((id, _), count)| Estimate {
                status: count
                    .err()
                    .map_or(EstimateStatus::Success, EstimateStatus::from_code),
                id: count.is_ok().then_some(id.into()),
                count: count.ok(),
            })
            .collect();
        self.body(
            EstimateAnswer {
                status: None,
                estimates,
            }
            .encode()?,
        )
    }

    async fn send_mail(&self) -> Outcome {
        let operation = if self.version.sends_mail_as_wbxml() {
            let request = SendMailRequest::decode(self.body)?;
            let (mail, to) = self.message(&request.mime)?;
            let client_id = Some(request.client_id.into_owned());
            Operation::Deliver {
                client_id,
                mail,
                to,
                save_in_sent: request.save_in_sent,
            }
        } else {
            let (mail, to) = self.message(self.body)?;
            Operation::Deliver {
                client_id: None,
                mail,
                to,
                save_in_sent: self.query.save_in_sent,
            }
        };
        match self.ask(operation).await {
            Ok(_) => Ok(empty_answer(self.worker)),
            Err(Refusal::Status(status)) if self.version.sends_mail_as_wbxml() => self.body(
                SendMailAnswer {
                    failure: Some(status),
                }
                .encode()?,
            ),
            Err(refusal) => Err(refusal),
        }
    }

    /// Reads a message; the sender is always the user (ASCMD 2.2.1.17).
    fn message(&self, mime: &[u8]) -> Result<(Mail, Vec<String>), Refusal> {
        let text = String::from_utf8_lossy(mime).replace('\0', "");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .or_else(|| text.split_once("\n\n"))
            .ok_or(Refusal::Status(GlobalStatus::InvalidMime))?;
        let header = |wanted: &str| {
            head.lines()
                .find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(wanted)
                        .then(|| value.trim().to_owned())
                })
                .unwrap_or_default()
        };
        let to = header("To");
        let users: Vec<String> = to
            .split(',')
            .map(|address| local_part(address.trim_matches(|c: char| " <>\"".contains(c))))
            .filter(|user| !user.is_empty())
            .collect();
        if users.is_empty() {
            return Err(Refusal::Status(GlobalStatus::MessageHasNoRecipient));
        }
        let mail = Mail {
            from: self.user.clone(),
            to,
            subject: header("Subject"),
            received: String::new(),
            body: body.to_owned(),
        };
        Ok((mail, users))
    }
}

fn changed(folders: &[u32]) -> PingAnswer<'static> {
    PingAnswer {
        folders: folders.iter().map(|id| id.to_string().into()).collect(),
        ..PingAnswer::new(PingStatus::Changes)
    }
}

fn sync_answer(outcomes: Vec<SyncOutcome>) -> SyncAnswer<'static> {
    let mut answer = SyncAnswer::default();
    for outcome in outcomes {
        let collection = |id: String, key: String, status| CollectionAnswer {
            sync_key: key.into(),
            id: id.into(),
            status,
            more_available: false,
            changes: Vec::new(),
        };
        match outcome {
            SyncOutcome::Unchanged => {}
            SyncOutcome::NoFolder(_) => {
                return SyncAnswer::failed(SyncStatus::HierarchyChanged);
            }
            SyncOutcome::BadKey(id) => {
                answer
                    .collections
                    .push(collection(id, "0".to_owned(), SyncStatus::InvalidSyncKey))
            }
            SyncOutcome::Items {
                id,
                key,
                items,
                more,
            } => {
                let changes = items
                    .into_iter()
                    .map(|(number, mail)| Change::Add {
                        server_id: format!("{id}:{number}").into(),
                        email: Box::new(Email {
                            from: mail.from.into(),
                            to: mail.to.into(),
                            subject: mail.subject.into(),
                            date_received: mail.received.into(),
                            read: false,
                            body: mail.body.into(),
                        }),
                    })
                    .collect();
                answer.collections.push(CollectionAnswer {
                    more_available: more,
                    changes,
                    ..collection(id, key, SyncStatus::Success)
                });
            }
        }
    }
    answer
}

/// The user that a request authenticates as, without domain and in lower case; `None` if it does
/// not.
pub(super) fn user(worker: &Worker, request: &WireRequest) -> Option<String> {
    let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    (password == worker.config.password).then(|| local_part(user))
}

/// `LAB\load1`, `load1@lab.example` and `load1` are one user.
fn local_part(user: &str) -> String {
    let user = user.rsplit_once('\\').map_or(user, |(_, name)| name);
    user.split_once('@')
        .map_or(user, |(name, _)| name)
        .to_ascii_lowercase()
}

fn options(worker: &Worker) -> WireAnswer {
    let mut answer = empty_answer(worker);
    for (name, value) in [
        ("Allow", "OPTIONS,POST"),
        ("Public", "OPTIONS,POST"),
        (http::PROTOCOL_VERSIONS, VERSIONS),
        (http::PROTOCOL_COMMANDS, COMMANDS),
    ] {
        answer.headers.push((name.to_owned(), value.to_owned()));
    }
    answer
}

/// No MS-* headers: the front end refuses before the back end sees the request.
pub(super) fn unauthorized(worker: &Worker) -> WireAnswer {
    let mut headers = vec![
        ("Server".to_owned(), "Microsoft-IIS/10.0".to_owned()),
        (
            "WWW-Authenticate".to_owned(),
            "Basic realm=\"mock\"".to_owned(),
        ),
    ];
    headers.extend(front_end_headers(worker));
    WireAnswer {
        status: 401,
        headers,
        body: Vec::new(),
    }
}

/// An answer that is only an HTTP status.
pub(super) fn plain(worker: &Worker, status: u16) -> WireAnswer {
    WireAnswer {
        status,
        ..empty_answer(worker)
    }
}

fn empty_answer(worker: &Worker) -> WireAnswer {
    let headers = [
        ("Server", "Microsoft-IIS/10.0"),
        ("Cache-Control", "private"),
        (http::SERVER_VERSION, SERVER_VERSION),
        ("X-AspNet-Version", "4.0.30319"),
        ("X-Powered-By", "ASP.NET"),
        ("X-BEServer", SERVER_NAME),
        ("X-DiagInfo", SERVER_NAME),
    ];
    let mut headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // Not a header of Exchange: tells a test which worker answered.
    headers.push(("X-Mock-Worker".to_owned(), worker.generation.to_string()));
    WireAnswer {
        status: 200,
        headers,
        body: Vec::new(),
    }
}

fn wbxml_answer(worker: &Worker, body: Vec<u8>) -> WireAnswer {
    let mut answer = empty_answer(worker);
    answer
        .headers
        .push(("Content-Type".to_owned(), http::WBXML.to_owned()));
    answer.body = body;
    answer
}

/// What the front end adds to every answer.
pub(super) fn front_end_headers(worker: &Worker) -> Vec<(String, String)> {
    vec![
        ("X-FEServer".to_owned(), SERVER_NAME.to_owned()),
        ("request-id".to_owned(), worker.request_id()),
        (
            "X-CalculatedBETarget".to_owned(),
            "mock01.lab.example".to_owned(),
        ),
    ]
}
