//! A body as XML, for logs and people, and back.
//!
//! Elements carry their code page as default namespace, declared where it changes. Opaque data
//! that is readable text becomes a CDATA section; everything XML cannot hold becomes a processing
//! instruction, `<?opaque BASE64?>` or `<?text BASE64?>`. A token that nobody has published is
//! written as `_page.token`, so that every document survives the way there and back.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use quick_xml::events::{BytesCData, BytesEnd, BytesPI, BytesStart, BytesText, Event as Xml};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::{DecodeError, Element, EncodeError, Event, Page, Reader, Tag, Writer};

/// Why XML could not be turned into WBXML.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// The WBXML side is broken.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The document cannot be expressed in WBXML.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Not well-formed XML.
    #[error("byte {offset}: {message}")]
    Syntax {
        /// Where.
        offset: u64,
        /// What the parser says.
        message: String,
    },
    /// An element outside every code page.
    #[error("byte {offset}: element `{name}` {problem}")]
    Element {
        /// Where.
        offset: u64,
        /// The element.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// XML that has no counterpart.
    #[error("byte {offset}: {what} cannot be expressed in WBXML")]
    Unsupported {
        /// Where.
        offset: u64,
        /// What.
        what: &'static str,
    },
}

/// Renders a body as indented XML.
///
/// # Errors
/// When the body is not what [`Reader`] accepts.
pub fn to_xml(body: &[u8]) -> Result<String, DecodeError> {
    let mut reader = Reader::new(body)?;
    let mut out = quick_xml::Writer::new_with_indent(Vec::new(), b' ', 2);
    let mut open: Vec<(Tag, String)> = Vec::new();
    while let Some(event) = reader.next_event()? {
        let written = match event {
            Event::Start(Element { tag, has_content }) => {
                let name = element_name(tag);
                let mut start = BytesStart::new(name.clone());
                if open
                    .last()
                    .is_none_or(|(parent, _)| parent.page() != tag.page())
                {
                    start.push_attribute(("xmlns", namespace(tag.page()).as_str()));
                }
                if has_content {
                    open.push((tag, name));
                    out.write_event(Xml::Start(start))
                } else {
                    out.write_event(Xml::Empty(start))
                }
            }
            Event::End => {
                let (_, name) = open.pop().unwrap_or((Tag::new(0, 0), String::new()));
                out.write_event(Xml::End(BytesEnd::new(name)))
            }
            Event::Text(text) => write_text(&mut out, text),
            Event::Entity(letter) => write_text(&mut out, letter.encode_utf8(&mut [0; 4])),
            Event::Opaque(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() && is_xml_text(text) && !text.contains("]]>") => {
                    out.write_event(Xml::CData(BytesCData::new(text)))
                }
                _ => out.write_event(instruction("opaque", bytes)),
            },
        };
        written.expect("writing to memory cannot fail");
    }
    let mut text = String::from_utf8(out.into_inner()).expect("made of strings");
    text.push('\n');
    Ok(text)
}

fn write_text(out: &mut quick_xml::Writer<Vec<u8>>, text: &str) -> std::io::Result<()> {
    if !is_xml_text(text) {
        return out.write_event(instruction("text", text.as_bytes()));
    }
    // A parser turns a bare CR into LF, so it has to travel as a reference.
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            _ => escaped.push(letter),
        }
    }
    out.write_event(Xml::Text(BytesText::from_escaped(escaped)))
}

fn instruction(target: &str, bytes: &[u8]) -> Xml<'static> {
    let mut content = format!("{target} ");
    BASE64.encode_string(bytes, &mut content);
    Xml::PI(BytesPI::new(content))
}

/// Whether every character may stand in an XML 1.0 document.
fn is_xml_text(text: &str) -> bool {
    text.chars().all(|letter| {
        matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
    })
}

fn element_name(tag: Tag) -> String {
    match tag.name() {
        Some(name) => name.to_owned(),
        None => format!("_{:02x}.{:02x}", tag.page(), tag.token()),
    }
}

fn namespace(page: u8) -> String {
    match super::PAGES.get(usize::from(page)) {
        Some(page) => page.namespace.to_owned(),
        None => format!("page-{page}"),
    }
}

/// Encodes XML as written by [`to_xml`], or by hand. White space between elements is layout.
///
/// # Errors
/// When it is not well-formed, or names an element or namespace that is in no code page.
pub fn from_xml(text: &str) -> Result<Vec<u8>, XmlError> {
    let mut reader = NsReader::from_str(text);
    let mut encoder = Encoder {
        writer: Writer::new(),
        pending: String::new(),
        leaf: Vec::new(),
        has_root: false,
    };
    loop {
        let offset = reader.buffer_position();
        let (resolved, event) = reader
            .read_resolved_event()
            .map_err(|error| XmlError::Syntax {
                offset,
                message: error.to_string(),
            })?;
        match event {
            Xml::Start(start) => {
                let tag = resolve(&resolved, &start, offset)?;
                encoder.check_root(tag, offset)?;
                encoder.start(tag);
            }
            Xml::Empty(start) => {
                let tag = resolve(&resolved, &start, offset)?;
                encoder.check_root(tag, offset)?;
                encoder.start(tag);
                encoder.end();
            }
            Xml::End(_) => encoder.end(),
            Xml::Text(piece) => {
                let piece = piece.decode().map_err(|error| syntax(offset, &error))?;
                encoder.text(&piece, offset)?;
            }
            Xml::GeneralRef(reference) => {
                let letter = reference
                    .resolve_char_ref()
                    .map_err(|error| syntax(offset, &error))?;
                let name = reference.decode().map_err(|error| syntax(offset, &error))?;
                let resolved = match letter {
                    Some(letter) => letter.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name)
                        .ok_or_else(|| XmlError::Syntax {
                            offset,
                            message: format!("unknown entity `&{name};`"),
                        })?
                        .to_owned(),
                };
                encoder.reference(&resolved);
            }
            Xml::CData(data) => encoder.opaque(&data),
            Xml::PI(content) => encoder.instruction(content.target(), content.content(), offset)?,
            Xml::Eof => return Ok(encoder.writer.finish()?),
            Xml::Decl(_) | Xml::DocType(_) | Xml::Comment(_) => {}
        }
    }
}

