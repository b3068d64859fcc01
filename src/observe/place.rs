//! Where a source's bytes come from, with every size and time bounded.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use client::transport::innermost;
use mock_client::Control;
use scenario::{Format, Place};

use crate::command;
use crate::web::web_client;

/// Nothing that a source prints is larger: a full windows_exporter answer is some 300 kB, netstat
/// with 20,000 sockets 1.5 MB.
const MOST: usize = 8 << 20;
/// Of a file that grows, the heading and the end are read.
const HEADING: u64 = 1 << 20;
const END: u64 = 1 << 20;
/// A scrape that takes longer is not of the second that it is for.
const URL_LIMIT: Duration = Duration::from_secs(5);
/// ssh and PowerShell remoting need seconds to begin with.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// What was read, and whether it can be new.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Bytes, and how old they are.
    Bytes(Vec<u8>, Duration),
    /// The file is as it was the last time.
    Unchanged,
}

/// Reads one place again and again.
#[derive(Debug)]
pub(super) struct Fetcher {
    place: Place,
    client: reqwest::Client,
    /// A call of a mock in this process, in place of its URL.
    call: Option<(Control, String)>,
    /// File, size and time of change when it was last read.
    last: Option<(PathBuf, u64, SystemTime)>,
}

impl Fetcher {
    pub(super) fn new(place: Place, mock: Option<&Control>) -> Result<Self, String> {
        let client = web_client()
            .timeout(URL_LIMIT)
            .build()
            .map_err(|error| error.to_string())?;
        let call = match &place {
            Place::Url(url) => mock.and_then(|mock| {
                let call = mock.local_call(url)?;
                Some((mock.clone(), call.to_owned()))
            }),
            _ => None,
        };
        Ok(Self {
            place,
            client,
            call,
            last: None,
        })
    }

    /// What is there now, or what is wrong, in words.
    pub(super) async fn fetch(&mut self, format: Format) -> Result<Fetched, String> {
        if let Some((mock, call)) = &self.call {
            let text = mock.text(call).await.map_err(|error| error.to_string())?;
            return Ok(fresh(text.into_bytes()));
        }
        match &self.place {
            Place::Url(url) => fetch_url(&self.client, url).await.map(fresh),
            Place::Command(line) => command::run(line, COMMAND_LIMIT, MOST).await.map(fresh),
            Place::Path(pattern) => {
                let (pattern, last) = (pattern.clone(), self.last.clone());
                let read = tokio::task::spawn_blocking(move || read_file(&pattern, last, format));
                let read = read.await.map_err(|error| error.to_string())??;
                let Some((file, bytes)) = read else {
                    return Ok(Fetched::Unchanged);
                };
                // A file that was there before may be of yesterday. One that changes is new, whatever
                // the clock of the machine says that writes it.
                let age = match self.last {
                    None => file.2.elapsed().unwrap_or_default(),
                    Some(_) => Duration::ZERO,
                };
                self.last = Some(file);
                Ok(Fetched::Bytes(bytes, age))
            }
        }
    }
}

fn fresh(bytes: Vec<u8>) -> Fetched {
    Fetched::Bytes(bytes, Duration::ZERO)
}

