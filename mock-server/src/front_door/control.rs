//! The control API; `docs/mock-server.md` lists the calls, `mock_api::control` what travels.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Json, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use iis::RecycleReason;
use mock_api::MockConfig;
use mock_api::control::{Clock, ClockMove, Delivered, NewMail, Truth, UserSettings};
use mock_api::fault::{self, Fault};
use serde::Deserialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Type};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::server::{Host, Server};
use super::{metrics, was};
use crate::store::{MAX_USER_NAME, is_storable, is_user_name};
use crate::surfaces::netstat;
use crate::worker::local_part;

/// Bytes of a call that gives mail: a message of the largest size is refused with a sentence if it is too
/// large, and JSON may write a byte as six.
const MAX_MAIL: usize = 64 << 20;

type Context = State<Arc<Host>>;

/// What the description of the API says of the whole.
#[derive(OpenApi)]
#[openapi(info(
    title = "Control API of easload's mock",
    description = "What an administrator, a crash or a bad network would do to the bundled Exchange \
                   mock, and what it publishes. Calls under /servers/{server} concern one of several \
                   servers; without a number a text is the first server's, and an action is for all."
))]
struct Description;

/// What is wrong with a mail, if anything.
pub(super) fn mail_problem(mail: &NewMail, config: &MockConfig) -> Option<String> {
    if mail.to.is_empty() {
        return Some("`to` names no user".to_owned());
    }
    if mail.to.len() > config.max_recipients {
        return Some(format!(
            "`to`: expected at most {} recipients (`max_recipients`), found {}",
            config.max_recipients,
            mail.to.len()
        ));
    }
    let is_wrong = |to: &String| !is_user_name(&local_part(to)) || to.contains(char::is_control);
    if let Some(at) = mail.to.iter().position(is_wrong) {
        return Some(format!(
            "`to`: expected names of 1 to {MAX_USER_NAME} bytes without control characters, \
             found another one in place {}",
            at + 1
        ));
    }
    for (name, text) in [("subject", &mail.subject), ("body", &mail.body)] {
        if !is_storable(text) {
            return Some(format!(
                "`{name}`: expected text without NUL characters, which cannot be sent to a device"
            ));
        }
    }
    let size = (mail.subject.len() + mail.body.len()) as u64;
    (size > config.max_message_size).then(|| {
        format!(
            "expected a message of at most {} bytes (`max_message_size`), found {size}",
            config.max_message_size
        )
    })
}

/// Every call with its handler; the description of both is made from the same table.
fn calls() -> OpenApiRouter<Arc<Host>> {
    let per_server = || {
        OpenApiRouter::new()
            .routes(routes!(metrics))
            .routes(routes!(events))
            .routes(routes!(iis_log))
            .routes(routes!(httperr))
            .routes(routes!(perfmon))
            .routes(routes!(netstat_text))
            .routes(routes!(recycle))
            .routes(routes!(kill_worker))
            .routes(routes!(stop_pool))
            .routes(routes!(start_pool))
    };
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health))
        .routes(routes!(truth))
        .routes(routes!(get_faults, put_faults, add_fault, reset_faults))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(mail))
                .layer(DefaultBodyLimit::max(MAX_MAIL)),
        )
        .routes(routes!(hierarchy_change))
        .routes(routes!(unprovision))
        .routes(routes!(lose_sync_state))
        .routes(routes!(store_failover))
        .routes(routes!(clock, move_clock))
        .routes(routes!(set_user))
        .routes(routes!(shutdown))
        .routes(routes!(description))
        // Without a number a call is for the first server, or for all where it does something.
        .merge(per_server())
        .nest("/servers/{server}", per_server())
}

/// The description of the control API (OpenAPI 3.1); `openapi.json` in this crate is the same.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = calls().into_openapi();
    for (path, item) in &mut api.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            // Operations of one name stand at two paths.
            if path.starts_with("/servers/") {
                if let Some(id) = &mut operation.operation_id {
                    id.push_str("_of_server");
                }
                operation
                    .parameters
                    .get_or_insert_default()
                    .push(RefOr::T(server_parameter()));
            } else {
                operation.responses.responses.remove(NO_SUCH_SERVER);
            }
        }
    }
    api
}

