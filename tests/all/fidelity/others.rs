//! The other commands, and the limits of a user (X1 to X6).

use std::time::Duration;

use super::phone::{DEVICE_INFORMATION, Phone};
use super::raw::{held, mail, text_of, texts_of};
use crate::fixtures::{eventually, mock};

fn estimate_xml(key: &str, folder: &str) -> String {
    format!(
        r#"<GetItemEstimate xmlns="GetItemEstimate"><Collections><Collection>
           <SyncKey xmlns="AirSync">{key}</SyncKey><CollectionId>{folder}</CollectionId>
           </Collection></Collections></GetItemEstimate>"#
    )
}

#[tokio::test]
async fn x1_estimates_and_why_there_is_none() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 3).await;
    let folders = phone.folder_sync("0").await.xml();
    let unprimed = texts_of(&folders, "Add/ServerId");
    let unprimed = unprimed.iter().find(|id| **id != phone.inbox).unwrap();
    let inbox = phone.inbox.clone();
    for (key, folder, status) in [
        (key.as_str(), inbox.as_str(), "1"),
        (key.as_str(), "9999", "2"),
        ("1", unprimed.as_str(), "3"),
        ("987654", inbox.as_str(), "4"),
    ] {
        let request = estimate_xml(key, folder);
        let xml = phone.request("GetItemEstimate", &request).await.xml();
        assert_eq!(text_of(&xml, "Response/Status"), status, "{folder}");
        let counts: &[&str] = if status == "1" { &["3"] } else { &[] };
        assert_eq!(texts_of(&xml, "Collection/Estimate"), counts);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn x2_send_mail_is_silent_on_success_and_refuses_a_repetition() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_mail("c1", "load1").await.assert_empty();
    let again = phone.send_mail("c1", "load1").await.xml();
    assert_eq!(text_of(&again, "/SendMail/Status"), "118");
    phone.send_mail("c2", "load1").await.assert_empty();
    mock.shutdown().await;
}

#[tokio::test]
async fn x2_send_mail_is_bare_mime_before_14_0() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let (mut other, key) = Phone::ready(&mock, "load2").await;
    phone.version = "12.1";
    let query = phone.query("SendMail") + "&SaveInSent=T";
    let mime = b"To: load2@lab.example\r\nSubject: from old\r\n\r\ntext\r\n";
    phone.send_to(&query, "message/rfc822", mime).await;
    phone.raw.answer().await.assert_empty();
    let xml = other.sync(&key, "").await.xml();
    assert_eq!(text_of(&xml, "ApplicationData/Subject"), "from old");
    mock.shutdown().await;
}

#[tokio::test]
async fn x3_a_sent_mail_wakes_its_recipient() {
    let mock = mock(|_| {}).await;
    let (mut sender, _) = Phone::ready(&mock, "load1").await;
    let (mut recipient, key) = Phone::ready(&mock, "load2").await;
    recipient.send_ping(600).await;
    eventually("the Ping is held", || async { held(&mock) == 1 }).await;
    sender.send_mail("c1", "load2").await.assert_empty();
    assert_eq!(recipient.raw.answer().await.statuses(), ["2"]);
    let xml = recipient.sync(&key, "").await.xml();
    assert_eq!(text_of(&xml, "ApplicationData/Subject"), "c1");
    // The sender is who was authenticated, whatever the message says.
    assert!(text_of(&xml, "ApplicationData/From").contains("load1"));
    mock.shutdown().await;
}

fn fetch_xml(folder: &str, item: &str) -> String {
    format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <CollectionId xmlns="AirSync">{folder}</CollectionId>
           <ServerId xmlns="AirSync">{item}</ServerId><Options>
           <BodyPreference xmlns="AirSyncBase"><Type>1</Type></BodyPreference>
           </Options></Fetch></ItemOperations>"#
    )
}

