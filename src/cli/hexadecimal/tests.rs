use super::*;

/// `03 01 6a 00 00 06 45 4d 4e`, and more where a form needs it.
const BYTES: [u8; 9] = [3, 1, 0x6a, 0, 0, 6, 0x45, 0x4d, 0x4e];

#[test]
fn every_usual_form_of_hexadecimal_is_read() {
    for text in [
        "03016a00000645 4d4e",
        "03016A000006454D4E\n",
        "03016a00000\n6454d4\ne\n",
        "03016a00000645 4d4 e",
        "03 01 6a 00 00 06 45 4d 4e",
        "3 1 6a 0 0 6 45 4d 4e",
        "3\n1\n6a\n0\n0\n6\n45\n4d\n4e",
        "0x03, 0x01, 0x6A, 0x00,\n0x00, 0x06, 0x45, 0x4D, 0x4E,\n",
        "{0x3,0x1,0x6a,0x0,0x0,0x6,0x45,0x4d,0x4e};",
        "0x03016A000006454D4E",
        "03:01:6a:00:00:06:45:4d:4e",
        "03-01-6A-00-00-06-45-4D-4E",
        "3-1-6A-0-0-6-45-4D-4E",
        "[03 01 6A 00 00 06 45 4D 4E]",
        "\"\\x03\\x01\\x6a\\x00\\x00\\x06\\x45\\x4d\\x4e\"",
        "\u{feff}03 01 6a 00 00 06 45 4d 4e\r\n",
        "0301 6a00 0006 454d 4e",
        // xxd, xxd -g1, xxd -c 4 -u
        "00000000: 0301 6a00 0006 454d 4e                   ..j...EMN\n",
        "00000000: 03 01 6a 00 00 06 45 4d  ab cd\n00000008: 4e   4e",
        "00000000: 0301 6A00  ..j.\n00000004: 0006 454D  ..EM\n00000008: 4E         N",
        // hexdump -C
        "00000000  03 01 6a 00 00 06 45 4d  4e                       |..j...EMN|\n00000009\n",
        // Wireshark
        "0000  03 01 6a 00 00 06 45 4d  4e                        ..j...EMN",
        "0000   03 01 6a 00 00 06 45 4d   aa bb\n0008   4e   N",
        // od -A x -t x1, od -A x -t x1z
        "000000 03 01 6a 00 00 06 45 4d 4e\n000009\n",
        "000000 03 01 6a 00 00 06 45 4d 4e                       >..j...EMN<\n000009\n",
        // hexdump, tcpdump -X
        "0000000 0103 006a 0600 4d45 004e\n0000009\n",
        "\t0x0000:  0301 6a00 0006 454d 4e                   ..j...EMN",
        // A part of a longer dump.
        "000001f0: 0301 6a00 0006 454d 4e   ..j...EMN",
    ] {
        assert_eq!(from_hex(text), Ok(BYTES.to_vec()), "{text}");
    }
}

/// Windows PowerShell 5.1 and PowerShell 7 write one row of 16 bytes and one of 11; the last three bytes of
/// the first row are letters that could be digits, and its text stands behind a single blank in PowerShell 7.
#[test]
fn format_hex_of_both_powershells_is_read() {
    const LONG: &[u8] = b"\x03\x01\x6a\x00\x00\x06EMN\x031234abcdef 12\x00\x01\x01";
    let row = |bytes: &[u8]| {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(" ")
    };
    let (first, second) = (row(&LONG[..16]), row(&LONG[16..]));
    let numbers = "00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F";
    let five = format!(
        "\r\n\r\n           Path: C:\\Temp\\body.wbxml\r\n\r\n           {numbers}\r\n\r\n\
         00000000   {first}  ..j...EMN.1234ab\r\n00000010   {second:<47}  cdef 12...     \r\n\r\n\r\n"
    );
    let seven = format!(
        "\n   Label: C:\\Temp\\body.wbxml\n\n          Offset Bytes                                           Ascii\n\
         \x20                {numbers}\n\
         \x20         ------ ----------------------------------------------- -----\n\
         0000000000000000 {first} ab cd EMN�1234ab\n0000000000000010 {second:<47} cdef 12   \n\n"
    );
    for text in [
        five.clone(),
        seven.clone(),
        // Without the source, and from the numbers of the columns on.
        five.split_once(".wbxml").unwrap().1.to_owned(),
        seven.split_once(".wbxml").unwrap().1.to_owned(),
        // The rows alone, or in lower case.
        seven.split_once("-----\n").unwrap().1.to_owned(),
        seven.to_lowercase(),
    ] {
        assert_eq!(from_hex(&text), Ok(LONG.to_vec()), "{text}");
    }
    // A single full row, whose text begins like bytes.
    let one = format!("0000000000000000 {first} ab cd");
    assert_eq!(from_hex(&one), Ok(LONG[..16].to_vec()));
    // Numbers of columns without a dump below them are bytes.
    let bytes: Vec<u8> = (0..16).chain([3, 1]).collect();
    assert_eq!(from_hex(&format!("{numbers}\n03 01")), Ok(bytes));
}

