//! PDH-CSV, as perfmon, logman, typeperf, relog and Export-Counter write it.

mod clock;
mod counters;
mod heading;

use jiff::Timestamp;
use jiff::civil::DateTime;
use scenario::names::Gauges;

use self::clock::{Local, to_utc};
use self::heading::{Heading, RowError};
use crate::{FormatError, Parsed, Scope, remember};

/// What every one of these files begins with.
const MARK: &str = "(PDH-CSV 4.0)";
/// The same with tabs, of `-f TSV`.
const TAB_MARK: &str = "(PDH-TSV 4.0)";
/// Minutes from local time to UTC: at most a day, which is more than any time zone has.
const BIASES: std::ops::RangeInclusive<i32> = -1440..=1440;

fn has_mark(text: &str) -> bool {
    [MARK, TAB_MARK].iter().any(|mark| text.starts_with(mark))
}

/// `03/14/2026 03:00:15.020`, in every language.
fn time(text: &str) -> Option<DateTime> {
    DateTime::strptime("%m/%d/%Y %H:%M:%S%.f", text.trim()).ok()
}

/// A heading and its rows. Files that were put together have several.
struct Segment<'t> {
    line: usize,
    heading: &'t str,
    rows: Vec<(usize, &'t str)>,
}

/// The parts of a file, at least one.
fn segments(text: &str) -> Result<Vec<Segment<'_>>, FormatError> {
    let mut segments: Vec<Segment<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let is_heading = has_mark(line.trim_start().trim_start_matches('"'));
        match segments.last_mut() {
            Some(segment) if !is_heading => segment.rows.push((index + 1, line)),
            // The first line is read as the heading even if it is none, so that the message shows it.
            _ => segments.push(Segment {
                line: index + 1,
                heading: line,
                rows: Vec::new(),
            }),
        }
    }
    if segments.is_empty() {
        return Err(FormatError::new(
            1,
            format!("expected a heading with \"{MARK}\", found nothing"),
        ));
    }
    Ok(segments)
}

/// The last row of the newest part. One without values says that what was counted has gone: an old
/// worker's column stays, and must not be read for ever. A newest part without rows says that there is no
/// sample yet: the rows before it are those of a collection that has ended.
pub(super) fn parse(text: &str, scope: &Scope) -> Result<Parsed, FormatError> {
    let segments = segments(text)?;
    let complete = text.ends_with('\n');
    let mut is_last_line = true;
    for (number, segment) in segments.iter().enumerate().rev() {
        let heading = match Heading::read(segment.line, segment.heading, scope) {
            Ok(heading) => heading,
            // The writer is in the middle of it.
            Err(_) if is_last_line && !complete && segment.rows.is_empty() && number > 0 => {
                continue;
            }
            Err(error) => return Err(error),
        };
        for (line, row) in segment.rows.iter().rev() {
            match heading.row(*line, row) {
                Ok(Some(row)) => return last_row(*line, row.parsed, heading.remarks),
                Ok(None) => {}
                Err(_) if is_last_line && !complete => {}
                Err(error) => return Err(error.into_inner()),
            }
            is_last_line = false;
        }
        let problem = if number == 0 {
            "expected rows with values; none is there yet"
        } else {
            "the newest heading has no row with values yet; the rows before it belong to an earlier \
             collection"
        };
        return Err(FormatError::new(segment.line, problem));
    }
    // Only headings that are being written; the first one is never passed over.
    Err(FormatError::new(
        1,
        "expected rows with values; none is there yet",
    ))
}

fn last_row(line: usize, row: Parsed, remarks: Vec<String>) -> Result<Parsed, FormatError> {
    let mut row = row;
    if row.gauges.is_empty() {
        let why = row.remarks.first().map_or_else(
            || "what it counted has gone, or has no sample yet".to_owned(),
            Clone::clone,
        );
        return Err(FormatError::new(
            line,
            format!("the last row has no value of a known counter: {why}"),
        ));
    }
    for remark in remarks {
        remember(&mut row.remarks, remark);
    }
    Ok(row)
}

/// What a file holds about a time that is over: rows in order, with their times in UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Time and gauges of each row.
    pub rows: Vec<(Timestamp, Gauges)>,
    /// What was left out, and how times were read.
    pub remarks: Vec<String>,
}

/// Every row of a file, for a run that is over.
///
/// # Errors
/// When it is not PDH-CSV, has no known counter, has no row that fits its heading, or does not say its
/// time zone. `bias` (minutes to add to get UTC) is for a heading that does not say it, or says another.
pub fn history(bytes: &[u8], scope: &Scope, bias: Option<i32>) -> Result<History, FormatError> {
    let text = super::decode(bytes);
    if let Some(bias) = bias
        && !BIASES.contains(&bias)
    {
        return Err(FormatError::new(
            1,
            format!(
                "expected a bias from {} to {} minutes, found {bias}",
                BIASES.start(),
                BIASES.end()
            ),
        ));
    }
    let complete = text.ends_with('\n');
    let last = text.lines().count();
    let mut history = History {
        rows: Vec::new(),
        remarks: Vec::new(),
    };
    // Rows that do not fit their heading: how many, and the first.
    let mut refused: Option<(usize, FormatError)> = None;
    for segment in segments(&text)? {
        let heading = Heading::read(segment.line, segment.heading, scope)?;
        let bias = bias.or(heading.bias).ok_or_else(|| {
            FormatError::new(
                segment.line,
                "the heading does not say the time zone, as typeperf's do not; give --bias MINUTES \
                 (UTC less local time)",
            )
        })?;
        for remark in &heading.remarks {
            remember(&mut history.remarks, remark.clone());
        }
        let mut rows = Vec::new();
        for (line, row) in segment.rows {
            match heading.row(line, row) {
                Ok(Some(row)) => {
                    for remark in row.parsed.remarks {
                        remember(&mut history.remarks, remark);
                    }
                    rows.push(Local {
                        line,
                        time: row.time,
                        gauges: row.parsed.gauges,
                    });
                }
                Ok(None) => {}
                Err(_) if line == last && !complete => {}
                Err(RowError::Width(error)) => {
                    refused = Some(match refused {
                        None => (1, error),
                        Some((count, first)) => (count + 1, first),
                    });
                }
                Err(RowError::Value(error)) => return Err(error),
            }
        }
        let (rows, remarks) = to_utc(rows, bias);
        let with_values = rows.into_iter().filter(|(_, gauges)| !gauges.is_empty());
        history.rows.extend(with_values);
        for remark in remarks {
            remember(&mut history.remarks, remark);
        }
    }
    if let Some((count, first)) = refused {
        if history.rows.is_empty() {
            return Err(first);
        }
        let rows = if count == 1 {
            "1 row is"
        } else {
            &format!("{count} rows are")
        };
        remember(
            &mut history.remarks,
            format!("{rows} left out; the first: {first}"),
        );
    }
    // relog merges files in any order.
    history.rows.sort_by_key(|(at, _)| *at);
    Ok(history)
}

#[cfg(test)]
mod tests;
