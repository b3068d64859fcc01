//! When the policy of a run recycles next.

use std::time::Duration;

use iis::PoolSettings;
use iis::policy::next_times;
use jiff::Timestamp;
use scenario::{Plan, PolicyPlan, TargetPlan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::format_duration;

/// A recycle that should come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Due {
    /// Seconds of the run.
    pub t: f64,
    /// The server's local time.
    pub at: String,
    /// `time` or `schedule`.
    pub by: String,
}

/// Where pool time and run time meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolStart {
    /// Pool time at the start of the run.
    pub pool: Timestamp,
    /// Pool time at which the worker started, if it is known.
    pub started: Option<Timestamp>,
    /// Seconds of pool life in one second of the run.
    pub scale: f64,
}

impl PoolStart {
    /// Of a run that starts at `run`, whose worker's start its server may tell.
    #[must_use]
    pub fn of(plan: &Plan, run: Timestamp, worker: Option<Timestamp>) -> Self {
        let scale = plan.time_scale();
        match &plan.target {
            // A mock's worker starts with it, and the pool's clock too.
            TargetPlan::Mock(config) => {
                let begin = config.clock_begin().unwrap_or(run);
                Self {
                    pool: begin,
                    started: Some(begin),
                    scale,
                }
            }
            TargetPlan::Server { .. } => {
                let told = plan.policy.as_ref().and_then(|policy| policy.started);
                Self {
                    pool: run,
                    started: told.or(worker),
                    scale,
                }
            }
        }
    }
}

/// When the policy recycles next, in a sentence; whether the run will see it.
#[must_use]
pub fn outlook(policy: &PolicyPlan, origin: PoolStart, due: &[Due], length: Duration) -> String {
    let by = format!("by the policy of {}", policy.source);
    let unknown = !policy.time.is_zero() && origin.started.is_none();
    let by = if unknown {
        format!("{by}, its interval left out,")
    } else {
        by
    };
    match due.first() {
        None if unknown => format!("{by} no time of day recycles the pool"),
        None => format!("{by} nothing recycles the pool by time"),
        Some(next) if next.t > length.as_secs_f64() => format!(
            "{by} the pool recycles next at {} by {}, {} after the start of the run, which ends {} \
             before that: no recycle is due in it",
            next.at,
            next.by,
            rough(next.t),
            rough(next.t - length.as_secs_f64())
        ),
        Some(next) => format!(
            "{by} the pool recycles next at {} by {}, {} after the start of the run",
            next.at,
            next.by,
            rough(next.t)
        ),
    }
}

/// Whole seconds are enough for what WAS looks at once a minute.
fn rough(seconds: f64) -> String {
    format_duration(Duration::from_secs(seconds.max(0.0) as u64))
}

/// The recycles that are due in the first `length` of a run, and the one after them.
#[must_use]
pub fn due(policy: &PolicyPlan, origin: PoolStart, length: Duration) -> Vec<Due> {
    /// A run across more than these is about something else.
    const MOST: usize = 100;
    let mut settings = PoolSettings::default();
    // Without the worker's start nothing is known of its age.
    settings.recycling.time = if origin.started.is_some() {
        policy.time
    } else {
        Duration::ZERO
    };
    settings.recycling.schedule.clone_from(&policy.schedule);
    let started = policy.local(origin.started.unwrap_or(origin.pool));
    let now = policy.local(origin.pool);
    let mut found = Vec::new();
    for (at, by) in next_times(&settings, &started, &now, MOST) {
        let t = at.timestamp().duration_since(origin.pool).as_secs_f64() / origin.scale;
        found.push(Due {
            t,
            at: at.strftime("%F %T").to_string(),
            by: by.to_owned(),
        });
        if t > length.as_secs_f64() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_time_is_scaled_and_an_unknown_age_is_left_out() {
        let policy = PolicyPlan {
            source: String::new(),
            time: Duration::from_secs(21 * 86_400),
            schedule: Vec::new(),
            started: None,
            time_zone: Some("Europe/Berlin".to_owned()),
            shutdown_time_limit: None,
        };
        let pool: Timestamp = "2026-03-14T00:00:00Z".parse().unwrap();
        let origin = PoolStart {
            pool,
            started: Some(pool),
            scale: 36_000.0,
        };
        let length = Duration::from_secs(60);
        let times: Vec<f64> = due(&policy, origin, length)
            .iter()
            .map(|due| due.t)
            .collect();
        // Across the change to summer time: an age is an age.
        assert_eq!(times, [50.4, 100.8]);
        let unknown = PoolStart {
            started: None,
            ..origin
        };
        assert_eq!(due(&policy, unknown, length), []);
        // What is not known is not said to be never.
        let said = outlook(&policy, unknown, &[], length);
        assert!(said.contains("its interval left out"), "{said}");
        let never = PolicyPlan {
            time: Duration::ZERO,
            ..policy
        };
        let said = outlook(&never, unknown, &[], length);
        assert!(
            said.ends_with("nothing recycles the pool by time"),
            "{said}"
        );
    }
}
