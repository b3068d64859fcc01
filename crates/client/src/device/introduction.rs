//! How a device makes itself known: OPTIONS, Provision, and Settings where Provision does not say what
//! the device is.

use std::sync::Arc;

use eas::commands::{
    DeviceInformation, OptionsAnswer, ProvisionAnswer, ProvisionRequest, SettingsAnswer,
    SettingsRequest,
};
use eas::status::{PolicyStatus, ProvisionStatus};
use eas::{Command, http};
use scenario::QueryForm;

use super::client::Client;
use super::event::Event;
use super::guard::LoginKind;
use super::trouble::Trouble;
use crate::transport::{Method, Request, Transport};

impl<T: Transport> Client<T> {
    /// OPTIONS: takes the highest version that both sides know.
    ///
    /// # Errors
    /// When there is no answer, or not that of an EAS server.
    pub async fn options(&mut self) -> Result<OptionsAnswer, Trouble> {
        let profile = Arc::clone(&self.profile);
        let authorization = self.authorize(LoginKind::Answered).await?;
        let path = self.route.path(&profile.path).to_owned();
        let cookies = self.route.cookies(&path);
        let mut headers = Vec::new();
        headers.extend(authorization.as_deref().map(|text| ("Authorization", text)));
        headers.push(("User-Agent", profile.user_agent.as_str()));
        headers.extend(cookies.as_deref().map(|cookies| ("Cookie", cookies)));
        let request = Request {
            method: Method::Options,
            path: &path,
            headers: &headers,
            body: &[],
            held: false,
        };
        let begun = self.transport.begin(request).await;
        let sent = self.begun(None, begun)?;
        let deadline = sent + profile.request_timeout;
        let answer = self.transport.answer(deadline).await;
        let answer = self.examine(None, false, answer)?;
        let problem = |text: String| {
            self.tell(Event::BadBody {
                command: None,
                text: &text,
            });
            Trouble::Body(text)
        };
        let Some(options) = OptionsAnswer::from_headers(|name| answer.header(name)) else {
            let is_html = answer
                .header("Content-Type")
                .is_some_and(http::is_html_type)
                || http::is_html(&answer.body);
            let page = if is_html {
                "; it answers with an HTML page"
            } else {
                ""
            };
            return Err(problem(format!(
                "no {} header: not an ActiveSync server{page}",
                http::PROTOCOL_VERSIONS
            )));
        };
        let Some(version) = options.negotiate(&profile.versions) else {
            let asked: Vec<&str> = profile.versions.iter().map(|one| one.as_str()).collect();
            return Err(problem(format!(
                "the server lists the versions {} and none of those asked for ({})",
                options.versions,
                asked.join(", ")
            )));
        };
        self.version = version;
        Ok(options)
    }

    /// Sends the first phase of Provision, which needs a login, and takes nothing from its answer.
    ///
    /// # Errors
    /// When it is not answered with HTTP 200.
    pub async fn prove_login(&mut self) -> Result<(), Trouble> {
        let device = self
            .version
            .provisions_device_information()
            .then(|| self.device_information());
        let request = ProvisionRequest::ask(self.version, device);
        let answer = self.call(Command::Provision, &request.encode()?).await;
        answer.map(drop)
    }

    /// Both phases of Provision. A server without a policy is content after the first.
    ///
    /// # Errors
    /// When either phase fails.
    pub async fn provision(&mut self) -> Result<(), Trouble> {
        self.fetch_policy().await?;
        if self.version.sets_device_information() && !self.is_introduced {
            self.introduce().await?;
            self.is_introduced = true;
        }
        Ok(())
    }

    /// What the device says of itself.
    pub(super) fn device_information(&self) -> DeviceInformation<'static> {
        DeviceInformation {
            model: "easload".into(),
            friendly_name: self.identity.device_id.clone().into(),
            os: std::env::consts::OS.into(),
            user_agent: self.profile.user_agent.clone().into(),
        }
    }

    async fn fetch_policy(&mut self) -> Result<(), Trouble> {
        self.tell(Event::Provisioning);
        self.policy_key = None;
        let device = self
            .version
            .provisions_device_information()
            .then(|| self.device_information());
        let Some(temporary) = self
            .provision_phase(&ProvisionRequest::ask(self.version, device))
            .await?
        else {
            return Ok(());
        };
        self.policy_key = Some(temporary.clone());
        let request = ProvisionRequest::acknowledge(self.version, &*temporary);
        let key = self.provision_phase(&request).await?;
        self.policy_key = key.or(Some(temporary));
        self.tell(Event::Provisioned);
        self.check_policy_key();
        Ok(())
    }

    /// Reports a policy key that a base64 query cannot carry: it has four bytes for the key
    /// (ASHTTP 2.2.1.1.1.1).
    fn check_policy_key(&self) {
        let key = self.policy_key.as_deref().unwrap_or_default();
        if self.profile.query == QueryForm::Base64 && key.parse::<u32>().is_err() {
            let text = format!(
                "the PolicyKey `{key}` is not a 32-bit number, so a base64 query is sent without it; \
                 set query = \"plain\" to send it in a header"
            );
            self.tell(Event::BadBody {
                command: Some(Command::Provision),
                text: &text,
            });
        }
    }

    /// The key of one phase; `None` when there is no policy.
    async fn provision_phase(
        &mut self,
        request: &ProvisionRequest<'_>,
    ) -> Result<Option<Box<str>>, Trouble> {
        const COMMAND: Command = Command::Provision;
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = ProvisionAnswer::decode(&answer.body)
            .map_err(|error| self.bad_body(COMMAND, &error))?;
        if answer.status != ProvisionStatus::Success {
            self.status(COMMAND, answer.status.code(), answer.status.reaction())?;
        }
        let Some(policy) = answer.policy else {
            return Ok(None);
        };
        match policy.status {
            PolicyStatus::NoPolicy => Ok(None),
            status => {
                self.status(COMMAND, status.code(), status.reaction())?;
                let key: Option<Box<str>> = policy.key.map(|key| key.trim().into());
                // It goes into a header, which anything else would break.
                match key {
                    Some(key) if !key.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Err(self
                        .wrong(
                            COMMAND,
                            "the PolicyKey holds characters that no header can hold",
                        )),
                    key => Ok(key),
                }
            }
        }
    }

    /// Tells what kind of device this is (DeviceInformation). A server that does not want to know it has
    /// its Status counted, and the device goes on.
    ///
    /// # Errors
    /// When there is no answer that can be read.
    async fn introduce(&mut self) -> Result<(), Trouble> {
        const COMMAND: Command = Command::Settings;
        let request = SettingsRequest {
            device_information: Some(self.device_information()),
            ..SettingsRequest::default()
        };
        let body = request.encode()?;
        let answer = self.call(COMMAND, &body).await?;
        let answer =
            SettingsAnswer::decode(&answer.body).map_err(|error| self.bad_body(COMMAND, &error))?;
        let statuses = [Some(answer.status), answer.device_information];
        for status in statuses.into_iter().flatten() {
            if self
                .status(COMMAND, status.code(), status.reaction())
                .is_err()
            {
                break;
            }
        }
        Ok(())
    }
}