async fn fetch_url(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let sent = client.get(url).send().await;
    let mut answer = sent.map_err(|error| innermost(&error))?;
    if !answer.status().is_success() {
        return Err(format!("answered {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
        if body.len() + chunk.len() > MOST {
            return Err(format!("answered more than {MOST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

type Stamp = (PathBuf, u64, SystemTime);

/// The file's bytes; `None` if it has not changed since `last`.
fn read_file(
    pattern: &Path,
    last: Option<Stamp>,
    format: Format,
) -> Result<Option<(Stamp, Vec<u8>)>, String> {
    let path = newest(pattern)?;
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = std::fs::File::open(&path).map_err(fail)?;
    let about = file.metadata().map_err(fail)?;
    if !about.is_file() {
        return Err(format!("{}: expected a file", path.display()));
    }
    let changed = about.modified().map_err(fail)?;
    let stamp = (path.clone(), about.len(), changed);
    if last.as_ref() == Some(&stamp) {
        return Ok(None);
    }
    let bytes = if format == Format::Perfmon && about.len() > HEADING + END {
        ends(&mut file, about.len()).map_err(fail)?
    } else {
        let mut bytes = Vec::new();
        let most = MOST as u64;
        file.take(most + 1).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 > most {
            return Err(format!("{}: has more than {most} bytes", path.display()));
        }
        bytes
    };
    Ok(Some((stamp, bytes)))
}

/// The heading and the last rows of a long file. Both halves may be UTF-16, so the cut is at an even
/// byte.
fn ends(file: &mut std::fs::File, length: u64) -> std::io::Result<Vec<u8>> {
    let mut heading = Vec::new();
    file.by_ref().take(HEADING).read_to_end(&mut heading)?;
    // In UTF-16 the second byte of a line feed comes after it.
    let line_end = heading.iter().position(|byte| *byte == b'\n');
    let wide = heading.iter().take(64).filter(|byte| **byte == 0).count() > 8;
    let after = |at: usize| at + 1 + usize::from(wide && heading.get(at + 1) == Some(&0));
    heading.truncate(line_end.map_or(heading.len(), after));
    let start = (length - END) & !1;
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    // One byte more than was asked for where the length is odd.
    file.take(END + 1).read_to_end(&mut end)?;
    let first = end.iter().position(|byte| *byte == b'\n');
    let first = first.map_or(end.len(), |at| {
        at + 1 + usize::from(wide && end.get(at + 1) == Some(&0))
    });
    heading.extend_from_slice(&end[first..]);
    Ok(heading)
}

/// The file, or of several that match a `*` in its name the one that was changed last: perfmon
/// begins a new one for each segment.
fn newest(pattern: &Path) -> Result<PathBuf, String> {
    let Some(name) = pattern
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| name.contains('*'))
    else {
        return Ok(pattern.to_owned());
    };
    let folder = match pattern.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let matching = entries.flatten().filter(|entry| {
        let file = entry.file_name();
        file.to_str().is_some_and(|file| matches(name, file))
    });
    matching
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| format!("{}: no file matches", pattern.display()))
}

/// Whether a name fits a pattern with `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn stars_match_any_part() {
        assert!(matches("eas_*.csv", "eas_000001.csv"));
        assert!(matches("*a*b*", "xxaxxbxx"));
        assert!(!matches("eas_*.csv", "eas_000001.csv.tmp"));
        assert!(!matches("a*a", "a"));
    }

    #[test]
    fn the_newest_segment_is_read_and_only_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let pattern = folder.path().join("eas_*.csv");
        let error = read_file(&pattern, None, Format::Values).unwrap_err();
        assert!(error.contains("no file matches"), "{error}");
        std::fs::write(folder.path().join("eas_1.csv"), "a 1").unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        let first = std::fs::File::options()
            .write(true)
            .open(folder.path().join("eas_1.csv"))
            .unwrap();
        first.set_modified(old).unwrap();
        std::fs::write(folder.path().join("eas_2.csv"), "a 2").unwrap();
        let (stamp, bytes) = read_file(&pattern, None, Format::Values).unwrap().unwrap();
        assert_eq!(bytes, b"a 2");
        assert!(
            read_file(&pattern, Some(stamp), Format::Values)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn of_a_long_perfmon_file_the_heading_and_the_end_are_read() {
        for wide in [false, true] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let encode = |text: &str| -> Vec<u8> {
                if wide {
                    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
                } else {
                    text.as_bytes().to_vec()
                }
            };
            if wide {
                file.write_all(b"\xFF\xFE").unwrap();
            }
            file.write_all(&encode("heading\r\n")).unwrap();
            let row = encode(&format!("{}\r\n", "x".repeat(998)));
            for _ in 0..3000 {
                file.write_all(&row).unwrap();
            }
            file.write_all(&encode("last\r\n")).unwrap();
            let read = read_file(file.path(), None, Format::Perfmon).unwrap();
            let text = text::decode_any(&read.unwrap().1);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!((lines[0], lines[1].len()), ("heading", 998));
            assert_eq!(lines.last(), Some(&"last"));
            assert!(text.len() < 2 << 20);
        }
    }
}
