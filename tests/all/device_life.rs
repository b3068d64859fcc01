//! A device's life under a paused clock: against a scripted server, one reaction after the other,
//! and against the whole mock in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::device::{
    AbandonShares, Abandonment, Behaviour, Client, Event, Flight, Life, PingEnd, Profile, Record,
    Refusals, device_random,
};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{
    Abandon, Answer, Begun, Connect, ConnectError, Connected, ConnectionEnd, Failure, FailureKind,
    Lean, Limits, LocalEnd, Request, Timing, Transport,
};
use eas::commands::*;
use eas::query::Query;
use eas::status::*;
use eas::wbxml::{self, Tag};
use eas::{Command, ProtocolVersion};
use easload::measure::Recorder;
use mock_api::control::NewMail;
use mock_api::{MockConfig, Topology};
use mock_server::{FrontDoor, Machine, WorkerLauncher};
use scenario::names::{Counter, Gauges, Metric};
use sim_net::SimNet;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::fixtures::{identity, profile};

const HEARTBEAT: u32 = 470;

/// What a server answers.
#[derive(Clone)]
pub(crate) enum Reply {
    Body(Vec<u8>),
    Http(u16, &'static [(&'static str, &'static str)]),
    /// HTTP 200 with that Content-Type.
    Page(&'static str, Vec<u8>),
    /// With these versions.
    Options(&'static str),
    Fail(FailureKind),
    Never,
}

/// A request that was seen, and when, in seconds of the test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) at: f64,
    /// `None` is OPTIONS.
    pub(crate) command: Option<Command>,
    pub(crate) query: Option<Query>,
    pub(crate) version: Option<String>,
    pub(crate) policy_key: Option<String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) type Overrides = HashMap<(Command, usize), Reply>;

/// A server that does everything right, except where a test says otherwise for the n-th request of
/// a command.
struct World {
    start: Instant,
    seen: Mutex<Vec<Seen>>,
    overrides: Overrides,
    abandoned: Mutex<Vec<Abandon>>,
    reused: bool,
    /// Seconds that the last Ping or Sync asked for.
    held: Mutex<i32>,
    versions: &'static str,
    /// So long after a request was written, its writer goes on.
    write_lag: Duration,
}

struct Scripted {
    world: Arc<World>,
    pending: Option<Pending>,
    connected: bool,
}

/// A request that was written.
#[derive(Clone)]
struct Pending {
    reply: Reply,
    sent: Instant,
    /// When the answer comes.
    due: Instant,
}

pub(crate) fn body(encoded: Result<Vec<u8>, wbxml::EncodeError>) -> Reply {
    Reply::Body(encoded.unwrap())
}

pub(crate) fn ping(status: PingStatus) -> PingAnswer<'static> {
    PingAnswer::new(status)
}

fn status_only(root: Tag, tag: Tag, code: u16) -> Reply {
    body(encode_status_only(root, tag, GlobalStatus::from_code(code)))
}

pub(crate) fn sync_answer(key: &str, status: SyncStatus) -> Reply {
    let collection = CollectionAnswer {
        sync_key: key.to_owned().into(),
        id: "5".into(),
        status,
        more_available: false,
        changes: Vec::new(),
        responses: Vec::new(),
        skipped: Skipped::default(),
    };
    body(
        SyncAnswer {
            collections: vec![collection],
            ..SyncAnswer::default()
        }
        .encode(ProtocolVersion::V14_1),
    )
}

impl World {
    fn reply(&self, seen: &Seen, number: usize) -> Reply {
        let Some(command) = seen.command else {
            return Reply::Options(self.versions);
        };
        if let Some(reply) = self.overrides.get(&(command, number)) {
            return reply.clone();
        }
        match command {
            Command::Provision => {
                let key = if number % 2 == 1 { "100" } else { "200" };
                let policy = PolicyAnswer {
                    policy_type: POLICY_TYPE.into(),
                    status: PolicyStatus::Success,
                    key: Some(key.into()),
                    document: Vec::new(),
                    text: None,
                };
                body(
                    ProvisionAnswer {
                        status: ProvisionStatus::Success,
                        device_information: None,
                        policy: Some(policy),
                        remote_wipe: false,
                    }
                    .encode(),
                )
            }
            Command::FolderSync => {
                let folder = |id: &'static str, folder_type| Folder {
                    server_id: id.into(),
                    parent_id: "0".into(),
                    display_name: id.into(),
                    folder_type,
                };
                let added = vec![
                    folder("5", FolderType::INBOX),
                    folder("1", FolderType::CALENDAR),
                ];
                let answer = FolderSyncAnswer {
                    sync_key: Some("1".into()),
                    added,
                    ..FolderSyncAnswer::failed(FolderSyncStatus::Success)
                };
                body(answer.encode())
            }
            Command::Sync => {
                let request = SyncRequest::decode(&seen.body);
                if request.is_ok_and(|request| request.collections[0].sync_key == "0") {
                    sync_answer("1", SyncStatus::Success)
                } else {
                    Reply::Body(Vec::new())
                }
            }
            Command::Ping => body(ping(PingStatus::Expired).encode()),
            Command::Settings => {
                let answer = SettingsAnswer {
                    device_information: Some(SettingsStatus::Success),
                    ..SettingsAnswer::new(SettingsStatus::Success)
                };
                body(answer.encode(ProtocolVersion::V12_1))
            }
            other => panic!("unexpected {other}"),
        }
    }
}

