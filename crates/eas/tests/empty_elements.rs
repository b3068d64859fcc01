//! Each element of each sample is emptied in turn. An empty element must mean the same as an absent
//! one, unless [`MEANINGFUL`] lists it.

mod samples;

use std::collections::BTreeSet;
use std::fmt::Debug;

use eas::commands::*;
use eas::wbxml::{DecodeError, Event, Reader, Tag};
use samples::corpus;

/// The beginning of the names of the samples, elements that do not count as absent when they are empty,
/// and why. Elements whose absence is an error are required; they need not be here.
const MEANINGFUL: &[(&str, &[&str], &str)] = &[
    (
        "",
        &[
            "Find:DeepTraversal",
            "Search:DeepTraversal",
            "Search:RebuildResults",
            "ItemOperations:DeleteSubFolders",
            "ItemOperations:MoveAlways",
            "ComposeMail:SaveInSentItems",
            "ComposeMail:ReplaceMime",
            "AirSync:Partial",
            "AirSync:MoreAvailable",
            "Email2:Send",
            "Provision:RemoteWipe",
            "Settings:Get",
            "Settings:AppliesToInternal",
            "Settings:AppliesToExternalKnown",
            "Settings:AppliesToExternalUnknown",
        ],
        "an empty tag by the schema: its presence is what it says",
    ),
    (
        "Sync",
        &["AirSync:GetChanges"],
        "empty means TRUE (MS-ASCMD 2.2.3.84)",
    ),
    (
        "ResolveRecipients",
        &["ResolveRecipients:Availability"],
        "it must hold StartTime (MS-ASCMD 2.2.3.176.1), or a Status in an answer",
    ),
    (
        "Sync",
        &[
            "AirSync:Supported",
            "Contacts:JobTitle",
            "Contacts:CompanyName",
        ],
        "Supported names elements by their presence; an empty one names none (MS-ASCMD 2.2.3.179)",
    ),
    (
        "",
        &["AirSyncBase:Type"],
        "required in a preference: one that has nothing else is empty without it",
    ),
    (
        "Sync",
        &[
            "AirSyncBase:Add",
            "AirSyncBase:Delete",
            "AirSyncBase:ClientId",
            "AirSyncBase:Content",
            "AirSyncBase:DisplayName",
            "AirSyncBase:FileReference",
        ],
        "required in a change of attachments: the item without them is refused",
    ),
    (
        "Sync",
        &["AirSync:Options"],
        "options replace those that the server keeps; empty ones are the default ones",
    ),
    (
        "",
        &["Email:Flag"],
        "an empty flag clears the flag (MS-ASEMAIL, Flag)",
    ),
    (
        "Settings",
        &["Settings:Password"],
        "an empty password deletes the recovery password (MS-ASCMD, DevicePassword)",
    ),
    (
        "Ping",
        &["Ping:HeartbeatInterval", "Ping:Folders", "Ping:Folder"],
        "an empty interval, list or folder has a status of its own (MS-ASCMD 2.2.3.177.11)",
    ),
    (
        "Provision",
        &["Provision:Policy", "Settings:Set"],
        "a policy without its type is answered with Status 2; a device need not describe itself",
    ),
    (
        "Settings answer",
        &[
            "Settings:DeviceInformation",
            "Settings:DevicePassword",
            "Settings:Oof",
            "Settings:UserInformation",
        ],
        "SOGo answers a property without its Status, which counts as successful",
    ),
    (
        "Settings rights answer",
        &["Settings:RightsManagementInformation"],
        "as the other properties",
    ),
    (
        "Settings",
        &["Settings:Set"],
        "the description of a device may hold none of the elements that this crate knows",
    ),
    (
        "",
        &[
            "AirSync:Collection",
            "AirSync:Add",
            "AirSync:Change",
            "AirSync:Delete",
            "AirSync:SoftDelete",
            "AirSync:Fetch",
            "FolderHierarchy:Add",
            "FolderHierarchy:Update",
            "FolderHierarchy:Delete",
            "GetItemEstimate:Response",
            "ItemOperations:Fetch",
            "ItemOperations:EmptyFolderContents",
            "ItemOperations:Move",
            "MeetingResponse:Result",
            "Move:Response",
            "ResolveRecipients:Recipient",
            "ResolveRecipients:Response",
            "ResolveRecipients:To",
            "ValidateCert:Certificate",
        ],
        "an entry of a list that lacks what it must have: an error in a request, skipped in an answer",
    ),
];

