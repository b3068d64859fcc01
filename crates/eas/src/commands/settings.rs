use std::borrow::Cow;
use std::fmt;

use super::device_information::{read_device_information, write_device_information};
use super::{DeviceInformation, OofAnswer, OofRequest};
use crate::ProtocolVersion;
use crate::status::SettingsStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Writer, rights_management, settings as tags,
};

/// A Settings request (ASCMD 2.2.1.18).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsRequest<'a> {
    /// What the device says of itself; from 14.1 on Provision carries it instead.
    pub device_information: Option<DeviceInformation<'a>>,
    /// Asks for the user's addresses.
    pub user_information: bool,
    /// Asks for the templates of rights management; 14.1 and later.
    pub rights_management: bool,
    /// Asks for the out-of-office setting, or sets it.
    pub oof: Option<OofRequest<'a>>,
    /// Keeps the recovery password of the device's lock; 12.1 and later.
    pub device_password: Option<DevicePassword<'a>>,
}

impl<'a> SettingsRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::SETTINGS);
        if let Some(oof) = &self.oof {
            oof.write(&mut writer);
        }
        if let Some(password) = &self.device_password {
            writer
                .start(tags::DEVICE_PASSWORD)
                .start(tags::SET)
                .element(tags::PASSWORD, &password.0)
                .end()
                .end();
        }
        if let Some(device) = &self.device_information {
            write_device_information(&mut writer, device);
        }
        if self.user_information {
            writer.start(tags::USER_INFORMATION).empty(tags::GET).end();
        }
        if self.rights_management {
            writer
                .start(tags::RIGHTS_MANAGEMENT_INFORMATION)
                .empty(tags::GET)
                .end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Settings request.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SETTINGS)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::DEVICE_INFORMATION => {
                    request.device_information = read_device_information(&mut reader, element)?;
                }
                tags::USER_INFORMATION => request.user_information = gets(&mut reader, element)?,
                tags::RIGHTS_MANAGEMENT_INFORMATION => {
                    request.rights_management = gets(&mut reader, element)?;
                }
                tags::OOF => request.oof = OofRequest::read(&mut reader, element)?,
                tags::DEVICE_PASSWORD => {
                    request.device_password = password(&mut reader, element)?;
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(request)
    }
}

/// The recovery password of a device's lock. It is shown nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DevicePassword<'a>(pub Cow<'a, str>);

impl fmt::Debug for DevicePassword<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DevicePassword(..)")
    }
}

fn password<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Option<DevicePassword<'a>>, DecodeError> {
    let mut password = None;
    while let Some(set) = reader.child(parent)? {
        while let Some(element) = reader.child(set)? {
            if element.tag == tags::PASSWORD {
                password = Some(DevicePassword(reader.text(element)?));
            } else {
                reader.skip(element)?;
            }
        }
    }
    Ok(password)
}

/// Whether a property is asked for, not set.
fn gets(reader: &mut Reader<'_>, property: Element) -> Result<bool, DecodeError> {
    let mut found = false;
    while let Some(element) = reader.child(property)? {
        found |= element.tag == tags::GET;
        reader.skip(element)?;
    }
    Ok(found)
}

/// What a server knows of the user (ASCMD 2.2.1.18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInformation<'a> {
    /// Whether it could say.
    pub status: SettingsStatus,
    /// The user's primary address, or the first where none is called primary.
    pub primary_address: Option<Cow<'a, str>>,
}

/// A Settings answer. A property without Status counts as successful: the schema makes it
/// optional, and SOGo leaves it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsAnswer<'a> {
    /// The command's status.
    pub status: SettingsStatus,
    /// Whether the server took the DeviceInformation.
    pub device_information: Option<SettingsStatus>,
    /// The user's addresses.
    pub user_information: Option<UserInformation<'a>>,
    /// Whether the server names its templates of rights management, of which there are none.
    pub rights_management: Option<SettingsStatus>,
    /// The out-of-office setting, or whether the server took it.
    pub oof: Option<OofAnswer<'a>>,
    /// Whether the server took the DevicePassword.
    pub device_password: Option<SettingsStatus>,
}

