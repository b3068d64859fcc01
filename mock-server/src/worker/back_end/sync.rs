//! Sync, at once or hanging.

use std::sync::atomic::Ordering;
use std::time::Duration;

use eas::ProtocolVersion;
use eas::commands::{
    Body, Change, ClientCommand, CollectionAnswer, CommandResponse, Elements, ItemChange, ItemData,
    Skipped, SyncAnswer, SyncCollection, SyncRequest,
};
use eas::status::{GlobalStatus, SyncStatus};
use eas::wbxml::{air_sync_base, calendar, contacts, contacts2};
use tokio::time::{Instant, sleep_until};

use super::bodies::{BODIES_IN_AN_ANSWER, Form};
use super::content::owned;
use super::{Call, Outcome, Refusal, answers};
use crate::body::{HTML, PLAIN, notes};
use crate::store::{
    ItemCommand, ItemResponse, Named, Operation, StoreReply, SyncOutcome, SyncPart, Told,
};
use crate::worker::pings::Wake;

/// The window of a Sync that names none (ASCMD 2.2.3.199).
const DEFAULT_WINDOW: u16 = 100;
/// 0 and everything above 512 mean 512 (ASCMD 2.2.3.199).
const LARGEST_WINDOW: u16 = 512;

impl Call<'_> {
    pub(super) async fn sync(&self) -> Outcome {
        self.worker.syncs.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let operation = match self.sync_operation().await? {
            Ok(operation) => operation,
            Err(answer) => return self.body(answer.encode(self.version)?),
        };
        // Registered before the store is asked, so that no change falls in between.
        let may_hang = !matches!(operation, Operation::Sync { hang: None, .. });
        let registration = may_hang.then(|| {
            self.worker
                .hanging_syncs
                .register(&self.mailbox, &self.query.device_id)
        });
        let mut reply = self.ask(operation).await?;
        loop {
            let (outcomes, hang) = match reply {
                StoreReply::Sync { outcomes, hang } => (outcomes, hang),
                StoreReply::NothingCached => {
                    return self.sync_failed(SyncStatus::IncompleteRequest);
                }
                StoreReply::HierarchyChanged => {
                    return self.sync_failed(SyncStatus::HierarchyChanged);
                }
                StoreReply::OptionsRefused => {
                    return self.sync_failed(SyncStatus::ProtocolError);
                }
                _ => return self.sync_failed(SyncStatus::ServerError),
            };
            let folders = watched(&outcomes);
            let answer = self.sync_answer(outcomes).await?;
            let is_empty = answer.status.is_none() && answer.collections.is_empty();
            if !is_empty {
                return self.body(answer.encode(self.version)?);
            }
            let end = started + Duration::from_secs(hang.unwrap_or(0).into());
            let Some(registration) = registration.as_ref().filter(|_| Instant::now() < end) else {
                return Ok(answers::empty(self.worker));
            };
            self.is_held();
            self.log.lock().heartbeat = hang;
            tokio::select! {
                biased;
                wake = registration.woken(&folders) => {
                    if wake == Wake::Superseded {
                        return Ok(answers::empty(self.worker));
                    }
                    self.poll_tick(started, end).await;
                }
                () = sleep_until(end) => return Ok(answers::empty(self.worker)),
                fault = self.struck() => return Err(Refusal::Fault(Box::new(fault))),
            }
            registration.reset();
            reply = self.ask(Operation::RepeatSync).await?;
        }
    }

    fn sync_failed(&self, status: SyncStatus) -> Outcome {
        self.body(SyncAnswer::failed(status).encode(self.version)?)
    }

    /// What to ask of the store, or what is wrong with the request.
    async fn sync_operation(&self) -> Result<Result<Operation, SyncAnswer<'static>>, Refusal> {
        if self.body.is_empty() {
            return Ok(Ok(Operation::RepeatSync));
        }
        let (request, elements) = self.sync_request().await?;
        if request.collections.is_empty() && !request.partial {
            return Ok(Err(SyncAnswer::failed(SyncStatus::ProtocolError)));
        }
        let most = self.worker.config.max_folders;
        if request.collections.len() > most {
            return Ok(Err(SyncAnswer {
                limit: u32::try_from(most).ok(),
                ..SyncAnswer::failed(SyncStatus::TooManyCollections)
            }));
        }
        let hang = match self.hang(&request) {
            Ok(hang) => hang,
            Err(answer) => return Ok(Err(answer)),
        };
        let checked: Result<(), SyncStatus> = request.collections.iter().try_for_each(check);
        if let Err(status) = checked {
            return Ok(Err(SyncAnswer::failed(status)));
        }
        if request.operations() > SyncRequest::MAX_OPERATIONS {
            return Ok(Err(SyncAnswer::failed(SyncStatus::ProtocolError)));
        }
        let parts = request.collections.iter().zip(&elements);
        let parts = parts.map(|(part, elements)| self.sync_part(part, elements));
        Ok(Ok(Operation::Sync {
            parts: parts.collect::<Result<_, _>>()?,
            window: request
                .window_size
                .map_or(u16::MAX, |asked| self.window(asked)),
            hang,
            partial: request.partial,
        }))
    }

    /// The request, and the elements that its items name. Items with nothing but elements that all
    /// classes share are of the class of their folder, which the store knows.
    async fn sync_request(&self) -> Result<(SyncRequest<'_>, Vec<Vec<Elements>>), Refusal> {
        let read = SyncRequest::decode_in(self.body, |_| None)?;
        let unclear: Vec<String> = read
            .0
            .collections
            .iter()
            .zip(&read.1)
            .filter(|(part, elements)| part.commands.iter().zip(*elements).any(is_unclear))
            .map(|(part, _)| part.id.to_string())
            .collect();
        if unclear.is_empty() {
            return Ok(read);
        }
        let classes = match self.ask(Operation::Classes(unclear.clone())).await? {
            StoreReply::Classes(classes) => classes,
            _ => return Err(Refusal::Status(GlobalStatus::ServerError)),
        };
        let class_of = |id: &str| {
            let place = unclear.iter().position(|one| one == id)?;
            classes.get(place).copied().flatten()
        };
        Ok(SyncRequest::decode_in(self.body, class_of)?)
    }

    /// How many seconds a Sync may hang; Status 14 names the nearest value that is accepted.
    fn hang(&self, request: &SyncRequest<'_>) -> Result<Option<u32>, SyncAnswer<'static>> {
        let config = &self.worker.config;
        let seconds = |bound: Duration| i32::try_from(bound.as_secs()).unwrap_or(i32::MAX);
        let (value, low, high, unit) = match (request.wait, request.heartbeat) {
            (Some(_), Some(_)) => return Err(SyncAnswer::failed(SyncStatus::ProtocolError)),
            (None, None) => return Ok(None),
            (Some(minutes), None) => {
                let bounds = SyncRequest::WAIT;
                (minutes, *bounds.start(), *bounds.end(), 60)
            }
            (None, Some(value)) => {
                let bounds = (seconds(config.min_heartbeat), seconds(config.max_heartbeat));
                (value, bounds.0, bounds.1, 1)
            }
        };
        let nearest = value.clamp(low, high);
        if nearest != value {
            return Err(SyncAnswer {
                limit: u32::try_from(nearest).ok(),
                ..SyncAnswer::failed(SyncStatus::IntervalOutOfRange)
            });
        }
        Ok(u32::try_from(value).ok().map(|value| value * unit))
    }

    /// The window that is kept of the one that was asked for.
    fn window(&self, asked: u16) -> u16 {
        let size = match asked {
            0 => LARGEST_WINDOW,
            size => size.min(LARGEST_WINDOW),
        };
        size.min(self.worker.config.max_window)
    }

    fn sync_part(
        &self,
        part: &SyncCollection<'_>,
        elements: &[Elements],
    ) -> Result<SyncPart, Refusal> {
        let commands = part.commands.iter().zip(elements);
        let commands = commands.map(|(command, elements)| {
            let draft = self.draft(command, elements)?;
            draft.map_or_else(
                || item_command(command, elements, self.version),
                |draft| Ok(ItemCommand::Draft(Box::new(draft))),
            )
        });
        Ok(SyncPart {
            id: part.id.to_string(),
            key: part.sync_key.to_string(),
            window: self.window(part.window_size.unwrap_or(DEFAULT_WINDOW)),
            get_changes: part.get_changes.unwrap_or(true),
            options: part.options.clone(),
            has_conversation_mode: part.conversation_mode.is_some(),
            deletes_as_moves: part.deletes_as_moves.unwrap_or(true),
            supported: part.supported.as_ref().map(known_elements),
            commands: commands.collect::<Result<_, _>>()?,
        })
    }

    /// Changes are found by polling: an answer waits for the next look (mock-fidelity G6).
    pub(super) async fn poll_tick(&self, started: Instant, end: Instant) {
        let interval = self.worker.config.poll_interval;
        if interval.is_zero() {
            return;
        }
        let looks = started.elapsed().as_nanos().div_ceil(interval.as_nanos());
        let next = started + interval * u32::try_from(looks).unwrap_or(u32::MAX);
        sleep_until(next.min(end)).await;
    }
}

