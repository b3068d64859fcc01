//! Empty elements count as absent, and one bad item of an answer costs no other item.

use std::fmt::Debug;

use eas::ProtocolVersion;
use eas::commands::*;
use eas::wbxml::{DecodeError, DecodeErrorKind, from_xml, to_xml};

/// Where a template's element has its content.
const CONTENT: &str = "@@";

/// Encodes XML. [`CONTENT`] leaves an element with the content bit and an END, but nothing between.
fn encode(xml: &str) -> Vec<u8> {
    let body = from_xml(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let string = [b"\x03".as_slice(), CONTENT.as_bytes(), b"\0"].concat();
    let mut out = Vec::new();
    let mut rest = body.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(string.as_slice()) {
            Some(tail) => rest = tail,
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// The four ways to say nothing of the element between `[[` and `]]`: without it, as a tag without
/// content, with the content bit and an END, and, unless it is a text, with white space. Then the
/// template as it is.
fn variants(template: &str) -> ([Vec<u8>; 4], Vec<u8>) {
    let (before, rest) = template.split_once("[[").unwrap();
    let (element, after) = rest.split_once("]]").unwrap();
    let (open, _) = element.split_once('>').unwrap();
    let (content, close) = element.rsplit_once("</").unwrap();
    let content = &content[open.len() + 1..];
    let is_text = !content.starts_with('<') && content.parse::<u32>().is_err();
    let blank = if is_text { CONTENT } else { "&#32;&#10;" };
    let with = |element: &str| encode(&format!("{before}{element}{after}"));
    let empty = [
        with(""),
        with(&format!("{open}/>")),
        with(&format!("{open}>{CONTENT}</{close}")),
        with(&format!("{open}>{blank}</{close}")),
    ];
    (empty, with(element))
}

/// `decode` must give the same for all four, and something else for the element with its content.
fn empty_is_absent<T: Debug + PartialEq>(
    template: &str,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) {
    let ([absent, others @ ..], full) = variants(template);
    let absent = decode(&absent).unwrap_or_else(|error| panic!("{template}: {error}"));
    for body in others {
        let read = decode(&body).unwrap_or_else(|error| panic!("{template}: {error}\n{body:02x?}"));
        assert_eq!(read, absent, "{template}\n{body:02x?}");
    }
    let full = decode(&full).unwrap_or_else(|error| panic!("{template}: {error}"));
    assert_ne!(full, absent, "the element is not read: {template}");
}

fn owned_sync(body: &[u8]) -> Result<String, DecodeError> {
    SyncAnswer::decode(body).map(|answer| format!("{answer:?}"))
}

const NAMES: &str = "xmlns='AirSync' xmlns:b='AirSyncBase' xmlns:e='Email' xmlns:c='Calendar' \
                     xmlns:t='Tasks' xmlns:n='Notes' xmlns:m='Email2'";

fn sync_xml(commands: &str) -> String {
    format!(
        "<Sync {NAMES}><Collections><Collection><SyncKey>2</SyncKey><CollectionId>5</CollectionId>\
         <Status>1</Status><Commands>{commands}</Commands></Collection></Collections></Sync>"
    )
}

fn add_xml(id: &str, data: &str) -> String {
    format!("<Add><ServerId>{id}</ServerId><ApplicationData>{data}</ApplicationData></Add>")
}

#[test]
fn empty_optional_elements_of_items_count_as_absent() {
    let message = [
        "[[<e:Importance>2</e:Importance>]]",
        "[[<e:Read>1</e:Read>]]",
        "<b:Body>[[<b:Type>2</b:Type>]]<b:Data>x</b:Data></b:Body>",
        "<b:Body><b:Type>1</b:Type>[[<b:EstimatedDataSize>9</b:EstimatedDataSize>]]</b:Body>",
        "<b:Body><b:Type>1</b:Type>[[<b:Truncated>1</b:Truncated>]]</b:Body>",
        "[[<e:BodySize>9</e:BodySize>]]",
        "[[<e:BodyTruncated>1</e:BodyTruncated>]]",
        "[[<e:MIMESize>9</e:MIMESize>]]",
        "[[<e:MIMETruncated>1</e:MIMETruncated>]]",
        "[[<b:NativeBodyType>2</b:NativeBodyType>]]",
        "[[<m:IsDraft>1</m:IsDraft>]]",
        "<e:Flag>[[<e:Status>2</e:Status>]]</e:Flag>",
        "[[<b:Attachments><b:Attachment><b:DisplayName>x</b:DisplayName></b:Attachment></b:Attachments>]]",
        "<b:Attachments>[[<b:Attachment><b:DisplayName>x</b:DisplayName></b:Attachment>]]</b:Attachments>",
        "<b:Attachments><b:Attachment><b:DisplayName>x</b:DisplayName>\
           [[<b:EstimatedDataSize>9</b:EstimatedDataSize>]]</b:Attachment></b:Attachments>",
        "<e:Attachments><e:Attachment><e:DisplayName>x</e:DisplayName>\
           [[<e:AttSize>9</e:AttSize>]]</e:Attachment></e:Attachments>",
        "[[<e:MeetingRequest><e:InstanceType>1</e:InstanceType></e:MeetingRequest>]]",
    ];
    let meeting = [
        "[[<e:AllDayEvent>1</e:AllDayEvent>]]",
        "[[<e:InstanceType>1</e:InstanceType>]]",
        "[[<e:ResponseRequested>1</e:ResponseRequested>]]",
        "[[<e:BusyStatus>2</e:BusyStatus>]]",
        "[[<e:Sensitivity>2</e:Sensitivity>]]",
        "[[<e:Reminder>5</e:Reminder>]]",
        "[[<e:StartTime>2026-03-14T03:00:00.000Z</e:StartTime>]]",
        "[[<e:Recurrences><e:Recurrence><e:Type>1</e:Type></e:Recurrence></e:Recurrences>]]",
        "<e:Recurrences>[[<e:Recurrence><e:Type>1</e:Type></e:Recurrence>]]</e:Recurrences>",
    ];
    let appointment = [
        "[[<c:AllDayEvent>1</c:AllDayEvent>]]",
        "[[<c:BusyStatus>2</c:BusyStatus>]]",
        "[[<c:Sensitivity>2</c:Sensitivity>]]",
        "[[<c:MeetingStatus>1</c:MeetingStatus>]]",
        "[[<c:Reminder>5</c:Reminder>]]",
        "[[<c:StartTime>20260314T030000Z</c:StartTime>]]",
        "[[<c:Attendees><c:Attendee><c:Email>a@b</c:Email></c:Attendee></c:Attendees>]]",
        "<c:Attendees>[[<c:Attendee><c:Email>a@b</c:Email></c:Attendee>]]</c:Attendees>",
        "<c:Attendees><c:Attendee>[[<c:Email>a@b</c:Email>]]</c:Attendee></c:Attendees>",
        "[[<c:Recurrence><c:Type>1</c:Type></c:Recurrence>]]",
        "<c:Recurrence>[[<c:Type>1</c:Type>]]</c:Recurrence>",
    ];
    let task = [
        "[[<t:Complete>1</t:Complete>]]",
        "[[<t:Importance>2</t:Importance>]]",
        "[[<t:Sensitivity>2</t:Sensitivity>]]",
        "[[<t:DueDate>2026-03-14T03:00:00.000Z</t:DueDate>]]",
        "[[<t:Recurrence><t:Type>1</t:Type></t:Recurrence>]]",
    ];
    let templates = (message.iter().map(|one| format!("<e:Subject>x</e:Subject>{one}")))
        .chain(meeting.iter().map(|one| {
            format!("<e:Subject>x</e:Subject><e:MeetingRequest><e:Organizer>o</e:Organizer>{one}</e:MeetingRequest>")
        }))
        .chain(appointment.iter().map(|one| format!("<c:Subject>x</c:Subject>{one}")))
        .chain(task.iter().map(|one| format!("<t:Subject>x</t:Subject>{one}")));
    for template in templates {
        empty_is_absent(&sync_xml(&add_xml("5:1", &template)), owned_sync);
    }
    for prefix in ["c", "e", "t"] {
        let parts = [
            ("Interval", "2"),
            ("Occurrences", "3"),
            ("Until", "20270314T030000Z"),
            ("DayOfWeek", "4"),
            ("DayOfMonth", "5"),
            ("WeekOfMonth", "1"),
            ("MonthOfYear", "6"),
        ];
        for (name, value) in parts {
            let p = prefix;
            let rule = format!(
                "<{p}:Recurrence><{p}:Type>1</{p}:Type>[[<{p}:{name}>{value}</{p}:{name}>]]</{p}:Recurrence>"
            );
            let data = match p {
                "e" => format!(
                    "<e:MeetingRequest><e:Recurrences>{rule}</e:Recurrences></e:MeetingRequest>"
                ),
                _ => rule,
            };
            empty_is_absent(&sync_xml(&add_xml("5:1", &data)), owned_sync);
        }
    }
}

/// A Change in which a mark is empty says nothing of that mark. An empty Flag is not empty in this
/// sense: it clears the flag (MS-ASEMAIL, Flag).
#[test]
fn empty_marks_of_a_change_count_as_absent_and_an_empty_flag_clears() {
    let change = |data: &str| {
        sync_xml(&format!(
            "<Change><ServerId>5:1</ServerId><ApplicationData>{data}</ApplicationData></Change>"
        ))
    };
    empty_is_absent(&change("[[<e:Read>1</e:Read>]]"), owned_sync);
    for flag in [
        "<e:Flag/>",
        "<e:Flag>@@</e:Flag>",
        "<e:Flag><e:Status/></e:Flag>",
    ] {
        let body = encode(&change(flag));
        let answer = SyncAnswer::decode(&body).unwrap();
        let cleared = Change::Update {
            server_id: "5:1".into(),
            change: ItemChange::Email {
                read: None,
                flag: Some(Flag::default()),
            },
        };
        assert_eq!(answer.collections[0].changes, [cleared], "{flag}");
    }
}

#[test]
fn empty_optional_elements_of_answers_count_as_absent() {
    let text = |answer: &dyn Debug| format!("{answer:?}");
    for template in [
        "<Sync xmlns='AirSync'>[[<Status>4</Status>]]</Sync>",
        "<Sync xmlns='AirSync'><Status>14</Status>[[<Limit>60</Limit>]]</Sync>",
        "<Sync xmlns='AirSync'><Collections><Collection><SyncKey>2</SyncKey><CollectionId>5\
         </CollectionId>[[<Status>3</Status>]]</Collection></Collections></Sync>",
    ] {
        empty_is_absent(template, owned_sync);
    }
    empty_is_absent(
        "<FolderSync xmlns='FolderHierarchy'><Status>1</Status><SyncKey>1</SyncKey><Changes>\
         <Add><ServerId>5</ServerId><DisplayName>x</DisplayName>[[<Type>2</Type>]]</Add>\
         </Changes></FolderSync>",
        |body| FolderSyncAnswer::decode(body).map(|answer| text(&answer)),
    );
    for template in [
        "<Ping xmlns='Ping'><Status>5</Status>[[<HeartbeatInterval>60</HeartbeatInterval>]]</Ping>",
        "<Ping xmlns='Ping'><Status>6</Status>[[<MaxFolders>60</MaxFolders>]]</Ping>",
    ] {
        empty_is_absent(template, |body| {
            PingAnswer::decode(body).map(|answer| text(&answer))
        });
    }
    for template in [
        "<GetItemEstimate xmlns='GetItemEstimate'>[[<Status>2</Status>]]</GetItemEstimate>",
        "<GetItemEstimate xmlns='GetItemEstimate'><Response><Status>1</Status><Collection>\
         <CollectionId>5</CollectionId>[[<Estimate>3</Estimate>]]</Collection></Response></GetItemEstimate>",
    ] {
        empty_is_absent(template, |body| {
            EstimateAnswer::decode(body).map(|answer| text(&answer))
        });
    }
    for template in [
        "<Status>1</Status><Response><Store>[[<Status>3</Status>]]</Store></Response>",
        "<Status>1</Status><Response><Store>[[<Range>0-1</Range>]]</Store></Response>",
        "<Status>1</Status><Response><Store>[[<Total>9</Total>]]</Store></Response>",
    ] {
        empty_is_absent(
            &format!("<Search xmlns='Search'>{template}</Search>"),
            |body| SearchAnswer::decode(body).map(|answer| text(&answer)),
        );
    }
    empty_is_absent(
        "<ItemOperations xmlns='ItemOperations' xmlns:b='AirSyncBase'><Status>1</Status><Response>\
         <Fetch><Status>1</Status><Properties><b:ContentType>x/y</b:ContentType>\
         [[<Total>9</Total>]]</Properties></Fetch></Response></ItemOperations>",
        |body| ItemOperationsAnswer::decode(body).map(|answer| text(&answer)),
    );
    empty_is_absent(
        "<MoveItems xmlns='Move'>[[<Status>5</Status>]]</MoveItems>",
        |body| MoveItemsAnswer::decode(body).map(|answer| text(&answer)),
    );
    empty_is_absent(
        "<MeetingResponse xmlns='MeetingResponse'>[[<Status>2</Status>]]</MeetingResponse>",
        |body| MeetingResponseAnswer::decode(body).map(|answer| text(&answer)),
    );
    empty_is_absent(
        "<ResolveRecipients xmlns='ResolveRecipients'><Status>1</Status><Response><To>x</To>\
         <Status>1</Status><Recipient>[[<Type>1</Type>]]</Recipient></Response></ResolveRecipients>",
        |body| ResolveRecipientsAnswer::decode(body).map(|answer| text(&answer)),
    );
    for template in [
        "[[<Policy><PolicyType>x</PolicyType></Policy>]]",
        "<Policy><PolicyType>x</PolicyType>[[<Status>2</Status>]]</Policy>",
        "<Policy><PolicyType>x</PolicyType>[[<PolicyKey>7</PolicyKey>]]</Policy>",
    ] {
        empty_is_absent(
            &format!(
                "<Provision xmlns='Provision'><Status>1</Status><Policies>{template}</Policies></Provision>"
            ),
            |body| ProvisionAnswer::decode(body).map(|answer| text(&answer)),
        );
    }
    for template in [
        "<DeviceInformation>[[<Status>2</Status>]]</DeviceInformation>",
        "<Oof>[[<Status>2</Status>]]</Oof>",
        "<Oof>[[<Get><OofState>1</OofState></Get>]]</Oof>",
        "<Oof><Get><OofState>1</OofState>[[<StartTime>2026-03-14T03:00:00.000Z</StartTime>]]</Get></Oof>",
        "<Oof><Get><OofState>1</OofState>[[<EndTime>2026-03-14T03:00:00.000Z</EndTime>]]</Get></Oof>",
        "<UserInformation><Get>[[<EmailAddresses><SmtpAddress>a@b</SmtpAddress></EmailAddresses>]]\
         </Get></UserInformation>",
        "<UserInformation><Get><EmailAddresses>[[<SmtpAddress>a@b</SmtpAddress>]]</EmailAddresses>\
         </Get></UserInformation>",
    ] {
        empty_is_absent(
            &format!("<Settings xmlns='Settings'><Status>1</Status>{template}</Settings>"),
            |body| SettingsAnswer::decode(body).map(|answer| text(&answer)),
        );
    }
}

/// Captured from iOS: everything the user left out is an empty container.
#[test]
fn an_ios_appointment_with_empty_containers_does_not_repeat() {
    let body = include_bytes!("../../../tests/data/cases/a4-ios-appointment.wbxml");
    let request = SyncRequest::decode(body).unwrap();
    let ClientCommand::Add { data, .. } = &request.collections[0].commands[0] else {
        panic!("{request:?}");
    };
    let ItemData::Calendar(appointment) = data else {
        panic!("{data:?}");
    };
    assert_eq!(appointment.subject, "Test");
    assert_eq!(appointment.recurrence, None);
    assert_eq!(appointment.reminder, None);
    assert_eq!(appointment.attendees, []);
    for version in [
        ProtocolVersion::V2_5,
        ProtocolVersion::V14_1,
        ProtocolVersion::V16_1,
    ] {
        let again = to_xml(&request.encode(version).unwrap()).unwrap();
        for name in ["Recurrence", "Reminder", "Attendee"] {
            assert!(!again.contains(name), "{version:?}: {name}: {again}");
        }
        assert!(again.contains(">Test</Subject>"), "{again}");
    }
}

#[test]
fn a_rule_without_its_kind_is_an_error() {
    let body = encode(&sync_xml(&add_xml(
        "1:1",
        "<c:Recurrence><c:Interval>2</c:Interval></c:Recurrence>",
    )));
    let skipped = SyncAnswer::decode(&body)
        .unwrap()
        .collections
        .remove(0)
        .skipped;
    let kind = skipped.first.unwrap().kind;
    assert_eq!(kind.to_string(), "Calendar:Recurrence has no Calendar:Type");
}

/// Each document with one bad item before and one good item behind, and what the bad one lacks.
#[test]
fn one_bad_item_of_a_sync_answer_is_skipped_and_the_others_are_taken() {
    let good = add_xml("5:2", "<e:Subject>good</e:Subject>");
    for (bad, error) in [
        (
            add_xml(
                "5:1",
                "<e:Subject>x</e:Subject><e:Importance>high</e:Importance>",
            ),
            "Email:Importance: expected a number, found `high`",
        ),
        (
            add_xml("5:1", "<e:Subject><e:To>x</e:To></e:Subject>"),
            "Email:Subject must hold text only",
        ),
        (
            add_xml(
                "5:1",
                "<e:Subject>x</e:Subject><e:Importance>256</e:Importance>",
            ),
            "Email:Importance: expected a number, found `256`",
        ),
        (
            add_xml("5:1", "<e:Subject>x</e:Subject><e:Read>yes</e:Read>"),
            "Email:Read: expected 0 or 1, found `yes`",
        ),
        (
            add_xml(
                "5:1",
                "<b:Body><b:EstimatedDataSize>-1</b:EstimatedDataSize></b:Body><e:To>x</e:To>",
            ),
            "AirSyncBase:EstimatedDataSize: expected a number, found `-1`",
        ),
        (
            "<Add><ApplicationData><e:Subject>x</e:Subject></ApplicationData></Add>".to_owned(),
            "AirSync:Add has no AirSync:ServerId",
        ),
        (
            "<Change/>".to_owned(),
            "AirSync:Change has no AirSync:ServerId",
        ),
        (
            "<Delete><ServerId><Add/></ServerId></Delete>".to_owned(),
            "AirSync:ServerId must hold text only",
        ),
    ] {
        let body = encode(&sync_xml(&format!("{bad}{good}{bad}")));
        let answer = SyncAnswer::decode(&body).unwrap();
        let collection = &answer.collections[0];
        assert_eq!(collection.sync_key, "2", "{bad}");
        assert_eq!(collection.skipped.count, 2, "{bad}");
        let first = collection.skipped.first.as_ref().unwrap();
        assert_eq!(first.kind.to_string(), error, "{bad}");
        let [Change::Add { server_id, data }] = &*collection.changes else {
            panic!("{bad}: {collection:?}");
        };
        assert_eq!(server_id, "5:2");
        assert_eq!(data.as_email().unwrap().subject, "good");
        assert!(answer.skipped.is_empty());
    }
    let sound = encode(&sync_xml(&good));
    let answer = SyncAnswer::decode(&sound).unwrap();
    assert_eq!(answer.collections[0].skipped, Skipped::default());
}

#[test]
fn a_skipped_item_is_described_with_its_number_and_its_reason() {
    let bad = add_xml("5:1", "<e:Importance>high</e:Importance>");
    let body = encode(&sync_xml(&bad));
    let one = SyncAnswer::decode(&body)
        .unwrap()
        .collections
        .remove(0)
        .skipped;
    let offset = one.first.as_ref().unwrap().offset;
    assert_eq!(
        one.to_string(),
        format!(
            "skipped 1 bad item: Email:Importance: expected a number, found `high` (byte {offset} of the body)"
        )
    );
    let body = encode(&sync_xml(&format!("{bad}{bad}")));
    let two = SyncAnswer::decode(&body)
        .unwrap()
        .collections
        .remove(0)
        .skipped;
    assert!(
        two.to_string().starts_with("skipped 2 bad items: Email:"),
        "{two}"
    );
}

/// Command, a document with a bad item and a good one, and the decoder's view: skipped and taken.
#[test]
fn one_bad_item_of_any_answer_is_skipped_and_the_others_are_taken() {
    type Counts = fn(&[u8]) -> (usize, usize);
    let cases: [(&str, Counts); 9] = [
        (
            "<Sync xmlns='AirSync'><Collections><Collection><SyncKey><Status/></SyncKey></Collection>\
             <Collection><SyncKey>2</SyncKey><CollectionId>5</CollectionId></Collection></Collections></Sync>",
            |body| {
                let answer = SyncAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.collections.len())
            },
        ),
        (
            "<Sync xmlns='AirSync'><Collections><Collection><SyncKey>2</SyncKey><CollectionId>5</CollectionId>\
             <Responses><Add><ClientId>1</ClientId><Status/></Add>\
             <Add><ClientId>2</ClientId><Status>1</Status></Add></Responses></Collection></Collections></Sync>",
            |body| {
                let answer = SyncAnswer::decode(body).unwrap();
                let collection = &answer.collections[0];
                (collection.skipped.count, collection.responses.len())
            },
        ),
        (
            "<FolderSync xmlns='FolderHierarchy'><Status>1</Status><SyncKey>1</SyncKey><Changes>\
             <Add><ServerId>4</ServerId><Type>mail</Type></Add><Add><ServerId>5</ServerId><Type>2</Type></Add>\
             </Changes></FolderSync>",
            |body| {
                let answer = FolderSyncAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.added.len())
            },
        ),
        (
            "<FolderSync xmlns='FolderHierarchy'><Status>1</Status><SyncKey>1</SyncKey><Changes>\
             <Delete/><Delete><ServerId>5</ServerId></Delete></Changes></FolderSync>",
            |body| {
                let answer = FolderSyncAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.deleted.len())
            },
        ),
        (
            "<Search xmlns='Search' xmlns:e='Email'><Status>1</Status><Response><Store><Status>1</Status>\
             <Result><Properties><e:Importance>x</e:Importance></Properties></Result>\
             <Result><Properties><e:Importance>1</e:Importance></Properties></Result>\
             </Store></Response></Search>",
            |body| {
                let answer = SearchAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.results.len())
            },
        ),
        (
            "<ItemOperations xmlns='ItemOperations'><Status>1</Status><Response><Fetch><Status/></Fetch>\
             <Fetch><Status>6</Status></Fetch></Response></ItemOperations>",
            |body| {
                let answer = ItemOperationsAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.fetches.len())
            },
        ),
        (
            "<GetItemEstimate xmlns='GetItemEstimate'><Response><Status/></Response>\
             <Response><Status>1</Status></Response></GetItemEstimate>",
            |body| {
                let answer = EstimateAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.estimates.len())
            },
        ),
        (
            "<MoveItems xmlns='Move'><Response><Status>x</Status></Response>\
             <Response><Status>3</Status></Response></MoveItems>",
            |body| {
                let answer = MoveItemsAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.responses.len())
            },
        ),
        (
            "<ResolveRecipients xmlns='ResolveRecipients'><Status>1</Status><Response/>\
             <Response><To>x</To><Status>4</Status></Response></ResolveRecipients>",
            |body| {
                let answer = ResolveRecipientsAnswer::decode(body).unwrap();
                (answer.skipped.count, answer.responses.len())
            },
        ),
    ];
    for (xml, counts) in cases {
        assert_eq!(counts(&encode(xml)), (1, 1), "{xml}");
    }
    let results = encode(
        "<MeetingResponse xmlns='MeetingResponse'><Result><Status/></Result>\
         <Result><Status>1</Status></Result></MeetingResponse>",
    );
    let answer = MeetingResponseAnswer::decode(&results).unwrap();
    assert_eq!((answer.skipped.count, answer.results.len()), (1, 1));
}

