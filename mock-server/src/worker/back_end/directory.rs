//! What is asked of the directory and the user's settings: Settings, and the names of users.

use eas::commands::{OofAnswer, OofRequest, SettingsAnswer, SettingsRequest, UserInformation};
use eas::status::SettingsStatus;

use super::content::owned;
use super::{Call, Outcome, Refusal};
use crate::store::{Operation, StoreReply};
use crate::worker::address;

impl Call<'_> {
    /// DeviceInformation and DevicePassword are taken and forgotten, as nothing here shows them.
    pub(super) async fn settings(&self) -> Outcome {
        let request = SettingsRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        if request == SettingsRequest::default() {
            return self.settings_failed(SettingsStatus::ProtocolError);
        }
        let user_information = request.user_information.then(|| UserInformation {
            status: SettingsStatus::Success,
            primary_address: Some(address(&self.user).into()),
        });
        let oof = match &request.oof {
            None => None,
            Some(OofRequest::Get) => {
                let StoreReply::Oof(oof) = self.ask(Operation::Oof).await? else {
                    return self.settings_failed(SettingsStatus::Unavailable);
                };
                Some(OofAnswer {
                    status: SettingsStatus::Success,
                    oof: Some(*oof),
                })
            }
            Some(OofRequest::Set(oof)) => {
                let oof = Box::new(owned(oof)?);
                let status = match self.ask(Operation::SetOof(oof)).await? {
                    StoreReply::OofRefused => SettingsStatus::InvalidArguments,
                    _ => SettingsStatus::Success,
                };
                Some(OofAnswer { status, oof: None })
            }
        };
        let answer = SettingsAnswer {
            device_information: request.device_information.map(|_| SettingsStatus::Success),
            device_password: request.device_password.map(|_| SettingsStatus::Success),
            user_information,
            rights_management: request.rights_management.then_some(SettingsStatus::Success),
            oof,
            ..SettingsAnswer::new(SettingsStatus::Success)
        };
        self.body(answer.encode(self.version)?)
    }

    fn settings_failed(&self, status: SettingsStatus) -> Outcome {
        self.body(SettingsAnswer::new(status).encode(self.version)?)
    }

    /// Users whose name holds that text.
    pub(super) async fn users(&self, text: &str) -> Result<Vec<String>, Refusal> {
        self.addresses(Operation::SearchAddresses(text.to_owned()))
            .await
    }

    /// The user of that name, or the users whose names hold that text.
    pub(super) async fn resolved(&self, name: &str) -> Result<Vec<String>, Refusal> {
        self.addresses(Operation::ResolveName(name.to_owned()))
            .await
    }

    async fn addresses(&self, operation: Operation) -> Result<Vec<String>, Refusal> {
        Ok(match self.ask(operation).await? {
            StoreReply::Addresses(users) => users,
            _ => Vec::new(),
        })
    }
}
