//! The front door: HTTP.sys, WAS and the Information Store in one process, for one or more
//! servers over the same mailboxes.

mod autodiscover;
mod control;
mod faults;
mod front_end;
mod http;
mod metrics;
mod note;
mod records;
mod server;
mod sites;
mod tls;
mod was;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use eas::commands::Email;
use http::{Client, ClientStream};
use mock_api::config::{MockConfig, Tls, Topology};
use mock_api::control::{Delivered, NewMail, Truth};
use mock_api::fault::Fault;
use records::Records;
use serde::{Deserialize, Serialize};
use server::{Host, Server};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use was::Pool;

use crate::clock::PoolClock;
use crate::link::App;
use crate::machine::{Listening, Machine};
use crate::store::Message;
use crate::surfaces::sockets::{Scanner, Scope};
use crate::worker::address;

pub use control::openapi;
pub use http::ANSWERED;
pub use was::WorkerLauncher;

/// Where one server is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerAddresses {
    /// The EAS URL for devices.
    pub url: String,
    /// Where devices connect.
    pub listen: SocketAddr,
    /// Where the worker's outgoing connections go, as port 444 on Exchange.
    pub back_end: SocketAddr,
    /// Its windows_exporter.
    pub metrics: String,
}

/// Where a running mock is reached; printed as one line of JSON by `easload mock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// The EAS URL of the first server.
    pub url: String,
    /// Where devices connect to the first server.
    pub listen: SocketAddr,
    /// Where the first server's outgoing connections go, as port 444 on Exchange.
    pub back_end: SocketAddr,
    /// Base URL of metrics and control API.
    pub control: String,
    /// The CA certificate in PEM, if the mock made one.
    pub ca: Option<String>,
    /// Process id of the front door.
    pub pid: u32,
    /// Pool seconds per second.
    pub time_scale: f64,
    /// Every server that devices can connect to.
    pub servers: Vec<ServerAddresses>,
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
    /// The certificate cannot be made or read.
    #[error("cannot use the certificate: {0}")]
    Certificate(String),
    /// A value of the configuration is impossible.
    #[error("{0}")]
    Config(String),
}

/// A running mock.
pub struct FrontDoor {
    host: Arc<Host>,
    servers: Vec<Arc<Server>>,
    addresses: Addresses,
    tasks: JoinSet<()>,
    /// The control API. It ends after its last answer, so it is not among the tasks that are aborted.
    control: JoinSet<()>,
}

/// How long the mock waits, when it ends, for the answers to calls of its control API. They take milliseconds, or as
/// long as a worker needs to start. The harness kills a mock that has not ended after 5 s, so this is less.
const LAST_ANSWERS_LIMIT: Duration = Duration::from_secs(3);

/// The sockets of one server before it serves.
struct Sockets {
    clients: Listening,
    client_address: SocketAddr,
    back_end: Listening,
    back_end_address: SocketAddr,
}

/// Files of a configuration that a mock could not use: certificates, and the folder of its logs. Nothing is
/// started.
#[must_use]
pub fn unusable_files(config: &MockConfig) -> Vec<String> {
    let certificates = tls::acceptor(config).err();
    let mut problems: Vec<String> = certificates.iter().map(ToString::to_string).collect();
    if let Some(folder) = &config.logs {
        // The folder may not be there yet: then its nearest parent must be a folder.
        let existing = folder.ancestors().find(|path| path.exists());
        if existing.is_some_and(|path| !path.is_dir()) {
            problems.push(format!("cannot write logs into {}", folder.display()));
        }
    }
    problems
}

impl FrontDoor {
    /// Binds the addresses and starts the workers; the mock serves when this returns.
    ///
    /// # Errors
    /// When a value is impossible, an address is taken, or a worker does not become ready in time.
    pub async fn start(config: MockConfig, launcher: WorkerLauncher) -> Result<Self, StartError> {
        Self::start_on(Machine::System, config, launcher).await
    }

