//! Lines for people who watch.

/// A line on standard error. A reader that has gone is no reason to end a run.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}
