//! Defects that are planted into whole runs, and found by the seeds with which the tests play the fault mix.

use std::sync::atomic::{AtomicBool, Ordering};

use client::transport::{
    Abandon, Answer, Begun, Failure, FailureKind, Lean, LeanFactory, LocalEnd, Origin, Peer,
    RedirectError, Request, SimulatedNetwork, Transport,
};
use mock_server::Machine;
use scenario::{ClientCertificate, Target, parse};
use sim_net::SimNet;
use tokio::sync::watch;

use super::super::carriers::{MakeTransport, Parts};
use super::super::mock::MockError;
use super::super::simulate::simulate_in;
use super::super::world::{Probe, Simulated, World};
use super::super::{Interrupt, Options, RunningMock, simulatable};
use super::*;

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// A mail that came is not recorded.
    DroppedMail,
    /// A mail that came is recorded twice.
    CountedMailTwice,
    /// A Ping that was sent is recorded twice.
    CountedPingTwice,
    /// The state of a device is recorded twice.
    CountedStateTwice,
    /// A connection is given up and not closed.
    LeakedSocket,
    /// A Ping is not sent, and its device waits for the answer.
    LostPing,
    /// A task goes on after the run.
    LeakedTask,
}

/// A simulated world with a defect.
struct Defective {
    world: Simulated,
    defect: Defect,
}

impl World for Defective {
    type Factory = DefectiveFactory;

    fn factory(&self, parts: &Parts<'_>) -> Result<DefectiveFactory, String> {
        Ok(DefectiveFactory {
            factory: self.world.factory(parts)?,
            defect: self.defect,
        })
    }

    async fn start_mock(&self, config: &mock_api::MockConfig) -> Result<RunningMock, MockError> {
        if self.defect == Defect::LeakedTask {
            tokio::spawn(std::future::pending::<()>());
        }
        self.world.start_mock(config).await
    }

    fn machine(&self) -> Machine {
        self.world.machine()
    }

    fn probe(&self) -> Probe {
        self.world.probe()
    }

    fn descriptor_limit(&self) -> Option<u64> {
        self.world.descriptor_limit()
    }

    fn seed(&self) -> u64 {
        self.world.seed()
    }

    fn number(&self) -> u32 {
        self.world.number()
    }

    fn net(&self) -> Option<SimNet> {
        self.world.net()
    }

    fn hears(&self, recorder: Arc<dyn Record>) -> Arc<dyn Record> {
        Arc::new(DefectiveRecord {
            recorder,
            defect: self.defect,
            is_done: AtomicBool::new(false),
        })
    }
}

/// Records wrongly once.
struct DefectiveRecord {
    recorder: Arc<dyn Record>,
    defect: Defect,
    is_done: AtomicBool,
}

impl Record for DefectiveRecord {
    fn record(&self, device: u32, event: Event<'_>) {
        let repeated = match (self.defect, &event) {
            (Defect::DroppedMail, Event::ItemSynced { .. }) => {
                if !self.is_done.swap(true, Ordering::Relaxed) {
                    return;
                }
                None
            }
            (
                Defect::CountedMailTwice,
                Event::ItemSynced {
                    subject,
                    ping_answered,
                    at,
                },
            ) => Some(Event::ItemSynced {
                subject,
                ping_answered: *ping_answered,
                at: *at,
            }),
            (Defect::CountedPingTwice, Event::PingSent { sent, hangs, gap }) => {
                Some(Event::PingSent {
                    sent: *sent,
                    hangs: *hangs,
                    gap: *gap,
                })
            }
            (Defect::CountedStateTwice, Event::State { from, to }) => Some(Event::State {
                from: *from,
                to: *to,
            }),
            _ => None,
        };
        if let Some(repeated) = repeated
            && !self.is_done.swap(true, Ordering::Relaxed)
        {
            self.recorder.record(device, repeated);
        }
        self.recorder.record(device, event);
    }
}

struct DefectiveFactory {
    factory: LeanFactory<SimulatedNetwork>,
    defect: Defect,
}

impl MakeTransport for DefectiveFactory {
    type Transport = DefectiveTransport;

    fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, String> {
        Ok(Self {
            factory: MakeTransport::presenting(&self.factory, certificate)?,
            defect: self.defect,
        })
    }

    fn make_for(&self, device: u32) -> DefectiveTransport {
        DefectiveTransport {
            lean: self.factory.make_for(device),
            defect: self.defect,
            is_lost: false,
        }
    }
}

struct DefectiveTransport {
    lean: Lean<SimulatedNetwork>,
    defect: Defect,
    /// The open request was not sent.
    is_lost: bool,
}

impl Transport for DefectiveTransport {
    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        self.is_lost = request.held && self.defect == Defect::LostPing;
        if self.is_lost {
            return Ok(Begun {
                sent: Instant::now(),
                local: LocalEnd::default(),
                connect: None,
                tls: None,
            });
        }
        self.lean.begin(request).await
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        if self.is_lost {
            tokio::time::sleep_until(deadline).await;
            return Err(Failure {
                kind: FailureKind::TimedOut { received: 0 },
                sent: Some(Instant::now()),
                reused: false,
            });
        }
        self.lean.answer(deadline).await
    }

    fn another(&self) -> Self {
        Self {
            lean: self.lean.another(),
            defect: self.defect,
            is_lost: false,
        }
    }

    fn abandon(&mut self, how: Abandon) {
        if self.defect == Defect::LeakedSocket {
            let another = self.lean.another();
            std::mem::forget(std::mem::replace(&mut self.lean, another));
        } else {
            self.lean.abandon(how);
        }
    }

    fn is_connected(&self) -> bool {
        self.lean.is_connected()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.lean.origin()
    }

    fn peer(&self) -> Peer {
        self.lean.peer()
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        self.lean.redirect(to)
    }
}

/// The scenario and the seeds of `tests/simulated/faults.rs`.
const SCENARIO: &str = include_str!("../../../scenarios/symptom-active-requests.toml");
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

/// What the invariants find in a run with that defect.
fn play(defect: Defect, seed: u64) -> Vec<String> {
    let plan = parse("symptom-active-requests.toml", SCENARIO).unwrap();
    let options = Options {
        runs: None,
        seed: Some(seed),
        quiet: true,
        metrics: None,
        faults: true,
    };
    let (_signal, interrupt) = watch::channel(Interrupt::None);
    let make = |net, seed| Defective {
        world: Simulated::new(net, seed),
        defect,
    };
    let plan = simulatable(plan).plan;
    simulate_in(make, plan, &options, interrupt).unwrap().broken
}

#[test]
fn run_without_a_defect_breaks_nothing() {
    assert_eq!(play(Defect::None, 1), [""; 0]);
}

#[test]
fn each_planted_defect_is_found_by_a_seed() {
    for (defect, expected) in [
        (Defect::DroppedMail, " s and is missing"),
        (Defect::CountedMailTwice, "1 arrivals of mail came twice"),
        (Defect::CountedPingTwice, "Pings were sent, recorded were"),
        (Defect::CountedStateTwice, "recorded were"),
        (Defect::LeakedSocket, "a socket is left when the run ends"),
        (Defect::LostPing, "Pings are held and"),
        (Defect::LeakedTask, "1 tasks are left when the run ends"),
    ] {
        let is_found = |seed: &u64| {
            let found = play(defect, *seed);
            found.iter().any(|text| text.contains(expected))
        };
        let seed = SEEDS.into_iter().find(is_found);
        println!("{defect:?}: seed {seed:?}");
        assert!(seed.is_some(), "{defect:?} is not found");
    }
}
