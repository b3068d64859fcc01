//! The codec against the specification's tables, its bounds, and generated documents.

use eas::wbxml::{
    self, DecodeErrorKind, EncodeError, Event, HEADER, Limits, PAGES, Reader, Tag, Writer,
    air_sync, from_xml, ping, to_xml,
};
use proptest::prelude::*;

fn document(bytes: &[u8]) -> Vec<u8> {
    [&HEADER[..], bytes].concat()
}

fn events(body: &[u8]) -> Result<Vec<String>, DecodeErrorKind> {
    let mut reader = Reader::new(body).map_err(|error| error.kind)?;
    let mut list = Vec::new();
    while let Some(event) = reader.next_event().map_err(|error| error.kind)? {
        list.push(match event {
            Event::Start(element) => format!("<{}", element.tag),
            Event::End => ">".to_owned(),
            Event::Text(text) => text.to_owned(),
            Event::Entity(letter) => format!("&{letter}"),
            Event::Opaque(bytes) => format!("{bytes:?}"),
        });
    }
    Ok(list)
}

/// The counts are those of the notes that came with the table: 586 current rows, 67 unlisted and
/// 1 of a single source; the 3 rejected rows must not be there.
#[test]
fn the_table_is_complete() {
    let all: Vec<_> = PAGES.iter().flat_map(|page| page.tokens).collect();
    assert_eq!(PAGES.len(), 26);
    assert_eq!(all.len(), 654);
    assert_eq!(all.iter().filter(|token| token.current).count(), 586);
    assert_eq!(Tag::from_numbers(25, 0x1A).unwrap().name(), None);
}

#[test]
fn every_token_is_written_and_read_both_ways() {
    for page in &PAGES {
        for token in page.tokens {
            let mut writer = Writer::new();
            writer.start(token.tag).text("x").end();
            let body = writer.finish().unwrap();
            let mut expected = HEADER.to_vec();
            if page.number != 0 {
                expected.extend([0x00, page.number]);
            }
            expected.extend([token.tag.token() | 0x40, 0x03, b'x', 0x00, 0x01]);
            assert_eq!(body, expected, "{}", token.tag);

            let mut reader = Reader::new(&body).unwrap();
            let root = reader.root(token.tag).unwrap();
            assert_eq!(reader.text(root).unwrap(), "x");
            assert_eq!(Tag::from_name(page, token.name), Some(token.tag));
            let xml = to_xml(&body).unwrap();
            assert_eq!(from_xml(&xml).unwrap(), body, "{xml}");
        }
    }
}

/// Two pages of the specification's own table, typed by hand, so that a slip in the generator
/// cannot hide behind itself.
#[test]
fn tokens_are_those_of_the_specification() {
    assert_eq!((air_sync::SYNC.page(), air_sync::SYNC.token()), (0, 0x05));
    assert_eq!(
        (
            air_sync::HEARTBEAT_INTERVAL.page(),
            air_sync::HEARTBEAT_INTERVAL.token()
        ),
        (0, 0x29)
    );
    let names: Vec<_> = PAGES[13]
        .tokens
        .iter()
        .map(|token| (token.tag.token(), token.name))
        .collect();
    assert_eq!(
        names,
        [
            (0x05, "Ping"),
            (0x06, "AutdState"),
            (0x07, "Status"),
            (0x08, "HeartbeatInterval"),
            (0x09, "Folders"),
            (0x0A, "Folder"),
            (0x0B, "Id"),
            (0x0C, "Class"),
            (0x0D, "MaxFolders"),
            (0x0E, "Version"),
        ]
    );
}

/// The bytes of MS-ASCMD's Ping answer "changes in folder 5", put together by hand from the
/// token table.
#[test]
fn a_ping_answer_has_the_bytes_of_the_table() {
    let mut writer = Writer::new();
    writer
        .start(ping::PING)
        .number(ping::STATUS, 2)
        .start(ping::FOLDERS);
    writer.element(ping::FOLDER, "5").end().end();
    assert_eq!(
        writer.finish().unwrap(),
        b"\x03\x01\x6A\x00\x00\x0D\x45\x47\x03\x32\x00\x01\x49\x4A\x03\x35\x00\x01\x01\x01"
    );
}

