//! A typed client of the mock's control API, over HTTP or on a mock in the same process.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_service::Service as _;

use mock_api::control::{Clock, ClockMove, Delivered, NewMail, Truth, UserSettings};
use mock_api::fault::Fault;

/// A call answers in milliseconds, but a recycle without overlap takes as long as the drain.
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// Type of the bodies of calls.
const JSON: &str = "application/json";

/// Why a call had no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The mock cannot be reached, or answered something else than expected.
    #[error("the mock's control API: {}", innermost(.0))]
    Http(#[from] reqwest::Error),
    /// The mock refused.
    #[error("the mock's control API: {call}: {status}: {problem}")]
    Refused {
        /// The call.
        call: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        problem: String,
    },
}

/// The cause of an error: the outer ones only repeat the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A client for HTTP without TLS, through no proxy. reqwest is built with TLS for the devices' sake,
/// and a client that is told nothing of it looks for a cryptography provider of the process, of which
/// there is none, and panics. This one trusts no certificate.
pub fn plain_http() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().no_proxy();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    match versions {
        Ok(config) => builder.tls_backend_preconfigured(
            config
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
        ),
        // What is no configuration is refused when the client is built.
        Err(error) => builder.tls_backend_preconfigured(error),
    }
}

/// The control API of a running mock.
#[derive(Debug, Clone)]
pub struct Control {
    base: String,
    way: Way,
}

/// How calls get to the mock.
#[derive(Debug, Clone)]
enum Way {
    Http(reqwest::Client),
    /// The API itself, of a mock in this process.
    InProcess(axum::Router),
}

type Called<T> = Result<T, ControlError>;

