//! The Pings the back end holds, by user, and what wakes them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Pings {
    by_user: Mutex<HashMap<String, Vec<Arc<Held>>>>,
}

/// A Ping from before it asks the store until it is answered, so that no change falls in between.
#[derive(Debug)]
pub(super) struct Held {
    device: String,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    changed: Vec<u32>,
    hierarchy_changed: bool,
    superseded: bool,
}

/// Why a Ping ends before its heartbeat.
#[derive(Debug, PartialEq)]
pub(super) enum Wake {
    Changed(Vec<u32>),
    HierarchyChanged,
    /// The same device sent another Ping. How Exchange ends the older one is not known; Z-Push and
    /// SOGo answer Status 1, and so does this mock (mock-fidelity G10).
    Superseded,
}

impl Pings {
    /// Registers a Ping; an older one of the device ends.
    pub(super) fn register(self: &Pings, user: &str, device: &str) -> Registration<'_> {
        let held = Arc::new(Held {
            device: device.to_owned(),
            state: Mutex::default(),
            wake: Notify::new(),
        });
        let mut by_user = self.by_user.lock();
        let list = by_user.entry(user.to_owned()).or_default();
        for older in list.iter().filter(|older| older.device == device) {
            older.state.lock().superseded = true;
            older.wake.notify_one();
        }
        list.push(Arc::clone(&held));
        drop(by_user);
        Registration {
            pings: self,
            user: user.to_owned(),
            held,
        }
    }

    pub(super) fn item_added(&self, user: &str, folder: u32, by: Option<&str>) {
        self.each(user, by, |state| {
            if !state.changed.contains(&folder) {
                state.changed.push(folder);
            }
        });
    }

    pub(super) fn hierarchy_changed(&self, user: &str, by: Option<&str>) {
        self.each(user, by, |state| state.hierarchy_changed = true);
    }

    /// The Pings of a user's devices, but for the device that did it.
    fn each(&self, user: &str, by: Option<&str>, change: impl Fn(&mut State)) {
        if let Some(list) = self.by_user.lock().get(user) {
            for held in list.iter().filter(|held| Some(&*held.device) != by) {
                change(&mut held.state.lock());
                held.wake.notify_one();
            }
        }
    }

    pub(super) fn held(&self) -> u64 {
        self.by_user
            .lock()
            .values()
            .map(|list| list.len() as u64)
            .sum()
    }
}

/// Ends with the Ping.
pub(super) struct Registration<'a> {
    pings: &'a Pings,
    user: String,
    held: Arc<Held>,
}

impl Registration<'_> {
    /// Waits until something ends a Ping on those folders.
    pub(super) async fn woken(&self, folders: &[u32]) -> Wake {
        loop {
            if let Some(wake) = self.reason(folders) {
                return wake;
            }
            self.held.wake.notified().await;
        }
    }

    /// What would end a Ping on those folders now, if anything.
    pub(super) fn now(&self, folders: &[u32]) -> Option<Wake> {
        self.reason(folders)
    }

    /// Forgets what woke it.
    pub(super) fn reset(&self) {
        *self.held.state.lock() = State::default();
    }

    fn reason(&self, folders: &[u32]) -> Option<Wake> {
        let state = self.held.state.lock();
        if state.superseded {
            return Some(Wake::Superseded);
        }
        if state.hierarchy_changed {
            return Some(Wake::HierarchyChanged);
        }
        let mut changed: Vec<u32> = state
            .changed
            .iter()
            .copied()
            .filter(|id| folders.contains(id))
            .collect();
        changed.sort_unstable();
        changed.dedup();
        (!changed.is_empty()).then_some(Wake::Changed(changed))
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut by_user = self.pings.by_user.lock();
        if let Some(list) = by_user.get_mut(&self.user) {
            list.retain(|held| !Arc::ptr_eq(held, &self.held));
            if list.is_empty() {
                by_user.remove(&self.user);
            }
        }
    }
}
