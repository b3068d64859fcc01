//! The whole path with software of others: curl for HTTP, libwbxml's tools for the bodies.

use std::path::PathBuf;

use tokio::process::Command;

use super::raw::{text_of, texts_of};
use crate::fixtures::mock;

/// Set where the tools must be there, as in continuous integration: their absence then fails.
const REQUIRE: &str = "EASLOAD_REQUIRE_ORACLES";
const DOCTYPE: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE ActiveSync PUBLIC \
    \"-//MICROSOFT//DTD ActiveSync//EN\" \"http://www.microsoft.com/\">\n";

async fn have(tool: &str) -> bool {
    let found = Command::new(tool).arg("--help").output().await.is_ok();
    assert!(
        found || std::env::var_os(REQUIRE).is_none(),
        "{REQUIRE} is set, but {tool} is not installed"
    );
    if !found {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

/// One temporary folder, and one server.
struct Curl {
    folder: tempfile::TempDir,
    url: String,
    policy_key: String,
}

impl Curl {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(command: &mut Command) -> String {
        let output = command.kill_on_drop(true).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn curl() -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*"]);
        curl.args(["--max-time", "60", "--user", "LAB\\load1:secret"]);
        curl
    }

    /// The head of the answer.
    async fn options(&self) -> String {
        let mut curl = Self::curl();
        curl.args(["--request", "OPTIONS", "--head", &self.url]);
        Self::run(&mut curl).await
    }

    /// Sends a command of 14.1; the answer as libwbxml reads it.
    async fn command(&self, name: &str, xml: &str) -> String {
        let [input, sent, got, output] =
            ["in.xml", "in.wbxml", "out.wbxml", "out.xml"].map(|name| self.path(name));
        std::fs::write(&input, format!("{DOCTYPE}{xml}")).unwrap();
        let mut encode = Command::new("xml2wbxml");
        encode.args(["-n", "-v", "1.3", "-o"]);
        Self::run(encode.arg(&sent).arg(&input)).await;

        let query = format!("Cmd={name}&User=load1&DeviceId=CURL1&DeviceType=curl");
        let mut curl = Self::curl();
        curl.args(["--header", "MS-ASProtocolVersion: 14.1"])
            .args(["--header", "Content-Type: application/vnd.ms-sync.wbxml"])
            .args(["--header", &format!("X-MS-PolicyKey: {}", self.policy_key)])
            .args(["--write-out", "%{http_code} %{content_type}"])
            .args(["--data-binary", &format!("@{}", sent.display())])
            .arg("--output")
            .arg(&got)
            .arg(format!("{}?{query}", self.url));
        let told = Self::run(&mut curl).await;
        assert_eq!(told, "200 application/vnd.ms-sync.wbxml", "{name}");

        let mut decode = Command::new("wbxml2xml");
        decode.args(["-l", "ACTIVESYNC", "-m", "0", "-o"]);
        Self::run(decode.arg(&output).arg(&got)).await;
        std::fs::read_to_string(&output).unwrap()
    }
}

#[tokio::test]
async fn the_whole_path_with_curl_and_libwbxml() {
    for tool in ["curl", "wbxml2xml", "xml2wbxml"] {
        if !have(tool).await {
            return;
        }
    }
    let mock = mock(|_| {}).await;
    let mut curl = Curl {
        folder: tempfile::tempdir().unwrap(),
        url: mock.addresses().url.clone(),
        policy_key: "0".to_owned(),
    };
    let head = curl.options().await.to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let versions = head
        .lines()
        .find_map(|line| line.strip_prefix("ms-asprotocolversions: "))
        .unwrap_or_else(|| panic!("{head}"));
    assert!(versions.split(',').any(|version| version == "14.1"));

    let policy = "<PolicyType>MS-EAS-Provisioning-WBXML</PolicyType>";
    let device = "<DeviceInformation xmlns=\"Settings:\"><Set><Model>curl</Model></Set>\
        </DeviceInformation>";
    let provision = |device: &str, policy: &str| {
        format!(
            "<Provision xmlns=\"Provision:\">{device}<Policies><Policy>{policy}</Policy>\
             </Policies></Provision>"
        )
    };
    let asked = curl.command("Provision", &provision(device, policy)).await;
    assert_eq!(text_of(&asked, "Policy/Status"), "1");
    let temporary = text_of(&asked, "Policy/PolicyKey");
    let acknowledged = format!("{policy}<PolicyKey>{temporary}</PolicyKey><Status>1</Status>");
    curl.policy_key = temporary;
    let done = curl
        .command("Provision", &provision("", &acknowledged))
        .await;
    assert_eq!(text_of(&done, "Policy/Status"), "1");
    curl.policy_key = text_of(&done, "Policy/PolicyKey");

    let folder_sync = "<FolderSync xmlns=\"FolderHierarchy:\"><SyncKey>0</SyncKey></FolderSync>";
    let folders = curl.command("FolderSync", folder_sync).await;
    assert_eq!(text_of(&folders, "/FolderSync/Status"), "1");
    let types = texts_of(&folders, "Add/Type");
    let inbox = types.iter().position(|kind| kind == "2").unwrap();
    let inbox = &texts_of(&folders, "Add/ServerId")[inbox];

    let sync = format!(
        "<Sync xmlns=\"AirSync:\"><Collections><Collection><SyncKey>0</SyncKey>\
         <CollectionId>{inbox}</CollectionId></Collection></Collections></Sync>"
    );
    let primed = curl.command("Sync", &sync).await;
    assert_eq!(text_of(&primed, "Collection/Status"), "1");
    assert_ne!(text_of(&primed, "Collection/SyncKey"), "0");
    mock.shutdown().await;
}
