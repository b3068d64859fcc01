//! What a server says, and what a client does about it: HTTP statuses (ASHTTP 2.2.2.1.1), the
//! Status values common to all commands (ASCMD 2.2.2) and those of each command.

use std::fmt;

use crate::Command;

/// What a client does about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reaction {
    /// Go on: the command did what it should.
    Proceed,
    /// Sync the folders the answer names, then wait again.
    SyncFolders,
    /// Send the complete request: the server has none cached.
    SendFull,
    /// Adopt the limit the answer names, then send again.
    AdoptLimit,
    /// FolderSync, then send again.
    RefreshHierarchy,
    /// Start again with Sync key 0 for the collection.
    ResetSyncKey,
    /// Start again with FolderSync key 0 and drop the hierarchy.
    ResetHierarchy,
    /// Provision, then send again.
    Provision,
    /// Send the DeviceInformation (Provision phase 1 with it), then send again.
    SendDeviceInformation,
    /// Send again after a pause; after repeated failures start with key 0.
    RetryLater,
    /// The request is wrong and must not be repeated unchanged.
    FixRequest,
    /// Use the URL the answer names, or ask Autodiscover.
    Redirect,
    /// Credentials or URL are wrong; ask Autodiscover or the user.
    Reauthenticate,
    /// This item failed; go on with the others.
    SkipItem,
    /// Stop: only an administrator can mend it.
    GiveUp,
}

