//! What a device has.

use std::collections::BTreeMap;

use eas::ProtocolVersion;
use eas::commands::{
    BodyPreference, Change, Class, CollectionAnswer, CommandResponse, FilterType, FlagStatus,
    ItemChange, ItemData, SyncOptions,
};
use eas::status::SyncStatus;

use super::{NUL, Played};

pub(super) struct Device {
    pub(super) user: &'static str,
    pub(super) id: &'static str,
    /// `None` until its first request.
    pub(super) version: Option<ProtocolVersion>,
    pub(super) hierarchy: String,
    pub(super) folders: BTreeMap<u32, Known>,
}

impl Device {
    pub(super) fn new((user, id): (&'static str, &'static str)) -> Self {
        Self {
            user,
            id,
            version: None,
            hierarchy: "0".to_owned(),
            folders: BTreeMap::new(),
        }
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        self.version.unwrap_or(ProtocolVersion::V14_1)
    }
}

/// What a device has of a folder.
#[derive(Default)]
pub(super) struct Known {
    pub(super) key: String,
    pub(super) items: BTreeMap<String, Summary>,
    /// A request whose answer was lost: it is sent again as it was.
    pub(super) unanswered: Option<Sent>,
    /// The input has named the folder: the device follows it.
    pub(super) is_followed: bool,
    pub(super) options: SyncOptions,
    /// The next request tells the server of the options.
    pub(super) has_new_options: bool,
}

/// A Sync request with what the device does in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) body: Vec<u8>,
    pub(super) deeds: Vec<Deed>,
}

/// A command of a device, with what it then has.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// An item under its ClientId; `None` if it is sent and not kept.
    Add(String, Option<Summary>),
    /// A change of an item.
    Change(String, Changed),
    Delete(String),
    Fetch,
}

/// What a change does to an item that a device has.
#[derive(Debug, Clone)]
pub(super) enum Changed {
    Marks {
        read: Option<bool>,
        flag: Option<FlagStatus>,
    },
    Content(Summary),
    /// The draft is sent: the server tells the device to remove it.
    Sent,
}

/// What must be the same on all devices, whatever form of a body they ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) class: Option<Class>,
    texts: String,
    read: bool,
    flag: FlagStatus,
}

impl Summary {
    pub(super) fn of(data: &ItemData<'_>) -> Self {
        let (mut read, mut flag) = (false, FlagStatus::None);
        let texts = match data {
            ItemData::Email(email) => {
                read = email.read;
                flag = email.flag.as_ref().map_or(flag, |flag| flag.status);
                format!("{}|{}", email.subject, email.to)
            }
            ItemData::Calendar(one) => format!("{}|{}", one.subject, one.location),
            ItemData::Contact(one) => format!("{}|{}", one.first_name, one.last_name),
            ItemData::Task(one) => one.subject.to_string(),
            ItemData::Note(one) => one.subject.to_string(),
            _ => String::new(),
        };
        Self {
            class: data.class(),
            texts,
            read,
            flag,
        }
    }

    /// The number of a message: its subject begins with it.
    pub(super) fn number(&self) -> Option<u32> {
        let (number, _) = self.texts.split_once(' ')?;
        number
            .parse()
            .ok()
            .filter(|_| self.class == Some(Class::Email))
    }

    fn change(&mut self, changed: &Changed) {
        match changed {
            Changed::Marks { read, flag } => {
                self.read = read.unwrap_or(self.read);
                self.flag = flag.unwrap_or(self.flag);
            }
            Changed::Content(content) => *self = content.clone(),
            Changed::Sent => {}
        }
    }
}

impl Changed {
    pub(super) fn of(change: &ItemChange<'_>) -> Self {
        match change {
            ItemChange::Email { read, flag } => Self::Marks {
                read: *read,
                flag: flag.as_ref().map(|flag| flag.status),
            },
            ItemChange::Data(data) => Self::Content(Summary::of(data)),
            _ => Self::Marks {
                read: None,
                flag: None,
            },
        }
    }
}

impl Known {
    /// Begins with key 0. The options go with the next request.
    pub(super) fn restart(&mut self) {
        self.key = "0".to_owned();
        self.items.clear();
        self.unanswered = None;
        self.has_new_options = true;
    }

