use super::*;
use crate::{case, decode, scope};

fn gauges(text: &str) -> Gauges {
    parse(text, &scope()).unwrap().gauges
}

fn remarks(text: &str) -> Vec<String> {
    parse(text, &scope()).unwrap().remarks
}

const TEXT: &str = "\
\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"\\\\EX01\\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\\Active Requests\",\"\\\\EX01\\W3SVC_W3WP(9120_MSExchangeSyncAppPool)\\Active Requests\",\"\\\\EX01\\W3SVC_W3WP(77_MSExchangeOWAAppPool)\\Active Requests\",\"\\\\EX01\\MSExchange ActiveSync\\Ping Commands Pending\",\"\\\\EX01\\.NET CLR Memory(w3wp#1)\\% Time in GC\",\"\\\\EX01\\APP_POOL_WAS(MSExchangeSyncAppPool)\\Total Application Pool Recycles\"\r
\"03/14/2026 03:00:00.015\",\"1823\",\" \",\"9\",\"1790\",\"\",\"3\"\r
\"03/14/2026 03:00:15.020\",\"1825\",\"12\",\"9\",\" 1791\",\"12.5\",\"4\"\r
";

#[test]
fn the_last_row_with_values_counts() {
    let found = gauges(TEXT);
    assert_eq!(found["server.active_requests"], 1837.0);
    assert_eq!(found["server.active.9120"], 12.0);
    assert_eq!(found["server.pings_pending"], 1791.0);
    assert_eq!(found["server.gc_time"], 0.125);
    assert_eq!(found["server.recycles"], 4.0);
    // In the middle of a row, and with what typeperf says at its end.
    let growing = format!("{TEXT}\"03/14/2026 03:00:3");
    assert_eq!(gauges(&growing), found);
    let growing = format!("{TEXT}\"03/14/2026 03:00:30.020\",\"1x");
    assert_eq!(gauges(&growing), found);
    let ended =
        format!("\r\n{TEXT}Exiting, please wait...\r\nThe command completed successfully.\r\n");
    assert_eq!(gauges(&ended), found);
}

#[test]
fn german_names_and_a_heading_in_the_middle() {
    let heading = "\"(PDH-CSV 4.0) (Mitteleuropäische Zeit)(-60)\",\
        \"\\\\EX01\\Prozess(w3wp)\\Private Bytes\",\
        \"\\\\EX01\\Prozessor(_Total)\\Prozessorzeit (%)\"\r\n";
    let row = "\"03/14/2026 03:00:00.015\",\"1000\",\"25\"\r\n";
    let found = gauges(&format!("{heading}{row}{heading}{row}"));
    assert_eq!(found["server.private_bytes"], 1000.0);
    assert_eq!(found["server.cpu"], 0.25);
}

/// A collection that was started again has written its heading. The rows before it are old.
#[test]
fn a_newest_heading_without_rows_says_that_there_is_no_sample_yet() {
    let (heading, rest) = TEXT.split_once("\r\n").unwrap();
    let (first, second) = rest.split_once("\r\n").unwrap();
    let message = |text: &str| parse(text, &scope()).unwrap_err().to_string();
    let expected = "line 4: the newest heading has no row with values yet; the rows before it belong to an \
                    earlier collection";
    for newest in [
        format!("{heading}\r\n"),
        format!("{heading}\r\n\r\n"),
        // Without the end of its line it may still be whole.
        heading.to_owned(),
        // The first row is being written.
        format!("{heading}\r\n\"03/14/2026 03:0"),
        format!("{heading}\r\nExiting, please wait...\r\n"),
    ] {
        assert_eq!(message(&format!("{TEXT}{newest}")), expected, "{newest:?}");
    }
    // The first heading of a file has its own sentence.
    assert_eq!(
        message(&format!("{heading}\r\n")),
        "line 1: expected rows with values; none is there yet"
    );
    // With its first row the newest part counts, whatever the rows before it say.
    let found = gauges(&format!("{TEXT}{heading}\r\n{first}\r\n"));
    assert_eq!(found["server.active_requests"], 1823.0);
    let found = gauges(&format!("{heading}\r\n{first}\r\n{heading}\r\n{second}"));
    assert_eq!(found["server.active_requests"], 1837.0);
    // Half of a heading names no counter yet, so the rows before it are the newest.
    let found = gauges(&format!("{TEXT}\"(PDH-CSV 4.0) (W. Eu"));
    assert_eq!(found["server.active_requests"], 1837.0);
}

