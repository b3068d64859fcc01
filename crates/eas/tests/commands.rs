//! The typed commands: the specification's examples, what decoders forgive, and round trips of
//! generated requests and answers.

use std::borrow::Cow;

use eas::ProtocolVersion;
use eas::commands::*;
use eas::status::*;
use eas::wbxml::{from_xml, to_xml};
use proptest::prelude::*;

fn body(xml: &str) -> Vec<u8> {
    from_xml(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"))
}

fn error<T: std::fmt::Debug>(result: Result<T, eas::wbxml::DecodeError>) -> String {
    result.unwrap_err().kind.to_string()
}

#[test]
fn settings_take_the_device_information() {
    let body = body(
        "<Settings xmlns='Settings'><DeviceInformation><Set>
           <Model>Harness</Model><IMEI>000000000000001</IMEI><FriendlyName>unit-0001</FriendlyName>
           <OS>Linux</OS><OSLanguage>en</OSLanguage>
         </Set></DeviceInformation></Settings>",
    );
    let device = DeviceInformation {
        model: "Harness".into(),
        friendly_name: "unit-0001".into(),
        os: "Linux".into(),
        user_agent: "".into(),
    };
    let expected = SettingsRequest {
        device_information: Some(device),
        ..SettingsRequest::default()
    };
    assert_eq!(SettingsRequest::decode(&body).unwrap(), expected);
}

#[test]
fn settings_tell_a_question_from_an_order() {
    let asked = body(
        "<Settings xmlns='Settings'><Oof><Get><BodyType>TEXT</BodyType></Get></Oof>
           <UserInformation><Get/></UserInformation></Settings>",
    );
    let asked = SettingsRequest::decode(&asked).unwrap();
    assert_eq!(asked.oof, Some(OofRequest::Get));
    assert!(asked.user_information && asked.device_information.is_none());
    let told = body(
        "<Settings xmlns='Settings'><Oof><Set><OofState>0</OofState></Set></Oof>
           <DevicePassword><Set><Password>x</Password></Set></DevicePassword></Settings>",
    );
    let told = SettingsRequest::decode(&told).unwrap();
    assert_eq!(told.oof, Some(OofRequest::Set(Oof::default())));
    let password = told.device_password.unwrap();
    assert_eq!(password.0, "x");
    assert!(!format!("{password:?}").contains('x'));
    assert!(!told.user_information);
}

#[test]
fn settings_answers_hold_the_address_where_the_version_wants_it() {
    let answer = SettingsAnswer {
        user_information: Some(UserInformation {
            status: SettingsStatus::Success,
            primary_address: Some("load1@lab.example".into()),
        }),
        ..SettingsAnswer::new(SettingsStatus::Success)
    };
    let old = to_xml(&answer.encode(ProtocolVersion::V14_0).unwrap()).unwrap();
    assert!(
        old.contains("<SMTPAddress>load1@lab.example</SMTPAddress>") && !old.contains("Account"),
        "{old}"
    );
    let new = to_xml(&answer.encode(ProtocolVersion::V14_1).unwrap()).unwrap();
    assert!(
        new.find("<Account>").unwrap() < new.find("<PrimarySmtpAddress>load1@").unwrap(),
        "{new}"
    );
}

/// An Account may hold further addresses before the primary one, and further Accounts follow.
#[test]
fn settings_answers_prefer_the_primary_address() {
    let body = body(
        "<Settings xmlns='Settings'><Status>1</Status><UserInformation><Status>1</Status><Get>
           <Accounts>
             <Account><EmailAddresses><SMTPAddress>a@x</SMTPAddress><SMTPAddress>b@x</SMTPAddress>
               <PrimarySmtpAddress>b@x</PrimarySmtpAddress></EmailAddresses></Account>
             <Account><AccountId>2</AccountId><EmailAddresses>
               <PrimarySmtpAddress>c@x</PrimarySmtpAddress></EmailAddresses></Account>
           </Accounts></Get></UserInformation></Settings>",
    );
    let answer = SettingsAnswer::decode(&body).unwrap();
    let user = answer.user_information.unwrap();
    assert_eq!(user.primary_address.as_deref(), Some("b@x"));
}

#[test]
fn settings_answers_need_a_status_for_the_whole_only() {
    let silent = body("<Settings xmlns='Settings'><Oof/></Settings>");
    assert_eq!(
        error(SettingsAnswer::decode(&silent)),
        "Settings:Settings has no Settings:Status"
    );
    let partly =
        body("<Settings xmlns='Settings'><Status>1</Status><DeviceInformation/></Settings>");
    let answer = SettingsAnswer::decode(&partly).unwrap();
    assert_eq!(answer.device_information, Some(SettingsStatus::Success));
}

#[test]
fn sync_primes_a_collection() {
    let body = body(
        "<Sync xmlns='AirSync'><Collections><Collection>
           <SyncKey>0</SyncKey><CollectionId>5</CollectionId>
         </Collection></Collections></Sync>",
    );
    let collection = SyncCollection {
        sync_key: "0".into(),
        id: "5".into(),
        ..SyncCollection::default()
    };
    let expected = SyncRequest {
        collections: vec![collection],
        ..SyncRequest::default()
    };
    assert_eq!(SyncRequest::decode(&body).unwrap(), expected);
}

#[test]
fn sync_hangs_for_a_heartbeat() {
    let body = body(
        "<Sync xmlns='AirSync' xmlns:asb='AirSyncBase'>
           <Collections><Collection>
             <SyncKey>1712345678</SyncKey><CollectionId>5</CollectionId>
             <DeletesAsMoves>1</DeletesAsMoves><GetChanges>1</GetChanges><WindowSize>25</WindowSize>
             <Options><FilterType>2</FilterType><asb:BodyPreference><asb:Type>1</asb:Type>
               <asb:TruncationSize>500</asb:TruncationSize></asb:BodyPreference></Options>
           </Collection></Collections>
           <HeartbeatInterval>470</HeartbeatInterval>
         </Sync>",
    );
    let request = SyncRequest::decode(&body).unwrap();
    assert_eq!(request.heartbeat, Some(470));
    assert!(SyncRequest::HEARTBEAT.contains(&470) && !SyncRequest::WAIT.contains(&470));
    let collection = &request.collections[0];
    assert_eq!(collection.window_size, Some(25));
    let bodies = vec![BodyPreference {
        truncation_size: Some(500),
        ..BodyPreference::default()
    }];
    let filter = Some(FilterType::THREE_DAYS);
    let options = SyncOptions {
        filter,
        bodies,
        ..SyncOptions::default()
    };
    assert_eq!(collection.options, Some(options));
    assert_eq!(request.operations(), 0);
}

/// Settings that a decoder does not know stand between those it does, and content of other
/// classes in ApplicationData.
#[test]
fn sync_takes_the_commands_of_a_client() {
    let body = body(
        "<Sync xmlns='AirSync' xmlns:em='Email' xmlns:ct='Contacts'><Collections>
           <Collection><Class>Email</Class><SyncKey>7</SyncKey><CollectionId>5</CollectionId>
             <ConversationMode>1</ConversationMode>
             <Options><MIMESupport>2</MIMESupport><Conflict>1</Conflict></Options>
             <Commands>
               <Change><Class>Email</Class><ServerId>5:1</ServerId><ApplicationData>
                 <em:Flag><em:FlagType>x</em:FlagType></em:Flag><em:Read>1</em:Read>
               </ApplicationData></Change>
               <Change><ServerId>5:2</ServerId><ApplicationData/></Change>
               <Delete><ServerId>5:3</ServerId></Delete>
               <Fetch><ServerId>5:4</ServerId></Fetch>
             </Commands></Collection>
           <Collection><SyncKey>9</SyncKey><CollectionId>2</CollectionId><Commands>
             <Add><Class>Contacts</Class><ClientId>c1</ClientId><ApplicationData>
               <ct:FileAs>Ada</ct:FileAs></ApplicationData></Add>
           </Commands></Collection>
         </Collections></Sync>",
    );
    let request = SyncRequest::decode(&body).unwrap();
    assert_eq!(request.operations(), 5);
    assert_eq!(request.collections[0].class, Some(Class::Email));
    assert_eq!(
        request.collections[0].commands,
        [
            ClientCommand::Change {
                server_id: "5:1".into(),
                change: ItemChange::Email {
                    read: Some(true),
                    flag: Some(Flag {
                        flag_type: "x".into(),
                        ..Flag::default()
                    }),
                },
                send: false,
            },
            ClientCommand::Change {
                server_id: "5:2".into(),
                change: ItemChange::Nothing,
                send: false,
            },
            ClientCommand::Delete {
                server_id: "5:3".into()
            },
            ClientCommand::Fetch {
                server_id: "5:4".into()
            },
        ]
    );
    assert_eq!(request.collections[0].conversation_mode, Some(true));
    let options = request.collections[0].options.as_ref().unwrap();
    assert_eq!((options.mime_support, options.conflict), (Some(2), Some(1)));
    let contact = Contact {
        file_as: "Ada".into(),
        ..Contact::default()
    };
    assert_eq!(
        request.collections[1].commands,
        [ClientCommand::Add {
            client_id: "c1".into(),
            class: Some(Class::Contacts),
            data: ItemData::Contact(Box::new(contact)),
            send: false,
        }]
    );
}

/// A draft as 16.1 sends it (ASEMAIL 2.2.2.69), and what is left of it for a server of 14.1.
#[test]
fn sync_sends_a_draft_from_16_0_on() {
    let xml = "<Sync xmlns='AirSync' xmlns:em='Email' xmlns:e2='Email2'><Collections><Collection>
           <SyncKey>7</SyncKey><CollectionId>2</CollectionId><Commands>
             <Add><ClientId>d1</ClientId><ApplicationData><em:To>a@lab.example</em:To>
               <e2:Bcc>b@lab.example</e2:Bcc></ApplicationData><e2:Send/></Add>
             <Change><ServerId>2:1</ServerId><ApplicationData/><e2:Send/></Change>
             <Change><ServerId>2:2</ServerId><ApplicationData/></Change>
           </Commands></Collection></Collections></Sync>";
    let body = body(xml);
    let request = SyncRequest::decode(&body).unwrap();
    let is_sent = |command: &ClientCommand<'_>| match command {
        ClientCommand::Add { send, .. } | ClientCommand::Change { send, .. } => *send,
        _ => unreachable!("the request has none"),
    };
    let bcc_of = |request: &SyncRequest<'_>| match &request.collections[0].commands[0] {
        ClientCommand::Add { data, .. } => data.as_email().unwrap().bcc.to_string(),
        _ => unreachable!("the first is an Add"),
    };
    for (version, sent, bcc) in [
        (ProtocolVersion::V16_0, [true, true, false], "b@lab.example"),
        (ProtocolVersion::V14_1, [false; 3], ""),
    ] {
        let encoded = request.encode(version).unwrap();
        let again = SyncRequest::decode(&encoded).unwrap();
        let commands = &again.collections[0].commands;
        assert_eq!(commands.iter().map(is_sent).collect::<Vec<_>>(), sent);
        assert_eq!(bcc_of(&again), bcc);
    }
}

