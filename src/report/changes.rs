//! What has changed between two runs: for the terminal and for a pull request.

use std::fmt::Write as _;

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
        "bytes" => format!("{:.0} MiB", value / MIB),
        "share" => format!("{:.1} %", value * 100.0),
        _ => format!("{value:.0}"),
    }
}

fn times(row: &Row) -> String {
    match (&row.ratio, &row.note) {
        (Some(ratio), _) => format!("{:.2} ({:.2} to {:.2})", ratio.value, ratio.low, ratio.high),
        (None, Some(note)) => note.clone(),
        (None, None) => String::new(),
    }
}

/// Rows that a reader must see: what changed, and what is not measured any more. The others are counted,
/// unless all are asked for.
fn of_interest(changes: &Changes, all: bool) -> Vec<&Row> {
    let rows = changes.rows.iter();
    rows.filter(|row| all || row.is_lost() || matches!(row.change, Change::Worse | Change::Better))
        .collect()
}

fn summary(changes: &Changes) -> String {
    let count = |change| {
        let rows = changes.rows.iter();
        rows.filter(|row| row.change == change).count()
    };
    format!(
        "{} worse, {} better, {} same, {} not comparable",
        count(Change::Worse),
        count(Change::Better),
        count(Change::Same),
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
            "\n{:<10} {:<24} {:>10} {:>10}  {:<16} times (95 % interval)",
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
            times(row)
        );
    }
    let _ = writeln!(out, "\n{}", summary(changes));
    if let Some(note) = changes.rows.iter().find_map(|row| row.note.as_deref()) {
        let _ = writeln!(
            out,
            "not comparable, for example: {note} (--all shows each)"
        );
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
            "\n| phase | figure | before | after | times (95 % interval) | change |\n\
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
            times(row)
        );
    }
    out
}
