//! Programs talk through `hushwood bot` and a real server, each a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::Place;
use common::bot::{Bot, PROGRAM, serve, serve_with};
use serde_json::json;

#[test]
fn programs_make_a_room_talk_and_part() {
    let place = Place::with_key_file("bot");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ben.done(json!({ "do": "sync" }));
    let room = ada.done(json!({ "do": "create", "title": "tea" }))["room"].clone();
    let invited = ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    assert_eq!((&invited["done"], &invited["sequence"]), (&json!(true), &json!(1)));
    assert_eq!(ben.done(json!({ "do": "join", "room": room }))["room"], room);
    assert_eq!(ben.event("joined")["by"]["person"], "ada");
    ada.done(json!({ "do": "send", "room": room, "text": "The kettle is on." }));
    let heard = ben.event("message");
    assert_eq!((&heard["text"], &heard["from"]["person"]), (&json!("The kettle is on."), &json!("ada")));
    let sent = ben.done(json!({ "do": "send", "room": room, "base64": "AP8=" }));
    let heard = ada.event("message");
    assert_eq!((&heard["base64"], &heard["message"]), (&json!("AP8="), &sent["message"]));
    assert_eq!(ben.event("sent")["message"], sent["message"]);

    // Both see the same numbers.
    let (of_ada, of_ben) = (
        ada.done(json!({ "do": "verify", "room": room })),
        ben.done(json!({ "do": "verify", "room": room })),
    );
    assert_eq!((&of_ada["epoch"], &of_ada["number"]), (&of_ben["epoch"], &of_ben["number"]));
    let number = of_ada["members"].as_array().unwrap().iter().find(|one| one["person"] == "ben").unwrap();
    assert_eq!(number["trust"], "first seen");
    assert_eq!(ben.done(json!({ "do": "who" }))["number"], number["number"]);
    ada.done(json!({ "do": "trust", "person": "ben", "number": number["words"] }));
    let wrong = ada.ask(json!({ "do": "trust", "person": "ben", "number": "12345 67890" }));
    assert_eq!(wrong["ok"], false);
    let members = ada.done(json!({ "do": "members", "room": room }));
    let ben_there = members["members"].as_array().unwrap().iter().find(|one| one["person"] == "ben").unwrap();
    assert_eq!(ben_there["trust"], "verified");
    let export = json!({ "do": "export", "room": room, "label": "test", "length": 16 });
    assert_eq!(ada.done(export.clone())["secret"], ben.done(export)["secret"]);

    ada.done(json!({ "do": "title", "room": room, "title": "coffee" }));
    assert_eq!(ben.event("title")["title"], "coffee");
    let history = ben.done(json!({ "do": "history", "room": room }));
    assert_eq!(history["messages"].as_array().unwrap().len(), 2);
    ada.done(json!({ "do": "remove", "room": room, "person": "ben" }));
    assert_eq!(ben.event("removed")["by"]["person"], "ada");
    assert_eq!(ben.done(json!({ "do": "rooms" }))["rooms"][0]["standing"], "removed");
    ada.end();
    ben.end();
}

#[test]
fn events_come_again_until_they_are_acknowledged() {
    let place = Place::with_key_file("bot");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ben.done(json!({ "do": "sync" }));
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    ben.done(json!({ "do": "join", "room": room }));
    let message = "00112233445566778899aabbccddeeff";
    for _ in 0..2 {
        // Under one name it is said once.
        ada.done(json!({ "do": "send", "room": room, "text": "once", "message": message }));
    }
    let cursor = ben.event("message")["cursor"].clone();
    drop(ben);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    assert_eq!(ben.event("message")["cursor"], cursor, "it was not acknowledged");
    ben.done(json!({ "do": "ack", "cursor": cursor }));
    drop(ben);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ada.done(json!({ "do": "send", "room": room, "text": "twice" }));
    assert_eq!(ben.event("message")["text"], "twice");
    let waited = ben.ask(json!({ "do": "wait", "event": "removed", "timeout_ms": 10 }));
    assert_eq!(waited["ok"], false, "{waited}");
    ada.done(json!({ "do": "remove", "room": room, "person": "ben" }));
    ben.done(json!({ "do": "wait", "event": "removed", "timeout_ms": 30_000 }));
}

