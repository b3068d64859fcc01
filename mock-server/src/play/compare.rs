//! Whether all devices end with what the mailbox holds.

use std::collections::BTreeMap;

use eas::commands::{Class, ItemData};
use jiff::{Span, Timestamp};

use super::device::{Known, Summary};
use super::sync::is_mail;
use super::{Game, Played};

/// Rounds in which all devices must have caught up.
const ROUNDS: usize = 50;

type Items = BTreeMap<String, ItemData<'static>>;

impl Game<'_> {
    /// All devices sync until nothing is new. Then they have what the mailbox holds.
    pub(super) fn converge(&mut self) -> Played {
        for _ in 0..ROUNDS {
            let mut is_quiet = true;
            for device in 0..self.devices.len() {
                if self.devices[device].version.is_none() {
                    continue;
                }
                self.folder_sync(device)?;
                let folders = self.devices[device].folders.iter();
                let followed = folders.filter(|(_, known)| known.is_followed);
                for folder in followed.map(|(id, _)| *id).collect::<Vec<_>>() {
                    is_quiet &= !self.catch_up(device, folder)?;
                }
            }
            if is_quiet {
                return self.compare();
            }
        }
        Err(format!("devices do not come to rest in {ROUNDS} rounds"))
    }

    /// Syncs a folder until nothing is new; whether something was.
    fn catch_up(&mut self, device: usize, folder: u32) -> Played<bool> {
        for count in 0..ROUNDS {
            let before = self.devices[device].folders.get(&folder);
            // A request whose answer was lost goes out again first. It may not ask for changes.
            let is_repeated = before.is_some_and(|known| known.unanswered.is_some());
            let before = before.map(|known| (known.key.clone(), known.has_new_options));
            self.sync(device, folder)?;
            let after = self.devices[device].folders.get(&folder);
            if !is_repeated && before == after.map(|known| (known.key.clone(), false)) {
                return Ok(count > 0);
            }
        }
        Err(format!("folder {folder} has no end"))
    }

    fn compare(&self) -> Played {
        let mut contents: BTreeMap<&str, BTreeMap<u32, Items>> = BTreeMap::new();
        for device in &self.devices {
            let held = contents
                .entry(device.user)
                .or_insert_with(|| self.server.store.contents(device.user));
            for (folder, known) in device.folders.iter().filter(|(_, known)| known.is_followed) {
                let Some(items) = held.get(folder) else {
                    return Err(format!("{} has the folder {folder}", device.id));
                };
                self.compare_folder(*folder, known, items)
                    .map_err(|problem| format!("{}, folder {folder}: {problem}", device.id))?;
            }
        }
        for (user, held) in &contents {
            self.count_copies(user, held)?;
        }
        Ok(())
    }

    fn compare_folder(&self, folder: u32, known: &Known, items: &Items) -> Played {
        let since = self.since(folder, known);
        let expected = items.iter().filter(|(_, data)| match data {
            ItemData::Email(email) => {
                let received = email.date_received.parse::<Timestamp>().ok();
                received.is_none_or(|received| since.is_none_or(|since| received >= since))
            }
            _ => true,
        });
        let expected: BTreeMap<_, _> = expected
            .map(|(id, data)| (id.clone(), Summary::of(data)))
            .collect();
        if known.items == expected {
            return Ok(());
        }
        let is_same = |(id, summary): &(&String, &Summary)| expected.get(*id) == Some(*summary);
        let wrong: Vec<_> = known.items.iter().filter(|one| !is_same(one)).collect();
        let missing: Vec<_> = expected
            .iter()
            .filter(|(id, _)| !known.items.contains_key(*id))
            .collect();
        Err(format!("the device lacks {missing:?}, and has {wrong:?}"))
    }

    /// When the filter of a device begins (MS-ASCMD 2.2.3.68.2).
    fn since(&self, folder: u32, known: &Known) -> Option<Timestamp> {
        let span = match known.options.filter.filter(|_| is_mail(folder))?.0 {
            1 => Span::new().days(1),
            2 => Span::new().days(3),
            3 => Span::new().weeks(1),
            _ => return None,
        };
        Some(self.server.store.now().checked_sub(span).ok()?.timestamp())
    }

    /// No message is in a mailbox more often than it was delivered, sent or written.
    fn count_copies(&self, user: &str, held: &BTreeMap<u32, Items>) -> Played {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        let items = held.values().flat_map(BTreeMap::values);
        for data in items.filter(|data| data.class() == Some(Class::Email)) {
            if let Some(number) = Summary::of(data).number() {
                *counts.entry(number).or_default() += 1;
            }
        }
        for (number, count) in counts {
            let expected = self.copies.get(&(user.to_owned(), number)).copied();
            let expected = expected.unwrap_or_default();
            if count > expected {
                return Err(format!(
                    "{user} has {count} copies of message {number} instead of {expected}"
                ));
            }
        }
        Ok(())
    }
}
