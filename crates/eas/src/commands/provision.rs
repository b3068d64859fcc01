use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::DeviceInformation;
use super::device_information::{read_device_information, write_device_information};
use crate::ProtocolVersion;
use crate::status::{PolicyStatus, ProvisionStatus, SettingsStatus};
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Tag, Writer, provision as tags, settings,
};

/// The policy type of 12.0 and later (ASPROV 2.2.2.43).
pub const POLICY_TYPE: &str = "MS-EAS-Provisioning-WBXML";

/// The policy type of 2.5 (ASPROV 2.2.2.43): the policy comes as a text.
pub const POLICY_TYPE_2_5: &str = "MS-WAP-Provisioning-XML";

/// The policy type that a version speaks.
#[must_use]
pub fn policy_type(version: ProtocolVersion) -> &'static str {
    if version < ProtocolVersion::V12_0 {
        POLICY_TYPE_2_5
    } else {
        POLICY_TYPE
    }
}

/// The policy part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRequest<'a> {
    /// See [`policy_type`].
    pub policy_type: Cow<'a, str>,
    /// Phase 2: the temporary key, and 1 for "applied" (ASPROV 2.2.2.54, values 1 to 4).
    pub acknowledgement: Option<(Cow<'a, str>, u8)>,
}

/// A Provision request: phase 1 asks for the policy, phase 2 acknowledges it (ASPROV 3.1.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProvisionRequest<'a> {
    /// Phase 1 of 14.1 and later carries it; older versions must not.
    pub device: Option<DeviceInformation<'a>>,
    /// The policy; absent when only a remote wipe is acknowledged.
    pub policy: Option<PolicyRequest<'a>>,
    /// Acknowledges a remote wipe with 1 (done) or 2 (failed).
    pub wipe_status: Option<u8>,
}

impl<'a> ProvisionRequest<'a> {
    /// Phase 1; `device` only where the version
    /// [provisions it](ProtocolVersion::provisions_device_information).
    #[must_use]
    pub fn ask(version: ProtocolVersion, device: Option<DeviceInformation<'a>>) -> Self {
        Self {
            device,
            policy: Some(PolicyRequest {
                policy_type: policy_type(version).into(),
                acknowledgement: None,
            }),
            wipe_status: None,
        }
    }

    /// Phase 2, "policy applied".
    #[must_use]
    pub fn acknowledge(version: ProtocolVersion, temporary_key: impl Into<Cow<'a, str>>) -> Self {
        Self {
            device: None,
            policy: Some(PolicyRequest {
                policy_type: policy_type(version).into(),
                acknowledgement: Some((temporary_key.into(), 1)),
            }),
            wipe_status: None,
        }
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::PROVISION);
        if let Some(device) = &self.device {
            write_device_information(&mut writer, device);
        }
        if let Some(policy) = &self.policy {
            writer.start(tags::POLICIES).start(tags::POLICY);
            writer.element(tags::POLICY_TYPE, &policy.policy_type);
            if let Some((key, status)) = &policy.acknowledgement {
                writer
                    .element(tags::POLICY_KEY, key)
                    .number(tags::STATUS, *status);
            }
            writer.end().end();
        }
        if let Some(status) = self.wipe_status {
            writer
                .start(tags::REMOTE_WIPE)
                .number(tags::STATUS, status)
                .end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Provision request, a policy lacks its type or an acknowledgement its Status, or a
    /// Status is not one that devices send.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::PROVISION)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                settings::DEVICE_INFORMATION => {
                    request.device = read_device_information(&mut reader, element)?;
                }
                tags::POLICIES => {
                    while let Some(policy) = reader.child(element)? {
                        request.policy = Some(policy_request(&mut reader, policy)?);
                    }
                }
                tags::REMOTE_WIPE => {
                    while let Some(child) = reader.child(element)? {
                        if child.tag == tags::STATUS {
                            request.wipe_status = reader.optional(child, |reader, child| {
                                reader.choice(child, "1 or 2", among(1..=2))
                            })?;
                        } else {
                            reader.skip(child)?;
                        }
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(request)
    }
}

/// The most characters of a policy key (ASPROV 2.2.2.42).
pub const POLICY_KEY_LENGTH: usize = 64;

/// A policy key is a text: Exchange's are numbers, those of other servers need not be.
fn policy_key<'a>(reader: &mut Reader<'a>, element: Element) -> Result<Cow<'a, str>, DecodeError> {
    let mut check = reader.clone();
    check.parse(element, "a policy key of at most 64 characters", |text| {
        (text.chars().count() <= POLICY_KEY_LENGTH).then_some(())
    })?;
    reader.text(element)
}

fn policy_request<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<PolicyRequest<'a>, DecodeError> {
    let (mut policy_type, mut key, mut status) = (None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::POLICY_TYPE => policy_type = reader.optional(element, Reader::text)?,
            tags::POLICY_KEY => key = reader.optional(element, policy_key)?,
            tags::STATUS => {
                status = reader.optional(element, |reader, element| {
                    reader.choice(element, "a number from 1 to 4", among(1..=4))
                })?;
            }
            _ => reader.skip(element)?,
        }
    }
    let policy_type = policy_type.ok_or_else(|| reader.missing(parent.tag, tags::POLICY_TYPE))?;
    let acknowledgement = match (key, status) {
        (Some(key), Some(status)) => Some((key, status)),
        (Some(_), None) => return Err(reader.missing(parent.tag, tags::STATUS)),
        (None, _) => None,
    };
    Ok(PolicyRequest {
        policy_type,
        acknowledgement,
    })
}

