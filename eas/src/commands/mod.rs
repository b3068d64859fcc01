//! Typed requests and answers. Each has `encode` and `decode`, so that client and server share
//! them; decoders pass over elements they do not know, as the specification asks.

mod device_information;
mod folder_sync;
mod get_item_estimate;
mod item;
mod item_operations;
mod options;
mod ping;
mod provision;
mod send_mail;
mod settings;
mod sync;

use crate::status::GlobalStatus;
use crate::wbxml::{DecodeError, EncodeError, Reader, Tag, Writer};

pub use device_information::DeviceInformation;
pub use folder_sync::{Folder, FolderSyncAnswer, FolderSyncRequest, FolderType};
pub use get_item_estimate::{Estimate, EstimateAnswer, EstimateCollection, EstimateRequest};
pub use item::{BodyPreference, Email};
pub use item_operations::{Fetch, FetchAnswer, ItemOperationsAnswer, ItemOperationsRequest};
pub use options::OptionsAnswer;
pub use ping::{PingAnswer, PingFolder, PingRequest};
pub use provision::{
    POLICY_TYPE, POLICY_TYPE_2_5, PolicyAnswer, PolicyRequest, ProvisionAnswer, ProvisionRequest,
    policy_type,
};
pub use send_mail::{SendMailAnswer, SendMailRequest};
pub use settings::{SettingsAnswer, SettingsRequest, UserInformation};
pub use sync::{
    Change, ClientCommand, CollectionAnswer, CommandResponse, FilterType, SyncAnswer,
    SyncCollection, SyncOptions, SyncRequest,
};

/// A content class (ASCMD 2.2.3.27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// The Status of a body of which nothing else is wanted.
fn status_of(body: &[u8], root: Tag, status: Tag) -> Result<u16, DecodeError> {
    let mut reader = Reader::new(body)?;
    let root_element = reader.root(root)?;
    let mut code = None;
    while let Some(element) = reader.child(root_element)? {
        if element.tag == status {
            code = Some(reader.number(element)?);
        } else {
            reader.skip(element)?;
        }
    }
    let code = code.ok_or_else(|| reader.missing(root, status))?;
    reader.finish()?;
    Ok(code)
}
