//! Listening sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mock_api::fault::FaultKind;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::connection::{Client, serve};
use crate::front_door::server::Server;
use crate::front_door::{StartError, tls};
use crate::link::App;
use crate::machine::{Listening, Machine, Socket};

/// After a failed accept, mostly for want of descriptors: at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A client that cannot shake hands by then never will.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

pub(in crate::front_door) fn bind(
    machine: &Machine,
    address: SocketAddr,
) -> Result<Listening, StartError> {
    let listening = machine.listen(address);
    listening.map_err(|source| StartError::Listen { address, source })
}

/// Accepts until the task is ended. Its connections end with it.
pub(in crate::front_door) async fn accept(
    server: Arc<Server>,
    listener: Listening,
    app: App,
    tls: Option<TlsAcceptor>,
) {
    let mut faults = server.host.faults_changed.watch();
    let mut is_failing = false;
    let mut connections = JoinSet::new();
    loop {
        if app == App::FrontEnd && server.host.faults.lock().has(FaultKind::HangAccept) {
            faults.changed().await;
            continue;
        }
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    is_failing = false;
                    connections.spawn(connection(Arc::clone(&server), stream, app, tls.clone()));
                }
                Err(error) => {
                    // Once for each time without descriptors, and not ten times a second.
                    if !std::mem::replace(&mut is_failing, true) {
                        server.tell(&format!("cannot accept a connection: {error}"));
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
            () = faults.changed() => {}
        }
    }
}

async fn connection(server: Arc<Server>, stream: Socket, app: App, tls: Option<TlsAcceptor>) {
    if app == App::FrontEnd {
        server.accepted.fetch_add(1, Ordering::Relaxed);
    }
    // A connection whose other end is gone already has no address, and nothing to be served.
    let Ok(peer) = stream.peer_addr() else { return };
    let mut client = Client {
        app,
        peer: Some(peer),
        certificate_user: None,
    };
    match tls {
        None => serve(server, stream, client).await,
        Some(acceptor) => {
            // A client that cannot shake hands has nothing to be told.
            if let Ok(Ok(stream)) =
                tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await
            {
                client.certificate_user = tls::client_user(stream.get_ref().1);
                serve(server, stream, client).await;
            }
        }
    }
}