    /// Filters for folders of mail, and forms of bodies for all.
    pub(super) fn choose(&mut self, is_mail: bool, filter: usize, body: usize) {
        const FILTERS: [Option<u8>; 5] = [None, Some(0), Some(1), Some(2), Some(3)];
        let filter = FILTERS[filter % FILTERS.len()].filter(|_| is_mail);
        let preference = |body_type, truncation_size, all_or_none, preview| BodyPreference {
            body_type,
            truncation_size,
            all_or_none,
            preview,
        };
        let bodies = match body % 6 {
            0 => Vec::new(),
            1 => vec![preference(1, Some(3), false, None)],
            2 => vec![preference(2, None, false, Some(5))],
            3 => vec![
                preference(2, Some(9), true, None),
                preference(1, None, false, None),
            ],
            4 => vec![preference(3, Some(50), false, None)],
            _ => vec![preference(4, Some(40), false, None)],
        };
        self.options = SyncOptions {
            filter: filter.map(FilterType),
            bodies,
            mime_support: (body % 6 == 5).then_some(2),
            ..SyncOptions::default()
        };
        self.has_new_options = true;
    }

    /// Takes the answer to a request; `false` if the device has to start again.
    pub(super) fn take(&mut self, answer: CollectionAnswer<'_>, deeds: &[Deed]) -> Played<bool> {
        match answer.status {
            SyncStatus::Success => {}
            SyncStatus::InvalidSyncKey => {
                self.restart();
                return Ok(false);
            }
            other => return Err(format!("Sync: {other:?}")),
        }
        if !answer.skipped.is_empty() {
            return Err(format!("an item cannot be read: {}", answer.skipped));
        }
        self.key = answer.sync_key.into_owned();
        self.take_responses(&answer.responses, deeds)?;
        for change in &answer.changes {
            self.take_change(change)?;
        }
        Ok(true)
    }

    /// What the device did counts unless the server refused it.
    fn take_responses(&mut self, responses: &[CommandResponse<'_>], deeds: &[Deed]) -> Played {
        for deed in deeds {
            let refused = |wanted: &str| {
                responses.iter().any(|response| {
                    matches!(response, CommandResponse::Change { server_id, .. } if server_id == wanted)
                })
            };
            match deed {
                Deed::Add(client_id, summary) => {
                    let answered = responses.iter().find_map(|response| match response {
                        CommandResponse::Add {
                            client_id: name,
                            server_id,
                            status,
                            ..
                        } if name == client_id => Some((server_id, *status)),
                        _ => None,
                    });
                    let (id, status) =
                        answered.ok_or_else(|| format!("no answer to the Add {client_id}"))?;
                    if status != SyncStatus::Success {
                        continue;
                    }
                    match (id, summary) {
                        (Some(id), Some(summary)) if summary.texts.contains(NUL) => {
                            return Err(format!("{id} is stored with a NUL"));
                        }
                        (Some(id), Some(summary)) => {
                            self.items.insert(id.to_string(), summary.clone());
                        }
                        (None, None) => {}
                        _ => return Err(format!("a wrong answer to the Add {client_id}: {id:?}")),
                    }
                }
                Deed::Change(id, changed) if !refused(id) => {
                    if let Some(item) = self.items.get_mut(id) {
                        item.change(changed);
                    }
                }
                Deed::Delete(id) => drop(self.items.remove(id)),
                Deed::Change(..) | Deed::Fetch => {}
            }
        }
        Ok(())
    }

    fn take_change(&mut self, change: &Change<'_>) -> Played {
        match change {
            Change::Add { server_id, data } => {
                if data.class().is_none() {
                    return Err(format!("{server_id} comes without content"));
                }
                let known = self.items.insert(server_id.to_string(), Summary::of(data));
                if known.is_some() {
                    return Err(format!("the device has {server_id} already"));
                }
            }
            Change::Update { server_id, change } => {
                let item = self.items.get_mut(&**server_id);
                let item = item
                    .ok_or_else(|| format!("a change of {server_id}, which the device has not"))?;
                item.change(&Changed::of(change));
            }
            Change::Delete { server_id } | Change::SoftDelete { server_id } => {
                self.items.remove(&**server_id);
            }
        }
        Ok(())
    }
}
