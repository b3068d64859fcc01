//! Did the recycle happen?

use super::*;
use crate::recycle::Sign;

/// What to do where nothing shows a recycle from outside.
const KNOW: &str =
    "an [[observe.source]] with the pool's recycles or the start of its worker would tell";

/// Recycles of the run: those that show by themselves and, if there is none in the recycle phase, the one
/// that shows only because it is known when it was triggered.
pub(in crate::judge) fn recycles(plan: &Plan, digest: &Digest) -> Vec<Recycle> {
    let mut all = digest.seen.recycles.clone();
    let Some(window) = Window::of(plan, digest) else {
        return all;
    };
    if !all.iter().any(|one| window.has(one))
        && let Some(few) = window.after_trigger(digest)
    {
        let place = all.partition_point(|one| one.t <= few.t);
        all.insert(place, few);
    }
    all
}

/// When a recycle should happen: in the recycle phase as it was played, or when the policy says.
struct Window {
    start: f64,
    end: f64,
    /// Whether it begins with a trigger of the run's own, which reported success.
    is_triggered: bool,
}

impl Window {
    fn of(plan: &Plan, digest: &Digest) -> Option<Self> {
        let phase = plan.phase(PhaseKind::Recycle)?;
        let start = start_of(&digest.intervals, PhaseKind::Recycle)?;
        let is_own = matches!(
            phase.trigger,
            Trigger::Mock | Trigger::Command(_) | Trigger::Hook { .. }
        );
        Some(Self {
            start,
            end: start + phase.duration.as_secs_f64(),
            is_triggered: is_own && digest.failed_triggers.is_empty(),
        })
    }

    fn has(&self, recycle: &Recycle) -> bool {
        /// Intervals are a second long.
        const MARGIN: f64 = 2.0;
        recycle.is_within(self.start - MARGIN, self.end + MARGIN)
    }

    fn intervals<'a>(&self, digest: &'a Digest) -> impl Iterator<Item = &'a Interval> {
        let (start, end) = (self.start, self.end);
        let all = digest.intervals.iter();
        all.filter(move |interval| interval.t > start && interval.t <= end)
    }

    /// A server that lets its queue survive cuts few requests. What happens right after the trigger, and did
    /// not before, is the trigger's work.
    fn after_trigger(&self, digest: &Digest) -> Option<Recycle> {
        /// A restart takes some seconds.
        const SOON: f64 = 10.0;
        /// The seconds before the trigger that tell what is usual.
        const BEFORE: f64 = 60.0;
        /// Fewer requests may end by chance.
        const LEAST: f64 = 3.0;
        /// Standard deviations beyond what is usual, for events that come in clusters of two.
        const DEVIATIONS: f64 = 4.0;
        const CLUSTER: f64 = 2.0;
        if !self.is_triggered {
            return None;
        }
        let mut usual = (0.0, 0.0);
        let judged = digest.intervals.iter().filter(|one| {
            one.phase != PhaseKind::Ramp.as_str()
                && (self.start - BEFORE..=self.start).contains(&one.t)
        });
        for interval in judged {
            usual.0 += broken(interval) as f64;
            usual.1 += interval.seconds;
        }
        let (mut count, mut seconds, mut first) = (0, 0.0, None);
        for interval in self.intervals(digest) {
            if seconds >= SOON {
                break;
            }
            let here = broken(interval);
            if here > 0 && first.is_none() {
                first = Some(interval.t);
            }
            count += here;
            seconds += interval.seconds;
        }
        let expected = usual.0 / f64::max(usual.1, 1.0) * seconds;
        let bound = expected + DEVIATIONS * (CLUSTER * expected).sqrt() + LEAST;
        let t = first.filter(|_| usual.1 > 0.0 && count as f64 >= bound)?;
        Some(Recycle {
            t,
            stages: vec![(t, Sign::AfterTrigger(count))],
        })
    }
}

/// Requests that ended as a restart ends them.
fn broken(interval: &Interval) -> u64 {
    [
        Counter::Closed,
        Counter::Resets,
        Counter::BadGateway,
        Counter::ConnectFailures,
        Counter::PingsEarly,
    ]
    .map(|counter| interval.count(counter))
    .iter()
    .sum()
}

