//! What a mailbox may hold. Clients and the control API can make everything in the store grow, so each
//! of it has a bound.

use std::cell::Cell;
use std::io;

use mock_api::config::MockConfig;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, Formatter};

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

/// Content of items in one answer, in bytes as stored. One item more may go beyond it. Together with
/// the largest message it stays below what a message of the link takes. The worker bounds the bodies
/// again in the form in which it sends them, which may be larger.
pub(crate) const MAX_ANSWER: usize = 8 << 20;
/// Bytes of a name of a user: the local part of an address (RFC 5321 4.5.3.1.1).
pub(crate) const MAX_USER_NAME: usize = 64;
/// Letters of a folder's name (ASCMD 2.2.3.46).
pub(super) const MAX_FOLDER_NAME: usize = 256;
/// Bytes of the automatic replies: Exchange takes 128 kB for each of the three
/// (Set-MailboxAutoReplyConfiguration).
pub(super) const MAX_OOF: usize = 3 * (128 << 10);
/// Bytes of a flag. Flags do not count towards the quota, so each of them has a bound of its own.
pub(super) const MAX_FLAG: usize = 4096;
/// Letters of a Sync key (ASCMD 2.2.3.181.4).
pub(super) const MAX_SYNC_KEY: usize = 64;
/// Letters of a ClientId (ASCMD 2.2.3.30).
pub(super) const MAX_CLIENT_ID: usize = 40;
/// Changes of the folder hierarchy that a device may be behind. Beyond it the device has to start again
/// with key 0.
pub(super) const MAX_HIERARCHY_LOG: usize = 10_000;

/// Whether every text of a value can be sent to a device: a WBXML string ends at the first NUL
/// (WAP-192 5.8.4.1). What cannot be sent must not be stored: every later answer with it would fail.
pub(crate) fn is_storable<T: Serialize + ?Sized>(value: &T) -> bool {
    let found = Cell::new(false);
    let mut output = Serializer::with_formatter(io::sink(), NulWatch(&found));
    // Nothing that is stored fails to be serialised; what did could not reach the store either.
    value.serialize(&mut output).is_ok() && !found.get()
}

/// Bytes of a value with all its texts.
pub(crate) fn text_size<T: Serialize>(value: &T) -> usize {
    let counter = postcard::ser_flavors::Size::default();
    // Counting cannot fail.
    postcard::serialize_with_flavor(value, counter).unwrap_or(usize::MAX)
}

/// Sees the NUL characters of all texts, which JSON has to escape.
struct NulWatch<'a>(&'a Cell<bool>);

impl Formatter for NulWatch<'_> {
    fn write_char_escape<W: io::Write + ?Sized>(
        &mut self,
        _: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        if matches!(escape, CharEscape::AsciiControl(0)) {
            self.0.set(true);
        }
        Ok(())
    }
}

/// Whether a user can have that name.
pub(crate) fn is_user_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_USER_NAME && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eas::commands::{Appointment, Attendee, ItemData};

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        let appointment = |name: &'static str| {
            ItemData::Calendar(Box::new(Appointment {
                attendees: vec![Attendee {
                    name: name.into(),
                    ..Attendee::default()
                }],
                ..Appointment::default()
            }))
        };
        for text in ["", "plain", "\\u0000", "\u{1}\u{1f}\"\n\u{fffe}"] {
            assert!(is_storable(text), "{text:?}");
        }
        assert!(is_storable(&appointment("Bob")));
        for text in ["\0", "a\0b", "\u{1}\0"] {
            assert!(!is_storable(text), "{text:?}");
        }
        assert!(!is_storable(&appointment("Bob\0")));
        // Numbers and bytes are not text.
        assert!(is_storable(&(0, [0_u8, 0])));
    }

    #[test]
    fn names_of_users_are_those_of_addresses() {
        for name in ["a", "load1", "o'neill", "é", &"x".repeat(64)] {
            assert!(is_user_name(name), "{name:?}");
        }
        for name in ["", "a\0", "a\n", &"x".repeat(65)] {
            assert!(!is_user_name(name), "{name:?}");
        }
    }
}
