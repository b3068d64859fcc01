//! A counter log as perfmon writes it: PDH-CSV (server-observability.md, section 4).
//!
//! perfmon fixes its columns when a log begins. Two things follow when workers come and go, and
//! both can mislead whoever reads the log:
//!
//! - An instance that vanishes leaves empty cells (mock-fidelity.md, M2).
//! - `Process` and `.NET CLR Memory` name processes of one image `w3wp`, `w3wp#1` in order of
//!   start, and the names move up when an earlier one ends. So after a recycle the column `w3wp`
//!   goes on with the memory of the new worker. The columns of the process id tell.
//!
//! A worker that starts has no column. perfmon would not show it until somebody starts the log
//! anew; the mock starts a segment with its own header row instead, which is our assumption.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;

use jiff::{Timestamp, Zoned};

use super::ring::LogFile;

/// Rows kept over all segments: two hours at one a second, longer than a scaled scenario takes,
/// in about 3 MB.
pub(crate) const ROWS: usize = 7_200;

/// What a log's row shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PerfmonSample {
    /// Every worker that has not ended, in order of start.
    pub(crate) workers: Vec<PerfmonWorker>,
    /// Recycles of the pool since start.
    pub(crate) recycles: u64,
    /// Workers created since start.
    pub(crate) workers_created: u64,
    /// Workers killed at shutdownTimeLimit since start.
    pub(crate) shutdown_failures: u64,
    /// Requests that wait in HTTP.sys.
    pub(crate) queued: u64,
    /// Requests that HTTP.sys refused since start.
    pub(crate) rejected: u64,
    /// Sockets in ESTABLISHED and CLOSE_WAIT.
    pub(crate) connections_established: u64,
    /// Outgoing connections that failed since start.
    pub(crate) connection_failures: u64,
    /// Pings held.
    pub(crate) pings_pending: u64,
    /// Sync commands since start; the log shows the rate.
    pub(crate) syncs: u64,
    /// EAS requests since start; the log shows the rate.
    pub(crate) requests: u64,
    /// Requests of the front-end proxy that have no answer yet.
    pub(crate) outstanding_proxy: u64,
}

/// One worker in a [`PerfmonSample`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PerfmonWorker {
    /// Process id.
    pub(crate) pid: u32,
    /// Active Requests.
    pub(crate) active: u64,
    /// Requests served since it started.
    pub(crate) served: u64,
    /// Time in garbage collection, 0 to 100.
    pub(crate) gc_percent: f64,
    /// Managed heap, in bytes.
    pub(crate) heap_bytes: u64,
    /// Private bytes, where the system tells.
    pub(crate) private_bytes: Option<u64>,
    /// Handles, where the system tells.
    pub(crate) handles: Option<u64>,
}