/// A collection of mail may have options of its own for text messages (ASCMD 2.2.3.125.6).
#[test]
fn sync_options_of_text_messages_are_passed_over() {
    let options = "<Options><FilterType>2</FilterType></Options>";
    let sms = "<Options><Class>SMS</Class><FilterType>5</FilterType></Options>";
    for both in [format!("{options}{sms}"), format!("{sms}{options}")] {
        let body = body(&format!(
            "<Sync xmlns='AirSync'><Collections><Collection><SyncKey>1</SyncKey>
             <CollectionId>5</CollectionId>{both}</Collection></Collections></Sync>"
        ));
        let request = SyncRequest::decode(&body).unwrap();
        let options = request.collections[0].options.as_ref().unwrap();
        assert_eq!(options.filter, Some(FilterType::THREE_DAYS));
    }
}

/// The steps of Truncation are those of 2.5, the steps of MIMETruncation those of ASCMD 2.2.3.111.
#[test]
fn sync_options_have_steps_of_truncation() {
    for (element, body_size, mime_size) in [
        ("<Truncation>0</Truncation>", Some(Some(0)), None),
        ("<Truncation>1</Truncation>", Some(Some(512)), None),
        ("<Truncation>8</Truncation>", Some(Some(102_400)), None),
        ("<Truncation>9</Truncation>", None, None),
        ("<MIMETruncation>0</MIMETruncation>", None, Some(0)),
        ("<MIMETruncation>1</MIMETruncation>", None, Some(4096)),
        ("<MIMETruncation>7</MIMETruncation>", None, Some(102_400)),
        ("<MIMETruncation>8</MIMETruncation>", None, None),
    ] {
        let body = body(&format!(
            "<Sync xmlns='AirSync'><Collections><Collection><SyncKey>1</SyncKey>
             <CollectionId>5</CollectionId><Options>{element}</Options></Collection>
             </Collections></Sync>"
        ));
        let request = SyncRequest::decode(&body).unwrap();
        let options = request.collections[0].options.as_ref().unwrap();
        let first = options.bodies.first().map(|body| body.truncation_size);
        assert_eq!(first, body_size, "{element}");
        assert_eq!(options.mime_truncation_size(), mime_size, "{element}");
        let again = request.encode(ProtocolVersion::V2_5).unwrap();
        assert_eq!(SyncRequest::decode(&again).unwrap(), request, "{element}");
    }
}