#[test]
fn times_are_local_and_the_heading_has_the_bias() {
    let history = history(TEXT.as_bytes(), &scope(), None).unwrap();
    let times: Vec<String> = history.rows.iter().map(|(at, _)| at.to_string()).collect();
    assert_eq!(
        times,
        ["2026-03-14T02:00:00.015Z", "2026-03-14T02:00:15.02Z"]
    );
    assert_eq!(history.rows[0].1["server.active_requests"], 1823.0);
    let typeperf = TEXT.replace(" (W. Europe Standard Time)(-60)", "");
    let error = super::history(typeperf.as_bytes(), &scope(), None).unwrap_err();
    assert!(error.to_string().contains("--bias"), "{error}");
    let given = super::history(typeperf.as_bytes(), &scope(), Some(-60)).unwrap();
    assert_eq!(given, history);
}

#[test]
fn mistakes_have_a_line() {
    let message = |text: &str| parse(text, &scope()).unwrap_err().to_string();
    assert!(message("").contains("found nothing"));
    assert!(message("<html>").contains("PDH-CSV"));
    let foreign = "\"(PDH-CSV 4.0)\",\"\\\\EX01\\Processus(w3wp)\\Octets\"\n";
    assert!(message(foreign).contains("English"), "{}", message(foreign));
    let number = TEXT.replace("1825", "many");
    assert!(message(&number).starts_with("line 3: column 2: expected a number"));
    let time = TEXT.replace("03/14/2026 03:00:15", "14.03.2026 03:00:15");
    assert!(message(&time).starts_with("line 3: expected a time"));
    let blank = format!("{TEXT}\"03/14/2026 03:00:30.020\",\" \",\"\",\"9\",\"\",\"\",\"\"\r\n");
    assert!(message(&blank).starts_with("line 4: the last row has no value"));
    let heading: String = TEXT.lines().take(1).collect();
    assert!(message(&heading).contains("none is there yet"));
}

/// A file with one row: counters of EX01, and their values.
fn one_row(columns: &[(&str, &str)]) -> String {
    let mut heading = "\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\"".to_owned();
    let mut row = "\"03/14/2026 03:00:00.015\"".to_owned();
    for (counter, value) in columns {
        heading += &format!(",\"\\\\EX01{counter}\"");
        row += &format!(",\"{value}\"");
    }
    format!("{heading}\r\n{row}\r\n")
}

const ACTIVE: (&str, &str) = (
    "\\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\\Active Requests",
    "12",
);

#[test]
fn rows_that_do_not_fit_the_heading_are_refused() {
    let text = decode(&case("d7-typeperf-mismatch.csv"));
    let expected = "line 2: expected 2 values, one for each counter of the heading in line 1, found 6: \
                    which value is whose is not known";
    assert_eq!(parse(&text, &scope()).unwrap_err().to_string(), expected);
    let error = history(text.as_bytes(), &scope(), Some(0)).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let short = TEXT.replace(",\"12.5\",\"4\"", "");
    let error = parse(&short, &scope()).unwrap_err().to_string();
    assert!(
        error.starts_with("line 3: expected 6 values") && error.contains("found 4"),
        "{error}"
    );
    // The other rows of a log count, and the one that does not is named.
    let past = history(short.as_bytes(), &scope(), None).unwrap();
    assert_eq!(past.rows.len(), 1);
    assert_eq!(past.rows[0].1["server.active_requests"], 1823.0);
    assert!(
        past.remarks
            .iter()
            .any(|remark| remark.starts_with("1 row is left out; the first: line 3:"))
    );
    // Blanks behind the last counter change nothing.
    let longer = TEXT.replace("\"4\"\r\n", "\"4\",\"\",\" \"\r\n");
    assert_eq!(gauges(&longer), gauges(TEXT));
}

#[test]
fn minus_one_is_no_sample() {
    let found = gauges(&decode(&case("d7b-typeperf-minus1.csv")));
    assert_eq!(found["server.queue"], 0.0);
    assert!(!found.contains_key("server.active_requests"));
    for value in [
        "-1",
        "-1.000000",
        " -1",
        "-0.5",
        "",
        "-1.#IND",
        "1.#QNAN0",
        "1.#INF",
    ] {
        let text = one_row(&[(ACTIVE.0, value), ("\\Process(w3wp)\\Private Bytes", "7")]);
        let found = gauges(&text);
        assert_eq!(found.len(), 1, "{value}");
        assert_eq!(found["server.private_bytes"], 7.0, "{value}");
    }
    let error = parse(&one_row(&[(ACTIVE.0, "-1")]), &scope()).unwrap_err();
    assert!(
        error.to_string().contains("the last row has no value"),
        "{error}"
    );
}

