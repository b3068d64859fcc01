//! Text → elements with their places, and whatever is malformed in it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::Draft;

/// The schema nests eight deep; the bound keeps a hostile file from filling the memory.
const MAX_DEPTH: usize = 64;
/// The schema's richest element has some twenty. A hostile file may put millions into one, which
/// are compared with each other.
const MAX_ATTRIBUTES: usize = 256;

/// Where something is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'t> {
    /// Name of the element.
    pub(crate) element: &'t str,
    pub(crate) offset: usize,
    pub(crate) line: usize,
}

/// An attribute, its value without references.
#[derive(Debug)]
pub(crate) struct Attribute<'t> {
    pub(crate) name: &'t str,
    pub(crate) value: String,
    pub(crate) place: Place<'t>,
}

impl Attribute<'_> {
    pub(crate) fn problem(&self, message: impl Into<String>) -> Draft {
        let place = format!("{}@{}", self.place.element, self.name);
        Draft::new(self.place.offset, place, message)
    }
}

/// What the text holds next; an element without content has an end too.
#[derive(Debug)]
pub(crate) enum Token<'t> {
    Start(Place<'t>, Vec<Attribute<'t>>),
    End,
}

/// A text that is being read.
pub(crate) struct Xml<'t> {
    text: &'t str,
    reader: Reader<&'t [u8]>,
    open: Vec<Place<'t>>,
    /// The root is closed.
    ended: bool,
    /// `line` is the line of this offset.
    counted: usize,
    line: usize,
}

impl<'t> Xml<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self {
            text,
            reader,
            open: Vec::new(),
            ended: false,
            counted: 0,
            line: 1,
        }
    }

    /// The next element or end of one; `None` at the end of the text. After an error nothing more
    /// can be read.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'t>>, Draft> {
        loop {
            match self.reader.read_event() {
                Ok(Event::Start(tag)) => return self.start(&tag).map(Some),
                Ok(Event::End(_)) => {
                    self.open.pop();
                    self.ended = self.open.is_empty();
                    return Ok(Some(Token::End));
                }
                Ok(Event::Eof) if self.open.is_empty() => return Ok(None),
                Ok(Event::Eof) => return Err(self.malformed(self.text.len(), "ends too early")),
                Ok(_) => {}
                Err(error) => {
                    let offset = usize::try_from(self.reader.error_position());
                    let offset = offset.unwrap_or(self.text.len());
                    return Err(self.malformed(offset, &error.to_string()));
                }
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'t>) -> Result<Token<'t>, Draft> {
        let place = self.place(tag.name().as_ref(), None);
        if self.ended {
            return Err(self.malformed(place.offset, "has a second root element"));
        }
        if self.open.len() == MAX_DEPTH {
            let message = format!("expected elements nested at most {MAX_DEPTH} deep");
            return Err(Draft::new(place.offset, place.element, message));
        }
        self.open.push(place);
        Ok(Token::Start(place, self.attributes(tag, place)?))
    }

    fn attributes(
        &mut self,
        tag: &BytesStart<'t>,
        place: Place<'t>,
    ) -> Result<Vec<Attribute<'t>>, Draft> {
        let mut attributes: Vec<Attribute<'t>> = Vec::new();
        // quick-xml's own search for a name that is there twice has no bound.
        for attribute in tag.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|error| self.malformed(place.offset, &error.to_string()))?;
            let here = self.place(attribute.key.as_ref(), Some(place));
            let name = self.part(attribute.key.as_ref()).0;
            if attributes.len() == MAX_ATTRIBUTES {
                let message = format!("expected at most {MAX_ATTRIBUTES} attributes");
                return Err(Draft::new(here.offset, place.element, message));
            }
            if attributes.iter().any(|other| other.name == name) {
                let message = format!("has the attribute `{name}` twice");
                return Err(self.malformed(here.offset, &message));
            }
            // A quotation mark that is missing turns the tags that follow into a value.
            if attribute.value.contains(&b'<') {
                let message = format!("has a `<` in the attribute `{name}`");
                return Err(self.malformed(here.offset, &message));
            }
            let value = attribute
                .decode_and_unescape_value(self.reader.decoder())
                .map_err(|error| self.malformed(here.offset, &error.to_string()))?;
            attributes.push(Attribute {
                name,
                value: value.into_owned(),
                place: here,
            });
        }
        Ok(attributes)
    }

    /// A part of the text, and its offset. The reader hands out slices of the text, so that the
    /// address tells the offset.
    fn part(&self, part: &[u8]) -> (&'t str, usize) {
        let offset = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        let end = offset.saturating_add(part.len());
        (self.text.get(offset..end).unwrap_or_default(), offset)
    }

    fn place(&mut self, name: &[u8], element: Option<Place<'t>>) -> Place<'t> {
        let (name, offset) = self.part(name);
        let between = self.text.as_bytes().get(self.counted..offset);
        if let Some(between) = between {
            self.line += between.iter().filter(|byte| **byte == b'\n').count();
            self.counted = offset;
        }
        Place {
            element: element.map_or(name, |place| place.element),
            offset,
            line: self.line,
        }
    }

    fn malformed(&self, offset: usize, what: &str) -> Draft {
        let (place, open) = match self.open.last() {
            Some(open) => {
                let text = format!("; <{}> of line {} is open", open.element, open.line);
                (open.element, text)
            }
            None => ("file", String::new()),
        };
        Draft::new(offset, place, format!("malformed XML: {what}{open}"))
    }
}
