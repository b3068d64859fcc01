//! Whose devices they are: names by pattern, or from a CSV file that may hold passwords too.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::decode;

use super::file::read_config;
use super::reader::Section;
use crate::ClientCertificate;

/// Mistakes of a users file that are listed: all that anybody would mend by hand. Of a file of another
/// kind every line is one.
const MAX_LISTED: usize = 1000;
/// Users of the mock.
const MOCK_PATTERN: &str = "load####";

/// What the users are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserNames {
    /// A text with a number in it, `load####` from 1 on or `load{0001..5000}@lab.example`; without one,
    /// one user.
    Pattern(String),
    /// A CSV file with a column `user`.
    File {
        /// The file.
        path: PathBuf,
        /// It has a column `password`.
        passwords: bool,
        /// It has a column `certificate`.
        #[serde(default)]
        certificates: bool,
    },
}

impl Default for UserNames {
    fn default() -> Self {
        Self::Pattern(MOCK_PATTERN.to_owned())
    }
}

impl fmt::Display for UserNames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => formatter.write_str(pattern),
            Self::File { path, .. } => write!(formatter, "{}", path.display()),
        }
    }
}

impl UserNames {
    /// The first so many names.
    ///
    /// # Errors
    /// When the file cannot be read, is not what it should be, or names too few.
    pub fn first(&self, count: u32) -> Result<Vec<String>, String> {
        match self {
            Self::Pattern(text) => {
                let pattern = Pattern::parse(text)?;
                Ok((0..count).map(|user| pattern.name(user)).collect())
            }
            Self::File { path, .. } => {
                let rows = UserRows::read(path)?;
                if rows.rows.len() < count as usize {
                    let found = rows.rows.len();
                    return Err(format!(
                        "{}: names {found} users, {count} are needed",
                        path.display()
                    ));
                }
                let rows = rows.rows.into_iter().take(count as usize);
                Ok(rows.map(|row| row.user).collect())
            }
        }
    }
}

/// A name with a number in it, or a whole one.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    before: String,
    /// Digits of the number; 0 where there is none.
    width: usize,
    first: u32,
    /// How many there are, where the pattern says.
    count: Option<u32>,
    after: String,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a range such as \"load{0001..5000}@lab.example\"";
        if let Some((before, rest)) = text.split_once('{') {
            let (range, after) = rest.split_once('}').ok_or(EXPECTED)?;
            let (from, to) = range.split_once("..").ok_or(EXPECTED)?;
            let number = |text: &str| {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse::<u32>().ok()).flatten()
            };
            let (Some(first), Some(last)) = (number(from), number(to)) else {
                return Err(EXPECTED.to_owned());
            };
            if last < first {
                return Err(format!("the range {from}..{to} is empty"));
            }
            return Ok(Self {
                before: before.to_owned(),
                first,
                count: Some((last - first).saturating_add(1)),
                width: from.len(),
                after: after.to_owned(),
            });
        }
        let Some(start) = text.find('#') else {
            if text.is_empty() {
                return Err("expected a user's name, or a pattern such as \"load####\"".to_owned());
            }
            return Ok(Self {
                before: text.to_owned(),
                width: 0,
                first: 1,
                count: Some(1),
                after: String::new(),
            });
        };
        let width = text[start..].chars().take_while(|one| *one == '#').count();
        Ok(Self {
            before: text[..start].to_owned(),
            first: 1,
            count: None,
            width,
            after: text[start + width..].to_owned(),
        })
    }

    fn name(&self, user: u32) -> String {
        if self.width == 0 {
            return self.before.clone();
        }
        let (number, width) = (self.first.saturating_add(user), self.width);
        format!("{}{number:0width$}{}", self.before, self.after)
    }
}

/// A users file: names, and what there are columns for besides.
pub struct UserRows {
    /// In the order of the file.
    pub rows: Vec<UserRow>,
}

/// A row of a users file.
pub struct UserRow {
    /// The user's name.
    pub user: String,
    /// Column `password`.
    pub password: Option<String>,
    /// Columns `certificate` and `key`: PEM files, relative to the users file. The key is in the
    /// certificate's file where it has no column.
    pub certificate: Option<ClientCertificate>,
}

/// The columns of a users file.
struct Columns {
    user: usize,
    password: Option<usize>,
    certificate: Option<usize>,
    key: Option<usize>,
    count: usize,
}

