//! Search and Find (MS-ASCMD 2.2.1.16 and 2.2.1.2).

use mock_server::FrontDoor;

use super::phone::Phone;
use super::raw::{control, mail, text_of, texts_of};
use crate::fixtures::mock;

/// A Search of the mailbox.
fn search(query: &str, options: &str) -> String {
    format!(
        r#"<Search xmlns="Search" xmlns:as="AirSync" xmlns:e="Email"><Store><Name>Mailbox</Name>
           <Query>{query}</Query><Options>{options}</Options></Store></Search>"#
    )
}

/// GreaterThan or LessThan.
fn compared(element: &str, time: &str) -> String {
    format!("<{element}><e:DateReceived/><Value>{time}</Value></{element}>")
}

const FIRST_ID: &str = "c2b5a8e6-1b2c-4d3e-9f00-000000000001";
const SECOND_ID: &str = "c2b5a8e6-1b2c-4d3e-9f00-000000000002";

/// A Find in the mailbox.
fn find(id: &str, query: &str, options: &str) -> String {
    format!(
        r#"<Find xmlns="Find" xmlns:as="AirSync"><SearchId>{id}</SearchId><ExecuteSearch>
           <MailBoxSearchCriterion><Query>{query}</Query><Options>{options}</Options>
           </MailBoxSearchCriterion></ExecuteSearch></Find>"#
    )
}