/// A counter and how to read it.
type Counter<S> = (&'static str, fn(&S) -> Option<u64>);

const W3SVC_W3WP: [Counter<PerfmonWorker>; 2] = [
    ("Active Requests", |worker| Some(worker.active)),
    ("Total HTTP Requests Served", |worker| Some(worker.served)),
];
const CLR_MEMORY: [Counter<PerfmonWorker>; 2] = [
    ("# Bytes in all Heaps", |worker| Some(worker.heap_bytes)),
    ("Process ID", |worker| Some(worker.pid.into())),
];
const PROCESS: [Counter<PerfmonWorker>; 3] = [
    ("Private Bytes", |worker| worker.private_bytes),
    ("Handle Count", |worker| worker.handles),
    ("ID Process", |worker| Some(worker.pid.into())),
];
const APP_POOL_WAS: [Counter<PerfmonSample>; 4] = [
    ("Total Application Pool Recycles", |sample| {
        Some(sample.recycles)
    }),
    ("Total Worker Processes Created", |sample| {
        Some(sample.workers_created)
    }),
    ("Current Worker Processes", |sample| {
        Some(sample.workers.len() as u64)
    }),
    ("Total Worker Process Shutdown Failures", |sample| {
        Some(sample.shutdown_failures)
    }),
];
const REQUEST_QUEUES: [Counter<PerfmonSample>; 2] = [
    ("CurrentQueueSize", |sample| Some(sample.queued)),
    ("RejectedRequests", |sample| Some(sample.rejected)),
];
/// With the object, because these have no instance, or one that is always the same.
const OTHERS: [Counter<PerfmonSample>; 4] = [
    (r"TCPv4\Connections Established", |sample| {
        Some(sample.connections_established)
    }),
    (r"TCPv4\Connection Failures", |sample| {
        Some(sample.connection_failures)
    }),
    (r"MSExchange ActiveSync\Ping Commands Pending", |sample| {
        Some(sample.pings_pending)
    }),
    (
        r"MSExchange HttpProxy(eas)\Outstanding Proxy Requests",
        |sample| Some(sample.outstanding_proxy),
    ),
];
/// Counts that the log shows as a rate.
const RATES: [Counter<PerfmonSample>; 2] = [
    (r"MSExchange ActiveSync\Sync Commands/sec", |sample| {
        Some(sample.syncs)
    }),
    (r"MSExchange ActiveSync\Requests/sec", |sample| {
        Some(sample.requests)
    }),
];

/// The log of one server.
pub(crate) struct PerfmonLog {
    host: String,
    pool: String,
    time_zone: String,
    segments: VecDeque<Segment>,
    /// Rows of all segments.
    rows: usize,
    /// Pool seconds per second: the log's times are the pool's, its rates are per real second, as
    /// devices live.
    time_scale: f64,
    file: Option<LogFile>,
    /// The row before, within the segment.
    previous: Option<(Timestamp, [Option<u64>; RATES.len()])>,
}

/// Rows with the same columns.
struct Segment {
    header: String,
    /// The workers that have columns, in order of start.
    pids: Vec<u32>,
    rows: VecDeque<String>,
}

/// What stands in a cell.
enum Cell {
    Value(f64),
    /// The counter has no value yet.
    NoSample,
    /// The instance has vanished.
    Gone,
}

impl PerfmonLog {
    /// An empty log. `host` and `pool` are the names in the columns; `time_zone` is Windows' name
    /// of the zone the times will be in, such as `W. Europe Standard Time`.
    pub(crate) fn new(
        host: &str,
        pool: &str,
        time_zone: &str,
        time_scale: f64,
        file: Option<File>,
    ) -> Self {
        Self {
            time_scale,
            file: file.map(|file| LogFile::new("performance log", file)),
            host: host.to_owned(),
            pool: pool.to_owned(),
            time_zone: time_zone.to_owned(),
            segments: VecDeque::new(),
            rows: 0,
            previous: None,
        }
    }

    /// Adds a row; to be called once a second.
    pub(crate) fn push(&mut self, at: &Zoned, sample: &PerfmonSample) {
        let is_known = |pids: &[u32]| {
            let mut workers = sample.workers.iter();
            workers.all(|worker| pids.contains(&worker.pid))
        };
        if !self
            .segments
            .back()
            .is_some_and(|last| is_known(&last.pids))
        {
            let segment = self.begin(at, sample);
            LogFile::append(&mut self.file, &segment.header);
            self.segments.push_back(segment);
            self.previous = None;
        }
        let rates = self.rates(at.timestamp(), sample);
        if let Some(segment) = self.segments.back_mut() {
            let row = row(at, &segment.pids, sample, rates);
            LogFile::append(&mut self.file, &row);
            segment.rows.push_back(row);
            self.rows += 1;
        }
        self.forget();
    }

    /// Every segment with its header row.
    pub(crate) fn text(&self) -> String {
        let rows = |segment: &Segment| segment.rows.iter().map(String::len).sum::<usize>();
        let lengths = self.segments.iter().map(|it| it.header.len() + rows(it));
        let mut text = String::with_capacity(lengths.sum());
        for segment in &self.segments {
            text.push_str(&segment.header);
            text.extend(segment.rows.iter().map(String::as_str));
        }
        text
    }

    fn begin(&self, at: &Zoned, sample: &PerfmonSample) -> Segment {
        // UTC is local time plus bias, so east of Greenwich it is negative. It is the one in
        // force now; a change to summer time does not rewrite it.
        let bias = -at.offset().seconds() / 60;
        let mut header = quoted(&format!("(PDH-CSV 4.0) ({})({bias})", self.time_zone));
        let mut columns = |object: &str, counters: &mut dyn Iterator<Item = &'static str>| {
            for counter in counters {
                let path = format!(r"\\{}\{object}{counter}", self.host);
                header.push(',');
                header.push_str(&quoted(&path));
            }
        };
        let pool = &self.pool;
        let pids: Vec<u32> = sample.workers.iter().map(|worker| worker.pid).collect();
        for pid in &pids {
            columns(
                &format!(r"W3SVC_W3WP({pid}_{pool})\"),
                &mut names(&W3SVC_W3WP),
            );
        }
        for order in 0..pids.len() {
            let instance = match order {
                0 => "w3wp".to_owned(),
                _ => format!("w3wp#{order}"),
            };
            let clr = format!(r".NET CLR Memory({instance})\");
            columns(&clr, &mut ["% Time in GC"].into_iter());
            columns(&clr, &mut names(&CLR_MEMORY));
            columns(&format!(r"Process({instance})\"), &mut names(&PROCESS));
        }
        columns(
            &format!(r"APP_POOL_WAS({pool})\"),
            &mut names(&APP_POOL_WAS),
        );
        let queues = format!(r"HTTP Service Request Queues({pool})\");
        columns(&queues, &mut names(&REQUEST_QUEUES));
        columns("", &mut names(&OTHERS));
        columns("", &mut names(&RATES));
        header.push('\n');
        Segment {
            header,
            pids,
            rows: VecDeque::new(),
        }
    }

    /// A rate needs two rows, so the first of a segment has none. Neither has one whose count fell
    /// because a worker took its part with it: PDH refuses a negative rate.
    fn rates(&mut self, at: Timestamp, sample: &PerfmonSample) -> [Cell; RATES.len()] {
        let counts = RATES.map(|(_, read)| read(sample));
        let previous = self.previous.replace((at, counts));
        std::array::from_fn(|index| {
            let rate = || {
                let (then, before) = previous?;
                let grown = counts[index]?.checked_sub(before[index]?)?;
                let seconds = at.duration_since(then).as_secs_f64() / self.time_scale;
                (seconds > 0.0).then(|| grown as f64 / seconds)
            };
            rate().map_or(Cell::NoSample, Cell::Value)
        })
    }

    fn forget(&mut self) {
        while self.rows > ROWS
            && let Some(first) = self.segments.front_mut()
        {
            first.rows.pop_front();
            self.rows -= 1;
            if first.rows.is_empty() {
                self.segments.pop_front();
            }
        }
    }
}

fn names<S>(counters: &[Counter<S>]) -> impl Iterator<Item = &'static str> {
    counters.iter().map(|(name, _)| *name)
}

/// The cells in the order of [`PerfmonLog::begin`].
fn row(at: &Zoned, pids: &[u32], sample: &PerfmonSample, rates: [Cell; RATES.len()]) -> String {
    let mut cells = Vec::new();
    let workers = &sample.workers;
    for pid in pids {
        let worker = workers.iter().find(|worker| worker.pid == *pid);
        cells.extend(read(&W3SVC_W3WP, worker));
    }
    for order in 0..pids.len() {
        let worker = workers.get(order);
        cells.push(worker.map_or(Cell::Gone, |worker| Cell::Value(worker.gc_percent)));
        cells.extend(read(&CLR_MEMORY, worker));
        cells.extend(read(&PROCESS, worker));
    }
    cells.extend(read(&APP_POOL_WAS, Some(sample)));
    cells.extend(read(&REQUEST_QUEUES, Some(sample)));
    cells.extend(read(&OTHERS, Some(sample)));
    cells.extend(rates);

    let mut row = quoted(&at.strftime("%m/%d/%Y %H:%M:%S%.3f").to_string());
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = match cell {
            Cell::Value(value) => write!(row, ",\"{value}\""),
            Cell::NoSample => write!(row, ",\" \""),
            Cell::Gone => write!(row, ",\"\""),
        };
    }
    row.push('\n');
    row
}

fn read<S>(counters: &[Counter<S>], from: Option<&S>) -> impl Iterator<Item = Cell> {
    counters.iter().map(move |(_, read)| match from {
        None => Cell::Gone,
        Some(from) => read(from).map_or(Cell::NoSample, |value| Cell::Value(value as f64)),
    })
}

/// A cell whose text may hold anything, such as a pool's name.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::{TimeZone, offset};
    use jiff::{SignedDuration, ToSpan as _};

    use super::*;

    fn start() -> Zoned {
        let zone = TimeZone::fixed(offset(1));
        let time = date(2026, 3, 14).at(3, 0, 0, 15_000_000);
        time.to_zoned(zone).unwrap()
    }

    fn worker(pid: u32) -> PerfmonWorker {
        PerfmonWorker {
            pid,
            active: u64::from(pid) + 1,
            served: 7,
            gc_percent: 2.5,
            heap_bytes: 6_000_000_000,
            private_bytes: Some(1024),
            handles: None,
        }
    }

    fn sample(pids: &[u32], count: u64) -> PerfmonSample {
        PerfmonSample {
            workers: pids.iter().copied().map(worker).collect(),
            pings_pending: 1790,
            syncs: count,
            requests: 3 * count,
            ..PerfmonSample::default()
        }
    }

    fn log() -> PerfmonLog {
        let zone = "W. Europe Standard Time";
        PerfmonLog::new("EX01", "MSExchangeSyncAppPool", zone, 1.0, None)
    }

    /// Cells of a text's line; none of them holds a comma.
    fn cells(text: &str, line: usize) -> Vec<&str> {
        let line = text.lines().nth(line).unwrap();
        line.split(',').map(|cell| cell.trim_matches('"')).collect()
    }

    /// Pairs of column and cell.
    fn named(text: &str, header: usize, row: usize) -> Vec<(&str, &str)> {
        let (names, row) = (cells(text, header), cells(text, row));
        assert_eq!(names.len(), row.len());
        names.into_iter().zip(row).collect()
    }

    #[test]
    fn a_log_in_full() {
        let mut log = log();
        log.push(&start(), &sample(&[4712], 10));
        let later = start() + SignedDuration::from_millis(2005);
        log.push(&later, &sample(&[4712], 2015));
        let columns = [
            r"\\EX01\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\Active Requests",
            r"\\EX01\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\Total HTTP Requests Served",
            r"\\EX01\.NET CLR Memory(w3wp)\% Time in GC",
            r"\\EX01\.NET CLR Memory(w3wp)\# Bytes in all Heaps",
            r"\\EX01\.NET CLR Memory(w3wp)\Process ID",
            r"\\EX01\Process(w3wp)\Private Bytes",
            r"\\EX01\Process(w3wp)\Handle Count",
            r"\\EX01\Process(w3wp)\ID Process",
            r"\\EX01\APP_POOL_WAS(MSExchangeSyncAppPool)\Total Application Pool Recycles",
            r"\\EX01\APP_POOL_WAS(MSExchangeSyncAppPool)\Total Worker Processes Created",
            r"\\EX01\APP_POOL_WAS(MSExchangeSyncAppPool)\Current Worker Processes",
            r"\\EX01\APP_POOL_WAS(MSExchangeSyncAppPool)\Total Worker Process Shutdown Failures",
            r"\\EX01\HTTP Service Request Queues(MSExchangeSyncAppPool)\CurrentQueueSize",
            r"\\EX01\HTTP Service Request Queues(MSExchangeSyncAppPool)\RejectedRequests",
            r"\\EX01\TCPv4\Connections Established",
            r"\\EX01\TCPv4\Connection Failures",
            r"\\EX01\MSExchange ActiveSync\Ping Commands Pending",
            r"\\EX01\MSExchange HttpProxy(eas)\Outstanding Proxy Requests",
            r"\\EX01\MSExchange ActiveSync\Sync Commands/sec",
            r"\\EX01\MSExchange ActiveSync\Requests/sec",
        ];
        let expected = format!(
            r#""(PDH-CSV 4.0) (W. Europe Standard Time)(-60)","{}"
"03/14/2026 03:00:00.015","4713","7","2.5","6000000000","4712","1024"," ","4712","0","0","1","0","0","0","0","0","1790","0"," "," "
"03/14/2026 03:00:02.020","4713","7","2.5","6000000000","4712","1024"," ","4712","0","0","1","0","0","0","0","0","1790","0","1000","3000"
"#,
            columns.join("\",\"")
        );
        assert_eq!(log.text(), expected);
    }

    #[test]
    fn names_move_up_when_the_first_worker_ends() {
        let mut log = log();
        log.push(&start(), &sample(&[100, 200], 0));
        log.push(&(start() + 1.second()), &sample(&[200], 0));
        let text = log.text();
        let row = named(&text, 0, 2);
        let find = |name: &str| {
            let cells = row.iter().filter(|(column, _)| column.contains(name));
            cells.map(|(_, cell)| *cell).collect::<Vec<_>>()
        };
        assert_eq!(find(r"W3SVC_W3WP(100_"), ["", ""]);
        assert_eq!(find(r"W3SVC_W3WP(200_"), ["201", "7"]);
        assert_eq!(find(r"Process(w3wp)\ID Process"), ["200"]);
        assert_eq!(find(r"Memory(w3wp)\Process ID"), ["200"]);
        assert_eq!(find("(w3wp#1)"), ["", "", "", "", "", ""]);
    }

    #[test]
    fn a_new_worker_begins_a_segment_without_rates() {
        let mut log = log();
        log.push(&start(), &sample(&[100], 0));
        log.push(&(start() + 1.second()), &sample(&[100, 200], 5));
        log.push(&(start() + 2.seconds()), &sample(&[100, 200], 6));
        let text = log.text();
        let headers: Vec<usize> = (0..5)
            .filter(|line| cells(&text, *line)[0].starts_with("(PDH-CSV"))
            .collect();
        assert_eq!(headers, [0, 2]);
        assert_eq!(cells(&text, 2).len(), cells(&text, 0).len() + 8);
        let rate = |row: usize| named(&text, 2, row).pop().map(|(_, cell)| cell.to_owned());
        assert_eq!(rate(3).as_deref(), Some(" "));
        assert_eq!(rate(4).as_deref(), Some("3"));
    }

    #[test]
    fn no_rate_from_a_count_that_fell_or_a_clock_that_stood() {
        let mut log = log();
        log.push(&start(), &sample(&[1], 9));
        log.push(&(start() + 1.second()), &sample(&[1], 8));
        log.push(&(start() + 1.second()), &sample(&[1], 9));
        let text = log.text();
        assert_eq!(cells(&text, 2).last(), Some(&" "));
        assert_eq!(cells(&text, 3).last(), Some(&" "));
    }

    #[test]
    fn the_oldest_rows_go_first_and_take_their_header_along() {
        let mut log = log();
        log.push(&start(), &sample(&[], 0));
        for _ in 0..ROWS {
            log.push(&start(), &sample(&[1], 0));
        }
        let text = log.text();
        assert_eq!(text.lines().count(), ROWS + 1);
        assert!(cells(&text, 0)[1].contains("W3SVC_W3WP(1_"));
    }
}
