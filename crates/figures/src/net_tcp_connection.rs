//! TCP sockets as `Get-NetTCPConnection | Export-Csv` writes them.

use tcp_table::State;

use crate::cells::cells;
use crate::sockets::{Tables, none};
use crate::values::shown;
use crate::{FormatError, Parsed, Scope};

/// `Get-NetTCPConnection` and .NET spell them like this, or give the number (MIB_TCP_STATE).
const STATES: [(&str, State); 12] = [
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

/// Where the columns are.
struct Heading {
    separator: char,
    local: usize,
    remote: usize,
    state: usize,
}

impl Heading {
    /// `None` if the line is not a heading.
    fn read(line: &str) -> Option<Self> {
        let separator = [',', ';', '\t']
            .into_iter()
            .max_by_key(|separator| line.matches(*separator).count())?;
        let names = cells(line, separator);
        let column = |name: &str| {
            let mut names = names.iter();
            names.position(|cell| cell.trim().eq_ignore_ascii_case(name))
        };
        Some(Self {
            separator,
            local: column("LocalPort")?,
            remote: column("RemotePort")?,
            state: column("State")?,
        })
    }

    fn row(&self, line: &str) -> Result<(u16, u16, State), String> {
        let cells = cells(line, self.separator);
        let cell = |at: usize| cells.get(at).map_or("", |cell| cell.trim());
        let port = |at: usize| {
            cell(at)
                .parse::<u16>()
                .map_err(|_| format!("expected a port, found {:?}", shown(cell(at))))
        };
        let state = state(cell(self.state)).ok_or_else(|| {
            format!(
                "unknown state {:?}: expected a word such as CloseWait, or its number",
                shown(cell(self.state))
            )
        })?;
        Ok((port(self.local)?, port(self.remote)?, state))
    }
}

/// CSV with or without the `#TYPE` line, and with commas, semicolons or tabs. A second heading begins
/// another table, as of an export that appends; the last table counts.
pub(super) fn parse(text: &str, scope: &Scope) -> Result<Parsed, FormatError> {
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with("#TYPE"));
    let (line, header) = lines.next().ok_or_else(|| {
        FormatError::new(1, "expected CSV of Get-NetTCPConnection, found nothing")
    })?;
    let mut heading = Heading::read(header).ok_or_else(|| {
        FormatError::new(
            line + 1,
            format!(
                "expected a heading with LocalPort, RemotePort and State, found {:?}",
                shown(header)
            ),
        )
    })?;
    let last = text.lines().count();
    let mut tables = Tables::default();
    for (index, line) in lines {
        match heading.row(line) {
            Ok((local, remote, state)) => tables.add(scope, local, remote, state),
            Err(problem) => {
                if let Some(next) = Heading::read(line) {
                    heading = next;
                    tables.begin();
                } else if index + 1 < last || text.ends_with('\n') {
                    tables.leave_out(index + 1, problem);
                }
            }
        }
    }
    tables.done().unwrap_or_else(|| Ok(none()))
}

fn state(text: &str) -> Option<State> {
    if let Ok(number) = text.parse::<usize>() {
        // 100 is Bound, which has no connection.
        return match number {
            100 => Some(State::Closed),
            _ => Some(STATES.get(number.checked_sub(1)?)?.1),
        };
    }
    if text.eq_ignore_ascii_case("Bound") {
        return Some(State::Closed);
    }
    STATES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, state)| *state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope;
    use scenario::names::Gauges;

    fn gauges(text: &str) -> Gauges {
        parse(text, &scope()).unwrap().gauges
    }

    const WORDS: &str = "#TYPE Microsoft.Management.Infrastructure.CimInstance#ROOT/StandardCimv2/MSFT_NetTCPConnection\r\n\
        \"LocalAddress\",\"LocalPort\",\"RemoteAddress\",\"RemotePort\",\"State\",\"AppliedSetting\",\"OwningProcess\"\r\n\
        \"10.0.0.5\",\"443\",\"10.9.1.7\",\"51514\",\"Established\",\"Internet\",\"4\"\r\n\
        \"10.0.0.5\",\"60122\",\"10.0.0.5\",\"444\",\"CloseWait\",\"Datacenter\",\"9120\"\r\n\
        \"::\",\"49664\",\"::\",\"0\",\"Listen\",,\"700\"\r\n\
        \"0.0.0.0\",\"60200\",\"0.0.0.0\",\"0\",\"Bound\",,\"9120\"\r\n";

    #[test]
    fn get_net_tcp_connection_in_every_shape() {
        let expected = gauges(WORDS);
        assert_eq!(expected["tcp.server.established"], 1.0);
        assert_eq!(expected["tcp.outgoing.close_wait"], 1.0);
        let numbers =
            "LocalPort;RemotePort;State\n443;51514;5\n60122;444;8\n49664;0;2\n60200;0;100\n";
        assert_eq!(gauges(numbers), expected);
        let message = |text: &str| parse(text, &scope()).unwrap_err().to_string();
        assert!(message("a,b\n1,2\n").contains("LocalPort"));
        assert!(message("LocalPort,RemotePort,State\n1,2,Lost\n").starts_with("line 2"));
        assert!(
            message("LocalPort,RemotePort,State\n99999,2,Listen\n").contains("expected a port")
        );
        assert!(message("").contains("nothing"));
    }

    #[test]
    fn a_second_heading_begins_another_table() {
        let expected = gauges(WORDS);
        assert_eq!(gauges(&WORDS.repeat(2)), expected);
        // Other columns in another order, and the end of a file that is being written.
        let other = "State,RemotePort,LocalPort\nEstablished,51514,443\n";
        let after = format!("{WORDS}{other}");
        assert_eq!(gauges(&after)["tcp.outgoing.close_wait"], 0.0);
        assert_eq!(gauges(&after)["tcp.server.established"], 1.0);
        let begun = format!("{WORDS}State,RemotePort,LocalPort\n");
        assert_eq!(gauges(&begun), expected);
        let header = WORDS.lines().nth(1).unwrap();
        assert_eq!(gauges(&format!("{WORDS}{header}\r\n\"10.0.")), expected);
        assert_eq!(gauges(header)["tcp.outgoing.close_wait"], 0.0);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_left_out_and_reported() {
        let text =
            format!("{WORDS}\"10.0.0.5\",\"60123\",\"10.0.0.5\",\"444\",\"Lost\",,\"9120\"\r\n");
        let parsed = parse(&text, &scope()).unwrap();
        assert_eq!(parsed.gauges, gauges(WORDS));
        assert_eq!(
            parsed.remarks,
            [
                "rows are left out: unknown state \"Lost\": expected a word such as CloseWait, or its number"
            ]
        );
        assert_eq!(parse(WORDS, &scope()).unwrap().remarks, [""; 0]);
    }
}
