//! `easload probe`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use eas::ProtocolVersion;
use scenario::{Plan, parse};
use text::parse_duration;
use verdict::report::UNVERIFIED;

use super::{Exit, check, print};
use crate::probe::{Probe, ProbeOutcome, probe, try_commands};
use crate::run::first_device;
use crate::terminal::say;

/// DeviceId of every probe, so that a server does not fill up with devices.
const DEVICE_ID: &str = "EASLOADPROBE";
/// Long enough to see that a server holds the Ping.
const HOLD: &str = "1s";
/// Environment variable of the password, if none is named.
const PASSWORD_ENV: &str = "EASLOAD_PASSWORD";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// URL of a server, or a scenario file, whose first device is played; without one, the bundled
    /// mock.
    target: Option<String>,
    /// Find the server of this mail address by Autodiscover, in place of a URL; it is the user too,
    /// unless one is named.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "target")]
    autodiscover: Option<String>,
    /// A domain that Autodiscover may lead to beside the address's own; may be given several times.
    #[arg(long, value_name = "DOMAIN", requires = "autodiscover")]
    autodiscover_domain: Vec<String>,
    /// The user, for a URL.
    #[arg(long, short)]
    user: Option<String>,
    /// Environment variable that holds the password, for a URL.
    #[arg(long, value_name = "NAME", default_value = PASSWORD_ENV)]
    password_env: String,
    /// File that holds the password, for a URL.
    #[arg(long, value_name = "FILE", conflicts_with = "password_command")]
    password_file: Option<PathBuf>,
    /// Command that prints the password, for a URL.
    #[arg(long, value_name = "COMMAND")]
    password_command: Option<String>,
    /// Trust the authorities in this PEM file instead of the system's, for a URL.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Trust any certificate, for a URL.
    #[arg(long)]
    insecure: bool,
    /// Offer this version of TLS only, for a URL.
    #[arg(long, value_name = "VERSION", value_parser = ["1.2", "1.3"])]
    tls_version: Option<String>,
    /// What carries the requests, for a URL.
    #[arg(long, value_name = "NAME", value_parser = ["lean", "reqwest"])]
    transport: Option<String>,
    /// Go through this HTTP proxy, for a URL: `http://proxy.lab:3128`.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// User for the proxy, for a URL.
    #[arg(long, value_name = "USER", requires_all = ["proxy", "proxy_password_env"])]
    proxy_user: Option<String>,
    /// Environment variable that holds the password for the proxy, for a URL.
    #[arg(long, value_name = "NAME", requires = "proxy_user")]
    proxy_password_env: Option<String>,
    /// Speak HTTP/2, for a URL.
    #[arg(long)]
    http2: bool,
    /// Protocol versions to choose from, for a URL: `14.1`, `16.1,14.1`. The highest that the server lists is taken.
    #[arg(
        long,
        value_name = "VERSIONS",
        value_delimiter = ',',
        default_values_t = ProtocolVersion::ALL.map(|version| version.to_string())
    )]
    versions: Vec<String>,
    /// Wait by a hanging Sync, for a URL.
    #[arg(long)]
    hanging_sync: bool,
    /// Send the query in base64, for a URL.
    #[arg(long)]
    base64: bool,
    /// Kind of device, by name, for a scenario.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// How long the server is to hold the Ping before it is given up.
    #[arg(long, value_name = "TIME", default_value = HOLD, value_parser = duration)]
    hold: Duration,
    /// Send a mail to this address, the user's own, while the Ping is held, and see it arrive.
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
    /// Then try everything that a user can do, once, and tell what the server said to each command; needs
    /// --mail-to.
    #[arg(long, requires = "mail_to")]
    commands: bool,
    /// Leave the bodies out.
    #[arg(long, short)]
    brief: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a duration such as 1s or 500ms".to_owned())
}

pub(super) async fn main(arguments: Arguments) -> Exit {
    let plan = match plan(&arguments) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let device = match first_device(plan, arguments.profile.as_deref()).await {
        Ok(device) => device,
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::from(&error);
        }
    };
    let mut identity = (*device.identity).clone();
    identity.device_id = DEVICE_ID.to_owned();
    let asked = Probe {
        identity: Arc::new(identity),
        profile: Arc::clone(&device.profile),
        hold: arguments.hold,
        mail_to: arguments.mail_to,
        bodies: !arguments.brief,
    };
    let mut written = print(format!(
        "easload {}, {}{}, user {}, device {DEVICE_ID}\n",
        env!("CARGO_PKG_VERSION"),
        device.url(),
        if device.is_verified() { "" } else { UNVERIFIED },
        device.identity.user_name
    ));
    let outcome = probe(
        &asked,
        || device.transport(),
        |text| {
            if written.is_ok() {
                written = print(text);
            }
        },
    )
    .await;
    let outcome = match (&outcome, &asked.mail_to) {
        (ProbeOutcome::Alive, Some(address)) if arguments.commands => {
            let transport = device.transport();
            let print_it = |text: &str| {
                if written.is_ok() {
                    written = print(text);
                }
            };
            if try_commands(&asked, address, transport, print_it).await {
                outcome
            } else {
                ProbeOutcome::Stuck("a command failed".to_owned())
            }
        }
        _ => outcome,
    };
    device.stop().await;
    if let Err(error) = written {
        say(&format!("cannot write to standard output: {error}"));
        return Exit::Internal;
    }
    match outcome {
        ProbeOutcome::Alive => Exit::Passed,
        ProbeOutcome::Stuck(_) => Exit::Failed,
        ProbeOutcome::Unusable(_) | ProbeOutcome::Unreachable(_) => Exit::Unreachable,
    }
}

