//! PDH-CSV, as perfmon, logman, typeperf, relog and Export-Counter write it
//! (server-observability.md, section 4).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::netstat::cells;
use super::values::shown;
use super::{FormatError, Gathered, Scope};
use crate::measure::Gauges;

/// A counter of the pool's workers, of a process, or of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instance {
    /// `4712_MSExchangeSyncAppPool`.
    Worker,
    /// The pool's own name.
    Pool,
    /// `w3wp`, `w3wp#1`.
    Process,
    /// `eas`.
    Proxy,
    /// None, or any.
    Machine,
}
use Instance::{Machine, Pool, Process, Proxy, Worker};

/// Object, counter, whose it is, gauge, and by what its value is multiplied.
const COUNTERS: &[(&str, &str, Instance, &str, f64)] = &[
    (
        "W3SVC_W3WP",
        "Active Requests",
        Worker,
        "active_requests",
        1.0,
    ),
    (
        "W3SVC_W3WP",
        "Total HTTP Requests Served",
        Worker,
        "requests_total",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Application Pool Recycles",
        Pool,
        "recycles",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Worker Processes Created",
        Pool,
        "workers_created",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Current Worker Processes",
        Pool,
        "workers",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Worker Process Shutdown Failures",
        Pool,
        "shutdown_failures",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Worker Process Failures",
        Pool,
        "worker_failures",
        1.0,
    ),
    (
        "HTTP Service Request Queues",
        "CurrentQueueSize",
        Pool,
        "queue",
        1.0,
    ),
    (
        "HTTP Service Request Queues",
        "RejectedRequests",
        Pool,
        "rejected",
        1.0,
    ),
    (".NET CLR Memory", "% Time in GC", Process, "gc_time", 0.01),
    ("Process", "Private Bytes", Process, "private_bytes", 1.0),
    ("Process", "Working Set", Process, "working_set_bytes", 1.0),
    ("Process", "Handle Count", Process, "handles", 1.0),
    ("Processor", "% Processor Time", Machine, "cpu", 0.01),
    (
        "MSExchange ActiveSync",
        "Ping Commands Pending",
        Machine,
        "pings_pending",
        1.0,
    ),
    (
        "MSExchange HttpProxy",
        "Outstanding Proxy Requests",
        Proxy,
        "outstanding_proxy",
        1.0,
    ),
    // In milliseconds there, in seconds at the exporter.
    (
        "MSExchange HttpProxy",
        "MailboxServerLocator Average Latency",
        Proxy,
        "mailbox_latency",
        0.001,
    ),
    (
        "TCPv4",
        "Connection Failures",
        Machine,
        "tcp.connection_failures",
        1.0,
    ),
    (
        "TCPv6",
        "Connection Failures",
        Machine,
        "tcp.connection_failures",
        1.0,
    ),
];
/// German names of objects and counters, which Windows translates where it is their author.
const GERMAN: &[(&str, &str)] = &[
    ("Prozess", "Process"),
    ("Prozessor", "Processor"),
    (".NET CLR-Speicher", ".NET CLR Memory"),
    ("Prozessorzeit (%)", "% Processor Time"),
    ("Arbeitsseiten", "Working Set"),
    ("Handleanzahl", "Handle Count"),
    ("Verbindungsfehler", "Connection Failures"),
];
/// What every one of these files begins with.
const MARK: &str = "(PDH-CSV 4.0)";

/// A column that is known.
#[derive(Debug, Clone)]
struct Column {
    at: usize,
    gauge: String,
    factor: f64,
}

/// The heading of a file.
#[derive(Debug)]
struct Heading {
    columns: Vec<Column>,
    /// Minutes to add to a time to get UTC, if the file says so.
    bias: Option<i32>,
    separator: char,
}

