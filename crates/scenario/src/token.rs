//! Bearer tokens of the devices: from a command, a file, or an OAuth endpoint.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::Section;

/// Where Bearer tokens come from. Never from the scenario itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlan {
    /// The first line that a shell command prints; it is run for each user if it names `EASLOAD_USER`.
    Command(String),
    /// A file: one line is everybody's token; several are `user:token`.
    File(PathBuf),
    /// An OAuth 2.0 token endpoint.
    Oauth(OauthPlan),
}

/// An OAuth 2.0 token endpoint (RFC 6749).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OauthPlan {
    /// Its URL.
    pub endpoint: String,
    /// What the token is given for.
    pub grant: Grant,
    /// The client's id.
    pub client_id: String,
    /// The environment variable of the client's secret.
    pub client_secret_env: Option<String>,
    /// What is asked for.
    pub scope: Option<String>,
}

/// What a token is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// The client's secret: one token for all.
    ClientCredentials,
    /// Each user's name and password.
    Password,
}

/// The keys `token_command` and `token_file` and the table `oauth`.
pub(super) fn token(section: &Section<'_>, folder: &Path) -> Option<TokenPlan> {
    let command = section.text("token_command").map(TokenPlan::Command);
    let file = section.path("token_file", folder).map(TokenPlan::File);
    let oauth = section.section("oauth").and_then(oauth);
    let named = ["token_command", "token_file", "oauth"];
    if named.iter().filter(|key| section.has(key)).count() > 1 {
        section.problem(
            "token_command",
            "name one of token_command, token_file and [devices.oauth]",
        );
    }
    command.or(file).or(oauth.map(TokenPlan::Oauth))
}

fn oauth(section: Section<'_>) -> Option<OauthPlan> {
    let endpoint = section.required(
        "endpoint",
        section.text("endpoint"),
        "\"https://login.lab.example/token\"",
    );
    if let Some(url) = &endpoint
        && !is_safe(url)
    {
        section.problem(
            "endpoint",
            "expected https://…: secrets are sent there (http:// to this machine is allowed)",
        );
    }
    let grants = [
        ("client_credentials", Grant::ClientCredentials),
        ("password", Grant::Password),
    ];
    let grant = section.required(
        "grant",
        section.choice("grant", &grants),
        "\"client_credentials\"",
    );
    let client_id = section.required("client_id", section.text("client_id"), "\"easload\"");
    let secret = section.text("client_secret_env");
    if grant == Some(Grant::ClientCredentials) && !section.has("client_secret_env") {
        section.problem(
            "client_secret_env",
            "is missing; name the environment variable of the client's secret",
        );
    }
    let scope = section.text("scope");
    section.finish();
    Some(OauthPlan {
        endpoint: endpoint?,
        grant: grant?,
        client_id: client_id?,
        client_secret_env: secret,
        scope,
    })
}

fn is_safe(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    if !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => !host.is_empty(),
        "http" => is_here,
        _ => false,
    }
}
