//! The request URI: which command, which user and device, in a plain and a base64 form (ASHTTP
//! 2.2.1.1.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::ProtocolVersion;

macro_rules! commands {
    ($($name:ident = $code:expr),+ $(,)?) => {
        /// The commands of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Command {
            $(#[doc = concat!("`", stringify!($name), "`")] $name,)+
        }

        impl Command {
            /// Every command.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The value of `Cmd` in a plain query.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// Its code in a base64 query (ASHTTP 2.2.1.1.1.1.2).
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

commands! {
    Sync = 0, SendMail = 1, SmartForward = 2, SmartReply = 3, GetAttachment = 4, FolderSync = 9,
    FolderCreate = 10, FolderDelete = 11, FolderUpdate = 12, MoveItems = 13, GetItemEstimate = 14,
    MeetingResponse = 15, Search = 16, Settings = 17, Ping = 18, ItemOperations = 19,
    Provision = 20, ResolveRecipients = 21, ValidateCert = 22, Find = 23,
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Command {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|command| command.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| QueryError::UnknownCommand {
                command: text.chars().take(40).collect(),
                version: None,
            })
    }
}

/// Why a query is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Neither form.
    #[error("the query is neither `Cmd=…&User=…` nor base64")]
    Unreadable,
    /// A command of neither table.
    #[error("unknown command `{command}`")]
    UnknownCommand {
        /// Its name or code.
        command: String,
        /// The protocol version, if the query names one: it decides how the command is refused.
        version: Option<ProtocolVersion>,
    },
    /// A plain query lacks a parameter.
    #[error("the query lacks `{0}`")]
    Missing(&'static str),
    /// A base64 query ends too early.
    #[error("the base64 query ends inside {0}")]
    Truncated(&'static str),
    /// A version byte of no published version.
    #[error("the base64 query names protocol version {0}")]
    UnknownVersion(u8),
    /// A policy key of another length than 0 or 4.
    #[error("the base64 query has a policy key of {0} bytes; 0 or 4 are possible")]
    PolicyKeyLength(u8),
    /// A device id outside 1 to 32 letters or digits.
    #[error("device id `{0}` is not 1 to 32 letters or digits")]
    DeviceId(String),
}

/// What a query says, whatever its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The command.
    pub command: Command,
    /// The user as typed by the device; absent in most base64 queries, whose user is that of the
    /// `Authorization` header.
    pub user: Option<String>,
    /// The device, constant over its life. A binary one of a base64 query is in hexadecimal.
    pub device_id: String,
    /// The device type.
    pub device_type: String,
    /// Version, locale and policy key: in the URI of a base64 query only, in headers otherwise.
    pub binary: Option<BinaryFields>,
    /// Store a sent message in Sent Items (SendMail, SmartReply and SmartForward up to 12.1,
    /// `SaveInSent=T`).
    pub save_in_sent: bool,
    /// The answer of ItemOperations may come in several parts. In a base64 query only; with a plain query it
    /// is a header ([`http::ACCEPT_MULTIPART`](crate::http::ACCEPT_MULTIPART)).
    pub accepts_multipart: bool,
    /// The folder of the message that is answered or forwarded (SmartReply and SmartForward up to
    /// 12.1).
    pub collection_id: Option<String>,
    /// The message that is answered or forwarded (SmartReply and SmartForward up to 12.1).
    pub item_id: Option<String>,
    /// In place of both, the id that a Search gave.
    pub long_id: Option<String>,
    /// The reference of the attachment that is wanted (GetAttachment, up to 12.1).
    pub attachment_name: Option<String>,
}

/// What only a base64 query carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinaryFields {
    /// The protocol version.
    pub version: ProtocolVersion,
    /// A Windows language identifier, 0x0409 for American English.
    pub locale: u16,
    /// The current policy key.
    pub policy_key: Option<u32>,
}

/// Letters that stand for themselves in a query value.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Parameter tags of the base64 form (ASHTTP 2.2.1.1.1.1.3).
mod tag {
    pub(super) const ATTACHMENT_NAME: u8 = 0;
    pub(super) const COLLECTION_ID: u8 = 1;
    pub(super) const ITEM_ID: u8 = 3;
    pub(super) const LONG_ID: u8 = 4;
    pub(super) const OPTIONS: u8 = 7;
    pub(super) const USER: u8 = 8;
}

/// The Options byte's SaveInSent bit.
const SAVE_IN_SENT: u8 = 0x01;
/// The Options byte's AcceptMultiPart bit.
const ACCEPT_MULTIPART: u8 = 0x02;

impl Query {
    /// A query with nothing but a command and a device.
    pub fn new(
        command: Command,
        device_id: impl Into<String>,
        device_type: impl Into<String>,
    ) -> Self {
        Self {
            command,
            user: None,
            device_id: device_id.into(),
            device_type: device_type.into(),
            binary: None,
            save_in_sent: false,
            accepts_multipart: false,
            collection_id: None,
            item_id: None,
            long_id: None,
            attachment_name: None,
        }
    }

    /// Whether a device id is one a server must take: 1 to 32 letters or digits.
    #[must_use]
    pub fn is_device_id(text: &str) -> bool {
        (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }

    /// The plain form, without the question mark.
    #[must_use]
    pub fn to_plain(&self) -> String {
        let value = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
        let mut text = format!("Cmd={}", self.command);
        if let Some(user) = &self.user {
            text.push_str("&User=");
            text.push_str(&value(user));
        }
        text.push_str("&DeviceId=");
        text.push_str(&value(&self.device_id));
        text.push_str("&DeviceType=");
        text.push_str(&value(&self.device_type));
        for (name, id) in [
            ("CollectionId", &self.collection_id),
            ("ItemId", &self.item_id),
            ("LongId", &self.long_id),
            ("AttachmentName", &self.attachment_name),
        ] {
            if let Some(id) = id {
                text.push('&');
                text.push_str(name);
                text.push('=');
                text.push_str(&value(id));
            }
        }
        if self.save_in_sent {
            text.push_str("&SaveInSent=T");
        }
        text
    }

    /// The base64 form, without the question mark. Fields longer than their length byte can say
    /// are cut.
    #[must_use]
    pub fn to_base64(&self, fields: &BinaryFields) -> String {
        let mut bytes = vec![fields.version.times_ten(), self.command.code()];
        bytes.extend_from_slice(&fields.locale.to_le_bytes());
        push_counted(&mut bytes, self.device_id.as_bytes());
        match fields.policy_key {
            Some(key) => push_counted(&mut bytes, &key.to_le_bytes()),
            None => bytes.push(0),
        }
        push_counted(&mut bytes, self.device_type.as_bytes());
        for (tag, id) in [
            (tag::ATTACHMENT_NAME, &self.attachment_name),
            (tag::COLLECTION_ID, &self.collection_id),
            (tag::ITEM_ID, &self.item_id),
            (tag::LONG_ID, &self.long_id),
        ] {
            if let Some(id) = id {
                bytes.push(tag);
                push_counted(&mut bytes, id.as_bytes());
            }
        }
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        let options =
            bit(self.save_in_sent, SAVE_IN_SENT) | bit(self.accepts_multipart, ACCEPT_MULTIPART);
        if options != 0 {
            bytes.push(tag::OPTIONS);
            push_counted(&mut bytes, &[options]);
        }
        if let Some(user) = &self.user {
            bytes.push(tag::USER);
            push_counted(&mut bytes, user.as_bytes());
        }
        BASE64.encode(bytes)
    }

    /// Reads either form. The base64 form arrives with `+`, `/` and `=` unescaped, so it is tried
    /// only when no `Cmd=` is there.
    ///
    /// # Errors
    /// When the query is of neither form or lacks a field.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let is_plain = query.split('&').any(|part| {
            part.get(..4)
                .is_some_and(|name| name.eq_ignore_ascii_case("Cmd="))
        });
        if is_plain {
            Self::parse_plain(query)
        } else {
            Self::parse_base64(query)
        }
    }

    fn parse_plain(query: &str) -> Result<Self, QueryError> {
        let (mut command, mut device_id, mut device_type) = (None, None, None);
        // Its command and device are put in at the end.
        let mut read = Self::new(Command::Sync, "", "");
        for part in query.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name.to_ascii_lowercase().as_str() {
                "cmd" => command = Some(value.parse()?),
                "user" => read.user = Some(value),
                "deviceid" => device_id = Some(value),
                "devicetype" => device_type = Some(value),
                "saveinsent" => read.save_in_sent = value.eq_ignore_ascii_case("T"),
                "collectionid" => read.collection_id = Some(value),
                "itemid" => read.item_id = Some(value),
                "longid" => read.long_id = Some(value),
                "attachmentname" => read.attachment_name = Some(value),
                _ => {}
            }
        }
        let device_id = device_id.ok_or(QueryError::Missing("DeviceId"))?;
        if !Self::is_device_id(&device_id) {
            return Err(QueryError::DeviceId(device_id.chars().take(64).collect()));
        }
        Ok(Self {
            command: command.ok_or(QueryError::Missing("Cmd"))?,
            device_id,
            device_type: device_type.ok_or(QueryError::Missing("DeviceType"))?,
            ..read
        })
    }

    fn parse_base64(query: &str) -> Result<Self, QueryError> {
        let bytes = BASE64.decode(query).map_err(|_| QueryError::Unreadable)?;
        let mut rest = bytes.as_slice();
        let version = take(&mut rest, 1, "the version")?[0];
        let version =
            ProtocolVersion::from_times_ten(version).ok_or(QueryError::UnknownVersion(version))?;
        let code = take(&mut rest, 1, "the command")?[0];
        let command = Command::ALL
            .iter()
            .copied()
            .find(|command| command.code() == code)
            .ok_or_else(|| QueryError::UnknownCommand {
                command: code.to_string(),
                version: Some(version),
            })?;
        let locale = take(&mut rest, 2, "the locale")?;
        let locale = u16::from_le_bytes([locale[0], locale[1]]);
        let device_id = device_id_text(take_counted(&mut rest, "the device id")?)?;
        let policy_key = match take_counted(&mut rest, "the policy key")? {
            [] => None,
            &[a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])),
            other => return Err(QueryError::PolicyKeyLength(other.len() as u8)),
        };
        let device_type =
            String::from_utf8_lossy(take_counted(&mut rest, "the device type")?).into_owned();
        let mut query = Self::new(command, device_id, device_type);
        query.binary = Some(BinaryFields {
            version,
            locale,
            policy_key,
        });
        while !rest.is_empty() {
            let tag = take(&mut rest, 1, "a parameter")?[0];
            let value = take_counted(&mut rest, "a parameter")?;
            let text = || Some(String::from_utf8_lossy(value).into_owned());
            match tag {
                tag::OPTIONS => {
                    let bits = value.first().copied().unwrap_or(0);
                    query.save_in_sent = bits & SAVE_IN_SENT != 0;
                    query.accepts_multipart = bits & ACCEPT_MULTIPART != 0;
                }
                tag::USER => query.user = text(),
                tag::ATTACHMENT_NAME => query.attachment_name = text(),
                tag::COLLECTION_ID => query.collection_id = text(),
                tag::ITEM_ID => query.item_id = text(),
                tag::LONG_ID => query.long_id = text(),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// A device id of a base64 query may be binary; it is then known by its hexadecimal form.
fn device_id_text(bytes: &[u8]) -> Result<String, QueryError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if Query::is_device_id(text) => Ok(text.to_owned()),
        _ if (1..=16).contains(&bytes.len()) => {
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        _ => Err(QueryError::DeviceId(
            String::from_utf8_lossy(bytes).into_owned(),
        )),
    }
}

fn push_counted(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u8::try_from(field.len()).unwrap_or(u8::MAX);
    bytes.push(length);
    bytes.extend_from_slice(&field[..usize::from(length)]);
}

fn take<'a>(
    rest: &mut &'a [u8],
    count: usize,
    field: &'static str,
) -> Result<&'a [u8], QueryError> {
    let (head, tail) = rest
        .split_at_checked(count)
        .ok_or(QueryError::Truncated(field))?;
    *rest = tail;
    Ok(head)
}

