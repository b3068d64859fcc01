//! The log of IIS: one line for every request that was answered, written when it was. A held or
//! stranded Ping has no line (mock-fidelity.md, G14).

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::w3c::{self, Field};

/// Folders named in a [`LogPart`]. A request may name a thousand, and a line must stay short; the
/// count is written whatever it is.
const MAX_FOLDERS: usize = 20;
/// Longest id of a folder (MS-ASCMD, ServerId).
const MAX_FOLDER_ID: usize = 64;

/// The directives above the lines of a log that began then.
pub(crate) fn header(began: Timestamp) -> String {
    w3c::header(
        "Microsoft Internet Information Services 10.0",
        began,
        "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
         cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken",
    )
}

/// One answered request; displayed as its line, without the end.
#[derive(Debug, Clone)]
pub(crate) struct RequestLine<'a> {
    /// When it was answered.
    pub(crate) at: Timestamp,
    /// Where the client connected to.
    pub(crate) server: SocketAddr,
    /// The client.
    pub(crate) client: SocketAddr,
    /// Method.
    pub(crate) method: &'a str,
    /// The path.
    pub(crate) stem: &'a str,
    /// The query, without its question mark.
    pub(crate) query: &'a str,
    /// The user, once it has authenticated.
    pub(crate) user: Option<&'a str>,
    /// The header of that name.
    pub(crate) user_agent: Option<&'a str>,
    /// HTTP status.
    pub(crate) status: u16,
    /// From the first byte of the request to the end of the answer.
    pub(crate) time_taken: Duration,
    /// What EAS adds to the query.
    pub(crate) log: LogPart<'a>,
}

impl Display for RequestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} ",
            w3c::stamp(self.at),
            self.server.ip().to_canonical(),
            Field(self.method),
            Field(self.stem),
        )?;
        // EAS appends to the query, so a query that is empty but for that has no hyphen. A client
        // may send a `&Log=` of its own: the last one counts.
        if !self.query.is_empty() || self.log.is_empty() {
            Field(self.query).fmt(f)?;
        }
        if !self.log.is_empty() {
            write!(f, "&Log={}", self.log)?;
        }
        write!(
            f,
            " {} {} {} {} - {} 0 0 {}",
            self.server.port(),
            Field(self.user.unwrap_or_default()),
            self.client.ip().to_canonical(),
            Field(self.user_agent.unwrap_or_default()),
            self.status,
            self.time_taken.as_millis(),
        )
    }
}

/// What EAS appends to the query as `&Log=` (eas-protocol.md, section 7). Empty for a request that
/// did not reach EAS, such as one without credentials.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogPart<'a> {
    /// Protocol version times ten.
    pub(crate) version: Option<u16>,
    /// How many folders the request names.
    pub(crate) folder_count: Option<u32>,
    /// The folders, as far as they shall be named.
    pub(crate) folders: &'a [LogFolder<'a>],
    /// Heartbeat of a Ping, in seconds.
    pub(crate) heartbeat: Option<u32>,
}

/// A folder in a [`LogPart`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogFolder<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// What it holds.
    pub(crate) class: FolderClass,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FolderClass {
    /// Mails.
    Email,
    /// Contacts.
    Contacts,
    /// Appointments.
    Calendar,
    /// Tasks.
    Tasks,
}

impl Display for FolderClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "Em",
            Self::Contacts => "Co",
            Self::Calendar => "Ca",
            Self::Tasks => "Ta",
        })
    }
}

impl LogPart<'_> {
    fn is_empty(&self) -> bool {
        self.version.is_none()
            && self.folder_count.is_none()
            && self.folders.is_empty()
            && self.heartbeat.is_none()
    }
}

