//! The same seed and the same program give the same events; and what the network costs while idle.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_net::{Entry, Forgotten, Local, Path, SimNet};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Handle, Runtime},
    time::sleep,
};

use crate::support::{clean, client, listen, net, pair, pass, server};

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// A client that asks, waits, and closes in one way or another.
async fn ask(net: SimNet, number: u8, seed: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed + u64::from(number));
    let local = Local::ephemeral(format!("10.0.1.{number}").parse().expect("an address"));
    for _ in 0..10 {
        sleep(Duration::from_millis(random.random_range(0..2000))).await;
        let Ok(mut stream) = net.connect(local.clone(), server()).await else {
            continue;
        };
        for _ in 0..random.random_range(1..5) {
            let data = vec![number; random.random_range(1..5000)];
            if stream.write_all(&data).await.is_err() {
                break;
            }
            let mut answer = vec![0; data.len()];
            if stream.read_exact(&mut answer).await.is_err() {
                break;
            }
        }
        if random.random_bool(0.3) {
            stream.reset();
        }
    }
}

/// Plays a program with losses and faults. Returns what happened.
fn play(seed: u64) -> Vec<Entry> {
    runtime().block_on(async {
        let path = Path {
            latency: Duration::from_millis(1)..=Duration::from_millis(80),
            bandwidth: Some(50_000),
            loss: 0.05,
        };
        let net = SimNet::new(seed, path);
        net.record(1_000_000);
        let listener = listen(&net);
        let echo = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = tokio::io::split(stream);
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let clients: Vec<_> = (1..20)
            .map(|number| tokio::spawn(ask(net.clone(), number, seed)))
            .collect();
        for number in 1..10u8 {
            pass(Duration::from_millis(700)).await;
            let host = format!("10.0.1.{number}").parse().expect("an address");
            net.partition(host, server().ip());
            pass(Duration::from_millis(700)).await;
            net.heal(host, server().ip());
            net.forget(|pair| pair.client.ip() == host, Forgotten::Reset);
            clean(&net);
        }
        for client in clients {
            client.await.expect("ran");
        }
        echo.abort();
        clean(&net);
        net.trace()
    })
}

#[test]
fn same_seed_gives_the_same_events_at_the_same_times() {
    let first = play(5);
    assert!(first.len() > 2000, "{} events are few", first.len());
    assert_eq!(first, play(5));
    assert_ne!(first, play(6));
}

#[tokio::test(start_paused = true)]
async fn record_keeps_the_latest_entries() {
    let net = net();
    let listener = listen(&net);
    drop(pair(&net, &listener).await);
    assert!(net.trace().is_empty(), "the default keeps none");
    net.record(3);
    drop(pair(&net, &listener).await);
    pass(Duration::from_secs(100)).await;
    let trace = net.trace();
    let states: Vec<_> = trace.iter().map(|entry| entry.what).collect();
    let closed = sim_net::Happened::State(tcp_table::State::Closed);
    assert_eq!(states.len(), 3);
    assert_eq!(states[2], closed);
    assert_eq!(trace[2].connection, 1);
    net.record(1);
    assert_eq!(net.trace(), trace[2..]);
}

#[tokio::test(start_paused = true)]
async fn idle_network_has_no_task() {
    let net = net();
    let listener = listen(&net);
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(pair(&net, &listener).await);
    }
    pass(Duration::from_secs(1)).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 0);
    for (client, _) in &mut streams {
        client.write_all(b"x").await.expect("written");
    }
    assert_eq!(tasks(), 1, "one for all that is under way");
    pass(Duration::from_secs(1)).await;
    assert_eq!(tasks(), 0);
    for (_, server) in &mut streams {
        assert_eq!(server.try_read(&mut [0; 8]).expect("arrived"), 1);
        let empty = server.try_read(&mut [0; 8]);
        assert_eq!(crate::support::kind(empty), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn network_outlives_its_runtime() {
    let net = net();
    let (listener, stream) = runtime().block_on(async {
        let listener = listen(&net);
        let (client, _server) = pair(&net, &listener).await;
        (listener, client)
    });
    // Without a runtime nothing moves, but nothing breaks.
    drop(stream);
    clean(&net);
    drop(listener);
    runtime().block_on(async {
        let listener = listen(&net);
        let (mut client, mut server) = pair(&net, &listener).await;
        client.write_all(b"x").await.expect("written");
        server.read_exact(&mut [0]).await.expect("read");
        clean(&net);
    });
}

#[tokio::test(start_paused = true)]
async fn aborted_task_closes_its_streams() {
    let net = net();
    let listener = listen(&net);
    let (mut stream, mut server) = pair(&net, &listener).await;
    let held = tokio::spawn(async move { stream.read(&mut [0; 8]).await });
    pass(Duration::from_secs(1)).await;
    held.abort();
    assert_eq!(server.read(&mut [0; 8]).await.expect("end"), 0);
    assert_eq!(client().ports, 49152..=65535);
    clean(&net);
}
