//! The commands of a user's activity, one by one, each answer checked.

use eas::Command;
use eas::commands::{
    Class, Fetch, FetchedContent, FolderCreateAnswer, FolderCreateRequest, FolderDeleteAnswer,
    FolderDeleteRequest, FolderType, FolderUpdateAnswer, FolderUpdateRequest, ItemOperationsAnswer,
    ItemOperationsRequest, MailboxQuery, MeetingReply, MeetingResponseAnswer,
    MeetingResponseRequest, Move, MoveItemsAnswer, MoveItemsRequest, Oof, OofRequest, SearchAnswer,
    SearchRequest, SearchStore, SendAnswer, SettingsAnswer, SettingsRequest, SmartSend,
    SmartSendRequest, SmartSource, UserResponse,
};
use eas::status::{
    FolderChangeStatus, ItemOperationsStatus, MeetingResponseStatus, MoveStatus, SearchStatus,
    SettingsStatus,
};

use super::client::Client;
use super::event::Event;
use super::letter::content;
use super::trouble::Trouble;
use crate::transport::Transport;

/// The root of the folder hierarchy.
const ROOT: &str = "0";
/// What a telephone shows of a search at once.
const SHOWN: (u32, u32) = (0, 24);

impl<T: Transport> Client<T> {
    /// An answer that can be read, and does not say what it should.
    pub(super) fn wrong(&self, command: Command, text: &str) -> Trouble {
        self.tell(Event::BadBody {
            command: Some(command),
            text,
        });
        Trouble::Body(text.to_owned())
    }

