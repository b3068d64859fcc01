//! What devices are told: who they are, how they behave, what changes while they run.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eas::ProtocolVersion;
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::{HeartbeatPlan, PingBody, QueryForm, SleepPlan, Wait};
use tokio::time::Instant;

use super::authorization::Authorization;
use super::desk::Activity;
use crate::transport::Abandon;

/// Who a device is.
#[derive(Clone)]
pub struct Identity {
    /// Number of the device in the run, from 0.
    pub device: u32,
    /// Number of its user, from 0.
    pub user: u32,
    /// The user's name.
    pub user_name: String,
    /// The Authorization header.
    pub authorization: Authorization,
    /// The DeviceId.
    pub device_id: String,
}

/// By hand, so that no debug output ever holds a password.
impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("device", &self.device)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// What all devices of a kind have in common.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Path of the EAS virtual directory.
    pub path: String,
    /// Versions to choose from; the highest that the server lists is taken.
    pub versions: Vec<ProtocolVersion>,
    /// Form of the query.
    pub query: QueryForm,
    /// How they wait for changes.
    pub wait: Wait,
    /// How much their Pings say.
    pub ping_body: PingBody,
    /// The network forgets a connection that says nothing for so long.
    pub nat_timeout: Option<Duration>,
    /// They fall asleep now and then.
    pub sleep: Option<SleepPlan>,
    /// Share of Pings during which they send another, 0 to 1.
    pub second_ping: f64,
    /// DeviceType.
    pub device_type: String,
    /// User-Agent; must stay constant, or a server may block the device.
    pub user_agent: String,
    /// Heartbeat asked for.
    pub heartbeat: HeartbeatPlan,
    /// How long past its heartbeat a Ping may be before it is overdue.
    pub grace: Duration,
    /// Changes per Sync answer.
    pub window: u16,
    /// How long any command but Ping may take.
    pub request_timeout: Duration,
    /// Shortest and longest pause before another attempt; the pause doubles from one to the other.
    pub retry: RangeInclusive<Duration>,
    /// Watch every folder that can be synced, not only the Inbox.
    pub all_folders: bool,
    /// What their users do, if anything.
    pub activity: Option<Arc<Activity>>,
    /// Ask the server for its versions first; without, the highest of their own is spoken.
    pub negotiate: bool,
    /// Keep the cookies that a server sets and send them back.
    pub cookies: bool,
}

/// How abandoned Pings are given up, as weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AbandonShares {
    /// Closed.
    pub fin: f64,
    /// Reset.
    pub rst: f64,
    /// In silence.
    pub silence: f64,
}

impl AbandonShares {
    fn draw(&self, random: &mut Xoshiro256PlusPlus) -> Abandon {
        let point = random.random::<f64>() * (self.fin + self.rst + self.silence);
        if point < self.fin {
            Abandon::Fin
        } else if point < self.fin + self.rst {
            Abandon::Rst
        } else {
            Abandon::Silence
        }
    }
}

/// Which Pings are abandoned.
#[derive(Debug, Clone, PartialEq)]
pub struct Abandonment {
    /// Share of all Pings, 0 to 1.
    pub share: f64,
    /// After how long.
    pub after: RangeInclusive<Duration>,
    /// How.
    pub how: AbandonShares,
    /// How long the device has no network then.
    pub away: RangeInclusive<Duration>,
}

impl Abandonment {
    /// No Ping is abandoned.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            share: 0.0,
            after: Duration::ZERO..=Duration::ZERO,
            how: AbandonShares {
                fin: 1.0,
                rst: 0.0,
                silence: 0.0,
            },
            away: Duration::ZERO..=Duration::ZERO,
        }
    }

    /// The fate of one Ping: abandoned when and how, and away for how long.
    pub(super) fn draw(&self, random: &mut Xoshiro256PlusPlus) -> Option<Fate> {
        // Always the same number of draws, so that a device's later chances do not depend on
        // whether this Ping is abandoned.
        let chosen = random.random::<f64>() < self.share;
        let fate = Fate {
            after: between(&self.after, random),
            how: self.how.draw(random),
            away: between(&self.away, random),
            loss: NetworkLoss::Moved,
        };
        chosen.then_some(fate)
    }
}

/// What becomes of a Ping that will be abandoned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fate {
    pub(super) after: Duration,
    pub(super) how: Abandon,
    pub(super) away: Duration,
    pub(super) loss: NetworkLoss,
}

/// What a device knows of the loss of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkLoss {
    /// It has changed to another.
    Moved,
    /// Nothing: a gateway has forgotten the connection.
    Forgotten,
    /// There is none: it has lost track of its Ping, and sends another.
    LostTrack,
    /// It slept, and nobody told it of what came meanwhile.
    Slept,
}

/// Many devices lose their network at once, and come back at once: the herd of an airliner, a
/// tunnel, a base station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flight {
    /// When they lose it.
    pub start: Instant,
    /// When they have one again.
    pub end: Instant,
    /// Share of all devices, 0 to 1.
    pub share: f64,
    /// How their connections end.
    pub how: AbandonShares,
}

