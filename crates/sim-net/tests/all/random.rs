//! Random programs against a simple model: bytes arrive once and in order, or an error is reported.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::prelude::*;
use sim_net::{Forgotten, Local, Path, SimListener, SimNet, SimStream, System, WINDOW};
use tokio::io::AsyncWrite;

use crate::support::{clean, client, listen, server};

/// Connections that a program plays with.
const CONNECTIONS: usize = 3;

/// A step of a program. `usize` is the number of an end: two for each connection.
#[derive(Debug, Clone)]
enum Step {
    Connect(usize),
    Write(usize, usize),
    Read(usize, usize),
    ShutDown(usize),
    Drop(usize),
    Reset(usize),
    Pass(u64),
    Partition,
    Heal,
    Forget(usize, bool),
    ResetAll(usize),
    Loss(f64),
}

fn step() -> impl Strategy<Value = Step> {
    let end = 0..2 * CONNECTIONS;
    prop_oneof![
        4 => (0..CONNECTIONS).prop_map(Step::Connect),
        12 => (end.clone(), 1..2 * WINDOW).prop_map(|(end, len)| Step::Write(end, len)),
        12 => (end.clone(), 1..2 * WINDOW).prop_map(|(end, len)| Step::Read(end, len)),
        3 => end.clone().prop_map(Step::ShutDown),
        2 => end.clone().prop_map(Step::Drop),
        1 => end.clone().prop_map(Step::Reset),
        10 => (0..400u64).prop_map(Step::Pass),
        2 => (0..200_000u64).prop_map(Step::Pass),
        1 => Just(Step::Partition),
        2 => Just(Step::Heal),
        1 => (0..CONNECTIONS, any::<bool>()).prop_map(|(connection, reset)| Step::Forget(connection, reset)),
        1 => (0..CONNECTIONS).prop_map(Step::ResetAll),
        1 => (0.0..0.5).prop_map(Step::Loss),
    ]
}

/// What the model knows of one end.
#[derive(Debug, Default)]
struct End {
    stream: Option<SimStream>,
    /// Bytes that the network took from it.
    written: usize,
    /// Bytes that were read at it.
    read: usize,
    /// Whether it sends no more.
    shut: bool,
}

/// What the model knows of one connection.
#[derive(Debug, Default)]
struct Connection {
    ends: [End; 2],
    /// Whether something happened that may end it with an error.
    disturbed: bool,
}

/// Byte at a place of the stream that begins at an end.
fn byte(end: usize, place: usize) -> u8 {
    (place.wrapping_mul(31) ^ (place >> 8) ^ end) as u8
}

struct Model {
    net: SimNet,
    listener: SimListener,
    connections: [Connection; CONNECTIONS],
    partitioned: bool,
}

fn host(connection: usize) -> IpAddr {
    IpAddr::from([10, 0, 1, u8::try_from(connection).expect("few")])
}

impl Model {
    fn new(seed: u64, bandwidth: Option<u64>) -> Self {
        let net = SimNet::new(
            seed,
            Path {
                latency: Duration::ZERO..=Duration::from_millis(150),
                bandwidth,
                loss: 0.0,
            },
        );
        // Chance alone must not end a connection.
        net.set_default_system(System {
            retransmissions: 40,
            ..System::LINUX
        });
        let listener = listen(&net);
        Self {
            net,
            listener,
            connections: Default::default(),
            partitioned: false,
        }
    }

    async fn play(&mut self, step: Step) {
        match step {
            Step::Connect(connection) => self.connect(connection).await,
            Step::Write(end, len) => self.write(end, len),
            Step::Read(end, len) => {
                self.read(end, len);
            }
            Step::ShutDown(end) => {
                let end = &mut self.connections[end / 2].ends[end % 2];
                if let Some(stream) = &mut end.stream {
                    let context = &mut Context::from_waker(Waker::noop());
                    assert!(Pin::new(stream).poll_shutdown(context).is_ready());
                    end.shut = true;
                }
            }
            Step::Drop(end) | Step::Reset(end) => {
                let connection = &mut self.connections[end / 2];
                if let Some(stream) = connection.ends[end % 2].stream.take() {
                    connection.disturbed = true;
                    if matches!(step, Step::Reset(_)) {
                        stream.reset();
                    }
                }
            }
            Step::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Partition => {
                self.partitioned = true;
                for number in 0..CONNECTIONS {
                    self.net.partition(host(number), server().ip());
                    self.connections[number].disturbed = true;
                }
            }
            Step::Heal => self.heal(),
            Step::Forget(number, reset) => {
                self.connections[number].disturbed = true;
                let then = if reset {
                    Forgotten::Reset
                } else {
                    Forgotten::Vanish
                };
                self.net
                    .forget(|pair| pair.client.ip() == host(number), then);
            }
            Step::ResetAll(number) => {
                self.connections[number].disturbed = true;
                self.net.reset_all(|pair| pair.client.ip() == host(number));
            }
            Step::Loss(loss) => self.lose(loss),
        }
    }

