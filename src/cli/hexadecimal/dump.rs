//! Lines of a hex dump: offset, bytes, and perhaps the same as text.

use eas::wbxml::Limits;

use super::{SHOWN, first_word, is_hex, push, wrong};

/// Digits of the shortest offset in front of a line (Wireshark's).
const OFFSET_DIGITS: usize = 4;
/// `hexdump -C` and Wireshark put a wider gap behind this many bytes.
const HALF_ROW: usize = 8;
/// Bytes of a row in a dump of Format-Hex, Wireshark and `hexdump -C`.
const ROW: usize = 16;

/// The lines without what PowerShell's Format-Hex writes above its rows: the source, the numbers of the
/// columns, their names and a rule.
pub(super) fn below_heading<'l, 't>(lines: &'l [(usize, &'t str)]) -> &'l [(usize, &'t str)] {
    /// Source, names, numbers and rule.
    const HEADING: usize = 4;
    let numbers = |line: &str| {
        let words = line.split_whitespace();
        let expected = (0..ROW).map(|number| format!("{number:02X}"));
        words.map(str::to_ascii_uppercase).eq(expected)
    };
    let Some(at) = lines
        .iter()
        .take(HEADING)
        .position(|(_, line)| numbers(line))
    else {
        return lines;
    };
    let is_rule = |line: &str| line.trim_start().starts_with("--");
    let rows = &lines[at + 1..];
    let rows = match rows {
        [(_, line), rest @ ..] if is_rule(line) => rest,
        rows => rows,
    };
    // Without an offset below them they are bytes like any others.
    match rows.first() {
        Some((_, first)) if is_dump(first) || offset_digits(first_word(first)).is_some() => rows,
        _ => lines,
    }
}

/// Whether a line begins with an offset. No WBXML begins with four zeros, so without a colon
/// zeros are one.
pub(super) fn is_dump(line: &str) -> bool {
    let Some((digits, has_colon)) = offset_digits(first_word(line)) else {
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

/// The offset that a word is, and whether a colon follows it.
fn offset(word: &str) -> Option<(usize, bool)> {
    let (digits, has_colon) = offset_digits(word)?;
    Some((usize::from_str_radix(digits, 16).ok()?, has_colon))
}

/// A hex dump as far as it has been read.
#[derive(Default)]
pub(super) struct Dump {
    out: Vec<u8>,
    /// Where the last row begins.
    row: usize,
    /// The offset of the first row.
    base: Option<usize>,
    /// A `*` stands for rows equal to the last one.
    repeats: bool,
}

impl Dump {
    pub(super) fn read(mut self, lines: &[(usize, &str)]) -> Result<Vec<u8>, String> {
        for (index, &(number, line)) in lines.iter().enumerate() {
            if line.trim() == "*" {
                self.repeats = true;
                continue;
            }
            let line = line.trim_start();
            let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let (offset, has_colon) = offset(first).ok_or_else(|| {
                let first: String = first.chars().take(SHOWN).collect();
                format!("line {number}: `{first}` is not an offset; expected a line of a hex dump")
            })?;
            let next = lines.get(index + 1);
            let next = next.and_then(|(_, line)| self::offset(first_word(line)));
            let base = *self.base.get_or_insert(offset);
            if std::mem::take(&mut self.repeats) {
                self.repeat(number, offset.saturating_sub(base))?;
            }
            self.row = self.out.len();
            // Format-Hex writes the text of a full row behind a single blank, where it may look like bytes.
            let width = next
                .and_then(|(next, _)| next.checked_sub(offset))
                .filter(|width| *width > 0);
            let most = width.unwrap_or(if has_colon { usize::MAX } else { ROW });
            self.bytes(number, rest, has_colon, most)?;
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

    /// The bytes of a row, up to its text column: that stands behind a wider gap, or behind `most` bytes.
    fn bytes(
        &mut self,
        number: usize,
        rest: &str,
        has_colon: bool,
        most: usize,
    ) -> Result<(), String> {
        let mut rest = rest.trim_start();
        let mut gap = 0;
        while !rest.is_empty() && !rest.starts_with(['|', '>']) && self.out.len() - self.row < most
        {
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
