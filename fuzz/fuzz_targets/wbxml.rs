//! Any bytes as a body: read by the codec and by every command, requests and answers alike. What the
//! codec itself has written it must read, and write the same again.
#![no_main]

use eas::commands::*;
use eas::wbxml::{from_xml, to_xml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = EstimateAnswer::decode(body);
    let _ = EstimateRequest::decode(body);
    let _ = FolderSyncAnswer::decode(body);
    let _ = FolderSyncRequest::decode(body);
    let _ = ItemOperationsAnswer::decode(body);
    let _ = ItemOperationsRequest::decode(body);
    let _ = PingAnswer::decode(body);
    let _ = PingRequest::decode(body);
    let _ = ProvisionAnswer::decode(body);
    let _ = ProvisionRequest::decode(body);
    let _ = SendMailAnswer::decode(body);
    let _ = SendMailRequest::decode(body);
    let _ = SettingsAnswer::decode(body);
    let _ = SettingsRequest::decode(body);
    let _ = SyncAnswer::decode(body);
    let _ = SyncRequest::decode(body);
    let _ = FolderCreateAnswer::decode(body);
    let _ = FolderCreateRequest::decode(body);
    let _ = FolderDeleteAnswer::decode(body);
    let _ = FolderDeleteRequest::decode(body);
    let _ = FolderUpdateAnswer::decode(body);
    let _ = FolderUpdateRequest::decode(body);
    let _ = MeetingResponseAnswer::decode(body);
    let _ = MeetingResponseRequest::decode(body);
    let _ = MoveItemsAnswer::decode(body);
    let _ = MoveItemsRequest::decode(body);
    let _ = ResolveRecipientsAnswer::decode(body);
    let _ = ResolveRecipientsRequest::decode(body);
    let _ = FindAnswer::decode(body);
    let _ = FindRequest::decode(body);
    let _ = SearchAnswer::decode(body);
    let _ = SearchRequest::decode(body);
    for kind in [SmartSend::Reply, SmartSend::Forward] {
        let _ = SendAnswer::decode_smart(kind, body);
        let _ = SmartSendRequest::decode(kind, body);
    }
    let _ = ValidateCertAnswer::decode(body);
    let _ = ValidateCertRequest::decode(body);
    let Ok(xml) = to_xml(body) else { return };
    // Not every text can be written as XML: control characters, for one.
    let Ok(again) = from_xml(&xml) else { return };
    let xml = to_xml(&again).expect("what was written can be read");
    assert_eq!(from_xml(&xml).expect("so can the XML"), again);
});
