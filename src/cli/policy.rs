//! `easload policy`: what an applicationHost.config says of the pool's recycling.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use iis::policy::{
    Context, Exchange, Finding, RULES, Rule, Severity, explain, lint, lint_together, next_times,
    settings, unreadable,
};
use iis::{Origin, Pool};
use jiff::Zoned;
use jiff::civil::Time;
use scenario::read_config;
use verdict::report::sarif;

use super::{Exit, print_or_fail};
use crate::terminal::say;

/// How far ahead `show` looks.
const NEXT: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explain when the pool recycles and what each recycle does, and name what is wrong.
    ///
    /// Several files are those of several servers. Ends with 3 if there is a finding of the severity
    /// of --fail-on or worse, and with 2 if a file cannot be read, after what the others say.
    Lint(LintArguments),
    /// Print every setting in force, and where it comes from.
    Show(ShowArguments),
}

#[derive(Debug, Args)]
struct LintArguments {
    /// applicationHost.config of each server.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Application pool.
    #[arg(long, default_value = iis::SYNC_POOL)]
    pool: String,
    /// Version of Exchange: `2013`, `2016`, `2016-cu11` for Cumulative Update 11 or later, `2019`.
    #[arg(long, value_enum)]
    exchange: Option<Version>,
    /// Number of devices of a server; some findings then say how many are concerned.
    #[arg(long, value_name = "N")]
    devices: Option<u32>,
    /// Shortest and longest heartbeat of the devices, in seconds.
    #[arg(long, value_name = "FROM..TO", default_value = "470..3540", value_parser = heartbeats)]
    heartbeat: (u32, u32),
    /// When people work.
    #[arg(long, value_name = "FROM-TO", default_value = "07:00-19:00", value_parser = hours)]
    office_hours: (Time, Time),
    /// Rules that are not looked for; may be given several times.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    allow: Vec<&'static Rule>,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The mildest severity that ends with 3.
    #[arg(long, value_enum, default_value_t = FailOn::Warning)]
    fail_on: FailOn,
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// applicationHost.config.
    file: PathBuf,
    /// Application pool.
    #[arg(long, default_value = iis::SYNC_POOL)]
    pool: String,
    /// When the worker started, for example `2026-03-14T20:00:00+01:00[Europe/Berlin]`, or
    /// `2026-03-14T19:00:00Z` for this machine's time zone; the next recycles are told from there.
    /// Without it, it starts now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    started: Option<Zoned>,
    /// How the settings are printed.
    #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
    format: ShowFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    #[value(name = "2013")]
    Exchange2013,
    #[value(name = "2016")]
    Exchange2016,
    #[value(name = "2016-cu11")]
    Exchange2016Cu11,
    #[value(name = "2019")]
    Exchange2019,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    /// A table.
    Text,
    /// A JSON object.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Note,
    Warning,
    Error,
    Never,
}

impl FailOn {
    fn reached(self, findings: &[Finding]) -> bool {
        let least = match self {
            Self::Note => Severity::Note,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
            Self::Never => return false,
        };
        findings.iter().any(|finding| finding.severity >= least)
    }
}

fn rule(text: &str) -> Result<&'static Rule, String> {
    Rule::find(text).ok_or_else(|| {
        let known: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
        format!("expected one of {}", known.join(", "))
    })
}

fn moment(text: &str) -> Result<Zoned, String> {
    let zoned = text.parse::<Zoned>().ok();
    let here = || text.parse::<jiff::Timestamp>().ok();
    zoned
        .or_else(|| Some(here()?.to_zoned(jiff::tz::TimeZone::system())))
        .ok_or_else(|| {
            "expected a time such as 2026-03-14T20:00:00Z or \
             2026-03-14T20:00:00+01:00[Europe/Berlin]"
                .to_owned()
        })
}

fn heartbeats(text: &str) -> Result<(u32, u32), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let read = |text: &str| text.trim().trim_end_matches('s').parse::<u32>().ok();
    match (read(from), read(to)) {
        (Some(from @ 1..), Some(to)) if from <= to => Ok((from, to)),
        _ => Err("expected seconds from and to, such as 470..3540".to_owned()),
    }
}

fn hours(text: &str) -> Result<(Time, Time), String> {
    let read = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
    let (from, to) = text.split_once('-').unwrap_or_default();
    match (read(from), read(to)) {
        (Some(from), Some(to)) if from < to => Ok((from, to)),
        _ => Err("expected two times of day such as 07:00-19:00".to_owned()),
    }
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    match &arguments.command {
        Command::Lint(arguments) => lint_files(arguments),
        Command::Show(arguments) => show(arguments),
    }
}

/// Why a file cannot be read: in words, and its mistakes.
struct Unread {
    why: String,
    mistakes: Vec<Finding>,
}

/// Reads the pool of a file; prints every mistake of it.
fn load(file: &Path, pool: &str) -> Result<Pool, Unread> {
    let name = file.display().to_string();
    let bytes = read_config(file).map_err(|error| {
        say(&format!("error: {name}: {error}"));
        Unread {
            why: error.to_string(),
            mistakes: Vec::new(),
        }
    })?;
    iis::read_pool(&name, &bytes, pool).map_err(|error| {
        say(&format!("error: {error}"));
        let mistakes = unreadable(&name, &error);
        let first = mistakes.first().map_or("", |first| &first.message);
        Unread {
            why: format!("{} mistakes; the first: {first}", error.problems().len()),
            mistakes,
        }
    })
}