impl Control {
    /// The mock at that base URL. Never through a proxy, never for ever.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(base: &str) -> Called<Self> {
        let client = plain_http().timeout(CALL_LIMIT).build()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            way: Way::Http(client),
        })
    }

    /// The mock in this process whose API this is.
    #[must_use]
    pub fn in_process(base: &str, router: axum::Router) -> Self {
        Self {
            base: base.to_owned(),
            way: Way::InProcess(router),
        }
    }

    /// The call that a URL of this API means, if it is one and the mock is in this process: nobody listens
    /// at such a URL.
    #[must_use]
    pub fn local_call<'a>(&self, url: &'a str) -> Option<&'a str> {
        match &self.way {
            Way::Http(_) => None,
            Way::InProcess(_) => url.strip_prefix(&self.base)?.strip_prefix('/'),
        }
    }

    async fn send(&self, method: Method, call: &str, body: Option<Vec<u8>>) -> Called<String> {
        let (status, text) = match &self.way {
            Way::Http(client) => {
                let mut request = client.request(method, format!("{}/{call}", self.base));
                if let Some(body) = body {
                    request = request.header(CONTENT_TYPE, JSON).body(body);
                }
                let answer = request.send().await?;
                (answer.status(), answer.text().await?)
            }
            Way::InProcess(router) => {
                let problem = |problem: String| ControlError::Refused {
                    call: call.to_owned(),
                    status: 0,
                    problem,
                };
                let request = axum::http::Request::builder()
                    .method(method)
                    .uri(format!("/{call}"))
                    .header(CONTENT_TYPE, JSON)
                    .body(axum::body::Body::from(body.unwrap_or_default()))
                    .map_err(|error| problem(error.to_string()))?;
                let answer = match router.clone().call(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                let status = answer.status();
                let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
                let bytes = bytes.map_err(|error| problem(error.to_string()))?;
                (status, String::from_utf8_lossy(&bytes).into_owned())
            }
        };
        if status.is_success() {
            return Ok(text);
        }
        Err(ControlError::Refused {
            call: call.to_owned(),
            status: status.as_u16(),
            problem: text,
        })
    }

    /// What a call that only reads answers.
    ///
    /// # Errors
    /// As every call.
    pub async fn text(&self, call: &str) -> Called<String> {
        self.send(Method::GET, call, None).await
    }

    async fn post(&self, call: &str) -> Called<()> {
        self.send(Method::POST, call, None).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        call: &str,
        body: Option<&impl Serialize>,
    ) -> Called<T> {
        let unreadable = |error: serde_json::Error, text: &str| ControlError::Refused {
            call: call.to_owned(),
            status: 200,
            problem: format!("{error}: {text}"),
        };
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|error| unreadable(error, ""))?;
        let text = self.send(method, call, body).await?;
        serde_json::from_str(&text).map_err(|error| unreadable(error, &text))
    }

    /// What really happens inside.
    ///
    /// # Errors
    /// As every call: when the mock cannot be reached or refuses.
    pub async fn truth(&self) -> Called<Truth> {
        self.json(Method::GET, "truth", None::<&()>).await
    }

    /// Sets these faults in place of all before.
    ///
    /// # Errors
    /// As every call.
    pub async fn set_faults(&self, faults: &[Fault]) -> Called<Vec<Fault>> {
        self.json(Method::PUT, "faults", Some(&faults)).await
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// As every call.
    pub async fn add_fault(&self, fault: &Fault) -> Called<Vec<Fault>> {
        self.json(Method::POST, "faults", Some(fault)).await
    }

    /// No faults any more.
    ///
    /// # Errors
    /// As every call.
    pub async fn reset_faults(&self) -> Called<Vec<Fault>> {
        self.json(Method::DELETE, "faults", None::<&()>).await
    }

    /// Puts a mail into inboxes.
    ///
    /// # Errors
    /// As every call.
    pub async fn mail(&self, mail: &NewMail) -> Called<Delivered> {
        self.json(Method::POST, "mail", Some(mail)).await
    }

    /// Recycles; returns when the new workers serve.
    ///
    /// # Errors
    /// As every call.
    pub async fn recycle(&self) -> Called<Truth> {
        self.json(Method::POST, "recycle", None::<&()>).await
    }

    /// Moves the pool's clock ahead.
    ///
    /// # Errors
    /// As every call.
    pub async fn advance_clock(&self, advance: Duration) -> Called<Clock> {
        let by = ClockMove { advance };
        self.json(Method::POST, "clock", Some(&by)).await
    }

    /// Changes what the directory says of a user.
    ///
    /// # Errors
    /// As every call.
    pub async fn set_user(&self, name: &str, settings: &UserSettings) -> Called<UserSettings> {
        let call = format!("users/{name}");
        self.json(Method::PUT, &call, Some(settings)).await
    }

    /// Stops the pool: 503 at once.
    ///
    /// # Errors
    /// As every call.
    pub async fn stop_pool(&self) -> Called<()> {
        self.post("pool/stop").await
    }

    /// Starts a stopped pool.
    ///
    /// # Errors
    /// As every call.
    pub async fn start_pool(&self) -> Called<()> {
        self.post("pool/start").await
    }

    /// Ends a worker as a crash would.
    ///
    /// # Errors
    /// As every call; also when there is no worker.
    pub async fn kill_worker(&self) -> Called<()> {
        self.post("kill-worker").await
    }

    /// Adds a folder to every mailbox.
    ///
    /// # Errors
    /// As every call.
    pub async fn hierarchy_change(&self) -> Called<()> {
        self.post("hierarchy-change").await
    }

    /// Makes every device provision again.
    ///
    /// # Errors
    /// As every call.
    pub async fn unprovision(&self) -> Called<()> {
        self.post("unprovision").await
    }

    /// Forgets every Sync key.
    ///
    /// # Errors
    /// As every call.
    pub async fn lose_sync_state(&self) -> Called<()> {
        self.post("lose-sync-state").await
    }

    /// Moves the mailbox database to another server, as far as Pings notice.
    ///
    /// # Errors
    /// As every call.
    pub async fn store_failover(&self) -> Called<()> {
        self.post("store-failover").await
    }

    /// Ends the mock.
    ///
    /// # Errors
    /// As every call.
    pub async fn shutdown(&self) -> Called<()> {
        self.post("shutdown").await
    }

    /// windows_exporter's text.
    ///
    /// # Errors
    /// As every call.
    pub async fn metrics(&self) -> Called<String> {
        self.text("metrics").await
    }

    /// The event log's lines.
    ///
    /// # Errors
    /// As every call.
    pub async fn events(&self) -> Called<String> {
        self.text("events").await
    }

    /// The IIS log.
    ///
    /// # Errors
    /// As every call.
    pub async fn iis_log(&self) -> Called<String> {
        self.text("iis-log").await
    }

    /// The HTTPERR log.
    ///
    /// # Errors
    /// As every call.
    pub async fn httperr(&self) -> Called<String> {
        self.text("httperr").await
    }

    /// The performance log, PDH-CSV.
    ///
    /// # Errors
    /// As every call.
    pub async fn perfmon(&self) -> Called<String> {
        self.text("perfmon").await
    }

    /// `netstat -ano`, or `-anob` with images.
    ///
    /// # Errors
    /// As every call.
    pub async fn netstat(&self, images: bool) -> Called<String> {
        self.text(&format!("netstat?images={images}")).await
    }
}
