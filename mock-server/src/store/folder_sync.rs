//! FolderSync, and changes of the hierarchy by a device.

use std::collections::HashMap;

use super::hierarchy::{FIRST_ID, What};
use super::limits::{MAX_FOLDER_NAME, is_storable};
use super::turn::Turn;
use super::{FolderChange, FolderRecord, FolderRefusal, Generation, StoreReply, find, folder_mut};

impl Turn<'_> {
    /// A device that has never asked is sent to FolderSync by its lack of keys, not by this.
    pub(super) fn knows_hierarchy(&self) -> bool {
        let current = self.device.hierarchy.map(|(current, _)| current);
        current.is_none_or(|current| current.known == self.hierarchy.end())
    }

    /// What the device knows with that key; key 0 knows nothing.
    fn known_with(&self, key: &str) -> Option<usize> {
        let (current, previous) = self.device.hierarchy?;
        let mut generations = [current, previous].into_iter();
        let found = generations.find(|one| one.key.to_string() == key)?;
        (found.known >= self.hierarchy.start).then_some(found.known)
    }

    pub(super) fn folder_sync(&mut self, key: &str) -> StoreReply {
        let all = self.hierarchy.end();
        let is_new = key == "0";
        let Some(from) = (if is_new {
            Some(0)
        } else {
            self.known_with(key)
        }) else {
            return StoreReply::BadFolderKey;
        };
        let current = self
            .device
            .hierarchy
            .map_or(Generation::default(), |(now, _)| now);
        // A key changes only with the hierarchy, so that an answer can be asked for again; key 0 begins
        // anew.
        let next = match key {
            "0" => Generation { key: 1, known: all },
            _ if current.known == all && current.key != 0 => current,
            _ => Generation {
                key: current.key + 1,
                known: all,
            },
        };
        if next != current {
            let previous = if is_new { next } else { current };
            self.device.hierarchy = Some((next, previous));
        }
        let (mut added, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        if is_new {
            added = self.folders.iter().map(|one| one.record.clone()).collect();
        } else {
            let mut told = Vec::new();
            let passed = from.saturating_sub(self.hierarchy.start);
            for entry in self.hierarchy.log.iter().skip(passed) {
                if told.contains(&entry.folder) {
                    continue;
                }
                told.push(entry.folder);
                let record = self.record(entry.folder);
                match (record, entry.what) {
                    (Some(record), What::Created) => added.push(record),
                    (Some(record), _) => updated.push(record),
                    // It came and went, unless this device made it: then it has the folder.
                    (None, What::Created) if entry.by != Some(self.device.number) => {}
                    (None, _) => deleted.push(entry.folder),
                }
            }
        }
        StoreReply::Folders {
            key: next.key.to_string(),
            added,
            updated,
            deleted,
        }
    }

    fn record(&self, id: u32) -> Option<FolderRecord> {
        let folder = self.folders.iter().find(|folder| folder.record.id == id)?;
        Some(folder.record.clone())
    }

    pub(super) fn change_folder(&mut self, key: &str, change: FolderChange) -> StoreReply {
        let Some(known) = self.known_with(key) else {
            return StoreReply::BadFolderKey;
        };
        let before = self.hierarchy.end();
        let id = match self.apply(change) {
            Ok(id) => id,
            Err(refusal) => return StoreReply::FolderRefused(refusal),
        };
        let all = self.hierarchy.end();
        let (current, _) = self.device.hierarchy.unwrap_or_default();
        // If others have changed something before, the device still has to learn that, and gets this with it.
        let known = if known == before { all } else { known };
        let next = Generation {
            key: current.key + 1,
            known,
        };
        self.device.hierarchy = Some((next, current));
        self.announce_hierarchy();
        StoreReply::FolderChanged {
            key: next.key.to_string(),
            id,
        }
    }

    fn apply(&mut self, change: FolderChange) -> Result<u32, FolderRefusal> {
        match change {
            FolderChange::Create {
                parent,
                name,
                folder_type,
            } => {
                if self.folders.len() >= self.limits.folders {
                    return Err(FolderRefusal::Full);
                }
                let parent = self.parent(&parent)?;
                self.free_name(parent, &name, None)?;
                let folder_type = Some(folder_type);
                let by = Some(self.device.number);
                let folders = &mut *self.folders;
                Ok(self.hierarchy.add(folders, parent, name, folder_type, by))
            }
            FolderChange::Update { id, parent, name } => {
                let id = self.own_folder(&id)?;
                let parent = self.parent(&parent)?;
                if parent == id || self.below(id).contains(&parent) {
                    return Err(FolderRefusal::Cycle);
                }
                self.free_name(parent, &name, Some(id))?;
                if let Some(folder) = folder_mut(self.folders, id) {
                    (folder.record.parent, folder.record.name) = (parent, name);
                }
                self.hierarchy
                    .note(id, What::Updated, Some(self.device.number));
                Ok(id)
            }
            FolderChange::Delete(id) => {
                let id = self.own_folder(&id)?;
                self.delete_below(id);
                self.delete_folder(id);
                Ok(id)
            }
        }
    }

    /// Deletes all folders below a folder; whether there were any. The deepest goes first: a device learns of
    /// one after the other, and never has a folder without its parent.
    pub(super) fn delete_below(&mut self, id: u32) -> bool {
        let below = self.below(id);
        for gone in below.iter().rev() {
            self.delete_folder(*gone);
        }
        !below.is_empty()
    }

    fn delete_folder(&mut self, id: u32) {
        self.folders.retain(|folder| folder.record.id != id);
        self.device.collections.remove(&id);
        self.hierarchy
            .note(id, What::Deleted, Some(self.device.number));
    }

    /// All folders below a folder, each after its parent.
    fn below(&self, id: u32) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for folder in self.folders.iter() {
            let record = &folder.record;
            children.entry(record.parent).or_default().push(record.id);
        }
        let mut found = children.remove(&id).unwrap_or_default();
        let mut next = 0;
        while let Some(parent) = found.get(next) {
            found.extend(children.remove(parent).unwrap_or_default());
            next += 1;
        }
        found
    }

    fn parent(&self, id: &str) -> Result<u32, FolderRefusal> {
        match id {
            "0" => Ok(0),
            id => match find(self.folders, id) {
                Some(folder) => Ok(folder.record.id),
                None => Err(FolderRefusal::NoParent),
            },
        }
    }

    fn free_name(&self, parent: u32, name: &str, but: Option<u32>) -> Result<(), FolderRefusal> {
        if !is_storable(name) || name.chars().count() > MAX_FOLDER_NAME {
            return Err(FolderRefusal::BadName);
        }
        let is_taken = self.folders.iter().any(|folder| {
            let FolderRecord {
                id,
                parent: other,
                name: taken,
                ..
            } = &folder.record;
            *other == parent && taken.eq_ignore_ascii_case(name) && Some(*id) != but
        });
        if is_taken {
            Err(FolderRefusal::Exists)
        } else {
            Ok(())
        }
    }

    /// A folder that may be changed.
    fn own_folder(&self, id: &str) -> Result<u32, FolderRefusal> {
        let folder = find(self.folders, id).ok_or(FolderRefusal::NotFound)?;
        if folder.record.id < FIRST_ID {
            return Err(FolderRefusal::Special);
        }
        Ok(folder.record.id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mailbox;
    use super::super::limits::Limits;
    use super::*;
    use jiff::Zoned;
    use mock_api::config::MockConfig;

    fn key_of(reply: StoreReply) -> String {
        match reply {
            StoreReply::Folders { key, .. } | StoreReply::FolderChanged { key, .. } => key,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn other_devices_are_told_and_the_one_that_did_it_is_not() {
        let mut mailbox = Mailbox::new();
        let limits = Limits::new(&MockConfig::default());
        fn turn<'a>(mailbox: &'a mut Mailbox, limits: &'a Limits, device: &'a str) -> Turn<'a> {
            Turn::new(mailbox, limits, ("u", device), (7, Zoned::default()))
        }
        let all = &mut mailbox;
        let own = key_of(turn(all, &limits, "a").folder_sync("0"));
        let other = key_of(turn(all, &limits, "b").folder_sync("0"));
        let create = FolderChange::Create {
            parent: "0".to_owned(),
            name: "Plans".to_owned(),
            folder_type: 12,
        };
        let own = key_of(turn(all, &limits, "a").change_folder(&own, create.clone()));
        assert!(turn(all, &limits, "a").knows_hierarchy());
        assert!(!turn(all, &limits, "b").knows_hierarchy());
        let reply = turn(all, &limits, "b").folder_sync(&other);
        let StoreReply::Folders { key, added, .. } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(added[0].name, "Plans");
        assert_ne!(key, other);
        let reply = turn(all, &limits, "a").change_folder(&own, create);
        assert!(matches!(
            reply,
            StoreReply::FolderRefused(FolderRefusal::Exists)
        ));
        // Renamed and deleted: the device gets the last state.
        let rename = FolderChange::Update {
            id: "100".to_owned(),
            parent: "0".to_owned(),
            name: "Old plans".to_owned(),
        };
        let renamed = key_of(turn(all, &limits, "a").change_folder(&own, rename));
        let reply = turn(all, &limits, "b").folder_sync(&key);
        let StoreReply::Folders { key, updated, .. } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(updated[0].name, "Old plans");
        let delete = FolderChange::Delete("100".to_owned());
        turn(all, &limits, "a").change_folder(&renamed, delete);
        let reply = turn(all, &limits, "b").folder_sync(&key);
        let StoreReply::Folders { deleted, .. } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(deleted, [100]);
    }

    fn create(parent: &str, name: &str) -> FolderChange {
        FolderChange::Create {
            parent: parent.to_owned(),
            name: name.to_owned(),
            folder_type: 12,
        }
    }

    fn update(id: &str, parent: &str, name: &str) -> FolderChange {
        FolderChange::Update {
            id: id.to_owned(),
            parent: parent.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_deleted_folder_takes_all_folders_below_it() {
        let mut mailbox = Mailbox::new();
        let limits = Limits::new(&MockConfig::default());
        let turn = |mailbox: &mut Mailbox, device: &str, key: &str, change| {
            key_of(
                Turn::new(mailbox, &limits, ("u", device), (7, Zoned::default()))
                    .change_folder(key, change),
            )
        };
        let all = &mut mailbox;
        let mut key =
            key_of(Turn::new(all, &limits, ("u", "a"), (7, Zoned::default())).folder_sync("0"));
        // 100 holds 101 and 103, 101 holds 102; 104 stands beside them.
        for (parent, name) in [
            ("0", "a"),
            ("100", "b"),
            ("101", "c"),
            ("100", "d"),
            ("0", "e"),
        ] {
            key = turn(all, "a", &key, create(parent, name));
        }
        let other =
            key_of(Turn::new(all, &limits, ("u", "b"), (7, Zoned::default())).folder_sync("0"));
        let key = turn(all, "a", &key, FolderChange::Delete("100".to_owned()));
        let left = |mailbox: &Mailbox| {
            let ids = mailbox.folders.iter().map(|folder| folder.record.id);
            ids.filter(|id| *id >= FIRST_ID).collect::<Vec<_>>()
        };
        assert_eq!(left(all), [104]);
        let reply = Turn::new(all, &limits, ("u", "b"), (7, Zoned::default())).folder_sync(&other);
        let StoreReply::Folders { mut deleted, .. } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(
            deleted.last(),
            Some(&100),
            "a parent goes after its children"
        );
        deleted.sort_unstable();
        assert_eq!(deleted, [100, 101, 102, 103]);
        // The device that did it has nothing to fetch.
        let mut one = Turn::new(all, &limits, ("u", "a"), (7, Zoned::default()));
        assert!(one.knows_hierarchy());
        let reply = one.folder_sync(&key);
        assert!(matches!(&reply, StoreReply::Folders { deleted, .. } if deleted.is_empty()));
        // Its children's names and ids are not used again by chance.
        turn(all, "a", &key, create("104", "b"));
        assert_eq!(left(all), [104, 105]);
    }

    #[test]
    fn a_folder_cannot_be_moved_below_itself() {
        let mut mailbox = Mailbox::new();
        let limits = Limits::new(&MockConfig::default());
        let mut turn = Turn::new(&mut mailbox, &limits, ("u", "a"), (7, Zoned::default()));
        let mut key = key_of(turn.folder_sync("0"));
        for (parent, name) in [("0", "a"), ("100", "b"), ("101", "c"), ("0", "d")] {
            key = key_of(turn.change_folder(&key, create(parent, name)));
        }
        for parent in ["100", "101", "102"] {
            let reply = turn.change_folder(&key, update("100", parent, "a"));
            let refused = StoreReply::FolderRefused(FolderRefusal::Cycle);
            assert_eq!(format!("{reply:?}"), format!("{refused:?}"), "{parent}");
        }
        // Elsewhere it can, and up the tree.
        key = key_of(turn.change_folder(&key, update("100", "103", "a")));
        key = key_of(turn.change_folder(&key, update("102", "103", "c")));
        key_of(turn.change_folder(&key, update("100", "102", "a")));
    }

    #[test]
    fn folders_of_every_mailbox_stay() {
        let mut mailbox = Mailbox::new();
        let limits = Limits::new(&MockConfig::default());
        let mut turn = Turn::new(&mut mailbox, &limits, ("u", "a"), (7, Zoned::default()));
        let key = key_of(turn.folder_sync("0"));
        let reply = turn.change_folder(&key, FolderChange::Delete("5".to_owned()));
        assert!(matches!(
            reply,
            StoreReply::FolderRefused(FolderRefusal::Special)
        ));
        let reply = turn.change_folder("99", FolderChange::Delete("5".to_owned()));
        assert!(matches!(reply, StoreReply::BadFolderKey));
    }
}
