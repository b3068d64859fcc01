//! Bodies in the form that a device asks for (MS-ASAIRS 2.2.2.12), in Sync and in ItemOperations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mock_server::FrontDoor;

use super::phone::Phone;
use super::raw::{Answer, set_user, text_of, texts_of};
use crate::fixtures::mock;

const HTML: &str = "<p>Grüße &amp; <b>mehr</b></p>";
/// What the HTML shows.
const TEXT: &str = "Grüße & mehr";
const PLAIN_BODY: &str = "1 < 2 & 3\r\nzweite Zeile";
/// A signed message; the signature need not be one.
const SIGNED: &str = "To: <load1@lab.example>\r\nSubject: signed\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256;\r\n \
    boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsigned text\r\n--b\r\n\
    Content-Type: application/pkcs7-signature; name=smime.p7s\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--b--\r\n";

fn html_mail(subject: &str) -> String {
    format!(
        "To: <load1@lab.example>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n{HTML}"
    )
}

fn plain_mail(subject: &str) -> String {
    format!(
        "To: <load1@lab.example>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{PLAIN_BODY}"
    )
}

/// Sends a message as it is.
async fn send(phone: &mut Phone, client_id: &str, mime: &str) {
    let xml = format!(
        r#"<SendMail xmlns="ComposeMail"><ClientId>{client_id}</ClientId>
           <Mime><![CDATA[{mime}]]></Mime></SendMail>"#
    );
    phone.request("SendMail", &xml).await.assert_empty();
}

/// A device with these messages in its Inbox, and the key that brings them.
async fn phone_with(mock: &FrontDoor, device: &str, mails: &[&str]) -> (Phone, String) {
    let (mut phone, key) = Phone::ready_device(mock, "load1", device).await;
    for (number, mime) in mails.iter().enumerate() {
        send(&mut phone, &format!("{device}{number}"), mime).await;
    }
    (phone, key)
}

fn preference(inner: &str) -> String {
    format!(r#"<BodyPreference xmlns="AirSyncBase">{inner}</BodyPreference>"#)
}

fn options(inner: &str) -> String {
    format!("<Options>{inner}</Options>")
}

async fn fetch(phone: &mut Phone, id: &str, options: &str) -> Answer {
    let xml = format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <CollectionId xmlns="AirSync">5</CollectionId><ServerId xmlns="AirSync">{id}</ServerId>
           <Options>{options}</Options></Fetch></ItemOperations>"#
    );
    phone.request("ItemOperations", &xml).await
}

/// Of a body: its type, its text, its size and whether it was cut.
fn body_of(xml: &str) -> (String, String, String, bool) {
    let text = texts_of(xml, "Body/Data").pop().unwrap_or_default();
    (
        text_of(xml, "Body/Type"),
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&#13;", "\r")
            .replace("&amp;", "&"),
        text_of(xml, "Body/EstimatedDataSize"),
        texts_of(xml, "Body/Truncated") == ["1"],
    )
}

fn body(kind: &str, text: &str, size: usize, truncated: bool) -> (String, String, String, bool) {
    (
        kind.to_owned(),
        text.to_owned(),
        size.to_string(),
        truncated,
    )
}

/// One preference or several, and the body of the HTML message that a device gets: Type, Data,
/// EstimatedDataSize, Truncated.
fn expectations() -> Vec<(String, (String, String, String, bool))> {
    let one = |kind: u8, inner: &str| preference(&format!("<Type>{kind}</Type>{inner}"));
    let size = |size: usize| format!("<TruncationSize>{size}</TruncationSize>");
    let all = |bytes: usize| format!("{}<AllOrNone>1</AllOrNone>", size(bytes));
    vec![
        (String::new(), body("1", TEXT, TEXT.len(), false)),
        (one(1, ""), body("1", TEXT, TEXT.len(), false)),
        (one(2, ""), body("2", HTML, HTML.len(), false)),
        // The own form of the message is the best of several.
        (one(1, "") + &one(2, ""), body("2", HTML, HTML.len(), false)),
        (one(1, &size(4)), body("1", "Grü", TEXT.len(), true)),
        // The third and the fourth byte are one character.
        (one(1, &size(3)), body("1", "Gr", TEXT.len(), true)),
        (one(1, &size(0)), body("1", "", TEXT.len(), true)),
        (
            one(1, &size(TEXT.len())),
            body("1", TEXT, TEXT.len(), false),
        ),
        (one(2, &size(3)), body("2", "<p>", HTML.len(), true)),
        (one(2, &all(HTML.len())), body("2", HTML, HTML.len(), false)),
        (
            one(2, &all(HTML.len() - 1)) + &one(1, &size(4)),
            body("1", "Grü", TEXT.len(), true),
        ),
        (one(2, &all(3)), body("2", "", HTML.len(), true)),
    ]
}