macro_rules! statuses {
    (
        $(#[$meta:meta])*
        $enum:ident { $($(#[$variant_meta:meta])* $name:ident = $code:literal => $reaction:ident, $text:literal;)+ }
        $(else $fallback:ident)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $enum {
            $(#[doc = concat!(stringify!($code), ": ", $text, ".")] $(#[$variant_meta])* $name,)+
            $(
                #[doc = "A status common to all commands."]
                Common($fallback),
            )?
            /// A number no table lists.
            Unknown(u16),
        }

        impl $enum {
            /// The listed codes, without the common ones.
            pub const CODES: &[u16] = &[$($code,)+];

            /// The status of that number.
            #[must_use]
            pub const fn from_code(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)+
                    _ => {
                        $(
                            match $fallback::from_code(code) {
                                $fallback::Unknown(_) => {}
                                known => return Self::Common(known),
                            }
                        )?
                        Self::Unknown(code)
                    }
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code,)+
                    $(Self::Common(common) => $fallback::code(common),)?
                    Self::Unknown(code) => code,
                }
            }

            /// What a client does about it.
            #[must_use]
            pub const fn reaction(self) -> Reaction {
                match self {
                    $(Self::$name => Reaction::$reaction,)+
                    $(Self::Common(common) => $fallback::reaction(common),)?
                    Self::Unknown(_) => Reaction::RetryLater,
                }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    $(Self::Common(common) => $fallback::text(common),)?
                    Self::Unknown(_) => "a status no table lists",
                }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{} ({})", self.code(), self.text())
            }
        }
    };
}

mod commands;

pub use commands::{
    EstimateStatus, FindStatus, FolderChangeStatus, FolderSyncStatus, ItemOperationsStatus,
    MeetingResponseStatus, MoveStatus, PingStatus, PolicyStatus, ProvisionStatus,
    ResolveRecipientsStatus, SearchStatus, SettingsStatus, SyncStatus, ValidateCertStatus,
};

statuses! {
    /// Status values common to all commands (ASCMD 2.2.2).
    GlobalStatus {
        InvalidContent = 101 => FixRequest, "invalid content";
        InvalidWbxml = 102 => FixRequest, "invalid WBXML";
        InvalidXml = 103 => FixRequest, "invalid XML";
        InvalidDateTime = 104 => FixRequest, "invalid date or time";
        InvalidCombinationOfIds = 105 => FixRequest, "invalid combination of ids";
        InvalidIds = 106 => FixRequest, "invalid ids";
        InvalidMime = 107 => FixRequest, "invalid MIME";
        DeviceIdMissingOrInvalid = 108 => FixRequest, "device id missing or invalid";
        DeviceTypeMissingOrInvalid = 109 => FixRequest, "device type missing or invalid";
        ServerError = 110 => GiveUp, "server error, do not retry";
        ServerErrorRetryLater = 111 => RetryLater, "server error, retry later";
        ActiveDirectoryAccessDenied = 112 => GiveUp, "directory access denied";
        MailboxQuotaExceeded = 113 => GiveUp, "mailbox quota exceeded";
        MailboxServerOffline = 114 => RetryLater, "mailbox server offline";
        SendQuotaExceeded = 115 => GiveUp, "send quota exceeded";
        MessageRecipientUnresolved = 116 => SkipItem, "recipient unresolved";
        MessageReplyNotAllowed = 117 => SkipItem, "reply not allowed";
        MessagePreviouslySent = 118 => SkipItem, "message sent before";
        MessageHasNoRecipient = 119 => SkipItem, "message has no recipient";
        MailSubmissionFailed = 120 => RetryLater, "submission failed";
        MessageReplyFailed = 121 => SkipItem, "reply failed";
        AttachmentIsTooLarge = 122 => SkipItem, "attachment too large";
        UserHasNoMailbox = 123 => GiveUp, "user has no mailbox";
        UserCannotBeAnonymous = 124 => Reauthenticate, "user cannot be anonymous";
        UserPrincipalCouldNotBeFound = 125 => GiveUp, "user not found";
        UserDisabledForSync = 126 => GiveUp, "user disabled for sync";
        UserOnNewMailboxCannotSync = 127 => GiveUp, "new mailbox cannot sync";
        UserOnLegacyMailboxCannotSync = 128 => GiveUp, "legacy mailbox cannot sync";
        DeviceIsBlockedForThisUser = 129 => GiveUp, "device blocked for this user";
        AccessDenied = 130 => GiveUp, "access denied";
        AccountDisabled = 131 => GiveUp, "account disabled";
        SyncStateNotFound = 132 => ResetHierarchy, "sync state not found";
        SyncStateLocked = 133 => RetryLater, "sync state locked";
        SyncStateCorrupt = 134 => ResetHierarchy, "sync state corrupt";
        SyncStateAlreadyExists = 135 => ResetHierarchy, "sync state exists already";
        SyncStateVersionInvalid = 136 => ResetHierarchy, "sync state version invalid";
        CommandNotSupported = 137 => FixRequest, "command not supported";
        VersionNotSupported = 138 => FixRequest, "version not supported";
        DeviceNotFullyProvisionable = 139 => GiveUp, "device not fully provisionable";
        RemoteWipeRequested = 140 => Provision, "remote wipe requested";
        LegacyDeviceOnStrictPolicy = 141 => Provision, "legacy device on strict policy";
        DeviceNotProvisioned = 142 => Provision, "device not provisioned";
        PolicyRefresh = 143 => Provision, "policy refresh";
        InvalidPolicyKey = 144 => Provision, "invalid policy key";
        ExternallyManagedDevicesNotAllowed = 145 => GiveUp, "externally managed devices not allowed";
        NoRecurrenceInCalendar = 146 => SkipItem, "no recurrence in calendar";
        UnexpectedItemClass = 147 => FixRequest, "unexpected item class";
        RemoteServerHasNoSsl = 148 => GiveUp, "remote server has no SSL";
        InvalidStoredRequest = 149 => SendFull, "stored request cannot be replayed";
        ItemNotFound = 150 => SkipItem, "item not found";
        TooManyFolders = 151 => GiveUp, "too many folders";
        NoFoldersFound = 152 => RefreshHierarchy, "no folders found";
        ItemsLostAfterMove = 153 => SkipItem, "items lost after move";
        FailureInMoveOperation = 154 => SkipItem, "failure in move operation";
        MoveCommandDisallowedForNonPersistentMoveAction = 155 => SkipItem, "move not allowed";
        MoveCommandInvalidDestinationFolder = 156 => SkipItem, "invalid destination folder";
        AvailabilityTooManyRecipients = 160 => FixRequest, "availability: too many recipients";
        AvailabilityDlLimitReached = 161 => FixRequest, "availability: list too long";
        AvailabilityTransientFailure = 162 => RetryLater, "availability: transient failure";
        AvailabilityFailure = 163 => SkipItem, "availability: failure";
        BodyPartPreferenceTypeNotSupported = 164 => FixRequest, "body part type not supported";
        DeviceInformationRequired = 165 => SendDeviceInformation, "device information required";
        InvalidAccountId = 166 => FixRequest, "invalid account id";
        AccountSendDisabled = 167 => GiveUp, "account may not send";
        IrmFeatureDisabled = 168 => SkipItem, "rights management disabled";
        IrmTransientError = 169 => RetryLater, "rights management: transient error";
        IrmPermanentError = 170 => SkipItem, "rights management: permanent error";
        IrmInvalidTemplateId = 171 => SkipItem, "rights management: invalid template";
        IrmOperationNotPermitted = 172 => SkipItem, "rights management: not permitted";
        NoPicture = 173 => SkipItem, "no picture";
        PictureTooLarge = 174 => SkipItem, "picture too large";
        PictureLimitReached = 175 => SkipItem, "picture limit reached";
        BodyPartConversationTooLarge = 176 => SkipItem, "conversation too large";
        MaximumDevicesReached = 177 => GiveUp, "the user has too many devices";
        InvalidMimeBodyCombination = 178 => FixRequest, "invalid MIME and body combination";
        InvalidSmartForwardParameters = 179 => FixRequest, "invalid SmartForward parameters";
        InvalidRecipients = 183 => FixRequest, "invalid recipients";
        OneOrMoreExceptionsFailed = 184 => SkipItem, "one or more exceptions failed";
    }
}

statuses! {
    /// HTTP statuses an EAS server uses (ASHTTP 2.2.2.1.1), and those of gateways and web servers before it
    /// (RFC 9110 15, RFC 6585 4).
    HttpStatus {
        Ok = 200 => Proceed, "command processed";
        MovedPermanently = 301 => GiveUp, "a redirect, which no device follows: use the URL that Location names";
        Found = 302 => GiveUp, "a redirect, which no device follows: use the URL that Location names, or log in to the portal";
        SeeOther = 303 => GiveUp, "a redirect, which no device follows: use the URL that Location names, or log in to the portal";
        TemporaryRedirect = 307 => GiveUp, "a redirect, which no device follows: use the URL that Location names";
        PermanentRedirect = 308 => GiveUp, "a redirect, which no device follows: use the URL that Location names";
        BadRequest = 400 => FixRequest, "malformed request";
        Unauthorized = 401 => Reauthenticate, "not authenticated";
        Forbidden = 403 => GiveUp, "user not enabled for ActiveSync";
        NotFound = 404 => GiveUp, "no ActiveSync server at this URL";
        MethodNotAllowed = 405 => GiveUp, "something else than ActiveSync answers here: check the path of the URL";
        RequestTimeout = 408 => RetryLater, "a gateway waited too long: its timeout must exceed the longest heartbeat";
        TooManyRequests = 429 => RetryLater, "too many requests: wait as Retry-After says, and look for the limit of a gateway";
        NeedsProvisioning = 449 => Provision, "retry after sending a Provision command";
        Redirect = 451 => Redirect, "wrong server";
        Blocked = 456 => GiveUp, "account blocked";
        PasswordExpired = 457 => GiveUp, "password expired";
        InternalError = 500 => RetryLater, "unexpected error";
        NotImplemented = 501 => FixRequest, "method or command not supported";
        BadGateway = 502 => RetryLater, "the proxy did not find its target";
        ServiceUnavailable = 503 => RetryLater, "request queue limit reached or client throttled";
        GatewayTimeout = 504 => RetryLater, "a gateway waited too long for the server: its timeout must exceed the longest heartbeat";
        VersionTooOld = 505 => GiveUp, "protocol version 1.0 is not supported";
        MailboxFull = 507 => GiveUp, "mailbox full";
    }
}

impl GlobalStatus {
    /// The HTTP status sent in its place to clients of 12.1 and older (ASCMD 2.2.2); `None`
    /// where the table names none.
    #[must_use]
    pub const fn as_http(self) -> Option<HttpStatus> {
        Some(match self {
            Self::InvalidContent
            | Self::InvalidWbxml
            | Self::InvalidXml
            | Self::InvalidCombinationOfIds
            | Self::InvalidIds
            | Self::VersionNotSupported => HttpStatus::BadRequest,
            Self::ServerError => HttpStatus::InternalError,
            Self::ServerErrorRetryLater => HttpStatus::ServiceUnavailable,
            Self::MailboxQuotaExceeded => HttpStatus::MailboxFull,
            Self::ActiveDirectoryAccessDenied
            | Self::UserPrincipalCouldNotBeFound
            | Self::UserDisabledForSync
            | Self::SyncStateNotFound => HttpStatus::Forbidden,
            Self::CommandNotSupported | Self::UnexpectedItemClass => HttpStatus::NotImplemented,
            Self::RemoteWipeRequested
            | Self::LegacyDeviceOnStrictPolicy
            | Self::DeviceNotProvisioned
            | Self::PolicyRefresh
            | Self::InvalidPolicyKey => HttpStatus::NeedsProvisioning,
            _ => return None,
        })
    }
}

/// Whether a Status says that the server does not know a key that the client has from it: the policy key, or the key
/// of a folder or of the folder hierarchy.
#[must_use]
pub const fn is_key_unknown(command: Command, code: u16) -> bool {
    if matches!(code, 132 | 134 | 142 | 144) {
        return true;
    }
    match command {
        Command::Sync => code == SyncStatus::InvalidSyncKey.code(),
        Command::FolderSync => code == FolderSyncStatus::InvalidSyncKey.code(),
        Command::FolderCreate | Command::FolderUpdate | Command::FolderDelete => {
            code == FolderChangeStatus::InvalidSyncKey.code()
        }
        Command::GetItemEstimate => code == EstimateStatus::InvalidSyncKey.code(),
        Command::Provision => code == PolicyStatus::WrongKey.code(),
        _ => false,
    }
}

/// A Status value of a command with its meaning: `Sync 3 (invalid sync key)`.
#[must_use]
pub fn name(command: Command, code: u16) -> String {
    let text = match command {
        Command::Ping => PingStatus::from_code(code).text(),
        Command::Sync => SyncStatus::from_code(code).text(),
        Command::FolderSync => FolderSyncStatus::from_code(code).text(),
        Command::FolderCreate | Command::FolderUpdate | Command::FolderDelete => {
            FolderChangeStatus::from_code(code).text()
        }
        Command::GetItemEstimate => EstimateStatus::from_code(code).text(),
        Command::Provision => PolicyStatus::from_code(code).text(),
        Command::MoveItems => MoveStatus::from_code(code).text(),
        Command::ItemOperations => ItemOperationsStatus::from_code(code).text(),
        Command::MeetingResponse => MeetingResponseStatus::from_code(code).text(),
        Command::Search => SearchStatus::from_code(code).text(),
        Command::Find => FindStatus::from_code(code).text(),
        Command::Settings => SettingsStatus::from_code(code).text(),
        Command::ResolveRecipients => ResolveRecipientsStatus::from_code(code).text(),
        Command::ValidateCert => ValidateCertStatus::from_code(code).text(),
        Command::SendMail
        | Command::SmartForward
        | Command::SmartReply
        | Command::GetAttachment => GlobalStatus::from_code(code).text(),
    };
    format!("{command} {code} ({text})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_round_trips() {
        for code in 0..=u16::MAX {
            assert_eq!(PingStatus::from_code(code).code(), code);
            assert_eq!(SyncStatus::from_code(code).code(), code);
            assert_eq!(FolderSyncStatus::from_code(code).code(), code);
            assert_eq!(SettingsStatus::from_code(code).code(), code);
            assert_eq!(ItemOperationsStatus::from_code(code).code(), code);
            assert_eq!(FolderChangeStatus::from_code(code).code(), code);
            assert_eq!(MoveStatus::from_code(code).code(), code);
            assert_eq!(MeetingResponseStatus::from_code(code).code(), code);
            assert_eq!(SearchStatus::from_code(code).code(), code);
            assert_eq!(FindStatus::from_code(code).code(), code);
            assert_eq!(ResolveRecipientsStatus::from_code(code).code(), code);
            assert_eq!(ValidateCertStatus::from_code(code).code(), code);
            assert_eq!(GlobalStatus::from_code(code).code(), code);
            assert_eq!(HttpStatus::from_code(code).code(), code);
        }
    }

    /// The table of ASCMD 2.2.3.177.11, which other implementations have got wrong.
    #[test]
    fn ping_reactions_are_those_of_the_specification() {
        use Reaction::*;
        let expected = [
            (1, Proceed),
            (2, SyncFolders),
            (3, SendFull),
            (4, FixRequest),
            (5, AdoptLimit),
            (6, AdoptLimit),
            (7, RefreshHierarchy),
            (8, RetryLater),
        ];
        for (code, reaction) in expected {
            assert_eq!(
                PingStatus::from_code(code).reaction(),
                reaction,
                "Ping {code}"
            );
        }
    }

    #[test]
    fn statuses_of_gateways_are_listed() {
        for (code, reaction) in [
            (301, Reaction::GiveUp),
            (302, Reaction::GiveUp),
            (405, Reaction::GiveUp),
            (408, Reaction::RetryLater),
            (429, Reaction::RetryLater),
            (504, Reaction::RetryLater),
        ] {
            let status = HttpStatus::from_code(code);
            assert_eq!(status.reaction(), reaction, "{code}");
            // What to do about it follows the colon.
            assert!(status.text().contains(": "), "{status}");
        }
    }

    #[test]
    fn statuses_of_unknown_keys() {
        use Command::{FolderSync, Ping, Provision, Sync};
        for (command, code, expected) in [
            (Provision, 5, true),
            (Sync, 3, true),
            (FolderSync, 9, true),
            (FolderSync, 142, true),
            (Sync, 144, true),
            // A policy that the administrator changed (143) is none of them.
            (Sync, 143, false),
            (Ping, 3, false),
            (Ping, 5, false),
            (Sync, 9, false),
            (Sync, 1, false),
        ] {
            assert_eq!(is_key_unknown(command, code), expected, "{command} {code}");
        }
    }

    /// 1 means success everywhere but here (ASCMD 2.2.3.177.10).
    #[test]
    fn a_move_succeeds_with_3() {
        assert_eq!(MoveStatus::Success.code(), 3);
        assert_eq!(MoveStatus::from_code(3).reaction(), Reaction::Proceed);
        assert_eq!(MoveStatus::from_code(1), MoveStatus::InvalidSource);
    }

    #[test]
    fn provisioning_statuses_reach_every_command() {
        for code in 142..=144 {
            assert_eq!(PingStatus::from_code(code).reaction(), Reaction::Provision);
            assert_eq!(SyncStatus::from_code(code).reaction(), Reaction::Provision);
            assert_eq!(
                FolderSyncStatus::from_code(code).reaction(),
                Reaction::Provision
            );
            assert_eq!(
                GlobalStatus::from_code(code).as_http(),
                Some(HttpStatus::NeedsProvisioning)
            );
        }
    }
}
