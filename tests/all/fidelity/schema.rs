//! Well-formed WBXML with wrong elements or values gets the command's own status, or 103 if it has none
//! (MS-ASCMD 2.2.2). Only a body that cannot be decoded gets 102.

use eas::wbxml::from_xml;
use mock_server::FrontDoor;

use super::phone::{DEVICE_INFORMATION, Phone};
use crate::fixtures::mock;

/// A request that its command refuses for its schema, and every Status of the answer.
struct Refused {
    command: &'static str,
    statuses: &'static [&'static str],
    /// The element of the request, with its namespace.
    root: &'static str,
    namespace: &'static str,
    /// What stands in the root element.
    inner: &'static [&'static str],
}

const LONG_NAME: &str =
    "<ParentId>0</ParentId><Type>12</Type><SyncKey>1</SyncKey><DisplayName>LONG</DisplayName>";

const REFUSED: &[Refused] = &[
    Refused {
        command: "Sync",
        statuses: &["4"],
        root: "Sync",
        namespace: "AirSync",
        inner: &[
            "",
            "<Collections/>",
            "<Collections><Collection><CollectionId>5</CollectionId></Collection></Collections>",
            "<Collections><Collection><SyncKey>0</SyncKey></Collection></Collections>",
            r#"<Collections><Collection><SyncKey xmlns="FolderHierarchy">0</SyncKey>
               <CollectionId>5</CollectionId></Collection></Collections>"#,
            "<Collections><Collection><SyncKey><Add/></SyncKey><CollectionId>5</CollectionId></Collection>
             </Collections>",
            "<Collections><Collection><SyncKey>0</SyncKey><CollectionId>5</CollectionId></Collection>
             </Collections><Wait>abc</Wait>",
            "<Collections><Collection><SyncKey>1</SyncKey><CollectionId>5</CollectionId><Commands><Delete/>
             </Commands></Collection></Collections>",
        ],
    },
    Refused {
        command: "FolderSync",
        statuses: &["10"],
        root: "FolderSync",
        namespace: "FolderHierarchy",
        inner: &[
            "",
            "<Status>1</Status>",
            r#"<SyncKey xmlns="AirSync">0</SyncKey>"#,
            "<SyncKey><Type>1</Type></SyncKey>",
        ],
    },
    Refused {
        command: "FolderCreate",
        statuses: &["10"],
        root: "FolderCreate",
        namespace: "FolderHierarchy",
        inner: &[
            "",
            "<ParentId>0</ParentId><DisplayName>a</DisplayName><Type>12</Type>",
            "<SyncKey>1</SyncKey><DisplayName>a</DisplayName><Type>12</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><Type>12</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName/><Type>12</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName><Type>abc</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName><Type>300</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName><Type>-1</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName><Type>2</Type>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName><Type>99</Type>",
            LONG_NAME,
        ],
    },
    Refused {
        command: "FolderUpdate",
        statuses: &["10"],
        root: "FolderUpdate",
        namespace: "FolderHierarchy",
        inner: &[
            "",
            "<ServerId>5</ServerId><ParentId>0</ParentId><DisplayName>a</DisplayName>",
            "<SyncKey>1</SyncKey><ParentId>0</ParentId><DisplayName>a</DisplayName>",
            "<SyncKey>1</SyncKey><ServerId>5</ServerId><DisplayName>a</DisplayName>",
            "<SyncKey>1</SyncKey><ServerId>5</ServerId><ParentId>0</ParentId>",
            "<SyncKey>1</SyncKey><ServerId>5</ServerId><ParentId>0</ParentId><DisplayName/>",
            "<SyncKey>1</SyncKey><ServerId>5</ServerId><ParentId>0</ParentId><DisplayName>LONG</DisplayName>",
        ],
    },
    Refused {
        command: "FolderDelete",
        statuses: &["10"],
        root: "FolderDelete",
        namespace: "FolderHierarchy",
        inner: &["", "<ServerId>5</ServerId>", "<SyncKey>1</SyncKey>"],
    },
    Refused {
        command: "GetItemEstimate",
        statuses: &["103"],
        root: "GetItemEstimate",
        namespace: "GetItemEstimate",
        inner: &[
            "",
            "<Collections/>",
            "<Collections><Collection><CollectionId>5</CollectionId></Collection></Collections>",
            r#"<Collections><Collection><SyncKey xmlns="AirSync">1</SyncKey></Collection></Collections>"#,
            r#"<Collections><Collection><SyncKey xmlns="AirSync">1</SyncKey><CollectionId>5</CollectionId>
               <Options xmlns="AirSync"><Class>Nonsense</Class></Options></Collection></Collections>"#,
        ],
    },
    Refused {
        command: "Ping",
        statuses: &["4"],
        root: "Ping",
        namespace: "Ping",
        inner: &[
            "",
            "<HeartbeatInterval>abc</HeartbeatInterval><Folders><Folder><Id>5</Id><Class>Email</Class>
             </Folder></Folders>",
            "<HeartbeatInterval/><Folders><Folder><Id>5</Id><Class>Email</Class></Folder></Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders/>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder/></Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder><Class>Email</Class></Folder>
             </Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder><Id>5</Id></Folder></Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder><Id/><Class>Email</Class></Folder>
             </Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder><Id>LONG</Id><Class>Email</Class>
             </Folder></Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder><Id>5</Id><Class>Nonsense</Class>
             </Folder></Folders>",
            "<HeartbeatInterval>600</HeartbeatInterval><Folders><Folder><Id>5</Id><Class>Email</Class>
             </Folder><Folder><Id>1</Id><Class/></Folder></Folders>",
        ],
    },
    Refused {
        command: "Provision",
        statuses: &["2"],
        root: "Provision",
        namespace: "Provision",
        inner: &[
            "",
            "<Policies/>",
            "<Policies><Policy/></Policies>",
            "<Policies><Policy><PolicyType/></Policy></Policies>",
            "<Policies><Policy><PolicyKey>1</PolicyKey><Status>1</Status></Policy></Policies>",
            "<Policies><Policy><PolicyType>MS-EAS-Provisioning-WBXML</PolicyType><PolicyKey>1</PolicyKey>
             </Policy></Policies>",
            "<Policies><Policy><PolicyType>MS-EAS-Provisioning-WBXML</PolicyType><PolicyKey>1</PolicyKey>
             <Status>9</Status></Policy></Policies>",
            "<RemoteWipe/>",
            "<RemoteWipe><Status>3</Status></RemoteWipe>",
            "<RemoteWipe><Status>abc</Status></RemoteWipe>",
        ],
    },
    Refused {
        command: "Settings",
        statuses: &["2"],
        root: "Settings",
        namespace: "Settings",
        inner: &[
            "",
            "<Oof/>",
            "<UserInformation/>",
            "<DeviceInformation/>",
            "<RightsManagementInformation/>",
            "<Oof><Set><OofState>7</OofState></Set></Oof>",
            "<Oof><Set><OofState>on</OofState></Set></Oof>",
        ],
    },
    Refused {
        command: "ItemOperations",
        statuses: &["2"],
        root: "ItemOperations",
        namespace: "ItemOperations",
        inner: &[
            "",
            "<Fetch/>",
            r#"<Fetch><ServerId xmlns="AirSync">5:1</ServerId></Fetch>"#,
            r#"<Fetch><Store>Mailbox</Store><ServerId xmlns="AirSync">5:1</ServerId>
               <Options><Range>all</Range></Options></Fetch>"#,
            "<EmptyFolderContents/>",
            r#"<Move><ConversationId>abc</ConversationId></Move>"#,
        ],
    },
    // The status of the whole, and that of the store.
    Refused {
        command: "Search",
        statuses: &["1", "2"],
        root: "Search",
        namespace: "Search",
        inner: &[
            "",
            "<Store/>",
            "<Store><Query>load</Query></Store>",
            "<Store><Name>Nonsense</Name><Query>load</Query></Store>",
            "<Store><Name>GAL</Name></Store>",
            "<Store><Name>GAL</Name><Query>load</Query><Options><Range>first</Range></Options></Store>",
        ],
    },
    Refused {
        command: "MoveItems",
        statuses: &["103"],
        root: "MoveItems",
        namespace: "Move",
        inner: &[
            "",
            "<Move/>",
            "<Move><SrcFldId>5</SrcFldId><DstFldId>2</DstFldId></Move>",
            "<Move><SrcMsgId>5:1</SrcMsgId><DstFldId>2</DstFldId></Move>",
            "<Move><SrcMsgId>5:1</SrcMsgId><SrcFldId>5</SrcFldId></Move>",
        ],
    },
    Refused {
        command: "MeetingResponse",
        statuses: &["2"],
        root: "MeetingResponse",
        namespace: "MeetingResponse",
        inner: &[
            "",
            "<Request/>",
            "<Request><UserResponse>9</UserResponse><CollectionId>5</CollectionId><RequestId>5:1</RequestId>
             </Request>",
            "<Request><UserResponse>0</UserResponse><CollectionId>5</CollectionId><RequestId>5:1</RequestId>
             </Request>",
            "<Request><UserResponse>yes</UserResponse><CollectionId>5</CollectionId>
             <RequestId>5:1</RequestId></Request>",
            "<Request><CollectionId>5</CollectionId><RequestId>5:1</RequestId></Request>",
            "<Request><UserResponse>1</UserResponse><CollectionId>5</CollectionId></Request>",
        ],
    },
    Refused {
        command: "SendMail",
        statuses: &["103"],
        root: "SendMail",
        namespace: "ComposeMail",
        inner: &[
            "",
            "<ClientId>c1</ClientId>",
            "<ClientId>c1</ClientId><SaveInSentItems/>",
            "<Mime>To: load1@lab.example</Mime>",
            "<ClientId/><Mime>To: load1@lab.example</Mime>",
            "<ClientId>12345678901234567890123456789012345678901</ClientId><Mime>To: load1@lab.example</Mime>",
            "<ClientId>c1</ClientId><SaveInSentItems>yes</SaveInSentItems><Mime>To: load1@lab.example</Mime>",
        ],
    },
    Refused {
        command: "SmartReply",
        statuses: &["103"],
        root: "SmartReply",
        namespace: "ComposeMail",
        inner: &[
            "",
            "<ClientId>c1</ClientId><Mime>To: load1@lab.example</Mime>",
            "<ClientId>c1</ClientId><Source/><Mime>To: load1@lab.example</Mime>",
            "<ClientId>c1</ClientId><Source><ItemId>5:1</ItemId></Source><Mime>To: a@lab.example</Mime>",
            "<ClientId>c1</ClientId><Source><FolderId>5</FolderId><ItemId>5:1</ItemId></Source>",
            "<Source><FolderId>5</FolderId><ItemId>5:1</ItemId></Source><Mime>To: a@lab.example</Mime>",
        ],
    },
    Refused {
        command: "SmartForward",
        statuses: &["103"],
        root: "SmartForward",
        namespace: "ComposeMail",
        inner: &[
            "",
            "<ClientId>c1</ClientId><Mime>To: load1@lab.example</Mime>",
            "<ClientId>12345678901234567890123456789012345678901</ClientId><Source><FolderId>5</FolderId>
             <ItemId>5:1</ItemId></Source><Mime>To: a@lab.example</Mime>",
        ],
    },
    Refused {
        command: "ResolveRecipients",
        statuses: &["5"],
        root: "ResolveRecipients",
        namespace: "ResolveRecipients",
        inner: &[
            "",
            "<To/>",
            "<To>load1</To><Options><Availability/></Options>",
            "<To>load1</To><Options><Availability><StartTime>2026-03-14T00:00:00.000Z</StartTime>
             </Availability></Options>",
            "<To>load1</To><Options><Availability><StartTime>2026-03-14T00:00:00.000Z</StartTime>
             <EndTime>noon</EndTime></Availability></Options>",
            "<To>load1</To><Options><Availability><StartTime>noon</StartTime>
             <EndTime>2026-03-14T00:00:00.000Z</EndTime></Availability></Options>",
            "<To>load1</To><Options><Availability><StartTime>2026-03-14T01:00:00.000Z</StartTime>
             <EndTime>2026-03-14T00:00:00.000Z</EndTime></Availability></Options>",
        ],
    },
    Refused {
        command: "ValidateCert",
        statuses: &["2"],
        root: "ValidateCert",
        namespace: "ValidateCert",
        inner: &[
            "",
            "<Certificates/>",
            "<CheckCRL>1</CheckCRL>",
            "<Certificates><Certificate>MIIB</Certificate></Certificates><CheckCRL>maybe</CheckCRL>",
        ],
    },
];

