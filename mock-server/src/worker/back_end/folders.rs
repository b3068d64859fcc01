//! FolderSync, FolderCreate, FolderUpdate and FolderDelete.

use eas::commands::{
    Folder, FolderCreateAnswer, FolderCreateRequest, FolderDeleteAnswer, FolderDeleteRequest,
    FolderSyncAnswer, FolderSyncRequest, FolderType, FolderUpdateAnswer, FolderUpdateRequest,
};
use eas::http;
use eas::status::{FolderChangeStatus, FolderSyncStatus, GlobalStatus};

use super::{Call, Outcome, Refusal, answers, commands};
use crate::store::{
    FolderChange, FolderRecord, FolderRefusal, Operation, StoreReply, is_user_type,
};

/// What a folder command led to: the next key and the folder's id, or why it was refused.
type Changed = Result<(String, u32), FolderChangeStatus>;

impl Call<'_> {
    pub(super) async fn folder_sync(&self) -> Outcome {
        let request = FolderSyncRequest::decode(self.body)?;
        let first = request.sync_key == "0";
        let reply = self
            .ask(Operation::FolderSync(request.sync_key.into_owned()))
            .await?;
        let answer = match reply {
            StoreReply::Folders {
                key,
                added,
                updated,
                deleted,
            } => FolderSyncAnswer {
                sync_key: Some(key.into()),
                added: added.into_iter().map(folder).collect(),
                updated: updated.into_iter().map(folder).collect(),
                deleted: deleted.iter().map(|id| id.to_string().into()).collect(),
                ..FolderSyncAnswer::failed(FolderSyncStatus::Success)
            },
            _ => FolderSyncAnswer::failed(FolderSyncStatus::InvalidSyncKey),
        };
        let mut answer = answers::wbxml(self.worker, answer.encode()?);
        if first {
            let versions = self.worker.config.versions.join(",");
            answer.headers.push(http::RESYNC_VERSIONS, &versions);
            answer.headers.push(http::PROTOCOL_VERSIONS, &versions);
            let commands = commands(self.worker);
            answer.headers.push(http::PROTOCOL_COMMANDS, &commands);
        }
        Ok(answer)
    }

    pub(super) async fn folder_create(&self) -> Outcome {
        let request = FolderCreateRequest::decode(self.body)?;
        let folder_type = request.folder_type.0;
        let change = FolderChange::Create {
            parent: request.parent_id.into_owned(),
            name: request.name.into_owned(),
            folder_type,
        };
        let changed = if is_user_type(folder_type) {
            self.change_folder(request.sync_key.into_owned(), change)
                .await?
        } else {
            Err(FolderChangeStatus::MalformedRequest)
        };
        let answer = match changed {
            Ok((key, id)) => FolderCreateAnswer {
                sync_key: Some(key.into()),
                server_id: Some(id.to_string().into()),
                ..FolderCreateAnswer::failed(FolderChangeStatus::Success)
            },
            Err(status) => FolderCreateAnswer::failed(status),
        };
        self.body(answer.encode()?)
    }

    pub(super) async fn folder_update(&self) -> Outcome {
        let request = FolderUpdateRequest::decode(self.body)?;
        let change = FolderChange::Update {
            id: request.server_id.into_owned(),
            parent: request.parent_id.into_owned(),
            name: request.name.into_owned(),
        };
        // Of a special folder FolderUpdate says the same as of a name that is taken (MS-ASCMD
        // 2.2.3.177.6); 3 is for the recipient information cache, which the mock does not have.
        let changed = match self
            .change_folder(request.sync_key.into_owned(), change)
            .await?
        {
            Err(FolderChangeStatus::SpecialFolder) => Err(FolderChangeStatus::NameExists),
            changed => changed,
        };
        let answer = match changed {
            Ok((key, _)) => FolderUpdateAnswer {
                sync_key: Some(key.into()),
                ..FolderUpdateAnswer::failed(FolderChangeStatus::Success)
            },
            Err(status) => FolderUpdateAnswer::failed(status),
        };
        self.body(answer.encode()?)
    }

    pub(super) async fn folder_delete(&self) -> Outcome {
        let request = FolderDeleteRequest::decode(self.body)?;
        let change = FolderChange::Delete(request.server_id.into_owned());
        let changed = self
            .change_folder(request.sync_key.into_owned(), change)
            .await?;
        let answer = match changed {
            Ok((key, _)) => FolderDeleteAnswer {
                sync_key: Some(key.into()),
                ..FolderDeleteAnswer::failed(FolderChangeStatus::Success)
            },
            Err(status) => FolderDeleteAnswer::failed(status),
        };
        self.body(answer.encode()?)
    }

    async fn change_folder(&self, key: String, change: FolderChange) -> Result<Changed, Refusal> {
        let reply = self.ask(Operation::ChangeFolder { key, change }).await?;
        Ok(match reply {
            StoreReply::FolderChanged { key, id } => Ok((key, id)),
            StoreReply::BadFolderKey => Err(FolderChangeStatus::InvalidSyncKey),
            StoreReply::FolderRefused(FolderRefusal::Exists) => Err(FolderChangeStatus::NameExists),
            StoreReply::FolderRefused(FolderRefusal::Special) => {
                Err(FolderChangeStatus::SpecialFolder)
            }
            StoreReply::FolderRefused(FolderRefusal::NotFound) => {
                Err(FolderChangeStatus::FolderNotFound)
            }
            StoreReply::FolderRefused(FolderRefusal::NoParent) => {
                Err(FolderChangeStatus::ParentNotFound)
            }
            StoreReply::FolderRefused(FolderRefusal::BadName | FolderRefusal::Cycle) => {
                Err(FolderChangeStatus::MalformedRequest)
            }
            StoreReply::FolderRefused(FolderRefusal::Full) => Err(FolderChangeStatus::Common(
                GlobalStatus::MailboxQuotaExceeded,
            )),
            _ => Err(FolderChangeStatus::ServerError),
        })
    }
}

fn folder(record: FolderRecord) -> Folder<'static> {
    Folder {
        server_id: record.id.to_string().into(),
        parent_id: record.parent.to_string().into(),
        display_name: record.name.into(),
        folder_type: FolderType(record.folder_type),
    }
}
