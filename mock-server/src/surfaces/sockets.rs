//! The mock's real TCP sockets, with the owners Windows would name (server-observability.md,
//! section 5): HTTP.sys owns what clients connect to, so those sockets show the System process;
//! only the outgoing sockets of the front-end proxy belong to a worker.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TcpState {
    /// No connection.
    Closed,
    /// Waits for connections.
    Listening,
    /// Connecting.
    SynSent,
    /// Being connected.
    SynReceived,
    /// Connected.
    Established,
    /// Closed here, not yet confirmed.
    FinWait1,
    /// Closed here, still open there.
    FinWait2,
    /// Closed there, still open here: the mark of a stranded Ping.
    CloseWait,
    /// Closed on both sides at once.
    Closing,
    /// Closed there and then here, not yet confirmed.
    LastAck,
    /// Closed, kept for late segments.
    TimeWait,
}

impl TcpState {
    /// From the `st` column of `/proc/net/tcp`, which is the kernel's number of the state.
    const fn from_linux(code: u8) -> Option<Self> {
        Some(match code {
            0x01 => Self::Established,
            0x02 => Self::SynSent,
            // 0C is a request that has not become a socket yet.
            0x03 | 0x0C => Self::SynReceived,
            0x04 => Self::FinWait1,
            0x05 => Self::FinWait2,
            0x06 => Self::TimeWait,
            0x07 => Self::Closed,
            0x08 => Self::CloseWait,
            0x09 => Self::LastAck,
            0x0A => Self::Listening,
            0x0B => Self::Closing,
            _ => return None,
        })
    }

    /// As netstat spells it.
    pub(crate) const fn netstat(self) -> &'static str {
        match self {
            Self::FinWait1 => "FIN_WAIT_1",
            Self::FinWait2 => "FIN_WAIT_2",
            _ => self.exporter(),
        }
    }

    /// As windows_exporter's label `state` spells it.
    pub(crate) const fn exporter(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listening => "LISTENING",
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
        }
    }
}

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
    pub(crate) state: TcpState,
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
    scope: Scope,
    /// Kept because the tables have megabytes.
    table: String,
    /// Which worker has the socket of an inode. Asking the kernel takes a system call for each
    /// open file of each worker, so it is asked only when a socket without a known owner appears;
    /// while Pings are merely held, none does.
    owners: HashMap<u64, u32>,
}

impl Scanner {
    /// Looks at the sockets in that scope.
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            table: String::new(),
            owners: HashMap::new(),
        }
    }

    /// The sockets now, in the kernel's order. `workers` are the processes that outgoing sockets
    /// may belong to; sockets towards the back end that others have are left out.
    ///
    /// A socket that closes during the scan may be missing. On other systems than Linux, and where
    /// `/proc` cannot be read, there are no sockets. Blocks: tens of milliseconds with 20,000
    /// sockets, nearly all for the kernel to print them, and a few hundred with a new socket among
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
    pub(crate) fn states(&mut self) -> BTreeMap<(bool, TcpState), u64> {
        let mut counts = BTreeMap::new();
        for socket in self.found() {
            let key = (socket.local.is_ipv4(), socket.state);
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    fn found(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
            self.table.clear();
            // A kernel without IPv6 has no second table.
            let read = File::open(path).and_then(|mut file| file.read_to_string(&mut self.table));
            if read.is_ok() {
                parse(&self.table, &self.scope, &mut found);
            }
        }
        found
    }

    fn find_owners(&mut self, found: &[Found], workers: &[u32]) {
        let outgoing: HashSet<u64> = found
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

/// A line of the kernel's table.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    local: SocketAddr,
    remote: SocketAddr,
    state: TcpState,
    /// Zero once no process has it.
    inode: u64,
}

/// Reads `/proc/net/tcp` or `/proc/net/tcp6`; lines that do not look like a socket are skipped.
fn parse(table: &str, scope: &Scope, found: &mut Vec<Found>) {
    let sockets = table.lines().skip(1);
    found.extend(sockets.filter_map(|line| parse_line(line, scope)));
}

fn parse_line(line: &str, scope: &Scope) -> Option<Found> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, local_port) = words.next()?.split_once(':')?;
    let (remote, remote_port) = words.next()?.split_once(':')?;
    let local_port = u16::from_str_radix(local_port, 16).ok()?;
    let remote_port = u16::from_str_radix(remote_port, 16).ok()?;
    // Before the rest is read: the machine may have many sockets that are none of ours.
    if !scope.is_served(local_port) && remote_port != scope.back_end_port {
        return None;
    }
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    Some(Found {
        local: SocketAddr::new(parse_address(local)?, local_port),
        remote: SocketAddr::new(parse_address(remote)?, remote_port),
        state: TcpState::from_linux(state)?,
        inode: words.nth(5)?.parse().ok()?,
    })
}

