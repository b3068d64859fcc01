use std::borrow::Cow;

use crate::wbxml::{DecodeError, Element, Reader, Writer, settings as tags};

/// What a device says of itself (ASCMD 2.2.3.45): in Settings up to 14.0, in phase 1 of Provision
/// from 14.1 on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceInformation<'a> {
    /// Model, which 14.1 requires.
    pub model: Cow<'a, str>,
    /// A name for people.
    pub friendly_name: Cow<'a, str>,
    /// Operating system.
    pub os: Cow<'a, str>,
    /// User agent.
    pub user_agent: Cow<'a, str>,
}

pub(super) fn write_device_information(writer: &mut Writer, device: &DeviceInformation<'_>) {
    writer.start(tags::DEVICE_INFORMATION).start(tags::SET);
    for (tag, text) in [
        (tags::MODEL, &device.model),
        (tags::FRIENDLY_NAME, &device.friendly_name),
        (tags::OS, &device.os),
        (tags::USER_AGENT, &device.user_agent),
    ] {
        if !text.is_empty() {
            writer.element(tag, text);
        }
    }
    writer.end().end();
}

/// Consumes the property; `None` if it sets nothing.
pub(super) fn read_device_information<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Option<DeviceInformation<'a>>, DecodeError> {
    let mut found = None;
    while let Some(set) = reader.child(parent)? {
        if set.tag != tags::SET {
            reader.skip(set)?;
            continue;
        }
        let device: &mut DeviceInformation<'a> = found.get_or_insert_default();
        while let Some(element) = reader.child(set)? {
            let field = match element.tag {
                tags::MODEL => &mut device.model,
                tags::FRIENDLY_NAME => &mut device.friendly_name,
                tags::OS => &mut device.os,
                tags::USER_AGENT => &mut device.user_agent,
                _ => {
                    reader.skip(element)?;
                    continue;
                }
            };
            *field = reader.text(element)?;
        }
    }
    Ok(found)
}