async fn deliver(mock: &FrontDoor, subject: &str, body: &str) {
    let json = format!(r#"{{"to":["load1"],"subject":"{subject}","body":"{body}"}}"#);
    control(mock, "POST", "mail", &json).await;
}

/// A phone of 16.1.
async fn modern(mock: &FrontDoor, user: &str) -> Phone {
    let mut phone = Phone::new(mock, user).await;
    phone.version = "16.1";
    phone.provision().await;
    phone.learn_folders().await;
    phone
}

/// Creates a folder for mail; its id.
async fn folder(phone: &mut Phone, parent: &str, name: &str) -> String {
    let key = text_of(&phone.folder_sync("0").await.xml(), "FolderSync/SyncKey");
    let xml = format!(
        r#"<FolderCreate xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey>
           <ParentId>{parent}</ParentId><DisplayName>{name}</DisplayName><Type>12</Type>
           </FolderCreate>"#
    );
    let created = phone.request("FolderCreate", &xml).await.xml();
    text_of(&created, "FolderCreate/ServerId")
}

async fn move_item(phone: &mut Phone, item: &str, from: &str, to: &str) {
    let xml = format!(
        r#"<MoveItems xmlns="Move"><Move><SrcMsgId>{item}</SrcMsgId><SrcFldId>{from}</SrcFldId>
           <DstFldId>{to}</DstFldId></Move></MoveItems>"#
    );
    let moved = phone.request("MoveItems", &xml).await.xml();
    assert_eq!(text_of(&moved, "Response/Status"), "3");
}

/// A Search by time alone, as clients that know no text send it.
#[tokio::test]
async fn search_compares_the_time_of_receipt() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 2).await;
    phone.take_new(&key).await;
    let (past, future) = ("2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z");
    let inbox = phone.inbox.clone();
    for (conditions, count) in [
        (compared("GreaterThan", past), 2),
        (compared("GreaterThan", future), 0),
        (compared("LessThan", future), 2),
        (compared("LessThan", past), 0),
        (
            compared("GreaterThan", past) + &compared("LessThan", future),
            2,
        ),
        (
            compared("GreaterThan", past) + &compared("LessThan", past),
            0,
        ),
        (
            format!(
                "<as:Class>Email</as:Class><as:CollectionId>{inbox}</as:CollectionId>\
                 <FreeText>mail 1</FreeText>{}{}",
                compared("GreaterThan", past),
                compared("LessThan", future)
            ),
            1,
        ),
        (
            "<as:Class>Calendar</as:Class>".to_owned() + &compared("GreaterThan", past),
            0,
        ),
        (
            "<as:CollectionId>1</as:CollectionId>".to_owned() + &compared("GreaterThan", past),
            0,
        ),
        (
            "<Or><FreeText>absent</FreeText>".to_owned() + &compared("GreaterThan", past) + "</Or>",
            2,
        ),
        (
            "<Or><FreeText>absent</FreeText>".to_owned() + &compared("LessThan", past) + "</Or>",
            0,
        ),
        // A compact time, as appointments have it.
        (compared("GreaterThan", "20200101T000000Z"), 2),
        ("<as:Class>SMS</as:Class>".to_owned(), 0),
        ("<as:Class>Email</as:Class>".to_owned(), 2),
    ] {
        let xml = search(&format!("<And>{conditions}</And>"), "<Range>0-9</Range>");
        let found = phone.request("Search", &xml).await.xml();
        assert_eq!(texts_of(&found, "Store/Status"), ["1"], "{conditions}");
        let ids = texts_of(&found, "Result/LongId");
        assert_eq!(ids.len(), count, "{conditions}: {found}");
        let total = texts_of(&found, "Store/Total");
        let range = texts_of(&found, "Store/Range");
        match count {
            0 => assert_eq!((total.len(), range.len()), (0, 0), "{found}"),
            _ => {
                assert_eq!(total, [count.to_string()], "{conditions}");
                assert_eq!(range, [format!("0-{}", count - 1)], "{conditions}");
            }
        }
    }
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.3.10, 2.2.3.143.3 and 2.2.3.177.13.
#[tokio::test]
async fn search_answers_the_status_of_what_is_wrong() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let text = "<FreeText>mail</FreeText>";
    let long = format!("<FreeText>{}</FreeText>", "x".repeat(5000));
    for (query, range, status) in [
        (format!("<And>{text}</And>"), "0-9", "1"),
        (format!("<And>{text}</And>"), "0-99", "1"),
        (format!("<And>{text}</And>"), "0-100", "12"),
        (format!("<And>{text}</And>"), "9-0", "2"),
        (format!("<And><And>{text}</And></And>"), "0-9", "8"),
        (format!("<And>{text}</And><And>{text}</And>"), "0-9", "8"),
        (text.to_owned(), "0-9", "8"),
        (
            "<And><as:CollectionId>777</as:CollectionId></And>".to_owned(),
            "0-9",
            "11",
        ),
        (
            format!("<And>{}</And>", compared("GreaterThan", "yesterday")),
            "0-9",
            "2",
        ),
        (format!("<And>{long}</And>"), "0-9", "8"),
    ] {
        let xml = search(&query, &format!("<Range>{range}</Range>"));
        let answer = phone.request("Search", &xml).await.xml();
        assert_eq!(text_of(&answer, "/Search/Status"), "1", "{query}");
        assert_eq!(text_of(&answer, "Store/Status"), status, "{query} {range}");
    }
    mock.shutdown().await;
}

