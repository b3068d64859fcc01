//! The `[mock]` table: everything the bundled mock can be told.

use std::path::Path;
use std::time::Duration;

use mock_api::fault::{MAX_FAULTS, StrandTrigger};
use mock_api::{Fault, FaultKind, MockConfig, Tls, Topology};

use super::carrier::refuse_for_mock;
use super::file::read_config;
use super::reader::Section;

/// Seconds of pool life in one second: above this a worker's start takes days.
const TIME_SCALE: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// Reads the table. `folder` is where the scenario is: files are named relative to it.
pub(super) fn mock_config(section: Section<'_>, folder: &Path) -> MockConfig {
    let mut config = MockConfig::default();
    set(
        &mut config.topology,
        section.choice("topology", &Topology::ALL),
    );
    if let Some(count) = section.integer("servers", 1..=64) {
        config.servers = count as usize;
    }
    read_door(&mut config, &section, folder);
    for (name, flag) in [
        ("require_provisioning", &mut config.require_provisioning),
        ("gzip", &mut config.gzip),
        ("chunked", &mut config.chunked),
        (
            "pending_counts_stranded",
            &mut config.pending_counts_stranded,
        ),
        ("fixed", &mut config.fixed),
    ] {
        set(flag, section.flag(name));
    }
    for (name, duration) in [
        ("min_heartbeat", &mut config.min_heartbeat),
        ("max_heartbeat", &mut config.max_heartbeat),
        ("poll_interval", &mut config.poll_interval),
        ("back_end_idle_timeout", &mut config.back_end_idle_timeout),
        ("error_response_delay", &mut config.error_response_delay),
        ("port_wait", &mut config.port_wait),
        ("warm_up", &mut config.warm_up),
        ("dropped_after", &mut config.dropped_after),
        ("connection_timeout", &mut config.connection_timeout),
        ("schedule_shift", &mut config.schedule_shift),
    ] {
        set(duration, section.duration(name));
    }
    if let Some(count) = section.integer("ephemeral_ports", 1..=16_384) {
        let first = *config.ephemeral_ports.start();
        config.ephemeral_ports = first..=first + (count - 1) as u16;
    }
    for (name, count) in [
        ("threads", &mut config.threads),
        ("max_devices", &mut config.max_devices),
        ("max_concurrency", &mut config.max_concurrency),
        ("max_ping_folders", &mut config.max_ping_folders),
        ("max_recipients", &mut config.max_recipients),
        ("max_mailboxes", &mut config.max_mailboxes),
        ("max_folders", &mut config.max_folders),
        ("max_items", &mut config.max_items),
        ("kept_items", &mut config.kept_items),
    ] {
        set(
            count,
            section.integer(name, 1..=1_000_000).map(|n| n as usize),
        );
    }
    for (name, size) in [
        ("max_message_size", &mut config.max_message_size),
        ("mailbox_quota", &mut config.mailbox_quota),
    ] {
        set(size, section.size(name));
    }
    set(
        &mut config.max_window,
        section.integer("max_window", 1..=512).map(|n| n as u16),
    );
    set(&mut config.throttle_text, section.text("throttle_text"));
    set(
        &mut config.time_scale,
        section.number("time_scale", TIME_SCALE),
    );
    config.logs = section.path("logs", folder);
    config.clock_start = section.text("clock_start");
    config.time_zone = section.text("time_zone");
    if let Some(pool) = section.section("pool") {
        read_pool(&mut config, pool, folder);
    }
    if let Some(heap) = section.section("heap") {
        for (name, size) in [
            ("base", &mut config.heap.base),
            ("per_request", &mut config.heap.per_request),
            ("per_stranded", &mut config.heap.per_stranded),
            ("budget", &mut config.heap.budget),
        ] {
            set(size, heap.size(name));
        }
        set(
            &mut config.heap.pause_per_mib,
            heap.duration("pause_per_mib"),
        );
        heap.finish();
    }
    let faults = faults(&section);
    // Values that are right by themselves and wrong together.
    if let Some(problem) = config.problem() {
        let key = problem.split(':').next().unwrap_or_default().to_owned();
        section.problem(&key, problem);
    }
    if faults.len() > MAX_FAULTS {
        let count = faults.len();
        let problem = format!("expected at most {MAX_FAULTS} faults in force, found {count}");
        section.problem("fault", problem);
    }
    // Each was looked at with its place in the file.
    config.faults = faults;
    refuse_for_mock(&section);
    section.finish();
    config
}

/// Who gets in, and what is spoken.
fn read_door(config: &mut MockConfig, section: &Section<'_>, folder: &Path) {
    let file = |name| section.path(name, folder);
    let generated = section.flag("tls");
    match (generated, file("certificate"), file("key")) {
        (None | Some(true), Some(certificate), Some(key)) => {
            config.tls = Tls::Files { certificate, key };
        }
        (Some(true), None, None) => config.tls = Tls::Generated,
        (_, None, None) => {}
        (Some(false), ..) => section.problem("tls", "certificate and key mean TLS; remove them"),
        (_, Some(_), None) => section.problem("certificate", "needs `key`, its private key"),
        (_, None, Some(_)) => section.problem("key", "needs `certificate`, a chain in PEM"),
    }
    set(
        &mut config.tls_versions,
        section.text_or_texts("tls_versions"),
    );
    config.client_ca = file("client_ca");
    config.bearer_token = section.text("bearer_token");
    set(&mut config.versions, section.texts("versions"));
}

