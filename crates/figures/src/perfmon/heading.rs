//! The heading of a file: which of its columns are read, and whose they are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use scenario::names::{Together, together};

use super::counters::{COUNTERS, IDS, Instance, PERCENTS, english};
use super::{BIASES, MARK, has_mark, time};
use crate::cells::cells;
use crate::instance::{W3wp, w3wp};
use crate::values::shown;
use crate::{FormatError, Gathered, Parsed, Scope, remember};

/// A column that is read.
#[derive(Debug, Clone)]
struct Column {
    at: usize,
    gauge: String,
    factor: f64,
    is_percent: bool,
    /// Where the row has the process id of the instance, if its name does not say it.
    id: Option<usize>,
    host: String,
}

/// The heading of a file.
#[derive(Debug)]
pub(super) struct Heading {
    columns: Vec<Column>,
    processes: Processes,
    line: usize,
    /// Cells of a row.
    width: usize,
    /// Minutes to add to a time to get UTC, if the file says so.
    pub(super) bias: Option<i32>,
    separator: char,
    is_quoted: bool,
    /// What is left out of the file, and why.
    pub(super) remarks: Vec<String>,
}

/// A row with its local time.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) time: DateTime,
    pub(super) parsed: Parsed,
}

/// Why a row cannot be used.
#[derive(Debug)]
pub(super) enum RowError {
    /// It has not as many values as the heading has counters, so none of them can be told apart.
    Width(FormatError),
    /// A value or the time is none.
    Value(FormatError),
}

impl RowError {
    pub(super) fn into_inner(self) -> FormatError {
        match self {
            Self::Width(error) | Self::Value(error) => error,
        }
    }
}

impl Heading {
    pub(super) fn read(line: usize, text: &str, scope: &Scope) -> Result<Self, FormatError> {
        let is_quoted = text.trim_start().starts_with('"');
        let counts = |separator: &char| text.matches(&format!("\"{separator}\"")).count();
        // Of as many, the last: a heading without counters has none of them.
        let separator = ['\t', ';', ','].into_iter().max_by_key(counts);
        let separator = separator.unwrap_or(',');
        let cells = cells(text.trim_start(), separator);
        let first = cells.first().map_or("", String::as_str);
        if !has_mark(first) {
            return Err(FormatError::new(
                line,
                format!(
                    "expected a heading with \"{MARK}\", found {:?}",
                    shown(text)
                ),
            ));
        }
        if !is_quoted && text.contains([';', '\t']) {
            return Err(FormatError::new(line, SAVED_AGAIN));
        }
        let bias = first
            .rsplit_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok())
            .filter(|bias| BIASES.contains(bias));
        let mut heading = Self {
            columns: Vec::new(),
            processes: Processes::default(),
            line,
            width: cells.len(),
            bias,
            separator,
            is_quoted,
            remarks: Vec::new(),
        };
        heading.columns(&cells, scope);
        if heading.columns.is_empty() {
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
        Ok(heading)
    }

