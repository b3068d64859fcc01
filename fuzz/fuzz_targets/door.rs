//! Any bytes at the front door of a mock whose worker runs in this process: as they are, as the query
//! of a request, or as the body of a command of a device that got in. It must answer or close, and a
//! panic anywhere ends the process. Time is paused, and heartbeats end after a minute of it.
#![no_main]

use std::cell::OnceCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mock_api::{MockConfig, Topology};
use mock_server::{FrontDoor, WorkerLauncher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// Commands in the body mode, by the first byte.
const COMMANDS: [&str; 20] = [
    "Sync",
    "Ping",
    "Provision",
    "FolderSync",
    "SendMail",
    "GetItemEstimate",
    "ItemOperations",
    "Settings",
    "SmartReply",
    "SmartForward",
    "GetAttachment",
    "FolderCreate",
    "FolderUpdate",
    "FolderDelete",
    "MoveItems",
    "MeetingResponse",
    "Search",
    "ResolveRecipients",
    "ValidateCert",
    "Find",
];
const VERSIONS: [&str; 4] = ["12.1", "14.1", "16.0", "16.1"];
/// The longest that anything may take, in paused time: a connection without a request.
const LIMIT: Duration = Duration::from_secs(1000);
/// `user:secret` in base64.
const LOGIN: &str = "dXNlcjpzZWNyZXQ=";

thread_local! {
    static MOCK: OnceCell<(Runtime, FrontDoor)> = const { OnceCell::new() };
}

fn start() -> (Runtime, FrontDoor) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let config = MockConfig {
        topology: Topology::Direct,
        require_provisioning: false,
        max_heartbeat: Duration::from_secs(60),
        ..MockConfig::default()
    };
    let mock = runtime
        .block_on(FrontDoor::start(config, WorkerLauncher::InProcess))
        .expect("a mock");
    (runtime, mock)
}

fn request(input: &[u8]) -> Vec<u8> {
    let Some((mode, rest)) = input.split_first() else {
        return Vec::new();
    };
    let head = |query: &[u8], length: usize| {
        let version = VERSIONS[usize::from(mode >> 6)];
        let mut head = b"POST /Microsoft-Server-ActiveSync?".to_vec();
        head.extend(query);
        head.extend(
            format!(
                " HTTP/1.1\r\nHost: mock\r\nAuthorization: Basic {LOGIN}\r\n\
                 MS-ASProtocolVersion: {version}\r\nAccept-Encoding: gzip\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n"
            )
            .bytes(),
        );
        head
    };
    match mode & 0x3F {
        0..=15 => rest.to_vec(),
        16..=23 => head(rest, 0),
        other => {
            let command = COMMANDS[usize::from(other) % COMMANDS.len()];
            let query = format!("Cmd={command}&User=user&DeviceId=FUZZ&DeviceType=fuzz");
            let mut request = head(query.as_bytes(), rest.len());
            request.extend(rest);
            request
        }
    }
}

fuzz_target!(|input: &[u8]| {
    MOCK.with(|mock| {
        let (runtime, mock) = mock.get_or_init(start);
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(64 << 10);
            mock.serve_stream(server);
            let talk = async {
                // The server may have refused and closed before it has read everything.
                let _ = client.write_all(&request(input)).await;
                let _ = client.shutdown().await;
                let mut answer = Vec::new();
                let _ = client.read_to_end(&mut answer).await;
                answer
            };
            let answer = tokio::time::timeout(LIMIT, talk).await;
            let answer = answer.expect("the server ends the connection");
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "));
        });
    });
});