#[tokio::test]
async fn x4_item_operations_fetches_an_item() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let (_, items) = phone.take_new(&key).await;
    let request = fetch_xml(&phone.inbox, &items[0]);
    let xml = phone.request("ItemOperations", &request).await.xml();
    assert_eq!(text_of(&xml, "/ItemOperations/Status"), "1");
    assert_eq!(text_of(&xml, "Response/Fetch/Status"), "1");
    assert_eq!(text_of(&xml, "Fetch/ServerId"), items[0]);
    assert_eq!(text_of(&xml, "Fetch/Properties/Subject"), "mail 1");
    assert_eq!(text_of(&xml, "Properties/Body/Data"), "text");

    let request = fetch_xml(&phone.inbox, &format!("{}:9999", phone.inbox));
    let missing = phone.request("ItemOperations", &request).await.xml();
    assert_ne!(text_of(&missing, "Response/Fetch/Status"), "1");
    assert_eq!(texts_of(&missing, "Fetch/Properties").len(), 0);
    mock.shutdown().await;
}

#[tokio::test]
async fn x4_settings_takes_the_device_information() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.version = "14.0";
    let request = format!(r#"<Settings xmlns="Settings">{DEVICE_INFORMATION}</Settings>"#);
    let xml = phone.request("Settings", &request).await.xml();
    assert_eq!(text_of(&xml, "/Settings/Status"), "1");
    assert_eq!(text_of(&xml, "/Settings/DeviceInformation/Status"), "1");
    mock.shutdown().await;
}

#[tokio::test]
async fn x5_a_user_has_so_many_devices_and_no_more() {
    let mock = mock(|config| config.max_devices = 2).await;
    let (mut first, key) = Phone::ready_device(&mock, "load1", "ONE").await;
    Phone::ready_device(&mock, "load1", "TWO").await;
    let mut third = Phone::with_device(&mock, "load1", "THREE").await;
    assert_eq!(third.folder_sync("0").await.statuses(), ["177"]);
    let refused = third.ask_policy(DEVICE_INFORMATION).await.xml();
    assert_eq!(text_of(&refused, "/Provision/Status"), "177");
    first.sync(&key, "").await.assert_empty();
    Phone::ready_device(&mock, "load2", "THREE").await;
    mock.shutdown().await;
}

#[tokio::test]
async fn x6_a_user_has_so_many_requests_at_a_time_and_no_more() {
    const MOST: usize = 3;
    let mock = mock(|config| {
        config.max_concurrency = 3;
        config.error_response_delay = Duration::from_millis(50);
    })
    .await;
    let mut phones = Vec::new();
    for number in 0..=MOST {
        let device = format!("DEVICE{number}");
        phones.push(Phone::ready_device(&mock, "load1", &device).await.0);
    }
    let mut last = phones.pop().unwrap();
    for phone in &mut phones {
        phone.send_ping(600).await;
    }
    eventually("all are held", || async { held(&mock) == MOST as u64 }).await;
    assert_eq!(last.ping(600).await.status, 503);
    for phone in &mut phones {
        phone.raw.nothing_for(Duration::from_millis(30)).await;
    }
    let mut other = Phone::new(&mock, "load2").await;
    assert_eq!(other.options().await.status, 200);

    mail(&mock, "load1", 1).await;
    for phone in &mut phones {
        assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
    }
    eventually("another Ping is let in", || async {
        let mut next = Phone::new(&mock, "load1").await;
        next.request("Ping", "").await.status == 200
    })
    .await;
    mock.shutdown().await;
}

