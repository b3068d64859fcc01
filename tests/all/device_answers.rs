//! What a device makes of answers that real servers give and that no typed command writes: bad items,
//! web pages, policy keys that are texts, dates as pauses. Under a paused clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use client::device::{Event, Profile, Record};
use eas::Command;
use eas::wbxml::from_xml;
use easload::measure::Recorder;
use scenario::names::{Counter, Gauges};
use scenario::{QueryForm, Wait};

use crate::device_life::{HOUR, Lived, Reply, Setup};

fn xml(text: &str) -> Reply {
    Reply::Body(from_xml(text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn changed(
    overrides: impl IntoIterator<Item = ((Command, usize), Reply)>,
    change: impl FnOnce(&mut Profile),
) -> Setup {
    let mut setup = Setup::new(overrides);
    let mut profile = (*setup.profile).clone();
    change(&mut profile);
    setup.profile = Arc::new(profile);
    setup
}

async fn lived(overrides: impl IntoIterator<Item = ((Command, usize), Reply)>) -> Lived {
    Setup::new(overrides).live(HOUR).await
}

/// A Sync answer with those Commands for the Inbox.
fn sync(key: &str, commands: &str) -> Reply {
    xml(&format!(
        "<Sync xmlns='AirSync' xmlns:e='Email'><Collections><Collection><SyncKey>{key}</SyncKey>\
         <CollectionId>5</CollectionId><Status>1</Status><Commands>{commands}</Commands>\
         </Collection></Collections></Sync>"
    ))
}

fn message(id: u32, importance: &str) -> String {
    format!(
        "<Add><ServerId>5:{id}</ServerId><ApplicationData><e:Subject>mail {id}</e:Subject>{importance}\
         </ApplicationData></Add>"
    )
}

/// The keys of the Syncs of the Inbox.
fn keys(lived: &Lived) -> Vec<String> {
    let syncs = lived.of(Command::Sync).into_iter();
    let requests = syncs.filter_map(|seen| {
        let request = eas::commands::SyncRequest::decode(&seen.body).ok()?;
        Some(request.collections.first()?.sync_key.to_string())
    });
    requests.collect()
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_is_reported_and_skipped_and_the_others_are_taken() {
    let bad = "<e:Importance>high</e:Importance>";
    let commands = [
        message(1, ""),
        message(2, bad),
        message(3, "<e:Importance/>"),
    ]
    .concat();
    let lived = lived([((Command::Sync, 2), sync("7", &commands))]).await;
    assert_eq!(lived.items, ["mail 1", "mail 3"]);
    let [wrong] = &*lived.wrong else {
        panic!("{:?}", lived.wrong);
    };
    assert!(
        wrong.starts_with(
            "skipped 1 bad item: Email:Importance: expected a number, found `high` (byte "
        ),
        "{wrong}"
    );
    assert_eq!(keys(&lived)[..3], ["0", "1", "7"], "the key advances");
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_device_asks_on_behind_an_answer_of_bad_items_only() {
    let bad = message(1, "<e:Importance>high</e:Importance>");
    let lived = lived([
        ((Command::Sync, 2), sync("7", &bad)),
        ((Command::Sync, 3), sync("8", &message(2, ""))),
    ])
    .await;
    assert_eq!(lived.items, ["mail 2"]);
    assert_eq!(keys(&lived)[..4], ["0", "1", "7", "8"]);
}

/// A server that sends the same bad item under the same key is not asked in a loop.
#[tokio::test(start_paused = true)]
async fn a_bad_item_under_an_old_key_is_not_fetched_in_a_loop() {
    let bad = message(1, "<e:Importance>high</e:Importance>");
    let again = (3..200).map(|number| ((Command::Sync, number), sync("7", &bad)));
    let first = ((Command::Sync, 2), sync("7", &bad));
    let lived = lived(again.chain([first])).await;
    assert!(
        lived.of(Command::Sync).len() < 10,
        "{}",
        lived.of(Command::Sync).len()
    );
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_of_a_hanging_sync_is_skipped_too() {
    let bad = message(2, "<e:Importance>high</e:Importance>");
    let commands = [message(1, ""), bad].concat();
    // The first primes, the second brings nothing, the third hangs.
    let setup = changed([((Command::Sync, 3), sync("7", &commands))], |profile| {
        profile.wait = Wait::Sync;
    });
    let lived = setup.live(HOUR).await;
    assert_eq!(lived.items, ["mail 1"]);
    assert_eq!(lived.wrong.len(), 1, "{:?}", lived.wrong);
    assert!(lived.wrong[0].starts_with("skipped 1 bad item: "));
}

#[tokio::test(start_paused = true)]
async fn a_bad_collection_is_reported_and_the_device_goes_on_after_a_pause() {
    let bad = "<Sync xmlns='AirSync'><Collections><Collection><SyncKey>7</SyncKey>\
               <CollectionId>5</CollectionId><Status>one</Status></Collection></Collections></Sync>";
    let lived = lived([((Command::Sync, 2), xml(bad))]).await;
    assert_eq!(lived.wrong.len(), 1, "{:?}", lived.wrong);
    assert!(
        lived.wrong[0]
            .starts_with("skipped 1 bad item: AirSync:Status: expected a number, found `one`"),
        "{:?}",
        lived.wrong
    );
    let (next, pause) = lived.after(Command::Sync, 2);
    assert_eq!(next, Some(Command::Ping));
    assert!(pause > 0.05, "not at once: {pause}");
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_bad_folder_is_reported_and_the_others_are_watched() {
    let folders = "<FolderSync xmlns='FolderHierarchy'><Status>1</Status><SyncKey>1</SyncKey><Changes>\
        <Add><ServerId>4</ServerId><DisplayName>Odd</DisplayName><Type>mail</Type></Add>\
        <Add><ServerId>5</ServerId><DisplayName>Inbox</DisplayName><Type>2</Type></Add></Changes></FolderSync>";
    let lived = lived([((Command::FolderSync, 1), xml(folders))]).await;
    assert!(
        lived.wrong[0].starts_with(
            "skipped 1 bad item: FolderHierarchy:Type: expected a number, found `mail`"
        ),
        "{:?}",
        lived.wrong
    );
    assert_eq!(lived.of(Command::FolderSync).len(), 1);
    assert!(lived.of(Command::Ping).len() > 5);
}

/// What was skipped is counted as bad, and not as an item.
#[tokio::test(start_paused = true)]
async fn skipped_items_are_counted_as_bad_answers() {
    let recorder = Recorder::new(1, &[0], Duration::from_secs(60));
    let event = Event::Skipped {
        command: Command::Sync,
        count: 3,
        text: "skipped 3 bad items",
    };
    recorder.record(0, event);
    let interval = recorder.interval("baseline", Gauges::default());
    assert_eq!(interval.count(Counter::Malformed), 3);
    assert_eq!(interval.count(Counter::Items), 0);
}

fn policy(key: &str) -> Reply {
    xml(&format!(
        "<Provision xmlns='Provision'><Status>1</Status><Policies><Policy>\
         <PolicyType>MS-EAS-Provisioning-WBXML</PolicyType><Status>1</Status><PolicyKey>{key}</PolicyKey>\
         </Policy></Policies></Provision>"
    ))
}

/// 64 characters, the most (MS-ASPROV 2.2.2.42).
const TEXT_KEY: &str = "0f8fad5b-d9cb-469f-a165-70867728950e/abcdefghijklmnopqrstuvwxyz0";

#[tokio::test(start_paused = true)]
async fn a_policy_key_that_is_a_text_is_sent_in_the_header_as_it_is() {
    assert_eq!(TEXT_KEY.len(), 64);
    let lived = lived([
        ((Command::Provision, 1), policy("0123")),
        ((Command::Provision, 2), policy(TEXT_KEY)),
    ])
    .await;
    let sent = |command| -> Vec<Option<String>> {
        let all = lived.of(command).into_iter();
        all.map(|seen| seen.policy_key.clone()).collect()
    };
    let text = |key: &str| Some(key.to_owned());
    assert_eq!(sent(Command::Provision), [text("0"), text("0123")]);
    assert!(sent(Command::Sync).iter().all(|key| *key == text(TEXT_KEY)));
    assert!(sent(Command::Ping).iter().all(Option::is_none));
    assert!(lived.of(Command::Ping).len() > 5);
    assert_eq!(lived.wrong, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_base_64_query_leaves_a_policy_key_out_that_is_no_number_and_says_so() {
    let base64 = |key: &'static str| {
        let overrides = [((Command::Provision, 2), policy(key))];
        changed(overrides, |profile| profile.query = QueryForm::Base64).live(HOUR)
    };
    let keys = |lived: &Lived| -> Vec<Option<u32>> {
        let syncs = lived.of(Command::Sync).into_iter();
        let query = |seen: &crate::device_life::Seen| seen.query.clone().unwrap().binary.unwrap();
        syncs.map(|seen| query(seen).policy_key).collect()
    };
    let number = base64("4294967295").await;
    assert!(keys(&number).iter().all(|key| *key == Some(u32::MAX)));
    assert_eq!(number.wrong, [""; 0]);
    let text = base64("4294967296").await;
    assert!(keys(&text).iter().all(Option::is_none));
    assert_eq!(
        text.wrong,
        [
            "the PolicyKey `4294967296` is not a 32-bit number, so a base64 query is sent without it; \
          set query = \"plain\" to send it in a header"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_key_that_no_header_can_hold_is_refused() {
    let lived = lived([((Command::Provision, 1), policy("1&#10;Host: x"))]).await;
    assert_eq!(
        lived.wrong,
        ["the PolicyKey holds characters that no header can hold"]
    );
    assert!(lived.of(Command::Ping).len() > 5, "the next key is good");
}

#[tokio::test(start_paused = true)]
async fn a_pause_until_an_http_date_is_kept() {
    let at = SystemTime::now() + Duration::from_secs(600);
    let date: &'static str = Box::leak(httpdate::fmt_http_date(at).into_boxed_str());
    let headers: &'static [(&str, &str)] = Box::leak(Box::new([("Retry-After", date)]));
    let lived = lived([((Command::Sync, 1), Reply::Http(503, headers))]).await;
    let (next, pause) = lived.after(Command::Sync, 1);
    assert_eq!(next, Some(Command::Sync));
    // The date has whole seconds, and the wall clock goes on while the test runs.
    assert!((540.0..601.0).contains(&pause), "{pause}");
}

const HTML: &str = "the answer is an HTML page, not WBXML: a login page, a proxy or a web server";

#[tokio::test(start_paused = true)]
async fn a_web_page_in_place_of_an_answer_is_called_html() {
    let page = b"<!DOCTYPE html><html>Sign in</html>".to_vec();
    let replies = [
        Reply::Page("text/html; charset=utf-8", b"Sign in".to_vec()),
        Reply::Page("application/vnd.ms-sync.wbxml", page.clone()),
        Reply::Body(page),
        Reply::Body(b"\xEF\xBB\xBF\r\n<html>".to_vec()),
    ];
    for command in [
        Command::Provision,
        Command::FolderSync,
        Command::Sync,
        Command::Ping,
    ] {
        for reply in &replies {
            let lived = lived([((command, 1), reply.clone())]).await;
            assert_eq!(lived.wrong, [HTML], "{command}");
            assert!(
                lived.of(Command::Ping).len() > 5,
                "{command}: the device goes on"
            );
        }
    }
    // Negative control: some servers call WBXML HTML, and an empty answer is none of both.
    let wbxml = match policy("7") {
        Reply::Body(body) => body,
        _ => unreachable!(),
    };
    let good = [
        ((Command::Provision, 1), Reply::Page("text/html", wbxml)),
        ((Command::Sync, 2), Reply::Page("text/html", Vec::new())),
    ];
    assert_eq!(lived(good).await.wrong, [""; 0]);
    let garbage = lived([((Command::Sync, 1), Reply::Body(b"Bad gateway".to_vec()))]).await;
    assert_eq!(
        garbage.wrong,
        ["not WBXML: expected a version byte 01 to 03, found 0x42 (byte 0 of the body)"]
    );
}