fn take_counted<'a>(rest: &mut &'a [u8], field: &'static str) -> Result<&'a [u8], QueryError> {
    let length = take(rest, 1, field)?[0];
    take(rest, usize::from(length), field)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of ASHTTP 2.2.1.1.1.
    #[test]
    fn the_specification_s_example_decodes_and_encodes() {
        let text = "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l";
        let query = Query::parse(text).unwrap();
        assert_eq!(query.command, Command::Sync);
        assert_eq!(query.device_id, "v140Device");
        assert_eq!(query.device_type, "SmartPhone");
        let fields = query.binary.unwrap();
        assert_eq!(fields.version, ProtocolVersion::V14_0);
        assert_eq!(fields.locale, 0x0409);
        assert_eq!(fields.policy_key, None);
        assert_eq!(query.to_base64(&fields), text);
    }

    /// A request of Windows Mail, seen in mailcow/mailcow-dockerized issue 2599: the device id is
    /// binary, and `/` and `+` arrive unescaped.
    #[test]
    fn a_real_windows_mail_query_decodes() {
        let query = Query::parse("jQAHBBC5KA1Wkp/fDGN0EqhqG2XOBAAAAAALV2luZG93c01haWw=").unwrap();
        assert_eq!(query.device_id, "b9280d56929fdf0c637412a86a1b65ce");
        assert_eq!(query.device_type, "WindowsMail");
        let fields = query.binary.unwrap();
        assert_eq!(fields.version, ProtocolVersion::V14_1);
        assert_eq!(fields.locale, 0x0407);
        assert_eq!(fields.policy_key, Some(0));
    }

    fn sample(save_in_sent: bool) -> Query {
        Query {
            user: Some("EXAMPLE\\load 0001@lab.example".to_owned()),
            save_in_sent,
            ..Query::new(Command::SendMail, "EASLOAD00000001", "easload")
        }
    }

    /// SmartReply and GetAttachment up to 12.1 name what they mean in the query.
    fn samples_with_ids() -> [Query; 3] {
        let query = |command| Query::new(command, "EASLOAD00000001", "easload");
        [
            Query {
                collection_id: Some("5".to_owned()),
                item_id: Some("5:12 & more".to_owned()),
                save_in_sent: true,
                ..query(Command::SmartReply)
            },
            Query {
                long_id: Some("RgAAAA==".to_owned()),
                ..query(Command::SmartForward)
            },
            Query {
                attachment_name: Some("5%3a12%3a0".to_owned()),
                ..query(Command::GetAttachment)
            },
        ]
    }

    #[test]
    fn ids_of_items_round_trip_in_both_forms() {
        let fields = BinaryFields {
            version: ProtocolVersion::V12_1,
            locale: 0x0409,
            policy_key: None,
        };
        for query in samples_with_ids() {
            let plain = query.to_plain();
            assert_eq!(Query::parse(&plain), Ok(query.clone()), "{plain}");
            let base64 = query.to_base64(&fields);
            let expected = Query {
                binary: Some(fields),
                ..query
            };
            assert_eq!(Query::parse(&base64), Ok(expected), "{base64}");
        }
    }

    /// The tags of ASHTTP 2.2.1.1.1.1.3, put together by hand: CollectionId 1, ItemId 3.
    #[test]
    fn base64_parameters_have_the_tags_of_the_specification() {
        let [reply, ..] = samples_with_ids();
        let fields = BinaryFields {
            version: ProtocolVersion::V12_1,
            locale: 0x0409,
            policy_key: None,
        };
        let bytes = BASE64.decode(reply.to_base64(&fields)).unwrap();
        assert!(
            bytes.ends_with(b"\x07easload\x01\x015\x03\x0b5:12 & more\x07\x01\x01"),
            "{bytes:?}"
        );
    }

    /// The Options byte of ASHTTP 2.2.1.1.1.1.3.
    #[test]
    fn options_are_bits_of_one_byte() {
        let fields = BinaryFields {
            version: ProtocolVersion::V14_1,
            locale: 0x0409,
            policy_key: None,
        };
        for (save_in_sent, accepts_multipart, end) in [
            (false, false, &b"easload"[..]),
            (true, false, b"easload\x07\x01\x01"),
            (false, true, b"easload\x07\x01\x02"),
            (true, true, b"easload\x07\x01\x03"),
        ] {
            let query = Query {
                save_in_sent,
                accepts_multipart,
                binary: Some(fields),
                ..Query::new(Command::ItemOperations, "EASLOAD00000001", "easload")
            };
            let text = query.to_base64(&fields);
            assert!(BASE64.decode(&text).unwrap().ends_with(end), "{text}");
            assert_eq!(Query::parse(&text), Ok(query));
        }
    }

    #[test]
    fn plain_form_round_trips_and_escapes() {
        for save_in_sent in [false, true] {
            let query = sample(save_in_sent);
            let text = query.to_plain();
            assert!(
                text.contains("User=EXAMPLE%5Cload%200001%40lab.example"),
                "{text}"
            );
            assert_eq!(Query::parse(&text), Ok(query));
        }
    }

    #[test]
    fn base64_form_round_trips_with_policy_key_and_parameters() {
        let fields = BinaryFields {
            version: ProtocolVersion::V16_1,
            locale: 0x0409,
            policy_key: Some(1_307_199_584),
        };
        let query = Query {
            binary: Some(fields),
            ..sample(true)
        };
        assert_eq!(Query::parse(&query.to_base64(&fields)), Ok(query));
    }

    #[test]
    fn broken_queries_are_refused_with_the_field_named() {
        assert_eq!(
            Query::parse("Cmd=Ping&DeviceType=x"),
            Err(QueryError::Missing("DeviceId"))
        );
        assert_eq!(Query::parse("hello world"), Err(QueryError::Unreadable));
        assert_eq!(
            Query::parse("Cmd=Dance&DeviceId=a&DeviceType=b"),
            Err(QueryError::UnknownCommand {
                command: "Dance".to_owned(),
                version: None,
            })
        );
        let whole = BASE64
            .decode("jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l")
            .unwrap();
        for length in 0..whole.len() {
            let cut = BASE64.encode(&whole[..length]);
            assert!(matches!(
                Query::parse(&cut),
                Err(QueryError::Truncated(_) | QueryError::Unreadable)
            ));
        }
    }
}
