//! What a device sees of the mock, beside what is known of Exchange 2016. A test bears the id of
//! the behaviour it checks: `docs/mock-server.md` lists them.

mod activity;
mod bodies;
mod changes;
mod checklist;
mod conflicts;
mod draft_attachments;
mod drafts;
mod faults;
mod filters;
mod folder_sync;
mod folders;
mod headers;
mod hostile;
mod http_sys;
mod item_bodies;
mod limits;
mod logins;
mod options;
mod oracles;
mod others;
mod parts;
mod phone;
mod ping;
mod provision;
mod raw;
mod recycling;
mod schema;
mod search;
mod statuses;
mod store;
mod stranding;
mod surfaces;
mod sync;
mod versions;
