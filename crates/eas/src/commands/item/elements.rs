use super::{ItemData, Sender};
use crate::ProtocolVersion;
use crate::wbxml::{
    DecodeError, Element, Event, Reader, Tag, Writer, air_sync, air_sync_base, calendar, contacts,
    email, tasks,
};

/// Which elements an item of a request names: an element that is absent means something else than one
/// with the usual value (ASCMD 2.2.3.24). Those of different versions that mean the same count as one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Elements(Vec<(u8, u8)>);

impl Elements {
    /// The elements of ApplicationData. Nothing is consumed.
    pub(in crate::commands) fn ahead(
        reader: &Reader<'_>,
        parent: Element,
    ) -> Result<Self, DecodeError> {
        let mut ahead = reader.clone();
        let mut elements = Self::default();
        while let Some(element) = ahead.child(parent)? {
            elements.add(element.tag);
            ahead.skip(element)?;
        }
        Ok(elements)
    }

    /// Adds an element. It counts once.
    pub fn add(&mut self, tag: Tag) {
        if !self.has(tag) {
            self.0.push(numbers(tag));
        }
    }

    /// Whether the element is named.
    #[must_use]
    pub fn has(&self, tag: Tag) -> bool {
        self.0.contains(&numbers(tag))
    }

    /// Whether no element is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements, in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = Tag> {
        self.0.iter().map(|(page, token)| Tag::new(*page, *token))
    }
}

/// The numbers of an element, or of the one that another version has in its place.
fn numbers(tag: Tag) -> (u8, u8) {
    let tag = match tag {
        calendar::BODY | contacts::BODY | tasks::BODY | email::BODY | email::MIME_DATA => {
            air_sync_base::BODY
        }
        calendar::CLIENT_UID => calendar::UID,
        calendar::LOCATION => air_sync_base::LOCATION,
        email::ATTACHMENTS => air_sync_base::ATTACHMENTS,
        tag => tag,
    };
    (tag.page(), tag.token())
}

impl ItemData<'_> {
    /// Makes an item of the elements of `old` that are kept and the other elements of `change`, and hands
    /// it to `take`. `None` if they are of different classes, or a text cannot be a WBXML string.
    ///
    /// Works on the elements of the wire, so that no class needs a second list of its fields.
    pub fn with_changes<T>(
        old: &ItemData<'_>,
        change: &ItemData<'_>,
        is_kept: impl Fn(Tag) -> bool,
        take: impl FnOnce(ItemData<'_>) -> T,
    ) -> Option<T> {
        if old.class() != change.class() {
            return None;
        }
        let mut writer = Writer::new();
        writer.start(air_sync::APPLICATION_DATA);
        copy(&mut writer, &document(old)?, &is_kept)?;
        copy(&mut writer, &document(change)?, |tag| !is_kept(tag))?;
        writer.end();
        let document = writer.finish().ok()?;
        let mut reader = Reader::new(&document).ok()?;
        let root = reader.root(air_sync::APPLICATION_DATA).ok()?;
        ItemData::read_in(&mut reader, root, old.class())
            .ok()
            .map(take)
    }
}

/// The newest version: it has every element.
const NEWEST: ProtocolVersion = ProtocolVersion::V16_1;

fn document(data: &ItemData<'_>) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    data.write_in(
        air_sync::APPLICATION_DATA,
        &mut writer,
        NEWEST,
        Sender::Server,
    );
    writer.finish().ok()
}

/// Copies those elements of a document that are wanted.
fn copy(writer: &mut Writer, document: &[u8], is_wanted: impl Fn(Tag) -> bool) -> Option<()> {
    let mut reader = Reader::new(document).ok()?;
    let root = reader.root(air_sync::APPLICATION_DATA).ok()?;
    while let Some(element) = reader.child(root).ok()? {
        if !is_wanted(element.tag) {
            reader.skip(element).ok()?;
            continue;
        }
        let mut depth = 0;
        open(writer, element, &mut depth);
        while depth > 0 {
            match reader.next_event().ok()?? {
                Event::Start(element) => open(writer, element, &mut depth),
                Event::End => {
                    writer.end();
                    depth -= 1;
                }
                Event::Text(text) => drop(writer.text(text)),
                Event::Entity(letter) => drop(writer.text(letter.encode_utf8(&mut [0; 4]))),
                Event::Opaque(bytes) => drop(writer.opaque(bytes)),
            }
        }
    }
    Some(())
}

fn open(writer: &mut Writer, element: Element, depth: &mut u32) {
    if element.has_content {
        writer.start(element.tag);
        *depth += 1;
    } else {
        writer.empty(element.tag);
    }
}
