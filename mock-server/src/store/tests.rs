//! Bounds of the store, and what is shared.

use std::sync::Arc;

use eas::commands::{Email, ItemChange};

use super::limits::MAX_ANSWER;
use super::*;

fn store(change: impl FnOnce(&mut MockConfig)) -> Store {
    let mut config = MockConfig {
        require_provisioning: false,
        ..MockConfig::default()
    };
    change(&mut config);
    Store::new(&config)
}

fn message(subject: &str) -> Message {
    Message {
        email: Email {
            subject: subject.to_owned().into(),
            body: "text".into(),
            ..Email::default()
        },
        ..Message::default()
    }
}

fn names(users: &[&str]) -> Vec<String> {
    users.iter().map(|user| (*user).to_owned()).collect()
}

/// A device that keeps what it is told of the Inbox.
struct Phone {
    user: &'static str,
    id: &'static str,
    key: String,
    items: Vec<String>,
    /// Every item that it was ever told of.
    seen: Vec<String>,
}

impl Phone {
    fn new(user: &'static str, id: &'static str) -> Self {
        Self {
            user,
            id,
            key: "0".to_owned(),
            items: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn call(&self, store: &mut Store, operation: Operation) -> Result<StoreReply, u16> {
        let call = StoreCall {
            user: self.user.to_owned(),
            device: self.id.to_owned(),
            policy_key: Some(None),
            operation,
        };
        store.call(call).0
    }

    fn request(&self, folder: u32, key: &str, commands: Vec<ItemCommand>) -> Operation {
        Operation::Sync {
            parts: vec![SyncPart {
                id: folder.to_string(),
                key: key.to_owned(),
                window: 100,
                get_changes: true,
                deletes_as_moves: false,
                options: None,
                has_conversation_mode: false,
                supported: None,
                commands,
            }],
            window: 100,
            hang: None,
            partial: false,
        }
    }

    fn sync_once(&mut self, store: &mut Store, commands: Vec<ItemCommand>) -> Vec<ItemResponse> {
        let operation = self.request(INBOX, &self.key, commands);
        let Ok(StoreReply::Sync { mut outcomes, .. }) = self.call(store, operation) else {
            panic!("no Sync answer");
        };
        match outcomes.remove(0) {
            SyncOutcome::Changes {
                key,
                changes,
                responses,
                ..
            } => {
                self.key = key;
                for change in changes {
                    match change {
                        Told::Add(id, _) => {
                            self.seen.push(id.clone());
                            self.items.push(id);
                        }
                        Told::Delete(id) | Told::SoftDelete(id) => {
                            self.items.retain(|item| *item != id)
                        }
                        Told::Update(..) => {}
                    }
                }
                responses
            }
            SyncOutcome::Unchanged(_) => Vec::new(),
            SyncOutcome::BadKey(_) => {
                (self.key, self.items) = ("0".to_owned(), Vec::new());
                Vec::new()
            }
            SyncOutcome::NoFolder(id) => panic!("no folder {id}"),
        }
    }

    /// Until nothing is new.
    fn sync(&mut self, store: &mut Store) {
        loop {
            let before = self.key.clone();
            self.sync_once(store, Vec::new());
            if self.key == before {
                return;
            }
        }
    }
}

fn inbox<'a>(store: &'a Store, user: &str) -> &'a Folder {
    let folders = &store.mailboxes[user].folders;
    mailbox::find_number(folders, INBOX).unwrap()
}

#[test]
fn all_recipients_of_a_message_share_it() {
    const RECIPIENTS: usize = 8000;
    let mut store = store(|_| ());
    let users: Vec<String> = (0..RECIPIENTS).map(|n| format!("user{n}")).collect();
    let content = Arc::new(Content::message(message("for all")));
    let announced = store.deliver_content(&users, &content);
    assert_eq!(announced.len(), RECIPIENTS);
    assert_eq!(Arc::strong_count(&content), RECIPIENTS + 1);
    // One of them reads it: the others share it further on, unread.
    let mut phone = Phone::new("user1", "one");
    phone.sync(&mut store);
    let read = ItemChange::Email {
        read: Some(true),
        flag: None,
    };
    let read = ItemCommand::Change("5:1".to_owned(), Box::new(read), Named::default());
    assert!(phone.sync_once(&mut store, vec![read]).is_empty());
    assert_eq!(Arc::strong_count(&content), RECIPIENTS + 1);
    let is_read = |user: &str| {
        let data = inbox(&store, user).data(1);
        data.unwrap().as_email().map(|email| email.read)
    };
    assert_eq!(is_read("user1"), Some(true));
    assert_eq!(is_read("user2"), Some(false));
}

