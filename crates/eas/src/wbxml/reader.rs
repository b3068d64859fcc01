use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Tag, global};

/// Bounds that a hostile body runs into before it costs anything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole document.
    pub document: usize,
    /// Elements open at once.
    pub depth: u16,
    /// Bytes of one string or opaque value.
    pub value: usize,
    /// Events in the whole document.
    pub events: u32,
}

impl Limits {
    /// Twice the largest request Exchange 2016 takes (`maxRequestLength` 10,240 kB): an answer
    /// with a full window of mail stays far below.
    pub const DOCUMENT: usize = 20 << 20;
    /// The deepest published schema (a meeting's recurrence in a Sync answer) nests 9 elements.
    pub const DEPTH: u16 = 32;
    /// One message body may fill the document.
    pub const VALUE: usize = Self::DOCUMENT;
    /// More than the smallest elements (two bytes) of a large real answer, few enough to end a
    /// hostile one in milliseconds.
    pub const EVENTS: u32 = 2_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document: Self::DOCUMENT,
            depth: Self::DEPTH,
            value: Self::VALUE,
            events: Self::EVENTS,
        }
    }
}

/// Why a body could not be decoded, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset} of the body)")]
pub struct DecodeError {
    /// Offset in bytes of the offending token.
    pub offset: usize,
    /// What is wrong there.
    pub kind: DecodeErrorKind,
}

/// The ways in which a body can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The body ends inside a token or an element.
    #[error("the body is cut short")]
    Truncated,
    /// A web page: of a login, a proxy or a web server.
    #[error("the body is an HTML page, not WBXML")]
    Html,
    /// Another text than WBXML.
    #[error("the body is XML text, not WBXML")]
    Xml,
    /// Not WBXML at all.
    #[error("not WBXML: expected a version byte 01 to 03, found {0:#04x}")]
    NotWbxml(u8),
    /// A character set other than UTF-8 or US-ASCII.
    #[error("character set {0} is not UTF-8 (106) or US-ASCII (3)")]
    Charset(u32),
    /// A multi-byte integer of more than 32 bits.
    #[error("a multi-byte integer exceeds 32 bits")]
    IntegerOverflow,
    /// A string that is not UTF-8.
    #[error("a string is not valid UTF-8")]
    InvalidUtf8,
    /// A string without its terminating NUL.
    #[error("a string has no terminating NUL")]
    UnterminatedString,
    /// A reference beyond the string table.
    #[error("string table reference {0} points outside the table")]
    BadStringReference(u32),
    /// An entity that is no Unicode character.
    #[error("entity {0} is not a character")]
    BadEntity(u32),
    /// WBXML that EAS does not use: attributes, literals, extensions, processing instructions.
    #[error("{0} are not used by Exchange ActiveSync")]
    Unsupported(&'static str),
    /// END without an open element.
    #[error("an END token without an open element")]
    UnbalancedEnd,
    /// Text outside the root element.
    #[error("content outside the root element")]
    ContentOutsideRoot,
    /// A second root element or bytes after it.
    #[error("data after the root element")]
    TrailingData,
    /// No root element.
    #[error("no root element")]
    Empty,
    /// A [`Limits`] value was exceeded.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The root element is another one.
    #[error("expected {expected} as root element, found {found}")]
    WrongRoot {
        /// The element of the command that was expected.
        expected: Tag,
        /// The element found.
        found: Tag,
    },
    /// An element that must hold text holds elements.
    #[error("{0} must hold text only")]
    TextExpected(Tag),
    /// An element's text does not have the form it must have.
    #[error("{tag}: expected {expected}, found `{found}`")]
    BadValue {
        /// The element.
        tag: Tag,
        /// What it should hold.
        expected: &'static str,
        /// What it holds, cut to a readable length.
        found: String,
    },
    /// A required element is absent.
    #[error("{parent} has no {child}")]
    Missing {
        /// The element that lacks a child.
        parent: Tag,
        /// The child.
        child: Tag,
    },
    /// An element that may be there once is there again.
    #[error("{parent} has more than one {child}")]
    Repeated {
        /// The element that holds it.
        parent: Tag,
        /// The element.
        child: Tag,
    },
}

