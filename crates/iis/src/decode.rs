//! Bytes of a file → text without byte order mark.

use std::borrow::Cow;

use crate::error::{ConfigError, Draft};

/// A hundred times the configuration of an Exchange server, which has about 170 kB: room for a
/// hoster's thousands of sites, and no memory for a file that was named by mistake.
const MAX_SIZE: usize = 16 << 20;

pub(crate) fn decode<'b>(file: &str, bytes: &'b [u8]) -> Result<Cow<'b, str>, ConfigError> {
    if bytes.len() > MAX_SIZE {
        let message = format!(
            "has {} bytes; expected an applicationHost.config of at most {MAX_SIZE}",
            bytes.len()
        );
        return Err(ConfigError::new(
            file,
            "",
            vec![Draft::new(0, "file", message)],
        ));
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes).map(Cow::Owned),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => utf_8(rest).map(Cow::Borrowed),
    };
    // UTF-16 without byte order mark is mostly valid UTF-8, with a NUL in every other byte.
    let text = text.and_then(|text| match text.find('\0') {
        Some(at) => Err(text[..at].to_owned()),
        None => Ok(text),
    });
    text.map_err(|before| {
        let message = "cannot be decoded here; expected UTF-8, or UTF-16 with a byte order mark";
        ConfigError::new(
            file,
            &before,
            vec![Draft::new(before.len(), "file", message)],
        )
    })
}

/// In the error: the text before the mistake.
fn utf_8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (before, _) = bytes.split_at(error.valid_up_to());
        String::from_utf8_lossy(before).into_owned()
    })
}

/// In the error: the text before the mistake.
fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for letter in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match letter {
            Ok(letter) => text.push(letter),
            Err(_) => return Err(text),
        }
    }
    if rest.is_empty() { Ok(text) } else { Err(text) }
}
