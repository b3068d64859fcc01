//! The text of Windows' `netstat -ano` and `-anob` (server-observability.md, section 5).

use std::fmt::Write as _;

use super::sockets::{Owner, SocketRow};

/// Bytes of a line, to reserve the text at once.
const LINE: usize = 90;

/// The table, IPv4 before IPv6 and otherwise in the order given. With `images`, as `-b` adds them,
/// a worker's line is followed by its program and one of PID 4 by the remark that it has none.
/// Nothing follows a line of PID 0, which is our assumption. There are no UDP lines.
pub(crate) fn netstat(rows: &[SocketRow], images: bool) -> String {
    let mut text = String::with_capacity(LINE * (rows.len() + 4));
    text.push_str("\nActive Connections\n\n");
    line(
        &mut text,
        "Proto",
        "Local Address",
        "Foreign Address",
        "State",
        "PID",
    );
    let of_family = |is_ipv6| {
        rows.iter()
            .filter(move |row| row.local.is_ipv6() == is_ipv6)
    };
    for row in of_family(false).chain(of_family(true)) {
        let (local, remote) = (row.local.to_string(), row.remote.to_string());
        let pid = row.owner.pid().to_string();
        line(&mut text, "TCP", &local, &remote, row.state.netstat(), &pid);
        if images {
            text.push_str(match row.owner {
                Owner::System => " Can not obtain ownership information\n",
                Owner::Worker(_) => " [w3wp.exe]\n",
                Owner::Idle => "",
            });
        }
    }
    text
}

fn line(text: &mut String, proto: &str, local: &str, remote: &str, state: &str, pid: &str) {
    // Writing to a string cannot fail. An address too wide for its column moves the rest.
    let _ = writeln!(
        text,
        "  {proto:<5}  {local:<22} {remote:<22} {state:<15} {pid}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_table::State;

    fn rows() -> Vec<SocketRow> {
        let row = |local: &str, remote: &str, state, owner| SocketRow {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            state,
            owner,
        };
        let back_end = "10.0.0.5:444";
        let worker = Owner::Worker(9120);
        vec![
            row(
                "[::1]:444",
                "[::1]:60124",
                State::Established,
                Owner::System,
            ),
            row("0.0.0.0:443", "0.0.0.0:0", State::Listening, Owner::System),
            row(
                "10.0.0.5:443",
                "10.9.1.7:51514",
                State::Established,
                Owner::System,
            ),
            row("10.0.0.5:60122", back_end, State::CloseWait, worker),
            row("10.0.0.5:60123", back_end, State::TimeWait, Owner::Idle),
            row("10.0.0.5:60125", back_end, State::FinWait1, worker),
            row(
                "[2001:db8::1234:5]:60126",
                "[::1]:444",
                State::SynSent,
                worker,
            ),
        ]
    }

    #[test]
    fn without_images() {
        assert_eq!(
            netstat(&rows(), false),
            "
Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:443            0.0.0.0:0              LISTENING       4
  TCP    10.0.0.5:443           10.9.1.7:51514         ESTABLISHED     4
  TCP    10.0.0.5:60122         10.0.0.5:444           CLOSE_WAIT      9120
  TCP    10.0.0.5:60123         10.0.0.5:444           TIME_WAIT       0
  TCP    10.0.0.5:60125         10.0.0.5:444           FIN_WAIT_1      9120
  TCP    [::1]:444              [::1]:60124            ESTABLISHED     4
  TCP    [2001:db8::1234:5]:60126 [::1]:444              SYN_SENT        9120
"
        );
    }

    #[test]
    fn with_images() {
        assert_eq!(
            netstat(&rows()[1..5], true),
            "
Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:443            0.0.0.0:0              LISTENING       4
 Can not obtain ownership information
  TCP    10.0.0.5:443           10.9.1.7:51514         ESTABLISHED     4
 Can not obtain ownership information
  TCP    10.0.0.5:60122         10.0.0.5:444           CLOSE_WAIT      9120
 [w3wp.exe]
  TCP    10.0.0.5:60123         10.0.0.5:444           TIME_WAIT       0
"
        );
    }
}
