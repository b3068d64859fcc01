//! The codec against software that shares no line with it: libwbxml's `wbxml2xml` and `xml2wbxml`,
//! and the bodies of a real server (SOGo), which uses libwbxml too.

mod samples;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::ProtocolVersion;
use eas::commands::*;
use eas::status::*;
use eas::wbxml::{EncodeError, Event, PAGES, Reader, Tag, from_xml, to_xml};
use samples::corpus;

/// Set where the tools must be there, as in continuous integration: their absence then fails.
const REQUIRE: &str = "EASLOAD_REQUIRE_ORACLES";

fn have_libwbxml() -> bool {
    let found = Command::new("wbxml2xml").arg("-h").output().is_ok();
    assert!(
        found || std::env::var_os(REQUIRE).is_none(),
        "{REQUIRE} is set, but wbxml2xml (Debian package libwbxml2-utils) is not installed"
    );
    if !found {
        eprintln!("skipped: wbxml2xml (Debian package libwbxml2-utils) is not installed");
    }
    found
}

/// A document as comparable steps. libwbxml prints opaque data as base64 or as text, so opaque
/// data counts as whichever of the two the other side shows.
fn steps(body: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(body).unwrap();
    let mut list = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::Start(element) = event {
            list.push(format!("<{}>", element.tag));
            if element.has_content {
                continue;
            }
        }
        list.push(match event {
            Event::Start(_) | Event::End => "</>".to_owned(),
            Event::Text(text) => text.to_owned(),
            Event::Entity(letter) => letter.to_string(),
            Event::Opaque(bytes) => format!("opaque {}", BASE64.encode(bytes)),
        });
    }
    list
}

fn assert_same(ours: &[String], theirs: &[String], name: &str) {
    assert_eq!(ours.len(), theirs.len(), "{name}:\n{ours:#?}\n{theirs:#?}");
    // An XML parser turns CR LF into LF, and wbxml2xml trims the white space around a text.
    let lines = |text: &String| text.replace("\r\n", "\n").trim().to_owned();
    for (mine, other) in ours.iter().map(lines).zip(theirs.iter().map(lines)) {
        let same = mine == other
            || mine.strip_prefix("opaque ").is_some_and(|base64| {
                other.as_str() == base64 || BASE64.encode(other.as_bytes()) == base64
            });
        assert!(same, "{name}: ours `{mine}`, theirs `{other}`");
    }
}

/// Our own decoder must restore what was encoded; the oracles below judge the bytes between.
#[test]
fn every_command_round_trips_through_its_types() {
    for (name, body) in corpus() {
        let again = match name {
            "Provision ask" | "Provision ask 2.5" | "Provision acknowledge" | "Provision wipe" => {
                ProvisionRequest::decode(&body).unwrap().encode()
            }
            "Provision answer" | "Provision answer 2.5" => {
                ProvisionAnswer::decode(&body).unwrap().encode()
            }
            "FolderSync" => FolderSyncRequest::decode(&body).unwrap().encode(),
            "FolderSync answer" => FolderSyncAnswer::decode(&body).unwrap().encode(),
            "Sync 2.5" => SyncRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V2_5),
            "Sync answer 2.5" => SyncAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V2_5),
            "Sync 12.1" | "Sync wait" => SyncRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V12_1),
            "Sync 14.1" => SyncRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
            "Sync 16.1" => SyncRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V16_1),
            "Sync answer 16.1" => SyncAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V16_1),
            "Sync answer" | "Sync failure" => SyncAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
            "Ping" => PingRequest::decode(&body).unwrap().encode(),
            "Ping answer" => PingAnswer::decode(&body).unwrap().encode(),
            "GetItemEstimate 12.1" => EstimateRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V12_1),
            "GetItemEstimate 14.1" => EstimateRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
            "GetItemEstimate answer" => EstimateAnswer::decode(&body).unwrap().encode(),
            "SendMail" => SendMailRequest::decode(&body).unwrap().encode(),
            "SendMail answer" => SendMailAnswer::decode(&body).unwrap().encode(),
            "Settings" | "Settings get" | "Settings rights 16.1" => {
                SettingsRequest::decode(&body).unwrap().encode()
            }
            "Settings answer 14.0" => SettingsAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_0),
            "Settings rights answer 16.1" => SettingsAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V16_1),
            "Settings answer 14.1" => SettingsAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
            "ItemOperations" => ItemOperationsRequest::decode(&body).unwrap().encode(),
            "ItemOperations answer" => ItemOperationsAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
            other => rare_again(other, &body),
        };
        assert_eq!(again.unwrap(), body, "{name}");
    }
}

