//! Requests that their commands refuse for their schema, and one of each command that it accepts.

/// A request that its command refuses for its schema, and every Status of the answer.
pub(super) struct Refused {
    pub(super) command: &'static str,
    pub(super) statuses: &'static [&'static str],
    /// The element of the request, with its namespace.
    pub(super) root: &'static str,
    pub(super) namespace: &'static str,
    /// What stands in the root element.
    pub(super) inner: &'static [&'static str],
}

const LONG_NAME: &str =
    "<ParentId>0</ParentId><Type>12</Type><SyncKey>1</SyncKey><DisplayName>LONG</DisplayName>";

pub(super) const REFUSED: &[Refused] = &[
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
pub(super) const ACCEPTED: &[(&str, &str, &[&str])] = &[
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
