//! The keys of `[target]` that say how requests get there: transport, proxy, HTTP/2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reader::Section;
use super::{DevicesPlan, Dns, PhasePlan, TargetPlan};

/// How requests get to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CarrierPlan {
    /// What carries them.
    pub transport: TransportKind,
    /// Through this proxy.
    pub proxy: Option<ProxyPlan>,
    /// By HTTP/2.
    pub http2: bool,
}

/// What carries requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransportKind {
    /// HTTP/1.1 over a stream of its own, without a buffer while it waits.
    #[default]
    Lean,
    /// The HTTP library reqwest.
    Reqwest,
}

/// An HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyPlan {
    /// Its URL, without credentials.
    pub url: String,
    /// What it asks for.
    pub login: Option<ProxyLoginPlan>,
}

/// User and password for a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyLoginPlan {
    /// User.
    pub user: String,
    /// Environment variable that holds the password.
    pub password_env: String,
}

impl CarrierPlan {
    /// In a few words, where it is not the usual one.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if self.transport == TransportKind::Lean {
            return None;
        }
        let version = if self.http2 { "HTTP/2" } else { "HTTP/1.1" };
        let mut text = format!("{version} by reqwest");
        if let Some(proxy) = &self.proxy {
            text.push_str(&format!(", through {}", proxy.url));
            if let Some(login) = &proxy.login {
                text.push_str(&format!(" as {}", login.user));
            }
        }
        Some(text)
    }
}

/// Reads them. `urls` are the target's.
pub(super) fn carrier(section: &Section<'_>, urls: &[String]) -> CarrierPlan {
    let kinds = [
        ("lean", TransportKind::Lean),
        ("reqwest", TransportKind::Reqwest),
    ];
    let transport = section.choice("transport", &kinds).unwrap_or_default();
    let proxy = proxy(section);
    let http2 = section.flag("http2").unwrap_or(false);
    if transport == TransportKind::Lean && !section.is_wrong("transport") {
        for (key, is_asked) in [("proxy", section.has("proxy")), ("http2", http2)] {
            if is_asked {
                section.problem(
                    key,
                    format!("{key} needs the other transport; add transport = \"reqwest\""),
                );
            }
        }
    }
    let is_plain = |url: &String| url.starts_with("http://");
    if http2 && proxy.is_some() && urls.iter().any(is_plain) {
        section.problem(
            "http2",
            "a proxy passes HTTP/2 on inside TLS only; expected an https URL, or no proxy",
        );
    }
    CarrierPlan {
        transport,
        proxy,
        http2,
    }
}

fn proxy(section: &Section<'_>) -> Option<ProxyPlan> {
    let url = section.text("proxy");
    let (user, password_env) = (
        section.text("proxy_user"),
        section.text("proxy_password_env"),
    );
    if let Some(problem) = url.as_deref().and_then(wrong_proxy) {
        section.problem("proxy", problem);
    }
    section.refuse(
        "proxy_password",
        "a password does not belong in a file that is passed around; name the environment variable \
         with proxy_password_env",
    );
    for (key, other) in [
        ("proxy_user", "proxy_password_env"),
        ("proxy_password_env", "proxy_user"),
    ] {
        if !section.has(key) {
            continue;
        }
        if !section.has("proxy") {
            section.problem(key, "belongs to proxy, which is missing");
        } else if !section.has(other) {
            section.problem(key, format!("belongs to {other}, which is missing"));
        }
    }
    let login = user
        .zip(password_env)
        .map(|(user, password_env)| ProxyLoginPlan { user, password_env });
    url.map(|url| ProxyPlan { url, login })
}

