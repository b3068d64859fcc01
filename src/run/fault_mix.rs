//! Faults that a seed draws, for runs that look for bugs: of the server, by the mock's vocabulary, and of the
//! network.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use mock_api::{Fault, FaultKind};
use mock_client::Control;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::{Plan, SourceRange};
use sim_net::{Forgotten, Pair, SimNet};
use text::format_duration;
use tokio::time::sleep;

/// Networks that devices are dealt out to, so that one of them can be cut off.
const HOSTS: u8 = 8;
/// Between two changes.
const CALM: std::ops::Range<f64> = 0.5..15.0;
/// How long a fault lasts.
const LASTS: std::ops::Range<f64> = 0.1..20.0;
/// Share of requests or connections that are struck.
const SHARES: [f64; 4] = [0.01, 0.1, 0.5, 1.0];
/// The server's clock is set forward by so much.
const CLOCK_STEP: Duration = Duration::from_secs(3600);
/// Any fixed number: the same seed as the run's other chances, begun elsewhere.
const APART: u64 = 0x6661_756c;

/// Devices of a plan come from several networks.
pub(super) fn spread(plan: &mut Plan) {
    plan.devices.source_addresses = vec![SourceRange {
        first: host(1),
        last: host(HOSTS),
    }];
}

fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// Changes something now and then, until it is dropped. `tell` hears each change in words.
pub(super) async fn play(seed: u64, net: SimNet, control: Control, tell: impl Fn(String)) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ APART);
    loop {
        sleep(Duration::from_secs_f64(random.random_range(CALM))).await;
        let lasts = Duration::from_secs_f64(random.random_range(LASTS));
        match random.random_range(0..4) {
            0 => network(&mut random, &net, lasts, &tell).await,
            1 => once(&mut random, &control, &tell).await,
            _ => server(&mut random, &control, lasts, &tell).await,
        }
    }
}

/// Which connections are struck, chosen by the client's port, and their share.
fn struck(random: &mut Xoshiro256PlusPlus) -> (impl Fn(&Pair) -> bool + use<>, f64) {
    let share = *SHARES.choose(random).unwrap_or(&1.0);
    let offset: u16 = random.random();
    let is_struck = move |pair: &Pair| {
        let place = pair.client.port().wrapping_mul(40_503).wrapping_add(offset);
        f64::from(place) < share * f64::from(u16::MAX)
    };
    (is_struck, share)
}

/// What the network does.
async fn network(
    random: &mut Xoshiro256PlusPlus,
    net: &SimNet,
    lasts: Duration,
    tell: impl Fn(String),
) {
    let server = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match random.random_range(0..4) {
        0 => {
            let (is_struck, share) = struck(random);
            tell(format!(
                "the network resets a share of {share} of the connections"
            ));
            net.reset_all(is_struck);
        }
        1 => {
            let (is_struck, share) = struck(random);
            tell(format!(
                "the network forgets a share of {share} of the connections"
            ));
            net.forget(is_struck, Forgotten::Vanish);
        }
        2 => {
            let (is_struck, share) = struck(random);
            tell(format!(
                "the network forgets a share of {share} of the connections, and resets what arrives on them"
            ));
            net.forget(is_struck, Forgotten::Reset);
        }
        _ => {
            let cut = host(random.random_range(1..=HOSTS));
            tell(format!(
                "the network cuts {cut} off for {}",
                format_duration(rounded(lasts))
            ));
            net.partition(cut, server);
            sleep(lasts).await;
            net.heal(cut, server);
        }
    }
}

/// What happens to the server once. A call that the mock refuses, because there is no worker or a recycle is
/// under way, changes nothing.
async fn once(random: &mut Xoshiro256PlusPlus, control: &Control, tell: impl Fn(String)) {
    let tell = |what: &str| tell(what.to_owned());
    match random.random_range(0..7) {
        0 => {
            tell("a worker is killed");
            drop(control.kill_worker().await);
        }
        1 => {
            tell("the pool is recycled");
            drop(control.recycle().await);
        }
        2 => {
            tell("the pool is recycled twice at once");
            let both = tokio::join!(control.recycle(), control.recycle());
            drop(both);
        }
        3 => {
            tell("the mailbox database moves");
            drop(control.store_failover().await);
        }
        4 => {
            tell("every mailbox gets a new folder");
            drop(control.hierarchy_change().await);
        }
        5 => {
            tell("every device must provision again");
            drop(control.unprovision().await);
        }
        _ => {
            tell("the server's clock is set forward");
            drop(control.advance_clock(CLOCK_STEP).await);
        }
    }
}

/// One fault for a while.
async fn server(
    random: &mut Xoshiro256PlusPlus,
    control: &Control,
    lasts: Duration,
    tell: impl Fn(String),
) {
    let kinds = [
        FaultKind::Strand,
        FaultKind::Latency,
        FaultKind::Error,
        FaultKind::RetryAfter,
        FaultKind::Reset,
        FaultKind::Drip,
        FaultKind::Truncate,
        FaultKind::Garbage,
        FaultKind::HangAccept,
        FaultKind::LoseSyncState,
        FaultKind::StopPool,
        FaultKind::QueueFull,
    ];
    let Some(kind) = kinds.choose(random) else {
        return;
    };
    let mut fault = Fault::new(*kind);
    fault.probability = match kind {
        FaultKind::HangAccept | FaultKind::LoseSyncState | FaultKind::StopPool => 1.0,
        _ => *SHARES.choose(random).unwrap_or(&1.0),
    };
    match kind {
        FaultKind::Latency | FaultKind::RetryAfter => {
            fault.delay = Some(Duration::from_millis(random.random_range(1..8000)));
        }
        FaultKind::Error => {
            let statuses = [449, 451, 500, 502, 503, 504];
            fault.status = statuses.choose(random).copied();
        }
        FaultKind::Truncate | FaultKind::Garbage => {
            fault.bytes = Some(random.random_range(0..600));
        }
        _ => {}
    }
    tell(told(&fault, lasts));
    // Those of the scenario stay; a scenario's phase may have put others in place meanwhile.
    drop(control.add_fault(&fault).await);
    sleep(lasts).await;
    drop(control.reset_faults().await);
}

/// A fault of the server in words.
fn told(fault: &Fault, lasts: Duration) -> String {
    let mut text = format!(
        "the fault {} strikes for {}",
        fault.fault.as_str(),
        format_duration(rounded(lasts))
    );
    if fault.probability < 1.0 {
        let _ = write!(text, ", a share of {}", fault.probability);
    }
    if let Some(delay) = fault.delay {
        let _ = write!(text, ", delay {}", format_duration(delay));
    }
    if let Some(status) = fault.status {
        let _ = write!(text, ", status {status}");
    }
    if let Some(bytes) = fault.bytes {
        let _ = write!(text, ", after {bytes} bytes");
    }
    text
}

/// To the millisecond, for people.
fn rounded(length: Duration) -> Duration {
    #[expect(clippy::cast_possible_truncation, reason = "a fault lasts seconds")]
    Duration::from_millis(length.as_millis() as u64)
}
