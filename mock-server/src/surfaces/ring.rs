//! A log that keeps its newest lines, and hands all of them to a file if there is one.

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;

/// Lines kept. A line has some 250 bytes, so a log stays near 2.5 MB, and 10,000 requests are
/// minutes even of a heavy load; whoever needs all of them gives a file.
pub(crate) const LINES: usize = 10_000;

/// A log's file. After an error it gets no more: a log with a hole is worse than one that ends.
pub(crate) struct LogFile {
    name: &'static str,
    file: File,
}

impl LogFile {
    /// `name` is for the error message.
    pub(crate) fn new(name: &'static str, file: File) -> Self {
        Self { name, file }
    }

    /// Writes to the file if there is one. Blocks meanwhile.
    pub(crate) fn append(log: &mut Option<Self>, text: &str) {
        if let Some(open) = log
            && let Err(error) = open.file.write_all(text.as_bytes())
        {
            eprintln!("mock: the {} ends here: {error}", open.name);
            *log = None;
        }
    }
}

/// The log.
pub(crate) struct Ring {
    header: String,
    lines: VecDeque<String>,
    file: Option<LogFile>,
}

impl Ring {
    /// An empty log. `name` is for the error message, `header` is what stands above the lines,
    /// without a line end. The file gets the header at once, even if it holds lines already: IIS
    /// repeats it after every start.
    pub(crate) fn new(name: &'static str, header: String, file: Option<File>) -> Self {
        let mut ring = Self {
            header,
            lines: VecDeque::new(),
            file: file.map(|file| LogFile::new(name, file)),
        };
        LogFile::append(&mut ring.file, &format!("{}\n", ring.header));
        ring
    }

    /// Adds a line, given without its end. Blocks while the file is written.
    pub(crate) fn push(&mut self, line: impl Display) {
        // With its end, so that it reaches the file in one write and a killed process leaves no
        // half line.
        let line = format!("{line}\n");
        LogFile::append(&mut self.file, &line);
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The header and the lines kept.
    pub(crate) fn text(&self) -> String {
        let length = self.lines.iter().map(String::len).sum::<usize>();
        let mut text = String::with_capacity(self.header.len() + 1 + length);
        text.push_str(&self.header);
        text.push('\n');
        text.extend(self.lines.iter().map(String::as_str));
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_oldest_lines_go_first() {
        let mut ring = Ring::new("test", "#head".to_owned(), None);
        assert_eq!(ring.text(), "#head\n");
        for number in 0..LINES + 2 {
            ring.push(number);
        }
        let text = ring.text();
        assert!(text.starts_with("#head\n2\n3\n"));
        assert!(text.ends_with("\n10000\n10001\n"));
        assert_eq!(text.lines().count(), LINES + 1);
    }

    #[test]
    fn a_file_gets_every_line() {
        let path = std::env::temp_dir().join(format!("mock-ring-{}", std::process::id()));
        let mut ring = Ring::new("test", "#head".to_owned(), File::create(&path).ok());
        ring.push("one");
        ring.push("two");
        let written = fs::read_to_string(&path);
        let _ = fs::remove_file(&path);
        assert_eq!(written.unwrap(), "#head\none\ntwo\n");
    }

    #[test]
    fn a_file_that_fails_is_given_up_and_the_lines_stay() {
        let read_only = File::open(std::env::current_exe().unwrap()).unwrap();
        let mut ring = Ring::new("test", "#head".to_owned(), Some(read_only));
        assert!(ring.file.is_none());
        ring.push("one");
        assert_eq!(ring.text(), "#head\none\n");
    }
}