impl World {
    /// How long the server holds this request, if it does.
    fn held(&self, seen: &Seen) -> Option<i32> {
        let mut held = self.held.lock().unwrap();
        let asked = match seen.command {
            _ if seen.body.is_empty() => None,
            Some(Command::Ping) => PingRequest::decode(&seen.body).unwrap().heartbeat,
            Some(Command::Sync) => {
                let request = SyncRequest::decode(&seen.body).unwrap();
                let asked = request
                    .heartbeat
                    .or(request.wait.map(|minutes| minutes * 60));
                *held = 0;
                asked
            }
            _ => None,
        };
        *held = asked.unwrap_or(*held);
        let holds = matches!(seen.command, Some(Command::Ping | Command::Sync));
        Some(*held).filter(|seconds| holds && *seconds > 0)
    }
}

impl Transport for Scripted {
    fn another(&self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            pending: None,
            connected: false,
        }
    }

    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        let header = |name: &str| {
            request
                .headers
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let query = request
            .path
            .split_once('?')
            .map(|(_, query)| Query::parse(query).unwrap());
        let seen = Seen {
            at: self.world.start.elapsed().as_secs_f64(),
            command: query.as_ref().map(|query| query.command),
            query,
            version: header("MS-ASProtocolVersion"),
            policy_key: header("X-MS-PolicyKey"),
            body: request.body.to_vec(),
        };
        let number = {
            let mut all = self.world.seen.lock().unwrap();
            all.push(seen.clone());
            let same = all.iter().filter(|other| other.command == seen.command);
            same.count()
        };
        let reply = self.world.reply(&seen, number);
        let held = self.world.held(&seen);
        let is_scripted = seen
            .command
            .is_some_and(|command| self.world.overrides.contains_key(&(command, number)));
        let delay = match held {
            Some(seconds) if !is_scripted => Duration::from_secs(seconds as u64),
            _ => Duration::from_millis(20),
        };
        let sent = Instant::now();
        let due = sent + delay;
        self.pending = Some(Pending { reply, sent, due });
        self.connected = true;
        sleep(self.world.write_lag).await;
        Ok(Begun {
            sent,
            local: LocalEnd::default(),
            connect: None,
            tls: None,
        })
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let Pending { reply, sent, due } = self.pending.clone().unwrap();
        let fail = |kind| Failure {
            kind,
            sent: Some(sent),
            reused: self.world.reused,
        };
        if matches!(reply, Reply::Never) || due > deadline {
            sleep_until(deadline).await;
            return Err(fail(FailureKind::TimedOut { received: 0 }));
        }
        sleep_until(due).await;
        let total = due - sent;
        let timing = Timing { sent, total };
        let (status, headers, body) = match reply {
            Reply::Body(body) => (200, &[][..], body),
            Reply::Http(status, headers) => (status, headers, Vec::new()),
            Reply::Page(content_type, body) => {
                let headers = [("Content-Type", content_type)];
                let end = ConnectionEnd::Kept;
                return Ok(Answer::from_parts(200, &headers, body, timing, end));
            }
            Reply::Fail(kind) => return Err(fail(kind)),
            Reply::Options(versions) => {
                let headers = [
                    ("MS-ASProtocolVersions", versions),
                    ("MS-ASProtocolCommands", "Sync,Ping"),
                ];
                let end = ConnectionEnd::Kept;
                return Ok(Answer::from_parts(200, &headers, Vec::new(), timing, end));
            }
            Reply::Never => unreachable!(),
        };
        Ok(Answer::from_parts(
            status,
            headers,
            body,
            timing,
            ConnectionEnd::Kept,
        ))
    }

    fn abandon(&mut self, how: Abandon) {
        self.connected = false;
        self.world.abandoned.lock().unwrap().push(how);
    }

    fn is_connected(&self) -> bool {
        self.connected
    }
}

