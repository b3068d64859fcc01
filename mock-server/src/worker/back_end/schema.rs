//! The answer to a body that is no request of its command.
//!
//! A body that cannot be decoded into XML gets 102, and one that can, whose elements or values are wrong,
//! gets the command's own status for that, or 103 if the command has none (MS-ASCMD 2.2.2).

use eas::Command;
use eas::commands::encode_status_only;
use eas::status::{
    FindStatus, FolderChangeStatus, FolderSyncStatus, GlobalStatus, ItemOperationsStatus,
    MeetingResponseStatus, PingStatus, ProvisionStatus, ResolveRecipientsStatus, SearchStatus,
    SettingsStatus, SyncStatus, ValidateCertStatus,
};
use eas::wbxml::{self, Writer, meeting_response};

use super::{Call, Outcome, answers, refuse, root_of};
use crate::link::WireAnswer;

/// The status by which a command says that elements or values of its request are wrong; `None` if it
/// has none of its own.
fn schema_status(command: Command) -> Option<u16> {
    Some(match command {
        Command::Sync => SyncStatus::ProtocolError.code(),
        Command::FolderSync => FolderSyncStatus::MalformedRequest.code(),
        Command::FolderCreate | Command::FolderDelete | Command::FolderUpdate => {
            FolderChangeStatus::MalformedRequest.code()
        }
        Command::Ping => PingStatus::SyntaxError.code(),
        Command::Provision => ProvisionStatus::ProtocolError.code(),
        Command::Settings => SettingsStatus::ProtocolError.code(),
        Command::ItemOperations => ItemOperationsStatus::ProtocolError.code(),
        Command::Search => SearchStatus::InvalidRequest.code(),
        Command::MeetingResponse => MeetingResponseStatus::InvalidRequest.code(),
        Command::ResolveRecipients => ResolveRecipientsStatus::ProtocolError.code(),
        Command::ValidateCert => ValidateCertStatus::ProtocolError.code(),
        Command::Find => FindStatus::InvalidRequest.code(),
        // The statuses of the first two are for single collections and moves.
        Command::GetItemEstimate
        | Command::MoveItems
        | Command::SendMail
        | Command::SmartReply
        | Command::SmartForward
        | Command::GetAttachment => return None,
    })
}

impl Call<'_> {
    /// The answer to a body that the command's decoder refuses. An empty body has nothing that could not
    /// be decoded: it lacks everything that the command requires.
    pub(super) fn not_understood(&self) -> WireAnswer {
        if !self.body.is_empty() && wbxml::check(self.body).is_err() {
            return self.common(GlobalStatus::InvalidWbxml);
        }
        let Some(status) = schema_status(self.query.command) else {
            return self.common(GlobalStatus::InvalidXml);
        };
        self.own_status(status)
            .unwrap_or_else(|_| answers::plain(self.worker, 500))
    }

    fn common(&self, status: GlobalStatus) -> WireAnswer {
        let root = root_of(self.query.command);
        refuse(self.worker, self.version, root, status)
    }

    /// The status where the command's schema has it: in the store of a Search, in a result of a
    /// MeetingResponse, below the root of the others.
    pub(super) fn own_status(&self, status: u16) -> Outcome {
        match self.query.command {
            Command::Search => self.search_failed(SearchStatus::from_code(status)),
            Command::MeetingResponse => {
                let mut writer = Writer::new();
                writer
                    .start(meeting_response::MEETING_RESPONSE)
                    .start(meeting_response::RESULT)
                    .number(meeting_response::STATUS, status)
                    .end()
                    .end();
                self.body(writer.finish()?)
            }
            command => {
                let (root, tag) = root_of(command);
                self.body(encode_status_only(
                    root,
                    tag,
                    GlobalStatus::from_code(status),
                )?)
            }
        }
    }
}
