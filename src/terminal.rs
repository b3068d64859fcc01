//! Lines for people who watch.

use text::clean;

/// Lines on standard error. A reader that has gone is no reason to end a run.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    for line in text.lines() {
        let _ = writeln!(std::io::stderr(), "{}", clean(line));
    }
}