#[derive(Default)]
pub(crate) struct Ends {
    pings: Mutex<Vec<PingEnd>>,
    /// Between the end of a Ping and the next one.
    gaps: Mutex<Vec<Duration>>,
    acts: Mutex<Vec<bool>>,
    /// What was wrong with answers.
    wrong: Mutex<Vec<String>>,
    /// Subjects of the items that came.
    items: Mutex<Vec<String>>,
}

impl Record for Ends {
    fn record(&self, _: u32, event: Event<'_>) {
        match event {
            Event::PingEnded { end, .. } => self.pings.lock().unwrap().push(end),
            Event::PingSent { gap, .. } => self.gaps.lock().unwrap().extend(gap),
            Event::Acted { failed, .. } => self.acts.lock().unwrap().push(failed),
            Event::BadBody { text, .. } | Event::Skipped { text, .. } => {
                self.wrong.lock().unwrap().push(text.to_owned());
            }
            Event::ItemSynced { subject, .. } => {
                self.items.lock().unwrap().push(subject.to_owned());
            }
            _ => {}
        }
    }
}

/// How a device lived.
pub(crate) struct Lived {
    pub(crate) seen: Vec<Seen>,
    pub(crate) abandoned: Vec<Abandon>,
    pub(crate) ends: Vec<PingEnd>,
    gaps: Vec<Duration>,
    /// Whether what its user did failed.
    pub(crate) acts: Vec<bool>,
    /// What was wrong with answers.
    pub(crate) wrong: Vec<String>,
    /// Subjects of the items that came.
    pub(crate) items: Vec<String>,
    refusals: Arc<Refusals>,
}

impl Lived {
    pub(crate) fn of(&self, command: Command) -> Vec<&Seen> {
        self.seen
            .iter()
            .filter(|seen| seen.command == Some(command))
            .collect()
    }

    /// What follows the n-th request of a command, from 1: command and seconds in between.
    pub(crate) fn after(&self, command: Command, number: usize) -> (Option<Command>, f64) {
        let (position, seen) = self
            .seen
            .iter()
            .enumerate()
            .filter(|(_, seen)| seen.command == Some(command))
            .nth(number - 1)
            .unwrap();
        let next = &self.seen[position + 1];
        (next.command, next.at - seen.at)
    }
}

pub(crate) struct Setup {
    overrides: Overrides,
    pub(crate) profile: Arc<Profile>,
    abandonment: Abandonment,
    /// When everybody loses the network, and for how long.
    pub(crate) flight: Option<(Duration, Duration)>,
    /// What the server lists.
    pub(crate) options: &'static str,
    write_lag: Duration,
    seed: u64,
    reused: bool,
}

impl Setup {
    pub(crate) fn new(overrides: impl IntoIterator<Item = ((Command, usize), Reply)>) -> Self {
        Self {
            overrides: overrides.into_iter().collect(),
            profile: profile(HEARTBEAT),
            abandonment: Abandonment::none(),
            flight: None,
            options: "2.5,12.1,14.1",
            write_lag: Duration::ZERO,
            seed: 1,
            reused: false,
        }
    }

