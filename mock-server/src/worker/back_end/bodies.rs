//! Bodies of items in the form that a request asks for (ASAIRS 2.2.2.12).

use std::borrow::Cow;

use eas::ProtocolVersion;
use eas::commands::{
    Body, BodyPart, BodyPreference, Email, Fetch, ItemChange, ItemData, SearchRequest, SyncOptions,
};
use eas::status::GlobalStatus;

use super::content::shown;
use super::mime::build;
use super::{Call, Refusal};
use crate::body::{HTML, MIME, PLAIN, RTF, cut, is_smime, notes, rtf, to_html, to_text};

/// MIMESupport: never, for S/MIME messages, for all (ASCMD 2.2.3.110.3).
const NEVER: u8 = 0;
const FOR_SMIME: u8 = 1;
const FOR_ALL: u8 = 2;

/// Bytes of bodies in one answer, in the form in which they are sent. The store fills an answer by the
/// stored form; HTML, rich text and MIME with its attachments are larger. A body that exceeds what is
/// left is cut and marked as truncated. With the rest of the answer it stays below what a message of
/// the link takes.
pub(super) const BODIES_IN_AN_ANSWER: usize = 18 << 20;
/// Letters of base64 that stand for whole bytes.
const BASE64_GROUP: usize = 4;

/// The form in which a request wants bodies.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    preferences: Vec<BodyPreference>,
    mime_support: Option<u8>,
    /// Bytes of MIME at most, if its preference names no size.
    mime_size: Option<u32>,
    /// The form of the part of a message that no earlier message of its conversation holds.
    part: Option<BodyPreference>,
    /// Nothing is cut.
    is_whole: bool,
}

impl Form {
    pub(super) fn of_sync(options: &SyncOptions) -> Self {
        Self {
            preferences: options.bodies.clone(),
            mime_support: options.mime_support,
            mime_size: options.mime_truncation_size(),
            part: options.body_part,
            is_whole: false,
        }
    }

    pub(super) fn of_fetch(fetch: &Fetch<'_>) -> Self {
        Self {
            preferences: fetch.bodies.clone(),
            mime_support: fetch.mime_support,
            part: fetch.body_part,
            ..Self::default()
        }
    }

    pub(super) fn of_search(request: &SearchRequest<'_>) -> Self {
        Self {
            preferences: request.bodies.clone(),
            mime_support: request.mime_support,
            part: request.body_part,
            ..Self::default()
        }
    }

    /// The same form, and nothing is cut: what Fetch of a Sync asks for (ASCMD 2.2.3.67.2).
    pub(super) fn whole(&self) -> Self {
        Self {
            is_whole: true,
            ..self.clone()
        }
    }

    /// Refuses values that do not exist, and types that are named more than once (ASAIRS 2.2.2.12). A
    /// type that no part of a message has gets a common status (ASCMD 2.2.2), the others the command's
    /// own.
    pub(super) fn check(&self) -> Result<(), Option<GlobalStatus>> {
        let mut types: Vec<u8> = self.preferences.iter().map(|one| one.body_type).collect();
        types.sort_unstable();
        let is_valid = types.iter().all(|one| (PLAIN..=MIME).contains(one))
            && types.windows(2).all(|two| two[0] != two[1])
            && self.mime_support.is_none_or(|support| support <= FOR_ALL);
        if !is_valid {
            return Err(None);
        }
        match self.part {
            Some(part) if part.body_type != BodyPart::TYPE => {
                Err(Some(GlobalStatus::BodyPartPreferenceTypeNotSupported))
            }
            _ => Ok(()),
        }
    }

    /// Whether a message is sent as MIME. A client that takes nothing but MIME need not say more.
    fn takes_mime(&self, is_smime: bool, version: ProtocolVersion) -> bool {
        let is_named = |one: &BodyPreference| one.body_type == MIME;
        let is_supported = match self.mime_support {
            None => version.has_air_sync_base() && self.preferences.len() == 1,
            Some(NEVER) => false,
            Some(FOR_SMIME) => is_smime,
            Some(_) => true,
        };
        is_supported && (!version.has_air_sync_base() || self.preferences.iter().any(is_named))
    }

    /// The preferences that a message can fulfil, the best first: MIME where it is wanted, then the
    /// form of the message itself, then the richest.
    fn candidates(
        &self,
        native: u8,
        takes_mime: bool,
        version: ProtocolVersion,
    ) -> Vec<BodyPreference> {
        if takes_mime && !version.has_air_sync_base() {
            return vec![BodyPreference {
                body_type: MIME,
                ..BodyPreference::default()
            }];
        }
        let is_possible = |one: &BodyPreference| one.body_type != MIME || takes_mime;
        let possible = self.preferences.iter().copied().filter(is_possible);
        let mut candidates: Vec<BodyPreference> = possible.collect();
        candidates.sort_by_key(|one| match one.body_type {
            MIME => 0,
            own if own == native => 1,
            HTML => 2,
            PLAIN => 3,
            _ => 4,
        });
        if candidates.is_empty() {
            let refused = self.preferences.first();
            candidates.push(BodyPreference {
                body_type: PLAIN,
                ..refused.copied().unwrap_or_default()
            });
        }
        candidates
    }

    /// Bytes that a body of that preference may have.
    fn limit(&self, preference: BodyPreference) -> usize {
        let size = match preference {
            _ if self.is_whole => None,
            BodyPreference {
                truncation_size: Some(size),
                ..
            } => Some(size),
            BodyPreference {
                body_type: MIME, ..
            } => self.mime_size,
            _ => None,
        };
        size.map_or(usize::MAX, |size| size as usize)
    }

