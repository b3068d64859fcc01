//! Thresholds of the user: `sync.p99.recovered <= 1.25 * baseline`, `notification.p95 < 10s`,
//! `pings_cut < 5%`, `stranded.max.recovered < 20`.

use std::fmt;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::{parse_duration, parse_size};

use super::PhaseKind;
use crate::names::{Counter, Metric};

/// A condition on a figure of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// As it was written.
    pub text: String,
    /// What is compared.
    pub figure: Figure,
    /// Phase, or all phases that are judged.
    pub phase: Option<PhaseKind>,
    /// How.
    pub relation: Relation,
    /// With what.
    pub bound: Bound,
}

/// A figure of a run or a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// A latency by its [`Metric`] name, in microseconds.
    Latency(String, Statistic),
    /// A count by its [`Counter`] name.
    Count(String),
    /// Share of requests without a good answer.
    Failing,
    /// A level by its gauge's name.
    Level(String, Statistic),
    /// Mails that are missing, late or there twice.
    Mails(String),
}

/// A statistic of a latency or level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// A quantile from 0 to 1.
    Quantile(f64),
    /// The arithmetic mean.
    Mean,
    /// The largest.
    Max,
    /// The last.
    Last,
    /// The number of samples.
    Count,
}

/// How two figures are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

impl Relation {
    /// The longer ones first, so that `<=` is not read as `<`.
    const ALL: [(&'static str, Self); 5] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("<", Self::Less),
        (">", Self::More),
    ];

    /// Whether it holds.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Equal => left == right,
        }
    }
}

/// With what a figure is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// A number in the figure's own unit: microseconds, bytes, a count, a share.
    Number(f64),
    /// Percent: of the devices for Pings, of the requests for other counts.
    Percent(f64),
    /// A multiple of the same figure in another phase, and something on top.
    Phase {
        /// The factor.
        factor: f64,
        /// The other phase.
        phase: PhaseKind,
        /// On top, in the figure's own unit.
        plus: f64,
    },
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Other names by which people know a metric.
const ALIASES: [(&str, &str); 2] = [("notify", "notification"), ("pings.cut", "pings_cut")];
/// Names of the mail ledger's figures.
const MAILS: [&str; 4] = ["missing", "late", "duplicates", "misplaced"];
/// Gauges that a run may have, beside `custom.*`, `server.active.*` and TCP states.
const GAUGES: [&str; 20] = [
    "stranded",
    "devices.holding",
    "devices.syncing",
    "devices.away",
    "devices.backing_off",
    "devices.given_up",
    "devices.mails_due",
    "devices.slow_users",
    "harness.lag_ms",
    "harness.resident_bytes",
    "harness.cpu_cores",
    "harness.descriptors",
    "tcp.devices.ports",
    "tcp.server.ports",
    "tcp.outgoing.ports",
    "stranded.low",
    "stranded.high",
    "devices.starting",
    "harness.cpu_share",
    "harness.clock_step_ms",
];

/// Every name a threshold may begin with.
static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let metrics = Metric::ALL.iter().map(|metric| metric.as_str().to_owned());
    let counters = Counter::ALL
        .iter()
        .map(|counter| counter.as_str().to_owned());
    let gauges = GAUGES.iter().map(|name| (*name).to_owned());
    let servers = crate::names::SERVER_GAUGES.iter();
    let servers = servers.map(|(name, _)| format!("server.{name}"));
    let states = tcp_table::State::ALL.into_iter().flat_map(|state| {
        ["devices", "server", "outgoing"].map(|group| format!("tcp.{group}.{}", state.gauge()))
    });
    let mails = MAILS.iter().map(|name| format!("mails.{name}"));
    metrics
        .chain(counters)
        .chain(gauges)
        .chain(servers)
        .chain(states)
        .chain(mails)
        .chain(["failing".to_owned()])
        .collect()
});

/// Whether a threshold may begin with this name.
fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| known == name)
}

/// Why a text is no figure.
enum Wrong {
    /// Nothing has this name.
    Unknown(String),
    /// In words.
    Problem(String),
}

