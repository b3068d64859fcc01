//! FolderCreate, FolderUpdate and FolderDelete (MS-ASCMD 2.2.3.177.3, .4 and .6).

use super::phone::{Phone, ping_xml};
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::{eventually, mock};

fn create(key: &str, parent: &str, name: &str) -> String {
    format!(
        r#"<FolderCreate xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey><ParentId>{parent}</ParentId>
           <DisplayName>{name}</DisplayName><Type>12</Type></FolderCreate>"#
    )
}

fn update(key: &str, id: &str, parent: &str, name: &str) -> String {
    format!(
        r#"<FolderUpdate xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey><ServerId>{id}</ServerId>
           <ParentId>{parent}</ParentId><DisplayName>{name}</DisplayName></FolderUpdate>"#
    )
}

fn delete(key: &str, id: &str) -> String {
    format!(
        r#"<FolderDelete xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey><ServerId>{id}</ServerId>
           </FolderDelete>"#
    )
}

/// Makes a folder; returns its id, and replaces the key.
async fn made(phone: &mut Phone, key: &mut String, parent: &str, name: &str) -> String {
    let answer = phone
        .request("FolderCreate", &create(key, parent, name))
        .await;
    let xml = answer.xml();
    assert_eq!(text_of(&xml, "Status"), "1", "{name}");
    *key = text_of(&xml, "SyncKey");
    text_of(&xml, "ServerId")
}

#[tokio::test]
async fn a_deleted_folder_takes_its_subfolders_and_their_items() {
    let mock = mock(|_| {}).await;
    let (mut one, inbox_key) = Phone::ready_device(&mock, "load1", "ONE").await;
    let mut key = "1".to_owned();
    let parent = made(&mut one, &mut key, "0", "parent").await;
    let child = made(&mut one, &mut key, &parent, "child").await;
    let grandchild = made(&mut one, &mut key, &child, "grandchild").await;
    let beside = made(&mut one, &mut key, "0", "beside").await;
    mail(&mock, "load1", 1).await;
    let (_, ids) = one.take_new(&inbox_key).await;
    let moves = format!(
        r#"<MoveItems xmlns="Move"><Move><SrcMsgId>{}</SrcMsgId><SrcFldId>5</SrcFldId>
           <DstFldId>{grandchild}</DstFldId></Move></MoveItems>"#,
        ids[0]
    );
    let item = text_of(&one.request("MoveItems", &moves).await.xml(), "DstMsgId");

    // The other device has them all, and waits on the lowest.
    let (mut other, _) = Phone::ready_device(&mock, "load1", "OTHER").await;
    other.inbox.clone_from(&grandchild);
    let other_key = other.prime().await;
    let (other_key, got) = other.take_new(&other_key).await;
    assert_eq!(got, [item.as_str()]);
    other.send("Ping", &ping_xml("600", &[&grandchild])).await;
    eventually("the Ping is held", || async {
        super::raw::held(&mock) == 1
    })
    .await;

    let gone = one.request("FolderDelete", &delete(&key, &parent)).await;
    assert_eq!(gone.statuses(), ["1"]);
    assert_eq!(other.raw.answer().await.statuses(), ["7"]);
    let told = other.folder_sync("1").await.xml();
    let mut deleted = texts_of(&told, "Delete/ServerId");
    assert_eq!(
        deleted.last(),
        Some(&parent),
        "a parent goes after its children"
    );
    deleted.sort();
    let mut expected = [parent.clone(), child.clone(), grandchild.clone()];
    expected.sort();
    assert_eq!(deleted, expected);
    assert_eq!(text_of(&told, "Count"), "3");
    // Neither device can sync or watch what is gone, nor fetch what was in it.
    assert_eq!(other.sync(&other_key, "").await.statuses(), ["12"]);
    one.inbox.clone_from(&child);
    assert_eq!(one.sync("0", "").await.statuses(), ["12"]);
    assert_eq!(one.ping(600).await.statuses(), ["7"]);
    let fetch = format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <ServerId xmlns="AirSync">{item}</ServerId></Fetch></ItemOperations>"#
    );
    assert_eq!(
        one.request("ItemOperations", &fetch).await.statuses(),
        ["1", "6"]
    );
    // What stands beside it stays.
    let all = texts_of(&one.folder_sync("0").await.xml(), "Add/ServerId");
    assert!(
        all.contains(&beside) && expected.iter().all(|id| !all.contains(id)),
        "{all:?}"
    );
    mock.shutdown().await;
}

