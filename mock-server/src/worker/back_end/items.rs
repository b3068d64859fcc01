//! GetItemEstimate, Settings and ItemOperations.

use eas::commands::{
    Estimate, EstimateAnswer, EstimateRequest, Fetch, FetchAnswer, ItemOperationsAnswer,
    ItemOperationsRequest, SettingsAnswer, SettingsRequest, UserInformation,
};
use eas::status::{EstimateStatus, GlobalStatus, ItemOperationsStatus, SettingsStatus};

use super::sync::email;
use super::{Call, Outcome, Refusal};
use crate::store::{Operation, StoreReply};

/// Mail domain of every user.
const DOMAIN: &str = "lab.example";

impl Call<'_> {
    pub(super) async fn estimate(&self) -> Outcome {
        let request = EstimateRequest::decode(self.body)?;
        let pairs: Vec<(String, String)> = request
            .collections
            .iter()
            .map(|part| (part.id.to_string(), part.sync_key.to_string()))
            .collect();
        let StoreReply::Estimates(counts) = self.ask(Operation::Estimate(pairs.clone())).await?
        else {
            return Err(Refusal::Status(GlobalStatus::ServerError));
        };
        let estimates = pairs
            .into_iter()
            .zip(counts)
            .map(|((id, _), count)| Estimate {
                status: count
                    .err()
                    .map_or(EstimateStatus::Success, EstimateStatus::from_code),
                id: count.is_ok().then_some(id.into()),
                count: count.ok(),
            })
            .collect();
        self.body(
            EstimateAnswer {
                status: None,
                estimates,
            }
            .encode()?,
        )
    }

    /// DeviceInformation is taken and forgotten, as nothing here shows it; Oof is always off.
    pub(super) async fn settings(&self) -> Outcome {
        let request = SettingsRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        let user_information = request.user_information.then(|| UserInformation {
            status: SettingsStatus::Success,
            primary_address: Some(format!("{}@{DOMAIN}", self.user).into()),
        });
        let answer = SettingsAnswer {
            device_information: request.device_information.map(|_| SettingsStatus::Success),
            user_information,
            oof: request.oof.then_some(SettingsStatus::Success),
            ..SettingsAnswer::new(SettingsStatus::Success)
        };
        self.body(answer.encode(self.version)?)
    }

    pub(super) async fn item_operations(&self) -> Outcome {
        let request = ItemOperationsRequest::decode(self.body)?;
        if request.operations() > ItemOperationsRequest::MAX_OPERATIONS {
            let answer = ItemOperationsAnswer::failed(ItemOperationsStatus::TooLarge);
            return self.body(answer.encode()?);
        }
        if request.fetches.is_empty() {
            let answer = ItemOperationsAnswer::failed(ItemOperationsStatus::ProtocolError);
            return self.body(answer.encode()?);
        }
        let mut fetches = Vec::with_capacity(request.fetches.len());
        for fetch in &request.fetches {
            fetches.push(self.fetch(fetch).await?);
        }
        let answer = ItemOperationsAnswer {
            status: ItemOperationsStatus::Success,
            fetches,
        };
        self.body(answer.encode()?)
    }

    async fn fetch<'a>(&self, fetch: &Fetch<'a>) -> Result<FetchAnswer<'a>, Refusal> {
        let mut answer = FetchAnswer {
            status: ItemOperationsStatus::Success,
            collection_id: fetch.collection_id.clone(),
            server_id: fetch.server_id.clone(),
            class: None,
            email: None,
        };
        let Some(id) = &fetch.server_id else {
            answer.status = ItemOperationsStatus::ProtocolError;
            return Ok(answer);
        };
        if !fetch.store.eq_ignore_ascii_case(Fetch::MAILBOX) {
            answer.status = ItemOperationsStatus::UnknownStore;
            return Ok(answer);
        }
        match self.ask(Operation::Fetch(id.to_string())).await? {
            StoreReply::Item(Some(mail)) => {
                answer.class = Some(eas::commands::Class::Email);
                answer.email = Some(email(mail));
            }
            _ => answer.status = ItemOperationsStatus::LibraryNotFound,
        }
        Ok(answer)
    }
}