/// The answer to a number of no server.
const NO_SUCH_SERVER: &str = "404";

fn server_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("server")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("Number of a server, from 1"))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1)),
        ))
        .build()
}

/// All calls of the API.
pub(super) fn router(host: Arc<Host>) -> axum::Router {
    let (router, _) = calls().split_for_parts();
    router.with_state(host)
}

/// Serves until the mock is to end. Then no further call is taken, and this returns when those under way
/// are answered: the call that ends the mock is one of them.
pub(super) async fn serve(host: Arc<Host>, listener: tokio::net::TcpListener) {
    let stop = Arc::clone(&host);
    let serving = axum::serve(listener, router(host))
        .with_graceful_shutdown(async move { stop.asked_to_stop().await });
    if let Err(error) = serving.await {
        eprintln!("mock: the control API ended: {error}");
    }
}

/// Does something in several steps, whether or not its caller stays for the answer: half a recycle
/// would leave two workers for good.
async fn to_the_end(work: impl Future<Output = Response> + Send + 'static) -> Response {
    match tokio::spawn(work).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
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

/// Whether a worker serves.
#[utoipa::path(get, path = "/health", responses(
    (status = 200, description = "A worker serves"),
    (status = 503, description = "None does"),
))]
async fn health(State(host): Context) -> StatusCode {
    let truth = host.truth();
    if truth.workers.iter().any(|worker| worker.state == "running") {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// What really happens inside.
#[utoipa::path(get, path = "/truth", responses((status = 200, description = "Counts", body = Truth)))]
async fn truth(State(host): Context) -> Json<Truth> {
    Json(host.truth())
}

/// What windows_exporter shows of the server.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"), (status = 404, description = "No such server", body = String)))]
async fn metrics(State(host): Context, Path(which): Path<Which>) -> Response {
    let Some(server) = host.one(&which) else {
        return unknown_server(&host);
    };
    // Reads /proc and the socket tables.
    match server
        .host
        .machine
        .clone()
        .blocking(move || metrics::render(&server))
        .await
    {
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
    match host.machine.blocking(move || text(&server)).await {
        Ok(text) => text.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Event lines of the System and Application logs.
#[utoipa::path(get, path = "/events", responses((status = 200, description = "Lines, oldest first", body = String, content_type = "text/plain"), (status = 404, description = "No such server", body = String)))]
async fn events(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.events()).await
}

/// The log of the web site, W3C.
#[utoipa::path(get, path = "/iis-log", responses((status = 200, description = "Lines, oldest first", body = String, content_type = "text/plain"), (status = 404, description = "No such server", body = String)))]
async fn iis_log(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.requests()).await
}

/// The HTTPERR log of HTTP.sys.
#[utoipa::path(get, path = "/httperr", responses((status = 200, description = "Lines, oldest first", body = String, content_type = "text/plain"), (status = 404, description = "No such server", body = String)))]
async fn httperr(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.errors()).await
}

/// The performance log, PDH-CSV.
#[utoipa::path(get, path = "/perfmon", responses((status = 200, description = "A segment for each set of workers", body = String, content_type = "text/plain"), (status = 404, description = "No such server", body = String)))]
async fn perfmon(State(host): Context, Path(which): Path<Which>) -> Response {
    text_of(&host, &which, |server| server.records.perfmon()).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NetstatOptions {
    /// With the image under each line.
    #[serde(default)]
    images: bool,
}

/// The sockets as netstat -ano shows them, or -anob with images.
#[utoipa::path(get, path = "/netstat", params(NetstatOptions), responses((status = 200, description = "Text of netstat", body = String, content_type = "text/plain"), (status = 404, description = "No such server", body = String)))]
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

/// The faults in force.
#[utoipa::path(get, path = "/faults", responses((status = 200, description = "Faults", body = Vec<Fault>)))]
async fn get_faults(State(host): Context) -> Json<Vec<Fault>> {
    Json(host.all_faults())
}

/// Sets these faults in place of all before.
#[utoipa::path(put, path = "/faults", request_body = Vec<Fault>, responses(
    (status = 200, description = "Faults now in force", body = Vec<Fault>),
    (status = 400, description = "Not JSON", body = String),
    (status = 415, description = "Not sent as JSON", body = String),
    (status = 422, description = "What is wrong with the values", body = String),
))]
async fn put_faults(State(host): Context, Json(faults): Json<Vec<Fault>>) -> Response {
    let problems = fault::problems(&faults);
    if !problems.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, problems.join("\n")).into_response();
    }
    to_the_end(async move {
        host.set_faults(faults).await;
        Json(host.all_faults()).into_response()
    })
    .await
}

