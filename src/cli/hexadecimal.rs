//! Bytes as logs and tools write them: hexadecimal in many forms, and base64.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use eas::wbxml::Limits;

/// What an error says was expected.
const EXPECTED: &str = "expected bytes such as `03 01 6a`, `3 1 6a`, `0x03, 0x01`, `03:01:6a`, \
                        or lines of a hex dump";
/// Base64 with and without its padding: logs cut it off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Digits of the shortest offset in front of a line (Wireshark's).
const OFFSET_DIGITS: usize = 4;
/// `hexdump -C` and Wireshark put a wider gap behind this many bytes.
const HALF_ROW: usize = 8;
/// Digits of the largest group in a list: four bytes. Longer ones are a run, which may be wrapped
/// anywhere.
const GROUP_DIGITS: usize = 8;
/// Characters of a wrong part that an error shows.
const SHOWN: usize = 20;

/// Reads hexadecimal: with and without separators, with one digit for small bytes, with `0x`, as
/// lines of `hexdump -C`, `xxd`, `od -A x -t x1` or Wireshark.
///
/// # Errors
/// Names the line and what was expected there.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = || {
        text.lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim_end()))
            .filter(|(_, line)| !line.trim_start().is_empty())
    };
    match lines().next() {
        None => Err(format!("line 1: there is nothing; {EXPECTED}")),
        Some((_, first)) if is_dump(first) => Dump::default().read(lines()),
        Some(_) => read_list(lines()),
    }
}

/// Reads base64, white space aside.
///
/// # Errors
/// Names the line and what was expected there.
pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    const EXPECTED: &str = "expected base64: letters, digits, `+`, `/` and `=` at the end";
    let text = text.trim_start_matches('\u{feff}');
    let mut letters = String::with_capacity(text.len());
    for (index, line) in text.lines().enumerate() {
        for letter in line.chars().filter(|letter| !letter.is_whitespace()) {
            let is_good = letter.is_ascii_alphanumeric() || "+/=".contains(letter);
            if !is_good || (letters.ends_with('=') && letter != '=') {
                let number = index + 1;
                return Err(format!("line {number}: found `{letter}`; {EXPECTED}"));
            }
            letters.push(letter);
        }
    }
    let last = text.lines().count().max(1);
    BASE64
        .decode(letters)
        .map_err(|error| format!("line {last}: {error}; {EXPECTED}"))
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn wrong(line: usize, part: &str) -> String {
    let part: String = part.chars().take(SHOWN).collect();
    format!("line {line}: `{part}` is not hexadecimal; {EXPECTED}")
}

/// An even number of digits as bytes.
fn push(out: &mut Vec<u8>, digits: &str) -> Option<()> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    for pair in digits.as_bytes().chunks(2) {
        let pair = std::str::from_utf8(pair).ok()?;
        out.push(u8::from_str_radix(pair, 16).ok()?);
    }
    Some(())
}

/// Bytes without offsets: digits that any of the usual separators may part.
fn read_list<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<u8>, String> {
    let mut parts: Vec<(usize, &str)> = Vec::new();
    for (number, line) in lines {
        for part in
            line.split(|letter: char| letter.is_whitespace() || ",;:-{}[]()\"'\\".contains(letter))
        {
            let digits = ["0x", "0X", "x", "X"]
                .iter()
                .find_map(|prefix| part.strip_prefix(prefix))
                .unwrap_or(part);
            if is_hex(digits) {
                parts.push((number, digits));
            } else if !part.is_empty() {
                return Err(wrong(number, part));
            }
        }
    }
    let are_bytes = parts.iter().all(|(_, digits)| digits.len() <= 2);
    let mut out = Vec::new();
    if are_bytes && parts.iter().any(|(_, digits)| digits.len() == 1) {
        let bytes = parts
            .iter()
            .filter_map(|(_, digits)| u8::from_str_radix(digits, 16).ok());
        return Ok(bytes.collect());
    }
    let odd = |number: usize, digits: &str| {
        let end: String = digits.chars().take(SHOWN).collect();
        format!(
            "line {number}: `{end}` has an odd number of digits; expected two digits for each byte"
        )
    };
    let is_run = parts.iter().any(|(_, digits)| digits.len() > GROUP_DIGITS);
    if !is_run {
        for (number, digits) in &parts {
            push(&mut out, digits).ok_or_else(|| odd(*number, digits))?;
        }
        return Ok(out);
    }
    let run: String = parts.iter().map(|(_, digits)| *digits).collect();
    let last = parts.last().map_or(1, |(number, _)| *number);
    push(&mut out, &run).ok_or_else(|| {
        format!("line {last}: the digits end inside a byte; expected two digits for each byte")
    })?;
    Ok(out)
}

/// Whether a line begins with an offset. No WBXML begins with four zeros, so without a colon
/// zeros are one.
fn is_dump(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    let Some((digits, has_colon)) = offset_digits(first) else {
        return false;
    };
    has_colon || digits.bytes().all(|digit| digit == b'0')
}

