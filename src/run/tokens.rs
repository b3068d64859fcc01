//! The sources of Bearer tokens: a command, a file, an OAuth endpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client::device::{Authorization, Fetching, NoToken, Token, TokenSource, Tokens};
use client::discover::{Ask, Internet, Web as _};
use client::transport::{Method, Proxy};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use scenario::{Grant, OauthPlan, Plan, Target, TargetPlan, TlsOptions, TokenPlan};
use serde_json::Value;
use text::decode;

use super::account_error::AccountError;
use super::proxy::proxy;
use crate::command;

/// A command that fetches a token over the network takes seconds.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// A file of tokens for 5,000 users of 2 kB each, and room.
const MAX_FILE: u64 = 32 << 20;
/// What a command may print.
const MAX_PRINTED: usize = 64 << 10;
/// The environment variable that tells a command whose token is wanted.
const USER: &str = "EASLOAD_USER";
/// What a form encodes: all but RFC 3986's unreserved characters.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Characters of an endpoint's own message that are shown.
const MAX_MESSAGE: usize = 200;

/// The authorization of each user, in order. Nothing is fetched yet.
pub(super) fn authorizations(
    plan: &Plan,
    token: &TokenPlan,
    users: &[String],
    password: impl Fn(&str) -> String,
) -> Result<Vec<Authorization>, AccountError> {
    let shared = |tokens: Tokens| -> Vec<Authorization> {
        let tokens = Arc::new(tokens);
        users
            .iter()
            .map(|_| Authorization::Token(Arc::clone(&tokens)))
            .collect()
    };
    let each = |make: &dyn Fn(&String) -> Tokens| -> Vec<Authorization> {
        let tokens = users.iter().map(make).map(Arc::new);
        tokens.map(Authorization::Token).collect()
    };
    Ok(match token {
        TokenPlan::Command(line) if line.contains(USER) => each(&|user| {
            Tokens::new(Printed {
                line: line.clone(),
                user: Some(user.clone()),
            })
        }),
        TokenPlan::Command(line) => shared(Tokens::new(Printed {
            line: line.clone(),
            user: None,
        })),
        TokenPlan::File(path) => each(&|user| {
            Tokens::new(Written {
                path: path.clone(),
                user: user.clone(),
            })
        }),
        TokenPlan::Oauth(oauth) => {
            let secret = match &oauth.client_secret_env {
                None => None,
                Some(name) => {
                    Some(std::env::var(name).map_err(|_| AccountError::Secret(name.clone()))?)
                }
            };
            let proxy = proxy(plan)?;
            let endpoint = |user: Option<(String, String)>| {
                Tokens::new(TokenEndpoint {
                    plan: oauth.clone(),
                    secret: secret.clone(),
                    user,
                    ca_file: ca_file(plan),
                    proxy: proxy.clone(),
                })
            };
            match oauth.grant {
                Grant::ClientCredentials => shared(endpoint(None)),
                Grant::Password => each(&|user| endpoint(Some((user.clone(), password(user))))),
            }
        }
    })
}

/// What tokens need that is not there, in words.
pub(super) fn missing(token: &TokenPlan) -> Option<String> {
    match token {
        TokenPlan::Command(_) => None,
        TokenPlan::File(path) => std::fs::File::open(path)
            .err()
            .map(|error| format!("devices.token_file {}: {error}", path.display())),
        TokenPlan::Oauth(oauth) => {
            let name = oauth.client_secret_env.as_ref()?;
            let error = AccountError::Secret(name.clone());
            std::env::var(name).is_err().then(|| error.to_string())
        }
    }
}

fn ca_file(plan: &Plan) -> Option<PathBuf> {
    match &plan.target {
        TargetPlan::Server { ca_file, .. } => ca_file.clone(),
        TargetPlan::Mock(_) => None,
    }
}

/// What a command prints.
struct Printed {
    line: String,
    user: Option<String>,
}

impl TokenSource for Printed {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let fail = |problem: String| {
                NoToken::from(format!("devices.token_command `{}`: {problem}", self.line))
            };
            let environment = self.user.as_deref().map(|user| (USER, user));
            let printed =
                command::run_secret_with(&self.line, COMMAND_LIMIT, MAX_PRINTED, environment);
            let printed = String::from_utf8(printed.await.map_err(fail)?);
            let printed = printed.map_err(|_| fail("printed what is not UTF-8".to_owned()))?;
            let first = printed.lines().next().unwrap_or_default().trim();
            if first.is_empty() {
                return Err(fail("printed no token in its first line".to_owned()));
            }
            plain_token(first).map_err(fail)
        })
    }
}

/// What a file holds; it may be written again while the run lasts.
struct Written {
    path: PathBuf,
    user: String,
}

