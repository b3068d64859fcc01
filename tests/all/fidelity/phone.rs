//! A device: one user, one connection, what the server told it to remember.

use mock_server::FrontDoor;

use super::raw::{Answer, HOST, PATH, Raw, WBXML, basic, text_of, texts_of};

pub(super) const FOLDER_SYNC_0: &str =
    r#"<FolderSync xmlns="FolderHierarchy"><SyncKey>0</SyncKey></FolderSync>"#;
pub(super) const DEVICE_INFORMATION: &str =
    r#"<DeviceInformation xmlns="Settings"><Set><Model>phone</Model></Set></DeviceInformation>"#;

/// A small device. It sends the policy key where ASPROV 3.1.5.1 says so: not on Ping and OPTIONS.
pub(super) struct Phone {
    pub(super) raw: Raw,
    pub(super) user: String,
    pub(super) device: String,
    pub(super) version: &'static str,
    pub(super) policy_key: Option<String>,
    /// Header lines of every request, each with its end.
    pub(super) extra: &'static str,
    /// The id of the Inbox.
    pub(super) inbox: String,
}

impl Phone {
    pub(super) async fn new(mock: &FrontDoor, user: &str) -> Self {
        Self::with_device(mock, user, &format!("PHONE{user}")).await
    }

    pub(super) async fn with_device(mock: &FrontDoor, user: &str, device: &str) -> Self {
        Self {
            raw: Raw::connect(mock.addresses().listen).await,
            user: user.to_owned(),
            device: device.to_owned(),
            version: "14.1",
            policy_key: None,
            extra: "",
            inbox: String::new(),
        }
    }

    /// A device that may sync its Inbox, and the Sync key for it.
    pub(super) async fn ready(mock: &FrontDoor, user: &str) -> (Self, String) {
        Self::ready_device(mock, user, &format!("PHONE{user}")).await
    }

    pub(super) async fn ready_device(mock: &FrontDoor, user: &str, device: &str) -> (Self, String) {
        let mut phone = Self::with_device(mock, user, device).await;
        phone.provision().await;
        phone.learn_folders().await;
        let key = phone.prime().await;
        (phone, key)
    }

