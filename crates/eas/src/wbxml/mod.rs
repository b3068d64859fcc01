//! WBXML as EAS uses it (ASWBXML 2.1): tag tokens in code pages, inline strings and opaque data.
//!
//! [`Reader`] is a pull parser over a byte slice that allocates nothing; [`Writer`] is its
//! inverse. Both trust no length and no nesting: see [`Limits`]. [`to_xml`] and [`from_xml`]
//! translate whole bodies for people.

mod pages;
mod reader;
mod writer;
mod xml;

pub use pages::*;
pub use reader::{DecodeError, DecodeErrorKind, Element, Event, Limits, Reader, check};
pub use writer::{EncodeError, Writer};
pub use xml::{XmlError, from_xml, to_xml};

/// The four header bytes of every EAS body: WBXML 1.3, unknown public identifier, UTF-8, empty
/// string table (ASWBXML 2.1.2).
pub const HEADER: [u8; 4] = [0x03, 0x01, 0x6A, 0x00];

/// Global tokens (WBXML 1.3, section 7.1).
pub(crate) mod global {
    pub(crate) const SWITCH_PAGE: u8 = 0x00;
    pub(crate) const END: u8 = 0x01;
    pub(crate) const ENTITY: u8 = 0x02;
    pub(crate) const STR_I: u8 = 0x03;
    pub(crate) const LITERAL: u8 = 0x04;
    pub(crate) const EXT_I_0: u8 = 0x40;
    pub(crate) const EXT_I_2: u8 = 0x42;
    pub(crate) const PI: u8 = 0x43;
    pub(crate) const LITERAL_C: u8 = 0x44;
    pub(crate) const EXT_T_0: u8 = 0x80;
    pub(crate) const EXT_T_2: u8 = 0x82;
    pub(crate) const STR_T: u8 = 0x83;
    pub(crate) const LITERAL_A: u8 = 0x84;
    pub(crate) const EXT_0: u8 = 0xC0;
    pub(crate) const EXT_2: u8 = 0xC2;
    pub(crate) const OPAQUE: u8 = 0xC3;
    pub(crate) const LITERAL_AC: u8 = 0xC4;
}
