//! The XML and JSON of Autodiscover: bytes in, meaning out.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The URL of the ActiveSync server.
    Url(String),
    /// Ask for this mail address instead.
    Address(String),
    /// The server says that it cannot tell, and why.
    Refusal(String),
}

/// The schema nests six deep; the bound keeps a hostile answer from filling the memory.
const MAX_DEPTH: usize = 32;
/// Characters of a server's own message that are shown.
const MAX_MESSAGE: usize = 200;

/// The request for an address (ASCMD 2.2.1.1).
pub(super) fn request(address: &str) -> String {
    const SCHEMA: &str = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync";
    let address = quick_xml::escape::escape(address);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <Autodiscover xmlns=\"{SCHEMA}/requestschema/2006\"><Request>\
         <EMailAddress>{address}</EMailAddress>\
         <AcceptableResponseSchema>{SCHEMA}/responseschema/2006</AcceptableResponseSchema>\
         </Request></Autodiscover>"
    )
}

/// What has been read of an answer.
#[derive(Default)]
struct Gathered {
    redirect: Option<String>,
    /// Of the `Server` that is open.
    server_type: String,
    server_url: String,
    url: Option<String>,
    is_refused: bool,
    status: String,
    code: String,
    message: String,
}

/// Reads an answer to [`request`].
pub(super) fn parse(body: &[u8]) -> Result<Meaning, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut gathered = Gathered::default();
    let mut has_root = false;
    let broken = |what: &dyn std::fmt::Display| format!("the answer is no good XML: {what}");
    loop {
        match reader.read_event().map_err(|error| broken(&error))? {
            Event::Start(tag) => {
                if path.len() == MAX_DEPTH {
                    return Err(broken(&"it nests too deep"));
                }
                has_root = true;
                path.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                content.clear();
                gathered.open(&path);
            }
            Event::End(_) => {
                gathered.close(&path, content.trim());
                path.pop();
                content.clear();
            }
            Event::Text(piece) => content.push_str(&piece.decode().map_err(|e| broken(&e))?),
            Event::CData(piece) => content.push_str(&piece.decode().map_err(|e| broken(&e))?),
            Event::GeneralRef(reference) => {
                let letter = reference.resolve_char_ref().map_err(|e| broken(&e))?;
                let name = reference.decode().map_err(|e| broken(&e))?;
                match (letter, quick_xml::escape::resolve_predefined_entity(&name)) {
                    (Some(letter), _) => content.push(letter),
                    (None, Some(text)) => content.push_str(text),
                    (None, None) => return Err(broken(&format!("unknown entity `{name}`"))),
                }
            }
            Event::Eof if path.is_empty() && has_root => return gathered.meaning(),
            Event::Eof => return Err(broken(&"it ends too early")),
            _ => {}
        }
    }
}

impl Gathered {
    fn open(&mut self, path: &[String]) {
        match names(path).as_slice() {
            ["Autodiscover", "Response", "Action", "Settings", "Server"] => {
                self.server_type.clear();
                self.server_url.clear();
            }
            ["Autodiscover", "Response", "Error"]
            | ["Autodiscover", "Response", "Action", "Error"] => self.is_refused = true,
            _ => {}
        }
    }

    fn close(&mut self, path: &[String], content: &str) {
        let keep = || content.to_owned();
        match names(path).as_slice() {
            ["Autodiscover", "Response", "Action", "Redirect"] => self.redirect = Some(keep()),
            [
                "Autodiscover",
                "Response",
                "Action",
                "Settings",
                "Server",
                "Type",
            ] => {
                self.server_type = keep();
            }
            [
                "Autodiscover",
                "Response",
                "Action",
                "Settings",
                "Server",
                "Url",
            ] => {
                self.server_url = keep();
            }
            // CertEnroll is the other type (ASCMD 2.2.3.184).
            ["Autodiscover", "Response", "Action", "Settings", "Server"]
                if self.url.is_none()
                    && self.server_type.eq_ignore_ascii_case("MobileSync")
                    && !self.server_url.is_empty() =>
            {
                self.url = Some(std::mem::take(&mut self.server_url));
            }
            ["Autodiscover", "Response", .., "Error", "Status"] => self.status = keep(),
            ["Autodiscover", "Response", .., "Error", "ErrorCode"] => self.code = keep(),
            ["Autodiscover", "Response", .., "Error", "Message"] => self.message = keep(),
            _ => {}
        }
    }

