//! Well-formed WBXML with wrong elements or values gets the command's own status, or 103 if it has none
//! (MS-ASCMD 2.2.2). Only a body that cannot be decoded gets 102.

mod empty;
mod requests;

use eas::wbxml::from_xml;
use mock_server::FrontDoor;

use requests::{ACCEPTED, REFUSED, Refused};

use super::phone::{DEVICE_INFORMATION, Phone};
use super::raw::{text_of, texts_of};
use crate::fixtures::mock;

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

/// MS-ASCMD 3.1.5.10.
#[tokio::test]
async fn requests_with_too_many_elements_are_refused() {
    let mock = mock(|_| {}).await;
    let mut phone = phone(&mock).await;
    for (command, head, element, tail, most, status) in [
        (
            "ValidateCert",
            r#"<ValidateCert xmlns="ValidateCert"><Certificates>"#,
            "<Certificate>MIIB</Certificate>",
            "</Certificates></ValidateCert>",
            100,
            "2",
        ),
        (
            "ResolveRecipients",
            r#"<ResolveRecipients xmlns="ResolveRecipients">"#,
            "<To>load1</To>",
            "</ResolveRecipients>",
            100,
            "5",
        ),
        (
            "MeetingResponse",
            r#"<MeetingResponse xmlns="MeetingResponse">"#,
            "<Request><UserResponse>1</UserResponse><CollectionId>5</CollectionId>\
             <RequestId>5:77</RequestId></Request>",
            "</MeetingResponse>",
            100,
            "103",
        ),
        (
            "GetItemEstimate",
            r#"<GetItemEstimate xmlns="GetItemEstimate"><Collections>"#,
            r#"<Collection><SyncKey xmlns="AirSync">1</SyncKey><CollectionId>5</CollectionId></Collection>"#,
            "</Collections></GetItemEstimate>",
            1_000,
            "103",
        ),
    ] {
        let request = |count: usize| format!("{head}{}{tail}", element.repeat(count));
        let answer = phone.request(command, &request(most)).await;
        assert!(answer.statuses().len() >= most, "{command}");
        let refused = phone.request(command, &request(most + 1)).await;
        assert_eq!(refused.statuses(), [status], "{command}");
    }
    mock.shutdown().await;
}

/// An empty DeviceInformation counts as absent.
#[tokio::test]
async fn provision_answers_device_information_where_it_was_sent() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    let status = texts_of(&asked, "/Provision/DeviceInformation/Status");
    assert_eq!(status, ["1"], "{asked}");
    let temporary = text_of(&asked, "Policy/PolicyKey");
    let done = phone.acknowledge_policy(&temporary).await.xml();
    assert_eq!(texts_of(&done, "DeviceInformation").len(), 0, "{done}");
    let empty = phone
        .ask_policy(r#"<DeviceInformation xmlns="Settings"/>"#)
        .await;
    assert_eq!(empty.statuses(), ["165"]);
    mock.shutdown().await;
}
