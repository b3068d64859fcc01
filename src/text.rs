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
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}