#[test]
fn a_message_that_is_sent_is_shared_with_the_copy_in_sent_items() {
    let mut store = store(|_| ());
    let phone = Phone::new("a", "one");
    let mut long = message("long");
    long.attachments.push(Blob {
        name: "file".to_owned(),
        content_type: "text/plain".to_owned(),
        data: vec![0; 1 << 20],
    });
    let operation = Operation::Deliver {
        client_id: None,
        message: Box::new(long),
        to: names(&["a", "b", "a"]),
        save_in_sent: true,
        original: None,
    };
    assert!(matches!(
        phone.call(&mut store, operation),
        Ok(StoreReply::Delivered)
    ));
    let sent = mailbox::find_number(&store.mailboxes["a"].folders, SENT).unwrap();
    let address = |folder: &Folder| std::ptr::from_ref(folder.content(1).unwrap());
    assert_eq!(address(sent), address(inbox(&store, "a")));
    assert_eq!(address(sent), address(inbox(&store, "b")));
    assert_eq!(inbox(&store, "a").count_items(), 1, "each recipient once");
    // References to the attachment are those of each mailbox, and the copy is read.
    let copy = sent.data(1).unwrap();
    let copy = copy.as_email().unwrap();
    assert!(copy.read);
    assert_eq!(copy.attachments[0].file_reference, "4:1:0");
}

fn send(store: &mut Store, message: Message, to: &[&str], client_id: Option<&str>) -> Option<u16> {
    let operation = Operation::Deliver {
        client_id: client_id.map(str::to_owned),
        message: Box::new(message),
        to: names(to),
        save_in_sent: false,
        original: None,
    };
    Phone::new("a", "one").call(store, operation).err()
}

#[test]
fn messages_beyond_the_limits_are_refused_with_a_status() {
    let mut store = store(|config| {
        config.max_recipients = 2;
        config.max_message_size = 100;
    });
    let mut send = |message, to: &[&str], id: Option<&str>| send(&mut store, message, to, id);
    assert_eq!(send(message("x"), &["a", "b"], None), None);
    assert_eq!(send(message("x"), &["a", "b", "b"], None), None, "distinct");
    assert_eq!(send(message("x"), &["a", "b", "c"], None), Some(120));
    assert_eq!(send(message(&"x".repeat(100)), &["a"], None), Some(115));
    assert_eq!(send(message("x"), &["a"], Some(&"i".repeat(40))), None);
    assert_eq!(send(message("x"), &["a"], Some(&"i".repeat(41))), Some(103));
    assert_eq!(store.mails(), 5);
}

#[test]
fn a_mailbox_holds_no_more_than_its_quota_and_its_items() {
    let mut small = store(|config| config.mailbox_quota = 1000);
    let long = || message(&"x".repeat(400));
    let delivered = |store: &mut Store| store.deliver(&names(&["a", "b"]), long()).len();
    assert_eq!(delivered(&mut small), 2);
    assert_eq!(delivered(&mut small), 2);
    assert_eq!(delivered(&mut small), 0);
    // Room that was made is used again.
    let mut phone = Phone::new("a", "one");
    phone.sync(&mut small);
    phone.sync_once(&mut small, vec![ItemCommand::Delete("5:1".to_owned())]);
    assert_eq!(delivered(&mut small), 1);

    let mut few = store(|config| config.max_items = 3);
    for _ in 0..3 {
        assert_eq!(delivered(&mut few), 2);
    }
    assert_eq!(delivered(&mut few), 0);
}

