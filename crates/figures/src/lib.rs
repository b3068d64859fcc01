//! Figures that servers and their tools print, as gauges: windows_exporter, perfmon and typeperf, netstat,
//! Get-NetTCPConnection, and plain `name value` lines. Every parser takes bytes and returns gauges, or a mistake with
//! its line. Where the bytes come from is not known here.
//!
//! The gauges have the same names in every format, so a check does not depend on the source that the user has.
//!
//! ```
//! use figures::{Scope, parse};
//! use scenario::Format;
//!
//! let scope = Scope {
//!     pool: "MSExchangeSyncAppPool".to_owned(),
//!     client_port: 443,
//!     back_end_port: 444,
//! };
//! let text = "windows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\",pid=\"4712\"} 1823\n";
//! let parsed = parse(Format::Exporter, text.as_bytes(), &scope).unwrap();
//! assert_eq!(parsed.gauges["server.active_requests"], 1823.0);
//! ```

mod cells;
mod exporter;
mod exposition;
mod instance;
mod net_tcp_connection;
mod netstat;
mod perfmon;
mod sockets;
mod values;

use scenario::Format;
use scenario::names::{Gauges, Together, together};
use text::decode_any as decode;

pub use perfmon::{History, history};
pub use values::meant;

/// Which of a server's figures are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The application pool.
    pub pool: String,
    /// The port that devices connect to.
    pub client_port: u16,
    /// The port that the front-end proxy connects to.
    pub back_end_port: u16,
}

/// Why a text has no gauges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FormatError {
    /// The line, from 1.
    pub line: usize,
    /// What is there, and what was expected.
    pub problem: String,
}

impl FormatError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self {
            line,
            problem: problem.into(),
        }
    }
}

/// What a text holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The figures, by their names.
    pub gauges: Gauges,
    /// What was left out of it, and why. The same text for the same cause, so that a source that is
    /// read every second can report each once.
    pub remarks: Vec<String>,
}

/// Reads a text, and says what is left out of it.
///
/// # Errors
/// When it is not of that format, or holds nothing that is known.
pub fn parse(format: Format, bytes: &[u8], scope: &Scope) -> Result<Parsed, FormatError> {
    let text = decode(bytes);
    match format {
        Format::Exporter => exporter::parse(&text, scope),
        Format::Perfmon => perfmon::parse(&text, scope),
        Format::Netstat => netstat::parse(&text, scope),
        Format::NetTcpConnection => net_tcp_connection::parse(&text, scope),
        Format::Values => values::parse(&text),
    }
}

/// A source has some fifty figures; one that prints numbers without end must not fill the journal.
const MOST_GAUGES: usize = 1000;

/// Remarks on one text; a hostile one has a cause in every line.
const MOST_REMARKS: usize = 8;

/// Gauges in the making: several values of one name become one.
#[derive(Debug, Default)]
struct Gathered {
    gauges: Gauges,
    remarks: Vec<String>,
}

impl Gathered {
    fn add(&mut self, name: &str, value: f64) {
        if !value.is_finite() {
            self.remark(format!("{name} is left out: {value} is no number"));
            return;
        }
        if self.gauges.len() >= MOST_GAUGES && !self.gauges.contains_key(name) {
            return;
        }
        let together = together(name);
        let slot = self.gauges.entry(name.to_owned());
        slot.and_modify(|so_far| {
            let sum = match together {
                Together::Sum => *so_far + value,
                Together::Max => so_far.max(value),
            };
            // The sum of finite values may not be finite.
            *so_far = if sum.is_finite() { sum } else { value };
        })
        .or_insert(value);
    }

    fn server(&mut self, name: &str, value: f64) {
        self.add(&format!("server.{name}"), value);
    }

    /// Says once what was left out.
    fn remark(&mut self, remark: impl Into<String>) {
        remember(&mut self.remarks, remark.into());
    }

    fn done(self, expected: &str) -> Result<Parsed, FormatError> {
        if self.gauges.is_empty() {
            let mut problem = format!("expected {expected}; none is there");
            if let Some(remark) = self.remarks.first() {
                problem = format!("{problem}: {remark}");
            }
            Err(FormatError::new(1, problem))
        } else {
            Ok(Parsed {
                gauges: self.gauges,
                remarks: self.remarks,
            })
        }
    }
}

/// Adds a remark, each once and a bounded number of them.
fn remember(remarks: &mut Vec<String>, remark: String) {
    if remarks.len() < MOST_REMARKS && !remarks.contains(&remark) {
        remarks.push(remark);
    }
}

#[cfg(test)]
fn scope() -> Scope {
    Scope {
        pool: "MSExchangeSyncAppPool".to_owned(),
        client_port: 443,
        back_end_port: 444,
    }
}

/// A file of tests/data.
#[cfg(test)]
fn case(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read(folder.join(name)).unwrap()
}