    fn columns(&mut self, cells: &[String], scope: &Scope) {
        let mut paths: Vec<(usize, Path<'_>)> = Vec::new();
        let mut foreign = Vec::new();
        // relog merges files that may have the same counter.
        let mut seen = BTreeSet::new();
        for (at, cell) in cells.iter().enumerate().skip(1) {
            match Path::read(cell) {
                Some(path) if seen.insert(cell.to_ascii_lowercase()) => paths.push((at, path)),
                Some(_) => {}
                None if cell.trim().is_empty() => {}
                None => foreign.push(cell.as_str()),
            }
        }
        self.processes = Processes::read(&paths, scope);
        let mut candidates = Vec::new();
        for (at, path) in &paths {
            match self.processes.meaning(path, scope) {
                Meaning::Read(known) => candidates.push((*at, path, known)),
                Meaning::Elsewhere => {}
                Meaning::Unknown => foreign.push(path.text),
            }
        }
        self.choose(&candidates);
        if !foreign.is_empty() {
            /// Enough names to recognize what is meant.
            const SHOWN: usize = 3;
            let names: Vec<String> = foreign.iter().take(SHOWN).map(|name| shown(name)).collect();
            let more = if foreign.len() > SHOWN { ", …" } else { "" };
            remember(
                &mut self.remarks,
                format!(
                    "columns are not read, because their counter or instance is not known: {} ({}{more})",
                    foreign.len(),
                    names.join(", ")
                ),
            );
        }
    }

    /// Columns of the pool's processes. The same process may be there in several counter sets; where an
    /// instance says its process id, those that do not are the same processes once more.
    fn choose(&mut self, candidates: &[(usize, &Path<'_>, Known<'_>)]) {
        let mut best: BTreeMap<(String, &str), Sureness> = BTreeMap::new();
        for (_, path, known) in candidates {
            let key = (path.host.to_ascii_lowercase(), known.gauge);
            let slot = best.entry(key).or_insert(known.sureness());
            *slot = (*slot).max(known.sureness());
        }
        let mut taken = BTreeSet::new();
        for (at, path, known) in candidates {
            let host = path.host.to_ascii_lowercase();
            let sureness = known.sureness();
            if best.get(&(host.clone(), known.gauge)) != Some(&sureness) {
                continue;
            }
            if let Of::Process(pid) = known.of {
                let is_first = taken.insert((host.clone(), known.gauge, pid));
                // .NET has an instance for each application domain of a process: the largest counts.
                let adds_up = together(known.gauge) == Together::Sum;
                if !self.processes.is_ours(&host, pid) || (adds_up && !is_first) {
                    continue;
                }
            }
            let column = |gauge: String| Column {
                at: *at,
                gauge,
                factor: known.factor,
                is_percent: PERCENTS.contains(&known.gauge),
                id: match known.of {
                    Of::Instance(id) => id,
                    Of::Process(_) | Of::Worker(_) | Of::Other => None,
                },
                host: host.clone(),
            };
            self.columns.push(column(format!("server.{}", known.gauge)));
            if let (Of::Worker(pid), "active_requests") = (known.of, known.gauge) {
                self.columns.push(column(format!("server.active.{pid}")));
            }
        }
    }

    /// A row's gauges; `None` for a line that is not a row, as those that typeperf ends with.
    pub(super) fn row(&self, line: usize, text: &str) -> Result<Option<Row>, RowError> {
        if !text.starts_with(|first: char| first == '"' || first.is_ascii_digit()) {
            return Ok(None);
        }
        let cells = cells(text, self.separator);
        let first = cells.first().map_or("", String::as_str);
        let Some(time) = time(first) else {
            if cells.len() < 2 {
                return Ok(None);
            }
            let hint = if self.is_quoted { "" } else { SAVED_AGAIN };
            let colon = if hint.is_empty() { "" } else { ": " };
            return Err(RowError::Value(FormatError::new(
                line,
                format!(
                    "expected a time such as \"03/14/2026 03:00:00.015\", found {:?}{colon}{hint}",
                    shown(first)
                ),
            )));
        };
        let behind = cells.get(self.width..).unwrap_or_default();
        if cells.len() < self.width || behind.iter().any(|cell| !cell.trim().is_empty()) {
            return Err(RowError::Width(FormatError::new(
                line,
                format!(
                    "expected {} values, one for each counter of the heading in line {}, found {}: \
                     which value is whose is not known",
                    self.width - 1,
                    self.line,
                    cells.len() - 1
                ),
            )));
        }
        let mut gathered = Gathered::default();
        for column in &self.columns {
            self.value(line, &cells, column, &mut gathered)
                .map_err(RowError::Value)?;
        }
        Ok(Some(Row {
            time,
            parsed: Parsed {
                gauges: gathered.gauges,
                remarks: gathered.remarks,
            },
        }))
    }

    fn value(
        &self,
        line: usize,
        cells: &[String],
        column: &Column,
        gathered: &mut Gathered,
    ) -> Result<(), FormatError> {
        let Some(value) = number(line, cells, column.at)? else {
            return Ok(());
        };
        if let Some(at) = column.id {
            let pid = number(line, cells, at)?;
            let is_ours =
                pid.is_some_and(|pid| self.processes.is_ours(&column.host, &format!("{pid:.0}")));
            if !is_ours {
                return Ok(());
            }
        }
        // PDH cuts a percentage off at 100.
        if column.is_percent && value > 100.0 {
            gathered.remark(format!(
                "a value of {} counts as no sample: it is above 100 %",
                column.gauge
            ));
            return Ok(());
        }
        gathered.add(&column.gauge, value * column.factor);
        Ok(())
    }
}

/// What Excel does to a file.
const SAVED_AGAIN: &str = "a spreadsheet program, such as Excel, has saved this file again: times have \
                           lost their seconds, and separators and numbers are those of its language; give \
                           the file as perfmon, typeperf or relog wrote it (`relog LOG.blg -f CSV -o \
                           NEW.csv` writes one)";

/// A cell's number; `None` where there is no sample: not yet, none of an instance that has gone, or -1,
/// which typeperf writes for a counter that it cannot read. No counter that is read is ever negative.
fn number(line: usize, cells: &[String], at: usize) -> Result<Option<f64>, FormatError> {
    let cell = cells.get(at).map_or("", |cell| cell.trim());
    // Windows writes what is no number as `-1.#IND`.
    if cell.is_empty() || cell.contains(".#") {
        return Ok(None);
    }
    let value: f64 = cell.replace(',', ".").parse().map_err(|_| {
        FormatError::new(
            line,
            format!(
                "column {}: expected a number, found {:?}",
                at + 1,
                shown(cell)
            ),
        )
    })?;
    Ok(Some(value).filter(|value| value.is_finite() && *value >= 0.0))
}

/// `\\HOST\Object(Instance)\Counter`.
#[derive(Debug, Clone, Copy)]
struct Path<'t> {
    text: &'t str,
    host: &'t str,
    /// In English.
    object: &'t str,
    instance: &'t str,
    /// In English.
    counter: &'t str,
}

