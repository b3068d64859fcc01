//! What the planned phases can prove: expected samples, the smallest change that shows, whether phases outlast the
//! heartbeat, and what each source of the server's figures says.

use std::time::Duration;

use scenario::{Expectation, Format, PhaseKind, Plan, TargetPlan};
use text::{format_duration, times};

use super::checks::{MIN_SAMPLES, QUANTILES, WORSENING_SERIES};
use super::statistics::{ALARM, PlannedSide, detectable, measurable, provable, samples_needed};

/// Lines for people, each with its heading, and warnings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    /// What to expect.
    pub lines: Vec<(&'static str, String)>,
    /// What cannot be judged.
    pub warnings: Vec<String>,
}

/// Phases whose latencies are compared.
const COMPARED: [PhaseKind; 3] = [PhaseKind::Baseline, PhaseKind::Aging, PhaseKind::Recovered];

/// Samples of Sync and of notification that a phase is expected to give: one of each for each mail and device
/// of its user. Mail that arrives while a device syncs gives fewer, activity more.
fn side(plan: &Plan, kind: PhaseKind) -> Option<PlannedSide> {
    let mail = plan.mail.as_ref()?;
    let seconds = plan.phase(kind)?.duration.as_secs_f64();
    let devices = f64::from(plan.devices.count) / f64::from(plan.devices.users.max(1));
    // Symptoms are looked for in the last third of aging.
    let part = if kind == PhaseKind::Aging { 3.0 } else { 1.0 };
    Some(PlannedSide {
        seconds: seconds / part,
        samples: seconds / part * mail.rate * devices,
    })
}

/// The plan's expected samples and what they can detect.
#[must_use]
pub fn planned(plan: &Plan) -> Planned {
    let mut planned = Planned::default();
    samples(plan, &mut planned);
    planned.lines.extend(restored(plan));
    planned.lines.extend(symptom(plan));
    let heartbeat = heartbeats(plan).into_iter();
    planned
        .lines
        .extend(heartbeat.map(|text| ("evidence", text)));
    let sources = sources(plan).into_iter();
    planned.lines.extend(sources.map(|text| ("proves", text)));
    planned
}

fn samples(plan: &Plan, planned: &mut Planned) {
    for kind in COMPARED {
        let Some(side) = side(plan, kind) else {
            continue;
        };
        let judged: Vec<&str> = QUANTILES
            .into_iter()
            .filter(|(_, quantile)| side.samples >= MIN_SAMPLES as f64 && side.supports(*quantile))
            .map(|(name, _)| name)
            .collect();
        let phase = match kind {
            PhaseKind::Aging => "last third of aging",
            _ => kind.as_str(),
        };
        let enough = match judged.last() {
            None => "no quantile".to_owned(),
            Some(_) => judged.join(", "),
        };
        planned.lines.push((
            "samples",
            format!(
                "{phase}: about {:.0} each of Sync and notification, enough for {enough}",
                side.samples
            ),
        ));
        if judged.is_empty() && kind != PhaseKind::Aging {
            planned.warnings.push(format!(
                "the {phase} phase gives about {:.0} samples of a latency, and {MIN_SAMPLES} are needed to \
                 compare it: make it longer or send more mail",
                side.samples
            ));
        }
    }
}

/// Slower by how much `restored` detects, and the slack with which it passes.
fn restored(plan: &Plan) -> Vec<(&'static str, String)> {
    let (Some(before), Some(after)) = (
        side(plan, PhaseKind::Baseline),
        side(plan, PhaseKind::Recovered),
    ) else {
        return Vec::new();
    };
    /// Sync and notification.
    const METRICS: usize = 2;
    let tail = ALARM / (METRICS * QUANTILES.len()) as f64;
    let tolerance = plan.checks.tolerance;
    let enough = before.samples.min(after.samples) >= MIN_SAMPLES as f64;
    let judged = QUANTILES
        .into_iter()
        .filter(|(_, quantile)| enough && before.supports(*quantile) && after.supports(*quantile));
    let judged: Vec<_> = judged.collect();
    if judged.is_empty() {
        return Vec::new();
    }
    let found = judged.iter().map(|(name, quantile)| {
        let ratio = detectable(before, after, *quantile, tolerance, tail);
        format!("{name} {}", times(ratio))
    });
    // A quantile that some runs judge has to pass in these.
    let may = QUANTILES
        .into_iter()
        .filter(|(_, quantile)| before.may_support(*quantile) && after.may_support(*quantile));
    let may: Vec<_> = may.collect();
    let needs = may.iter().map(|(name, quantile)| {
        let figures = METRICS * may.len();
        let excess = provable(before, after, *quantile, tolerance, figures);
        let slack = (1.0 + excess - tolerance).max(0.0);
        format!("{:.0} % of {name}", slack * 100.0)
    });
    let (found, needs): (Vec<_>, Vec<_>) = (found.collect(), needs.collect());
    vec![
        (
            "detects",
            format!(
                "restored fails in nine of ten runs if a quantile rises to this multiple of the baseline plus {}: {} \
                 (docs/verdict.md, \"What a run can detect\")",
                format_duration(plan.checks.slack),
                found.join(", ")
            ),
        ),
        (
            "detects",
            format!(
                "restored passes in nine of ten runs of a server that is as fast as before if slack is at least {} \
                 of the baseline",
                needs.join(", ")
            ),
        ),
    ]
}