/// The same for what a phone sends when its user does something.
fn rare_again(name: &str, body: &[u8]) -> Result<Vec<u8>, EncodeError> {
    match name {
        "FolderCreate" => FolderCreateRequest::decode(body).unwrap().encode(),
        "FolderCreate answer" => FolderCreateAnswer::decode(body).unwrap().encode(),
        "FolderUpdate" => FolderUpdateRequest::decode(body).unwrap().encode(),
        "FolderUpdate answer" => FolderUpdateAnswer::decode(body).unwrap().encode(),
        "FolderDelete" => FolderDeleteRequest::decode(body).unwrap().encode(),
        "FolderDelete answer" => FolderDeleteAnswer::decode(body).unwrap().encode(),
        "MoveItems" => MoveItemsRequest::decode(body).unwrap().encode(),
        "MoveItems answer" => MoveItemsAnswer::decode(body).unwrap().encode(),
        "SmartReply" => SmartSendRequest::decode(SmartSend::Reply, body)
            .unwrap()
            .encode(),
        "SmartForward" => SmartSendRequest::decode(SmartSend::Forward, body)
            .unwrap()
            .encode(),
        "SmartReply answer" => SendAnswer::decode_smart(SmartSend::Reply, body)
            .unwrap()
            .encode_smart(SmartSend::Reply),
        "SmartForward answer" => SendAnswer::decode_smart(SmartSend::Forward, body)
            .unwrap()
            .encode_smart(SmartSend::Forward),
        "MeetingResponse" => MeetingResponseRequest::decode(body).unwrap().encode(),
        "MeetingResponse answer" => MeetingResponseAnswer::decode(body).unwrap().encode(),
        "Search mailbox" | "Search GAL" => SearchRequest::decode(body).unwrap().encode(),
        "Search mailbox answer" | "Search GAL answer" | "Search nothing answer" => {
            SearchAnswer::decode(body)
                .unwrap()
                .encode(ProtocolVersion::V14_1)
        }
        "Find mailbox 16.1" | "Find GAL 16.1" => FindRequest::decode(body).unwrap().encode(),
        "Find mailbox answer 16.1" | "Find GAL answer 16.1" | "Find refused answer 16.1" => {
            FindAnswer::decode(body).unwrap().encode()
        }
        "ResolveRecipients" => ResolveRecipientsRequest::decode(body).unwrap().encode(),
        "ResolveRecipients answer" => ResolveRecipientsAnswer::decode(body).unwrap().encode(),
        "ValidateCert" => ValidateCertRequest::decode(body).unwrap().encode(),
        "ValidateCert answer" => ValidateCertAnswer::decode(body).unwrap().encode(),
        other => panic!("no round trip for {other}"),
    }
}

#[test]
fn class_stands_where_the_version_wants_it() {
    let xml = |wanted: &str| {
        let body = corpus()
            .into_iter()
            .find(|(name, _)| *name == wanted)
            .unwrap()
            .1;
        to_xml(&body).unwrap()
    };
    // The collection's own Class comes before its key, that of an added item after it.
    for (name, in_collection) in [("Sync 12.1", true), ("Sync 14.1", false)] {
        let sync = xml(name);
        let (before, after) = sync.split_once("<SyncKey>").unwrap();
        let class = "<Class>Email</Class>";
        assert_eq!(before.contains(class), in_collection, "{sync}");
        assert_eq!(after.contains(class), !in_collection, "{sync}");
    }
    let old = xml("GetItemEstimate 12.1");
    assert!(
        old.contains("<Class>Email</Class>") && !old.contains("Options"),
        "{old}"
    );
    let new = xml("GetItemEstimate 14.1");
    assert!(
        new.find("Options").unwrap() < new.find("Class").unwrap(),
        "{new}"
    );
}

