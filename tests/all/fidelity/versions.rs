//! One device's whole life in each protocol version, with the form that version asks for.

use super::phone::{DEVICE_INFORMATION, Phone};
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;

const VERSIONS: [&str; 5] = ["12.1", "14.0", "14.1", "16.0", "16.1"];

#[tokio::test]
async fn every_version_lives_from_options_to_ping() {
    let mock = mock(|_| {}).await;
    for version in VERSIONS {
        let is_old = version == "12.1";
        let user = format!("user{}", version.replace('.', ""));
        let mut phone = Phone::new(&mock, &user).await;
        phone.version = version;
        let listed = phone.options().await;
        let listed = listed.header("MS-ASProtocolVersions").unwrap().to_owned();
        assert!(listed.split(',').any(|one| one == version), "{listed}");
        // T3: 449 before 14.0, Status 142 from then on.
        let refused = phone.folder_sync("0").await;
        match is_old {
            true => assert_eq!(refused.status, 449),
            false => assert_eq!(refused.statuses(), ["142"]),
        }
        phone.provision().await;
        // A key that is not the device's: 449, or 144.
        let key = phone.policy_key.replace("1".to_owned());
        let refused = phone.folder_sync("0").await;
        match is_old {
            true => assert_eq!(refused.status, 449),
            false => assert_eq!(refused.statuses(), ["144"]),
        }
        phone.policy_key = key;
        phone.learn_folders().await;
        // Class stands in the Collection in 12.1 and in Options from 14.0 on.
        let class = match is_old {
            true => "<Class>Email</Class>",
            false => "",
        };
        let options = match is_old {
            true => "",
            false => "<Options><FilterType>0</FilterType><Class>Email</Class></Options>",
        };
        let inbox = phone.inbox.clone();
        let sync = |key: &str, options: &str| {
            format!(
                r#"<Sync xmlns="AirSync"><Collections><Collection>{class}<SyncKey>{key}</SyncKey>
                   <CollectionId>{inbox}</CollectionId>{options}</Collection></Collections></Sync>"#
            )
        };
        let primed = phone.request("Sync", &sync("0", "")).await.xml();
        let key = text_of(&primed, "Collection/SyncKey");
        mail(&mock, &user, 1).await;
        let items = phone.request("Sync", &sync(&key, options)).await.xml();
        assert_eq!(
            texts_of(&items, "Add/ServerId").len(),
            1,
            "{version}: {items}"
        );
        assert_eq!(phone.ping(1).await.statuses(), ["1"], "{version}");
        // SendMail: bare MIME before 14.0, WBXML from then on; success is silent.
        let sent = match is_old {
            true => {
                let query = phone.query("SendMail");
                let mime = format!("To: {user}@lab.example\r\nSubject: s\r\n\r\ntext\r\n");
                phone
                    .send_to(&query, "message/rfc822", mime.as_bytes())
                    .await;
                phone.raw.answer().await
            }
            false => phone.send_mail("id1", &user).await,
        };
        sent.assert_empty();
        assert_eq!(phone.ping(600).await.statuses(), ["2"], "{version}");
    }
    mock.shutdown().await;
}

/// From 14.1 on DeviceInformation is part of Provision; before, Settings brings it.
#[tokio::test]
async fn device_information_is_where_the_version_has_it() {
    let mock = mock(|_| {}).await;
    for version in VERSIONS {
        let user = format!("user{}", version.replace('.', ""));
        let mut phone = Phone::new(&mock, &user).await;
        phone.version = version;
        let needs = !matches!(version, "12.1" | "14.0");
        let without = phone.ask_policy("").await.xml();
        assert_eq!(
            text_of(&without, "/Provision/Status"),
            if needs { "165" } else { "1" },
            "{version}"
        );
        if needs {
            let with = phone.ask_policy(DEVICE_INFORMATION).await.xml();
            assert_eq!(text_of(&with, "/Provision/Status"), "1", "{version}");
        } else {
            phone.provision().await;
            let inner = DEVICE_INFORMATION.replace(r#" xmlns="Settings""#, "");
            let settings = format!(r#"<Settings xmlns="Settings">{inner}</Settings>"#);
            let xml = phone.request("Settings", &settings).await.xml();
            assert_eq!(text_of(&xml, "/Settings/DeviceInformation/Status"), "1");
        }
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_version_that_is_not_offered_is_refused() {
    let mock = mock(|config| config.versions = vec!["12.1".into(), "14.1".into()]).await;
    let mut phone = Phone::new(&mock, "load1").await;
    for (version, expected) in [("16.1", Some("138")), ("14.1", None)] {
        phone.version = version;
        let answer = phone.folder_sync("0").await;
        let told = answer.statuses();
        assert_eq!(told == ["138"], expected.is_some(), "{version}: {told:?}");
    }
    phone.version = "2.5";
    assert_eq!(phone.folder_sync("0").await.status, 400);
    mock.shutdown().await;
}
