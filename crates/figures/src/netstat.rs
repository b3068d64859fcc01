//! TCP sockets as Windows prints them: `netstat -ano` and `-anob`.
//!
//! HTTP.sys owns the sockets of clients, so those show PID 4. Only outgoing sockets belong to a w3wp.exe. The port
//! tells both groups apart, which needs neither `-b` nor elevation.

use tcp_table::State;

use crate::sockets::Tables;
use crate::values::shown;
use crate::{FormatError, Parsed, Scope};

/// States as they are written by Windows in another language, or by another version. German is the
/// one language that translates them; captures in French, Spanish, Italian, Portuguese, Russian,
/// Japanese, Chinese and Korean show the English words.
const OTHER_NAMES: &[(&str, State)] = &[
    ("ABHÖREN", State::Listening),
    // Ö in code pages that do not have it.
    ("ABHOREN", State::Listening),
    ("ABHOEREN", State::Listening),
    ("HERGESTELLT", State::Established),
    ("SCHLIESSEN_WARTEN", State::CloseWait),
    ("WARTEND", State::TimeWait),
    ("FIN_WARTEN_1", State::FinWait1),
    ("FIN_WARTEN_2", State::FinWait2),
    ("SYN_GESENDET", State::SynSent),
    ("SYN_EMPFANGEN", State::SynReceived),
    ("ZULETZT_ACK", State::LastAck),
    ("SCHLIESSEND", State::Closing),
    ("LISTEN", State::Listening),
    ("SYN_RCVD", State::SynReceived),
    // As Microsoft's page on netstat spells them.
    ("SYN_SEND", State::SynSent),
    ("TIMED_WAIT", State::TimeWait),
    ("DELETE_TCB", State::Closed),
    // `-q` lists ports that are bound and not connected.
    ("BOUND", State::Closed),
];
/// Titles of the table, for a text whose headings were filtered away.
const TITLES: &[&str] = &[
    "Active Connections",
    "Aktive Verbindungen",
    "Connexions actives",
    "Conexiones activas",
    "Connessioni attive",
];

/// Text of `netstat -ano` or `-anob`. Lines that do not begin with TCP are headings, owners, messages
/// or UDP. Of several snapshots (`netstat -ano 5`) the last counts.
pub(super) fn parse(text: &str, scope: &Scope) -> Result<Parsed, FormatError> {
    let mut tables = Tables::default();
    let last = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        // PowerShell's Select-String marks what it found.
        let line = line.trim_start_matches(['>', ' ', '\t']);
        let mut words = line.split_whitespace();
        if !words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("TCP"))
        {
            if is_heading(line) {
                tables.begin();
            }
            continue;
        }
        match row(words) {
            Ok((local, remote, state)) => tables.add(scope, local, remote, state),
            // A command that was stopped, or a file that is being written, ends inside a line.
            Err(_) if index + 1 == last && !text.ends_with('\n') => {}
            Err(problem) => tables.leave_out(index + 1, problem),
        }
    }
    tables.done().unwrap_or_else(|| {
        Err(FormatError::new(
            1,
            format!(
                "expected lines of netstat -ano, `TCP local remote state pid`; found {:?}",
                shown(text.trim())
            ),
        ))
    })
}

/// Whether a line that is not a row begins a table. Owners of sockets and messages of netstat stand
/// between the rows, at any distance from the margin; they begin none.
fn is_heading(line: &str) -> bool {
    let line = line.trim_end();
    let first = line.split_whitespace().next().unwrap_or_default();
    if first.eq_ignore_ascii_case("UDP") {
        return false;
    }
    first.eq_ignore_ascii_case("Proto")
        || TITLES.iter().any(|title| title.eq_ignore_ascii_case(line))
        || has_columns_of_words(line)
}

/// Protocol, both addresses and the state are four columns in every language, two blanks apart. No
/// owner and no message has as many.
fn has_columns_of_words(line: &str) -> bool {
    const LEAST: usize = 4;
    let columns = line.split("  ").flat_map(|part| part.split('\t'));
    let columns = columns.filter(|column| !column.trim().is_empty());
    columns.count() >= LEAST && !line.contains(|letter: char| letter.is_ascii_digit())
}