impl TokenSource for Written {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let fail =
                |problem: String| NoToken::from(format!("{}: {problem}", self.path.display()));
            let about = tokio::fs::metadata(&self.path).await;
            let about = about.map_err(|error| fail(error.to_string()))?;
            if about.len() > MAX_FILE {
                return Err(fail(format!("has more than {MAX_FILE} bytes")));
            }
            let bytes = tokio::fs::read(&self.path).await;
            let bytes = bytes.map_err(|error| fail(error.to_string()))?;
            let text = decode(&bytes).map_err(fail)?;
            let token = of_user(&text, &self.user).map_err(fail)?;
            plain_token(token).map_err(fail)
        })
    }
}

/// One line is everybody's; several are `user:token`.
fn of_user<'t>(text: &'t str, user: &str) -> Result<&'t str, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines
        .next()
        .ok_or_else(|| "expected a token, the file is empty".to_owned())?;
    let mut rest = lines.peekable();
    if rest.peek().is_none() && !first.contains(':') {
        return Ok(first);
    }
    std::iter::once(first)
        .chain(rest)
        .find_map(|line| line.strip_prefix(user)?.strip_prefix(':'))
        .map(str::trim)
        .ok_or_else(|| format!("user `{user}` has no line user:token"))
}

/// A token whose life is not told with it: a JWT says itself when it ends.
fn plain_token(value: &str) -> Result<Token, String> {
    let lasts = match expiry(value) {
        None => None,
        Some(end) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs());
            if end <= now {
                return Err(format!("the token expired {} s ago", now - end));
            }
            Some(Duration::from_secs(end - now))
        }
    };
    Ok(Token {
        value: value.to_owned(),
        lasts,
    })
}

/// `exp` of a JWT (RFC 7519 4.1.4), in seconds since 1970.
fn expiry(token: &str) -> Option<u64> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let end = claims.get("exp")?;
    end.as_u64().or(end.as_f64().map(|end| end.max(0.0) as u64))
}

/// What an OAuth endpoint gives.
struct TokenEndpoint {
    plan: OauthPlan,
    secret: Option<String>,
    /// Name and password, for that grant.
    user: Option<(String, String)>,
    ca_file: Option<PathBuf>,
    /// The way out of the lab, the devices' own.
    proxy: Option<Proxy>,
}

impl TokenSource for TokenEndpoint {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let fail =
                |problem: String| NoToken::from(format!("{}: {problem}", self.plan.endpoint));
            let target = Target::parse(&self.plan.endpoint).map_err(|error| error.to_string())?;
            let path = target.path.clone();
            // A certificate that nobody has checked must not get the secret, whatever the devices
            // are allowed.
            let mut internet = Internet::new(TlsOptions {
                ca_file: self.ca_file.clone(),
                ..TlsOptions::default()
            })
            .through(self.proxy.clone());
            let body = self.form();
            let ask = Ask {
                method: Method::Post,
                target: &target,
                path: &path,
                headers: &[
                    ("Content-Type", "application/x-www-form-urlencoded"),
                    ("Accept", "application/json"),
                ],
                body: &body,
            };
            let answer = internet.ask(ask).await.map_err(fail)?;
            let is_refusal =
                self.user.is_some() && matches!(answer.status, 400 | 401) && says_no(&answer.body);
            let answer = read_answer(answer.status, &answer.body);
            answer.map_err(|problem| NoToken {
                is_refusal,
                ..fail(self.without_secrets(&problem))
            })
        })
    }
}

/// Whether it was the user's password that was not taken (RFC 6749 5.2).
fn says_no(body: &[u8]) -> bool {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    json.is_some_and(|json| json.get("error").and_then(Value::as_str) == Some("invalid_grant"))
}

impl TokenEndpoint {
    fn form(&self) -> String {
        let grant = match self.plan.grant {
            Grant::ClientCredentials => "client_credentials",
            Grant::Password => "password",
        };
        let mut fields = vec![
            ("grant_type", grant),
            ("client_id", self.plan.client_id.as_str()),
        ];
        fields.extend(self.secret.as_deref().map(|text| ("client_secret", text)));
        fields.extend(self.plan.scope.as_deref().map(|text| ("scope", text)));
        if let Some((name, password)) = &self.user {
            fields.push(("username", name.as_str()));
            fields.push(("password", password.as_str()));
        }
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, FORM)))
            .collect();
        fields.join("&")
    }

    /// Some servers repeat what they were sent.
    fn without_secrets(&self, text: &str) -> String {
        let password = self.user.as_ref().map(|(_, password)| password);
        let mut text = text.to_owned();
        for secret in [self.secret.as_ref(), password].into_iter().flatten() {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "***");
            }
        }
        text.chars().take(MAX_MESSAGE).collect()
    }
}

