//! The commands that a phone sends when its user does something.

use eas::ProtocolVersion;
use eas::commands::*;
use eas::status::*;
use eas::wbxml::EncodeError;

use super::items;

type Named = (&'static str, Result<Vec<u8>, EncodeError>);

pub(super) fn bodies() -> Vec<Named> {
    let mut bodies = folders();
    bodies.extend(messages());
    bodies.extend(searches());
    bodies.extend(finds());
    bodies.extend(people());
    bodies
}

fn folders() -> Vec<Named> {
    let create = FolderCreateRequest {
        sync_key: "3".into(),
        parent_id: "0".into(),
        name: "Projects".into(),
        folder_type: FolderType::USER_MAIL,
    };
    let update = FolderUpdateRequest {
        sync_key: "3".into(),
        server_id: "25".into(),
        parent_id: "5".into(),
        name: "Projects 2".into(),
    };
    let delete = FolderDeleteRequest {
        sync_key: "3".into(),
        server_id: "25".into(),
    };
    let created = FolderCreateAnswer {
        status: FolderChangeStatus::Success,
        sync_key: Some("4".into()),
        server_id: Some("25".into()),
    };
    let updated = FolderUpdateAnswer {
        status: FolderChangeStatus::Success,
        sync_key: Some("5".into()),
    };
    let deleted = FolderDeleteAnswer::failed(FolderChangeStatus::SpecialFolder);
    let moves = MoveItemsRequest {
        moves: vec![Move {
            item: "5:1".into(),
            from: "5".into(),
            to: "6".into(),
        }],
    };
    let moved = MoveItemsAnswer {
        responses: vec![
            MoveResponse {
                item: "5:1".into(),
                status: MoveStatus::Success,
                new_id: Some("6:1".into()),
            },
            MoveResponse {
                item: "5:2".into(),
                status: MoveStatus::InvalidSource,
                new_id: None,
            },
        ],
        ..MoveItemsAnswer::default()
    };
    vec![
        ("FolderCreate", create.encode()),
        ("FolderCreate answer", created.encode()),
        ("FolderUpdate", update.encode()),
        ("FolderUpdate answer", updated.encode()),
        ("FolderDelete", delete.encode()),
        ("FolderDelete answer", deleted.encode()),
        ("MoveItems", moves.encode()),
        ("MoveItems answer", moved.encode()),
    ]
}

fn messages() -> Vec<Named> {
    let reply = SmartSendRequest {
        kind: SmartSend::Reply,
        client_id: "h-000002".into(),
        source: SmartSource::Item {
            folder_id: "5".into(),
            item_id: "5:1".into(),
        },
        save_in_sent: true,
        replace_mime: true,
        mime: b"Subject: x\r\n\r\nbody \xFF\r\n"[..].into(),
    };
    let forward = SmartSendRequest {
        kind: SmartSend::Forward,
        source: SmartSource::LongId("RgAAAA==".into()),
        save_in_sent: false,
        replace_mime: false,
        ..reply.clone()
    };
    let refused = SendAnswer {
        failure: Some(GlobalStatus::ItemNotFound),
    };
    let meeting = MeetingResponseRequest {
        responses: vec![MeetingReply {
            answer: UserResponse::Tentative,
            collection_id: "5".into(),
            request_id: "5:1".into(),
            instance_id: Some("2026-03-14T03:00:00.000Z".into()),
        }],
    };
    let answered = MeetingResponseAnswer {
        results: vec![
            MeetingResult {
                request_id: "5:1".into(),
                status: MeetingResponseStatus::Success,
                calendar_id: Some("1:7".into()),
            },
            MeetingResult {
                request_id: "5:2".into(),
                status: MeetingResponseStatus::InvalidRequest,
                calendar_id: None,
            },
        ],
        ..MeetingResponseAnswer::default()
    };
    vec![
        ("SmartReply", reply.encode()),
        ("SmartReply answer", refused.encode_smart(SmartSend::Reply)),
        ("SmartForward", forward.encode()),
        (
            "SmartForward answer",
            refused.encode_smart(SmartSend::Forward),
        ),
        ("MeetingResponse", meeting.encode()),
        ("MeetingResponse answer", answered.encode()),
    ]
}

fn searches() -> Vec<Named> {
    let mailbox = SearchRequest {
        store: SearchStore::Mailbox(MailboxQuery {
            classes: vec!["Email".into(), "Notes".into()],
            collection_ids: vec!["5".into()],
            conversation_id: Some(b"conversation".as_slice().into()),
            all: Conditions {
                free_text: vec!["figures".into()],
                received_after: Some("2026-03-01T00:00:00.000Z".into()),
                received_before: Some("2026-04-01T00:00:00.000Z".into()),
            },
            any: Conditions {
                free_text: vec!["March".into(), "April".into()],
                ..Conditions::default()
            },
            is_too_complex: false,
        }),
        range: (0, 9),
        rebuild: true,
        deep: true,
        bodies: vec![BodyPreference {
            truncation_size: Some(500),
            ..BodyPreference::default()
        }],
        body_part: Some(BodyPreference {
            body_type: BodyPart::TYPE,
            ..BodyPreference::default()
        }),
        mime_support: Some(2),
    };
    let gal = SearchRequest {
        store: SearchStore::Gal {
            text: "load".into(),
        },
        range: SearchRequest::DEFAULT_RANGE,
        rebuild: false,
        deep: false,
        bodies: Vec::new(),
        body_part: None,
        mime_support: None,
    };
    let entry = GalEntry {
        display_name: "Load 1".into(),
        phone: "+44 1".into(),
        office: "1/23".into(),
        title: "Engineer".into(),
        company: "Lab".into(),
        alias: "load1".into(),
        first_name: "Load".into(),
        last_name: "One".into(),
        home_phone: "+44 2".into(),
        mobile_phone: "+44 3".into(),
        email: "load1@lab.example".into(),
    };
    let item = SearchResult {
        long_id: Some("RgAAAA==".into()),
        collection_id: Some("5".into()),
        class: Some(Class::Email),
        properties: SearchProperties::Item(items::email("found")),
    };
    let person = SearchResult {
        long_id: None,
        collection_id: None,
        class: None,
        properties: SearchProperties::Gal(Box::new(entry)),
    };
    let found = |result| SearchAnswer {
        results: vec![result],
        range: Some((0, 0)),
        total: Some(1),
        ..SearchAnswer::new(SearchStatus::Success, SearchStatus::Success)
    };
    let nothing = SearchAnswer::new(SearchStatus::Success, SearchStatus::Success);
    let version = ProtocolVersion::V14_1;
    vec![
        ("Search mailbox", mailbox.encode()),
        ("Search mailbox answer", found(item).encode(version)),
        ("Search GAL", gal.encode()),
        ("Search GAL answer", found(person).encode(version)),
        ("Search nothing answer", nothing.encode(version)),
    ]
}

fn finds() -> Vec<Named> {
    let mailbox = FindRequest {
        search_id: "C2B5A8E6-1B2C-4D3E-9F00-0123456789ab".into(),
        criterion: FindCriterion::Mailbox {
            free_text: "subject:figures".into(),
            class: Some("Email".into()),
            collection_id: Some("5".into()),
        },
        range: Some((0, 9)),
        deep: true,
    };
    let gal = FindRequest {
        criterion: FindCriterion::Gal {
            text: "load".into(),
        },
        range: None,
        deep: false,
        ..mailbox.clone()
    };
    let found = |store, class: Option<&'static str>, properties| FindAnswer {
        status: FindStatus::Success,
        response: Some(FindResponse {
            results: vec![FindResult {
                class: class.map(Into::into),
                server_id: class.map(|_| "5:1".into()),
                collection_id: class.map(|_| "5".into()),
                properties,
            }],
            range: Some((0, 0)),
            total: Some(1),
            ..FindResponse::new(store, FindStatus::Success)
        }),
    };
    let message = FindProperties::Item(Box::new(FoundMessage {
        subject: "figures".into(),
        date_received: "2026-03-14T03:00:00.000Z".into(),
        display_to: "load1@lab.example".into(),
        display_cc: "load2@lab.example".into(),
        display_bcc: "load3@lab.example".into(),
        importance: Some(1),
        read: true,
        is_draft: false,
        preview: "They are".into(),
        has_attachments: true,
        from: "load4@lab.example".into(),
    }));
    let person = FindProperties::Gal(Box::new(GalEntry {
        display_name: "Load 1".into(),
        email: "load1@lab.example".into(),
        ..GalEntry::default()
    }));
    let refused = FindAnswer::failed(FindStatus::FolderSyncRequired);
    vec![
        ("Find mailbox 16.1", mailbox.encode()),
        (
            "Find mailbox answer 16.1",
            found(FindResponse::MAILBOX, Some("Email"), message).encode(),
        ),
        ("Find GAL 16.1", gal.encode()),
        (
            "Find GAL answer 16.1",
            found(FindResponse::GAL, None, person).encode(),
        ),
        ("Find refused answer 16.1", refused.encode()),
    ]
}

