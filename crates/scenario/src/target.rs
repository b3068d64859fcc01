//! `[target]` or `[mock]`: what the devices meet.

use std::path::Path;

use super::TargetPlan;
use super::carrier::carrier;
use super::entry::entry;
use super::mock::mock_config;
use super::reader::Section;
use crate::{Detour, Target};

/// Reads them; one of both must be there.
pub(super) fn target(root: &Section<'_>, folder: &Path) -> Option<TargetPlan> {
    let mock = root.section("mock");
    let Some(section) = root.section("target") else {
        return match mock {
            Some(section) => Some(TargetPlan::Mock(Box::new(mock_config(section, folder)))),
            None if root.has("target") || root.has("mock") => None,
            None => {
                root.problem(
                    "target",
                    "is missing; write [target] with url = \"https://mail.lab.example\", or [mock]",
                );
                None
            }
        };
    };
    if mock.is_some() {
        root.problem("mock", "a run has one target: either [target] or [mock]");
    }
    let urls = section.text_or_texts("url");
    let entry = entry(&section, urls.as_ref().map(Vec::len));
    let urls = match (urls, &entry.autodiscover) {
        (Some(urls), Some(_)) => {
            section.problem("autodiscover", "name either url or autodiscover");
            Some(urls)
        }
        (None, Some(_)) if !section.has("url") => None,
        (urls, _) => section.required("url", urls, "\"https://mail.lab.example\""),
    };
    for url in urls.iter().flatten() {
        if let Err(error) = Target::parse(url) {
            section.problem("url", error.to_string());
        }
    }
    if urls.as_ref().is_some_and(Vec::is_empty) {
        section.problem("url", "expected at least one URL");
    }
    if entry.detour != Detour::default() && urls.as_ref().is_some_and(|urls| urls.len() > 1) {
        section.problem(
            "url",
            "connect_to, sni and host_header lead to one server; expected one URL",
        );
    }
    let mut paths: Vec<String> = urls
        .iter()
        .flatten()
        .filter_map(|url| Some(Target::parse(url).ok()?.path))
        .collect();
    paths.dedup();
    if paths.len() > 1 {
        section.problem("url", "expected the same path in every URL");
    }
    let ca_file = section.path("ca_file", folder);
    let insecure = section.flag("insecure").unwrap_or(false);
    let carrier = carrier(&section, urls.as_deref().unwrap_or_default());
    section.finish();
    Some(TargetPlan::Server {
        urls: match (urls, &entry.autodiscover) {
            (None, Some(_)) => Vec::new(),
            (urls, _) => urls?,
        },
        ca_file,
        insecure,
        carrier,
        entry: Box::new(entry),
    })
}
