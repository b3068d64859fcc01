//! What a plan needs, known before anything runs.

use mock_server::{Tls, Topology};

use super::{MailDoor, Plan, TargetPlan};

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
    const BYTES_PER_DEVICE_TLS: u64 = 12_000;
    /// Pings given up in silence keep their descriptor; at most this share of the fleet at once.
    const SILENT_SHARE: f64 = 0.1;

    /// What that plan needs.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let devices = u64::from(plan.devices.count);
        let senders = plan
            .mail
            .as_ref()
            .filter(|mail| mail.door == MailDoor::SendMail)
            .map_or(0, |mail| u64::from(mail.senders));
        let connections = devices + senders + Self::silent(plan);
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
        let per_device = if tls {
            Self::BYTES_PER_DEVICE_TLS
        } else {
            Self::BYTES_PER_DEVICE
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

    /// Connections given up in silence that are kept at most.
    #[must_use]
    pub fn silent(plan: &Plan) -> u64 {
        let devices = f64::from(plan.devices.count);
        let silent = plan
            .phases
            .iter()
            .filter_map(|phase| phase.abandon.as_ref())
            .any(|abandon| abandon.how.silence > 0.0 && abandon.share > 0.0);
        let abandoned = if silent {
            devices * Self::SILENT_SHARE
        } else {
            0.0
        };
        let flights = plan.phases.iter().filter_map(|phase| phase.flight.as_ref());
        let flown = flights
            .map(|flight| {
                let weights = flight.how.fin + flight.how.rst + flight.how.silence;
                devices * flight.share * flight.how.silence / weights
            })
            .fold(0.0, f64::max);
        // Each device whose gateway forgets has one such connection while it waits, and the last.
        let grace = plan.devices.grace.as_secs();
        let forgotten = plan.devices.profiles.iter().zip(plan.devices.mix());
        let forgotten = forgotten.filter(|(profile, _)| {
            let longest = u64::from(profile.heartbeat.longest()) + grace;
            profile
                .nat_timeout
                .is_some_and(|timeout| timeout.as_secs() < longest)
        });
        let forgotten: u64 = forgotten.map(|(_, count)| u64::from(count)).sum();
        (abandoned + flown).ceil() as u64 + forgotten
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
