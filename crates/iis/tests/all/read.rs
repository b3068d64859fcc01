//! What is read from a configuration.

use std::time::Duration;

use iis::{
    IdleTimeoutAction, LoadBalancerCapabilities, Origin, PoolSettings, RecycleReason,
    RecycleReasons, SYNC_POOL, StartMode, read_pool,
};
use jiff::civil::time;

use super::fixtures::{FULL, assert_mistake, file, read, scheduled, utf_16};

const EXCHANGE: &[u8] = include_bytes!("../data/exchange2016-applicationHost.config");
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_exchange_server_is_read() {
    let pool = read_pool("exchange", EXCHANGE, SYNC_POOL).unwrap();
    assert_eq!(pool.settings, PoolSettings::exchange_2016());
    let own = |line| Origin::Pool { line };
    assert_eq!(pool.origins.len(), 23);
    assert_eq!(pool.origins["recycling.periodicRestart.time"], own(222));
    assert_eq!(pool.origins["queueLength"], Origin::Schema);
    assert_eq!(
        pool.origins["processModel.shutdownTimeLimit"],
        Origin::Schema
    );

    let owa = read_pool("exchange", EXCHANGE, "MSExchangeOWAAppPool").unwrap();
    assert_eq!(owa.settings.recycling.time, 14 * 24 * HOUR);
    let calendar = read_pool("exchange", EXCHANGE, "MSExchangeOWACalendarAppPool").unwrap();
    assert_eq!(calendar.settings.queue_length, 10);
    let classic = read_pool("exchange", EXCHANGE, ".NET v4.5 Classic").unwrap();
    assert_eq!(classic.settings.recycling.time, 29 * HOUR);
}

#[test]
fn every_attribute_is_read() {
    let pool = read_pool("full", FULL.as_bytes(), SYNC_POOL).unwrap();
    let settings = &pool.settings;
    assert_eq!(settings.name, SYNC_POOL);
    assert!(!settings.auto_start);
    assert_eq!(settings.start_mode, StartMode::AlwaysRunning);
    assert_eq!(settings.queue_length, 65_535);
    let recycling = &settings.recycling;
    assert!(recycling.disallow_overlapping_rotation);
    assert!(recycling.disallow_rotation_on_config_change);
    let reasons = [
        RecycleReason::Time,
        RecycleReason::Requests,
        RecycleReason::PrivateMemory,
    ];
    assert_eq!(
        recycling.log_event_on_recycle,
        reasons.into_iter().collect()
    );
    assert_eq!(recycling.time, 29 * HOUR);
    assert_eq!(recycling.requests, 10);
    assert_eq!(recycling.memory_kb, 4_294_967_295);
    assert_eq!(recycling.private_memory_kb, 6 << 20);
    assert_eq!(recycling.schedule, [time(3, 0, 0, 0), time(15, 0, 0, 0)]);
    let model = &settings.process_model;
    assert_eq!(model.idle_timeout, Duration::ZERO);
    assert_eq!(model.idle_timeout_action, IdleTimeoutAction::Suspend);
    assert_eq!(model.max_processes, 0);
    assert!(!model.pinging_enabled);
    assert_eq!(model.ping_interval.as_secs(), 10);
    assert_eq!(model.ping_response_time.as_secs(), 20);
    assert_eq!(model.shutdown_time_limit.as_secs(), 91);
    assert_eq!(model.startup_time_limit.as_secs(), 92);
    let failure = &settings.failure;
    assert!(!failure.rapid_fail_protection);
    assert_eq!(failure.rapid_fail_protection_max_crashes, 7);
    assert_eq!(failure.rapid_fail_protection_interval.as_secs(), 360);
    assert_eq!(
        failure.load_balancer_capabilities,
        LoadBalancerCapabilities::TcpLevel
    );
    assert!(
        pool.origins
            .values()
            .all(|origin| matches!(origin, Origin::Pool { .. }))
    );
    assert_eq!(
        pool.origins["processModel.pingInterval"],
        Origin::Pool { line: 7 }
    );
    assert_eq!(
        pool.origins["recycling.periodicRestart.schedule"],
        Origin::Pool { line: 12 }
    );
}

#[test]
fn what_is_absent_has_the_defaults_of_the_schema() {
    let pool = read("<add name='P' />");
    let expected = PoolSettings {
        name: "P".to_owned(),
        ..PoolSettings::default()
    };
    assert_eq!(pool.settings, expected);
    assert_eq!(pool.settings.recycling.time, 29 * HOUR);
    assert!(
        pool.origins
            .values()
            .all(|origin| *origin == Origin::Schema)
    );
}

#[test]
fn defaults_of_the_file_count_wherever_they_stand() {
    let defaults = "<applicationPoolDefaults queueLength='20'>\
                    <processModel idleTimeout='00:00:00' shutdownTimeLimit='00:00:05' />\
                    </applicationPoolDefaults>";
    let pool = "<add name='P' queueLength='30'><processModel idleTimeout='00:10:00' /></add>";
    for (pools, defaults_line, line) in [
        (format!("{defaults}\n{pool}"), 4, 5),
        (format!("{pool}\n{defaults}"), 5, 4),
    ] {
        let pool = read(&pools);
        assert_eq!(pool.settings.queue_length, 30);
        assert_eq!(pool.origins["queueLength"], Origin::Pool { line });
        assert_eq!(pool.settings.process_model.idle_timeout.as_secs(), 600);
        assert_eq!(pool.settings.process_model.shutdown_time_limit.as_secs(), 5);
        assert_eq!(
            pool.origins["processModel.shutdownTimeLimit"],
            Origin::Defaults {
                line: defaults_line
            }
        );
    }
}