/// Reads a threshold.
///
/// # Errors
/// In words, with what was expected; an unknown name with the nearest known one.
pub fn parse_threshold(text: &str) -> Result<Threshold, String> {
    let (at, sign, relation) = Relation::ALL
        .iter()
        .filter_map(|(sign, relation)| Some((text.find(sign)?, *sign, *relation)))
        .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())))
        .ok_or(
            "expected `figure relation bound`, such as \"sync.p99.recovered <= 1.25 * baseline\"",
        )?;
    let (left, right) = (text[..at].trim(), text[at + sign.len()..].trim());
    let (figure, phase) = figure(left)?;
    let bound = bound(right, &figure)?;
    if let Bound::Phase { phase: other, .. } = &bound
        && phase == Some(*other)
    {
        return Err(format!("compares the {} phase with itself", other.as_str()));
    }
    Ok(Threshold {
        text: text.trim().to_owned(),
        figure,
        phase,
        relation,
        bound,
    })
}

fn figure(text: &str) -> Result<(Figure, Option<PhaseKind>), String> {
    read_figure(text).map_err(|wrong| match wrong {
        Wrong::Unknown(name) => unknown(&name),
        Wrong::Problem(problem) => problem,
    })
}

fn read_figure(text: &str) -> Result<(Figure, Option<PhaseKind>), Wrong> {
    let mut name = text.to_owned();
    for (alias, meant) in ALIASES {
        if name == alias || name.starts_with(&format!("{alias}.")) {
            name = format!("{meant}{}", &name[alias.len()..]);
        }
    }
    let mut phase = None;
    if let Some((rest, last)) = name.clone().rsplit_once('.')
        && let Some((_, kind)) = PhaseKind::ALL.iter().find(|(word, _)| *word == last)
    {
        phase = Some(*kind);
        name = rest.to_owned();
    }
    let mut statistic = None;
    if let Some((rest, last)) = name.clone().rsplit_once('.')
        && let Some(found) = statistic_of(last)
    {
        statistic = Some(found);
        name = rest.to_owned();
    }
    let needs = |example: &str| {
        Wrong::Problem(format!(
            "`{name}` needs a statistic: p50, p95, p99, p999, mean, max, such as {name}.{example}"
        ))
    };
    let none = |figure: Figure| match statistic {
        None => Ok(figure),
        Some(_) => Err(Wrong::Problem(format!(
            "`{name}` is a count and has no statistic"
        ))),
    };
    let is_level = GAUGES.contains(&name.as_str())
        || is_use(&name)
        || is_known(&name) && (name.starts_with("server.") || name.starts_with("tcp."))
        || name.starts_with("custom.");
    let figure = if Metric::parse(&name).is_some() {
        match statistic {
            Some(Statistic::Last) => Err(Wrong::Problem(format!(
                "`{name}` is a latency and has no last value"
            ))),
            Some(statistic) => Ok(Figure::Latency(name, statistic)),
            None => Err(needs("p95")),
        }
    } else if Counter::parse(&name).is_some() {
        none(Figure::Count(name.clone()))
    } else if name == "failing" {
        none(Figure::Failing)
    } else if let Some(which) = name
        .strip_prefix("mails.")
        .filter(|which| MAILS.contains(which))
    {
        if phase.is_some() {
            return Err(Wrong::Problem(
                "mails are counted for the whole run, not for a phase".to_owned(),
            ));
        }
        none(Figure::Mails(which.to_owned()))
    } else if is_level {
        match statistic {
            Some(Statistic::Count) => Err(Wrong::Problem(format!(
                "`{name}` is a level and has no count"
            ))),
            Some(statistic) => Ok(Figure::Level(name, statistic)),
            None => Err(Wrong::Problem(format!(
                "`{name}` needs a statistic: p50, mean, max or last, such as {name}.max"
            ))),
        }
    } else {
        Err(Wrong::Unknown(name))
    };
    figure.map(|figure| (figure, phase))
}

fn unknown(name: &str) -> String {
    if let Some((rest, last)) = name.rsplit_once('.')
        && (is_known(rest) || read_figure(rest).is_ok())
    {
        let statistics = ["p50", "p95", "p99", "mean", "max", "last", "count"];
        let phases = PhaseKind::ALL.iter().map(|(name, _)| *name);
        let near = |word: &&str| 3 * strsim::osa_distance(word, last) <= last.len();
        let hint = phases.clone().chain(statistics).find(near);
        return format!(
            "`{last}` of `{name}` is neither a statistic nor a phase; {}",
            hint.map_or_else(
                || format!("phases are {}", phases.collect::<Vec<_>>().join(", ")),
                |meant| format!("did you mean `{meant}`?")
            )
        );
    }
    /// Below this similarity a suggestion misleads.
    const SIMILAR: f64 = 0.8;
    match super::reader::nearest(name, KNOWN.iter().map(AsRef::as_ref), SIMILAR) {
        Some(other) => format!("unknown figure `{name}`; did you mean `{other}`?"),
        None => {
            let metrics: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
            format!(
                "unknown figure `{name}`; known are the latencies {}, the counts and gauges of \
                 docs/verdict.md, custom.*, failing and mails.*",
                metrics.join(", ")
            )
        }
    }
}