/// What is wrong with a proxy's URL. It is not shown: it may hold a password.
fn wrong_proxy(url: &str) -> Option<&'static str> {
    let Ok(parsed) = url::Url::parse(url) else {
        return Some("expected a URL such as \"http://proxy.lab.example:3128\"");
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Some("must not hold credentials; write proxy_user and proxy_password_env");
    }
    if parsed.scheme() != "http" || parsed.host_str().is_none() {
        return Some("expected an HTTP proxy such as \"http://proxy.lab.example:3128\"");
    }
    let is_bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
    (!is_bare).then_some("expected no path, such as \"http://proxy.lab.example:3128\"")
}

/// The mock is reached over the lean transport, directly, and speaks HTTP/1.1.
pub(super) fn refuse_for_mock(section: &Section<'_>) {
    for key in [
        "transport",
        "proxy",
        "proxy_user",
        "proxy_password_env",
        "http2",
    ] {
        section.refuse(
            key,
            "belongs to [target]: the mock speaks HTTP/1.1 and is reached directly over the lean \
             transport",
        );
    }
}

/// What only the lean transport can: reqwest gives its sockets to nobody, so over it no connection can
/// be bound, slowed down or reset.
pub(super) fn refuse_what_only_lean_can(
    root: &Section<'_>,
    target: Option<&TargetPlan>,
    devices: Option<&DevicesPlan>,
    phases: &[PhasePlan],
) {
    let is_reqwest = matches!(
        target,
        Some(TargetPlan::Server { carrier, .. }) if carrier.transport == TransportKind::Reqwest
    );
    if !is_reqwest {
        return;
    }
    if let (Some(TargetPlan::Server { entry, .. }), Some(section)) =
        (target, root.section("target"))
    {
        if entry.dns == Dns::Spread {
            section.problem(
                "dns",
                "\"spread\" belongs to transport = \"lean\": reqwest chooses the address itself",
            );
        }
        for key in ["connect_to", "sni", "host_header"] {
            if section.has(key) {
                section.problem(
                    key,
                    "belongs to transport = \"lean\": over reqwest requests would go where the URL's name \
                     leads",
                );
            }
        }
    }
    if let (Some(devices), Some(section)) = (devices, root.section("devices")) {
        let only_lean = "belongs to transport = \"lean\": reqwest gives its sockets to nobody";
        if !devices.source_addresses.is_empty() {
            section.problem("source_addresses", only_lean);
        }
        if devices.show_certificates() {
            let keys = ["certificate_dir", "users_file"];
            let key = keys.into_iter().find(|key| section.has(key));
            section.problem(
                key.unwrap_or("users_file"),
                "client certificates belong to transport = \"lean\"",
            );
        }
        if devices.profiles.iter().any(|kind| kind.link.is_there()) {
            let keys = ["latency", "bandwidth"];
            let key = keys.into_iter().find(|key| section.has(key));
            section.problem(key.unwrap_or("profile"), only_lean);
        }
    }
    refuse_resets(root, phases);
}

