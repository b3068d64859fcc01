//! For the terminal.

use std::fmt::Write as _;

use mock_api::config::time_scale_text;
use scenario::names::{Counter, Metric};
use scenario::{Action, RequestsPerPing, TargetPlan};
use text::whole;

use super::plan::{UNVERIFIED, servers};
use super::record::{RunRecord, SIMULATED};
use crate::judge::{Outcome, PhaseSummary, Verdict};
use crate::timeline::Interval;

const MIB: f64 = 1_048_576.0;

/// Microseconds for people, in at most seven letters.
fn time(micros: u64) -> String {
    match micros {
        0..=999 => format!("{micros} µs"),
        1_000..=99_999 => format!("{:.1} ms", micros as f64 / 1e3),
        100_000..=999_999 => format!("{:.0} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

fn value(number: Option<f64>) -> String {
    number.map_or_else(|| "–".to_owned(), whole)
}

/// One line about one second of a run.
#[derive(Debug)]
pub struct Progress<'a>(pub &'a Interval);

impl std::fmt::Display for Progress<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let interval = self.0;
        let gauge = |name: &str| interval.gauge(name);
        let devices = |state: &str| gauge(&format!("devices.{state}")).unwrap_or(0.0);
        let p95 = |metric| {
            interval
                .latency(metric)
                .map_or("–".to_owned(), |latency| time(latency.p95))
        };
        write!(
            formatter,
            "{:>4.0}s {:<9} holding {:<6.0} busy {:<5.0} away {:<5.0} | cut {:<4} overdue {:<3} errors {:<4} | p95 sync {:<8} notify {:<8}",
            interval.t,
            interval.phase,
            devices("holding"),
            devices("starting") + devices("syncing"),
            devices("away") + devices("backing_off"),
            interval.count(Counter::PingsCut),
            interval.count(Counter::PingsOverdue),
            interval.count(Counter::HttpErrors)
                + interval.count(Counter::ConnectFailures)
                + interval.count(Counter::Resets)
                + interval.count(Counter::Malformed)
                + interval.count(Counter::Statuses),
            p95(Metric::Sync),
            p95(Metric::Notification),
        )?;
        if gauge("server.active_requests").is_some() {
            write!(
                formatter,
                " | active {:<6} stranded {:<6} close_wait {:<6} gc {:>3} %",
                value(gauge("server.active_requests")),
                value(gauge("stranded")),
                value(gauge("tcp.outgoing.close_wait")),
                value(gauge("server.gc_time").map(|share| share * 100.0)),
            )?;
        }
        Ok(())
    }
}

/// The whole summary of a run; its last line is the verdict.
#[must_use]
pub fn summary_text(record: &RunRecord) -> String {
    let mut out = String::new();
    let title = [&record.plan.name, &record.plan.description];
    let title = title.into_iter().filter(|text| !text.is_empty());
    let title: Vec<&str> = title.map(String::as_str).collect();
    let _ = writeln!(out, "\n{}", title.join(" — "));
    let (weights, is_verified) = match &record.plan.target {
        TargetPlan::Server {
            entry, insecure, ..
        } => (entry.weights.as_slice(), !insecure),
        TargetPlan::Mock(_) => (&[][..], true),
    };
    let _ = writeln!(
        out,
        "{}target {}{}, {} devices, started {}, seed {}",
        if record.simulated { SIMULATED } else { "" },
        servers(&record.targets, weights),
        if is_verified { "" } else { UNVERIFIED },
        record.plan.devices.count,
        record.started,
        record.seed
    );
    if matches!(record.plan.target, TargetPlan::Mock(_)) {
        let scale = time_scale_text(record.plan.time_scale());
        let _ = writeln!(out, "time scale: {scale}");
    }
    latencies(&mut out, &record.phases);
    counts(&mut out, &record.phases);
    levels(&mut out, &record.phases);
    totals(&mut out, record);
    sources(&mut out, record);
    let _ = writeln!(out, "\nChecks");
    for check in &record.checks {
        let _ = writeln!(
            out,
            "  {:<7}  {:<13} {}",
            check.outcome.as_str(),
            check.name,
            check.reason_with_evidence()
        );
        if check.outcome != Outcome::Skipped {
            for figure in &check.figures {
                let _ = writeln!(out, "  {:<22} · {figure}", "");
            }
        }
    }
    for problem in &record.problems {
        let _ = writeln!(out, "\nProblem: {problem}");
    }
    let verdict = record.verdict.map_or("none yet", Verdict::as_str);
    let _ = writeln!(out, "\nVerdict: {verdict}{}", record.state.note());
    out
}

