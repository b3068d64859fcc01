//! HTTP statuses and the common ones (T1 to T13).

use std::net::TcpListener;
use std::time::Duration;

use tokio::time::Instant;

use super::phone::Phone;
use super::raw::{
    Answer, HOST, PATH, Raw, WBXML, basic, control, fault, head_only, set_user, text_of, texts_of,
};
use crate::fixtures::{eventually, mock};

fn assert_refused_by_the_front_end(answer: &Answer) {
    assert_eq!(answer.status, 401);
    assert_eq!(answer.names_with("ms-"), [""; 0]);
    assert_eq!(answer.names_with("x-ms-"), [""; 0]);
}

#[tokio::test]
async fn t1_no_or_wrong_credentials_are_401_without_a_word_of_eas() {
    let mock = mock(|_| {}).await;
    for method in ["OPTIONS", "POST"] {
        for headers in ["".to_owned(), basic("load1", "wrong")] {
            let answer = head_only(&mock, method, &headers).await;
            assert_refused_by_the_front_end(&answer);
        }
    }
    // The domain is no part of the password check.
    let right = head_only(&mock, "OPTIONS", &basic("LAB\\load1", "secret")).await;
    assert_eq!(right.status, 200);
    mock.shutdown().await;
}

#[tokio::test]
async fn t2_a_user_disabled_for_eas_is_refused() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let (mut other, _) = Phone::ready(&mock, "load2").await;
    set_user(&mock, "load1", "sync", false).await;
    assert_eq!(phone.folder_sync("1").await.statuses(), ["126"]);
    phone.version = "12.1";
    assert_eq!(phone.folder_sync("1").await.status, 403);
    assert_eq!(other.folder_sync("1").await.statuses(), ["1"]);
    set_user(&mock, "load1", "sync", true).await;
    assert_eq!(phone.folder_sync("1").await.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn t3_a_device_without_or_with_a_wrong_key_must_provision() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["142"]);
    phone.inbox = "5".to_owned();
    assert_eq!(phone.sync("0", "").await.statuses(), ["142"]);
    phone.version = "12.1";
    assert_eq!(phone.folder_sync("0").await.status, 449);

    phone.version = "14.1";
    phone.provision().await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    let key: u32 = phone.policy_key.clone().unwrap().parse().unwrap();
    phone.policy_key = Some((key ^ 1).to_string());
    assert_eq!(phone.folder_sync("0").await.statuses(), ["144"]);
    phone.version = "12.1";
    assert_eq!(phone.folder_sync("0").await.status, 449);
    mock.shutdown().await;
}

