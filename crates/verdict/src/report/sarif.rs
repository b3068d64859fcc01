//! Findings of the policy lint as SARIF 2.1.0, which code scanning services read.

use iis::policy::{Finding, RULES, Severity};
use serde_json::{Value, json};

/// One SARIF log. Files that could not be read are named with the reason: a log without findings is not
/// to look as if they had none.
#[must_use]
pub fn sarif(findings: &[Finding], unread: &[(String, String)]) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.about },
                "helpUri": rule.source,
            })
        })
        .collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    let notifications: Vec<Value> = unread
        .iter()
        .map(|(file, why)| {
            json!({
                "level": "error",
                "message": { "text": format!("{file} was not read: {why}") },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(file) } } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "easload policy lint",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "invocations": [{
                "executionSuccessful": unread.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    json!({
        "ruleId": finding.rule,
        "ruleIndex": RULES.iter().position(|rule| rule.id == finding.rule),
        "level": level,
        "message": { "text": format!("{}. Advice: {}.", finding.message, finding.advice) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&finding.file) },
            // A default has no line; what it belongs to is the file.
            "region": { "startLine": finding.line.unwrap_or(1) },
        }}],
        // The same finding keeps its identity when lines move.
        "partialFingerprints": {
            "settingAndRule/v1": format!("{}:{}", finding.setting, finding.rule),
        },
    })
}

/// A path as a relative or file URI.
fn uri(path: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'.')
        .remove(b'-')
        .remove(b'_')
        .remove(b'~');
    let slashes = path.replace('\\', "/");
    let drive = slashes.as_bytes().get(1) == Some(&b':');
    let encoded = percent_encoding::utf8_percent_encode(&slashes, KEEP).to_string();
    if drive {
        format!("file:///{}", encoded.replacen("%3A", ":", 1))
    } else if slashes.starts_with('/') {
        format!("file://{encoded}")
    } else {
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_of_both_systems_become_uris() {
        assert_eq!(uri("config/a b.config"), "config/a%20b.config");
        assert_eq!(uri("/etc/x"), "file:///etc/x");
        assert_eq!(uri("C:\\inetsrv\\x.config"), "file:///C:/inetsrv/x.config");
    }
}
