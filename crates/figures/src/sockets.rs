//! Counts of sockets by group and state, in one table or in several that follow each other.

use tcp_table::State;

use crate::{FormatError, Gathered, Parsed, Scope, remember};

/// One table of sockets.
#[derive(Debug, Default)]
struct Table {
    server: [u64; State::ALL.len()],
    outgoing: [u64; State::ALL.len()],
    machine: [u64; State::ALL.len()],
    rows: usize,
    /// Why rows are left out.
    remarks: Vec<String>,
    /// The first row that is left out.
    problem: Option<FormatError>,
}

impl Table {
    fn is_empty(&self) -> bool {
        self.rows == 0 && self.problem.is_none()
    }
}

/// The tables of a text. The last one counts: a command that repeats itself writes one after another.
#[derive(Debug, Default)]
pub(super) struct Tables {
    current: Table,
    earlier: Option<Table>,
}

impl Tables {
    /// A heading was read.
    pub(super) fn begin(&mut self) {
        // netstat writes a title and a heading for each table.
        if !self.current.is_empty() {
            self.earlier = Some(std::mem::take(&mut self.current));
        }
    }

    /// Adds a socket.
    pub(super) fn add(&mut self, scope: &Scope, local: u16, remote: u16, state: State) {
        let table = &mut self.current;
        table.rows += 1;
        let at = state as usize;
        table.machine[at] += 1;
        // The accepted end of a front-end proxy's connection has the back end's port on this side.
        if local == scope.client_port {
            table.server[at] += 1;
        } else if remote == scope.back_end_port && local != scope.back_end_port {
            table.outgoing[at] += 1;
        }
    }

    /// Notes a row that cannot be read. It does not cost the others.
    pub(super) fn leave_out(&mut self, line: usize, problem: String) {
        let table = &mut self.current;
        remember(&mut table.remarks, format!("rows are left out: {problem}"));
        table
            .problem
            .get_or_insert_with(|| FormatError::new(line, problem));
    }

    /// The gauges of the last table that has rows; a table that has just begun has none yet. `None`
    /// if there is no table at all.
    pub(super) fn done(self) -> Option<Result<Parsed, FormatError>> {
        let table = if self.current.is_empty() {
            self.earlier?
        } else {
            self.current
        };
        match table {
            Table {
                rows: 0,
                problem: Some(problem),
                ..
            } => Some(Err(problem)),
            table => Some(Ok(parsed(table))),
        }
    }
}

fn parsed(table: Table) -> Parsed {
    let mut gathered = Gathered::default();
    for (group, counts) in [("server", table.server), ("outgoing", table.outgoing)] {
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
        let count = table.machine[state as usize] as f64;
        gathered.server(&format!("tcp.{}", state.gauge()), count);
    }
    Parsed {
        gauges: gathered.gauges,
        remarks: table.remarks,
    }
}

/// A table without rows, as of a machine without sockets.
pub(super) fn none() -> Parsed {
    parsed(Table::default())
}