    /// The same on a machine that may be a simulated one. There the control API is not served: who
    /// simulates calls this type instead.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on(
        machine: Machine,
        config: MockConfig,
        launcher: WorkerLauncher,
    ) -> Result<Self, StartError> {
        if let Some(problem) = config.problem() {
            return Err(StartError::Config(problem));
        }
        let start = PoolClock::start_of(&config).map_err(StartError::Config)?;
        let (acceptor, ca) = tls::acceptor(&config)?;
        let control = ControlSocket::bind(&machine, config.control)?;
        let sockets = bind_all(&machine, &config)?;
        let clock = PoolClock::new(start, config.time_scale);
        let host = Arc::new(Host::new(machine, config, clock));
        let base = format!("http://{}", control.address);
        let mut servers = Vec::new();
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        let last_back_end = sockets.last().map(|last| last.back_end_address);
        let two = host.config.topology == Topology::TwoServers;
        for (index, own) in sockets.into_iter().enumerate() {
            // On two servers the front end's connections go to the other one.
            let back_end = last_back_end
                .filter(|_| two)
                .unwrap_or(own.back_end_address);
            let server = make_server(&host, index + 1, &launcher, &own, back_end)?;
            if !two || index == 0 {
                addresses.push(ServerAddresses {
                    url: url(&host.config, own.client_address),
                    listen: own.client_address,
                    back_end,
                    metrics: match index {
                        0 => format!("{base}/metrics"),
                        _ => format!("{base}/servers/{}/metrics", index + 1),
                    },
                });
            }
            serve_server(&mut tasks, &server, own, acceptor.as_ref());
            servers.push(server);
        }
        host.set_servers(&servers);
        let mut control_task = JoinSet::new();
        if let Some(listener) = control.listener {
            control_task.spawn(control::serve(Arc::clone(&host), listener));
        }
        start_pools(&host, &servers, &mut tasks).await?;
        host.set_faults(host.config.faults.clone()).await;
        let first = &addresses[0];
        let addresses = Addresses {
            url: first.url.clone(),
            listen: first.listen,
            back_end: first.back_end,
            control: base,
            ca,
            pid: std::process::id(),
            time_scale: host.config.time_scale,
            servers: addresses,
        };
        let front_door = Self {
            host,
            servers,
            addresses,
            tasks,
            control: control_task,
        };
        Ok(front_door)
    }

    /// Where it is reached.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns when somebody asked for the end through the control API.
    pub async fn asked_to_stop(&self) {
        self.host.asked_to_stop().await;
    }

    /// Serves a client over any stream, for tests without a network.
    #[allow(private_bounds)]
    pub fn serve_stream<S: ClientStream>(&self, stream: S) {
        let client = Client {
            app: App::FrontEnd,
            peer: None,
            certificate_user: None,
        };
        tokio::spawn(http::serve(Arc::clone(&self.servers[0]), stream, client));
    }

    /// The control API without a network.
    #[must_use]
    pub fn control(&self) -> mock_client::Control {
        let router = control::router(Arc::clone(&self.host));
        mock_client::Control::in_process(&self.addresses.control, router)
    }

    /// What really happens inside.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.host.truth()
    }

    /// Puts a mail into inboxes: into none if the mock refuses it.
    pub fn deliver(&self, mail: &NewMail) -> Delivered {
        let delivered = self.host.deliver(mail);
        delivered.unwrap_or(Delivered { inboxes: 0 })
    }

    /// Sets the faults in place of all before.
    pub async fn set_faults(&self, faults: Vec<Fault>) {
        self.host.set_faults(faults).await;
    }

    /// Recycles every server's pool; returns when the new workers serve.
    ///
    /// # Errors
    /// When a new worker does not start.
    pub async fn recycle(&self) -> Result<(), StartError> {
        for server in &self.servers {
            was::recycle_all(server, iis::RecycleReason::OnDemand).await?;
        }
        Ok(())
    }

    /// Moves the pool's clock ahead.
    pub fn advance_clock(&self, by: Duration) {
        self.host.advance_clock(by);
    }

    /// Adds a folder to every mailbox.
    ///
    /// # Errors
    /// When a mailbox has as many folders as it may have (`max_folders`). The others get one.
    pub fn change_hierarchy(&self) -> Result<(), String> {
        self.host.change_hierarchy()
    }

    /// Makes every device provision again.
    pub fn unprovision(&self) {
        self.host.store.lock().unprovision();
    }

    /// Ends workers and listeners. Calls of the control API that are under way get their answers first.
    pub async fn shutdown(mut self) {
        self.host.stop.set(true);
        let answered = async { while self.control.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS_LIMIT, answered).await;
        self.control.shutdown().await;
        self.tasks.shutdown().await;
        for server in &self.servers {
            was::stop(server, was::PoolState::Stopped).await;
        }
    }
}

/// Where the control API is served.
struct ControlSocket {
    address: SocketAddr,
    /// None on a simulated machine.
    listener: Option<tokio::net::TcpListener>,
}

impl ControlSocket {
    fn bind(machine: &Machine, asked: SocketAddr) -> Result<Self, StartError> {
        let listening = http::bind(machine, asked)?;
        let address = local_address(&listening, asked)?;
        let listener = match listening {
            Listening::System(listener) => Some(listener),
            Listening::Simulated(_) => None,
        };
        Ok(Self { address, listener })
    }
}