/// The ranges of one search fit together, and the ids open the items (MS-ASCMD 2.2.3.98, 2.2.3.144).
#[tokio::test]
async fn search_pages_through_results_that_stay_until_they_are_rebuilt() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 5).await;
    let request = |range: &str, options: &str| {
        let options = format!("<Range>{range}</Range>{options}");
        search("<And><FreeText>mail</FreeText></And>", &options)
    };
    let mut subjects = Vec::new();
    for (range, told) in [("0-1", "0-1"), ("2-3", "2-3"), ("4-9", "4-4")] {
        let page = phone.request("Search", &request(range, "")).await.xml();
        assert_eq!(text_of(&page, "Store/Range"), told);
        assert_eq!(text_of(&page, "Store/Total"), "5");
        subjects.extend(texts_of(&page, "Properties/Subject"));
    }
    assert_eq!(subjects, ["mail 5", "mail 4", "mail 3", "mail 2", "mail 1"]);
    let beyond = phone.request("Search", &request("5-9", "")).await.xml();
    assert_eq!(texts_of(&beyond, "Store/Range").len(), 0);
    assert_eq!(text_of(&beyond, "Store/Total"), "5");

    deliver(&mock, "mail 6", "text").await;
    let kept = phone.request("Search", &request("0-9", "")).await.xml();
    assert_eq!(text_of(&kept, "Store/Total"), "5");
    let rebuilt = phone
        .request("Search", &request("0-9", "<RebuildResults/>"))
        .await
        .xml();
    assert_eq!(text_of(&rebuilt, "Store/Total"), "6");
    let ids = texts_of(&rebuilt, "Result/LongId");
    let fetch = format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <LongId xmlns="Search">{}</LongId></Fetch></ItemOperations>"#,
        ids[1]
    );
    let fetched = phone.request("ItemOperations", &fetch).await.xml();
    assert_eq!(text_of(&fetched, "Properties/Subject"), "mail 5");
    assert_eq!(text_of(&fetched, "Fetch/LongId"), ids[1]);

    // What is deleted is no result any more, in whichever results.
    let key = phone.prime().await;
    let (key, items) = phone.take_new(&key).await;
    let delete = format!(
        "<DeletesAsMoves>0</DeletesAsMoves><GetChanges>0</GetChanges>\
         <Commands><Delete><ServerId>{}</ServerId></Delete></Commands>",
        items[0]
    );
    phone.sync(&key, &delete).await;
    let left = phone.request("Search", &request("0-9", "")).await.xml();
    assert_eq!(text_of(&left, "Store/Total"), "5");
    assert!(!texts_of(&left, "Properties/Subject").contains(&"mail 1".to_owned()));
    // Another search is not answered from the results of this one.
    let other = search("<And><FreeText>6</FreeText></And>", "<Range>0-9</Range>");
    let other = phone.request("Search", &other).await.xml();
    assert_eq!(texts_of(&other, "Properties/Subject"), ["mail 6"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn searches_go_through_the_folders_below_only_with_deep_traversal() {
    let mock = mock(|_| {}).await;
    let mut phone = modern(&mock, "load1").await;
    mail(&mock, "load1", 3).await;
    let inbox = phone.inbox.clone();
    let below = folder(&mut phone, &inbox, "Below").await;
    let deepest = folder(&mut phone, &below, "Deepest").await;
    let key = phone.prime().await;
    let (_, items) = phone.take_new(&key).await;
    move_item(&mut phone, &items[0], &inbox, &below).await;
    move_item(&mut phone, &items[1], &inbox, &deepest).await;
    for (folder, deep, count) in [
        (&inbox, "", 1),
        (&inbox, "<DeepTraversal/>", 3),
        (&below, "", 1),
        (&below, "<DeepTraversal/>", 2),
        (&deepest, "<DeepTraversal/>", 1),
        (&"0".to_owned(), "", 0),
        (&"0".to_owned(), "<DeepTraversal/>", 3),
    ] {
        let options = format!("<Range>0-9</Range>{deep}");
        let id = format!("<as:CollectionId>{folder}</as:CollectionId>");
        let query = format!("<And>{id}<FreeText>mail</FreeText></And>");
        let found = phone.request("Search", &search(&query, &options)).await;
        let ids = texts_of(&found.xml(), "Result/LongId");
        assert_eq!(ids.len(), count, "Search {folder} {deep}");
        let query = format!("{id}<FreeText>mail</FreeText>");
        let found = phone
            .request("Find", &find(FIRST_ID, &query, &options))
            .await;
        let ids = texts_of(&found.xml(), "Result/ServerId");
        assert_eq!(ids.len(), count, "Find {folder} {deep}");
    }
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.1.2: what a result holds, and in which order.
#[tokio::test]
async fn find_shows_messages_as_a_list_does() {
    let mock = mock(|_| {}).await;
    let mut phone = modern(&mock, "load1").await;
    let body = "word ".repeat(100);
    deliver(&mock, "Quarterly report", &body).await;
    deliver(&mock, "Other", "text").await;
    let xml = find(
        FIRST_ID,
        "<as:Class>Email</as:Class><FreeText>subject: quarterly</FreeText>",
        "<Range>0-5</Range>",
    );
    let found = phone.request("Find", &xml).await;
    assert_eq!(
        found.header("Content-Type"),
        Some("application/vnd.ms-sync.wbxml")
    );
    let found = found.xml();
    assert_eq!(texts_of(&found, "Status"), ["1", "1"]);
    assert_eq!(text_of(&found, "Response/Store"), "Mailbox");
    assert_eq!(text_of(&found, "Response/Range"), "0-0");
    assert_eq!(text_of(&found, "Response/Total"), "1");
    assert_eq!(text_of(&found, "Result/Class"), "Email");
    assert_eq!(text_of(&found, "Result/CollectionId"), phone.inbox);
    for (name, expected) in [
        ("Subject", "Quarterly report"),
        ("DisplayTo", "load1@lab.example"),
        ("Importance", "1"),
        ("Read", "0"),
        ("IsDraft", "0"),
        ("HasAttachments", "0"),
        ("From", "mock@lab.example"),
        ("Preview", body[..255].trim_end()),
    ] {
        let path = format!("Properties/{name}");
        assert_eq!(text_of(&found, &path), expected, "{name}");
    }
    let received = text_of(&found, "Properties/DateReceived");
    let received: jiff::Timestamp = received.parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(received);
    assert!(age.as_secs() < 60, "{age:?}");
    // Its id is that of Sync and ItemOperations.
    let id = text_of(&found, "Result/ServerId");
    let fetch = format!(
        r#"<ItemOperations xmlns="ItemOperations" xmlns:as="AirSync"><Fetch>
           <Store>Mailbox</Store><as:CollectionId>{}</as:CollectionId>
           <as:ServerId>{id}</as:ServerId></Fetch></ItemOperations>"#,
        phone.inbox
    );
    let fetched = phone.request("ItemOperations", &fetch).await.xml();
    assert_eq!(text_of(&fetched, "Properties/Subject"), "Quarterly report");
    mock.shutdown().await;
}

#[tokio::test]
async fn find_searches_every_class() {
    let mock = mock(|_| {}).await;
    let mut phone = modern(&mock, "load1").await;
    deliver(&mock, "needle", "text").await;
    let xml = |key: &str, commands: &str| {
        format!(
            r#"<Sync xmlns="AirSync"><Collections><Collection><SyncKey>{key}</SyncKey>
               <CollectionId>6</CollectionId>{commands}</Collection></Collections></Sync>"#
        )
    };
    let primed = phone.request("Sync", &xml("0", "")).await.xml();
    let key = text_of(&primed, "Collection/SyncKey");
    let add = r#"<Commands><Add><ClientId>1</ClientId><ApplicationData>
        <FileAs xmlns="Contacts">Needle, Anna</FileAs></ApplicationData></Add></Commands>"#;
    let added = phone.request("Sync", &xml(&key, add)).await.xml();
    assert_eq!(text_of(&added, "Add/Status"), "1");
    for (class, classes) in [
        ("", &["Email", "Contacts"][..]),
        ("<as:Class>Contacts</as:Class>", &["Contacts"]),
        ("<as:Class>Email</as:Class>", &["Email"]),
        ("<as:Class>Tasks</as:Class>", &[]),
    ] {
        let query = format!("<FreeText>needle</FreeText>{class}");
        let xml = find(FIRST_ID, &query, "<Range>0-9</Range>");
        let found = phone.request("Find", &xml).await.xml();
        assert_eq!(texts_of(&found, "Result/Class"), classes, "{class}");
        let total = classes.len().to_string();
        assert_eq!(text_of(&found, "Response/Total"), total, "{class}");
    }
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.3.177.2: Status of the command, and of the response in it.
#[tokio::test]
async fn find_answers_the_status_of_what_is_wrong() {
    let mock = mock(|_| {}).await;
    let mut phone = modern(&mock, "load1").await;
    mail(&mock, "load1", 3).await;
    let text = "<FreeText>mail</FreeText>";
    let long = format!("<FreeText>{}</FreeText>", "x".repeat(5000));
    let unknown = format!("{text}<as:CollectionId>777</as:CollectionId>");
    for (id, query, range, statuses) in [
        (FIRST_ID, text, "0-0", &["1", "1"][..]),
        (FIRST_ID, text, "0-999", &["1", "1"]),
        // Further results of the same search.
        (FIRST_ID, text, "1-2", &["1", "1"]),
        // Another search, by its id or by its query.
        (SECOND_ID, text, "1-2", &["1", "4"]),
        (FIRST_ID, "<FreeText>other</FreeText>", "1-2", &["1", "4"]),
        (FIRST_ID, text, "0-1000", &["2"]),
        (FIRST_ID, text, "2-1", &["2"]),
        (FIRST_ID, text, "many", &["2"]),
        ("1", text, "0-0", &["2"]),
        (FIRST_ID, "<FreeText/>", "0-0", &["2"]),
        (FIRST_ID, "<as:Class>Email</as:Class>", "0-0", &["2"]),
        (FIRST_ID, unknown.as_str(), "0-0", &["3"]),
        (FIRST_ID, long.as_str(), "0-0", &["2"]),
    ] {
        let xml = find(id, query, &format!("<Range>{range}</Range>"));
        let answer = phone.request("Find", &xml).await;
        assert_eq!(answer.statuses(), statuses, "{id} {query} {range}");
    }
    for xml in [
        r#"<Find xmlns="Find"/>"#.to_owned(),
        format!(r#"<Find xmlns="Find"><SearchId>{FIRST_ID}</SearchId></Find>"#),
        format!(r#"<Find xmlns="Find"><SearchId>{FIRST_ID}</SearchId><ExecuteSearch/></Find>"#),
    ] {
        assert_eq!(phone.request("Find", &xml).await.statuses(), ["2"], "{xml}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn find_pages_through_the_results_of_its_search_id() {
    let mock = mock(|_| {}).await;
    let mut phone = modern(&mock, "load1").await;
    mail(&mock, "load1", 3).await;
    let text = "<FreeText>mail</FreeText>";
    let page = |id: &str, range: &str| find(id, text, &format!("<Range>{range}</Range>"));
    let first = phone.request("Find", &page(FIRST_ID, "0-1")).await.xml();
    assert_eq!(texts_of(&first, "Properties/Subject"), ["mail 3", "mail 2"]);
    deliver(&mock, "mail 4", "text").await;
    let second = phone.request("Find", &page(FIRST_ID, "2-3")).await.xml();
    assert_eq!(texts_of(&second, "Properties/Subject"), ["mail 1"]);
    assert_eq!(text_of(&second, "Response/Range"), "2-2");
    assert_eq!(text_of(&second, "Response/Total"), "3");
    let again = phone.request("Find", &page(FIRST_ID, "0-0")).await.xml();
    assert_eq!(texts_of(&again, "Properties/Subject"), ["mail 4"]);
    let nothing = phone
        .request("Find", &find(SECOND_ID, "<FreeText>absent</FreeText>", ""))
        .await
        .xml();
    assert_eq!(texts_of(&nothing, "Status"), ["1", "1"]);
    assert_eq!(text_of(&nothing, "Response/Total"), "0");
    assert_eq!(texts_of(&nothing, "Response/Range").len(), 0);
    mock.shutdown().await;
}

#[tokio::test]
async fn find_searches_the_address_list() {
    let mock = mock(|_| {}).await;
    let mut phone = modern(&mock, "load1").await;
    let _peer = modern(&mock, "load2").await;
    let _other = modern(&mock, "visitor").await;
    let gal = |text: &str, range: &str| {
        format!(
            r#"<Find xmlns="Find"><SearchId>{FIRST_ID}</SearchId><ExecuteSearch>
               <GALSearchCriterion><Query>{text}</Query><Options><Range>{range}</Range></Options>
               </GALSearchCriterion></ExecuteSearch></Find>"#
        )
    };
    let found = phone.request("Find", &gal("load", "0-0")).await.xml();
    assert_eq!(texts_of(&found, "Status"), ["1", "1"]);
    assert_eq!(text_of(&found, "Response/Store"), "GAL");
    assert_eq!(text_of(&found, "Response/Total"), "2");
    assert_eq!(text_of(&found, "Response/Range"), "0-0");
    assert_eq!(
        text_of(&found, "Properties/EmailAddress"),
        "load1@lab.example"
    );
    // A page that does not begin with the first, and one behind the last.
    for (range, expected, addresses) in [
        ("1-1", Some("1-1"), &["load2@lab.example"][..]),
        ("1-9", Some("1-1"), &["load2@lab.example"]),
        ("2-9", None, &[]),
    ] {
        let page = phone.request("Find", &gal("load", range)).await.xml();
        assert_eq!(texts_of(&page, "Status"), ["1", "1"], "{range}");
        assert_eq!(
            texts_of(&page, "Properties/EmailAddress"),
            addresses,
            "{range}"
        );
        let found: Vec<String> = expected.map(str::to_owned).into_iter().collect();
        assert_eq!(texts_of(&page, "Response/Range"), found, "{range}");
        assert_eq!(text_of(&page, "Response/Total"), "2", "{range}");
    }
    let nobody = phone.request("Find", &gal("nobody", "0-9")).await.xml();
    assert_eq!(text_of(&nobody, "Response/Total"), "0");
    mock.shutdown().await;
}

/// Find is a command of 16.1: servers of other versions do not know it.
#[tokio::test]
async fn find_is_offered_with_16_1_only() {
    let xml = find(FIRST_ID, "<FreeText>mail</FreeText>", "<Range>0-9</Range>");
    let listed = |answer: &super::raw::Answer| {
        let commands = answer.header("MS-ASProtocolCommands").unwrap().to_owned();
        commands.split(',').any(|one| one == "Find")
    };
    let modern_server = mock(|_| {}).await;
    let mut phone = modern(&modern_server, "load1").await;
    assert!(listed(&phone.options().await));
    assert_eq!(phone.request("Find", &xml).await.statuses(), ["1", "1"]);
    phone.version = "14.1";
    assert_eq!(phone.request("Find", &xml).await.statuses(), ["137"]);
    modern_server.shutdown().await;
    let old_server = mock(|config| {
        config.versions = ["12.1", "14.0", "14.1"].map(str::to_owned).to_vec();
    })
    .await;
    let mut phone = Phone::new(&old_server, "load1").await;
    assert!(!listed(&phone.options().await));
    old_server.shutdown().await;
}

#[tokio::test]
async fn find_needs_a_policy_key() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.version = "16.1";
    let xml = find(FIRST_ID, "<FreeText>mail</FreeText>", "<Range>0-9</Range>");
    assert_eq!(phone.request("Find", &xml).await.statuses(), ["142"]);
    mock.shutdown().await;
}

/// MS-ASAIRS 2.2.2.12: results have bodies in the form that the request asks for.
#[tokio::test]
async fn search_shows_bodies_in_the_wanted_form() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    deliver(&mock, "needle", "a long text").await;
    for (preference, data) in [
        ("", "a long text"),
        (
            "<b:Type>1</b:Type><b:TruncationSize>6</b:TruncationSize>",
            "a long",
        ),
    ] {
        let preference = match preference {
            "" => String::new(),
            inner => {
                format!(r#"<b:BodyPreference xmlns:b="AirSyncBase">{inner}</b:BodyPreference>"#)
            }
        };
        let options = format!("<Range>0-9</Range>{preference}");
        let xml = search("<And><FreeText>needle</FreeText></And>", &options);
        let found = phone.request("Search", &xml).await.xml();
        assert_eq!(text_of(&found, "Body/Data"), data);
        assert_eq!(text_of(&found, "Body/EstimatedDataSize"), "11");
    }
    let unknown =
        r#"<b:BodyPreference xmlns:b="AirSyncBase"><b:Type>9</b:Type></b:BodyPreference>"#;
    let xml = search("<And><FreeText>needle</FreeText></And>", unknown);
    let refused = phone.request("Search", &xml).await.xml();
    assert_eq!(text_of(&refused, "Store/Status"), "2");
    mock.shutdown().await;
}