/// X6, T9: late, with Retry-After, and the end of the connection.
#[tokio::test]
async fn x6_t9_the_refusal_is_late_and_names_a_time() {
    const DELAY: Duration = Duration::from_millis(400);
    let mock = mock(|config| {
        config.max_concurrency = 1;
        config.error_response_delay = DELAY;
    })
    .await;
    let (mut first, _) = Phone::ready_device(&mock, "load1", "ONE").await;
    let (mut second, _) = Phone::ready_device(&mock, "load1", "TWO").await;
    first.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let began = tokio::time::Instant::now();
    let answer = second.ping(600).await;
    assert!(began.elapsed() >= DELAY, "{:?}", began.elapsed());
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .header("Retry-After")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 0
    );
    assert_eq!(answer.header("Connection"), Some("close"));
    assert_eq!(answer.header("Content-Type"), Some("text/html"));
    assert_eq!(second.raw.closed().await, super::raw::End::Fin);
    mock.shutdown().await;
}

/// X2, G5: the copy in Sent Items is an item that is added.
#[tokio::test]
async fn x2_g5_the_copy_in_sent_items_wakes_a_ping_on_that_folder() {
    const SENT: &str = "4";
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.inbox = SENT.to_owned();
    let key = phone.prime().await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let (mut other, _) = Phone::ready_device(&mock, "load1", "OTHER").await;
    other.send_mail("copy", "load2").await.assert_empty();
    let woken = phone.raw.answer().await.xml();
    assert_eq!(texts_of(&woken, "Folders/Folder"), [SENT]);
    let items = phone.sync(&key, "").await.xml();
    assert_eq!(texts_of(&items, "Add/ServerId").len(), 1);
    mock.shutdown().await;
}

