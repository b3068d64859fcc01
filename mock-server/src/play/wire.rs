//! Requests and answers as bytes.

use eas::Command;
use eas::wbxml::{
    EncodeError, Event, Reader, Tag, Writer, air_sync, compose_mail, find, folder_hierarchy,
    get_item_estimate, item_operations, move_items, search, settings,
};

use super::{Game, NUL, Played};
use crate::headers::RequestHeader;
use crate::link::WireRequest;

/// The Status elements of the commands that are played.
const STATUSES: [Tag; 9] = [
    air_sync::STATUS,
    compose_mail::STATUS,
    find::STATUS,
    folder_hierarchy::STATUS,
    get_item_estimate::STATUS,
    item_operations::STATUS,
    move_items::STATUS,
    search::STATUS,
    settings::STATUS,
];
/// The status of an answer that could not be made.
const SERVER_ERROR: &str = "110";

impl Game<'_> {
    /// Sends a request of a device; the body of the answer.
    pub(super) fn request(
        &mut self,
        device: usize,
        command: Command,
        body: Result<Vec<u8>, EncodeError>,
    ) -> Played<Vec<u8>> {
        let body = self.finished(body)?;
        self.send_bytes(device, command, body)
    }

    /// The bytes of a request, with the NUL characters of its texts.
    pub(super) fn finished(&mut self, body: Result<Vec<u8>, EncodeError>) -> Played<Vec<u8>> {
        let body = body.map_err(|error| error.to_string())?;
        if std::mem::take(&mut self.has_nul) {
            return with_nul(&body);
        }
        Ok(body)
    }

    pub(super) fn send_bytes(
        &mut self,
        device: usize,
        command: Command,
        body: Vec<u8>,
    ) -> Played<Vec<u8>> {
        let device = &self.devices[device];
        let (user, id, name) = (device.user, device.id, command.as_str());
        let request = WireRequest {
            method: "POST".to_owned(),
            uri: format!(
                "{}?Cmd={name}&User={user}&DeviceId={id}&DeviceType=play",
                eas::http::PATH
            ),
            headers: vec![
                (RequestHeader::Identity, user.to_owned()),
                (RequestHeader::ProtocolVersion, device.version().to_string()),
            ],
            body,
            certificate_user: None,
        };
        let answer = self.server.answer(&request);
        let answer = answer.ok_or_else(|| format!("{name} is not answered"))?;
        if answer.status != 200 {
            return Err(format!("{name}: HTTP {}", answer.status));
        }
        check(&answer.body).map_err(|problem| format!("{name}: {problem}"))?;
        Ok(answer.body)
    }
}

/// Makes sure that an answer is WBXML without Status 110.
pub(super) fn check(body: &[u8]) -> Played {
    if body.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(body).map_err(|error| error.to_string())?;
    let mut in_status = false;
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        match event {
            Event::Text(SERVER_ERROR) if in_status => return Err("Status 110".to_owned()),
            Event::Start(element) => in_status = STATUSES.contains(&element.tag),
            _ => {}
        }
    }
    Ok(())
}

/// The same document with a NUL where [`NUL`] is, as opaque data.
fn with_nul(body: &[u8]) -> Played<Vec<u8>> {
    let mut reader = Reader::new(body).map_err(|error| error.to_string())?;
    let mut writer = Writer::new();
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        match event {
            Event::Start(element) if element.has_content => writer.start(element.tag),
            Event::Start(element) => writer.empty(element.tag),
            Event::End => writer.end(),
            Event::Text(text) if text.contains(NUL) => {
                writer.opaque(text.replace(NUL, "\0").as_bytes())
            }
            Event::Text(text) => writer.text(text),
            Event::Entity(letter) => writer.text(&letter.to_string()),
            Event::Opaque(bytes) => writer.opaque(bytes),
        };
    }
    writer.finish().map_err(|error| error.to_string())
}
