//! TCP sockets as Windows prints them: `netstat -ano`, `-anob`, and `Get-NetTCPConnection` as CSV.
//!
//! HTTP.sys owns the sockets of clients, so those show PID 4; only outgoing sockets belong to a
//! w3wp.exe (server-observability.md, section 5). Both groups are told apart by port, which needs
//! neither `-b` nor elevation.

use tcp_table::State;

use super::values::shown;
use super::{FormatError, Gathered, Scope};
use crate::measure::Gauges;

/// German is the one language that translates the states; captures in French, Spanish, Italian,
/// Portuguese, Russian, Japanese, Chinese and Korean show the English words. A letter outside ASCII
/// matches any other, because the text's code page is not known.
const GERMAN: &[(&str, State)] = &[
    ("ABHÖREN", State::Listening),
    ("HERGESTELLT", State::Established),
    ("SCHLIESSEN_WARTEN", State::CloseWait),
    ("WARTEND", State::TimeWait),
    ("FIN_WARTEN_1", State::FinWait1),
    ("FIN_WARTEN_2", State::FinWait2),
    ("SYN_GESENDET", State::SynSent),
    ("SYN_EMPFANGEN", State::SynReceived),
    ("ZULETZT_ACK", State::LastAck),
    ("SCHLIESSEND", State::Closing),
];
/// `Get-NetTCPConnection` and .NET spell them like this, or give the number (MIB_TCP_STATE).
const NET_STATES: [(&str, State); 12] = [
    ("Closed", State::Closed),
    ("Listen", State::Listening),
    ("SynSent", State::SynSent),
    ("SynReceived", State::SynReceived),
    ("Established", State::Established),
    ("FinWait1", State::FinWait1),
    ("FinWait2", State::FinWait2),
    ("CloseWait", State::CloseWait),
    ("Closing", State::Closing),
    ("LastAck", State::LastAck),
    ("TimeWait", State::TimeWait),
    ("DeleteTCB", State::Closed),
];

/// Sockets by group and state.
struct Sockets {
    server: [u64; State::ALL.len()],
    outgoing: [u64; State::ALL.len()],
    machine: [u64; State::ALL.len()],
    rows: usize,
}

impl Sockets {
    const fn new() -> Self {
        Self {
            server: [0; State::ALL.len()],
            outgoing: [0; State::ALL.len()],
            machine: [0; State::ALL.len()],
            rows: 0,
        }
    }

    fn add(&mut self, scope: &Scope, local: u16, remote: u16, state: State) {
        self.rows += 1;
        let at = state as usize;
        self.machine[at] += 1;
        // The accepted end of a front-end proxy's connection has the back end's port on this side.
        if local == scope.client_port {
            self.server[at] += 1;
        } else if remote == scope.back_end_port && local != scope.back_end_port {
            self.outgoing[at] += 1;
        }
    }

    fn gauges(&self) -> Gauges {
        let mut gathered = Gathered::default();
        for (group, counts) in [("server", self.server), ("outgoing", self.outgoing)] {
            let mut ports = 0;
            for (state, count) in State::ALL.iter().zip(counts) {
                let name = format!("tcp.{group}.{}", state.gauge());
                gathered.add(&name, count as f64);
                if state.keeps_port() {
                    ports += count;
                }
            }
            gathered.add(&format!("tcp.{group}.ports"), ports as f64);
        }
        for state in [State::CloseWait, State::Established, State::TimeWait] {
            let count = self.machine[state as usize] as f64;
            gathered.server(&format!("tcp.{}", state.gauge()), count);
        }
        gathered.0
    }
}

/// Text of `netstat -ano` or `-anob`. Lines that do not begin with TCP are headings, owners or UDP.
/// Of several snapshots (`netstat -ano 5`) the last counts.
pub(super) fn parse(text: &str, scope: &Scope) -> Result<Gauges, FormatError> {
    let mut sockets = Sockets::new();
    let mut unknown: Option<FormatError> = None;
    let last = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        // Rows and owners are set in; a title is not.
        let is_row = ["TCP", "UDP"].iter().any(|word| line.starts_with(word));
        if sockets.rows > 0 && !is_row && line.starts_with(|first: char| first.is_alphabetic()) {
            sockets = Sockets::new();
        }
        // PowerShell's Select-String marks what it found.
        let mut words = line.trim_start_matches(['>', ' ']).split_whitespace();
        if !words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("TCP"))
        {
            continue;
        }
        match netstat_row(words) {
            Ok((local, remote, Ok(state))) => sockets.add(scope, local, remote, state),
            // A command that was stopped, or a file that is being written, ends inside a line.
            _ if index + 1 == last && !text.ends_with('\n') => {}
            // One row in another language's word must not cost the others.
            Ok((_, _, Err(problem))) => {
                unknown.get_or_insert_with(|| FormatError::new(index + 1, problem));
            }
            Err(problem) => return Err(FormatError::new(index + 1, problem)),
        }
    }
    if sockets.rows > 0 {
        return Ok(sockets.gauges());
    }
    Err(unknown.unwrap_or_else(|| {
        FormatError::new(
            1,
            format!(
                "expected lines of netstat -ano, `TCP local remote state pid`; found {:?}",
                shown(text.trim())
            ),
        )
    }))
}

