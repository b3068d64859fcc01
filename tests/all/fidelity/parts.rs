//! Bodies in several parts, and bodies that are compressed on the way in.

use std::io::Write as _;

use eas::multipart;
use eas::wbxml::{from_xml, to_xml};

use super::phone::{FOLDER_SYNC_0, Phone};
use super::raw::{HOST, PATH, WBXML, basic, control, text_of, texts_of};
use crate::fixtures::mock;

const MULTIPART: &str = "application/vnd.ms-sync.multipart";

fn fetch(id: &str) -> String {
    format!(
        r#"<ItemOperations xmlns="ItemOperations" xmlns:as="AirSync"><Fetch>
           <Store>Mailbox</Store><as:CollectionId>5</as:CollectionId>
           <as:ServerId>{id}</as:ServerId></Fetch></ItemOperations>"#
    )
}

/// MS-ASCMD 2.2.1.10.1: the document is part 0, and names the parts of its bodies and attachments.
#[tokio::test]
async fn item_operations_answers_in_parts_if_the_client_accepts_them() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let mime = "To: <load1@lab.example>\r\nSubject: parts\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/plain\r\n\r\nthe text\r\n--b\r\n\
        Content-Type: application/octet-stream\r\n\
        Content-Disposition: attachment; filename=data.bin\r\n\r\nthe attachment\r\n--b--\r\n";
    let send = format!(
        r#"<SendMail xmlns="ComposeMail"><ClientId>1</ClientId>
           <Mime><![CDATA[{mime}]]></Mime></SendMail>"#
    );
    phone.request("SendMail", &send).await.assert_empty();
    let new = phone.sync(&key, "").await.xml();
    let id = text_of(&new, "Add/ServerId");
    let reference = text_of(&new, "Attachment/FileReference");
    let both = format!(
        r#"<ItemOperations xmlns="ItemOperations" xmlns:as="AirSync" xmlns:asb="AirSyncBase">
           <Fetch><Store>Mailbox</Store><as:CollectionId>5</as:CollectionId>
             <as:ServerId>{id}</as:ServerId></Fetch>
           <Fetch><Store>Mailbox</Store><asb:FileReference>{reference}</asb:FileReference></Fetch>
           <Fetch><Store>Mailbox</Store><as:CollectionId>5</as:CollectionId>
             <as:ServerId>5:999</as:ServerId></Fetch></ItemOperations>"#
    );
    for (header, is_multipart) in [
        ("MS-ASAcceptMultiPart: T\r\n", true),
        ("ms-asacceptmultipart: t\r\n", true),
        ("MS-ASAcceptMultiPart: F\r\n", false),
        ("", false),
    ] {
        phone.extra = header;
        let answer = phone.request("ItemOperations", &both).await;
        let kind = if is_multipart { MULTIPART } else { WBXML };
        assert_eq!(answer.header("Content-Type"), Some(kind), "{header}");
        if !is_multipart {
            let xml = answer.xml();
            assert_eq!(text_of(&xml, "Body/Data").trim(), "the text");
            assert_eq!(texts_of(&xml, "Part").len(), 0);
            continue;
        }
        let parts = multipart::read(&answer.body).unwrap();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1].trim_ascii(), b"the text");
        assert_eq!(parts[2].trim_ascii(), b"the attachment");
        let xml = to_xml(parts[0]).unwrap();
        assert_eq!(text_of(&xml, "Body/Part"), "1");
        assert_eq!(text_of(&xml, "Properties/Part"), "2");
        assert_eq!(texts_of(&xml, "Fetch/Status"), ["1", "1", "6"]);
        assert_eq!(texts_of(&xml, "Data").len(), 0);
        // Count, offset and length of the document, little-endian.
        let numbers = [3, 28, parts[0].len() as u32]
            .map(u32::to_le_bytes)
            .concat();
        assert_eq!(answer.body[..12], numbers);
    }
    // A request that is refused as a whole has no parts.
    phone.extra = "MS-ASAcceptMultiPart: T\r\n";
    let refused = phone
        .request(
            "ItemOperations",
            r#"<ItemOperations xmlns="ItemOperations"/>"#,
        )
        .await;
    assert_eq!(refused.header("Content-Type"), Some(WBXML));
    assert_eq!(refused.statuses(), ["2"]);
    // Other commands have none either.
    let other = phone.folder_sync("0").await;
    assert_eq!(other.header("Content-Type"), Some(WBXML));
    mock.shutdown().await;
}

