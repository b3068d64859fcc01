//! What is known of one device or mail sender, from what it reports.

use std::collections::VecDeque;
use std::fmt;

use client::device::{Event, PingEnd};
use scenario::names::DeviceState;
use tokio::time::Instant;

/// Events that are remembered, for the message.
const REMEMBERED: usize = 12;

/// Who has a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Device(u32),
    /// By the number of its user's first device.
    Sender(u32),
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(number) => write!(formatter, "device {number}"),
            Self::Sender(number) => write!(formatter, "mail sender {number}"),
        }
    }
}

/// The book of a device or mail sender.
pub(super) struct Book {
    who: Who,
    pub(super) user: u32,
    pub(super) state: DeviceState,
    /// When each open Ping was sent. A device has at most two.
    pings: Vec<Instant>,
    /// Open requests of a mail sender, which has at most one.
    open: u32,
    /// When the latest Ping was sent that ended without news.
    told_nothing: Option<Instant>,
    /// Whether a missing mail was reported. One lost mail is reported once.
    pub(super) told_of_mail: bool,
    events: VecDeque<(Instant, String)>,
}

impl Book {
    pub(super) const fn new(who: Who, user: u32) -> Self {
        Self {
            who,
            user,
            state: DeviceState::Off,
            pings: Vec::new(),
            open: 0,
            told_nothing: None,
            told_of_mail: false,
            events: VecDeque::new(),
        }
    }

    /// Enters an event; says what is wrong with it.
    pub(super) fn hear(&mut self, event: &Event<'_>, is_stopped: bool) -> Option<String> {
        if self.events.len() == REMEMBERED {
            self.events.pop_front();
        }
        self.events
            .push_back((Instant::now(), format!("{event:?}")));
        let wrong = match self.who {
            Who::Device(_) => self.hear_device(event),
            Who::Sender(_) => self.hear_sender(event),
        };
        let is_forbidden = is_stopped && matches!(event, Event::Begun { .. });
        let forbidden = "it sends a request, and its user is stopped";
        wrong.or_else(|| is_forbidden.then(|| forbidden.to_owned()))
    }

    fn hear_device(&mut self, event: &Event<'_>) -> Option<String> {
        match event {
            Event::State { from, to } => {
                let before = std::mem::replace(&mut self.state, *to);
                (before != *from)
                    .then(|| format!("it leaves the state {from:?}, and was in {before:?}"))
            }
            Event::PingSent { sent, .. } => {
                self.pings.push(*sent);
                None
            }
            Event::PingEnded { end, age } => {
                let sent = Instant::now().checked_sub(*age);
                let apart = |ping: &Instant| {
                    sent.map(|sent| {
                        ping.saturating_duration_since(sent)
                            .max(sent.saturating_duration_since(*ping))
                    })
                };
                // If a device has two, the age shows which one has ended.
                let ended = (0..self.pings.len()).min_by_key(|index| apart(&self.pings[*index]));
                let Some(ended) = ended else {
                    return Some("a Ping ends that was not sent".to_owned());
                };
                let sent = self.pings.swap_remove(ended);
                if matches!(end, PingEnd::Expired { .. }) {
                    self.told_nothing = self.told_nothing.max(Some(sent));
                }
                None
            }
            _ => None,
        }
    }

    fn hear_sender(&mut self, event: &Event<'_>) -> Option<String> {
        match event {
            Event::Begun { .. } => {
                self.open += 1;
                (self.open > 1).then(|| "it begins a request while one is open".to_owned())
            }
            // Without an age the request was not completely sent, so it did not begin.
            Event::Answered { .. } | Event::Failed { age: Some(_), .. } => {
                let Some(open) = self.open.checked_sub(1) else {
                    return Some("a request ends that was not sent".to_owned());
                };
                self.open = open;
                None
            }
            _ => None,
        }
    }

    /// Pings that are open.
    pub(super) fn open_pings(&self) -> usize {
        self.pings.len()
    }

    /// Open Pings that were sent by then.
    pub(super) fn pings_since(&self, by: Instant) -> usize {
        self.pings.iter().filter(|sent| **sent <= by).count()
    }

    /// Whether the device has asked for news since a mail was accepted, and was told that there are none.
    pub(super) fn was_told_nothing(&self, accepted: Instant) -> bool {
        self.told_nothing.is_some_and(|sent| sent > accepted)
    }

    /// Since when the device holds a Ping, if it does.
    pub(super) fn holds_since(&self) -> Option<Instant> {
        let newest = self.pings.iter().max().copied();
        newest.filter(|_| self.state == DeviceState::Holding)
    }

    /// A message with the last events.
    pub(super) fn told(&self, began: Instant, what: &str) -> String {
        let events = self.events.iter().map(|(at, event)| {
            let at = at.saturating_duration_since(began).as_secs_f64();
            format!("\n    {at:>9.3} s {event}")
        });
        format!(
            "{} of user {}: {what}; its last events:{}",
            self.who,
            self.user + 1,
            events.collect::<String>()
        )
    }
}
