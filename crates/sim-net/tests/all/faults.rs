//! Partitions, NATs that forget, resets, silence and changed paths.

use std::{io, net::IpAddr, time::Duration};

use sim_net::{Forgotten, Local, Path, System};
use tcp_table::State::{CloseWait, Closed, Established, FinWait1, FinWait2};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::support::{
    LATENCY, clean, client, kind, listen, net, pair, pass, path, read_error, server, states,
};

fn hosts() -> (IpAddr, IpAddr) {
    (client().address, server().ip())
}

#[tokio::test(start_paused = true)]
async fn partition_makes_data_wait_until_it_is_sent_again_after_healing() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let (a, b) = hosts();
    net.partition(b, a);
    let begun = Instant::now();
    client.write_all(b"one ").await.expect("taken");
    pass(Duration::from_millis(300)).await;
    client.write_all(b"two").await.expect("taken");
    pass(Duration::from_millis(700)).await;
    assert_eq!(states(&net), (Established, Established));
    net.heal(a, b);
    // Sent again after 0.22 s, 0.66 s and 1.54 s; the second write goes with the first.
    let mut buffer = [0; 7];
    server.read_exact(&mut buffer).await.expect("read");
    assert_eq!(begun.elapsed(), Duration::from_millis(1540) + LATENCY);
    assert_eq!(&buffer, b"one two");
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn partition_loses_what_is_under_way() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let (a, b) = hosts();
    let begun = Instant::now();
    client.write_all(b"x").await.expect("taken");
    pass(LATENCY / 2).await;
    net.partition(a, b);
    pass(LATENCY).await;
    net.heal(a, b);
    server.read_exact(&mut [0]).await.expect("read");
    assert_eq!(begun.elapsed(), Duration::from_millis(220) + LATENCY);
}