/// RFC 6749 5.1 and 5.2.
fn read_answer(status: u16, body: &[u8]) -> Result<Token, String> {
    let json: Value = serde_json::from_slice(body).map_err(|_| {
        let page = match eas::http::is_html(body) {
            true => "an HTML page, ",
            false => "",
        };
        format!("HTTP {status}, and the answer is {page}not JSON")
    })?;
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let Some(value) = text("access_token").filter(|_| status == 200) else {
        let said = [text("error"), text("error_description")];
        let said: Vec<&str> = said.into_iter().flatten().collect();
        let said: String = said
            .join(": ")
            .chars()
            .filter(|letter| !letter.is_control())
            .collect();
        return Err(format!("HTTP {status}, no access_token; {said}"));
    };
    if let Some(kind) = text("token_type").filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        let kind: String = kind.chars().take(20).collect();
        return Err(format!(
            "the token is of type `{kind}`, and devices send Bearer"
        ));
    }
    let lasts = json.get("expires_in").and_then(|seconds| {
        let number = seconds.as_u64();
        number.or_else(|| seconds.as_str()?.parse().ok())
    });
    Ok(Token {
        value: value.to_owned(),
        lasts: lasts.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_jwt_says_itself_when_it_ends() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let later = now.as_secs() + 1000;
        let token = plain_token(&jwt(&format!("{{\"exp\":{later}}}"))).ok();
        let lasts = token.and_then(|token| token.lasts).unwrap();
        assert!(lasts > Duration::from_secs(900) && lasts <= Duration::from_secs(1000));
        let error = plain_token(&jwt("{\"exp\":1000}")).err().unwrap();
        assert!(error.starts_with("the token expired"), "{error}");
        for opaque in ["abc", "a.b.c", &jwt("{}"), &jwt("{\"exp\":\"x\"}")] {
            let token = plain_token(opaque).ok().unwrap();
            assert_eq!((token.value.as_str(), token.lasts), (opaque, None));
        }
    }

    #[test]
    fn only_a_password_that_is_not_taken_is_a_refusal() {
        assert!(says_no(b"{\"error\":\"invalid_grant\"}"));
        for other in ["{\"error\":\"invalid_client\"}", "{}", "<html>"] {
            assert!(!says_no(other.as_bytes()), "{other}");
        }
        let url = "https://id.example/tenant/token?p=B2C_1_x";
        let target = Target::parse(url).unwrap();
        assert_eq!(target.path, "/tenant/token?p=B2C_1_x");
    }

    #[test]
    fn a_file_has_one_token_or_one_for_each_user() {
        assert_eq!(of_user("\n tok \n", "anna"), Ok("tok"));
        let two = "anna:t1\r\nbert: t2\n";
        assert_eq!(of_user(two, "bert"), Ok("t2"));
        assert_eq!(of_user("anna:t1\n", "anna"), Ok("t1"));
        assert!(of_user(two, "ann").unwrap_err().contains("`ann`"));
        assert!(of_user("", "anna").unwrap_err().contains("empty"));
    }

    #[test]
    fn an_endpoint_is_asked_in_a_form_and_its_answer_read() {
        let endpoint = TokenEndpoint {
            plan: OauthPlan {
                endpoint: "https://login.lab.example/token".to_owned(),
                grant: Grant::Password,
                client_id: "id".to_owned(),
                client_secret_env: None,
                scope: Some("a b".to_owned()),
            },
            secret: Some("hush".to_owned()),
            user: Some(("anna".to_owned(), "p&=ä".to_owned())),
            ca_file: None,
            proxy: None,
        };
        assert_eq!(
            endpoint.form(),
            "grant_type=password&client_id=id&client_secret=hush&scope=a%20b&username=anna&password=p%26%3D%C3%A4"
        );
        assert_eq!(endpoint.without_secrets("no hush, p&=ä"), "no ***, ***");
        let good = br#"{"access_token":"t","token_type":"bearer","expires_in":"3600"}"#;
        let token = read_answer(200, good).ok().unwrap();
        assert_eq!(token.lasts, Some(Duration::from_secs(3600)));
        for (status, body, part) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"AADSTS1\r\nx"}"#,
                "invalid_grant: AADSTS1",
            ),
            (
                200,
                "<html>",
                "HTTP 200, and the answer is an HTML page, not JSON",
            ),
            (200, "ok", "HTTP 200, and the answer is not JSON"),
            (200, r#"{"access_token":"t","token_type":"mac"}"#, "`mac`"),
            (500, r#"{"access_token":"t"}"#, "HTTP 500"),
        ] {
            let error = read_answer(status, body.as_bytes()).err().unwrap();
            assert!(error.contains(part), "{error}");
        }
    }
}
