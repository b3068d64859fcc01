//! Receive windows, bandwidth and loss.

use std::{collections::BTreeSet, io, time::Duration};

use sim_net::{Path, SimNet, SimStream, System, WINDOW};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::support::{LATENCY, clean, client, kind, listen, net, pair, pass, path, server};

/// Retransmission timeout of Linux on a path of 2 × 10 ms: 200 ms and the round trip.
const TIMEOUT: Duration = Duration::from_millis(220);

#[tokio::test(start_paused = true)]
async fn writer_waits_for_the_receivers_window() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let data = vec![7; WINDOW + 1];
    assert_eq!(client.write(&data).await.expect("taken"), WINDOW);
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, client.write(b"x")).await.is_err());
    clean(&net);
    let waiting = tokio::spawn(async move {
        let taken = client.write(&[8; 2000]).await.expect("taken");
        (client, taken, Instant::now())
    });
    pass(LATENCY).await;
    clean(&net);
    let begun = Instant::now();
    server.read_exact(&mut [0; 1000]).await.expect("read");
    let (client, taken, at) = waiting.await.expect("ran");
    assert_eq!((taken, at - begun), (1000, LATENCY));
    clean(&net);
    drop(client);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.expect("read");
    assert_eq!(rest.len(), WINDOW);
    assert!(rest[..WINDOW - 1000].iter().all(|byte| *byte == 7));
    assert!(rest[WINDOW - 1000..].iter().all(|byte| *byte == 8));
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn waiting_writer_is_woken_by_a_reset() {
    let net = net();
    let listener = listen(&net);
    let (mut client, server) = pair(&net, &listener).await;
    client.write_all(&[0; WINDOW]).await.expect("taken");
    let waiting = tokio::spawn(async move { kind(client.write(b"x").await) });
    pass(LATENCY).await;
    drop(server);
    assert_eq!(waiting.await.expect("ran"), io::ErrorKind::ConnectionReset);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn waiting_writer_is_woken_by_its_own_shutdown() {
    let net = net();
    let listener = listen(&net);
    let (mut client, _server) = pair(&net, &listener).await;
    client.write_all(&[0; WINDOW]).await.expect("taken");
    std::future::poll_fn(|context| {
        let poll =
            tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut client), context, b"x");
        assert!(poll.is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    client.shutdown().await.expect("shut down");
    clean(&net);
}

/// Sends a megabyte from the client to the server. Returns the time until the last byte was read.
async fn megabyte(mut client: SimStream, mut server: SimStream) -> Duration {
    let begun = Instant::now();
    let data: Vec<u8> = (0..1_000_000u32).map(|place| (place % 251) as u8).collect();
    let expected = data.clone();
    let writer = tokio::spawn(async move { client.write_all(&data).await });
    let mut read = Vec::new();
    server.read_to_end(&mut read).await.expect("read");
    writer.await.expect("ran").expect("written");
    assert!(read == expected, "the bytes are others");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn megabyte_takes_ten_seconds_at_100_kb_per_second() {
    let slow = Path {
        bandwidth: Some(100_000),
        ..path()
    };
    let net = SimNet::new(1, slow);
    let listener = listen(&net);
    let (client, server) = pair(&net, &listener).await;
    // Each connection has the bandwidth of its own.
    let (other_client, other_server) = pair(&net, &listener).await;
    let both = tokio::join!(
        megabyte(client, server),
        megabyte(other_client, other_server)
    );
    // The FIN arrives with the last byte.
    let expected = Duration::from_secs(10) + LATENCY;
    assert_eq!(both, (expected, expected));
    clean(&net);
}

/// The control: without a limit only the window makes it wait.
#[tokio::test(start_paused = true)]
async fn megabyte_takes_a_round_trip_per_window_without_a_limit() {
    let net = net();
    let listener = listen(&net);
    let (client, server) = pair(&net, &listener).await;
    let windows = u32::try_from(1_000_000usize.div_ceil(WINDOW)).expect("few");
    assert_eq!(megabyte(client, server).await, (2 * windows - 1) * LATENCY);
}

/// A path that loses this share of the segments.
fn lossy(loss: f64) -> Path {
    Path { loss, ..path() }
}

#[tokio::test(start_paused = true)]
async fn loss_delays_by_timeouts_that_double() {
    let net = net();
    let listener = listen(&net);
    let (a, b) = (client().address, server().ip());
    let mut delays = BTreeSet::new();
    for _ in 0..100 {
        net.set_path(a, b, path());
        let (mut client, mut server) = pair(&net, &listener).await;
        net.set_path(a, b, lossy(0.5));
        let begun = Instant::now();
        client.write_all(b"x").await.expect("written");
        server.read_exact(&mut [0]).await.expect("read");
        delays.insert(begun.elapsed());
    }
    let expected: BTreeSet<Duration> = (0..16)
        .map(|tries| LATENCY + TIMEOUT * ((1 << tries) - 1))
        .collect();
    assert!(delays.is_subset(&expected), "{delays:?}");
    // A hundred draws of one half give at least four different numbers of losses.
    assert!(delays.len() >= 4, "{delays:?}");
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn loss_neither_drops_nor_reorders_bytes() {
    for (loss, least) in [(0.0, 0), (0.2, 1), (0.6, 10)] {
        let net = net();
        let listener = listen(&net);
        net.set_default_system(System {
            retransmissions: 1000,
            ..System::LINUX
        });
        let (client, server) = pair(&net, &listener).await;
        net.set_path(
            crate::support::client().address,
            crate::support::server().ip(),
            lossy(loss),
        );
        let took = megabyte(client, server).await;
        assert!(took.as_secs() >= least, "{took:?} at {loss}");
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn writer_fails_when_everything_is_lost() {
    // 15 timeouts after the first: 0.22 s doubled nine times, then 120 s each; and 5 of 0.32 s.
    for (system, expected) in [(System::LINUX, 945_060), (System::WINDOWS, 20_160)] {
        let net = net();
        let listener = listen(&net);
        net.set_default_system(system);
        let (mut client, _server) = pair(&net, &listener).await;
        let (from, to) = (crate::support::client().address, server().ip());
        net.set_path(from, to, lossy(1.0));
        let begun = Instant::now();
        client.write_all(b"x").await.expect("taken");
        assert_eq!(
            crate::support::read_error(&mut client).await,
            io::ErrorKind::TimedOut
        );
        assert_eq!(begun.elapsed(), Duration::from_millis(expected));
        assert_eq!(kind(client.write(b"x").await), io::ErrorKind::BrokenPipe);
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_times_out_when_everything_is_lost_on_one_way() {
    for back in [false, true] {
        let net = net();
        let _listener = listen(&net);
        let (a, b) = (client().address, server().ip());
        let (from, to) = if back { (b, a) } else { (a, b) };
        net.set_path(from, to, lossy(1.0));
        let begun = Instant::now();
        let lost = net.connect(client(), server()).await;
        assert_eq!(kind(lost.map(|_| 0)), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), Duration::from_secs(21));
        clean(&net);
        // The server gives up its half of the connection, too.
        pass(Duration::from_secs(60)).await;
        assert_eq!(net.opened(), net.closed());
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn endless_path_lets_connects_time_out() {
    let endless = Path {
        latency: Duration::MAX..=Duration::MAX,
        ..Path::default()
    };
    let net = SimNet::new(1, endless);
    let _listener = listen(&net);
    let lost = net.connect(client(), server()).await;
    assert_eq!(kind(lost.map(|_| 0)), io::ErrorKind::TimedOut);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn paths_with_odd_values_work() {
    let odd = [
        (
            0.0,
            Some(0),
            Duration::from_secs(2)..=Duration::from_secs(1),
        ),
        (f64::NAN, None, Duration::ZERO..=Duration::ZERO),
        (-1.0, Some(u64::MAX), LATENCY..=LATENCY),
    ];
    for (loss, bandwidth, latency) in odd {
        let net = SimNet::new(
            1,
            Path {
                latency,
                bandwidth,
                loss,
            },
        );
        net.set_default_system(System {
            syn_timeout: Duration::MAX,
            time_wait: Duration::MAX,
            retransmission_timeout: Duration::MAX,
            ..System::LINUX
        });
        let listener = listen(&net);
        let (mut client, mut server) = pair(&net, &listener).await;
        client.write_all(b"x").await.expect("written");
        server.read_exact(&mut [0]).await.expect("read");
        clean(&net);
    }
}
