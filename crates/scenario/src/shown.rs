//! Which lines of a file a message about it may show. A file that is given by mistake may be a list of
//! passwords, and a scenario may hold a password where it should name a variable.

/// What the name of a key holds whose value may be a secret. Command lines have passwords among their arguments.
const SECRET: [&str; 9] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "auth",
    "apikey",
    "api_key",
    "command",
];

/// Whether the value of such a key may be a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET.iter().any(|word| key.contains(word))
}

/// A line as a message may show it, byte for byte as long: a table's name as it is; a key with its value, or with
/// stars in place of the value. `None` for anything else. `at` is the part of the line that the message is about:
/// a value that it is not about is not shown.
pub(super) fn shown_line(line: &str, at: std::ops::Range<usize>) -> Option<String> {
    let is_toml = toml::from_str::<toml::Table>(line).is_ok();
    if line.trim_start().starts_with('[') {
        return is_toml.then(|| line.to_owned());
    }
    let (key, value) = line.split_once('=')?;
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let name = key.trim();
    if name.is_empty() || !name.chars().all(is_bare) {
        return None;
    }
    // What is no TOML may be Base64, which ends with `=` and looks like a key.
    if !is_toml && !key.ends_with(' ') {
        return None;
    }
    let value_start = key.len() + 1;
    // A URL may hold a password or a key.
    let is_url = value.contains("://") && value.contains(['@', '?', '#']);
    let is_about_value = at.end > value_start;
    if is_toml && is_about_value && !is_secret(line) && !is_url {
        return Some(line.to_owned());
    }
    let stars: String = value
        .chars()
        .map(|letter| {
            if letter.is_whitespace() && letter.len_utf8() == 1 {
                letter.to_string()
            } else {
                "*".repeat(letter.len_utf8())
            }
        })
        .collect();
    Some(format!("{key}={stars}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_and_tables_are_shown_and_secrets_are_starred() {
        // The message is about the value, where there is one.
        for (line, shown) in [
            ("[devices]", Some("[devices]")),
            ("[[phase]]", Some("[[phase]]")),
            ("count = 5", Some("count = 5")),
            ("  heartbeat = \"2h\"", Some("  heartbeat = \"2h\"")),
            ("mock.topology = \"ring\"", Some("mock.topology = \"ring\"")),
            ("url = \"https://mail\"", Some("url = \"https://mail\"")),
            // Secrets.
            ("password = \"hunter2\"", Some("password = *********")),
            ("Proxy_Passwd=\"h\"", Some("Proxy_Passwd=***")),
            ("bearer_token = 5", Some("bearer_token = *")),
            (
                "oauth = { client_secret = \"x\" }",
                Some("oauth = * ************* * *** *"),
            ),
            (
                "trigger_command = \"curl -u a:b\"",
                Some("trigger_command = ***** ** ****"),
            ),
            ("proxy = \"http://a:b@c\"", Some("proxy = **************")),
            (
                "url = \"https://a/?key=1\"",
                Some("url = ******************"),
            ),
            ("pwd = \"\u{fc}\"", Some("pwd = ****")),
            // No TOML: the key alone, if it is one.
            ("name = \"x", Some("name = **")),
            ("count = ", Some("count = ")),
            ("thresholds = [", Some("thresholds = *")),
            // Not of a scenario.
            ("anna,hunter2", None),
            ("anna:hunter2", None),
            ("hunter2", None),
            ("aHVudGVyMg==", None),
            ("hunter2=abc", None),
            ("\"hunter 2\" = 5", None),
            ("[hunter2", None),
            ("-----BEGIN PRIVATE KEY-----", None),
            ("", None),
        ] {
            let found = shown_line(line, 0..line.len());
            assert_eq!(found.as_deref(), shown, "{line}");
            assert!(
                found.is_none_or(|found| found.len() == line.len()),
                "{line}"
            );
        }
        // A message about an unknown key does not need its value.
        let line = "geheim = \"hunter2\"";
        assert_eq!(shown_line(line, 0..6).unwrap(), "geheim = *********");
    }
}
