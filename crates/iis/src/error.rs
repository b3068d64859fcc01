//! Mistakes of a file, all at once.

use thiserror::Error;

/// One mistake and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: {place}: {message}")]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters, from 1; a byte order mark does not count.
    pub column: usize,
    /// `element@attribute`, the element alone, or `file`.
    pub place: String,
    /// What is wrong and what was expected, in one line.
    pub message: String,
}

/// Everything that is wrong with a configuration file. Displays as one line per mistake:
/// `file:line:column: element@attribute: message`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.text())]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// The mistakes in the order of the file; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn text(&self) -> String {
        let lines: Vec<_> = self
            .problems
            .iter()
            .map(|problem| format!("{}:{problem}", self.file))
            .collect();
        lines.join("\n")
    }

    /// Turns offsets into lines and columns, in one pass: a hostile file has a million mistakes in
    /// a single line.
    pub(crate) fn new(file: &str, text: &str, mut drafts: Vec<Draft>) -> Self {
        drafts.sort_by_key(|draft| draft.offset);
        let mut letters = text.char_indices().peekable();
        let (mut line, mut column) = (1, 1);
        let problems = drafts
            .into_iter()
            .map(|draft| {
                while let Some((_, letter)) = letters.next_if(|(at, _)| *at < draft.offset) {
                    if letter == '\n' {
                        line += 1;
                        column = 1;
                    } else {
                        column += 1;
                    }
                }
                Problem {
                    line,
                    column,
                    place: one_line(&draft.place),
                    message: one_line(&draft.message),
                }
            })
            .collect();
        Self {
            file: file.to_owned(),
            problems,
        }
    }
}

/// A mistake at an offset of the text.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) offset: usize,
    pub(crate) place: String,
    pub(crate) message: String,
}

impl Draft {
    pub(crate) fn new(offset: usize, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            offset,
            place: place.into(),
            message: message.into(),
        }
    }
}

/// The start of a text of the file: enough to find it, however long it is.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// Names and values come from the file and may hold line ends and terminal sequences.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