/// What is wrong inside the item is broken WBXML here, so nobody knows where the item ends.
#[test]
fn broken_wbxml_inside_an_item_stays_an_error_of_the_whole_body() {
    let good = encode(&sync_xml(&add_xml("5:1", "<e:Subject>@good@</e:Subject>")));
    let at = good.windows(6).position(|part| part == b"@good@").unwrap();
    let with = |byte: u8| {
        let mut body = good.clone();
        body[at] = byte;
        body
    };
    assert!(SyncAnswer::decode(&with(b'x')).is_ok());
    let broken = [
        (with(0xFF), DecodeErrorKind::InvalidUtf8),
        (good[..at + 3].to_vec(), DecodeErrorKind::UnterminatedString),
        (good[..at + 8].to_vec(), DecodeErrorKind::Truncated),
    ];
    for (body, kind) in broken {
        assert_eq!(SyncAnswer::decode(&body).unwrap_err().kind, kind);
    }
}

/// A required element of the whole answer is nobody's item.
#[test]
fn an_empty_status_of_the_whole_command_is_an_error() {
    let body = encode("<Ping xmlns='Ping'><Status/></Ping>");
    let error = PingAnswer::decode(&body).unwrap_err().kind.to_string();
    assert_eq!(error, "Ping:Ping has no Ping:Status");
}

