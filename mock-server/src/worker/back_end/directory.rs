//! What is asked of the mailbox and the directory as a whole: Settings and Search.

use eas::commands::{
    GalEntry, OofAnswer, OofRequest, SearchAnswer, SearchProperties, SearchRequest, SearchResult,
    SearchStore, SettingsAnswer, SettingsRequest, UserInformation,
};
use eas::status::{SearchStatus, SettingsStatus};

use super::content::{owned, shown};
use super::{Call, Outcome, Refusal};
use crate::store::{Operation, StoreReply};
use crate::worker::DOMAIN;

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

    pub(super) async fn search(&self) -> Outcome {
        let request = SearchRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        let results = match request.store {
            SearchStore::Mailbox {
                free_text,
                collection_id,
                class,
            } => {
                let operation = Operation::Search {
                    text: free_text.into_owned(),
                    folder: collection_id.map(|id| id.into_owned()),
                };
                let StoreReply::Found(found) = self.ask(operation).await? else {
                    return self.search_failed(SearchStatus::ServerError);
                };
                let found = found.into_iter();
                let fitting = found.filter(|one| class.is_none() || one.data.class() == class);
                fitting
                    .map(|one| SearchResult {
                        long_id: Some(one.id.into()),
                        collection_id: Some(one.folder.to_string().into()),
                        class: one.data.class(),
                        properties: SearchProperties::Item(shown(*one.data, self.version)),
                    })
                    .collect()
            }
            SearchStore::Gal { text } => self.addresses(&text).await?,
        };
        self.body(page(results, request.range).encode(self.version)?)
    }

    pub(super) fn search_failed(&self, status: SearchStatus) -> Outcome {
        self.body(SearchAnswer::new(SearchStatus::Success, status).encode(self.version)?)
    }

    async fn addresses(&self, text: &str) -> Result<Vec<SearchResult<'static>>, Refusal> {
        let users = self.users(text).await?;
        let entries = users.into_iter().map(|user| SearchResult {
            long_id: None,
            collection_id: None,
            class: None,
            properties: SearchProperties::Gal(Box::new(GalEntry {
                email: address(&user).into(),
                alias: user.clone().into(),
                display_name: user.into(),
                ..GalEntry::default()
            })),
        });
        Ok(entries.collect())
    }

    /// Users whose name holds that text.
    pub(super) async fn users(&self, text: &str) -> Result<Vec<String>, Refusal> {
        let operation = Operation::SearchAddresses(text.to_owned());
        Ok(match self.ask(operation).await? {
            StoreReply::Addresses(users) => users,
            _ => Vec::new(),
        })
    }
}

/// An address without a domain gets the server's.
pub(super) fn address(user: &str) -> String {
    format!("{user}@{DOMAIN}")
}

/// Those of all results that were asked for.
fn page(results: Vec<SearchResult<'static>>, (first, last): (u32, u32)) -> SearchAnswer<'static> {
    let total = u32::try_from(results.len()).unwrap_or(u32::MAX);
    let count = last.saturating_sub(first).saturating_add(1);
    let shown: Vec<SearchResult<'static>> = results
        .into_iter()
        .skip(first as usize)
        .take(count as usize)
        .collect();
    let mut answer = SearchAnswer::new(SearchStatus::Success, SearchStatus::Success);
    if let Some(more) = u32::try_from(shown.len())
        .ok()
        .and_then(|count| count.checked_sub(1))
    {
        answer.range = Some((first, first.saturating_add(more)));
        answer.total = Some(total);
    }
    answer.results = shown;
    answer
}
