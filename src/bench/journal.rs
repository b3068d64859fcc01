//! What measuring costs by itself: recording an event, a second in the journal, judging a day.
//! Events are made up, so that a day takes a minute; what is measured is the code of a real run.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use client::device::{Event, PingEnd, Record as _};
use client::transport::{PortUses, Timing};
use mock_server::Machine;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::names::{Gauges, Use};
use scenario::{DEFAULT_SCENARIO, parse};
use tokio::time::Instant;
use verdict::judge::{Digester, judge, summarize};
use verdict::timeline::{Directory, Folder as _, RunFiles, Timeline};

use crate::measure::Recorder;
use crate::observe::{SocketGroups, SocketTable, resident_bytes};

/// Events that are recorded one after the other.
const EVENTS: u32 = 2_000_000;
/// Seconds of a day.
const DAY: u32 = 86_400;
/// Mails that reach a device in a second, for each 10,000 devices: one an hour each, in office hours
/// ten times as many.
const MAILS: u32 = 25;
/// Heartbeat of the AOSP client, in seconds.
const HEARTBEAT: u32 = 470;
/// Connections that one sample looks at, both ends of each.
const CONNECTIONS: usize = 8_000;

/// Measures and tells.
pub(super) fn journal(devices: u32, seconds: u32) -> Result<String, String> {
    let mut out = String::new();
    record_events(&mut out);
    sample_sockets(&mut out)?;
    a_day(&mut out, devices, seconds)?;
    Ok(out)
}

fn sent(gap: Option<Duration>) -> Event<'static> {
    Event::PingSent {
        sent: Instant::now(),
        hangs: false,
        gap,
    }
}

fn record_events(out: &mut String) {
    let recorder = Recorder::new(1, &[0; 1000], Duration::from_secs(60));
    let began = Instant::now();
    for number in 0..EVENTS {
        let total = Duration::from_micros(u64::from(number % 50_000));
        let timing = Timing { sent: began, total };
        recorder.record(
            number % 1000,
            Event::Synced {
                timing,
                has_inbox: false,
            },
        );
    }
    let each = began.elapsed().as_secs_f64() / f64::from(EVENTS);
    let _ = writeln!(
        out,
        "recording an event with its latency: {:.2} µs",
        each * 1e6
    );
}

/// One sample a second of that many sockets, in share of a core.
fn sample_sockets(out: &mut String) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{CONNECTIONS} connections: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(TcpStream::connect(address).map_err(wrong)?);
        streams.push(listener.accept().map_err(wrong)?.0);
    }
    let groups = SocketGroups {
        target: address.port(),
        server_is_local: true,
        back_end: None,
        ipv6: false,
    };
    let uses = Arc::new(PortUses::default());
    for stream in streams.iter().step_by(2) {
        let address = stream.local_addr().map_err(wrong)?;
        if let Some(end) = uses.end(address) {
            uses.set(end, Use::Held);
        }
    }
    let table = SocketTable::new(Machine::System, [groups], uses);
    /// Enough that single ones do not matter.
    const SAMPLES: u32 = 50;
    let began = Instant::now();
    for _ in 0..SAMPLES {
        std::hint::black_box(table.sample());
    }
    let each = began.elapsed().as_secs_f64() / f64::from(SAMPLES);
    let _ = writeln!(
        out,
        "a sample of {} sockets, both ends on this machine: {:.2} ms, {:.2} % of a core at one a second",
        streams.len(),
        each * 1e3,
        each * 100.0,
    );
    Ok(())
}