/// A request of each command whose schema is right, and every Status of its answer; `-` for an answer
/// without a body.
const ACCEPTED: &[(&str, &str, &[&str])] = &[
    (
        "Sync",
        r#"<Sync xmlns="AirSync"><Collections><Collection><SyncKey>0</SyncKey><CollectionId>5</CollectionId>
           </Collection></Collections></Sync>"#,
        &["1"],
    ),
    (
        "FolderSync",
        r#"<FolderSync xmlns="FolderHierarchy"><SyncKey>0</SyncKey></FolderSync>"#,
        &["1"],
    ),
    (
        "FolderCreate",
        r#"<FolderCreate xmlns="FolderHierarchy"><SyncKey>1</SyncKey><ParentId>77</ParentId>
           <DisplayName>a</DisplayName><Type>12</Type></FolderCreate>"#,
        &["5"],
    ),
    (
        "FolderUpdate",
        r#"<FolderUpdate xmlns="FolderHierarchy"><SyncKey>1</SyncKey><ServerId>77</ServerId>
           <ParentId>0</ParentId><DisplayName>a</DisplayName></FolderUpdate>"#,
        &["4"],
    ),
    (
        "FolderDelete",
        r#"<FolderDelete xmlns="FolderHierarchy"><SyncKey>1</SyncKey><ServerId>77</ServerId></FolderDelete>"#,
        &["4"],
    ),
    (
        "GetItemEstimate",
        r#"<GetItemEstimate xmlns="GetItemEstimate"><Collections><Collection>
           <SyncKey xmlns="AirSync">1</SyncKey><CollectionId>77</CollectionId></Collection></Collections>
           </GetItemEstimate>"#,
        &["2"],
    ),
    (
        "Ping",
        r#"<Ping xmlns="Ping"><HeartbeatInterval>1</HeartbeatInterval><Folders><Folder><Id>5</Id>
           <Class>Email</Class></Folder></Folders></Ping>"#,
        &["1"],
    ),
    (
        "Provision",
        r#"<Provision xmlns="Provision"><Policies><Policy><PolicyType>MS-EAS-Provisioning-WBXML</PolicyType>
           <PolicyKey>1</PolicyKey><Status>1</Status></Policy></Policies></Provision>"#,
        &["1", "5"],
    ),
    (
        "Settings",
        r#"<Settings xmlns="Settings"><UserInformation><Get/></UserInformation></Settings>"#,
        &["1", "1"],
    ),
    (
        "ItemOperations",
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <ServerId xmlns="AirSync">5:77</ServerId></Fetch></ItemOperations>"#,
        &["1", "6"],
    ),
    (
        "Search",
        r#"<Search xmlns="Search"><Store><Name>GAL</Name><Query>load</Query></Store></Search>"#,
        &["1", "1"],
    ),
    (
        "MoveItems",
        r#"<MoveItems xmlns="Move"><Move><SrcMsgId>5:77</SrcMsgId><SrcFldId>5</SrcFldId>
           <DstFldId>2</DstFldId></Move></MoveItems>"#,
        &["1"],
    ),
    (
        "MeetingResponse",
        r#"<MeetingResponse xmlns="MeetingResponse"><Request><UserResponse>3</UserResponse>
           <CollectionId>5</CollectionId><RequestId>5:77</RequestId></Request></MeetingResponse>"#,
        &["2"],
    ),
    (
        "SendMail",
        r#"<SendMail xmlns="ComposeMail"><ClientId>1234567890123456789012345678901234567890</ClientId>
           <Mime><![CDATA[To: load1@lab.example

text]]></Mime></SendMail>"#,
        &["-"],
    ),
    (
        "SmartReply",
        r#"<SmartReply xmlns="ComposeMail"><ClientId>c2</ClientId><Source><FolderId>5</FolderId>
           <ItemId>5:77</ItemId></Source><Mime><![CDATA[To: load1@lab.example

text]]></Mime></SmartReply>"#,
        &["150"],
    ),
    (
        "SmartForward",
        r#"<SmartForward xmlns="ComposeMail"><ClientId>c3</ClientId><Source><FolderId>5</FolderId>
           <ItemId>5:77</ItemId></Source><Mime><![CDATA[To: load1@lab.example

text]]></Mime></SmartForward>"#,
        &["150"],
    ),
    (
        "ResolveRecipients",
        r#"<ResolveRecipients xmlns="ResolveRecipients"><To>load1</To></ResolveRecipients>"#,
        &["1", "1"],
    ),
    (
        "ValidateCert",
        r#"<ValidateCert xmlns="ValidateCert"><Certificates><Certificate>MIIB</Certificate></Certificates>
           </ValidateCert>"#,
        &["1", "4"],
    ),
];

