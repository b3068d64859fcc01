//! The codec against software that shares no line with it: libwbxml's `wbxml2xml` and `xml2wbxml`,
//! and the bodies of a real server (SOGo), which uses libwbxml too.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::ProtocolVersion;
use eas::commands::*;
use eas::status::*;
use eas::wbxml::{Event, Reader, from_xml, to_xml};

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

fn email(subject: &'static str) -> Box<Email<'static>> {
    Box::new(Email {
        from: "\"Load 2\" <load2@lab.example>".into(),
        to: "load1@lab.example".into(),
        subject: subject.into(),
        date_received: "2026-03-14T03:00:00.000Z".into(),
        read: false,
        body: "Grüße & <Küsse>\r\nzweite Zeile".into(),
    })
}

/// Every request and answer this crate can write.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let device = DeviceInformation {
        model: "easload".into(),
        friendly_name: "unit 1".into(),
        os: "Linux".into(),
        user_agent: "easload/0.1".into(),
    };
    let policy = |key| PolicyAnswer {
        text: None,
        policy_type: POLICY_TYPE.into(),
        status: PolicyStatus::Success,
        key: Some(key),
        document: vec![(eas::wbxml::provision::DEVICE_PASSWORD_ENABLED, "0".into())],
    };
    let collection = SyncCollection {
        sync_key: "1712345678".into(),
        id: "5".into(),
        class: Some(Class::Email),
        deletes_as_moves: Some(true),
        get_changes: Some(true),
        window_size: Some(25),
        options: Some(SyncOptions {
            filter: Some(FilterType::THREE_DAYS),
            body: Some(BodyPreference {
                body_type: 1,
                truncation_size: Some(500),
            }),
        }),
        commands: vec![
            ClientCommand::Add {
                client_id: "c1".into(),
                class: Some(Class::Email),
            },
            ClientCommand::Change {
                server_id: "5:1".into(),
                read: Some(true),
            },
            ClientCommand::Delete {
                server_id: "5:2".into(),
            },
            ClientCommand::Fetch {
                server_id: "5:3".into(),
            },
        ],
    };
    let sync = SyncRequest {
        collections: vec![collection],
        wait: None,
        heartbeat: Some(470),
        window_size: Some(50),
        partial: true,
    };
    let sync_answer = SyncAnswer {
        collections: vec![CollectionAnswer {
            sync_key: "2".into(),
            id: "5".into(),
            status: SyncStatus::Success,
            more_available: true,
            changes: vec![
                Change::Add {
                    server_id: "5:1".into(),
                    email: email("first"),
                },
                Change::Update {
                    server_id: "5:2".into(),
                },
                Change::Delete {
                    server_id: "5:3".into(),
                },
                Change::SoftDelete {
                    server_id: "5:4".into(),
                },
            ],
            responses: vec![
                CommandResponse::Add {
                    client_id: "c1".into(),
                    server_id: Some("5:5".into()),
                    status: SyncStatus::Success,
                },
                CommandResponse::Change {
                    server_id: "5:6".into(),
                    status: SyncStatus::Conflict,
                },
                CommandResponse::Delete {
                    server_id: "5:8".into(),
                    status: SyncStatus::ObjectNotFound,
                },
                CommandResponse::Fetch {
                    server_id: "5:7".into(),
                    status: SyncStatus::Success,
                    email: Some(email("whole")),
                },
            ],
        }],
        ..SyncAnswer::default()
    };
    let folder = |id: &'static str, name: &'static str, folder_type| Folder {
        server_id: id.into(),
        parent_id: "0".into(),
        display_name: name.into(),
        folder_type,
    };
    let folders = FolderSyncAnswer {
        status: FolderSyncStatus::Success,
        sync_key: Some("1".into()),
        added: vec![folder("5", "Inbox", FolderType::INBOX)],
        updated: vec![folder("6", "Entwürfe", FolderType::DRAFTS)],
        deleted: vec!["7".into()],
    };
    let ping = PingRequest {
        heartbeat: Some(470),
        folders: Some(vec![
            PingFolder {
                id: "5".into(),
                class: Class::Email,
            },
            PingFolder {
                id: "1".into(),
                class: Class::Calendar,
            },
        ]),
    };
    let ping_answer = |status| PingAnswer {
        folders: vec!["5".into(), "6".into()],
        max_folders: Some(200),
        heartbeat: Some(3540),
        ..PingAnswer::new(status)
    };
    let estimate = EstimateRequest {
        collections: vec![EstimateCollection {
            sync_key: "3".into(),
            id: "5".into(),
            class: Some(Class::Email),
            filter: Some(FilterType::ALL),
        }],
    };
    let estimate_answer = EstimateAnswer {
        status: None,
        estimates: vec![Estimate {
            status: EstimateStatus::Success,
            id: Some("5".into()),
            count: Some(7),
        }],
    };
    let send = SendMailRequest {
        client_id: "h-000001".into(),
        save_in_sent: true,
        mime: b"Subject: x\r\n\r\nbody \xFF\r\n"[..].into(),
    };
    let settings = SettingsRequest {
        device_information: Some(device.clone()),
        user_information: true,
        oof: true,
    };
    let settings_answer = SettingsAnswer {
        status: SettingsStatus::Success,
        device_information: Some(SettingsStatus::Success),
        user_information: Some(UserInformation {
            status: SettingsStatus::Success,
            primary_address: Some("load1@lab.example".into()),
        }),
        oof: Some(SettingsStatus::Unavailable),
    };
    let items = ItemOperationsRequest {
        fetches: vec![
            Fetch {
                store: Fetch::MAILBOX.into(),
                collection_id: Some("5".into()),
                server_id: Some("5:12".into()),
                body: Some(BodyPreference {
                    body_type: 2,
                    truncation_size: Some(5000),
                }),
                ..Fetch::default()
            },
            Fetch {
                store: Fetch::MAILBOX.into(),
                long_id: Some("RgAAAA==".into()),
                ..Fetch::default()
            },
            Fetch {
                store: Fetch::MAILBOX.into(),
                file_reference: Some("5:12:0".into()),
                ..Fetch::default()
            },
        ],
        other_operations: 0,
    };
    let items_answer = ItemOperationsAnswer {
        status: ItemOperationsStatus::Success,
        fetches: vec![
            FetchAnswer {
                status: ItemOperationsStatus::Success,
                collection_id: Some("5".into()),
                server_id: Some("5:12".into()),
                class: Some(Class::Email),
                email: Some(email("whole")),
            },
            FetchAnswer {
                status: ItemOperationsStatus::InvalidAttachment,
                collection_id: None,
                server_id: None,
                class: None,
                email: None,
            },
        ],
    };
    let bodies = [
        (
            "Provision ask",
            ProvisionRequest::ask(ProtocolVersion::V14_1, Some(device)).encode(),
        ),
        (
            "Provision acknowledge",
            ProvisionRequest::acknowledge(ProtocolVersion::V14_1, 1_307_199_584).encode(),
        ),
        (
            "Provision wipe",
            ProvisionRequest {
                wipe_status: Some(1),
                ..Default::default()
            }
            .encode(),
        ),
        (
            "Provision answer",
            ProvisionAnswer {
                status: ProvisionStatus::Success,
                policy: Some(policy(u32::MAX)),
                remote_wipe: true,
            }
            .encode(),
        ),
        (
            "FolderSync",
            FolderSyncRequest {
                sync_key: "0".into(),
            }
            .encode(),
        ),
        ("FolderSync answer", folders.encode()),
        (
            "Provision ask 2.5",
            ProvisionRequest::ask(ProtocolVersion::V2_5, None).encode(),
        ),
        (
            "Provision answer 2.5",
            ProvisionAnswer {
                status: ProvisionStatus::Success,
                policy: Some(PolicyAnswer {
                    policy_type: policy_type(ProtocolVersion::V2_5).into(),
                    document: Vec::new(),
                    text: Some("<wap-provisioningdoc/>".into()),
                    ..policy(1)
                }),
                remote_wipe: false,
            }
            .encode(),
        ),
        ("Sync 2.5", sync.encode(ProtocolVersion::V2_5)),
        ("Sync answer 2.5", sync_answer.encode(ProtocolVersion::V2_5)),
        ("Sync 12.1", sync.encode(ProtocolVersion::V12_1)),
        ("Sync 14.1", sync.encode(ProtocolVersion::V14_1)),
        ("Sync answer", sync_answer.encode(ProtocolVersion::V14_1)),
        (
            "Sync failure",
            SyncAnswer {
                limit: Some(60),
                ..SyncAnswer::failed(SyncStatus::IntervalOutOfRange)
            }
            .encode(ProtocolVersion::V14_1),
        ),
        ("Ping", ping.encode()),
        ("Ping answer", ping_answer(PingStatus::Changes).encode()),
        (
            "GetItemEstimate 12.1",
            estimate.encode(ProtocolVersion::V12_1),
        ),
        (
            "GetItemEstimate 14.1",
            estimate.encode(ProtocolVersion::V14_1),
        ),
        ("GetItemEstimate answer", estimate_answer.encode()),
        ("SendMail", send.encode()),
        (
            "SendMail answer",
            SendMailAnswer {
                failure: Some(GlobalStatus::MessagePreviouslySent),
            }
            .encode(),
        ),
        ("Settings", settings.encode()),
        (
            "Settings answer 14.0",
            settings_answer.encode(ProtocolVersion::V14_0),
        ),
        (
            "Settings answer 14.1",
            settings_answer.encode(ProtocolVersion::V14_1),
        ),
        ("ItemOperations", items.encode()),
        ("ItemOperations answer", items_answer.encode()),
    ];
    bodies
        .into_iter()
        .map(|(name, body)| (name, body.unwrap()))
        .collect()
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
            "Sync 12.1" => SyncRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V12_1),
            "Sync 14.1" => SyncRequest::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
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
            "Settings" => SettingsRequest::decode(&body).unwrap().encode(),
            "Settings answer 14.0" => SettingsAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_0),
            "Settings answer 14.1" => SettingsAnswer::decode(&body)
                .unwrap()
                .encode(ProtocolVersion::V14_1),
            "ItemOperations" => ItemOperationsRequest::decode(&body).unwrap().encode(),
            "ItemOperations answer" => ItemOperationsAnswer::decode(&body).unwrap().encode(),
            other => panic!("no round trip for {other}"),
        };
        assert_eq!(again.unwrap(), body, "{name}");
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
    for (name, body) in corpus() {
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
    for (name, body) in corpus() {
        // libwbxml turns base64 in <MIME> into opaque data, and wants its own spelling of names.
        let xml = for_libwbxml(&to_xml(&body).unwrap());
        std::fs::write(&input, xml).unwrap();
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

fn for_libwbxml(xml: &str) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE ActiveSync PUBLIC \"-//MICROSOFT//DTD ActiveSync//EN\" \
         \"http://www.microsoft.com/\">\n",
    );
    for piece in xml.split_inclusive('>') {
        text.push_str(&match piece.split_once("xmlns=\"") {
            Some((before, rest)) => format!("{before}xmlns=\"{}", rest.replacen('"', ":\"", 1)),
            None => piece.to_owned(),
        });
    }
    text.replace("<Mime>", "<MIME>")
        .replace("</Mime>", "</MIME>")
        .replace("SMTPAddress>", "SmtpAddress>")
        .replace("<?opaque ", "")
        .replace("?>\n  </MIME>", "</MIME>")
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
                if let Change::Add { email, server_id } = change
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
            if fetch.server_id.is_some() {
                let email = fetch.email.as_ref().unwrap();
                assert!(email.subject.starts_with("capture") && !email.body.is_empty());
                seen.push("ItemOperations");
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "FolderSync",
            "GetItemEstimate",
            "ItemOperations",
            "Ping",
            "Provision",
            "Settings",
            "Sync"
        ]
    );
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
                assert!(matches!(command, ClientCommand::Add { .. }), "{name}");
                seen.push("Sync Add");
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
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "ItemOperations attachment",
            "ItemOperations item",
            "Settings Get",
            "Settings Set",
            "Sync Add"
        ]
    );
}
