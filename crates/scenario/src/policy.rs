//! `[policy]`: by which settings the pool should recycle by itself.

use std::path::Path;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::read_config;
use super::reader::Section;
use super::{TargetPlan, mock};

/// When the pool should recycle by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyPlan {
    /// Where it was read.
    pub source: String,
    /// Age at which a worker is recycled; zero: off.
    pub time: Duration,
    /// Local times of day.
    #[schemars(with = "Vec<String>")]
    pub schedule: Vec<Time>,
    /// When the worker started, if the user says so.
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// The server's time zone; that of this machine if absent.
    pub time_zone: Option<String>,
    /// How long a recycled worker may live on (processModel.shutdownTimeLimit), if the file says so.
    #[serde(default)]
    pub shutdown_time_limit: Option<Duration>,
}

impl PolicyPlan {
    /// The server's time zone.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref();
        named
            .and_then(|name| TimeZone::get(name).ok())
            .unwrap_or_else(TimeZone::system)
    }

    /// A moment there.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone())
    }
}

/// Reads the section; without one, the mock's own pool is its policy.
pub(super) fn policy(
    section: Option<Section<'_>>,
    target: Option<&TargetPlan>,
    pool: &str,
    folder: &Path,
) -> Option<PolicyPlan> {
    let Some(section) = section else {
        let Some(TargetPlan::Mock(config)) = target else {
            return None;
        };
        return Some(PolicyPlan {
            source: "the mock's pool".to_owned(),
            time: config.pool.recycling.time,
            schedule: config.pool.recycling.schedule.clone(),
            started: None,
            time_zone: config.time_zone.clone(),
            shutdown_time_limit: Some(config.pool.process_model.shutdown_time_limit),
        });
    };
    let mut plan = PolicyPlan {
        source: "[policy]".to_owned(),
        time: Duration::ZERO,
        schedule: Vec::new(),
        started: None,
        time_zone: section.text("time_zone"),
        shutdown_time_limit: None,
    };
    if let Some(path) = section.path("file", folder) {
        let name = path.display().to_string();
        match read_config(&path) {
            Err(error) => section.problem("file", format!("{name}: {error}")),
            Ok(bytes) => match iis::read_pool(&name, &bytes, pool) {
                Ok(read) => {
                    plan.time = read.settings.recycling.time;
                    plan.schedule = read.settings.recycling.schedule;
                    plan.shutdown_time_limit =
                        Some(read.settings.process_model.shutdown_time_limit);
                    plan.source = name;
                }
                Err(error) => section.problem("file", error.to_string()),
            },
        }
    }
    if let Some(time) = section.duration("time") {
        plan.time = time;
    }
    if let Some(times) = section.texts("schedule") {
        plan.schedule = mock::schedule(&section, &times);
    }
    if let Some(text) = section.text("started") {
        match text.parse::<Timestamp>() {
            Ok(started) => plan.started = Some(started),
            Err(_) => section.problem(
                "started",
                format!("expected a time such as \"2026-03-14T20:00:00Z\", found \"{text}\""),
            ),
        }
    }
    if let Some(zone) = &plan.time_zone
        && TimeZone::get(zone).is_err()
    {
        section.problem(
            "time_zone",
            format!("expected an IANA time zone such as \"Europe/Berlin\", found \"{zone}\""),
        );
    }
    section.finish();
    Some(plan)
}