impl Columns {
    /// By the names in the header line.
    fn of(headers: &csv::StringRecord) -> Result<Self, &'static str> {
        let column = |name| {
            headers
                .iter()
                .position(|one| one.eq_ignore_ascii_case(name))
        };
        let columns = Self {
            user: column("user")
                .ok_or("expected a header line with a column `user`, such as user,password")?,
            password: column("password"),
            certificate: column("certificate"),
            key: column("key"),
            count: headers.len(),
        };
        match columns {
            Self {
                key: Some(_),
                certificate: None,
                ..
            } => Err("the column `key` belongs to a column `certificate`, which is missing"),
            Self {
                password: Some(_),
                certificate: Some(_),
                ..
            } => Err(
                "devices that show a certificate send no password; expected either a column `password` or a column `certificate`",
            ),
            columns => Ok(columns),
        }
    }

    fn row(&self, record: &csv::StringRecord, folder: &Path) -> Result<UserRow, String> {
        let found = record.len();
        if found != self.count {
            return Err(format!("expected {} columns, found {found}", self.count));
        }
        let user = record.get(self.user).unwrap_or_default().trim();
        if user.is_empty() {
            return Err("the user is empty".to_owned());
        }
        if user.contains(|letter: char| letter.is_control() || letter == ':') {
            return Err("a user's name holds no `:` and no control character".to_owned());
        }
        let cell = |column: Option<usize>, what: &str| match column.and_then(|one| record.get(one))
        {
            Some("") => Err(format!("the {what} of `{user}` is empty")),
            cell => Ok(cell),
        };
        let file = |text: &str| folder.join(text.trim());
        let certificate = cell(self.certificate, "certificate")?.map(file);
        let key = cell(self.key, "key")?.map(file);
        Ok(UserRow {
            password: cell(self.password, "password")?.map(str::to_owned),
            certificate: certificate.map(|certificate| ClientCertificate {
                key: key.unwrap_or_else(|| certificate.clone()),
                certificate,
            }),
            user: user.to_owned(),
        })
    }
}

/// What stands between the cells: a spreadsheet program writes semicolons where its language has a decimal comma.
/// No column's name has any of these letters, so the heading decides.
fn separator(text: &str) -> u8 {
    let heading = text.lines().next().unwrap_or_default();
    let count = |letter: &u8| heading.bytes().filter(|byte| byte == letter).count();
    let most = [b'\t', b';', b','].into_iter().max_by_key(count);
    most.unwrap_or(b',')
}

impl UserRows {
    /// Reads a file with a header line that has `user` and may have `password`.
    ///
    /// # Errors
    /// With every mistake, a line each, as `file:line: …`. No password is ever part of a message.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = path.display().to_string();
        let bytes = read_config(path).map_err(|error| format!("{file}: {error}"))?;
        let text = decode(&bytes).map_err(|problem| format!("{file}: {problem}"))?;
        Self::parse(&file, &text)
    }

    fn parse(file: &str, text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::Headers)
            .delimiter(separator(text))
            .from_reader(text.as_bytes());
        let headers = reader
            .headers()
            .map_err(|error| format!("{file}:1: {error}"))?;
        let columns = Columns::of(headers).map_err(|problem| format!("{file}:1: {problem}"))?;
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let mut rows: Vec<UserRow> = Vec::new();
        let mut lines: HashMap<String, u64> = HashMap::new();
        let mut mistakes = Vec::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    mistakes.push((line, "not a row of CSV in UTF-8".to_owned()));
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            match columns.row(&record, folder) {
                Err(text) => mistakes.push((line, text)),
                Ok(row) => match lines.insert(row.user.to_lowercase(), line) {
                    Some(first) => mistakes.push((
                        line,
                        format!("`{}` stands in line {first} already", row.user),
                    )),
                    None => rows.push(row),
                },
            }
        }
        if rows.is_empty() && mistakes.is_empty() {
            mistakes.push((1, "no users after the header line".to_owned()));
        }
        if mistakes.is_empty() {
            return Ok(Self { rows });
        }
        let mut texts: Vec<String> = mistakes
            .iter()
            .take(MAX_LISTED)
            .map(|(line, text)| format!("{file}:{line}: {text}"))
            .collect();
        if mistakes.len() > MAX_LISTED {
            texts.push(format!("{file}: {} more", mistakes.len() - MAX_LISTED));
        }
        Err(texts.join("\n"))
    }

    /// Whether it has passwords.
    #[must_use]
    pub fn has_passwords(&self) -> bool {
        self.rows.iter().any(|row| row.password.is_some())
    }

    /// Whether it has certificates.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        self.rows.iter().any(|row| row.certificate.is_some())
    }
}