#[tokio::test]
async fn sync_brings_the_body_in_the_wanted_form() {
    let mock = mock(|_| {}).await;
    let mail = html_mail("html");
    for (number, (inner, expected)) in expectations().into_iter().enumerate() {
        let user = format!("user{number}");
        let (mut phone, key) = Phone::ready(&mock, &user).await;
        let mail = mail.replace("load1@", &format!("{user}@"));
        send(&mut phone, "m1", &mail).await;
        let xml = phone.sync(&key, &options(&inner)).await.xml();
        assert_eq!(body_of(&xml), expected, "{inner}");
        assert_eq!(text_of(&xml, "NativeBodyType"), "2", "{inner}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_body_that_grows_beyond_an_answer_is_cut_and_the_worker_lives() {
    // Each letter has five bytes in HTML: 45 MB.
    let mail = format!(
        "To: <load1@lab.example>\r\nSubject: large\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain\r\n\r\n{}",
        "&".repeat(9_000_000)
    );
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&mail]).await;
    let wanted = options(&preference("<Type>2</Type>"));
    let answer = phone.sync(&key, &wanted).await;
    let xml = answer.xml();
    assert_eq!(texts_of(&xml, "Body/Truncated"), ["1"]);
    let key = text_of(&xml, "Collection/SyncKey");
    let next = phone.sync(&key, &wanted).await;
    assert_eq!(next.status, 200);
    let worker = |answer: &Answer| answer.header("X-Mock-Worker").unwrap().to_owned();
    assert_eq!(worker(&answer), worker(&next));
    mock.shutdown().await;
}

#[tokio::test]
async fn item_operations_brings_the_body_in_the_wanted_form() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&html_mail("html")]).await;
    let (_, ids) = phone.take_new(&key).await;
    for (inner, expected) in expectations() {
        let xml = fetch(&mut phone, &ids[0], &inner).await.xml();
        assert_eq!(body_of(&xml), expected, "{inner}");
        assert_eq!(text_of(&xml, "NativeBodyType"), "2", "{inner}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn plain_text_becomes_html_or_rich_text_on_request() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&plain_mail("plain")]).await;
    let (_, ids) = phone.take_new(&key).await;
    let html = fetch(&mut phone, &ids[0], &preference("<Type>2</Type>")).await;
    let xml = html.xml();
    let shown = "<html><body>1 &lt; 2 &amp; 3<br>\nzweite Zeile</body></html>";
    let (kind, text, size, truncated) = body_of(&xml);
    // `body_of` resolves one level of escapes, so the second remains.
    assert_eq!((kind.as_str(), truncated), ("2", false));
    assert_eq!(text, shown);
    assert_eq!(size, shown.len().to_string());
    assert_eq!(text_of(&xml, "NativeBodyType"), "1");

    let rtf = fetch(&mut phone, &ids[0], &preference("<Type>3</Type>")).await;
    let (kind, text, size, _) = body_of(&rtf.xml());
    assert_eq!(kind, "3");
    assert_eq!(size, text.len().to_string());
    let bytes = BASE64.decode(text).unwrap();
    assert_eq!(bytes[8..12], *b"MELA", "MS-OXRTFCP 2.2.1");
    assert!(bytes[16..].starts_with(br"{\rtf1"));
    mock.shutdown().await;
}

#[tokio::test]
async fn previews_are_plain_text_from_14_0_on() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&html_mail("html")]).await;
    let (_, ids) = phone.take_new(&key).await;
    let inner = "<Type>2</Type><TruncationSize>0</TruncationSize><Preview>5</Preview>";
    for (version, expected) in [
        ("12.1", &[][..]),
        ("14.0", &["Grüße"]),
        ("16.1", &["Grüße"]),
    ] {
        phone.version = version;
        let xml = fetch(&mut phone, &ids[0], &preference(inner)).await.xml();
        assert_eq!(texts_of(&xml, "Body/Preview"), expected, "{version}");
        assert_eq!(texts_of(&xml, "Body/Data").len(), 0, "{version}");
    }
    phone.version = "14.1";
    let longest = "<Type>1</Type><Preview>255</Preview>";
    let xml = fetch(&mut phone, &ids[0], &preference(longest)).await.xml();
    assert_eq!(text_of(&xml, "Body/Preview"), "Grüße &amp; mehr");
    mock.shutdown().await;
}

