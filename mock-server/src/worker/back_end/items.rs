//! What is asked of single items: GetItemEstimate, ItemOperations, GetAttachment, MoveItems,
//! MeetingResponse.

use eas::commands::{
    ConversationMoveAnswer, EmptyFolderContentsAnswer, Estimate, EstimateAnswer, EstimateRequest,
    Fetch, FetchAnswer, FetchedContent, ItemOperationsAnswer, ItemOperationsRequest,
    MeetingResponseAnswer, MeetingResponseRequest, MeetingResult, MoveItemsAnswer,
    MoveItemsRequest, MoveResponse, Skipped, UserResponse,
};
use eas::status::{
    EstimateStatus, GlobalStatus, ItemOperationsStatus, MeetingResponseStatus, MoveStatus,
};

use super::bodies::{BODIES_IN_AN_ANSWER, Form};
use super::sync::RECIPIENT_CACHE;
use super::{Call, Outcome, Refusal, answers};
use crate::store::{Blob, Moved, Operation, Reply, StoreReply, text_size};

/// Bytes that the operations of one request can fetch together (Status 11 beyond): the largest message
/// with its attachments in base64, below what a message of the link and a device take.
const MAX_FETCHED: usize = 16 << 20;

/// Collections of one GetItemEstimate, and replies of one MeetingResponse (MS-ASCMD 3.1.5.10).
const MOST_COLLECTIONS: usize = 1_000;
const MOST_REPLIES: usize = 100;

