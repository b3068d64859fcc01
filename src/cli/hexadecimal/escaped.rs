//! Strings with escapes.

use super::{is_hex, wrong};

/// Whether a line begins a string in quotation marks with an escape in it, as of C, Python or Wireshark.
pub(super) fn is_escaped(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix(['b', 'B']).unwrap_or(line);
    line.starts_with(['"', '\'']) && line.contains("\\x")
}

/// Reads strings with escapes; several of them, as of several lines, are one.
pub(super) fn read_escaped(lines: &[(usize, &str)]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for (number, line) in lines {
        let mut quote = None;
        let mut rest = line.trim();
        while let Some(letter) = rest.chars().next() {
            let tail = &rest[letter.len_utf8()..];
            match quote {
                None if letter == '"' || letter == '\'' => quote = Some(letter),
                // Between strings: a prefix, a line that goes on, operators.
                None if letter.is_ascii_whitespace() || "bB\\+.,;()".contains(letter) => {}
                None => return Err(wrong(*number, rest)),
                Some(open) if letter == open => quote = None,
                Some(_) if letter == '\\' => {
                    let (byte, after) = escape(tail).ok_or_else(|| {
                        let part: String = rest.chars().take(if tail.starts_with('x') { 4 } else { 2 }).collect();
                        format!(
                            "line {number}: `{part}` is no escape; expected `\\x6a`, `\\n`, `\\r`, `\\t`, \
                             `\\0`, `\\\\` or a quotation mark behind `\\`"
                        )
                    })?;
                    out.push(byte);
                    rest = after;
                    continue;
                }
                Some(_) if letter.is_ascii() => out.extend(u8::try_from(letter)),
                Some(_) => return Err(wrong(*number, rest)),
            }
            rest = tail;
        }
        if quote.is_some() {
            return Err(format!(
                "line {number}: the string has no closing quotation mark"
            ));
        }
    }
    Ok(out)
}

/// The byte that an escape stands for, and what follows it.
fn escape(text: &str) -> Option<(u8, &str)> {
    let letter = text.chars().next()?;
    let tail = text.get(letter.len_utf8()..)?;
    let byte = match letter {
        'x' => {
            let digits = tail.get(..2).filter(|digits| is_hex(digits))?;
            return Some((u8::from_str_radix(digits, 16).ok()?, tail.get(2..)?));
        }
        '0' => 0,
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        '\\' | '"' | '\'' => u8::try_from(letter).ok()?,
        _ => return None,
    };
    Some((byte, tail))
}