/// One fault more.
#[utoipa::path(post, path = "/faults", request_body = Fault, responses(
    (status = 200, description = "Faults now in force", body = Vec<Fault>),
    (status = 400, description = "Not JSON", body = String),
    (status = 415, description = "Not sent as JSON", body = String),
    (status = 422, description = "What is wrong with the values", body = String),
))]
async fn add_fault(State(host): Context, Json(fault): Json<Fault>) -> Response {
    if let Some(problem) = fault.problem() {
        return (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response();
    }
    to_the_end(async move {
        if !host.add_fault(fault).await {
            let problem = format!("expected at most {} faults in force", fault::MAX_FAULTS);
            return (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response();
        }
        Json(host.all_faults()).into_response()
    })
    .await
}

/// No faults any more.
#[utoipa::path(delete, path = "/faults", responses((status = 200, description = "None", body = Vec<Fault>)))]
async fn reset_faults(State(host): Context) -> Response {
    to_the_end(async move {
        host.set_faults(Vec::new()).await;
        Json(host.all_faults()).into_response()
    })
    .await
}

/// Puts a mail into inboxes.
#[utoipa::path(post, path = "/mail", request_body = NewMail, responses(
    (status = 200, description = "Delivered", body = Delivered),
    (status = 400, description = "Not JSON", body = String),
    (status = 415, description = "Not sent as JSON", body = String),
    (status = 422, description = "What is wrong with the values", body = String),
))]
async fn mail(State(host): Context, Json(mail): Json<NewMail>) -> Response {
    match host.deliver(&mail) {
        Ok(delivered) => Json(delivered).into_response(),
        Err(problem) => (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response(),
    }
}

/// Recycles; answers when the new workers serve.
#[utoipa::path(post, path = "/recycle", responses(
    (status = 200, description = "The new workers serve", body = Truth),
    (status = 404, description = "No such server", body = String),
    (status = 500, description = "A new worker does not start", body = String),
))]
async fn recycle(State(host): Context, Path(which): Path<Which>) -> Response {
    let servers = host.all(&which);
    if servers.is_empty() {
        return unknown_server(&host);
    }
    to_the_end(async move {
        for server in servers {
            if let Err(error) = was::recycle_all(&server, RecycleReason::OnDemand).await {
                return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
            }
        }
        Json(host.truth()).into_response()
    })
    .await
}

/// Ends a worker as a crash would.
#[utoipa::path(post, path = "/kill-worker", responses(
    (status = 204, description = "It is ended"),
    (status = 404, description = "No such server", body = String),
    (status = 409, description = "There is no worker"),
))]
async fn kill_worker(State(host): Context, Path(which): Path<Which>) -> Response {
    let servers = host.all(&which);
    if servers.is_empty() {
        return unknown_server(&host);
    }
    // Every server's, and not only the first that has one.
    let killed = servers.iter().filter(|server| server.pool.kill_one());
    match killed.count() {
        0 => StatusCode::CONFLICT.into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Stops the pool: 503 at once.
#[utoipa::path(post, path = "/pool/stop", responses(
    (status = 204, description = "Done"),
    (status = 404, description = "No such server", body = String),
))]
async fn stop_pool(State(host): Context, Path(which): Path<Which>) -> Response {
    let servers = host.all(&which);
    if servers.is_empty() {
        return unknown_server(&host);
    }
    to_the_end(async move {
        for server in servers {
            was::stop(&server, was::PoolState::Stopped).await;
        }
        StatusCode::NO_CONTENT.into_response()
    })
    .await
}

