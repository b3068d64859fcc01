//! What is measured, by name. One table for code, files and terminal.

use crate::Action;

macro_rules! names {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $enum { $($(#[$doc])* $variant,)+ }

        impl $enum {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The one of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    };
}

names! {
    /// A latency, recorded in microseconds.
    Metric {
        /// Sync sent → answered.
        Sync = "sync",
        /// Mail accepted by the server → the Ping that reports it is answered.
        Notification = "notification",
        /// Mail meant to be sent → the item is in the device's Sync answer.
        Delivery = "delivery",
        /// How late a Ping that found nothing was answered, past its heartbeat.
        Overshoot = "overshoot",
        /// TCP handshake of a new connection.
        Connect = "connect",
        /// Full TLS handshake of a new connection.
        Tls = "tls",
        /// TLS handshake of a new connection in which the device's last session was resumed.
        TlsResumed = "tls_resumed",
        /// Commands other than Ping, Sync and SendMail: sent → answered.
        Command = "command",
        /// Mail meant to be sent → accepted by the server.
        Accept = "accept",
        /// How long a device with a network had no Ping held: from the end of one (when the next
        /// was due) to the next being sent. A server that cannot be reached shows here, and not in
        /// the latency of requests that nobody could send.
        Gap = "gap",
        /// Age of Pings whose connection ended without an answer.
        CutAge = "cut_age",
        /// Age of Pings that were answered too early: before their heartbeat though nothing had changed, or
        /// by a gateway (HTTP 408, 502, 504).
        EarlyAge = "early_age",
    }
}

names! {
    /// A count of events.
    Counter {
        /// Commands answered.
        Answers = "answers",
        /// Answers with an HTTP status other than 200.
        HttpErrors = "http_errors",
        /// Answers with HTTP 503.
        Unavailable = "http_503",
        /// Answers with HTTP 502: a gateway has lost its server.
        BadGateway = "http_502",
        /// Answers with HTTP 429.
        TooManyRequests = "http_429",
        /// Answers with HTTP 429 or 503 that name a Retry-After.
        RetryAfter = "retry_after",
        /// Answers with HTTP 429 or 503 that name an X-MS-ASThrottle.
        AsThrottle = "as_throttle",
        /// Answers with HTTP 200 that are a web page.
        WebPages = "web_pages",
        /// Refused credentials.
        Refused = "refused",
        /// Users whose credentials were refused, and had been accepted before.
        RefusedAgain = "refused_again",
        /// Bearer tokens fetched.
        TokensRenewed = "tokens_renewed",
        /// Bearer tokens that the server refused and that were renewed.
        TokensRefused = "tokens_refused",
        /// Requests for which no Bearer token could be fetched.
        TokenFailures = "token_failures",
        /// Devices that went where HTTP 451 sent them.
        Redirected = "redirected",
        /// Devices that did not go where HTTP 451 sent them.
        NotRedirected = "not_redirected",
        /// New connections.
        Connects = "connects",
        /// Full TLS handshakes.
        TlsFull = "tls_full",
        /// TLS handshakes in which a session was resumed.
        TlsResumptions = "tls_resumptions",
        /// TLS handshakes that agreed on TLS 1.2.
        Tls12 = "tls_1_2",
        /// TLS handshakes that agreed on TLS 1.3.
        Tls13 = "tls_1_3",
        /// Requests over a kept connection.
        Reuses = "reuses",
        /// Connections that could not be made.
        ConnectFailures = "connect_failures",
        /// Connections that this machine could not make for want of ports or descriptors.
        OwnLimits = "own_limits",
        /// Connections that the server closed without or inside an answer.
        Closed = "closed",
        /// Connections that were reset.
        Resets = "resets",
        /// Commands without an answer in time.
        TimedOut = "timed_out",
        /// Answers against the rules of HTTP or WBXML.
        Malformed = "malformed",
        /// Statuses other than success.
        Statuses = "statuses",
        /// Statuses that say that the server does not know a key that it gave.
        KeysUnknown = "keys_unknown",
        /// Those of them that came less than five seconds after the key.
        KeysForgotten = "keys_forgotten",
        /// Pings sent, and Syncs that hang as Pings do.
        PingsSent = "pings_sent",
        /// Those of them that are Syncs.
        HangingSyncs = "hanging_syncs",
        /// Pings that ended with their heartbeat.
        PingsExpired = "pings_expired",
        /// Pings that reported changes.
        PingsChanged = "pings_changed",
        /// Pings that reported changes of which the Sync after it brought none.
        PingsWithoutNews = "pings_without_news",
        /// Pings that ended with another status, or for the next request of their device.
        PingsOther = "pings_other",
        /// Pings given up by their device.
        PingsAbandoned = "pings_abandoned",
        /// Pings without an answer by heartbeat and grace.
        PingsOverdue = "pings_overdue",
        /// Pings whose connection ended without an answer.
        PingsCut = "pings_cut",
        /// Pings that a gateway answered with 502: its server went away.
        PingsLost = "pings_lost",
        /// Pings that a gateway answered with 408 or 504: a timeout of its own was over.
        PingsTimedOut = "pings_timed_out",
        /// Pings that ended because their device sent another.
        PingsSuperseded = "pings_superseded",
        /// Pings answered before their heartbeat though nothing had changed.
        PingsEarly = "pings_early",
        /// Syncs answered.
        Syncs = "syncs",
        /// Syncs that took five times as long as is usual in the run, and 200 ms.
        SlowSyncs = "slow_syncs",
        /// Those of them of users whose Sync before it was slow as well.
        SlowAgain = "slow_again",
        /// Provisionings begun.
        Provisionings = "provisionings",
        /// Collections started again with Sync key 0.
        SyncKeyResets = "sync_key_resets",
        /// FolderSyncs.
        HierarchyFetches = "hierarchy_fetches",
        /// Items received.
        Items = "items",
        /// Mails that could not be sent.
        MailFailures = "mail_failures",
        /// Mails written by users' activity.
        ActSend = "act_send",
        /// Mails answered by users' activity.
        ActReply = "act_reply",
        /// Mails passed on by users' activity.
        ActForward = "act_forward",
        /// Mails marked as read or unread by users' activity.
        ActRead = "act_read",
        /// Mails flagged or not any more by users' activity.
        ActFlag = "act_flag",
        /// Mails deleted by users' activity.
        ActDelete = "act_delete",
        /// Mails filed in another folder by users' activity.
        ActMove = "act_move",
        /// Appointments entered, changed, deleted by users' activity.
        ActCalendar = "act_calendar",
        /// Contacts entered, changed, deleted by users' activity.
        ActContact = "act_contact",
        /// Folders made, renamed, deleted by users' activity.
        ActFolder = "act_folder",
        /// Attachments opened and sent by users' activity.
        ActAttachment = "act_attachment",
        /// Searches by users' activity.
        ActSearch = "act_search",
        /// Automatic replies set and looked at by users' activity.
        ActOof = "act_oof",
        /// Meetings called by users' activity.
        ActMeeting = "act_meeting",
        /// Meeting requests answered by users' activity.
        ActRespond = "act_respond",
        /// What users tried in vain.
        ActFailures = "act_failures",
    }
}

impl Counter {
    /// The count of what a user does.
    #[must_use]
    pub const fn of_action(action: Action) -> Self {
        match action {
            Action::Send => Self::ActSend,
            Action::Reply => Self::ActReply,
            Action::Forward => Self::ActForward,
            Action::Read => Self::ActRead,
            Action::Flag => Self::ActFlag,
            Action::Delete => Self::ActDelete,
            Action::Move => Self::ActMove,
            Action::Calendar => Self::ActCalendar,
            Action::Contact => Self::ActContact,
            Action::Folder => Self::ActFolder,
            Action::Attachment => Self::ActAttachment,
            Action::Search => Self::ActSearch,
            Action::Oof => Self::ActOof,
            Action::Meeting => Self::ActMeeting,
            Action::Respond => Self::ActRespond,
        }
    }
}