#[tokio::test]
async fn mime_support_says_for_which_messages_mime_is_wanted() {
    let mock = mock(|_| {}).await;
    let mails = [&*html_mail("html"), SIGNED];
    let (mut phone, key) = phone_with(&mock, "PHONE", &mails).await;
    let (_, ids) = phone.take_new(&key).await;
    let both = preference("<Type>1</Type>") + &preference("<Type>4</Type>");
    for (support, html, signed) in [("0", "1", "1"), ("1", "1", "4"), ("2", "4", "4")] {
        let inner = format!(r#"<MIMESupport xmlns="AirSync">{support}</MIMESupport>{both}"#);
        for (id, expected) in [(&ids[0], html), (&ids[1], signed)] {
            let xml = fetch(&mut phone, id, &inner).await.xml();
            assert_eq!(text_of(&xml, "Body/Type"), expected, "{support} {id}");
        }
        // The same in Sync, on a device of its own.
        let device = format!("SUPPORT{support}");
        let (mut other, key) = Phone::ready_device(&mock, "load1", &device).await;
        let xml = other.sync(&key, &options(&inner)).await.xml();
        assert_eq!(texts_of(&xml, "Body/Type"), [html, signed], "{support}");
        let classes = texts_of(&xml, "MessageClass");
        assert_eq!(classes, ["IPM.Note", "IPM.Note.SMIME.MultipartSigned"]);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_signed_message_comes_as_it_was_sent_and_its_text_can_be_read() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[SIGNED]).await;
    let (_, ids) = phone.take_new(&key).await;
    let mime = preference("<Type>4</Type>");
    let (_, text, size, _) = body_of(&fetch(&mut phone, &ids[0], &mime).await.xml());
    let lines = |text: &str| {
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(lines(&text), lines(SIGNED.trim()));
    assert_eq!(size, SIGNED.len().to_string());
    let plain = preference("<Type>1</Type>");
    let (kind, text, ..) = body_of(&fetch(&mut phone, &ids[0], &plain).await.xml());
    assert_eq!((kind.as_str(), text.as_str()), ("1", "signed text"));
    mock.shutdown().await;
}

#[tokio::test]
async fn mime_of_a_message_holds_headers_body_and_attachments() {
    let mock = mock(|_| {}).await;
    let mail = "To: <load1@lab.example>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
        the text\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\
        Content-Disposition: attachment; filename=a.pdf\r\n\r\nPDF\r\n--b--\r\n";
    let (mut phone, key) = phone_with(&mock, "PHONE", &[mail]).await;
    let (_, ids) = phone.take_new(&key).await;
    let mime = preference("<Type>4</Type>");
    let answer = fetch(&mut phone, &ids[0], &mime).await;
    let answer = eas::commands::ItemOperationsAnswer::decode(&answer.body).unwrap();
    let Some(eas::commands::FetchedContent::Item(item)) = &answer.fetches[0].content else {
        panic!("{answer:?}");
    };
    let email = item.as_email().unwrap();
    assert_eq!((email.body_type, email.truncated), (4, false));
    let (head, parts) = email.body.split_once("\r\n\r\n").unwrap();
    for line in [
        "Subject: =?utf-8?b?R3LDvMOfZQ==?=",
        "To: load1@lab.example",
        "MIME-Version: 1.0",
    ] {
        assert!(head.lines().any(|one| one == line), "{line}: {head}");
    }
    for part in ["the text", "filename=\"a.pdf\"", "PDF"] {
        assert!(parts.contains(part), "{part}: {parts}");
    }
    let cut = preference("<Type>4</Type><TruncationSize>10</TruncationSize>");
    let (kind, text, size, truncated) = body_of(&fetch(&mut phone, &ids[0], &cut).await.xml());
    assert_eq!((kind.as_str(), truncated), ("4", true));
    assert_eq!(
        (text.len() <= 10, size),
        (true, email.body.len().to_string())
    );
    mock.shutdown().await;
}

/// A message can hold another one that the mock has built, as text and as a file.
#[tokio::test]
async fn mime_of_a_message_within_a_message_stays_whole() {
    let mock = mock(|_| {}).await;
    let wrap = |text: &str| {
        let file = BASE64.encode(text);
        format!(
            "To: <load1@lab.example>\r\nSubject: wrapped\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n\
             Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n{file}\r\n--outer\r\n\
             Content-Type: application/octet-stream; name=a.eml\r\n\
             Content-Disposition: attachment; filename=a.eml\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{file}\r\n--outer--\r\n"
        )
    };
    let (mut phone, mut key) = phone_with(&mock, "PHONE", &[]).await;
    let mut inner = "a text".to_owned();
    for round in ["1", "2", "3"] {
        send(&mut phone, round, &wrap(&inner)).await;
        let (next, ids) = phone.take_new(&key).await;
        key = next;
        let answer = fetch(&mut phone, &ids[0], &preference("<Type>4</Type>")).await;
        let answer = eas::commands::ItemOperationsAnswer::decode(&answer.body).unwrap();
        let Some(eas::commands::FetchedContent::Item(item)) = &answer.fetches[0].content else {
            panic!("{answer:?}");
        };
        let built = item.as_email().unwrap().body.to_string();
        let parsed = mail_parser::MessageParser::default()
            .parse(built.as_bytes())
            .unwrap();
        assert_eq!(parsed.parts.len(), 3, "{built}");
        assert_eq!(parsed.attachments().count(), 1);
        assert_eq!(parsed.attachment(0).unwrap().contents(), inner.as_bytes());
        assert_eq!(parsed.body_text(0).unwrap(), inner);
        inner = built;
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn options_hold_until_a_request_has_others() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&html_mail("1")]).await;
    let type_2 = options(&preference("<Type>2</Type>"));
    let xml = phone.sync(&key, &type_2).await.xml();
    assert_eq!(text_of(&xml, "Body/Type"), "2");
    let key = text_of(&xml, "Collection/SyncKey");
    send(&mut phone, "second", &html_mail("2")).await;
    let xml = phone.sync(&key, "").await.xml();
    assert_eq!(text_of(&xml, "Body/Type"), "2", "as the request before");
    let key = text_of(&xml, "Collection/SyncKey");
    send(&mut phone, "third", &html_mail("3")).await;
    let other = options("<MIMESupport>0</MIMESupport>");
    let xml = phone.sync(&key, &other).await.xml();
    assert_eq!(
        text_of(&xml, "Body/Type"),
        "1",
        "the block replaces the other"
    );
    // A lost answer is repeated in the same form.
    let again = phone.sync(&key, "").await.xml();
    assert_eq!(text_of(&again, "Body/Type"), "1");
    mock.shutdown().await;
}

/// Options that come with key 0 count as well.
#[tokio::test]
async fn options_of_the_first_sync_hold() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = phone_with(&mock, "PHONE", &[&html_mail("1")]).await;
    let type_2 = options(&preference("<Type>2</Type>"));
    let primed = phone.sync("0", &type_2).await.xml();
    let key = text_of(&primed, "Collection/SyncKey");
    let xml = phone.sync(&key, "").await.xml();
    assert_eq!(text_of(&xml, "Body/Type"), "2");
    mock.shutdown().await;
}

