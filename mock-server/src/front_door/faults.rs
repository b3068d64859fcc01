//! Faults that are put in force and taken back, and what happens once when one begins.

use mock_api::fault::{Fault, FaultKind, MAX_FAULTS};

use super::server::Host;
use super::was;
use crate::link::ToWorker;

impl Host {
    /// Puts these faults in place of all before; what happens once happens now, for those that are
    /// new.
    pub(super) async fn set_faults(&self, faults: Vec<Fault>) {
        let _turn = self.changing.lock().await;
        self.change_faults(faults).await;
    }

    /// One more, unless there are too many. What happens once happens again.
    pub(super) async fn add_fault(&self, fault: Fault) -> bool {
        let _turn = self.changing.lock().await;
        let mut faults = self.all_faults();
        if faults.len() >= MAX_FAULTS {
            return false;
        }
        if faults.contains(&fault) {
            self.happen_once(fault.fault);
        }
        faults.push(fault);
        self.change_faults(faults).await;
        true
    }

    async fn change_faults(&self, faults: Vec<Fault>) {
        let before = std::mem::replace(&mut *self.listed.lock(), faults.clone());
        if faults == before {
            return;
        }
        self.faults.lock().replace(faults.clone());
        self.tell_all(|| ToWorker::Faults(faults.clone()));
        self.faults_changed.set(());
        for fault in faults.iter().filter(|fault| !before.contains(fault)) {
            self.happen_once(fault.fault);
        }
        let stops = |faults: &[Fault]| {
            faults
                .iter()
                .any(|fault| fault.fault == FaultKind::StopPool)
        };
        for server in self.servers() {
            if stops(&faults) && !stops(&before) {
                was::stop(&server, was::PoolState::Stopped).await;
            } else if stops(&before) && !stops(&faults) {
                was::resume(&server).await;
            }
        }
    }

    fn happen_once(&self, kind: FaultKind) {
        match kind {
            FaultKind::Unprovision => self.store.lock().unprovision(),
            // A fault happens to the mailboxes that it can happen to.
            FaultKind::HierarchyChange => drop(self.change_hierarchy()),
            FaultKind::LoseSyncState => self.store.lock().lose_sync_state(),
            FaultKind::KillWorker => {
                for server in self.servers() {
                    server.pool.kill_one();
                }
            }
            _ => {}
        }
    }
}