/// Where the server's figures came from. A source that did well is one line.
fn sources(out: &mut String, record: &RunRecord) {
    if record.sources.is_empty() && record.stranded_basis.is_none() {
        return;
    }
    let _ = writeln!(out, "\nServer figures");
    for source in &record.sources {
        let _ = write!(out, "  {}: {} readings", source.name, source.readings);
        if source.readings > 0 {
            let _ = write!(out, ", at most {:.1} s old", source.oldest);
        }
        if source.stale_seconds > 0 {
            let _ = write!(out, ", none for {} s of the run", source.stale_seconds);
        }
        if let Some(failure) = &source.last_failure {
            let _ = write!(out, "; {} failures, the last: {failure}", source.failures);
        }
        for text in source.misspelt.iter().chain(&source.remarks) {
            let _ = write!(out, "; {text}");
        }
        out.push('\n');
    }
    if let Some(basis) = &record.stranded_basis {
        let _ = writeln!(out, "  stranded = {basis}");
    }
    let per_ping = record.plan.observe.requests_per_ping;
    if let Some(limit) = request_limit(&record.phases, per_ping) {
        let _ = writeln!(out, "  {limit}");
    }
}

/// How near the load came to what the server can work on at once, where a source tells that.
fn request_limit(phases: &[PhaseSummary], per_ping: RequestsPerPing) -> Option<String> {
    let of_phase = |phase: &PhaseSummary| {
        let level = |gauge: &str| phase.levels.get(gauge).copied();
        let limit = level("server.request_limit")?.median;
        let open = level("server.active_requests")?.max;
        (limit > 0.0).then_some((limit, open))
    };
    let nearest = phases.iter().filter_map(of_phase);
    let (limit, open) = nearest.max_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)))?;
    let each = match per_ping {
        RequestsPerPing::Known(each) => format!(", and each held Ping or Sync is {each} of them"),
        RequestsPerPing::Auto => String::new(),
    };
    let reached = if open >= limit {
        "; it was reached, and what came beyond it had to wait"
    } else {
        ""
    };
    Some(format!(
        "the server's own limit: it works on {limit:.0} requests at once{each}; at most {open:.0} were \
         open ({:.0} %){reached}",
        open / limit * 100.0
    ))
}

fn latencies(out: &mut String, phases: &[PhaseSummary]) {
    let _ = writeln!(
        out,
        "\n{:<14}{:<11}{:>9}{:>10}{:>10}{:>10}{:>10}",
        "Latency", "phase", "samples", "p50", "p95", "p99", "max"
    );
    for (metric, name) in [
        (Metric::Sync, "Sync"),
        (Metric::Notification, "notification"),
        (Metric::Delivery, "delivery"),
        (Metric::Overshoot, "overshoot"),
        (Metric::Connect, "connect"),
        (Metric::Tls, "TLS"),
        (Metric::TlsResumed, "TLS, resumed"),
        (Metric::Accept, "mail accepted"),
    ] {
        let mut first = true;
        for phase in phases {
            let Some(latency) = phase.latencies.get(metric.as_str()) else {
                continue;
            };
            let _ = writeln!(
                out,
                "{:<14}{:<11}{:>9}{:>10}{:>10}{:>10}{:>10}",
                if first { name } else { "" },
                phase.phase,
                latency.count,
                time(latency.p50),
                time(latency.p95),
                time(latency.p99),
                time(latency.max)
            );
            first = false;
        }
    }
}

