//! The control API; [`crate::control`] documents it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::{Shared, lock, metrics, pool};
use crate::config::FaultConfig;
use crate::control::{NewMail, Truth};

type Context = State<Arc<Shared>>;

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let router = Router::new()
        .route("/health", get(health))
        .route("/truth", get(truth))
        .route("/metrics", get(metrics))
        .route("/faults", post(set_faults).delete(reset_faults))
        .route("/mail", post(mail))
        .route("/recycle", post(recycle))
        .route("/hierarchy-change", post(hierarchy_change))
        .route("/unprovision", post(unprovision))
        .route("/kill-worker", post(kill_worker))
        .route("/shutdown", post(shutdown))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("mock: the control API ended: {error}");
    }
}

async fn health(State(shared): Context) -> StatusCode {
    let serves = shared
        .pool
        .truth()
        .workers
        .iter()
        .any(|worker| worker.state == "running");
    if serves {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn truth(State(shared): Context) -> Json<Truth> {
    Json(shared.truth())
}

async fn metrics(State(shared): Context) -> Response {
    match metrics::render(&shared) {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn set_faults(State(shared): Context, Json(faults): Json<FaultConfig>) -> Response {
    if let Some(problem) = faults.problem() {
        return (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response();
    }
    shared.set_faults(faults);
    Json(faults).into_response()
}

async fn reset_faults(State(shared): Context) -> Json<FaultConfig> {
    shared.set_faults(FaultConfig::default());
    Json(FaultConfig::default())
}

async fn mail(State(shared): Context, Json(mail): Json<NewMail>) -> Response {
    if mail.to.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, "`to` names no user").into_response();
    }
    Json(shared.deliver(&mail)).into_response()
}

async fn recycle(State(shared): Context) -> Response {
    match pool::recycle(&shared).await {
        Ok(()) => Json(shared.truth()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn hierarchy_change(State(shared): Context) -> StatusCode {
    shared.change_hierarchy();
    StatusCode::NO_CONTENT
}

async fn unprovision(State(shared): Context) -> StatusCode {
    lock(&shared.store).unprovision();
    StatusCode::NO_CONTENT
}

async fn kill_worker(State(shared): Context) -> StatusCode {
    if shared.pool.kill_one() {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::CONFLICT
    }
}

async fn shutdown(State(shared): Context) -> StatusCode {
    shared.stop.send_replace(true);
    StatusCode::NO_CONTENT
}
