//! Items as they travel to the store and as the protocol shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::ProtocolVersion;
use eas::commands::ItemData;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Refusal;

/// The same, with all its texts its own: it goes to another process.
pub(super) fn owned<T: Serialize, U: DeserializeOwned>(value: &T) -> Result<U, Refusal> {
    let bytes = postcard::to_allocvec(value).map_err(|_| Refusal::Encode)?;
    postcard::from_bytes(&bytes).map_err(|_| Refusal::Encode)
}

/// As a client of that version sees it: up to 14.1 a meeting's UID is wrapped up (ASEMAIL 2.2.2.37).
pub(super) fn shown(mut data: ItemData<'static>, version: ProtocolVersion) -> ItemData<'static> {
    if version < ProtocolVersion::V16_0
        && let ItemData::Email(email) = &mut data
        && let Some(meeting) = &mut email.meeting
    {
        meeting.global_obj_id = global_object_id(&meeting.global_obj_id).into();
    }
    data
}

/// The GlobalObjId of a UID that is not one itself: class id, no instance, no creation time, and the
/// UID behind `vCal-Uid`.
fn global_object_id(uid: &str) -> String {
    const CLASS_ID: [u8; 16] = [
        0x04, 0x00, 0x00, 0x00, 0x82, 0x00, 0xE0, 0x00, 0x74, 0xC5, 0xB7, 0x10, 0x1A, 0x82, 0xE0,
        0x08,
    ];
    const NEITHER_INSTANCE_NOR_TIME: [u8; 20] = [0; 20];
    const MARK: &[u8] = b"vCal-Uid\x01\x00\x00\x00";
    let length = u32::try_from(MARK.len() + uid.len() + 1).unwrap_or(u32::MAX);
    let mut bytes = CLASS_ID.to_vec();
    bytes.extend(NEITHER_INSTANCE_NOR_TIME);
    bytes.extend(length.to_le_bytes());
    bytes.extend(MARK);
    bytes.extend(uid.as_bytes());
    bytes.push(0);
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of ASEMAIL 2.2.2.37, second form.
    #[test]
    fn a_uid_is_wrapped_as_in_the_specification() {
        let id = BASE64
            .decode(global_object_id("{81412D3C-2A24-4E9D-B20E-11F7BBE92799}"))
            .unwrap();
        assert_eq!(id.len(), 16 + 20 + 4 + 12 + 38 + 1);
        assert_eq!(id[36..40], [51, 0, 0, 0]);
        assert!(id.ends_with(b"vCal-Uid\x01\0\0\0{81412D3C-2A24-4E9D-B20E-11F7BBE92799}\0"));
    }
}