impl<'a> SettingsAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn new(status: SettingsStatus) -> Self {
        Self {
            status,
            device_information: None,
            user_information: None,
            rights_management: None,
            oof: None,
            device_password: None,
        }
    }

    /// As a body. The address stands in EmailAddresses up to 14.0, in an Account from 14.1 on.
    ///
    /// # Errors
    /// When the address cannot be a WBXML string.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::SETTINGS)
            .number(tags::STATUS, self.status.code());
        if let Some(oof) = &self.oof {
            oof.write(&mut writer);
        }
        for (tag, status) in [
            (tags::DEVICE_PASSWORD, self.device_password),
            (tags::DEVICE_INFORMATION, self.device_information),
        ] {
            if let Some(status) = status {
                writer.start(tag).number(tags::STATUS, status.code()).end();
            }
        }
        if let Some(user) = &self.user_information {
            writer
                .start(tags::USER_INFORMATION)
                .number(tags::STATUS, user.status.code());
            if let Some(address) = &user.primary_address {
                write_address(&mut writer, address, version);
            }
            writer.end();
        }
        if let Some(status) = self.rights_management {
            writer
                .start(tags::RIGHTS_MANAGEMENT_INFORMATION)
                .number(tags::STATUS, status.code());
            if status == SettingsStatus::Success {
                writer
                    .start(tags::GET)
                    .empty(rights_management::RIGHTS_MANAGEMENT_TEMPLATES)
                    .end();
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body of any version.
    ///
    /// # Errors
    /// When it is no Settings answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SETTINGS)?;
        let mut status = None;
        let mut answer = Self::new(SettingsStatus::Success);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::DEVICE_INFORMATION => {
                    answer.device_information = Some(property(&mut reader, element)?.status);
                }
                tags::OOF => answer.oof = Some(OofAnswer::read(&mut reader, element)?),
                tags::DEVICE_PASSWORD => {
                    answer.device_password = Some(property(&mut reader, element)?.status);
                }
                tags::RIGHTS_MANAGEMENT_INFORMATION => {
                    answer.rights_management = Some(property(&mut reader, element)?.status);
                }
                tags::USER_INFORMATION => {
                    answer.user_information = Some(property(&mut reader, element)?);
                }
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::SETTINGS, tags::STATUS))?;
        answer.status = SettingsStatus::from_code(status);
        reader.finish()?;
        Ok(answer)
    }
}

fn write_address(writer: &mut Writer, address: &str, version: ProtocolVersion) {
    writer.start(tags::GET);
    if version >= ProtocolVersion::V14_1 {
        writer.start(tags::ACCOUNTS).start(tags::ACCOUNT);
        writer
            .start(tags::EMAIL_ADDRESSES)
            .element(tags::PRIMARY_SMTP_ADDRESS, address)
            .end();
        writer.end().end();
    } else {
        writer
            .start(tags::EMAIL_ADDRESSES)
            .element(tags::SMTP_ADDRESS, address)
            .end();
    }
    writer.end();
}

/// Every property answers with a Status; only UserInformation holds addresses.
fn property<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<UserInformation<'a>, DecodeError> {
    let mut status = SettingsStatus::Success;
    let mut addresses = Addresses::default();
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::STATUS => {
                if let Some(code) = reader.optional(element, Reader::number)? {
                    status = SettingsStatus::from_code(code);
                }
            }
            tags::GET => addresses.read(reader, element)?,
            _ => reader.skip(element)?,
        }
    }
    Ok(UserInformation {
        status,
        primary_address: addresses.primary.or(addresses.first),
    })
}

#[derive(Default)]
struct Addresses<'a> {
    primary: Option<Cow<'a, str>>,
    first: Option<Cow<'a, str>>,
}

impl<'a> Addresses<'a> {
    /// Reads the addresses at whatever depth the version puts them; those of the first account
    /// count.
    fn read(&mut self, reader: &mut Reader<'a>, parent: Element) -> Result<(), DecodeError> {
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::ACCOUNTS | tags::ACCOUNT | tags::EMAIL_ADDRESSES => {
                    self.read(reader, element)?;
                }
                tags::PRIMARY_SMTP_ADDRESS if self.primary.is_none() => {
                    self.primary = reader.optional(element, Reader::text)?;
                }
                tags::SMTP_ADDRESS if self.first.is_none() => {
                    self.first = reader.optional(element, Reader::text)?;
                }
                _ => reader.skip(element)?,
            }
        }
        Ok(())
    }
}