#[test]
fn strings_opaque_data_and_entities_are_read() {
    let body = document(b"\x45\x4B\x03ab\0\x02\x81\x20\xC3\x02\x00\xFF\x01\x01");
    assert_eq!(
        events(&body).unwrap(),
        [
            "<AirSync:Sync",
            "<AirSync:SyncKey",
            "ab",
            "&\u{A0}",
            "[0, 255]",
            ">",
            ">"
        ]
    );
}

#[test]
fn string_table_references_are_read_and_bounded() {
    let body = b"\x03\x01\x6A\x05abc\0d\x45\x83\x01\x01";
    assert_eq!(events(body).unwrap(), ["<AirSync:Sync", "bc", ">"]);
    assert_eq!(
        events(b"\x03\x01\x6A\x05abc\0d\x45\x83\x05\x01"),
        Err(DecodeErrorKind::BadStringReference(5))
    );
    assert_eq!(
        events(b"\x03\x01\x6A\x05abc\0d\x45\x83\x04\x01"),
        Err(DecodeErrorKind::UnterminatedString)
    );
}

#[test]
fn multi_byte_integers_are_bounded() {
    // 0xFFFFFFFF is a valid length, of data that is not there.
    let longest = document(b"\x45\xC3\x8F\xFF\xFF\xFF\x7F\x01");
    assert!(matches!(
        events(&longest),
        Err(DecodeErrorKind::Limit { .. })
    ));
    let beyond = document(b"\x45\xC3\x90\x80\x80\x80\x00\x01");
    assert_eq!(events(&beyond), Err(DecodeErrorKind::IntegerOverflow));
    let six_bytes = document(b"\x45\xC3\x80\x80\x80\x80\x80\x01z\x01");
    assert_eq!(events(&six_bytes), Err(DecodeErrorKind::IntegerOverflow));
    let endless = document(b"\x45\xC3\x80");
    assert_eq!(events(&endless), Err(DecodeErrorKind::Truncated));
}

#[test]
fn what_eas_does_not_use_is_refused_by_name() {
    for (token, what) in [
        (0x85_u8, "attributes"),
        (0xC5, "attributes"),
        (0x04, "literal tags"),
        (0x44, "literal tags"),
        (0x84, "literal tags"),
        (0xC4, "literal tags"),
        (0x40, "extension tokens"),
        (0x42, "extension tokens"),
        (0x80, "extension tokens"),
        (0x82, "extension tokens"),
        (0xC0, "extension tokens"),
        (0xC2, "extension tokens"),
        (0x43, "processing instructions"),
    ] {
        assert_eq!(
            events(&document(&[token, 0x01])),
            Err(DecodeErrorKind::Unsupported(what)),
            "{token:#04x}"
        );
    }
}

#[test]
fn broken_documents_say_what_is_broken() {
    let cases: [(&[u8], DecodeErrorKind); 13] = [
        (b"", DecodeErrorKind::Truncated),
        (b"<html>", DecodeErrorKind::Html),
        (b"\xEF\xBB\xBF <!DOCTYPE html>", DecodeErrorKind::Html),
        (b"<?xml version=\"1.0\"?><Sync/>", DecodeErrorKind::Xml),
        (b"Bad gateway", DecodeErrorKind::NotWbxml(b'B')),
        (b"\x03\x01\x04\x00", DecodeErrorKind::Charset(4)),
        (b"\x03\x01\x6A\x00", DecodeErrorKind::Empty),
        (b"\x03\x01\x6A\x00\x01", DecodeErrorKind::UnbalancedEnd),
        (
            b"\x03\x01\x6A\x00\x03a\0",
            DecodeErrorKind::ContentOutsideRoot,
        ),
        (b"\x03\x01\x6A\x00\x05\x05", DecodeErrorKind::TrailingData),
        (
            b"\x03\x01\x6A\x00\x45\x03ab",
            DecodeErrorKind::UnterminatedString,
        ),
        (
            b"\x03\x01\x6A\x00\x45\x03\xFF\0\x01",
            DecodeErrorKind::InvalidUtf8,
        ),
        (
            b"\x03\x01\x6A\x00\x45\x02\x83\xB0\x00\x01",
            DecodeErrorKind::BadEntity(0xD800),
        ),
    ];
    for (body, kind) in cases {
        assert_eq!(events(body), Err(kind), "{body:02x?}");
    }
}

