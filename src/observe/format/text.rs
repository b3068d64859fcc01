//! Bytes → text. Windows tools write UTF-16 when PowerShell redirects them, the OEM code page when
//! cmd does, ANSI from logman and relog, UTF-8 from the exporter.

/// Reads a byte order mark if there is one, recognises UTF-16 without one, and takes anything else
/// as UTF-8. A byte of another code page becomes U+FFFD, which the parsers do not depend on.
#[must_use]
pub(in crate::observe) fn decode(bytes: &[u8]) -> String {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if looks_like_utf16(bytes, 1) => utf16(bytes, u16::from_le_bytes),
        _ if looks_like_utf16(bytes, 0) => utf16(bytes, u16::from_be_bytes),
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

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_windows() {
        let text = "TCP  ABHÖREN\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(text.as_bytes()), text);
        assert_eq!(decode(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()), text);
        assert_eq!(decode(&[b"\xFF\xFE", little.as_slice()].concat()), text);
        assert_eq!(decode(&[b"\xFE\xFF", big.as_slice()].concat()), text);
        assert_eq!(decode(&little), text);
        assert_eq!(decode(&big), text);
        assert_eq!(decode(b"TCP  ABH\x99REN"), "TCP  ABH\u{FFFD}REN");
        assert_eq!(decode(b""), "");
        assert_eq!(decode(b"\xFF\xFE\x41"), "");
    }
}
