//! Whole-program tests: one binary, a module per concern. Those that play whole scenarios are in
//! `tests/played`.

mod activity;
mod baselines;
mod boundaries;
mod carriers;
mod checked;
mod circles;
mod cli;
mod contract;
mod control_api;
mod device_answers;
mod device_life;
mod endurance;
mod entry;
mod fidelity;
mod fixtures;
mod foreign_clients;
mod honesty;
mod kills;
mod kinds;
mod lockout;
mod logins;
mod mock;
#[cfg(target_os = "linux")]
mod mock_files;
mod outputs;
mod policy;
mod probe;
mod sources;
mod stamps;
mod stranded;
mod tls;
mod tokens;
mod triggers;
mod users;

#[cfg(target_os = "linux")]
mod real_server;