#[test]
fn users_devices_folders_and_settings_are_bounded() {
    let mut store = store(|config| {
        config.max_mailboxes = 2;
        config.max_devices = 2;
        config.max_folders = 9;
    });
    assert_eq!(
        store.deliver(&names(&["a", "b", "c"]), message("x")).len(),
        2
    );
    let check = |store: &mut Store, user, id| {
        let phone = Phone::new(user, id);
        phone.call(store, Operation::CheckPolicy).err()
    };
    assert_eq!(check(&mut store, "c", "one"), Some(123));
    assert_eq!(check(&mut store, "a", "one"), None);
    assert_eq!(check(&mut store, "a", "two"), None);
    assert_eq!(check(&mut store, "a", "three"), Some(177));
    let (announcements, full) = store.change_hierarchy();
    assert_eq!((announcements.len(), full), (2, 0), "the ninth folder");
    let (announcements, full) = store.change_hierarchy();
    assert_eq!((announcements.len(), full), (0, 2));
    assert_eq!(store.mailboxes["a"].folders.len(), 9);

    let set = |store: &mut Store, user: &str| store.set_user(user, UserSettings::default());
    assert!(set(&mut store, "a") && set(&mut store, "b") && set(&mut store, "a"));
    assert!(!set(&mut store, "c"));
    for name in ["", "nul\0", &"x".repeat(65)] {
        assert!(!set(&mut store, name), "{name:?}");
        assert_eq!(store.deliver(&names(&[name]), message("x")).len(), 0);
    }
}

/// A whole name needs no search through all names.
#[test]
fn a_whole_name_is_resolved_to_its_user_and_a_part_to_all_that_hold_it() {
    let mut store = store(|_| {});
    store.deliver(&names(&["load1", "load10", "visitor"]), message("x"));
    let phone = Phone::new("load1", "one");
    for (name, expected) in [
        ("load1", &["load1"][..]),
        ("LOAD1", &["load1"]),
        ("load", &["load1", "load10"]),
        ("oad10", &["load10"]),
        ("nobody", &[]),
        ("", &["load1", "load10", "visitor"]),
    ] {
        let reply = phone.call(&mut store, Operation::ResolveName(name.to_owned()));
        let Ok(StoreReply::Addresses(users)) = reply else {
            panic!("{name}: {reply:?}");
        };
        assert_eq!(users, expected, "{name}");
    }
}

#[test]
fn ping_reports_a_folder_whose_keys_are_lost() {
    let mut store = store(|_| {});
    let mut phone = Phone::new("a", "one");
    let hierarchy = phone.call(&mut store, Operation::FolderSync("0".to_owned()));
    assert!(matches!(hierarchy, Ok(StoreReply::Folders { .. })));
    let ping = |phone: &Phone, store: &mut Store| {
        let operation = Operation::Ping {
            heartbeat: Some(60),
            folders: Some(vec![INBOX.to_string()]),
        };
        phone.call(store, operation)
    };
    let holds = |reply| matches!(reply, Ok(StoreReply::Hold { .. }));
    // There is nothing to lose yet.
    store.lose_sync_state();
    assert!(holds(ping(&phone, &mut store)));
    phone.sync(&mut store);
    assert!(holds(ping(&phone, &mut store)));
    store.lose_sync_state();
    let reply = ping(&phone, &mut store);
    assert!(
        matches!(&reply, Ok(StoreReply::Changed(folders)) if *folders == [INBOX]),
        "{reply:?}"
    );
    phone.key = "0".to_owned();
    phone.sync(&mut store);
    assert!(holds(ping(&phone, &mut store)));
}

