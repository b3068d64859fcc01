use crate::{Command, ProtocolVersion, http};

/// What a server said to OPTIONS, in headers (ASHTTP 3.2.5.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionsAnswer {
    /// `MS-ASProtocolVersions`.
    pub versions: String,
    /// `MS-ASProtocolCommands`.
    pub commands: String,
}

impl OptionsAnswer {
    /// Reads the two lists through a look-up by header name; `None` if there is no version list,
    /// which means that no EAS server answered.
    #[must_use]
    pub fn from_headers<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        Some(Self {
            versions: header(http::PROTOCOL_VERSIONS)?.to_owned(),
            commands: header(http::PROTOCOL_COMMANDS)
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// The version to speak: the highest that is also in `known`.
    #[must_use]
    pub fn negotiate(&self, known: &[ProtocolVersion]) -> Option<ProtocolVersion> {
        ProtocolVersion::negotiate(&self.versions, known)
    }

    /// Whether the server lists a command. Servers answer some that they do not list.
    #[must_use]
    pub fn lists(&self, command: Command) -> bool {
        self.commands
            .split(',')
            .any(|name| name.trim() == command.as_str())
    }
}