    pub(crate) async fn live(self, time: Duration) -> Lived {
        let world = Arc::new(World {
            start: Instant::now(),
            seen: Mutex::default(),
            overrides: self.overrides,
            abandoned: Mutex::default(),
            reused: self.reused,
            held: Mutex::default(),
            versions: self.options,
            write_lag: self.write_lag,
        });
        let ends = Arc::new(Ends::default());
        let refusals = Arc::new(Refusals::new(1, 3, 1.0));
        let behaviour = Arc::new(Behaviour::default());
        behaviour.set_abandonment(self.abandonment);
        let flights = self.flight.into_iter().map(|(start, duration)| Flight {
            start: world.start + start,
            end: world.start + start + duration,
            share: 1.0,
            how: AbandonShares {
                fin: 0.0,
                rst: 0.0,
                silence: 1.0,
            },
        });
        behaviour.announce(flights.collect());
        let transport = Scripted {
            world: Arc::clone(&world),
            pending: None,
            connected: false,
        };
        let client = Client::new(
            transport,
            identity(0, "secret"),
            self.profile,
            Arc::clone(&refusals),
            Arc::clone(&ends) as Arc<dyn Record>,
        );
        let life = Life::new(client, Arc::clone(&behaviour), device_random(self.seed, 0));
        let _ = timeout(time, life.run()).await;
        let seen = world.seen.lock().unwrap().clone();
        let abandoned = world.abandoned.lock().unwrap().clone();
        let acts = ends.acts.lock().unwrap().clone();
        let wrong = ends.wrong.lock().unwrap().clone();
        let items = ends.items.lock().unwrap().clone();
        let gaps = ends.gaps.lock().unwrap().clone();
        let ends = ends.pings.lock().unwrap().clone();
        Lived {
            gaps,
            seen,
            abandoned,
            wrong,
            items,
            ends,
            acts,
            refusals,
        }
    }
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

async fn lived(overrides: impl IntoIterator<Item = ((Command, usize), Reply)>) -> Lived {
    Setup::new(overrides).live(HOUR).await
}

fn heartbeat_of(seen: &Seen) -> i32 {
    PingRequest::decode(&seen.body).unwrap().heartbeat.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_healthy_life_goes_from_options_to_ping() {
    use Command::{FolderSync, Ping, Provision, Sync};
    let lived = lived([]).await;
    let commands: Vec<_> = lived.seen.iter().map(|seen| seen.command).collect();
    let start = [
        None,
        Some(Provision),
        Some(Provision),
        Some(FolderSync),
        Some(Sync),
        Some(Sync),
        Some(Ping),
        Some(Ping),
    ];
    assert_eq!(commands[..start.len()], start);
    // An hour of heartbeats: seven whole ones and the one that is open.
    assert_eq!(lived.of(Ping).len(), 8);
    assert_eq!(
        lived
            .ends
            .iter()
            .filter(|end| matches!(end, PingEnd::Expired { overshoot } if overshoot.abs() < 0.001))
            .count(),
        7
    );
    assert_eq!(
        lived.ends.last(),
        Some(&PingEnd::OpenAtEnd { overdue: false })
    );
    // The temporary key goes out with phase 2, the final one from then on, none with a Ping.
    let keys: Vec<_> = lived
        .seen
        .iter()
        .map(|seen| seen.policy_key.as_deref())
        .collect();
    assert_eq!(
        keys[..8],
        [
            None,
            Some("0"),
            Some("100"),
            Some("200"),
            Some("200"),
            Some("200"),
            None,
            None
        ]
    );
    let first = ProvisionRequest::decode(&lived.seen[1].body).unwrap();
    assert!(first.device.is_some(), "14.1 sends the DeviceInformation");
}

/// A busy machine lets the writer go on late. That is not the server's time.
#[tokio::test(start_paused = true)]
async fn a_ping_counts_from_the_moment_when_it_was_written() {
    for write_lag in [Duration::ZERO, Duration::from_secs(3)] {
        let setup = Setup {
            write_lag,
            ..Setup::new([])
        };
        let lived = setup.live(HOUR).await;
        let (last, ended) = lived.ends.split_last().unwrap();
        assert_eq!(ended.len(), 7);
        for end in ended {
            assert_eq!(*end, PingEnd::Expired { overshoot: 0.0 });
        }
        assert_eq!(*last, PingEnd::OpenAtEnd { overdue: false });
        assert_eq!(lived.gaps, [Duration::ZERO; 7]);
    }
}

#[tokio::test(start_paused = true)]
async fn ping_statuses_lead_to_the_reactions_of_the_specification() {
    use Command::{FolderSync, Ping, Sync};
    let answer = |status| [((Ping, 1), body(ping(status).encode()))];

    let two = lived([(
        (Ping, 1),
        body(
            PingAnswer {
                folders: vec!["5".into()],
                ..ping(PingStatus::Changes)
            }
            .encode(),
        ),
    )])
    .await;
    assert_eq!(two.after(Ping, 1).0, Some(Sync));
    assert_eq!(two.ends[0], PingEnd::Changes);

    let three = lived(answer(PingStatus::MissingParameters)).await;
    assert_eq!(three.after(Ping, 1).0, Some(Ping));
    assert!(
        PingRequest::decode(&three.of(Ping)[1].body)
            .unwrap()
            .folders
            .is_some(),
        "the full request"
    );

    let four = lived(answer(PingStatus::SyntaxError)).await;
    let (next, pause) = four.after(Ping, 1);
    assert!(
        next == Some(Ping) && pause >= 1.0,
        "not repeated at once: {pause}"
    );

    for learned in [60, 3540] {
        let five = PingAnswer {
            heartbeat: Some(learned),
            ..ping(PingStatus::HeartbeatOutOfRange)
        };
        let five = lived([((Ping, 1), body(five.encode()))]).await;
        let heartbeats: Vec<_> = five
            .of(Ping)
            .iter()
            .map(|seen| heartbeat_of(seen))
            .collect();
        assert_eq!(
            heartbeats[..2],
            [HEARTBEAT as i32, learned as i32],
            "learnt for good"
        );
        assert!(
            heartbeats[1..]
                .iter()
                .all(|heartbeat| *heartbeat == learned as i32)
        );
    }

    let six = PingAnswer {
        max_folders: Some(1),
        ..ping(PingStatus::TooManyFolders)
    };
    let mut setup = Setup::new([((Ping, 1), body(six.encode()))]);
    let mut all = (*setup.profile).clone();
    all.all_folders = true;
    setup.profile = Arc::new(all);
    let six = setup.live(HOUR).await;
    let counts: Vec<_> = six
        .of(Ping)
        .iter()
        .map(|seen| {
            PingRequest::decode(&seen.body)
                .unwrap()
                .folders
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(counts[..2], [2, 1]);

    let seven = lived(answer(PingStatus::HierarchyOutOfDate)).await;
    assert_eq!(seven.after(Ping, 1).0, Some(FolderSync));
    let key = FolderSyncRequest::decode(&seven.of(FolderSync)[1].body)
        .unwrap()
        .sync_key;
    assert_eq!(key, "1", "with the current key");

    let eight = lived(answer(PingStatus::ServerError)).await;
    let (next, pause) = eight.after(Ping, 1);
    assert!(next == Some(Ping) && pause > 0.05, "after a pause: {pause}");
}

#[tokio::test(start_paused = true)]
async fn sync_and_folder_sync_statuses() {
    use Command::{FolderSync, Sync};
    let three = lived([((Sync, 2), sync_answer("0", SyncStatus::InvalidSyncKey))]).await;
    let keys: Vec<_> = three
        .of(Sync)
        .iter()
        .map(|seen| {
            SyncRequest::decode(&seen.body).unwrap().collections[0]
                .sync_key
                .to_string()
        })
        .collect();
    assert_eq!(keys[..4], ["0", "1", "0", "1"]);

    let twelve = lived([(
        (Sync, 2),
        body(SyncAnswer::failed(SyncStatus::HierarchyChanged).encode(ProtocolVersion::V14_1)),
    )])
    .await;
    assert_eq!(twelve.after(Sync, 2).0, Some(FolderSync));

    // The same status for the whole command.
    let global =
        body(SyncAnswer::failed(SyncStatus::InvalidSyncKey).encode(ProtocolVersion::V14_1));
    let global = lived([((Sync, 2), global)]).await;
    let keys: Vec<_> = global
        .of(Sync)
        .iter()
        .map(|seen| {
            SyncRequest::decode(&seen.body).unwrap().collections[0]
                .sync_key
                .to_string()
        })
        .collect();
    assert_eq!(keys[..4], ["0", "1", "0", "1"]);

    // "Retry, then key 0": the same server error five times.
    let five = || body(SyncAnswer::failed(SyncStatus::ServerError).encode(ProtocolVersion::V14_1));
    let repeated = lived((2..7).map(|number| ((Sync, number), five()))).await;
    let key = |number: usize| {
        SyncRequest::decode(&repeated.of(Sync)[number - 1].body)
            .unwrap()
            .collections[0]
            .sync_key
            .to_string()
    };
    assert_eq!((key(6).as_str(), key(7).as_str()), ("1", "0"));

    let nine = FolderSyncAnswer::failed(FolderSyncStatus::InvalidSyncKey);
    let mut overrides = vec![(
        (Command::Ping, 1),
        body(ping(PingStatus::HierarchyOutOfDate).encode()),
    )];
    overrides.push(((FolderSync, 2), body(nine.encode())));
    let nine = lived(overrides).await;
    let keys: Vec<_> = nine
        .of(FolderSync)
        .iter()
        .map(|seen| {
            FolderSyncRequest::decode(&seen.body)
                .unwrap()
                .sync_key
                .to_string()
        })
        .collect();
    assert_eq!(keys, ["0", "1", "0"]);
}

#[tokio::test(start_paused = true)]
async fn provisioning_is_asked_for_in_every_way_and_never_in_a_loop() {
    use Command::{Provision, Sync};
    let needs = [
        Reply::Http(449, &[]),
        status_only(wbxml::air_sync::SYNC, wbxml::air_sync::STATUS, 142),
        status_only(wbxml::air_sync::SYNC, wbxml::air_sync::STATUS, 143),
        status_only(wbxml::air_sync::SYNC, wbxml::air_sync::STATUS, 144),
        status_only(wbxml::air_sync::SYNC, wbxml::air_sync::STATUS, 165),
    ];
    for need in needs {
        let lived = lived([((Sync, 1), need)]).await;
        assert_eq!(lived.after(Sync, 1).0, Some(Provision));
        assert_eq!(
            lived.of(Provision).len(),
            4,
            "once at the start, once when asked"
        );
    }
    // A server that is never content is asked less and less often.
    let never = (1..5000).map(|number| ((Sync, number), Reply::Http(449, &[])));
    let lived = lived(never).await;
    let asked = lived.of(Provision).len();
    assert!(
        asked > 100 && asked < 2 * 3600,
        "{asked} in an hour, at pauses of up to 2 s"
    );
}

#[tokio::test(start_paused = true)]
async fn http_errors_are_waited_out() {
    use Command::{Ping, Sync};
    let busy = lived([((Sync, 1), Reply::Http(503, &[("Retry-After", "30")]))]).await;
    let (next, pause) = busy.after(Sync, 1);
    assert!(
        next == Some(Sync) && (30.0..31.0).contains(&pause),
        "Retry-After holds: {pause}"
    );
    let busy = lived([((Sync, 1), Reply::Http(503, &[]))]).await;
    let pause = busy.after(Sync, 1).1;
    assert!((0.05..0.2).contains(&pause), "shortest pause: {pause}");
    // An absurd Retry-After parks a device for an hour at most.
    let parked = Setup::new([((Sync, 1), Reply::Http(503, &[("Retry-After", "99999999")]))]);
    let parked = parked.live(HOUR * 2).await;
    assert!((3600.0..3601.0).contains(&parked.after(Sync, 1).1));

    for code in [400, 403, 404, 451, 500, 501, 502, 507] {
        let lived = lived([((Ping, 1), Reply::Http(code, &[]))]).await;
        assert_eq!(
            lived.after(Ping, 1).0,
            Some(Ping),
            "HTTP {code}: the device goes on"
        );
        assert!(lived.after(Ping, 1).1 > 0.05, "HTTP {code}: not at once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_stops_the_user_before_the_directory_does() {
    let refused = (1..100).map(|number| ((Command::Provision, number), Reply::Http(401, &[])));
    let lived = lived(refused).await;
    assert_eq!(lived.of(Command::Provision).len(), 3);
    assert_eq!(lived.refusals.stopped(), [0]);
    // Negative control: two refusals, then success, stop nobody.
    let twice = (1..3).map(|number| ((Command::Provision, number), Reply::Http(401, &[])));
    let lived = self::lived(twice).await;
    assert!(lived.refusals.stopped().is_empty());
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn broken_answers_and_connections_are_survived() {
    use Command::{Ping, Sync};
    for reply in [
        Reply::Body(b"<html>proxy error</html>".to_vec()),
        Reply::Body(b"\x03\x01\x6A\x00\x45\x5C".to_vec()),
        Reply::Body(vec![
            0x03, 0x01, 0x6A, 0x00, 0x45, 0xC3, 0x8F, 0xFF, 0xFF, 0xFF, 0x7F,
        ]),
        Reply::Fail(FailureKind::Truncated { received: 3 }),
        Reply::Fail(FailureKind::Connect(ConnectError::Refused)),
        Reply::Fail(FailureKind::Reset),
        Reply::Never,
    ] {
        let lived = lived([((Sync, 2), reply)]).await;
        let (next, pause) = lived.after(Sync, 2);
        assert!(next == Some(Sync) && pause > 0.05, "{next:?} after {pause}");
        assert!(lived.of(Ping).len() >= 7);
    }
    let cut = lived([((Ping, 2), Reply::Fail(FailureKind::ClosedWithoutAnswer))]).await;
    assert_eq!(cut.ends[1], PingEnd::Cut);

    // A kept connection that had been closed: the request is repeated at once.
    let mut stale = Setup::new([((Sync, 2), Reply::Fail(FailureKind::Reset))]);
    stale.reused = true;
    let stale = stale.live(HOUR).await;
    assert!(stale.after(Sync, 2).1 < 0.05);
}

#[tokio::test(start_paused = true)]
async fn a_ping_without_an_answer_is_overdue_after_heartbeat_and_grace() {
    let lived = lived([((Command::Ping, 1), Reply::Never)]).await;
    assert!(
        matches!(lived.ends[0], PingEnd::Overdue { overshoot } if (5.0..5.1).contains(&overshoot))
    );
    let (next, age) = lived.after(Command::Ping, 1);
    assert!(
        next == Some(Command::Ping) && (475.0..475.1).contains(&age),
        "{age}"
    );
    assert_eq!(lived.abandoned, [Abandon::Fin]);
    // The run may end first; then the Ping is counted with its age.
    let mut endless = Setup::new([((Command::Ping, 1), Reply::Never)]);
    endless.abandonment = Abandonment::none();
    let open = endless.live(Duration::from_secs(100)).await;
    assert_eq!(open.ends, [PingEnd::OpenAtEnd { overdue: false }]);
}

#[tokio::test(start_paused = true)]
async fn abandonment_follows_its_plan_and_its_seed() {
    let plan = Abandonment {
        share: 0.5,
        after: Duration::from_secs(10)..=Duration::from_secs(60),
        how: AbandonShares {
            fin: 1.0,
            rst: 1.0,
            silence: 1.0,
        },
        away: Duration::from_secs(1)..=Duration::from_secs(5),
    };
    let live = |seed| {
        let mut setup = Setup::new([]);
        setup.abandonment = plan.clone();
        setup.seed = seed;
        setup.live(HOUR * 10)
    };
    let lived = live(1).await;
    let abandoned = lived
        .ends
        .iter()
        .filter(|end| matches!(end, PingEnd::Abandoned { .. }))
        .count();
    let share = abandoned as f64 / lived.ends.len() as f64;
    assert!((0.4..0.6).contains(&share), "{share}");
    assert_eq!(abandoned, lived.abandoned.len());
    for how in [Abandon::Fin, Abandon::Rst, Abandon::Silence] {
        assert!(
            lived
                .abandoned
                .iter()
                .filter(|other| **other == how)
                .count()
                * 5
                > abandoned,
            "{how:?}"
        );
    }
    // The same seed lives the same life, request by request; another one does not.
    assert_eq!(live(1).await.seen, lived.seen);
    assert_ne!(live(2).await.abandoned, lived.abandoned);
}

#[tokio::test(start_paused = true)]
async fn an_old_server_is_spoken_to_in_its_version() {
    let mut setup = Setup::new([]);
    let mut old = (*setup.profile).clone();
    old.versions = vec![ProtocolVersion::V12_1];
    setup.profile = Arc::new(old);
    let lived = setup.live(HOUR).await;
    let first = ProvisionRequest::decode(&lived.of(Command::Provision)[0].body).unwrap();
    assert!(
        first.device.is_none(),
        "12.1 must not send the DeviceInformation here"
    );
    let sync = SyncRequest::decode(&lived.of(Command::Sync)[0].body).unwrap();
    assert_eq!(sync.collections[0].class, Some(Class::Email));
}

/// A mock in this process, on a simulated machine: on this one it would look at all sockets and processes twice
/// in each simulated second.
pub(crate) async fn in_memory(change: impl FnOnce(&mut MockConfig)) -> Arc<FrontDoor> {
    let mut config = MockConfig {
        topology: Topology::Direct,
        ..MockConfig::default()
    };
    change(&mut config);
    let machine = Machine::Simulated(SimNet::new(1, sim_net::Path::default()));
    let mock = FrontDoor::start_on(machine, config, WorkerLauncher::InProcess).await;
    Arc::new(mock.unwrap())
}

/// Connections to a mock in this process.
pub(crate) struct InMemory(pub(crate) Arc<FrontDoor>);

impl Connect for InMemory {
    type Stream = DuplexStream;

    async fn connect(&self, _: u32) -> Result<Connected<DuplexStream>, ConnectError> {
        let (here, there) = tokio::io::duplex(64 << 10);
        self.0.serve_stream(there);
        Ok(Connected {
            stream: here,
            local: LocalEnd::default(),
            connect: Duration::ZERO,
            tls: None,
        })
    }

    fn host(&self) -> &str {
        "mock"
    }
}

/// Hours of a whole fleet and the whole mock in one process, in milliseconds.
#[tokio::test(start_paused = true)]
async fn a_fleet_lives_for_hours_in_memory() {
    const DEVICES: u32 = 40;
    let mock = in_memory(|config| config.poll_interval = Duration::from_secs(5)).await;
    let users: Vec<u32> = (0..DEVICES).collect();
    let recorder = Arc::new(Recorder::new(1, &users, Duration::from_secs(60)));
    let behaviour = Arc::new(Behaviour::default());
    let factory = Lean::factory(
        InMemory(Arc::clone(&mock)),
        0,
        Limits::default(),
        Arc::default(),
    );
    let fleet = Fleet::start(
        FleetPlan {
            devices: users
                .iter()
                .map(|device| (identity(*device, "secret"), profile(HEARTBEAT)))
                .collect(),
            refusals: Arc::new(Refusals::new(users.len(), 3, 1.0)),
            behaviour: Arc::clone(&behaviour),
            seed: 1,
            ramp: Pacer::per_second(10.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |_| factory.make(),
    );
    sleep(HOUR).await;
    let quiet = recorder.interval("quiet", Gauges::new());
    assert_eq!(quiet.count(Counter::PingsExpired), 7 * u64::from(DEVICES));
    let overshoot = quiet.latency(Metric::Overshoot).unwrap();
    assert!(
        overshoot.max < 2_000,
        "a heartbeat ends when it should: {} µs",
        overshoot.max
    );
    assert_eq!(
        quiet.count(Counter::Connects),
        u64::from(DEVICES),
        "one connection each"
    );
    assert_eq!(quiet.count(Counter::PingsEarly), 0);

    // Mail for an hour, and devices that move about.
    behaviour.set_abandonment(Abandonment {
        share: 0.5,
        after: Duration::from_secs(1)..=Duration::from_secs(400),
        how: AbandonShares {
            fin: 1.0,
            rst: 0.0,
            silence: 0.0,
        },
        away: Duration::ZERO..=Duration::from_secs(30),
    });
    for number in 0..360 {
        let user = number % DEVICES;
        let marker = recorder.mail_meant(user, Instant::now()).unwrap();
        recorder.mail_sent(marker.id);
        mock.deliver(&NewMail {
            to: vec![format!("load{user:04}")],
            subject: marker.to_string(),
            body: "x".to_owned(),
        });
        recorder.mail_accepted(marker.id, Duration::ZERO);
        sleep(Duration::from_secs(10)).await;
    }
    mock.unprovision();
    mock.change_hierarchy().unwrap();
    mock.set_faults(Vec::new()).await;
    sleep(Duration::from_secs(900)).await;
    let busy = recorder.interval("busy", Gauges::new());
    assert_eq!(
        (
            busy.ledger.synced,
            busy.ledger.outstanding,
            busy.ledger.duplicates
        ),
        (360, 0, 0)
    );
    let notification = busy.latency(Metric::Notification).unwrap();
    assert!(
        notification.p50 <= 5_100_000,
        "within a poll: {} µs",
        notification.p50
    );
    assert!(busy.count(Counter::PingsAbandoned) > 50);
    assert!(
        busy.count(Counter::HierarchyFetches) >= u64::from(DEVICES),
        "Ping 7 leads to FolderSync"
    );
    assert!(
        busy.count(Counter::Provisionings) >= u64::from(DEVICES),
        "Status 142 leads to Provision"
    );
    assert_eq!(mock.truth().devices, u64::from(DEVICES));

    fleet.stop(Duration::from_secs(1)).await;
    assert!(recorder.totals().pings_open_at_end > u64::from(DEVICES) / 2);
    assert_eq!(recorder.really_open(), 0);
}
