//! Speed of the codec on the two bodies a harness decodes most: a Ping answer and a full window
//! of mail. Run with `cargo bench -p eas`.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use eas::commands::{Change, CollectionAnswer, Email, ItemData, PingAnswer, SyncAnswer};
use eas::status::{PingStatus, SyncStatus};
use eas::wbxml::Reader;

fn main() {
    divan::main();
}

fn ping_answer() -> Vec<u8> {
    PingAnswer {
        folders: vec!["5".into()],
        ..PingAnswer::new(PingStatus::Changes)
    }
    .encode()
    .expect("fixed texts")
}

/// 100 messages with bodies of 500 bytes, the usual truncation size.
fn sync_answer() -> Vec<u8> {
    let body = "Lorem ipsum dolor sit amet, consetetur. ".repeat(13);
    let changes = (0..100)
        .map(|number| Change::Add {
            server_id: format!("5:{number}").into(),
            data: ItemData::Email(Box::new(Email {
                from: "\"Load 2\" <load0002@lab.example>".into(),
                to: "\"Load 1\" <load0001@lab.example>".into(),
                subject: format!("message number {number}").into(),
                date_received: "2026-03-14T03:00:00.000Z".into(),
                read: false,
                body: body[..500].into(),
                ..Email::default()
            })),
        })
        .collect();
    let collection = CollectionAnswer {
        sync_key: "1712345678".into(),
        id: "5".into(),
        status: SyncStatus::Success,
        more_available: true,
        changes,
        responses: Vec::new(),
        skipped: Default::default(),
    };
    SyncAnswer {
        collections: vec![collection],
        ..SyncAnswer::default()
    }
    .encode(eas::ProtocolVersion::V14_1)
    .expect("fixed texts")
}

#[divan::bench]
fn decode_ping_answer(bencher: Bencher<'_, '_>) {
    let body = ping_answer();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| PingAnswer::decode(divan::black_box(&body)).map(|answer| answer.status));
}

#[divan::bench]
fn decode_sync_answer_of_100(bencher: Bencher<'_, '_>) {
    let body = sync_answer();
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        SyncAnswer::decode(divan::black_box(&body)).map(|answer| answer.collections.len())
    });
}

#[divan::bench]
fn read_sync_answer_of_100(bencher: Bencher<'_, '_>) {
    let body = sync_answer();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| Reader::new(divan::black_box(&body)).and_then(Reader::finish));
}

#[divan::bench]
fn encode_sync_answer_of_100(bencher: Bencher<'_, '_>) {
    let body = sync_answer();
    let answer = SyncAnswer::decode(&body).expect("encoded above");
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        divan::black_box(&answer)
            .encode(eas::ProtocolVersion::V14_1)
            .map(|bytes| bytes.len())
    });
}
