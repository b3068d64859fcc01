//! Text that people and their tools write, and numbers as people read them.
//!
//! The crate knows nothing of the product: it converts between bytes, numbers and text.

mod units;

pub use units::{
    duration_text, format_duration, optional_duration_text, parse_duration, parse_size, parse_sizes,
};

/// A text of at most `size` bytes, in lines of 72 letters, as mail programs write them.
#[must_use]
pub fn lines(size: usize) -> String {
    const LINE: &str =
        "The quick brown fox jumps over the lazy dog and runs on to the river ok.\r\n";
    let mut text = LINE.repeat(size.div_ceil(LINE.len()));
    text.truncate(size);
    text.truncate(text.trim_end().len());
    text
}

/// A server's text must not move the cursor of the terminal that shows it.
#[must_use]
pub fn clean(text: &str) -> String {
    let letters = text.chars();
    letters
        .map(|letter| {
            if letter.is_control() || turns_text(letter) {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// Bytes of a file → text. Windows editors and PowerShell write UTF-16 and byte order marks; a mark is no part of
/// the text.
///
/// # Errors
/// In words, with the line of the first bytes that are neither. Nothing of the file is in it: it may hold
/// passwords.
pub fn decode(bytes: &[u8]) -> Result<String, String> {
    let fail = |before: &str| {
        // UTF-16 without a mark is mostly valid UTF-8, with a NUL in every other byte.
        let before = before.split('\0').next().unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("expected UTF-8, or UTF-16 with a byte order mark; line {line} is neither")
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes).map_err(|before| fail(&before)),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes).map_err(|before| fail(&before)),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) if text.contains('\0') => Err(fail(text)),
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(fail(&String::from_utf8_lossy(&rest[..error.valid_up_to()]))),
        },
    }
}

/// Bytes of any tool → text. Windows tools write UTF-16 when PowerShell redirects them, the OEM code page when
/// cmd does, ANSI from logman and relog, UTF-8 from windows_exporter.
///
/// Reads a byte order mark if there is one, recognises UTF-16 without one, and takes anything else
/// as UTF-8. A byte of another code page becomes U+FFFD, which the parsers do not depend on.
#[must_use]
pub fn decode_any(bytes: &[u8]) -> String {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xFF, 0xFE, rest @ ..] => utf16_lossy(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16_lossy(rest, u16::from_be_bytes),
        _ if looks_like_utf16(bytes, 1) => utf16_lossy(bytes, u16::from_le_bytes),
        _ if looks_like_utf16(bytes, 0) => utf16_lossy(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// UTF-16 of mostly Latin letters has a zero in every second byte: the first or, in the little-endian
/// order, the second of each pair.
fn looks_like_utf16(bytes: &[u8], high: usize) -> bool {
    /// Enough to tell.
    const LOOK: usize = 64;
    let start = &bytes[..bytes.len().min(LOOK)];
    let high = start.iter().skip(high).step_by(2);
    let zeros = high.clone().filter(|byte| **byte == 0).count();
    start.len() >= 4 && zeros * 4 > high.count() * 3
}

fn utf16_lossy(bytes: &[u8], read: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// In the error: the text before the mistake.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    for letter in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match letter {
            Ok(letter) => text.push(letter),
            Err(_) => return Err(text),
        }
    }
    if rest.is_empty() { Ok(text) } else { Err(text) }
}

/// A ratio for people. Above a thousand the digits mean nothing: the first of the two values is nearly zero.
#[must_use]
pub fn times(ratio: f64) -> String {
    if ratio > 1000.0 {
        "> 1000×".to_owned()
    } else if ratio > 0.0 && ratio < 0.005 {
        "< 0.01×".to_owned()
    } else {
        format!("{ratio:.2}×")
    }
}

/// Two bounds of a ratio for people. Without an upper bound there is nothing to print for it.
#[must_use]
pub fn times_between(low: f64, high: f64) -> String {
    if high.is_infinite() {
        format!("{} and more", times(low))
    } else {
        format!("{} to {}", times(low), times(high))
    }
}