#[test]
fn a_pool_is_found_in_any_letter_case() {
    let pools = file("<add name='Größe &amp; Co' />");
    let pool = read_pool("a.config", pools.as_bytes(), "GRÖßE & co").unwrap();
    assert_eq!(pool.settings.name, "Größe & Co");
}

#[test]
fn byte_order_marks_and_utf_16_are_read() {
    let expected = read_pool("full", FULL.as_bytes(), SYNC_POOL).unwrap();
    let marked = [b"\xef\xbb\xbf", FULL.as_bytes()].concat();
    for bytes in [
        marked,
        utf_16(FULL, u16::to_le_bytes),
        utf_16(FULL, u16::to_be_bytes),
        FULL.replace('\n', "\r\n").into_bytes(),
    ] {
        assert_eq!(read_pool("full", &bytes, SYNC_POOL).unwrap(), expected);
    }
}

#[test]
fn a_schedule_inherits_adds_removes_and_clears() {
    let defaults = "<applicationPoolDefaults><recycling><periodicRestart><schedule>\
                    <add value='01:00:00' /><add value='02:00:00' />\
                    </schedule></periodicRestart></recycling></applicationPoolDefaults>";
    let line = |line| Origin::Pool { line };
    let inherited = Origin::Defaults { line: 5 };
    for (own, hours, origin) in [
        ("", vec![1, 2], inherited),
        ("<schedule />", vec![1, 2], inherited),
        ("<schedule><!-- none --></schedule>", vec![1, 2], inherited),
        (
            "<schedule><add value='00:00:00' /></schedule>",
            vec![0, 1, 2],
            line(4),
        ),
        (
            "<schedule><add value='02:00:00' /></schedule>",
            vec![1, 2],
            line(4),
        ),
        (
            "<schedule><remove value='01:00:00' /></schedule>",
            vec![2],
            line(4),
        ),
        ("<schedule><clear /></schedule>", vec![], line(4)),
        (
            "<schedule><clear /><add value='03:00:00' /></schedule>",
            vec![3],
            line(4),
        ),
        (
            "<schedule><add value='03:00:00' /><clear /><add value='03:00:00' /></schedule>",
            vec![3],
            line(4),
        ),
    ] {
        let pool = read(&format!("{}\n{defaults}", scheduled(own)));
        let expected: Vec<_> = hours.into_iter().map(|hour| time(hour, 0, 0, 0)).collect();
        assert_eq!(pool.settings.recycling.schedule, expected, "{own}");
        assert_eq!(
            pool.origins["recycling.periodicRestart.schedule"], origin,
            "{own}"
        );
    }
    assert_eq!(
        read(&scheduled("<schedule />")).settings.recycling.schedule,
        []
    );
}

#[test]
fn time_spans_are_read() {
    for (text, seconds) in [
        ("00:00:00", 0),
        ("29:00:00", 104_400),
        ("1.05:00:00", 104_400),
        ("0.00:01:00", 60),
        ("9:00:00", 32_400),
        ("14.00:00:00", 1_209_600),
        ("10675199.00:00:00", 922_337_193_600),
    ] {
        let pool = read(&format!(
            "<add name='P'><recycling><periodicRestart time='{text}' /></recycling></add>"
        ));
        assert_eq!(pool.settings.recycling.time.as_secs(), seconds, "{text}");
    }
}

#[test]
fn an_empty_list_of_events_is_none() {
    for (text, expected) in [
        ("", RecycleReasons::NONE),
        ("  ", RecycleReasons::NONE),
        ("time", [RecycleReason::Time].into_iter().collect()),
        (
            "Time, Requests, Schedule, Memory, IsapiUnhealthy, OnDemand, ConfigChange, PrivateMemory",
            RecycleReasons::ALL,
        ),
    ] {
        let pool = read(&format!(
            "<add name='P'><recycling logEventOnRecycle='{text}' /></add>"
        ));
        assert_eq!(
            pool.settings.recycling.log_event_on_recycle, expected,
            "{text}"
        );
    }
}

#[test]
fn pools_are_cleared_and_removed_in_the_order_of_the_file() {
    let second = "<add name='P' queueLength='20' />";
    for first in ["<clear />", "<remove name='p' />"] {
        let pool = read(&format!("<add name='P' queueLength='10' />{first}{second}"));
        assert_eq!(pool.settings.queue_length, 20);
        assert_mistake(
            &format!("{second}{first}"),
            "has no pool `P`; there is none",
        );
    }
}

#[test]
fn settings_survive_postcard() {
    let settings = read_pool("full", FULL.as_bytes(), SYNC_POOL)
        .unwrap()
        .settings;
    for settings in [
        settings,
        PoolSettings::default(),
        PoolSettings::exchange_2016(),
    ] {
        let bytes = postcard::to_allocvec(&settings).unwrap();
        assert_eq!(
            postcard::from_bytes::<PoolSettings>(&bytes).unwrap(),
            settings
        );
    }
}

#[test]
fn reasons_are_those_of_iis() {
    let bits: Vec<_> = RecycleReason::ALL.map(RecycleReason::bit).to_vec();
    assert_eq!(bits, [1, 2, 4, 8, 16, 32, 64, 128]);
    let events: Vec<_> = RecycleReason::ALL.map(RecycleReason::event_id).to_vec();
    assert_eq!(events, [5074, 5075, 5076, 5077, 5078, 5079, 5080, 5117]);
    assert_eq!(
        RecycleReason::ALL.into_iter().collect::<RecycleReasons>(),
        RecycleReasons::ALL
    );
    assert!(!RecycleReasons::NONE.contains(RecycleReason::Time));
    let some: RecycleReasons = [RecycleReason::Memory, RecycleReason::Time]
        .into_iter()
        .collect();
    assert_eq!(some.to_string(), "Time, Memory");
}
