//! Faults that a seed draws, for runs that look for bugs: of the server, by the mock's vocabulary, and of the
//! network.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use mock_server::{Control, Fault, FaultKind};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_net::{Forgotten, Pair, SimNet};
use tokio::time::sleep;

use crate::scenario::{Plan, SourceRange};

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

/// Changes something now and then, until it is dropped.
pub(super) async fn play(seed: u64, net: SimNet, control: Control) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ APART);
    loop {
        sleep(Duration::from_secs_f64(random.random_range(CALM))).await;
        let lasts = Duration::from_secs_f64(random.random_range(LASTS));
        match random.random_range(0..4) {
            0 => network(&mut random, &net, lasts).await,
            1 => once(&mut random, &control).await,
            _ => server(&mut random, &control, lasts).await,
        }
    }
}

/// A share of the connections, chosen by the client's port.
fn struck(random: &mut Xoshiro256PlusPlus) -> impl Fn(&Pair) -> bool + use<> {
    let share = *SHARES.choose(random).unwrap_or(&1.0);
    let offset: u16 = random.random();
    move |pair: &Pair| {
        let place = pair.client.port().wrapping_mul(40_503).wrapping_add(offset);
        f64::from(place) < share * f64::from(u16::MAX)
    }
}

/// What the network does.
async fn network(random: &mut Xoshiro256PlusPlus, net: &SimNet, lasts: Duration) {
    let server = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match random.random_range(0..4) {
        0 => {
            net.reset_all(struck(random));
        }
        1 => {
            net.forget(struck(random), Forgotten::Vanish);
        }
        2 => {
            net.forget(struck(random), Forgotten::Reset);
        }
        _ => {
            let cut = host(random.random_range(1..=HOSTS));
            net.partition(cut, server);
            sleep(lasts).await;
            net.heal(cut, server);
        }
    }
}

/// What happens to the server once. A call that the mock refuses, because there is no worker or a recycle is
/// under way, changes nothing.
async fn once(random: &mut Xoshiro256PlusPlus, control: &Control) {
    match random.random_range(0..7) {
        0 => drop(control.kill_worker().await),
        1 => drop(control.recycle().await),
        2 => {
            // One recycle during another.
            let both = tokio::join!(control.recycle(), control.recycle());
            drop(both);
        }
        3 => drop(control.store_failover().await),
        4 => drop(control.hierarchy_change().await),
        5 => drop(control.unprovision().await),
        _ => drop(control.advance_clock(CLOCK_STEP).await),
    }
}

/// One fault for a while.
async fn server(random: &mut Xoshiro256PlusPlus, control: &Control, lasts: Duration) {
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
    // Those of the scenario stay; a scenario's phase may have put others in place meanwhile.
    drop(control.add_fault(&fault).await);
    sleep(lasts).await;
    drop(control.reset_faults().await);
}
