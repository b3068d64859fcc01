//! What must hold at every moment of a run, whatever the server and the network do. A simulation looks at it
//! each second; what is broken is a bug of easload.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::device::{Event, Record, Refusals, State};
use crate::lock::lock;
use crate::measure::LedgerCounts;

/// Events of a device that are remembered, for the message.
const REMEMBERED: usize = 12;
/// Broken invariants that are told. One bug breaks many.
const TOLD: usize = 20;

/// What is known of a device.
struct Book {
    user: u32,
    state: State,
    /// Pings that were sent and have not ended.
    open: i64,
    events: VecDeque<(Instant, String)>,
}

struct Books {
    devices: BTreeMap<u32, Book>,
    broken: Vec<String>,
    /// Broken ones beyond those that are told.
    more: usize,
}

/// Hears what devices tell of themselves, and passes it on.
pub(super) struct Invariants {
    began: Instant,
    books: Mutex<Books>,
    refusals: Arc<Refusals>,
    inner: Arc<dyn Record>,
}

impl Invariants {
    /// For devices of those users, by number; whoever hears `inner` hears the same as without this.
    pub(super) fn new(users: &[u32], refusals: Arc<Refusals>, inner: Arc<dyn Record>) -> Self {
        let devices = (0..).zip(users).map(|(device, user)| {
            let book = Book {
                user: *user,
                state: State::Off,
                open: 0,
                events: VecDeque::new(),
            };
            (device, book)
        });
        Self {
            began: Instant::now(),
            books: Mutex::new(Books {
                devices: devices.collect(),
                broken: Vec::new(),
                more: 0,
            }),
            refusals,
            inner,
        }
    }

    /// Looks at what concerns the whole run. `contradictions` are the network's own.
    pub(super) fn second(&self, ledger: &LedgerCounts, contradictions: Vec<String>) {
        let mut found = contradictions;
        if ledger.accepted + ledger.failed > ledger.meant {
            found.push(format!(
                "{} mails are accepted and {} failed, of {} meant",
                ledger.accepted, ledger.failed, ledger.meant
            ));
        }
        for (count, what) in [
            (ledger.duplicates, "came twice"),
            (ledger.misplaced, "came to a device of another user"),
        ] {
            if count > 0 {
                found.push(format!("{count} arrivals of mail {what}"));
            }
        }
        let at = self.began.elapsed().as_secs_f64();
        let mut books = lock(&self.books);
        for text in found {
            books.tell(format!("at {at:.3} s: {text}"));
        }
    }

    /// What must hold when all devices have stopped: each Ping has had its end, and `left` is empty.
    pub(super) fn at_end(&self, left: Vec<String>) {
        let mut books = lock(&self.books);
        let open: Vec<_> = books
            .devices
            .iter()
            .filter(|(_, book)| book.open != 0)
            .map(|(device, book)| {
                let what = format!("{} of its Pings have no end", book.open);
                book.told(self.began, *device, &what)
            })
            .collect();
        for text in open.into_iter().chain(left) {
            books.tell(text);
        }
    }

    /// What was broken, each in words.
    pub(super) fn broken(&self) -> Vec<String> {
        let books = lock(&self.books);
        let mut broken = books.broken.clone();
        if books.more > 0 {
            broken.push(format!("and {} more", books.more));
        }
        broken
    }
}

impl Books {
    fn tell(&mut self, text: String) {
        if self.broken.len() < TOLD {
            self.broken.push(text);
        } else {
            self.more += 1;
        }
    }
}

impl Book {
    /// Takes an event in; says what is wrong with it.
    fn hear(&mut self, event: &Event<'_>, is_stopped: bool) -> Option<String> {
        match event {
            Event::State { from, to } => {
                let before = std::mem::replace(&mut self.state, *to);
                (before != *from)
                    .then(|| format!("it leaves the state {from:?}, and was in {before:?}"))
            }
            Event::PingSent { .. } => {
                self.open += 1;
                None
            }
            Event::PingEnded { .. } => {
                self.open -= 1;
                (self.open < 0).then(|| "a Ping ends that was not sent".to_owned())
            }
            Event::Begun(_) if is_stopped => {
                Some("it sends a request, and its user is stopped".to_owned())
            }
            _ => None,
        }
    }