#[test]
fn a_percentage_above_100_is_no_sample() {
    let time = "\\.NET CLR Memory(w3wp)\\% Time in GC";
    assert_eq!(
        gauges(&one_row(&[ACTIVE, (time, "100")]))["server.gc_time"],
        1.0
    );
    let above = one_row(&[ACTIVE, (time, "4294967295")]);
    assert!(!gauges(&above).contains_key("server.gc_time"));
    assert_eq!(
        remarks(&above),
        ["a value of server.gc_time counts as no sample: it is above 100 %"]
    );
}

#[test]
fn process_ids_in_instance_names_say_whose_they_are() {
    let text = decode(&case("d5-processnameformat.csv"));
    let found = gauges(&text);
    assert_eq!(found["server.private_bytes"], 438_546_432.0);
    assert_eq!(found["server.gc_time"], 0.025);
    assert_eq!(found["server.active_requests"], 12.0);
    assert_eq!(remarks(&text), [""; 0]);
    let bytes = |instance: &str| format!("\\Process({instance})\\Private Bytes");
    for (columns, expected) in [
        // Two workers of the pool in overlap, and one of another.
        (
            vec![
                (
                    "\\W3SVC_W3WP(9120_MSExchangeSyncAppPool)\\Active Requests".to_owned(),
                    "1",
                ),
                (bytes("w3wp_4712"), "100"),
                (bytes("w3wp_9120"), "20"),
                (bytes("w3wp_5000"), "3"),
            ],
            120.0,
        ),
        // Nothing says whose the other is, but it is not the pool's.
        (
            vec![(bytes("w3wp_4712"), "100"), (bytes("w3wp_77"), "20")],
            100.0,
        ),
        // Numbered instances are those of all pools.
        (vec![(bytes("w3wp"), "100"), (bytes("w3wp#1"), "20")], 120.0),
        // Unless the counter set says the ids.
        (
            vec![
                (bytes("w3wp"), "100"),
                (bytes("w3wp#1"), "20"),
                ("\\Process(w3wp)\\ID Process".to_owned(), "77"),
                ("\\Process(w3wp#1)\\ID Process".to_owned(), "4712"),
            ],
            20.0,
        ),
        // Or another counter set has the same processes with their ids.
        (
            vec![
                (bytes("w3wp"), "100"),
                (bytes("w3wp#1"), "20"),
                ("\\Process V2(w3wp:77)\\Private Bytes".to_owned(), "100"),
                ("\\Process V2(w3wp:4712)\\Private Bytes".to_owned(), "20"),
            ],
            20.0,
        ),
        // The same counter twice.
        (
            vec![(bytes("w3wp_4712"), "100"), (bytes("W3WP_4712"), "100")],
            100.0,
        ),
    ] {
        let mut all = vec![ACTIVE];
        all.extend(
            columns
                .iter()
                .map(|(counter, value)| (counter.as_str(), *value)),
        );
        let text = one_row(&all);
        assert_eq!(gauges(&text)["server.private_bytes"], expected, "{text}");
        assert_eq!(remarks(&text), [""; 0], "{text}");
    }
    // Without the pool's own worker, all but those of other pools count.
    let text = one_row(&[
        (
            "\\W3SVC_W3WP(77_MSExchangeOWAAppPool)\\Active Requests",
            "1",
        ),
        ("\\Process(w3wp_77)\\Handle Count", "5"),
        ("\\Process(w3wp_4712)\\Handle Count", "7"),
    ]);
    assert_eq!(gauges(&text)["server.handles"], 7.0);
}

#[test]
fn of_several_application_domains_of_a_process_the_largest_share_counts() {
    let text = one_row(&[
        ACTIVE,
        ("\\.NET CLR Memory(w3wp_p4712_r15_ad2)\\% Time in GC", "2"),
        ("\\.NET CLR Memory(w3wp_p4712_r15_ad3)\\% Time in GC", "5"),
        ("\\.NET CLR Memory(w3wp_p77_r15_ad3)\\% Time in GC", "90"),
    ]);
    assert_eq!(gauges(&text)["server.gc_time"], 0.05);
}

#[test]
fn a_counter_that_is_not_understood_is_reported() {
    let text = one_row(&[
        ACTIVE,
        ("\\Processus(w3wp)\\Octets privés", "1"),
        ("\\Process(w3wp_pool)\\Private Bytes", "1"),
        ("\\Process(lsass)\\Private Bytes", "1"),
        (
            "\\W3SVC_W3WP(77_MSExchangeOWAAppPool)\\Active Requests",
            "1",
        ),
        ("\\Process(w3wp)\\ID Process", "1"),
    ]);
    assert_eq!(gauges(&text)["server.active_requests"], 12.0);
    assert_eq!(
        remarks(&text),
        [
            "columns are not read, because their counter or instance is not known: 2 \
             (\\\\EX01\\Processus(w3wp)\\Octets privés, \\\\EX01\\Process(w3wp_pool)\\Private Bytes)"
        ]
    );
    let past = history(text.as_bytes(), &scope(), None).unwrap();
    assert_eq!(past.remarks, remarks(&text));
}