fn statistic_of(word: &str) -> Option<Statistic> {
    match word {
        "mean" => return Some(Statistic::Mean),
        "max" => return Some(Statistic::Max),
        "last" => return Some(Statistic::Last),
        "count" => return Some(Statistic::Count),
        "median" => return Some(Statistic::Quantile(0.5)),
        _ => {}
    }
    let digits = word.strip_prefix('p')?;
    let is_number = !digits.is_empty() && digits.len() <= 5;
    if !is_number || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // p100 would be read as p10.
    if digits.len() > 2 && digits.ends_with('0') {
        return None;
    }
    // p50 is 0.50, p999 is 0.999, p5 is 0.05.
    let scale = 10_f64.powi(digits.len().max(2) as i32);
    let number: f64 = digits.parse().ok()?;
    Some(Statistic::Quantile(number / scale))
}

fn bound(text: &str, figure: &Figure) -> Result<Bound, String> {
    if let Some((factor, rest)) = text.split_once('*') {
        let factor: f64 = factor
            .trim()
            .parse()
            .ok()
            .filter(|factor: &f64| factor.is_finite() && *factor >= 0.0)
            .ok_or_else(|| format!("expected a factor before `*`, found {:?}", factor.trim()))?;
        let (phase, plus) = match rest.split_once('+') {
            Some((phase, plus)) => (phase.trim(), number(plus.trim(), figure)?),
            None => (rest.trim(), 0.0),
        };
        return Ok(Bound::Phase {
            factor,
            phase: phase_of(phase)?,
            plus,
        });
    }
    if let Ok(phase) = phase_of(text) {
        return Ok(Bound::Phase {
            factor: 1.0,
            phase,
            plus: 0.0,
        });
    }
    if let Some(percent) = text.strip_suffix('%') {
        let is_share = matches!(figure, Figure::Count(_) | Figure::Failing)
            || matches!(figure, Figure::Level(name, _) if is_share(name));
        if !is_share {
            return Err("percent fit counts, shares and `failing` only".to_owned());
        }
        return percent
            .trim()
            .parse()
            .ok()
            .filter(|percent: &f64| percent.is_finite())
            .map(Bound::Percent)
            .ok_or_else(|| format!("expected a number before %, found {percent:?}"));
    }
    number(text, figure).map(Bound::Number)
}

/// `tcp.devices.<use>.<state>`.
fn is_use(name: &str) -> bool {
    let Some((what, state)) = name
        .strip_prefix("tcp.devices.")
        .and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    crate::names::Use::ALL
        .iter()
        .any(|known| known.as_str() == what)
        && tcp_table::State::ALL
            .iter()
            .any(|known| known.gauge() == state)
}

/// Levels that are shares from 0 to 1.
fn is_share(name: &str) -> bool {
    matches!(name, "server.gc_time" | "server.cpu")
}

fn phase_of(word: &str) -> Result<PhaseKind, String> {
    let found = PhaseKind::ALL.iter().find(|(name, _)| *name == word);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = PhaseKind::ALL.iter().map(|(name, _)| *name).collect();
        format!("expected a phase ({}), found {word:?}", names.join(", "))
    })
}