/// The digits of an offset, and whether a colon follows them.
fn offset_digits(part: &str) -> Option<(&str, bool)> {
    let bare = part.strip_suffix(':').unwrap_or(part);
    let digits = bare.strip_prefix("0x").unwrap_or(bare);
    let is_offset = digits.len() >= OFFSET_DIGITS && is_hex(digits);
    is_offset.then_some((digits, bare.len() < part.len()))
}

/// A hex dump as far as it has been read.
#[derive(Default)]
struct Dump {
    out: Vec<u8>,
    /// Where the last row begins.
    row: usize,
    /// The offset of the first row.
    base: Option<usize>,
    /// A `*` stands for rows equal to the last one.
    repeats: bool,
}

impl Dump {
    fn read<'a>(
        mut self,
        lines: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<Vec<u8>, String> {
        for (number, line) in lines {
            if line.trim() == "*" {
                self.repeats = true;
                continue;
            }
            let line = line.trim_start();
            let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let (offset, has_colon) = offset_digits(first)
                .and_then(|(digits, colon)| Some((usize::from_str_radix(digits, 16).ok()?, colon)))
                .ok_or_else(|| {
                    let first: String = first.chars().take(SHOWN).collect();
                    format!(
                        "line {number}: `{first}` is not an offset; expected a line of a hex dump"
                    )
                })?;
            let base = *self.base.get_or_insert(offset);
            if std::mem::take(&mut self.repeats) {
                self.repeat(number, offset.saturating_sub(base))?;
            }
            self.row = self.out.len();
            self.bytes(number, rest, has_colon)?;
            // The last offset is the size, which words may have been filled up beyond.
            if self.out.len() == self.row
                && self.row.checked_sub(1) == Some(offset.saturating_sub(base))
            {
                self.out.pop();
                self.row = self.out.len();
            }
        }
        Ok(self.out)
    }

    /// Repeats the last row up to that offset.
    fn repeat(&mut self, number: usize, end: usize) -> Result<(), String> {
        let row = self.out[self.row..].to_vec();
        let missing = end.checked_sub(self.out.len()).filter(|missing| {
            end <= Limits::DOCUMENT && !row.is_empty() && missing.is_multiple_of(row.len())
        });
        let missing = missing.ok_or_else(|| {
            format!(
                "line {number}: the offset does not fit the `*` above; expected a whole number of rows, \
                 at most {} bytes in all",
                Limits::DOCUMENT
            )
        })?;
        for _ in 0..missing / row.len() {
            self.out.extend_from_slice(&row);
        }
        Ok(())
    }