#[test]
fn libwbxml_reads_what_we_write() {
    if !have_libwbxml() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (
        folder.path().join("in.wbxml"),
        folder.path().join("out.xml"),
    );
    for (name, body) in known_to_libwbxml() {
        std::fs::write(&input, &body).unwrap();
        run(
            "wbxml2xml",
            &["-l", "ACTIVESYNC", "-m", "0"],
            &output,
            &input,
        );
        let xml = std::fs::read_to_string(&output).unwrap();
        let theirs = from_xml(&xml).unwrap_or_else(|error| panic!("{name}: {error}\n{xml}"));
        assert_same(&steps(&body), &steps(&theirs), name);
    }
}

#[test]
fn we_read_what_libwbxml_writes() {
    if !have_libwbxml() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (
        folder.path().join("in.xml"),
        folder.path().join("out.wbxml"),
    );
    for (name, body) in known_to_libwbxml() {
        std::fs::write(&input, for_libwbxml(&body)).unwrap();
        run("xml2wbxml", &["-n", "-v", "1.3"], &output, &input);
        let theirs = std::fs::read(&output).unwrap();
        assert_same(&steps(&body), &steps(&theirs), name);
    }
}

fn run(tool: &str, options: &[&str], output: &Path, input: &Path) {
    let result = Command::new(tool)
        .args(options)
        .arg("-o")
        .arg(output)
        .arg(input)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&result.stderr).into_owned();
    let shown = std::fs::read_to_string(input).unwrap_or_default();
    assert!(result.status.success(), "{tool}: {text}\n{shown}");
}

/// libwbxml's tables end at 14.1.
fn known_to_libwbxml() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    corpus()
        .into_iter()
        .filter(|(name, _)| !name.ends_with(" 16.1"))
}

/// A body as the XML that `xml2wbxml` reads: with libwbxml's names, and with opaque data in base64,
/// which it decodes in the elements that hold such data.
fn for_libwbxml(body: &[u8]) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE ActiveSync PUBLIC \"-//MICROSOFT//DTD ActiveSync//EN\" \
         \"http://www.microsoft.com/\">\n",
    );
    let mut reader = Reader::new(body).unwrap();
    let mut open: Vec<(u8, String)> = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Start(element) => {
                let (page, name) = (element.tag.page(), libwbxml_name(element.tag));
                text.push('<');
                text.push_str(&name);
                if open.last().is_none_or(|(parent, _)| *parent != page) {
                    let namespace = match PAGES[usize::from(page)].namespace {
                        "GAL" => "Gal",
                        namespace => namespace,
                    };
                    text.push_str(&format!(" xmlns=\"{namespace}:\""));
                }
                if element.has_content {
                    text.push('>');
                    open.push((page, name));
                } else {
                    text.push_str("/>");
                }
            }
            Event::End => {
                let (_, name) = open.pop().unwrap();
                text.push_str(&format!("</{name}>"));
            }
            Event::Text(value) => text.push_str(
                &value
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;")
                    .replace('\r', "&#13;"),
            ),
            Event::Entity(letter) => text.push(letter),
            Event::Opaque(bytes) => text.push_str(&BASE64.encode(bytes)),
        }
    }
    text
}

/// Its table follows older revisions of the specification, see the notes on the code pages.
fn libwbxml_name(tag: Tag) -> String {
    const RECURRENCE: [&str; 9] = [
        "Type",
        "Start",
        "Until",
        "Occurrences",
        "Interval",
        "DayOfWeek",
        "DayOfMonth",
        "WeekOfMonth",
        "MonthOfYear",
    ];
    /// Pages whose rules of series have prefixed names.
    const WITH_RULES: [&str; 3] = ["Email", "Calendar", "Tasks"];
    let page = PAGES[usize::from(tag.page())].namespace;
    let name = tag.name().unwrap();
    let renamed = match (page, name) {
        ("Email" | "Calendar", "DtStamp") => "DTStamp",
        ("Email", "Status") => "FlagStatus",
        ("Calendar", "Timezone") => "TimeZone",
        ("Calendar", "Email") => "Attendee_Email",
        ("Calendar", "Name") => "Attendee_Name",
        ("Calendar", "OrganizerEmail") => "Organizer_Email",
        ("Calendar", "OrganizerName") => "Organizer_Name",
        ("Tasks", "UtcDueDate") => "UTCDueDate",
        ("Tasks", "UtcStartDate") => "UTCStartDate",
        ("Settings", "SMTPAddress") => "SmtpAddress",
        ("ComposeMail", "Mime") => "MIME",
        ("Contacts", name) if name.starts_with("BusinessAddress") => {
            return name.replace("BusinessAddress", "Business");
        }
        (page, name) if WITH_RULES.contains(&page) && RECURRENCE.contains(&name) => {
            return format!("Recurrence_{name}");
        }
        (_, name) => name,
    };
    renamed.to_owned()
}