/// `[mock.pool]`: first an applicationHost.config if one is named, then the keys beside it.
fn read_pool(config: &mut MockConfig, pool: Section<'_>, folder: &Path) {
    let name = pool.text("name");
    if let Some(path) = pool.path("config_file", folder) {
        let wanted = name.as_deref().unwrap_or(iis::SYNC_POOL);
        match read_config(&path) {
            Err(error) => pool.problem("config_file", format!("{}: {error}", path.display())),
            Ok(bytes) => match iis::read_pool(&path.display().to_string(), &bytes, wanted) {
                Ok(read) => {
                    config.pool = read.settings;
                    config.pool_file = Some(path);
                }
                Err(error) => pool.problem("config_file", error.to_string()),
            },
        }
    } else {
        set(&mut config.pool.name, name);
    }
    let settings = &mut config.pool;
    let model = &mut settings.process_model;
    let recycling = &mut settings.recycling;
    for (name, duration) in [
        ("time", &mut recycling.time),
        ("idle_timeout", &mut model.idle_timeout),
        ("ping_interval", &mut model.ping_interval),
        ("ping_response_time", &mut model.ping_response_time),
        ("shutdown_time_limit", &mut model.shutdown_time_limit),
        ("startup_time_limit", &mut model.startup_time_limit),
        (
            "rapid_fail_protection_interval",
            &mut settings.failure.rapid_fail_protection_interval,
        ),
    ] {
        set(duration, pool.duration(name));
    }
    for (name, flag) in [
        (
            "disallow_overlapping_rotation",
            &mut recycling.disallow_overlapping_rotation,
        ),
        (
            "disallow_rotation_on_config_change",
            &mut recycling.disallow_rotation_on_config_change,
        ),
        ("pinging_enabled", &mut model.pinging_enabled),
        (
            "rapid_fail_protection",
            &mut settings.failure.rapid_fail_protection,
        ),
    ] {
        set(flag, pool.flag(name));
    }
    for (name, number) in [
        ("requests", &mut recycling.requests),
        ("memory_kb", &mut recycling.memory_kb),
        ("private_memory_kb", &mut recycling.private_memory_kb),
    ] {
        set(number, pool.integer(name, 0..=u64::from(u32::MAX)));
    }
    for (name, number, bounds) in [
        ("queue_length", &mut settings.queue_length, 10..=65_535),
        ("max_processes", &mut model.max_processes, 1..=64),
        (
            "rapid_fail_protection_max_crashes",
            &mut settings.failure.rapid_fail_protection_max_crashes,
            1..=1000,
        ),
    ] {
        set(number, pool.integer(name, bounds).map(|value| value as u32));
    }
    let modes = [
        ("on-demand", iis::StartMode::OnDemand),
        ("always-running", iis::StartMode::AlwaysRunning),
    ];
    set(&mut settings.start_mode, pool.choice("start_mode", &modes));
    if let Some(times) = pool.texts("schedule") {
        recycling.schedule = schedule(&pool, &times);
    }
    if let Some(names) = pool.texts("log_event_on_recycle") {
        recycling.log_event_on_recycle = reasons(&pool, &names);
    }
    pool.finish();
}

fn reasons(pool: &Section<'_>, names: &[String]) -> iis::RecycleReasons {
    let find = |name: &String| {
        let mut all = iis::RecycleReason::ALL.into_iter();
        let found = all.find(|reason| reason.as_str().eq_ignore_ascii_case(name));
        if found.is_none() {
            let known = iis::RecycleReason::ALL.map(iis::RecycleReason::as_str);
            pool.problem(
                "log_event_on_recycle",
                format!("expected some of {}, found \"{name}\"", known.join(", ")),
            );
        }
        found
    };
    names.iter().filter_map(find).collect()
}

pub(super) fn schedule(pool: &Section<'_>, times: &[String]) -> Vec<jiff::civil::Time> {
    let mut schedule = Vec::new();
    for text in times {
        match text.parse::<jiff::civil::Time>() {
            Ok(time) => schedule.push(time),
            Err(_) => pool.problem(
                "schedule",
                format!("expected times of day such as \"03:00:00\", found \"{text}\""),
            ),
        }
    }
    schedule.sort_unstable();
    schedule.dedup();
    schedule
}

/// `[[fault]]` tables; the words are those of the control API.
pub(super) fn faults(section: &Section<'_>) -> Vec<Fault> {
    section
        .sections("fault")
        .into_iter()
        .filter_map(fault)
        .collect()
}

fn fault(section: Section<'_>) -> Option<Fault> {
    let kind = section.required(
        "fault",
        section.choice("fault", &FaultKind::ALL),
        "\"latency\"",
    );
    let number = |name, most: u64| section.integer(name, 0..=most);
    let fault = Fault {
        user: section.text("user"),
        device: section.text("device"),
        command: section.text("command"),
        probability: section.number("probability", 0.0..=1.0).unwrap_or(1.0),
        stable: section.duration("stable").unwrap_or(Duration::ZERO),
        delay: section.duration("delay"),
        status: number("status", 999).map(|status| status as u16),
        eas_status: number("eas_status", 999).map(|status| status as u16),
        bytes: number("bytes", 1 << 30),
        location: section.text("location"),
        trigger: section.choice("trigger", &StrandTrigger::ALL),
        ..Fault::new(kind.unwrap_or(FaultKind::Latency))
    };
    if kind.is_some()
        && let Some(problem) = fault.problem()
    {
        section.problem("fault", problem);
    }
    section.finish();
    kind.map(|_| fault)
}