/// A command of a device as the store gets it.
fn item_command(
    command: &ClientCommand<'_>,
    elements: &Elements,
    version: ProtocolVersion,
) -> Result<ItemCommand, Refusal> {
    Ok(match command {
        ClientCommand::Add {
            client_id, data, ..
        } => ItemCommand::Add(client_id.to_string(), Box::new(storable(owned(data)?))),
        ClientCommand::Change {
            server_id, change, ..
        } => {
            let change = match owned(change)? {
                ItemChange::Data(data) => ItemChange::Data(storable(data)),
                marks => marks,
            };
            // From 16.0 on every element of an appointment that is absent stays (MS-ASCAL 3.1.5.3).
            let is_appointment = matches!(change, ItemChange::Data(ItemData::Calendar(_)));
            let named = Named {
                elements: elements.clone(),
                others_stay: is_appointment && version >= ProtocolVersion::V16_0,
            };
            ItemCommand::Change(server_id.to_string(), Box::new(change), named)
        }
        ClientCommand::Delete { server_id } => ItemCommand::Delete(server_id.to_string()),
        ClientCommand::Fetch { server_id } => ItemCommand::Fetch(server_id.to_string()),
    })
}

/// An item with nothing of its body but text and type. One whose body the store cannot put into other
/// forms is [`ItemData::Other`], which the store refuses.
fn storable(mut data: ItemData<'static>) -> ItemData<'static> {
    if let Some(body) = notes(&mut data) {
        if ![PLAIN, HTML].contains(&body.body_type) {
            return ItemData::Other;
        }
        *body = Body {
            body_type: body.body_type,
            ..Body::from(std::mem::take(&mut body.text))
        };
    }
    data
}

/// Whether a command has content, and what it is of cannot be told without its folder.
fn is_unclear((command, elements): (&ClientCommand<'_>, &Elements)) -> bool {
    let is_unclear = match command {
        ClientCommand::Add { data, .. } => *data == ItemData::Other,
        ClientCommand::Change { change, .. } => {
            matches!(
                change,
                ItemChange::Nothing | ItemChange::Data(ItemData::Other)
            )
        }
        _ => false,
    };
    is_unclear && !elements.is_empty()
}

/// Elements that exist in the classes that have ghosted ones.
fn known_elements(elements: &Elements) -> Elements {
    let pages = [
        contacts::FILE_AS.page(),
        contacts2::NICK_NAME.page(),
        calendar::SUBJECT.page(),
        air_sync_base::BODY.page(),
    ];
    let mut known = Elements::default();
    for tag in elements.iter() {
        if pages.contains(&tag.page()) && tag.info().is_some() {
            known.add(tag);
        }
    }
    known
}

/// The folders of a Sync that found nothing.
fn watched(outcomes: &[SyncOutcome]) -> Vec<u32> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            SyncOutcome::Unchanged(id) => Some(*id),
            _ => None,
        })
        .collect()
}

