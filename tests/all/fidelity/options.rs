//! OPTIONS (O1 to O3).

use super::phone::Phone;
use super::raw::{basic, head_only};
use crate::fixtures::mock;

#[tokio::test]
async fn o1_options_needs_credentials() {
    let mock = mock(|_| {}).await;
    assert_eq!(head_only(&mock, "OPTIONS", "").await.status, 401);
    let wrong = head_only(&mock, "OPTIONS", &basic("load1", "wrong")).await;
    assert_eq!(wrong.status, 401);
    let right = head_only(&mock, "OPTIONS", &basic("load1", "secret")).await;
    assert_eq!(right.status, 200);
    mock.shutdown().await;
}

#[tokio::test]
async fn o2_options_tells_methods_versions_and_commands() {
    let mock = mock(|_| {}).await;
    let answer = Phone::new(&mock, "load1").await.options().await;
    answer.assert_empty();
    assert_eq!(answer.header("Allow"), Some("OPTIONS,POST"));
    assert_eq!(answer.header("Public"), Some("OPTIONS,POST"));
    assert_eq!(answer.header("MS-Server-ActiveSync"), Some("15.1"));
    let versions = answer.header("MS-ASProtocolVersions").unwrap();
    for version in ["12.1", "14.1", "16.1"] {
        assert!(versions.split(',').any(|one| one == version), "{versions}");
    }
    let commands = answer.header("MS-ASProtocolCommands").unwrap();
    for command in [
        "Sync",
        "SendMail",
        "FolderSync",
        "GetItemEstimate",
        "Ping",
        "ItemOperations",
        "Settings",
        "Provision",
    ] {
        assert!(commands.split(',').any(|one| one == command), "{commands}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn o3_options_needs_no_policy_key() {
    let mock = mock(|config| config.require_provisioning = true).await;
    let mut phone = Phone::new(&mock, "load1").await;
    assert_eq!(phone.options().await.status, 200);
    assert_eq!(phone.folder_sync("0").await.statuses(), ["142"]);
    mock.shutdown().await;
}