/// Chooses the numbers of a range.
fn among(numbers: RangeInclusive<u8>) -> impl FnOnce(u8) -> Option<u8> {
    move |number| numbers.contains(&number).then_some(number)
}

/// The policy part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyAnswer<'a> {
    /// Echo of the request's policy type.
    pub policy_type: Cow<'a, str>,
    /// Whether there is a policy.
    pub status: PolicyStatus,
    /// Phase 1: the temporary key; phase 2: the final one.
    pub key: Option<Cow<'a, str>>,
    /// The settings of the EASProvisionDoc with a text value, in order.
    pub document: Vec<(Tag, Cow<'a, str>)>,
    /// The policy of [`POLICY_TYPE_2_5`], an XML document as text.
    pub text: Option<Cow<'a, str>>,
}

/// A Provision answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionAnswer<'a> {
    /// The command's status.
    pub status: ProvisionStatus,
    /// Whether the server took the DeviceInformation of the request.
    pub device_information: Option<SettingsStatus>,
    /// The policy.
    pub policy: Option<PolicyAnswer<'a>>,
    /// The server wants the device wiped.
    pub remote_wipe: bool,
}

impl<'a> ProvisionAnswer<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::PROVISION);
        if let Some(status) = self.device_information {
            writer
                .start(settings::DEVICE_INFORMATION)
                .number(settings::STATUS, status.code())
                .end();
        }
        writer.number(tags::STATUS, self.status.code());
        if let Some(policy) = &self.policy {
            writer.start(tags::POLICIES).start(tags::POLICY);
            writer.element(tags::POLICY_TYPE, &policy.policy_type);
            writer.number(tags::STATUS, policy.status.code());
            if let Some(key) = &policy.key {
                writer.element(tags::POLICY_KEY, key);
            }
            if !policy.document.is_empty() {
                writer.start(tags::DATA).start(tags::EAS_PROVISION_DOC);
                for (tag, value) in &policy.document {
                    writer.element(*tag, value);
                }
                writer.end().end();
            } else if let Some(text) = &policy.text {
                writer.element(tags::DATA, text);
            }
            writer.end().end();
        }
        if self.remote_wipe {
            writer.empty(tags::REMOTE_WIPE);
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Provision answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::PROVISION)?;
        let (mut status, mut policy, mut remote_wipe) = (None, None, false);
        let mut device_information = None;
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                settings::DEVICE_INFORMATION => {
                    while let Some(child) = reader.child(element)? {
                        if child.tag == settings::STATUS {
                            let code = reader.optional(child, Reader::number)?;
                            device_information = code.map(SettingsStatus::from_code);
                        } else {
                            reader.skip(child)?;
                        }
                    }
                }
                tags::POLICIES => {
                    while let Some(child) = reader.child(element)? {
                        policy = reader.optional(child, policy_answer)?;
                    }
                }
                tags::REMOTE_WIPE => {
                    remote_wipe = true;
                    reader.skip(element)?;
                }
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::PROVISION, tags::STATUS))?;
        reader.finish()?;
        Ok(Self {
            status: ProvisionStatus::from_code(status),
            device_information,
            policy,
            remote_wipe,
        })
    }
}

fn policy_answer<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<PolicyAnswer<'a>, DecodeError> {
    let mut policy = PolicyAnswer {
        policy_type: Cow::Borrowed(""),
        status: PolicyStatus::Success,
        key: None,
        document: Vec::new(),
        text: None,
    };
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::POLICY_TYPE => policy.policy_type = reader.text(element)?,
            tags::STATUS => {
                if let Some(code) = reader.optional(element, Reader::number)? {
                    policy.status = PolicyStatus::from_code(code);
                }
            }
            tags::POLICY_KEY => policy.key = reader.optional(element, policy_key)?,
            // The type comes first, as the schema orders it.
            tags::DATA if policy.policy_type == POLICY_TYPE_2_5 => {
                policy.text = reader.optional(element, Reader::text)?;
            }
            tags::DATA => {
                while let Some(document) = reader.child(element)? {
                    policy_document(reader, document, &mut policy.document)?;
                }
            }
            _ => reader.skip(element)?,
        }
    }
    Ok(policy)
}

/// Settings that hold elements (application lists) are passed over.
fn policy_document<'a>(
    reader: &mut Reader<'a>,
    document: Element,
    settings: &mut Vec<(Tag, Cow<'a, str>)>,
) -> Result<(), DecodeError> {
    const LISTS: [Tag; 2] = [
        tags::UNAPPROVED_IN_ROM_APPLICATION_LIST,
        tags::APPROVED_APPLICATION_LIST,
    ];
    while let Some(setting) = reader.child(document)? {
        if LISTS.contains(&setting.tag) {
            reader.skip(setting)?;
        } else {
            let text = reader.optional(setting, Reader::text)?;
            settings.extend(text.map(|text| (setting.tag, text)));
        }
    }
    Ok(())
}
