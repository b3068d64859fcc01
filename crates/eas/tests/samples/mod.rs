//! One full body of every request and answer this crate can write: every field is set somewhere.

mod items;
mod rare;

use std::borrow::Cow;

use eas::ProtocolVersion;
use eas::commands::*;
use eas::status::*;
use eas::wbxml::{PAGES, Tag, provision};

/// Bytes that are no text.
const CONVERSATION: &[u8] = b"\x01\xF2\x00\xFF\x80";

/// Every setting of a policy that is a text.
fn policy_settings() -> Vec<(Tag, Cow<'static, str>)> {
    const OTHERS: [Tag; 5] = [
        provision::UNAPPROVED_IN_ROM_APPLICATION_LIST,
        provision::APPROVED_APPLICATION_LIST,
        provision::APPLICATION_NAME,
        provision::HASH,
        provision::ACCOUNT_ONLY_REMOTE_WIPE,
    ];
    let page = &PAGES[usize::from(provision::PROVISION.page())];
    page.tokens
        .iter()
        .filter(|token| token.current && token.tag > provision::EAS_PROVISION_DOC)
        .filter(|token| !OTHERS.contains(&token.tag))
        .map(|token| (token.tag, "0".into()))
        .collect()
}

/// Every request and answer this crate can write.
pub(crate) fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let device = DeviceInformation {
        model: "easload".into(),
        friendly_name: "unit 1".into(),
        os: "Linux".into(),
        user_agent: "easload/0.1".into(),
    };
    let policy = |key: &'static str| PolicyAnswer {
        text: None,
        policy_type: POLICY_TYPE.into(),
        status: PolicyStatus::Success,
        key: Some(key.into()),
        document: policy_settings(),
    };
    let mut supported = Elements::default();
    supported.add(eas::wbxml::contacts::JOB_TITLE);
    supported.add(eas::wbxml::contacts::COMPANY_NAME);
    let collection = SyncCollection {
        sync_key: "1712345678".into(),
        id: "5".into(),
        class: Some(Class::Email),
        supported: Some(supported),
        deletes_as_moves: Some(true),
        get_changes: Some(true),
        window_size: Some(25),
        conversation_mode: Some(true),
        options: Some(SyncOptions {
            filter: Some(FilterType::THREE_DAYS),
            bodies: vec![
                BodyPreference {
                    truncation_size: Some(500),
                    ..BodyPreference::default()
                },
                BodyPreference {
                    body_type: 2,
                    truncation_size: Some(5000),
                    all_or_none: true,
                    preview: Some(100),
                },
            ],
            body_part: Some(BodyPreference {
                body_type: BodyPart::TYPE,
                ..BodyPreference::default()
            }),
            max_items: Some(40),
            class: Some(Class::Email),
            conflict: Some(1),
            mime_support: Some(2),
            mime_truncation: Some(8),
        }),
        commands: vec![
            ClientCommand::Add {
                client_id: "c1".into(),
                class: Some(Class::Email),
                data: items::email("draft"),
                send: true,
            },
            ClientCommand::Add {
                client_id: "c2".into(),
                class: None,
                data: items::appointment(),
                send: false,
            },
            ClientCommand::Change {
                server_id: "5:1".into(),
                change: ItemChange::Email {
                    read: Some(true),
                    flag: Some(Flag::default()),
                },
                send: true,
            },
            ClientCommand::Change {
                server_id: "2:1".into(),
                change: ItemChange::Data(items::contact()),
                send: false,
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
                    data: items::email("first"),
                },
                Change::Add {
                    server_id: "5:10".into(),
                    data: items::mime_email(),
                },
                Change::Add {
                    server_id: "1:1".into(),
                    data: items::appointment(),
                },
                Change::Add {
                    server_id: "2:1".into(),
                    data: items::contact(),
                },
                Change::Add {
                    server_id: "3:1".into(),
                    data: items::task(),
                },
                Change::Add {
                    server_id: "4:1".into(),
                    data: items::note(),
                },
                Change::Update {
                    server_id: "5:2".into(),
                    change: ItemChange::Email {
                        read: Some(true),
                        flag: None,
                    },
                },
                Change::Update {
                    server_id: "5:9".into(),
                    change: ItemChange::Nothing,
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
                    attachments: vec![AddedAttachment {
                        client_id: "a1".into(),
                        file_reference: "5:5:0".into(),
                    }],
                },
                CommandResponse::Change {
                    server_id: "5:6".into(),
                    status: SyncStatus::Conflict,
                    attachments: Vec::new(),
                },
                CommandResponse::Delete {
                    server_id: "5:8".into(),
                    status: SyncStatus::ObjectNotFound,
                },
                CommandResponse::Fetch {
                    server_id: "5:7".into(),
                    status: SyncStatus::Success,
                    data: Some(items::email("whole")),
                },
            ],
            skipped: Skipped::default(),
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
        skipped: Skipped::default(),
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
            max_items: Some(40),
        }],
    };
    let estimate_answer = EstimateAnswer {
        status: None,
        estimates: vec![Estimate {
            status: EstimateStatus::Success,
            id: Some("5".into()),
            count: Some(7),
        }],
        skipped: Skipped::default(),
    };
    let send = SendMailRequest {
        client_id: "h-000001".into(),
        save_in_sent: true,
        mime: b"Subject: x\r\n\r\nbody \xFF\r\n"[..].into(),
    };
    let oof = items::oof();
    let settings = SettingsRequest {
        device_information: Some(device.clone()),
        rights_management: false,
        user_information: true,
        oof: Some(OofRequest::Set(oof.clone())),
        device_password: Some(DevicePassword("0000".into())),
    };
    let settings_get = SettingsRequest {
        oof: Some(OofRequest::Get),
        ..SettingsRequest::default()
    };
    let settings_answer = SettingsAnswer {
        status: SettingsStatus::Success,
        device_information: Some(SettingsStatus::Success),
        user_information: Some(UserInformation {
            status: SettingsStatus::Success,
            primary_address: Some("load1@lab.example".into()),
        }),
        rights_management: None,
        oof: Some(OofAnswer {
            status: SettingsStatus::Success,
            oof: Some(oof),
        }),
        device_password: Some(SettingsStatus::DeniedByPolicy),
    };
    // libwbxml does not know RightsManagementInformation, which came with 14.1.
    let rights = SettingsRequest {
        rights_management: true,
        ..SettingsRequest::default()
    };
    let rights_answer = SettingsAnswer {
        device_information: None,
        user_information: None,
        rights_management: Some(SettingsStatus::Success),
        oof: None,
        device_password: None,
        ..settings_answer.clone()
    };
    let operations = ItemOperationsRequest {
        fetches: vec![
            Fetch {
                store: Fetch::MAILBOX.into(),
                collection_id: Some("5".into()),
                server_id: Some("5:12".into()),
                bodies: vec![BodyPreference {
                    body_type: 2,
                    truncation_size: Some(5000),
                    ..BodyPreference::default()
                }],
                mime_support: Some(2),
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
                range: Some((0, 9)),
                ..Fetch::default()
            },
        ],
        empties: vec![EmptyFolderContents {
            collection_id: "4".into(),
            delete_sub_folders: true,
        }],
        moves: vec![ConversationMove {
            conversation_id: CONVERSATION.into(),
            to: "6".into(),
            always: true,
        }],
    };
    let operations_answer = ItemOperationsAnswer {
        status: ItemOperationsStatus::Success,
        fetches: vec![
            FetchAnswer {
                status: ItemOperationsStatus::Success,
                collection_id: Some("5".into()),
                server_id: Some("5:12".into()),
                long_id: Some("RgAAAA==".into()),
                file_reference: None,
                class: Some(Class::Email),
                content: Some(FetchedContent::Item(items::email("whole"))),
            },
            FetchAnswer {
                file_reference: Some("5:12:0".into()),
                content: Some(FetchedContent::Attachment {
                    content_type: "application/octet-stream".into(),
                    data: CONVERSATION.into(),
                    range: Some("0-4".into()),
                    total: Some(20),
                }),
                ..FetchAnswer::failed(ItemOperationsStatus::Success)
            },
            FetchAnswer::failed(ItemOperationsStatus::InvalidAttachment),
        ],
        empties: vec![EmptyFolderContentsAnswer {
            status: ItemOperationsStatus::Success,
            collection_id: Some("4".into()),
        }],
        moves: vec![ConversationMoveAnswer {
            status: ItemOperationsStatus::MoveDisallowed,
            conversation_id: Some(CONVERSATION.into()),
        }],
        skipped: Skipped::default(),
    };
    let bodies = [
        (
            "Provision ask",
            ProvisionRequest::ask(ProtocolVersion::V14_1, Some(device)).encode(),
        ),
        (
            "Provision acknowledge",
            ProvisionRequest::acknowledge(ProtocolVersion::V14_1, "1307199584").encode(),
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
                device_information: Some(SettingsStatus::Success),
                policy: Some(policy("4294967295")),
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
                device_information: None,
                policy: Some(PolicyAnswer {
                    policy_type: policy_type(ProtocolVersion::V2_5).into(),
                    document: Vec::new(),
                    text: Some("<wap-provisioningdoc/>".into()),
                    ..policy("1")
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
        ("Settings get", settings_get.encode()),
        ("Settings rights 16.1", rights.encode()),
        (
            "Settings rights answer 16.1",
            rights_answer.encode(ProtocolVersion::V16_1),
        ),
        (
            "Settings answer 14.0",
            settings_answer.encode(ProtocolVersion::V14_0),
        ),
        (
            "Settings answer 14.1",
            settings_answer.encode(ProtocolVersion::V14_1),
        ),
        ("ItemOperations", operations.encode()),
        (
            "ItemOperations answer",
            operations_answer.encode(ProtocolVersion::V14_1),
        ),
        (
            "Sync wait",
            SyncRequest {
                wait: Some(5),
                ..SyncRequest::default()
            }
            .encode(ProtocolVersion::V12_1),
        ),
        ("Sync 16.1", sync.encode(ProtocolVersion::V16_1)),
        (
            "Sync answer 16.1",
            sync_answer.encode(ProtocolVersion::V16_1),
        ),
    ];
    bodies
        .into_iter()
        .chain(rare::bodies())
        .map(|(name, body)| (name, body.unwrap()))
        .collect()
}
