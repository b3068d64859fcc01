//! Who a request is from: Basic, Bearer, client certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mock_api::config::MockConfig;

use crate::headers::RequestHeader;
use crate::link::WireRequest;
use crate::store::is_user_name;

/// Mail domain of every user.
pub(crate) const DOMAIN: &str = "lab.example";

/// The user that a request authenticates as, without domain and in lower case; `None` if it does
/// not.
pub(crate) fn authenticate(config: &MockConfig, request: &WireRequest) -> Option<String> {
    // A line end in a name would forge headers on the hop to the back end.
    named(config, request).filter(|user| is_user_name(user))
}

fn named(config: &MockConfig, request: &WireRequest) -> Option<String> {
    if let Some(user) = &request.certificate_user {
        return Some(local_part(user));
    }
    let header = request.header(RequestHeader::Authorization)?;
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let (user, password) = basic(value)?;
        return (password == config.password && !user.is_empty()).then(|| local_part(&user));
    }
    let secret = config.bearer_token.as_deref()?;
    if scheme.eq_ignore_ascii_case("bearer") {
        let (user, token) = value.trim().rsplit_once('.')?;
        return (token == secret && !user.is_empty()).then(|| local_part(user));
    }
    None
}

/// The user name in a Basic `Authorization` header, whether its password is right or not.
pub(crate) fn basic_user(header: &str) -> Option<String> {
    let (scheme, value) = header.split_once(' ')?;
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    is_basic
        .then(|| basic(value))
        .flatten()
        .map(|(user, _)| user)
}

fn basic(value: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(BASE64.decode(value.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// `LAB\load1`, `load1@lab.example` and `load1` are one user.
pub(crate) fn local_part(user: &str) -> String {
    let user = user.rsplit_once('\\').map_or(user, |(_, name)| name);
    user.split_once('@')
        .map_or(user, |(name, _)| name)
        .to_ascii_lowercase()
}

/// A user's mail address; one that has a domain already keeps it.
pub(crate) fn address(user: &str) -> String {
    let user = user.rsplit_once('\\').map_or(user, |(_, name)| name);
    if user.contains('@') {
        user.to_owned()
    } else {
        format!("{user}@{DOMAIN}")
    }
}
