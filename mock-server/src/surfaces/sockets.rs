//! The mock's real TCP sockets, with the owners Windows would name (server-observability.md,
//! section 5): HTTP.sys owns what clients connect to, so those sockets show the System process;
//! only the outgoing sockets of the front-end proxy belong to a worker.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tcp_table::{Query, Row, State};

use crate::machine::Machine;

/// The process Windows would name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// PID 4: HTTP.sys.
    System,
    /// PID 0: no process any more.
    Idle,
    /// A worker, by its process id.
    Worker(u32),
}

impl Owner {
    /// The process id.
    pub(crate) const fn pid(self) -> u32 {
        match self {
            Self::System => 4,
            Self::Idle => 0,
            Self::Worker(pid) => pid,
        }
    }
}

/// One socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketRow {
    /// This side.
    pub(crate) local: SocketAddr,
    /// The other side; port 0 for a listening socket.
    pub(crate) remote: SocketAddr,
    /// State.
    pub(crate) state: State,
    /// Whom Windows would name.
    pub(crate) owner: Owner,
}

/// Which sockets of the machine are the mock's. Ports alone decide, so a process that happens to
/// have one of them on another address of the machine would be counted too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Where clients connect, as 443.
    pub(crate) client_ports: Vec<u16>,
    /// Where workers connect, as 444.
    pub(crate) back_end_port: u16,
}

impl Scope {
    fn is_served(&self, port: u16) -> bool {
        port == self.back_end_port || self.client_ports.contains(&port)
    }
}

/// Looks at the sockets of the machine again and again.
pub(crate) struct Scanner {
    machine: Machine,
    scope: Scope,
    /// Which worker has the socket of an inode. Asking the kernel takes a system call for each
    /// open file of each worker, so it is asked only when a socket without a known owner appears;
    /// while Pings are merely held, none does.
    owners: HashMap<u32, u32>,
}

impl Scanner {
    /// Looks at the sockets in that scope.
    pub(crate) fn new(machine: Machine, scope: Scope) -> Self {
        Self {
            machine,
            scope,
            owners: HashMap::new(),
        }
    }

    /// The sockets now, in the kernel's order. `workers` are the processes that outgoing sockets
    /// may belong to; sockets towards the back end that others have are left out.
    ///
    /// A socket that closes during the scan may be missing. On other systems than Linux there are no
    /// sockets. Blocks: some milliseconds with 20,000 sockets, and a few hundred with a new one among
    /// them, so it belongs on a blocking thread.
    pub(crate) fn scan(&mut self, workers: &[u32]) -> Vec<SocketRow> {
        let found = self.found();
        self.find_owners(&found, workers);
        let rows = found.iter().filter_map(|socket| {
            let owner = owner(socket, &self.scope, &self.owners)?;
            Some(SocketRow {
                local: socket.local,
                remote: socket.remote,
                state: socket.state,
                owner,
            })
        });
        rows.collect()
    }

    /// How many sockets are in each state, IPv4 and IPv6 apart. Whose they are costs most of a scan,
    /// and does not matter here.
    pub(crate) fn states(&self) -> BTreeMap<(bool, State), u64> {
        let mut sums = BTreeMap::new();
        for query in self.queries() {
            let counts = self.machine.counts(query).unwrap_or_default();
            for (is_ipv4, counts) in [(true, counts.ipv4), (false, counts.ipv6)] {
                for (state, count) in State::ALL.into_iter().zip(counts) {
                    if count > 0 {
                        *sums.entry((is_ipv4, state)).or_default() += u64::from(count);
                    }
                }
            }
        }
        sums
    }

    fn found(&self) -> Vec<Row> {
        let queries = self.queries();
        let rows = queries.flat_map(|query| self.machine.rows(query).unwrap_or_default());
        rows.collect()
    }

    fn queries(&self) -> impl Iterator<Item = Query> {
        let served = self.scope.client_ports.iter();
        let served = served.map(|port| (Some(*port), None));
        let back_end = Some(self.scope.back_end_port);
        let ports = served.chain([(back_end, None), (None, back_end)]);
        ports.flat_map(|(local_port, remote_port)| {
            [false, true].map(|ipv6| Query {
                ipv6,
                local_port,
                remote_port,
                established: true,
            })
        })
    }

    fn find_owners(&mut self, found: &[Row], workers: &[u32]) {
        let outgoing: HashSet<u32> = found
            .iter()
            .filter(|socket| !self.scope.is_served(socket.local.port()) && socket.inode != 0)
            .map(|socket| socket.inode)
            .collect();
        // Numbers and process ids are used again.
        self.owners
            .retain(|inode, pid| outgoing.contains(inode) && workers.contains(pid));
        if self.owners.len() < outgoing.len() {
            add_owners(&mut self.owners, &outgoing, workers);
        }
    }
}