impl DecodeError {
    /// Whether the bytes are not the WBXML of a document, or exceed a [`Limits`] value. Otherwise the
    /// document can be read, and an element in it is wrong: another root, a required element absent, a
    /// value of the wrong form.
    ///
    /// Decoding ends at the first error. Whether the rest of the body is WBXML is a question for
    /// [`check`](super::check).
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        !matches!(
            self.kind,
            DecodeErrorKind::WrongRoot { .. }
                | DecodeErrorKind::TextExpected(_)
                | DecodeErrorKind::BadValue { .. }
                | DecodeErrorKind::Missing { .. }
                | DecodeErrorKind::Repeated { .. }
        )
    }
}

/// Reads a whole body, whatever its elements are.
///
/// # Errors
/// If it is not WBXML as EAS uses it, or exceeds a [`Limits`] value.
pub fn check(body: &[u8]) -> Result<(), DecodeError> {
    Reader::new(body)?.finish()
}

/// One step of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An element begins. One without content has no [`Event::End`].
    Start(Element),
    /// The innermost open element ends.
    End,
    /// An inline or table string.
    Text(&'a str),
    /// One character given by number.
    Entity(char),
    /// Opaque bytes.
    Opaque(&'a [u8]),
}

/// An element that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// Its tag.
    pub tag: Tag,
    /// Whether anything, at least an END, follows for it.
    pub has_content: bool,
}

/// A pull parser over one body.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    string_table: &'a [u8],
    page: u8,
    depth: u16,
    root_seen: bool,
    events: u32,
    limits: Limits,
}

impl<'a> Reader<'a> {
    /// Reads the header of a body under the default [`Limits`].
    ///
    /// # Errors
    /// When the header is not that of a UTF-8 WBXML document, or the body is too large.
    pub fn new(input: &'a [u8]) -> Result<Self, DecodeError> {
        Self::with_limits(input, Limits::default())
    }