#[test]
fn every_limit_holds() {
    let deep = document(&vec![0x45; usize::from(Limits::DEPTH) + 1]);
    assert!(matches!(
        events(&deep),
        Err(DecodeErrorKind::Limit {
            what: "the nesting of elements",
            ..
        })
    ));
    let limits = Limits {
        value: 3,
        events: 5,
        document: 20,
        ..Limits::default()
    };
    let decode = |body: &[u8]| -> Result<(), DecodeErrorKind> {
        Reader::with_limits(body, limits)
            .and_then(Reader::finish)
            .map_err(|error| error.kind)
    };
    let what = |result| match result {
        Err(DecodeErrorKind::Limit { what, .. }) => what,
        other => panic!("expected a limit, got {other:?}"),
    };
    assert_eq!(
        what(decode(&document(b"\x45\x03abcd\0\x01"))),
        "the length of a string"
    );
    assert_eq!(
        what(decode(&document(b"\x45\xC3\x04abcd\x01"))),
        "the size of an opaque value"
    );
    assert_eq!(
        what(decode(&document(b"\x45\x05\x05\x05\x05\x05\x01"))),
        "the number of elements and values"
    );
    assert_eq!(what(decode(&document(&[0x05; 20]))), "the size of the body");
    assert_eq!(decode(&document(b"\x45\x03abc\0\x01")), Ok(()));
}

#[test]
fn an_announced_length_allocates_nothing() {
    // 256 MiB announced, nothing there: refused by the bound on the input, not by the allocator.
    let body = document(b"\x45\xC3\x80\x80\x04\x01");
    assert_eq!(
        events(&document(b"\x45\xC3\x84\x80\x80\x00")).unwrap_err(),
        DecodeErrorKind::Truncated
    );
    assert!(events(&body).is_err());
}

#[test]
fn writer_refuses_what_cannot_be_read_back() {
    let mut writer = Writer::new();
    writer.start(air_sync::SYNC).text("a\0b").end();
    assert!(writer.finish().unwrap_err().to_string().contains("NUL"));
    let mut writer = Writer::new();
    writer.start(air_sync::SYNC);
    assert!(writer.finish().is_err());
}

#[test]
fn a_second_root_element_cannot_be_written() {
    let mut writer = Writer::new();
    writer.start(ping::PING).end();
    assert!(writer.finish().is_ok());
    let mut writer = Writer::new();
    writer.start(ping::PING).end().empty(air_sync::SYNC);
    assert_eq!(
        writer.finish(),
        Err(EncodeError::SecondRoot(air_sync::SYNC))
    );
}

#[test]
fn xml_errors_name_the_element() {
    for (xml, message) in [
        ("<Sync/>", "has no namespace"),
        (
            "<Sync xmlns='AirSink'/>",
            "unknown namespace `AirSink`; known are AirSync",
        ),
        ("<Snyc xmlns='AirSync'/>", "`Snyc` is not in code page 0"),
        ("<Sync xmlns='AirSync' a='1'/>", "an attribute"),
        (
            "<Sync xmlns='AirSync'>&nbsp;</Sync>",
            "unknown entity `&nbsp;`",
        ),
        ("<Sync xmlns='AirSync'><Add></Sync>", "Add"),
        (
            "<Sync xmlns='AirSync'/>\n<Ping xmlns='Ping'/>",
            "element `Ping` is a second root element; a document has one",
        ),
        (
            "<Sync xmlns='AirSync'><Add/></Sync><Sync xmlns='AirSync'>x</Sync>",
            "element `Sync` is a second root element; a document has one",
        ),
    ] {
        let error = from_xml(xml).unwrap_err().to_string();
        assert!(error.contains(message), "{xml}: {error}");
    }
}

#[test]
fn unknown_tokens_survive_the_xml_view() {
    let body = document(b"\x00\x0D\x45\x7F\x03x\0\x01\x00\xFE\x05\x01");
    let xml = to_xml(&body).unwrap();
    assert!(
        xml.contains("<_0d.3f>x</_0d.3f>") && xml.contains("<_fe.05"),
        "{xml}"
    );
    assert_eq!(from_xml(&xml).unwrap(), body);
}

/// A document of any shape, as a list of steps; the writer closes what is left open.
#[derive(Debug, Clone)]
enum Step {
    Start(usize, usize),
    Empty(usize, usize),
    End,
    Text(String),
    Opaque(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..26usize, 0..70usize).prop_map(|(page, token)| Step::Start(page, token)),
        (0..26usize, 0..70usize).prop_map(|(page, token)| Step::Empty(page, token)),
        Just(Step::End),
        "[^\0]{0,20}".prop_map(Step::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Step::Opaque),
    ];
    proptest::collection::vec(step, 0..60)
}

