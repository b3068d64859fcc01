//! Has the pool let go of what it had gathered?

use super::stranding::end;
use super::*;
use crate::judge::evidence::is_of_server;
use crate::recycle::Sign;

/// A level of the server that rises where requests strand.
struct Wanted {
    gauge: &'static str,
    text: &'static str,
    /// A smaller rise is no finding.
    least: f64,
    /// From the gauge to what people read.
    scale: f64,
    unit: &'static str,
}

/// Levels that are looked at.
const LEVELS: usize = 4;

/// Worker processes of the pool.
const WORKERS: &str = "server.workers";

impl Wanted {
    /// For people.
    fn shown(&self, value: f64) -> String {
        format!("{}{}", whole(value * self.scale), self.unit)
    }
}

/// Until when the recycled worker was there.
enum OldWorker {
    /// It was gone before the recovered phase.
    Gone,
    /// Until this second of the run, or until it should have been.
    Until(f64),
    /// No source shows it. It may have been there until this second of the run; `None` if shutdownTimeLimit is not known.
    Unseen(Option<f64>),
}

/// What became of one level.
enum Fate {
    /// It was not looked at, before or at the end of aging.
    Unseen,
    /// It did not rise.
    Flat(String),
    /// It rose, and was not looked at after the recycle.
    Lost(String),
    /// It rose and fell.
    Fell(String),
    /// It rose, and remains.
    Remains(String),
}

