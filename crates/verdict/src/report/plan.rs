//! What a scenario will do and needs, for `easload check`.

use std::fmt::Write as _;

use mock_api::config::time_scale_text;
use scenario::{
    Autodiscover, ChecksPlan, Dns, Expectation, MailDoor, MailPlan, Needs, PhasePlan, Plan,
    PolicyPlan, TargetPlan, TokenPlan, Trigger,
};
use text::format_duration;

const MIB: f64 = 1_048_576.0;

/// What a plan will do and needs.
#[must_use]
pub fn plan_text(plan: &Plan) -> String {
    let mut lines = vec![("target", target(&plan.target))];
    if let TargetPlan::Mock(config) = &plan.target {
        lines.push(("time", time_scale_text(config.time_scale)));
        lines.push(("pool", config.pool_text()));
    }
    lines.push(("devices", devices(plan)));
    let profiles = plan.devices.profile_texts().into_iter();
    lines.extend(profiles.map(|text| ("profile", text)));
    lines.extend(plan.mail.iter().map(|mail| ("mail", mail_text(mail))));
    let sources = plan.observe.sources.iter();
    lines.extend(sources.map(|source| {
        let every = format_duration(source.every);
        ("source", format!("{source}, every {every}"))
    }));
    // The mock's own pool is told above.
    if let (TargetPlan::Server { .. }, Some(policy)) = (&plan.target, &plan.policy) {
        lines.push(("policy", policy_text(policy)));
    }
    lines.extend(plan.phases.iter().map(|phase| ("phase", phase_text(phase))));
    lines.push(("checks", checks(&plan.checks)));
    let thresholds = plan.checks.thresholds.iter();
    lines.extend(thresholds.map(|one| ("threshold", one.text.clone())));
    if let TargetPlan::Mock(config) = &plan.target {
        let assumptions = config.assumptions().into_iter();
        lines.extend(assumptions.map(|assumption| ("assumed", assumption)));
    }
    lines.push(("needs", needs(plan)));
    let mut out = format!("{}: {}\n", plan.name, plan.description);
    for (what, text) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", format!("{what:<9} {text}").trim_end());
    }
    out
}

/// What stands behind a target whose certificate nobody looks at.
pub const UNVERIFIED: &str = " (certificate not verified)";

fn target(target: &TargetPlan) -> String {
    match target {
        TargetPlan::Mock(config) if config.servers > 1 => {
            format!("the bundled mock, {} servers", config.servers)
        }
        TargetPlan::Mock(_) => "the bundled mock".to_owned(),
        TargetPlan::Server {
            urls,
            insecure,
            carrier,
            entry,
            ..
        } => {
            let verified = if *insecure { UNVERIFIED } else { "" };
            let mut way = match &entry.autodiscover {
                Some(Autodiscover::Address(address)) if urls.is_empty() => {
                    format!("what Autodiscover finds for {address}")
                }
                Some(Autodiscover::FirstUser) if urls.is_empty() => {
                    "what Autodiscover finds for the first user".to_owned()
                }
                _ => servers(urls, &entry.weights),
            };
            if entry.dns == Dns::Spread {
                way.push_str(", spread over all addresses");
            }
            if !entry.redirect_to.is_empty() {
                let hosts = entry.redirect_to.join(", ");
                way.push_str(&format!(", which may send devices to {hosts}"));
            }
            let carrier = carrier.text();
            let carrier = carrier.map_or_else(String::new, |text| format!("; {text}"));
            format!("{way}{verified}{carrier}")
        }
    }
}

/// The URLs, with their shares of the devices where they differ.
pub(super) fn servers(urls: &[String], weights: &[u32]) -> String {
    let all: u32 = weights.iter().sum();
    let servers = urls.iter().enumerate().map(|(server, url)| {
        let weight = weights.get(server).map(|weight| f64::from(*weight));
        match weight {
            Some(weight) => format!("{url} ({:.0} %)", weight * 100.0 / f64::from(all)),
            None => url.clone(),
        }
    });
    servers.collect::<Vec<_>>().join(", ")
}