/// Where the operator has said a word, who does not know it has no account, and is told why.
#[test]
fn an_account_may_need_the_services_token() {
    let place = Place::with_key_file("bot");
    let token = place.path("token");
    std::fs::write(&token, "come in, there is tea\n").unwrap();
    let shown = ["--invite-token-file", token.to_str().unwrap()];
    let served = serve_with(&place.path("server"), &shown);
    let mut ada = Bot::start_with("ada", &place.path("ada"), &served, &shown);
    let mut eve = Bot::start_with("eve", &place.path("eve"), &served, &["--patience", "1000"]);
    for (bot, has_account) in [(&mut ada, true), (&mut eve, false)] {
        let room = bot.done(json!({ "do": "create" }))["room"].clone();
        let answer = bot.ask(json!({ "do": "send", "room": room, "text": "hello" }));
        assert_eq!(answer["done"], has_account, "{answer}");
        assert!(has_account || answer["why"].to_string().contains("invite token"), "{answer}");
    }
    // A word that is guessed in an afternoon is none.
    std::fs::write(&token, "tea").unwrap();
    let mut short = Command::new(PROGRAM);
    short.args(["serve", "--port", "0"]).args(shown).arg("--data").arg(place.path("other"));
    let short = short.output().unwrap();
    assert_eq!(short.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&short.stderr).contains("16 characters"));
}

/// Or each has a token of their own: it makes one account, and no other.
#[test]
fn an_account_may_need_a_token_that_is_used_once() {
    let place = Place::with_key_file("bot");
    let served = serve_with(&place.path("server"), &["--registration", "invited"]);
    let mut invite = Command::new(PROGRAM);
    invite.args(["serve", "invite", "--data"]).arg(place.path("server"));
    let token = place.path("token");
    std::fs::write(&token, invite.output().unwrap().stdout).unwrap();
    let shown = ["--invite-token-file", token.to_str().unwrap(), "--patience", "1000"];
    for (person, has_account) in [("ada", true), ("eve", false)] {
        let mut bot = Bot::start_with(person, &place.path(person), &served, &shown);
        let room = bot.done(json!({ "do": "create" }))["room"].clone();
        let answer = bot.ask(json!({ "do": "send", "room": room, "text": "hello" }));
        assert_eq!(answer["done"], has_account, "{answer}");
    }
}

