//! Provision (P1 to P6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::phone::{DEVICE_INFORMATION, FOLDER_SYNC_0, Phone};
use super::raw::{ORDINARY_USER, WBXML, control, set_user, text_of, texts_of};
use crate::fixtures::mock;

#[tokio::test]
async fn p1_two_phases_give_a_temporary_and_a_final_key() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    assert_eq!(text_of(&asked, "/Provision/Status"), "1");
    assert_eq!(text_of(&asked, "Policy/Status"), "1");
    assert_eq!(
        text_of(&asked, "Policy/PolicyType"),
        "MS-EAS-Provisioning-WBXML"
    );
    assert_eq!(texts_of(&asked, "Data/EASProvisionDoc").len(), 1, "{asked}");
    let temporary = text_of(&asked, "Policy/PolicyKey");

    phone.policy_key = Some(temporary.clone());
    let early = phone.folder_sync("0").await.statuses();
    assert!(early == ["142"] || early == ["144"], "{early:?}");

    let done = phone.acknowledge_policy(&temporary).await.xml();
    assert_eq!(text_of(&done, "/Provision/Status"), "1");
    assert_eq!(text_of(&done, "Policy/Status"), "1");
    assert_eq!(texts_of(&done, "Policy/Data").len(), 0, "{done}");
    let last = text_of(&done, "Policy/PolicyKey");
    assert_ne!(last, temporary);

    phone.policy_key = Some(last);
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn p2_device_information_is_required_from_14_1_on() {
    let mock = mock(|_| {}).await;
    for version in ["14.1", "16.0", "16.1"] {
        let mut phone = Phone::new(&mock, "load1").await;
        phone.version = version;
        let refused = phone.ask_policy("").await.xml();
        assert_eq!(text_of(&refused, "/Provision/Status"), "165", "{version}");
        let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
        assert_eq!(text_of(&asked, "/Provision/Status"), "1", "{version}");
    }
    for version in ["12.1", "14.0"] {
        let mut phone = Phone::new(&mock, "load1").await;
        phone.version = version;
        let asked = phone.ask_policy("").await.xml();
        assert_eq!(text_of(&asked, "/Provision/Status"), "1", "{version}");
        assert_eq!(text_of(&asked, "Policy/Status"), "1", "{version}");
    }
    mock.shutdown().await;
}

/// The query of MS-ASHTTP 2.2.1.1.1.1: version, command, locale, device, key, type.
fn binary_query(command: u8, device: &str, key: u32) -> String {
    let mut bytes = vec![141, command, 0x09, 0x04, device.len() as u8];
    bytes.extend(device.as_bytes());
    bytes.push(4);
    bytes.extend(key.to_le_bytes());
    bytes.push(4);
    bytes.extend(b"test");
    BASE64.encode(bytes)
}