#[test]
fn sync_commands_need_their_ids() {
    for (command, message) in [
        (
            "<Add><ServerId>1</ServerId></Add>",
            "AirSync:Add has no AirSync:ClientId",
        ),
        (
            "<Change><ClientId>1</ClientId></Change>",
            "AirSync:Change has no AirSync:ServerId",
        ),
        ("<Fetch/>", "AirSync:Fetch has no AirSync:ServerId"),
    ] {
        let body = body(&format!(
            "<Sync xmlns='AirSync'><Collections><Collection><SyncKey>7</SyncKey>
               <CollectionId>5</CollectionId><Commands>{command}</Commands>
             </Collection></Collections></Sync>"
        ));
        assert_eq!(error(SyncRequest::decode(&body)), message);
    }
}

#[test]
fn sync_tells_what_became_of_the_commands() {
    let body = body(
        "<Sync xmlns='AirSync' xmlns:em='Email'><Collections><Collection>
           <SyncKey>8</SyncKey><CollectionId>5</CollectionId><Status>1</Status>
           <Responses>
             <Add><ClientId>c1</ClientId><ServerId>5:9</ServerId><Status>1</Status></Add>
             <Add><ClientId>c2</ClientId><Status>6</Status></Add>
             <Change><ServerId>5:1</ServerId><Status>7</Status></Change>
             <Delete><ServerId>5:3</ServerId><Status>8</Status></Delete>
             <Fetch><ServerId>5:4</ServerId><Status>1</Status><ApplicationData>
               <em:Subject>whole</em:Subject></ApplicationData></Fetch>
             <Fetch><ServerId>5:5</ServerId><Status>8</Status></Fetch>
           </Responses>
           <Commands><Delete><ServerId>5:6</ServerId></Delete></Commands>
         </Collection></Collections></Sync>",
    );
    let answer = SyncAnswer::decode(&body).unwrap();
    let whole = Email {
        subject: "whole".into(),
        ..Email::default()
    };
    assert_eq!(
        answer.collections[0].responses,
        [
            CommandResponse::Add {
                client_id: "c1".into(),
                server_id: Some("5:9".into()),
                status: SyncStatus::Success,
                attachments: Vec::new()
            },
            CommandResponse::Add {
                client_id: "c2".into(),
                server_id: None,
                status: SyncStatus::ConversionError,
                attachments: Vec::new()
            },
            CommandResponse::Change {
                server_id: "5:1".into(),
                status: SyncStatus::Conflict,
                attachments: Vec::new()
            },
            CommandResponse::Delete {
                server_id: "5:3".into(),
                status: SyncStatus::ObjectNotFound
            },
            CommandResponse::Fetch {
                server_id: "5:4".into(),
                status: SyncStatus::Success,
                data: Some(ItemData::Email(Box::new(whole)))
            },
            CommandResponse::Fetch {
                server_id: "5:5".into(),
                status: SyncStatus::ObjectNotFound,
                data: None
            },
        ]
    );
    assert_eq!(answer.collections[0].changes.len(), 1);
}