#[test]
fn what_makes_no_sense_is_answered() {
    let place = Place::with_key_file("bot");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    for line in ["nonsense", "[1]", "{}", r#"{"v":2,"do":"rooms"}"#, r#"{"v":1,"do":"dance"}"#] {
        writeln!(ada.input.as_ref().unwrap(), "{line}").unwrap();
        let answer = ada.line();
        assert_eq!(answer["ok"], false, "{line}");
        assert_eq!(answer["error"]["class"], "usage", "{answer}");
    }
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    let answer = ada.ask(json!({ "do": "invite", "room": room, "person": "nobody" }));
    assert_eq!((&answer["ok"], &answer["error"]["class"]), (&json!(false), &json!("refused")), "{answer}");
    let answer = ada.ask(json!({ "do": "send", "room": "abcd", "text": "x" }));
    assert_eq!(answer["ok"], false);

    // Another process on the same home is told so.
    let other = Command::new(PROGRAM)
        .args(["bot", "ada", "--server", &served.url, "--fingerprint", &served.fingerprint, "--home"])
        .arg(place.path("ada"))
        .env("HUSHWOOD_KEY_FILE", place.path("ada.key"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another process uses this home"));
    ada.done(json!({ "do": "quit" }));
}

#[test]
fn a_second_device_is_linked_and_hears_all() {
    let place = Place::with_key_file("bot");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ada.done(json!({ "do": "sync" }));
    ben.done(json!({ "do": "sync" }));
    let room = ben.done(json!({ "do": "create" }))["room"].clone();
    ben.done(json!({ "do": "invite", "room": room, "person": "ada" }));
    ada.done(json!({ "do": "join", "room": room }));
    let mut phone = Bot::start("ada", &place.path("phone"), &served);
    let shown = phone.done(json!({ "do": "link" }))["show"].clone();
    let answer = ada.done(json!({ "do": "authorize", "show": shown }))["answer"].clone();
    phone.done(json!({ "do": "linked", "answer": answer }));
    ada.done(json!({ "do": "invite_devices" }));
    phone.done(json!({ "do": "join", "room": room }));
    // Who has not read that somebody came sends what they can't read.
    ben.done(json!({ "do": "sync" }));
    ben.done(json!({ "do": "send", "room": room, "text": "to both" }));
    for device in [&mut ada, &mut phone] {
        assert_eq!(device.event("message")["text"], "to both");
    }
    let device = phone.device.clone();
    ada.done(json!({ "do": "revoke", "device": device }));
    assert_eq!(phone.event("removed")["room"], room);
}

#[test]
fn an_invitation_of_a_stranger_waits_for_a_word() {
    let place = Place::with_key_file("bot-invited");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ben.done(json!({ "do": "sync" }));
    let create = |bot: &mut Bot| bot.done(json!({ "do": "create" }))["room"].clone();
    let (room, other) = (create(&mut ada), create(&mut ada));
    for room in [&room, &other] {
        ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    }
    let invited = [ben.event("invited"), ben.event("invited")];
    let first = invited.iter().find(|event| event["room"] == room).unwrap();
    assert_eq!((&first["by"]["person"], &first["by_trust"]), (&json!("ada"), &json!("unknown")));
    assert_eq!(first["members"][0]["trust"], "unknown", "{first}");
    assert_eq!(ben.done(json!({ "do": "rooms" }))["rooms"], json!([]));
    assert_eq!(ben.done(json!({ "do": "invitations" }))["invitations"].as_array().unwrap().len(), 2);

    let second = invited.iter().find(|event| event["room"] == other).unwrap();
    ben.done(json!({ "do": "refuse", "invitation": second["invitation"] }));
    ben.done(json!({ "do": "accept", "invitation": first["invitation"] }));
    assert_eq!(ben.event("joined")["room"], room);
    assert_eq!(ben.done(json!({ "do": "invitations" }))["invitations"], json!([]));
    assert_eq!(ben.done(json!({ "do": "rooms" }))["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(ben.done(json!({ "do": "doubts" }))["doubts"], json!([]));
    let again = ben.ask(json!({ "do": "accept", "invitation": second["invitation"] }));
    assert_eq!((&again["ok"], &again["error"]["class"]), (&json!(false), &json!("refused")), "{again}");
    ben.end();
    ada.end();
}

/// A home that is put back to an old copy: the service knows how far it had read, and it does not go on from there.
#[test]
fn a_home_that_was_put_back_says_so_and_comes_back() {
    let place = Place::with_key_file("bot");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ben.done(json!({ "do": "sync" }));
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    ben.done(json!({ "do": "join", "room": room }));
    ada.done(json!({ "do": "send", "room": room, "text": "before the copy" }));
    ben.done(json!({ "do": "sync" }));
    ben.end();
    let copy = |from: &str, to: &str| {
        let copied = Command::new("cp").arg("-a").arg(place.path(from)).arg(place.path(to)).status();
        assert!(copied.unwrap().success());
    };
    copy("ben", "old");
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ada.done(json!({ "do": "send", "room": room, "text": "after the copy" }));
    ben.done(json!({ "do": "sync" }));
    ben.done(json!({ "do": "send", "room": room, "text": "said, and forgotten by the copy" }));
    // That he has read it is known to the service when he reads on.
    ben.done(json!({ "do": "sync" }));
    ben.end();
    std::fs::remove_dir_all(place.path("ben")).unwrap();
    copy("old", "ben");

    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    assert_eq!(ben.event("fork")["room"], room);
    let answer = ben.ask(json!({ "do": "send", "room": room, "text": "who hears this?" }));
    assert_eq!(answer["ok"], false, "{answer}");
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("rejoin"), "it says what to do: {said}");
    ben.done(json!({ "do": "rejoin", "room": room }));
    ada.done(json!({ "do": "sync" }));
    ben.done(json!({ "do": "send", "room": room, "text": "I am back" }));
    ada.done(json!({ "do": "wait", "event": "message", "room": room, "timeout_ms": 30_000 }));
    let texts = ["said, and forgotten by the copy", "I am back"];
    for text in texts {
        assert_eq!(ada.event("message")["text"], text);
    }
    let authenticators: Vec<_> = [&mut ada, &mut ben]
        .map(|bot| bot.done(json!({ "do": "verify", "room": room }))["epoch_authenticator"].clone())
        .into();
    assert_eq!(authenticators[0], authenticators[1]);
}

/// So many KeyPackages of one person the service gives in ten minutes: what is beyond that is kept, and told why.
#[test]
fn an_invitation_beyond_the_services_limit_is_kept() {
    let place = Place::with_key_file("bot");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start("ben", &place.path("ben"), &served);
    ben.done(json!({ "do": "sync" }));
    let mut kept = None;
    for number in 1..=25 {
        let room = ada.done(json!({ "do": "create" }))["room"].clone();
        let invited = ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
        if invited["done"] == false {
            kept = Some((number, room, invited));
            break;
        }
    }
    let (number, room, invited) = kept.expect("there is a limit");
    assert_eq!(number, 21);
    let why = invited["why"].as_str().unwrap();
    assert!(why.contains("try again in"), "{why}");
    // Meanwhile everything else goes on, in that room as well.
    let said = ada.done(json!({ "do": "send", "room": room, "text": "alone so far" }));
    assert_eq!(said["done"], true, "{said}");
    ben.done(json!({ "do": "sync" }));
    assert_eq!(ben.done(json!({ "do": "invitations" }))["invitations"].as_array().unwrap().len(), 20);
}