#[tokio::test(start_paused = true)]
async fn long_partition_fails_the_writer_and_leaves_the_peer() {
    let net = net();
    net.set_default_system(System::WINDOWS);
    let listener = listen(&net);
    let (mut writer, peer) = pair(&net, &listener).await;
    let (a, b) = hosts();
    net.partition(a, b);
    let begun = Instant::now();
    writer.write_all(b"x").await.expect("taken");
    assert_eq!(read_error(&mut writer).await, io::ErrorKind::TimedOut);
    // 0.32 s × (1 + 2 + 4 + 8 + 16 + 32)
    assert_eq!(begun.elapsed(), Duration::from_millis(20_160));
    assert_eq!(kind(writer.write(b"x").await), io::ErrorKind::BrokenPipe);
    pass(Duration::from_secs(86_400)).await;
    assert_eq!(
        states(&net),
        (Closed, Established),
        "an idle end notices nothing"
    );
    clean(&net);
    // The writer's host knows of no connection any more.
    net.heal(a, b);
    let mut peer = peer;
    peer.write_all(b"x").await.expect("taken");
    assert_eq!(read_error(&mut peer).await, io::ErrorKind::ConnectionReset);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn partition_separates_two_hosts_only() {
    let net = net();
    let _listener = listen(&net);
    let (a, b) = hosts();
    net.partition(a, b);
    let begun = Instant::now();
    let separated = net.connect(client(), server()).await;
    assert_eq!(kind(separated.map(|_| 0)), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed(), Duration::from_secs(21));
    let elsewhere = Local::ephemeral("10.0.0.3".parse().expect("an address"));
    assert!(net.connect(elsewhere, server()).await.is_ok());
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn fin_waits_for_the_end_of_a_partition() {
    let net = net();
    let listener = listen(&net);
    let (client, server) = pair(&net, &listener).await;
    let (a, b) = hosts();
    net.partition(a, b);
    drop(client);
    pass(Duration::from_secs(1)).await;
    assert_eq!(states(&net), (FinWait1, Established));
    net.heal(a, b);
    pass(Duration::from_secs(1)).await;
    assert_eq!(states(&net), (FinWait2, CloseWait));
    drop(server);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn forgotten_connection_is_silent_in_both_directions() {
    let net = net();
    net.set_default_system(System::WINDOWS);
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let (other_client, mut other_server) = pair(&net, &listener).await;
    let local = client.local_addr().expect("has one");
    client.write_all(b"under way").await.expect("taken");
    assert_eq!(
        net.forget(|pair| pair.client == local, Forgotten::Vanish),
        1
    );
    let mut buffer = [0; 16];
    assert_eq!(server.read(&mut buffer).await.expect("sent before"), 9);
    client.write_all(b"lost").await.expect("taken");
    let silence = Duration::from_secs(10);
    assert!(
        tokio::time::timeout(silence, server.read(&mut buffer))
            .await
            .is_err()
    );
    server.write_all(b"lost").await.expect("taken");
    assert_eq!(read_error(&mut server).await, io::ErrorKind::TimedOut);
    assert_eq!(read_error(&mut client).await, io::ErrorKind::TimedOut);
    // The other connection goes on.
    drop(other_client);
    assert_eq!(other_server.read(&mut buffer).await.expect("end"), 0);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn nat_answers_a_forgotten_connection_with_rst_if_told_to() {
    let net = net();
    let listener = listen(&net);
    let (mut client, server) = pair(&net, &listener).await;
    assert_eq!(net.forget(|_| true, Forgotten::Reset), 1);
    pass(Duration::from_secs(600)).await;
    assert_eq!(states(&net), (Established, Established));
    let begun = Instant::now();
    client.write_all(b"x").await.expect("taken");
    assert_eq!(
        read_error(&mut client).await,
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(begun.elapsed(), LATENCY);
    assert_eq!(
        states(&net),
        (Closed, Established),
        "the server knows nothing of it"
    );
    drop(server);
    assert_eq!(states(&net), (Closed, FinWait1));
    pass(LATENCY).await;
    assert_eq!(states(&net), (Closed, Closed));
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn orphan_whose_fin_gets_no_answer_ends() {
    let net = net();
    net.set_default_system(System::WINDOWS);
    let listener = listen(&net);
    let (client, _server) = pair(&net, &listener).await;
    net.forget(|_| true, Forgotten::Vanish);
    drop(client);
    pass(Duration::from_millis(20_159)).await;
    assert_eq!(states(&net), (FinWait1, Established));
    pass(Duration::from_millis(1)).await;
    assert_eq!(states(&net), (Closed, Established));
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn reset_all_resets_both_ends_of_the_selected_connections() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let (other_client, other_server) = pair(&net, &listener).await;
    let local = client.local_addr().expect("has one");
    server.write_all(b"under way").await.expect("taken");
    assert_eq!(net.reset_all(|pair| pair.client == local), 1);
    clean(&net);
    assert_eq!(
        read_error(&mut client).await,
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        read_error(&mut server).await,
        io::ErrorKind::ConnectionReset
    );
    drop((client, server));
    assert_eq!(states(&net), (Established, Established));
    clean(&net);
    drop((other_client, other_server));
}

#[tokio::test(start_paused = true)]
async fn reset_all_reaches_connections_that_are_being_made() {
    let net = net();
    let listener = listen(&net);
    let connecting = tokio::spawn({
        let net = net.clone();
        async move { kind(net.connect(client(), server()).await) }
    });
    pass(LATENCY + LATENCY / 2).await;
    assert_eq!(net.reset_all(|_| true), 1);
    assert_eq!(
        connecting.await.expect("ran"),
        io::ErrorKind::ConnectionReset
    );
    clean(&net);
    assert_eq!(net.rows().len(), 1, "the listener");
    drop(listener);
}

#[tokio::test(start_paused = true)]
async fn silent_endpoint_lets_connects_time_out_and_connections_live() {
    let net = net();
    let listener = listen(&net);
    let (mut old, mut accepted) = pair(&net, &listener).await;
    net.stop_answering(server());
    let silent = net.connect(client(), server()).await;
    assert_eq!(kind(silent.map(|_| 0)), io::ErrorKind::TimedOut);
    old.write_all(b"x").await.expect("written");
    accepted.read_exact(&mut [0]).await.expect("read");
    net.answer(server());
    assert!(net.connect(client(), server()).await.is_ok());
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn changed_path_holds_for_connections_that_exist() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let (a, b) = hosts();
    let far = Path {
        latency: 30 * LATENCY..=30 * LATENCY,
        ..path()
    };
    net.set_path(a, b, far);
    let begun = Instant::now();
    client.write_all(b"x").await.expect("written");
    server.read_exact(&mut [0]).await.expect("read");
    assert_eq!(begun.elapsed(), 30 * LATENCY);
    server.write_all(b"x").await.expect("written");
    client.read_exact(&mut [0]).await.expect("read");
    assert_eq!(begun.elapsed(), 31 * LATENCY, "the way back is as it was");
}

#[tokio::test(start_paused = true)]
async fn shorter_path_does_not_let_segments_overtake() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    let (a, b) = hosts();
    let begun = Instant::now();
    client.write_all(b"one ").await.expect("written");
    let near = Path {
        latency: Duration::ZERO..=Duration::ZERO,
        ..path()
    };
    net.set_path(a, b, near);
    client.write_all(b"two").await.expect("written");
    let mut buffer = [0; 7];
    server.read_exact(&mut buffer).await.expect("read");
    assert_eq!((&buffer, begun.elapsed()), (b"one two", LATENCY));
}