fn devices(plan: &Plan) -> String {
    let devices = &plan.devices;
    let names = match devices.user_names.first(devices.users) {
        Ok(names) => match (names.first(), names.last()) {
            (Some(first), Some(last)) => format!("{first} … {last}"),
            _ => devices.user_names.to_string(),
        },
        Err(_) => devices.user_names.to_string(),
    };
    let mut text = format!(
        "{} over {} users ({names}), {:.0} started a second",
        devices.count, devices.users, devices.ramp_per_second
    );
    match &devices.token {
        Some(TokenPlan::Oauth(oauth)) => {
            text.push_str(&format!(", Bearer tokens from {}", oauth.endpoint));
        }
        Some(_) => text.push_str(", Bearer tokens"),
        None => {}
    }
    if devices.show_certificates() {
        text.push_str(&match &devices.certificate_dir {
            Some(folder) => format!(", certificates from {}", folder.display()),
            None => ", certificates as the users file says".to_owned(),
        });
    }
    if let Some(tls) = devices.tls_text() {
        text.push_str(&format!(", {tls}"));
    }
    text
}

fn mail_text(mail: &MailPlan) -> String {
    let door = match mail.door {
        MailDoor::SendMail => format!("by SendMail from {} senders", mail.senders),
        MailDoor::Smtp => format!("by SMTP to {}", mail.smtp.as_deref().unwrap_or_default()),
        MailDoor::Control => "through the mock's control API".to_owned(),
    };
    format!("{}, {door}", mail.text())
}

fn policy_text(policy: &PolicyPlan) -> String {
    let mut recycles = Vec::new();
    if !policy.time.is_zero() {
        let age = format_duration(policy.time);
        recycles.push(match policy.started {
            Some(started) => {
                let started = policy.local(started).strftime("%F %T");
                format!("at an age of {age}, and the worker started at {started}")
            }
            None => format!("at an age of {age}"),
        });
    }
    recycles.extend(
        policy
            .schedule
            .iter()
            .map(|at| format!("at {}", at.strftime("%H:%M"))),
    );
    if recycles.is_empty() {
        recycles.push("never by time".to_owned());
    }
    let zone = policy.time_zone.as_deref().unwrap_or("this machine's time");
    format!("{}: {} ({zone})", policy.source, recycles.join(", "))
}

fn phase_text(phase: &PhasePlan) -> String {
    let mut what = Vec::new();
    if let Some(abandon) = &phase.abandon {
        what.push(format!(
            "{:.0} % of Pings abandoned after {} to {}",
            abandon.share * 100.0,
            format_duration(abandon.after.0),
            format_duration(abandon.after.1)
        ));
    }
    if let Some(flight) = &phase.flight {
        what.push(format!(
            "{:.0} % of devices without a network for {}",
            flight.share * 100.0,
            format_duration(flight.duration)
        ));
    }
    if phase.strand > 0.0 {
        what.push(format!("{:.0} % of those strand", phase.strand * 100.0));
    }
    let faults = phase.faults.iter();
    what.extend(faults.map(|fault| format!("fault {}", fault.fault.as_str())));
    match &phase.trigger {
        Trigger::None => {}
        Trigger::Mock => what.push("the mock recycles".to_owned()),
        Trigger::Observe => what.push("a recycle is expected".to_owned()),
        Trigger::Manual => what.push("somebody recycles by hand".to_owned()),
        Trigger::Hook { url, .. } => what.push(format!("recycle by POST to {url}")),
        Trigger::Command(command) => what.push(format!("recycle command `{command}`")),
    }
    format!(
        "{:<10} {:<6} {}",
        phase.kind.as_str(),
        format_duration(phase.duration),
        what.join(", ")
    )
}

fn checks(checks: &ChecksPlan) -> String {
    let word = |expectation| match expectation {
        Expectation::Expected => "expected",
        Expectation::Absent => "must not be",
        Expectation::Any => "not asked",
    };
    let recycle = if checks.by_policy {
        "when the policy says"
    } else {
        word(checks.recycle)
    };
    let within = checks.restored_within.map_or_else(String::new, |within| {
        format!(", {} after the recycle", format_duration(within))
    });
    format!(
        "symptom {}, recycle {recycle}, latencies back within {} × baseline + {}{within}",
        word(checks.symptom),
        checks.tolerance,
        format_duration(checks.slack)
    )
}

fn needs(plan: &Plan) -> String {
    let needs = Needs::of(plan);
    let drain = match &plan.mail {
        Some(mail) => format!(
            "up to {} for mail under way",
            format_duration(mail.late_after)
        ),
        None => "what draining takes".to_owned(),
    };
    format!(
        "{} connections, {} descriptors, some {:.0} MiB for devices, {} and {drain}",
        needs.connections,
        needs.descriptors.max(needs.mock_descriptors),
        (needs.memory as f64 / MIB).ceil(),
        format_duration(plan.duration())
    )
}