fn a_day(out: &mut String, devices: u32, seconds: u32) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let run = Directory::create(folder.path(), "run").map_err(|(_, error)| error.to_string())?;
    let directory = run.path().to_owned();
    let mut files = RunFiles::create(Arc::new(run)).map_err(|error| error.to_string())?;
    let owners: Vec<u32> = (0..devices).collect();
    let recorder = Recorder::new(1, &owners, Duration::from_secs(60));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let phases = [("baseline", 0.1), ("aging", 0.8), ("recovered", 1.0)];
    let before = resident_bytes("self").unwrap_or(0);
    let began = Instant::now();
    for second in 1..=seconds {
        let share = f64::from(second) / f64::from(seconds);
        let (phase, _) = phases
            .iter()
            .find(|(_, end)| share <= *end)
            .unwrap_or(&phases[2]);
        happen(&recorder, devices, &mut random);
        let mut interval = recorder.interval(phase, gauges(share, &mut random));
        interval.t = second.into();
        files.append(&interval).map_err(|error| error.to_string())?;
    }
    let wrote = began.elapsed().as_secs_f64();
    let measured = resident_bytes("self").unwrap_or(0);
    let size = std::fs::metadata(directory.join(RunFiles::TIMELINE)).map_or(0, |file| file.len());
    let _ = writeln!(
        out,
        "journal of {devices} devices: {:.2} kB a second ({:.1} MB in {seconds} s); making and \
         writing a second takes {:.2} ms",
        size as f64 / f64::from(seconds) / 1e3,
        size as f64 / 1e6,
        wrote * 1e3 / f64::from(seconds)
    );
    let began = Instant::now();
    let mut digester = Digester::default();
    for interval in Timeline::open(&directory).map_err(|error| error.to_string())? {
        digester.push(interval.map_err(|error| error.to_string())?);
    }
    let digest = digester.done();
    let read = began.elapsed().as_secs_f64();
    let digested = resident_bytes("self").unwrap_or(0);
    let began = Instant::now();
    let plan = parse(DEFAULT_SCENARIO.0, DEFAULT_SCENARIO.1).map_err(|error| error.to_string())?;
    let checks = judge(&plan, &digest);
    let phases = summarize(&digest);
    let judged = began.elapsed().as_secs_f64();
    let after = resident_bytes("self").unwrap_or(0);
    let mib = |bytes: u64| bytes.saturating_sub(before) as f64 / 1_048_576.0;
    let _ = writeln!(
        out,
        "reading it back: {read:.1} s; judging {} checks of {} phases: {judged:.2} s",
        checks.len(),
        phases.len()
    );
    let _ = writeln!(
        out,
        "resident memory beyond that at the start: {:.0} MiB after measuring, {:.0} after reading back, \
         {:.0} after judging",
        mib(measured),
        mib(digested),
        mib(after)
    );
    Ok(())
}

/// A second of that many devices.
fn happen(recorder: &Recorder, devices: u32, random: &mut Xoshiro256PlusPlus) {
    let some = |per_second: f64, random: &mut Xoshiro256PlusPlus| {
        let whole = per_second.floor();
        whole as u32 + u32::from(random.random_bool(per_second - whole))
    };
    let expired = some(f64::from(devices) / f64::from(HEARTBEAT), random);
    let draw = |mean: f64, random: &mut Xoshiro256PlusPlus| {
        let chance: f64 = random.random_range(1e-9..1.0);
        Duration::from_secs_f64(-chance.ln() * mean)
    };
    for _ in 0..expired {
        let device = random.random_range(0..devices);
        let overshoot = draw(0.01, random).as_secs_f64();
        let age = Duration::from_secs(HEARTBEAT.into());
        let end = PingEnd::Expired { overshoot };
        recorder.record(device, Event::PingEnded { end, age });
        let gap = Some(draw(0.002, random));
        recorder.record(device, sent(gap));
    }
    for _ in 0..some(f64::from(MAILS * devices) / 10_000.0, random) {
        let device = random.random_range(0..devices);
        let age = draw(200.0, random);
        let end = PingEnd::Changes;
        recorder.record(device, Event::PingEnded { end, age });
        let timing = Timing {
            sent: Instant::now(),
            total: draw(0.05, random),
        };
        recorder.record(
            device,
            Event::Synced {
                timing,
                has_inbox: false,
            },
        );
        let gap = Some(draw(0.06, random));
        recorder.record(device, sent(gap));
    }
}

/// As many levels as a run on the mock has, moving as they do.
fn gauges(share: f64, random: &mut Xoshiro256PlusPlus) -> Gauges {
    let mut gauges = Gauges::new();
    let mut add = |name: String, value: f64| gauges.insert(name, value);
    let noise = |random: &mut Xoshiro256PlusPlus| random.random_range(-5.0..5.0_f64);
    for (name, _) in scenario::names::SERVER_GAUGES {
        let value = (1000.0 * share + noise(random)).round();
        add(format!("server.{name}"), value);
    }
    for group in ["devices", "server", "outgoing"] {
        for state in [
            "established",
            "close_wait",
            "fin_wait1",
            "fin_wait2",
            "time_wait",
            "closed",
            "listening",
            "syn_sent",
            "syn_received",
            "last_ack",
            "closing",
            "ports",
        ] {
            let moves = matches!(state, "established" | "ports" | "close_wait");
            let value = if moves {
                5000.0 + noise(random).round()
            } else {
                0.0
            };
            add(format!("tcp.{group}.{state}"), value);
        }
    }
    for name in [
        "harness.lag_ms",
        "harness.cpu_cores",
        "harness.cpu_share",
        "stranded",
    ] {
        add(name.to_owned(), random.random_range(0.0..10.0));
    }
    gauges
}

/// Seconds of a day, for the default of the command line.
pub const A_DAY: u32 = DAY;