/// A number without decimals, and without the sign of a zero.
#[must_use]
pub fn whole(number: f64) -> String {
    let text = format!("{number:.0}");
    if text == "-0" { "0".to_owned() } else { text }
}

/// What a shell command runs, where that is its first word: variables before it and arguments behind it
/// may hold secrets, with spaces in them.
#[must_use]
pub fn program(command: &str) -> &str {
    let first = command.split_whitespace().next();
    first.filter(|word| !word.contains('=')).unwrap_or("…")
}

/// A URL without what may be secret in it: user, password and query.
#[must_use]
pub fn bare_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Whether it ends a line or turns the direction of what follows, so that a text looks like another.
const fn turns_text(letter: char) -> bool {
    matches!(
        letter,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        assert_eq!(program("curl -u a:b http://ex01"), "curl");
        assert_eq!(program("/bin/read --all"), "/bin/read");
        assert_eq!(program("TOKEN=\"my secret\" curl http://ex01"), "…");
        assert_eq!(program(""), "…");
        assert_eq!(
            bare_url("https://u:p@ex01:91/m/x?key=1#z"),
            "https://ex01:91/m/x"
        );
        assert_eq!(bare_url("http://ex01"), "http://ex01");
        assert_eq!(bare_url("https://ex01?to=a@b"), "https://ex01");
    }

    #[test]
    fn every_encoding_of_windows_is_read_and_mistakes_have_lines() {
        let text = "user,password\r\nj\u{fc}rgen,\u{1f511}\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            [b"\xFF\xFE", little.as_slice()].concat(),
            [b"\xFE\xFF", big.as_slice()].concat(),
        ] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text));
        }
        assert_eq!(decode(b"").as_deref(), Ok(""));
        for (bytes, line) in [
            (&b"a\nhush\xfc"[..], 2),
            (&b"\xFF\xFEa\0\n\0\x00\xd8"[..], 2),
            (&b"\xFF\xFEa"[..], 1),
            (&little, 1),
        ] {
            let error = decode(bytes).unwrap_err();
            let expected =
                format!("expected UTF-8, or UTF-16 with a byte order mark; line {line} is neither");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn bytes_of_any_tool_become_text() {
        let text = "TCP  ABHÖREN\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode_any(text.as_bytes()), text);
        assert_eq!(
            decode_any(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()),
            text
        );
        assert_eq!(decode_any(&[b"\xFF\xFE", little.as_slice()].concat()), text);
        assert_eq!(decode_any(&[b"\xFE\xFF", big.as_slice()].concat()), text);
        assert_eq!(decode_any(&little), text);
        assert_eq!(decode_any(&big), text);
        assert_eq!(decode_any(b"TCP  ABH\x99REN"), "TCP  ABH\u{FFFD}REN");
        assert_eq!(decode_any(b""), "");
        assert_eq!(decode_any(b"\xFF\xFE\x41"), "");
    }

    #[test]
    fn ratios_have_bounds_and_zero_has_no_sign() {
        for (ratio, text) in [
            (1.0, "1.00×"),
            (0.0, "0.00×"),
            (0.004, "< 0.01×"),
            (0.005, "0.01×"),
            (999.994, "999.99×"),
            (1000.0, "1000.00×"),
            (1000.1, "> 1000×"),
            (5_197_255_509.65, "> 1000×"),
            (f64::INFINITY, "> 1000×"),
        ] {
            assert_eq!(times(ratio), text, "{ratio}");
        }
        for (low, high, text) in [
            (0.5, 2.0, "0.50× to 2.00×"),
            (0.99, f64::INFINITY, "0.99× and more"),
            (2000.0, 3000.0, "> 1000× to > 1000×"),
        ] {
            assert_eq!(times_between(low, high), text);
        }
        for (number, text) in [
            (-0.0, "0"),
            (-0.4, "0"),
            (-0.6, "-1"),
            (0.4, "0"),
            (7.0, "7"),
        ] {
            assert_eq!(whole(number), text, "{number}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_replaced() {
        assert_eq!(
            clean("a\u{1b}[2J\n\u{202e}b é"),
            "a\u{fffd}[2J\u{fffd}\u{fffd}b é"
        );
    }
}