    /// The bytes of a row, up to its text column: that stands behind a wider gap.
    fn bytes(&mut self, number: usize, rest: &str, has_colon: bool) -> Result<(), String> {
        let mut rest = rest.trim_start();
        let mut gap = 0;
        while !rest.is_empty() && !rest.starts_with(['|', '>']) {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (part, tail) = rest.split_at(end);
            let count = self.out.len() - self.row;
            let is_half = !has_colon && count == HALF_ROW && gap == 2 && part.len() == 2;
            if gap > 1 && !(is_half && is_hex(part)) {
                break;
            }
            if !is_hex(part) {
                return Err(wrong(number, part));
            }
            let begin = self.out.len();
            if part.len() == 1 {
                self.out.extend(u8::from_str_radix(part, 16).ok());
            } else {
                push(&mut self.out, part).ok_or_else(|| wrong(number, part))?;
            }
            // Without -C, hexdump shows little-endian words, as od -x does; xxd has a colon.
            if part.len() == 4 && !has_colon {
                self.out[begin..].reverse();
            }
            rest = tail.trim_start();
            gap = tail.len() - rest.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `03 01 6a 00 00 06 45 4d 4e`, and more where a form needs it.
    const BYTES: [u8; 9] = [3, 1, 0x6a, 0, 0, 6, 0x45, 0x4d, 0x4e];

    #[test]
    fn every_usual_form_of_hexadecimal_is_read() {
        for text in [
            "03016a00000645 4d4e",
            "03016A000006454D4E\n",
            "03016a00000\n6454d4\ne\n",
            "03016a00000645 4d4 e",
            "03 01 6a 00 00 06 45 4d 4e",
            "3 1 6a 0 0 6 45 4d 4e",
            "3\n1\n6a\n0\n0\n6\n45\n4d\n4e",
            "0x03, 0x01, 0x6A, 0x00,\n0x00, 0x06, 0x45, 0x4D, 0x4E,\n",
            "{0x3,0x1,0x6a,0x0,0x0,0x6,0x45,0x4d,0x4e};",
            "0x03016A000006454D4E",
            "03:01:6a:00:00:06:45:4d:4e",
            "03-01-6A-00-00-06-45-4D-4E",
            "3-1-6A-0-0-6-45-4D-4E",
            "[03 01 6A 00 00 06 45 4D 4E]",
            "\"\\x03\\x01\\x6a\\x00\\x00\\x06\\x45\\x4d\\x4e\"",
            "\u{feff}03 01 6a 00 00 06 45 4d 4e\r\n",
            "0301 6a00 0006 454d 4e",
            // xxd, xxd -g1, xxd -c 4 -u
            "00000000: 0301 6a00 0006 454d 4e                   ..j...EMN\n",
            "00000000: 03 01 6a 00 00 06 45 4d  ab cd\n00000008: 4e   4e",
            "00000000: 0301 6A00  ..j.\n00000004: 0006 454D  ..EM\n00000008: 4E         N",
            // hexdump -C
            "00000000  03 01 6a 00 00 06 45 4d  4e                       |..j...EMN|\n00000009\n",
            // Wireshark
            "0000  03 01 6a 00 00 06 45 4d  4e                        ..j...EMN",
            "0000   03 01 6a 00 00 06 45 4d   aa bb\n0008   4e   N",
            // od -A x -t x1, od -A x -t x1z
            "000000 03 01 6a 00 00 06 45 4d 4e\n000009\n",
            "000000 03 01 6a 00 00 06 45 4d 4e                       >..j...EMN<\n000009\n",
            // hexdump, tcpdump -X
            "0000000 0103 006a 0600 4d45 004e\n0000009\n",
            "\t0x0000:  0301 6a00 0006 454d 4e                   ..j...EMN",
            // A part of a longer dump.
            "000001f0: 0301 6a00 0006 454d 4e   ..j...EMN",
        ] {
            assert_eq!(from_hex(text), Ok(BYTES.to_vec()), "{text}");
        }
    }

    #[test]
    fn rows_that_a_dump_leaves_out_are_repeated() {
        let text = "00000000  03 01 |..|\n*\n00000006  6a 00 |j.|\n00000008\n";
        assert_eq!(from_hex(text), Ok(vec![3, 1, 3, 1, 3, 1, 0x6a, 0]));
        for offset in ["00000005", "00000001", "7fffffff"] {
            let text = format!("00000000  03 01 |..|\n*\n{offset}\n");
            let error = from_hex(&text).unwrap_err();
            assert!(
                error.starts_with("line 3: the offset does not fit"),
                "{error}"
            );
        }
        let after_the_end = from_hex("0000 0103 006a\n0003\n*\n0009").unwrap_err();
        assert!(
            after_the_end.starts_with("line 4: the offset"),
            "{after_the_end}"
        );
        assert!(
            from_hex("*\n00000000 03")
                .unwrap_err()
                .starts_with("line 1: `*`")
        );
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        for (text, start) in [
            ("", "line 1: there is nothing; expected bytes such as"),
            (
                "03 01\n6a zz\n",
                "line 2: `zz` is not hexadecimal; expected bytes such as",
            ),
            (
                "\n03 016",
                "line 2: `016` has an odd number of digits; expected two digits",
            ),
            (
                "03016a00000\n0000",
                "line 2: the digits end inside a byte; expected two digits",
            ),
            (
                "3 1 6a00",
                "line 1: `3` has an odd number of digits; expected two digits",
            ),
            (
                "00000000: 0301\nbody: 00",
                "line 2: `body:` is not an offset; expected a line",
            ),
            (
                "00000000: 0301\n00000002: 6a0",
                "line 2: `6a0` is not hexadecimal; expected",
            ),
            (
                "0000 03 01 6a..",
                "line 1: `6a..` is not hexadecimal; expected",
            ),
            ("<html>", "line 1: `<html>` is not hexadecimal; expected"),
            ("ä", "line 1: `ä` is not hexadecimal; expected"),
        ] {
            let error = from_hex(text).unwrap_err();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }

    #[test]
    fn an_offset_may_be_any_number() {
        for offset in ["ffffffffffffffff", "7fffffffffffffff", "00000000"] {
            assert_eq!(
                from_hex(&format!("{offset}: 03 01\n{offset}:")),
                Ok(vec![3, 1])
            );
            let text = format!("00000000: 03\n*\n{offset}:");
            let _ = from_hex(&text);
        }
        assert!(from_hex("00000000: 03\n11111111111111111: 01").is_err());
    }

    #[test]
    fn base64_is_read_with_and_without_padding_and_in_lines() {
        for text in ["AwFqAAAGRU1O", "AwFq\r\nAAAG\n RU1O\n"] {
            assert_eq!(from_base64(text), Ok(BYTES.to_vec()), "{text}");
        }
        for text in ["AwFqAA==", "AwFqAA"] {
            assert_eq!(from_base64(text), Ok(vec![3, 1, 0x6a, 0]), "{text}");
        }
        for (text, start) in [
            ("AwFq\nA*A", "line 2: found `*`; expected base64"),
            ("AwFqAA==\nAw==", "line 2: found `A`; expected base64"),
            ("AwFqA", "line 1: "),
        ] {
            let error = from_base64(text).unwrap_err();
            assert!(
                error.starts_with(start) && error.contains("expected base64"),
                "{error}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(
            text in "(0000|00000000:?)? ?([0-9a-f]{1,4}[ :,*|]{0,3}\n?|\\*\n[0-9a-f]{4,16}:? ?){0,20}[^\0]{0,4}"
        ) {
            let _ = from_hex(&text);
            let _ = from_base64(&text);
        }
    }
}
