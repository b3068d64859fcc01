//! The transitions of RFC 9293's diagram that closing causes, seen at both ends, and RST.

use std::{io, time::Duration};

use sim_net::{Ports, Row, System};
use tcp_table::State::{
    self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived,
    SynSent, TimeWait,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::support::{
    LATENCY, clean, client, kind, listen, net, pair, pass, read_error, server, states,
};

#[tokio::test(start_paused = true)]
async fn handshake_passes_syn_sent_and_syn_received() {
    let net = net();
    let listener = listen(&net);
    let connecting = tokio::spawn({
        let net = net.clone();
        async move { net.connect(client(), server()).await }
    });
    pass(LATENCY / 2).await;
    assert_eq!(states(&net), (SynSent, Closed));
    pass(LATENCY).await;
    assert_eq!(states(&net), (SynSent, SynReceived));
    pass(LATENCY).await;
    assert_eq!(states(&net), (Established, SynReceived));
    pass(LATENCY).await;
    assert_eq!(states(&net), (Established, Established));
    let owned = |net: &sim_net::SimNet| -> Vec<bool> {
        let rows = net.rows();
        rows.iter().map(|row| row.owned).collect()
    };
    assert_eq!(owned(&net), [true, true, false], "nobody accepted it yet");
    let accepted = listener.accept().await.expect("waits").0;
    assert_eq!(owned(&net), [true, true, true]);
    let stream = connecting.await.expect("ran").expect("connected");
    assert_eq!(stream.peer_addr().expect("has one"), server());
    assert_eq!(
        accepted.peer_addr().expect("has one"),
        stream.local_addr().expect("has one")
    );
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn simultaneous_close_passes_closing() {
    let net = net();
    let listener = listen(&net);
    let (client, server) = pair(&net, &listener).await;
    drop(client);
    drop(server);
    assert_eq!(states(&net), (FinWait1, FinWait1));
    pass(LATENCY).await;
    assert_eq!(states(&net), (Closing, Closing));
    pass(LATENCY).await;
    assert_eq!(states(&net), (TimeWait, TimeWait));
    pass(System::LINUX.time_wait).await;
    assert_eq!(states(&net), (Closed, Closed));
    clean(&net);
    assert_eq!(net.closed(), 2);
}

#[tokio::test(start_paused = true)]
async fn shut_down_end_still_reads() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    client.shutdown().await.expect("shut down");
    client.shutdown().await.expect("shut down already");
    assert_eq!(kind(client.write(b"x").await), io::ErrorKind::BrokenPipe);
    let mut buffer = [0; 8];
    assert_eq!(server.read(&mut buffer).await.expect("end"), 0);
    pass(LATENCY).await;
    assert_eq!(states(&net), (FinWait2, CloseWait));
    // Held by a program, FIN_WAIT_2 has no end.
    pass(Duration::from_secs(3600)).await;
    assert_eq!(states(&net), (FinWait2, CloseWait));
    server.write_all(b"late").await.expect("written");
    assert_eq!(client.read(&mut buffer).await.expect("read"), 4);
    assert_eq!(&buffer[..4], b"late");
    drop(server);
    assert_eq!(client.read(&mut buffer).await.expect("end"), 0);
    assert_eq!(states(&net), (TimeWait, LastAck));
    let waiting: Vec<Row> = net
        .rows()
        .into_iter()
        .filter(|row| row.state == TimeWait)
        .collect();
    assert!(
        !waiting[0].owned,
        "TIME_WAIT has no owner even while the stream is held"
    );
    pass(LATENCY).await;
    assert_eq!(states(&net), (TimeWait, Closed));
    pass(System::LINUX.time_wait).await;
    assert_eq!(states(&net), (Closed, Closed));
    assert_eq!(client.read(&mut buffer).await.expect("end"), 0);
    assert_eq!(kind(client.write(b"x").await), io::ErrorKind::BrokenPipe);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn orphan_leaves_fin_wait_2_when_its_systems_time_is_over() {
    for (system, seconds) in [(System::LINUX, 60), (System::WINDOWS, 120)] {
        let net = net();
        net.set_system(client().address, system);
        let listener = listen(&net);
        let (client, mut server) = pair(&net, &listener).await;
        drop(client);
        pass(2 * LATENCY).await;
        assert_eq!(states(&net), (FinWait2, CloseWait));
        pass(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        assert_eq!(states(&net), (FinWait2, CloseWait));
        pass(Duration::from_millis(1)).await;
        assert_eq!(states(&net), (Closed, CloseWait));
        clean(&net);
        // The server's FIN meets nobody.
        server.shutdown().await.expect("shut down");
        assert_eq!(states(&net), (Closed, LastAck));
        pass(2 * LATENCY).await;
        assert_eq!(states(&net), (Closed, Closed));
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn data_for_an_orphan_is_answered_with_rst() {
    let net = net();
    let listener = listen(&net);
    let (client, mut server) = pair(&net, &listener).await;
    drop(client);
    pass(2 * LATENCY).await;
    assert_eq!(states(&net), (FinWait2, CloseWait));
    server.write_all(b"answer").await.expect("taken");
    pass(LATENCY).await;
    assert_eq!(states(&net), (Closed, CloseWait));
    pass(LATENCY).await;
    assert_eq!(states(&net), (Closed, Closed));
    assert_eq!(
        kind(server.write(b"more").await),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(kind(server.write(b"more").await), io::ErrorKind::BrokenPipe);
    // The FIN came before the RST.
    assert_eq!(server.read(&mut [0; 8]).await.expect("end"), 0);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn unread_data_turns_a_drop_into_rst() {
    let net = net();
    let listener = listen(&net);
    let (client, mut server) = pair(&net, &listener).await;
    server.write_all(b"unread").await.expect("written");
    pass(LATENCY).await;
    drop(client);
    assert_eq!(states(&net), (Closed, Established));
    assert_eq!(
        read_error(&mut server).await,
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        read_error(&mut server).await,
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(kind(server.write(b"x").await), io::ErrorKind::BrokenPipe);
    server.shutdown().await.expect("nothing to do");
    assert_eq!(states(&net), (Closed, Closed));
    clean(&net);
    drop(server);
    assert_eq!((net.opened(), net.closed()), (2, 2));
}

/// The control: the same, but the data is read.
#[tokio::test(start_paused = true)]
async fn read_data_leaves_a_drop_a_fin() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    server.write_all(b"read").await.expect("written");
    assert_eq!(client.read(&mut [0; 8]).await.expect("read"), 4);
    drop(client);
    assert_eq!(server.read(&mut [0; 8]).await.expect("end"), 0);
    assert_eq!(states(&net), (FinWait1, CloseWait));
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn zero_linger_and_reset_send_rst() {
    for by_method in [false, true] {
        let net = net();
        let listener = listen(&net);
        let (client, mut server) = pair(&net, &listener).await;
        if by_method {
            client.reset();
        } else {
            client.set_zero_linger();
            drop(client);
        }
        assert_eq!(states(&net), (Closed, Established));
        let begun = Instant::now();
        assert_eq!(
            read_error(&mut server).await,
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(begun.elapsed(), LATENCY);
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn data_sent_before_a_reset_can_be_read() {
    let net = net();
    let listener = listen(&net);
    let (mut client, mut server) = pair(&net, &listener).await;
    client.write_all(b"last words").await.expect("written");
    client.reset();
    let mut buffer = [0; 16];
    pass(2 * LATENCY).await;
    assert_eq!(server.read(&mut buffer).await.expect("read"), 10);
    assert_eq!(
        read_error(&mut server).await,
        io::ErrorKind::ConnectionReset
    );
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn write_after_rst_reports_the_reset_first_and_then_a_broken_pipe() {
    let net = net();
    let listener = listen(&net);
    let (client, mut server) = pair(&net, &listener).await;
    client.reset();
    pass(LATENCY).await;
    assert_eq!(
        kind(server.write(b"x").await),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(kind(server.write(b"x").await), io::ErrorKind::BrokenPipe);
    assert_eq!(
        read_error(&mut server).await,
        io::ErrorKind::ConnectionReset
    );
}

#[tokio::test(start_paused = true)]
async fn time_wait_is_as_long_as_its_systems() {
    for (system, seconds) in [(System::LINUX, 60), (System::WINDOWS, 120)] {
        let net = net();
        net.set_default_system(system);
        let listener = listen(&net);
        let (client, server) = pair(&net, &listener).await;
        drop(server);
        pass(LATENCY).await;
        drop(client);
        pass(LATENCY).await;
        assert_eq!(states(&net), (LastAck, TimeWait), "who closes first waits");
        pass(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        assert_eq!(states(&net), (Closed, TimeWait));
        pass(Duration::from_millis(1)).await;
        assert_eq!(states(&net), (Closed, Closed));
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_listener_resets_who_waits_and_refuses_who_comes() {
    let net = net();
    let listener = listen(&net);
    let mut waiting = net.connect(client(), server()).await.expect("connected");
    pass(LATENCY).await;
    drop(listener);
    assert_eq!(states(&net), (Established, Closed));
    assert_eq!(
        read_error(&mut waiting).await,
        io::ErrorKind::ConnectionReset
    );
    let refused = net.connect(client(), server()).await;
    assert_eq!(kind(refused.map(|_| 0)), io::ErrorKind::ConnectionRefused);
    clean(&net);
    drop(waiting);
    assert!(net.rows().is_empty());
    assert_eq!(net.opened(), net.closed());
}

#[tokio::test(start_paused = true)]
async fn cancelled_connect_leaves_no_socket() {
    for after in [LATENCY / 2, LATENCY + LATENCY / 2] {
        let net = net();
        let _listener = listen(&net);
        let connecting = net.connect(client(), server());
        assert!(tokio::time::timeout(after, connecting).await.is_err());
        assert_eq!(states(&net).0, Closed);
        clean(&net);
        pass(4 * LATENCY).await;
        assert_eq!(states(&net), (Closed, Closed));
        assert_eq!(net.opened(), net.closed());
        clean(&net);
    }
}

#[tokio::test(start_paused = true)]
async fn counts_follow_the_states_by_port() {
    let net = net();
    let listener = listen(&net);
    let count = |ports: Ports, state: State| {
        let place = State::ALL.iter().position(|known| *known == state);
        net.counts(ports)[place.expect("known")]
    };
    let local = Ports {
        local: Some(443),
        ..Ports::default()
    };
    let remote = Ports {
        remote: Some(443),
        ..Ports::default()
    };
    assert_eq!(count(local, State::Listening), 1);
    let (client, _server) = pair(&net, &listener).await;
    let both = Ports {
        local: Some(client.local_addr().expect("has one").port()),
        remote: Some(443),
        ..Ports::default()
    };
    let ipv6 = |ipv6: bool| Ports {
        ipv6: Some(ipv6),
        ..local
    };
    let other = Ports {
        local: Some(444),
        ..Ports::default()
    };
    assert_eq!(count(Ports::default(), Established), 2);
    for ports in [local, remote, both, ipv6(false)] {
        assert_eq!(count(ports, Established), 1);
    }
    assert_eq!(net.counts(ipv6(true)), [0; State::ALL.len()]);
    assert_eq!(net.counts(other), [0; State::ALL.len()]);
    drop(client);
    pass(2 * LATENCY).await;
    assert_eq!((count(local, CloseWait), count(local, FinWait2)), (1, 0));
    assert_eq!((count(remote, CloseWait), count(remote, FinWait2)), (0, 1));
    assert_eq!(count(both, FinWait2), 1);
    drop(listener);
    assert_eq!(count(local, State::Listening), 0);
    clean(&net);
}
