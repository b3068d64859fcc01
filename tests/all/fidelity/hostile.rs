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
