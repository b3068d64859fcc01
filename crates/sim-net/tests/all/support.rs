//! Networks, connections and what is looked up in them.

use std::{io, net::SocketAddr, time::Duration};

use sim_net::{Local, Path, SimListener, SimNet, SimStream};
use tcp_table::State;
use tokio::io::AsyncReadExt;

/// One way of a plain path.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

/// Where the client is.
pub(crate) const CLIENT: &str = "10.0.0.1";
/// Where the server listens.
pub(crate) const SERVER: &str = "10.0.0.2:443";

/// A path with a fixed latency.
pub(crate) fn path() -> Path {
    Path {
        latency: LATENCY..=LATENCY,
        ..Path::default()
    }
}

/// A network whose paths all have a fixed latency.
pub(crate) fn net() -> SimNet {
    SimNet::new(1, path())
}

/// Endpoint of the server.
pub(crate) fn server() -> SocketAddr {
    SERVER.parse().expect("an endpoint")
}

/// The client's side.
pub(crate) fn client() -> Local {
    Local::ephemeral(CLIENT.parse().expect("an address"))
}

/// A listener with room for many.
pub(crate) fn listen(net: &SimNet) -> SimListener {
    net.listen(server(), 128).expect("nobody listens there")
}

/// A connection: the client's stream and the server's.
pub(crate) async fn pair(net: &SimNet, listener: &SimListener) -> (SimStream, SimStream) {
    let (client, server) = tokio::join!(net.connect(client(), server()), listener.accept());
    (client.expect("connected"), server.expect("accepted").0)
}

/// States of the client's and the server's end of the only connection; `Closed` for one that is gone.
pub(crate) fn states(net: &SimNet) -> (State, State) {
    let rows = net.rows();
    let state = |server_end: bool| {
        let mut found = rows
            .iter()
            .filter(|row| row.state != State::Listening && (row.local.port() == 443) == server_end);
        let state = found.next().map_or(State::Closed, |row| row.state);
        assert!(found.next().is_none(), "more than one connection: {rows:?}");
        state
    };
    (state(false), state(true))
}

/// Lets time pass.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Nothing in the network contradicts itself.
pub(crate) fn clean(net: &SimNet) {
    assert_eq!(net.check(), [""; 0]);
    assert_eq!(net.check_changes(), [""; 0]);
    let mut rows = net.rows();
    rows.retain(|row| row.state != State::Established);
    assert_eq!(net.rows_but_established(None), rows);
    for port in rows.iter().map(|row| row.remote.port()) {
        let mut rows = rows.clone();
        rows.retain(|row| row.remote.port() == port);
        assert_eq!(net.rows_but_established(Some(port)), rows);
    }
}

/// Kind of an error.
pub(crate) fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("fails").kind()
}

/// Kind of the error that reading gives.
pub(crate) async fn read_error(stream: &mut SimStream) -> io::ErrorKind {
    kind(stream.read(&mut [0; 8]).await)
}
