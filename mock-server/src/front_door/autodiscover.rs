//! POX Autodiscover for mobile devices (MS-ASCMD 2.2.1.1): always XML, never WBXML.

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::front_end::{front_end_headers, plain};
use super::server::Server;
use crate::link::{WireAnswer, WireRequest};
use crate::worker::{DOMAIN, authenticate, bare, challenges, decoded};

/// Namespace of a request.
const REQUEST: &str =
    "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006";
/// The schema that a request must accept, and the namespace of the answer's Response.
const RESPONSE: &str =
    "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006";
/// Namespace of the answer's root.
const ROOT: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
/// Domains whose addresses have a mailbox here. The second is reserved for tests (RFC 6761).
const DOMAINS: [&str; 2] = [DOMAIN, "example.test"];
/// A request nests three elements.
const MAX_DEPTH: usize = 16;

/// What a request asks for, as far as it says so.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    is_mobile_sync: bool,
    address: Option<String>,
    schema: Option<String>,
}

/// Errors of the framework (MS-ASCMD 2.2.3.64).
#[derive(Debug, PartialEq)]
enum Refusal {
    InvalidRequest,
    SchemaNotSupported,
}

impl Refusal {
    const fn code(&self) -> u16 {
        match self {
            Self::InvalidRequest => 600,
            Self::SchemaNotSupported => 601,
        }
    }

    const fn message(&self) -> &'static str {
        match self {
            Self::InvalidRequest => "Invalid Request",
            Self::SchemaNotSupported => "Provider is not available",
        }
    }
}

/// Answers a request to Autodiscover.
pub(super) fn answer(server: &Server, request: &WireRequest) -> WireAnswer {
    let config = &server.host.config;
    let user = authenticate(config, request).filter(|user| server.host.user(user).enabled);
    let Some(user) = user else {
        let mut headers = challenges(config, request);
        front_end_headers(server, &mut headers);
        return bare(401, headers);
    };
    let url = super::url(config, server.records.address());
    let body = match decoded(request) {
        Ok(body) => body,
        Err(status) => return plain(server, status, "text/plain", Vec::new()),
    };
    let response = match address(&body) {
        Ok(address) if is_local(&address) => found(&user, &address, &url),
        Ok(_) => unknown_address(),
        Err(refusal) => refused(&refusal, server.number),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<Autodiscover xmlns=\"{ROOT}\">\
         <Response xmlns=\"{RESPONSE}\">{response}</Response></Autodiscover>"
    );
    plain(server, 200, "text/xml; charset=utf-8", body.into_bytes())
}

fn found(user: &str, address: &str, url: &str) -> String {
    format!(
        "<Culture>en:us</Culture>\
         <User><DisplayName>{}</DisplayName><EMailAddress>{}</EMailAddress></User>\
         <Action><Settings><Server><Type>MobileSync</Type><Url>{url}</Url><Name>{url}</Name></Server>\
         </Settings></Action>",
        escape(user),
        escape(address)
    )
}

/// An error of the provider. Its Status is always 2 (MS-ASCMD 2.2.3.177.1).
fn unknown_address() -> String {
    "<Culture>en:us</Culture><Action><Error><Status>2</Status>\
     <Message>The email address cannot be found.</Message><DebugData>MailUser</DebugData></Error></Action>"
        .to_owned()
}

/// An error of the framework that hosts the providers.
fn refused(refusal: &Refusal, server: usize) -> String {
    let (code, message) = (refusal.code(), refusal.message());
    let time = sim_net::wall_clock::now().strftime("%H:%M:%S%.7f");
    // Exchange's Id is a number of the server's.
    format!(
        "<Error Time=\"{time}\" Id=\"{server}\"><ErrorCode>{code}</ErrorCode>\
         <Message>{message}</Message><DebugData/></Error>"
    )
}

fn is_local(address: &str) -> bool {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    DOMAINS.iter().any(|own| own.eq_ignore_ascii_case(domain))
}

/// The address that a request names.
fn address(body: &[u8]) -> Result<String, Refusal> {
    let asked = read(body).ok_or(Refusal::InvalidRequest)?;
    match asked.schema.as_deref() {
        Some(RESPONSE) => {}
        None | Some("") => return Err(Refusal::InvalidRequest),
        Some(_) => return Err(Refusal::SchemaNotSupported),
    }
    let address = asked.address.filter(|_| asked.is_mobile_sync);
    let is_address = |address: &String| {
        let parts = address.split_once('@');
        parts.is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
            && !address.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    };
    address.filter(is_address).ok_or(Refusal::InvalidRequest)
}

