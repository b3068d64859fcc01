//! Every element of every code page is in a body this crate writes, or is known not to be.

mod samples;

use std::collections::BTreeSet;

use eas::wbxml::{Event, PAGES, Reader, Tag};
use samples::corpus;

/// In place of names: no element of the page.
const WHOLE_PAGE: &[&str] = &[];

/// Elements of today's specification that no command of this crate writes: the code page, the
/// names, and why.
const UNUSED: &[(&str, &[&str], &str)] = &[
    (
        "Contacts",
        &[
            "Anniversary",
            "AssistantName",
            "AssistantPhoneNumber",
            "Birthday",
            "Business2PhoneNumber",
            "BusinessFaxNumber",
            "CarPhoneNumber",
            "Categories",
            "Category",
            "Children",
            "Child",
            "Department",
            "Home2PhoneNumber",
            "HomeAddressCity",
            "HomeAddressCountry",
            "HomeAddressPostalCode",
            "HomeAddressState",
            "HomeAddressStreet",
            "HomeFaxNumber",
            "MiddleName",
            "OfficeLocation",
            "OtherAddressCity",
            "OtherAddressCountry",
            "OtherAddressPostalCode",
            "OtherAddressState",
            "OtherAddressStreet",
            "PagerNumber",
            "RadioPhoneNumber",
            "Spouse",
            "Suffix",
            "Title",
            "WebPage",
            "YomiCompanyName",
            "YomiFirstName",
            "YomiLastName",
            "Picture",
            "Alias",
            "WeightedRank",
        ],
        "optional properties of a contact that few users fill in, or that the recipient cache has",
    ),
    (
        "Contacts2",
        WHOLE_PAGE,
        "optional properties of a contact that few users fill in",
    ),
    (
        "Email",
        &[
            "ReplyTo",
            "Categories",
            "Category",
            "ThreadTopic",
            "InternetCPID",
            "ContentClass",
            "DisallowNewTimeProposal",
        ],
        "what a server tells beside the message and a device does not act on",
    ),
    (
        "Email2",
        &[
            "UmCallerID",
            "UmUserNotes",
            "UmAttDuration",
            "UmAttOrder",
            "ConversationId",
            "ConversationIndex",
            "LastVerbExecuted",
            "LastVerbExecutionTime",
            "ReceivedAsBcc",
            "Sender",
            "CalendarType",
            "IsLeapMonth",
            "AccountId",
            "FirstDayOfWeek",
            "MeetingMessageType",
        ],
        "voice mail, conversations, verbs and other calendars: a device does not act on them",
    ),
    (
        "Calendar",
        &[
            "Categories",
            "Category",
            "Exception",
            "Exceptions",
            "Deleted",
            "ExceptionStartTime",
        ],
        "categories, and exceptions of a series",
    ),
    (
        "Calendar",
        &[
            "AttendeeStatus",
            "AttendeeType",
            "DisallowNewTimeProposal",
            "ResponseRequested",
            "AppointmentReplyTime",
            "ResponseType",
            "OnlineMeetingConfLink",
            "OnlineMeetingExternalLink",
        ],
        "how far the invitations of a meeting are, which the server knows",
    ),
    (
        "Calendar",
        &["CalendarType", "IsLeapMonth", "FirstDayOfWeek"],
        "calendars other than the Gregorian",
    ),
    (
        "Tasks",
        &[
            "Categories",
            "Category",
            "Regenerate",
            "DeadOccur",
            "OrdinalDate",
            "SubOrdinalDate",
            "CalendarType",
            "IsLeapMonth",
            "FirstDayOfWeek",
        ],
        "categories, the order of a list, regenerated tasks, calendars other than the Gregorian",
    ),
    ("Notes", &["Categories", "Category"], "categories"),
    (
        "FolderHierarchy",
        &["Folders", "Folder"],
        "answers of commands that ended with 2.5",
    ),
    (
        "MeetingResponse",
        &["ProposedStartTime", "ProposedEndTime", "SendResponse"],
        "16.0 and later: proposals of another time, and answers that the server sends",
    ),
    (
        "ResolveRecipients",
        &[
            "Certificates",
            "Certificate",
            "MiniCertificate",
            "CertificateRetrieval",
            "MaxCertificates",
            "MaxAmbiguousRecipients",
            "CertificateCount",
            "Picture",
            "MaxSize",
            "Data",
            "MaxPictures",
        ],
        "options of a request, which asks for names and addresses only",
    ),
    (
        "Provision",
        &[
            "UnapprovedInROMApplicationList",
            "ApprovedApplicationList",
            "ApplicationName",
            "Hash",
        ],
        "lists of applications, which the decoder passes over",
    ),
    (
        "Provision",
        &["AccountOnlyRemoteWipe"],
        "16.1: a wipe of the account only",
    ),
    (
        "Search",
        &["EqualTo", "UserName", "Password"],
        "searches of a document library",
    ),
    (
        "Search",
        &["Picture", "MaxSize", "MaxPictures"],
        "pictures of people",
    ),
    ("GAL", &["Picture", "Status", "Data"], "pictures of people"),
    (
        "AirSyncBase",
        &["ContentId", "ContentLocation", "IsInline"],
        "pictures inside a message",
    ),
    (
        "AirSyncBase",
        &[
            "Annotation",
            "Street",
            "City",
            "State",
            "Country",
            "PostalCode",
            "Latitude",
            "Longitude",
            "Accuracy",
            "Altitude",
            "AltitudeAccuracy",
            "LocationUri",
        ],
        "16.0 and later: more of a place than its name",
    ),
    (
        "AirSyncBase",
        &["InstanceId"],
        "16.0 and later: exceptions of a series",
    ),
    (
        "Settings",
        &[
            "IMEI",
            "OSLanguage",
            "PhoneNumber",
            "EnableOutboundSMS",
            "MobileOperator",
        ],
        "what a telephone says of itself beside its model",
    ),
    (
        "Settings",
        &[
            "AccountId",
            "AccountName",
            "UserDisplayName",
            "SendDisabled",
        ],
        "further accounts",
    ),
    ("DocumentLibrary", WHOLE_PAGE, "document libraries"),
    (
        "ItemOperations",
        &["Version", "Schema", "UserName", "Password"],
        "document libraries, and a choice of properties",
    ),
    (
        "ItemOperations",
        &["Part"],
        "answers in several parts, which are no single body",
    ),
    (
        "ComposeMail",
        &[
            "InstanceId",
            "AccountId",
            "Forwardees",
            "Forwardee",
            "Name",
            "Email",
        ],
        "one of a series, further accounts, and meetings forwarded from 16.0 on",
    ),
    (
        "RightsManagement",
        &[
            "RightsManagementSupport",
            "RightsManagementTemplate",
            "RightsManagementLicense",
            "EditAllowed",
            "ReplyAllowed",
            "ReplyAllAllowed",
            "ForwardAllowed",
            "ModifyRecipientsAllowed",
            "ExtractAllowed",
            "PrintAllowed",
            "ExportAllowed",
            "ProgrammaticAccessAllowed",
            "Owner",
            "ContentExpiryDate",
            "TemplateID",
            "TemplateName",
            "TemplateDescription",
            "ContentOwner",
            "RemoveRightsManagementProtection",
        ],
        "protected messages: there are no templates",
    ),
    (
        "Find",
        &["MaxPictures", "MaxSize", "Picture"],
        "pictures of people",
    ),
];