/// A number in the figure's own unit.
fn number(text: &str, figure: &Figure) -> Result<f64, String> {
    let plain = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let share = matches!(figure, Figure::Failing)
        || matches!(figure, Figure::Level(name, _) if is_share(name));
    // `failing < 5` would always hold.
    if share && plain.is_some_and(|number| number > 1.0) {
        return Err(format!(
            "is a share from 0 to 1: write {text}%, or a number up to 1"
        ));
    }
    match figure {
        Figure::Latency(_, Statistic::Count) | Figure::Count(_) | Figure::Mails(_) => {
            plain.ok_or_else(|| format!("expected a number, found {text:?}"))
        }
        Figure::Failing => {
            plain.ok_or_else(|| format!("expected a share such as 5%, found {text:?}"))
        }
        Figure::Latency(..) => parse_duration(text)
            .map(|duration| duration.as_micros() as f64)
            .ok_or_else(|| {
                format!("expected a duration such as 250ms, 10s, or a phase, found {text:?}")
            }),
        Figure::Level(..) => plain
            .or_else(|| parse_size(text).map(|size| size as f64))
            .ok_or_else(|| format!("expected a number, or a size such as 6GiB, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Threshold {
        parse_threshold(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    /// Each name before a dot might be a figure; looking at them one after another must not recurse.
    #[test]
    fn a_name_of_a_million_parts_is_unknown() {
        let error = parse_threshold(&format!("{}x < 1", "a.".repeat(1_000_000))).unwrap_err();
        assert!(
            error.starts_with("unknown figure `a.a."),
            "{}",
            &error[..80]
        );
    }

    #[test]
    fn what_the_documentation_shows() {
        let ratio = read("sync.p99.recovered <= 1.25 * baseline + 20ms");
        assert_eq!(
            ratio.figure,
            Figure::Latency("sync".to_owned(), Statistic::Quantile(0.99))
        );
        assert_eq!(ratio.phase, Some(PhaseKind::Recovered));
        assert_eq!(
            ratio.bound,
            Bound::Phase {
                factor: 1.25,
                phase: PhaseKind::Baseline,
                plus: 20_000.0
            }
        );
        let notify = read("notify.p95 < 10s");
        assert_eq!(notify.bound, Bound::Number(1e7));
        assert_eq!(notify.phase, None);
        let cut = read("pings.cut < 5%");
        assert_eq!(cut.figure, Figure::Count("pings_cut".to_owned()));
        assert_eq!(cut.bound, Bound::Percent(5.0));
        let level = read("server.private_bytes.max.aging < 6GiB");
        assert_eq!(level.bound, Bound::Number(6.0 * 1_073_741_824.0));
        assert_eq!(
            read("tcp.outgoing.close_wait.last.recovered <= baseline").relation,
            Relation::AtMost
        );
        assert_eq!(
            read("mails.missing == 0").figure,
            Figure::Mails("missing".to_owned())
        );
        assert_eq!(
            read("custom.my-figure.max >= 3").relation,
            Relation::AtLeast
        );
        assert_eq!(
            read("sync.p999 < 1s").figure,
            Figure::Latency("sync".to_owned(), Statistic::Quantile(0.999))
        );
        assert_eq!(read("tcp.devices.held.close_wait.max < 3").phase, None);
        assert_eq!(read("failing.aging > 1%").phase, Some(PhaseKind::Aging));
        assert_eq!(
            read("server.gc_time.p50.aging < 10%").bound,
            Bound::Percent(10.0)
        );
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        let problem = |text: &str| parse_threshold(text).unwrap_err();
        for (text, part) in [
            ("sync.p99", "relation"),
            ("sync.p100 < 1s", "`p100` of `sync.p100` is neither"),
            (
                "sync.p99.recoverd < 1s",
                "`recoverd` of `sync.p99.recoverd` is neither a statistic nor a phase; did you mean `recovered`?",
            ),
            (
                "failing.whenever < 5%",
                "; phases are ramp, settle, baseline",
            ),
            ("sinc.p99 < 1s", "did you mean `sync`"),
            ("sync < 1s", "needs a statistic"),
            ("sync.p99 < fast", "expected a duration"),
            ("sync.p99.recovered < 2 * basline", "expected a phase"),
            ("sync.p99.recovered < x * baseline", "factor"),
            ("sync.p99.baseline < 2 * baseline", "itself"),
            ("sync.p99 < 5%", "percent"),
            ("sync.last < 1s", "no last value"),
            ("failing < 5", "write 5%"),
            ("server.gc_time.max < 30", "write 30%"),
            ("pings_cut.p99 < 5", "no statistic"),
            ("pings_cut < many", "expected a number"),
            ("server.active_requests < 5", "needs a statistic"),
            (
                "server.activ_requests.max < 5",
                "did you mean `server.active_requests`",
            ),
            ("mails.missing.aging == 0", "whole run"),
            ("nothing.like.this < 1", "unknown figure"),
            ("", "relation"),
        ] {
            let said = problem(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
