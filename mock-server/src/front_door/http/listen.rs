//! Client and back-end sockets: HTTP/1.1 in, a request to a worker, its answer out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::pool::Lost;
use super::{Shared, StartError};
use crate::link::{App, WireAnswer, WireRequest};

/// Pending connections: a herd after a recycle must not be refused by the kernel (SYN cookies or
/// drops would add whole seconds to what clients measure).
const BACKLOG: i32 = 16_384;
/// `httpRuntime maxRequestLength` of Exchange 2016, 10,240 kB.
const MAX_BODY: usize = 10_240 << 10;
/// Request line and headers; HTTP.sys allows 16 kB each by default.
const MAX_HEAD: usize = 32 << 10;

/// The body of HTTP.sys's own 503 (mock-fidelity section 4).
const UNAVAILABLE: &str = concat!(
    "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">\r\n",
    "<HTML><HEAD><TITLE>Service Unavailable</TITLE>\r\n",
    "<META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>\r\n",
    "<BODY><h2>Service Unavailable</h2>\r\n",
    "<hr><p>HTTP Error 503. The service is unavailable.</p>\r\n",
    "</BODY></HTML>\r\n",
);

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || -> io::Result<TcpListener> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        // A restarted mock must get its port back while old connections are in TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|source| StartError::Listen { address, source })
}

/// Accepts until the task is ended.
pub(super) async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    app: App,
    tls: Option<TlsAcceptor>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(connection(shared, stream, app, tls));
            }
            Err(error) => {
                // Mostly "too many open files": accepting again at once would spin.
                eprintln!("mock: cannot accept a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, app: App, tls: Option<TlsAcceptor>) {
    // Only delays small answers if it fails.
    let _ = stream.set_nodelay(true);
    if app == App::FrontEnd {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
    }
    match tls {
        None => serve(shared, stream, app).await,
        Some(tls) => {
            // A client that cannot shake hands has nothing to be told.
            if let Ok(stream) = tls.accept(stream).await {
                serve(shared, stream, app).await;
            }
        }
    }
}

pub(super) async fn serve<S>(shared: Arc<Shared>, stream: S, app: App)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if app == App::FrontEnd {
        shared.open.fetch_add(1, Ordering::Relaxed);
    }
    let service = service_fn(|request| handle(&shared, request, app));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(match app {
            App::FrontEnd => CLIENT_IDLE_TIMEOUT,
            App::BackEnd => shared.config.back_end_idle_timeout,
        })
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // Ends with an error whenever a client goes away or a worker is killed: that is the mock's
    // daily work, and `Truth` counts what matters of it.
    drop(served);
    if app == App::FrontEnd {
        shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When the front door handed an answer to the connection, in microseconds since 1970: a client on
/// the same machine can tell its own delay from the server's. Not a header of Exchange.
pub const ANSWERED: &str = "X-Mock-Answered";

fn unix_micros() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_micros())
}

/// IIS `sites/limits connectionTimeout`.
const CLIENT_IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

async fn handle(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    app: App,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let request = match wire_request(request).await {
        Ok(request) => request,
        Err(status) => return Ok(status_only(status)),
    };
    match shared.pool.dispatch(app, request).await {
        Ok(mut answer) => {
            if app == App::FrontEnd {
                answer
                    .headers
                    .push((ANSWERED.to_owned(), unix_micros().to_string()));
            }
            Ok(response(answer))
        }
        Err(Lost::QueueFull | Lost::Stopped) => Ok(unavailable()),
        Err(Lost::Cut) => {
            if app == App::FrontEnd {
                shared.cut.fetch_add(1, Ordering::Relaxed);
            }
            // An error from the service makes hyper close the connection without an answer, which
            // is what a client sees when IIS ends a worker.
            Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the worker ended",
            ))
        }
    }
}

async fn wire_request(request: Request<Incoming>) -> Result<WireRequest, StatusCode> {
    const WANTED: [&str; 6] = [
        "authorization",
        "content-type",
        "ms-asprotocolversion",
        "user-agent",
        "x-ms-policykey",
        "cookie",
    ];
    let (parts, body) = request.into_parts();
    let headers = WANTED
        .into_iter()
        .filter_map(|name| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            }
        })?;
    Ok(WireRequest {
        method: parts.method.as_str().to_owned(),
        uri: parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned(),
        headers,
        body: body.to_bytes().into(),
    })
}

fn response(answer: WireAnswer) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    // A worker that sends a header HTTP cannot carry has a defect of its own.
    builder
        .body(Full::new(Bytes::from(answer.body)))
        .unwrap_or_else(|_| status_only(StatusCode::INTERNAL_SERVER_ERROR))
}

fn status_only(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn unavailable() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(UNAVAILABLE.as_bytes())));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    for (name, value) in [
        ("content-type", "text/html; charset=us-ascii"),
        ("server", "Microsoft-HTTPAPI/2.0"),
        ("connection", "close"),
    ] {
        response
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn http_sys_s_503_has_its_length() {
        assert_eq!(super::UNAVAILABLE.len(), 326);
    }
}
