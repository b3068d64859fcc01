//! Where connections begin: addresses and ports of this machine, and what devices' links are like.

use std::net::IpAddr;
use std::sync::Arc;

use super::deal::Deal;
use super::link::LinkSpeed;
use super::ports::{LocalPorts, system_range};

/// The ends of all devices on this side. Clones share the ports: connections to several servers take
/// theirs from one row, so that no two have the same as long as there are enough.
#[derive(Clone)]
pub struct Ends {
    /// One for each source address; one for all where the system chooses it.
    ports: Arc<[LocalPorts]>,
    /// Which of its server's devices each is.
    deal: Arc<Deal>,
    /// The devices' links, by number; devices without one have none here.
    links: Arc<[Option<LinkSpeed>]>,
}

/// One device's.
pub(super) struct End<'a> {
    pub(super) ports: &'a LocalPorts,
    /// Number of the source address.
    pub(super) source: u16,
    /// The device's turn where a server has several addresses.
    pub(super) turn: usize,
    pub(super) link: Option<LinkSpeed>,
}

impl Default for Ends {
    fn default() -> Self {
        Self::new(&[], Arc::default(), Arc::default())
    }
}

impl Ends {
    /// On those addresses, at most 65,536, if there are any: the devices of a server in turn, so that
    /// each server is met from every one of them. `links` are those of devices, by number; further ones
    /// have none.
    #[must_use]
    pub fn new(sources: &[IpAddr], deal: Arc<Deal>, links: Arc<[Option<LinkSpeed>]>) -> Self {
        let range = system_range();
        let ports = if sources.is_empty() {
            Arc::new([LocalPorts::of_system(None, range)]) as Arc<[LocalPorts]>
        } else {
            let ports = sources
                .iter()
                .map(|source| LocalPorts::of_system(Some(*source), range.clone()));
            ports.collect()
        };
        Self { ports, deal, links }
    }

    /// With ports of one's own choice, for one server.
    #[cfg(test)]
    pub(super) fn with_ports(ports: Arc<[LocalPorts]>) -> Self {
        Self {
            ports,
            deal: Arc::default(),
            links: Arc::default(),
        }
    }

    pub(super) fn of(&self, device: u32) -> End<'_> {
        let rank = self.deal.rank_of(device) as usize;
        let source = rank % self.ports.len();
        End {
            ports: &self.ports[source],
            source: source as u16,
            turn: turn_of(rank, self.ports.len()),
            link: self.links.get(device as usize).copied().flatten(),
        }
    }
}

/// A device's turn among several addresses: whatever the numbers of both, each of them is met from every
/// source address.
fn turn_of(rank: usize, sources: usize) -> usize {
    rank / sources + rank % sources
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_address_is_met_from_every_source() {
        for (sources, addresses) in [(1, 4), (2, 2), (2, 3), (3, 2), (20, 2), (4, 4)] {
            let devices = 0..sources * addresses;
            let pairs = devices.map(|rank| (rank % sources, turn_of(rank, sources) % addresses));
            assert_eq!(pairs.collect::<HashSet<_>>().len(), sources * addresses);
        }
    }
}
