//! `easload check`.

use std::path::{Path, PathBuf};

use clap::Args;
use client::transport::local_ports;
use jiff::Timestamp;
use scenario::{DEFAULT_SCENARIO, Needs, PhaseKind, Plan, PolicyPlan, Trigger, parse, read_text};
use verdict::judge::planned;
use verdict::recycle::{PoolStart, due, outlook};
use verdict::report::plan_text;

use super::places::Places;
use super::{Exit, meant, print_or_fail};
use crate::run::obstacles;
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Scenario file; without one the embedded `recycle-restores-sync`.
    scenario: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    match load(arguments.scenario.as_deref()) {
        Ok(plan) => {
            let planned = planned(&plan);
            let expected: String = planned
                .lines
                .iter()
                .map(|(what, text)| format!("{what:<9} {text}\n"))
                .collect();
            let warnings = plan.warnings().into_iter().chain(planned.warnings);
            let warnings = warnings.chain(of_now(&plan));
            let warnings = warnings.chain(arguments.places.obstacles());
            let warnings: String = warnings
                .map(|warning| format!("warning   {warning}\n"))
                .collect();
            print_or_fail(
                &(plan_text(&plan) + &expected + &ports(&plan) + &warnings),
                Exit::Passed,
            )
        }
        Err(exit) => exit,
    }
}

/// How many connections fit on this machine, where that is known.
fn ports(plan: &Plan) -> String {
    let sources = plan.devices.sources().len().max(1) as u64;
    local_ports().map_or_else(String::new, |each| {
        format!(
            "ports     {} local ports towards each server on {sources} source address{}, {} needed\n",
            each * sources,
            if sources == 1 { "" } else { "es" },
            Needs::local_ports(plan)
        )
    })
}

/// What a run that started now would meet: ports and secrets that are not there, a recycle that is not due.
fn of_now(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::from_iter(port_shortage(plan));
    warnings.extend(obstacles(plan));
    for phase in &plan.phases {
        if let Trigger::Hook {
            token_env: Some(variable),
            ..
        } = &phase.trigger
            && std::env::var(variable).is_err()
        {
            warnings.push(format!(
                "the environment variable {variable}, named by trigger_token_env, is not set"
            ));
        }
    }
    if let (true, Some(policy)) = (plan.checks.by_policy, &plan.policy) {
        warnings.extend(policy_of_now(plan, policy));
    }
    warnings
}

/// What this machine lacks, and no run refuses to start for.
pub(super) fn port_shortage(plan: &Plan) -> Option<String> {
    Needs::port_shortage(plan, local_ports()?)
}

/// When a run that started now would see the policy's next recycle, if that is not in its recycle phase.
fn policy_of_now(plan: &Plan, policy: &PolicyPlan) -> Vec<String> {
    let mut warnings = Vec::new();
    let origin = PoolStart::of(plan, Timestamp::now(), None);
    if origin.started.is_none() && !policy.time.is_zero() {
        warnings.push(
            "when the policy's interval recycles the worker is known once the server says when it \
             started, or [policy] started does"
                .to_owned(),
        );
        if policy.schedule.is_empty() {
            return warnings;
        }
    }
    let due = due(policy, origin, plan.duration());
    let phase = due.first().and_then(|next| plan.phase_at(next.t));
    match phase.map(|phase| phase.kind) {
        Some(PhaseKind::Recycle) => {}
        Some(kind) => warnings.push(format!(
            "if the run starts now, {}: in its {} phase, and not in its recycle phase",
            outlook(policy, origin, &due, plan.duration()),
            kind.as_str()
        )),
        None => warnings.push(format!(
            "if the run starts now, {}",
            outlook(policy, origin, &due, plan.duration())
        )),
    }
    warnings
}

/// Reads a scenario; prints its mistakes.
pub(super) fn load(path: Option<&Path>) -> Result<Plan, Exit> {
    let (name, text) = match path {
        None => (DEFAULT_SCENARIO.0.to_owned(), DEFAULT_SCENARIO.1.to_owned()),
        Some(path) => match read_text(path) {
            Ok(text) => (path.display().to_string(), text),
            Err(error) => {
                let is_missing = error.kind() == std::io::ErrorKind::NotFound;
                let hint = match path.extension().and_then(std::ffi::OsStr::to_str) {
                    Some("toml") => "",
                    _ if is_missing => "; expected a scenario file (.toml)",
                    _ => "",
                };
                let meant = if is_missing {
                    meant::scenario(path)
                } else {
                    String::new()
                };
                say(&format!("error: {}: {error}{hint}{meant}", path.display()));
                return Err(Exit::Usage);
            }
        },
    };
    parse(&name, &text).map_err(|error| {
        say(&format!("{error}"));
        Exit::Usage
    })
}
