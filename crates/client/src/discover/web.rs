//! The network that Autodiscover asks: as devices do, with the same judgement of certificates.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use scenario::{Target, TlsOptions};
use tokio::time::{Instant, timeout};

use super::services::{Service, resolver, services};
use crate::transport::{
    Answer, Carrier, FailureKind, Lean, Limits, Method, Network, PortUses, Proxy, Redirects,
    Request, Reqwest, Transport,
};

/// An answer that takes longer does not come: Exchange gives one within a second or two.
const LIMIT: Duration = Duration::from_secs(30);
/// An answer of Autodiscover has one or two kilobytes, the web site that is there instead more.
const LIMITS: Limits = Limits {
    head: Limits::HEAD,
    body: 1 << 20,
};

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Method.
    pub method: Method,
    /// Where; its path is not used.
    pub target: &'a Target,
    /// Path and query.
    pub path: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a str,
}

/// What Autodiscover asks. A parameter, so that tests need no network.
pub trait Web: Send {
    /// Sends a request and waits for its answer; follows no redirect. The error is in words.
    fn ask(&mut self, ask: Ask<'_>) -> impl Future<Output = Result<Answer, String>> + Send;

    /// Whether the server may have got the request that failed last.
    fn was_sent(&self) -> bool {
        true
    }

    /// The hosts that DNS names for a service (SRV), best first. The error is in words.
    fn services(
        &mut self,
        service: &str,
    ) -> impl Future<Output = Result<Vec<Service>, String>> + Send;
}

/// The real one.
pub struct Internet {
    tls: TlsOptions,
    proxy: Option<Proxy>,
    uses: Arc<PortUses>,
    was_sent: bool,
}

impl Internet {
    /// With certificates judged so.
    #[must_use]
    pub fn new(tls: TlsOptions) -> Self {
        Self {
            tls,
            proxy: None,
            uses: Arc::default(),
            was_sent: false,
        }
    }

    /// Through that proxy, if there is one.
    #[must_use]
    pub fn through(mut self, proxy: Option<Proxy>) -> Self {
        self.proxy = proxy;
        self
    }
}

async fn call(
    mut transport: impl Transport,
    ask: Ask<'_>,
    was_sent: &mut bool,
) -> Result<Answer, String> {
    let request = Request {
        method: ask.method,
        path: ask.path,
        headers: ask.headers,
        body: ask.body.as_bytes(),
        held: false,
    };
    let begun = transport.begin(request).await;
    let answer = match begun {
        Ok(_) => transport.answer(Instant::now() + LIMIT).await,
        Err(failure) => Err(failure),
    };
    answer.map_err(|failure| {
        *was_sent = failure.sent.is_some() || !matches!(failure.kind, FailureKind::Connect(_));
        failure.to_string()
    })
}

impl Web for Internet {
    async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, String> {
        let uses = Arc::clone(&self.uses);
        self.was_sent = false;
        let was_sent = &mut self.was_sent;
        if self.proxy.is_none() {
            let network = Network::new(ask.target.clone(), &self.tls);
            let network = network.map_err(|error| error.to_string())?;
            return call(
                Lean::factory(network, 0, LIMITS, uses).make(),
                ask,
                was_sent,
            )
            .await;
        }
        let carrier = Carrier {
            proxy: self.proxy.clone(),
            http2: false,
        };
        let nowhere = Redirects::default();
        let factory = Reqwest::factory(ask.target, &self.tls, carrier, 0, LIMITS, uses, nowhere);
        let factory = factory.map_err(|error| error.to_string())?;
        call(factory.make(), ask, was_sent).await
    }

    fn was_sent(&self) -> bool {
        self.was_sent
    }

    async fn services(&mut self, service: &str) -> Result<Vec<Service>, String> {
        let resolver = resolver()?;
        match timeout(LIMIT, services(&resolver, service)).await {
            Ok(found) => found,
            Err(_) => Err("no answer from the name servers".to_owned()),
        }
    }
}