    /// Reads the header of a body.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limits(input: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        let mut reader = Self {
            input,
            position: 0,
            string_table: &[],
            page: 0,
            depth: 0,
            root_seen: false,
            events: 0,
            limits,
        };
        if input.len() > limits.document {
            return Err(reader.limit("the size of the body", limits.document));
        }
        let version = reader.byte()?;
        if !(0x01..=0x03).contains(&version) {
            let kind = if crate::http::is_html(input) {
                DecodeErrorKind::Html
            } else if input.trim_ascii_start().starts_with(b"<") {
                DecodeErrorKind::Xml
            } else {
                DecodeErrorKind::NotWbxml(version)
            };
            return Err(reader.error_at(0, kind));
        }
        if reader.integer()? == 0 {
            // Public identifier 0: its name is in the string table, at the index that follows.
            reader.integer()?;
        }
        let charset_at = reader.position;
        let charset = reader.integer()?;
        if charset != 106 && charset != 3 {
            return Err(reader.error_at(charset_at, DecodeErrorKind::Charset(charset)));
        }
        let length = reader.integer()? as usize;
        reader.string_table = reader.take(length)?;
        Ok(reader)
    }

    /// The next step, `None` at the proper end of the document.
    ///
    /// # Errors
    /// On anything EAS does not use, and on every broken bound.
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, DecodeError> {
        loop {
            let at = self.position;
            let Some(&token) = self.input.get(at) else {
                return match (self.depth, self.root_seen) {
                    (0, true) => Ok(None),
                    (0, false) => Err(self.error_at(at, DecodeErrorKind::Empty)),
                    _ => Err(self.error_at(at, DecodeErrorKind::Truncated)),
                };
            };
            if self.depth == 0 && self.root_seen {
                return Err(self.error_at(at, DecodeErrorKind::TrailingData));
            }
            self.position += 1;
            self.events += 1;
            if self.events > self.limits.events {
                return Err(self.limit(
                    "the number of elements and values",
                    self.limits.events as usize,
                ));
            }
            let event = match token {
                global::SWITCH_PAGE => {
                    self.page = self.byte()?;
                    continue;
                }
                global::END => {
                    self.depth = self
                        .depth
                        .checked_sub(1)
                        .ok_or_else(|| self.error_at(at, DecodeErrorKind::UnbalancedEnd))?;
                    Event::End
                }
                global::STR_I => Event::Text(self.inline_string()?),
                global::STR_T => Event::Text(self.table_string(at)?),
                global::ENTITY => {
                    let code = self.integer()?;
                    let letter = char::from_u32(code)
                        .ok_or_else(|| self.error_at(at, DecodeErrorKind::BadEntity(code)))?;
                    Event::Entity(letter)
                }
                global::OPAQUE => {
                    let length = self.integer()? as usize;
                    if length > self.limits.value {
                        return Err(self.limit("the size of an opaque value", self.limits.value));
                    }
                    Event::Opaque(self.take(length)?)
                }
                _ => Event::Start(self.element(token, at)?),
            };
            if self.depth == 0 && !matches!(event, Event::Start(_) | Event::End) {
                return Err(self.error_at(at, DecodeErrorKind::ContentOutsideRoot));
            }
            return Ok(Some(event));
        }
    }

    fn element(&mut self, token: u8, at: usize) -> Result<Element, DecodeError> {
        let unsupported = match token {
            global::LITERAL | global::LITERAL_C | global::LITERAL_A | global::LITERAL_AC => {
                Some("literal tags")
            }
            global::EXT_I_0..=global::EXT_I_2
            | global::EXT_T_0..=global::EXT_T_2
            | global::EXT_0..=global::EXT_2 => Some("extension tokens"),
            global::PI => Some("processing instructions"),
            _ if token & 0x80 != 0 => Some("attributes"),
            _ => None,
        };
        if let Some(what) = unsupported {
            return Err(self.error_at(at, DecodeErrorKind::Unsupported(what)));
        }
        let has_content = token & 0x40 != 0;
        if has_content {
            if self.depth >= self.limits.depth {
                return Err(self.limit("the nesting of elements", usize::from(self.limits.depth)));
            }
            self.depth += 1;
        }
        self.root_seen = true;
        Ok(Element {
            tag: Tag::new(self.page, token & Tag::LAST_TOKEN),
            has_content,
        })
    }

    fn inline_string(&mut self) -> Result<&'a str, DecodeError> {
        let at = self.position;
        let rest = &self.input[at..];
        let length = memchr::memchr(0, rest)
            .ok_or_else(|| self.error_at(at, DecodeErrorKind::UnterminatedString))?;
        if length > self.limits.value {
            return Err(self.limit("the length of a string", self.limits.value));
        }
        self.position = at + length + 1;
        self.utf8(&rest[..length], at)
    }

    fn table_string(&mut self, at: usize) -> Result<&'a str, DecodeError> {
        let index = self.integer()?;
        let rest = self
            .string_table
            .get(index as usize..)
            .filter(|rest| !rest.is_empty())
            .ok_or_else(|| self.error_at(at, DecodeErrorKind::BadStringReference(index)))?;
        let length = memchr::memchr(0, rest)
            .ok_or_else(|| self.error_at(at, DecodeErrorKind::UnterminatedString))?;
        if length > self.limits.value {
            return Err(self.limit("the length of a string", self.limits.value));
        }
        self.utf8(&rest[..length], at)
    }

    fn utf8(&self, bytes: &'a [u8], at: usize) -> Result<&'a str, DecodeError> {
        str::from_utf8(bytes)
            .map_err(|error| self.error_at(at + error.valid_up_to(), DecodeErrorKind::InvalidUtf8))
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self
            .input
            .get(self.position)
            .ok_or_else(|| self.error_at(self.position, DecodeErrorKind::Truncated))?;
        self.position += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self
            .position
            .checked_add(length)
            .and_then(|end| self.input.get(self.position..end))
            .ok_or_else(|| self.error_at(self.position, DecodeErrorKind::Truncated))?;
        self.position += length;
        Ok(bytes)
    }

    /// An `mb_u_int32`: seven bits a byte, the high bit says that more follow. Five bytes hold 35
    /// bits, so the top three must be zero; a sixth byte is refused even when it adds nothing.
    fn integer(&mut self) -> Result<u32, DecodeError> {
        let at = self.position;
        let mut value: u64 = 0;
        for _ in 0..5 {
            let byte = self.byte()?;
            value = value << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return u32::try_from(value)
                    .map_err(|_| self.error_at(at, DecodeErrorKind::IntegerOverflow));
            }
        }
        Err(self.error_at(at, DecodeErrorKind::IntegerOverflow))
    }

    fn error_at(&self, offset: usize, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { offset, kind }
    }

    fn limit(&self, what: &'static str, limit: usize) -> DecodeError {
        self.error_at(self.position, DecodeErrorKind::Limit { what, limit })
    }
}

