//! What did the recycle cost, and was anything lost?

use super::*;
use crate::timeline::LedgerCounts;

impl RunData<'_> {
    /// What did the recycle cost?
    pub(in crate::judge) fn cost(&self) -> Check {
        let check = Draft::new("cost");
        let planned = self
            .plan
            .phase(PhaseKind::Recycle)
            .is_some_and(|phase| phase.trigger != Trigger::None);
        if !planned && self.plan.checks.recycle != Expectation::Expected {
            return check.skip("no recycle was asked for");
        }
        if let Some(why) = self.without_recycle() {
            return check.skip(why);
        }
        let Some(first) = self.planned_recycle() else {
            return if planned {
                check.no_data("no recycle was seen whose cost could be told")
            } else {
                check.skip("no recycle")
            };
        };
        let after: Vec<&Interval> = self
            .intervals
            .iter()
            .filter(|interval| interval.t >= first.t)
            .collect();
        let sum = |counter| {
            after
                .iter()
                .map(|interval| interval.count(counter))
                .sum::<u64>()
        };
        let phases = after.iter().map(|interval| interval.phase.as_str());
        let peak = self.digest.peak(phases, Counter::Connects);
        let cut = sum(Counter::PingsCut);
        let mut figures = vec![
            format!(
                "{cut} Pings cut ({:.0} % of the devices)",
                cut as f64 * 100.0 / f64::from(self.plan.devices.count)
            ),
            format!(
                "{} answers with HTTP errors, {} connections refused, {} connections closed or reset",
                sum(Counter::HttpErrors),
                sum(Counter::ConnectFailures),
                sum(Counter::Closed) + sum(Counter::Resets),
            ),
            format!("at most {peak} new connections in a second"),
        ];
        let restored = self.restored_at(first.t);
        figures.push(match restored {
            Some(t) => format!("Sync times back {:.0} s after the recycle", t - first.t),
            None => "Sync times did not come back".to_owned(),
        });
        let check = check.figures(figures);
        match (self.plan.checks.restored_within, restored) {
            (None, None) => check.no_data("Sync times did not come back, so the cost has no end"),
            (None, Some(_)) => check.pass("told only: no limit is set (restored_within)"),
            (Some(limit), Some(t)) if t - first.t <= limit.as_secs_f64() => check.pass(format!(
                "Sync times were back within {}",
                format_duration(limit)
            )),
            // What a run that was cut short has not seen can still come.
            (Some(limit), None)
                if !self.is_complete() && self.since(first.t) < limit.as_secs_f64() =>
            {
                check.no_data("the run ended before Sync times had to be back")
            }
            (Some(limit), _) => check.fail(format!(
                "Sync times were not back within {}",
                format_duration(limit)
            )),
        }
    }

    /// Seconds of the run after a moment of it.
    fn since(&self, t: f64) -> f64 {
        self.intervals.last().map_or(0.0, |interval| interval.t - t)
    }

    /// The first second from which Sync's p95 is in tolerance: over a window of some intervals, and over
    /// all that follows, without a relapse. A single bad interval later on is part of that p95.
    fn restored_at(&self, from: f64) -> Option<f64> {
        /// Intervals with enough Syncs for a p95 at small loads.
        const WINDOW: usize = 3;
        /// So many bad windows in a row need three bad intervals.
        const RELAPSE: usize = 2 * WINDOW - 1;
        const QUANTILE: f64 = 0.95;
        let baseline = merged(self.of(PhaseKind::Baseline), Metric::Sync);
        if baseline.is_empty() {
            return None;
        }
        let bound = self.plan.checks.tolerance * baseline.value_at_quantile(QUANTILE) as f64
            + self.plan.checks.slack.as_micros() as f64;
        let after: Vec<&Interval> = self
            .intervals
            .iter()
            .filter(|interval| interval.t >= from && interval.phase != DRAIN)
            .collect();
        // How many Syncs of each interval were within the bound, and how many there were.
        let counts: Vec<(u64, u64)> = after
            .iter()
            .map(|interval| {
                let syncs = histograms(&[interval], Metric::Sync);
                let syncs = syncs.iter().flatten();
                syncs.fold((0, 0), |(good, all), (micros, times)| {
                    let is_good = *micros as f64 <= bound;
                    (good + u64::from(is_good) * times, all + times)
                })
            })
            .collect();
        let add = |a: (u64, u64), b: &(u64, u64)| (a.0 + b.0, a.1 + b.1);
        let sum = |counts: &[(u64, u64)]| counts.iter().fold((0, 0), add);
        // A window without Syncs says nothing: it neither spoils a recovery nor makes one.
        let is_good = |(good, all): (u64, u64)| {
            (all > 0).then(|| good as f64 >= (QUANTILE * all as f64).ceil())
        };
        let start_of_last = after.len().checked_sub(WINDOW)?;
        let mut rest = sum(&counts[start_of_last + 1..]);
        let (mut back, mut bad) = (None, 0);
        // From the end, so that what follows is added up once.
        for start in (0..=start_of_last).rev() {
            rest = add(rest, &counts[start]);
            let window = sum(&counts[start..start + WINDOW]);
            match is_good(window) {
                Some(true) => {
                    bad = 0;
                    if is_good(rest) == Some(true) {
                        back = Some(after[start].t);
                    }
                }
                Some(false) => bad += 1,
                None => {}
            }
            if bad == RELAPSE {
                break;
            }
        }
        back
    }

    /// Did every mail reach every device it was meant for, exactly once?
    pub(in crate::judge) fn nothing_lost(&self) -> Check {
        let check = Draft::new("nothing lost");
        if self.plan.mail.is_none() {
            return check.skip("the scenario sends no mail");
        }
        if self.intervals.is_empty() {
            return check.no_data("nothing was measured");
        }
        let ledger = self.digest.ledger;
        let lost = ledger.lost();
        let mut figures = vec![
            format!(
                "{} mails meant, {} accepted, {} failed",
                ledger.meant, ledger.accepted, ledger.failed
            ),
            format!(
                "{} arrivals, {} of them late, {lost} missing, {} duplicates, {} on a wrong device",
                ledger.synced, ledger.late_arrivals, ledger.duplicates, ledger.misplaced
            ),
        ];
        figures.extend(arrivals_to_come(&ledger));
        let several = match &self.plan.target {
            TargetPlan::Server { urls, .. } => urls.len(),
            TargetPlan::Mock(_) => 1,
        };
        if several > 1 && ledger.outstanding > 0 {
            figures.push(format!(
                "the devices of a user are dealt over {several} servers: a mail reaches them all only if the \
                 servers share their mailboxes"
            ));
        }
        let strays = ledger.duplicates + ledger.misplaced;
        if lost > 0
            && strays == 0
            && let Some(other) = self.no_affinity()
        {
            figures.push(other.told());
            return check.figures(figures).no_data(format!(
                "{lost} arrivals are missing, and may be on another server: {}",
                other.name
            ));
        }
        let check = check.figures(figures);
        if lost + strays > 0 {
            return check.fail("mails are missing, there twice, or in the wrong place");
        }
        if ledger.not_asked_for > 0 {
            return check.no_data(format!(
                "{} devices got no good answer to a Ping or Sync since, so their mail was not asked for",
                ledger.silent_devices
            ));
        }
        if ledger.under_way > 0 || ledger.accepted + ledger.failed < ledger.meant {
            return check.no_data(
                "the run ended while mails were under way: what has not arrived may only be late",
            );
        }
        if ledger.accepted == 0 || ledger.synced == 0 {
            return check.no_data("no mail was accepted and received");
        }
        /// A refused mail is not lost, but proves nothing either.
        const MAX_FAILED: f64 = 0.05;
        if ledger.failed as f64 > MAX_FAILED * ledger.meant as f64 {
            return check.no_data("too many mails were not accepted to say what became of mail");
        }
        check.pass("every accepted mail reached every device of its user exactly once")
    }
}

