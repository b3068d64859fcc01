//! The look at each server before the load: a run against nothing, or with credentials that the server
//! refuses, is no run.

use std::sync::Arc;
use std::time::Duration;

use client::device::{Client, Event, Identity, Profile, Record, Refusals, Trouble, is_no_server};
use client::transport::{FailureKind, Transport, advice, silence};
use eas::status::Reaction;
use parking_lot::Mutex;
use scenario::{DevicesPlan, PasswordSource};
use tokio::time::timeout;

use super::servers::Servers;
use super::{MakeTransport, RunError};

/// The longest wait for each answer. A server that is slower than this at rest is not ready for a load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Remembers what a refusal said.
#[derive(Default)]
struct Memory(Mutex<Option<String>>);

impl Record for Memory {
    fn record(&self, _: u32, event: Event<'_>) {
        if let Event::Refused { why: Some(why), .. } = event {
            *self.0.lock() = Some(why.to_owned());
        }
    }
}

/// OPTIONS to each server, then a command that needs a login, because some servers answer OPTIONS to
/// anybody. A refused login ends the run: the other users would be refused too.
pub(super) async fn preflight<F: MakeTransport>(
    servers: &Servers<F>,
    devices: &[(Arc<Identity>, Arc<Profile>)],
    refusals: &Arc<Refusals>,
    plan: &DevicesPlan,
) -> Result<(), RunError> {
    for (url, user, transport) in servers.one_each() {
        // The first devices belong to different users.
        let Some((identity, profile)) = devices.get(user) else {
            continue;
        };
        let memory = Arc::new(Memory::default());
        let client = Client::new(
            transport,
            Arc::clone(identity),
            Arc::clone(profile),
            Arc::clone(refusals),
            Arc::clone(&memory) as Arc<dyn Record>,
        );
        if let Err(problem) = look(client, &memory, plan).await {
            return Err(RunError::Unreachable { url, problem });
        }
    }
    Ok(())
}

/// The error says why the server cannot be used.
async fn look<T: Transport>(
    mut client: Client<T>,
    memory: &Memory,
    plan: &DevicesPlan,
) -> Result<(), String> {
    let refused = |client: &Client<T>| {
        let why = memory.0.lock().take();
        refusal(client.identity(), why, plan)
    };
    let is_tls = client.is_tls();
    loop {
        let token = client.fetch_token().await;
        let asked = async {
            token?;
            client.options().await
        };
        let Ok(answer) = timeout(PATIENCE, asked).await else {
            return Err(silence(is_tls, client.is_connected(), PATIENCE));
        };
        match answer {
            Ok(_) => break,
            Err(trouble) if is_redirect(&trouble) => client.follow(&trouble)?,
            Err(Trouble::Renew) => {}
            Err(trouble) if is_refusal(&trouble) => return Err(refused(&client)),
            Err(trouble) => match unusable(&trouble, is_tls) {
                Some(problem) => return Err(problem),
                None => break,
            },
        }
    }
    loop {
        let token = client.fetch_token().await;
        let asked = async {
            token?;
            client.prove_login().await
        };
        let Ok(answer) = timeout(PATIENCE, asked).await else {
            return Err(silence(is_tls, client.is_connected(), PATIENCE));
        };
        match answer {
            Err(trouble) if is_redirect(&trouble) => client.follow(&trouble)?,
            Err(Trouble::Renew) => {}
            Err(trouble) if is_refusal(&trouble) => return Err(refused(&client)),
            Err(Trouble::Token(text)) => return Err(text),
            // Whatever else is wrong, the server has not refused the login: the run shows it.
            Ok(()) | Err(_) => return Ok(()),
        }
    }
}

fn is_redirect(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Http { status, .. } if status.reaction() == Reaction::Redirect)
}

fn is_refusal(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Http { status, .. } => status.code() == 401,
        Trouble::Stopped => true,
        _ => false,
    }
}

/// What a person checks first after a refused login.
fn refusal(identity: &Identity, why: Option<String>, plan: &DevicesPlan) -> String {
    let user = &identity.user_name;
    let why = why.unwrap_or_else(|| "HTTP 401".to_owned());
    let (secret, scheme) = if plan.show_certificates() {
        (
            "the user's certificate".to_owned(),
            "client certificates are",
        )
    } else if plan.token.is_some() {
        ("the user's token".to_owned(), "Bearer authentication is")
    } else {
        (password(&plan.password), "Basic authentication is")
    };
    format!(
        "the server refuses the login of user `{user}` ({why}), so the run ends before its load. Check \
         the form of the user name (user, DOMAIN\\user or user@domain), {secret}, whether the account is \
         disabled or locked, and whether {scheme} enabled for the ActiveSync virtual directory"
    )
}

/// Where the password comes from.
fn password(source: &PasswordSource) -> String {
    match source {
        PasswordSource::Mock => "the mock's password".to_owned(),
        PasswordSource::Env(name) => format!("the password in the environment variable {name}"),
        PasswordSource::File(path) | PasswordSource::UsersFile(path) => {
            format!("the password in {}", path.display())
        }
        PasswordSource::Command(_) => {
            "the password that devices.password_command prints".to_owned()
        }
    }
}

/// Why no run can use a server that answers OPTIONS so, if none can.
fn unusable(trouble: &Trouble, is_tls: bool) -> Option<String> {
    Some(match trouble {
        Trouble::Transport(failure) => {
            let text = match &failure.kind {
                FailureKind::Connect(error) => error.to_string(),
                kind => kind.to_string(),
            };
            format!("{text}{}", advice(&failure.kind, is_tls))
        }
        Trouble::Body(text) | Trouble::Token(text) => text.clone(),
        Trouble::Renew | Trouble::Stopped | Trouble::Unproven => return None,
        // One user's refusal or a busy server is the run's business.
        Trouble::Http { status, .. } if !is_no_server(*status) => return None,
        Trouble::Http { status, .. } => format!("OPTIONS was answered with HTTP {status}"),
        Trouble::Status(code, _) => format!("OPTIONS was answered with Status {code}"),
    })
}