#[tokio::test]
async fn fetch_in_a_sync_brings_the_whole_body() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&html_mail("1")]).await;
    let cut = "<Type>2</Type><TruncationSize>3</TruncationSize>";
    let xml = phone.sync(&key, &options(&preference(cut))).await.xml();
    assert_eq!(body_of(&xml), body("2", "<p>", HTML.len(), true));
    let key = text_of(&xml, "Collection/SyncKey");
    let id = text_of(&xml, "Add/ServerId");
    let inner = format!("<Commands><Fetch><ServerId>{id}</ServerId></Fetch></Commands>");
    let xml = phone.sync(&key, &inner).await.xml();
    assert_eq!(text_of(&xml, "Responses/Fetch/Status"), "1");
    assert_eq!(body_of(&xml), body("2", HTML, HTML.len(), false));
    mock.shutdown().await;
}

#[tokio::test]
async fn version_2_5_has_truncation_and_mime_data_of_its_own() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&html_mail("1")]).await;
    let (_, ids) = phone.take_new(&key).await;
    assert_eq!(ids.len(), 1);
    set_user(&mock, "load1", "policy", false).await;
    for (number, (inner, expected)) in [
        ("", ("Body", TEXT, TEXT.len(), "0")),
        (
            "<Truncation>9</Truncation>",
            ("Body", TEXT, TEXT.len(), "0"),
        ),
        ("<Truncation>0</Truncation>", ("Body", "", TEXT.len(), "1")),
    ]
    .into_iter()
    .enumerate()
    {
        let device = format!("OLD{number}");
        let mut old = Phone::with_device(&mock, "load1", &device).await;
        old.version = "2.5";
        old.learn_folders().await;
        let key = old.prime().await;
        let xml = old.sync(&key, &options(inner)).await.xml();
        let (element, text, size, truncated) = expected;
        let data = text_of(&xml, &format!("ApplicationData/{element}"));
        assert_eq!(data.replace("&amp;", "&"), text, "{inner}");
        assert_eq!(text_of(&xml, "BodySize"), size.to_string(), "{inner}");
        assert_eq!(text_of(&xml, "BodyTruncated"), truncated, "{inner}");
    }
    let mut old = Phone::with_device(&mock, "load1", "OLDMIME").await;
    old.version = "2.5";
    old.learn_folders().await;
    let key = old.prime().await;
    let inner = "<MIMESupport>2</MIMESupport><MIMETruncation>0</MIMETruncation>";
    let xml = old.sync(&key, &options(inner)).await.xml();
    assert_eq!(text_of(&xml, "MIMETruncated"), "1");
    assert_eq!(text_of(&xml, "MIMEData"), "");
    assert!(text_of(&xml, "MIMESize").parse::<usize>().unwrap() > HTML.len());
    mock.shutdown().await;
}