    fn meaning(self) -> Result<Meaning, String> {
        if let Some(url) = self.url {
            return Ok(Meaning::Url(url));
        }
        if let Some(address) = self.redirect.filter(|address| !address.is_empty()) {
            return Ok(Meaning::Address(address));
        }
        if self.is_refused {
            let parts = [
                ("Status", self.status),
                ("ErrorCode", self.code),
                ("Message", self.message),
            ];
            let parts: Vec<String> = parts
                .iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| format!("{name} {}", shown(text)))
                .collect();
            return Ok(Meaning::Refusal(parts.join(", ")));
        }
        Err("the answer names no ActiveSync server (Action/Settings/Server/Url)".to_owned())
    }
}

fn names(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// A server's own words, short and without control characters.
pub(super) fn shown(text: &str) -> String {
    let clean = text.chars().filter(|letter| !letter.is_control());
    clean.take(MAX_MESSAGE).collect()
}

/// Answer to the JSON form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Json {
    url: String,
    error_code: String,
    error_message: String,
}

/// Reads the answer of `autodiscover.json`.
pub(super) fn parse_json(body: &[u8]) -> Result<Meaning, String> {
    let json: Json = serde_json::from_slice(body)
        .map_err(|_| "the answer is not the JSON of Autodiscover".to_owned())?;
    if !json.url.is_empty() {
        return Ok(Meaning::Url(json.url));
    }
    if json.error_code.is_empty() && json.error_message.is_empty() {
        return Err("the answer names no Url".to_owned());
    }
    let text = format!("{} {}", shown(&json.error_code), shown(&json.error_message));
    Ok(Meaning::Refusal(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(action: &str) -> String {
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n\
             <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\
             <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006\">\
             <Culture>en:us</Culture>{action}</Response></Autodiscover>"
        )
    }

    fn read(action: &str) -> Result<Meaning, String> {
        parse(answer(action).as_bytes())
    }

    #[test]
    fn the_url_of_the_mobile_sync_server_is_found() {
        let servers = "<Action><Settings>\
            <Server><Type>CertEnroll</Type><Url>https://ca.lab.example</Url></Server>\
            <Server><Type>MobileSync</Type><Url>\n https://mail.lab.example/x?a=1&amp;b=&#50; </Url>\
            <Name>https://other</Name></Server></Settings></Action>";
        let url = "https://mail.lab.example/x?a=1&b=2".to_owned();
        assert_eq!(read(servers), Ok(Meaning::Url(url)));
        let redirect = "<Action><Redirect>a@eu.example</Redirect></Action>";
        assert_eq!(
            read(redirect),
            Ok(Meaning::Address("a@eu.example".to_owned()))
        );
    }

    #[test]
    fn errors_of_the_server_are_told() {
        let error =
            "<Action><Error><Status>2</Status><Message>no such\nuser</Message></Error></Action>";
        assert_eq!(
            read(error),
            Ok(Meaning::Refusal("Status 2, Message no suchuser".to_owned()))
        );
        let error = "<Error Time=\"1\" Id=\"2\"><ErrorCode>600</ErrorCode>\
                     <Message>Invalid Request</Message><DebugData /></Error>";
        assert_eq!(
            read(error),
            Ok(Meaning::Refusal(
                "ErrorCode 600, Message Invalid Request".to_owned()
            ))
        );
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        for (body, part) in [
            ("", "ends too early"),
            ("{}", "ends too early"),
            ("<Autodiscover><Response>", "ends too early"),
            ("<a></b>", "no good XML"),
            ("<Autodiscover/>", "names no ActiveSync server"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
        let deep = "<a>".repeat(10_000);
        assert!(parse(deep.as_bytes()).unwrap_err().contains("too deep"));
        assert!(parse(b"\xff\xfe<").is_err());
    }

    #[test]
    fn the_json_form_is_read() {
        let good = br#"{"Protocol":"ActiveSync","Url":"https://mail.lab.example/x"}"#;
        let url = "https://mail.lab.example/x".to_owned();
        assert_eq!(parse_json(good), Ok(Meaning::Url(url)));
        let bad = br#"{"ErrorCode":"ProtocolNotSupported","ErrorMessage":"no"}"#;
        assert_eq!(
            parse_json(bad),
            Ok(Meaning::Refusal("ProtocolNotSupported no".to_owned()))
        );
        for wrong in [&b"{}"[..], b"<html>", b"[1]", b"{\"Url\":7}"] {
            assert!(parse_json(wrong).is_err());
        }
    }

    #[test]
    fn the_request_holds_the_address_and_nothing_else_of_it() {
        let text = request("a<b&c@lab.example");
        assert!(text.contains("<EMailAddress>a&lt;b&amp;c@lab.example</EMailAddress>"));
    }
}
