//! Bytes as logs and tools write them: hexadecimal in many forms, escaped strings, and base64.

mod dump;
mod escaped;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use dump::{Dump, below_heading, is_dump};
use escaped::{is_escaped, read_escaped};

/// What an error says was expected.
const EXPECTED: &str = "expected bytes such as `03 01 6a`, `3 1 6a`, `0x03, 0x01`, `03:01:6a`, \
                        or lines of a hex dump";
/// Base64 with and without its padding: logs cut it off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Digits of the largest group in a list: four bytes. Longer ones are a run, which may be wrapped
/// anywhere.
const GROUP_DIGITS: usize = 8;
/// Characters of a wrong part that an error shows.
const SHOWN: usize = 20;
/// What Exchange's mailbox log writes above each request and answer.
const LOG_TITLES: [&str; 6] = [
    "RequestBody",
    "ResponseBody",
    "RequestHeader",
    "ResponseHeader",
    "RequestTime",
    "Log Entry",
];

/// Reads hexadecimal: with and without separators, with one digit for small bytes, with `0x`, as an escaped
/// string, as lines of `hexdump -C`, `xxd`, `od -A x -t x1`, Wireshark or PowerShell's Format-Hex.
///
/// # Errors
/// Names the line and what was expected there.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim_start_matches('\u{feff}');
    is_no_xml(text)?;
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_end()))
        .filter(|(_, line)| !line.trim_start().is_empty())
        .collect();
    let rows = below_heading(&lines);
    match rows.first() {
        None => Err(format!("line 1: there is nothing; {EXPECTED}")),
        Some((_, first)) if is_dump(first) => Dump::default().read(rows),
        Some((_, first)) if is_escaped(first) => read_escaped(rows),
        Some(_) => read_list(rows),
    }
}

/// Refuses a text that holds the XML and not the bytes.
fn is_no_xml(text: &str) -> Result<(), String> {
    let title = |line: &str| {
        let name = line.split(':').next().unwrap_or_default().trim();
        LOG_TITLES.contains(&name) && line.contains(':')
    };
    if let Some(at) = text.lines().position(title) {
        return Err(format!(
            "line {}: this is a mailbox log of Exchange, which has the bodies as XML: there is nothing to \
             decode. `easload wbxml encode` makes WBXML from such XML",
            at + 1
        ));
    }
    let start = text.trim_start();
    let is_page = ["<html", "<!doctype"].iter().any(|name| {
        let start = start.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    });
    if start.starts_with('<') && !is_page {
        return Err(
            "line 1: this is XML, so it is decoded already. `easload wbxml encode` makes WBXML from it"
                .to_owned(),
        );
    }
    Ok(())
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// Reads base64, white space aside.
///
/// # Errors
/// Names the line and what was expected there.
pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    const EXPECTED: &str = "expected base64: letters, digits, `+`, `/` and `=` at the end";
    let text = text.trim_start_matches('\u{feff}');
    is_no_xml(text)?;
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
///
/// Of an array as `xxd -i` and Wireshark write it for C, what stands between the braces counts.
fn read_list(lines: &[(usize, &str)]) -> Result<Vec<u8>, String> {
    let array = array(lines);
    let mut parts: Vec<(usize, &str)> = Vec::new();
    for &(number, line) in array.as_deref().unwrap_or(lines) {
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

/// The lines between the braces of an array that is declared, without comments that stand in one line.
fn array<'t>(lines: &[(usize, &'t str)]) -> Option<Vec<(usize, &'t str)>> {
    let open = |(_, line): &(usize, &str)| line.contains('=') && line.contains('{');
    let first = lines.iter().position(open)?;
    let mut inside = Vec::new();
    for (index, &(number, line)) in lines[first..].iter().enumerate() {
        let start = if index == 0 { line.find('{')? + 1 } else { 0 };
        let mut line = line.get(start..)?;
        let end = line.find('}');
        line = line.get(..end.unwrap_or(line.len()))?;
        while let Some((before, comment)) = line.split_once("/*") {
            inside.push((number, before));
            line = comment.split_once("*/").map_or("", |(_, after)| after);
        }
        inside.push((number, line.split("//").next().unwrap_or_default()));
        if end.is_some() {
            return Some(inside);
        }
    }
    None
}

#[cfg(test)]
mod tests;
