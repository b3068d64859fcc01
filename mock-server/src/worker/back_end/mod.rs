//! The back-end application: executes EAS commands.

pub(super) mod answers;
mod bodies;
pub(super) mod coding;
mod content;
mod directory;
mod drafts;
mod folders;
mod items;
mod mail;
mod mime;
mod ping;
mod provision;
mod recipients;
mod schema;
mod search;
mod sync;

use std::time::Duration;

use eas::commands::encode_status_only;
use eas::query::{Query, QueryError};
use eas::status::{GlobalStatus, HttpStatus};
use eas::wbxml::{self, DecodeError, EncodeError, Tag};
use eas::{Command, ProtocolVersion, http};
use mock_api::config::Topology;
use mock_api::fault::{Fault, FaultKind, OPTIONS};
use tokio::sync::oneshot;

use super::proxy::LOG;
use super::{ClientEnd, Worker, identity};
use crate::fault::Subject;
use crate::headers::RequestHeader;
use crate::link::{App, RequestLog, ToFrontDoor, WireAnswer, WireRequest};
use crate::store::{Operation, StoreReply};

/// The commands of this mock, in the order of MS-ASHTTP's example, but for Find.
const COMMANDS: &str = "Sync,SendMail,SmartForward,SmartReply,GetAttachment,FolderSync,FolderCreate,\
                        FolderDelete,FolderUpdate,MoveItems,GetItemEstimate,MeetingResponse,Search,\
                        Settings,Ping,ItemOperations,Provision,ResolveRecipients,ValidateCert";

/// What OPTIONS lists. Find, which is last in MS-ASHTTP's example, is a command of 16.1.
fn commands(worker: &Worker) -> String {
    let mut commands = COMMANDS.to_owned();
    if worker.config.speaks(ProtocolVersion::V16_1) {
        commands.push(',');
        commands.push_str(Command::Find.as_str());
    }
    commands
}

/// Retry-After of a throttled answer whose fault names no delay.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Faults that refuse a command, also one that is held.
const REFUSING: [FaultKind; 3] = [FaultKind::Error, FaultKind::RetryAfter, FaultKind::Redirect];

/// One command on its way through the back end.
struct Call<'a> {
    worker: &'a Worker,
    id: u64,
    user: String,
    /// Whose mailbox and keys it works on.
    mailbox: String,
    query: Query,
    version: ProtocolVersion,
    policy_key: Option<u32>,
    body: &'a [u8],
    log: parking_lot::Mutex<RequestLog>,
}

/// Why a command has no ordinary answer.
pub(super) enum Refusal {
    /// A common status: in the body from 14.0 on, as HTTP status before.
    Status(GlobalStatus),
    /// The body is no request of the command: see `schema`.
    Decode,
    /// An answer that cannot be written: text with a NUL.
    Encode,
    /// A fault.
    Fault(Box<Fault>),
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
    id: u64,
    request: &WireRequest,
    app: App,
    client_gone: oneshot::Receiver<ClientEnd>,
) -> Option<WireAnswer> {
    let (mut answer, passed) = execute(worker, id, request, app, client_gone).await?;
    if passed && worker.config.gzip {
        answers::compress(&mut answer, request);
    }
    if app == App::BackEnd {
        // Serialising a record of a few numbers cannot fail.
        let log = serde_json::to_string(&answer.log).unwrap_or_default();
        answer.headers.push(LOG, &log);
    } else if passed && worker.config.topology == Topology::Direct {
        answers::front_end_headers(worker, true, &mut answer.headers);
    }
    Some(answer)
}

/// The answer, and whether the request got past authentication.
async fn execute(
    worker: &Worker,
    id: u64,
    request: &WireRequest,
    app: App,
    client_gone: oneshot::Receiver<ClientEnd>,
) -> Option<(WireAnswer, bool)> {
    let forwarded = request.header(RequestHeader::Identity);
    let user = match forwarded.filter(|_| app == App::BackEnd) {
        Some(user) => Some(user.to_owned()),
        None => identity::authenticate(&worker.config, request),
    };
    let Some(user) = user.filter(|user| worker.user(user).enabled) else {
        return Some((answers::unauthorized(worker, request), false));
    };
    let body = match coding::decoded(request) {
        Ok(body) => body,
        Err(status) => return Some((answers::plain(worker, status), true)),
    };
    let answered = async {
        match prepare(worker, id, (request, &body), user.clone()) {
            Err(answer) => answer,
            Ok(None) => match faults(worker, &user, "", OPTIONS).await {
                Some(fault) => fault_answer(worker, &fault, None).await,
                None => options(worker),
            },
            Ok(Some(mut call)) => {
                call.choose_server();
                call.answer().await
            }
        }
    };
    let mut answer = tokio::select! {
        biased;
        answer = answered => answer,
        _ = client_gone => return None,
    };
    answer.log.user = Some(user);
    Some((answer, true))
}