/// The id of the recipient cache, which the mock has not.
pub(super) const RECIPIENT_CACHE: &str = "RI";

/// Refuses what no collection can be asked for: with key 0 changes (ASCMD 2.2.3.84) and commands, with
/// another key ghosted elements (ASCMD 2.2.3.179), and options with other values than the specification's.
fn check(part: &SyncCollection<'_>) -> Result<(), SyncStatus> {
    /// Conflict: the client wins, or the server does (ASCMD 2.2.3.34).
    const CONFLICT: std::ops::RangeInclusive<u8> = 0..=1;
    /// MIMETruncation (ASCMD 2.2.3.111).
    const MIME_TRUNCATION: std::ops::RangeInclusive<u8> = 0..=8;
    let is_wrong = match &*part.sync_key {
        "0" => part.get_changes == Some(true) || !part.commands.is_empty(),
        _ => part.supported.is_some(),
    };
    if is_wrong {
        return Err(SyncStatus::ProtocolError);
    }
    let Some(options) = &part.options else {
        return Ok(());
    };
    Form::of_sync(options)
        .check()
        .map_err(|status| status.map_or(SyncStatus::ProtocolError, SyncStatus::Common))?;
    let is_wrong = options.conflict.is_some_and(|one| !CONFLICT.contains(&one))
        || options
            .mime_truncation
            .is_some_and(|one| !MIME_TRUNCATION.contains(&one))
        // ASCMD 2.2.3.103.2
        || options.max_items.is_some() && part.id != RECIPIENT_CACHE;
    match is_wrong {
        true => Err(SyncStatus::ProtocolError),
        false => Ok(()),
    }
}