fn sogo_bodies() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sogo");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wbxml")
        })
        .collect();
    paths.sort();
    assert!(paths.len() > 20, "the captures are gone");
    paths
}

/// Bodies captured from SOGo 5.8.0, beside what libwbxml 0.11.8 made of them.
#[test]
fn bodies_of_a_real_server_decode_as_libwbxml_decodes_them() {
    for path in sogo_bodies() {
        let name = path.display().to_string();
        let body = std::fs::read(&path).unwrap();
        let xml = std::fs::read_to_string(path.with_extension("xml")).unwrap();
        let theirs = from_xml(&xml).unwrap_or_else(|error| panic!("{name}: {error}\n{xml}"));
        assert_same(&steps(&body), &steps(&theirs), &name);
        assert_eq!(from_xml(&to_xml(&body).unwrap()).unwrap(), body, "{name}");
    }
}

/// The typed decoders on the same captures: each finds a status it knows.
#[test]
fn typed_answers_of_a_real_server_decode() {
    let mut seen = Vec::new();
    for path in sogo_bodies() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let body = std::fs::read(&path).unwrap();
        if name.ends_with("foldersync-response") {
            let answer = FolderSyncAnswer::decode(&body).unwrap();
            if answer.status == FolderSyncStatus::Success && !answer.added.is_empty() {
                assert!(
                    answer
                        .added
                        .iter()
                        .any(|folder| folder.folder_type == FolderType::INBOX)
                );
                seen.push("FolderSync");
            }
        } else if name.ends_with("-sync-response") {
            let answer = SyncAnswer::decode(&body).unwrap();
            let changes = answer
                .collections
                .iter()
                .flat_map(|collection| &collection.changes);
            for change in changes {
                if let Change::Add { data, server_id } = change
                    && let Some(email) = data.as_email()
                    && !email.subject.is_empty()
                {
                    assert!(!server_id.is_empty() && email.from.contains('@'), "{name}");
                    seen.push("Sync");
                }
            }
        } else if name.ends_with("ping-response") {
            let answer = PingAnswer::decode(&body).unwrap();
            assert!(!matches!(answer.status, PingStatus::Unknown(_)), "{name}");
            seen.push("Ping");
        } else if name.ends_with("provision-response") {
            let answer = ProvisionAnswer::decode(&body).unwrap();
            assert_eq!(answer.policy.unwrap().status, PolicyStatus::NoPolicy);
            seen.push("Provision");
        } else if name.ends_with("getitemestimate-response") {
            assert!(
                EstimateAnswer::decode(&body).unwrap().estimates[0]
                    .count
                    .is_some()
            );
            seen.push("GetItemEstimate");
        } else if name.ends_with("settings-response") {
            let answer = SettingsAnswer::decode(&body).unwrap();
            assert_eq!(answer.status, SettingsStatus::Success, "{name}");
            if let Some(user) = answer.user_information {
                assert_eq!(user.primary_address.as_deref(), Some("user0002@eas.test"));
                seen.push("Settings");
            }
        } else if name.ends_with("itemoperations-response") {
            let answer = ItemOperationsAnswer::decode(&body).unwrap();
            let fetch = &answer.fetches[0];
            assert_eq!(fetch.status, ItemOperationsStatus::Success, "{name}");
            match fetch.content.as_ref().unwrap() {
                FetchedContent::Item(item) => {
                    let email = item.as_email().unwrap();
                    assert!(email.subject.starts_with("capture") && !email.body.is_empty());
                    seen.push("ItemOperations");
                }
                FetchedContent::Attachment {
                    content_type, data, ..
                } => {
                    assert_eq!(content_type, "application/octet-stream");
                    let all: Vec<u8> = (0..=u8::MAX).collect();
                    assert_eq!(data[..], all[..]);
                    assert!(fetch.file_reference.is_some());
                    seen.push("ItemOperations attachment");
                }
            }
        } else if let Some(command) = rare_answer(&name, &body) {
            seen.push(command);
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "FolderCreate",
            "FolderDelete",
            "FolderSync",
            "FolderUpdate",
            "GetItemEstimate",
            "ItemOperations",
            "ItemOperations attachment",
            "MoveItems",
            "Ping",
            "Provision",
            "Search GAL",
            "Search mailbox",
            "Settings",
            "Sync"
        ]
    );
}

