//! Any bytes as an applicationHost.config: settings, or an error that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match iis::read_pool("applicationHost.config", bytes, iis::SYNC_POOL) {
        Ok(pool) => assert!(pool.settings.queue_length >= 10),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