/// The keys `user` and `users_file`, and how many users they name, where they say.
pub(super) fn users(
    section: &Section<'_>,
    is_mock: bool,
    folder: &Path,
) -> Option<(UserNames, Option<u32>)> {
    let (pattern, file) = (section.text("user"), section.path("users_file", folder));
    match (pattern, file) {
        (Some(_), Some(_)) => {
            section.problem("users_file", "name either user or users_file");
            None
        }
        (Some(text), None) => match Pattern::parse(&text) {
            Ok(pattern) => Some((UserNames::Pattern(text), pattern.count)),
            Err(problem) => {
                section.problem("user", problem);
                None
            }
        },
        (None, Some(file)) => {
            let path = file;
            match UserRows::read(&path) {
                Ok(rows) => {
                    let count = u32::try_from(rows.rows.len()).unwrap_or(u32::MAX);
                    let names = UserNames::File {
                        path,
                        passwords: rows.has_passwords(),
                        certificates: rows.has_certificates(),
                    };
                    Some((names, Some(count)))
                }
                Err(text) => {
                    for line in text.lines() {
                        section.problem("users_file", line);
                    }
                    None
                }
            }
        }
        (None, None) if is_mock => Some((UserNames::default(), None)),
        (None, None) => section
            .required("user", None, "\"load####\"")
            .map(|text: String| (UserNames::Pattern(text), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_numbers() {
        for (pattern, user, name) in [
            ("load####", 6, "load0007"),
            ("u#@lab.example", 11, "u12@lab.example"),
            (
                "load{0001..5000}@lab.example",
                4_999,
                "load5000@lab.example",
            ),
            ("LAB\\x{7..9}", 2, "LAB\\x9"),
            ("anna@lab.example", 0, "anna@lab.example"),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().name(user), name);
        }
        assert_eq!(Pattern::parse("a{0001..5000}").unwrap().count, Some(5000));
        for wrong in [
            "",
            "load{1..",
            "load{1-5}",
            "load{a..b}",
            "load{..5}",
            "load{5..1}",
        ] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn certificates_are_beside_the_users_file() {
        let certificate = |text: &str| {
            let rows = UserRows::parse("lab/u.csv", text).unwrap_or_else(|error| panic!("{error}"));
            assert!(rows.has_certificates() && !rows.has_passwords());
            rows.rows.into_iter().next().unwrap().certificate.unwrap()
        };
        let own = certificate("user,certificate,key\nLAB\\x,c/x.pem,c/x.key\n");
        assert_eq!(own.certificate, Path::new("lab/c/x.pem"));
        assert_eq!(own.key, Path::new("lab/c/x.key"));
        let both = certificate("certificate,user\n/c/x.pem,x\n");
        assert_eq!(both.certificate, Path::new("/c/x.pem"));
        assert_eq!(both.key, both.certificate);
    }

    #[test]
    fn a_users_file_may_have_commas_semicolons_or_tabs() {
        let text = "user,password\nanna,\"p,;\"\nbert,x;y\n";
        let rows = |text: &str| {
            let rows = UserRows::parse("u.csv", text).unwrap().rows;
            let rows = rows.into_iter().map(|row| (row.user, row.password));
            rows.collect::<Vec<_>>()
        };
        let expected = rows(text);
        assert_eq!(expected[1].1.as_deref(), Some("x;y"));
        for text in [
            "user;password\nanna;\"p,;\"\nbert;\"x;y\"\n",
            "user\tpassword\nanna\tp,;\nbert\tx;y\n",
        ] {
            assert_eq!(rows(text), expected, "{text}");
        }
        assert_eq!(rows("user\na;b\n")[0].0, "a;b");
    }

    #[test]
    fn a_users_file_tells_all_its_mistakes_and_no_password() {
        let good = UserRows::parse("u.csv", "\u{feff}user,password\na,x\n\"b\",\"p,\"\"q\"\n");
        let rows = good.unwrap_or_else(|error| panic!("{error}")).rows;
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row.user.as_str(), row.password.as_deref()))
            .collect();
        assert_eq!(rows, [("a", Some("x")), ("b", Some("p,\"q"))]);
        let text = "user,password\na,hush1\n,hush2\nb,\nA,hush3\nc\nd:e,hush4\n";
        let error = UserRows::parse("u.csv", text).err().expect("mistakes");
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(
            lines,
            [
                "u.csv:3: the user is empty",
                "u.csv:4: the password of `b` is empty",
                "u.csv:5: `A` stands in line 2 already",
                "u.csv:6: expected 2 columns, found 1",
                "u.csv:7: a user's name holds no `:` and no control character",
            ]
        );
        for (text, expected) in [
            ("", "u.csv:1: expected a header line"),
            ("user,key\na,k\n", "u.csv:1: the column `key` belongs to"),
            (
                "user,password,certificate\n",
                "u.csv:1: devices that show a certificate send no password",
            ),
            (
                "user,certificate\na,\n",
                "u.csv:2: the certificate of `a` is empty",
            ),
            ("name\nx\n", "u.csv:1: expected a header line"),
            ("user\n", "u.csv:1: no users after"),
        ] {
            let error = UserRows::parse("u.csv", text).err().expect("mistakes");
            assert!(error.starts_with(expected), "{error}");
        }
        let many = format!("user\n{}", ",\n".repeat(MAX_LISTED + 10));
        let error = UserRows::parse("u.csv", &many).err().expect("mistakes");
        assert_eq!(error.lines().count(), MAX_LISTED + 1);
    }
}