/// Reads method, path, query and version; `None` for OPTIONS.
fn prepare<'a>(
    worker: &'a Worker,
    id: u64,
    (request, body): (&'a WireRequest, &'a [u8]),
    user: String,
) -> Result<Option<Call<'a>>, WireAnswer> {
    let plain = |status| answers::plain(worker, status);
    let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
    let path = path.to_ascii_lowercase();
    let root = http::PATH.to_ascii_lowercase();
    let rest = path.strip_prefix(&root).ok_or_else(|| plain(404))?;
    if !matches!(rest, "" | "/" | "/default.eas") {
        return Err(plain(404));
    }
    match request.method.as_str() {
        "OPTIONS" => return Ok(None),
        "POST" => {}
        _ => return Err(plain(501)),
    }
    let sent = request.header(RequestHeader::ProtocolVersion);
    let in_header: Option<ProtocolVersion> = sent.and_then(|text| text.parse().ok());
    let mut query = Query::parse(query).map_err(|error| match error {
        QueryError::UnknownCommand { version, .. } => {
            let version = version.or(in_header).unwrap_or(ProtocolVersion::V12_1);
            let root = root_of(Command::Sync);
            refuse(worker, version, root, GlobalStatus::CommandNotSupported)
        }
        _ => plain(400),
    })?;
    let multipart = request.header(RequestHeader::AcceptMultiPart);
    query.accepts_multipart |=
        query.binary.is_none() && multipart.is_some_and(|text| text.eq_ignore_ascii_case("T"));
    let (version, policy_key) = match &query.binary {
        Some(fields) => (Some(fields.version), fields.policy_key),
        None => (
            in_header,
            request
                .header(RequestHeader::PolicyKey)
                .and_then(|text| text.parse().ok()),
        ),
    };
    let Some(version) = version else {
        return Err(plain(400));
    };
    if !worker.config.speaks(version) {
        let root = root_of(query.command);
        return Err(refuse(
            worker,
            version,
            root,
            GlobalStatus::VersionNotSupported,
        ));
    }
    Ok(Some(Call {
        worker,
        id,
        log: parking_lot::Mutex::new(RequestLog {
            version: Some(version.times_ten()),
            ..RequestLog::default()
        }),
        mailbox: user.clone(),
        user,
        query,
        version,
        policy_key,
        body,
    }))
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
        Command::Settings => (wbxml::settings::SETTINGS, wbxml::settings::STATUS),
        Command::ItemOperations => (
            wbxml::item_operations::ITEM_OPERATIONS,
            wbxml::item_operations::STATUS,
        ),
        Command::SmartReply => (
            wbxml::compose_mail::SMART_REPLY,
            wbxml::compose_mail::STATUS,
        ),
        Command::SmartForward => (
            wbxml::compose_mail::SMART_FORWARD,
            wbxml::compose_mail::STATUS,
        ),
        Command::MoveItems => (wbxml::move_items::MOVE_ITEMS, wbxml::move_items::STATUS),
        Command::FolderCreate => (
            wbxml::folder_hierarchy::FOLDER_CREATE,
            wbxml::folder_hierarchy::STATUS,
        ),
        Command::FolderUpdate => (
            wbxml::folder_hierarchy::FOLDER_UPDATE,
            wbxml::folder_hierarchy::STATUS,
        ),
        Command::FolderDelete => (
            wbxml::folder_hierarchy::FOLDER_DELETE,
            wbxml::folder_hierarchy::STATUS,
        ),
        Command::MeetingResponse => (
            wbxml::meeting_response::MEETING_RESPONSE,
            wbxml::meeting_response::STATUS,
        ),
        Command::Search => (wbxml::search::SEARCH, wbxml::search::STATUS),
        Command::ResolveRecipients => (
            wbxml::resolve_recipients::RESOLVE_RECIPIENTS,
            wbxml::resolve_recipients::STATUS,
        ),
        Command::ValidateCert => (
            wbxml::validate_cert::VALIDATE_CERT,
            wbxml::validate_cert::STATUS,
        ),
        Command::Find => (wbxml::find::FIND, wbxml::find::STATUS),
        // GetAttachment has no body.
        Command::Sync | Command::GetAttachment => (wbxml::air_sync::SYNC, wbxml::air_sync::STATUS),
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
            Ok(body) => answers::wbxml(worker, body),
            Err(_) => answers::plain(worker, 500),
        };
    }
    answers::plain(worker, status.as_http().map_or(500, HttpStatus::code))
}

