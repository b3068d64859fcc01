//! Names that EAS gives to things in HTTP (ASHTTP 2.2.1.1 and 2.2.2.1).

/// The path of the EAS virtual directory.
pub const PATH: &str = "/Microsoft-Server-ActiveSync";

/// Request header: the protocol version, with a plain query only.
pub const PROTOCOL_VERSION: &str = "MS-ASProtocolVersion";
/// Request header: the current policy key. Not sent on Ping, Autodiscover and OPTIONS (ASPROV
/// 3.1.5.1).
pub const POLICY_KEY: &str = "X-MS-PolicyKey";
/// Answer header: the versions a server speaks.
pub const PROTOCOL_VERSIONS: &str = "MS-ASProtocolVersions";
/// Answer header: the commands a server speaks.
pub const PROTOCOL_COMMANDS: &str = "MS-ASProtocolCommands";
/// Answer header: the server's own version.
pub const SERVER_VERSION: &str = "MS-Server-ActiveSync";
/// Answer header with HTTP 451: the URL to use from now on.
pub const LOCATION: &str = "X-MS-Location";
/// Answer header: the server's protocol versions changed; resynchronise unless this answers a
/// FolderSync with key 0 (ASHTTP 3.1.5.1).
pub const RESYNC_VERSIONS: &str = "X-MS-RP";

/// Media type of every WBXML body.
pub const WBXML: &str = "application/vnd.ms-sync.wbxml";
/// Media type of SendMail up to 12.1.
pub const MIME: &str = "message/rfc822";
