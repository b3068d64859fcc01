//! How long a hold phase must be, what is missing without one, and how long the recycled worker may live after it.

use std::time::Duration;

use text::format_duration;

use super::{HeartbeatPlan, PhaseKind, Plan, TargetPlan};

impl Plan {
    /// The longest heartbeat that a device may ask for, in seconds.
    #[must_use]
    pub fn longest_heartbeat(&self) -> u32 {
        let heartbeats = self.devices.profiles.iter();
        let longest = heartbeats.map(|kind| kind.heartbeat.longest()).max();
        longest.unwrap_or_else(|| HeartbeatPlan::default().longest())
    }

    /// How long a hold phase must be: every Ping that was given up passes its heartbeat and the grace, and as
    /// many seconds are left as can be compared.
    #[must_use]
    pub fn least_hold(&self) -> Duration {
        /// One interval more than a comparison needs.
        const COMPARED: Duration = Duration::from_secs(6);
        /// Of a phase that is longer than two minutes, an interval is up to a 64th part, and six of them are compared.
        const PART: u32 = 9;
        let heartbeat = Duration::from_secs(self.longest_heartbeat().into());
        let over = heartbeat.saturating_add(self.devices.grace);
        let whole = over.saturating_add(COMPARED.max(over / PART));
        Duration::from_secs(
            whole
                .as_secs()
                .saturating_add(u64::from(whole.subsec_nanos() > 0)),
        )
    }

    /// What cannot be told because the phase between aging and recycle is missing or too short.
    pub(super) fn short_hold(&self) -> Option<String> {
        let aging = self
            .phases
            .iter()
            .position(|phase| phase.kind == PhaseKind::Aging && phase.abandon.is_some())?;
        let after = &self.phases[aging + 1..];
        let recycle = after
            .iter()
            .position(|phase| phase.kind == PhaseKind::Recycle)?;
        let between = after[..recycle].iter();
        let hold: Duration = between
            .filter(|phase| phase.kind == PhaseKind::Hold)
            .map(|phase| phase.duration)
            .sum();
        let least = self.least_hold();
        let why = format!(
            "without {} or more of it between aging and recycle, nobody can tell what the recycle released from \
             what ended with its heartbeat (docs/verdict.md)",
            format_duration(least)
        );
        if hold.is_zero() {
            Some(format!("there is no hold phase: {why}"))
        } else if hold < least {
            Some(format!(
                "the hold phase lasts {}, which is too short: {why}",
                format_duration(hold)
            ))
        } else {
            None
        }
    }
}

impl Plan {
    /// How long a recycled worker may live on (processModel.shutdownTimeLimit): that of the mock's pool, or of the file of
    /// `[policy]`. `None` if nobody says.
    #[must_use]
    pub fn shutdown_time_limit(&self) -> Option<Duration> {
        match &self.target {
            TargetPlan::Mock(config) => Some(config.pool.process_model.shutdown_time_limit),
            TargetPlan::Server { .. } => self.policy.as_ref()?.shutdown_time_limit,
        }
    }

