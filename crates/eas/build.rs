//! Turns `data/wbxml-codepages.tsv` into constants and tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const TABLE: &str = "data/wbxml-codepages.tsv";

/// A panic here is a build that fails, and says at which line of the table.
fn main() {
    println!("cargo::rerun-if-changed={TABLE}");
    let text = fs::read_to_string(TABLE).expect("the code page table is part of the crate");
    let mut pages: BTreeMap<u8, (String, Vec<Row>)> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        // Rows marked `rejected` contradict MS-ASWBXML; they document a defect seen elsewhere.
        if columns[6] == "rejected" {
            continue;
        }
        let page: u8 = columns[0].parse().expect("page");
        let (_, rows) = pages
            .entry(page)
            .or_insert_with(|| (columns[1].to_owned(), Vec::new()));
        rows.push(Row {
            token: u8::from_str_radix(columns[2].trim_start_matches("0x"), 16).expect("token"),
            name: columns[3].to_owned(),
            versions: columns[5].to_owned(),
            current: columns[6] == "current",
            aliases: columns.get(9).map_or_else(Vec::new, |cell| {
                cell.split(';')
                    .map(|alias| alias.trim().to_owned())
                    .filter(|alias| !alias.is_empty())
                    .collect()
            }),
        });
    }

    let mut out = String::new();
    writeln!(out, "/// Every code page, by number.").unwrap();
    writeln!(out, "pub static PAGES: [Page; {}] = [", pages.len()).unwrap();
    for (index, (number, (namespace, rows))) in pages.iter().enumerate() {
        assert_eq!(
            index,
            usize::from(*number),
            "pages are numbered without gaps"
        );
        writeln!(
            out,
            "Page {{ number: {number}, namespace: {namespace:?}, tokens: &["
        )
        .unwrap();
        for row in rows {
            writeln!(
                out,
                "Token {{ tag: Tag::new({number}, {:#04x}), name: {:?}, versions: {:?}, current: {}, aliases: &{:?} }},",
                row.token, row.name, row.versions, row.current, row.aliases
            )
            .unwrap();
        }
        writeln!(out, "] }},").unwrap();
    }
    writeln!(out, "];").unwrap();

    writeln!(
        out,
        "/// Position of a token in its page's list plus one; 0 where there is none."
    )
    .unwrap();
    writeln!(out, "static SLOTS: [[u8; 64]; {}] = [", pages.len()).unwrap();
    for (_, rows) in pages.values() {
        let mut slots = [0u8; 64];
        for (position, row) in rows.iter().enumerate() {
            slots[usize::from(row.token)] = u8::try_from(position + 1).expect("under 64 tokens");
        }
        writeln!(out, "{slots:?},").unwrap();
    }
    writeln!(out, "];").unwrap();

    for (number, (namespace, rows)) in &pages {
        writeln!(out, "/// Code page {number}, namespace `{namespace}`.").unwrap();
        // `move` is a keyword, so page 5 becomes `move_items`, after its root element.
        let module = match snake(namespace) {
            name if name == "move" => "move_items".to_owned(),
            name => name,
        };
        writeln!(out, "pub mod {module} {{ use super::Tag;").unwrap();
        for row in rows {
            writeln!(out, "/// `{}` ({}).", row.name, row.versions_text()).unwrap();
            writeln!(
                out,
                "pub const {}: Tag = Tag::new({number}, {:#04x});",
                snake(&row.name).to_uppercase(),
                row.token
            )
            .unwrap();
        }
        writeln!(out, "}}").unwrap();
    }

    let target = env::var("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&target).join("pages.rs"), out).expect("OUT_DIR is writable");
}

struct Row {
    token: u8,
    name: String,
    versions: String,
    current: bool,
    aliases: Vec<String>,
}

impl Row {
    fn versions_text(&self) -> String {
        match self.versions.as_str() {
            "all" => "all protocol versions".to_owned(),
            "" => "not in today's specification; decoded only".to_owned(),
            list => format!("protocol versions {list}"),
        }
    }
}

/// `MIMESupport` → `mime_support`, `SyncKey` → `sync_key`, `Compressed_RTF` → `compressed_rtf`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 && letters[index - 1] != '_' {
            let after_small = !letters[index - 1].is_ascii_uppercase();
            let before_small = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
            if after_small || before_small {
                out.push('_');
            }
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