/// What the typed commands are decoded with.
impl<'a> Reader<'a> {
    /// The root element, which must be `expected`.
    ///
    /// # Errors
    /// When it is another one, or the document is broken.
    pub fn root(&mut self, expected: Tag) -> Result<Element, DecodeError> {
        let at = self.position;
        match self.next_event()? {
            Some(Event::Start(element)) if element.tag == expected => Ok(element),
            Some(Event::Start(element)) => Err(self.error_at(
                at,
                DecodeErrorKind::WrongRoot {
                    expected,
                    found: element.tag,
                },
            )),
            _ => Err(self.error_at(at, DecodeErrorKind::Empty)),
        }
    }

    /// The next child of `parent`, whose earlier children must have been consumed; `None` when it
    /// ends. Text between elements means nothing in EAS and is passed over.
    ///
    /// # Errors
    /// When the document is broken.
    pub fn child(&mut self, parent: Element) -> Result<Option<Element>, DecodeError> {
        if !parent.has_content {
            return Ok(None);
        }
        loop {
            match self.next_event()? {
                Some(Event::Start(element)) => return Ok(Some(element)),
                Some(Event::End) | None => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// Consumes an element with all it holds.
    ///
    /// # Errors
    /// When the document is broken.
    pub fn skip(&mut self, element: Element) -> Result<(), DecodeError> {
        if !element.has_content {
            return Ok(());
        }
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next_event()?;
        }
        Ok(())
    }

    /// Consumes an element and returns its text, which is borrowed unless it came in pieces.
    ///
    /// # Errors
    /// When it holds elements, opaque data that is no UTF-8, or a NUL, which no text of XML can hold and
    /// which [`Writer::text`](super::Writer::text) refuses likewise.
    pub fn text(&mut self, element: Element) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.position;
        let text = self.any_text(element)?;
        if memchr::memchr(0, text.as_bytes()).is_some() {
            let found = text.replace('\0', "\\0");
            return Err(self.bad_value(start, element.tag, "text without NUL characters", &found));
        }
        Ok(text)
    }

    /// The text of an element, whatever its characters.
    fn any_text(&mut self, element: Element) -> Result<Cow<'a, str>, DecodeError> {
        let mut text = Cow::Borrowed("");
        if !element.has_content {
            return Ok(text);
        }
        loop {
            let at = self.position;
            match self.next_event()? {
                Some(Event::End) | None => return Ok(text),
                Some(Event::Text(piece)) => append(&mut text, piece),
                Some(Event::Entity(letter)) => text.to_mut().push(letter),
                Some(Event::Opaque(bytes)) => append(
                    &mut text,
                    // The document can be read all the same: opaque data may be anything.
                    str::from_utf8(bytes).map_err(|_| {
                        let found = String::from_utf8_lossy(bytes);
                        self.bad_value(at, element.tag, "UTF-8 text", &found)
                    })?,
                ),
                Some(Event::Start(_)) => {
                    return Err(self.error_at(at, DecodeErrorKind::TextExpected(element.tag)));
                }
            }
        }
    }

