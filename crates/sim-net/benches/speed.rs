//! What a message over a simulated network costs: a request and its answer of 200 bytes each, over connections that
//! are used at the same time. Run with `cargo bench -p sim-net`.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use sim_net::{Local, Path, SimNet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

const CONNECTIONS: u32 = 1000;
/// Requests of each connection.
const REQUESTS: u32 = 50;
const BYTES: usize = 200;
const SERVER: &str = "10.0.0.2:443";
const CLIENT: &str = "10.0.0.1";

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_time().start_paused(true);
    builder.build().expect("a runtime needs nothing here")
}

/// All connections at the same moments.
#[divan::bench(sample_count = 10)]
fn messages_at_the_same_moments(bencher: Bencher<'_, '_>) {
    talks(bencher, Duration::ZERO);
}

/// Each message at a moment of its own.
#[divan::bench(sample_count = 10)]
fn messages_at_moments_of_their_own(bencher: Bencher<'_, '_>) {
    talks(bencher, Duration::from_secs(10));
}

fn talks(bencher: Bencher<'_, '_>, wait: Duration) {
    bencher
        .counter(ItemsCount::new(CONNECTIONS * REQUESTS * 2))
        .bench(|| runtime().block_on(talk(wait)));
}

/// `wait` lies between the requests of a connection.
async fn talk(wait: Duration) {
    let net = SimNet::new(1, Path::default());
    let server = SERVER.parse().expect("an endpoint");
    let listener = net.listen(server, 2000).expect("nobody else listens");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; BYTES];
                while stream.read_exact(&mut buffer).await.is_ok() {
                    if stream.write_all(&buffer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let clients = (0..CONNECTIONS).map(|number| {
        let net = net.clone();
        tokio::spawn(async move {
            sleep(wait * number / CONNECTIONS).await;
            let local = Local::ephemeral(CLIENT.parse().expect("an address"));
            let connected = net.connect(local, server).await;
            let mut stream = connected.expect("the server listens");
            let mut buffer = [1; BYTES];
            for _ in 0..REQUESTS {
                stream.write_all(&buffer).await.expect("it is open");
                stream.read_exact(&mut buffer).await.expect("it answers");
                if !wait.is_zero() {
                    sleep(wait).await;
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("it does not panic");
    }
}