fn counts(out: &mut String, phases: &[PhaseSummary]) {
    const SHOWN: [(Counter, &str); 26] = [
        (Counter::PingsSent, "Pings sent"),
        (Counter::HangingSyncs, "… hanging Syncs"),
        (Counter::PingsExpired, "… expired"),
        (Counter::PingsChanged, "… with changes"),
        (Counter::PingsAbandoned, "… abandoned"),
        (Counter::PingsSuperseded, "… superseded"),
        (Counter::PingsCut, "… cut"),
        (Counter::PingsLost, "… answered 502 by a gateway"),
        (Counter::PingsTimedOut, "… answered 408 or 504 by a gateway"),
        (Counter::PingsEarly, "… answered early"),
        (Counter::PingsOverdue, "… overdue"),
        (Counter::Syncs, "Syncs"),
        (Counter::Connects, "connections"),
        (Counter::ConnectFailures, "… refused"),
        (Counter::TlsFull, "TLS handshakes, full"),
        (Counter::TlsResumptions, "… with a resumed session"),
        (Counter::Tls12, "… of TLS 1.2"),
        (Counter::Tls13, "… of TLS 1.3"),
        (Counter::Resets, "resets"),
        (Counter::HttpErrors, "HTTP errors"),
        (Counter::TokensRenewed, "tokens fetched"),
        (Counter::TokensRefused, "… after a refusal"),
        (Counter::TokenFailures, "requests without a token"),
        (Counter::Redirected, "redirected"),
        (Counter::NotRedirected, "… refused to go there"),
        (Counter::Malformed, "bad answers"),
    ];
    let cells = |counter: &Counter| -> Vec<Option<String>> {
        let counts = phases
            .iter()
            .map(|phase| phase.counts.get(counter.as_str()));
        counts.map(|count| count.map(u64::to_string)).collect()
    };
    let rows = SHOWN
        .iter()
        .map(|(counter, name)| ((*name).to_owned(), cells(counter)));
    table(out, "Events", phases, rows);
    let acts = Action::ALL.iter().map(|action| {
        let counter = Counter::of_action(*action);
        (action.as_str().to_owned(), cells(&counter))
    });
    let failed = ("… in vain".to_owned(), cells(&Counter::ActFailures));
    table(out, "Activity", phases, acts.chain([failed]));
}

fn levels(out: &mut String, phases: &[PhaseSummary]) {
    // While the devices are being stopped, levels only show that.
    let phases: Vec<PhaseSummary> = phases
        .iter()
        .filter(|phase| phase.phase != "drain")
        .cloned()
        .collect();
    let phases = phases.as_slice();
    let shown: [(&str, &str, f64); 15] = [
        ("devices.holding", "Pings held", 1.0),
        ("devices.mails_due", "mails due on devices", 1.0),
        ("server.active_requests", "Active Requests", 1.0),
        ("server.request_limit", "… of at most", 1.0),
        ("stranded", "stranded", 1.0),
        ("tcp.outgoing.ports", "ports in use (worker)", 1.0),
        ("tcp.outgoing.close_wait", "CLOSE_WAIT (worker)", 1.0),
        ("tcp.devices.established", "ESTABLISHED (devices)", 1.0),
        ("tcp.server.close_wait", "CLOSE_WAIT (server)", 1.0),
        ("server.private_bytes", "private MiB (server)", 1.0 / MIB),
        ("server.gc_time", "% Time in GC", 100.0),
        ("server.queue", "HTTP.sys queue", 1.0),
        ("harness.resident_bytes", "harness RSS, MiB", 1.0 / MIB),
        ("harness.cpu_cores", "harness CPU, % of a core", 100.0),
        ("harness.lag_ms", "harness timer lag, ms", 1.0),
    ];
    table(
        out,
        "Level (median → end of phase)",
        phases,
        shown.iter().map(|(gauge, name, scale)| {
            let cells: Vec<Option<String>> = phases
                .iter()
                .map(|phase| {
                    let level = phase.levels.get(*gauge)?;
                    let (median, last) = (level.median * scale, level.last * scale);
                    Some(if median.round() == last.round() {
                        whole(median)
                    } else {
                        format!("{} → {}", whole(median), whole(last))
                    })
                })
                .collect();
            ((*name).to_owned(), cells)
        }),
    );
}

