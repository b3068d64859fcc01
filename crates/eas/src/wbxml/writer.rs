use std::borrow::Cow;

use super::{HEADER, Tag, global};

/// Why a document cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// WBXML strings end at the first NUL, so they cannot hold one.
    #[error("{0}: a WBXML string cannot hold a NUL character")]
    NulInString(Tag),
    /// An opaque value longer than its 32-bit length can say.
    #[error("{0}: an opaque value of more than 4 GiB")]
    TooLong(Tag),
    /// A document has one root element.
    #[error("{0}: a second root element; a document has one")]
    SecondRoot(Tag),
    /// More elements opened than closed, or none at all.
    #[error("the document's elements are not balanced")]
    Unbalanced,
}

/// Writes one document. Errors are remembered and returned by [`finish`](Self::finish), so that
/// the code of a command reads like the document.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    page: u8,
    /// Open elements and where their content begins.
    open: Vec<(Tag, usize)>,
    error: Option<EncodeError>,
    detached: Option<Detached>,
}

/// Values that are kept beside the document.
#[derive(Debug)]
struct Detached {
    /// The element that names a value by its number, counted from 1.
    tag: Tag,
    values: Vec<Vec<u8>>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// Most requests fit: a full Ping of five folders takes some 120 bytes.
    const USUAL_SIZE: usize = 256;

    /// A document with only its header.
    #[must_use]
    pub fn new() -> Self {
        let mut out = Vec::with_capacity(Self::USUAL_SIZE);
        out.extend_from_slice(&HEADER);
        Self {
            out,
            page: 0,
            open: Vec::new(),
            error: None,
            detached: None,
        }
    }

    /// A document that refers to its large values instead of holding them: [`detachable`](Self::detachable)
    /// writes an element of this tag with the number of the value.
    pub(crate) fn detaching(tag: Tag) -> Self {
        Self {
            detached: Some(Detached {
                tag,
                values: Vec::new(),
            }),
            ..Self::new()
        }
    }

    fn tag(&mut self, tag: Tag, bits: u8) {
        if self.open.is_empty() && self.out.len() > HEADER.len() {
            self.error.get_or_insert(EncodeError::SecondRoot(tag));
        }
        if tag.page() != self.page {
            self.page = tag.page();
            self.out
                .extend_from_slice(&[global::SWITCH_PAGE, self.page]);
        }
        self.out.push(tag.token() | bits);
    }

    /// Opens an element that will have content.
    pub fn start(&mut self, tag: Tag) -> &mut Self {
        self.tag(tag, 0x40);
        self.open.push((tag, self.out.len()));
        self
    }

    /// Closes the innermost open element.
    pub fn end(&mut self) -> &mut Self {
        if self.open.pop().is_none() {
            self.error.get_or_insert(EncodeError::Unbalanced);
        }
        self.out.push(global::END);
        self
    }

    /// Closes the innermost open element, taking its content bit back if nothing was written
    /// since it was opened.
    pub(crate) fn end_or_empty(&mut self) -> &mut Self {
        let unchanged = self
            .open
            .last()
            .is_some_and(|&(_, after)| after == self.out.len());
        if !unchanged {
            return self.end();
        }
        self.open.pop();
        if let Some(last) = self.out.last_mut() {
            *last &= !0x40;
        }
        self
    }

    /// An element without content.
    pub fn empty(&mut self, tag: Tag) -> &mut Self {
        self.tag(tag, 0);
        self
    }

    /// A string inside the open element. An empty one leaves no trace.
    pub fn text(&mut self, text: &str) -> &mut Self {
        if text.is_empty() {
            return self;
        }
        match self.open.last() {
            None => {
                self.error.get_or_insert(EncodeError::Unbalanced);
            }
            Some(&(tag, _)) if memchr::memchr(0, text.as_bytes()).is_some() => {
                self.error.get_or_insert(EncodeError::NulInString(tag));
            }
            Some(_) => {
                self.out.push(global::STR_I);
                self.out.extend_from_slice(text.as_bytes());
                self.out.push(0);
            }
        }
        self
    }

    /// Writes a part of the document, and takes it back if it cannot be written. Whether it is there.
    pub(crate) fn attempt(&mut self, write: impl FnOnce(&mut Self)) -> bool {
        if self.error.is_some() {
            return false;
        }
        let (length, page, depth) = (self.out.len(), self.page, self.open.len());
        let values = self.detached.as_ref().map_or(0, |one| one.values.len());
        write(self);
        if self.error.take().is_none() {
            return true;
        }
        self.out.truncate(length);
        self.open.truncate(depth);
        self.page = page;
        if let Some(detached) = &mut self.detached {
            detached.values.truncate(values);
        }
        false
    }

    /// Opaque bytes inside the open element.
    pub fn opaque(&mut self, bytes: &[u8]) -> &mut Self {
        match (self.open.last(), u32::try_from(bytes.len())) {
            (None, _) => {
                self.error.get_or_insert(EncodeError::Unbalanced);
            }
            (Some(&(tag, _)), Err(_)) => {
                self.error.get_or_insert(EncodeError::TooLong(tag));
            }
            (Some(_), Ok(length)) => {
                self.out.push(global::OPAQUE);
                integer(&mut self.out, length);
                self.out.extend_from_slice(bytes);
            }
        }
        self
    }

    /// An element that holds a string; an empty string gives an empty element.
    pub fn element(&mut self, tag: Tag, text: &str) -> &mut Self {
        if text.is_empty() {
            return self.empty(tag);
        }
        self.start(tag).text(text).end()
    }

    /// An element that holds `text`, or a reference to the bytes that `text` stands for if this document
    /// is [`detaching`](Self::detaching).
    pub(crate) fn detachable<'t>(
        &mut self,
        tag: Tag,
        bytes: &[u8],
        text: impl FnOnce() -> Cow<'t, str>,
    ) -> &mut Self {
        let Some(detached) = &mut self.detached else {
            return self.element(tag, &text());
        };
        detached.values.push(bytes.to_vec());
        let (reference, number) = (detached.tag, detached.values.len());
        self.element(reference, &number.to_string())
    }

    /// An element that holds a number.
    pub fn number(&mut self, tag: Tag, number: impl Into<i64>) -> &mut Self {
        let number = number.into();
        self.element(tag, &number.to_string())
    }

    /// An element that holds `1` or `0`.
    pub fn flag(&mut self, tag: Tag, flag: bool) -> &mut Self {
        self.element(tag, if flag { "1" } else { "0" })
    }

    /// The document.
    ///
    /// # Errors
    /// The first error of the calls before.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        self.finish_with_values().map(|(document, _)| document)
    }

    /// The document, and the values that it refers to.
    ///
    /// # Errors
    /// The first error of the calls before.
    pub(crate) fn finish_with_values(self) -> Result<(Vec<u8>, Vec<Vec<u8>>), EncodeError> {
        match self.error {
            Some(error) => Err(error),
            None if !self.open.is_empty() || self.out.len() == HEADER.len() => {
                Err(EncodeError::Unbalanced)
            }
            None => {
                let values = self.detached.map_or_else(Vec::new, |one| one.values);
                Ok((self.out, values))
            }
        }
    }
}

/// Appends an `mb_u_int32`.
fn integer(out: &mut Vec<u8>, value: u32) {
    for shift in [28, 21, 14, 7] {
        if value >> shift != 0 {
            out.push(0x80 | (value >> shift & 0x7F) as u8);
        }
    }
    out.push((value & 0x7F) as u8);
}