fn options(worker: &Worker) -> WireAnswer {
    let mut answer = answers::empty(worker);
    let versions = worker.config.versions.join(",");
    answer.headers.push("Allow", "OPTIONS,POST");
    answer.headers.push("Public", "OPTIONS,POST");
    answer.headers.push(http::PROTOCOL_VERSIONS, &versions);
    answer
        .headers
        .push(http::PROTOCOL_COMMANDS, &commands(worker));
    answer
}

/// Waits where a latency fault says so, and gives the fault that refuses the command, if any.
async fn faults(worker: &Worker, user: &str, device: &str, command: &str) -> Option<Fault> {
    let subject = Subject {
        user,
        device,
        command,
    };
    if let Some(fault) = worker.strike(&[FaultKind::Latency], subject) {
        tokio::time::sleep(fault.delay.unwrap_or_default()).await;
    }
    worker.strike(&REFUSING, subject)
}

/// The answer that a fault puts in place of the command's.
async fn fault_answer(
    worker: &Worker,
    fault: &Fault,
    command: Option<(ProtocolVersion, (Tag, Tag))>,
) -> WireAnswer {
    match (fault.fault, fault.eas_status, command) {
        (FaultKind::Error, Some(status), Some((version, root))) => {
            refuse(worker, version, root, GlobalStatus::from_code(status))
        }
        (FaultKind::Redirect, ..) => {
            let mut answer = answers::plain(worker, 451);
            let location = fault.location.as_deref().unwrap_or_default();
            answer.headers.push(http::LOCATION, location);
            answer
        }
        (FaultKind::RetryAfter, ..) => {
            let status = fault.status.unwrap_or(503);
            throttled(worker, status, fault.delay.unwrap_or(RETRY_AFTER)).await
        }
        _ => answers::plain(worker, fault.status.unwrap_or(500)),
    }
}

/// 503 of the application, unlike HTTP.sys's own: late, with Retry-After, and the end of the
/// connection as in the example of MS-ASHTTP 3.1.5.2.3.
async fn throttled(worker: &Worker, status: u16, retry_after: Duration) -> WireAnswer {
    tokio::time::sleep(worker.config.error_response_delay).await;
    let mut answer = answers::plain(worker, status);
    let seconds = retry_after.as_secs_f64().ceil().to_string();
    answer.headers.push("Content-Type", "text/html");
    answer.headers.push("Retry-After", &seconds);
    answer
        .headers
        .push("X-MS-ASThrottle", &worker.config.throttle_text);
    answer.closes = true;
    answer
}

/// One of a user's concurrent requests while it lives.
struct Busy<'a> {
    worker: &'a Worker,
    user: String,
}

impl<'a> Busy<'a> {
    /// `None` when the user has as many as EasMaxConcurrency allows.
    fn begin(worker: &'a Worker, user: &str) -> Option<Self> {
        let mut busy = worker.busy.lock();
        let count = busy.entry(user.to_owned()).or_default();
        if *count >= worker.config.max_concurrency {
            return None;
        }
        *count += 1;
        drop(busy);
        Some(Self {
            worker,
            user: user.to_owned(),
        })
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut busy = self.worker.busy.lock();
        if let Some(count) = busy.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.user);
            }
        }
    }
}

/// Behind the name of a user, the mailbox that another server has for the user.
const ELSEWHERE: &str = "@other-server";