/// Slower by how much `symptom` detects.
fn symptom(plan: &Plan) -> Option<(&'static str, String)> {
    if plan.checks.symptom != Expectation::Expected {
        return None;
    }
    let (before, after) = (
        side(plan, PhaseKind::Baseline)?,
        side(plan, PhaseKind::Aging)?,
    );
    const P95: f64 = 0.95;
    let least = samples_needed(P95, ALARM) as f64;
    (before.samples.min(after.samples) >= least).then(|| {
        let ratio = detectable(before, after, P95, 1.0, ALARM / WORSENING_SERIES as f64);
        let ratio = ratio.max(measurable(before, after, P95, plan.checks.symptom_factor));
        (
            "detects",
            format!(
                "symptom passes in nine of ten runs in which requests strand: p95 from {}",
                times(ratio)
            ),
        )
    })
}

/// Whether phases outlast what they must: the start of the devices, and the heartbeats.
fn heartbeats(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let before = plan.phases.iter();
    let before: Duration = before
        .take_while(|phase| matches!(phase.kind, PhaseKind::Ramp | PhaseKind::Settle))
        .map(|phase| phase.duration)
        .sum();
    let started = f64::from(plan.devices.count) / plan.devices.ramp_per_second;
    if plan.phase(PhaseKind::Baseline).is_some() {
        let left = before.as_secs_f64() - started;
        lines.push(if left >= 0.0 {
            format!(
                "baseline: the last device starts {left:.1} s before it; Inboxes must be read by then, or the baseline \
                 is slower than usual"
            )
        } else {
            format!("baseline: devices still start for {:.1} s of it, so it does not settle", -left)
        });
    }
    let over = Duration::from_secs(plan.longest_heartbeat().into()) + plan.devices.grace;
    let until = format_duration(over);
    for kind in [PhaseKind::Hold, PhaseKind::Settle, PhaseKind::Recovered] {
        // A settle phase before the baseline belongs to the ramp.
        let Some(phase) = plan.phases.iter().rfind(|phase| phase.kind == kind) else {
            continue;
        };
        let lasts = format_duration(phase.duration);
        let outlasts = phase.duration > over;
        lines.push(match (kind, outlasts) {
            (PhaseKind::Hold, true) => format!(
                "hold: lasts {lasts}; every Ping that was given up is past heartbeat and grace after {until}, what \
                 is left then is stranded"
            ),
            (PhaseKind::Hold, false) => format!(
                "hold: lasts {lasts} and proves nothing: Pings that were given up may be held by right for {until}"
            ),
            (PhaseKind::Settle, true) => continue,
            (PhaseKind::Settle, false) => format!(
                "settle: lasts {lasts}; Pings that were given up may be held by right for {until}, so some may be \
                 left in the next phase"
            ),
            (_, true) => format!(
                "recovered: lasts {lasts}; a Ping that the server never answers shows after {until}"
            ),
            (_, false) => format!(
                "recovered: lasts {lasts}; a Ping that the server never answers shows only after {until}, so such \
                 Pings may go unseen"
            ),
        });
    }
    lines
}