/// The same for the answers of commands that a phone sends when its user does something.
fn rare_answer(name: &str, body: &[u8]) -> Option<&'static str> {
    let (_, kind) = name.split_once('-').unwrap();
    Some(match kind {
        "foldercreate-response" => {
            let answer = FolderCreateAnswer::decode(body).unwrap();
            assert_eq!(answer.status, FolderChangeStatus::Success);
            assert!(answer.sync_key.is_some() && answer.server_id.is_some());
            "FolderCreate"
        }
        "folderupdate-response" => {
            let answer = FolderUpdateAnswer::decode(body).unwrap();
            assert!(answer.status == FolderChangeStatus::Success && answer.sync_key.is_some());
            "FolderUpdate"
        }
        "folderdelete-response" => {
            let answer = FolderDeleteAnswer::decode(body).unwrap();
            assert!(answer.status == FolderChangeStatus::Success && answer.sync_key.is_some());
            "FolderDelete"
        }
        "moveitems-response" => {
            let answer = MoveItemsAnswer::decode(body).unwrap();
            assert_eq!(answer.responses[0].status, MoveStatus::Success);
            assert_eq!(answer.responses[0].new_id.as_deref(), Some("1"));
            "MoveItems"
        }
        "search-response" => {
            let answer = SearchAnswer::decode(body).unwrap();
            assert_eq!(answer.store_status, SearchStatus::Success);
            let (first, last) = answer.range.unwrap();
            assert_eq!(answer.results.len(), (last - first + 1) as usize, "{name}");
            match &answer.results[0].properties {
                SearchProperties::Gal(entry) => {
                    assert_eq!(entry.email, "user0001@eas.test");
                    "Search GAL"
                }
                SearchProperties::Item(item) => {
                    assert!(item.as_email().unwrap().subject.starts_with("capture"));
                    assert!(answer.results[0].long_id.is_some());
                    "Search mailbox"
                }
            }
        }
        _ => return None,
    })
}

/// The requests that a client sent to it, of the commands that a device sends rarely.
#[test]
fn typed_requests_to_a_real_server_decode() {
    let mut seen = Vec::new();
    for path in sogo_bodies() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let body = std::fs::read(&path).unwrap();
        if name.ends_with("-sync-request") {
            let request = SyncRequest::decode(&body).unwrap();
            for command in request.collections.iter().flat_map(|part| &part.commands) {
                seen.push(match command {
                    ClientCommand::Add { data, .. } => added(data),
                    other => panic!("{name}: {other:?}"),
                });
            }
        } else if name.ends_with("settings-request") {
            let request = SettingsRequest::decode(&body).unwrap();
            if let Some(device) = request.device_information {
                assert_eq!(device.user_agent, "eas-smoke/1.0", "{name}");
                seen.push("Settings Set");
            } else {
                assert!(request.user_information, "{name}");
                seen.push("Settings Get");
            }
        } else if name.ends_with("itemoperations-request") {
            let request = ItemOperationsRequest::decode(&body).unwrap();
            let [fetch] = &request.fetches[..] else {
                panic!("{name}: {request:?}");
            };
            assert_eq!(fetch.store, Fetch::MAILBOX, "{name}");
            seen.push(match (&fetch.server_id, &fetch.file_reference) {
                (Some(_), None) => "ItemOperations item",
                (None, Some(_)) => "ItemOperations attachment",
                other => panic!("{name}: {other:?}"),
            });
        } else if let Some(command) = rare_request(&name, &body) {
            seen.push(command);
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "FolderCreate",
            "FolderDelete",
            "FolderUpdate",
            "ItemOperations attachment",
            "ItemOperations item",
            "MoveItems",
            "ResolveRecipients",
            "Search GAL",
            "Search mailbox",
            "Settings Get",
            "Settings Set",
            "SmartReply",
            "Sync Add appointment",
            "Sync Add contact"
        ]
    );
}