impl Call<'_> {
    async fn sync_answer(
        &self,
        outcomes: Vec<SyncOutcome>,
    ) -> Result<SyncAnswer<'static>, Refusal> {
        let mut answer = SyncAnswer::default();
        let mut body_room = BODIES_IN_AN_ANSWER;
        for outcome in outcomes {
            let collection = |id: String, key: String, status| CollectionAnswer {
                sync_key: key.into(),
                id: id.into(),
                status,
                more_available: false,
                changes: Vec::new(),
                responses: Vec::new(),
                skipped: Skipped::default(),
            };
            match outcome {
                SyncOutcome::Unchanged(_) => {}
                SyncOutcome::NoFolder(_) => {
                    return Ok(SyncAnswer::failed(SyncStatus::HierarchyChanged));
                }
                SyncOutcome::BadKey(id) => {
                    answer.collections.push(collection(
                        id,
                        "0".to_owned(),
                        SyncStatus::InvalidSyncKey,
                    ));
                }
                SyncOutcome::Changes {
                    id,
                    key,
                    changes,
                    more,
                    responses,
                    options,
                } => {
                    let form = Form::of_sync(&options);
                    let mut part = CollectionAnswer {
                        more_available: more,
                        ..collection(id, key, SyncStatus::Success)
                    };
                    for change in changes {
                        part.changes
                            .push(self.told(change, &form, &mut body_room).await?);
                    }
                    for one in responses {
                        part.responses
                            .push(self.response(one, &form, &mut body_room).await?);
                    }
                    answer.collections.push(part);
                }
            }
        }
        Ok(answer)
    }

    async fn told(
        &self,
        change: Told,
        form: &Form,
        body_room: &mut usize,
    ) -> Result<Change<'static>, Refusal> {
        Ok(match change {
            Told::Add(id, data) => Change::Add {
                server_id: id.into(),
                data: self.formed(*data, form, body_room).await?,
            },
            Told::Update(id, change) => Change::Update {
                server_id: id.into(),
                change: self.formed_change(*change, form, body_room).await?,
            },
            Told::Delete(id) => Change::Delete {
                server_id: id.into(),
            },
            Told::SoftDelete(id) => Change::SoftDelete {
                server_id: id.into(),
            },
        })
    }

    async fn response(
        &self,
        response: ItemResponse,
        form: &Form,
        body_room: &mut usize,
    ) -> Result<CommandResponse<'static>, Refusal> {
        Ok(match response {
            ItemResponse::Added(client_id, server_id, attachments) => CommandResponse::Add {
                client_id: client_id.into(),
                server_id: Some(server_id.into()),
                status: SyncStatus::Success,
                attachments,
            },
            ItemResponse::Changed(server_id, attachments) => CommandResponse::Change {
                server_id: server_id.into(),
                status: SyncStatus::Success,
                attachments,
            },
            ItemResponse::Done(client_id) => CommandResponse::Add {
                client_id: client_id.into(),
                server_id: None,
                status: SyncStatus::Success,
                attachments: Vec::new(),
            },
            ItemResponse::NotAdded(client_id, status) => CommandResponse::Add {
                client_id: client_id.into(),
                server_id: None,
                status: SyncStatus::from_code(status),
                attachments: Vec::new(),
            },
            ItemResponse::NotChanged(server_id, status) => CommandResponse::Change {
                server_id: server_id.into(),
                status: SyncStatus::from_code(status),
                attachments: Vec::new(),
            },
            ItemResponse::NotFetched(server_id, status) => CommandResponse::Fetch {
                server_id: server_id.into(),
                status: SyncStatus::from_code(status),
                data: None,
            },
            ItemResponse::Fetched(server_id, data) => CommandResponse::Fetch {
                server_id: server_id.into(),
                status: SyncStatus::Success,
                data: Some(self.formed(*data, &form.whole(), body_room).await?),
            },
        })
    }
}