/// A WBXML document as a tree.
#[derive(Debug, Clone)]
enum Node {
    Element(Tag, Option<Vec<Node>>),
    Text(String),
    Opaque(Vec<u8>),
}

fn tree(body: &[u8]) -> Node {
    let mut reader = Reader::new(body).unwrap();
    let mut open: Vec<(Tag, Vec<Node>)> = Vec::new();
    loop {
        let node = match reader.next_event().unwrap().unwrap() {
            Event::Start(element) if element.has_content => {
                open.push((element.tag, Vec::new()));
                continue;
            }
            Event::Start(element) => Node::Element(element.tag, None),
            Event::End => {
                let (tag, children) = open.pop().unwrap();
                Node::Element(tag, Some(children))
            }
            Event::Text(text) => Node::Text(text.to_owned()),
            Event::Entity(letter) => Node::Text(letter.to_string()),
            Event::Opaque(bytes) => Node::Opaque(bytes.to_vec()),
        };
        match open.last_mut() {
            Some((_, children)) => children.push(node),
            None => return node,
        }
    }
}

/// The bytes of a document. The crate's writer cannot leave an element with the content bit empty.
fn bytes(root: &Node) -> Vec<u8> {
    fn write(node: &Node, page: &mut u8, out: &mut Vec<u8>) {
        match node {
            Node::Element(tag, content) => {
                if tag.page() != *page {
                    *page = tag.page();
                    out.extend([0x00, *page]);
                }
                match content {
                    None => out.push(tag.token()),
                    Some(children) => {
                        out.push(tag.token() | 0x40);
                        children.iter().for_each(|child| write(child, page, out));
                        out.push(0x01);
                    }
                }
            }
            Node::Text(text) => {
                out.push(0x03);
                out.extend(text.as_bytes());
                out.push(0);
            }
            Node::Opaque(bytes) => {
                let length = u8::try_from(bytes.len()).unwrap();
                assert!(length < 0x80);
                out.extend([0xC3, length]);
                out.extend(bytes);
            }
        }
    }
    let mut out = vec![0x03, 0x01, 0x6A, 0x00];
    write(root, &mut 0, &mut out);
    out
}

/// The paths to all elements below the root, as indices of children.
fn paths(root: &Node) -> Vec<Vec<usize>> {
    fn collect(node: &Node, path: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        let Node::Element(_, Some(children)) = node else {
            return;
        };
        for (index, child) in children.iter().enumerate() {
            if matches!(child, Node::Element(..)) {
                path.push(index);
                all.push(path.clone());
                collect(child, path, all);
                path.pop();
            }
        }
    }
    let mut all = Vec::new();
    collect(root, &mut Vec::new(), &mut all);
    all
}

/// The document with another node, or none, at a path.
fn with(root: &Node, path: &[usize], new: Option<Node>) -> Vec<u8> {
    let mut root = root.clone();
    let (last, way) = path.split_last().unwrap();
    let mut node = &mut root;
    for index in way {
        let Node::Element(_, Some(children)) = node else {
            unreachable!("the path leads through elements with children");
        };
        node = &mut children[*index];
    }
    let Node::Element(_, Some(children)) = node else {
        unreachable!("the path ends in an element with children");
    };
    match new {
        Some(new) => children[*last] = new,
        None => drop(children.remove(*last)),
    }
    bytes(&root)
}

