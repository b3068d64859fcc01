//! The front door: HTTP.sys, WAS and the Information Store in one process.

mod control;
mod listen;
mod metrics;
mod pool;
mod tls;

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{FaultConfig, MockConfig};
use crate::control::{Delivered, NewMail, Truth};
use crate::link::{App, ToWorker};
use crate::store::{Mail, Store};

pub use listen::ANSWERED;
use pool::Pool;
pub use pool::WorkerLauncher;

/// Where a running mock is reached; printed as one line of JSON by `easload mock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// The EAS URL for devices.
    pub url: String,
    /// Where devices connect.
    pub listen: SocketAddr,
    /// Where the worker's outgoing connections go, as port 444 on Exchange.
    pub back_end: SocketAddr,
    /// Base URL of metrics and control API.
    pub control: String,
    /// The CA certificate in PEM, if the mock speaks TLS.
    pub ca: Option<String>,
    /// Process id of the front door.
    pub pid: u32,
}

/// Why a mock cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// The worker process cannot be started.
    #[error("cannot start the worker: {0}")]
    Worker(String),
    /// The certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// A value of the configuration is impossible.
    #[error("{0}")]
    Config(String),
}

/// A running mock.
pub struct FrontDoor {
    shared: Arc<Shared>,
    addresses: Addresses,
    tasks: JoinSet<()>,
}

/// What all parts of the front door share.
struct Shared {
    config: MockConfig,
    store: Mutex<Store>,
    pool: Pool,
    faults: Mutex<FaultConfig>,
    accepted: AtomicU64,
    open: AtomicU64,
    cut: AtomicU64,
    stop: watch::Sender<bool>,
}

impl FrontDoor {
    /// Binds the addresses and starts the workers; the mock serves when this returns.
    ///
    /// # Errors
    /// When an address is taken, or a worker does not become ready in time.
    pub async fn start(config: MockConfig, launcher: WorkerLauncher) -> Result<Self, StartError> {
        if let Some(problem) = config.faults.problem() {
            return Err(StartError::Config(problem.to_owned()));
        }
        let clients = listen::bind(config.listen)?;
        let local = SocketAddr::new(config.listen.ip(), 0);
        let back_end = listen::bind(local)?;
        let control = listen::bind(config.control)?;
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|source| StartError::Listen {
                address: local,
                source,
            })
        };
        let (acceptor, ca) = if config.tls {
            let (acceptor, ca) = tls::acceptor(config.listen.ip())?;
            (Some(acceptor), Some(ca))
        } else {
            (None, None)
        };
        let addresses = Addresses {
            url: format!(
                "{}://{}{}",
                if config.tls { "https" } else { "http" },
                address(&clients)?,
                eas::http::PATH
            ),
            listen: address(&clients)?,
            back_end: address(&back_end)?,
            control: format!("http://{}", address(&control)?),
            ca,
            pid: std::process::id(),
        };
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(config.seed, config.require_provisioning)),
            pool: Pool::new(config.pool, launcher, addresses.back_end),
            faults: Mutex::new(config.faults),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            stop: watch::Sender::new(false),
            config,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen::accept(
            Arc::clone(&shared),
            clients,
            App::FrontEnd,
            acceptor,
        ));
        tasks.spawn(listen::accept(
            Arc::clone(&shared),
            back_end,
            App::BackEnd,
            None,
        ));
        tasks.spawn(control::serve(Arc::clone(&shared), control));
        pool::start(&shared).await?;
        tasks.spawn(pool::keep_policy(Arc::clone(&shared)));
        Ok(Self {
            shared,
            addresses,
            tasks,
        })
    }

    /// Where it is reached.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns when somebody asked for the end through the control API.
    pub async fn asked_to_stop(&self) {
        // The sender lives in `shared`, so this can only end with the value.
        let _ = self.shared.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Serves a client over any stream, for tests without a network.
    pub fn serve_stream<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(listen::serve(shared, stream, App::FrontEnd));
    }

    /// What really happens inside.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.shared.truth()
    }

    /// Puts a mail into inboxes.
    pub fn deliver(&self, mail: &NewMail) -> Delivered {
        self.shared.deliver(mail)
    }

    /// Sets the faults.
    pub fn set_faults(&self, faults: FaultConfig) {
        self.shared.set_faults(faults);
    }

    /// Recycles the pool; returns when the new worker serves.
    ///
    /// # Errors
    /// When the new worker does not start.
    pub async fn recycle(&self) -> Result<(), StartError> {
        pool::recycle(&self.shared).await
    }

    /// Adds a folder to every mailbox.
    pub fn change_hierarchy(&self) {
        self.shared.change_hierarchy();
    }

    /// Makes every device provision again.
    pub fn unprovision(&self) {
        lock(&self.shared.store).unprovision();
    }

    /// Ends workers and listeners.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        self.shared.pool.end_all().await;
    }
}

impl Shared {
    fn truth(&self) -> Truth {
        use std::sync::atomic::Ordering::Relaxed;
        let (devices, mails) = {
            let store = lock(&self.store);
            (store.devices(), store.mails())
        };
        Truth {
            connections_accepted: self.accepted.load(Relaxed),
            connections_open: self.open.load(Relaxed),
            cut: self.cut.load(Relaxed),
            devices,
            mails,
            ..self.pool.truth()
        }
    }

    fn deliver(&self, mail: &NewMail) -> Delivered {
        let item = Mail {
            from: "mock".to_owned(),
            to: mail.to.join(", "),
            subject: mail.subject.clone(),
            received: String::new(),
            body: mail.body.clone(),
        };
        let users: Vec<String> = mail
            .to
            .iter()
            .map(|user| user.to_ascii_lowercase())
            .collect();
        let added = lock(&self.store).deliver(&users, &item);
        self.announce(&added);
        Delivered {
            inboxes: added.len(),
        }
    }

    /// Tells every worker which folders got an item: during an overlap both hold Pings.
    fn announce(&self, added: &[(String, u32)]) {
        for (user, folder) in added {
            self.pool.tell_all(|| ToWorker::ItemAdded {
                user: user.clone(),
                folder: *folder,
            });
        }
    }

    fn change_hierarchy(&self) {
        let users = lock(&self.store).change_hierarchy();
        for user in users {
            self.pool
                .tell_all(|| ToWorker::HierarchyChanged { user: user.clone() });
        }
    }

    fn set_faults(&self, faults: FaultConfig) {
        *lock(&self.faults) = faults;
        self.pool.tell_all(|| ToWorker::Faults(faults));
    }
}

/// Locks a mutex. Nothing here panics while holding one, so poisoning cannot happen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
