//! What a plan needs, known before anything runs.

use mock_api::{Tls, Topology};

use super::{MailDoor, Plan, ProfilePlan, TargetPlan, TransportKind};

/// Resources of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Connections to the target at once.
    pub connections: u64,
    /// Descriptors of this process.
    pub descriptors: u64,
    /// Descriptors of the mock's front door or worker, whichever needs more, where the mock is the
    /// target.
    pub mock_descriptors: u64,
    /// User memory of the devices, in bytes.
    pub memory: u64,
}

impl Needs {
    /// Runtime, log files, sockets of observers: some 40 are in use on an idle run.
    const SPARE: u64 = 64;
    /// Measured (docs/performance.md), rounded up.
    const BYTES_PER_DEVICE: u64 = 4_000;
    const BYTES_PER_DEVICE_TLS: u64 = 13_000;
    /// 26 kB for a held request (docs/performance.md), and the device's own client.
    const BYTES_PER_DEVICE_REQWEST: u64 = 40_000;
    /// TLS takes the same from whoever uses it.
    const BYTES_PER_DEVICE_REQWEST_TLS: u64 = 50_000;
    /// Seconds in TIME_WAIT on Linux.
    const TIME_WAIT: f64 = 60.0;

    /// What that plan needs.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let devices = u64::from(plan.devices.count);
        let senders = plan
            .mail
            .as_ref()
            .filter(|mail| mail.door == MailDoor::SendMail)
            .map_or(0, |mail| u64::from(mail.senders));
        let connections =
            devices + senders + Self::silent(plan) + Self::second_pings(plan) + Self::acting(plan);
        let (tls, per_connection) = match &plan.target {
            TargetPlan::Mock(config) => {
                // The front door has the back end's end of each forwarded request too.
                (
                    config.tls != Tls::Off,
                    if config.topology == Topology::OneServer {
                        2
                    } else {
                        1
                    },
                )
            }
            TargetPlan::Server { urls, .. } => {
                // Autodiscover gives https only.
                let is_tls = urls.is_empty() || urls.iter().any(|url| url.starts_with("https"));
                (is_tls, 0)
            }
        };
        let is_reqwest = matches!(
            &plan.target,
            TargetPlan::Server { carrier, .. } if carrier.transport == TransportKind::Reqwest
        );
        let per_device = match (is_reqwest, tls) {
            (false, false) => Self::BYTES_PER_DEVICE,
            (false, true) => Self::BYTES_PER_DEVICE_TLS,
            (true, false) => Self::BYTES_PER_DEVICE_REQWEST,
            (true, true) => Self::BYTES_PER_DEVICE_REQWEST_TLS,
        };
        Self {
            connections,
            descriptors: connections + Self::SPARE,
            mock_descriptors: if per_connection == 0 {
                0
            } else {
                let front_door = connections * per_connection;
                front_door.max(connections + Self::stranded(plan)) + Self::SPARE
            },
            memory: devices * per_device,
        }
    }

    /// Pings that are open beside another at once, were they all open for as long as they may.
    fn second_pings(plan: &Plan) -> u64 {
        let kinds = plan.devices.profiles.iter().zip(plan.devices.mix());
        let pings = kinds.map(|(kind, count)| kind.second_ping * f64::from(count));
        pings.sum::<f64>().ceil() as u64
    }

    /// Things that users do in a second, and devices that have one.
    fn acts(plan: &Plan) -> (f64, u64) {
        let kinds = plan.devices.profiles.iter().zip(plan.devices.mix());
        kinds.fold((0.0, 0), |(rate, users), (kind, count)| {
            let own = kind.activity.as_ref().map_or(0.0, |plan| plan.per_second());
            let is_busy = kind.activity.is_some();
            (
                rate + own * f64::from(count),
                users + u64::from(is_busy) * u64::from(count),
            )
        })
    }

    /// Second connections of users who act at once, on a server that lets each wait as long as a device
    /// does.
    fn acting(plan: &Plan) -> u64 {
        /// As `REQUEST_TIMEOUT` of a run.
        const PATIENCE: f64 = 90.0;
        let (rate, users) = Self::acts(plan);
        users.min((rate * PATIENCE).ceil() as u64)
    }

    /// Pings that devices have given up in silence in that phase, and that their server still knows
    /// nothing of: it holds each until its heartbeat is over.
    fn abandoned(plan: &Plan, phase: &super::PhasePlan, abandon: &super::AbandonPlan) -> f64 {
        /// Chances gather.
        const SPREAD: f64 = 1.5;
        let how = &abandon.how;
        let share = abandon.share * how.silence / (how.fin + how.rst + how.silence);
        let news = plan.mail.as_ref().map_or(f64::INFINITY, |mail| {
            f64::from(plan.devices.users) / mail.rate
        });
        let kinds = plan.devices.profiles.iter().zip(plan.devices.mix());
        let of_kind = |(kind, count): (&ProfilePlan, u32)| {
            let heartbeat = f64::from(kind.heartbeat.longest());
            // Those that are not given up end with news or with their heartbeat.
            let others = (1.0 - abandon.share) * heartbeat.min(news);
            let cycle = (abandon.share * turn(abandon) + others).max(0.1);
            let held = heartbeat + plan.devices.grace.as_secs_f64();
            f64::from(count) * phase.duration.as_secs_f64().min(held) / cycle * share
        };
        kinds.map(of_kind).sum::<f64>() * SPREAD
    }

    /// Connections given up in silence that are kept at most.
    #[must_use]
    pub fn silent(plan: &Plan) -> u64 {
        let devices = f64::from(plan.devices.count);
        let abandoned = |phase: &super::PhasePlan| {
            let abandon = phase.abandon.as_ref();
            abandon.map_or(0.0, |abandon| Self::abandoned(plan, phase, abandon))
        };
        let abandoned = plan.phases.iter().map(abandoned).fold(0.0, f64::max);
        let flights = plan.phases.iter().filter_map(|phase| phase.flight.as_ref());
        let flown = flights
            .map(|flight| {
                let weights = flight.how.fin + flight.how.rst + flight.how.silence;
                devices * flight.share * flight.how.silence / weights
            })
            .fold(0.0, f64::max);
        // Each device whose gateway forgets has one such connection while it waits, and the last; one that
        // sleeps, the one with which it fell asleep.
        let grace = plan.devices.grace.as_secs();
        let forgotten = plan.devices.profiles.iter().zip(plan.devices.mix());
        let forgotten = forgotten.filter(|(profile, _)| {
            let longest = u64::from(profile.heartbeat.longest()) + grace;
            let forgets = profile
                .nat_timeout
                .is_some_and(|timeout| timeout.as_secs() < longest);
            forgets || profile.sleep.is_some()
        });
        let forgotten: u64 = forgotten.map(|(_, count)| u64::from(count)).sum();
        (abandoned + flown).ceil() as u64 + forgotten
    }

    /// Local ports towards the busiest server: those of open connections, and of connections that
    /// devices closed, which the kernel keeps for a while.
    #[must_use]
    pub fn local_ports(plan: &Plan) -> u64 {
        let closed = |phase: &super::PhasePlan| {
            let Some(abandon) = &phase.abandon else {
                return 0.0;
            };
            let weights = abandon.how.fin + abandon.how.rst + abandon.how.silence;
            let turns = phase.duration.as_secs_f64().min(Self::TIME_WAIT) / turn(abandon);
            f64::from(plan.devices.count) * turns * abandon.share * abandon.how.fin / weights
        };
        let closed = plan.phases.iter().map(closed).fold(0.0, f64::max).ceil() as u64;
        // The weight of the busiest server, and that of all.
        let (most, all) = match &plan.target {
            TargetPlan::Mock(config) => (1, config.servers as u64),
            TargetPlan::Server { urls, entry, .. } => match entry.weights.as_slice() {
                [] => (1, urls.len() as u64),
                weights => {
                    let weights = weights.iter().copied().map(u64::from);
                    (weights.clone().max().unwrap_or(1), weights.sum())
                }
            },
        };
        // Each act closes its connection.
        let acts = (Self::acts(plan).0 * Self::TIME_WAIT).ceil() as u64;
        ((Self::of(plan).connections + closed + acts) * most).div_ceil(all.max(1))
    }

    /// What is wrong if each address of this machine has so many local ports.
    #[must_use]
    pub fn port_shortage(plan: &Plan, per_address: u64) -> Option<String> {
        let sources = plan.devices.sources().len().max(1) as u64;
        let (needed, have) = (Self::local_ports(plan), per_address * sources);
        (needed > have).then(|| {
            format!(
                "{needed} connections to one server, those that have just ended included, do not fit \
                 into {have} local ports ({per_address} for each of {sources} source addresses): name \
                 more with [devices] source_addresses, or widen net.ipv4.ip_local_port_range"
            )
        })
    }

    /// Outgoing sockets that stranded requests keep in the mock's worker at most.
    fn stranded(plan: &Plan) -> u64 {
        let TargetPlan::Mock(config) = &plan.target else {
            return 0;
        };
        let of_phase = |phase: &super::PhasePlan| {
            let Some(abandon) = &phase.abandon else {
                return 0.0;
            };
            // A device abandons at most once in the mean time until it does.
            let mean = (abandon.after.0 + abandon.after.1).as_secs_f64() / 2.0;
            let turns = phase.duration.as_secs_f64() / mean.max(0.1);
            f64::from(plan.devices.count) * turns * abandon.share * phase.strand
        };
        let estimate = plan.phases.iter().map(of_phase).sum::<f64>().ceil() as u64;
        let ports = u64::from(*config.ephemeral_ports.end()) + 1
            - u64::from(*config.ephemeral_ports.start());
        estimate.min(ports)
    }
}

