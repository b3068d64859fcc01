//! Watches the applicationHost.config that the pool's settings came from.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use iis::RecycleReason;

use super::recycle_all;
use crate::front_door::server::Server;
use crate::lock;

/// How often the file is looked at. IIS is told of changes; half a second is as good.
const LOOK: Duration = Duration::from_millis(500);

/// Takes over changed settings, and recycles unless `disallowRotationOnConfigChange` says
/// otherwise, until the task is ended. A file that cannot be read changes nothing.
pub(in crate::front_door) async fn watch_file(server: Arc<Server>, path: std::path::PathBuf) {
    let mut seen = stamp(&path);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = stamp(&path);
        if now == seen || now.is_none() {
            continue;
        }
        seen = now;
        let settings = match read(&path, &server.pool.settings().name) {
            Ok(settings) => settings,
            Err(problem) => {
                server.tell(&format!("the changed configuration is not used: {problem}"));
                continue;
            }
        };
        let before = {
            let mut current = lock(&server.pool.settings);
            std::mem::replace(&mut *current, Arc::new(settings.clone()))
        };
        if *before == settings {
            continue;
        }
        // The setting as it was when the change came decides, as the change may be of this setting.
        if before.recycling.disallow_rotation_on_config_change {
            server.tell("the pool's settings have changed; disallowRotationOnConfigChange");
            continue;
        }
        if let Err(error) = recycle_all(&server, RecycleReason::ConfigChange).await {
            server.tell(&format!("recycle failed: {error}"));
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path, pool: &str) -> Result<iis::PoolSettings, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    iis::read_pool(&path.display().to_string(), &bytes, pool)
        .map(|pool| pool.settings)
        .map_err(|error| error.to_string())
}