#[test]
fn a_bias_that_is_given_counts_and_not_the_heading_s() {
    let first = |bias| {
        let past = history(TEXT.as_bytes(), &scope(), bias).unwrap();
        past.rows[0].0.to_string()
    };
    assert_eq!(first(None), "2026-03-14T02:00:00.015Z");
    assert_eq!(first(Some(-60)), "2026-03-14T02:00:00.015Z");
    assert_eq!(first(Some(-120)), "2026-03-14T01:00:00.015Z");
    assert_eq!(first(Some(0)), "2026-03-14T03:00:00.015Z");
    for bias in [-1441, 1441, i32::MIN, i32::MAX] {
        let error = history(TEXT.as_bytes(), &scope(), Some(bias)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("expected a bias from -1440 to 1440 minutes"),
            "{error}"
        );
    }
    // A heading's bias that cannot be one is none.
    let text = TEXT.replace("(-60)", "(2147483647)");
    let error = history(text.as_bytes(), &scope(), None).unwrap_err();
    assert!(error.to_string().contains("--bias"), "{error}");
}

#[test]
fn a_log_that_crosses_a_change_of_the_clock_goes_on() {
    let past = history(&case("d6-clock-goes-back.csv"), &scope(), None).unwrap();
    assert_eq!(past.rows.len(), 50);
    let values: Vec<f64> = past
        .rows
        .iter()
        .map(|(_, gauges)| gauges["server.active_requests"])
        .collect();
    assert!(values.is_sorted(), "{values:?}");
    assert_eq!(past.rows[0].0.to_string(), "2026-11-29T18:09:33.562Z");
    assert_eq!(past.rows[27].0.to_string(), "2026-11-29T18:10:00.562Z");
    assert_eq!(past.rows[49].0.to_string(), "2026-11-29T18:10:22.562Z");
    assert_eq!(
        past.remarks,
        [
            "line 29: the times go back by an hour, which counts as a change of the clock; from here \
             on 0 minutes are added to get UTC"
        ]
    );
}

#[test]
fn files_that_were_put_together_are_read_by_their_own_headings() {
    let other = one_row(&[
        ("\\Process(w3wp)\\Handle Count", "5"),
        (
            "\\W3SVC_W3WP(1_MSExchangeSyncAppPool)\\Active Requests",
            "3",
        ),
    ]);
    let together = format!("{TEXT}{other}");
    let found = gauges(&together);
    assert_eq!(found["server.active_requests"], 3.0);
    assert_eq!(found["server.handles"], 5.0);
    let past = history(together.as_bytes(), &scope(), None).unwrap();
    let active: Vec<f64> = past
        .rows
        .iter()
        .map(|(_, gauges)| gauges["server.active_requests"])
        .collect();
    assert_eq!(active, [1823.0, 3.0, 1837.0]);
    // A heading that is being written.
    assert_eq!(
        gauges(&format!("{TEXT}\"(PDH-CSV 4.0) (W. Eu")),
        gauges(TEXT)
    );
}

#[test]
fn what_a_spreadsheet_program_has_saved_again_gets_a_sentence() {
    let heading = TEXT
        .lines()
        .next()
        .unwrap()
        .replace("\",\"", ";")
        .replace('"', "");
    let german = format!("{heading}\r\n14.03.2026 03:00;1823;;9;1790;;3\r\n");
    let english = format!(
        "{}\r\n3/14/2026 3:00,1823,,9,1790,,3\r\n",
        heading.replace(';', ",")
    );
    for (text, line) in [(&german, 1), (&english, 2)] {
        for error in [
            parse(text, &scope()).unwrap_err(),
            history(text.as_bytes(), &scope(), Some(0)).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
            assert!(
                error.contains("a spreadsheet program, such as Excel, has saved this file again"),
                "{error}"
            );
            assert!(error.contains("relog"), "{error}");
        }
    }
    // Semicolons and quotes together are perfmon's own.
    let semicolons = TEXT.replace("\",\"", "\";\"");
    assert_eq!(gauges(&semicolons), gauges(TEXT));
    // So are tabs, under a mark of their own (`-f TSV`).
    let tabs = TEXT.replace("\",\"", "\"\t\"");
    let tabs = tabs.replace("(PDH-CSV 4.0)", "(PDH-TSV 4.0)");
    assert_eq!(gauges(&tabs), gauges(TEXT));
    let past = |text: &str| history(text.as_bytes(), &scope(), None).unwrap();
    assert_eq!(past(&tabs), past(TEXT));
    assert_eq!(past(&tabs).rows.len(), 2);
}