/// Ports on both sides, and the state.
fn row<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<(u16, u16, State), String> {
    let (Some(local), Some(remote)) = (words.next(), words.next()) else {
        return Err("expected `TCP local remote state`".to_owned());
    };
    let (local, remote) = (port(local)?, port(remote)?);
    let rest: Vec<&str> = words.collect();
    // The process id comes after the state, or nothing does, whatever the heading says. A letter that
    // became a blank divides the state's word.
    let is_pid = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let parts = rest.iter().take_while(|word| !is_pid(word));
    let whole: String = parts.copied().collect();
    let first = rest.first().copied().unwrap_or_default();
    let state = state(first).or_else(|| state(&whole)).ok_or_else(|| {
        format!(
            "unknown state {:?}: expected one of netstat's, in English or German",
            shown(first)
        )
    })?;
    Ok((local, remote, state))
}

/// The port after the last colon: addresses may be `[fe80::1%4]:443`.
fn port(text: &str) -> Result<u16, String> {
    let number = text.rsplit_once(':').map(|(_, port)| port);
    number
        .and_then(|port| {
            if port == "*" {
                Some(0)
            } else {
                port.parse().ok()
            }
        })
        .ok_or_else(|| format!("expected address:port, found {:?}", shown(text)))
}

/// The state that a word names, whatever became of its letters outside ASCII: the text's code page is
/// not known, and programs on the way write `?`, U+FFFD, one or two other letters, or nothing.
fn state(word: &str) -> Option<State> {
    let windows = State::ALL
        .into_iter()
        .flat_map(|state| [(state.netstat(), state), (state.exporter(), state)]);
    let mut names = windows.chain(OTHER_NAMES.iter().copied());
    names
        .find(|(name, _)| kept(name).eq(kept(word)))
        .map(|(_, state)| state)
}