/// Whom Windows would name, or `None` if the socket is not the mock's. One that no process has
/// but that is not in TIME_WAIT, because a worker closed or was killed, goes to PID 0 too; what
/// Windows shows for those is our assumption.
fn owner(socket: &Row, scope: &Scope, owners: &HashMap<u32, u32>) -> Option<Owner> {
    if socket.state == State::TimeWait {
        Some(Owner::Idle)
    } else if scope.is_served(socket.local.port()) {
        Some(Owner::System)
    } else if socket.inode == 0 {
        Some(Owner::Idle)
    } else {
        owners.get(&socket.inode).copied().map(Owner::Worker)
    }
}

/// Adds the workers of those sockets. A worker that ended has none.
fn add_owners(owners: &mut HashMap<u32, u32>, sockets: &HashSet<u32>, workers: &[u32]) {
    for pid in workers {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for file in files.flatten() {
            // Closed meanwhile, or not a socket.
            let inode = fs::read_link(file.path()).ok().as_deref().and_then(inode);
            if let Some(inode) = inode.filter(|inode| sockets.contains(inode)) {
                owners.insert(inode, *pid);
                if owners.len() == sockets.len() {
                    return;
                }
            }
        }
    }
}

/// The number in `socket:[4200]`.
fn inode(link: &Path) -> Option<u32> {
    let number = link.to_str()?.strip_prefix("socket:[")?;
    number.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_of_windows() {
        let scope = Scope {
            client_ports: vec![443],
            back_end_port: 444,
        };
        let owners = HashMap::from([(12, 9120)]);
        let owner_of = |local: &str, remote: &str, state, inode| {
            let socket = Row {
                state,
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
                inode,
            };
            owner(&socket, &scope, &owners).map(Owner::pid)
        };
        let back_end = "10.0.0.5:444";
        let listener = owner_of("0.0.0.0:443", "0.0.0.0:0", State::Listening, 10);
        assert_eq!(listener, Some(4));
        let client = owner_of("10.0.0.5:443", "10.9.1.7:51514", State::Established, 11);
        assert_eq!(client, Some(4));
        let stranded = owner_of("10.0.0.5:60122", back_end, State::CloseWait, 12);
        assert_eq!(stranded, Some(9120));
        let waiting = owner_of("10.0.0.5:60123", back_end, State::TimeWait, 0);
        assert_eq!(waiting, Some(0));
        let left = owner_of("10.0.0.5:60124", back_end, State::FinWait2, 0);
        assert_eq!(left, Some(0));
        let foreign = owner_of("10.0.0.5:60125", back_end, State::Established, 99);
        assert_eq!(foreign, None);
        let accepted = owner_of("[::1]:444", "[::1]:60120", State::Established, 20);
        assert_eq!(accepted, Some(4));
    }

    #[test]
    fn only_sockets_have_an_inode() {
        assert_eq!(inode(Path::new("socket:[4200]")), Some(4200));
        assert_eq!(inode(Path::new("pipe:[4200]")), None);
        assert_eq!(inode(Path::new("/dev/null")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_real_connection_that_its_peer_closes() {
        use std::io::Read as _;
        use std::net::{TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let back_end = listener.local_addr().unwrap();
        let mut outgoing = TcpStream::connect(back_end).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let scope = Scope {
            client_ports: Vec::new(),
            back_end_port: back_end.port(),
        };
        let here = std::process::id();
        let mut scanner = Scanner::new(Machine::System, scope);
        let mut row = |remote: SocketAddr, pids: &[u32]| {
            let rows = scanner.scan(pids);
            let row = rows.iter().find(|row| row.remote == remote);
            row.map(|row| (row.state, row.owner))
        };
        let worker = Owner::Worker(here);
        assert_eq!(row(back_end, &[here]), Some((State::Established, worker)));
        assert_eq!(row(back_end, &[]), None);
        let client = outgoing.local_addr().unwrap();
        assert_eq!(row(client, &[]), Some((State::Established, Owner::System)));
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        assert_eq!(row(nobody, &[]), Some((State::Listening, Owner::System)));

        drop(accepted);
        assert_eq!(outgoing.read(&mut [0]).unwrap(), 0);
        assert_eq!(row(back_end, &[here]), Some((State::CloseWait, worker)));
    }
}