#[test]
fn folder_names_have_1_to_256_letters_and_no_nul() {
    let mut store = store(|config| config.max_folders = 10);
    let phone = Phone::new("a", "one");
    let mut create = |name: &str| {
        let Ok(StoreReply::Folders { key, .. }) =
            phone.call(&mut store, Operation::FolderSync("0".to_owned()))
        else {
            panic!("no FolderSync answer");
        };
        let change = FolderChange::Create {
            parent: "0".to_owned(),
            name: name.to_owned(),
            folder_type: 12,
        };
        match phone.call(&mut store, Operation::ChangeFolder { key, change }) {
            Ok(StoreReply::FolderRefused(refusal)) => Some(refusal),
            Ok(StoreReply::FolderChanged { .. }) => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(create(&"é".repeat(256)), None);
    assert_eq!(create(&"é".repeat(257)), Some(FolderRefusal::BadName));
    assert_eq!(create("a\0b"), Some(FolderRefusal::BadName));
    assert_eq!(create("a"), None, "the tenth folder");
    assert_eq!(create("b"), Some(FolderRefusal::Full));
}

#[test]
fn a_long_flow_of_mail_that_is_fetched_leaves_a_bounded_mailbox() {
    const KEPT: usize = 20;
    let mut store = store(|config| config.kept_items = KEPT);
    let mut phones = [Phone::new("a", "one"), Phone::new("a", "two")];
    let mut most = (0, 0);
    for n in 0..5000 {
        store.deliver(&names(&["a"]), message(&n.to_string()));
        for phone in &mut phones {
            phone.sync(&mut store);
            let newest = format!("5:{}", n + 1);
            assert_eq!(phone.items.last(), Some(&newest), "told of at once");
        }
        let inbox = inbox(&store, "a");
        most.0 = most.0.max(inbox.count_items());
        most.1 = most.1.max(inbox.log_length());
    }
    assert!((KEPT..=KEPT + 1).contains(&most.0), "{most:?}");
    assert!(most.1 <= 4 * KEPT + 64, "{most:?}");
    // A device that comes now gets what is kept.
    let mut new = Phone::new("a", "three");
    new.sync(&mut store);
    assert!((KEPT..=KEPT + 1).contains(&new.items.len()));
    for phone in &mut phones {
        phone.sync(&mut store);
        assert_eq!(phone.items, new.items);
    }
}

#[test]
fn mail_waits_for_the_first_device_of_its_user() {
    const MESSAGES: usize = 1500;
    let mut store = store(|_| {});
    for n in 0..MESSAGES {
        store.deliver(&names(&["a"]), message(&n.to_string()));
    }
    let mut first = Phone::new("a", "first");
    first.sync(&mut store);
    assert_eq!(first.seen.len(), MESSAGES);
}

#[test]
fn a_change_beyond_the_quota_or_the_size_of_an_item_gets_status_113() {
    let contact = |letters: usize| {
        ItemData::Contact(Box::new(eas::commands::Contact {
            last_name: "x".repeat(letters).into(),
            ..Default::default()
        }))
    };
    for (quota, size) in [(1000, 10_000), (10_000, 1000)] {
        let mut store = store(|config| {
            config.mailbox_quota = quota;
            config.max_message_size = size;
        });
        let phone = Phone::new("a", "one");
        let sync = |store: &mut Store, key: &str, commands| {
            let operation = phone.request(CONTACTS, key, commands);
            let Ok(StoreReply::Sync { mut outcomes, .. }) = phone.call(store, operation) else {
                panic!("no Sync answer");
            };
            let SyncOutcome::Changes { key, responses, .. } = outcomes.remove(0) else {
                panic!("no changes");
            };
            (key, responses)
        };
        let (key, _) = sync(&mut store, "0", Vec::new());
        let add = ItemCommand::Add("c".to_owned(), Box::new(contact(100)));
        let (mut key, mut responses) = sync(&mut store, &key, vec![add]);
        let Some(ItemResponse::Added(_, id, _)) = responses.pop() else {
            panic!("{responses:?}");
        };
        for (letters, status) in [(500, None), (1001, Some(113)), (200, None)] {
            let change = Box::new(ItemChange::Data(contact(letters)));
            let mut named = Named::default();
            named.elements.add(eas::wbxml::contacts::LAST_NAME);
            let command = ItemCommand::Change(id.clone(), change, named);
            (key, responses) = sync(&mut store, &key, vec![command]);
            let refused = responses.first().map(|one| match one {
                ItemResponse::NotChanged(_, status) => *status,
                other => panic!("{other:?}"),
            });
            assert_eq!(refused, status, "{letters} letters, quota {quota}");
        }
    }
}

#[test]
fn what_a_device_has_not_fetched_is_kept() {
    let mut store = store(|config| config.kept_items = 1);
    let mut fast = Phone::new("a", "fast");
    let mut slow = Phone::new("a", "slow");
    slow.sync(&mut store);
    for n in 0..300 {
        store.deliver(&names(&["a"]), message(&n.to_string()));
        fast.sync(&mut store);
    }
    assert_eq!(inbox(&store, "a").count_items(), 300);
    // Also where the server has lost the keys.
    store.lose_sync_state();
    fast.sync(&mut store);
    store.deliver(&names(&["a"]), message("last"));
    assert_eq!(inbox(&store, "a").count_items(), 301);
    slow.sync(&mut store);
    let all: Vec<String> = (1..=301).map(|n| format!("5:{n}")).collect();
    assert_eq!(slow.seen, all);
    // Fetched by all, and acknowledged with the next key.
    fast.sync(&mut store);
    store.deliver(&names(&["a"]), message("one more"));
    for phone in [&mut fast, &mut slow] {
        phone.sync(&mut store);
        phone.sync_once(&mut store, vec![ItemCommand::Fetch("5:1".to_owned())]);
    }
    fast.sync(&mut store);
    assert!(inbox(&store, "a").count_items() <= 2);
}

#[test]
fn an_answer_that_was_lost_can_be_had_again_after_a_compaction() {
    let mut store = store(|config| config.kept_items = 1);
    let mut phone = Phone::new("a", "one");
    phone.sync(&mut store);
    let key = phone.key.clone();
    store.deliver(&names(&["a"]), message("lost on the way"));
    let operation = phone.request(INBOX, &key, Vec::new());
    phone.call(&mut store, operation).unwrap();
    // Enough that another device makes the log long and has it compacted.
    let mut other = Phone::new("a", "two");
    for n in 0..200 {
        store.deliver(&names(&["a"]), message(&n.to_string()));
        other.sync(&mut store);
    }
    phone.sync(&mut store);
    let all: Vec<String> = (1..=201).map(|n| format!("5:{n}")).collect();
    assert_eq!(phone.seen, all);
}

#[test]
fn a_device_that_is_too_far_behind_starts_again_with_key_0() {
    let mut store = store(|_| ());
    let mut away = Phone::new("a", "away");
    let mut busy = Phone::new("a", "busy");
    store.deliver(&names(&["a"]), message("x"));
    away.sync(&mut store);
    busy.sync(&mut store);
    let change = |read| {
        let change = ItemChange::Email {
            read: Some(read),
            flag: None,
        };
        ItemCommand::Change("5:1".to_owned(), Box::new(change), Named::default())
    };
    for n in 0..log::MAX_ENTRIES + 10 {
        busy.sync_once(&mut store, vec![change(n % 2 == 0)]);
    }
    assert!(inbox(&store, "a").log_length() <= 2 * log::MAX_ENTRIES);
    let key = away.key.clone();
    let operation = away.request(INBOX, &key, Vec::new());
    let reply = away.call(&mut store, operation).unwrap();
    let StoreReply::Sync { outcomes, .. } = reply else {
        panic!("{reply:?}");
    };
    assert!(matches!(&outcomes[0], SyncOutcome::BadKey(_)));
    let operation = Operation::Estimate(vec![(INBOX.to_string(), key, None)]);
    let reply = away.call(&mut store, operation).unwrap();
    assert!(matches!(&reply, StoreReply::Estimates(counts) if counts[..] == [Err(4)]));
    away.sync(&mut store);
    assert_eq!(away.items, ["5:1"]);
    // The other one goes on.
    store.deliver(&names(&["a"]), message("y"));
    busy.sync(&mut store);
    assert_eq!(busy.items, ["5:1", "5:2"]);
}

#[test]
fn the_log_of_the_hierarchy_is_bounded() {
    let mut store = store(|_| ());
    let phone = Phone::new("a", "one");
    let away = Phone::new("a", "away");
    let folder_sync = |store: &mut Store, phone: &Phone, key: &str| match phone
        .call(store, Operation::FolderSync(key.to_owned()))
    {
        Ok(StoreReply::Folders { key, .. }) => Some(key),
        Ok(StoreReply::BadFolderKey) => None,
        other => panic!("{other:?}"),
    };
    let change = |store: &mut Store, key: String, change| match phone
        .call(store, Operation::ChangeFolder { key, change })
    {
        Ok(StoreReply::FolderChanged { key, .. }) => key,
        other => panic!("{other:?}"),
    };
    let old = folder_sync(&mut store, &away, "0").unwrap();
    let key = folder_sync(&mut store, &phone, "0").unwrap();
    let create = FolderChange::Create {
        parent: "0".to_owned(),
        name: "x".to_owned(),
        folder_type: 12,
    };
    let mut key = change(&mut store, key, create);
    for n in 0..limits::MAX_HIERARCHY_LOG + 100 {
        let rename = FolderChange::Update {
            id: "100".to_owned(),
            parent: "0".to_owned(),
            name: format!("name {n}"),
        };
        key = change(&mut store, key, rename);
    }
    let length = store.mailboxes["a"].hierarchy.log_length();
    assert!(length <= limits::MAX_HIERARCHY_LOG, "{length}");
    assert_eq!(folder_sync(&mut store, &away, &old), None);
    assert!(folder_sync(&mut store, &away, "0").is_some());
    // Once nobody is behind, the log is short.
    folder_sync(&mut store, &phone, &key).unwrap();
    store.change_hierarchy();
    assert!(store.mailboxes["a"].hierarchy.log_length() < 100);
}

#[test]
fn keys_of_folders_that_are_gone_are_forgotten() {
    let mut store = store(|_| ());
    let maker = Phone::new("a", "maker");
    let other = Phone::new("a", "other");
    let Ok(StoreReply::Folders { mut key, .. }) =
        maker.call(&mut store, Operation::FolderSync("0".to_owned()))
    else {
        panic!("no FolderSync answer");
    };
    for _ in 0..50 {
        let create = FolderChange::Create {
            parent: "0".to_owned(),
            name: "x".to_owned(),
            folder_type: 12,
        };
        let mut id = String::new();
        for change in [Some(create), None] {
            let change = change.unwrap_or_else(|| FolderChange::Delete(id.clone()));
            let reply = maker.call(&mut store, Operation::ChangeFolder { key, change });
            let Ok(StoreReply::FolderChanged { key: next, id: of }) = reply else {
                panic!("{reply:?}");
            };
            (key, id) = (next, of.to_string());
            let operation = other.request(of, "0", Vec::new());
            other.call(&mut store, operation).unwrap();
        }
    }
    let device = &store.mailboxes["a"].devices["other"];
    assert!(device.collections.len() <= FOLDERS.len());
}

#[test]
fn an_answer_holds_a_bounded_number_of_bytes() {
    const SIZE: usize = 3 << 20;
    let mut store = store(|_| ());
    for _ in 0..10 {
        store.deliver(&names(&["a"]), message(&"x".repeat(SIZE)));
    }
    let mut phone = Phone::new("a", "one");
    phone.sync_once(&mut store, Vec::new());
    phone.sync_once(&mut store, Vec::new());
    // One item may go beyond the limit.
    assert_eq!(phone.items.len(), MAX_ANSWER / SIZE + 1);
    phone.sync(&mut store);
    assert_eq!(phone.items.len(), 10);
    let fetches = (1..=10).map(|n| ItemCommand::Fetch(format!("5:{n}")));
    let responses = phone.sync_once(&mut store, fetches.collect());
    let fetched = responses.iter();
    let fetched = fetched.filter(|one| matches!(one, ItemResponse::Fetched(..)));
    assert_eq!(fetched.count(), MAX_ANSWER / SIZE + 1);
    assert!(matches!(&responses[9], ItemResponse::NotFetched(_, 16)));
    for (preview, count) in [(None, MAX_ANSWER / SIZE + 1), (Some(255), 10)] {
        let search = MailboxSearch {
            query: SearchQuery::default(),
            rebuild: false,
            range: (0, 99),
            most: 100,
            preview,
        };
        let reply = phone.call(&mut store, Operation::Search(Box::new(search)));
        let Ok(StoreReply::Found { items, total }) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!((items.len(), total), (count, 10));
    }
}

#[test]
fn an_automatic_reply_is_bounded() {
    let mut store = store(|_| ());
    let phone = Phone::new("a", "one");
    let mut set = |letters: usize| {
        let oof = Oof {
            start: Some("x".repeat(letters).into()),
            ..Oof::default()
        };
        phone.call(&mut store, Operation::SetOof(Box::new(oof)))
    };
    assert!(matches!(set(100), Ok(StoreReply::Done)));
    assert!(matches!(set(limits::MAX_OOF), Ok(StoreReply::OofRefused)));
}

/// A device makes a folder while it does not know yet what another one has done; the other one deletes
/// that folder.
#[test]
fn a_device_is_told_that_a_folder_of_its_own_is_gone() {
    let mut store = store(|_| ());
    let (maker, other) = (Phone::new("a", "maker"), Phone::new("a", "other"));
    let folder_sync = |store: &mut Store, phone: &Phone, key: &str| match phone
        .call(store, Operation::FolderSync(key.to_owned()))
    {
        Ok(StoreReply::Folders { key, deleted, .. }) => (key, deleted),
        reply => panic!("{reply:?}"),
    };
    let change = |store: &mut Store, phone: &Phone, key: String, change| match phone
        .call(store, Operation::ChangeFolder { key, change })
    {
        Ok(StoreReply::FolderChanged { key, id }) => (key, id),
        reply => panic!("{reply:?}"),
    };
    let create = |name: &str| FolderChange::Create {
        parent: "0".to_owned(),
        name: name.to_owned(),
        folder_type: 12,
    };
    let (of_maker, _) = folder_sync(&mut store, &maker, "0");
    let (of_other, _) = folder_sync(&mut store, &other, "0");
    change(&mut store, &other, of_other, create("first"));
    let (of_maker, made) = change(&mut store, &maker, of_maker, create("second"));
    let (of_other, _) = folder_sync(&mut store, &other, "0");
    let delete = FolderChange::Delete(made.to_string());
    change(&mut store, &other, of_other, delete);
    let (_, deleted) = folder_sync(&mut store, &maker, &of_maker);
    assert_eq!(deleted, [made]);
}

/// Bytes of what is kept of a device's requests.
fn kept_of_requests(store: &Store, user: &str, device: &str) -> usize {
    let device = &store.mailboxes[user].devices[device];
    let executed = device.collections.values().map(Collection::executed_size);
    device.last_sync.size() + executed.sum::<usize>()
}

/// What a device sends and what it is answered is not kept: a repeated request is answered from the
/// mailbox.
#[test]
fn the_memory_of_a_request_is_bounded() {
    const LARGE: usize = 1 << 20;
    /// Some bytes for each of the 200 commands that a request may hold, and for its folders.
    const BOUND: usize = 8 << 10;
    let mut store = store(|_| ());
    for _ in 0..3 {
        store.deliver(&names(&["a"]), message(&"x".repeat(LARGE)));
    }
    let mut phone = Phone::new("a", "one");
    phone.sync(&mut store);
    let contact = |letters: usize| {
        ItemData::Contact(Box::new(eas::commands::Contact {
            last_name: "x".repeat(letters).into(),
            ..Default::default()
        }))
    };
    let mut commands: Vec<ItemCommand> = (0..100)
        .map(|n| {
            ItemCommand::Add(
                format!("{n}{}", "i".repeat(LARGE / 10)),
                Box::new(contact(10)),
            )
        })
        .collect();
    commands.push(ItemCommand::Add("c".to_owned(), Box::new(contact(LARGE))));
    commands.push(ItemCommand::Change(
        format!("5:{}", "9".repeat(LARGE)),
        Box::new(ItemChange::Data(contact(LARGE))),
        Named::default(),
    ));
    commands.extend((1..=3).map(|n| ItemCommand::Fetch(format!("5:{n}"))));
    let key = phone.key.clone();
    let responses = phone.sync_once(&mut store, commands.clone());
    assert_eq!(responses.len(), commands.len());
    let kept = kept_of_requests(&store, "a", "one");
    assert!(kept <= BOUND, "{kept} bytes");
    // It is enough to answer the request again.
    phone.key = key.clone();
    let again = phone.sync_once(&mut store, commands.clone());
    assert_eq!(format!("{again:?}"), format!("{responses:?}"));
    // Another request with the same key is another request.
    phone.key = key;
    commands.truncate(1);
    assert_eq!(phone.sync_once(&mut store, commands).len(), 1);

    // Folders that are not there, and keys that no server gives, are not kept either.
    for number in 0..50 {
        let part = |id: String| SyncPart {
            id,
            key: "k".repeat(LARGE / 10),
            window: 100,
            get_changes: true,
            deletes_as_moves: false,
            options: None,
            has_conversation_mode: false,
            supported: None,
            commands: Vec::new(),
        };
        let mut parts: Vec<SyncPart> = (0..20)
            .map(|n| part(format!("{number}-{n}-{}", "i".repeat(LARGE / 10))))
            .collect();
        parts.push(part(INBOX.to_string()));
        let operation = Operation::Sync {
            parts,
            window: 100,
            hang: None,
            partial: true,
        };
        phone.call(&mut store, operation).unwrap();
        let kept = kept_of_requests(&store, "a", "one");
        assert!(kept <= BOUND, "{kept} bytes");
    }
}