fn added(data: &ItemData<'_>) -> &'static str {
    match data {
        ItemData::Calendar(appointment) => {
            assert_eq!(appointment.start, "20300102T090000Z");
            assert_eq!(appointment.timezone, UTC_TIME_ZONE);
            let rule = appointment.recurrence.as_ref().unwrap();
            assert_eq!((rule.kind, rule.occurrences), (1, Some(5)));
            "Sync Add appointment"
        }
        ItemData::Contact(contact) => {
            assert_eq!(contact.file_as, "Lovelace, Ada");
            assert_eq!(contact.mobile_phone, "+44 1");
            "Sync Add contact"
        }
        other => panic!("{other:?}"),
    }
}

/// The same for requests that a phone sends when its user does something.
fn rare_request(name: &str, body: &[u8]) -> Option<&'static str> {
    let (_, kind) = name.split_once('-').unwrap();
    Some(match kind {
        "foldercreate-request" => {
            let request = FolderCreateRequest::decode(body).unwrap();
            assert_eq!(request.name, "Projects");
            assert_eq!(request.folder_type, FolderType::USER_MAIL);
            "FolderCreate"
        }
        "folderupdate-request" => {
            let request = FolderUpdateRequest::decode(body).unwrap();
            assert_eq!((&*request.name, &*request.parent_id), ("Projects 2", "0"));
            "FolderUpdate"
        }
        "folderdelete-request" => {
            let request = FolderDeleteRequest::decode(body).unwrap();
            assert!(request.server_id.starts_with("mail%2F"));
            "FolderDelete"
        }
        "moveitems-request" => {
            let request = MoveItemsRequest::decode(body).unwrap();
            assert_eq!(request.moves[0].item, "1");
            assert_ne!(request.moves[0].from, request.moves[0].to);
            "MoveItems"
        }
        "resolverecipients-request" => {
            let request = ResolveRecipientsRequest::decode(body).unwrap();
            assert_eq!(request.to, ["user0001@eas.test"]);
            "ResolveRecipients"
        }
        "search-request" => match SearchRequest::decode(body).unwrap().store {
            SearchStore::Gal { text } => {
                assert_eq!(text, "user000");
                "Search GAL"
            }
            SearchStore::Mailbox(query) => {
                assert_eq!(query.all.free_text, ["capture"]);
                assert_eq!(query.classes, ["Email"]);
                assert_eq!(query.collection_ids.len(), 1);
                assert!(!query.is_too_complex);
                "Search mailbox"
            }
        },
        "smartreply-request" => {
            let request = SmartSendRequest::decode(SmartSend::Reply, body).unwrap();
            assert!(request.save_in_sent && request.mime.starts_with(b"From: "));
            assert!(matches!(request.source, SmartSource::Item { .. }));
            "SmartReply"
        }
        _ => return None,
    })
}

