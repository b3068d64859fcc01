//! Any bytes as what a user or a server gives the harness: a server's figures in every format, a file
//! of an ended perfmon log, a threshold, a scenario, an interval of a timeline. A value, or an error
//! that can be shown and points into the text.
#![no_main]

use figures::{FormatError, Scope, history, parse};
use libfuzzer_sys::fuzz_target;
use scenario::names::Gauges;
use scenario::{Format, parse_threshold};
use verdict::timeline::Interval;

fuzz_target!(|bytes: &[u8]| {
    let Some((what, bytes)) = bytes.split_first() else {
        return;
    };
    let format = match what {
        b'e' => Format::Exporter,
        b'p' => Format::Perfmon,
        b'n' => Format::Netstat,
        b'g' => Format::NetTcpConnection,
        b'v' => Format::Values,
        b'h' => return past(bytes),
        b't' => return threshold(bytes),
        b's' => return scenario(bytes, false),
        b'r' => return scenario(bytes, true),
        _ => return interval(bytes),
    };
    match parse(format, bytes, &scope()) {
        Ok(parsed) => finite(&parsed.gauges),
        Err(error) => shown(&error, bytes),
    }
});

fn scope() -> Scope {
    Scope {
        pool: "MSExchangeSyncAppPool".to_owned(),
        client_port: 443,
        back_end_port: 444,
    }
}

fn finite(gauges: &Gauges) {
    assert!(!gauges.is_empty());
    assert!(gauges.values().all(|value| value.is_finite()));
}

fn shown(error: &FormatError, bytes: &[u8]) {
    assert!(!error.problem.is_empty());
    // A line has a byte at least, but for the last.
    assert!((1..=bytes.len() + 1).contains(&error.line), "{error}");
}

fn past(bytes: &[u8]) {
    match history(bytes, &scope(), Some(-60)) {
        Ok(history) => {
            let times = history.rows.iter().map(|(time, _)| time);
            assert!(times.is_sorted());
            history.rows.iter().for_each(|(_, gauges)| {
                assert!(gauges.values().all(|value| value.is_finite()));
            });
        }
        Err(error) => shown(&error, bytes),
    }
}

fn threshold(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = parse_threshold(text)
    {
        assert!(!error.is_empty());
    }
}

/// Drawing the mistakes takes ten times as long as finding them, so only one of two modes does it.
fn scenario(bytes: &[u8], draw: bool) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = scenario::parse("fuzz.toml", text)
    {
        // Of the mistakes of syntax only the first are listed.
        let listed = error.lines().len();
        assert!((1..=error.count()).contains(&listed), "{listed}");
        assert!(!draw || !error.to_string().is_empty());
    }
}

/// A run directory may come from anywhere; a histogram in it can claim any size.
fn interval(bytes: &[u8]) {
    if let Ok(interval) = serde_json::from_slice::<Interval>(bytes) {
        for latency in interval.latencies.values() {
            let _ = latency.histogram();
        }
    }
}
