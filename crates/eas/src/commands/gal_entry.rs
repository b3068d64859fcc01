use std::borrow::Cow;

use crate::wbxml::{DecodeError, Element, Reader, Tag, Writer, gal};

/// Someone in the global address list (ASCMD, Properties (Search)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GalEntry<'a> {
    /// Name for people.
    pub display_name: Cow<'a, str>,
    /// Telephone at work.
    pub phone: Cow<'a, str>,
    /// Where the office is.
    pub office: Cow<'a, str>,
    /// Job title.
    pub title: Cow<'a, str>,
    /// Company.
    pub company: Cow<'a, str>,
    /// Short name.
    pub alias: Cow<'a, str>,
    /// First name.
    pub first_name: Cow<'a, str>,
    /// Last name.
    pub last_name: Cow<'a, str>,
    /// Telephone at home.
    pub home_phone: Cow<'a, str>,
    /// Mobile telephone.
    pub mobile_phone: Cow<'a, str>,
    /// Address.
    pub email: Cow<'a, str>,
}

impl<'a> GalEntry<'a> {
    fn field(&mut self, tag: Tag) -> Option<&mut Cow<'a, str>> {
        Some(match tag {
            gal::DISPLAY_NAME => &mut self.display_name,
            gal::PHONE => &mut self.phone,
            gal::OFFICE => &mut self.office,
            gal::TITLE => &mut self.title,
            gal::COMPANY => &mut self.company,
            gal::ALIAS => &mut self.alias,
            gal::FIRST_NAME => &mut self.first_name,
            gal::LAST_NAME => &mut self.last_name,
            gal::HOME_PHONE => &mut self.home_phone,
            gal::MOBILE_PHONE => &mut self.mobile_phone,
            gal::EMAIL_ADDRESS => &mut self.email,
            _ => return None,
        })
    }

    /// Writes the entry in an element of that tag. DisplayName is always present, so that readers recognise an
    /// entry without any text.
    pub(super) fn write_in(&self, properties: Tag, writer: &mut Writer) {
        writer
            .start(properties)
            .element(gal::DISPLAY_NAME, &self.display_name);
        for (tag, text) in [
            (gal::PHONE, &self.phone),
            (gal::OFFICE, &self.office),
            (gal::TITLE, &self.title),
            (gal::COMPANY, &self.company),
            (gal::ALIAS, &self.alias),
            (gal::FIRST_NAME, &self.first_name),
            (gal::LAST_NAME, &self.last_name),
            (gal::HOME_PHONE, &self.home_phone),
            (gal::MOBILE_PHONE, &self.mobile_phone),
            (gal::EMAIL_ADDRESS, &self.email),
        ] {
            if !text.is_empty() {
                writer.element(tag, text);
            }
        }
        writer.end();
    }

    /// Consumes an element that holds an entry.
    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut entry = Self::default();
        while let Some(element) = reader.child(parent)? {
            match entry.field(element.tag) {
                Some(field) => *field = reader.text(element)?,
                None => reader.skip(element)?,
            }
        }
        Ok(entry)
    }
}

/// Whether an element holds an entry of the address list, and not an item. Nothing is consumed.
pub(super) fn is_gal_entry(reader: &Reader<'_>, parent: Element) -> Result<bool, DecodeError> {
    let first = reader.clone().child(parent)?;
    Ok(first.is_some_and(|element| element.tag.page() == gal::DISPLAY_NAME.page()))
}
