//! Text that stands for what people write, and text of others that is shown to people.

/// So many bytes at most, in lines of 72 letters, as mail programs write them.
#[must_use]
pub(crate) fn lines(size: usize) -> String {
    const LINE: &str =
        "The quick brown fox jumps over the lazy dog and runs on to the river ok.\r\n";
    let mut text = LINE.repeat(size.div_ceil(LINE.len()));
    text.truncate(size);
    text.truncate(text.trim_end().len());
    text
}

/// A server's text must not move the cursor of the terminal that shows it.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
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

/// A ratio for people. Beyond a thousand the digits mean nothing: what it was before is next to nothing.
#[must_use]
pub(crate) fn times(ratio: f64) -> String {
    if ratio > 1000.0 {
        "> 1000×".to_owned()
    } else if ratio > 0.0 && ratio < 0.005 {
        "< 0.01×".to_owned()
    } else {
        format!("{ratio:.2}×")
    }
}

/// A number without decimals, and without the sign of a zero.
#[must_use]
pub(crate) fn whole(number: f64) -> String {
    let text = format!("{number:.0}");
    if text == "-0" { "0".to_owned() } else { text }
}

/// What a shell command runs, where that is its first word: variables before it and arguments behind it
/// may hold secrets, with spaces in them.
#[must_use]
pub(crate) fn program(command: &str) -> &str {
    let first = command.split_whitespace().next();
    first.filter(|word| !word.contains('=')).unwrap_or("…")
}

/// A URL without what may be secret in it: user, password and query.
#[must_use]
pub(crate) fn bare_url(url: &str) -> String {
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
