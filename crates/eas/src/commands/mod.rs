//! Typed requests and answers. Each has `encode` and `decode`, so that client and server share
//! them; decoders pass over elements they do not know, as the specification asks.

mod device_information;
mod find;
mod folder_change;
mod folder_sync;
mod gal_entry;
mod get_item_estimate;
mod item;
mod item_operations;
mod meeting_response;
mod move_items;
mod oof;
mod options;
mod ping;
mod provision;
mod resolve_recipients;
mod search;
mod search_query;
mod send_mail;
mod settings;
mod skipped;
mod smart_send;
mod sync;
mod validate_cert;

use std::borrow::Cow;

use crate::status::GlobalStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Tag, Writer};

pub use device_information::DeviceInformation;
pub use find::{
    FindAnswer, FindCriterion, FindProperties, FindRequest, FindResponse, FindResult, FoundMessage,
};
pub use folder_change::{
    FolderCreateAnswer, FolderCreateRequest, FolderDeleteAnswer, FolderDeleteRequest,
    FolderUpdateAnswer, FolderUpdateRequest,
};
pub use folder_sync::{Folder, FolderSyncAnswer, FolderSyncRequest, FolderType};
pub use gal_entry::GalEntry;
pub use get_item_estimate::{Estimate, EstimateAnswer, EstimateCollection, EstimateRequest};
pub use item::{
    AddedAttachment, Appointment, Attachment, AttachmentChange, Attendee, Body, BodyPart,
    BodyPreference, Contact, Elements, Email, Flag, FlagStatus, ItemChange, ItemData,
    MeetingRequest, Note, Recurrence, Task, UTC_TIME_ZONE,
};
pub use item_operations::{
    ConversationMove, ConversationMoveAnswer, EmptyFolderContents, EmptyFolderContentsAnswer,
    Fetch, FetchAnswer, FetchedContent, ItemOperationsAnswer, ItemOperationsRequest,
};
pub use meeting_response::{
    MeetingReply, MeetingResponseAnswer, MeetingResponseRequest, MeetingResult, UserResponse,
};
pub use move_items::{Move, MoveItemsAnswer, MoveItemsRequest, MoveResponse};
pub use oof::{Oof, OofAnswer, OofAudience, OofMessage, OofRequest, OofState};
pub use options::OptionsAnswer;
pub use ping::{PingAnswer, PingFolder, PingRequest};
pub use provision::{
    POLICY_KEY_LENGTH, POLICY_TYPE, POLICY_TYPE_2_5, PolicyAnswer, PolicyRequest, ProvisionAnswer,
    ProvisionRequest, policy_type,
};
pub use resolve_recipients::{
    Availability, Recipient, RecipientAvailability, ResolveRecipientsAnswer,
    ResolveRecipientsRequest, ResolvedRecipients,
};
pub use search::{SearchAnswer, SearchProperties, SearchRequest, SearchResult, SearchStore};
pub use search_query::{Conditions, MailboxQuery};
pub use send_mail::{SendAnswer, SendMailAnswer, SendMailRequest};
pub use settings::{DevicePassword, SettingsAnswer, SettingsRequest, UserInformation};
pub use skipped::Skipped;
pub use smart_send::{SmartSend, SmartSendRequest, SmartSource};
pub use sync::{
    Change, ClientCommand, CollectionAnswer, CommandResponse, FilterType, SyncAnswer,
    SyncCollection, SyncOptions, SyncRequest,
};
pub use validate_cert::{ValidateCertAnswer, ValidateCertRequest};

/// A content class (ASCMD 2.2.3.27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Class {
    /// Mail.
    Email,
    /// Contacts.
    Contacts,
    /// Calendar.
    Calendar,
    /// Tasks.
    Tasks,
    /// Notes.
    Notes,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [
        Self::Email,
        Self::Contacts,
        Self::Calendar,
        Self::Tasks,
        Self::Notes,
    ];

    /// Its text on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "Email",
            Self::Contacts => "Contacts",
            Self::Calendar => "Calendar",
            Self::Tasks => "Tasks",
            Self::Notes => "Notes",
        }
    }

    /// The class of a text on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// An answer that holds nothing but a Status, as servers of 14.0 and later send for any command
/// that failed as a whole.
///
/// # Errors
/// Never in practice: the document is fixed.
pub fn encode_status_only(
    root: Tag,
    status_tag: Tag,
    status: GlobalStatus,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.start(root).number(status_tag, status.code()).end();
    writer.finish()
}

/// Consumes a ClientId, which has up to 40 characters (ASCMD, ClientId).
fn client_id<'a>(reader: &mut Reader<'a>, element: Element) -> Result<Cow<'a, str>, DecodeError> {
    reader.text_within(element, &(1..=40), "1 to 40 characters")
}

/// The Status of a body of which nothing else is wanted.
fn status_of(body: &[u8], root: Tag, status: Tag) -> Result<u16, DecodeError> {
    let mut reader = Reader::new(body)?;
    let root_element = reader.root(root)?;
    let mut code = None;
    while let Some(element) = reader.child(root_element)? {
        if element.tag == status {
            code = reader.optional(element, Reader::number)?;
        } else {
            reader.skip(element)?;
        }
    }
    let code = code.ok_or_else(|| reader.missing(root, status))?;
    reader.finish()?;
    Ok(code)
}