fn is_unused(namespace: &str, name: &str) -> bool {
    UNUSED
        .iter()
        .any(|(page, names, _)| *page == namespace && (names.is_empty() || names.contains(&name)))
}

/// Elements that today's specification does not list are written where 2.5 needs them, and need
/// not be here.
#[test]
fn every_element_is_written_or_known_not_to_be() {
    let mut written = BTreeSet::<Tag>::new();
    for (name, body) in corpus() {
        let mut reader = Reader::new(&body).unwrap();
        while let Some(event) = reader.next_event().unwrap() {
            if let Event::Start(element) = event {
                assert!(element.tag.name().is_some(), "{name}: {}", element.tag);
                written.insert(element.tag);
            }
        }
    }
    let (mut missing, mut needless) = (Vec::new(), Vec::new());
    for page in &PAGES {
        for token in page.tokens.iter().filter(|token| token.current) {
            match (
                written.contains(&token.tag),
                is_unused(page.namespace, token.name),
            ) {
                (false, false) => missing.push(token.tag),
                (true, true) => needless.push(token.tag),
                _ => {}
            }
        }
    }
    assert!(
        missing.is_empty() && needless.is_empty(),
        "neither written nor known not to be: {missing:?}\nwritten after all: {needless:?}"
    );
}

/// A misspelt name would excuse nothing, and nobody would see it.
#[test]
fn what_is_known_not_to_be_written_exists() {
    for (namespace, names, reason) in UNUSED {
        assert!(!reason.is_empty());
        let page = PAGES
            .iter()
            .find(|page| page.namespace == *namespace)
            .unwrap_or_else(|| panic!("no page {namespace}"));
        for name in *names {
            let token = page.tokens.iter().find(|token| token.name == *name);
            assert!(
                token.is_some_and(|token| token.current),
                "{namespace}:{name}"
            );
        }
    }
}