fn element_at<'a>(root: &'a Node, path: &[usize]) -> (Tag, Option<&'a [Node]>) {
    let mut node = root;
    for index in path {
        let Node::Element(_, Some(children)) = node else {
            unreachable!("the path leads through elements with children");
        };
        node = &children[*index];
    }
    let Node::Element(tag, content) = node else {
        unreachable!("the path ends in an element");
    };
    (*tag, content.as_deref())
}

fn text<T: Debug>(read: Result<T, DecodeError>) -> Result<String, DecodeError> {
    // Offsets depend on the length of the document, not on its meaning.
    read.map(|value| format!("{value:?}"))
}

/// Reads a sample with the decoder that its name asks for.
fn decode(name: &str, body: &[u8]) -> Result<String, DecodeError> {
    let is_answer = name.contains("answer") || name == "Sync failure";
    let (command, _) = name.split_once(' ').unwrap_or((name, ""));
    match (command, is_answer) {
        ("Find", false) => text(FindRequest::decode(body)),
        ("Find", true) => text(FindAnswer::decode(body)),
        ("FolderCreate", false) => text(FolderCreateRequest::decode(body)),
        ("FolderCreate", true) => text(FolderCreateAnswer::decode(body)),
        ("FolderDelete", false) => text(FolderDeleteRequest::decode(body)),
        ("FolderDelete", true) => text(FolderDeleteAnswer::decode(body)),
        ("FolderSync", false) => text(FolderSyncRequest::decode(body)),
        ("FolderSync", true) => text(FolderSyncAnswer::decode(body)),
        ("FolderUpdate", false) => text(FolderUpdateRequest::decode(body)),
        ("FolderUpdate", true) => text(FolderUpdateAnswer::decode(body)),
        ("GetItemEstimate", false) => text(EstimateRequest::decode(body)),
        ("GetItemEstimate", true) => text(EstimateAnswer::decode(body)),
        ("ItemOperations", false) => text(ItemOperationsRequest::decode(body)),
        ("ItemOperations", true) => text(ItemOperationsAnswer::decode(body)),
        ("MeetingResponse", false) => text(MeetingResponseRequest::decode(body)),
        ("MeetingResponse", true) => text(MeetingResponseAnswer::decode(body)),
        ("MoveItems", false) => text(MoveItemsRequest::decode(body)),
        ("MoveItems", true) => text(MoveItemsAnswer::decode(body)),
        ("Ping", false) => text(PingRequest::decode(body)),
        ("Ping", true) => text(PingAnswer::decode(body)),
        ("Provision", false) => text(ProvisionRequest::decode(body)),
        ("Provision", true) => text(ProvisionAnswer::decode(body)),
        ("ResolveRecipients", false) => text(ResolveRecipientsRequest::decode(body)),
        ("ResolveRecipients", true) => text(ResolveRecipientsAnswer::decode(body)),
        ("Search", false) => text(SearchRequest::decode(body)),
        ("Search", true) => text(SearchAnswer::decode(body)),
        ("SendMail", false) => text(SendMailRequest::decode(body)),
        ("SendMail", true) => text(SendMailAnswer::decode(body)),
        ("Settings", false) => text(SettingsRequest::decode(body)),
        ("Settings", true) => text(SettingsAnswer::decode(body)),
        ("SmartForward", false) => text(SmartSendRequest::decode(SmartSend::Forward, body)),
        ("SmartForward", true) => text(SendAnswer::decode_smart(SmartSend::Forward, body)),
        ("SmartReply", false) => text(SmartSendRequest::decode(SmartSend::Reply, body)),
        ("SmartReply", true) => text(SendAnswer::decode_smart(SmartSend::Reply, body)),
        ("Sync", false) => text(SyncRequest::decode(body)),
        ("Sync", true) => text(SyncAnswer::decode(body)),
        ("ValidateCert", false) => text(ValidateCertRequest::decode(body)),
        ("ValidateCert", true) => text(ValidateCertAnswer::decode(body)),
        _ => panic!("no decoder for the sample {name}"),
    }
}