impl RunData<'_> {
    /// Has the pool let go of what it had gathered?
    pub(in crate::judge) fn released(&self) -> Check {
        let check = Draft::new("released");
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return check.skip("the scenario has no recovered phase");
        }
        if let Some(why) = self.without_recycle() {
            return check.skip(why);
        }
        let mut figures = Vec::new();
        let (mut outcome, mut judged) = (Outcome::Pass, Vec::new());
        let doubt = |name| self.digest.doubts_about(name).next();
        for wanted in self.wanted() {
            if doubt(wanted.gauge).is_some() {
                continue;
            }
            let (fate, figure) = match self.fate(&wanted) {
                Fate::Unseen => continue,
                Fate::Flat(figure) => {
                    figures.push(figure);
                    continue;
                }
                Fate::Lost(figure) => (Outcome::NoData, figure),
                Fate::Fell(figure) => (Outcome::Pass, figure),
                Fate::Remains(figure) => (Outcome::Fail, figure),
            };
            figures.push(figure);
            outcome = worse_of(outcome, fate);
            judged.push(wanted.text);
        }
        let check = check.figures(figures);
        match (outcome, judged.len()) {
            (Outcome::Fail, _) => check
                .on(Grade::Server)
                .fail("the pool has not let go of what it had gathered"),
            (Outcome::NoData, _) => {
                let none = |until| self.after(until).is_empty();
                check.no_data(match self.old_worker() {
                    OldWorker::Until(until) if none(until) => {
                        "the recycled worker keeps what had gathered until it ends, and it was there until the run \
                         ended, or until shortly before: play the recycle phase for longer than shutdownTimeLimit"
                    }
                    OldWorker::Unseen(Some(until)) if none(until) => {
                        "the recycled worker keeps what had gathered until it ends, and no source shows whether it had \
                         ended: play the recycle phase for longer than shutdownTimeLimit, or add the number of worker \
                         processes"
                    }
                    OldWorker::Unseen(None) => {
                        "the recycled worker keeps what had gathered until it ends, no source shows whether it had \
                         ended, and its shutdownTimeLimit is not known: add the number of worker processes, or a \
                         [policy] with the pool's applicationHost.config"
                    }
                    _ => "what had gathered was not looked at after the recycle",
                })
            }
            _ if self.is_from_outside() => self.released_from_outside(check),
            _ if doubt(gauge::STRANDED).is_some() => {
                let text = doubt(gauge::STRANDED).map_or("", |doubt| &doubt.text);
                check.no_data(format!("the server's figures are doubted: {text}"))
            }
            (_, 0) => self.released_from_outside(check),
            _ if self.is_lasting() => check.on(Grade::Server).pass(format!(
                "the pool has let go of what it had gathered: {}",
                judged.join(", ")
            )),
            _ => check.on(Grade::Possible).no_data(format!(
                "what had gathered is gone, but all of it may have ended by itself: add {} to know",
                self.add_hold()
            )),
        }
    }

    /// Whether what had gathered was there when nothing could be held by right any more.
    fn is_lasting(&self) -> bool {
        !self.outlasting().is_empty() || self.stranding().finding == Finding::Stranded
    }

    /// Whether stranded requests are known from outside only, because no figure of the server can be relied on.
    fn is_from_outside(&self) -> bool {
        let stranding = self.stranding();
        (stranding.finding, stranding.grade) == (Finding::Stranded, Grade::Outside)
    }

    /// No figure of the server shows a rise.
    fn released_from_outside(&self, check: Draft<'_>) -> Check {
        let stranding = self.stranding();
        if self.is_from_outside() {
            return check
                .on(Grade::Outside)
                .pass("what made the service worse ended with the recycle");
        }
        if self.plan.checks.symptom == Expectation::Expected {
            let check = check.on(stranding.grade);
            return match stranding.finding {
                Finding::Unknown => check.no_data(stranding.reason.clone()),
                _ => check.no_data("nothing that could be released was seen to gather"),
            };
        }
        // Of any phase: a scenario without an aging phase may have been seen well.
        let is_seen = self.wanted().iter().any(|wanted| {
            self.intervals
                .iter()
                .any(|one| is_of_server(one, wanted.gauge))
        });
        check.skip(if !is_seen {
            "the server's side was not seen, and the scenario does not ask for it"
        } else if self.plan.phase(PhaseKind::Aging).is_none() {
            "the scenario has no aging phase in which something could gather"
        } else {
            "nothing had gathered, so there is nothing to release"
        })
    }

    /// Until when the recycled worker was there, which keeps what it had gathered. A worker that outlives
    /// shutdownTimeLimit is no excuse where the limit is known: WAS would have killed it.
    fn old_worker(&self) -> OldWorker {
        /// Killing it takes a moment, and the figures are of a moment before.
        const GRACE: f64 = 5.0;
        let recovered = self.of(PhaseKind::Recovered);
        let (Some(recycle), Some(first)) = (self.planned_recycle(), recovered.first()) else {
            return OldWorker::Gone;
        };
        let gone = recycle.stages.iter().filter_map(|(t, sign)| {
            let is_gone = matches!(sign, Sign::OldWorkerGone(_));
            is_gone.then_some(*t)
        });
        let gone = gone.max_by(f64::total_cmp);
        let workers = |intervals: &[&Interval]| -> Vec<f64> {
            let counts = intervals.iter();
            counts.filter_map(|one| one.gauge(WORKERS)).collect()
        };
        let usual = median(&workers(&self.of(PhaseKind::Baseline)));
        let aged = median(&workers(end(&self.of(PhaseKind::Aging))));
        let usual = usual.into_iter().chain(aged).max_by(f64::total_cmp);
        let is_counted = usual.is_some() && !workers(&recovered).is_empty();
        // The worker that is there beside the usual ones from the beginning. One that comes later is not the old one.
        let is_more = |one: &&&Interval| {
            let count = one.gauge(WORKERS).zip(usual);
            count.is_none_or(|(now, usual)| now > usual)
        };
        let counted = recovered.iter().take_while(is_more).last();
        let counted = counted.filter(|_| is_counted).map(|one| one.t);
        let limit = self.plan.shutdown_time_limit();
        let limit = limit.map(|limit| recycle.t + limit.as_secs_f64() + GRACE);
        let until = gone.filter(|t| *t >= first.t).into_iter().chain(counted);
        match until.max_by(f64::total_cmp) {
            Some(until) => OldWorker::Until(until.min(limit.unwrap_or(f64::INFINITY))),
            None if gone.is_some() || is_counted => OldWorker::Gone,
            None => OldWorker::Unseen(limit),
        }
    }

    /// The intervals of the recovered phase after that time; none if they are too few.
    fn after(&self, until: f64) -> Vec<&Interval> {
        /// As many as a level is looked at before the recycle.
        const LEAST: usize = 5;
        let mut recovered = self.of(PhaseKind::Recovered);
        recovered.retain(|one| one.t > until);
        if recovered.len() < LEAST {
            recovered.clear();
        }
        recovered
    }

    fn wanted(&self) -> [Wanted; LEVELS] {
        /// Allocators keep some; a smaller rise of memory is no finding.
        const MIN_BYTES: f64 = 16.0 * 1_048_576.0;
        /// Published as normal: below 10 % (PERF13).
        const MIN_GC: f64 = 0.10;
        let wanted = |gauge, text, least, scale, unit| Wanted {
            gauge,
            text,
            least,
            scale,
            unit,
        };
        [
            wanted(gauge::STRANDED, "stranded", self.needed(), 1.0, ""),
            wanted(gauge::CLOSE_WAIT, "CLOSE_WAIT", self.needed(), 1.0, ""),
            wanted(
                gauge::MEMORY,
                "private memory",
                MIN_BYTES,
                1.0 / 1_048_576.0,
                " MiB",
            ),
            wanted(gauge::GC, "% Time in GC", MIN_GC, 100.0, " %"),
        ]
    }

    /// What became of a level: from the baseline to the last moment before the recycle, and after it.
    fn fate(&self, wanted: &Wanted) -> Fate {
        let baseline = of_server(&self.of(PhaseKind::Baseline), wanted);
        let (aging, lasting) = (self.of(PhaseKind::Aging), self.outlasting());
        // What fell by itself in the hold phase is not the recycle's to release.
        let gathered = if lasting.is_empty() { &aging } else { &lasting };
        let (Some(before), Some(peak)) =
            (median(&baseline), median(&of_server(end(gathered), wanted)))
        else {
            return Fate::Unseen;
        };
        let rise = Rise {
            before,
            peak,
            baseline,
        };
        let text = format!(
            "{} {} → {}",
            wanted.text,
            wanted.shown(before),
            wanted.shown(peak)
        );
        let is_risen = rise.size() >= wanted.least && peak >= rise.noise(end(gathered).len());
        let fate = |until: f64| {
            let recovered = of_server(&self.after(until), wanted);
            let Some(after) = median(&recovered) else {
                return if is_risen {
                    Fate::Lost(format!(
                        "{text}, not looked at when the old worker had gone"
                    ))
                } else {
                    Fate::Unseen
                };
            };
            let text = format!("{text} → {}", wanted.shown(after));
            if !is_risen {
                return Fate::Flat(format!("{text} (no rise to release)"));
            }
            let remains = (after - before) / rise.size();
            if remains > self.plan.checks.residue && after > rise.usual(recovered.len()) {
                Fate::Remains(format!(
                    "{text} ← {:.0} % of the rise remains",
                    remains * 100.0
                ))
            } else {
                Fate::Fell(text)
            }
        };
        match self.old_worker() {
            OldWorker::Gone => fate(f64::NEG_INFINITY),
            OldWorker::Until(t) => fate(t),
            // What fell has gone with the old worker. What remains may be its, as long as it may live.
            OldWorker::Unseen(limit) => match fate(f64::NEG_INFINITY) {
                Fate::Remains(_) => fate(limit.unwrap_or(f64::INFINITY)),
                other => other,
            },
        }
    }
}

/// Values of a level that the server itself gave.
fn of_server(intervals: &[&Interval], wanted: &Wanted) -> Vec<f64> {
    let own = intervals
        .iter()
        .filter(|one| is_of_server(one, wanted.gauge));
    own.filter_map(|one| one.gauge(wanted.gauge)).collect()
}

/// How a level rose.
struct Rise {
    before: f64,
    peak: f64,
    baseline: Vec<f64>,
}

impl Rise {
    fn size(&self) -> f64 {
        self.peak - self.before
    }

    /// What the baseline's noise reaches in so many intervals. All levels share the error.
    fn noise(&self, length: usize) -> f64 {
        let mean = self.baseline.iter().sum::<f64>() / self.baseline.len().max(1) as f64;
        mean + noise(&self.baseline, length, ALARM / LEVELS as f64)
    }

    /// A level that is no residue: % Time in GC is 0 in the seconds between two collections, so what the baseline had in
    /// one of ten seconds is usual.
    fn usual(&self, length: usize) -> f64 {
        let usual = upper_decile(&self.baseline).unwrap_or(self.before);
        usual.max(self.noise(length))
    }
}
