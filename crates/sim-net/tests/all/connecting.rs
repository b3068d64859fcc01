//! Connecting, reading, writing and closing.

use std::{io, time::Duration};

use tcp_table::State;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::support::{LATENCY, client, listen, net, pair, pass, server, states};

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways_and_closing_ends_in_time_wait() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    assert_eq!(states(&net), (State::Established, State::Established));
    let begun = Instant::now();
    client.write_all(b"ask").await.expect("written");
    let mut buffer = [0; 8];
    assert_eq!(server.read(&mut buffer).await.expect("read"), 3);
    assert_eq!(begun.elapsed(), LATENCY);
    server.write_all(b"answer").await.expect("written");
    assert_eq!(client.read(&mut buffer).await.expect("read"), 6);
    assert_eq!(&buffer[..6], b"answer");
    assert_eq!(begun.elapsed(), 2 * LATENCY);
    drop(client);
    assert_eq!(states(&net), (State::FinWait1, State::Established));
    assert_eq!(server.read(&mut buffer).await.expect("read"), 0);
    assert_eq!(states(&net), (State::FinWait1, State::CloseWait));
    pass(LATENCY).await;
    assert_eq!(states(&net), (State::FinWait2, State::CloseWait));
    drop(server);
    assert_eq!(states(&net), (State::FinWait2, State::LastAck));
    pass(LATENCY).await;
    assert_eq!(states(&net), (State::TimeWait, State::LastAck));
    let waiting = Instant::now();
    pass(LATENCY).await;
    assert_eq!(states(&net), (State::TimeWait, State::Closed));
    while states(&net).0 == State::TimeWait {
        pass(Duration::from_millis(1)).await;
    }
    assert_eq!(waiting.elapsed(), Duration::from_secs(60));
    assert_eq!((net.opened(), net.closed()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn connecting_is_refused_where_nobody_listens() {
    let begun = Instant::now();
    let refused = net().connect(client(), server()).await;
    assert_eq!(
        refused.expect_err("nobody listens").kind(),
        io::ErrorKind::ConnectionRefused
    );
    assert_eq!(begun.elapsed(), 2 * LATENCY);
}