impl<'t> Path<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix("\\\\") {
            Some(rest) => rest.split_once('\\')?,
            None => ("", text.strip_prefix('\\')?),
        };
        let (object, counter) = rest.rsplit_once('\\')?;
        let (object, instance) = match object.split_once('(') {
            Some((object, instance)) => (object, instance.strip_suffix(')')?),
            None => (object, ""),
        };
        Some(Self {
            text,
            host,
            object: english(object),
            instance,
            counter: english(counter),
        })
    }

    fn is(&self, object: &str, counter: &str) -> bool {
        self.object.eq_ignore_ascii_case(object) && self.counter.eq_ignore_ascii_case(counter)
    }

    /// `4712_MSExchangeSyncAppPool` of W3SVC_W3WP: process id and pool.
    fn worker(&self) -> Option<(&'t str, &'t str)> {
        let (pid, pool) = self.instance.split_once('_')?;
        let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        let is_w3svc = self.object.eq_ignore_ascii_case("W3SVC_W3WP");
        (is_pid && is_w3svc).then_some((pid, pool))
    }
}

/// How surely a column is the pool's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sureness {
    /// It is a worker's of any pool.
    AnyPool,
    /// Each row says whose it is.
    ByRow,
    /// Its instance says whose it is.
    ByName,
}

/// Whose a column is.
#[derive(Debug, Clone, Copy)]
enum Of<'t> {
    /// The worker's of W3SVC_W3WP with this process id.
    Worker(&'t str),
    /// The process's with this id.
    Process(&'t str),
    /// An instance's that does not name its process; the column with the id, if there is one.
    Instance(Option<usize>),
    Other,
}

/// A counter that is read.
#[derive(Debug, Clone, Copy)]
struct Known<'t> {
    gauge: &'static str,
    factor: f64,
    of: Of<'t>,
}