fn people() -> Vec<Named> {
    let resolve = ResolveRecipientsRequest {
        to: vec!["load".into(), "load1@lab.example".into()],
        availability: Some(Availability {
            start: "2026-03-14T03:00:00.000Z".into(),
            end: Some("2026-03-14T05:00:00.000Z".into()),
        }),
    };
    let resolved = ResolveRecipientsAnswer {
        status: ResolveRecipientsStatus::Success,
        responses: vec![
            ResolvedRecipients {
                to: "load".into(),
                status: ResolveRecipientsStatus::Ambiguous,
                recipients: vec![Recipient {
                    kind: 1,
                    display_name: "Load 1".into(),
                    email: "load1@lab.example".into(),
                    availability: Some(RecipientAvailability {
                        status: ResolveRecipientsStatus::Success,
                        merged_free_busy: Some("0024".into()),
                    }),
                }],
            },
            ResolvedRecipients {
                to: "nobody".into(),
                status: ResolveRecipientsStatus::NotFound,
                recipients: Vec::new(),
            },
        ],
        skipped: Skipped::default(),
    };
    let validate = ValidateCertRequest {
        chain: vec!["MIIBAA==".into()],
        certificates: vec!["MIIBAQ==".into()],
        check_crl: true,
    };
    let validated = ValidateCertAnswer {
        status: ValidateCertStatus::Success,
        certificates: vec![ValidateCertStatus::NotValidNow],
    };
    vec![
        ("ResolveRecipients", resolve.encode()),
        ("ResolveRecipients answer", resolved.encode()),
        ("ValidateCert", validate.encode()),
        ("ValidateCert answer", validated.encode()),
    ]
}
