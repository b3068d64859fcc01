//! Ports: which are taken, and when they are free again.

use std::{io, time::Duration};

use sim_net::{Local, SimNet, SimStream, System};
use tcp_table::State;

use crate::support::{LATENCY, clean, client, kind, listen, net, pass, server};

/// The client's side with three ports.
fn three() -> Local {
    Local {
        ports: 50000..=50002,
        ..client()
    }
}

async fn connect(net: &SimNet, local: Local) -> io::Result<SimStream> {
    net.connect(local, server()).await
}

fn port(stream: &SimStream) -> u16 {
    stream.local_addr().expect("has one").port()
}

#[tokio::test(start_paused = true)]
async fn ports_are_given_in_turn_and_run_out() {
    let net = net();
    let _listener = listen(&net);
    let mut streams = Vec::new();
    for expected in 50000..=50002 {
        let stream = connect(&net, three()).await.expect("a port is free");
        assert_eq!(port(&stream), expected);
        streams.push(stream);
    }
    let full = connect(&net, three()).await;
    assert_eq!(kind(full.map(|_| 0)), io::ErrorKind::AddrNotAvailable);
    // A reset leaves no TIME_WAIT, so its port is free immediately.
    streams.remove(1).reset();
    let again = connect(&net, three()).await.expect("one is free");
    assert_eq!(port(&again), 50001);
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn ports_are_taken_towards_one_endpoint_only() {
    let net = net();
    let _listener = listen(&net);
    let other = "10.0.0.2:444".parse().expect("an endpoint");
    let _other = net.listen(other, 1).expect("nobody listens there");
    let one = Local {
        ports: 50000..=50000,
        ..client()
    };
    let _first = connect(&net, one.clone()).await.expect("free");
    assert!(connect(&net, one.clone()).await.is_err());
    let towards_other = net
        .connect(one.clone(), other)
        .await
        .expect("another endpoint");
    assert_eq!(port(&towards_other), 50000);
    let from_other = Local {
        address: "10.0.0.3".parse().expect("an address"),
        ..one
    };
    assert!(connect(&net, from_other).await.is_ok(), "another address");
}

#[tokio::test(start_paused = true)]
async fn port_in_time_wait_is_free_after_exactly_the_delay() {
    let net = net();
    let listener = listen(&net);
    let one = Local {
        ports: 50000..=50000,
        ..client()
    };
    let stream = connect(&net, one.clone()).await.expect("free");
    let (accepted, _) = listener.accept().await.expect("accepted");
    drop(stream);
    pass(LATENCY).await;
    drop(accepted);
    pass(LATENCY).await;
    assert!(net.rows().iter().any(|row| row.state == State::TimeWait));
    let taken = connect(&net, one.clone()).await;
    assert_eq!(kind(taken.map(|_| 0)), io::ErrorKind::AddrNotAvailable);
    pass(System::LINUX.time_wait - Duration::from_millis(1)).await;
    let taken = connect(&net, one.clone()).await;
    assert_eq!(kind(taken.map(|_| 0)), io::ErrorKind::AddrNotAvailable);
    pass(Duration::from_millis(1)).await;
    assert!(connect(&net, one).await.is_ok());
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn port_in_time_wait_is_reused_if_allowed() {
    let net = net();
    let listener = listen(&net);
    let one = Local {
        ports: 50000..=50000,
        reuse_time_wait: true,
        ..client()
    };
    // Established sockets are not reused.
    let stream = connect(&net, one.clone()).await.expect("free");
    assert!(connect(&net, one.clone()).await.is_err());
    let (accepted, _) = listener.accept().await.expect("accepted");
    drop(stream);
    pass(LATENCY).await;
    drop(accepted);
    pass(2 * LATENCY).await;
    let again = connect(&net, one).await.expect("reused");
    assert_eq!(port(&again), 50000);
    assert!(!net.rows().iter().any(|row| row.state == State::TimeWait));
    clean(&net);
}

/// The server closed first, so TIME_WAIT is there, and the client's port is free.
#[tokio::test(start_paused = true)]
async fn syn_replaces_time_wait_at_the_server() {
    let net = net();
    let listener = listen(&net);
    let one = Local {
        ports: 50000..=50000,
        ..client()
    };
    let stream = connect(&net, one.clone()).await.expect("free");
    drop(listener.accept().await.expect("accepted"));
    pass(LATENCY).await;
    drop(stream);
    pass(2 * LATENCY).await;
    let waits = |net: &SimNet| net.rows().iter().any(|row| row.state == State::TimeWait);
    assert!(waits(&net));
    let _again = connect(&net, one).await.expect("connected");
    assert!(!waits(&net));
    clean(&net);
}

/// The server has not noticed that the client is gone. The client's new SYN ends the old connection
/// there, and connects when it is sent again.
#[tokio::test(start_paused = true)]
async fn syn_ends_a_stale_connection_at_the_server() {
    let net = net();
    let listener = listen(&net);
    let one = Local {
        ports: 50000..=50000,
        ..client()
    };
    let stream = connect(&net, one.clone()).await.expect("free");
    let (mut stale, _) = listener.accept().await.expect("accepted");
    net.partition(one.address, server().ip());
    stream.reset();
    pass(LATENCY).await;
    net.heal(one.address, server().ip());
    let begun = tokio::time::Instant::now();
    let _again = connect(&net, one).await.expect("connected");
    assert_eq!(begun.elapsed(), Duration::from_secs(1) + 2 * LATENCY);
    assert_eq!(
        crate::support::read_error(&mut stale).await,
        io::ErrorKind::ConnectionReset
    );
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn listening_takes_a_free_port_and_refuses_a_taken_one() {
    let net = net();
    let address: std::net::IpAddr = "10.0.0.2".parse().expect("an address");
    let any = std::net::SocketAddr::new(address, 0);
    let ports: Vec<u16> = (0..2)
        .map(|_| net.listen(any, 1).expect("a port is free"))
        .map(|listener| {
            let port = listener.local_addr().expect("has one").port();
            std::mem::forget(listener);
            port
        })
        .collect();
    assert_eq!(ports, [10000, 10001]);
    let taken = std::net::SocketAddr::new(address, 10000);
    assert_eq!(
        kind(net.listen(taken, 1).map(|_| 0)),
        io::ErrorKind::AddrInUse
    );
    let listener = listen(&net);
    drop(listener);
    drop(net.listen(server(), 1).expect("free again"));
}

#[tokio::test(start_paused = true)]
async fn full_backlog_drops_syns_until_somebody_accepts() {
    let net = net();
    let listener = net.listen(server(), 1).expect("free");
    let _first = net.connect(client(), server()).await.expect("connected");
    let begun = tokio::time::Instant::now();
    let second = tokio::spawn({
        let net = net.clone();
        async move { net.connect(client(), server()).await }
    });
    pass(Duration::from_millis(3500)).await;
    let _accepted = listener.accept().await.expect("accepted");
    let _second = second.await.expect("ran").expect("connected");
    // SYNs at 0, 1, 3 and 7 s; each waits from its sending, the answer takes two ways.
    assert_eq!(begun.elapsed(), Duration::from_secs(7) + 2 * LATENCY);
    // The second is in the backlog now, so a third gets no answer at all.
    let begun = tokio::time::Instant::now();
    let third = net.connect(client(), server()).await;
    assert_eq!(kind(third.map(|_| 0)), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed(), Duration::from_secs(21));
    clean(&net);
}

#[tokio::test(start_paused = true)]
async fn empty_range_has_no_port() {
    #[expect(clippy::reversed_empty_ranges, reason = "a caller may pass one")]
    let none = Local {
        ports: 50001..=50000,
        ..client()
    };
    let full = connect(&net(), none).await;
    assert_eq!(kind(full.map(|_| 0)), io::ErrorKind::AddrNotAvailable);
}

#[tokio::test(start_paused = true)]
async fn families_do_not_mix() {
    let local = Local::ephemeral("::1".parse().expect("an address"));
    let mixed = net().connect(local, server()).await;
    assert_eq!(kind(mixed.map(|_| 0)), io::ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn listener_at_the_unspecified_address_takes_all_others() {
    let net = net();
    let any = net
        .listen("0.0.0.0:443".parse().expect("an endpoint"), 8)
        .expect("free");
    let _exact = listen(&net);
    let _to_exact = net.connect(client(), server()).await.expect("connected");
    let elsewhere = "10.0.0.9:443".parse().expect("an endpoint");
    let stream = net.connect(client(), elsewhere).await.expect("connected");
    let (accepted, remote) = any.accept().await.expect("accepted");
    assert_eq!(accepted.local_addr().expect("has one"), elsewhere);
    assert_eq!(remote, stream.local_addr().expect("has one"));
    assert_eq!(
        any.local_addr().expect("has one").ip().to_string(),
        "0.0.0.0"
    );
    clean(&net);
}