/// Starts a stopped pool.
#[utoipa::path(post, path = "/pool/start", responses(
    (status = 204, description = "Done"),
    (status = 404, description = "No such server", body = String),
))]
async fn start_pool(State(host): Context, Path(which): Path<Which>) -> Response {
    let servers = host.all(&which);
    if servers.is_empty() {
        return unknown_server(&host);
    }
    to_the_end(async move {
        for server in servers {
            was::resume(&server).await;
        }
        StatusCode::NO_CONTENT.into_response()
    })
    .await
}

/// Adds a folder to every mailbox.
#[utoipa::path(post, path = "/hierarchy-change", responses(
    (status = 204, description = "Done"),
    (status = 422, description = "How many mailboxes have no room for a folder", body = String),
))]
async fn hierarchy_change(State(host): Context) -> Response {
    match host.change_hierarchy() {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response(),
    }
}

/// Makes every device provision again.
#[utoipa::path(post, path = "/unprovision", responses((status = 204, description = "Done")))]
async fn unprovision(State(host): Context) -> StatusCode {
    host.store.lock().unprovision();
    StatusCode::NO_CONTENT
}

/// Forgets every Sync key.
#[utoipa::path(post, path = "/lose-sync-state", responses((status = 204, description = "Done")))]
async fn lose_sync_state(State(host): Context) -> StatusCode {
    host.store.lock().lose_sync_state();
    StatusCode::NO_CONTENT
}

/// Moves the mailbox database to another server, as far as Pings notice.
#[utoipa::path(post, path = "/store-failover", responses((status = 204, description = "Done")))]
async fn store_failover(State(host): Context) -> StatusCode {
    host.tell_all(|| crate::link::ToWorker::StoreFailover);
    StatusCode::NO_CONTENT
}

/// The pool's clock.
#[utoipa::path(get, path = "/clock", responses((status = 200, description = "The clock", body = Clock)))]
async fn clock(State(host): Context) -> Json<Clock> {
    Json(Clock {
        pool_time: host.clock.now().to_string(),
        time_scale: host.clock.scale(),
    })
}

/// Moves the pool's clock ahead.
#[utoipa::path(post, path = "/clock", request_body = ClockMove, responses(
    (status = 200, description = "The clock by now", body = Clock),
    (status = 400, description = "Not JSON", body = String),
    (status = 415, description = "Not sent as JSON", body = String),
    (status = 422, description = "What is wrong with the values", body = String),
))]
async fn move_clock(state: Context, Json(by): Json<ClockMove>) -> Json<Clock> {
    state.0.advance_clock(by.advance);
    clock(state).await
}

/// Changes what the directory says of a user.
#[utoipa::path(put, path = "/users/{name}", params(("name" = String, Path, description = "User, without a domain")), request_body = UserSettings, responses(
    (status = 200, description = "The settings now in force", body = UserSettings),
    (status = 400, description = "Not JSON", body = String),
    (status = 415, description = "Not sent as JSON", body = String),
    (status = 422, description = "What is wrong with the values", body = String),
))]
async fn set_user(
    State(host): Context,
    Path(name): Path<String>,
    Json(settings): Json<UserSettings>,
) -> Response {
    if !host.set_user(&name, settings) {
        let problem = format!(
            "expected a user name of 1 to {MAX_USER_NAME} bytes without control characters, and \
             settings of at most {} users (`max_mailboxes`)",
            host.config.max_mailboxes
        );
        return (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response();
    }
    Json(settings).into_response()
}

/// Ends the mock.
#[utoipa::path(post, path = "/shutdown", responses((status = 204, description = "Done")))]
async fn shutdown(State(host): Context) -> StatusCode {
    host.stop.set(true);
    StatusCode::NO_CONTENT
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI", body = serde_json::Value)))]
async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