    /// A body of the given type in this form; `mime` is the whole message, if it is to be sent so.
    fn body(
        &self,
        (native, body): (u8, &str),
        mime: Option<&str>,
        version: ProtocolVersion,
        body_room: &mut usize,
    ) -> Body<'static> {
        let candidates = self.candidates(native, mime.is_some(), version);
        let body_of = |preference: BodyPreference| match preference.body_type {
            MIME => Cow::Borrowed(mime.unwrap_or_default()),
            HTML => to_html(native, body),
            RTF => Cow::Owned(rtf(&to_text(native, body))),
            _ => to_text(native, body),
        };
        let limit = |preference: BodyPreference| match preference.body_type {
            RTF => {
                let limit = self.limit(preference).min(*body_room);
                limit - limit % BASE64_GROUP
            }
            _ => self.limit(preference).min(*body_room),
        };
        let fits = |preference: &BodyPreference| {
            !preference.all_or_none || body_of(*preference).len() <= limit(*preference)
        };
        let fitting = candidates.iter().copied().find(fits);
        // None fits: the answer says what there would be.
        let preference = fitting.or(candidates.first().copied()).unwrap_or_default();
        let whole = body_of(preference);
        let left = cut(&whole, fitting.map_or(0, limit)).to_owned();
        *body_room -= left.len();
        let truncated = left.len() < whole.len();
        let size = u32::try_from(whole.len()).unwrap_or(u32::MAX);
        Body {
            text: left.into(),
            body_type: preference.body_type,
            truncated,
            estimated_size: truncated.then_some(size),
            preview: preview(preference, (native, body)).into(),
        }
    }

    /// The part of a message that the request wants. The mock knows no conversations: each message is
    /// the first of its own, and its part is the whole of it.
    fn message_part(
        &self,
        (native, body): (u8, &str),
        version: ProtocolVersion,
        body_room: &mut usize,
    ) -> Option<BodyPart<'static>> {
        /// A part that is left out because of AllOrNone (ASAIRS 2.2.2.37).
        const TOO_LARGE: u8 = 176;
        let preference = self.part.filter(|_| version >= ProtocolVersion::V14_1)?;
        let whole = to_html(native, body);
        let limit = self.limit(preference).min(*body_room);
        let is_left_out = preference.all_or_none && whole.len() > limit;
        let left = cut(&whole, if is_left_out { 0 } else { limit }).to_owned();
        *body_room -= left.len();
        let truncated = left.len() < whole.len();
        let size = u32::try_from(whole.len()).unwrap_or(u32::MAX);
        Some(BodyPart {
            status: match is_left_out {
                true => TOO_LARGE,
                false => BodyPart::SUCCESS,
            },
            body: Body {
                text: left.into(),
                body_type: BodyPart::TYPE,
                truncated,
                estimated_size: truncated.then_some(size),
                preview: preview(preference, (native, body)).into(),
            },
        })
    }

    /// Puts the body of a message into this form; `mime` is the whole message, if it is to be sent so.
    fn apply(
        &self,
        email: &mut Email<'static>,
        mime: Option<&str>,
        version: ProtocolVersion,
        body_room: &mut usize,
    ) {
        let native = email.body_type;
        let stored = std::mem::take(&mut email.body);
        let body = self.body((native, &stored), mime, version, body_room);
        let part = self.message_part((native, &stored), version, body_room);
        email.native_body_type = Some(native).filter(|native| *native != MIME);
        email.preview = body.preview;
        email.estimated_size = body.estimated_size;
        email.truncated = body.truncated;
        email.body_type = body.body_type;
        email.body = body.text;
        email.part = part.map(Box::new);
    }
}

/// The start of a body in plain text, as far as the request wants it.
fn preview(preference: BodyPreference, (native, body): (u8, &str)) -> String {
    let Some(length) = preference.preview else {
        return String::new();
    };
    let text = to_text(native, body);
    text.chars().take(length.into()).collect()
}

impl Call<'_> {
    /// An item as the client of this request sees it.
    pub(super) async fn formed(
        &self,
        data: ItemData<'static>,
        form: &Form,
        body_room: &mut usize,
    ) -> Result<ItemData<'static>, Refusal> {
        let mut data = shown(data, self.version);
        if let ItemData::Email(email) = &mut data {
            let mime = match form.takes_mime(is_smime(email), self.version) {
                true => Some(self.mime(email).await?),
                false => None,
            };
            form.apply(email, mime.as_deref(), self.version, body_room);
        } else if let Some(body) = notes(&mut data)
            && !body.text.is_empty()
        {
            let native = (body.body_type, &*body.text);
            *body = form.body(native, None, self.version, body_room);
        }
        Ok(data)
    }

    /// A change as the client of this request sees it.
    pub(super) async fn formed_change(
        &self,
        change: ItemChange<'static>,
        form: &Form,
        body_room: &mut usize,
    ) -> Result<ItemChange<'static>, Refusal> {
        Ok(match change {
            ItemChange::Data(data) => ItemChange::Data(self.formed(data, form, body_room).await?),
            change => change,
        })
    }

    /// A message as MIME with its attachments: the very one that was sent if it is S/MIME.
    async fn mime(&self, email: &Email<'static>) -> Result<String, Refusal> {
        if email.body_type == MIME {
            return Ok(email.body.to_string());
        }
        let mut blobs = Vec::with_capacity(email.attachments.len());
        for attachment in &email.attachments {
            blobs.extend(self.fetch_attachment(&attachment.file_reference).await?);
        }
        Ok(build(email, blobs))
    }
}

#[cfg(test)]
mod tests;