fn tag_of(page: usize, token: usize) -> Tag {
    let tokens = PAGES[page].tokens;
    tokens[token % tokens.len()].tag
}

fn write(steps: &[Step]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.start(air_sync::SYNC);
    let mut open = 1;
    for step in steps {
        match step {
            Step::Start(page, token) if open < usize::from(Limits::DEPTH) => {
                writer.start(tag_of(*page, *token));
                open += 1;
            }
            Step::Start(page, token) | Step::Empty(page, token) => {
                writer.empty(tag_of(*page, *token));
            }
            Step::End if open > 1 => {
                writer.end();
                open -= 1;
            }
            Step::End => {}
            Step::Text(text) => {
                writer.text(text);
            }
            Step::Opaque(bytes) => {
                writer.opaque(bytes);
            }
        }
    }
    for _ in 0..open {
        writer.end();
    }
    writer.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn written_documents_are_read_back(steps in steps()) {
        let body = write(&steps);
        let list = events(&body).unwrap();
        let starts = list.iter().filter(|event| event.starts_with('<')).count();
        let written = steps.iter().filter(|step| matches!(step, Step::Start(..) | Step::Empty(..))).count();
        // Texts may begin with `<` too, so this is a lower bound.
        prop_assert!(starts > written);
    }

    /// One value per element, as in every real body: the XML view loses nothing.
    #[test]
    fn xml_view_round_trips(values in proptest::collection::vec(
        ((0..26usize, 0..70usize), prop_oneof!["[^\0]{1,30}".prop_map(Ok), proptest::collection::vec(any::<u8>(), 1..30).prop_map(Err)]), 0..20)
    ) {
        let mut writer = Writer::new();
        writer.start(air_sync::SYNC);
        for ((page, token), value) in &values {
            writer.start(tag_of(*page, *token));
            match value {
                Ok(text) => writer.text(text),
                Err(bytes) => writer.opaque(bytes),
            };
            writer.end();
        }
        writer.end();
        let body = if values.is_empty() {
            document(&[0x05])
        } else {
            writer.finish().unwrap()
        };
        let xml = to_xml(&body).unwrap();
        prop_assert_eq!(from_xml(&xml).unwrap(), body, "{}", xml);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = events(&bytes);
        let _ = events(&document(&bytes));
        let _ = to_xml(&document(&bytes));
    }

    #[test]
    fn cut_and_flipped_documents_never_panic(steps in steps(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bits in any::<u8>()) {
        let mut body = write(&steps);
        let _ = events(&body[..cut.index(body.len())]);
        let at = at.index(body.len());
        body[at] ^= bits;
        let _ = events(&body);
        let _ = to_xml(&body);
    }

    #[test]
    fn random_xml_never_panics(text in "[<>/a-zA-Z:= '\"&;!\\[\\]?-]{0,80}") {
        let _ = from_xml(&text);
    }
}

/// Only bytes that cannot be read are malformed; a document with a wrong element is not.
#[test]
fn malformed_wbxml_is_told_from_a_wrong_schema() {
    use eas::commands::{FolderSyncRequest, PingRequest};
    let page = |body: &[u8]| [&HEADER[..], body].concat();
    // FolderSync without a SyncKey, with one that holds an element, and with opaque text that is not
    // UTF-8; another root element.
    let wrong: [&[u8]; 4] = [
        &[0x00, 0x07, 0x56, 0x01],
        &[0x00, 0x07, 0x56, 0x52, 0x12, 0x01, 0x01],
        &[0x00, 0x07, 0x56, 0x52, 0xC3, 0x01, 0xFF, 0x01, 0x01],
        &[0x00, 0x0D, 0x05],
    ];
    for body in wrong {
        let body = page(body);
        let error = FolderSyncRequest::decode(&body).unwrap_err();
        assert!(!error.is_malformed(), "{error}");
        assert_eq!(wbxml::check(&body), Ok(()));
    }
    let ping =
        wbxml::from_xml(r#"<Ping xmlns="Ping"><HeartbeatInterval>abc</HeartbeatInterval></Ping>"#)
            .unwrap();
    let error = PingRequest::decode(&ping).unwrap_err();
    assert!(!error.is_malformed(), "{error}");
    // Cut short, not UTF-8, an END too many, attributes, no WBXML at all.
    let malformed = [
        page(&[0x00, 0x07, 0x56]),
        page(&[0x00, 0x07, 0x56, 0x52, 0x03, 0xFF, 0x00, 0x01, 0x01]),
        page(&[0x00, 0x07, 0x56, 0x52, 0x03, b'0', 0x00, 0x01, 0x01, 0x01]),
        page(&[0x00, 0x07, 0xD6, 0x01]),
        b"<html>".to_vec(),
        Vec::new(),
    ];
    for body in malformed {
        let error = FolderSyncRequest::decode(&body).unwrap_err();
        assert!(error.is_malformed(), "{error}");
        assert!(wbxml::check(&body).is_err());
    }
    // The first error is a wrong value, and the rest cannot be read.
    let cut = &ping[..ping.len() - 1];
    assert!(!PingRequest::decode(cut).unwrap_err().is_malformed());
    assert!(wbxml::check(cut).is_err());
}

/// What the encoder refuses the decoder refuses too, as a wrong value of a document that can be read.
#[test]
fn a_text_with_a_nul_is_a_wrong_value() {
    use eas::commands::FolderSyncRequest;
    let request =
        |content: &[u8]| [&HEADER[..], &[0x00, 0x07, 0x56, 0x52], content, &[1, 1]].concat();
    // As opaque data and as an entity.
    for content in [&[0xC3, 0x03, b'a', 0, b'b'][..], &[0x02, 0x00]] {
        let body = request(content);
        let error = FolderSyncRequest::decode(&body).unwrap_err();
        assert!(!error.is_malformed(), "{error}");
        assert!(
            error.to_string().contains("text without NUL characters"),
            "{error}"
        );
        assert!(!error.to_string().contains('\0'), "{error:?}");
        assert_eq!(wbxml::check(&body), Ok(()));
    }
    let body = request(&[0xC3, 0x03, b'a', 1, b'b']);
    assert_eq!(
        FolderSyncRequest::decode(&body).unwrap().sync_key,
        "a\u{1}b"
    );
}

/// One item of a request that cannot be read costs only itself; so does one of an answer that cannot be
/// written.
#[test]
fn one_bad_item_does_not_cost_the_others() {
    use eas::ProtocolVersion;
    use eas::commands::{
        Change, ClientCommand, CollectionAnswer, ItemChange, ItemData, Note, Skipped, SyncAnswer,
        SyncRequest,
    };
    use eas::status::SyncStatus;
    let xml = r#"<Sync xmlns="AirSync"><Collections><Collection><SyncKey>1</SyncKey>
        <CollectionId>8</CollectionId><Commands>
        <Add><ClientId>a</ClientId><ApplicationData><Importance xmlns="Email">abc</Importance></ApplicationData></Add>
        <Change><ServerId>8:1</ServerId><ApplicationData><Importance xmlns="Email">abc</Importance></ApplicationData></Change>
        <Add><ClientId>b</ClientId><ApplicationData><Subject xmlns="Notes">x</Subject></ApplicationData></Add>
        </Commands></Collection></Collections></Sync>"#;
    let body = wbxml::from_xml(xml).unwrap();
    let request = SyncRequest::decode(&body).unwrap();
    let [
        ClientCommand::Add { data, .. },
        ClientCommand::Change { change, .. },
        ClientCommand::Add { data: good, .. },
    ] = &request.collections[0].commands[..]
    else {
        panic!("{request:?}");
    };
    assert_eq!(*data, ItemData::Other);
    assert_eq!(*change, ItemChange::Data(ItemData::Other));
    assert!(matches!(good, ItemData::Note(note) if note.subject == "x"));

    let add = |id: &'static str, subject: &'static str| Change::Add {
        server_id: id.into(),
        data: ItemData::Note(Box::new(Note {
            subject: subject.into(),
            ..Note::default()
        })),
    };
    let answer = |changes| SyncAnswer {
        collections: vec![CollectionAnswer {
            sync_key: "1".into(),
            id: "8".into(),
            status: SyncStatus::Success,
            more_available: false,
            changes,
            responses: Vec::new(),
            skipped: Skipped::default(),
        }],
        ..SyncAnswer::default()
    };
    let good = || vec![add("8:1", "x"), add("8:3", "z")];
    let mut with_bad = good();
    with_bad.insert(1, add("8:2", "y\0"));
    for version in [ProtocolVersion::V2_5, ProtocolVersion::V16_1] {
        let expected = answer(good()).encode(version);
        assert_eq!(answer(with_bad.clone()).encode(version), expected);
        assert!(expected.is_ok());
    }
}