fn syntax(offset: u64, error: &dyn std::fmt::Display) -> XmlError {
    XmlError::Syntax {
        offset,
        message: error.to_string(),
    }
}

fn resolve(
    resolved: &ResolveResult<'_>,
    start: &BytesStart<'_>,
    offset: u64,
) -> Result<Tag, XmlError> {
    let local = String::from_utf8_lossy(start.local_name().into_inner()).into_owned();
    let problem = |problem: String| XmlError::Element {
        offset,
        name: local.clone(),
        problem,
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| syntax(offset, &error))?;
        if attribute.key.as_namespace_binding().is_none() {
            return Err(XmlError::Unsupported {
                offset,
                what: "an attribute",
            });
        }
    }
    if let Some((page, token)) = local
        .strip_prefix('_')
        .and_then(|rest| rest.split_once('.'))
    {
        let number = |text: &str| u8::from_str_radix(text, 16).ok();
        return number(page)
            .zip(number(token))
            .and_then(|(page, token)| Tag::from_numbers(page, token))
            .ok_or_else(|| problem("is not of the form _PAGE.TOKEN, in hexadecimal".to_owned()));
    }
    let ResolveResult::Bound(bound) = resolved else {
        return Err(problem(
            "has no namespace; expected one such as xmlns=\"AirSync\"".to_owned(),
        ));
    };
    let namespace = String::from_utf8_lossy(bound.into_inner()).into_owned();
    let page = Page::from_namespace(&namespace).ok_or_else(|| {
        let mut text = format!("has the unknown namespace `{namespace}`; known are");
        for page in &super::PAGES {
            let _ = write!(text, " {}", page.namespace);
        }
        problem(text)
    })?;
    Tag::from_name(page, &local)
        .ok_or_else(|| problem(format!("is not in code page {} ({namespace})", page.number)))
}

/// Gathers text until it is known whether it is layout: white space beside elements is, white
/// space alone in an element is not.
struct Encoder {
    writer: Writer,
    pending: String,
    /// For each open element: no child element so far.
    leaf: Vec<bool>,
    has_root: bool,
}

impl Encoder {
    /// A document has one root element.
    fn check_root(&mut self, tag: Tag, offset: u64) -> Result<(), XmlError> {
        if self.leaf.is_empty() && std::mem::replace(&mut self.has_root, true) {
            return Err(XmlError::Element {
                offset,
                name: tag.name().unwrap_or_default().to_owned(),
                problem: "is a second root element; a document has one".to_owned(),
            });
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag) {
        self.flush(false);
        if let Some(leaf) = self.leaf.last_mut() {
            *leaf = false;
        }
        self.leaf.push(true);
        self.writer.start(tag);
    }

    fn end(&mut self) {
        let leaf = self.leaf.pop().unwrap_or(false);
        self.flush(leaf);
        self.writer.end_or_empty();
    }

    fn flush(&mut self, keep_white_space: bool) {
        let text = std::mem::take(&mut self.pending);
        if keep_white_space || !text.trim().is_empty() {
            self.writer.text(&text);
        }
    }

    fn text(&mut self, piece: &str, offset: u64) -> Result<(), XmlError> {
        if self.leaf.is_empty() {
            if piece.trim().is_empty() {
                return Ok(());
            }
            return Err(XmlError::Unsupported {
                offset,
                what: "text outside the root element",
            });
        }
        self.pending.push_str(piece);
        Ok(())
    }

    fn reference(&mut self, text: &str) {
        self.pending.push_str(text);
    }

    /// Before a value that is no plain text: what white space stands around it is layout.
    fn value(&mut self) -> &mut Writer {
        self.flush(false);
        if let Some(leaf) = self.leaf.last_mut() {
            *leaf = false;
        }
        &mut self.writer
    }

    fn opaque(&mut self, bytes: &[u8]) {
        self.value().opaque(bytes);
    }

    fn instruction(&mut self, target: &[u8], content: &[u8], offset: u64) -> Result<(), XmlError> {
        if target != b"opaque" && target != b"text" {
            return Ok(());
        }
        let bytes = BASE64
            .decode(content.trim_ascii())
            .map_err(|error| syntax(offset, &format!("bad base64: {error}")))?;
        if target == b"opaque" {
            self.opaque(&bytes);
        } else {
            let text = String::from_utf8(bytes).map_err(|error| syntax(offset, &error))?;
            self.value().text(&text);
        }
        Ok(())
    }
}