/// The XML of a refused request; `LONG` is a name or an id that is too long.
fn xml(refused: &Refused, inner: &str) -> String {
    let (root, namespace) = (refused.root, refused.namespace);
    let inner = inner.replace("LONG", &"ä".repeat(257));
    format!(r#"<{root} xmlns="{namespace}">{inner}</{root}>"#)
}

async fn phone(mock: &FrontDoor) -> Phone {
    Phone::ready(mock, "load1").await.0
}

#[tokio::test]
async fn a_wrong_schema_gets_the_commands_own_status_or_103() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    for refused in REFUSED {
        for inner in refused.inner {
            let xml = xml(refused, inner);
            let answer = phone.request(refused.command, &xml).await;
            assert_eq!(
                answer.statuses(),
                refused.statuses,
                "{}: {xml}",
                refused.command
            );
        }
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn another_root_element_and_an_empty_body_are_a_wrong_schema() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    for refused in REFUSED {
        let command = refused.command;
        for other in [
            r#"<Subject xmlns="Notes">a</Subject>"#,
            r#"<Status xmlns="Find">1</Status>"#,
        ] {
            let answer = phone.request(command, other).await;
            assert_eq!(answer.statuses(), refused.statuses, "{command}: {other}");
        }
        // Sync and Ping repeat what the server has kept of the last one.
        if !matches!(command, "Sync" | "Ping") {
            let answer = phone.request_bytes(command, b"").await;
            assert_eq!(answer.statuses(), refused.statuses, "{command}: no body");
        }
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_gets_102_from_every_command() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    for (command, xml, _) in ACCEPTED {
        let whole = from_xml(xml).unwrap();
        let cut = &whole[..whole.len() - 1];
        let mut trailing = whole.clone();
        trailing.push(0x05);
        let mut attributes = whole.clone();
        // The root element has content; with bit 7 it has attributes too.
        let root = attributes
            .iter()
            .skip(4)
            .position(|byte| byte & 0xC0 == 0x40);
        attributes[4 + root.unwrap()] |= 0x80;
        for body in [b"<html>", cut, &trailing, &attributes, &[0; 8]] {
            let answer = phone.request_bytes(command, body).await;
            assert_eq!(answer.statuses(), ["102"], "{command}: {body:02x?}");
        }
    }
    // The first fault is one of the schema, and the rest cannot be decoded.
    for refused in REFUSED {
        let whole = from_xml(&xml(refused, refused.inner[1])).unwrap();
        let cut = &whole[..whole.len() - 1];
        let answer = phone.request_bytes(refused.command, cut).await;
        assert_eq!(answer.statuses(), ["102"], "{}", refused.command);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_right_schema_is_answered_by_every_command() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    for (command, xml, statuses) in ACCEPTED {
        let answer = phone.request(command, xml).await;
        if *statuses == ["-"] {
            answer.assert_empty();
        } else {
            assert_eq!(answer.statuses(), *statuses, "{command}");
        }
    }
    mock.shutdown().await;
}

/// Own statuses are those of every version; the common ones are HTTP statuses before 14.0.
#[tokio::test]
async fn before_14_0_a_wrong_schema_is_400_where_the_command_has_no_status_of_its_own() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    phone.version = "12.1";
    for refused in REFUSED {
        if refused.root.starts_with('S') && refused.namespace == "ComposeMail" {
            continue; // The body is the message.
        }
        let xml = xml(refused, refused.inner[1]);
        let answer = phone.request(refused.command, &xml).await;
        if refused.statuses == ["103"] {
            assert_eq!(answer.status, 400, "{}", refused.command);
        } else {
            assert_eq!(answer.statuses(), refused.statuses, "{}", refused.command);
        }
        let cut = from_xml(&xml).unwrap();
        let answer = phone
            .request_bytes(refused.command, &cut[..cut.len() - 1])
            .await;
        assert_eq!(answer.status, 400, "{}", refused.command);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn more_than_100_certificates_are_refused() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    let request = |count: usize| {
        let list = "<Certificate>MIIB</Certificate>".repeat(count);
        format!(
            r#"<ValidateCert xmlns="ValidateCert"><Certificates>{list}</Certificates></ValidateCert>"#
        )
    };
    let most = phone.request("ValidateCert", &request(100)).await;
    assert_eq!(most.statuses().len(), 101);
    let refused = phone.request("ValidateCert", &request(101)).await;
    assert_eq!(refused.statuses(), ["2"]);
    mock.shutdown().await;
}

/// An empty DeviceInformation is none.
#[tokio::test]
async fn provision_answers_device_information_where_it_was_sent() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    let status = super::raw::texts_of(&asked, "/Provision/DeviceInformation/Status");
    assert_eq!(status, ["1"], "{asked}");
    let temporary = super::raw::text_of(&asked, "Policy/PolicyKey");
    let done = phone.acknowledge_policy(&temporary).await.xml();
    assert_eq!(
        super::raw::texts_of(&done, "DeviceInformation").len(),
        0,
        "{done}"
    );
    let empty = phone
        .ask_policy(r#"<DeviceInformation xmlns="Settings"/>"#)
        .await;
    assert_eq!(empty.statuses(), ["165"]);
    mock.shutdown().await;
}
