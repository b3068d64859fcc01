//! What a pool's recycling settings mean: in plain words, and what is wrong with them.

mod explain;
mod lint;
mod rules;

use jiff::civil::Time;

use crate::{Origin, Pool, PoolSettings};

pub use explain::{explain, next_times};
pub use lint::{Context, Exchange, Finding, Severity, lint, lint_together, unreadable};
pub use rules::{RULES, Rule};

/// A setting as it is in force: its name below the pool, its value as IIS writes it, and where it
/// comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// For example `recycling.periodicRestart.time`.
    pub name: &'static str,
    /// For example `1.05:00:00`.
    pub value: String,
    /// Schema, defaults or the pool.
    pub origin: Origin,
}

/// Every setting of a pool with its origin, sorted by name.
#[must_use]
pub fn settings(pool: &Pool) -> Vec<Setting> {
    let values = values(&pool.settings);
    pool.origins
        .iter()
        .map(|(name, origin)| Setting {
            name,
            value: values
                .iter()
                .find(|(key, _)| key == name)
                .map_or_else(String::new, |(_, value)| value.clone()),
            origin: *origin,
        })
        .collect()
}

/// Values as applicationHost.config spells them.
fn values(settings: &PoolSettings) -> Vec<(&'static str, String)> {
    let (recycling, process, failure) = (
        &settings.recycling,
        &settings.process_model,
        &settings.failure,
    );
    let times: Vec<String> = recycling.schedule.iter().map(time_text).collect();
    vec![
        ("autoStart", settings.auto_start.to_string()),
        ("startMode", format!("{:?}", settings.start_mode)),
        ("queueLength", settings.queue_length.to_string()),
        (
            "recycling.disallowOverlappingRotation",
            recycling.disallow_overlapping_rotation.to_string(),
        ),
        (
            "recycling.disallowRotationOnConfigChange",
            recycling.disallow_rotation_on_config_change.to_string(),
        ),
        (
            "recycling.logEventOnRecycle",
            recycling.log_event_on_recycle.to_string(),
        ),
        ("recycling.periodicRestart.time", span(recycling.time)),
        (
            "recycling.periodicRestart.requests",
            recycling.requests.to_string(),
        ),
        (
            "recycling.periodicRestart.memory",
            recycling.memory_kb.to_string(),
        ),
        (
            "recycling.periodicRestart.privateMemory",
            recycling.private_memory_kb.to_string(),
        ),
        ("recycling.periodicRestart.schedule", times.join(", ")),
        ("processModel.idleTimeout", span(process.idle_timeout)),
        (
            "processModel.idleTimeoutAction",
            format!("{:?}", process.idle_timeout_action),
        ),
        (
            "processModel.maxProcesses",
            process.max_processes.to_string(),
        ),
        (
            "processModel.pingingEnabled",
            process.pinging_enabled.to_string(),
        ),
        ("processModel.pingInterval", span(process.ping_interval)),
        (
            "processModel.pingResponseTime",
            span(process.ping_response_time),
        ),
        (
            "processModel.shutdownTimeLimit",
            span(process.shutdown_time_limit),
        ),
        (
            "processModel.startupTimeLimit",
            span(process.startup_time_limit),
        ),
        (
            "failure.rapidFailProtection",
            failure.rapid_fail_protection.to_string(),
        ),
        (
            "failure.rapidFailProtectionMaxCrashes",
            failure.rapid_fail_protection_max_crashes.to_string(),
        ),
        (
            "failure.rapidFailProtectionInterval",
            span(failure.rapid_fail_protection_interval),
        ),
        (
            "failure.loadBalancerCapabilities",
            format!("{:?}", failure.load_balancer_capabilities),
        ),
    ]
}

/// `hh:mm:ss` or `d.hh:mm:ss`, as IIS writes a timeSpan.
fn span(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let rest = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days > 0 {
        format!("{days}.{rest}")
    } else {
        rest
    }
}

fn time_text(time: &Time) -> String {
    time.strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_value() {
        let text = "<configuration><system.applicationHost><applicationPools>\
                    <add name=\"P\"/></applicationPools></system.applicationHost></configuration>";
        let pool = crate::read_pool("f", text.as_bytes(), "P").unwrap();
        let settings = settings(&pool);
        assert_eq!(settings.len(), 23);
        for setting in settings {
            let may_be_empty = setting.name.ends_with("schedule");
            assert!(
                may_be_empty || !setting.value.is_empty(),
                "{}",
                setting.name
            );
        }
        assert_eq!(
            span(std::time::Duration::from_secs(29 * 3600)),
            "1.05:00:00"
        );
        assert_eq!(span(std::time::Duration::from_secs(90)), "00:01:30");
    }
}