/// What has not arrived and is no evidence of loss.
fn arrivals_to_come(ledger: &LedgerCounts) -> Vec<String> {
    let mut figures = Vec::new();
    if ledger.under_way > 0 {
        figures.push(format!(
            "{} arrivals under way: accepted less than {:.1} s before the end, and mail took as long in this run \
             or may take as long (late_after)",
            ledger.under_way,
            ledger.patience_ms as f64 / 1e3
        ));
    }
    if ledger.not_asked_for > 0 {
        figures.push(format!(
            "{} arrivals not asked for: {} devices got no good answer to a Ping or Sync since the mail should have \
             been there",
            ledger.not_asked_for, ledger.silent_devices
        ));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::parse;

    const SCENARIO: &str = "
name = \"mail\"
[mock]
[devices]
count = 50
[mail]
rate = 10
[[phase]]
kind = \"baseline\"
duration = \"20s\"
";

    fn judged(change: impl FnOnce(&mut LedgerCounts)) -> Check {
        let mut ledger = LedgerCounts {
            meant: 200,
            accepted: 200,
            synced: 200,
            patience_ms: 60_000,
            ..LedgerCounts::default()
        };
        change(&mut ledger);
        let interval = Interval {
            t: 20.0,
            phase: "baseline".to_owned(),
            ledger,
            ..Interval::default()
        };
        let plan = parse("mail.toml", SCENARIO).unwrap();
        RunData::new(&plan, &[interval].into_iter().collect()).nothing_lost()
    }

    #[test]
    fn nothing_lost_fails_only_for_mail_that_the_server_was_asked_for_in_time() {
        let outcome = |outstanding, under_way, not_asked_for| {
            judged(|ledger| {
                (ledger.outstanding, ledger.under_way) = (outstanding, under_way);
                (ledger.not_asked_for, ledger.silent_devices) = (not_asked_for, 3);
            })
        };
        for (outstanding, under_way, not_asked_for, expected) in [
            (0, 0, 0, Outcome::Pass),
            (1, 1, 0, Outcome::NoData),
            (34, 0, 34, Outcome::NoData),
            (35, 1, 34, Outcome::NoData),
            (1, 0, 0, Outcome::Fail),
            (36, 1, 34, Outcome::Fail),
        ] {
            let check = outcome(outstanding, under_way, not_asked_for);
            assert_eq!(check.outcome, expected, "{check:?}");
        }
        let silent = outcome(34, 0, 34);
        assert!(silent.reason.contains("3 devices"), "{silent:?}");
        assert!(silent.figures[1].contains(" 0 missing"), "{silent:?}");
        let under_way = outcome(1, 1, 0);
        assert!(under_way.figures[2].contains("60.0 s"), "{under_way:?}");
    }

    /// A mail that came twice is a fact whatever is under way.
    #[test]
    fn duplicates_fail_beside_mail_under_way() {
        let check = judged(|ledger| {
            (ledger.outstanding, ledger.under_way, ledger.duplicates) = (1, 1, 1);
        });
        assert_eq!(check.outcome, Outcome::Fail);
    }
}