/// Ports on both sides, and the state, or what is wrong with its word.
type Row = (u16, u16, Result<State, String>);

fn netstat_row<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Row, String> {
    let (Some(local), Some(remote)) = (words.next(), words.next()) else {
        return Err("expected `TCP local remote state`".to_owned());
    };
    let (local, remote) = (port(local)?, port(remote)?);
    let rest: Vec<&str> = words.collect();
    // The process id comes after the state, or nothing does, whatever the heading says.
    let state = rest
        .first()
        .and_then(|word| netstat_state(word))
        .ok_or_else(|| {
            format!(
                "unknown state {:?}: expected one of netstat's, in English or German",
                shown(rest.first().unwrap_or(&""))
            )
        });
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

fn netstat_state(word: &str) -> Option<State> {
    let english = State::ALL
        .into_iter()
        .find(|state| is(word, state.netstat()) || is(word, state.exporter()));
    let other = || match word.to_ascii_uppercase().as_str() {
        "LISTEN" => Some(State::Listening),
        // `-q` lists ports that are bound and not connected.
        "DELETE_TCB" | "BOUND" => Some(State::Closed),
        _ => GERMAN
            .iter()
            .find(|(name, _)| is(word, name))
            .map(|(_, state)| *state),
    };
    english.or_else(other)
}

/// Whether two words are the same but for the letters that are not ASCII.
fn is(word: &str, name: &str) -> bool {
    let mut letters = (word.chars(), name.chars());
    loop {
        match (letters.0.next(), letters.1.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) => {
                let both_foreign = !a.is_ascii() && !b.is_ascii();
                if !both_foreign && !a.eq_ignore_ascii_case(&b) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// `Get-NetTCPConnection | Export-Csv`, with or without the `#TYPE` line, and with commas,
/// semicolons or tabs.
pub(super) fn parse_csv(text: &str, scope: &Scope) -> Result<Gauges, FormatError> {
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with("#TYPE"));
    let (line, header) = lines.next().ok_or_else(|| {
        FormatError::new(1, "expected CSV of Get-NetTCPConnection, found nothing")
    })?;
    let separator = [',', ';', '\t']
        .into_iter()
        .max_by_key(|separator| header.matches(*separator).count())
        .unwrap_or(',');
    let names = cells(header, separator);
    let column = |name: &str| {
        names
            .iter()
            .position(|cell| cell.eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                FormatError::new(
                    line + 1,
                    format!(
                        "expected a heading with LocalPort, RemotePort and State, found {:?}",
                        shown(header)
                    ),
                )
            })
    };
    let (local, remote, state) = (
        column("LocalPort")?,
        column("RemotePort")?,
        column("State")?,
    );
    let last = text.lines().count();
    let mut sockets = Sockets::new();
    for (index, row) in lines {
        let row_cells = cells(row, separator);
        let cell = |at: usize| row_cells.get(at).map_or("", String::as_str);
        let read = || -> Result<(u16, u16, State), String> {
            let port = |at: usize| {
                cell(at)
                    .parse::<u16>()
                    .map_err(|_| format!("expected a port, found {:?}", shown(cell(at))))
            };
            let state = net_state(cell(state)).ok_or_else(|| {
                format!(
                    "unknown state {:?}: expected a word such as CloseWait, or its number",
                    shown(cell(state))
                )
            })?;
            Ok((port(local)?, port(remote)?, state))
        };
        match read() {
            Ok((local, remote, state)) => sockets.add(scope, local, remote, state),
            Err(_) if index + 1 == last && !text.ends_with('\n') => {}
            Err(problem) => return Err(FormatError::new(index + 1, problem)),
        }
    }
    Ok(sockets.gauges())
}

fn net_state(text: &str) -> Option<State> {
    if let Ok(number) = text.parse::<usize>() {
        // 100 is Bound, which has no connection.
        return match number {
            100 => Some(State::Closed),
            _ => Some(NET_STATES.get(number.checked_sub(1)?)?.1),
        };
    }
    if text.eq_ignore_ascii_case("Bound") {
        return Some(State::Closed);
    }
    NET_STATES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, state)| *state)
}