impl Heading {
    fn read(line: usize, text: &str, scope: &Scope) -> Result<Self, FormatError> {
        let separator = if text.matches("\";\"").count() > text.matches("\",\"").count() {
            ';'
        } else {
            ','
        };
        let cells = cells(text, separator);
        let first = cells.first().map_or("", String::as_str);
        if !first.starts_with(MARK) {
            return Err(FormatError::new(
                line,
                format!(
                    "expected a heading with \"{MARK}\", found {:?}",
                    shown(text)
                ),
            ));
        }
        let bias = first
            .rsplit_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
        let columns: Vec<Column> = cells
            .iter()
            .enumerate()
            .skip(1)
            .flat_map(|(at, path)| columns(at, path, scope))
            .collect();
        if columns.is_empty() {
            return Err(FormatError::new(
                line,
                format!(
                    "none of {} columns is a counter that is known, such as \
                     \\W3SVC_W3WP(*)\\Active Requests; names must be English or German, and the pool \
                     {}",
                    cells.len().saturating_sub(1),
                    scope.pool
                ),
            ));
        }
        Ok(Self {
            columns,
            bias,
            separator,
        })
    }

    /// A row's gauges; `None` for a row that is not one, as the lines that typeperf ends with.
    fn row(
        &self,
        line: usize,
        text: &str,
    ) -> Result<Option<(Option<Timestamp>, Gauges)>, FormatError> {
        if !text.starts_with(|first: char| first == '"' || first.is_ascii_digit()) {
            return Ok(None);
        }
        let cells = cells(text, self.separator);
        // A heading in the middle comes from files that were put together.
        if cells.len() < 2 || cells[0].starts_with(MARK) {
            return Ok(None);
        }
        let time = time(&cells[0]).ok_or_else(|| {
            FormatError::new(
                line,
                format!(
                    "expected a time such as \"03/14/2026 03:00:00.015\", found {:?}",
                    shown(&cells[0])
                ),
            )
        })?;
        let mut gathered = Gathered::default();
        for column in &self.columns {
            let Some(cell) = cells.get(column.at).map(|cell| cell.trim()) else {
                continue;
            };
            // No sample yet, or none of an instance that has gone.
            if cell.is_empty() {
                continue;
            }
            let value: f64 = cell.replace(',', ".").parse().map_err(|_| {
                FormatError::new(
                    line,
                    format!(
                        "column {}: expected a number, found {:?}",
                        column.at + 1,
                        shown(cell)
                    ),
                )
            })?;
            gathered.add(&column.gauge, value * column.factor);
        }
        let at = self.bias.and_then(|bias| {
            let offset = Offset::from_seconds(-bias.checked_mul(60)?).ok()?;
            offset.to_timestamp(time).ok()
        });
        Ok(Some((at, gathered.0)))
    }
}

/// The gauges of one column: a worker's Active Requests are counted apart, too.
fn columns(at: usize, path: &str, scope: &Scope) -> Vec<Column> {
    let Some((object, instance, counter)) = split(path) else {
        return Vec::new();
    };
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let worker = instance.split_once('_').filter(|(pid, pool)| {
        pid.bytes().all(|byte| byte.is_ascii_digit()) && same(pool, &scope.pool)
    });
    let found = COUNTERS.iter().find(|(known, name, whose, _, _)| {
        let is_meant = match whose {
            Worker => worker.is_some(),
            Pool => same(instance, &scope.pool),
            Process => same(instance, "w3wp") || instance.to_ascii_lowercase().starts_with("w3wp#"),
            Proxy => same(instance, "eas"),
            Machine => instance.is_empty() || same(instance, "_Total"),
        };
        same(known, english(object)) && same(name, english(counter)) && is_meant
    });
    let Some((_, _, _, gauge, factor)) = found else {
        return Vec::new();
    };
    let mut columns = vec![Column {
        at,
        gauge: format!("server.{gauge}"),
        factor: *factor,
    }];
    if let (Some((pid, _)), "active_requests") = (worker, *gauge) {
        columns.push(Column {
            at,
            gauge: format!("server.active.{pid}"),
            factor: *factor,
        });
    }
    columns
}

fn english(name: &str) -> &str {
    let german = GERMAN
        .iter()
        .find(|(german, _)| german.eq_ignore_ascii_case(name));
    german.map_or(name, |(_, english)| english)
}

