//! The control API; `docs/mock-server.md` lists the calls, [`crate::control`] what travels.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use iis::RecycleReason;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::server::{Host, Server};
use super::{metrics, was};
use crate::control::{Clock, ClockMove, NewMail, Truth, UserSettings};
use crate::fault::Fault;
use crate::lock;
use crate::surfaces::netstat;

type Context = State<Arc<Host>>;

pub(super) async fn serve(host: Arc<Host>, listener: TcpListener) {
    let per_server = Router::new()
        .route("/metrics", get(metrics))
        .route("/events", get(events))
        .route("/iis-log", get(iis_log))
        .route("/httperr", get(httperr))
        .route("/perfmon", get(perfmon))
        .route("/netstat", get(netstat_text))
        .route("/recycle", post(recycle))
        .route("/kill-worker", post(kill_worker))
        .route("/pool/stop", post(stop_pool))
        .route("/pool/start", post(start_pool));
    let router = Router::new()
        .route("/health", get(health))
        .route("/truth", get(truth))
        .route(
            "/faults",
            get(get_faults)
                .put(put_faults)
                .post(add_fault)
                .delete(reset_faults),
        )
        .route("/mail", post(mail))
        .route("/hierarchy-change", post(hierarchy_change))
        .route("/unprovision", post(unprovision))
        .route("/lose-sync-state", post(lose_sync_state))
        .route("/store-failover", post(store_failover))
        .route("/clock", get(clock).post(move_clock))
        .route("/users/{name}", put(set_user))
        .route("/shutdown", post(shutdown))
        // Without a number a call is for the first server, or for all where it does something.
        .merge(per_server.clone())
        .nest("/servers/{server}", per_server)
        .with_state(host);
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("mock: the control API ended: {error}");
    }
}

/// The server a call names.
#[derive(Debug, Default, Deserialize)]
struct Which {
    #[serde(default)]
    server: Option<usize>,
}

fn unknown_server(host: &Host) -> Response {
    let count = host.servers().len();
    let problem = format!("expected a server from 1 to {count}");
    (StatusCode::NOT_FOUND, problem).into_response()
}

impl Host {
    fn one(&self, which: &Which) -> Option<Arc<Server>> {
        let number = which.server.unwrap_or(1);
        let servers = self.servers();
        servers.into_iter().find(|server| server.number == number)
    }

    /// The named server, or all of them.
    fn all(&self, which: &Which) -> Vec<Arc<Server>> {
        let mut servers = self.servers();
        servers.retain(|server| which.server.is_none_or(|number| number == server.number));
        servers
    }
}

async fn health(State(host): Context) -> StatusCode {
    let truth = host.truth();
    if truth.workers.iter().any(|worker| worker.state == "running") {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn truth(State(host): Context) -> Json<Truth> {
    Json(host.truth())
}

async fn metrics(State(host): Context, Path(which): Path<Which>) -> Response {
    let Some(server) = host.one(&which) else {
        return unknown_server(&host);
    };
    // Reads /proc and the socket tables.
    match tokio::task::spawn_blocking(move || metrics::render(&server)).await {
        Ok(Ok(text)) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A text that takes a while: megabytes of a log, or the system's socket tables.
async fn text_of(
    host: &Host,
    which: &Which,
    text: impl Fn(&Server) -> String + Send + 'static,
) -> Response {
    let Some(server) = host.one(which) else {
        return unknown_server(host);
    };
    match tokio::task::spawn_blocking(move || text(&server)).await {
        Ok(text) => text.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn events(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.events()).await
}

async fn iis_log(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.requests()).await
}

async fn httperr(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.errors()).await
}

async fn perfmon(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.perfmon()).await
}

#[derive(Debug, Deserialize)]
struct NetstatOptions {
    #[serde(default)]
    images: bool,
}

async fn netstat_text(
    State(host): Context,
    Path(which): Path<Which>,
    Query(options): Query<NetstatOptions>,
) -> Response {
    text_of(&host, &which, move |server| {
        netstat(&server.sockets(), options.images)
    })
    .await
}

async fn get_faults(State(host): Context) -> Json<Vec<Fault>> {
    Json(host.all_faults())
}

async fn put_faults(State(host): Context, Json(faults): Json<Vec<Fault>>) -> Response {
    let problems: Vec<String> = faults.iter().filter_map(Fault::problem).collect();
    if !problems.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, problems.join("\n")).into_response();
    }
    host.set_faults(faults).await;
    Json(host.all_faults()).into_response()
}

async fn add_fault(State(host): Context, Json(fault): Json<Fault>) -> Response {
    if let Some(problem) = fault.problem() {
        return (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response();
    }
    host.add_fault(fault).await;
    Json(host.all_faults()).into_response()
}

async fn reset_faults(State(host): Context) -> Json<Vec<Fault>> {
    host.set_faults(Vec::new()).await;
    Json(Vec::new())
}

async fn mail(State(host): Context, Json(mail): Json<NewMail>) -> Response {
    if mail.to.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, "`to` names no user").into_response();
    }
    Json(host.deliver(&mail)).into_response()
}

async fn recycle(State(host): Context, Path(which): Path<Which>) -> Response {
    let servers = host.all(&which);
    if servers.is_empty() {
        return unknown_server(&host);
    }
    for server in servers {
        if let Err(error) = was::recycle_all(&server, RecycleReason::OnDemand).await {
            return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
        }
    }
    Json(host.truth()).into_response()
}

async fn kill_worker(State(host): Context, Path(which): Path<Which>) -> StatusCode {
    let killed = host.all(&which).iter().any(|server| server.pool.kill_one());
    if killed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::CONFLICT
    }
}

async fn stop_pool(State(host): Context, Path(which): Path<Which>) -> StatusCode {
    for server in host.all(&which) {
        was::stop(&server, was::PoolState::Stopped).await;
    }
    StatusCode::NO_CONTENT
}

async fn start_pool(State(host): Context, Path(which): Path<Which>) -> StatusCode {
    for server in host.all(&which) {
        was::resume(&server).await;
    }
    StatusCode::NO_CONTENT
}

async fn hierarchy_change(State(host): Context) -> StatusCode {
    host.change_hierarchy();
    StatusCode::NO_CONTENT
}

async fn unprovision(State(host): Context) -> StatusCode {
    lock(&host.store).unprovision();
    StatusCode::NO_CONTENT
}

async fn lose_sync_state(State(host): Context) -> StatusCode {
    lock(&host.store).lose_sync_state();
    StatusCode::NO_CONTENT
}

async fn store_failover(State(host): Context) -> StatusCode {
    host.tell_all(|| crate::link::ToWorker::StoreFailover);
    StatusCode::NO_CONTENT
}

async fn clock(State(host): Context) -> Json<Clock> {
    Json(Clock {
        pool_time: host.clock.now().to_string(),
        time_scale: host.clock.scale(),
    })
}

async fn move_clock(state: Context, Json(by): Json<ClockMove>) -> Json<Clock> {
    state.0.clock.advance(by.advance);
    clock(state).await
}

async fn set_user(
    State(host): Context,
    Path(name): Path<String>,
    Json(settings): Json<UserSettings>,
) -> Json<UserSettings> {
    host.set_user(&name, settings);
    Json(settings)
}

async fn shutdown(State(host): Context) -> StatusCode {
    host.stop.send_replace(true);
    StatusCode::NO_CONTENT
}