/// What each source of the server's figures can prove.
fn sources(plan: &Plan) -> Vec<String> {
    const STRANDED: &str = "stranded requests and recycles: symptom, released and recycle seen rest on the server's \
                            figures";
    const SOCKETS: &str =
        "CLOSE_WAIT and ports, which released looks at; not Active Requests, so not symptom";
    let mut lines = Vec::new();
    if matches!(plan.target, TargetPlan::Mock(_)) {
        lines.push(format!("the mock's own figures: {STRANDED}"));
    }
    for source in &plan.observe.sources {
        let what = match source.format {
            Format::Exporter => format!("{STRANDED}, if its IIS collector is on"),
            Format::Perfmon => {
                format!("{STRANDED}, if its counters include the pool's Active Requests")
            }
            Format::Values => {
                format!("{STRANDED}, if it has server.active_requests and server.recycles")
            }
            Format::Netstat | Format::NetTcpConnection => SOCKETS.to_owned(),
        };
        lines.push(format!("{source}: {what}"));
    }
    if lines.is_empty() {
        let hold = plan.phase(PhaseKind::Hold).is_some();
        lines.push(if hold {
            "no source: symptom and released rest on what devices see before, during and after the hold phase"
                .to_owned()
        } else {
            "no source and no hold phase: symptom and released cannot be proven".to_owned()
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::parse;

    fn lines(change: impl Fn(String) -> String) -> (String, Vec<String>) {
        let text = "name = \"x\"\n[mock]\n[devices]\ncount = 100\nusers = 50\nheartbeat = \"8s\"\ngrace = \"4s\"\n\
                    ramp = \"4s\"\n[mail]\nrate = 25\n\
                    [[phase]]\nkind = \"ramp\"\nduration = \"6s\"\n\
                    [[phase]]\nkind = \"baseline\"\nduration = \"20s\"\n\
                    [[phase]]\nkind = \"aging\"\nduration = \"30s\"\n\
                    abandon = { share = 0.5, after = \"1s\" }\n\
                    [[phase]]\nkind = \"hold\"\nduration = \"18s\"\n\
                    [[phase]]\nkind = \"recycle\"\nduration = \"5s\"\ntrigger = \"mock\"\n\
                    [[phase]]\nkind = \"recovered\"\nduration = \"21s\"\n";
        let planned = planned(&parse("x.toml", &change(text.to_owned())).unwrap());
        let lines = planned.lines.iter();
        let lines = lines.map(|(what, text)| format!("{what} {text}\n"));
        (lines.collect(), planned.warnings)
    }

    #[test]
    fn samples_support_the_quantiles_that_are_named() {
        let (text, warnings) = lines(|text| text);
        for line in [
            "samples baseline: about 1000 each of Sync and notification, enough for p50, p95\n",
            "samples last third of aging: about 500 each of Sync and notification, enough for p50, p95\n",
            "samples recovered: about 1050 ",
            "detects restored fails in nine of ten runs if a quantile rises to this multiple of the baseline plus ",
            "detects restored passes in nine of ten runs of a server that is as fast as before if slack is at least ",
            "detects symptom passes in nine of ten runs in which requests strand: p95 from ",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(warnings, [""; 0]);

        let (few, warnings) = lines(|text| text.replace("rate = 25", "rate = 3"));
        assert!(
            few.contains("baseline: about 120 each of Sync and notification, enough for p50\n"),
            "{few}"
        );
        assert_eq!(warnings, [""; 0]);

        let (none, warnings) = lines(|text| text.replace("rate = 25", "rate = 1"));
        assert!(
            none.contains("about 40 each of Sync and notification, enough for no quantile\n"),
            "{none}"
        );
        assert!(!none.contains("detects"), "{none}");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("baseline") && warnings[1].contains("recovered"),
            "{warnings:?}"
        );
    }

    #[test]
    fn phases_that_do_not_outlast_the_heartbeat_are_named() {
        let (text, _) = lines(|text| text);
        for line in [
            "evidence baseline: the last device starts 2.0 s before it",
            "evidence hold: lasts 18s; every Ping that was given up is past heartbeat and grace after 12s",
            "evidence recovered: lasts 21s; a Ping that the server never answers shows after 12s\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let (short, _) = lines(|text| {
            text.replace("heartbeat = \"8s\"", "heartbeat = \"30s\"")
                .replace("\"6s\"", "\"3s\"")
        });
        for line in [
            "evidence baseline: devices still start for 1.0 s of it",
            "evidence hold: lasts 18s and proves nothing",
            "shows only after 34s, so such Pings may go unseen",
        ] {
            assert!(short.contains(line), "{line}\n{short}");
        }
    }

    #[test]
    fn each_source_says_what_it_can_prove() {
        let (text, _) = lines(|text| {
            text + "[[observe.source]]\npath = \"a.csv\"\nformat = \"perfmon\"\n\
                    [[observe.source]]\ncommand = \"netstat -ano\"\nformat = \"netstat\"\n"
        });
        let proves: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("proves"))
            .collect();
        assert_eq!(proves.len(), 3, "{text}");
        assert!(proves[0].contains("the mock's own figures"), "{text}");
        assert!(
            proves[1].contains("Active Requests") && proves[2].contains("not symptom"),
            "{text}"
        );
        let server = |hold: &str| {
            let (text, _) = lines(|text| {
                text.replace("[mock]", "[target]\nurl = \"https://mail.example\"")
                    .replace("grace =", "user = \"u#\"\npassword_env = \"X\"\ngrace =")
                    .replace("trigger = \"mock\"", "trigger = \"manual\"")
                    .replace("kind = \"hold\"", hold)
            });
            text
        };
        assert!(
            server("kind = \"hold\"").contains("proves no source: symptom and released rest on")
        );
        assert!(server("kind = \"settle\"").contains("proves no source and no hold phase"));
    }
}