/// X2, X3: a header may go on in the next line, and Cc and Bcc are recipients too. The sender is the
/// user, whatever the message says (ASCMD 2.2.1.17).
#[tokio::test]
async fn x2_x3_messages_are_read_as_rfc_5322_says() {
    let mock = mock(|_| {}).await;
    let (mut sender, _) = Phone::ready(&mock, "load1").await;
    let mime = "From: boss@lab.example\r\nTo: \"Two, Load\" <load2@lab.example>,\r\n\
                \t<load3@lab.example>\r\nCc: load4@lab.example\r\nBcc: load5@lab.example\r\n\
                Subject: long\r\n line\r\n\r\ntext\r\n";
    let xml = format!(
        r#"<SendMail xmlns="ComposeMail"><ClientId>c1</ClientId>
           <Mime><![CDATA[{mime}]]></Mime></SendMail>"#
    );
    sender.request("SendMail", &xml).await.assert_empty();
    assert_eq!(mock.truth().mails, 4, "nobody else got it");
    for user in ["load2", "load3", "load4", "load5"] {
        let (mut phone, key) = Phone::ready(&mock, user).await;
        let items = phone.sync(&key, "").await.xml();
        assert_eq!(texts_of(&items, "ApplicationData/Subject"), ["long line"]);
        let from = texts_of(&items, "ApplicationData/From");
        assert!(
            from[0].contains("load1") && !from[0].contains("boss"),
            "{from:?}"
        );
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn settings_answers_rights_management_information() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let request = r#"<Settings xmlns="Settings"><RightsManagementInformation><Get/>
        </RightsManagementInformation></Settings>"#;
    let xml = phone.request("Settings", request).await.xml();
    assert_eq!(text_of(&xml, "/Settings/Status"), "1");
    assert_eq!(text_of(&xml, "RightsManagementInformation/Status"), "1");
    let templates = texts_of(
        &xml,
        "RightsManagementInformation/Get/RightsManagementTemplates",
    );
    assert_eq!(templates, [""]);
    assert_eq!(texts_of(&xml, "UserInformation").len(), 0);
    mock.shutdown().await;
}

fn resolve(to: &str, options: &str) -> String {
    format!(
        r#"<ResolveRecipients xmlns="ResolveRecipients"><To>{to}</To>{options}</ResolveRecipients>"#
    )
}

#[tokio::test]
async fn resolve_recipients_answers_free_and_busy_times() {
    let mock = mock(|_| {}).await;
    let (mut asked, _) = Phone::ready(&mock, "busy1").await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let folders = asked.folder_sync("0").await.xml();
    let calendar = texts_of(&folders, "Add/Type")
        .iter()
        .position(|kind| kind == "8");
    asked.inbox = texts_of(&folders, "Add/ServerId")[calendar.unwrap()].clone();
    let key = asked.prime().await;
    let add = r#"<Commands><Add><ClientId>c1</ClientId><ApplicationData>
        <Subject xmlns="Calendar">Lunch</Subject><BusyStatus xmlns="Calendar">2</BusyStatus>
        <StartTime xmlns="Calendar">20260314T110000Z</StartTime>
        <EndTime xmlns="Calendar">20260314T120000Z</EndTime><UID xmlns="Calendar">u1</UID>
        </ApplicationData></Add></Commands>"#;
    let added = asked.sync(&key, add).await.xml();
    assert_eq!(text_of(&added, "Add/Status"), "1");

    let period = |start: &str, end: &str| {
        format!(
            "<Options><Availability><StartTime>{start}</StartTime><EndTime>{end}</EndTime>\
             </Availability></Options>"
        )
    };
    let options = period("2026-03-14T10:30:00.000Z", "2026-03-14T12:30:00.000Z");
    for (to, digits) in [("busy1", "0220"), ("load1@lab.example", "0000")] {
        let answer = phone
            .request("ResolveRecipients", &resolve(to, &options))
            .await;
        let xml = answer.xml();
        assert_eq!(text_of(&xml, "/ResolveRecipients/Status"), "1");
        assert_eq!(text_of(&xml, "Response/Status"), "1");
        assert_eq!(text_of(&xml, "Recipient/Availability/Status"), "1");
        assert_eq!(text_of(&xml, "Availability/MergedFreeBusy"), digits, "{to}");
    }
    // The end is before the begin, or as late.
    for end in ["2026-03-14T10:00:00.000Z", "2026-03-14T10:30:00.000Z"] {
        let options = period("2026-03-14T10:30:00.000Z", end);
        let refused = phone
            .request("ResolveRecipients", &resolve("busy1", &options))
            .await;
        assert_eq!(refused.statuses(), ["5"], "{end}");
    }
    // Without an end the time is seven days (MS-ASCMD 2.2.3.61.1).
    let open = "<Options><Availability><StartTime>2026-03-14T11:00:00.000Z</StartTime></Availability></Options>";
    let answer = phone
        .request("ResolveRecipients", &resolve("busy1", open))
        .await;
    let digits = text_of(&answer.xml(), "Availability/MergedFreeBusy");
    assert_eq!(digits, format!("22{}", "0".repeat(7 * 48 - 2)));
    // Sixty names with two users each: free and busy times for one hundred of them.
    let (mut longer, _) = Phone::ready(&mock, "load10").await;
    let many = vec!["load"; 60].join("</To><To>");
    let answer = longer
        .request("ResolveRecipients", &resolve(&many, &options))
        .await;
    let mut statuses = vec!["1"; 100];
    statuses.extend(["160"; 20]);
    assert_eq!(texts_of(&answer.xml(), "Availability/Status"), statuses);
    // The whole name of a user is that user, although another one begins so.
    for (to, status, users) in [
        ("load1", "1", 1),
        ("LOAD1@lab.example", "1", 1),
        ("load", "2", 2),
    ] {
        let answer = longer.request("ResolveRecipients", &resolve(to, "")).await;
        let xml = answer.xml();
        assert_eq!(text_of(&xml, "Response/Status"), status, "{to}");
        assert_eq!(
            texts_of(&xml, "Recipient/EmailAddress").len(),
            users,
            "{to}"
        );
    }
    // Who does not ask gets none.
    let answer = phone
        .request("ResolveRecipients", &resolve("busy1", ""))
        .await;
    assert_eq!(texts_of(&answer.xml(), "Availability").len(), 0);
    mock.shutdown().await;
}