/// What every code page keeps of a state's word.
fn kept(word: &str) -> impl Iterator<Item = char> {
    word.chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        .map(|letter| letter.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{case, decode, scope};
    use scenario::names::Gauges;

    fn gauges(text: &str) -> Gauges {
        parse(text, &scope()).unwrap().gauges
    }

    const ENGLISH: &str = "
Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:443            0.0.0.0:0              LISTENING       4
 Can not obtain ownership information
  TCP    10.0.0.5:443           10.9.1.7:51514         ESTABLISHED     4
 Can not obtain ownership information
  TCP    10.0.0.5:60122         10.0.0.5:444           CLOSE_WAIT      9120
 [w3wp.exe]
  TCP    10.0.0.5:60123         10.0.0.5:444           ESTABLISHED     9120
 [w3wp.exe]
  TCP    10.0.0.5:444           10.0.0.5:60123         ESTABLISHED     4
  TCP    [fe80::1%4]:60124      [fe80::1%4]:444        FIN_WAIT_2      9120
  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       924
  RpcSs
 [svchost.exe]
  UDP    0.0.0.0:123            *:*                                    1036
";

    #[test]
    fn groups_are_told_apart_by_port() {
        let gauges = gauges(ENGLISH);
        assert_eq!(gauges["tcp.server.established"], 1.0);
        assert_eq!(gauges["tcp.server.listening"], 1.0);
        assert_eq!(gauges["tcp.outgoing.close_wait"], 1.0);
        assert_eq!(gauges["tcp.outgoing.established"], 1.0);
        assert_eq!(gauges["tcp.outgoing.fin_wait2"], 1.0);
        assert_eq!(gauges["tcp.outgoing.ports"], 3.0);
        assert_eq!(gauges["server.tcp.established"], 3.0);
    }

    #[test]
    fn german_in_any_code_page() {
        let text = "
Aktive Verbindungen

  Proto  Lokale Adresse         Remoteadresse          Status           PID
  TCP    0.0.0.0:443            0.0.0.0:0              ABHÖREN         4
 Es konnten keine Besitzerinformationen abgerufen werden.
  TCP    10.0.0.5:443           10.9.1.7:51514         HERGESTELLT     4
  TCP    10.0.0.5:60122         10.0.0.5:444           SCHLIESSEN_WARTEN 9120
 [w3wp.exe]
  TCP    10.0.0.5:60123         10.0.0.5:444           WARTEND         0
";
        let expected = gauges(text);
        assert_eq!(expected["tcp.outgoing.close_wait"], 1.0);
        assert_eq!(expected["tcp.outgoing.time_wait"], 1.0);
        assert_eq!(expected["tcp.server.listening"], 1.0);
        // Code page 850, and UTF-16 as PowerShell writes it.
        let oem = text.replace('Ö', "\u{FFFD}");
        assert_eq!(gauges(&oem), expected);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16 = [b"\xFF\xFE", utf16.as_slice()].concat();
        let format = scenario::Format::Netstat;
        assert_eq!(
            crate::parse(format, &utf16, &scope()).unwrap().gauges,
            expected
        );
    }

    #[test]
    fn headings_say_nothing_and_rows_all() {
        let expected = gauges(ENGLISH);
        // French headings have no PID above the process ids; -t adds a column behind a tab.
        let french = ENGLISH
            .replace("Active Connections", "Connexions actives")
            .replace(
                "Foreign Address        State           PID",
                "Adresse distante       État",
            )
            .replace("     4\n", "     4\tInHost\n");
        assert_eq!(gauges(&french), expected);
        let twice = format!("{ENGLISH}{ENGLISH}");
        assert_eq!(gauges(&twice), expected);
        let trimmed = ENGLISH.replace("\n  TCP", "\nTCP");
        assert_eq!(gauges(&trimmed), expected);
        let found = ENGLISH.replace("  TCP", "> TCP");
        assert_eq!(gauges(&found), expected);
        let more = format!("{ENGLISH}  TCP    0.0.0.0:60200   0.0.0.0:0    GEBUNDEN   1\n");
        assert_eq!(gauges(&more), expected);
    }

    #[test]
    fn a_text_that_is_cut_short_keeps_its_whole_lines() {
        let at = ENGLISH.find("9120").unwrap() - 14;
        let gauges = gauges(&ENGLISH[..at]);
        assert_eq!(gauges["tcp.server.established"], 1.0);
        assert_eq!(gauges["tcp.outgoing.close_wait"], 0.0);
    }

    #[test]
    fn mistakes_have_a_line() {
        let message = |text: &str| parse(text, &scope()).unwrap_err().to_string();
        let state = message("  TCP  1.2.3.4:1  1.2.3.4:2  GESTRANDET  4\n\n");
        assert!(
            state.starts_with("line 1: unknown state \"GESTRANDET\""),
            "{state}"
        );
        let address = message("\n  TCP  here  there  ESTABLISHED\n");
        assert!(
            address.starts_with("line 2: expected address:port"),
            "{address}"
        );
        assert!(message("").contains("netstat -ano"));
        assert!(message("<html>").contains("<html>"));
    }

    #[test]
    fn a_message_between_the_rows_begins_no_table() {
        let text = |name: &str| decode(&case(name));
        let expected = gauges(&text("d12b-control.txt"));
        assert_eq!(expected["server.tcp.close_wait"], 2.0);
        assert_eq!(expected["server.tcp.established"], 2.0);
        assert_eq!(expected["tcp.outgoing.close_wait"], 2.0);
        let with_message = text("d12b-anob-winsock.txt");
        assert_eq!(gauges(&with_message), expected);
        for other in [
            "Can not obtain ownership information",
            "Es konnten keine Besitzerinformationen abgerufen werden.",
            "Impossible d'obtenir les informations de propriétaire",
            "x: Windows Sockets initialization failed: 5",
            "WSAStartup failed",
            "svchost.exe",
            "Dnscache",
        ] {
            let text = with_message.replace("x: Windows Sockets initialization failed: 5", other);
            assert_eq!(gauges(&text), expected, "{other}");
        }
    }

    #[test]
    fn a_heading_in_any_language_begins_a_table() {
        let rows =
            |state: &str| format!("  TCP    10.0.0.5:60122    10.0.0.5:444    {state}    9120\n");
        for heading in [
            "Active Connections",
            "aktive verbindungen",
            "  Proto  Local Address          Foreign Address        State           PID",
            "  Proto  Local Address          Foreign Address        State",
            "Proto Local Address Foreign Address State PID",
            "> Proto  Local Address          Foreign Address        State           PID",
            "  Proto  Adresse locale         Adresse distante       État",
            "  Proto  Dirección local          Dirección remota        Estado           PID",
            "  Имя    Локальный адрес        Внешний адрес          Состояние       PID",
            "  プロトコル  ローカル アドレス          外部アドレス        状態            PID",
            "  Protokół\tAdres lokalny\tObcy adres\tStan",
        ] {
            let text = format!("{}{heading}\r\n{}", rows("ESTABLISHED"), rows("CLOSE_WAIT"));
            let found = gauges(&text);
            assert_eq!(found["tcp.outgoing.close_wait"], 1.0, "{heading}");
            assert_eq!(found["tcp.outgoing.established"], 0.0, "{heading}");
            // A table that has just begun has no rows yet.
            let begun = format!("{}\n{heading}\n", rows("CLOSE_WAIT"));
            assert_eq!(gauges(&begun)["tcp.outgoing.close_wait"], 1.0, "{heading}");
        }
    }

    #[test]
    fn a_state_is_recognized_whatever_became_of_its_umlaut() {
        for word in [
            "ABHÖREN",
            "abhören",
            "ABH?REN",
            "ABHREN",
            "ABH\u{FFFD}REN",
            "ABH\u{FFFD}\u{FFFD}REN",
            "ABHÃ–REN",
            "ABH├ûREN",
            "ABH™REN",
            "ABH\u{99}REN",
            "ABH\\REN",
            "ABHOREN",
            "ABHOEREN",
        ] {
            assert_eq!(state(word), Some(State::Listening), "{word}");
        }
        assert_eq!(state("SYN_SEND"), Some(State::SynSent));
        assert_eq!(state("TIMED_WAIT"), Some(State::TimeWait));
        // No capture shows these, so nothing says that they are netstat's.
        for word in ["ESCUCHANDO", "ÉCOUTE", "NASŁUCHIWANIE", "侦听"] {
            assert_eq!(state(word), None, "{word}");
        }
        for word in [
            "ABH", "ABHXREN", "HÖREN", "WAR", "?", "", "ÖÖ", "4", "FIN_WAIT",
        ] {
            assert_eq!(state(word), None, "{word}");
        }
        let names = || {
            OTHER_NAMES
                .iter()
                .map(|(name, _)| kept(name).collect::<String>())
        };
        for (at, name) in names().enumerate() {
            assert!(!name.is_empty());
            let same = names()
                .skip(at + 1)
                .any(|other| other == name && name != "ABHREN");
            assert!(!same, "{name}");
        }
    }

    #[test]
    fn german_with_lost_letters_is_read() {
        let table = gauges(&decode(&case("d10-netstat-questionmark.txt")));
        assert_eq!(table["tcp.server.listening"], 1.0);
        assert_eq!(table["tcp.server.established"], 1.0);
        assert_eq!(table["tcp.outgoing.close_wait"], 1.0);
        assert_eq!(table["tcp.outgoing.time_wait"], 1.0);
        let listening = gauges(&decode(&case("d10b-netstat-only-listen.txt")));
        assert_eq!(listening["tcp.server.listening"], 1.0);
        assert_eq!(listening["server.tcp.established"], 0.0);
        // Code pages 850 and 1252, UTF-16 in both orders, a byte that became a blank.
        for bytes in [
            &b"ABH\x99REN"[..],
            b"ABH\xD6REN",
            b"ABH REN",
            b"ABH\xC3\x96REN",
        ] {
            let row = [b"  TCP  0.0.0.0:443  0.0.0.0:0  ", bytes, b"  4\r\n"].concat();
            assert_eq!(
                gauges(&decode(&row))["tcp.server.listening"],
                1.0,
                "{bytes:?}"
            );
        }
        let row = "  TCP  0.0.0.0:443  0.0.0.0:0  ABHÖREN  4\r\n";
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = row.encode_utf16().flat_map(order).collect();
            assert_eq!(gauges(&decode(&bytes))["tcp.server.listening"], 1.0);
        }
    }

    #[test]
    fn rows_that_cannot_be_read_are_left_out_and_reported() {
        let text = format!(
            "{ENGLISH}  TCP    10.0.0.5:60124   10.0.0.5:444    GEBUNDEN   1\n  TCP  here  there  LISTENING 1\n"
        );
        let parsed = parse(&text, &scope()).unwrap();
        assert_eq!(parsed.gauges, gauges(ENGLISH));
        assert_eq!(
            parsed.remarks,
            [
                "rows are left out: unknown state \"GEBUNDEN\": expected one of netstat's, in English or German",
                "rows are left out: expected address:port, found \"here\"",
            ]
        );
        assert_eq!(parse(ENGLISH, &scope()).unwrap().remarks, [""; 0]);
    }
}
