//! Bytes that no client should send, on every door.

use std::net::SocketAddr;
use std::time::Duration;

use eas::http::PATH;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::phone::{FOLDER_SYNC_0, Phone};
use super::raw::{Raw, basic};
use crate::fixtures::mock;

/// Sends bytes, ends the sending side, and takes what comes; the server must end it.
async fn throw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have refused already.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    // A reset is an end too.
    let _ = read.expect("the server ends the connection");
    answer
}

#[tokio::test]
async fn mutated_requests_on_every_door_leave_the_mock_serving() {
    const SEED: u64 = 20_260_314;
    const ROUNDS: usize = 400;
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let addresses = mock.addresses().clone();
    let control = addresses
        .control
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let doors = [addresses.listen, addresses.back_end, control];
    let body = eas::wbxml::from_xml(FOLDER_SYNC_0).unwrap();
    let (query, authorization) = (phone.query("FolderSync"), basic("load1", "secret"));
    let mut valid = format!(
        "POST {PATH}?{query} HTTP/1.1\r\nHost: mock\r\n{authorization}MS-ASProtocolVersion: 14.1\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    valid.extend(&body);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let worker = mock.truth().workers[0].pid;
    for round in 0..ROUNDS {
        let mut bytes = valid.clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, random.random()),
                _ => {
                    let piece = bytes[at..].to_vec();
                    bytes.extend(piece);
                }
            }
        }
        throw(doors[round % doors.len()], &bytes).await;
    }
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    let truth = mock.truth();
    assert_eq!((truth.workers[0].pid, truth.failures), (worker, 0));
    mock.shutdown().await;
}

#[tokio::test]
async fn what_is_no_http_gets_http_sys_s_400() {
    let mock = mock(|_| {}).await;
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(40 << 10));
    for (bytes, status, length) in [
        ("P{}ST / HTTP/1.1\r\n\r\n", "400", Some(326)),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400",
            None,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
            None,
        ),
        ("GET / HTTP/9.9\r\n\r\n", "505", None),
        (long.as_str(), "400", None),
    ] {
        let answer = throw(mock.addresses().listen, bytes.as_bytes()).await;
        let text = String::from_utf8(answer).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Server: Microsoft-HTTPAPI/2.0"), "{head}");
        if let Some(length) = length {
            assert_eq!(body.len(), length);
        }
    }
    // Two requests in one packet are answered in order.
    let mut raw = Raw::connect(mock.addresses().listen).await;
    let authorization = basic("load1", "secret");
    let one = format!("OPTIONS {PATH} HTTP/1.1\r\nHost: mock\r\n{authorization}\r\n");
    let two = format!("GET {PATH} HTTP/1.1\r\nHost: mock\r\n{authorization}\r\n");
    raw.send(format!("{one}{two}").as_bytes()).await;
    assert_eq!(raw.answer().await.status, 200);
    assert_eq!(raw.answer().await.status, 501);
    mock.shutdown().await;
}

/// RFC 9112 3.2. HTTP.sys answers such a request itself, and notes it.
#[tokio::test]
async fn a_request_without_exactly_one_host_gets_http_sys_s_400() {
    const PAGE: &str = concat!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">",
        "\r\n<HTML><HEAD><TITLE>Bad Request</TITLE>\r\n",
        "<META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>\r\n",
        "<BODY><h2>Bad Request - Invalid Hostname</h2>\r\n",
        "<hr><p>HTTP Error 400. The request hostname is invalid.</p>\r\n",
        "</BODY></HTML>\r\n",
    );
    assert_eq!(PAGE.len(), 334);
    let mock = mock(|_| {}).await;
    let mut refused = 0;
    for (version, hosts, is_answered) in [
        ("1.1", "Host: mail.lab.example\r\n", true),
        ("1.1", "", false),
        (
            "1.1",
            "Host: mail.lab.example\r\nHost: mail.lab.example\r\n",
            false,
        ),
        ("1.1", "Host: a b\r\n", false),
        ("1.0", "", true),
        ("1.0", "Host: mail.lab.example\r\n", true),
        ("1.0", "Host: a\r\nHost: b\r\n", false),
    ] {
        let authorization = basic("load1", "secret");
        let request = format!("OPTIONS {PATH} HTTP/{version}\r\n{hosts}{authorization}\r\n");
        let mut raw = Raw::connect(mock.addresses().listen).await;
        raw.send(request.as_bytes()).await;
        if is_answered {
            assert_eq!(raw.answer().await.status, 200, "HTTP/{version} {hosts}");
            continue;
        }
        let text = String::from_utf8(raw.rest().await).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{hosts}: {head}"
        );
        assert_eq!(body, PAGE, "{hosts}");
        refused += 1;
        let log = super::raw::control(&mock, "GET", "httperr", "").await;
        let log = String::from_utf8(log.body).unwrap();
        assert_eq!(log.matches(" 400 - Hostname ").count(), refused, "{log}");
    }
    mock.shutdown().await;
}

/// The reasons of HTTP.sys's error log.
#[tokio::test]
async fn refused_requests_are_noted_with_their_reason() {
    let mock = mock(|_| {}).await;
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(40 << 10));
    for (bytes, reason) in [
        ("P{}ST / HTTP/1.1\r\n\r\n", " 400 - Verb "),
        ("GET ftp://x HTTP/1.1\r\nHost: x\r\n\r\n", " 400 - URL "),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
            " 400 - Header ",
        ),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n", " 505 - Version_N/S "),
        (long.as_str(), " 400 - RequestLength "),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            " 400 - BadRequest ",
        ),
    ] {
        throw(mock.addresses().listen, bytes.as_bytes()).await;
        let log = super::raw::control(&mock, "GET", "httperr", "").await;
        let log = String::from_utf8(log.body).unwrap();
        assert!(log.lines().last().unwrap().contains(reason), "{log}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn nobody_is_somebody_else_on_the_hop_to_the_back_end() {
    let mock = mock(|_| {}).await;
    let forged = format!("{}X-Mock-Identity: load2\r\n", basic("load1", "secret"));
    let answer = super::raw::head_only(&mock, "OPTIONS", &forged).await;
    assert_eq!(answer.status, 200);
    let log = super::raw::control(&mock, "GET", "iis-log", "").await;
    let log = String::from_utf8(log.body).unwrap();
    assert!(log.contains(" load1 ") && !log.contains(" load2 "), "{log}");
    let split = basic("load1\r\nContent-Length: 0", "secret");
    let answer = super::raw::head_only(&mock, "OPTIONS", &split).await;
    assert_eq!(answer.status, 401);
    mock.shutdown().await;
}
