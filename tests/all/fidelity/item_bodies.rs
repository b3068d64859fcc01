//! Bodies of items that are no messages in the form that a device asks for (MS-ASAIRS 2.2.2.12), and parts
//! of messages (MS-ASAIRS 2.2.2.11).

use mock_server::FrontDoor;

use super::drafts::{add, change, device};
use super::phone::Phone;
use super::raw::{mail, set_user, text_of, texts_of};
use crate::fixtures::mock;

const HTML: &str = "<p>Grüße &amp; <b>mehr</b></p>";
/// What the HTML shows.
const TEXT: &str = "Grüße & mehr";

/// The folder of each class, and elements that an item of it has.
const CLASSES: [(&str, &str); 4] = [
    (
        "1",
        r#"<Subject xmlns="Calendar">s</Subject><StartTime xmlns="Calendar">20260314T030000Z</StartTime>
           <EndTime xmlns="Calendar">20260314T040000Z</EndTime>"#,
    ),
    ("6", r#"<FileAs xmlns="Contacts">s</FileAs>"#),
    ("7", r#"<Subject xmlns="Tasks">s</Subject>"#),
    ("8", r#"<Subject xmlns="Notes">s</Subject>"#),
];

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn body(kind: u8, text: &str) -> String {
    let text = escaped(text);
    format!(r#"<Body xmlns="AirSyncBase"><Type>{kind}</Type><Data>{text}</Data></Body>"#)
}

fn preference(inner: &str) -> String {
    format!(r#"<BodyPreference xmlns="AirSyncBase">{inner}</BodyPreference>"#)
}

fn part_preference(inner: &str) -> String {
    format!(r#"<BodyPartPreference xmlns="AirSyncBase">{inner}</BodyPartPreference>"#)
}

fn options(inner: &str) -> String {
    format!("<Options>{inner}</Options>")
}

/// Of a body or a part: Type, Data, EstimatedDataSize, Truncated, Preview.
type Found = (String, Vec<String>, String, bool, Vec<String>);

fn found(xml: &str, element: &str) -> Found {
    let unescaped = |texts: Vec<String>| -> Vec<String> {
        let texts = texts.iter().map(|text| {
            let text = text.replace("&lt;", "<").replace("&gt;", ">");
            text.replace("&amp;", "&")
        });
        texts.collect()
    };
    (
        text_of(xml, &format!("{element}/Type")),
        unescaped(texts_of(xml, &format!("{element}/Data"))),
        text_of(xml, &format!("{element}/EstimatedDataSize")),
        texts_of(xml, &format!("{element}/Truncated")) == ["1"],
        unescaped(texts_of(xml, &format!("{element}/Preview"))),
    )
}

fn expected(kind: &str, data: Option<&str>, size: usize, truncated: bool, preview: &str) -> Found {
    let preview = Some(preview.to_owned()).filter(|text| !text.is_empty());
    (
        kind.to_owned(),
        data.map(str::to_owned).into_iter().collect(),
        size.to_string(),
        truncated,
        preview.into_iter().collect(),
    )
}

/// Preferences, and what a device gets of the HTML body.
fn expectations() -> Vec<(String, Found)> {
    let one = |kind: u8, inner: &str| preference(&format!("<Type>{kind}</Type>{inner}"));
    let size = |size: usize| format!("<TruncationSize>{size}</TruncationSize>");
    let all = |bytes: usize| format!("{}<AllOrNone>1</AllOrNone>", size(bytes));
    vec![
        (
            String::new(),
            expected("1", Some(TEXT), TEXT.len(), false, ""),
        ),
        (one(1, ""), expected("1", Some(TEXT), TEXT.len(), false, "")),
        (one(2, ""), expected("2", Some(HTML), HTML.len(), false, "")),
        (
            one(1, "") + &one(2, ""),
            expected("2", Some(HTML), HTML.len(), false, ""),
        ),
        // The third and the fourth byte are one character.
        (
            one(1, &size(3)),
            expected("1", Some("Gr"), TEXT.len(), true, ""),
        ),
        (
            one(2, &size(3)),
            expected("2", Some("<p>"), HTML.len(), true, ""),
        ),
        (one(1, &size(0)), expected("1", None, TEXT.len(), true, "")),
        (
            one(2, &all(HTML.len())),
            expected("2", Some(HTML), HTML.len(), false, ""),
        ),
        (one(2, &all(3)), expected("2", None, HTML.len(), true, "")),
        (
            one(2, &all(3)) + &one(1, &size(4)),
            expected("1", Some("Grü"), TEXT.len(), true, ""),
        ),
        // No item but a message is MIME.
        (
            one(4, &size(2)),
            expected("1", Some("Gr"), TEXT.len(), true, ""),
        ),
        (
            one(2, &format!("{}<Preview>5</Preview>", size(0))),
            expected("2", None, HTML.len(), true, "Grüße"),
        ),
    ]
}

/// A device that has added an item with a body to a folder, and the id of the item.
async fn item(mock: &FrontDoor, (folder, elements): (&str, &str), body: &str) -> (Phone, String) {
    let (mut phone, key) = device(mock, ("load1", "WRITER"), "14.1", folder).await;
    let answer = phone
        .sync(&key, &add(&format!("{elements}{body}"), ""))
        .await
        .xml();
    assert_eq!(text_of(&answer, "Responses/Add/Status"), "1", "{folder}");
    let id = text_of(&answer, "Responses/Add/ServerId");
    (phone, id)
}

async fn fetch(phone: &mut Phone, id: &str, options: &str) -> String {
    let folder = id.split(':').next().unwrap();
    let xml = format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <CollectionId xmlns="AirSync">{folder}</CollectionId><ServerId xmlns="AirSync">{id}</ServerId>
           <Options>{options}</Options></Fetch></ItemOperations>"#
    );
    phone.request("ItemOperations", &xml).await.xml()
}

async fn search(phone: &mut Phone, folder: &str, options: &str) -> String {
    let xml = format!(
        r#"<Search xmlns="Search"><Store><Name>Mailbox</Name><Query><And>
           <CollectionId xmlns="AirSync">{folder}</CollectionId><FreeText>s</FreeText></And></Query>
           <Options><RebuildResults/>{options}</Options></Store></Search>"#
    );
    phone.request("Search", &xml).await.xml()
}

#[tokio::test]
async fn items_of_every_class_bring_the_body_in_the_wanted_form() {
    for class in CLASSES {
        let mock = mock(|_| {}).await;
        let (mut phone, id) = item(&mock, class, &body(2, HTML)).await;
        for (number, (inner, expected)) in expectations().into_iter().enumerate() {
            let name = format!("READER{number}");
            let (mut reader, key) = device(&mock, ("load1", &name), "14.1", class.0).await;
            let xml = reader.sync(&key, &options(&inner)).await.xml();
            assert_eq!(found(&xml, "Body"), expected, "Sync {} {inner}", class.0);
            let xml = fetch(&mut phone, &id, &inner).await;
            assert_eq!(found(&xml, "Body"), expected, "Fetch {} {inner}", class.0);
            let xml = search(&mut phone, class.0, &inner).await;
            assert_eq!(found(&xml, "Body"), expected, "Search {} {inner}", class.0);
        }
        let wanted = preference("<Type>2</Type><Preview>5</Preview>");
        // Notes are of 14.0 and later, previews too.
        for (version, preview) in [("12.1", ""), ("14.0", "Grüße"), ("16.1", "Grüße")] {
            if version == "12.1" && class.0 == "8" {
                continue;
            }
            phone.version = version;
            let xml = fetch(&mut phone, &id, &wanted).await;
            let whole = expected("2", Some(HTML), HTML.len(), false, preview);
            assert_eq!(found(&xml, "Body"), whole, "{version} {}", class.0);
        }
        mock.shutdown().await;
    }
}

/// Fetch in a Sync brings all of it (MS-ASCMD 2.2.3.67.2).
#[tokio::test]
async fn fetch_in_a_sync_brings_the_whole_body_of_every_class() {
    for class in CLASSES {
        let mock = mock(|_| {}).await;
        let (_, id) = item(&mock, class, &body(2, HTML)).await;
        let (mut reader, key) = device(&mock, ("load1", "READER"), "14.1", class.0).await;
        let cut = options(&preference(
            "<Type>2</Type><TruncationSize>3</TruncationSize>",
        ));
        let xml = reader.sync(&key, &cut).await.xml();
        assert_eq!(
            found(&xml, "Body"),
            expected("2", Some("<p>"), HTML.len(), true, "")
        );
        let key = text_of(&xml, "Collection/SyncKey");
        let wanted = format!("<Commands><Fetch><ServerId>{id}</ServerId></Fetch></Commands>");
        let xml = reader.sync(&key, &wanted).await.xml();
        assert_eq!(
            found(&xml, "Body"),
            expected("2", Some(HTML), HTML.len(), false, ""),
            "{}",
            class.0
        );
        mock.shutdown().await;
    }
}

/// Find answers the beginning of the text, whatever the form of the body.
#[tokio::test]
async fn find_previews_the_text_of_an_html_body() {
    for class in CLASSES {
        let mock = mock(|_| {}).await;
        let (mut phone, id) = item(&mock, class, &body(2, HTML)).await;
        phone.version = "16.1";
        let xml = format!(
            r#"<Find xmlns="Find"><SearchId>a5a7b5c0-4a5e-4b5c-9d5e-000000000001</SearchId><ExecuteSearch>
               <MailBoxSearchCriterion><Query><CollectionId xmlns="AirSync">{}</CollectionId>
               <FreeText>s</FreeText></Query><Options><Range>0-9</Range></Options>
               </MailBoxSearchCriterion></ExecuteSearch></Find>"#,
            class.0
        );
        let found = phone.request("Find", &xml).await.xml();
        assert_eq!(text_of(&found, "Result/ServerId"), id, "{found}");
        let preview = text_of(&found, "Properties/Preview").replace("&amp;", "&");
        assert_eq!(preview, TEXT, "{}", class.0);
        mock.shutdown().await;
    }
}

#[tokio::test]
async fn version_2_5_cuts_notes_in_elements_of_the_class() {
    for class in &CLASSES[..3] {
        let mock = mock(|_| {}).await;
        item(&mock, *class, &body(2, HTML)).await;
        set_user(&mock, "load1", "policy", false).await;
        for (truncation, text, cut) in [("9", TEXT, &[][..]), ("0", "", &["1"])] {
            let mut old = Phone::with_device(&mock, "load1", &format!("OLD{truncation}")).await;
            old.version = "2.5";
            old.learn_folders().await;
            old.inbox = class.0.to_owned();
            let key = old.prime().await;
            let wanted = options(&format!("<Truncation>{truncation}</Truncation>"));
            let xml = old.sync(&key, &wanted).await.xml();
            let data = text_of(&xml, "ApplicationData/Body").replace("&amp;", "&");
            assert_eq!(data, text, "{} {truncation}", class.0);
            assert_eq!(
                texts_of(&xml, "BodyTruncated"),
                cut,
                "{} {truncation}",
                class.0
            );
        }
        mock.shutdown().await;
    }
}

/// The store has no reader for rich text, and an item is no MIME message.
#[tokio::test]
async fn a_body_that_is_neither_text_nor_html_is_refused() {
    let mock = mock(|_| {}).await;
    for (number, class) in CLASSES.into_iter().enumerate() {
        for (kind, status) in [(1, "1"), (2, "1"), (0, "6"), (3, "6"), (4, "6"), (5, "6")] {
            let name = format!("D{number}{kind}");
            let (mut phone, key) = device(&mock, (&name, &name), "14.1", class.0).await;
            let good = phone
                .sync(&key, &add(&format!("{}{}", class.1, body(1, "x")), ""))
                .await;
            let good = good.xml();
            let id = text_of(&good, "Responses/Add/ServerId");
            let key = text_of(&good, "Collection/SyncKey");
            let content = format!("{}{}", class.1, body(kind, "eA=="));
            let answer = phone.sync(&key, &add(&content, "")).await.xml();
            assert_eq!(text_of(&answer, "Responses/Add/Status"), status, "{kind}");
            let key = text_of(&answer, "Collection/SyncKey");
            let answer = phone.sync(&key, &change(&id, &content, "")).await.xml();
            let refused = texts_of(&answer, "Responses/Change/Status");
            assert_eq!(
                refused.first().map_or("1", String::as_str),
                status,
                "{kind}"
            );
        }
    }
    mock.shutdown().await;
}

/// An Add or a Change may hold nothing but elements that all classes share: the folder has the class.
#[tokio::test]
async fn a_body_alone_is_of_the_class_of_its_folder() {
    for (folder, elements) in CLASSES {
        let mock = mock(|_| {}).await;
        let (mut phone, key) = device(&mock, ("load1", "ONE"), "14.1", folder).await;
        let (mut other, other_key) = device(&mock, ("load1", "TWO"), "14.1", folder).await;
        let answer = phone.sync(&key, &add(&body(1, "alone"), "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "1", "{folder}");
        let key = text_of(&answer, "Collection/SyncKey");
        let seen = other.sync(&other_key, "").await.xml();
        assert_eq!(text_of(&seen, "Body/Data"), "alone", "{folder}");
        let other_key = text_of(&seen, "Collection/SyncKey");

        let answer = phone.sync(&key, &add(elements, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        let key = text_of(&answer, "Collection/SyncKey");
        let answer = phone
            .sync(&key, &change(&id, &body(1, "added later"), ""))
            .await
            .xml();
        assert_eq!(
            texts_of(&answer, "Responses/Change/Status").len(),
            0,
            "{answer}"
        );
        let seen = other.sync(&other_key, "").await.xml();
        assert_eq!(text_of(&seen, "Body/Data"), "added later", "{folder}");
        // Without any element there is nothing to store.
        let key = text_of(&answer, "Collection/SyncKey");
        let answer = phone.sync(&key, &add("", "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "6", "{folder}");
        mock.shutdown().await;
    }
}

#[tokio::test]
async fn a_part_of_a_message_comes_beside_its_body_from_14_1_on() {
    let mock = mock(|_| {}).await;
    mail(&mock, "load1", 1).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let (_, ids) = phone.take_new(&key).await;
    let whole = text_of(&fetch(&mut phone, &ids[0], "").await, "Body/Data");
    let html = format!("<html><body>{whole}</body></html>");
    let one = |inner: &str| part_preference(&format!("<Type>2</Type>{inner}"));
    let size = |size: usize| format!("<TruncationSize>{size}</TruncationSize>");
    let start = &whole[..3];
    for (inner, status, expected) in [
        (
            one(""),
            "1",
            expected("2", Some(&html), html.len(), false, ""),
        ),
        (
            one(&size(6)),
            "1",
            expected("2", Some("<html>"), html.len(), true, ""),
        ),
        (
            one(&format!("{}<AllOrNone>1</AllOrNone>", size(6))),
            "176",
            expected("2", None, html.len(), true, ""),
        ),
        (
            one(&format!("{}<Preview>3</Preview>", size(6))),
            "1",
            expected("2", Some("<html>"), html.len(), true, start),
        ),
    ] {
        let (mut reader, key) =
            device(&mock, ("load1", &format!("R{}", inner.len())), "14.1", "5").await;
        let both = preference("<Type>1</Type>") + &inner;
        let answers = [
            reader.sync(&key, &options(&both)).await.xml(),
            fetch(&mut phone, &ids[0], &both).await,
        ];
        for xml in &answers {
            assert_eq!(text_of(xml, "BodyPart/Status"), status, "{inner}");
            assert_eq!(found(xml, "BodyPart"), expected, "{inner}");
            assert_eq!(text_of(xml, "Body/Data"), whole, "{inner}");
        }
    }
    for (version, count) in [("14.0", 0), ("14.1", 1), ("16.1", 1)] {
        phone.version = version;
        let xml = fetch(&mut phone, &ids[0], &one("")).await;
        assert_eq!(texts_of(&xml, "BodyPart").len(), count, "{version}");
    }
    phone.version = "14.1";
    let xml = fetch(&mut phone, &ids[0], "").await;
    assert_eq!(texts_of(&xml, "BodyPart").len(), 0, "nobody asked");
    mock.shutdown().await;
}

/// Status 164: MS-ASCMD 2.2.2.
#[tokio::test]
async fn a_part_in_another_form_than_html_is_refused() {
    let mock = mock(|_| {}).await;
    mail(&mock, "load1", 1).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    for kind in [1, 3, 4] {
        let wanted = part_preference(&format!("<Type>{kind}</Type>"));
        let refused = phone.sync(&key, &options(&wanted)).await;
        assert_eq!(refused.statuses(), ["164"], "{kind}");
        let xml = fetch(&mut phone, "5:1", &wanted).await;
        assert_eq!(text_of(&xml, "Fetch/Status"), "164", "{kind}");
        let xml = search(&mut phone, "5", &wanted).await;
        assert_eq!(text_of(&xml, "Store/Status"), "164", "{kind}");
    }
    // One is enough: there is only one type.
    let twice = part_preference("<Type>2</Type>").repeat(2);
    assert_eq!(phone.sync(&key, &options(&twice)).await.statuses(), ["4"]);
    let refused = fetch(&mut phone, "5:1", &twice).await;
    assert_eq!(texts_of(&refused, "Status"), ["2"]);
    let refused = search(&mut phone, "5", &twice).await;
    assert_eq!(text_of(&refused, "Store/Status"), "2");
    let (_, ids) = phone.take_new(&key).await;
    assert_eq!(ids, ["5:1"], "the key is still good");
    mock.shutdown().await;
}
