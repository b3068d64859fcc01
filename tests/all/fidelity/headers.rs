//! Answer headers (H1 to H17).

use std::time::Duration;

use eas::wbxml::to_xml;

use super::phone::{FOLDER_SYNC_0, Phone};
use super::raw::{
    Answer, HOST, PATH, Raw, WBXML, assert_date, basic, control, fault, head_only, text_of,
};
use crate::fixtures::mock;

/// One answer of each kind on a mock: to OPTIONS, to a command, and a refusal.
async fn three_answers(mock: &mock_server::FrontDoor) -> [Answer; 3] {
    let mut phone = Phone::new(mock, "load1").await;
    let options = phone.options().await;
    let command = phone.folder_sync("0").await;
    let refused = head_only(mock, "OPTIONS", "").await;
    assert_eq!(
        (options.status, command.status, refused.status),
        (200, 200, 401)
    );
    [options, command, refused]
}

#[tokio::test]
async fn h1_server_is_iis_10() {
    let mock = mock(|_| {}).await;
    for answer in three_answers(&mock).await {
        assert_eq!(answer.header("Server"), Some("Microsoft-IIS/10.0"));
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn h2_every_answer_has_a_new_request_id() {
    let mock = mock(|_| {}).await;
    let mut seen = Vec::new();
    for answer in three_answers(&mock).await {
        let id = answer.header("request-id").unwrap().to_owned();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
        assert!(id.chars().all(is_hex), "{id}");
        assert!(!seen.contains(&id), "{id} twice");
        seen.push(id);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn h3_l2_the_target_is_named_when_one_was_chosen() {
    let mock = mock(|_| {}).await;
    let [options, command, refused] = three_answers(&mock).await;
    for answer in [options, command] {
        let target = answer.header("X-CalculatedBETarget").unwrap();
        let letters = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
        assert!(target.chars().all(letters), "{target}");
        assert!(target.split('.').filter(|part| !part.is_empty()).count() >= 2);
    }
    assert_eq!(refused.header("X-CalculatedBETarget"), None);
    mock.shutdown().await;
}

#[tokio::test]
async fn h4_l3_both_ends_give_their_netbios_names() {
    let mock = mock(|_| {}).await;
    let [options, command, refused] = three_answers(&mock).await;
    for answer in [&options, &command] {
        for header in ["X-FEServer", "X-BEServer", "X-DiagInfo"] {
            let name = answer.header(header).unwrap();
            let letters = |c: char| matches!(c, 'A'..='Z' | '0'..='9' | '-');
            let fits = (1..=15).contains(&name.len()) && name.chars().all(letters);
            assert!(fits, "{header}: {name}");
        }
        assert_eq!(answer.header("X-FEServer"), answer.header("X-BEServer"));
    }
    assert!(refused.header("X-FEServer").is_some());
    assert_eq!(refused.header("X-BEServer"), None);
    assert_eq!(refused.header("X-DiagInfo"), None);
    mock.shutdown().await;
}

#[tokio::test]
async fn h5_the_server_version_is_the_short_one() {
    let mock = mock(|_| {}).await;
    let [options, command, refused] = three_answers(&mock).await;
    assert_eq!(options.header("MS-Server-ActiveSync"), Some("15.1"));
    assert_eq!(command.header("MS-Server-ActiveSync"), Some("15.1"));
    assert_eq!(refused.header("MS-Server-ActiveSync"), None);
    mock.shutdown().await;
}

#[tokio::test]
async fn h6_asp_net_shows_itself() {
    let mock = mock(|_| {}).await;
    let [options, command, _] = three_answers(&mock).await;
    for answer in [options, command] {
        assert_eq!(answer.header("X-AspNet-Version"), Some("4.0.30319"));
        assert_eq!(answer.header("X-Powered-By"), Some("ASP.NET"));
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn h7_answers_are_for_no_shared_cache() {
    let mock = mock(|_| {}).await;
    let [options, command, _] = three_answers(&mock).await;
    for answer in [options, command] {
        assert_eq!(answer.header("Cache-Control"), Some("private"));
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn h8_the_back_end_cookie_is_set() {
    let mock = mock(|_| {}).await;
    let [_, command, _] = three_answers(&mock).await;
    let cookies = command.all("Set-Cookie");
    let cookie = cookies
        .iter()
        .find_map(|line| line.strip_prefix("X-BackEndCookie="))
        .unwrap_or_else(|| panic!("{cookies:?}"));
    let (value, attributes) = cookie.split_once(';').unwrap();
    assert!(!value.is_empty());
    let attributes: Vec<&str> = attributes.split(';').map(str::trim).collect();
    let has = |wanted: &str| {
        attributes
            .iter()
            .any(|one| one.eq_ignore_ascii_case(wanted))
    };
    assert!(has(&format!("path={PATH}")), "{attributes:?}");
    assert!(has("secure") && has("HttpOnly"), "{attributes:?}");
    mock.shutdown().await;
}

#[tokio::test]
async fn h9_only_a_body_has_a_content_type() {
    let mock = mock(|_| {}).await;
    let [options, command, _] = three_answers(&mock).await;
    options.assert_empty();
    assert!(!command.body.is_empty());
    assert_eq!(command.header("Content-Type"), Some(WBXML));
    mock.shutdown().await;
}

#[tokio::test]
async fn h10_the_date_is_now_in_rfc_1123() {
    let mock = mock(|_| {}).await;
    for answer in three_answers(&mock).await {
        assert_date(answer.header("Date").unwrap());
    }
    mock.shutdown().await;
}

/// No order and no letter case is promised in either direction.
#[tokio::test]
async fn h11_request_headers_of_any_order_and_letter_case_are_read() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let body = eas::wbxml::from_xml(FOLDER_SYNC_0).unwrap();
    let (query, length) = (phone.query("FolderSync"), body.len());
    let key = phone.policy_key.clone().unwrap();
    let authorization = basic("load1", "secret").replace("Authorization", "AUTHORIZATION");
    let head = format!(
        "POST {PATH}?{query} HTTP/1.1\r\ncontent-length: {length}\r\nx-ms-policykey: {key}\r\n\
         CONTENT-TYPE: {WBXML}\r\nms-asprotocolversion: 14.1\r\n{authorization}hOST: {HOST}\r\n\r\n"
    );
    phone.raw.send(&[head.as_bytes(), &body].concat()).await;
    assert_eq!(phone.raw.answer().await.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn h12_connection_is_named_only_when_it_closes() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    // Both over one connection, so it was kept alive.
    for answer in [phone.options().await, phone.folder_sync("0").await] {
        assert_eq!(answer.header("Connection"), None);
    }
    let refused = head_only(&mock, "OPTIONS", "").await;
    assert_eq!(refused.header("Connection"), None);
    control(&mock, "POST", "pool/stop", "").await;
    let closing = phone.options().await;
    assert_eq!(closing.header("Connection"), Some("close"));
    mock.shutdown().await;
}

#[tokio::test]
async fn h13_the_first_folder_sync_repeats_what_options_says() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let options = phone.options().await;
    assert_eq!(options.header("X-MS-RP"), None);
    let first = phone.folder_sync("0").await;
    for name in ["MS-ASProtocolVersions", "MS-ASProtocolCommands"] {
        assert!(first.header(name).is_some(), "{name}");
        assert_eq!(first.header(name), options.header(name));
    }
    let versions = options.header("MS-ASProtocolVersions");
    assert_eq!(first.header("X-MS-RP"), versions);
    let key = text_of(&first.xml(), "SyncKey");
    let later = phone.folder_sync(&key).await;
    for name in ["X-MS-RP", "MS-ASProtocolVersions", "MS-ASProtocolCommands"] {
        assert_eq!(later.header(name), None, "{name}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn h14_versions_are_those_of_exchange_2016() {
    let mock = mock(|_| {}).await;
    let answer = Phone::new(&mock, "load1").await.options().await;
    let expected = "2.0,2.1,2.5,12.0,12.1,14.0,14.1,16.0,16.1";
    assert_eq!(answer.header("MS-ASProtocolVersions"), Some(expected));
    mock.shutdown().await;
}

#[tokio::test]
async fn h14_versions_can_be_those_of_another_server() {
    let versions = ["2.5", "12.0", "12.1", "14.0", "14.1"];
    let mock = mock(|config| config.versions = versions.map(str::to_owned).to_vec()).await;
    let answer = Phone::new(&mock, "load1").await.options().await;
    let expected = versions.join(",");
    assert_eq!(
        answer.header("MS-ASProtocolVersions"),
        Some(expected.as_str())
    );
    mock.shutdown().await;
}

#[tokio::test]
async fn h15_a_throttled_answer_names_its_reason() {
    let mock = mock(|config| config.error_response_delay = std::time::Duration::ZERO).await;
    fault(&mock, r#"{"fault":"retry-after","delay":"7s"}"#).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let throttled = phone.folder_sync("0").await;
    assert_eq!(throttled.status, 503);
    assert!(!throttled.header("X-MS-ASThrottle").unwrap().is_empty());
    assert_eq!(throttled.header("Retry-After"), Some("7"));
    control(&mock, "DELETE", "faults", "").await;
    let mut again = Phone::new(&mock, "load1").await;
    let ordinary = again.folder_sync("0").await;
    assert_eq!(ordinary.status, 200);
    assert_eq!(ordinary.header("X-MS-ASThrottle"), None);
    assert_eq!(ordinary.header("Retry-After"), None);
    mock.shutdown().await;
}

#[tokio::test]
async fn h16_a_401_asks_for_basic_with_the_host_as_realm() {
    let mock = mock(|_| {}).await;
    let refused = head_only(&mock, "OPTIONS", "").await;
    let realm = format!("Basic realm=\"{HOST}\"");
    assert_eq!(refused.all("WWW-Authenticate"), [realm]);
    mock.shutdown().await;
}

#[tokio::test]
async fn h16_a_401_offers_bearer_when_there_is_a_token() {
    let mock = mock(|config| config.bearer_token = Some("token".to_owned())).await;
    let refused = head_only(&mock, "OPTIONS", "Authorization: Bearer other\r\n").await;
    assert_eq!(refused.status, 401);
    let ways = refused.all("WWW-Authenticate");
    assert!(ways.contains(&format!("Basic realm=\"{HOST}\"").as_str()));
    assert!(ways.iter().any(|way| way.starts_with("Bearer")), "{ways:?}");
    mock.shutdown().await;
}

#[tokio::test]
async fn h17_gzip_only_when_the_client_asked() {
    let mock = mock(|config| config.gzip = true).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let plain = phone.folder_sync("0").await;
    assert_eq!(plain.header("Content-Encoding"), None);
    phone.extra = "Accept-Encoding: gzip, deflate\r\n";
    let zipped = phone.folder_sync("0").await;
    assert_eq!(zipped.header("Content-Encoding"), Some("gzip"));
    let xml = to_xml(&zipped.unzipped()).unwrap();
    assert_eq!(text_of(&xml, "/FolderSync/Status"), "1");
    phone.extra = "Accept-Encoding: br\r\n";
    let other = phone.folder_sync("0").await;
    assert_eq!(other.header("Content-Encoding"), None);
    mock.shutdown().await;
}

#[tokio::test]
async fn h17_no_gzip_where_it_is_off() {
    let mock = mock(|config| config.gzip = false).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.extra = "Accept-Encoding: gzip\r\n";
    let plain = phone.folder_sync("0").await;
    assert_eq!(plain.header("Content-Encoding"), None);
    assert_eq!(plain.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn h17_a_chunked_request_is_read_like_any_other() {
    let mock = mock(|_| {}).await;
    let phone = Phone::new(&mock, "load1").await;
    let body = eas::wbxml::from_xml(FOLDER_SYNC_0).unwrap();
    let (query, authorization) = (phone.query("FolderSync"), basic("load1", "secret"));
    let mut bytes = format!(
        "POST {PATH}?{query} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}MS-ASProtocolVersion: 14.1\
         \r\nContent-Type: {WBXML}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(5) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let mut raw = Raw::connect(mock.addresses().listen).await;
    raw.send(&bytes).await;
    // The body was understood: what is missing is only the policy key.
    assert_eq!(raw.answer().await.statuses(), ["142"]);
    mock.shutdown().await;
}

/// H4, H3: front end and back end are two servers where the topology says so.
#[tokio::test]
async fn h3_h4_two_servers_name_themselves_apart() {
    let mock = mock(|config| config.topology = mock_api::Topology::TwoServers).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let answer = phone.options().await;
    assert_eq!(answer.header("X-FEServer"), Some("MOCK01"));
    assert_eq!(answer.header("X-BEServer"), Some("MOCK02"));
    assert_eq!(
        answer.header("X-CalculatedBETarget"),
        Some("mock02.lab.example")
    );
    mock.shutdown().await;
}

/// H17: chunks where the configuration says so, and never to a client of HTTP/1.0.
#[tokio::test]
async fn h17_answers_can_be_chunked() {
    let mock = mock(|config| config.chunked = true).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let answer = phone.folder_sync("0").await;
    assert_eq!(answer.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.header("Content-Length"), None);
    assert_eq!(answer.statuses(), ["142"]);
    let page = "GET /owa/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    phone.raw.send(page.as_bytes()).await;
    let old = phone.raw.answer().await;
    assert!(old.header("Content-Length").is_some());
    assert_eq!(old.header("Connection"), Some("keep-alive"));
    // HEAD: the same head, no body, and the connection goes on.
    let head = "HEAD /owa/ HTTP/1.1\r\nHost: x\r\n\r\nGET /owa/ HTTP/1.1\r\nHost: x\r\n\r\n";
    phone.raw.send(head.as_bytes()).await;
    let text = phone.raw.head().await;
    assert!(text.contains("\r\nContent-Length: "), "{text}");
    assert_eq!(phone.raw.answer().await.status, 200);
    mock.shutdown().await;
}

/// H17: a weight of zero forbids a coding.
#[tokio::test]
async fn h17_gzip_with_weight_zero_is_no_gzip() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    for (accept, expected) in [
        ("Accept-Encoding: gzip;q=0\r\n", None),
        ("Accept-Encoding: br, GZIP;q=0.5\r\n", Some("gzip")),
    ] {
        phone.extra = accept;
        let answer = phone.folder_sync("0").await;
        assert_eq!(answer.header("Content-Encoding"), expected, "{accept}");
    }
    mock.shutdown().await;
}

/// H15: the text is the configuration's.
#[tokio::test]
async fn h15_the_throttle_text_is_configurable() {
    let mock = mock(|config| {
        config.throttle_text = "LabText".to_owned();
        config.error_response_delay = Duration::ZERO;
        config.faults = vec![mock_api::Fault::new(mock_api::FaultKind::RetryAfter)];
    })
    .await;
    let mut phone = Phone::new(&mock, "load1").await;
    let answer = phone.options().await;
    assert_eq!(answer.header("X-MS-ASThrottle"), Some("LabText"));
    mock.shutdown().await;
}