/// The bit of a base64 query (MS-ASHTTP 2.2.1.1.1.1.3); a header beside it counts for nothing.
#[tokio::test]
async fn a_base64_query_asks_for_parts_by_a_bit() {
    use eas::query::{BinaryFields, Query};
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    super::raw::mail(&mock, "load1", 1).await;
    let (_, ids) = phone.take_new(&key).await;
    let fields = BinaryFields {
        version: eas::ProtocolVersion::V14_1,
        locale: 0x0409,
        policy_key: phone.policy_key.as_deref().and_then(|key| key.parse().ok()),
    };
    let body = from_xml(&fetch(&ids[0])).unwrap();
    phone.extra = "MS-ASAcceptMultiPart: T\r\n";
    for (accepts_multipart, kind) in [(true, MULTIPART), (false, WBXML)] {
        let query = Query {
            accepts_multipart,
            ..Query::new(eas::Command::ItemOperations, phone.device.clone(), "test")
        };
        let query = query.to_base64(&fields);
        phone.send_to(&query, WBXML, &body).await;
        let answer = phone.raw.answer().await;
        assert_eq!(answer.header("Content-Type"), Some(kind));
    }
    mock.shutdown().await;
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_request_bodies_are_read() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let plain = from_xml(FOLDER_SYNC_0).unwrap();
    let good = gzip(&plain);
    let truncated = good[..good.len() - 1].to_vec();
    let bomb = gzip(&vec![0; (10_240 << 10) + 1]);
    let query = phone.query("FolderSync");
    for (coding, body, status) in [
        ("gzip", &good, 200),
        ("GZip", &good, 200),
        ("x-gzip", &good, 200),
        ("identity", &plain, 200),
        ("gzip", &plain, 400),
        ("gzip", &truncated, 400),
        ("gzip", &bomb, 404),
        ("deflate", &good, 415),
        ("br", &good, 415),
        ("gzip, gzip", &good, 415),
    ] {
        let authorization = basic("load1", "secret");
        let key = phone.policy_key.clone().unwrap();
        let head = format!(
            "POST {PATH}?{query} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\
             MS-ASProtocolVersion: 14.1\r\nX-MS-PolicyKey: {key}\r\nContent-Type: {WBXML}\r\n\
             Content-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        phone.raw.send(&[head.as_bytes(), body].concat()).await;
        let answer = phone.raw.answer().await;
        assert_eq!(answer.status, status, "{coding}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.statuses(), ["1"], "{coding}");
        }
    }
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    mock.shutdown().await;
}

/// Autodiscover reads them likewise, with the same bound.
#[tokio::test]
async fn compressed_autodiscover_requests_are_read() {
    const SCHEMA: &str = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync";
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let plain = format!(
        "<?xml version=\"1.0\"?><Autodiscover xmlns=\"{SCHEMA}/requestschema/2006\"><Request>\
         <EMailAddress>load1@lab.example</EMailAddress><AcceptableResponseSchema>\
         {SCHEMA}/responseschema/2006</AcceptableResponseSchema></Request></Autodiscover>"
    )
    .into_bytes();
    let good = gzip(&plain);
    let truncated = good[..good.len() - 1].to_vec();
    let bomb = gzip(&vec![b' '; (10_240 << 10) + 1]);
    for (coding, body, status) in [
        ("identity", &plain, 200),
        ("gzip", &good, 200),
        ("X-GZIP", &good, 200),
        ("gzip", &plain, 400),
        ("gzip", &truncated, 400),
        ("gzip", &bomb, 404),
        ("br", &good, 415),
    ] {
        let authorization = basic("load1", "secret");
        let head = format!(
            "POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\
             Content-Type: text/xml\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        phone.raw.send(&[head.as_bytes(), body].concat()).await;
        let answer = phone.raw.answer().await;
        assert_eq!(answer.status, status, "{coding}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(
            text.contains("<Type>MobileSync</Type>"),
            status == 200,
            "{coding}: {text}"
        );
    }
    mock.shutdown().await;
}

/// Mail of the control API looks like mail of a sender.
#[tokio::test]
async fn delivered_mail_has_a_sender_a_recipient_and_a_time() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let json = r#"{"to":["load1","load2@other.example"],"subject":"s","body":"b"}"#;
    control(&mock, "POST", "mail", json).await;
    let xml = phone.sync(&key, "").await.xml();
    assert_eq!(text_of(&xml, "ApplicationData/From"), "mock@lab.example");
    assert_eq!(
        text_of(&xml, "ApplicationData/To"),
        "load1@lab.example, load2@other.example"
    );
    let received = text_of(&xml, "ApplicationData/DateReceived");
    let at: jiff::Timestamp = received.parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(at);
    assert!((0..60).contains(&age.as_secs()), "{received}");
    assert_eq!(received.len(), "2026-03-14T03:00:00.000Z".len());
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.1.17: the sender is the user, whatever the message says.
#[tokio::test]
async fn a_sender_keeps_the_domain_of_the_message() {
    let mock = mock(|_| {}).await;
    let (mut phone, mut key) = Phone::ready(&mock, "load1").await;
    for (from, expected) in [
        ("From: <load1@company.example>\r\n", "load1@company.example"),
        (
            "From: \"Load, One\" <Load1@Company.example>\r\n",
            "Load1@Company.example",
        ),
        ("From: <other@company.example>\r\n", "load1@lab.example"),
        ("From: load1\r\n", "load1@lab.example"),
        ("", "load1@lab.example"),
    ] {
        let mime = format!("{from}To: <load1@lab.example>\r\nSubject: s\r\n\r\ntext\r\n");
        let xml = format!(
            r#"<SendMail xmlns="ComposeMail"><ClientId>{expected}{}</ClientId>
               <Mime><![CDATA[{mime}]]></Mime></SendMail>"#,
            from.len()
        );
        phone.request("SendMail", &xml).await.assert_empty();
        let xml = phone.sync(&key, "").await.xml();
        assert_eq!(text_of(&xml, "ApplicationData/From"), expected, "{from}");
        key = text_of(&xml, "Collection/SyncKey");
    }
    mock.shutdown().await;
}