/// Starts every server's workers, and what looks after them.
async fn start_pools(
    host: &Arc<Host>,
    servers: &[Arc<Server>],
    tasks: &mut JoinSet<()>,
) -> Result<(), StartError> {
    for server in servers {
        if let Err(error) = was::start_all(server).await {
            for started in servers {
                was::stop(started, was::PoolState::Stopped).await;
            }
            return Err(error);
        }
        tasks.spawn(was::keep_policy(Arc::clone(server)));
        tasks.spawn(was::ping_workers(Arc::clone(server)));
        tasks.spawn(Arc::clone(server).write_perfmon());
        if let Some(path) = &host.config.pool_file {
            let watch = was::FileWatch::new(path.clone(), host.config.pool.name.clone());
            tasks.spawn(watch.run(Arc::clone(server)));
        }
    }
    Ok(())
}

fn local_address(listener: &Listening, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen {
        address: asked,
        source,
    })
}

/// Client and back-end sockets of every server; further servers take the next client ports.
fn bind_all(machine: &Machine, config: &MockConfig) -> Result<Vec<Sockets>, StartError> {
    let count = match config.topology {
        Topology::TwoServers => 2,
        _ => config.servers,
    };
    let mut sockets = Vec::with_capacity(count);
    for index in 0..count {
        let mut asked = config.listen;
        if asked.port() != 0 {
            let port = u16::try_from(usize::from(asked.port()) + index);
            asked.set_port(port.map_err(|_| {
                StartError::Config("listen: not enough ports for every server".to_owned())
            })?);
        }
        // The second of two servers has no clients of its own.
        let asked = if config.topology == Topology::TwoServers && index == 1 {
            SocketAddr::new(config.listen.ip(), 0)
        } else {
            asked
        };
        let clients = http::bind(machine, asked)?;
        // Who reaches the back end is believed whatever user it names: nobody from outside may.
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let back_end = http::bind(machine, local)?;
        sockets.push(Sockets {
            client_address: local_address(&clients, asked)?,
            clients,
            back_end_address: local_address(&back_end, local)?,
            back_end,
        });
    }
    Ok(sockets)
}

fn make_server(
    host: &Arc<Host>,
    number: usize,
    launcher: &WorkerLauncher,
    sockets: &Sockets,
    back_end: SocketAddr,
) -> Result<Arc<Server>, StartError> {
    let pool = Pool::new(host.config.pool.clone(), launcher.clone());
    let records = Records::new(
        &host.config.pool.name,
        number,
        sockets.client_address,
        Arc::clone(&host.clock),
        pool.limits(),
        host.config.logs.as_deref(),
    )?;
    let scanner = Scanner::new(
        host.machine.clone(),
        Scope {
            client_ports: vec![sockets.client_address.port()],
            back_end_port: back_end.port(),
        },
    );
    Ok(Arc::new(Server::new(
        Arc::clone(host),
        number,
        pool,
        records,
        back_end,
        scanner,
    )))
}

fn serve_server(
    tasks: &mut JoinSet<()>,
    server: &Arc<Server>,
    sockets: Sockets,
    acceptor: Option<&TlsAcceptor>,
) {
    let front = (sockets.clients, App::FrontEnd, acceptor.cloned());
    for (listener, app, tls) in [front, (sockets.back_end, App::BackEnd, None)] {
        tasks.spawn(http::accept(Arc::clone(server), listener, app, tls));
    }
}

fn url(config: &MockConfig, address: SocketAddr) -> String {
    let scheme = if config.tls == Tls::Off {
        "http"
    } else {
        "https"
    };
    format!("{scheme}://{address}{}", eas::http::PATH)
}

/// Who sends the mail of the control API.
const SENDER: &str = "mock";

impl Host {
    /// Moves the pool's clock ahead, and that of the mailboxes.
    fn advance_clock(&self, by: Duration) {
        self.clock.advance(by);
        self.store.lock().advance_clock(by);
        // What was to come later may be due now.
        for server in self.servers() {
            server.pool.needs_attention();
        }
    }

    /// Puts a mail into inboxes, or says why that cannot be done.
    fn deliver(&self, mail: &NewMail) -> Result<Delivered, String> {
        if let Some(problem) = control::mail_problem(mail, &self.config) {
            return Err(problem);
        }
        let recipients: Vec<String> = mail.to.iter().map(|user| address(user)).collect();
        let message = Message {
            email: Email {
                from: address(SENDER).into(),
                to: recipients.join(", ").into(),
                subject: mail.subject.clone().into(),
                body: mail.body.clone().into(),
                ..Email::default()
            },
            ..Message::default()
        };
        let users: Vec<String> = mail
            .to
            .iter()
            .map(|user| crate::worker::local_part(user))
            .collect();
        let wanted = users.len();
        let users = self.not_lost(users);
        let added = self.store.lock().deliver(&users, message);
        self.announce(&added);
        let refused = users.len() - added.len();
        if refused == wanted {
            return Err(
                "no mailbox takes the message: expected one that is below `mailbox_quota` and \
                 `max_items`, and no more than `max_mailboxes`"
                    .to_owned(),
            );
        }
        // A server that loses mail does not say so.
        Ok(Delivered {
            inboxes: wanted - refused,
        })
    }
}
