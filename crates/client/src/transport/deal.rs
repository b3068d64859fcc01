//! Devices dealt out to servers by weight: which server a device has, and which of that server's
//! devices it is, follow from its number alone.

/// One round of the deal is played again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    turns: Box<[Turn]>,
    /// Devices of each server in a round.
    shares: Box<[u32]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    server: usize,
    /// Devices of that server earlier in the round.
    before: u32,
}

impl Default for Deal {
    /// All to one server.
    fn default() -> Self {
        Self::new(&[1])
    }
}

impl Deal {
    /// To servers of those weights, so that any stretch of devices has about the mix of the whole. A
    /// weight of 0 counts as 1, no weight as one server.
    #[must_use]
    pub fn new(weights: &[u32]) -> Self {
        let weights: Vec<u32> = match weights {
            [] => vec![1],
            weights => weights.iter().map(|weight| (*weight).max(1)).collect(),
        };
        let common = weights.iter().copied().fold(0, divisor);
        let shares: Box<[u32]> = weights.iter().map(|weight| weight / common).collect();
        let round: i64 = shares.iter().copied().map(i64::from).sum();
        // Every turn each server earns its share, and the richest pays a round for its device: the
        // smooth weighted round robin of nginx's upstreams.
        let mut earned = vec![0_i64; shares.len()];
        let mut had = vec![0_u32; shares.len()];
        let turn = |_| {
            for (earned, share) in earned.iter_mut().zip(&shares) {
                *earned += i64::from(*share);
            }
            let mut server = 0;
            for other in 1..earned.len() {
                if earned[other] > earned[server] {
                    server = other;
                }
            }
            earned[server] -= round;
            had[server] += 1;
            Turn {
                server,
                before: had[server] - 1,
            }
        };
        Self {
            turns: (0..round).map(turn).collect(),
            shares,
        }
    }

    /// To so many servers in turn.
    #[must_use]
    pub fn even(servers: usize) -> Self {
        Self::new(&vec![1; servers])
    }

    /// The server of that device, by number.
    #[must_use]
    pub fn server_of(&self, device: u32) -> usize {
        self.turn(device).server
    }

    /// How many devices of lower numbers have the same server.
    #[must_use]
    pub fn rank_of(&self, device: u32) -> u32 {
        let turn = self.turn(device);
        let rounds = device / self.turns.len() as u32;
        rounds * self.shares[turn.server] + turn.before
    }

    /// That server's share of the devices.
    #[must_use]
    pub fn share_of(&self, server: usize) -> f64 {
        f64::from(self.shares[server]) / self.turns.len() as f64
    }

    /// The first device of that server.
    #[must_use]
    pub fn first_of(&self, server: usize) -> u32 {
        let first = self.turns.iter().position(|turn| turn.server == server);
        first.unwrap_or_default() as u32
    }

    fn turn(&self, device: u32) -> Turn {
        self.turns[device as usize % self.turns.len()]
    }
}

/// The greatest common divisor.
fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_weights_take_turns_and_others_are_spread_out() {
        let servers = |weights: &[u32], count: u32| -> Vec<usize> {
            let deal = Deal::new(weights);
            (0..count).map(|device| deal.server_of(device)).collect()
        };
        assert_eq!(servers(&[7, 7], 4), [0, 1, 0, 1]);
        assert_eq!(servers(&[], 2), [0, 0]);
        assert_eq!(servers(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(Deal::even(3), Deal::new(&[20, 20, 20]));
        assert_eq!(Deal::new(&[5, 1, 1]).first_of(2), 4);
        assert_eq!(Deal::new(&[30, 10]).share_of(0), 0.75);
    }

    proptest! {
        #[test]
        fn a_round_has_the_weights_and_ranks_count(
            weights in prop::collection::vec(1_u32..20, 1..6),
            rounds in 1_u32..4,
        ) {
            let deal = Deal::new(&weights);
            let count = rounds * deal.turns.len() as u32;
            let mut had = vec![0_u32; weights.len()];
            for device in 0..count {
                let server = deal.server_of(device);
                prop_assert_eq!(deal.rank_of(device), had[server]);
                had[server] += 1;
                // No server is more than one device away from its share.
                let total: u32 = weights.iter().sum();
                for (had, weight) in had.iter().zip(&weights) {
                    let due = f64::from(*weight) / f64::from(total) * f64::from(device + 1);
                    prop_assert!((f64::from(*had) - due).abs() < 1.5);
                }
            }
            let total: u32 = weights.iter().sum();
            for (had, weight) in had.iter().zip(&weights) {
                prop_assert_eq!(had * total, count * weight);
            }
            for server in 0..weights.len() {
                prop_assert_eq!(deal.server_of(deal.first_of(server)), server);
            }
        }
    }
}
