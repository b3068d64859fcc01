//! What a plan says of carriers and proxies, with the passwords that the environment has.

use client::transport::{Carrier, Proxy, ProxyLogin};
use scenario::{CarrierPlan, Plan, ProxyLoginPlan, ProxyPlan, TargetPlan};

use super::account_error::AccountError;

/// The plan's carrier, with what the environment knows.
pub(super) fn carrier_of(plan: &CarrierPlan) -> Result<Carrier, AccountError> {
    Ok(Carrier {
        proxy: plan.proxy.as_ref().map(proxy_of).transpose()?,
        http2: plan.http2,
    })
}

/// The proxy of a plan, if there is one.
pub(super) fn proxy(plan: &Plan) -> Result<Option<Proxy>, AccountError> {
    match &plan.target {
        TargetPlan::Server { carrier, .. } => carrier.proxy.as_ref().map(proxy_of).transpose(),
        TargetPlan::Mock(_) => Ok(None),
    }
}

fn proxy_of(plan: &ProxyPlan) -> Result<Proxy, AccountError> {
    Ok(Proxy {
        url: plan.url.clone(),
        login: plan.login.as_ref().map(login_of).transpose()?,
    })
}

fn login_of(plan: &ProxyLoginPlan) -> Result<ProxyLogin, AccountError> {
    let name = &plan.password_env;
    let password = std::env::var(name).map_err(|_| AccountError::ProxyPassword(name.clone()))?;
    Ok(ProxyLogin {
        user: plan.user.clone(),
        password,
    })
}