/// `\\HOST\Object(Instance)\Counter` → object, instance (or nothing), counter.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let path = match path.strip_prefix("\\\\") {
        Some(rest) => rest.split_once('\\')?.1,
        None => path.strip_prefix('\\')?,
    };
    let (object, counter) = path.rsplit_once('\\')?;
    match object.split_once('(') {
        Some((object, instance)) => Some((object, instance.strip_suffix(')')?, counter)),
        None => Some((object, "", counter)),
    }
}

/// `03/14/2026 03:00:15.020`, in every language.
fn time(text: &str) -> Option<DateTime> {
    DateTime::strptime("%m/%d/%Y %H:%M:%S%.f", text.trim()).ok()
}

/// Lines with their number, without blank ones.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate();
    numbered.filter(|(_, line)| !line.trim().is_empty())
}

/// The last row. One without values says that what was counted has gone: an old worker's column stays,
/// and must not be read for ever.
pub(super) fn parse(text: &str, scope: &Scope) -> Result<Gauges, FormatError> {
    let mut lines = lines(text);
    let (line, heading) = lines.next().ok_or_else(|| {
        FormatError::new(
            1,
            format!("expected a heading with \"{MARK}\", found nothing"),
        )
    })?;
    let heading = Heading::read(line + 1, heading, scope)?;
    let complete = text.ends_with('\n');
    let rows: Vec<(usize, &str)> = lines.collect();
    for (number, (line, row)) in rows.iter().enumerate().rev() {
        let is_last = number + 1 == rows.len();
        match heading.row(line + 1, row) {
            Ok(Some((_, gauges))) if gauges.is_empty() => {
                return Err(FormatError::new(
                    line + 1,
                    "the last row has no value of a known counter: what it counted has gone, or has no \
                     sample yet",
                ));
            }
            Ok(Some((_, gauges))) => return Ok(gauges),
            Ok(None) => {}
            // The writer is in the middle of it.
            Err(_) if is_last && !complete => {}
            Err(error) => return Err(error),
        }
    }
    Err(FormatError::new(
        line + 1,
        "expected rows with values; none is there yet",
    ))
}

/// What a file tells of a time that is over: rows in order, with their times in UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Time and gauges of each row.
    pub rows: Vec<(Timestamp, Gauges)>,
}

/// Every row of a file, for a run that is over.
///
/// # Errors
/// When it is not PDH-CSV, has no known counter, or does not say its time zone; `bias` (minutes to
/// add to get UTC) helps where the heading does not.
pub fn history(bytes: &[u8], scope: &Scope, bias: Option<i32>) -> Result<History, FormatError> {
    let text = super::decode(bytes);
    let mut lines = lines(&text);
    let (line, heading) = lines.next().ok_or_else(|| {
        FormatError::new(
            1,
            format!("expected a heading with \"{MARK}\", found nothing"),
        )
    })?;
    let mut heading = Heading::read(line + 1, heading, scope)?;
    heading.bias = heading.bias.or(bias);
    if heading.bias.is_none() {
        return Err(FormatError::new(
            line + 1,
            "the heading does not say the time zone, as typeperf's do not; give --bias MINUTES \
             (UTC less local time)",
        ));
    }
    let complete = text.ends_with('\n');
    let mut rows: Vec<(Timestamp, Gauges)> = Vec::new();
    let mut lines = lines.peekable();
    while let Some((line, row)) = lines.next() {
        match heading.row(line + 1, row) {
            Ok(Some((Some(at), gauges))) => {
                if !gauges.is_empty() {
                    rows.push((at, gauges));
                }
            }
            Ok(_) => {}
            Err(_) if lines.peek().is_none() && !complete => {}
            Err(error) => return Err(error),
        }
    }
    // relog merges files in any order.
    rows.sort_by_key(|(at, _)| *at);
    Ok(History { rows })
}

#[cfg(test)]
mod tests {
    use super::super::scope;
    use super::*;

