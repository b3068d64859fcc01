//! What has changed between two runs: for the terminal and for a pull request.

use std::fmt::Write as _;

use text::{times, times_between, whole};

use crate::judge::{Change, Changes, Row};

/// A figure for people.
fn shown(value: Option<f64>, unit: &str) -> String {
    const MIB: f64 = 1_048_576.0;
    let Some(value) = value else {
        return "–".to_owned();
    };
    match unit {
        "us" => match value {
            ..1e3 => format!("{value:.0} µs"),
            ..1e6 => format!("{:.1} ms", value / 1e3),
            _ => format!("{:.2} s", value / 1e6),
        },
        "bytes" => format!("{} MiB", whole(value / MIB)),
        "share" => format!("{:.1} %", value * 100.0),
        _ => whole(value),
    }
}

fn ratio(row: &Row) -> String {
    match (&row.ratio, &row.note) {
        (Some(ratio), _) => format!(
            "{} ({})",
            times(ratio.value),
            times_between(ratio.low, ratio.high)
        ),
        (None, Some(note)) => note.clone(),
        (None, None) if row.before == Some(0.0) && row.after > Some(0.0) => "from 0".to_owned(),
        (None, None) => String::new(),
    }
}

/// Rows that a reader must see: what changed, and what is not measured any more. The others are counted,
/// unless all are asked for.
fn of_interest(changes: &Changes, all: bool) -> Vec<&Row> {
    let rows = changes.rows.iter();
    rows.filter(|row| {
        let is_doubtful = row.change == Change::CannotTell && row.is_noticeable;
        let has_changed = matches!(row.change, Change::Worse | Change::Better);
        all || row.is_lost() || has_changed || is_doubtful
    })
    .collect()
}

fn summary(changes: &Changes) -> String {
    let count = |change| {
        let rows = changes.rows.iter();
        rows.filter(|row| row.change == change).count()
    };
    format!(
        "{} worse, {} better, {} same, {} cannot tell, {} not comparable",
        count(Change::Worse),
        count(Change::Better),
        count(Change::Same),
        count(Change::CannotTell),
        count(Change::NotComparable)
    )
}

/// A table for the terminal; its last line is the outcome.
#[must_use]
pub fn changes_text(changes: &Changes, before: &str, after: &str, all: bool) -> String {
    let mut out = format!("before {before}\nafter  {after}\n");
    let rows = of_interest(changes, all);
    if !rows.is_empty() {
        let _ = writeln!(
            out,
            "\n{:<10} {:<24} {:>10} {:>10}  {:<16} ratio (95 % interval)",
            "phase", "figure", "before", "after", "change"
        );
    }
    for row in rows {
        let _ = writeln!(
            out,
            "{:<10} {:<24} {:>10} {:>10}  {:<16} {}",
            row.phase,
            row.figure,
            shown(row.before, &row.unit),
            shown(row.after, &row.unit),
            row.change.as_str(),
            ratio(row)
        );
    }
    let _ = writeln!(out, "\n{}", summary(changes));
    for change in [Change::CannotTell, Change::NotComparable] {
        let mut alike = changes.rows.iter().filter(|row| row.change == change);
        if let Some(row) = alike.find(|row| row.note.is_some()) {
            let note = row.note.as_deref().unwrap_or_default();
            let _ = writeln!(
                out,
                "{}, for example {} of {}: {note} (--all shows each)",
                change.as_str(),
                row.figure,
                row.phase
            );
        }
    }
    let _ = writeln!(out, "Change: {}", changes.change.as_str());
    out
}

/// The same as Markdown.
#[must_use]
pub fn changes_markdown(changes: &Changes, before: &str, after: &str, all: bool) -> String {
    let mut out = format!(
        "### easload: {}\n\n`{before}` → `{after}`: {}\n",
        changes.change.as_str(),
        summary(changes)
    );
    let rows = of_interest(changes, all);
    if !rows.is_empty() {
        out.push_str(
            "\n| phase | figure | before | after | ratio (95 % interval) | change |\n\
             | --- | --- | ---: | ---: | --- | --- |\n",
        );
    }
    for row in rows {
        let change = match row.change {
            Change::Worse => "**worse**",
            other => other.as_str(),
        };
        let _ = writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {change} |",
            row.phase,
            row.figure,
            shown(row.before, &row.unit),
            shown(row.after, &row.unit),
            ratio(row)
        );
    }
    out
}
