//! Lines of tables that are separated by a letter.

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