fn refuse_resets(root: &Section<'_>, phases: &[PhasePlan]) {
    if phases.is_empty() {
        return;
    }
    let sections = root.sections("phase");
    if sections.len() != phases.len() {
        // Other mistakes come first.
        return;
    }
    for (section, phase) in sections.into_iter().zip(phases) {
        let abandon = phase.abandon.as_ref().map(|abandon| &abandon.how);
        let flight = phase.flight.as_ref().map(|flight| &flight.how);
        for (key, how) in [("abandon", abandon), ("flight", flight)] {
            if how.is_some_and(|how| how.rst > 0.0)
                && let Some(section) = section.section(key)
            {
                section.problem(
                    "rst",
                    "transport = \"reqwest\" cannot reset a connection; expected fin or silence, or \
                     transport = \"lean\"",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Plan, parse};
    use super::*;

    fn scenario(target: &str, phase: &str) -> String {
        format!(
            "name = \"x\"\n[target]\n{target}\n[devices]\ncount = 1\nuser = \"load#\"\npassword_env = \"X\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n{phase}"
        )
    }

    fn read(target: &str) -> Plan {
        parse("x.toml", &scenario(target, "")).unwrap()
    }

    fn mistakes(target: &str, phase: &str) -> Vec<String> {
        let error = parse("x.toml", &scenario(target, phase)).unwrap_err();
        error.lines()
    }

    fn carrier_of(plan: Plan) -> CarrierPlan {
        match plan.target {
            TargetPlan::Server { carrier, .. } => carrier,
            TargetPlan::Mock(_) => panic!("the target is a server"),
        }
    }

    #[test]
    fn lean_is_the_default_and_reqwest_a_choice() {
        let plain = carrier_of(read("url = \"https://mail\""));
        assert_eq!(
            (plain.clone(), plain.text()),
            (CarrierPlan::default(), None)
        );
        let chosen = carrier_of(read(
            "url = \"https://mail\"\ntransport = \"reqwest\"\nhttp2 = true\n\
             proxy = \"http://proxy.lab:3128\"\nproxy_user = \"eas\"\nproxy_password_env = \"P\"",
        ));
        assert_eq!(
            chosen.text().unwrap(),
            "HTTP/2 by reqwest, through http://proxy.lab:3128 as eas"
        );
        let login = chosen.proxy.unwrap().login.unwrap();
        assert_eq!(login.password_env, "P");
    }

    #[test]
    fn all_mistakes_are_named_at_once_and_no_password_is_shown() {
        let lines = mistakes(
            "url = \"https://mail\"\nproxy = \"http://me:hunter2@proxy:3128\"\nhttp2 = true\n\
             proxy_user = \"me\"",
            "",
        );
        let expected = [
            (":4:", "target.proxy: must not hold credentials"),
            (":4:", "target.proxy: proxy needs the other transport"),
            (":5:", "target.http2: http2 needs the other transport"),
            (":6:", "target.proxy_user: belongs to proxy_password_env"),
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, text) in expected {
            assert!(
                lines
                    .iter()
                    .any(|one| one.contains(line) && one.contains(text)),
                "{text}: {lines:?}"
            );
        }
        assert!(!lines.concat().contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let url = "url = \"http://mail\"\ntransport = \"reqwest\"";
        for (more, phase, text) in [
            ("proxy = \"socks5://proxy\"", "", "an HTTP proxy"),
            ("proxy = \"proxy:3128\"", "", "an HTTP proxy"),
            ("proxy = \"http://proxy/x\"", "", "no path"),
            ("proxy_password = \"hunter2\"", "", "proxy_password_env"),
            ("proxy = \"http://proxy\"\nhttp2 = true", "", "inside TLS"),
            (
                "",
                "abandon = { share = 0.5, after = \"1s\", rst = 1 }",
                "phase[1].abandon.rst: transport = \"reqwest\" cannot reset",
            ),
            (
                "dns = \"spread\"",
                "",
                "target.dns: \"spread\" belongs to transport = \"lean\"",
            ),
            (
                "connect_to = \"127.0.0.1:443\"",
                "",
                "target.connect_to: belongs to transport = \"lean\"",
            ),
            (
                "",
                "flight = { share = 0.5, duration = \"1s\", fin = 1, rst = 1 }",
                "phase[1].flight.rst",
            ),
        ] {
            let lines = mistakes(&format!("{url}\n{more}"), phase);
            assert!(lines.len() == 1 && lines[0].contains(text), "{lines:?}");
        }
        let silent = "abandon = { share = 0.5, after = \"1s\", silence = 1 }";
        assert!(parse("x.toml", &scenario(url, silent)).is_ok());
    }

    #[test]
    fn the_mock_has_no_carrier() {
        let text = "name = \"x\"\n[mock]\ntransport = \"reqwest\"\n[devices]\ncount = 1\n\
                    [[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n";
        let lines = parse("x.toml", text).unwrap_err().lines();
        assert!(
            lines.len() == 1 && lines[0].contains("belongs to [target]"),
            "{lines:?}"
        );
    }
}
