//! Provision.

use std::borrow::Cow;

use eas::commands::{POLICY_TYPE, PolicyAnswer, ProvisionAnswer, ProvisionRequest, policy_type};
use eas::status::{GlobalStatus, PolicyStatus, ProvisionStatus, SettingsStatus};
use eas::wbxml;

use super::{Call, Outcome, Refusal};
use crate::store::{Operation, StoreReply};

/// Policy/Status of a device that has applied the whole policy (ASPROV 2.2.2.54.1).
const POLICY_APPLIED: u8 = 1;

/// The policy of 2.5: an OMA client provisioning document that asks for nothing.
const WAP_POLICY: &str = "<wap-provisioningdoc></wap-provisioningdoc>";

impl Call<'_> {
    pub(super) async fn provision(&self) -> Outcome {
        let request = ProvisionRequest::decode(self.body)?;
        let alone = |status, remote_wipe| {
            ProvisionAnswer {
                status,
                device_information: None,
                policy: None,
                remote_wipe,
            }
            .encode()
        };
        if let Some(status) = request.wipe_status {
            // 2 says that the wipe failed (ASPROV 2.2.2.54.4): the order stands.
            if status == 1 {
                self.ask_with(None, Operation::Wiped).await?;
            }
            return self.body(alone(ProvisionStatus::Success, false)?);
        }
        if self.worker.user(&self.user).wipe
            && matches!(
                self.ask_with(None, Operation::AskWipe).await?,
                StoreReply::Wipe(true)
            )
        {
            return self.body(alone(ProvisionStatus::Success, true)?);
        }
        let Some(policy) = request.policy else {
            return self.body(alone(ProvisionStatus::ProtocolError, false)?);
        };
        let mut answer = PolicyAnswer {
            policy_type: Cow::Borrowed(policy_type(self.version)),
            status: PolicyStatus::Success,
            key: None,
            document: Vec::new(),
            text: None,
        };
        let has_policy =
            self.worker.config.require_provisioning && self.worker.user(&self.user).policy;
        if policy.policy_type != policy_type(self.version) {
            answer.status = PolicyStatus::UnknownPolicyType;
        } else if let Some((key, applied)) = policy.acknowledgement {
            // Assumed: nobody but a device that has applied the whole policy gets the final key.
            if applied != POLICY_APPLIED {
                return Err(Refusal::Status(GlobalStatus::DeviceNotFullyProvisionable));
            }
            // This server gives out numbers only, so another text is not one of its keys.
            let reply = match key.parse() {
                Ok(key) => Some(
                    self.ask_with(None, Operation::AcknowledgePolicy(key))
                        .await?,
                ),
                Err(_) => None,
            };
            match reply {
                Some(StoreReply::PolicyKey(key)) => answer.key = Some(key.to_string().into()),
                _ => answer.status = PolicyStatus::WrongKey,
            }
        } else {
            if self.version.provisions_device_information() && request.device.is_none() {
                return Err(Refusal::Status(GlobalStatus::DeviceInformationRequired));
            }
            if !has_policy {
                answer.status = PolicyStatus::NoPolicy;
            } else if let StoreReply::PolicyKey(key) =
                self.ask_with(None, Operation::AskPolicy).await?
            {
                answer.key = Some(key.to_string().into());
                if policy_type(self.version) == POLICY_TYPE {
                    answer.document = vec![
                        (wbxml::provision::DEVICE_PASSWORD_ENABLED, "0".into()),
                        (wbxml::provision::ATTACHMENTS_ENABLED, "1".into()),
                        (wbxml::provision::ALLOW_SIMPLE_DEVICE_PASSWORD, "1".into()),
                    ];
                } else {
                    answer.text = Some(WAP_POLICY.into());
                }
            }
        }
        let answer = ProvisionAnswer {
            status: ProvisionStatus::Success,
            device_information: request.device.map(|_| SettingsStatus::Success),
            policy: Some(answer),
            remote_wipe: false,
        };
        self.body(answer.encode()?)
    }
}
