//! A model of garbage collection with real stalls: a full collection happens each time a budget of
//! allocation is used up, takes time in proportion to the live heap, and stops every request of
//! the worker while it lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mock_api::config::HeapConfig;
use parking_lot::Mutex;
use tokio::sync::RwLock;
use tokio::time::Instant;

const MIB: f64 = 1_048_576.0;

#[derive(Debug)]
pub(super) struct Heap {
    config: HeapConfig,
    live: AtomicU64,
    /// Since the last collection.
    allocated: AtomicU64,
    allocated_ever: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held for writing by a collection; requests pass by reading.
    world: RwLock<()>,
    collections: AtomicU64,
    paused_nanos: AtomicU64,
    sample: Mutex<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    paused_nanos: u64,
    share: f64,
}

/// What the counters show.
pub(super) struct Figures {
    pub(super) bytes: u64,
    pub(super) young: u64,
    pub(super) allocated_ever: u64,
    pub(super) collections: u64,
    pub(super) gc_share: f64,
}

impl Heap {
    pub(super) fn new(config: HeapConfig) -> Self {
        let sample = Sample {
            at: Instant::now(),
            paused_nanos: 0,
            share: 0.0,
        };
        Self {
            config,
            live: AtomicU64::new(config.base),
            allocated: AtomicU64::new(0),
            allocated_ever: AtomicU64::new(0),
            shared: Arc::new(Shared {
                world: RwLock::new(()),
                collections: AtomicU64::new(0),
                paused_nanos: AtomicU64::new(0),
                sample: Mutex::new(sample),
            }),
        }
    }

    /// Counts an allocation, which may set off a collection, and waits for one that runs.
    pub(super) async fn allocate(&self, bytes: u64) {
        self.allocated_ever.fetch_add(bytes, Ordering::Relaxed);
        let before = self.allocated.fetch_add(bytes, Ordering::Relaxed);
        if before < self.config.budget && before + bytes >= self.config.budget {
            self.allocated.store(0, Ordering::Relaxed);
            self.collect();
        }
        self.pass().await;
    }

    /// Waits for a collection that runs.
    pub(super) async fn pass(&self) {
        drop(self.shared.world.read().await);
    }

    /// Keeps so many bytes alive for the rest of the process.
    pub(super) fn retain(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::Relaxed);
    }

    fn collect(&self) {
        let live = self.live.load(Ordering::Relaxed);
        let pause = self.config.pause_per_mib.mul_f64(live as f64 / MIB);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let world = shared.world.write().await;
            tokio::time::sleep(pause).await;
            shared.collections.fetch_add(1, Ordering::Relaxed);
            shared
                .paused_nanos
                .fetch_add(nanos(pause), Ordering::Relaxed);
            drop(world);
        });
    }

    /// Ends a sampling interval of the share of time spent in collections.
    pub(super) fn sample(&self) {
        let mut sample = self.shared.sample.lock();
        let (now, paused) = (
            Instant::now(),
            self.shared.paused_nanos.load(Ordering::Relaxed),
        );
        let elapsed = nanos(now - sample.at);
        if elapsed > 0 {
            let share = (paused - sample.paused_nanos) as f64 / elapsed as f64;
            *sample = Sample {
                at: now,
                paused_nanos: paused,
                share: share.min(1.0),
            };
        }
    }

    pub(super) fn figures(&self) -> Figures {
        let young = self.allocated.load(Ordering::Relaxed);
        Figures {
            bytes: self.live.load(Ordering::Relaxed) + young,
            young,
            allocated_ever: self.allocated_ever.load(Ordering::Relaxed),
            collections: self.shared.collections.load(Ordering::Relaxed),
            gc_share: self.shared.sample.lock().share,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