#[test]
fn item_operations_fetch_an_item() {
    let body = body(
        "<ItemOperations xmlns='ItemOperations' xmlns:as='AirSync' xmlns:asb='AirSyncBase'><Fetch>
           <Store>Mailbox</Store><as:CollectionId>5</as:CollectionId>
           <as:ServerId>5:12</as:ServerId>
           <Options><asb:BodyPreference><asb:Type>2</asb:Type></asb:BodyPreference></Options>
         </Fetch></ItemOperations>",
    );
    let fetch = Fetch {
        store: Fetch::MAILBOX.into(),
        collection_id: Some("5".into()),
        server_id: Some("5:12".into()),
        bodies: vec![BodyPreference {
            body_type: 2,
            ..BodyPreference::default()
        }],
        ..Fetch::default()
    };
    let expected = ItemOperationsRequest {
        fetches: vec![fetch],
        ..ItemOperationsRequest::default()
    };
    assert_eq!(ItemOperationsRequest::decode(&body).unwrap(), expected);
}

#[test]
fn item_operations_empty_folders_and_move_conversations() {
    let others = body(
        "<ItemOperations xmlns='ItemOperations' xmlns:as='AirSync'>
           <EmptyFolderContents><as:CollectionId>5</as:CollectionId>
             <Options><DeleteSubFolders/></Options></EmptyFolderContents>
           <Move><ConversationId>x</ConversationId><DstFldId>6</DstFldId></Move>
           <Fetch><Store>Mailbox</Store></Fetch>
         </ItemOperations>",
    );
    let request = ItemOperationsRequest::decode(&others).unwrap();
    assert_eq!(request.operations(), 3);
    assert!(request.empties[0].delete_sub_folders);
    assert_eq!(request.empties[0].collection_id, "5");
    assert_eq!(request.moves[0].conversation_id[..], *b"x");
    assert_eq!(
        (&*request.moves[0].to, request.moves[0].always),
        ("6", false)
    );
    let nowhere = body("<ItemOperations xmlns='ItemOperations'><Fetch/></ItemOperations>");
    assert_eq!(
        error(ItemOperationsRequest::decode(&nowhere)),
        "ItemOperations:Fetch has no ItemOperations:Store"
    );
}

