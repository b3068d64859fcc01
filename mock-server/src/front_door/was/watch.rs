//! Watches the applicationHost.config that the pool's settings came from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use iis::{PoolSettings, RecycleReason};

use super::recycle_all;
use crate::front_door::server::Server;

/// How often the file is looked at. IIS is told of changes; half a second is as good.
const LOOK: Duration = Duration::from_millis(500);

/// When a file was changed, and its length.
type Stamp = (SystemTime, u64);

/// A file under watch: what it was when it was last read.
pub(in crate::front_door) struct FileWatch {
    path: PathBuf,
    pool: String,
    seen: Option<Stamp>,
    /// It could not be looked at the last time.
    is_missing: bool,
    settings: Option<PoolSettings>,
}

impl FileWatch {
    /// Reads the file as it is now, so that no change can fall between here and the first look.
    pub(in crate::front_door) fn new(path: PathBuf, pool: String) -> Self {
        Self {
            seen: stamp(&path).ok(),
            is_missing: false,
            settings: read(&path, &pool).ok(),
            path,
            pool,
        }
    }

    /// Takes over changed settings, and recycles unless `disallowRotationOnConfigChange` says
    /// otherwise, until the task is ended. A file that cannot be read changes nothing, and is reported.
    pub(in crate::front_door) async fn run(mut self, server: Arc<Server>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let now = match stamp(&self.path) {
                Ok(now) => now,
                Err(error) => {
                    self.report(&server, Some(&error));
                    continue;
                }
            };
            if self.seen != Some(now) {
                self.seen = Some(now);
                match read(&self.path, &self.pool) {
                    Ok(settings) => self.changed(&server, settings).await,
                    Err(problem) => {
                        server.tell(&format!("the changed configuration is not used: {problem}"));
                    }
                }
            }
            // Said when the file has been read, so that whoever waits for it may change it again.
            self.report(&server, None);
        }
    }

    /// Says once that the file is gone, and once that it is back.
    fn report(&mut self, server: &Server, error: Option<&std::io::Error>) {
        let was_missing = std::mem::replace(&mut self.is_missing, error.is_some());
        let path = self.path.display();
        match error {
            Some(error) if !was_missing => server.tell(&format!(
                "{path}: {error}; the pool keeps its settings until the file is back"
            )),
            None if was_missing => server.tell(&format!("{path}: the file is back")),
            _ => {}
        }
    }

    async fn changed(&mut self, server: &Arc<Server>, new: PoolSettings) {
        let old = self.settings.replace(new.clone());
        if old.as_ref() == Some(&new) {
            return;
        }
        // The setting as it was when the change came decides, as the change may be of this setting.
        let disallowed = {
            let mut current = server.pool.settings.lock();
            let disallowed = current.recycling.disallow_rotation_on_config_change;
            *current = Arc::new(merge(old, new, &current));
            disallowed
        };
        server.pool.needs_attention();
        if disallowed {
            server.tell("the pool's settings have changed; disallowRotationOnConfigChange");
        } else if let Err(error) = recycle_all(server, RecycleReason::ConfigChange).await {
            server.tell(&format!("recycle failed: {error}"));
        }
    }
}

/// Elements that changed in the file are taken from it; the others stay as they are, since a
/// scenario may have set them beside the file.
fn merge(old: Option<PoolSettings>, new: PoolSettings, current: &PoolSettings) -> PoolSettings {
    let Some(old) = old else { return new };
    let mut merged = current.clone();
    if old.recycling != new.recycling {
        merged.recycling = new.recycling;
    }
    if old.process_model != new.process_model {
        merged.process_model = new.process_model;
    }
    if old.failure != new.failure {
        merged.failure = new.failure;
    }
    if old.queue_length != new.queue_length {
        merged.queue_length = new.queue_length;
    }
    if old.start_mode != new.start_mode {
        merged.start_mode = new.start_mode;
    }
    merged
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.modified()?, metadata.len()))
}

fn read(path: &Path, pool: &str) -> Result<PoolSettings, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    iis::read_pool(&path.display().to_string(), &bytes, pool)
        .map(|pool| pool.settings)
        .map_err(|error| error.to_string())
}