impl Display for LogPart<'_> {
    /// Every element ends in `_`, the last too, as in the published lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.version {
            write!(f, "V{version}_")?;
        }
        if let Some(count) = self.folder_count {
            write!(f, "Fc{count}_")?;
        }
        for folder in self.folders.iter().take(MAX_FOLDERS) {
            f.write_str("Fid:")?;
            // Stricter than a field: an underline would begin an element of the client's choice.
            w3c::escape(f, folder.id, MAX_FOLDER_ID, |byte| {
                byte.is_ascii_alphanumeric() || b":-.".contains(&byte)
            })?;
            write!(f, "_Ty:{}_", folder.class)?;
        }
        if let Some(seconds) = self.heartbeat {
            write!(f, "Hb{seconds}_")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping() -> RequestLine<'static> {
        RequestLine {
            at: "2026-03-14T02:08:13.9Z".parse().unwrap(),
            server: "10.0.0.5:443".parse().unwrap(),
            client: "10.9.1.7:51514".parse().unwrap(),
            method: "POST",
            stem: "/Microsoft-Server-ActiveSync",
            query: "Cmd=Ping&User=load1&DeviceId=d1&DeviceType=load",
            user: Some("EXAMPLE\\load1"),
            user_agent: Some("load test/1.0"),
            status: 200,
            time_taken: Duration::from_micros(470_012_900),
            log: LogPart {
                version: Some(141),
                folder_count: Some(2),
                folders: &[],
                heartbeat: Some(470),
            },
        }
    }

    #[test]
    fn a_log_in_full() {
        let folders = [
            LogFolder {
                id: "5",
                class: FolderClass::Email,
            },
            LogFolder {
                id: "1:2",
                class: FolderClass::Calendar,
            },
        ];
        let sync = RequestLine {
            client: "[2001:db8::7]:51515".parse().unwrap(),
            query: "Cmd=Sync",
            time_taken: Duration::from_millis(18),
            log: LogPart {
                version: Some(160),
                folder_count: Some(2),
                folders: &folders,
                heartbeat: None,
            },
            ..ping()
        };
        let refused = RequestLine {
            method: "OPTIONS",
            query: "",
            user: None,
            user_agent: None,
            status: 401,
            time_taken: Duration::ZERO,
            log: LogPart::default(),
            ..ping()
        };
        let log = format!("{}\n{}\n{sync}\n{refused}\n", header(ping().at), ping());
        assert_eq!(
            log,
            "\
#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2026-03-14 02:08:13
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken
2026-03-14 02:08:13 10.0.0.5 POST /Microsoft-Server-ActiveSync \
Cmd=Ping&User=load1&DeviceId=d1&DeviceType=load&Log=V141_Fc2_Hb470_ 443 EXAMPLE\\load1 \
10.9.1.7 load+test/1.0 - 200 0 0 470012
2026-03-14 02:08:13 10.0.0.5 POST /Microsoft-Server-ActiveSync \
Cmd=Sync&Log=V160_Fc2_Fid:5_Ty:Em_Fid:1:2_Ty:Ca_ 443 EXAMPLE\\load1 \
2001:db8::7 load+test/1.0 - 200 0 0 18
2026-03-14 02:08:13 10.0.0.5 OPTIONS /Microsoft-Server-ActiveSync - 443 - 10.9.1.7 - - 401 0 0 0
"
        );
    }

    #[test]
    fn a_hostile_request_forges_neither_line_nor_field() {
        let forged = "a\r\n2026-03-14 02:08:14 10.0.0.5 GET / - 443 - 10.9.1.8 - - 200 0 0 1";
        let folders = [LogFolder {
            id: "1_Hb60_&Log=V25 \n",
            class: FolderClass::Email,
        }];
        let hostile = RequestLine {
            method: forged,
            stem: forged,
            query: forged,
            user: Some(forged),
            user_agent: Some("\"\u{2028}\u{85}\u{1b}[2J\t"),
            log: LogPart {
                folders: &folders,
                ..ping().log
            },
            ..ping()
        };
        let line = hostile.to_string();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(
            line.split(' ').count(),
            ping().to_string().split(' ').count()
        );
        assert!(
            line.bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        );
        assert!(
            line.contains("_Fid:1%5FHb60%5F%26Log%3DV25+%0A_Ty:Em_Hb470_ "),
            "{line}"
        );
        assert!(line.contains(" %22%E2%80%A8%C2%85%1B[2J%09 "), "{line}");
    }

    #[test]
    fn a_long_query_does_not_push_the_log_part_out() {
        let query = "a".repeat(100_000);
        let folders = [LogFolder {
            id: "5",
            class: FolderClass::Tasks,
        }; 1000];
        let long = RequestLine {
            query: &query,
            log: LogPart {
                folders: &folders,
                ..ping().log
            },
            ..ping()
        };
        let line = long.to_string();
        assert!(line.len() < 5_000);
        assert!(line.contains("aaa&Log=V141_Fc2_Fid:5_Ty:Ta_"));
        assert!(line.contains("_Hb470_ 443 "));
    }
}
