//! SendMail, SmartReply and SmartForward.

use std::borrow::Cow;

use eas::Command;
use eas::commands::{
    Email, MeetingRequest, SendAnswer, SendMailRequest, SmartSend, SmartSendRequest, SmartSource,
};
use eas::status::GlobalStatus;
use icalendar::parser::{read_calendar, unfold};
use mail_parser::{Address, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::{Call, Outcome, Refusal, answers};
use crate::body::{HTML, MIME, PLAIN};
use crate::store::{Blob, Message, Operation, Original, StoreReply, is_user_name};
use crate::worker::{address, local_part};

/// MessageClass of a meeting request (ASEMAIL 2.2.2.49).
const MEETING_REQUEST: &str = "IPM.Schedule.Meeting.Request";

/// What a request sends, whatever its form.
struct Outgoing {
    client_id: Option<String>,
    message: Message,
    to: Vec<String>,
    save_in_sent: bool,
    original: Option<Original>,
}

impl Call<'_> {
    pub(super) async fn send_mail(&self) -> Outcome {
        let outgoing = if self.version.sends_mail_as_wbxml() {
            self.wbxml_mail()?
        } else {
            self.mime_mail()?
        };
        let operation = Operation::Deliver {
            client_id: outgoing.client_id,
            message: Box::new(outgoing.message),
            to: outgoing.to.iter().map(|user| self.there(user)).collect(),
            save_in_sent: outgoing.save_in_sent,
            original: outgoing.original,
        };
        let failure = match self.ask(operation).await {
            Ok(StoreReply::NoOriginal) => GlobalStatus::ItemNotFound,
            Ok(_) => return Ok(answers::empty(self.worker)),
            Err(Refusal::Status(status)) => status,
            Err(refusal) => return Err(refusal),
        };
        if !self.version.sends_mail_as_wbxml() {
            return Err(Refusal::Status(failure));
        }
        let answer = SendAnswer {
            failure: Some(failure),
        };
        self.body(match self.query.command {
            Command::SmartReply => answer.encode_smart(SmartSend::Reply)?,
            Command::SmartForward => answer.encode_smart(SmartSend::Forward)?,
            _ => answer.encode()?,
        })
    }

    /// 14.0 and later.
    fn wbxml_mail(&self) -> Result<Outgoing, Refusal> {
        let kind = match self.query.command {
            Command::SmartReply => SmartSend::Reply,
            Command::SmartForward => SmartSend::Forward,
            _ => {
                let request = SendMailRequest::decode(self.body)?;
                let (message, to) = self.message(&request.mime)?;
                return Ok(Outgoing {
                    client_id: Some(request.client_id.into_owned()),
                    message,
                    to,
                    save_in_sent: request.save_in_sent,
                    original: None,
                });
            }
        };
        let request = SmartSendRequest::decode(kind, self.body)?;
        let item = match request.source {
            SmartSource::Item { item_id, .. } => item_id,
            SmartSource::LongId(id) => id,
        };
        let (message, to) = self.message(&request.mime)?;
        Ok(Outgoing {
            client_id: Some(request.client_id.into_owned()),
            message,
            to,
            save_in_sent: request.save_in_sent,
            original: Some(original(item.into_owned(), kind, request.replace_mime)),
        })
    }

    /// Up to 12.1: the body is the message, and the query names the original.
    fn mime_mail(&self) -> Result<Outgoing, Refusal> {
        let kind = match self.query.command {
            Command::SmartReply => Some(SmartSend::Reply),
            Command::SmartForward => Some(SmartSend::Forward),
            _ => None,
        };
        let item = self.query.item_id.as_ref().or(self.query.long_id.as_ref());
        let original = match (kind, item) {
            (None, _) => None,
            (Some(kind), Some(item)) => Some(original(item.clone(), kind, false)),
            (Some(_), None) => return Err(Refusal::Status(GlobalStatus::InvalidContent)),
        };
        let (message, to) = self.message(self.body)?;
        Ok(Outgoing {
            client_id: None,
            message,
            to,
            save_in_sent: self.query.save_in_sent,
            original,
        })
    }

    /// Reads a message; the sender is always the user (ASCMD 2.2.1.17), with the domain that the message
    /// gives the user's address.
    fn message(&self, mime: &[u8]) -> Result<(Message, Vec<String>), Refusal> {
        let parsed = MessageParser::default().parse(mime);
        let parsed = parsed.ok_or(Refusal::Status(GlobalStatus::InvalidMime))?;
        let lists = [parsed.to(), parsed.cc(), parsed.bcc()];
        let users: Vec<String> = lists
            .into_iter()
            .flatten()
            .flat_map(addresses)
            .map(|address| local_part(&address))
            .filter(|user| is_user_name(user))
            .collect();
        if users.is_empty() {
            return Err(Refusal::Status(GlobalStatus::MessageHasNoRecipient));
        }
        let message = self.read_message(&parsed, mime);
        // Recipients must not see the hidden ones.
        let email = Email {
            bcc: "".into(),
            ..message.email
        };
        Ok((Message { email, ..message }, users))
    }

    /// What a message holds, with its hidden recipients.
    pub(super) fn read_message(&self, parsed: &mail_parser::Message<'_>, mime: &[u8]) -> Message {
        let listed = |list: Option<&Address<'_>>| {
            let all: Vec<String> = list.into_iter().flat_map(addresses).collect();
            all.join(", ")
        };
        let sender = parsed.from().into_iter().flat_map(addresses);
        let is_user = |address: &String| local_part(address) == self.user;
        let from = sender.into_iter().find(is_user);
        let from = from.unwrap_or_else(|| self.user.clone());
        let meeting = meeting(&parsed.parts);
        let smime = smime_class(parsed);
        let (body_type, body) = match smime {
            Some(_) => (MIME, String::from_utf8_lossy(mime)),
            None => body(parsed),
        };
        let email = Email {
            from: address(&from).into(),
            to: listed(parsed.to()).into(),
            cc: listed(parsed.cc()).into(),
            bcc: listed(parsed.bcc()).into(),
            subject: clean(parsed.subject().unwrap_or_default()).into(),
            body: clean(&body).into(),
            body_type,
            message_class: match (&meeting, smime) {
                (Some(_), _) => MEETING_REQUEST.into(),
                (None, smime) => smime.unwrap_or_default().into(),
            },
            meeting: meeting.map(Box::new),
            ..Email::default()
        };
        let attachments = parsed.attachments().filter_map(attachment).collect();
        Message { email, attachments }
    }
}