/// Seconds from one Ping that a device gives up to the next, at least: the mean time that a Ping and the
/// absence after it take.
fn turn(abandon: &super::AbandonPlan) -> f64 {
    let turn = (abandon.after.0 + abandon.after.1 + abandon.away.0 + abandon.away.1) / 2;
    turn.as_secs_f64().max(0.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn plan(devices: &str, phase: &str) -> Plan {
        let text = format!(
            "name = \"x\"\n[target]\nurl = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n[devices]\n\
             user = \"load####\"\npassword_env = \"X\"\n{devices}\n[[phase]]\nkind = \"baseline\"\n\
             duration = \"10m\"\n{phase}\n"
        );
        parse("x.toml", &text).unwrap()
    }

    #[test]
    fn ports_are_counted_for_each_server_with_connections_that_have_just_ended() {
        let quiet = plan("count = 1000", "");
        assert_eq!(Needs::local_ports(&quiet), 500);
        assert_eq!(Needs::port_shortage(&quiet, 500), None);
        let text = Needs::port_shortage(&quiet, 499).unwrap();
        assert!(text.contains("source_addresses"), "{text}");
        let two = "count = 1000\nsource_addresses = [\"127.0.0.1..127.0.0.2\"]";
        assert_eq!(Needs::port_shortage(&plan(two, ""), 250), None);
        // Every second Ping is closed after 20 s, and its port is kept for 60 s.
        let abandon = "abandon = { share = 0.5, after = \"10s..20s\", away = \"0s..10s\" }";
        let busy = plan("count = 1000", abandon);
        assert_eq!(Needs::local_ports(&busy), (1000 + 1500) / 2);
    }

    #[test]
    fn what_is_given_up_in_silence_is_kept_until_its_heartbeat_is_over() {
        let silent = |share: &str, silence: u32| {
            let abandon = format!(
                "abandon = {{ share = {share}, after = \"10s..20s\", away = \"0s..10s\", fin = 1, \
                 silence = {silence} }}"
            );
            let devices = "count = 1000\nheartbeat = \"140s\"\ngrace = \"60s\"";
            Needs::silent(&plan(devices, &abandon))
        };
        // Every 20 s each gives one up, and the server has each for 200 s.
        assert_eq!(silent("1", 1), 1000 * 10 / 2 * 3 / 2);
        // Every second Ping lasts for 140 s, so that there are fewer.
        assert_eq!(silent("0.5", 1), 938);
        assert_eq!(silent("1", 0), 0);
    }

    #[test]
    fn requests_that_a_user_may_not_have_open_are_warned_of() {
        let warned = |devices: &str, more: &str| {
            let warnings = plan(devices, more).warnings();
            warnings
                .iter()
                .any(|text| text.contains("EasMaxConcurrency"))
        };
        let ten = "count = 100\nusers = 10";
        assert!(!warned(ten, ""));
        assert!(warned(ten, "[mail]\nrate = 1"), "and the sender");
        let six = "count = 60\nusers = 10";
        assert!(!warned(six, "[mail]\nrate = 1"));
        assert!(warned(&format!("{six}\nsecond_ping = 0.1"), ""));
        assert!(warned(&format!("{six}\nactivity = \"light\""), ""));
        assert!(!warned("count = 50\nusers = 10\nactivity = \"light\"", ""));
    }

    #[test]
    fn devices_that_a_user_may_not_have_are_warned_of() {
        let warned = |plan: &Plan| {
            let warnings = plan.warnings();
            warnings.iter().any(|text| text.contains("EasMaxDevices"))
        };
        let server = |sender: &str| plan("count = 100\nusers = 10", sender);
        assert!(!warned(&server("")));
        assert!(warned(&server("[mail]\nrate = 1")));
        assert!(!warned(&server(
            "[mail]\nrate = 1\ndoor = \"smtp\"\nsmtp = \"a:25\""
        )));
        let mock = |most: u32| {
            let text = format!(
                "name = \"x\"\n[mock]\nmax_devices = {most}\n[devices]\ncount = 19\nusers = 10\n\
                 [[phase]]\nkind = \"baseline\"\nduration = \"10m\"\n"
            );
            parse("x.toml", &text).unwrap()
        };
        assert!(warned(&mock(1)));
        assert!(!warned(&mock(2)));
    }
}