#[test]
fn escaped_strings_and_arrays_are_read() {
    for text in [
        "\"\\x03\\x01\\x6a\\x00\\x00\\x06\\x45\\x4d\\x4e\"",
        // Wireshark, over several lines.
        "\"\\x03\\x01\\x6a\\x00\" \\\n\"\\x00\\x06\\x45\\x4d\\x4e\"\n",
        // Python.
        "b'\\x03\\x01j\\x00\\x00\\x06EMN'",
        "(b\"\\x03\\x01j\"\n b\"\\0\\x00\\x06EMN\")".trim_start_matches('('),
        "unsigned char body[] = {\n  0x03, 0x01, 0x6a, 0x00,\n  0x00, 0x06, 0x45, 0x4d, 0x4e\n};\n\
         unsigned int body_len = 9;\n",
        "/* Frame (9 bytes) */\nstatic const unsigned char pkt1[9] = {\n\
         0x03, 0x01, 0x6a, 0x00, /* ..j. */\n0x00, 0x06, 0x45, 0x4d, // EM\n0x4e /* N */\n};\n",
        "$body = {3, 1, 6a, 0, 0, 6, 45, 4d, 4e}",
    ] {
        assert_eq!(from_hex(text), Ok(BYTES.to_vec()), "{text}");
    }
    let all = from_hex(r#""\x41\a\b\t\n\v\f\r\0\\\"'""#);
    assert_eq!(all, Ok(b"A\x07\x08\t\n\x0b\x0c\r\0\\\"'".to_vec()));
    for (text, start) in [
        (r#""\x03\q""#, r"line 1: `\q` is no escape; expected"),
        (r#""\x03\x0""#, "line 1: `\\x0\"` is no escape; expected"),
        ("\"\\x03\"\n\"\\x01", "line 2: the string has no closing"),
        (
            "\"\\x03\" and more",
            "line 1: `and more` is not hexadecimal",
        ),
        ("\"\\x03ü\"", "line 1: `ü\"` is not hexadecimal"),
        (
            "unsigned char a[] = {\n0x03, 0xzz\n}",
            "line 2: `0xzz` is not",
        ),
        ("unsigned char a[] = {\n0x03", "line 1: `unsigned` is not"),
    ] {
        let error = from_hex(text).unwrap_err();
        assert!(error.starts_with(start), "{text}: {error}");
    }
}

/// What `Get-ActiveSyncDevice -GetMailboxLog` sends and Outlook on the web exports.
#[test]
fn xml_is_called_xml() {
    let log = "-----------------\r\n Log Entry: 0\r\n-----------------\r\n\r\nRequestTime : \r\n\
               03/14/2026 03:00:00\r\n\r\nRequestBody : \r\n<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n\
               <Sync xmlns=\"AirSync:\">\r\n</Sync>\r\n";
    let body = log.split_once("\r\n\r\n").unwrap().1;
    let last = body.split_once("\r\n\r\n").unwrap().1;
    for (text, line) in [(log, 2), (body, 1), (last, 1)] {
        let expected = format!(
            "line {line}: this is a mailbox log of Exchange, which has the bodies as XML: there is nothing to \
             decode. `easload wbxml encode` makes WBXML from such XML"
        );
        assert_eq!(from_hex(text), Err(expected.clone()), "{text}");
        assert_eq!(from_base64(text), Err(expected), "{text}");
    }
    for text in [
        "<?xml version=\"1.0\"?><Sync/>",
        "\n <Sync xmlns=\"AirSync:\"/>",
    ] {
        let expected = "line 1: this is XML, so it is decoded already. `easload wbxml encode` makes WBXML from it";
        assert_eq!(from_hex(text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn rows_that_a_dump_leaves_out_are_repeated() {
    let text = "00000000  03 01 |..|\n*\n00000006  6a 00 |j.|\n00000008\n";
    assert_eq!(from_hex(text), Ok(vec![3, 1, 3, 1, 3, 1, 0x6a, 0]));
    for offset in ["00000005", "00000001", "7fffffff"] {
        let text = format!("00000000  03 01 |..|\n*\n{offset}\n");
        let error = from_hex(&text).unwrap_err();
        assert!(
            error.starts_with("line 3: the offset does not fit"),
            "{error}"
        );
    }
    let after_the_end = from_hex("0000 0103 006a\n0003\n*\n0009").unwrap_err();
    assert!(
        after_the_end.starts_with("line 4: the offset"),
        "{after_the_end}"
    );
    assert!(
        from_hex("*\n00000000 03")
            .unwrap_err()
            .starts_with("line 1: `*`")
    );
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    for (text, start) in [
        ("", "line 1: there is nothing; expected bytes such as"),
        (
            "03 01\n6a zz\n",
            "line 2: `zz` is not hexadecimal; expected bytes such as",
        ),
        (
            "\n03 016",
            "line 2: `016` has an odd number of digits; expected two digits",
        ),
        (
            "03016a00000\n0000",
            "line 2: the digits end inside a byte; expected two digits",
        ),
        (
            "3 1 6a00",
            "line 1: `3` has an odd number of digits; expected two digits",
        ),
        (
            "00000000: 0301\nbody: 00",
            "line 2: `body:` is not an offset; expected a line",
        ),
        (
            "00000000: 0301\n00000002: 6a0",
            "line 2: `6a0` is not hexadecimal; expected",
        ),
        (
            "0000 03 01 6a..",
            "line 1: `6a..` is not hexadecimal; expected",
        ),
        ("<html>", "line 1: `<html>` is not hexadecimal; expected"),
        ("ä", "line 1: `ä` is not hexadecimal; expected"),
    ] {
        let error = from_hex(text).unwrap_err();
        assert!(error.starts_with(start), "{text}: {error}");
    }
}

#[test]
fn an_offset_may_be_any_number() {
    for offset in ["ffffffffffffffff", "7fffffffffffffff", "00000000"] {
        assert_eq!(
            from_hex(&format!("{offset}: 03 01\n{offset}:")),
            Ok(vec![3, 1])
        );
        let text = format!("00000000: 03\n*\n{offset}:");
        let _ = from_hex(&text);
    }
    assert!(from_hex("00000000: 03\n11111111111111111: 01").is_err());
}

#[test]
fn base64_is_read_with_and_without_padding_and_in_lines() {
    for text in ["AwFqAAAGRU1O", "AwFq\r\nAAAG\n RU1O\n"] {
        assert_eq!(from_base64(text), Ok(BYTES.to_vec()), "{text}");
    }
    for text in ["AwFqAA==", "AwFqAA"] {
        assert_eq!(from_base64(text), Ok(vec![3, 1, 0x6a, 0]), "{text}");
    }
    for (text, start) in [
        ("AwFq\nA*A", "line 2: found `*`; expected base64"),
        ("AwFqAA==\nAw==", "line 2: found `A`; expected base64"),
        ("AwFqA", "line 1: "),
    ] {
        let error = from_base64(text).unwrap_err();
        assert!(
            error.starts_with(start) && error.contains("expected base64"),
            "{error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(
        text in "(0000|00000000:?)? ?([0-9a-f]{1,4}[ :,*|]{0,3}\n?|\\*\n[0-9a-f]{4,16}:? ?){0,20}[^\0]{0,4}"
    ) {
        let _ = from_hex(&text);
        let _ = from_base64(&text);
    }
}
