use eas::Command;
use eas::commands::{ClientCommand, CommandResponse, SyncAnswer, SyncCollection, SyncRequest};
use eas::status::SyncStatus;
use rand::{RngCore as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// Each seed is a game of its own; a failure names it.
#[test]
fn devices_converge_and_every_answer_can_be_read() {
    const GAMES: u64 = 200;
    for seed in 0..GAMES {
        let mut commands = vec![0; 1500];
        Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut commands);
        if let Err(problem) = play(&commands) {
            panic!("seed {seed}: {problem}");
        }
    }
}

/// The games reach what they are to reach: without that, an invariant could not fail.
#[test]
fn games_deliver_send_filter_and_write_drafts() {
    let (mut messages, mut filtered, mut sent, mut drafts) = (0, 0, 0, 0);
    for seed in 0..40 {
        let mut commands = vec![0; 1500];
        Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut commands);
        let mut game = Game::new(&commands);
        while let Some(command) = game.byte() {
            game.command(command).unwrap();
        }
        game.converge().unwrap();
        for device in &game.devices {
            let held = game.server.store.contents(device.user);
            for (folder, known) in &device.folders {
                let items = held.get(folder).map_or(0, BTreeMap::len);
                filtered += usize::from(known.is_followed && known.items.len() < items);
                drafts += if *folder == DRAFTS {
                    known.items.len()
                } else {
                    0
                };
                messages += known.items.len();
            }
        }
        for user in ["a", "b"] {
            let held = game.server.store.contents(user);
            sent += held.get(&4).map_or(0, BTreeMap::len);
        }
    }
    assert!(messages > 100, "{messages} items");
    assert!(
        filtered > 10,
        "{filtered} folders with a filter that hides items"
    );
    assert!(drafts > 0, "no drafts");
    assert!(sent > 10, "{sent} copies in Sent Items");
}

fn game() -> Game<'static> {
    let mut game = Game::new(&[]);
    game.start(0).unwrap();
    game
}

/// One value in an item is wrong: this item gets its status, the others are taken.
#[test]
fn a_nul_in_an_item_of_any_class_costs_only_this_item() {
    let mut game = game();
    for folder in [1_u32, 6, 7, 8] {
        assert!(game.sync(0, folder).unwrap());
        let add = |game: &mut Game<'_>, text: &'static [u8]| {
            let mut other = Game::new(text);
            let data = other.content(folder);
            game.has_nul |= other.has_nul;
            ClientCommand::Add {
                client_id: game.number().to_string().into(),
                class: None,
                data,
                send: false,
            }
        };
        // The first text is `a\0b`, the second `plain`, both once.
        let commands = vec![add(&mut game, &[2, 0, 2, 0]), add(&mut game, &[1, 0, 1, 0])];
        let request = SyncRequest {
            collections: vec![SyncCollection {
                sync_key: game.devices[0].folders[&folder].key.clone().into(),
                id: folder.to_string().into(),
                commands,
                ..SyncCollection::default()
            }],
            ..SyncRequest::default()
        };
        let body = game
            .request(0, Command::Sync, request.encode(VERSIONS[0]))
            .unwrap();
        let answer = SyncAnswer::decode(&body).unwrap();
        let statuses: Vec<_> = answer.collections[0]
            .responses
            .iter()
            .map(|response| match response {
                CommandResponse::Add { status, .. } => *status,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            statuses,
            [SyncStatus::ConversionError, SyncStatus::Success],
            "folder {folder}"
        );
    }
}

#[test]
fn a_message_that_is_delivered_twice_is_noticed() {
    let mut game = game();
    game.sync(0, 5).unwrap();
    game.deliver();
    game.converge().unwrap();
    game.next -= 1;
    game.deliver();
    // As often as it was delivered.
    game.converge().unwrap();
    game.copies.clear();
    let problem = game.converge().unwrap_err();
    assert_eq!(problem, "a has 2 copies of message 1 instead of 0");
}

#[test]
fn an_item_that_the_device_has_already_is_noticed() {
    let mut game = game();
    game.sync(0, 5).unwrap();
    game.deliver();
    game.sync(0, 5).unwrap();
    let known = game.devices[0].folders.get_mut(&5).unwrap();
    let items = std::mem::take(&mut known.items);
    known.restart();
    game.sync(0, 5).unwrap();
    game.devices[0].folders.get_mut(&5).unwrap().items = items;
    let problem = game.sync(0, 5).unwrap_err();
    assert_eq!(problem, "the device has 5:1 already");
}

#[test]
fn an_item_that_a_device_lacks_or_has_too_many_of_is_noticed() {
    let mut game = game();
    game.sync(0, 5).unwrap();
    game.deliver();
    game.converge().unwrap();
    let items = std::mem::take(&mut game.devices[0].folders.get_mut(&5).unwrap().items);
    let problem = game.converge().unwrap_err();
    assert!(
        problem.starts_with("a1, folder 5: the device lacks [(\"5:1\""),
        "{problem}"
    );
    let inbox = game.devices[0].folders.get_mut(&5).unwrap();
    inbox.items = items;
    let one = inbox.items["5:1"].clone();
    inbox.items.insert("5:9".to_owned(), one);
    let problem = game.converge().unwrap_err();
    assert!(
        problem.contains("the device lacks [], and has [(\"5:9\""),
        "{problem}"
    );
}

#[test]
fn status_110_and_http_500_are_noticed() {
    let mut game = game();
    // A query without Status 110 in it, as a negative control.
    assert!(game.request(0, Command::Sync, Ok(Vec::new())).is_ok());
    let problem = wire::check(
        &eas::commands::encode_status_only(
            eas::wbxml::search::SEARCH,
            eas::wbxml::search::STATUS,
            eas::status::GlobalStatus::ServerError,
        )
        .unwrap(),
    );
    assert_eq!(problem, Err("Status 110".to_owned()));
    // GetAttachment answers HTTP 500 for an attachment that does not exist.
    let problem = game.request(0, Command::GetAttachment, Ok(Vec::new()));
    assert_eq!(problem, Err("GetAttachment: HTTP 500".to_owned()));
}

/// A game of no commands makes no request.
#[test]
fn a_short_input_is_a_short_game() {
    let mut game = Game::new(&[4, 0, 0, 0]);
    assert_eq!(play(&[]), Ok(()));
    let command = game.byte().unwrap();
    game.command(command).unwrap();
    let started = game
        .devices
        .iter()
        .filter(|one| one.version.is_some())
        .count();
    assert_eq!(started, 1);
    let followed = game.devices[0]
        .folders
        .values()
        .filter(|one| one.is_followed)
        .count();
    assert_eq!(followed, 1);
}

/// Found by fuzzing.
#[test]
fn games_that_once_failed_pass() {
    for commands in [
        &[
            0x7c, 0x00, 0x3a, 0x3f, 0x2b, 0xf8, 0x42, 0x01, 0x2b, 0xf8, 0x42,
        ][..],
        b"|\0\0\0\x0042\0:?1+\xf8B\x04\x8d\x01",
        // A Change that is refused, and a Delete of the same item.
        &[
            8, 5, 0, 0, 0, 10, 0, 0, 9, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            74, 0, 0, 3, 1, 0, 0, 0, 10, 0, 1,
        ],
    ] {
        assert_eq!(play(commands), Ok(()), "{commands:?}");
    }
}