#[test]
fn item_operations_answers_tell_of_every_operation() {
    let body = body(
        "<ItemOperations xmlns='ItemOperations' xmlns:as='AirSync' xmlns:em='Email'>
           <Status>1</Status><Response>
             <Move><Status>156</Status><ConversationId>x</ConversationId></Move>
             <EmptyFolderContents><Status>1</Status><as:CollectionId>5</as:CollectionId>
             </EmptyFolderContents>
             <Fetch><Status>6</Status><as:ServerId>5:12</as:ServerId></Fetch>
             <Fetch><Status>1</Status><as:Class>Email</as:Class>
               <Properties><em:Subject>whole</em:Subject></Properties></Fetch>
           </Response></ItemOperations>",
    );
    let answer = ItemOperationsAnswer::decode(&body).unwrap();
    assert_eq!(answer.status, ItemOperationsStatus::Success);
    let missing = FetchAnswer {
        server_id: Some("5:12".into()),
        ..FetchAnswer::failed(ItemOperationsStatus::LibraryNotFound)
    };
    assert_eq!(answer.fetches[0], missing);
    assert_eq!(answer.fetches[1].class, Some(Class::Email));
    let Some(FetchedContent::Item(item)) = &answer.fetches[1].content else {
        panic!("{answer:?}");
    };
    assert_eq!(item.as_email().unwrap().subject, "whole");
    let refused = ItemOperationsStatus::InvalidDestinationFolder;
    assert_eq!(answer.moves[0].status, refused);
    assert_eq!(answer.empties[0].collection_id.as_deref(), Some("5"));
}

/// 155 and 156 are common to all commands too, but the table of ItemOperations lists them.
#[test]
fn move_errors_belong_to_item_operations() {
    let status = ItemOperationsStatus::from_code(156);
    assert_eq!(status, ItemOperationsStatus::InvalidDestinationFolder);
    assert_eq!(
        ItemOperationsStatus::from_code(142),
        ItemOperationsStatus::Common(GlobalStatus::DeviceNotProvisioned)
    );
}

#[test]
fn provision_acknowledges_a_wipe() {
    let body = body(
        "<Provision xmlns='Provision'><RemoteWipe><Status>2</Status></RemoteWipe></Provision>",
    );
    let request = ProvisionRequest::decode(&body).unwrap();
    assert_eq!((request.wipe_status, request.policy), (Some(2), None));
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    "[^\0]{0,12}".prop_map(Cow::Owned)
}

fn maybe<T: std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(strategy)
}

fn few<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(strategy, 0..4)
}

fn class() -> impl Strategy<Value = Class> {
    proptest::sample::select(&Class::ALL[..])
}

fn body_preference() -> impl Strategy<Value = BodyPreference> {
    any::<(u8, Option<u32>, bool, Option<u8>)>().prop_map(|fields| BodyPreference {
        body_type: fields.0,
        truncation_size: fields.1,
        all_or_none: fields.2,
        preview: fields.3,
    })
}

fn sync_status() -> impl Strategy<Value = SyncStatus> {
    (0..200_u16).prop_map(SyncStatus::from_code)
}

fn settings_status() -> impl Strategy<Value = SettingsStatus> {
    (0..200_u16).prop_map(SettingsStatus::from_code)
}

fn item_operations_status() -> impl Strategy<Value = ItemOperationsStatus> {
    (0..200_u16).prop_map(ItemOperationsStatus::from_code)
}

fn flag() -> impl Strategy<Value = Flag<'static>> {
    let status = [FlagStatus::None, FlagStatus::Complete, FlagStatus::Active];
    (proptest::sample::select(status.to_vec()), text(), text()).prop_map(
        |(status, flag_type, completed)| Flag {
            status,
            flag_type,
            completed,
        },
    )
}

fn attachment() -> impl Strategy<Value = Attachment<'static>> {
    (text(), text(), any::<u32>()).prop_map(|(display_name, file_reference, size)| Attachment {
        display_name,
        file_reference,
        size,
    })
}

/// A text where an empty one counts as none.
fn filled() -> impl Strategy<Value = Cow<'static, str>> {
    "[0-9A-Z@.:-]{1,20}".prop_map(Cow::Owned)
}

fn recurrence() -> impl Strategy<Value = Recurrence<'static>> {
    (
        any::<(u8, Option<u16>, Option<u16>)>(),
        maybe(filled()),
        any::<(Option<u8>, Option<u8>, Option<u8>, Option<u8>)>(),
    )
        .prop_map(|((kind, interval, occurrences), until, days)| {
            let (day_of_week, day_of_month, week_of_month, month_of_year) = days;
            Recurrence {
                kind,
                interval,
                occurrences,
                until,
                day_of_week,
                day_of_month,
                week_of_month,
                month_of_year,
            }
        })
}

