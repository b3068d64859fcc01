//! What is said about files that are no XML, and that nothing panics or takes for ever.

use iis::{SYNC_POOL, read_pool};
use proptest::prelude::*;
use proptest::sample::Index;

use super::fixtures::{FULL, file, mistakes, mistakes_of, scheduled, utf_16};

#[test]
fn what_cannot_be_decoded_is_named() {
    let expected = "expected UTF-8, or UTF-16 with a byte order mark";
    let little = utf_16(FULL, u16::to_le_bytes);
    for (bytes, place) in [
        (b"<a>\n\xfc".to_vec(), "a.config:2:1: file: "),
        (little[2..].to_vec(), "a.config:1:2: file: "),
        (
            little[..little.len() - 1].to_vec(),
            "a.config:24:17: file: ",
        ),
        (b"\xff\xfe<\0\0\xd8<\0".to_vec(), "a.config:1:2: file: "),
    ] {
        let all = mistakes(&bytes, "P");
        assert!(
            all[0].starts_with(place) && all[0].contains(expected),
            "{all:?}"
        );
    }
}

#[test]
fn malformed_xml_names_the_open_element() {
    for (pools, expected) in [
        ("<add name='P'>", "a.config:5:1: add: malformed XML"),
        ("<add name='P'>", "<add> of line 4 is open"),
        (
            "<add name='P'><processModel></add>",
            "<processModel> of line 4 is open",
        ),
        ("<add name='P", "<applicationPools> of line 3 is open"),
        (
            "<add name='P><failure />",
            "<applicationPools> of line 3 is open",
        ),
        (
            "<add name='P />\n<add name='Q />",
            "has a `<` in the attribute `name`; <add> of line 4 is open",
        ),
        ("<add name=P />", "<add> of line 4 is open"),
        (
            "<add name='P' name='Q' />",
            "has the attribute `name` twice",
        ),
        ("<add name='&pool;' />", "<add> of line 4 is open"),
        (
            "<add name='P' /><!-- ",
            "<applicationPools> of line 3 is open",
        ),
    ] {
        let all = mistakes_of(pools);
        let last = all.last().unwrap();
        assert!(
            last.contains("malformed XML: ") && last.contains(expected),
            "{pools}: {all:?}"
        );
    }
    let cut = &FULL[..FULL.len() - 20];
    let all = mistakes(cut.as_bytes(), SYNC_POOL);
    assert!(
        all[0].starts_with("a.config:") && all[0].contains("is open"),
        "{all:?}"
    );
    let second = format!("{FULL}<configuration />");
    let all = mistakes(second.as_bytes(), SYNC_POOL);
    assert!(all[0].contains("second root element"), "{all:?}");
}

#[test]
fn mistakes_before_malformed_xml_are_told_too() {
    let all = mistakes_of("<add name='P' queueLength='1'><failure></add>");
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(
        all[0].contains("add@queueLength") && all[1].contains("malformed"),
        "{all:?}"
    );
}

#[test]
fn hostile_files_are_bounded() {
    let deep = file(&"<x>".repeat(1_000_000));
    let all = mistakes(deep.as_bytes(), "P");
    assert!(
        all[0].contains("expected elements nested at most 64 deep"),
        "{}",
        all[0]
    );
    let attributes: String = (0..100_000)
        .map(|number| format!(" a{number}=''"))
        .collect();
    let wide = file(&format!("<add name='P'{attributes} />"));
    let all = mistakes(wide.as_bytes(), "P");
    assert!(
        all[0].contains("expected at most 256 attributes"),
        "{}",
        all[0]
    );
    let large = vec![b' '; (16 << 20) + 1];
    let all = mistakes(&large, "P");
    assert!(
        all[0].starts_with("a.config:1:1: file: has 16777217 bytes; expected"),
        "{}",
        all[0]
    );
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a 'b'>]>{}",
        file("<add name='&a;' />")
    );
    let all = mistakes(bomb.as_bytes(), "P");
    assert!(all[0].contains("malformed XML"), "{}", all[0]);
    // One line with as many mistakes as fit: must not take quadratic time.
    let many = "<schedule><add value='x' />".to_owned() + &"<add value='x'/>".repeat(500_000);
    let all = mistakes(
        file(&scheduled(&format!("{many}</schedule>"))).as_bytes(),
        "P",
    );
    assert_eq!(all.len(), 500_001);
}

fn mutation() -> impl Strategy<Value = (Index, Index, Vec<u8>)> {
    let pieces = prop_oneof![
        prop::sample::select(vec![
            "",
            "<",
            ">",
            "/>",
            "</",
            "\"",
            "'",
            "=",
            "&",
            "&#0;",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<?",
            "?>",
            "<!DOCTYPE",
            "<add ",
            "<schedule/>",
            "<clear/>",
            ":",
            ".",
            "-",
            "99999999999",
            "ü",
            "\u{feff}",
            "\0",
            "\n",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<Index>(), any::<Index>(), pieces)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), pool in ".*") {
        let _ = read_pool("a.config", &bytes, &pool);
    }

    #[test]
    fn mutated_files_never_panic(mutations in prop::collection::vec(mutation(), 1..6), wide in any::<bool>()) {
        let mut bytes = if wide { utf_16(FULL, u16::to_le_bytes) } else { FULL.as_bytes().to_vec() };
        for (start, length, piece) in mutations {
            let start = start.index(bytes.len() + 1);
            let end = start + length.index((bytes.len() - start).min(30) + 1);
            bytes.splice(start..end, piece);
        }
        if let Err(error) = read_pool("a.config", &bytes, SYNC_POOL) {
            prop_assert_eq!(error.to_string().lines().count(), error.problems().len());
        }
    }
}
