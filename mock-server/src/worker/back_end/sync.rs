//! Sync, at once or hanging.

use std::sync::atomic::Ordering;
use std::time::Duration;

use eas::commands::{
    Change, ClientCommand, CollectionAnswer, CommandResponse, Skipped, SyncAnswer, SyncCollection,
    SyncRequest,
};
use eas::status::SyncStatus;
use tokio::time::{Instant, sleep_until};

use super::bodies::{BODIES_IN_AN_ANSWER, Form};
use super::content::owned;
use super::{Call, Outcome, Refusal, answers};
use crate::lock;
use crate::store::{ItemCommand, ItemResponse, Operation, StoreReply, SyncOutcome, SyncPart, Told};
use crate::worker::pings::Wake;

/// The window of a Sync that names none (ASCMD 2.2.3.199).
const DEFAULT_WINDOW: u16 = 100;
/// 0 and everything above 512 mean 512 (ASCMD 2.2.3.199).
const LARGEST_WINDOW: u16 = 512;

impl Call<'_> {
    pub(super) async fn sync(&self) -> Outcome {
        self.worker.syncs.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let operation = match self.sync_operation()? {
            Ok(operation) => operation,
            Err(answer) => return self.body(answer.encode(self.version)?),
        };
        // Registered before the store is asked, so that no change falls in between.
        let may_hang = !matches!(operation, Operation::Sync { hang: None, .. });
        let registration = may_hang.then(|| {
            self.worker
                .hanging_syncs
                .register(&self.user, &self.query.device_id)
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
            lock(&self.log).heartbeat = hang;
            tokio::select! {
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
    fn sync_operation(&self) -> Result<Result<Operation, SyncAnswer<'static>>, Refusal> {
        if self.body.is_empty() {
            return Ok(Ok(Operation::RepeatSync));
        }
        let request = SyncRequest::decode(self.body)?;
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
        let is_wrong = request.collections.iter().any(is_refused);
        if is_wrong || request.operations() > SyncRequest::MAX_OPERATIONS {
            return Ok(Err(SyncAnswer::failed(SyncStatus::ProtocolError)));
        }
        let parts = request.collections.iter().map(|part| self.sync_part(part));
        Ok(Ok(Operation::Sync {
            parts: parts.collect::<Result<_, _>>()?,
            window: request
                .window_size
                .map_or(u16::MAX, |asked| self.window(asked)),
            hang,
            partial: request.partial,
        }))
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

    fn sync_part(&self, part: &SyncCollection<'_>) -> Result<SyncPart, Refusal> {
        let commands = part.commands.iter().map(|command| {
            let draft = self.draft(command)?;
            draft.map_or_else(
                || item_command(command),
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
pub(in crate::worker) fn item_command(command: &ClientCommand<'_>) -> Result<ItemCommand, Refusal> {
    Ok(match command {
        ClientCommand::Add {
            client_id, data, ..
        } => ItemCommand::Add(client_id.to_string(), Box::new(owned(data)?)),
        ClientCommand::Change {
            server_id, change, ..
        } => ItemCommand::Change(server_id.to_string(), Box::new(owned(change)?)),
        ClientCommand::Delete { server_id } => ItemCommand::Delete(server_id.to_string()),
        ClientCommand::Fetch { server_id } => ItemCommand::Fetch(server_id.to_string()),
    })
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

/// Whether a collection asks for what no collection has (Status 4): changes with key 0
/// (ASCMD 2.2.3.84), or options with other values than the specification's.
fn is_refused(part: &SyncCollection<'_>) -> bool {
    /// Conflict: the client wins, or the server does (ASCMD 2.2.3.34).
    const CONFLICT: std::ops::RangeInclusive<u8> = 0..=1;
    /// MIMETruncation (ASCMD 2.2.3.111).
    const MIME_TRUNCATION: std::ops::RangeInclusive<u8> = 0..=8;
    let has_bad_options = part.options.as_ref().is_some_and(|options| {
        !Form::of_sync(options).is_valid()
            || options.conflict.is_some_and(|one| !CONFLICT.contains(&one))
            || options
                .mime_truncation
                .is_some_and(|one| !MIME_TRUNCATION.contains(&one))
    });
    has_bad_options || (part.sync_key == "0" && part.get_changes == Some(true))
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
            ItemResponse::Added(client_id, server_id) => CommandResponse::Add {
                client_id: client_id.into(),
                server_id: Some(server_id.into()),
                status: SyncStatus::Success,
            },
            ItemResponse::Done(client_id) => CommandResponse::Add {
                client_id: client_id.into(),
                server_id: None,
                status: SyncStatus::Success,
            },
            ItemResponse::NotAdded(client_id, status) => CommandResponse::Add {
                client_id: client_id.into(),
                server_id: None,
                status: SyncStatus::from_code(status),
            },
            ItemResponse::NotChanged(server_id, status) => CommandResponse::Change {
                server_id: server_id.into(),
                status: SyncStatus::from_code(status),
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