fn meeting() -> impl Strategy<Value = Box<MeetingRequest<'static>>> {
    (
        (text(), text(), text(), text(), text()),
        maybe(recurrence()),
        any::<(bool, bool, u8, u8, u8, Option<u32>)>(),
    )
        .prop_map(
            |((start, end, dt_stamp, location, id), recurrence, flags)| {
                Box::new(MeetingRequest {
                    start,
                    end,
                    dt_stamp,
                    location,
                    global_obj_id: id,
                    recurrence,
                    all_day: flags.0,
                    response_requested: flags.1,
                    instance_type: flags.2,
                    busy_status: flags.3,
                    sensitivity: flags.4,
                    reminder: flags.5,
                    ..MeetingRequest::default()
                })
            },
        )
}

/// Boxed, because the tree of an item is too large for the stack of a test.
fn email() -> BoxedStrategy<ItemData<'static>> {
    (
        (text(), text(), text(), text(), text(), text()),
        (maybe(flag()), few(attachment()), maybe(meeting())),
        // Without a size: one that is the body's own counts as none.
        any::<(bool, bool, Option<u8>, u8, Option<u8>)>(),
        text(),
    )
        .prop_map(|(texts, (flag, attachments, meeting), numbers, preview)| {
            ItemData::Email(Box::new(Email {
                from: texts.0,
                to: texts.1,
                cc: texts.2,
                subject: texts.3,
                date_received: texts.4,
                body: texts.5,
                flag,
                attachments,
                meeting,
                read: numbers.0,
                truncated: numbers.1,
                importance: numbers.2,
                body_type: numbers.3,
                native_body_type: numbers.4,
                preview,
                ..Email::default()
            }))
        })
        .boxed()
}

fn appointment() -> impl Strategy<Value = ItemData<'static>> {
    let attendee = (filled(), text()).prop_map(|(email, name)| Attendee { email, name });
    (
        (text(), text(), text(), text(), text(), text()),
        few(attendee),
        maybe(recurrence()),
        any::<(bool, u8, u8, Option<u32>)>(),
    )
        .prop_map(|(texts, attendees, recurrence, numbers)| {
            ItemData::Calendar(Box::new(Appointment {
                uid: texts.0,
                subject: texts.1,
                start: texts.2,
                end: texts.3,
                location: texts.4,
                body: texts.5.into(),
                attendees,
                recurrence,
                all_day: numbers.0,
                busy_status: numbers.1,
                meeting_status: numbers.2,
                reminder: numbers.3,
                ..Appointment::default()
            }))
        })
}

fn item() -> BoxedStrategy<ItemData<'static>> {
    prop_oneof![
        3 => email(),
        1 => appointment(),
        1 => (text(), text(), text()).prop_map(|(first_name, email2, body)| {
            let body = body.into();
            ItemData::Contact(Box::new(Contact { first_name, email2, body, ..Contact::default() }))
        }),
        1 => (text(), text(), any::<bool>(), maybe(recurrence())).prop_map(
            |(subject, body, complete, recurrence)| {
                let body = body.into();
                ItemData::Task(Box::new(Task {
                    subject, body, complete, recurrence, ..Task::default()
                }))
            }
        ),
        1 => (text(), text(), text()).prop_map(|(subject, last_modified, body)| {
            ItemData::Note(Box::new(Note { subject, last_modified, body: body.into() }))
        }),
        1 => Just(ItemData::Other),
    ]
    .boxed()
}

/// A change of marks that marks nothing, and one of the whole content without content, are written
/// as nothing, so none are generated.
/// An item that is not empty: an empty one counts as absent where it is optional.
fn known_item() -> impl Strategy<Value = ItemData<'static>> {
    item().prop_filter("an empty item", |item| *item != ItemData::Other)
}

fn item_change() -> impl Strategy<Value = ItemChange<'static>> {
    prop_oneof![
        (any::<bool>(), maybe(flag())).prop_map(|(read, flag)| ItemChange::Email {
            read: Some(read),
            flag,
        }),
        flag().prop_map(|flag| ItemChange::Email {
            read: None,
            flag: Some(flag),
        }),
        item().prop_map(|data| match data {
            ItemData::Other => ItemChange::Nothing,
            data => ItemChange::Data(data),
        }),
    ]
}

fn device_information() -> impl Strategy<Value = DeviceInformation<'static>> {
    (text(), text(), text(), text()).prop_map(|(model, friendly_name, os, user_agent)| {
        DeviceInformation {
            model,
            friendly_name,
            os,
            user_agent,
        }
    })
}