    const TEXT: &str = "\
\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"\\\\EX01\\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\\Active Requests\",\"\\\\EX01\\W3SVC_W3WP(9120_MSExchangeSyncAppPool)\\Active Requests\",\"\\\\EX01\\W3SVC_W3WP(77_MSExchangeOWAAppPool)\\Active Requests\",\"\\\\EX01\\MSExchange ActiveSync\\Ping Commands Pending\",\"\\\\EX01\\.NET CLR Memory(w3wp#1)\\% Time in GC\",\"\\\\EX01\\APP_POOL_WAS(MSExchangeSyncAppPool)\\Total Application Pool Recycles\"\r
\"03/14/2026 03:00:00.015\",\"1823\",\" \",\"9\",\"1790\",\"\",\"3\"\r
\"03/14/2026 03:00:15.020\",\"1825\",\"12\",\"9\",\" 1791\",\"12.5\",\"4\"\r
";

    #[test]
    fn the_last_row_with_values_counts() {
        let gauges = parse(TEXT, &scope()).unwrap();
        assert_eq!(gauges["server.active_requests"], 1837.0);
        assert_eq!(gauges["server.active.9120"], 12.0);
        assert_eq!(gauges["server.pings_pending"], 1791.0);
        assert_eq!(gauges["server.gc_time"], 0.125);
        assert_eq!(gauges["server.recycles"], 4.0);
        // In the middle of a row, and with what typeperf says at its end.
        let growing = format!("{TEXT}\"03/14/2026 03:00:3");
        assert_eq!(parse(&growing, &scope()).unwrap(), gauges);
        let growing = format!("{TEXT}\"03/14/2026 03:00:30.020\",\"1x");
        assert_eq!(parse(&growing, &scope()).unwrap(), gauges);
        let ended =
            format!("\r\n{TEXT}Exiting, please wait...\r\nThe command completed successfully.\r\n");
        assert_eq!(parse(&ended, &scope()).unwrap(), gauges);
    }

    #[test]
    fn german_names_and_a_heading_in_the_middle() {
        let heading = "\"(PDH-CSV 4.0) (Mitteleuropäische Zeit)(-60)\",\
            \"\\\\EX01\\Prozess(w3wp)\\Private Bytes\",\
            \"\\\\EX01\\Prozessor(_Total)\\Prozessorzeit (%)\"\r\n";
        let row = "\"03/14/2026 03:00:00.015\",\"1000\",\"25\"\r\n";
        let gauges = parse(&format!("{heading}{row}{heading}"), &scope()).unwrap();
        assert_eq!(gauges["server.private_bytes"], 1000.0);
        assert_eq!(gauges["server.cpu"], 0.25);
    }

    #[test]
    fn times_are_local_and_the_heading_has_the_bias() {
        let history = history(TEXT.as_bytes(), &scope(), None).unwrap();
        let times: Vec<String> = history.rows.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(
            times,
            ["2026-03-14T02:00:00.015Z", "2026-03-14T02:00:15.02Z"]
        );
        assert_eq!(history.rows[0].1["server.active_requests"], 1823.0);
        let typeperf = TEXT.replace(" (W. Europe Standard Time)(-60)", "");
        let error = super::history(typeperf.as_bytes(), &scope(), None).unwrap_err();
        assert!(error.to_string().contains("--bias"), "{error}");
        let given = super::history(typeperf.as_bytes(), &scope(), Some(-60)).unwrap();
        assert_eq!(given, history);
    }

    #[test]
    fn mistakes_have_a_line() {
        let message = |text: &str| parse(text, &scope()).unwrap_err().to_string();
        assert!(message("").contains("found nothing"));
        assert!(message("<html>").contains("PDH-CSV"));
        let foreign = "\"(PDH-CSV 4.0)\",\"\\\\EX01\\Processus(w3wp)\\Octets\"\n";
        assert!(message(foreign).contains("English"), "{}", message(foreign));
        let number = TEXT.replace("1825", "many");
        assert!(message(&number).starts_with("line 3: column 2: expected a number"));
        let time = TEXT.replace("03/14/2026 03:00:15", "14.03.2026 03:00:15");
        assert!(message(&time).starts_with("line 3: expected a time"));
        let blank =
            format!("{TEXT}\"03/14/2026 03:00:30.020\",\" \",\"\",\"9\",\"\",\"\",\"\"\r\n");
        assert!(message(&blank).starts_with("line 4: the last row has no value"));
        let heading: String = TEXT.lines().take(1).collect();
        assert!(message(&heading).contains("none is there yet"));
    }
}