/// The keys of `[target]` that say how requests get there. A proxy and HTTP/2 are had from reqwest, so
/// nobody has to name it beside them; who names the other is told.
fn carrier(arguments: &Arguments) -> String {
    let asked = arguments.proxy.is_some() || arguments.http2;
    let transport = match &arguments.transport {
        None if asked => Some("reqwest"),
        transport => transport.as_deref(),
    };
    let keys = [
        ("transport", transport),
        ("proxy", arguments.proxy.as_deref()),
        ("proxy_user", arguments.proxy_user.as_deref()),
        (
            "proxy_password_env",
            arguments.proxy_password_env.as_deref(),
        ),
    ];
    let named = keys
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let mut text: String = named
        .map(|(key, value)| format!("{key} = {}\n", toml::Value::String(value.to_owned())))
        .collect();
    if arguments.http2 {
        text.push_str("http2 = true\n");
    }
    text
}

/// The URL that a host without a scheme probably stands for.
fn url_of_host(target: &str) -> Option<String> {
    let path = Path::new(target);
    let is_file = path.exists() || path.extension().is_some_and(|end| end == "toml");
    let url = format!("https://{target}");
    let is_host = !target.contains('@') && scenario::Target::parse(&url).is_ok();
    (!is_file && is_host).then_some(url)
}

/// The plan of a scenario, or one of one device for a URL.
fn plan(arguments: &Arguments) -> Result<Plan, Exit> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let (server, user) = match (&arguments.autodiscover, &arguments.target) {
        (Some(address), _) => {
            let domains: Vec<String> = arguments
                .autodiscover_domain
                .iter()
                .map(|one| quoted(one))
                .collect();
            let server = format!(
                "autodiscover = {}\nautodiscover_domains = [{}]",
                quoted(address),
                domains.join(", ")
            );
            (server, arguments.user.as_ref().unwrap_or(address))
        }
        (None, Some(url)) if url.contains("://") => {
            let Some(user) = &arguments.user else {
                say(&format!(
                    "error: a URL needs a user: easload probe {url} --user load0001"
                ));
                return Err(Exit::Usage);
            };
            (format!("url = {}", quoted(url)), user)
        }
        (None, target) => {
            return check::load(target.as_deref().map(Path::new)).inspect_err(|_| {
                if let Some(url) = target.as_deref().and_then(url_of_host) {
                    say(&format!(
                        "hint: to probe a server, name its URL: easload probe {url} --user NAME"
                    ));
                }
            });
        }
    };
    let password = match (&arguments.password_file, &arguments.password_command) {
        (Some(file), _) => ("password_file", file.display().to_string()),
        (None, Some(command)) => ("password_command", command.clone()),
        (None, None) => ("password_env", arguments.password_env.clone()),
    };
    let ca_file = arguments.ca_file.as_ref().map_or_else(String::new, |file| {
        format!("ca_file = {}\n", quoted(&file.display().to_string()))
    });
    let carrier = carrier(arguments);
    let tls = arguments.tls_version.as_ref();
    let tls = tls.map_or_else(String::new, |one| {
        format!("tls_versions = {}\n", quoted(one))
    });
    let versions: Vec<String> = arguments.versions.iter().map(|one| quoted(one)).collect();
    let text = format!(
        "name = \"probe\"\n[target]\n{server}\ninsecure = {}\n{ca_file}{carrier}[devices]\n{tls}count = 1\nuser = {}\n\
         {} = {}\nversions = [{}]\nwait = {}\nquery = {}\n[[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n",
        arguments.insecure,
        quoted(user),
        password.0,
        quoted(&password.1),
        versions.join(", "),
        quoted(if arguments.hanging_sync {
            "sync"
        } else {
            "ping"
        }),
        quoted(if arguments.base64 { "base64" } else { "plain" }),
    );
    parse("command line", &text).map_err(|error| {
        for line in error.lines() {
            // Line and column are those of a text that nobody wrote.
            let problem = line.splitn(4, ':').last().unwrap_or(&line).trim();
            say(&format!("error: {problem}"));
        }
        Exit::Usage
    })
}