fn lint_files(arguments: &LintArguments) -> Exit {
    let (mut pools, mut unread, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    for file in &arguments.files {
        let name = file.display().to_string();
        match load(file, &arguments.pool) {
            Ok(pool) => pools.push((name, pool)),
            // One broken file does not hide what the others say.
            Err(mut problem) => {
                mistakes.append(&mut problem.mistakes);
                unread.push((name, problem.why));
            }
        }
    }
    let context = Context {
        exchange: match arguments.exchange {
            None => Exchange::Unknown,
            Some(Version::Exchange2013 | Version::Exchange2016) => Exchange::Affected,
            Some(Version::Exchange2016Cu11 | Version::Exchange2019) => Exchange::Fixed,
        },
        devices: arguments.devices,
        heartbeat: arguments.heartbeat,
        office: arguments.office_hours,
    };
    let mut findings: Vec<Finding> = pools
        .iter()
        .flat_map(|(file, pool)| lint(file, pool, &context))
        .collect();
    findings.extend(lint_together(&pools));
    findings.append(&mut mistakes);
    findings.retain(|finding| !arguments.allow.iter().any(|rule| rule.id == finding.rule));
    let exit = if !unread.is_empty() {
        Exit::Usage
    } else if arguments.fail_on.reached(&findings) {
        Exit::Failed
    } else {
        Exit::Passed
    };
    let text = match arguments.format {
        Format::Text => lint_text(&pools, &findings, &unread),
        Format::Json => {
            let files: Vec<_> = pools
                .iter()
                .map(|(file, pool)| {
                    serde_json::json!({
                        "file": file,
                        "pool": pool.settings.name,
                        "summary": explain(&pool.settings),
                    })
                })
                .collect();
            let unread: Vec<&str> = unread.iter().map(|(file, _)| file.as_str()).collect();
            let report =
                serde_json::json!({ "files": files, "findings": findings, "unread": unread });
            format!("{report:#}\n")
        }
        Format::Sarif => format!("{:#}\n", sarif(&findings, &unread)),
    };
    print_or_fail(&text, exit)
}

fn lint_text(
    pools: &[(String, Pool)],
    findings: &[Finding],
    unread: &[(String, String)],
) -> String {
    let mut out = String::new();
    for (file, pool) in pools {
        let _ = writeln!(out, "{file}: {}", pool.settings.name);
        for sentence in explain(&pool.settings) {
            let _ = writeln!(out, "{}", wrapped(&sentence, 2));
        }
        out.push('\n');
    }
    for finding in findings {
        let place = match finding.line {
            Some(line) => format!("{}:{line}", finding.file),
            None => format!("{}, where it is not set", finding.file),
        };
        let _ = writeln!(
            out,
            "{}: {} [{}]\n  {place}\n{}",
            finding.severity.as_str(),
            finding.setting,
            finding.rule,
            wrapped(&finding.message, 2)
        );
        let _ = writeln!(out, "{}\n", wrapped(&format!("→ {}", finding.advice), 2));
    }
    let count = |severity: Severity| {
        let alike = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        match alike.count() {
            1 => format!("1 {}", severity.as_str()),
            many => format!("{many} {}s", severity.as_str()),
        }
    };
    let _ = writeln!(
        out,
        "{}, {}, {}; `--allow RULE` leaves a rule out",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    if !unread.is_empty() {
        let files: Vec<&str> = unread.iter().map(|(file, _)| file.as_str()).collect();
        let _ = writeln!(out, "not read: {}", files.join(", "));
    }
    out
}

/// Lines of a readable width, set in.
fn wrapped(text: &str, indent: usize) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![" ".repeat(indent)];
    for word in text.split_whitespace() {
        let is_full = lines
            .last()
            .is_some_and(|line| line.trim().len() + indent + 1 + word.len() > WIDTH);
        if is_full {
            lines.push(" ".repeat(indent));
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn origin_text(origin: Origin) -> String {
    match origin {
        Origin::Schema => "IIS default".to_owned(),
        Origin::Defaults { line } => format!("applicationPoolDefaults, line {line}"),
        Origin::Pool { line } => format!("line {line}"),
    }
}

fn show(arguments: &ShowArguments) -> Exit {
    let Ok(pool) = load(&arguments.file, &arguments.pool) else {
        return Exit::Usage;
    };
    let now = Zoned::now();
    let started = arguments.started.clone().unwrap_or_else(|| now.clone());
    let next = next_times(&pool.settings, &started, &now, NEXT);
    let text = match arguments.format {
        ShowFormat::Json => {
            let settings: Vec<_> = settings(&pool)
                .into_iter()
                .map(|setting| {
                    serde_json::json!({
                        "setting": setting.name,
                        "value": setting.value,
                        "origin": origin_text(setting.origin),
                    })
                })
                .collect();
            let next: Vec<_> = next
                .iter()
                .map(|(at, why)| serde_json::json!({ "at": at.to_string(), "by": why }))
                .collect();
            let shown = serde_json::json!({
                "pool": pool.settings.name,
                "settings": settings,
                "next_recycles": next,
            });
            format!("{shown:#}\n")
        }
        ShowFormat::Text => {
            let mut out = format!("{}\n", pool.settings.name);
            for setting in settings(&pool) {
                let _ = writeln!(
                    out,
                    "  {:<42} {:<14} {}",
                    setting.name,
                    if setting.value.is_empty() {
                        "none"
                    } else {
                        &setting.value
                    },
                    origin_text(setting.origin)
                );
            }
            let since = if arguments.started.is_some() {
                format!("a worker that started at {}", started.strftime("%F %T"))
            } else {
                "a worker that starts now (--started says when it did)".to_owned()
            };
            let _ = writeln!(out, "\nNext recycles of {since}, local time:");
            if next.is_empty() {
                let _ = writeln!(out, "  none by time");
            }
            for (at, why) in next {
                let _ = writeln!(out, "  {} by {why}", at.strftime("%F %T"));
            }
            out
        }
    };
    print_or_fail(&text, Exit::Passed)
}