/// Wireshark's own decoder of ActiveSync, which shares no line with libwbxml either: the tags that it
/// shows of every body, in their order.
#[test]
fn tshark_reads_every_body_as_we_do() {
    if !have_tshark() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("bodies.pcap");
    let (mut all, mut named) = (0, 0);
    let bodies: Vec<_> = corpus()
        .into_iter()
        .filter(|(_, body)| !body.is_empty())
        .collect();
    std::fs::write(
        &capture,
        pcap(bodies.iter().map(|(_, body)| body.as_slice())),
    )
    .unwrap();
    let output = Command::new("tshark")
        .args(["-V", "-r"])
        .arg(&capture)
        .output();
    let output = output.unwrap().stdout;
    let output = String::from_utf8_lossy(&output);
    // What comes before the first frame is nothing.
    let frames: Vec<&str> = output.split("\nFrame ").collect();
    assert_eq!(frames.len(), bodies.len(), "{output}");
    for ((name, body), shown) in bodies.iter().zip(frames) {
        assert!(
            shown.contains("chosen decoding: Microsoft ActiveSync"),
            "{name}: {shown}"
        );
        let theirs: Vec<String> = shown.lines().filter_map(opened).collect();
        let ours: Vec<String> = steps(body)
            .iter()
            .filter_map(|step| step.strip_prefix('<')?.strip_suffix('>'))
            .filter(|tag| {
                tag.chars()
                    .all(|letter| letter.is_alphanumeric() || letter == ':')
            })
            .map(|tag| tag.rsplit(':').next().unwrap_or(tag).to_owned())
            .collect();
        assert_eq!(ours.len(), theirs.len(), "{name}: {ours:?} {theirs:?}");
        for (mine, other) in ours.iter().zip(&theirs) {
            all += 1;
            named += usize::from(!other.starts_with(UNNAMED));
            let is_same = other.starts_with(UNNAMED) || is_same_tag(mine, other);
            assert!(is_same, "{name}: ours {mine}, theirs {other}");
        }
    }
    assert!(
        named * 10 > all * 8,
        "only {named} of {all} tags are known to Wireshark"
    );
}

/// What Wireshark 4.0 shows of tags that its tables lack.
const UNNAMED: &str = "(Requested";

/// Whether a name is Wireshark's for that tag: it writes some otherwise, and has slipped by a line in
/// two tables (Contacts 0x28, Tasks 0x0C), where libwbxml and MS-ASWBXML agree with ours.
fn is_same_tag(ours: &str, theirs: &str) -> bool {
    const OTHERWISE: [(&str, &str); 6] = [
        ("BodyPartPreference", "BodyPartReference"),
        ("RequireStorageCardEncryption", "DeviceEncryptionEnabled"),
        ("ResponseRequested", "ResponseRequest"),
        ("LastName", "JobTitle"),
        ("UtcDueDate", "DueDate"),
        ("Status", "FlagStatus"),
    ];
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let (mine, other) = (plain(ours), plain(theirs));
    let parts = ["recurrence", "attendee", ""];
    let is_part = parts.iter().any(|part| format!("{part}{mine}") == other);
    is_part
        || mine.replace("businessaddress", "business") == other
        || OTHERWISE.contains(&(ours, theirs))
}

/// The tag that a line of tshark's table opens.
fn opened(line: &str) -> Option<String> {
    let (columns, rendering) = line.rsplit_once("|")?;
    if !columns.contains("| Tag ") {
        return None;
    }
    let tag = rendering.trim().strip_prefix('<')?.strip_suffix('>')?;
    let name = tag.trim_end_matches('/').trim();
    (!tag.starts_with('/')).then(|| name.rsplit(':').next().unwrap_or(name).to_owned())
}

fn have_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("EASLOAD_REQUIRE_TSHARK").is_none(),
        "EASLOAD_REQUIRE_TSHARK is set, but tshark is not installed"
    );
    if !found {
        eprintln!("skipped: tshark is not installed");
    }
    found
}

/// A capture with one POST for each body, each on a connection of its own.
fn pcap<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    const ETHERNET: u32 = 1;
    const LARGEST: u32 = 65_535;
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4_u32.to_le_bytes());
    for half in [2_u16, 4] {
        out.extend(half.to_le_bytes());
    }
    for word in [0, 0, LARGEST, ETHERNET] {
        out.extend(word.to_le_bytes());
    }
    for (number, body) in (1_u16..).zip(bodies) {
        let head = format!(
            "POST /Microsoft-Server-ActiveSync HTTP/1.1\r\nHost: a\r\n\
             Content-Type: application/vnd.ms-sync.wbxml\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let length = u16::try_from(40 + head.len() + body.len()).unwrap();
        let mut packet = vec![0; 12];
        packet.extend([0x08, 0x00, 0x45, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
        packet.extend((20_000 + number).to_be_bytes());
        packet.extend([
            0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0,
        ]);
        packet.extend(head.as_bytes());
        packet.extend(body);
        let size = u32::try_from(packet.len()).unwrap();
        for word in [0, 0, size, size] {
            out.extend(word.to_le_bytes());
        }
        out.extend(packet);
    }
    out
}