/// What a decoder makes of a body, without the offsets of errors.
fn meaning(name: &str, body: &[u8]) -> String {
    let read = decode(name, body).unwrap_or_else(|error| format!("error: {}", error.kind));
    let mut parts = read.split("offset: ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    plain
}

/// Whether the document, or an item in it, lacks something that it must have.
fn is_required(absent: &str) -> bool {
    absent.starts_with("error: ") || absent.contains("kind: Missing")
}

/// The row of [`MEANINGFUL`] that an element is in.
fn row(name: &str, tag: Tag) -> Option<usize> {
    let tag = tag.to_string();
    MEANINGFUL
        .iter()
        .position(|(sample, tags, _)| name.starts_with(sample) && tags.contains(&tag.as_str()))
}

/// The ways to write an element that says nothing: without the content bit, with it and an END, with an
/// empty string, and, unless it holds a text, with white space.
fn empties(root: &Node, path: &[usize]) -> Vec<Node> {
    let (tag, content) = element_at(root, path);
    // Keys and ids are texts, though the samples have numbers there.
    let is_id = ["Key", "Id"]
        .iter()
        .any(|end| tag.to_string().ends_with(end));
    let is_text = is_id
        || match content {
            None | Some([]) => true,
            Some([Node::Text(text)]) => text.parse::<u32>().is_err(),
            Some(_) => false,
        };
    let blank = if is_text { "" } else { " \n" };
    let text = |text: &str| Some(vec![Node::Text(text.to_owned())]);
    let contents = [None, Some(Vec::new()), text(""), text(blank)];
    contents.map(|content| Node::Element(tag, content)).into()
}

#[test]
fn an_empty_element_of_any_request_or_answer_counts_as_absent() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    let mut compared = 0;
    for (name, body) in corpus() {
        let root = tree(&body);
        assert_eq!(meaning(name, &bytes(&root)), meaning(name, &body), "{name}");
        for path in paths(&root) {
            let (tag, _) = element_at(&root, &path);
            let absent = meaning(name, &with(&root, &path, None));
            if is_required(&absent) {
                continue;
            }
            for node in empties(&root, &path) {
                let empty = meaning(name, &with(&root, &path, Some(node)));
                if empty == absent {
                    compared += 1;
                } else if let Some(row) = row(name, tag) {
                    used.insert((row, tag.to_string()));
                } else {
                    wrong.push(format!("{name}: {tag}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = MEANINGFUL
        .iter()
        .enumerate()
        .flat_map(|(row, (_, tags, _))| tags.iter().map(move |tag| (row, (*tag).to_owned())))
        .filter(|entry| !used.contains(entry))
        .collect();
    assert!(unused.is_empty(), "these count as absent: {unused:?}");
    assert!(compared > 1_000, "only {compared} elements were emptied");
}

/// A value that no number, flag, time or range has.
const GARBAGE: &str = "?garbage?";

/// An element with garbage is an error that names it, or an item that is skipped; elsewhere it is a text.
/// It never makes a body unreadable WBXML.
#[test]
fn garbage_in_any_element_is_an_error_that_names_it_or_a_text() {
    let (mut errors, mut texts) = (0, 0);
    for (name, body) in corpus() {
        let root = tree(&body);
        for path in paths(&root) {
            let (tag, _) = element_at(&root, &path);
            let garbage = Node::Element(tag, Some(vec![Node::Text(GARBAGE.to_owned())]));
            match decode(name, &with(&root, &path, Some(garbage))) {
                Ok(read) => texts += usize::from(read.contains(GARBAGE)),
                Err(error) => {
                    assert!(!error.is_malformed(), "{name}: {tag}: {error}");
                    let is_named = error.to_string().contains(&tag.to_string());
                    assert!(is_named, "{name}: {tag}: {error}");
                    errors += 1;
                }
            }
        }
    }
    assert!(
        errors > 100 && texts > 100,
        "{errors} errors, {texts} texts"
    );
}
