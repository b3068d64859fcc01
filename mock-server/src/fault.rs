//! Faults in force: which of them strikes a request.

use std::collections::HashMap;

use mock_api::fault::{Fault, FaultKind};
use tokio::time::Instant;

/// Whom a request is from and what it asks, as far as a fault's scope needs it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) user: &'a str,
    pub(crate) device: &'a str,
    pub(crate) command: &'a str,
}

/// Faults in force in one process, and whom they struck when.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<Active>,
    /// Number of the last change.
    change: u64,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    /// The change that set it.
    since: u64,
    /// When it last struck a device, where it has a stable period.
    struck: HashMap<String, Instant>,
    /// Above this number of them it is time to forget some.
    many: usize,
}

/// Looking through fewer devices costs more than it saves.
const MANY: usize = 1024;
/// Devices that a fault remembers to have struck.
const MOST_STRUCK: usize = 100_000;

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let mut new = Self::default();
        new.replace(faults);
        new
    }

    /// Sets these in place of all before. A fault that stays keeps whom it struck when.
    pub(crate) fn replace(&mut self, faults: Vec<Fault>) {
        self.change += 1;
        let mut before = std::mem::take(&mut self.active);
        let mut keep = |fault: Fault| {
            let known = before.iter().position(|active| active.fault == fault);
            match known {
                Some(at) => before.swap_remove(at),
                None => Active {
                    fault,
                    since: self.change,
                    struck: HashMap::new(),
                    many: MANY,
                },
            }
        };
        self.active = faults.into_iter().map(&mut keep).collect();
    }

    /// Number of the last change.
    pub(crate) const fn change(&self) -> u64 {
        self.change
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.active.iter().any(|active| active.fault.fault == kind)
    }

    /// The first fault among `kinds` that strikes this request. `chance` decides with a
    /// probability.
    pub(crate) fn strike(
        &mut self,
        kinds: &[FaultKind],
        subject: Subject<'_>,
        chance: impl FnMut(f64) -> bool,
    ) -> Option<Fault> {
        self.strike_if(|fault, _| kinds.contains(&fault.fault), subject, chance)
    }

    /// The first that is wanted and strikes. `wanted` is also told the change that set the fault: a
    /// request that is open while faults change meets each of them once.
    pub(crate) fn strike_if(
        &mut self,
        wanted: impl Fn(&Fault, u64) -> bool,
        subject: Subject<'_>,
        mut chance: impl FnMut(f64) -> bool,
    ) -> Option<Fault> {
        let now = Instant::now();
        for active in &mut self.active {
            let fault = &active.fault;
            if !wanted(fault, active.since) || !in_scope(fault, subject) {
                continue;
            }
            if !fault.stable.is_zero()
                && let Some(last) = active.struck.get(subject.device)
                && now.duration_since(*last) < fault.stable
            {
                continue;
            }
            if chance(fault.probability) {
                if !fault.stable.is_zero() {
                    active.forget_old(now);
                    active.struck.insert(subject.device.to_owned(), now);
                }
                return Some(active.fault.clone());
            }
        }
        None
    }
}

impl Active {
    /// Device names come from clients: what is past its stable period is not kept.
    fn forget_old(&mut self, now: Instant) {
        if self.struck.len() >= self.many {
            let stable = self.fault.stable;
            self.struck
                .retain(|_, last| now.duration_since(*last) < stable);
            if self.struck.len() >= MOST_STRUCK {
                // The half that was struck first may be struck again early.
                let mut times: Vec<Instant> = self.struck.values().copied().collect();
                let (_, median, _) = times.select_nth_unstable(MOST_STRUCK / 2);
                let median = *median;
                self.struck.retain(|_, last| *last > median);
            }
            self.many = (2 * self.struck.len()).clamp(MANY, MOST_STRUCK);
        }
    }
}

fn in_scope(fault: &Fault, subject: Subject<'_>) -> bool {
    let fits = |wanted: &Option<String>, found: &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    fits(&fault.user, subject.user)
        && fits(&fault.device, subject.device)
        && fits(&fault.command, subject.command)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn subject(device: &'static str) -> Subject<'static> {
        Subject {
            user: "load1",
            device,
            command: "Ping",
        }
    }

    #[test]
    fn scope_is_by_user_device_and_command() {
        let mut fault = Fault::new(FaultKind::Reset);
        fault.user = Some("LOAD1".to_owned());
        fault.command = Some("Ping".to_owned());
        let mut faults = Faults::new(vec![fault]);
        let kinds = [FaultKind::Reset];
        assert!(faults.strike(&kinds, subject("a"), |_| true).is_some());
        let other = Subject {
            command: "Sync",
            ..subject("a")
        };
        assert!(faults.strike(&kinds, other, |_| true).is_none());
        assert!(
            faults
                .strike(&[FaultKind::Drip], subject("a"), |_| true)
                .is_none()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_struck_device_has_its_stable_period() {
        let mut fault = Fault::new(FaultKind::Reset);
        fault.stable = Duration::from_secs(30);
        let mut faults = Faults::new(vec![fault]);
        let mut strikes = |device| {
            faults
                .strike(&[FaultKind::Reset], subject(device), |_| true)
                .is_some()
        };
        assert!(strikes("a") && !strikes("a") && strikes("b"));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(!strikes("a"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(strikes("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_forgets_nothing_and_strikes_only_with_what_is_new() {
        let mut stable = Fault::new(FaultKind::Reset);
        stable.stable = Duration::from_secs(30);
        let mut faults = Faults::new(vec![stable.clone()]);
        let kinds = [FaultKind::Reset, FaultKind::Garbage];
        assert!(faults.strike(&kinds, subject("a"), |_| true).is_some());
        let before = faults.change();
        faults.replace(vec![stable, Fault::new(FaultKind::Garbage)]);
        // The reset's stable period goes on, and an open request meets only the new fault.
        let next = faults.strike(&kinds, subject("a"), |_| true).unwrap();
        assert_eq!(next.fault, FaultKind::Garbage);
        let wanted = |fault: &Fault, since| kinds.contains(&fault.fault) && since > before;
        let open = faults.strike_if(wanted, subject("b"), |_| true);
        assert_eq!(open.unwrap().fault, FaultKind::Garbage);
        let other = faults.strike(&kinds, subject("b"), |_| true).unwrap();
        assert_eq!(other.fault, FaultKind::Reset);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_remembers_a_bounded_number_of_devices() {
        let mut fault = Fault::new(FaultKind::Reset);
        fault.stable = Duration::from_secs(86_400);
        let mut faults = Faults::new(vec![fault]);
        for number in 0..MOST_STRUCK + 10 {
            tokio::time::advance(Duration::from_millis(1)).await;
            let device = number.to_string();
            let subject = Subject {
                device: &device,
                ..Subject::default()
            };
            assert!(
                faults
                    .strike(&[FaultKind::Reset], subject, |_| true)
                    .is_some()
            );
        }
        let struck = &faults.active[0].struck;
        assert!(struck.len() <= MOST_STRUCK, "{}", struck.len());
        assert!(struck.contains_key(&MOST_STRUCK.to_string()), "a new one");
        assert!(!struck.contains_key("0"), "the oldest");
    }
}
