//! What the W3C logs of IIS and HTTP.sys have in common.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

/// Longest text of a field, in bytes. HTTP.sys cuts a URL there (learn.microsoft.com, "Format of
/// the HTTP Server API Error Logs"); we cut every text so, which bounds a line.
const LIMIT: usize = 4096;

/// A field whose text came from a client: it cannot end the field or the line, and is `-` when
/// empty.
pub(super) struct Field<'a>(pub(super) &'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('-');
        }
        escape(f, self.0, LIMIT, |byte| {
            byte.is_ascii_graphic() && byte != b'"'
        })
    }
}

/// Writes a text with `+` for blanks and `%XX` for every byte that is not plain, up to `limit`
/// bytes. Bytes outside ASCII are never plain: some readers break lines at U+0085 and U+2028.
pub(super) fn escape(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    limit: usize,
    is_plain: impl Fn(u8) -> bool,
) -> fmt::Result {
    // Nearly every text is plain as it is.
    if text.len() <= limit && text.bytes().all(&is_plain) {
        return f.write_str(text);
    }
    let mut room = limit;
    for byte in text.bytes() {
        let is_single = byte == b' ' || is_plain(byte);
        let Some(left) = room.checked_sub(if is_single { 1 } else { 3 }) else {
            break;
        };
        room = left;
        match byte {
            b' ' => f.write_char('+')?,
            _ if is_single => f.write_char(char::from(byte))?,
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

/// The directives above the lines, without a line end after the last.
pub(super) fn header(software: &str, began: Timestamp, fields: &str) -> String {
    format!(
        "#Software: {software}\n#Version: 1.0\n#Date: {}\n#Fields: {fields}",
        stamp(began)
    )
}

/// Date and time, in UTC and whole seconds as both logs have them.
pub(super) fn stamp(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%S")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_word_of_ascii() {
        assert_eq!(
            Field("a b\t\"c\"\r\n\u{85}\u{2028}").to_string(),
            "a+b%09%22c%22%0D%0A%C2%85%E2%80%A8"
        );
        assert_eq!(Field("").to_string(), "-");
    }

    #[test]
    fn a_field_is_cut_between_escapes() {
        assert_eq!(Field(&"a".repeat(5000)).to_string().len(), 4096);
        let escaped = Field(&"ü".repeat(5000)).to_string();
        assert_eq!(escaped.len(), 4095);
        assert!(escaped.ends_with("%C3"));
    }
}