impl Flight {
    /// What the flight of that number does to a device, unless it is not on it.
    fn takes(&self, luck: u64, number: u32, now: Instant) -> Option<Fate> {
        // A source of its own: a device that asks again gets the same answer, and no other chance
        // depends on how often it asks.
        let mut random = device_random(luck, number);
        let chosen = random.random::<f64>() < self.share;
        let how = self.how.draw(&mut random);
        chosen.then(|| Fate {
            after: self.start.saturating_duration_since(now),
            how,
            away: self.end.saturating_duration_since(self.start.max(now)),
            loss: NetworkLoss::Moved,
        })
    }
}

pub(super) fn between(
    range: &RangeInclusive<Duration>,
    random: &mut Xoshiro256PlusPlus,
) -> Duration {
    let span = range.end().saturating_sub(*range.start());
    *range.start() + span.mul_f64(random.random::<f64>())
}

/// What changes from phase to phase.
#[derive(Debug)]
pub struct Behaviour {
    abandonment: Mutex<Abandonment>,
    flights: Mutex<Vec<Flight>>,
    stopping: AtomicBool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            abandonment: Mutex::new(Abandonment::none()),
            flights: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }
}

impl Behaviour {
    /// From now on.
    pub fn set_abandonment(&self, abandonment: Abandonment) {
        *self.abandonment.lock() = abandonment;
    }

    pub(super) fn fate(&self, random: &mut Xoshiro256PlusPlus) -> Option<Fate> {
        self.abandonment.lock().draw(random)
    }

    /// All flights of the run, in their order. A device looks when it begins to wait, and then knows
    /// how long it may: told of a flight only when it takes off, each would have to listen as well,
    /// which costs more memory than the waiting itself.
    pub fn announce(&self, flights: Vec<Flight>) {
        *self.flights.lock() = flights;
    }

    /// What the flight that is under way, or the next, does to a device of that luck.
    pub(super) fn flight(&self, luck: u64, now: Instant) -> Option<Fate> {
        let flights = self.flights.lock();
        (0..)
            .zip(flights.iter())
            .filter(|(_, flight)| now < flight.end)
            .find_map(|(number, flight)| flight.takes(luck, number, now))
    }

    /// Devices end when they would send another Ping.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// A device's own source of chance: the same for the same run seed and device number, however the
/// fleet is split.
#[must_use]
pub fn device_random(seed: u64, device: u32) -> Xoshiro256PlusPlus {
    /// Odd, with bits all over (2^64 divided by the golden ratio): neighbouring devices get seeds
    /// far apart.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    Xoshiro256PlusPlus::seed_from_u64(seed ^ SPREAD.wrapping_mul(u64::from(device) + 1))
}

/// A device that speaks 14.1 and waits in Pings with a heartbeat of a minute.
impl Default for Profile {
    fn default() -> Self {
        Self {
            path: "/Microsoft-Server-ActiveSync".to_owned(),
            versions: vec![ProtocolVersion::V14_1],
            device_type: "easload".to_owned(),
            user_agent: "easload".to_owned(),
            query: QueryForm::Plain,
            wait: scenario::Wait::Ping,
            ping_body: scenario::PingBody::Full,
            nat_timeout: None,
            sleep: None,
            second_ping: 0.0,
            heartbeat: scenario::HeartbeatPlan::Fixed(60),
            grace: Duration::from_secs(5),
            window: 25,
            request_timeout: Duration::from_secs(10),
            retry: Duration::from_secs(1)..=Duration::from_secs(2),
            all_folders: false,
            activity: None,
            negotiate: true,
            cookies: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn flight(start: Instant, share: f64) -> Flight {
        Flight {
            start,
            end: start + MINUTE,
            share,
            how: AbandonShares {
                fin: 0.0,
                rst: 0.0,
                silence: 1.0,
            },
        }
    }

    #[test]
    fn a_device_is_told_the_same_of_its_flights_whenever_it_asks() {
        let now = Instant::now();
        let behaviour = Behaviour::default();
        behaviour.announce(vec![
            flight(now + MINUTE, 0.5),
            flight(now + 10 * MINUTE, 1.0),
        ]);
        let devices = 0..1000_u64;
        let of = |luck: u64, at: Instant| behaviour.flight(luck, at).unwrap();
        let first = devices
            .clone()
            .filter(|luck| of(*luck, now).after == MINUTE);
        let first: Vec<u64> = first.collect();
        assert!((400..600).contains(&first.len()), "{}", first.len());
        for luck in devices {
            let expected = if first.contains(&luck) { 1 } else { 10 };
            assert_eq!(of(luck, now).after, expected * MINUTE);
            // In the middle of it, what is left of it.
            let middle = of(luck, now + 90 * Duration::from_secs(1));
            if first.contains(&luck) {
                assert_eq!((middle.after, middle.away), (Duration::ZERO, MINUTE / 2));
            } else {
                assert_eq!(middle.away, MINUTE);
            }
            assert_eq!(of(luck, now + 2 * MINUTE).after, 8 * MINUTE);
            assert_eq!(behaviour.flight(luck, now + 11 * MINUTE), None);
        }
        behaviour.announce(Vec::new());
        assert_eq!(behaviour.flight(1, now), None);
    }
}