#[tokio::test]
async fn t3_a_changed_policy_is_to_be_fetched_again() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    let mut fresh = Phone::new(&mock, "load2").await;
    control(&mock, "POST", "unprovision", "").await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["143"]);
    assert_eq!(fresh.folder_sync("0").await.statuses(), ["142"]);
    phone.version = "12.1";
    assert_eq!(phone.folder_sync("0").await.status, 449);
    phone.version = "14.1";
    phone.provision().await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn t4_a_wrong_server_names_the_right_one() {
    const ELSEWHERE: &str = "https://other.lab.example/Microsoft-Server-ActiveSync";
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let redirect = format!(r#"{{"fault":"redirect","location":"{ELSEWHERE}"}}"#);
    fault(&mock, &redirect).await;
    let answer = phone.folder_sync("1").await;
    assert_eq!(answer.status, 451);
    assert_eq!(answer.header("X-MS-Location"), Some(ELSEWHERE));
    control(&mock, "DELETE", "faults", "").await;
    assert_eq!(phone.folder_sync("1").await.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn t5_other_methods_are_not_implemented() {
    let mock = mock(|_| {}).await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer = head_only(&mock, method, &basic("load1", "secret")).await;
        assert_eq!(answer.status, 501, "{method}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn t6_an_unknown_command_is_not_supported() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    assert_eq!(phone.request("Frobnicate", "").await.statuses(), ["137"]);
    phone.version = "12.1";
    assert_eq!(phone.request("Frobnicate", "").await.status, 501);
    mock.shutdown().await;
}

#[tokio::test]
async fn t7_a_body_that_is_no_wbxml_is_refused() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    let whole = eas::wbxml::from_xml(super::phone::FOLDER_SYNC_0).unwrap();
    for body in [&b"<html>"[..], &whole[..whole.len() - 2]] {
        phone.version = "14.1";
        let answer = phone.request_bytes("FolderSync", body).await;
        assert_eq!(answer.statuses(), ["102"]);
        phone.version = "12.1";
        let answer = phone.request_bytes("FolderSync", body).await;
        assert_eq!(answer.status, 400);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn t8_a_body_above_10240_kb_is_refused_unread() {
    const LIMIT: usize = 10_240 << 10;
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    // Just within the limit it is read, and found to be no WBXML.
    let answer = phone.request_bytes("FolderSync", &vec![0; LIMIT]).await;
    assert_eq!(answer.statuses(), ["102"]);

    let mut raw = Raw::connect(mock.addresses().listen).await;
    let (query, authorization) = (phone.query("FolderSync"), basic("load1", "secret"));
    let length = LIMIT + 1;
    let head = format!(
        "POST {PATH}?{query} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}MS-ASProtocolVersion: 14.1\
         \r\nContent-Type: {WBXML}\r\nContent-Length: {length}\r\n\r\n"
    );
    raw.send(head.as_bytes()).await;
    // Answered although not one byte of the body was sent.
    assert_eq!(raw.answer().await.status, 404);
    mock.shutdown().await;
}

#[tokio::test]
async fn t9_throttling_is_a_late_503_of_iis() {
    const DELAY: Duration = Duration::from_millis(300);
    let mock = mock(|config| config.error_response_delay = DELAY).await;
    fault(&mock, r#"{"fault":"retry-after","delay":"7s"}"#).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let started = Instant::now();
    let answer = phone.folder_sync("0").await;
    assert!(started.elapsed() >= DELAY, "{:?}", started.elapsed());
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("Retry-After"), Some("7"));
    assert_eq!(answer.header("Server"), Some("Microsoft-IIS/10.0"));
    assert!(answer.header("request-id").is_some());
    assert!(answer.header("X-FEServer").is_some());
    mock.shutdown().await;
}

#[tokio::test]
async fn t10_a_delayed_request_is_processed_after_all() {
    const DELAY: Duration = Duration::from_secs(2);
    let mock = mock(|_| {}).await;
    let (mut slow, _) = Phone::ready(&mock, "load1").await;
    let (mut quick, _) = Phone::ready(&mock, "load2").await;
    fault(&mock, r#"{"fault":"latency","delay":"2s","user":"load1"}"#).await;
    let started = Instant::now();
    slow.send("FolderSync", super::phone::FOLDER_SYNC_0).await;
    assert_eq!(quick.folder_sync("0").await.statuses(), ["1"]);
    slow.raw.nothing_for(Duration::from_millis(50)).await;
    assert_eq!(slow.raw.answer().await.statuses(), ["1"]);
    assert!(started.elapsed() >= DELAY, "{:?}", started.elapsed());
    mock.shutdown().await;
}

#[tokio::test]
async fn t11_a_stopped_pool_is_a_503_of_http_sys_at_once() {
    let mock = mock(|config| config.error_response_delay = Duration::from_secs(20)).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    control(&mock, "POST", "pool/stop", "").await;
    let started = Instant::now();
    let answer = phone.folder_sync("1").await;
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("Server"), Some("Microsoft-HTTPAPI/2.0"));
    assert_eq!(answer.header("Retry-After"), None);
    assert_eq!(answer.header("request-id"), None);
    assert_eq!(answer.names_with("x-"), [""; 0]);
    assert_eq!(answer.names_with("ms-"), [""; 0]);

    control(&mock, "POST", "pool/start", "").await;
    eventually("the pool serves again", || async {
        let mut again = Phone::new(&mock, "load2").await;
        again.options().await.status == 200
    })
    .await;
    mock.shutdown().await;
}

#[tokio::test]
async fn t12_a_back_end_out_of_reach_is_502() {
    // Every address of this port, wherever the mock's outgoing sockets come from.
    // Below those that the system hands out, or another test would take it when it is free again.
    let taken = (29_940..29_990).find_map(|port| TcpListener::bind(("0.0.0.0", port)).ok());
    let taken = taken.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mock = mock(|config| {
        config.ephemeral_ports = port..=port;
        config.port_wait = Duration::ZERO;
    })
    .await;
    let refused = Phone::new(&mock, "load1").await.options().await;
    assert_eq!(refused.status, 502);
    assert!(refused.header("X-FEServer").is_some());
    assert_eq!(refused.header("X-BEServer"), None);
    drop(taken);
    // A program that another test starts at this moment holds a copy of the socket until its `exec`.
    eventually("the port is free and the back end is reached", || async {
        let mut phone = Phone::new(&mock, "load1").await;
        phone.options().await.status == 200
    })
    .await;
    mock.shutdown().await;
}

const MOBILE_SYNC: &str = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync";

fn autodiscover_request(address: &str) -> String {
    format!(
        "<Autodiscover xmlns=\"{MOBILE_SYNC}/requestschema/2006\"><Request>\
         <EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>\
         {MOBILE_SYNC}/responseschema/2006</AcceptableResponseSchema></Request></Autodiscover>"
    )
}

async fn autodiscover(mock: &mock_server::FrontDoor, password: &str, xml: &str) -> Answer {
    let (authorization, length) = (basic("load001", password), xml.len());
    let mut raw = Raw::connect(mock.addresses().listen).await;
    let head = format!(
        "POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\
         Content-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{xml}"
    );
    raw.send(head.as_bytes()).await;
    raw.answer().await
}

#[tokio::test]
async fn t13_autodiscover_answers_in_xml() {
    let mock = mock(|_| {}).await;
    let request = autodiscover_request("load001@example.test");
    let answer = autodiscover(&mock, "secret", &request).await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("Content-Type").unwrap();
    assert_eq!(kind.split(';').next(), Some("text/xml"));
    let xml = String::from_utf8(answer.body).unwrap();
    let namespace = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
    assert!(xml.contains(&format!("<Autodiscover xmlns=\"{namespace}\"")));
    assert!(xml.contains(&format!("{MOBILE_SYNC}/responseschema/2006")));
    assert_eq!(
        text_of(&xml, "Response/User/EMailAddress"),
        "load001@example.test"
    );
    assert_eq!(text_of(&xml, "Settings/Server/Type"), "MobileSync");
    assert_eq!(texts_of(&xml, "Response/Error").len(), 0);
    // Where the request came to: what a device would ask next.
    assert_eq!(text_of(&xml, "Settings/Server/Url"), mock.addresses().url);
    assert_eq!(autodiscover(&mock, "wrong", &request).await.status, 401);
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.3.64: 600 for a wrong request, 601 for another schema. An address of another domain is an
/// error of the provider, with Status 2.
#[tokio::test]
async fn t13_autodiscover_says_why_it_finds_nothing() {
    let mock = mock(|_| {}).await;
    let good = autodiscover_request("load001@lab.example");
    let outlook = good.replace(
        "mobilesync/responseschema/2006",
        "outlook/responseschema/2006a",
    );
    for (request, code) in [
        ("", "600"),
        ("no XML", "600"),
        (&good[..good.len() - 3], "600"),
        (&good.replace("load001@lab.example", ""), "600"),
        (&good.replace("load001@lab.example", "load001"), "600"),
        (&good.replace("EMailAddress>", "LegacyDN>"), "600"),
        (
            &good.replace("requestschema/2006", "requestschema/2007"),
            "600",
        ),
        (&outlook, "601"),
    ] {
        let answer = autodiscover(&mock, "secret", request).await;
        assert_eq!(answer.status, 200, "{request}");
        let xml = String::from_utf8(answer.body).unwrap();
        assert_eq!(text_of(&xml, "Response/Error/ErrorCode"), code, "{request}");
        assert_eq!(texts_of(&xml, "Response/Action").len(), 0, "{request}");
    }
    for address in ["load001@other.example", "load001@sub.lab.example"] {
        let answer = autodiscover(&mock, "secret", &autodiscover_request(address)).await;
        let xml = String::from_utf8(answer.body).unwrap();
        assert_eq!(text_of(&xml, "Action/Error/Status"), "2", "{address}");
        assert_eq!(texts_of(&xml, "Action/Settings").len(), 0, "{address}");
    }
    let answer = autodiscover(&mock, "secret", &good).await;
    let xml = String::from_utf8(answer.body).unwrap();
    assert_eq!(text_of(&xml, "Settings/Server/Url"), mock.addresses().url);
    mock.shutdown().await;
}

/// T11, R19: HTTP.sys writes down why.
#[tokio::test]
async fn t11_a_stopped_pool_is_app_offline_in_the_httperr_log() {
    let mock = mock(|_| {}).await;
    control(&mock, "POST", "pool/stop", "").await;
    let mut phone = Phone::new(&mock, "load1").await;
    assert_eq!(phone.options().await.status, 503);
    let log = control(&mock, "GET", "httperr", "").await;
    let log = String::from_utf8(log.body).unwrap();
    assert!(
        log.contains(" 503 1 AppOffline MSExchangeSyncAppPool"),
        "{log}"
    );
    mock.shutdown().await;
}
