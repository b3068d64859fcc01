//! Ping.

use std::time::Duration;

use eas::commands::{PingAnswer, PingRequest};
use eas::status::{GlobalStatus, PingStatus};
use tokio::time::{Instant, sleep_until};

use super::{Call, Outcome, Refusal};
use crate::store::{Operation, StoreReply};
use crate::worker::pings::Wake;

impl Call<'_> {
    pub(super) async fn ping(&self) -> Outcome {
        let started = Instant::now();
        let request = PingRequest::decode(self.body)?;
        if request.is_empty_element(self.body) {
            return self.body(PingAnswer::new(PingStatus::SyntaxError).encode()?);
        }
        if let Some(answer) = self.out_of_bounds(&request) {
            return self.body(answer.encode()?);
        }
        // Registered before the store is asked, so that no change falls in between.
        let registration = self
            .worker
            .pings
            .register(&self.mailbox, &self.query.device_id);
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
                {
                    let mut log = self.log.lock();
                    log.heartbeat = Some(heartbeat);
                    log.folders.clone_from(&folders);
                }
                self.is_held();
                let end = started + Duration::from_secs(heartbeat.into());
                tokio::select! {
                    biased;
                    wake = registration.woken(&folders) => {
                        self.poll_tick(started, end).await;
                        // Whatever came until the look is in the answer.
                        match registration.now(&folders).unwrap_or(wake) {
                            Wake::Changed(folders) => changed(&folders),
                            Wake::HierarchyChanged => PingAnswer::new(PingStatus::HierarchyOutOfDate),
                            Wake::Superseded => PingAnswer::new(PingStatus::Expired),
                        }
                    }
                    () = sleep_until(end) => PingAnswer::new(PingStatus::Expired),
                    fault = self.struck() => return Err(Refusal::Fault(Box::new(fault))),
                }
            }
            _ => PingAnswer::new(PingStatus::ServerError),
        };
        self.body(answer.encode()?)
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
}

fn changed(folders: &[u32]) -> PingAnswer<'static> {
    PingAnswer {
        folders: folders.iter().map(|id| id.to_string().into()).collect(),
        ..PingAnswer::new(PingStatus::Changes)
    }
}