#[tokio::test]
async fn p3_the_key_is_one_number_in_decimal_and_in_binary() {
    const FOLDER_SYNC: u8 = 9;
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    let text = phone.policy_key.take().unwrap();
    let key: u32 = text.parse().unwrap();
    assert_eq!(key.to_string(), text);

    let body = eas::wbxml::from_xml(FOLDER_SYNC_0).unwrap();
    for (key, status) in [(key, "1"), (key ^ 1, "144")] {
        let query = binary_query(FOLDER_SYNC, &phone.device, key);
        phone.send_to(&query, WBXML, &body).await;
        assert_eq!(phone.raw.answer().await.statuses(), [status]);
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn p4_a_foreign_key_is_not_acknowledged() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    let key: u32 = text_of(&asked, "Policy/PolicyKey").parse().unwrap();
    let refused = phone.acknowledge_policy(&(key ^ 1).to_string()).await.xml();
    assert_eq!(text_of(&refused, "/Provision/Status"), "1");
    assert_eq!(text_of(&refused, "Policy/Status"), "5");
    assert_eq!(texts_of(&refused, "Policy/PolicyKey").len(), 0);
    mock.shutdown().await;
}

#[tokio::test]
async fn p5_a_user_without_policy_needs_no_key() {
    let mock = mock(|config| config.require_provisioning = true).await;
    set_user(&mock, "load1", "policy", false).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    assert_eq!(text_of(&asked, "/Provision/Status"), "1");
    assert_eq!(text_of(&asked, "Policy/Status"), "2");
    assert_eq!(texts_of(&asked, "Policy/PolicyKey").len(), 0);
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    let mut other = Phone::new(&mock, "load2").await;
    assert_eq!(other.folder_sync("0").await.statuses(), ["142"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn p6_a_remote_wipe_is_carried_out_and_the_device_starts_anew() {
    const DONE: &str =
        r#"<Provision xmlns="Provision"><RemoteWipe><Status>1</Status></RemoteWipe></Provision>"#;
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    set_user(&mock, "load1", "wipe", true).await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["140"]);

    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    assert_eq!(text_of(&asked, "/Provision/Status"), "1");
    assert_eq!(texts_of(&asked, "/Provision/RemoteWipe"), [""]);
    let done = phone.request("Provision", DONE).await.xml();
    assert_eq!(texts_of(&done, "Status"), ["1"]);
    assert_eq!(texts_of(&done, "RemoteWipe").len(), 0);

    assert_eq!(phone.folder_sync("0").await.statuses(), ["142"]);
    phone.provision().await;
    phone.learn_folders().await;
    phone.prime().await;
    mock.shutdown().await;
}

/// ASCMD 2.2.2: with a policy key header 449, without one 403.
#[tokio::test]
async fn p6_before_14_0_a_remote_wipe_is_an_http_status() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.version = "12.1";
    phone.provision().await;
    set_user(&mock, "load1", "wipe", true).await;
    assert_eq!(phone.folder_sync("0").await.status, 449);
    let key = phone.policy_key.take();
    assert_eq!(phone.folder_sync("0").await.status, 403);
    // An administrator may take it back.
    control(&mock, "PUT", "users/load1", ORDINARY_USER).await;
    phone.policy_key = key;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    mock.shutdown().await;
}

/// P1: only a device that has applied the policy gets the final key.
#[tokio::test]
async fn p1_a_policy_that_was_not_applied_gives_no_key() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let asked = phone.ask_policy(DEVICE_INFORMATION).await.xml();
    let temporary = text_of(&asked, "Policy/PolicyKey");
    let not_applied = format!(
        r#"<Provision xmlns="Provision"><Policies><Policy>
           <PolicyType>MS-EAS-Provisioning-WBXML</PolicyType><PolicyKey>{temporary}</PolicyKey>
           <Status>3</Status></Policy></Policies></Provision>"#
    );
    let refused = phone.request("Provision", &not_applied).await.xml();
    assert_eq!(text_of(&refused, "/Provision/Status"), "139");
    assert_eq!(texts_of(&refused, "PolicyKey").len(), 0);
    assert_eq!(phone.folder_sync("0").await.statuses(), ["142"]);
    mock.shutdown().await;
}

/// P6: a wipe that failed stands, and one that was taken back can be ordered again.
#[tokio::test]
async fn p6_a_wipe_that_failed_stands() {
    let answer = |status: u8| {
        format!(
            r#"<Provision xmlns="Provision"><RemoteWipe><Status>{status}</Status></RemoteWipe></Provision>"#
        )
    };
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    set_user(&mock, "load1", "wipe", true).await;
    phone.request("Provision", &answer(2)).await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["140"]);
    phone.request("Provision", &answer(1)).await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["142"]);
    control(&mock, "PUT", "users/load1", ORDINARY_USER).await;
    phone.provision().await;
    set_user(&mock, "load1", "wipe", true).await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["140"], "again");
    mock.shutdown().await;
}

/// T6: a code of no command in a base64 query is refused as the version in it says.
#[tokio::test]
async fn t6_an_unknown_code_in_a_base64_query_is_not_supported() {
    const NONE: u8 = 99;
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    let query = binary_query(NONE, &phone.device, 1);
    phone.send_to(&query, WBXML, b"x").await;
    assert_eq!(phone.raw.answer().await.statuses(), ["137"]);
    mock.shutdown().await;
}