/// Cells of a line, without their quotes. A quoted cell may hold the separator; none of these
/// tables has a line break inside a cell.
pub(super) fn cells(line: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(cell) = cells.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            letter if letter == separator && !quoted => cells.push(String::new()),
            '\r' if letters.peek().is_none() => {}
            letter => cell.push(letter),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::scope;
    use super::*;

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
        let gauges = parse(ENGLISH, &scope()).unwrap();
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
        let expected = parse(text, &scope()).unwrap();
        assert_eq!(expected["tcp.outgoing.close_wait"], 1.0);
        assert_eq!(expected["tcp.outgoing.time_wait"], 1.0);
        assert_eq!(expected["tcp.server.listening"], 1.0);
        // Code page 850, and UTF-16 as PowerShell writes it.
        let oem = text.replace('Ö', "\u{FFFD}");
        assert_eq!(parse(&oem, &scope()).unwrap(), expected);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16 = [b"\xFF\xFE", utf16.as_slice()].concat();
        let format = crate::scenario::Format::Netstat;
        assert_eq!(
            super::super::parse(format, &utf16, &scope()).unwrap(),
            expected
        );
    }

    #[test]
    fn headings_say_nothing_and_rows_all() {
        let expected = parse(ENGLISH, &scope()).unwrap();
        // French headings have no PID above the process ids; -t adds a column behind a tab.
        let french = ENGLISH
            .replace("Active Connections", "Connexions actives")
            .replace(
                "Foreign Address        State           PID",
                "Adresse distante       État",
            )
            .replace("     4\n", "     4\tInHost\n");
        assert_eq!(parse(&french, &scope()).unwrap(), expected);
        let twice = format!("{ENGLISH}{ENGLISH}");
        assert_eq!(parse(&twice, &scope()).unwrap(), expected);
        let trimmed = ENGLISH.replace("\n  TCP", "\nTCP");
        assert_eq!(parse(&trimmed, &scope()).unwrap(), expected);
        let found = ENGLISH.replace("  TCP", "> TCP");
        assert_eq!(parse(&found, &scope()).unwrap(), expected);
        let more = format!("{ENGLISH}  TCP    0.0.0.0:60200   0.0.0.0:0    GEBUNDEN   1\n");
        assert_eq!(parse(&more, &scope()).unwrap(), expected);
    }

    #[test]
    fn a_text_that_is_cut_short_keeps_its_whole_lines() {
        let at = ENGLISH.find("9120").unwrap() - 14;
        let gauges = parse(&ENGLISH[..at], &scope()).unwrap();
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
    fn get_net_tcp_connection_in_every_shape() {
        let words = "#TYPE Microsoft.Management.Infrastructure.CimInstance#ROOT/StandardCimv2/MSFT_NetTCPConnection\r\n\
            \"LocalAddress\",\"LocalPort\",\"RemoteAddress\",\"RemotePort\",\"State\",\"AppliedSetting\",\"OwningProcess\"\r\n\
            \"10.0.0.5\",\"443\",\"10.9.1.7\",\"51514\",\"Established\",\"Internet\",\"4\"\r\n\
            \"10.0.0.5\",\"60122\",\"10.0.0.5\",\"444\",\"CloseWait\",\"Datacenter\",\"9120\"\r\n\
            \"::\",\"49664\",\"::\",\"0\",\"Listen\",,\"700\"\r\n\
            \"0.0.0.0\",\"60200\",\"0.0.0.0\",\"0\",\"Bound\",,\"9120\"\r\n";
        let gauges = parse_csv(words, &scope()).unwrap();
        assert_eq!(gauges["tcp.server.established"], 1.0);
        assert_eq!(gauges["tcp.outgoing.close_wait"], 1.0);
        let numbers =
            "LocalPort;RemotePort;State\n443;51514;5\n60122;444;8\n49664;0;2\n60200;0;100\n";
        assert_eq!(parse_csv(numbers, &scope()).unwrap(), gauges);
        let message = |text: &str| parse_csv(text, &scope()).unwrap_err().to_string();
        assert!(message("a,b\n1,2\n").contains("LocalPort"));
        assert!(message("LocalPort,RemotePort,State\n1,2,Lost\n").starts_with("line 2"));
        assert!(
            message("LocalPort,RemotePort,State\n99999,2,Listen\n").contains("expected a port")
        );
        assert!(message("").contains("nothing"));
    }
}