#[test]
fn a_policy_key_is_a_text_of_at_most_64_characters() {
    let with = |key: &str| {
        encode(&format!(
            "<Provision xmlns='Provision'><Status>1</Status><Policies><Policy><PolicyType>x</PolicyType>\
             <PolicyKey>{key}</PolicyKey></Policy></Policies></Provision>"
        ))
    };
    let longest = "{0f8fad5b-d9cb-469f-a165-70867728950e}-0123456789-0123456789-ABCD";
    assert_eq!(longest.len() - 1, POLICY_KEY_LENGTH);
    for key in ["1307199584", "4294967296", "0123", "ü", &longest[1..]] {
        let body = with(key);
        let policy = ProvisionAnswer::decode(&body).unwrap().policy.unwrap();
        assert_eq!(policy.key.as_deref(), Some(key));
        let acknowledge = ProvisionRequest::acknowledge(ProtocolVersion::V14_1, key);
        let body = acknowledge.encode().unwrap();
        assert_eq!(ProvisionRequest::decode(&body).unwrap(), acknowledge);
    }
    let body = with(longest);
    let error = ProvisionAnswer::decode(&body).unwrap_err().kind.to_string();
    assert_eq!(
        error,
        "Provision:PolicyKey: expected a policy key of at most 64 characters, found \
         `{0f8fad5b-d9cb-469f-a165-70867728950e}-0`"
    );
}