impl Call<'_> {
    /// The answer to the command, or that of its refusal.
    async fn answer(&self) -> WireAnswer {
        let root = root_of(self.query.command);
        let mut answer = match self.run().await {
            Ok(answer) => answer,
            Err(Refusal::Fault(fault)) => {
                fault_answer(self.worker, &fault, Some((self.version, root))).await
            }
            Err(Refusal::Decode) => self.not_understood(),
            Err(refusal @ (Refusal::Status(_) | Refusal::Encode)) => {
                let status = match refusal {
                    Refusal::Status(status) => status,
                    _ => GlobalStatus::ServerError,
                };
                let refused = refuse(self.worker, self.version, root, status);
                // An old client without a policy key learns of a wipe from a 403 (ASCMD 2.2.2).
                match (status, self.policy_key) {
                    (GlobalStatus::RemoteWipeRequested, None) if refused.status == 449 => {
                        answers::plain(self.worker, 403)
                    }
                    _ => refused,
                }
            }
        };
        answer.log = self.log.lock().clone();
        answer
    }

    /// Goes to another server if a fault says so.
    fn choose_server(&mut self) {
        let subject = Subject {
            user: &self.user,
            device: &self.query.device_id,
            command: self.query.command.as_str(),
        };
        if self
            .worker
            .strike(&[FaultKind::NoAffinity], subject)
            .is_some()
        {
            self.mailbox = format!("{}{ELSEWHERE}", self.user);
        }
    }

    /// The mailbox of a user on the server that this command works on.
    fn there(&self, user: &str) -> String {
        if self.mailbox == self.user {
            user.to_owned()
        } else {
            format!("{user}{ELSEWHERE}")
        }
    }

    async fn run(&self) -> Outcome {
        let Some(_busy) = Busy::begin(self.worker, &self.user) else {
            // The form of this refusal is assumed.
            return Ok(throttled(self.worker, 503, RETRY_AFTER).await);
        };
        let command = self.query.command.as_str();
        let device = &self.query.device_id;
        if let Some(fault) = faults(self.worker, &self.user, device, command).await {
            return Err(Refusal::Fault(Box::new(fault)));
        }
        if !self.worker.user(&self.user).sync {
            return Err(Refusal::Status(GlobalStatus::UserDisabledForSync));
        }
        self.execute().await
    }

    async fn execute(&self) -> Outcome {
        match self.query.command {
            Command::Provision => self.provision().await,
            Command::FolderSync => self.folder_sync().await,
            Command::Sync => self.sync().await,
            Command::Ping => self.ping().await,
            Command::GetItemEstimate => self.estimate().await,
            Command::SendMail | Command::SmartReply | Command::SmartForward => {
                self.send_mail().await
            }
            Command::Settings => self.settings().await,
            Command::ItemOperations => self.item_operations().await,
            Command::GetAttachment => self.get_attachment().await,
            Command::MoveItems => self.move_items().await,
            Command::FolderCreate => self.folder_create().await,
            Command::FolderUpdate => self.folder_update().await,
            Command::FolderDelete => self.folder_delete().await,
            Command::MeetingResponse => self.meeting_response().await,
            Command::Search => self.search().await,
            Command::ResolveRecipients => self.resolve_recipients().await,
            Command::ValidateCert => self.validate_cert().await,
            Command::Find if self.version >= ProtocolVersion::V16_1 => self.find().await,
            Command::Find => Err(Refusal::Status(GlobalStatus::CommandNotSupported)),
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
            .ask(&self.mailbox, &self.query.device_id, policy_key, operation)
            .await
            .map_err(|code| Refusal::Status(GlobalStatus::from_code(code)))
    }

    fn body(&self, body: Vec<u8>) -> Outcome {
        Ok(answers::wbxml(self.worker, body))
    }

    /// From here on the command waits, and takes no thread.
    fn is_held(&self) {
        self.worker.send(ToFrontDoor::Async(self.id));
    }

    /// Returns when a fault refuses this command while it is held.
    async fn struck(&self) -> Fault {
        let mut changes = self.worker.faults_changed.watch();
        let mut met = self.worker.faults.lock().change();
        loop {
            changes.changed().await;
            let subject = Subject {
                user: &self.user,
                device: &self.query.device_id,
                command: self.query.command.as_str(),
            };
            let mut faults = self.worker.faults.lock();
            let wanted = |fault: &Fault, since| REFUSING.contains(&fault.fault) && since > met;
            let chance = |probability| self.worker.chance(probability);
            if let Some(fault) = faults.strike_if(wanted, subject, chance) {
                return fault;
            }
            met = faults.change();
        }
    }
}
