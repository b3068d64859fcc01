//! Random commands of several devices against the back end and its store, for tests and for fuzzing. Each
//! command is a request as bytes, and its answer is read as a device reads it.
//!
//! Invariants: no answer is Status 110 or HTTP 500, and each can be read whole; no device is told twice of
//! an item; no message is delivered or sent twice; in the end each device has what the mailbox holds within
//! the device's filter.
//!
//! A device makes its first request when the input names it, and follows the folders that the input names,
//! so that a short input is a short game.

mod commands;
mod compare;
mod device;
mod sync;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use device::Device;
use eas::ProtocolVersion;
use mock_api::config::MockConfig;

use crate::worker::Alone;

/// Users and their devices.
const DEVICES: [(&str, &str); 4] = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")];
/// Versions that devices speak. Both have the status of a refused command in the body of the answer.
const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V14_1, ProtocolVersion::V16_1];
/// Which device a byte of the input names: most commands are one device's, so that what it has lasts for
/// several of them.
const TURNS: [usize; 8] = [0, 0, 0, 0, 1, 1, 2, 3];
/// Folders whose items the devices make, with the main ones of mail; the Inbox more often than the others.
const FOLDERS: [u32; 11] = [5, 5, 5, 5, 2, 4, 3, 1, 6, 7, 8];
/// One of so many commands that make devices start again does so. Without that a device would seldom know
/// two keys in a row.
const RESTARTS: usize = 6;
/// Drafts, where devices of 16.0 and later write messages.
const DRAFTS: u32 = 2;
/// Folders that devices make have numbers from here on.
const FIRST_MADE: u32 = 100;
/// Stands for a NUL in the texts of requests, which no encoder writes.
const NUL: char = '\u{1}';
const TEXTS: [&str; 7] = [
    "",
    "plain",
    "a\u{1}b",
    "\u{1}",
    "ünï\u{fffe}",
    "<&>\\u0000",
    "\u{2}",
];

/// How far the clock moves. A number of steps is a whole number of days only if it is a multiple of 8,640,
/// and differs from it by ten seconds otherwise, so that no message is at the border of a filter.
const CLOCK_STEP: Duration = Duration::from_secs(36_010);
const MAX_STEPS: u64 = 8_639;

type Played<T = ()> = Result<T, String>;

/// Plays commands until they end. An error says which invariant is broken.
///
/// # Errors
/// If an invariant is broken.
pub fn play(commands: &[u8]) -> Result<(), String> {
    let mut game = Game::new(commands);
    while let Some(command) = game.byte() {
        game.command(command)?;
    }
    game.converge()
}

struct Game<'a> {
    server: Alone,
    devices: Vec<Device>,
    input: &'a [u8],
    /// Number of the next ClientId, and of the next message.
    next: u32,
    /// A text of the request that is being written has a [`NUL`].
    has_nul: bool,
    /// How many copies of a message a user may have, by user and number of the message.
    copies: BTreeMap<(String, u32), usize>,
    /// How often the clock was moved by [`CLOCK_STEP`].
    steps: u64,
}

impl<'a> Game<'a> {
    fn new(input: &'a [u8]) -> Self {
        let config = MockConfig {
            require_provisioning: false,
            kept_items: 3,
            max_items: 20,
            max_folders: 12,
            max_message_size: 2000,
            mailbox_quota: 20_000,
            // Nothing is proxied.
            ephemeral_ports: 1..=1,
            ..MockConfig::default()
        };
        Self {
            server: Alone::new(config),
            devices: DEVICES.map(Device::new).into(),
            input,
            next: 0,
            has_nul: false,
            copies: BTreeMap::new(),
            steps: 0,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.input.split_first()?;
        self.input = rest;
        Some(*first)
    }

    /// A number below `count`; 0 once the input has ended.
    fn pick(&mut self, count: usize) -> usize {
        usize::from(self.byte().unwrap_or(0)) % count.max(1)
    }

    fn text(&mut self) -> String {
        let text = TEXTS[self.pick(TEXTS.len())];
        self.has_nul |= text.contains(NUL);
        text.repeat(1 + self.pick(3))
    }

    /// A text with the NUL itself, for what does not come as WBXML.
    fn raw_text(&mut self) -> String {
        let text = self.text().replace(NUL, "\0");
        self.has_nul = false;
        text
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// One more copy of a message may be in the mailbox of a user.
    fn expect_copy(&mut self, user: &str, message: u32) {
        *self.copies.entry((user.to_owned(), message)).or_default() += 1;
    }

    fn command(&mut self, command: u8) -> Played {
        let device = TURNS[self.pick(TURNS.len())];
        self.start(device)?;
        match command % 20 {
            0..=3 => {
                let folder = self.folder(device);
                self.sync_with_commands(device, folder, command % 20 == 3)?;
            }
            4 => {
                let folder = self.folder(device);
                self.sync(device, folder)?;
            }
            5 => {
                let folder = self.folder(device);
                let is_restarted = self.pick(RESTARTS) == 0;
                let known = self.devices[device].folders.get_mut(&folder);
                if let Some(known) = known.filter(|_| is_restarted) {
                    known.restart();
                }
            }
            6 => self.deliver(),
            7 => self.send(device)?,
            8 => self.move_item(device)?,
            9 => self.change_folder(device)?,
            10 => self.empty(device)?,
            11 if self.pick(RESTARTS) == 0 => self.server.store.lose_sync_state(),
            12 if self.pick(RESTARTS) == 0 => drop(self.server.store.change_hierarchy()),
            11 | 12 => {}
            13 => self.search(device)?,
            14 => self.oof(device)?,
            15 => self.find(device)?,
            16 => {
                let folder = self.folder(device);
                self.choose_options(device, folder);
            }
            17 => self.fetch(device)?,
            18 => self.advance_clock(),
            _ => self.folder_sync(device)?,
        }
        Ok(())
    }

    /// The first request of a device, with the version that the input names.
    fn start(&mut self, device: usize) -> Played {
        if self.devices[device].version.is_none() {
            let version = VERSIONS[self.pick(VERSIONS.len())];
            self.devices[device].version = Some(version);
            self.folder_sync(device)?;
        }
        Ok(())
    }

    /// A folder that the device knows.
    fn folder(&mut self, device: usize) -> u32 {
        let at = self.pick(FOLDERS.len() + 2);
        let made = || {
            let folders = self.devices[device].folders.keys();
            folders.copied().find(|id| *id >= FIRST_MADE)
        };
        FOLDERS.get(at).copied().or_else(made).unwrap_or(FOLDERS[0])
    }

    /// An item that the device has in a folder.
    fn item(&mut self, device: usize, folder: u32) -> Option<String> {
        let count = self.devices[device].folders.get(&folder)?.items.len();
        let at = self.pick(count);
        let items = &self.devices[device].folders.get(&folder)?.items;
        items.keys().nth(at).cloned()
    }

    /// Time passes, and messages leave the windows of filters.
    fn advance_clock(&mut self) {
        const STEPS: [u64; 4] = [1, 3, 7, 13];
        let steps = STEPS[self.pick(STEPS.len())];
        if self.steps + steps <= MAX_STEPS {
            self.steps += steps;
            let by = CLOCK_STEP * u32::try_from(steps).unwrap_or(1);
            self.server.store.advance_clock(by);
        }
    }
}
