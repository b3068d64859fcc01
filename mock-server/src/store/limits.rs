//! What a mailbox may hold. Clients and the control API can make everything in the store grow, so each
//! of it has a bound.

use crate::config::MockConfig;

/// Bounds of the store, from the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) mailboxes: usize,
    /// Devices of a user.
    pub(super) devices: usize,
    /// Folders of a mailbox.
    pub(super) folders: usize,
    /// Items of a folder.
    pub(super) items: usize,
    /// Messages of a folder that are kept although every device has fetched them.
    pub(super) kept_items: usize,
    /// Bytes of a mailbox.
    pub(super) quota: u64,
    /// Bytes of a message.
    pub(super) message: u64,
    /// Recipients of a message.
    pub(super) recipients: usize,
}

impl Limits {
    pub(super) fn new(config: &MockConfig) -> Self {
        Self {
            mailboxes: config.max_mailboxes,
            devices: config.max_devices,
            folders: config.max_folders,
            items: config.max_items,
            kept_items: config.kept_items,
            quota: config.mailbox_quota,
            message: config.max_message_size,
            recipients: config.max_recipients,
        }
    }
}

/// Content of items in one answer, in bytes. One item more may go beyond it: together with the largest
/// message it stays below what a message of the link and a device take
/// ([`eas::wbxml::Limits::DOCUMENT`]).
pub(crate) const MAX_ANSWER: usize = 8 << 20;
/// Bytes of a name of a user: the local part of an address (RFC 5321 4.5.3.1.1).
pub(crate) const MAX_USER_NAME: usize = 64;
/// Letters of a folder's name (ASCMD 2.2.3.46).
pub(super) const MAX_FOLDER_NAME: usize = 256;
/// Bytes of the automatic replies: Exchange takes 128 kB for each of the three
/// (Set-MailboxAutoReplyConfiguration).
pub(super) const MAX_OOF: usize = 3 * (128 << 10);
/// Letters of a ClientId (ASCMD 2.2.3.30).
pub(super) const MAX_CLIENT_ID: usize = 40;
/// Changes of the folder hierarchy that a device may be behind. Beyond it the device has to start again
/// with key 0.
pub(super) const MAX_HIERARCHY_LOG: usize = 10_000;

/// Whether a text can be sent to a device: a WBXML string ends at the first NUL (WAP-192 5.8.4.1).
pub(crate) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Whether a user can have that name.
pub(crate) fn is_user_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_USER_NAME && !name.contains(char::is_control)
}