#[tokio::test]
async fn preferences_that_do_not_exist_are_refused() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = phone_with(&mock, "PHONE", &[&html_mail("1")]).await;
    for inner in [
        preference("<Type>0</Type>"),
        preference("<Type>5</Type>"),
        preference("<Type>1</Type>") + &preference("<Type>1</Type>"),
        "<MIMESupport>3</MIMESupport>".to_owned(),
        "<MIMETruncation>9</MIMETruncation>".to_owned(),
        "<Conflict>2</Conflict>".to_owned(),
    ] {
        let refused = phone.sync(&key, &options(&inner)).await;
        assert_eq!(refused.statuses(), ["4"], "{inner}");
    }
    // A refused request is not cached, and the key is still good.
    let (_, ids) = phone.take_new(&key).await;
    for inner in [
        preference("<Type>5</Type>"),
        preference("<Type>1</Type>") + &preference("<Type>1</Type>"),
        r#"<MIMESupport xmlns="AirSync">3</MIMESupport>"#.to_owned(),
    ] {
        let xml = fetch(&mut phone, &ids[0], &inner).await.xml();
        assert_eq!(text_of(&xml, "Fetch/Status"), "2", "{inner}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn get_changes_with_key_0_and_conversations_outside_mail_are_refused() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    for (inner, status) in [
        ("<GetChanges>1</GetChanges>", "4"),
        ("<GetChanges/>", "4"),
        ("<GetChanges>0</GetChanges>", "1"),
        ("", "1"),
    ] {
        let answer = phone.sync("0", inner).await;
        assert_eq!(answer.statuses(), [status], "{inner}");
    }
    let conversations = "<ConversationMode>1</ConversationMode>";
    for (folder, status) in [
        ("5", "1"),
        ("4", "1"),
        ("1", "4"),
        ("6", "4"),
        ("7", "4"),
        ("8", "4"),
    ] {
        phone.inbox = folder.to_owned();
        let answer = phone.sync("0", conversations).await;
        assert_eq!(answer.statuses(), [status], "folder {folder}");
    }
    mock.shutdown().await;
}