/// Rows by name, columns by phase; rows without a value are left out.
fn table(
    out: &mut String,
    title: &str,
    phases: &[PhaseSummary],
    rows: impl Iterator<Item = (String, Vec<Option<String>>)>,
) {
    const NAME: usize = 32;
    let filled = rows.filter(|(_, cells)| cells.iter().any(Option::is_some));
    let rows: Vec<(String, Vec<Option<String>>)> = filled.collect();
    if rows.is_empty() {
        return;
    }
    let _ = write!(out, "\n{title:<NAME$}");
    for phase in phases {
        let _ = write!(out, "{:>15}", phase.phase);
    }
    out.push('\n');
    for (name, cells) in rows {
        let _ = write!(out, "{name:<NAME$}");
        for cell in cells {
            let _ = write!(out, "{:>15}", cell.as_deref().unwrap_or("–"));
        }
        out.push('\n');
    }
}

fn totals(out: &mut String, record: &RunRecord) {
    let totals = &record.totals;
    let mut lines = Vec::new();
    if totals.pings_open_at_end > 0 {
        lines.push(format!(
            "{} Pings were open at the end ({} overdue), the oldest {:.0} s old",
            totals.pings_open_at_end, totals.pings_overdue_at_end, totals.oldest_ping_at_end
        ));
    }
    for (status, count) in &totals.statuses {
        lines.push(format!("{count} × {status}"));
    }
    for (text, count) in &totals.errors {
        lines.push(format!("{count} × {text}"));
    }
    if !totals.missing_mails.is_empty() {
        for mail in &totals.missing_mails {
            lines.push(format!("{mail} is missing"));
        }
        lines.push("(at most 20 are listed; \"nothing lost\" below counts them all)".to_owned());
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\nAlso seen");
        for line in lines {
            let _ = writeln!(out, "  {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::judge::Level;

    #[test]
    fn the_servers_own_limit_is_named_where_it_is_known() {
        let phase = |levels: &[(&str, f64)]| PhaseSummary {
            phase: "baseline".to_owned(),
            seconds: 60.0,
            counts: BTreeMap::new(),
            latencies: BTreeMap::new(),
            levels: levels
                .iter()
                .map(|(gauge, value)| {
                    let level = Level {
                        median: *value,
                        max: *value,
                        last: 0.0,
                    };
                    ((*gauge).to_owned(), level)
                })
                .collect(),
        };
        let (limit, active) = ("server.request_limit", "server.active_requests");
        let one = RequestsPerPing::Known(1.0);
        let said = |open: f64| {
            let quiet = phase(&[(limit, 500.0), (active, 260.0)]);
            request_limit(&[quiet, phase(&[(limit, 240.0), (active, open)])], one).unwrap()
        };
        let below = said(204.0);
        assert!(
            below.ends_with("is 1 of them; at most 204 were open (85 %)"),
            "{below}"
        );
        assert!(said(240.0).contains("(100 %); it was reached"));
        let unknown = RequestsPerPing::Auto;
        assert_eq!(request_limit(&[phase(&[(active, 5.0)])], unknown), None);
        assert_eq!(request_limit(&[phase(&[(limit, 5.0)])], unknown), None);
        let both = phase(&[(limit, 5.0), (active, 1.0)]);
        let text = request_limit(&[both], unknown).unwrap();
        assert!(!text.contains("each held"), "{text}");
    }
}
