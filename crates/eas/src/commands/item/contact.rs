use std::borrow::Cow;

use super::body::{Body, write_notes};
use super::write_texts;
use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync_base, contacts as tags};

/// The parts of a contact that users fill in most (MS-ASCNTC 2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Contact<'a> {
    /// First name.
    pub first_name: Cow<'a, str>,
    /// Last name.
    pub last_name: Cow<'a, str>,
    /// The name it is listed under.
    pub file_as: Cow<'a, str>,
    /// Company.
    pub company: Cow<'a, str>,
    /// Job title.
    pub job_title: Cow<'a, str>,
    /// First address.
    pub email1: Cow<'a, str>,
    /// Second address.
    pub email2: Cow<'a, str>,
    /// Third address.
    pub email3: Cow<'a, str>,
    /// Telephone at work.
    pub business_phone: Cow<'a, str>,
    /// Telephone at home.
    pub home_phone: Cow<'a, str>,
    /// Mobile telephone.
    pub mobile_phone: Cow<'a, str>,
    /// Street of the office.
    pub business_street: Cow<'a, str>,
    /// City of the office.
    pub business_city: Cow<'a, str>,
    /// State of the office.
    pub business_state: Cow<'a, str>,
    /// Postal code of the office.
    pub business_postal_code: Cow<'a, str>,
    /// Country of the office.
    pub business_country: Cow<'a, str>,
    /// Notes.
    pub body: Body<'a>,
}

impl<'a> Contact<'a> {
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        // Always there, so that an empty contact is one too.
        writer.element(tags::FILE_AS, &self.file_as);
        write_texts(
            writer,
            [
                (tags::FIRST_NAME, &self.first_name),
                (tags::LAST_NAME, &self.last_name),
                (tags::COMPANY_NAME, &self.company),
                (tags::JOB_TITLE, &self.job_title),
                (tags::EMAIL1_ADDRESS, &self.email1),
                (tags::EMAIL2_ADDRESS, &self.email2),
                (tags::EMAIL3_ADDRESS, &self.email3),
                (tags::BUSINESS_PHONE_NUMBER, &self.business_phone),
                (tags::HOME_PHONE_NUMBER, &self.home_phone),
                (tags::MOBILE_PHONE_NUMBER, &self.mobile_phone),
                (tags::BUSINESS_ADDRESS_STREET, &self.business_street),
                (tags::BUSINESS_ADDRESS_CITY, &self.business_city),
                (tags::BUSINESS_ADDRESS_STATE, &self.business_state),
                (
                    tags::BUSINESS_ADDRESS_POSTAL_CODE,
                    &self.business_postal_code,
                ),
                (tags::BUSINESS_ADDRESS_COUNTRY, &self.business_country),
            ],
        );
        write_notes(
            writer,
            (tags::BODY, tags::BODY_TRUNCATED),
            &self.body,
            version,
        );
    }

    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Box<Self>, DecodeError> {
        let mut item = Box::<Self>::default();
        while let Some(element) = reader.child(parent)? {
            let field = match element.tag {
                tags::FIRST_NAME => &mut item.first_name,
                tags::LAST_NAME => &mut item.last_name,
                tags::FILE_AS => &mut item.file_as,
                tags::COMPANY_NAME => &mut item.company,
                tags::JOB_TITLE => &mut item.job_title,
                tags::EMAIL1_ADDRESS => &mut item.email1,
                tags::EMAIL2_ADDRESS => &mut item.email2,
                tags::EMAIL3_ADDRESS => &mut item.email3,
                tags::BUSINESS_PHONE_NUMBER => &mut item.business_phone,
                tags::HOME_PHONE_NUMBER => &mut item.home_phone,
                tags::MOBILE_PHONE_NUMBER => &mut item.mobile_phone,
                tags::BUSINESS_ADDRESS_STREET => &mut item.business_street,
                tags::BUSINESS_ADDRESS_CITY => &mut item.business_city,
                tags::BUSINESS_ADDRESS_STATE => &mut item.business_state,
                tags::BUSINESS_ADDRESS_POSTAL_CODE => &mut item.business_postal_code,
                tags::BUSINESS_ADDRESS_COUNTRY => &mut item.business_country,
                tags::BODY => &mut item.body.text,
                tags::BODY_TRUNCATED => {
                    item.body.truncated =
                        reader.optional(element, Reader::flag)?.unwrap_or_default();
                    continue;
                }
                air_sync_base::BODY => {
                    item.body = Body::read(reader, element)?;
                    continue;
                }
                _ => {
                    reader.skip(element)?;
                    continue;
                }
            };
            *field = reader.text(element)?;
        }
        Ok(item)
    }
}