/// An address is printed as 32-bit words in the byte order of the machine. A mapped address shows
/// as IPv4, as Windows lists it.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |index: usize| {
        let digits = hex.get(8 * index..8 * (index + 1))?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// Whom Windows would name, or `None` if the socket is not the mock's. One that no process has
/// but that is not in TIME_WAIT, because a worker closed or was killed, goes to PID 0 too; what
/// Windows shows for those is our assumption.
fn owner(socket: &Found, scope: &Scope, owners: &HashMap<u64, u32>) -> Option<Owner> {
    if socket.state == TcpState::TimeWait {
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
fn add_owners(owners: &mut HashMap<u64, u32>, sockets: &HashSet<u64>, workers: &[u32]) {
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
fn inode(link: &Path) -> Option<u64> {
    let number = link.to_str()?.strip_prefix("socket:[")?;
    number.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  \
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10 1 0 100 0 0 10 0
   1: 0500000A:01BB 0701090A:C93A 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0 20 4 30 10 -1
   2: 0500000A:EADA 0500000A:01BC 08 00000000:00000000 00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1
   3: 0500000A:EADB 0500000A:01BC 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0
   4: 0500000A:EADC 0500000A:01BC 05 00000000:00000000 00:00000000 00000000     0        0 0 3 0
   5: 0500000A:EADD 0500000A:01BC 01 00000000:00000000 00:00000000 00000000     0        0 99 1 0 20 4 30 10 -1
   6: 0500000A:0016 0701090A:C93B 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 20 4 30 10 -1
   7: 0500000A:01BC nonsense
";
    const TCP6: &str = "  \
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:01BC 00000000000000000000000001000000:EAD8 01 00000000:00000000 00:00000000 00000000     0        0 20 1 0 20 4 30 10 -1
   1: 0000000000000000FFFF00000500000A:01BB 0000000000000000FFFF00000701090A:C93C 04 00000000:00000000 00:00000000 00000000     0        0 21 1 0 20 4 30 10 -1
";

    fn scope() -> Scope {
        Scope {
            client_ports: vec![443],
            back_end_port: 444,
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_tables_of_linux_with_the_owners_of_windows() {
        let mut found = Vec::new();
        parse(TCP, &scope(), &mut found);
        parse(TCP6, &scope(), &mut found);
        let owners = HashMap::from([(12, 9120)]);
        let rows: Vec<String> = found
            .iter()
            .map(|socket| {
                let owner = owner(socket, &scope(), &owners);
                let (local, remote, state) = (socket.local, socket.remote, socket.state.netstat());
                format!("{local} {remote} {state} {:?}", owner.map(Owner::pid))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "0.0.0.0:443 0.0.0.0:0 LISTENING Some(4)",
                "10.0.0.5:443 10.9.1.7:51514 ESTABLISHED Some(4)",
                "10.0.0.5:60122 10.0.0.5:444 CLOSE_WAIT Some(9120)",
                "10.0.0.5:60123 10.0.0.5:444 TIME_WAIT Some(0)",
                "10.0.0.5:60124 10.0.0.5:444 FIN_WAIT_2 Some(0)",
                "10.0.0.5:60125 10.0.0.5:444 ESTABLISHED None",
                "[::1]:444 [::1]:60120 ESTABLISHED Some(4)",
                "10.0.0.5:443 10.9.1.7:51516 FIN_WAIT_1 Some(4)",
            ]
        );
    }

    #[test]
    fn every_state_has_both_names() {
        let names: Vec<_> = (0x00..=0x0D)
            .filter_map(TcpState::from_linux)
            .map(|state| (state.netstat(), state.exporter()))
            .filter(|(netstat, exporter)| netstat != exporter)
            .collect();
        assert_eq!(
            names,
            [("FIN_WAIT_1", "FIN_WAIT1"), ("FIN_WAIT_2", "FIN_WAIT2")]
        );
        assert_eq!((0..=255).filter_map(TcpState::from_linux).count(), 12);
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
        let mut scanner = Scanner::new(scope);
        let mut row = |remote: SocketAddr, pids: &[u32]| {
            let rows = scanner.scan(pids);
            let row = rows.iter().find(|row| row.remote == remote);
            row.map(|row| (row.state, row.owner))
        };
        let worker = Owner::Worker(here);
        assert_eq!(
            row(back_end, &[here]),
            Some((TcpState::Established, worker))
        );
        assert_eq!(row(back_end, &[]), None);
        let client = outgoing.local_addr().unwrap();
        assert_eq!(
            row(client, &[]),
            Some((TcpState::Established, Owner::System))
        );
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        assert_eq!(row(nobody, &[]), Some((TcpState::Listening, Owner::System)));

        drop(accepted);
        assert_eq!(outgoing.read(&mut [0]).unwrap(), 0);
        assert_eq!(row(back_end, &[here]), Some((TcpState::CloseWait, worker)));
    }
}
