//! The commands that a phone sends when its user does something, and the items of every class: the
//! specification's examples, what differs between versions, and what decoders refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::ProtocolVersion;
use eas::commands::*;
use eas::status::*;
use eas::wbxml::{DecodeError, PAGES, Writer, air_sync as tags, from_xml, to_xml};
use proptest::prelude::*;

fn body(xml: &str) -> Vec<u8> {
    from_xml(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"))
}

fn error<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> String {
    result.unwrap_err().kind.to_string()
}

/// A Sync answer with one added item, whose content is `content`.
fn added(content: &str) -> Vec<u8> {
    body(&format!(
        "<Sync xmlns='AirSync' xmlns:em='Email' xmlns:em2='Email2' xmlns:ct='Contacts'
               xmlns:ct2='Contacts2' xmlns:cal='Calendar' xmlns:tk='Tasks' xmlns:nt='Notes'
               xmlns:asb='AirSyncBase'><Collections><Collection>
           <SyncKey>2</SyncKey><CollectionId>5</CollectionId><Status>1</Status><Commands>
             <Add><ServerId>5:1</ServerId><ApplicationData>{content}</ApplicationData></Add>
             <Change><ServerId>5:1</ServerId><ApplicationData>{content}</ApplicationData></Change>
           </Commands></Collection></Collections></Sync>"
    ))
}

/// The class of what was added, and what was changed.
fn read(body: &[u8]) -> (Option<Class>, ItemChange<'_>) {
    let answer = SyncAnswer::decode(body).unwrap();
    let mut changes = answer.collections.into_iter().next().unwrap().changes;
    let Some(Change::Update { change, .. }) = changes.pop() else {
        panic!("{changes:?}");
    };
    let Some(Change::Add { data, .. }) = changes.pop() else {
        panic!("{changes:?}");
    };
    (data.class(), change)
}

#[test]
fn the_elements_of_an_item_tell_its_class() {
    for (content, class) in [
        ("<em:Subject>x</em:Subject>", Some(Class::Email)),
        (
            "<em2:ReceivedAsBcc>1</em2:ReceivedAsBcc>",
            Some(Class::Email),
        ),
        ("<ct:FileAs>x</ct:FileAs>", Some(Class::Contacts)),
        ("<ct2:NickName>x</ct2:NickName>", Some(Class::Contacts)),
        ("<cal:UID>x</cal:UID>", Some(Class::Calendar)),
        ("<tk:Complete>0</tk:Complete>", Some(Class::Tasks)),
        ("<nt:Subject>x</nt:Subject>", Some(Class::Notes)),
        (
            "<asb:Body><asb:Data>x</asb:Data></asb:Body><nt:Subject>x</nt:Subject>",
            Some(Class::Notes),
        ),
        ("<asb:NativeBodyType>1</asb:NativeBodyType>", None),
        ("", None),
    ] {
        let body = added(content);
        assert_eq!(read(&body).0, class, "{content}");
    }
}

/// A server that tells of marks tells of nothing else; elements that are not kept do not count.
#[test]
fn a_change_of_marks_is_no_new_message() {
    let marks = added("<em:Read>1</em:Read><em2:LastVerbExecuted>1</em2:LastVerbExecuted>");
    assert_eq!(
        read(&marks).1,
        ItemChange::Email {
            read: Some(true),
            flag: None
        }
    );
    let flag = added("<em:Flag/>");
    assert_eq!(
        read(&flag).1,
        ItemChange::Email {
            read: None,
            flag: Some(Flag::default())
        }
    );
    let whole = added("<em:Read>0</em:Read><em:Subject>anew</em:Subject>");
    let (_, change) = read(&whole);
    let ItemChange::Data(data) = change else {
        panic!("{change:?}");
    };
    assert_eq!(data.as_email().unwrap().subject, "anew");
    assert_eq!(
        read(&added("<asb:Preview>x</asb:Preview>")).1,
        ItemChange::Nothing
    );
}

fn request(version: ProtocolVersion, data: ItemData<'_>) -> String {
    let request = SyncRequest {
        collections: vec![SyncCollection {
            sync_key: "1".into(),
            id: "1".into(),
            commands: vec![ClientCommand::Add {
                client_id: "c1".into(),
                class: None,
                data,
                send: false,
            }],
            ..SyncCollection::default()
        }],
        ..SyncRequest::default()
    };
    to_xml(&request.encode(version).unwrap()).unwrap()
}

/// Without the namespaces, which every element of another page than its parent's declares.
fn bare(xml: &str) -> String {
    let mut text = xml.to_owned();
    for page in &PAGES {
        text = text.replace(&format!(" xmlns=\"{}\"", page.namespace), "");
    }
    text
}

/// MS-ASCAL: from 16.0 on the server gives the UID, the stamp and the organizer; a place has parts.
#[test]
fn a_client_of_16_0_leaves_to_the_server_what_is_the_server_s() {
    let appointment = ItemData::Calendar(Box::new(Appointment {
        uid: "u1".into(),
        dt_stamp: "20260313T030000Z".into(),
        organizer_email: "load2@lab.example".into(),
        location: "Room 1".into(),
        ..Appointment::default()
    }));
    let old = bare(&request(ProtocolVersion::V14_1, appointment.clone()));
    for text in [
        "<UID>u1",
        "<DtStamp>",
        "<OrganizerEmail>",
        "<Location>Room 1",
    ] {
        assert!(old.contains(text), "{text}: {old}");
    }
    let new = bare(&request(ProtocolVersion::V16_1, appointment));
    for text in ["<UID>", "<DtStamp>", "<OrganizerEmail>", "<Location>Room 1"] {
        assert!(!new.contains(text), "{text}: {new}");
    }
    assert!(new.contains("<ClientUid>u1</ClientUid>"), "{new}");
    assert!(new.contains("<DisplayName>Room 1</DisplayName>"), "{new}");
}

#[test]
fn bodies_and_attachments_are_of_the_class_up_to_2_5_and_common_later() {
    let email = ItemData::Email(Box::new(Email {
        attachments: vec![Attachment {
            display_name: "a.txt".into(),
            file_reference: "5:1:0".into(),
            size: 7,
        }],
        flag: Some(Flag::default()),
        body: "text".into(),
        ..Email::default()
    }));
    let old = request(ProtocolVersion::V2_5, email.clone());
    assert!(old.contains("<AttName>5:1:0</AttName>"), "{old}");
    assert!(
        !old.contains("AirSyncBase") && !old.contains("<Flag"),
        "{old}"
    );
    let new = bare(&request(ProtocolVersion::V12_0, email));
    assert!(
        new.contains("<FileReference>5:1:0</FileReference>"),
        "{new}"
    );
    assert!(new.contains("<Flag/>") && !new.contains("AttName"), "{new}");
    for (version, common) in [
        (ProtocolVersion::V2_5, false),
        (ProtocolVersion::V12_0, true),
    ] {
        let task = ItemData::Task(Box::new(Task {
            body: "text".into(),
            ..Task::default()
        }));
        let xml = request(version, task);
        assert!(
            xml.contains(">text<") && xml.contains("AirSyncBase") == common,
            "{xml}"
        );
    }
}

#[test]
fn the_time_zone_has_the_size_of_the_structure() {
    let bytes = BASE64.decode(UTC_TIME_ZONE).unwrap();
    assert_eq!(bytes, [0; 172]);
}

/// MS-ASCMD 4: one item moved.
#[test]
fn moves_name_the_item_and_both_folders() {
    let request = body(
        "<MoveItems xmlns='Move'><Move><SrcMsgId>5:1</SrcMsgId><SrcFldId>5</SrcFldId>
           <DstFldId>6</DstFldId></Move></MoveItems>",
    );
    let one = Move {
        item: "5:1".into(),
        from: "5".into(),
        to: "6".into(),
    };
    assert_eq!(MoveItemsRequest::decode(&request).unwrap().moves, [one]);
    let answer = body(
        "<MoveItems xmlns='Move'><Response><SrcMsgId>5:1</SrcMsgId><Status>3</Status>
           <DstMsgId>6:1</DstMsgId></Response></MoveItems>",
    );
    let answer = MoveItemsAnswer::decode(&answer).unwrap();
    assert_eq!(answer.responses[0].status, MoveStatus::Success);
    assert_eq!(answer.responses[0].new_id.as_deref(), Some("6:1"));
    let refused = body("<MoveItems xmlns='Move'><Status>142</Status></MoveItems>");
    let status = MoveItemsAnswer::decode(&refused).unwrap().status;
    assert_eq!(
        status,
        Some(MoveStatus::Common(GlobalStatus::DeviceNotProvisioned))
    );
    let partly = body("<MoveItems xmlns='Move'><Move><SrcMsgId>1</SrcMsgId></Move></MoveItems>");
    assert_eq!(
        error(MoveItemsRequest::decode(&partly)),
        "Move:Move has no Move:SrcFldId"
    );
}

/// MS-ASCMD 4: FolderCreate, FolderDelete and FolderUpdate.
#[test]
fn folders_change_with_a_key() {
    let create = body(
        "<FolderCreate xmlns='FolderHierarchy'><SyncKey>3</SyncKey><ParentId>5</ParentId>
           <DisplayName>CreateNewFolder</DisplayName><Type>12</Type></FolderCreate>",
    );
    let create = FolderCreateRequest::decode(&create).unwrap();
    assert_eq!(create.folder_type, FolderType::USER_MAIL);
    let exists = body("<FolderCreate xmlns='FolderHierarchy'><Status>2</Status></FolderCreate>");
    assert_eq!(
        FolderCreateAnswer::decode(&exists).unwrap(),
        FolderCreateAnswer::failed(FolderChangeStatus::NameExists)
    );
    let nameless = body(
        "<FolderUpdate xmlns='FolderHierarchy'><SyncKey>3</SyncKey><ServerId>25</ServerId>
           <ParentId>0</ParentId></FolderUpdate>",
    );
    assert_eq!(
        error(FolderUpdateRequest::decode(&nameless)),
        "FolderHierarchy:FolderUpdate has no FolderHierarchy:DisplayName"
    );
    let keyless =
        body("<FolderDelete xmlns='FolderHierarchy'><ServerId>25</ServerId></FolderDelete>");
    assert_eq!(
        error(FolderDeleteRequest::decode(&keyless)),
        "FolderHierarchy:FolderDelete has no FolderHierarchy:SyncKey"
    );
}

/// MS-ASCMD 4: a keyword search in a folder, and its answer without results.
#[test]
fn searches_hold_their_conditions_at_any_depth() {
    let xml = "<Search xmlns='Search' xmlns:as='AirSync' xmlns:asb='AirSyncBase'><Store>
           <Name>Mailbox</Name>
           <Query><And><Or><FreeText>Presentation</FreeText></Or><as:Class>Email</as:Class>
             <as:CollectionId>7</as:CollectionId></And></Query>
           <Options><RebuildResults/><Range>0-4</Range><DeepTraversal/>
             <asb:BodyPreference><asb:Type>2</asb:Type></asb:BodyPreference></Options>
         </Store></Search>";
    let request = body(xml);
    let request = SearchRequest::decode(&request).unwrap();
    assert_eq!(request.range, (0, 4));
    assert!(request.rebuild && request.deep && !request.bodies.is_empty());
    let store = SearchStore::Mailbox(MailboxQuery {
        classes: vec!["Email".into()],
        collection_ids: vec!["7".into()],
        any: Conditions {
            free_text: vec!["Presentation".into()],
            ..Conditions::default()
        },
        ..MailboxQuery::default()
    });
    assert_eq!(request.store, store);
    for (from, to, message) in [
        (
            "Mailbox",
            "DocumentLibrary",
            "Search:Name: expected GAL or Mailbox, found `DocumentLibrary`",
        ),
        (
            "0-4",
            "4",
            "Search:Range: expected a range such as 0-9, found `4`",
        ),
        (
            "<Name>Mailbox</Name>",
            "",
            "Search:Store has no Search:Name",
        ),
    ] {
        let broken = body(&xml.replace(from, to));
        assert_eq!(error(SearchRequest::decode(&broken)), message);
    }
    let nothing = body(
        "<Search xmlns='Search'><Status>1</Status><Response><Store><Status>1</Status><Result/>
           </Store></Response></Search>",
    );
    let nothing = SearchAnswer::decode(&nothing).unwrap();
    assert_eq!(
        nothing,
        SearchAnswer::new(SearchStatus::Success, SearchStatus::Success)
    );
}

/// MS-ASCMD 2.2.3.86 and 2.2.3.96: times are compared with the time of receipt, without any text.
#[test]
fn searches_compare_the_time_of_receipt() {
    let xml = |and: &str| {
        body(&format!(
            "<Search xmlns='Search' xmlns:e='Email' xmlns:as='AirSync'><Store><Name>Mailbox</Name>
               <Query>{and}</Query></Store></Search>"
        ))
    };
    let greater = "<GreaterThan><e:DateReceived/><Value>2026-03-01T00:00:00.000Z</Value>
                   </GreaterThan>";
    let less = "<LessThan><e:DateReceived/><Value>2026-04-01T00:00:00.000Z</Value></LessThan>";
    let all = Conditions {
        received_after: Some("2026-03-01T00:00:00.000Z".into()),
        received_before: Some("2026-04-01T00:00:00.000Z".into()),
        ..Conditions::default()
    };
    let found = xml(&format!(
        "<And><as:Class>Email</as:Class>{greater}{less}</And>"
    ));
    let SearchStore::Mailbox(query) = SearchRequest::decode(&found).unwrap().store else {
        panic!("no search of a mailbox");
    };
    assert_eq!((query.all, query.is_too_complex), (all, false));
    for (broken, message) in [
        (
            greater.replace("<e:DateReceived/>", ""),
            "Search:GreaterThan has no Email:DateReceived",
        ),
        (
            "<LessThan><e:DateReceived/></LessThan>".to_owned(),
            "Search:LessThan has no Search:Value",
        ),
    ] {
        let broken = xml(&format!("<And>{broken}</And>"));
        assert_eq!(error(SearchRequest::decode(&broken)), message);
    }
}

/// MS-ASCMD 2.2.3.10 and 2.2.3.80.2: what servers answer with Status 8 is marked, and not refused.
#[test]
fn searches_of_a_wrong_structure_are_marked_as_too_complex() {
    for (query, is_too_complex) in [
        ("<And><FreeText>a</FreeText></And>", false),
        ("<And><Or><FreeText>a</FreeText></Or></And>", false),
        ("<And/>", false),
        ("<And/><And/>", true),
        ("<And><And><FreeText>a</FreeText></And></And>", true),
        ("<And><Or><And/></Or></And>", true),
        ("<And><Or><as:Class>Email</as:Class></Or></And>", true),
        ("<Or><FreeText>a</FreeText></Or>", true),
        ("<FreeText>a</FreeText>", true),
        ("<as:CollectionId>5</as:CollectionId>", true),
    ] {
        let request = body(&format!(
            "<Search xmlns='Search' xmlns:as='AirSync'><Store><Name>Mailbox</Name>
               <Query>{query}</Query></Store></Search>"
        ));
        let SearchStore::Mailbox(found) = SearchRequest::decode(&request).unwrap().store else {
            panic!("no search of a mailbox: {query}");
        };
        assert_eq!(found.is_too_complex, is_too_complex, "{query}");
    }
}

/// MS-ASCMD 2.2.1.2 and 6.7: the parts of a Find request that must be present.
#[test]
fn find_requests_name_what_they_lack() {
    let xml = "<Find xmlns='Find' xmlns:as='AirSync'>
        <SearchId>c2b5a8e6-1b2c-4d3e-9f00-0123456789ab</SearchId><ExecuteSearch>
        <MailBoxSearchCriterion><Query><FreeText>a</FreeText><as:Class>Email</as:Class></Query>
        <Options><Range>0-4</Range></Options></MailBoxSearchCriterion></ExecuteSearch></Find>";
    let request = body(xml);
    let request = FindRequest::decode(&request).unwrap();
    assert!(FindRequest::is_search_id(&request.search_id));
    assert_eq!((request.range, request.deep), (Some((0, 4)), false));
    let criterion = FindCriterion::Mailbox {
        free_text: "a".into(),
        class: Some("Email".into()),
        collection_id: None,
    };
    assert_eq!(request.criterion, criterion);
    for (from, to, message) in [
        (
            "<SearchId>c2b5a8e6-1b2c-4d3e-9f00-0123456789ab</SearchId>",
            "",
            "Find:Find has no Find:SearchId",
        ),
        (
            "<FreeText>a</FreeText>",
            "",
            "Find:Query has no Find:FreeText",
        ),
        (
            "0-4",
            "four",
            "Find:Range: expected a range such as 0-9, found `four`",
        ),
    ] {
        let broken = body(&xml.replace(from, to));
        assert_eq!(error(FindRequest::decode(&broken)), message);
    }
    for (search, message) in [
        ("", "Find:Find has no Find:ExecuteSearch"),
        (
            "<ExecuteSearch/>",
            "Find:ExecuteSearch has no Find:MailBoxSearchCriterion",
        ),
        (
            "<ExecuteSearch><GALSearchCriterion/></ExecuteSearch>",
            "Find:GalSearchCriterion has no Find:Query",
        ),
    ] {
        let broken = format!("<Find xmlns='Find'><SearchId>x</SearchId>{search}</Find>");
        assert_eq!(error(FindRequest::decode(&body(&broken))), message);
    }
}

/// Elements without content are absent, and a result with a wrong value costs only itself.
#[test]
fn find_answers_are_read_as_far_as_they_can_be() {
    let answer = body(
        "<Find xmlns='Find' xmlns:e='Email' xmlns:as='AirSync' xmlns:io='ItemOperations'>
           <Status>1</Status><Response><io:Store>Mailbox</io:Store><Status>1</Status>
           <Result><as:ServerId>5:1</as:ServerId><Properties><e:Subject>a</e:Subject>
             <e:Importance/><e:Read/><HasAttachments></HasAttachments></Properties></Result>
           <Result><as:ServerId>5:2</as:ServerId><Properties><e:Importance>high</e:Importance>
             </Properties></Result>
           <Result/><Range/><Total/></Response></Find>",
    );
    let answer = FindAnswer::decode(&answer).unwrap();
    let response = answer.response.unwrap();
    assert_eq!((response.range, response.total), (None, None));
    assert_eq!(response.skipped.count, 1);
    let [result] = &response.results[..] else {
        panic!("{:?}", response.results);
    };
    let FindProperties::Item(message) = &result.properties else {
        panic!("{result:?}");
    };
    assert_eq!(message.subject, "a");
    assert_eq!(message.importance, None);
    assert!(!message.read && !message.has_attachments);
}

#[test]
fn search_ids_are_guids() {
    assert!(FindRequest::is_search_id(
        "C2B5A8E6-1B2C-4D3E-9F00-0123456789ab"
    ));
    for other in [
        "",
        "1",
        "C2B5A8E61B2C4D3E9F000123456789ab",
        "{C2B5A8E6-1B2C-4D3E-9F00-0123456789ab}",
        "G2B5A8E6-1B2C-4D3E-9F00-0123456789ab",
        "C2B5A8E6-1B2C-4D3E-9F00-0123456789ab-",
    ] {
        assert!(!FindRequest::is_search_id(other), "{other}");
    }
}

/// MS-ASCMD 2.2.1.10.1: the document names the parts, and holds neither body nor attachment.
#[test]
fn item_operations_answers_can_come_in_parts() {
    let attachment: Vec<u8> = (0..=u8::MAX).collect();
    let answer = ItemOperationsAnswer {
        fetches: vec![
            FetchAnswer {
                long_id: Some("5:1".into()),
                content: Some(FetchedContent::Item(ItemData::Email(Box::new(Email {
                    body: "a body".into(),
                    ..Email::default()
                })))),
                ..FetchAnswer::failed(ItemOperationsStatus::Success)
            },
            FetchAnswer {
                content: Some(FetchedContent::Attachment {
                    content_type: "image/png".into(),
                    data: attachment.as_slice().into(),
                    range: None,
                    total: None,
                }),
                ..FetchAnswer::failed(ItemOperationsStatus::Success)
            },
        ],
        ..ItemOperationsAnswer::failed(ItemOperationsStatus::Success)
    };
    let bytes = answer.encode_multipart(ProtocolVersion::V14_1).unwrap();
    let parts = eas::multipart::read(&bytes).unwrap();
    assert_eq!(parts[1..], [b"a body".as_slice(), &attachment]);
    let xml = eas::wbxml::to_xml(parts[0]).unwrap();
    let numbers: Vec<&str> = xml
        .split("<Part")
        .skip(1)
        .map(|rest| rest.split(['>', '<']).nth(1).unwrap())
        .collect();
    assert_eq!(numbers, ["1", "2"], "{xml}");
    assert!(!xml.contains("Data>"), "{xml}");
    // A Fetch that cannot be written leaves no part behind, so that the numbers stay right.
    let mut broken = answer.clone();
    broken.fetches[0].content = Some(FetchedContent::Item(ItemData::Email(Box::new(Email {
        body: "lost".into(),
        message_class: "a\0b".into(),
        ..Email::default()
    }))));
    let bytes = broken.encode_multipart(ProtocolVersion::V14_1).unwrap();
    let parts = eas::multipart::read(&bytes).unwrap();
    assert_eq!(parts[1..], [attachment.as_slice()]);
    let xml = eas::wbxml::to_xml(parts[0]).unwrap();
    assert!(
        xml.contains("Part>1<") || xml.contains("\">1</Part>"),
        "{xml}"
    );
    // As one body the same answer holds both.
    let whole = eas::wbxml::to_xml(&answer.encode(ProtocolVersion::V14_1).unwrap()).unwrap();
    assert!(
        whole.contains("a body") && !whole.contains("Part>"),
        "{whole}"
    );
}

/// A Query as deep as a hostile body likes ends at the reader's limit.
#[test]
fn searches_do_not_nest_without_end() {
    let deep = format!(
        "<Search xmlns='Search'><Store><Name>Mailbox</Name><Query>{}{}</Query></Store></Search>",
        "<And>".repeat(40),
        "</And>".repeat(40)
    );
    let message = error(SearchRequest::decode(&body(&deep)));
    assert!(message.contains("the nesting of elements"), "{message}");
}

/// MS-ASCMD 4: a meeting accepted.
#[test]
fn meetings_are_answered() {
    let xml = "<MeetingResponse xmlns='MeetingResponse'><Request><UserResponse>1</UserResponse>
           <CollectionId>5</CollectionId><RequestId>5:1</RequestId></Request></MeetingResponse>";
    let request = body(xml);
    let request = MeetingResponseRequest::decode(&request).unwrap();
    let reply = MeetingReply {
        answer: UserResponse::Accept,
        collection_id: "5".into(),
        request_id: "5:1".into(),
        instance_id: None,
    };
    assert_eq!(request.responses, [reply]);
    let perhaps = body(&xml.replace(">1<", ">4<"));
    assert_eq!(
        error(MeetingResponseRequest::decode(&perhaps)),
        "MeetingResponse:UserResponse: expected 1, 2 or 3, found `4`"
    );
    let answer = body(
        "<MeetingResponse xmlns='MeetingResponse'><Result><RequestId>5:1</RequestId>
           <Status>1</Status><CalendarId>1:1</CalendarId></Result></MeetingResponse>",
    );
    let answer = MeetingResponseAnswer::decode(&answer).unwrap();
    assert_eq!(answer.results[0].calendar_id.as_deref(), Some("1:1"));
}

/// MS-ASCMD 4: the out-of-office setting retrieved.
#[test]
fn out_of_office_messages_have_an_audience() {
    let xml = "<Settings xmlns='Settings'><Status>1</Status><Oof><Status>1</Status><Get>
           <OofState>2</OofState><StartTime>2026-03-14T03:00:00.000Z</StartTime>
           <OofMessage><AppliesToInternal/><Enabled>1</Enabled>
             <ReplyMessage>Away</ReplyMessage><BodyType>TEXT</BodyType></OofMessage>
           <OofMessage><AppliesToExternalUnknown/><Enabled>0</Enabled></OofMessage>
           <OofMessage><Enabled>1</Enabled></OofMessage>
         </Get></Oof></Settings>";
    let answer = body(xml);
    let answer = SettingsAnswer::decode(&answer).unwrap().oof.unwrap();
    assert_eq!(answer.status, SettingsStatus::Success);
    let oof = answer.oof.unwrap();
    assert_eq!((oof.state, oof.end), (OofState::TimeBased, None));
    let [inside, outside] = &oof.messages[..] else {
        panic!("{:?}", oof.messages);
    };
    assert_eq!(inside.audience, OofAudience::Internal);
    assert_eq!((&*inside.reply, inside.enabled), ("Away", true));
    assert_eq!(outside.audience, OofAudience::ExternalUnknown);
    assert!(!outside.enabled);
    let broken = body(&xml.replace("<OofState>2", "<OofState>7"));
    assert_eq!(
        error(SettingsAnswer::decode(&broken)),
        "Settings:OofState: expected 0, 1 or 2, found `7`"
    );
}

/// MS-ASCMD 4: recipients resolved, and certificates validated.
#[test]
fn people_and_certificates_are_looked_up() {
    let answer = body(
        "<ResolveRecipients xmlns='ResolveRecipients'><Status>1</Status><Response><To>load</To>
           <Status>1</Status><RecipientCount>1</RecipientCount><Recipient><Type>1</Type>
             <DisplayName>Load 1</DisplayName><EmailAddress>load1@lab.example</EmailAddress>
             <Certificates><Status>7</Status></Certificates></Recipient>
         </Response></ResolveRecipients>",
    );
    let answer = ResolveRecipientsAnswer::decode(&answer).unwrap();
    assert_eq!(answer.responses[0].recipients[0].email, "load1@lab.example");
    let validated = body(
        "<ValidateCert xmlns='ValidateCert'><Status>1</Status><Certificate><Status>7</Status>
           </Certificate></ValidateCert>",
    );
    let validated = ValidateCertAnswer::decode(&validated).unwrap();
    assert_eq!(validated.certificates, [ValidateCertStatus::NotValidNow]);
}

#[test]
fn attachments_arrive_decoded() {
    let xml = "<ItemOperations xmlns='ItemOperations' xmlns:asb='AirSyncBase'><Status>1</Status>
         <Response><Fetch><Status>1</Status><asb:FileReference>5:1:0</asb:FileReference>
           <Properties><Range>0-2</Range><Total>9</Total>
             <asb:ContentType>text/plain</asb:ContentType><Data>AQ
               ID</Data></Properties></Fetch></Response></ItemOperations>";
    let answer = body(xml);
    let answer = ItemOperationsAnswer::decode(&answer).unwrap();
    let content = FetchedContent::Attachment {
        content_type: "text/plain".into(),
        data: b"\x01\x02\x03"[..].into(),
        range: Some("0-2".into()),
        total: Some(9),
    };
    assert_eq!(answer.fetches[0].content, Some(content));
    let broken = body(&xml.replace("AQ", "?!"));
    let answer = ItemOperationsAnswer::decode(&broken).unwrap();
    assert_eq!((answer.fetches.len(), answer.skipped.count), (0, 1));
    let message = answer.skipped.first.unwrap().kind.to_string();
    assert!(
        message.starts_with("ItemOperations:Data: expected base64"),
        "{message}"
    );
}

#[test]
fn a_reply_names_what_it_replies_to() {
    let xml = "<SmartReply xmlns='ComposeMail'><ClientId>c1</ClientId><Source>
           <FolderId>5</FolderId><ItemId>5:1</ItemId></Source><ReplaceMime/>
           <Mime>text</Mime></SmartReply>";
    let reply = body(xml);
    let decoded = SmartSendRequest::decode(SmartSend::Reply, &reply).unwrap();
    assert!(decoded.replace_mime && !decoded.save_in_sent);
    let message = error(SmartSendRequest::decode(SmartSend::Forward, &reply));
    assert!(
        message.contains("expected ComposeMail:SmartForward"),
        "{message}"
    );
    let nameless = body(&xml.replace("<ItemId>5:1</ItemId>", ""));
    assert_eq!(
        error(SmartSendRequest::decode(SmartSend::Reply, &nameless)),
        "ComposeMail:Source has no ComposeMail:ItemId"
    );
    let accepted = SendAnswer { failure: None };
    assert_eq!(accepted.encode_smart(SmartSend::Forward).unwrap(), b"");
    assert_eq!(
        SendAnswer::decode_smart(SmartSend::Reply, b"").unwrap(),
        accepted
    );
}

proptest! {
    /// Whatever the content of an item, its decoder ends without a panic, and what it made of it is
    /// written and read again.
    #[test]
    fn content_of_any_shape_is_read(
        fields in proptest::collection::vec((0..26_usize, 0..60_usize, "[0-9a-z]{0,3}"), 0..12),
    ) {
        let mut writer = Writer::new();
        writer.start(tags::SYNC).start(tags::COLLECTIONS).start(tags::COLLECTION);
        writer.element(tags::SYNC_KEY, "1").element(tags::COLLECTION_ID, "1");
        writer.start(tags::COMMANDS).start(tags::ADD).element(tags::SERVER_ID, "1");
        writer.start(tags::APPLICATION_DATA);
        for (page, token, text) in &fields {
            let tokens = PAGES[*page].tokens;
            writer.element(tokens[token % tokens.len()].tag, text);
        }
        writer.end().end().end().end().end().end();
        let body = writer.finish().unwrap();
        if let Ok(answer) = SyncAnswer::decode(&body) {
            let again = answer.encode(ProtocolVersion::V14_1).unwrap();
            prop_assert!(SyncAnswer::decode(&again).is_ok());
        }
    }
}

/// A request of one collection.
fn collection(inner: &str) -> Vec<u8> {
    body(&format!(
        "<Sync xmlns='AirSync' xmlns:em='Email' xmlns:ct='Contacts' xmlns:cal='Calendar'
               xmlns:asb='AirSyncBase'><Collections><Collection><SyncKey>1</SyncKey>
           <CollectionId>5</CollectionId>{inner}</Collection></Collections></Sync>"
    ))
}

#[test]
fn a_request_tells_which_elements_its_items_name() {
    use eas::wbxml::{air_sync_base, calendar, contacts, email};
    let body = collection(
        "<Commands><Add><ClientId>c</ClientId><ApplicationData><ct:FileAs/><ct:Body>x</ct:Body>
           </ApplicationData></Add>
         <Delete><ServerId>5:1</ServerId></Delete>
         <Change><ServerId>5:2</ServerId><ApplicationData><em:Read>0</em:Read></ApplicationData></Change>
         <Change><ServerId>5:3</ServerId><ApplicationData><cal:ClientUid>u</cal:ClientUid>
           <asb:Location/></ApplicationData></Change></Commands>",
    );
    let (request, elements) = SyncRequest::decode_in(&body, |_| None).unwrap();
    assert_eq!(request, SyncRequest::decode(&body).unwrap());
    let [elements] = &elements[..] else {
        panic!("{elements:?}");
    };
    let named: Vec<Vec<String>> = elements
        .iter()
        .map(|one| one.iter().map(|tag| tag.to_string()).collect())
        .collect();
    // Elements of other versions are named as today's.
    assert_eq!(
        named,
        [
            &["Contacts:FileAs", "AirSyncBase:Body"][..],
            &[],
            &["Email:Read"],
            &["Calendar:UID", "AirSyncBase:Location"],
        ]
    );
    assert!(elements[0].has(contacts::BODY) && elements[0].has(air_sync_base::BODY));
    assert!(elements[3].has(calendar::LOCATION) && !elements[3].has(email::READ));
    assert!(elements[1].is_empty() && !elements[2].is_empty());
}

#[test]
fn shared_elements_have_the_class_of_their_collection() {
    let body = collection(
        "<Commands><Add><ClientId>c</ClientId><ApplicationData><asb:Body><asb:Data>x</asb:Data>
           </asb:Body></ApplicationData></Add>
         <Change><ServerId>5:1</ServerId><ApplicationData><asb:Attachments/></ApplicationData></Change>
         <Add><ClientId>d</ClientId><ApplicationData><ct:FileAs>x</ct:FileAs></ApplicationData></Add>
         <Change><ServerId>5:1</ServerId><ApplicationData/></Change></Commands>",
    );
    for class in Class::ALL {
        let class_of = |id: &str| (id == "5").then_some(class);
        let (request, _) = SyncRequest::decode_in(&body, class_of).unwrap();
        let [
            ClientCommand::Add { data, .. },
            ClientCommand::Change { change, .. },
            ClientCommand::Add { data: contact, .. },
            ClientCommand::Change { change: empty, .. },
        ] = &request.collections[0].commands[..]
        else {
            panic!("{request:?}");
        };
        assert_eq!(data.class(), Some(class));
        assert!(matches!(change, ItemChange::Data(data) if data.class() == Some(class)));
        assert_eq!(contact.class(), Some(Class::Contacts));
        assert_eq!(*empty, ItemChange::Nothing);
    }
    let request = SyncRequest::decode(&body).unwrap();
    let ClientCommand::Add { data, .. } = &request.collections[0].commands[0] else {
        panic!("{request:?}");
    };
    assert_eq!(*data, ItemData::Other);
}

#[test]
fn options_of_one_class_are_there_once() {
    let options = |class: &str| match class {
        "" => "<Options/>".to_owned(),
        class => format!("<Options><Class>{class}</Class></Options>"),
    };
    for (classes, is_good) in [
        (&["Email"][..], true),
        (&["Email", "SMS"], true),
        (&["SMS", ""], true),
        (&["Email", "Email"], false),
        (&["", ""], false),
        (&["SMS", "SMS"], false),
        (&["Email", "Calendar"], false),
        (&["SMS", "Tasks"], false),
        (&["Email", "SMS", "Email"], false),
    ] {
        let inner: String = classes.iter().map(|class| options(class)).collect();
        let body = collection(&inner);
        let decoded = SyncRequest::decode(&body);
        if is_good {
            assert!(decoded.is_ok(), "{classes:?}: {decoded:?}");
        } else {
            let error = decoded.unwrap_err();
            assert!(!error.is_malformed());
            assert_eq!(
                error.kind.to_string(),
                "AirSync:Collection has more than one AirSync:Options",
                "{classes:?}"
            );
        }
    }
}

proptest! {
    /// Of each element either the old one or the new one is left.
    #[test]
    fn a_change_keeps_what_it_is_told_to(old in "[a-z]{1,8}", new in "[a-z]{1,8}", kept: [bool; 4]) {
        use eas::wbxml::{air_sync_base, contacts as tags};
        let contact = |text: &str| Contact {
            first_name: format!("first {text}").into(),
            last_name: format!("last {text}").into(),
            company: format!("company {text}").into(),
            body: format!("body {text}").into(),
            ..Contact::default()
        };
        let named = [tags::FIRST_NAME, tags::LAST_NAME, tags::COMPANY_NAME, air_sync_base::BODY];
        let is_kept = |tag| named.iter().zip(kept).any(|(one, kept)| *one == tag && kept);
        let (before, after) = (contact(&old), contact(&new));
        let pick = |place: usize| if kept[place] { &before } else { &after };
        let expected = Contact {
            first_name: pick(0).first_name.clone(),
            last_name: pick(1).last_name.clone(),
            company: pick(2).company.clone(),
            body: pick(3).body.clone(),
            ..Contact::default()
        };
        let [before, after] = [&before, &after].map(|one| ItemData::Contact(Box::new(one.clone())));
        let is_expected = |data: ItemData<'_>| {
            matches!(data, ItemData::Contact(found) if *found == expected)
        };
        prop_assert_eq!(ItemData::with_changes(&before, &after, is_kept, is_expected), Some(true));
        let note = ItemData::Note(Box::default());
        prop_assert_eq!(ItemData::with_changes(&before, &note, is_kept, |_| ()), None);
    }
}
