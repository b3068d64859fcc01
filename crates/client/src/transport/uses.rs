//! What each connection is used for, by its end on this side: what the kernel's socket table
//! cannot tell.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use scenario::names::Use;

/// This side's end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LocalEnd {
    /// Which of the plan's source addresses; 0 where there are none.
    pub source: u16,
    /// The port; 0 for streams in memory, which have none.
    pub port: u16,
}

/// Ports that are counted together, so that looking for open connections passes over ports without one. Less than
/// 256, because each count is a byte.
const BLOCK: usize = 64;

/// The uses of all ports of one source address.
struct Table {
    uses: Box<[AtomicU8]>,
    /// How many connections of each block of ports are open.
    open: Box<[AtomicU8]>,
}

impl Table {
    fn new() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU8::new(0)).collect();
        let ports = usize::from(u16::MAX) + 1;
        Self {
            uses: zeros(ports),
            open: zeros(ports / BLOCK),
        }
    }

    fn get(&self, port: u16) -> Use {
        Use::ALL[usize::from(self.uses[usize::from(port)].load(Ordering::Relaxed))]
    }

    fn set(&self, port: u16, what: Use) {
        let port = usize::from(port);
        let before = self.uses[port].swap(what as u8, Ordering::Relaxed);
        let open = &self.open[port / BLOCK];
        match (Use::ALL[usize::from(before)].is_open(), what.is_open()) {
            (false, true) => open.fetch_add(1, Ordering::Relaxed),
            (true, false) => open.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    /// The open connections, lowest port first.
    fn open(&self) -> impl Iterator<Item = (u16, Use)> + '_ {
        let blocks = (0..=u16::MAX).step_by(BLOCK).zip(self.open.iter());
        let blocks = blocks.filter(|(_, open)| open.load(Ordering::Relaxed) > 0);
        let ports = blocks.flat_map(|(first, _)| first..=first + (BLOCK as u16 - 1));
        ports.filter_map(|port| {
            let what = self.get(port);
            what.is_open().then_some((port, what))
        })
    }
}

/// One entry for each port of each source address. Two connections of one end towards different
/// servers share an entry, which the transports avoid as long as ports suffice.
pub struct PortUses {
    sources: HashMap<IpAddr, u16>,
    /// Each is 64 KiB, and made with the first connection from its address.
    tables: Box<[OnceLock<Table>]>,
}

impl Default for PortUses {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl std::fmt::Debug for PortUses {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PortUses")
    }
}

impl PortUses {
    /// For connections from those addresses, at most 65,536; from whichever the system chooses when
    /// there are none.
    #[must_use]
    pub fn new(sources: &[IpAddr]) -> Self {
        Self {
            sources: sources.iter().copied().zip(0..=u16::MAX).collect(),
            tables: (0..sources.len().max(1)).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The end that a socket of this machine is; `None` if it is from an address that no device has.
    #[must_use]
    pub fn end(&self, local: SocketAddr) -> Option<LocalEnd> {
        let source = if self.sources.is_empty() {
            0
        } else {
            *self.sources.get(&local.ip())?
        };
        Some(LocalEnd {
            source,
            port: local.port(),
        })
    }

    /// What the connection with that end is used for now.
    #[must_use]
    pub fn get(&self, end: LocalEnd) -> Use {
        let table = self.tables.get(usize::from(end.source));
        let table = table.and_then(OnceLock::get);
        table.map_or(Use::Connecting, |table| table.get(end.port))
    }

    /// Says so.
    pub fn set(&self, end: LocalEnd, what: Use) {
        if end.port == 0 {
            return;
        }
        if let Some(table) = self.tables.get(usize::from(end.source)) {
            table.get_or_init(Table::new).set(end.port, what);
        }
    }

    /// The connections that this process has open.
    pub fn open(&self) -> impl Iterator<Item = (LocalEnd, Use)> + '_ {
        let tables = (0..=u16::MAX).zip(self.tables.iter());
        let made = tables.filter_map(|(source, table)| Some((source, table.get()?)));
        made.flat_map(|(source, table)| {
            let open = table.open();
            open.map(move |(port, what)| (LocalEnd { source, port }, what))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_comes_back() {
        let uses = PortUses::default();
        let at = |port| LocalEnd { source: 0, port };
        assert_eq!(uses.get(at(4711)), Use::Connecting);
        for what in Use::ALL {
            uses.set(at(u16::MAX), what);
            assert_eq!(uses.get(at(u16::MAX)), what);
        }
        assert_eq!(uses.get(at(4711)), Use::Connecting);
        assert_eq!(uses.open().count(), 0, "the last one is closed");
        for what in Use::ALL.into_iter().rev() {
            let ports = [1, BLOCK as u16, u16::MAX];
            for port in ports {
                uses.set(at(port), what);
            }
            let open: Vec<_> = uses.open().map(|(end, what)| (end.port, what)).collect();
            if what.is_open() {
                assert_eq!(open, ports.map(|port| (port, what)));
            } else {
                assert_eq!(open, []);
            }
        }
        assert_eq!(uses.end("192.0.2.1:4711".parse().unwrap()), Some(at(4711)));
    }

    #[test]
    fn the_same_port_of_two_addresses_is_two_ends() {
        let addresses = ["127.0.0.2", "::1"].map(|text| text.parse().unwrap());
        let uses = PortUses::new(&addresses);
        let ends =
            ["127.0.0.2:4711", "[::1]:4711"].map(|text| uses.end(text.parse().unwrap()).unwrap());
        assert_eq!((ends[0].source, ends[1].source), (0, 1));
        uses.set(ends[0], Use::Held);
        uses.set(ends[1], Use::Closed);
        assert_eq!(
            (uses.get(ends[0]), uses.get(ends[1])),
            (Use::Held, Use::Closed)
        );
        let open: Vec<_> = uses.open().collect();
        assert_eq!(open, [(ends[0], Use::Held)]);
        // Another program's.
        assert_eq!(uses.end("127.0.0.3:4711".parse().unwrap()), None);
    }
}
