use crate::ProtocolVersion;
use crate::commands::item::{read_body_preference, write_body_preference};
use crate::commands::{BodyPreference, Class};
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync as tags, air_sync_base};

/// How far back a collection reaches (ASCMD 2.2.3.68.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FilterType(pub u8);

impl FilterType {
    /// Everything.
    pub const ALL: Self = Self(0);
    /// Three days back, a usual setting of phones.
    pub const THREE_DAYS: Self = Self(2);
}

/// Options of a collection (ASCMD 2.2.3.125.6). The server keeps them until a request has others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SyncOptions {
    /// How far back.
    pub filter: Option<FilterType>,
    /// The forms of a body that the client takes. Up to 2.5 there is one, plain text, with the size at
    /// which it is cut.
    pub bodies: Vec<BodyPreference>,
    /// The form of the part of a message that is wanted; 14.1 and later.
    pub body_part: Option<BodyPreference>,
    /// How many recipients of the recipient cache are wanted; no other collection has it. Sent from
    /// 14.0 on only.
    pub max_items: Option<u32>,
    /// The class the options are for; sent from 14.0 on only.
    pub class: Option<Class>,
    /// Who wins where both changed an item: 0 the client, 1 the server.
    pub conflict: Option<u8>,
    /// Whether MIME is wanted: 0 never, 1 for S/MIME messages, 2 for all.
    pub mime_support: Option<u8>,
    /// Where MIME is cut, a step of 0 (nothing is sent) to 8 (all is; ASCMD 2.2.3.111).
    pub mime_truncation: Option<u8>,
}

pub(super) fn write_options(writer: &mut Writer, options: &SyncOptions, version: ProtocolVersion) {
    writer.start(tags::OPTIONS);
    if let Some(filter) = options.filter {
        writer.number(tags::FILTER_TYPE, filter.0);
    }
    if let Some(class) = options.class.filter(|_| version >= ProtocolVersion::V14_0) {
        writer.element(tags::CLASS, class.as_str());
    }
    if version.has_air_sync_base() {
        for body in &options.bodies {
            write_body_preference(writer, air_sync_base::BODY_PREFERENCE, *body);
        }
    } else if let Some(size) = options.bodies.first().and_then(|body| body.truncation_size) {
        writer.number(tags::TRUNCATION, truncation(size));
    }
    if let Some(part) = options
        .body_part
        .filter(|_| version >= ProtocolVersion::V14_1)
    {
        write_body_preference(writer, air_sync_base::BODY_PART_PREFERENCE, part);
    }
    if let Some(most) = options
        .max_items
        .filter(|_| version >= ProtocolVersion::V14_0)
    {
        writer.number(tags::MAX_ITEMS, most);
    }
    for (tag, number) in [
        (tags::CONFLICT, options.conflict),
        (tags::MIME_SUPPORT, options.mime_support),
        (tags::MIME_TRUNCATION, options.mime_truncation),
    ] {
        if let Some(number) = number {
            writer.number(tag, number);
        }
    }
    writer.end();
}

/// 2.5's steps of how much of a body is wanted, in bytes (ASCMD 2.2.3.185). `Truncation` is the number
/// of one; 9 means all.
const TRUNCATION_STEPS: [u32; 9] = [0, 512, 1024, 2048, 5120, 10_240, 20_480, 51_200, 102_400];
/// The steps of MIMETruncation (ASCMD 2.2.3.111); 8 means all.
const MIME_TRUNCATION_STEPS: [u32; 8] = [0, 4096, 5120, 7168, 10_240, 20_480, 51_200, 102_400];

impl SyncOptions {
    /// Bytes of MIME that an answer holds at most; `None` means all.
    #[must_use]
    pub fn mime_truncation_size(&self) -> Option<u32> {
        let step = usize::from(self.mime_truncation?);
        MIME_TRUNCATION_STEPS.get(step).copied()
    }
}

/// The nearest step that is not less.
fn truncation(size: u32) -> u8 {
    const ALL: u8 = 9;
    let step = TRUNCATION_STEPS.iter().position(|step| size <= *step);
    step.map_or(ALL, |step| step as u8)
}

/// The class of text messages, which have options of their own in a collection of mail.
const SMS: &str = "SMS";

/// Options, and whether they are those of text messages.
pub(super) fn request_options(
    reader: &mut Reader<'_>,
    parent: Element,
) -> Result<(SyncOptions, bool), DecodeError> {
    let mut options = SyncOptions::default();
    let mut is_sms = false;
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::FILTER_TYPE => {
                options.filter = reader.optional(element, Reader::number)?.map(FilterType);
            }
            tags::TRUNCATION => {
                let step: Option<u8> = reader.optional(element, Reader::number)?;
                if let Some(size) = step.and_then(|step| TRUNCATION_STEPS.get(usize::from(step))) {
                    options.bodies.push(BodyPreference {
                        truncation_size: Some(*size),
                        ..BodyPreference::default()
                    });
                }
            }
            air_sync_base::BODY_PREFERENCE => {
                let body = reader.optional(element, read_body_preference)?;
                options.bodies.extend(body);
            }
            tags::CLASS => {
                let class = reader.text(element)?;
                is_sms = class == SMS;
                options.class = Class::parse(&class);
            }
            air_sync_base::BODY_PART_PREFERENCE => {
                let part = reader.optional(element, read_body_preference)?;
                if part.is_some() && options.body_part.is_some() {
                    return Err(reader.repeated(parent.tag, element.tag));
                }
                options.body_part = part.or(options.body_part);
            }
            tags::MAX_ITEMS => options.max_items = reader.optional(element, Reader::number)?,
            tags::CONFLICT => options.conflict = reader.optional(element, Reader::number)?,
            tags::MIME_SUPPORT => {
                options.mime_support = reader.optional(element, Reader::number)?
            }
            tags::MIME_TRUNCATION => {
                options.mime_truncation = reader.optional(element, Reader::number)?
            }
            _ => reader.skip(element)?,
        }
    }
    Ok((options, is_sms))
}