impl Known<'_> {
    fn sureness(&self) -> Sureness {
        match self.of {
            Of::Instance(None) => Sureness::AnyPool,
            Of::Instance(Some(_)) => Sureness::ByRow,
            Of::Worker(_) | Of::Process(_) | Of::Other => Sureness::ByName,
        }
    }
}

/// What a column is.
enum Meaning<'t> {
    Read(Known<'t>),
    /// It is known, and another pool's, another process's, or of use for other columns only.
    Elsewhere,
    Unknown,
}

/// Which processes are the pool's, as the names of W3SVC_W3WP's instances say, and where rows have the ids
/// of the others. Hosts and instances are in lower case.
#[derive(Debug, Default)]
struct Processes {
    ours: BTreeSet<(String, String)>,
    others: BTreeSet<(String, String)>,
    ids: BTreeMap<(String, String, String), usize>,
}

impl Processes {
    fn read(paths: &[(usize, Path<'_>)], scope: &Scope) -> Self {
        let mut processes = Self::default();
        for (at, path) in paths {
            let host = path.host.to_ascii_lowercase();
            if let Some((pid, pool)) = path.worker() {
                let set = if pool.eq_ignore_ascii_case(&scope.pool) {
                    &mut processes.ours
                } else {
                    &mut processes.others
                };
                set.insert((host, pid.to_owned()));
            } else if is_id(path) {
                let object = path.object.to_ascii_lowercase();
                let instance = path.instance.to_ascii_lowercase();
                processes.ids.insert((host, object, instance), *at);
            }
        }
        processes
    }

    /// Whether a process is the pool's. If nothing says which are, every worker counts that is not
    /// another pool's.
    fn is_ours(&self, host: &str, pid: &str) -> bool {
        let process = (host.to_owned(), pid.to_owned());
        if self.ours.iter().any(|(of, _)| of == host) {
            self.ours.contains(&process)
        } else {
            !self.others.contains(&process)
        }
    }

    fn meaning<'t>(&self, path: &Path<'t>, scope: &Scope) -> Meaning<'t> {
        if is_id(path) {
            return Meaning::Elsewhere;
        }
        let mut known = COUNTERS
            .iter()
            .filter(|(object, counter, ..)| path.is(object, counter));
        let Some((_, _, whose, gauge, factor)) = known.next() else {
            return Meaning::Unknown;
        };
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let is_meant = |is_meant: bool| is_meant.then_some(Of::Other);
        let of = match whose {
            Instance::Worker => path
                .worker()
                .filter(|(_, pool)| same(pool, &scope.pool))
                .map(|(pid, _)| Of::Worker(pid)),
            Instance::Pool => is_meant(same(path.instance, &scope.pool)),
            Instance::Process => match w3wp(path.instance) {
                None => None,
                // A process of another name, or a name that is made in a way that is not known.
                Some(W3wp::Other(_)) => return Meaning::Unknown,
                Some(W3wp::Pid(pid)) => Some(Of::Process(pid)),
                Some(W3wp::Unnamed) => {
                    let lower = |text: &str| text.to_ascii_lowercase();
                    let key = (lower(path.host), lower(path.object), lower(path.instance));
                    Some(Of::Instance(self.ids.get(&key).copied()))
                }
            },
            Instance::Proxy => is_meant(same(path.instance, "eas")),
            Instance::Machine => {
                is_meant(path.instance.is_empty() || same(path.instance, "_Total"))
            }
        };
        of.map_or(Meaning::Elsewhere, |of| {
            Meaning::Read(Known {
                gauge,
                factor: *factor,
                of,
            })
        })
    }
}

/// Whether a counter says which process an instance is.
fn is_id(path: &Path<'_>) -> bool {
    IDS.iter().any(|(object, counter)| path.is(object, counter))
}