#[tokio::test]
async fn folder_commands_are_refused_with_the_status_of_the_specification() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let mut key = "1".to_owned();
    let a = made(&mut phone, &mut key, "0", "a").await;
    let b = made(&mut phone, &mut key, &a, "b").await;
    let c = made(&mut phone, &mut key, &b, "c").await;
    let too_long = "ä".repeat(257);
    for (command, xml, status) in [
        ("FolderCreate", create(&key, "0", "A"), "2"),
        ("FolderCreate", create(&key, "0", "Inbox"), "2"),
        ("FolderCreate", create(&key, "77", "d"), "5"),
        ("FolderCreate", create(&key, "abc", "d"), "5"),
        ("FolderCreate", create(&key, "+5", "d"), "5"),
        ("FolderCreate", create("99", "0", "d"), "9"),
        ("FolderCreate", create("", "0", "d"), "9"),
        ("FolderCreate", create(&key, "0", &too_long), "10"),
        // Of a special folder: 2 from FolderUpdate, 3 from FolderDelete.
        ("FolderUpdate", update(&key, "5", "0", "mine"), "2"),
        ("FolderUpdate", update(&key, "1", &a, "Calendar"), "2"),
        ("FolderUpdate", update(&key, &c, "0", "a"), "2"),
        ("FolderUpdate", update(&key, "77", "0", "d"), "4"),
        ("FolderUpdate", update(&key, "abc", "0", "d"), "4"),
        ("FolderUpdate", update(&key, &a, "77", "a"), "5"),
        ("FolderUpdate", update("99", &a, "0", "d"), "9"),
        // A cycle: a semantic error.
        ("FolderUpdate", update(&key, &a, &a, "a"), "10"),
        ("FolderUpdate", update(&key, &a, &b, "a"), "10"),
        ("FolderUpdate", update(&key, &a, &c, "a"), "10"),
        ("FolderUpdate", update(&key, &a, "0", &too_long), "10"),
        ("FolderDelete", delete(&key, "5"), "3"),
        ("FolderDelete", delete(&key, "1"), "3"),
        ("FolderDelete", delete(&key, "77"), "4"),
        ("FolderDelete", delete(&key, "abc"), "4"),
        ("FolderDelete", delete("99", &a), "9"),
    ] {
        let answer = phone.request(command, &xml).await.xml();
        assert_eq!(texts_of(&answer, "Status"), [status], "{xml}");
        assert_eq!(texts_of(&answer, "SyncKey").len(), 0, "{xml}");
    }
    // Nothing has changed, and the key is still good.
    let longest = "ä".repeat(256);
    let made = made(&mut phone, &mut key, &c, &longest).await;
    let renamed = phone
        .request("FolderUpdate", &update(&key, &made, &a, "B2"))
        .await;
    let xml = renamed.xml();
    assert_eq!(text_of(&xml, "Status"), "1");
    let all = phone.folder_sync("0").await.xml();
    assert_eq!(texts_of(&all, "Add/ServerId").len(), 12);
    mock.shutdown().await;
}

/// ItemOperations, DeleteSubFolders.
#[tokio::test]
async fn emptying_a_folder_deletes_its_subfolders_only_where_asked() {
    let mock = mock(|_| {}).await;
    let (mut one, _) = Phone::ready_device(&mock, "load1", "ONE").await;
    let mut key = "1".to_owned();
    let parent = made(&mut one, &mut key, "0", "parent").await;
    let child = made(&mut one, &mut key, &parent, "child").await;
    let grandchild = made(&mut one, &mut key, &child, "grandchild").await;
    let (mut other, _) = Phone::ready_device(&mock, "load1", "OTHER").await;
    let empty = |options: &str| {
        format!(
            r#"<ItemOperations xmlns="ItemOperations"><EmptyFolderContents>
               <CollectionId xmlns="AirSync">{parent}</CollectionId>{options}</EmptyFolderContents>
               </ItemOperations>"#
        )
    };
    let kept = one.request("ItemOperations", &empty("")).await;
    assert_eq!(kept.statuses(), ["1", "1"]);
    let told = other.folder_sync("1").await.xml();
    assert_eq!(texts_of(&told, "Delete").len(), 0, "{told}");
    let options = "<Options><DeleteSubFolders/></Options>";
    let emptied = one.request("ItemOperations", &empty(options)).await;
    assert_eq!(emptied.statuses(), ["1", "1"]);
    assert_eq!(other.ping(600).await.statuses(), ["7"]);
    let told = other.folder_sync("1").await.xml();
    assert_eq!(texts_of(&told, "Delete/ServerId"), [grandchild, child]);
    // The folder itself stays, and the device that emptied it learns of the rest by FolderSync.
    let own = one.folder_sync(&key).await.xml();
    assert_eq!(texts_of(&own, "Delete/ServerId").len(), 2);
    let all = texts_of(&one.folder_sync("0").await.xml(), "Add/ServerId");
    assert!(all.contains(&parent));
    mock.shutdown().await;
}
