//! `[observe]`: where the server's figures come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_api::Topology;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::{bare_url, format_duration, program};

use super::reader::Section;

/// The pool of Exchange's ActiveSync.
const POOL: &str = "MSExchangeSyncAppPool";
/// The web site that the front-end proxy connects to on every Exchange server.
const BACK_END_PORT: u64 = 444;
/// A URL and a file cost little to read.
const EVERY: Duration = Duration::from_secs(1);
/// A command starts a process, and often a connection, each time.
const EVERY_COMMAND: Duration = Duration::from_secs(10);
/// A reading counts for three periods: one may be late and one may fail.
const STALE_PERIODS: u32 = 3;
/// But never for less than this, or the clock's grain decides.
const STALE_LEAST: Duration = Duration::from_secs(3);

/// Where the server's figures are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ObservePlan {
    /// The sources; the mock's own metrics come before them when it is the target.
    pub sources: Vec<SourcePlan>,
    /// The application pool.
    pub pool: String,
    /// The port that the front-end proxy connects to.
    pub back_end_port: u16,
    /// Active requests that one open request of a device counts as.
    pub requests_per_ping: RequestsPerPing,
}

/// Active requests that one open request of a device counts as.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestsPerPing {
    /// So many: 2 where front end and back end share the pool (Exchange on one server), else 1.
    Known(f64),
    /// Found out before Pings strand.
    Auto,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourcePlan {
    /// The server it tells of. Values of different servers are added up; of several sources of one
    /// server the first that has a value counts.
    pub server: String,
    /// Where the text is.
    pub place: Place,
    /// How it is to be read.
    pub format: Format,
    /// How often.
    pub every: Duration,
    /// An older reading counts as none.
    pub stale_after: Duration,
}

/// Where a source's text is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Fetched by HTTP.
    Url(String),
    /// A file that is written again and again, or grows; with a `*` in its name the newest of those
    /// that match.
    Path(PathBuf),
    /// What a shell command prints.
    Command(String),
}

/// How a source's text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Prometheus text of windows_exporter.
    Exporter,
    /// PDH-CSV of perfmon, typeperf, relog or Export-Counter: the last row counts.
    Perfmon,
    /// `netstat -ano` or `netstat -anob` of Windows.
    Netstat,
    /// `Get-NetTCPConnection | Export-Csv`.
    NetTcpConnection,
    /// A line `name value` each.
    Values,
}

impl Format {
    /// All of them, with their names in scenarios.
    pub const ALL: [(&'static str, Self); 5] = [
        ("exporter", Self::Exporter),
        ("perfmon", Self::Perfmon),
        ("netstat", Self::Netstat),
        ("net-tcp-connection", Self::NetTcpConnection),
        ("values", Self::Values),
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, format)| *format == self)
            .map_or("", |(name, _)| name)
    }
}

impl SourcePlan {
    /// The `/metrics` of a windows_exporter, or of the mock.
    #[must_use]
    pub fn exporter(server: String, url: String) -> Self {
        Self {
            server,
            place: Place::Url(url),
            format: Format::Exporter,
            every: EVERY,
            stale_after: STALE_LEAST,
        }
    }
}

impl fmt::Display for SourcePlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {} from ", self.server, self.format.as_str())?;
        match &self.place {
            Place::Url(url) => formatter.write_str(&bare_url(url)),
            Place::Path(path) => write!(formatter, "{}", path.display()),
            // Its arguments may hold secrets, and its lines break those of a report.
            Place::Command(command) => {
                write!(formatter, "the command {}", program(command))
            }
        }
    }
}

pub(super) fn observe(
    section: Option<Section<'_>>,
    is_mock: bool,
    topology: Topology,
    folder: &Path,
) -> ObservePlan {
    // The mock's topology is known; a server's is not.
    let requests_per_ping = match (is_mock, topology) {
        (true, Topology::Direct) => RequestsPerPing::Known(1.0),
        (true, _) => RequestsPerPing::Known(2.0),
        (false, _) => RequestsPerPing::Auto,
    };
    let mut plan = ObservePlan {
        sources: Vec::new(),
        pool: POOL.to_owned(),
        back_end_port: BACK_END_PORT as u16,
        requests_per_ping,
    };
    let Some(section) = section else { return plan };
    let sources = section.sections("source").into_iter();
    plan.sources = sources.filter_map(|one| source(one, folder)).collect();
    if let Some(pool) = section.text("pool") {
        plan.pool = pool;
    }
    if let Some(port) = section.integer("back_end_port", 1..=65535) {
        plan.back_end_port = port as u16;
    }
    if let Some(count) = section.number("requests_per_ping", 1.0..=2.0) {
        plan.requests_per_ping = RequestsPerPing::Known(count);
    }
    section.finish();
    plan
}

fn source(section: Section<'_>, folder: &Path) -> Option<SourcePlan> {
    let (url, path, command) = (
        section.text("url"),
        section.path("path", folder),
        section.text("command"),
    );
    let format = section.choice("format", &Format::ALL);
    let has = ["url", "path", "command"]
        .into_iter()
        .filter(|key| section.has(key));
    let place = match (url, path, command, has.count()) {
        (Some(url), None, None, 1) => {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                section.problem("url", "expected http://… or https://…");
            }
            Some(Place::Url(url))
        }
        (None, Some(path), None, 1) => Some(Place::Path(path)),
        (None, None, Some(command), 1) => Some(Place::Command(command)),
        (_, _, _, 1) => None,
        _ => {
            section.problem(
                "url",
                "expected exactly one of url, path and command, such as url = \
                 \"http://ex01:9182/metrics\"",
            );
            None
        }
    };
    let default = matches!(place, Some(Place::Url(_))).then_some(Format::Exporter);
    let format = format.or(default);
    if format.is_none() && !section.has("format") && place.is_some() {
        let names: Vec<&str> = Format::ALL.iter().map(|(name, _)| *name).collect();
        section.problem(
            "format",
            format!(
                "is missing; a path or a command can print any of {}",
                names.join(", ")
            ),
        );
    }
    let every = section
        .duration("every")
        .unwrap_or(if matches!(place, Some(Place::Command(_))) {
            EVERY_COMMAND
        } else {
            EVERY
        });
    if every < EVERY {
        section.problem(
            "every",
            "expected at least \"1s\": intervals are a second long",
        );
    }
    let stale_after = section
        .duration("stale_after")
        .unwrap_or_else(|| (STALE_PERIODS * every).max(STALE_LEAST));
    if stale_after < every {
        section.problem(
            "stale_after",
            format!(
                "expected at least the period ({}), or no reading ever counts",
                format_duration(every)
            ),
        );
    }
    let server = section
        .text("server")
        .or_else(|| host(place.as_ref()?))
        .unwrap_or_else(|| "server".to_owned());
    section.finish();
    Some(SourcePlan {
        server,
        place: place?,
        format: format?,
        every,
        stale_after,
    })
}

/// The host of a URL names its server.
fn host(place: &Place) -> Option<String> {
    let Place::Url(url) = place else { return None };
    let bare = bare_url(url);
    let rest = bare.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    (!host.is_empty()).then(|| host.to_owned())
}