    /// SmartReply or SmartForward of the message in that folder and of that id.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub(super) async fn smart_send(
        &mut self,
        kind: SmartSend,
        client_id: &str,
        (folder, item): (&str, &str),
        mime: &[u8],
    ) -> Result<(), Trouble> {
        let command = match kind {
            SmartSend::Reply => Command::SmartReply,
            SmartSend::Forward => Command::SmartForward,
        };
        if !self.version.sends_mail_as_wbxml() {
            let mut query = self.query(command);
            query.collection_id = Some(folder.to_owned());
            query.item_id = Some(item.to_owned());
            return self.call_query(&query, mime).await.map(drop);
        }
        let request = SmartSendRequest {
            kind,
            client_id: client_id.into(),
            source: SmartSource::Item {
                folder_id: folder.into(),
                item_id: item.into(),
            },
            save_in_sent: false,
            replace_mime: false,
            mime: mime.into(),
        };
        let answer = self.call(command, &request.encode()?).await?;
        let answer = SendAnswer::decode_smart(kind, &answer.body)
            .map_err(|error| self.bad_body(command, &error))?;
        answer.failure.map_or(Ok(()), |status| {
            self.status(command, status.code(), status.reaction())
        })
    }

    /// Moves an item; its id in the other folder.
    ///
    /// # Errors
    /// When the server does not move it.
    pub(super) async fn move_item(
        &mut self,
        item: &str,
        from: &str,
        to: &str,
    ) -> Result<String, Trouble> {
        const COMMAND: Command = Command::MoveItems;
        let request = MoveItemsRequest {
            moves: vec![Move {
                item: item.into(),
                from: from.into(),
                to: to.into(),
            }],
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = MoveItemsAnswer::decode(&answer.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        self.skipped(COMMAND, &answer.skipped);
        let first = answer.responses.into_iter().next();
        let status = first.as_ref().map(|one| one.status).or(answer.status);
        match (status, first.and_then(|one| one.new_id)) {
            (Some(MoveStatus::Success), Some(id)) if !id.is_empty() => Ok(id.into_owned()),
            (Some(MoveStatus::Success), _) => Err(self.wrong(COMMAND, "moved, but to no id")),
            (Some(status), _) => {
                self.status(COMMAND, status.code(), status.reaction())?;
                Err(self.wrong(COMMAND, "neither moved nor refused"))
            }
            (None, _) => Err(self.wrong(COMMAND, "no Response to a Move")),
        }
    }

    fn folder_status(
        &self,
        command: Command,
        status: FolderChangeStatus,
        key: Option<std::borrow::Cow<'_, str>>,
    ) -> Result<String, Trouble> {
        self.status(command, status.code(), status.reaction())?;
        match key {
            Some(key) if !key.is_empty() => Ok(key.into_owned()),
            _ => Err(self.wrong(command, "success without a SyncKey")),
        }
    }

    /// A new folder of mail; the next key of the hierarchy, and its id.
    ///
    /// # Errors
    /// When the server does not make it.
    pub(super) async fn folder_create(
        &mut self,
        key: &str,
        name: &str,
    ) -> Result<(String, String), Trouble> {
        const COMMAND: Command = Command::FolderCreate;
        let request = FolderCreateRequest {
            sync_key: key.into(),
            parent_id: ROOT.into(),
            name: name.into(),
            folder_type: FolderType::USER_MAIL,
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = FolderCreateAnswer::decode(&answer.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        let key = self.folder_status(COMMAND, answer.status, answer.sync_key)?;
        match answer.server_id {
            Some(id) if !id.is_empty() => Ok((key, id.into_owned())),
            _ => Err(self.wrong(COMMAND, "a new folder without a ServerId")),
        }
    }

    /// Gives a folder another name; the next key of the hierarchy.
    ///
    /// # Errors
    /// When the server does not do it.
    pub(super) async fn folder_rename(
        &mut self,
        key: &str,
        folder: &str,
        name: &str,
    ) -> Result<String, Trouble> {
        const COMMAND: Command = Command::FolderUpdate;
        let request = FolderUpdateRequest {
            sync_key: key.into(),
            server_id: folder.into(),
            parent_id: ROOT.into(),
            name: name.into(),
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = FolderUpdateAnswer::decode(&answer.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        self.folder_status(COMMAND, answer.status, answer.sync_key)
    }

    /// Deletes a folder; the next key of the hierarchy.
    ///
    /// # Errors
    /// When the server does not do it.
    pub(super) async fn folder_delete(
        &mut self,
        key: &str,
        folder: &str,
    ) -> Result<String, Trouble> {
        const COMMAND: Command = Command::FolderDelete;
        let request = FolderDeleteRequest {
            sync_key: key.into(),
            server_id: folder.into(),
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = FolderDeleteAnswer::decode(&answer.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        self.folder_status(COMMAND, answer.status, answer.sync_key)
    }

    /// Fetches an attachment that easload made, and compares every byte.
    ///
    /// # Errors
    /// When it does not come, or comes changed.
    pub(super) async fn fetch_attachment(
        &mut self,
        reference: &str,
        size: usize,
    ) -> Result<(), Trouble> {
        if !self.version.has_air_sync_base() {
            const COMMAND: Command = Command::GetAttachment;
            let mut query = self.query(COMMAND);
            query.attachment_name = Some(reference.to_owned());
            let answer = self.call_query(&query, &[]).await?;
            return self.compare(COMMAND, &answer.body, size);
        }
        const COMMAND: Command = Command::ItemOperations;
        let request = ItemOperationsRequest {
            fetches: vec![Fetch {
                store: Fetch::MAILBOX.into(),
                file_reference: Some(reference.into()),
                ..Fetch::default()
            }],
            ..ItemOperationsRequest::default()
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = ItemOperationsAnswer::decode(&answer.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        self.skipped(COMMAND, &answer.skipped);
        self.item_status(answer.status)?;
        let fetched = answer.fetches.into_iter().next();
        let Some(fetched) = fetched else {
            return Err(self.wrong(COMMAND, "no Response to a Fetch"));
        };
        self.item_status(fetched.status)?;
        match fetched.content {
            Some(FetchedContent::Attachment { data, .. }) => self.compare(COMMAND, &data, size),
            _ => Err(self.wrong(COMMAND, "an attachment without Data")),
        }
    }

    fn item_status(&self, status: ItemOperationsStatus) -> Result<(), Trouble> {
        self.status(Command::ItemOperations, status.code(), status.reaction())
    }

    fn compare(&self, command: Command, got: &[u8], size: usize) -> Result<(), Trouble> {
        if got.len() == size && got == content(size) {
            return Ok(());
        }
        let text = format!(
            "an attachment of {size} bytes came with {} bytes, or changed",
            got.len()
        );
        Err(self.wrong(command, &text))
    }

    /// Searches the mailbox for a text.
    ///
    /// # Errors
    /// When the server does not search.
    pub(super) async fn search_mailbox(&mut self, text: &str) -> Result<(), Trouble> {
        let query = MailboxQuery {
            classes: vec![Class::Email.as_str().into()],
            ..MailboxQuery::with_text(text.into())
        };
        self.search(SearchStore::Mailbox(query)).await
    }

    /// Searches the address list for a name.
    ///
    /// # Errors
    /// When the server does not search.
    pub(super) async fn search_addresses(&mut self, name: &str) -> Result<(), Trouble> {
        self.search(SearchStore::Gal { text: name.into() }).await
    }

    async fn search(&mut self, store: SearchStore<'_>) -> Result<(), Trouble> {
        const COMMAND: Command = Command::Search;
        let request = SearchRequest {
            store,
            range: SHOWN,
            rebuild: false,
            deep: true,
            bodies: Vec::new(),
            body_part: None,
            mime_support: None,
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer =
            SearchAnswer::decode(&answer.body).map_err(|error| self.bad_body(COMMAND, &error))?;
        self.skipped(COMMAND, &answer.skipped);
        let fail = |status: SearchStatus| self.status(COMMAND, status.code(), status.reaction());
        fail(answer.status)?;
        fail(answer.store_status)?;
        let most = (SHOWN.1 - SHOWN.0 + 1) as usize;
        if answer.results.len() > most {
            let text = format!(
                "{} results where {most} were asked for",
                answer.results.len()
            );
            return Err(self.wrong(COMMAND, &text));
        }
        Ok(())
    }

    /// Sets the automatic reply.
    ///
    /// # Errors
    /// When the server does not set it.
    pub(super) async fn set_oof(&mut self, oof: Oof<'_>) -> Result<(), Trouble> {
        let request = SettingsRequest {
            oof: Some(OofRequest::Set(oof)),
            ..SettingsRequest::default()
        };
        self.settings(&request).await
    }

    /// Looks at the automatic reply.
    ///
    /// # Errors
    /// When the server does not tell.
    pub(super) async fn oof(&mut self) -> Result<(), Trouble> {
        let request = SettingsRequest {
            oof: Some(OofRequest::Get),
            ..SettingsRequest::default()
        };
        self.settings(&request).await
    }

    async fn settings(&mut self, request: &SettingsRequest<'_>) -> Result<(), Trouble> {
        const COMMAND: Command = Command::Settings;
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer =
            SettingsAnswer::decode(&answer.body).map_err(|error| self.bad_body(COMMAND, &error))?;
        let fail = |status: SettingsStatus| self.status(COMMAND, status.code(), status.reaction());
        fail(answer.status)?;
        match answer.oof {
            Some(oof) => fail(oof.status),
            None => Err(self.wrong(COMMAND, "no Oof in the answer")),
        }
    }

    /// Answers a meeting request.
    ///
    /// # Errors
    /// When the server does not take the answer.
    pub(super) async fn respond_to_meeting(
        &mut self,
        answer: UserResponse,
        folder: &str,
        request: &str,
    ) -> Result<(), Trouble> {
        const COMMAND: Command = Command::MeetingResponse;
        let body = MeetingResponseRequest {
            responses: vec![MeetingReply {
                answer,
                collection_id: folder.into(),
                request_id: request.into(),
                instance_id: None,
            }],
        };
        let answered = self.call(COMMAND, &body.encode()?).await?;
        let answered = MeetingResponseAnswer::decode(&answered.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        self.skipped(COMMAND, &answered.skipped);
        let result = answered.results.first();
        let status = result.map(|one| one.status).or(answered.status);
        let Some(status) = status else {
            return Err(self.wrong(COMMAND, "no Result of a Request"));
        };
        self.status(COMMAND, status.code(), status.reaction())?;
        let has_place = result.is_some_and(|one| one.calendar_id.is_some());
        match (status, answer) {
            (MeetingResponseStatus::Success, UserResponse::Accept) if !has_place => {
                Err(self.wrong(COMMAND, "accepted, but without a CalendarId"))
            }
            _ => Ok(()),
        }
    }
}