    pub(super) async fn send_to(&mut self, query: &str, content_type: &str, body: &[u8]) {
        let (version, extra) = (self.version, self.extra);
        let authorization = basic(&self.user, "secret");
        let mut head = format!(
            "POST {PATH}?{query} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\
             MS-ASProtocolVersion: {version}\r\nUser-Agent: phone/1\r\n{extra}"
        );
        let with_key = !query.starts_with("Cmd=Ping&");
        if let Some(key) = self.policy_key.as_deref().filter(|_| with_key) {
            head.push_str(&format!("X-MS-PolicyKey: {key}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.raw.send(&[head.as_bytes(), body].concat()).await;
    }

    pub(super) fn query(&self, command: &str) -> String {
        let (user, device) = (&self.user, &self.device);
        format!("Cmd={command}&User={user}&DeviceId={device}&DeviceType=test")
    }

    /// Sends a command and leaves its answer to be read; no XML is no body.
    pub(super) async fn send(&mut self, command: &str, xml: &str) {
        let body = match xml {
            "" => Vec::new(),
            _ => eas::wbxml::from_xml(xml).unwrap_or_else(|error| panic!("{error}: {xml}")),
        };
        self.send_to(&self.query(command), WBXML, &body).await;
    }

    pub(super) async fn request(&mut self, command: &str, xml: &str) -> Answer {
        self.send(command, xml).await;
        self.raw.answer().await
    }

    pub(super) async fn request_bytes(&mut self, command: &str, body: &[u8]) -> Answer {
        self.send_to(&self.query(command), WBXML, body).await;
        self.raw.answer().await
    }

    pub(super) async fn options(&mut self) -> Answer {
        let authorization = basic(&self.user, "secret");
        let head = format!("OPTIONS {PATH} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\r\n");
        self.raw.send(head.as_bytes()).await;
        self.raw.answer().await
    }

    /// Provision phase 1.
    pub(super) async fn ask_policy(&mut self, device_information: &str) -> Answer {
        let policy = "<PolicyType>MS-EAS-Provisioning-WBXML</PolicyType>";
        let xml = provision_xml(device_information, policy);
        self.policy_key = None;
        self.request("Provision", &xml).await
    }

    /// Provision phase 2.
    pub(super) async fn acknowledge_policy(&mut self, key: &str) -> Answer {
        let policy = "<PolicyType>MS-EAS-Provisioning-WBXML</PolicyType>";
        let policy = format!("{policy}<PolicyKey>{key}</PolicyKey><Status>1</Status>");
        self.policy_key = Some(key.to_owned());
        self.request("Provision", &provision_xml("", &policy)).await
    }

    pub(super) async fn provision(&mut self) {
        // Only 14.1 and later may and must tell of the device.
        let device = match self.version {
            "12.1" | "14.0" => "",
            _ => DEVICE_INFORMATION,
        };
        let asked = self.ask_policy(device).await.xml();
        let temporary = text_of(&asked, "Policy/PolicyKey");
        let done = self.acknowledge_policy(&temporary).await.xml();
        self.policy_key = Some(text_of(&done, "Policy/PolicyKey"));
    }

    pub(super) async fn folder_sync(&mut self, key: &str) -> Answer {
        let xml = FOLDER_SYNC_0.replace(">0<", &format!(">{key}<"));
        self.request("FolderSync", &xml).await
    }

    pub(super) async fn learn_folders(&mut self) {
        let xml = self.folder_sync("0").await.xml();
        let types = texts_of(&xml, "Add/Type");
        let place = types.iter().position(|kind| kind == "2").unwrap();
        self.inbox = texts_of(&xml, "Add/ServerId")[place].clone();
    }

    /// A Sync of the Inbox: `inner` stands in its Collection, `outer` after the Collections.
    pub(super) fn sync_xml(&self, key: &str, inner: &str, outer: &str) -> String {
        let inbox = &self.inbox;
        format!(
            r#"<Sync xmlns="AirSync"><Collections><Collection><SyncKey>{key}</SyncKey>
               <CollectionId>{inbox}</CollectionId>{inner}</Collection></Collections>{outer}</Sync>"#
        )
    }

    pub(super) async fn sync(&mut self, key: &str, inner: &str) -> Answer {
        let xml = self.sync_xml(key, inner, "");
        self.request("Sync", &xml).await
    }

    /// The first Sync; returns the key for the next.
    pub(super) async fn prime(&mut self) -> String {
        text_of(&self.sync("0", "").await.xml(), "Collection/SyncKey")
    }

    /// Takes everything new; returns the next key and the ids of the items.
    pub(super) async fn take_new(&mut self, key: &str) -> (String, Vec<String>) {
        let xml = self.sync(key, "").await.xml();
        let ids = texts_of(&xml, "Add/ServerId");
        (text_of(&xml, "Collection/SyncKey"), ids)
    }

    /// A Change that marks an item as read.
    pub(super) fn read_flag(id: &str) -> String {
        format!(
            r#"<Change><ServerId>{id}</ServerId>
               <ApplicationData><Read xmlns="Email">1</Read></ApplicationData></Change>"#
        )
    }

    /// A Ping on the Inbox.
    pub(super) fn ping_xml(&self, heartbeat: i64) -> String {
        ping_xml(&heartbeat.to_string(), &[&self.inbox])
    }

    pub(super) async fn send_ping(&mut self, heartbeat: i64) {
        let xml = self.ping_xml(heartbeat);
        self.send("Ping", &xml).await;
    }

    pub(super) async fn ping(&mut self, heartbeat: i64) -> Answer {
        self.send_ping(heartbeat).await;
        self.raw.answer().await
    }

    /// SendMail of 14.0 and later.
    pub(super) async fn send_mail(&mut self, client_id: &str, to: &str) -> Answer {
        let mime = format!("To: <{to}@lab.example>\r\nSubject: {client_id}\r\n\r\ntext\r\n");
        let xml = format!(
            r#"<SendMail xmlns="ComposeMail"><ClientId>{client_id}</ClientId><SaveInSentItems/>
               <Mime><![CDATA[{mime}]]></Mime></SendMail>"#
        );
        self.request("SendMail", &xml).await
    }
}

fn provision_xml(device: &str, policy: &str) -> String {
    format!(
        r#"<Provision xmlns="Provision">{device}
           <Policies><Policy>{policy}</Policy></Policies></Provision>"#
    )
}

/// A Ping; no heartbeat or no folders leave that part out.
pub(super) fn ping_xml(heartbeat: &str, folders: &[&str]) -> String {
    let mut xml = r#"<Ping xmlns="Ping">"#.to_owned();
    if !heartbeat.is_empty() {
        xml.push_str(&format!(
            "<HeartbeatInterval>{heartbeat}</HeartbeatInterval>"
        ));
    }
    if !folders.is_empty() {
        let folder = |id: &&str| format!("<Folder><Id>{id}</Id><Class>Email</Class></Folder>");
        let list: String = folders.iter().map(folder).collect();
        xml.push_str(&format!("<Folders>{list}</Folders>"));
    }
    xml + "</Ping>"
}
