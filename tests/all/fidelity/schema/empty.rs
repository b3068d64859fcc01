//! Empty optional elements of requests are answered as if they were absent.

use super::super::phone::Phone;
use crate::fixtures::mock;

/// A request with `{}` where optional elements stand.
struct Request {
    command: &'static str,
    xml: &'static str,
    /// Every Status of the answer without the elements.
    statuses: &'static [&'static str],
    elements: &'static [&'static str],
}

const REQUESTS: &[Request] = &[
    Request {
        command: "Sync",
        xml: r#"<Sync xmlns="AirSync" xmlns:b="AirSyncBase"><Collections><Collection><SyncKey>0</SyncKey>
                <CollectionId>5</CollectionId>{}</Collection></Collections></Sync>"#,
        statuses: &["1"],
        elements: &[
            "<WindowSize/>",
            "<ConversationMode/>",
            "<DeletesAsMoves/>",
            "<Class/>",
            "<Options/>",
            "<Options><FilterType/></Options>",
            "<Options><Class/><Conflict/><MIMESupport/><MIMETruncation/><Truncation/></Options>",
            "<Options><b:BodyPreference/></Options>",
            "<Options><b:BodyPreference><b:Type>1</b:Type><b:TruncationSize/><b:AllOrNone/><b:Preview/>
             </b:BodyPreference></Options>",
            "<Commands/>",
        ],
    },
    Request {
        command: "Sync",
        xml: r#"<Sync xmlns="AirSync"><Collections><Collection><SyncKey>0</SyncKey>
                <CollectionId>5</CollectionId></Collection></Collections>{}</Sync>"#,
        statuses: &["1"],
        elements: &["<Wait/>", "<HeartbeatInterval/>", "<WindowSize/>"],
    },
    Request {
        command: "GetItemEstimate",
        xml: r#"<GetItemEstimate xmlns="GetItemEstimate" xmlns:a="AirSync"><Collections><Collection>
                <a:SyncKey>7</a:SyncKey><CollectionId>5</CollectionId>{}</Collection></Collections>
                </GetItemEstimate>"#,
        statuses: &["4"],
        elements: &[
            "<a:Options/>",
            "<a:Options><a:FilterType/><a:Class/></a:Options>",
        ],
    },
    Request {
        command: "Search",
        xml: r#"<Search xmlns="Search" xmlns:b="AirSyncBase"><Store><Name>GAL</Name><Query>load1</Query>
                {}</Store></Search>"#,
        statuses: &["1", "1"],
        elements: &[
            "<Options/>",
            "<Options><Range/></Options>",
            "<Options><b:BodyPreference/></Options>",
        ],
    },
    Request {
        command: "Search",
        xml: r#"<Search xmlns="Search" xmlns:a="AirSync"><Store><Name>Mailbox</Name><Query><And>
                <FreeText>nothing</FreeText>{}</And></Query></Store></Search>"#,
        statuses: &["1", "1"],
        elements: &[
            "<a:Class/>",
            "<a:CollectionId/>",
            "<ConversationId/>",
            "<GreaterThan/>",
            "<LessThan/>",
            "<Or/>",
        ],
    },
    Request {
        command: "ItemOperations",
        xml: r#"<ItemOperations xmlns="ItemOperations" xmlns:a="AirSync" xmlns:b="AirSyncBase"
                xmlns:s="Search"><Fetch><Store>Mailbox</Store><a:CollectionId>5</a:CollectionId>
                <a:ServerId>5:999</a:ServerId>{}</Fetch></ItemOperations>"#,
        statuses: &["1", "6"],
        elements: &[
            "<s:LongId/>",
            "<b:FileReference/>",
            "<Options/>",
            "<Options><Range/><a:MIMESupport/><b:BodyPreference/></Options>",
        ],
    },
    Request {
        command: "MeetingResponse",
        xml: r#"<MeetingResponse xmlns="MeetingResponse"><Request><UserResponse>1</UserResponse>
                <CollectionId>5</CollectionId><RequestId>5:999</RequestId>{}</Request></MeetingResponse>"#,
        statuses: &["2"],
        elements: &["<InstanceId/>"],
    },
    Request {
        command: "Settings",
        xml: r#"<Settings xmlns="Settings"><Oof><Set><OofState>0</OofState>{}</Set></Oof></Settings>"#,
        statuses: &["1", "1"],
        elements: &[
            "<StartTime/>",
            "<EndTime/>",
            "<OofMessage/>",
            "<OofMessage><AppliesToInternal/><Enabled/><ReplyMessage/><BodyType/></OofMessage>",
        ],
    },
    Request {
        command: "ValidateCert",
        xml: r#"<ValidateCert xmlns="ValidateCert"><Certificates><Certificate>MIIB</Certificate>
                </Certificates>{}</ValidateCert>"#,
        statuses: &["1", "4"],
        elements: &["<CheckCRL/>", "<CertificateChain/>"],
    },
];

#[tokio::test]
async fn empty_optional_elements_are_answered_as_absent_ones() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    for request in REQUESTS {
        let (command, statuses) = (request.command, request.statuses);
        let absent = phone.request(command, &request.xml.replace("{}", "")).await;
        assert_eq!(absent.statuses(), statuses, "{command}");
        for element in request.elements {
            let xml = request.xml.replace("{}", element);
            let answer = phone.request(command, &xml).await;
            assert_eq!(answer.statuses(), statuses, "{command}: {element}");
        }
    }
    mock.shutdown().await;
}