    /// Consumes an element and returns its text, whose length in characters must be within `lengths`.
    ///
    /// # Errors
    /// As [`text`](Self::text), and if the text is shorter or longer.
    pub fn text_within(
        &mut self,
        element: Element,
        lengths: &RangeInclusive<usize>,
        expected: &'static str,
    ) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.position;
        let text = self.text(element)?;
        if lengths.contains(&text.chars().count()) {
            Ok(text)
        } else {
            Err(self.bad_value(at, element.tag, expected, &text))
        }
    }

    /// Consumes an element and returns its bytes: opaque data, or a string's UTF-8.
    ///
    /// # Errors
    /// When it holds elements.
    pub fn bytes(&mut self, element: Element) -> Result<Cow<'a, [u8]>, DecodeError> {
        let mut all = Cow::Borrowed(&[][..]);
        if !element.has_content {
            return Ok(all);
        }
        loop {
            let at = self.position;
            let mut letters = [0; 4];
            let piece: &[u8] = match self.next_event()? {
                Some(Event::End) | None => return Ok(all),
                Some(Event::Text(text)) if all.is_empty() => {
                    all = Cow::Borrowed(text.as_bytes());
                    continue;
                }
                Some(Event::Opaque(bytes)) if all.is_empty() => {
                    all = Cow::Borrowed(bytes);
                    continue;
                }
                Some(Event::Text(text)) => text.as_bytes(),
                Some(Event::Opaque(bytes)) => bytes,
                Some(Event::Entity(letter)) => letter.encode_utf8(&mut letters).as_bytes(),
                Some(Event::Start(_)) => {
                    return Err(self.error_at(at, DecodeErrorKind::TextExpected(element.tag)));
                }
            };
            all.to_mut().extend_from_slice(piece);
        }
    }

    /// Consumes an element and parses its text as a decimal number.
    ///
    /// # Errors
    /// When the text is no such number.
    pub fn number<N: str::FromStr>(&mut self, element: Element) -> Result<N, DecodeError> {
        let at = self.position;
        let text = self.text(element)?;
        text.trim()
            .parse()
            .map_err(|_| self.bad_value(at, element.tag, "a number", &text))
    }

    /// Consumes an element that is a flag: empty or `1` is true, `0` is false.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn flag(&mut self, element: Element) -> Result<bool, DecodeError> {
        let at = self.position;
        let text = self.text(element)?;
        match text.trim() {
            "" | "1" => Ok(true),
            "0" => Ok(false),
            _ => Err(self.bad_value(at, element.tag, "0 or 1", &text)),
        }
    }

    /// Consumes an element and decodes its base64, white space aside; opaque data counts as bytes
    /// that need no decoding.
    ///
    /// # Errors
    /// When it holds elements, or text that is no base64.
    pub fn base64(&mut self, element: Element) -> Result<Cow<'a, [u8]>, DecodeError> {
        let at = self.position;
        if let Ok(Some(Event::Opaque(_))) = self.clone().next_event()
            && element.has_content
        {
            return self.bytes(element);
        }
        let text = self.text(element)?;
        let mut letters = text.as_bytes().to_vec();
        letters.retain(|letter| !letter.is_ascii_whitespace());
        BASE64
            .decode(letters)
            .map(Cow::Owned)
            .map_err(|_| self.bad_value(at, element.tag, "base64", &text))
    }

    /// Consumes an element that may be empty: `None` if it holds nothing but white space, as
    /// servers write what they do not know and phones what they do not want. Otherwise `read`
    /// consumes it.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn optional<T>(
        &mut self,
        element: Element,
        read: impl FnOnce(&mut Self, Element) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let mut ahead = self.clone();
        if ahead.is_empty(element)? {
            *self = ahead;
            return Ok(None);
        }
        read(self, element).map(Some)
    }

    /// Whether an element holds nothing but white space. Consumes it if so.
    fn is_empty(&mut self, element: Element) -> Result<bool, DecodeError> {
        if !element.has_content {
            return Ok(true);
        }
        loop {
            let is_blank = match self.next_event()? {
                Some(Event::End) | None => return Ok(true),
                Some(Event::Text(text)) => text.trim().is_empty(),
                Some(Event::Entity(letter)) => letter.is_whitespace(),
                Some(Event::Opaque(bytes)) => bytes.trim_ascii().is_empty(),
                Some(Event::Start(_)) => false,
            };
            if !is_blank {
                return Ok(false);
            }
        }
    }

    /// Consumes an element with `read`. If that fails although the element is well-formed WBXML,
    /// passes over the element and returns the error, so that the caller can go on behind it.
    ///
    /// # Errors
    /// When the document is broken inside the element.
    pub fn attempt<T>(
        &mut self,
        element: Element,
        read: impl FnOnce(&mut Self, Element) -> Result<T, DecodeError>,
    ) -> Result<Result<T, DecodeError>, DecodeError> {
        let mut behind = self.clone();
        match read(self, element) {
            Ok(value) => Ok(Ok(value)),
            Err(error) => {
                behind.skip(element)?;
                *self = behind;
                Ok(Err(error))
            }
        }
    }

    /// Consumes an element that holds two numbers, `0-9`.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn range(&mut self, element: Element) -> Result<(u32, u32), DecodeError> {
        self.parse(element, "a range such as 0-9", |text| {
            let (first, last) = text.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        })
    }

    /// Consumes an element whose number is one of a list.
    ///
    /// # Errors
    /// When the text is no number, or `choose` knows it not.
    pub fn choice<T>(
        &mut self,
        element: Element,
        expected: &'static str,
        choose: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, DecodeError> {
        self.parse(element, expected, |text| text.parse().ok().and_then(choose))
    }

    /// Consumes an element whose text, without white space around it, has a form of its own.
    ///
    /// # Errors
    /// When `parse` makes nothing of it.
    pub fn parse<T>(
        &mut self,
        element: Element,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, DecodeError> {
        let at = self.position;
        let text = self.text(element)?;
        parse(text.trim()).ok_or_else(|| self.bad_value(at, element.tag, expected, &text))
    }

    /// An error for a required child that never came.
    #[must_use]
    pub fn missing(&self, parent: Tag, child: Tag) -> DecodeError {
        self.error_at(self.position, DecodeErrorKind::Missing { parent, child })
    }

    /// An error for a child that is there more often than it may be.
    #[must_use]
    pub fn repeated(&self, parent: Tag, child: Tag) -> DecodeError {
        self.error_at(self.position, DecodeErrorKind::Repeated { parent, child })
    }

    /// An error for an element whose text has not the form it must have; `at` is where it begins.
    fn bad_value(&self, at: usize, tag: Tag, expected: &'static str, found: &str) -> DecodeError {
        const READABLE: usize = 40;
        let found = found.chars().take(READABLE).collect();
        self.error_at(
            at,
            DecodeErrorKind::BadValue {
                tag,
                expected,
                found,
            },
        )
    }

    /// Consumes the rest of the document and makes sure that it ends properly.
    ///
    /// # Errors
    /// When it does not.
    pub fn finish(mut self) -> Result<(), DecodeError> {
        while self.next_event()?.is_some() {}
        Ok(())
    }
}

fn append<'a>(text: &mut Cow<'a, str>, piece: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(piece);
    } else {
        text.to_mut().push_str(piece);
    }
}