impl RunData<'_> {
    /// Did a recycle happen?
    pub(in crate::judge) fn recycle_seen(&self) -> Check {
        let check = Draft::new("recycle seen");
        if self.plan.checks.recycle == Expectation::Any {
            return check.skip("the scenario does not ask for one");
        }
        let seen = self.recycles();
        let timeouts = &self.digest.seen.timeouts;
        let mut figures: Vec<String> = seen.iter().flat_map(Recycle::lines).collect();
        figures.extend(timeouts_text(timeouts));
        let check = check.figures(figures);
        let can_be_seen = self
            .intervals
            .iter()
            .any(|interval| tells_of_recycles(interval) || interval.count(Counter::PingsSent) > 0);
        match (self.plan.checks.recycle, seen.is_empty()) {
            (_, true) if !can_be_seen => {
                check.no_data("neither the server nor a held Ping was seen")
            }
            (Expectation::Absent, true) if !timeouts.is_empty() && !self.intervals.iter().any(tells_of_recycles) =>
            {
                check.no_data(format!(
                    "Pings ended together at one age, by a timeout or by recycles at fixed intervals; {KNOW}"
                ))
            }
            (Expectation::Absent, true) => check.pass("no recycle was seen, and none should be"),
            (Expectation::Absent, false) => check.fail("a recycle was seen though none should be"),
            (_, _) if self.plan.checks.by_policy && !seen.is_empty() => self.by_policy(check),
            (_, _) => {
                let window = Window::of(self.plan, self.digest);
                let in_time = match &window {
                    None => !seen.is_empty(),
                    Some(window) => seen.iter().any(|one| window.has(one)),
                };
                if in_time {
                    check.pass("a recycle was seen when it should happen")
                } else if !self.is_complete() {
                    check.no_data(if seen.is_empty() {
                        "the run ended before a recycle was due"
                    } else {
                        "the run ended before a recycle was due; what was seen was something else"
                    })
                } else if let Some(why) = window.and_then(|window| self.hidden(&window)) {
                    check.no_data(why)
                } else if seen.is_empty() {
                    check.fail("no recycle was seen")
                } else {
                    check.fail("a recycle was seen, but not in the recycle phase")
                }
            }
        }
    }

    /// Why a recycle may have happened in its phase though nothing shows it; `None` where it would have
    /// shown.
    fn hidden(&self, window: &Window) -> Option<String> {
        /// Fewer open requests are no burst when a restart cuts them all.
        const MIN_OPEN: f64 = 5.0;
        if window.intervals(self.digest).any(tells_of_recycles) {
            return None;
        }
        let at_trigger = self
            .intervals
            .iter()
            .rev()
            .find(|one| one.t <= window.start);
        let open = at_trigger.map_or(0.0, Interval::open_requests);
        if open < MIN_OPEN {
            return Some(format!(
                "{open:.0} requests were open when the recycle should happen, too few to show it from outside; {KNOW}"
            ));
        }
        if let Some(share) = self.share_failing(window) {
            return Some(format!(
                "up to {:.0} % of the requests failed when the recycle should happen, and a recycle of a server that \
                 hardly answers cuts little; {KNOW}",
                share * 100.0
            ));
        }
        if self.digest.seen.timeouts.iter().any(|one| window.has(one)) {
            return Some(format!(
                "Pings ended together in the recycle phase, but at an age at which others ended as well; {KNOW}"
            ));
        }
        window.is_triggered.then(|| {
            format!(
                "the trigger reported success, and from outside nothing shows a recycle: {open:.0} requests \
                 were open, and hardly any was cut, lost or refused; {KNOW}"
            )
        })
    }

    /// The share of requests that failed in the worst three intervals in or right before that time, if most did.
    fn share_failing(&self, window: &Window) -> Option<f64> {
        /// A recycle may be what ends an outage.
        const BEFORE: f64 = 5.0;
        /// Fewer intervals, or requests, may fail by a recycle itself.
        const INTERVALS: usize = 3;
        const LEAST: f64 = 10.0;
        const MOST: f64 = 0.5;
        let near: Vec<&Interval> = self
            .intervals
            .iter()
            .filter(|one| (window.start - BEFORE..=window.end).contains(&one.t))
            .collect();
        let shares = near.windows(INTERVALS).filter_map(|some| {
            let share = failing(some);
            let is_much = share > MOST && share * requests(some) as f64 >= LEAST;
            is_much.then_some(share)
        });
        shares.max_by(f64::total_cmp)
    }

    /// The recycle whose effects are judged: the first one of the recycle phase, or of the run.
    pub(super) fn planned_recycle(&self) -> Option<&Recycle> {
        self.recycle_in_phase().or_else(|| self.recycles().first())
    }

    /// The first recycle of the recycle phase.
    pub(super) fn recycle_in_phase(&self) -> Option<&Recycle> {
        let window = Window::of(self.plan, self.digest)?;
        self.recycles().iter().find(|one| window.has(one))
    }

    /// Did the recycles come when the policy says?
    fn by_policy(&self, check: Draft<'_>) -> Check {
        /// WAS looks at ages and times of day once a minute, and a worker takes time to start.
        const LATE: f64 = 120.0;
        /// Intervals are a second long, and a mock's clock begins a little before the run.
        const GRAIN: f64 = 4.0;
        let (begin, end) = (
            self.start_after_ramp(),
            self.intervals.last().map_or(0.0, |interval| interval.t),
        );
        let late = LATE / self.plan.time_scale() + GRAIN;
        let due: Vec<_> = self
            .digest
            .due
            .iter()
            .filter(|due| due.t >= begin && due.t + late <= end)
            .collect();
        let Some(next) = self.digest.due.first() else {
            return check.no_data("it is not known when the policy recycles");
        };
        if due.is_empty() {
            return check.no_data(format!(
                "the policy recycles at {:.0} s of the run, which is not in what was judged",
                next.t
            ));
        }
        let came = |due: f64| {
            self.recycles()
                .iter()
                .any(|seen| (due - GRAIN..=due + late).contains(&seen.t))
        };
        match due.iter().find(|due| !came(due.t)) {
            None => check.pass(format!(
                "the pool was recycled when its policy says ({} at {:.0} s)",
                due[0].by, due[0].t
            )),
            Some(missed) => {
                let window = Window {
                    start: missed.t - GRAIN,
                    end: missed.t + late,
                    is_triggered: false,
                };
                match self.hidden(&window) {
                    Some(why) => check.no_data(why),
                    None => check.fail(format!(
                        "the recycle that the policy's {} asks for at {:.0} s ({}) did not come then",
                        missed.by, missed.t, missed.at
                    )),
                }
            }
        }
    }

    fn start_after_ramp(&self) -> f64 {
        let first = self
            .intervals
            .iter()
            .position(|interval| interval.phase != PhaseKind::Ramp.as_str());
        first
            .and_then(|first| first.checked_sub(1))
            .map_or(0.0, |before| self.intervals[before].t)
    }
}

/// Whether the server's own figures would show a recycle. A total of requests alone may be that of a gateway,
/// which is not recycled.
fn tells_of_recycles(interval: &Interval) -> bool {
    let by_name = [
        "server.recycles",
        "server.workers_created",
        "server.worker_started",
    ];
    by_name.iter().any(|name| interval.gauge(name).is_some())
        || interval
            .gauges
            .keys()
            .any(|name| name.starts_with("server.active."))
}

/// Bursts that are the work of a timeout.
fn timeouts_text(timeouts: &[Recycle]) -> Option<String> {
    let times: Vec<String> = timeouts
        .iter()
        .map(|one| format!("{:.0} s", one.t))
        .collect();
    /// As many tell the rhythm.
    const SHOWN: usize = 5;
    (!times.is_empty()).then(|| {
        let more = times.len().saturating_sub(SHOWN);
        let shown = times[..times.len().min(SHOWN)].join(", ");
        let more = if more > 0 { format!(" and {more} more times") } else { String::new() };
        format!(
            "at {shown}{more} Pings ended together at an age at which others ended as well: a timeout, not a recycle"
        )
    })
}