impl Call<'_> {
    pub(super) async fn estimate(&self) -> Outcome {
        let request = EstimateRequest::decode(self.body)?;
        if request.collections.len() > MOST_COLLECTIONS {
            return Err(Refusal::Status(GlobalStatus::InvalidXml));
        }
        let parts = request.collections.iter();
        let parts = parts.map(|part| (part.id.to_string(), part.sync_key.to_string(), part.filter));
        let parts: Vec<_> = parts.collect();
        // Only the recipient cache, which the mock has not, has a number of items (ASCMD 2.2.3.103.1).
        let collections = request.collections.iter();
        let is_limited: Vec<bool> = collections
            .map(|part| part.max_items.is_some() && part.id != RECIPIENT_CACHE)
            .collect();
        let StoreReply::Estimates(counts) = self.ask(Operation::Estimate(parts.clone())).await?
        else {
            return Err(Refusal::Status(GlobalStatus::ServerError));
        };
        let estimates = parts
            .into_iter()
            .zip(counts)
            .zip(is_limited)
            .map(|(((id, ..), count), is_limited)| {
                let refused = Err(EstimateStatus::UnknownCollection.code());
                (id, if is_limited { refused } else { count })
            })
            .map(|(id, count)| Estimate {
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
                skipped: Skipped::default(),
            }
            .encode()?,
        )
    }

    pub(super) async fn item_operations(&self) -> Outcome {
        let request = ItemOperationsRequest::decode(self.body)?;
        if request.operations() > ItemOperationsRequest::MAX_OPERATIONS {
            return self.item_operations_failed(ItemOperationsStatus::TooLarge);
        }
        if request.operations() == 0 {
            return self.item_operations_failed(ItemOperationsStatus::ProtocolError);
        }
        let mut answer = ItemOperationsAnswer::failed(ItemOperationsStatus::Success);
        let mut room = MAX_FETCHED;
        let mut body_room = BODIES_IN_AN_ANSWER;
        for fetch in &request.fetches {
            let mut fetched = self.fetch(fetch, &mut body_room).await?;
            let size = size_of(&fetched);
            if size > room {
                fetched.content = None;
                fetched.status = ItemOperationsStatus::TooLarge;
            } else {
                room -= size;
            }
            answer.fetches.push(fetched);
        }
        for empty in request.empties {
            let id = empty.collection_id.into_owned();
            let operation = Operation::EmptyFolder {
                folder: id.clone(),
                sub_folders: empty.delete_sub_folders,
            };
            let status = match self.ask(operation).await? {
                StoreReply::Emptied(true) => ItemOperationsStatus::Success,
                _ => ItemOperationsStatus::InvalidDestinationFolder,
            };
            answer.empties.push(EmptyFolderContentsAnswer {
                status,
                collection_id: Some(id.into()),
            });
        }
        // Conversations are not kept.
        answer.moves = request
            .moves
            .into_iter()
            .map(|one| ConversationMoveAnswer {
                status: ItemOperationsStatus::MoveDisallowed,
                conversation_id: Some(one.conversation_id.into_owned().into()),
            })
            .collect();
        if self.query.accepts_multipart && !answer.fetches.is_empty() {
            let body = answer.encode_multipart(self.version)?;
            return Ok(answers::multipart(self.worker, body));
        }
        self.body(answer.encode(self.version)?)
    }

    fn item_operations_failed(&self, status: ItemOperationsStatus) -> Outcome {
        self.body(ItemOperationsAnswer::failed(status).encode(self.version)?)
    }

    async fn fetch<'a>(
        &self,
        fetch: &Fetch<'a>,
        body_room: &mut usize,
    ) -> Result<FetchAnswer<'a>, Refusal> {
        let mut answer = FetchAnswer {
            collection_id: fetch.collection_id.clone(),
            server_id: fetch.server_id.clone(),
            long_id: fetch.long_id.clone(),
            ..FetchAnswer::failed(ItemOperationsStatus::Success)
        };
        if !fetch.store.eq_ignore_ascii_case(Fetch::MAILBOX) {
            answer.status = ItemOperationsStatus::UnknownStore;
            return Ok(answer);
        }
        if let Some(reference) = &fetch.file_reference {
            answer.file_reference = Some(reference.clone());
            match self.fetch_attachment(reference).await? {
                None => answer.status = ItemOperationsStatus::InvalidAttachment,
                Some(blob) => match part(blob, fetch.range) {
                    None => answer.status = ItemOperationsStatus::InvalidRange,
                    content => answer.content = content,
                },
            }
            return Ok(answer);
        }
        let Some(id) = fetch.server_id.as_ref().or(fetch.long_id.as_ref()) else {
            answer.status = ItemOperationsStatus::ProtocolError;
            return Ok(answer);
        };
        let form = Form::of_fetch(fetch);
        if let Err(status) = form.check() {
            answer.status = status.map_or(
                ItemOperationsStatus::ProtocolError,
                ItemOperationsStatus::Common,
            );
            return Ok(answer);
        }
        match self.ask(Operation::Fetch(id.to_string())).await? {
            StoreReply::Item(Some(found)) => {
                answer.class = found.data.class();
                let data = self.formed(*found.data, &form, body_room).await?;
                answer.content = Some(FetchedContent::Item(data));
            }
            _ => answer.status = ItemOperationsStatus::LibraryNotFound,
        }
        Ok(answer)
    }

    pub(super) async fn fetch_attachment(&self, reference: &str) -> Result<Option<Blob>, Refusal> {
        let operation = Operation::FetchAttachment(reference.to_owned());
        Ok(match self.ask(operation).await? {
            StoreReply::Attachment(blob) => blob,
            _ => None,
        })
    }

    /// The attachment itself, as the body of the answer (ASCMD 2.2.1.9); up to 12.1.
    pub(super) async fn get_attachment(&self) -> Outcome {
        let reference = self.query.attachment_name.as_deref().unwrap_or_default();
        let Some(blob) = self.fetch_attachment(reference).await? else {
            return Ok(answers::plain(self.worker, 500));
        };
        let mut answer = answers::empty(self.worker);
        answer.headers.push("Content-Type", &blob.content_type);
        answer.body = blob.data;
        Ok(answer)
    }

    pub(super) async fn move_items(&self) -> Outcome {
        let request = MoveItemsRequest::decode(self.body)?;
        let moves: Vec<(String, String, String)> = request
            .moves
            .iter()
            .map(|one| {
                (
                    one.item.to_string(),
                    one.from.to_string(),
                    one.to.to_string(),
                )
            })
            .collect();
        let StoreReply::Moved(moved) = self.ask(Operation::Move(moves)).await? else {
            return Err(Refusal::Status(GlobalStatus::ServerError));
        };
        let responses = request.moves.into_iter().zip(moved).map(|(one, moved)| {
            let (status, new_id) = match moved {
                Moved::To(id) => (MoveStatus::Success, Some(id.into())),
                Moved::NoItem => (MoveStatus::InvalidSource, None),
                Moved::NoFolder => (MoveStatus::InvalidDestination, None),
                Moved::SameFolder => (MoveStatus::SameFolder, None),
                Moved::Full => (MoveStatus::Common(GlobalStatus::MailboxQuotaExceeded), None),
            };
            MoveResponse {
                item: one.item,
                status,
                new_id,
            }
        });
        let answer = MoveItemsAnswer {
            status: None,
            responses: responses.collect(),
            ..MoveItemsAnswer::default()
        };
        self.body(answer.encode()?)
    }

    pub(super) async fn meeting_response(&self) -> Outcome {
        let request = MeetingResponseRequest::decode(self.body)?;
        if request.responses.len() > MOST_REPLIES {
            return self.own_status(GlobalStatus::InvalidXml.code());
        }
        let replies: Vec<(String, String, Reply)> = request
            .responses
            .iter()
            .map(|one| {
                let reply = match one.answer {
                    UserResponse::Accept => Reply::Accept,
                    UserResponse::Tentative => Reply::Tentative,
                    UserResponse::Decline => Reply::Decline,
                };
                let (folder, id) = (one.collection_id.to_string(), one.request_id.to_string());
                (folder, id, reply)
            })
            .collect();
        let StoreReply::Responded(responded) = self.ask(Operation::Respond(replies)).await? else {
            return Err(Refusal::Status(GlobalStatus::ServerError));
        };
        let results = request.responses.into_iter().zip(responded);
        let results = results.map(|(one, responded)| MeetingResult {
            request_id: one.request_id,
            status: match &responded {
                Ok(_) => MeetingResponseStatus::Success,
                Err(code) => MeetingResponseStatus::from_code(*code),
            },
            calendar_id: responded.ok().flatten().map(Into::into),
        });
        let answer = MeetingResponseAnswer {
            status: None,
            results: results.collect(),
            ..MeetingResponseAnswer::default()
        };
        self.body(answer.encode()?)
    }
}

/// Bytes of what was fetched, as an answer has it.
fn size_of(fetched: &FetchAnswer<'_>) -> usize {
    match &fetched.content {
        // In base64.
        Some(FetchedContent::Attachment { data, .. }) => data.len().div_ceil(3) * 4,
        Some(FetchedContent::Item(data)) => text_size(data),
        _ => 0,
    }
}

/// Those bytes of an attachment, or all; `None` where it has none of them.
fn part(blob: Blob, range: Option<(u32, u32)>) -> Option<FetchedContent<'static>> {
    let total = u32::try_from(blob.data.len()).ok()?;
    let content_type = blob.content_type.into();
    let Some((first, last)) = range else {
        return Some(FetchedContent::Attachment {
            content_type,
            data: blob.data.into(),
            range: None,
            total: None,
        });
    };
    let last = last.min(total.checked_sub(1)?);
    let data = blob.data.get(first as usize..=last as usize)?.to_vec();
    Some(FetchedContent::Attachment {
        content_type,
        data: data.into(),
        range: Some(format!("{first}-{last}").into()),
        total: Some(total),
    })
}