    /// A message with the device's last events.
    fn told(&self, began: Instant, device: u32, what: &str) -> String {
        let events = self.events.iter().map(|(at, event)| {
            let at = at.saturating_duration_since(began).as_secs_f64();
            format!("\n    {at:>9.3} s {event}")
        });
        format!(
            "device {device} of user {}: {what}; its last events:{}",
            self.user + 1,
            events.collect::<String>()
        )
    }
}

impl Record for Invariants {
    fn record(&self, device: u32, event: Event<'_>) {
        {
            let mut books = lock(&self.books);
            if let Some(book) = books.devices.get_mut(&device) {
                if book.events.len() == REMEMBERED {
                    book.events.pop_front();
                }
                book.events
                    .push_back((Instant::now(), format!("{event:?}")));
                let is_stopped = self.refusals.is_stopped(book.user);
                if let Some(what) = book.hear(&event, is_stopped) {
                    let text = book.told(self.began, device, &what);
                    books.tell(text);
                }
            }
        }
        self.inner.record(device, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::PingEnd;
    use std::time::Duration;

    struct Nobody;

    impl Record for Nobody {
        fn record(&self, _: u32, _: Event<'_>) {}
    }

    fn invariants() -> Invariants {
        let refusals = Arc::new(Refusals::new(2, 3, 1.0));
        Invariants::new(&[0, 1], refusals, Arc::new(Nobody))
    }

    fn ended() -> Event<'static> {
        Event::PingEnded {
            end: PingEnd::Changes,
            age: Duration::ZERO,
        }
    }

    const SENT: Event<'static> = Event::PingSent {
        hangs: false,
        gap: None,
    };

    #[tokio::test(start_paused = true)]
    async fn a_sound_life_breaks_nothing() {
        let invariants = invariants();
        let state = |from, to| invariants.record(1, Event::State { from, to });
        state(State::Off, State::Starting);
        state(State::Starting, State::Holding);
        invariants.record(1, SENT);
        invariants.record(1, ended());
        invariants.second(&LedgerCounts::default(), Vec::new());
        invariants.at_end(Vec::new());
        assert_eq!(invariants.broken(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_broken_invariant_is_told_with_the_device_s_last_events() {
        let of = |broken: &dyn Fn(&Invariants)| {
            let invariants = invariants();
            broken(&invariants);
            invariants.at_end(Vec::new());
            invariants.broken().join("\n")
        };
        let left = of(&|invariants| {
            let (from, to) = (State::Syncing, State::Holding);
            invariants.record(0, Event::State { from, to });
        });
        assert!(left.contains("device 0 of user 1: it leaves the state Syncing, and was in Off"));
        assert!(
            left.contains("0.000 s State { from: Syncing, to: Holding }"),
            "{left}"
        );
        let twice = of(&|invariants| {
            invariants.record(0, SENT);
            invariants.record(0, ended());
            invariants.record(0, ended());
        });
        assert!(twice.contains("a Ping ends that was not sent"), "{twice}");
        let never = of(&|invariants| invariants.record(1, SENT));
        assert!(never.contains("1 of its Pings have no end"), "{never}");
        for (ledger, text) in [
            (
                LedgerCounts {
                    duplicates: 1,
                    ..LedgerCounts::default()
                },
                "1 arrivals of mail came twice",
            ),
            (
                LedgerCounts {
                    misplaced: 2,
                    ..LedgerCounts::default()
                },
                "2 arrivals of mail came to a device of another user",
            ),
            (
                LedgerCounts {
                    meant: 1,
                    accepted: 1,
                    failed: 1,
                    ..LedgerCounts::default()
                },
                "1 mails are accepted and 1 failed, of 1 meant",
            ),
        ] {
            let told = of(&|invariants| invariants.second(&ledger, Vec::new()));
            assert!(told.contains(text), "{told}");
        }
        let network = of(&|invariants| {
            invariants.second(&LedgerCounts::default(), vec!["a socket leaked".to_owned()]);
        });
        assert_eq!(network, "at 0.000 s: a socket leaked");
    }
}