    fn heal(&mut self) {
        self.partitioned = false;
        for number in 0..CONNECTIONS {
            self.net.heal(host(number), server().ip());
        }
    }

    fn lose(&self, loss: f64) {
        for number in 0..CONNECTIONS {
            let path = Path {
                loss,
                ..Path::default()
            };
            self.net.set_path(host(number), server().ip(), path.clone());
            self.net.set_path(server().ip(), host(number), path);
        }
    }

    /// Opens a connection in place of one that is closed at both ends.
    async fn connect(&mut self, number: usize) {
        let known = &self.connections[number];
        if self.partitioned || known.ends.iter().any(|end| end.stream.is_some()) {
            return;
        }
        let local = Local {
            address: host(number),
            ..client()
        };
        let Ok(client) = self.net.connect(local, server()).await else {
            return;
        };
        let server = loop {
            let (accepted, remote) = self.listener.accept().await.expect("accepted");
            if remote == client.local_addr().expect("has one") {
                break accepted;
            }
        };
        self.connections[number] = Connection {
            ends: [client, server].map(|stream| End {
                stream: Some(stream),
                ..End::default()
            }),
            disturbed: false,
        };
    }

    fn write(&mut self, number: usize, len: usize) {
        let connection = &mut self.connections[number / 2];
        let read = connection.ends[1 - number % 2].read;
        let disturbed = connection.disturbed;
        let end = &mut connection.ends[number % 2];
        let Some(stream) = &mut end.stream else {
            return;
        };
        let data: Vec<u8> = (end.written..end.written + len)
            .map(|place| byte(number % 2, place))
            .collect();
        let context = &mut Context::from_waker(Waker::noop());
        match Pin::new(stream).poll_write(context, &data) {
            Poll::Ready(Ok(taken)) => {
                assert!(!end.shut && taken > 0 && taken <= len);
                end.written += taken;
            }
            Poll::Ready(Err(error)) => {
                assert!(end.shut || disturbed, "{error}");
                if !disturbed {
                    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                }
            }
            Poll::Pending => assert!(!end.shut),
        }
        if !disturbed {
            assert!(
                end.written - read <= WINDOW,
                "more than the window is under way"
            );
        }
    }

    /// Returns whether it may go on.
    fn read(&mut self, number: usize, len: usize) -> bool {
        let connection = &mut self.connections[number / 2];
        let other = &connection.ends[1 - number % 2];
        let sent = other.written;
        let ended = other.shut || other.stream.is_none();
        let end = &mut connection.ends[number % 2];
        let Some(stream) = &end.stream else {
            return false;
        };
        let mut buffer = vec![0; len];
        match stream.try_read(&mut buffer) {
            Ok(0) => {
                assert!(ended, "the peer sends on");
                assert_eq!(end.read, sent, "the end came before all bytes");
                false
            }
            Ok(read) => {
                for (place, found) in buffer[..read].iter().enumerate() {
                    assert_eq!(*found, byte(1 - number % 2, end.read + place));
                }
                end.read += read;
                assert!(end.read <= sent);
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    assert!(connection.disturbed, "{error}");
                }
                false
            }
        }
    }

    /// Without disturbance all that was written arrives.
    async fn finish(mut self) {
        self.heal();
        self.lose(0.0);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(86_400)).await;
            for number in 0..2 * CONNECTIONS {
                while self.read(number, WINDOW) {}
            }
        }
        for connection in &self.connections {
            let [a, b] = &connection.ends;
            if !connection.disturbed {
                assert_eq!((a.written, b.written), (b.read, a.read));
            }
        }
        clean(&self.net);
        self.connections = Default::default();
        drop(self.listener);
        clean(&self.net);
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        clean(&self.net);
        assert_eq!(self.net.rows(), []);
        assert_eq!(self.net.opened(), self.net.closed());
    }
}