fn client_command() -> BoxedStrategy<ClientCommand<'static>> {
    prop_oneof![
        (text(), maybe(class()), item()).prop_map(|(client_id, class, data)| {
            ClientCommand::Add {
                client_id,
                class,
                data,
                send: false,
            }
        }),
        (text(), item_change()).prop_map(|(server_id, change)| ClientCommand::Change {
            server_id,
            change,
            send: false,
        }),
        text().prop_map(|server_id| ClientCommand::Delete { server_id }),
        text().prop_map(|server_id| ClientCommand::Fetch { server_id }),
    ]
    .boxed()
}

fn sync_collection() -> impl Strategy<Value = SyncCollection<'static>> {
    let options = (
        any::<[Option<u8>; 4]>(),
        few(body_preference()),
        maybe(class()),
    )
        .prop_map(|(numbers, bodies, class)| SyncOptions {
            filter: numbers[0].map(FilterType),
            body_part: bodies.first().copied(),
            max_items: numbers[1].map(Into::into),
            bodies,
            class,
            conflict: numbers[1],
            mime_support: numbers[2],
            mime_truncation: numbers[3],
        });
    (
        (text(), text()),
        any::<(Option<bool>, Option<bool>, Option<u16>, Option<bool>)>(),
        maybe(options),
        few(client_command()),
    )
        .prop_map(|((sync_key, id), flags, options, commands)| {
            let (deletes_as_moves, get_changes, window_size, conversation_mode) = flags;
            SyncCollection {
                sync_key,
                id,
                class: None,
                supported: None,
                deletes_as_moves,
                get_changes,
                window_size,
                conversation_mode,
                options,
                commands,
            }
        })
}

fn added() -> impl Strategy<Value = Vec<AddedAttachment<'static>>> {
    few(
        (text(), text()).prop_map(|(client_id, file_reference)| AddedAttachment {
            client_id,
            file_reference,
        }),
    )
}

fn command_response() -> impl Strategy<Value = CommandResponse<'static>> {
    prop_oneof![
        (text(), maybe(filled()), sync_status(), added()).prop_map(
            |(client_id, server_id, status, attachments)| CommandResponse::Add {
                client_id,
                server_id,
                status,
                attachments,
            }
        ),
        (text(), sync_status(), added()).prop_map(|(server_id, status, attachments)| {
            CommandResponse::Change {
                server_id,
                status,
                attachments,
            }
        }),
        (text(), sync_status())
            .prop_map(|(server_id, status)| CommandResponse::Delete { server_id, status }),
        (text(), sync_status(), maybe(known_item())).prop_map(|(server_id, status, data)| {
            CommandResponse::Fetch {
                server_id,
                status,
                data,
            }
        }),
    ]
}

fn change() -> impl Strategy<Value = Change<'static>> {
    prop_oneof![
        (text(), item()).prop_map(|(server_id, data)| Change::Add { server_id, data }),
        (text(), item_change())
            .prop_map(|(server_id, change)| Change::Update { server_id, change }),
        text().prop_map(|server_id| Change::Delete { server_id }),
        text().prop_map(|server_id| Change::SoftDelete { server_id }),
    ]
}

fn collection_answer() -> impl Strategy<Value = CollectionAnswer<'static>> {
    (
        (text(), text(), sync_status(), any::<bool>()),
        few(change()),
        few(command_response()),
    )
        .prop_map(
            |((sync_key, id, status, more_available), changes, responses)| CollectionAnswer {
                sync_key,
                id,
                status,
                more_available,
                changes,
                responses,
                skipped: Skipped::default(),
            },
        )
}

fn fetch() -> impl Strategy<Value = Fetch<'static>> {
    let ids = (
        maybe(filled()),
        maybe(filled()),
        maybe(filled()),
        maybe(filled()),
    );
    let options = any::<(Option<(u32, u32)>, Option<u8>)>();
    (text(), ids, few(body_preference()), options).prop_map(|(store, ids, bodies, options)| {
        let (range, mime_support) = options;
        let (collection_id, server_id, long_id, file_reference) = ids;
        Fetch {
            store,
            collection_id,
            server_id,
            long_id,
            file_reference,
            body_part: bodies.first().copied(),
            bodies,
            mime_support,
            range,
        }
    })
}

fn fetched_content() -> impl Strategy<Value = FetchedContent<'static>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..20).prop_map(Cow::<[u8]>::Owned);
    prop_oneof![
        known_item().prop_map(FetchedContent::Item),
        (text(), bytes, maybe(filled()), any::<Option<u32>>()).prop_map(
            |(content_type, data, range, total)| FetchedContent::Attachment {
                content_type,
                data,
                range,
                total,
            }
        ),
    ]
}