    /// Whether the recycled worker may live until the recovered phase ends, so that nobody can tell what the recycle
    /// released.
    pub(super) fn late_old_worker(&self) -> Option<String> {
        /// The default of the IIS schema.
        const DEFAULT: Duration = Duration::from_secs(90);
        /// Killing the old worker takes as long.
        const KILL: Duration = Duration::from_secs(5);
        /// So many intervals without it are compared.
        const COMPARED: u32 = 5;
        /// Of a phase that is longer than two minutes an interval is up to a 64th part, else a second.
        const LONG: Duration = Duration::from_secs(120);
        const PARTS: u32 = 64;
        let of = |kind| self.phases.iter().rposition(|phase| phase.kind == kind);
        let (recycle, recovered) = (of(PhaseKind::Recycle)?, of(PhaseKind::Recovered)?);
        let is_seen = match &self.target {
            TargetPlan::Mock(_) => true,
            TargetPlan::Server { .. } => !self.observe.sources.is_empty(),
        };
        // Without an aging phase nothing gathers.
        if !is_seen || recovered < recycle || of(PhaseKind::Aging)? > recycle {
            return None;
        }
        let (limit, whose) = match self.shutdown_time_limit() {
            Some(limit) => (limit, ""),
            None => (DEFAULT, ", if the pool has IIS's default"),
        };
        let interval = match self.phases[recovered].duration {
            long if long > LONG => long / PARTS,
            _ => Duration::from_secs(1),
        };
        let after = self.phases[recycle..=recovered].iter();
        let after: Duration = after.map(|phase| phase.duration).sum();
        (after < limit + KILL + COMPARED * interval).then(|| {
            format!(
                "the recycled worker may keep its requests for {} (shutdownTimeLimit{whose}), and the phases from the \
                 recycle to the end of recovered last {}: what the recycle releases later is not seen",
                format_duration(limit),
                format_duration(after)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    /// A scenario with those phases after the baseline, and devices with heartbeats of 8 s and 11 s and a grace of 4 s.
    fn read(phases: &[(&str, &str)]) -> Result<super::Plan, String> {
        let mut text = String::from(
            "name = \"x\"\n[mock]\n[devices]\ncount = 10\nheartbeat = \"8s\"\ngrace = \"4s\"\n\
             [[devices.profile]]\nname = \"a\"\n[[devices.profile]]\nname = \"b\"\nheartbeat = \"11s\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"20s\"\n",
        );
        for (kind, more) in phases {
            text.push_str(&format!("[[phase]]\nkind = \"{kind}\"\n{more}\n"));
        }
        parse("x.toml", &text).map_err(|error| error.to_string())
    }

    const AGING: (&str, &str) = (
        "aging",
        "duration = \"30s\"\nabandon = { share = 0.5, after = \"1s\" }",
    );
    const RECYCLE: (&str, &str) = ("recycle", "duration = \"9s\"\ntrigger = \"mock\"");

    #[test]
    fn check_warns_of_a_hold_phase_that_is_missing_or_too_short() {
        let warnings = |phases: &[(&str, &str)]| {
            let warnings = read(phases).unwrap().warnings();
            let of_hold = warnings
                .into_iter()
                .filter(|text| text.contains("hold phase"));
            of_hold.collect::<Vec<_>>().join("\n")
        };
        let missing = warnings(&[AGING, RECYCLE]);
        assert!(missing.starts_with("there is no hold phase"), "{missing}");
        assert!(missing.contains("21s or more"), "{missing}");
        let short = warnings(&[AGING, ("hold", "duration = \"20s\""), RECYCLE]);
        assert!(short.starts_with("the hold phase lasts 20s"), "{short}");
        // After the recycle it tells nothing.
        let late = warnings(&[AGING, RECYCLE, ("hold", "duration = \"21s\"")]);
        assert_eq!(late, missing);
        assert_eq!(
            warnings(&[AGING, ("hold", "duration = \"21s\""), RECYCLE]),
            ""
        );
        // Nothing gathers, or nothing is recycled.
        assert_eq!(warnings(&[("aging", "duration = \"30s\""), RECYCLE]), "");
        assert_eq!(warnings(&[AGING]), "");
    }

    #[test]
    fn check_warns_where_the_old_worker_may_outlive_the_run() {
        let warnings = |seconds: u32, after: &[(&str, &str)]| {
            let recovered = format!("duration = \"{seconds}s\"");
            let phases = [&[AGING, RECYCLE, ("recovered", recovered.as_str())], after].concat();
            let warnings = read(&phases).unwrap().warnings();
            let of_limit = warnings
                .into_iter()
                .filter(|text| text.contains("shutdownTimeLimit"));
            of_limit.collect::<Vec<_>>().join("\n")
        };
        let found = warnings(90, &[]);
        assert!(
            found.starts_with("the recycled worker may keep its requests for 1m30s"),
            "{found}"
        );
        assert!(found.contains("last 1m39s"), "{found}");
        assert_eq!(warnings(91, &[]), "");
        // Only the recovered phase is compared.
        assert_ne!(warnings(20, &[("settle", "duration = \"80s\"")]), "");
    }

    #[test]
    fn a_tenth_of_a_long_hold_phase_is_compared() {
        let mut plan = read(&[AGING]).unwrap();
        plan.devices.grace = std::time::Duration::from_secs(529);
        assert_eq!(plan.least_hold().as_secs(), 600);
        plan.devices.grace = std::time::Duration::MAX;
        assert_eq!(plan.least_hold().as_secs(), u64::MAX);
    }

    #[test]
    fn nothing_is_given_up_or_recycled_in_a_hold_phase() {
        for key in [
            "abandon = { share = 0.5, after = \"1s\" }",
            "trigger = \"mock\"",
        ] {
            let hold = format!("duration = \"21s\"\n{key}");
            let error = read(&[AGING, ("hold", &hold), RECYCLE]).unwrap_err();
            assert!(
                error.contains("in a hold phase nothing is given up"),
                "{error}"
            );
        }
    }
}