/// Reads a request; `None` if it is no XML, or another document.
fn read(body: &[u8]) -> Option<Asked> {
    let text = str::from_utf8(body).ok()?.trim_start_matches('\u{feff}');
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut asked, mut path, mut content) = (None::<Asked>, Vec::new(), String::new());
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        match event {
            Event::Start(tag) => {
                if path.is_empty() {
                    // A second root is no XML.
                    let is_mobile_sync =
                        namespace == ResolveResult::Bound(Namespace(REQUEST.as_bytes()));
                    let root = Asked {
                        is_mobile_sync,
                        ..Asked::default()
                    };
                    if asked.replace(root).is_some() {
                        return None;
                    }
                }
                if path.len() == MAX_DEPTH {
                    return None;
                }
                path.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                content.clear();
            }
            Event::End(_) => {
                let asked = asked.as_mut()?;
                let value = || Some(content.trim().to_owned());
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                match names.as_slice() {
                    ["Autodiscover", "Request", "EMailAddress"] => asked.address = value(),
                    ["Autodiscover", "Request", "AcceptableResponseSchema"] => {
                        asked.schema = value();
                    }
                    _ => {}
                }
                path.pop();
                content.clear();
            }
            Event::Text(piece) => content.push_str(&piece.decode().ok()?),
            Event::CData(piece) => content.push_str(&piece.decode().ok()?),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(letter) => content.push(letter),
                None => content.push_str(resolve_predefined_entity(&reference.decode().ok()?)?),
            },
            // Entities of a document's own are not read.
            Event::DocType(_) => return None,
            Event::Eof => return asked.filter(|_| path.is_empty()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook";

    fn request(namespace: &str, address: &str, schema: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><Autodiscover xmlns=\"{namespace}\"><Request>{address}{schema}</Request>\
             </Autodiscover>"
        )
    }

    fn schema(name: &str) -> String {
        format!("<AcceptableResponseSchema>{name}</AcceptableResponseSchema>")
    }

    #[test]
    fn an_address_is_read_whatever_the_xml_looks_like() {
        let plain = "<EMailAddress> a&amp;&#98;@lab.example\n</EMailAddress>";
        for (body, expected) in [
            (
                request(REQUEST, plain, &schema(RESPONSE)),
                "a&b@lab.example",
            ),
            (
                request(
                    REQUEST,
                    "<EMailAddress><![CDATA[a<b@x]]></EMailAddress>",
                    &schema(RESPONSE),
                ),
                "a<b@x",
            ),
            (
                format!(
                    "\u{feff}<m:Autodiscover xmlns:m='{REQUEST}'><m:Request><m:Other/>\
                     <m:AcceptableResponseSchema>{RESPONSE}</m:AcceptableResponseSchema>\
                     <m:EMailAddress>a@b</m:EMailAddress></m:Request></m:Autodiscover>"
                ),
                "a@b",
            ),
        ] {
            assert_eq!(address(body.as_bytes()), Ok(expected.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_wrong_request_is_600_and_another_schema_601() {
        use Refusal::{InvalidRequest, SchemaNotSupported};
        let own = "<EMailAddress>a@lab.example</EMailAddress>";
        let good = request(REQUEST, own, &schema(RESPONSE));
        let outlook = schema(&format!("{OUTLOOK}/responseschema/2006a"));
        for (body, expected) in [
            (String::new(), InvalidRequest),
            ("no XML".to_owned(), InvalidRequest),
            (good[..good.len() - 5].to_owned(), InvalidRequest),
            (format!("{good}{good}"), InvalidRequest),
            (good.replace("</Request>", "</Other>"), InvalidRequest),
            (
                good.replace("?>", "?><!DOCTYPE a [<!ENTITY b 'c'>]>"),
                InvalidRequest,
            ),
            (good.replace("Autodiscover", "Other"), InvalidRequest),
            (request(REQUEST, "", &schema(RESPONSE)), InvalidRequest),
            (
                request(REQUEST, "<EMailAddress/>", &schema(RESPONSE)),
                InvalidRequest,
            ),
            (good.replace("a@lab.example", "nobody"), InvalidRequest),
            (
                good.replace("a@lab.example", "@lab.example"),
                InvalidRequest,
            ),
            (
                good.replace("a@lab.example", "a b@lab.example"),
                InvalidRequest,
            ),
            (request(REQUEST, own, ""), InvalidRequest),
            (request(REQUEST, own, &schema("")), InvalidRequest),
            (request("urn:other", own, &schema(RESPONSE)), InvalidRequest),
            (request(REQUEST, own, &outlook), SchemaNotSupported),
            (
                request(&format!("{OUTLOOK}/requestschema/2006"), own, &outlook),
                SchemaNotSupported,
            ),
            (
                request(REQUEST, own, &schema(&format!("{RESPONSE}a"))),
                SchemaNotSupported,
            ),
        ] {
            assert_eq!(address(body.as_bytes()), Err(expected), "{body}");
        }
        assert_eq!(address(&[0xFF, 0xFE]), Err(InvalidRequest));
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        assert_eq!(address(deep.as_bytes()), Err(InvalidRequest));
    }

    #[test]
    fn only_addresses_of_the_mock_s_domains_are_its_own() {
        for (address, expected) in [
            ("load1@lab.example", true),
            ("load1@LAB.Example", true),
            ("load1@example.test", true),
            ("load1@other.example", false),
            ("load1@sub.lab.example", false),
            ("load1@lab.example@other.example", false),
        ] {
            assert_eq!(is_local(address), expected, "{address}");
        }
    }
}