fn fetch_answer() -> impl Strategy<Value = FetchAnswer<'static>> {
    (
        item_operations_status(),
        maybe(filled()),
        maybe(filled()),
        maybe(filled()),
        maybe(filled()),
        maybe(class()),
        maybe(fetched_content()),
    )
        .prop_map(
            |(status, collection_id, server_id, long_id, file_reference, class, content)| {
                FetchAnswer {
                    status,
                    collection_id,
                    server_id,
                    long_id,
                    file_reference,
                    class,
                    content,
                }
            },
        )
}

fn user_information() -> impl Strategy<Value = UserInformation<'static>> {
    (settings_status(), maybe(filled())).prop_map(|(status, primary_address)| UserInformation {
        status,
        primary_address,
    })
}

fn oof() -> impl Strategy<Value = Oof<'static>> {
    let message = (
        proptest::sample::select(&OofAudience::ALL[..]),
        any::<bool>(),
        text(),
        filled(),
    )
        .prop_map(|(audience, enabled, reply, body_type)| OofMessage {
            audience,
            enabled,
            reply,
            body_type,
        });
    let state = [OofState::Disabled, OofState::Global, OofState::TimeBased];
    (
        proptest::sample::select(state.to_vec()),
        maybe(filled()),
        maybe(filled()),
        few(message),
    )
        .prop_map(|(state, start, end, messages)| Oof {
            state,
            start,
            end,
            messages,
        })
}

fn oof_request() -> impl Strategy<Value = OofRequest<'static>> {
    prop_oneof![Just(OofRequest::Get), oof().prop_map(OofRequest::Set)]
}

fn oof_answer() -> impl Strategy<Value = OofAnswer<'static>> {
    (settings_status(), maybe(oof())).prop_map(|(status, oof)| OofAnswer { status, oof })
}

proptest! {
    #[test]
    fn sync_requests_round_trip(
        collections in few(sync_collection()),
        wait in any::<Option<i32>>(),
        heartbeat in any::<Option<i32>>(),
        window_size in any::<Option<u16>>(),
        partial in any::<bool>(),
    ) {
        let request = SyncRequest { collections, wait, heartbeat, window_size, partial };
        let body = request.encode(ProtocolVersion::V14_1).unwrap();
        prop_assert_eq!(SyncRequest::decode(&body).unwrap(), request);
    }

    #[test]
    fn sync_answers_round_trip(
        status in maybe(sync_status()),
        limit in any::<Option<u32>>(),
        collections in few(collection_answer()),
    ) {
        let answer = SyncAnswer { status, limit, collections, ..SyncAnswer::default() };
        let body = answer.encode(ProtocolVersion::V14_1).unwrap();
        prop_assert_eq!(SyncAnswer::decode(&body).unwrap(), answer);
    }

    #[test]
    fn settings_requests_round_trip(
        device_information in maybe(device_information()),
        user_information in any::<bool>(),
        rights_management in any::<bool>(),
        oof in maybe(oof_request()),
        device_password in maybe(text().prop_map(DevicePassword)),
    ) {
        let request = SettingsRequest {
            device_information,
            user_information,
            rights_management,
            oof,
            device_password,
        };
        let body = request.encode().unwrap();
        prop_assert_eq!(SettingsRequest::decode(&body).unwrap(), request);
    }

    #[test]
    fn settings_answers_round_trip(
        status in settings_status(),
        device_information in maybe(settings_status()),
        user_information in maybe(user_information()),
        rights_management in maybe(settings_status()),
        oof in maybe(oof_answer()),
        device_password in maybe(settings_status()),
        version in proptest::sample::select(vec![ProtocolVersion::V12_1, ProtocolVersion::V14_1]),
    ) {
        let answer = SettingsAnswer {
            status,
            device_information,
            user_information,
            rights_management,
            oof,
            device_password,
        };
        let body = answer.encode(version).unwrap();
        prop_assert_eq!(SettingsAnswer::decode(&body).unwrap(), answer);
    }

    #[test]
    fn item_operations_requests_round_trip(
        fetches in few(fetch()),
        empties in few((text(), any::<bool>())),
    ) {
        let empties = empties
            .into_iter()
            .map(|(collection_id, delete_sub_folders)| EmptyFolderContents {
                collection_id,
                delete_sub_folders,
            })
            .collect();
        let request = ItemOperationsRequest { fetches, empties, ..Default::default() };
        let body = request.encode().unwrap();
        prop_assert_eq!(ItemOperationsRequest::decode(&body).unwrap(), request);
    }

    #[test]
    fn item_operations_answers_round_trip(
        status in item_operations_status(),
        fetches in few(fetch_answer()),
    ) {
        let answer = ItemOperationsAnswer { fetches, ..ItemOperationsAnswer::failed(status) };
        let body = answer.encode(ProtocolVersion::V14_1).unwrap();
        prop_assert_eq!(ItemOperationsAnswer::decode(&body).unwrap(), answer);
    }
}
