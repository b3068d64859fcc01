//! The 503 that HTTP.sys writes itself, byte for byte (section 4 of the checklist).

use super::raw::{End, HOST, PATH, Raw, assert_date, basic, control, fault};
use crate::fixtures::{eventually, mock};

const BODY: &str = concat!(
    "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">",
    "\r\n<HTML><HEAD><TITLE>Service Unavailable</TITLE>\r\n",
    "<META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>\r\n",
    "<BODY><h2>Service Unavailable</h2>\r\n",
    "<hr><p>HTTP Error 503. The service is unavailable.</p>\r\n",
    "</BODY></HTML>\r\n",
);

async fn options(mock: &mock_server::FrontDoor) -> Raw {
    let mut raw = Raw::connect(mock.addresses().listen).await;
    let authorization = basic("load1", "secret");
    let head = format!("OPTIONS {PATH} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\r\n");
    raw.send(head.as_bytes()).await;
    raw
}

/// Reads to the end of the connection, which must come by itself.
async fn assert_http_sys_503(mut raw: Raw) {
    let text = String::from_utf8(raw.rest().await).unwrap();
    let date = text
        .lines()
        .find_map(|line| line.strip_prefix("Date: "))
        .unwrap_or_else(|| panic!("no Date in {text}"));
    assert_date(date);
    let expected = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=us-ascii\r\n\
         Server: Microsoft-HTTPAPI/2.0\r\nDate: {date}\r\nConnection: close\r\n\
         Content-Length: 326\r\n\r\n{BODY}"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn http_sys_503_is_the_captured_one_and_closes() {
    assert_eq!(BODY.len(), 326);
    let mock = mock(|_| {}).await;
    control(&mock, "POST", "pool/stop", "").await;
    assert_http_sys_503(options(&mock).await).await;
    mock.shutdown().await;
}

/// A device whose connection was kept alive gets the same, and loses the connection.
#[tokio::test]
async fn http_sys_503_comes_on_a_connection_in_use_too() {
    let mock = mock(|_| {}).await;
    let mut raw = options(&mock).await;
    assert_eq!(raw.answer().await.status, 200);
    control(&mock, "POST", "pool/stop", "").await;
    let authorization = basic("load1", "secret");
    let head = format!("OPTIONS {PATH} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\r\n");
    raw.send(head.as_bytes()).await;
    assert_http_sys_503(raw).await;
    mock.shutdown().await;
}

#[tokio::test]
async fn http_sys_503_answers_a_full_queue_too() {
    let mock = mock(|_| {}).await;
    fault(&mock, r#"{"fault":"queue-full"}"#).await;
    assert_http_sys_503(options(&mock).await).await;
    control(&mock, "DELETE", "faults", "").await;
    assert_eq!(options(&mock).await.answer().await.status, 200);
    mock.shutdown().await;
}

#[tokio::test]
async fn http_sys_503_ends_when_the_pool_starts() {
    let mock = mock(|_| {}).await;
    control(&mock, "POST", "pool/stop", "").await;
    let mut stopped = options(&mock).await;
    assert_eq!(stopped.answer().await.status, 503);
    assert_eq!(stopped.closed().await, End::Fin);
    control(&mock, "POST", "pool/start", "").await;
    eventually("the pool serves again", || async {
        options(&mock).await.answer().await.status == 200
    })
    .await;
    mock.shutdown().await;
}