/// The MessageClass of an S/MIME message (RFC 8551 3.9, MS-OXCMSG 2.2.1.3).
fn smime_class(message: &mail_parser::Message<'_>) -> Option<&'static str> {
    let root = message.parts.first()?;
    if root.is_content_type("application", "pkcs7-mime")
        || root.is_content_type("application", "x-pkcs7-mime")
    {
        return Some("IPM.Note.SMIME");
    }
    let protocol = root.content_type()?.attribute("protocol")?;
    let is_signed = root.is_content_type("multipart", "signed")
        && [
            "application/pkcs7-signature",
            "application/x-pkcs7-signature",
        ]
        .iter()
        .any(|one| protocol.eq_ignore_ascii_case(one));
    is_signed.then_some("IPM.Note.SMIME.MultipartSigned")
}

/// The body that a message is stored with, and its type: HTML if there is one.
fn body<'m>(message: &'m mail_parser::Message<'_>) -> (u8, Cow<'m, str>) {
    let html = message.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) => Some(Cow::Borrowed(&**html)),
        _ => None,
    });
    match html {
        Some(html) => (HTML, html),
        None => (PLAIN, message.body_text(0).unwrap_or_default()),
    }
}

fn original(item: String, kind: SmartSend, replace_mime: bool) -> Original {
    Original {
        item,
        quoted: !replace_mime,
        with_attachments: kind == SmartSend::Forward,
    }
}

/// A NUL cannot be written into an answer.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

fn addresses(list: &Address<'_>) -> Vec<String> {
    let all = list.iter().filter_map(|one| one.address());
    all.map(clean).collect()
}

fn attachment(part: &MessagePart<'_>) -> Option<Blob> {
    let name = clean(part.attachment_name()?);
    let content_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| match &kind.c_subtype {
            Some(subtype) => format!("{}/{subtype}", kind.c_type),
            None => kind.c_type.to_string(),
        },
    );
    Some(Blob {
        name,
        content_type: clean(&content_type),
        data: part.contents().to_vec(),
    })
}

/// The meeting of a message with a calendar part that asks for an answer (RFC 5546 3.2.2).
fn meeting(parts: &[MessagePart<'_>]) -> Option<MeetingRequest<'static>> {
    let calendar = parts
        .iter()
        .find(|part| part.is_content_type("text", "calendar"))?;
    let text = unfold(calendar.text_contents()?);
    let calendar = read_calendar(&text).ok()?;
    let asks = calendar
        .properties
        .iter()
        .any(|one| one.name == "METHOD" && one.val == "REQUEST");
    let event = calendar
        .components
        .iter()
        .find(|one| one.name == "VEVENT")?;
    let value = |name: &str| {
        let found = event.properties.iter().find(|one| one.name == name);
        clean(found.map_or("", |one| one.val.as_str()))
    };
    let organizer = value("ORGANIZER");
    asks.then(|| MeetingRequest {
        start: with_signs(&value("DTSTART")).into(),
        end: with_signs(&value("DTEND")).into(),
        dt_stamp: with_signs(&value("DTSTAMP")).into(),
        location: value("LOCATION").into(),
        organizer: organizer.trim_start_matches("mailto:").to_owned().into(),
        global_obj_id: value("UID").into(),
        response_requested: true,
        ..MeetingRequest::default()
    })
}

/// A calendar's `20260314T030000Z` as messages write it, `2026-03-14T03:00:00.000Z`; what is no such
/// time stays as it is.
fn with_signs(time: &str) -> String {
    let parsed = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", time);
    match parsed.and_then(|parsed| parsed.to_datetime()) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
        Err(_) => time.to_owned(),
    }
}