/// Random programs per test; `PROPTEST_CASES` asks for others.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(usual, |cases| cases.parse().unwrap_or(usual))
}

fn play(steps: Vec<Step>, seed: u64, bandwidth: Option<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut model = Model::new(seed, bandwidth);
        for number in 0..CONNECTIONS {
            model.connect(number).await;
        }
        for step in steps {
            model.play(step).await;
            clean(&model.net);
        }
        model.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn bytes_arrive_once_and_in_order_or_an_error_is_reported(
        steps in prop::collection::vec(step(), 1..80),
        seed in any::<u64>(),
        bandwidth in prop::option::of(10_000..10_000_000u64),
    ) {
        play(steps, seed, bandwidth);
    }
}

/// What random programs found.
#[test]
fn programs_that_once_failed() {
    // The NAT refused the answer to the FIN. The client waited for it without end.
    play(vec![Step::ShutDown(0), Step::Forget(0, true)], 0, None);
    // The NAT refused the RST that answered the server's FIN.
    let steps = vec![Step::ShutDown(5), Step::Forget(2, true), Step::ShutDown(4)];
    play(steps, 3_344_961_769_731_076_182, None);
    // A RST removed a lost segment, and the one behind it arrived.
    let steps = vec![
        Step::Write(5, 1),
        Step::Pass(1),
        Step::Write(4, 42675),
        Step::Partition,
        Step::Pass(89),
        Step::Drop(4),
    ];
    play(steps, 1_530_615_723_880_677_226, Some(33427));
    // A partition cut off the data that a reset connection had on the line, first one part, then none.
    let steps = vec![
        Step::Write(2, 1),
        Step::Write(2, 1),
        Step::Reset(2),
        Step::Forget(1, false),
        Step::Partition,
        Step::Pass(74),
    ];
    play(steps, 569_036_095_242_919_659, None);
}

/// Tasks that wait are all woken, whatever the sizes, pauses, loss and bandwidth are.
async fn transfer(seed: u64, path: Path) {
    use rand::{Rng, SeedableRng};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const TOTAL: usize = 300_000;
    let net = SimNet::new(seed, Path::default());
    net.set_default_system(System {
        retransmissions: 1000,
        ..System::LINUX
    });
    let listener = listen(&net);
    let (client, server) = crate::support::pair(&net, &listener).await;
    let [a, b] = [&client, &server].map(|stream| stream.local_addr().expect("has one").ip());
    net.set_path(a, b, path.clone());
    net.set_path(b, a, path);
    let mut tasks = Vec::new();
    for (end, stream) in [client, server].into_iter().enumerate() {
        let (mut from, mut to) = tokio::io::split(stream);
        let random =
            |salt: u64| rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed ^ (salt + end as u64));
        let (mut writing, mut reading) = (random(2), random(4));
        tasks.push(tokio::spawn(async move {
            let mut written = 0;
            while written < TOTAL {
                let len = writing.random_range(1..100_000).min(TOTAL - written);
                let data: Vec<u8> = (written..written + len)
                    .map(|place| byte(end, place))
                    .collect();
                to.write_all(&data).await.expect("written");
                written += len;
                tokio::time::sleep(Duration::from_millis(writing.random_range(0..50))).await;
            }
            to.shutdown().await.expect("shut down");
        }));
        tasks.push(tokio::spawn(async move {
            let mut read = 0;
            let mut buffer = vec![0; 50_000];
            loop {
                let most = reading.random_range(1..buffer.len());
                let len = from.read(&mut buffer[..most]).await.expect("read");
                if len == 0 {
                    break;
                }
                for (place, found) in buffer[..len].iter().enumerate() {
                    assert_eq!(*found, byte(1 - end, read + place));
                }
                read += len;
                tokio::time::sleep(Duration::from_millis(reading.random_range(0..50))).await;
            }
            assert_eq!(read, TOTAL);
        }));
    }
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(86_400), task)
            .await
            .expect("nobody waits forever")
            .expect("ran");
    }
    clean(&net);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(40), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn everybody_who_waits_is_woken(
        seed in any::<u64>(),
        latency in 0..100u64,
        bandwidth in prop::option::of(10_000..10_000_000u64),
        loss in prop_oneof![Just(0.0), 0.0..0.5],
    ) {
        let latency = Duration::from_millis(latency);
        let path = Path { latency: Duration::ZERO..=latency, bandwidth, loss };
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(transfer(seed, path));
    }
}
