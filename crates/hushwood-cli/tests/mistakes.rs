//! What a newcomer does wrong with `hushwood bot`, and what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::process::Stdio;

use common::Place;
use common::bot::{Bot, Served, command, serve, serve_at, serve_with};
use serde_json::{Value, json};

/// Ada and Ben in a room of hers.
fn pair(place: &Place, served: &Served) -> (Bot, Bot, Value) {
    let mut ada = Bot::start("ada", &place.path("ada"), served);
    let mut ben = Bot::start("ben", &place.path("ben"), served);
    ben.done(json!({ "do": "sync" }));
    let room = ada.done(json!({ "do": "create", "title": "tea" }))["room"].clone();
    ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    ben.done(json!({ "do": "join", "room": room }));
    (ada, ben, room)
}

/// What an answer says that is no.
fn refused(answer: &Value) -> String {
    assert_eq!(answer["ok"], false, "{answer}");
    format!("{} {}", answer["error"]["message"], answer["error"]["advice"])
}

#[test]
fn a_name_may_be_spelled_otherwise_and_one_that_is_wrong_is_told() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let (mut ada, mut ben, room) = pair(&place, &served);
    let answer = ada.ask(json!({ "do": "remove", "room": room, "person": "benn" }));
    let said = refused(&answer);
    assert!(said.contains("benn") && said.contains("ada") && said.contains("\\\"ben\\\""), "{said}");
    let number = ben.done(json!({ "do": "who" }))["number"].clone();
    ada.done(json!({ "do": "trust", "person": "BEN", "number": number }));
    let removed = ada.done(json!({ "do": "remove", "room": room, "person": "BEN" }));
    assert!(removed["sequence"].is_number(), "{removed}");
    assert_eq!(ben.event("removed")["by"]["person"], "ada");
}

#[test]
fn a_name_that_is_taken_is_corrected_in_the_same_home() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    ada.done(json!({ "do": "sync" }));
    let mut late = Bot::start("ada", &place.path("late"), &served);
    let room = late.done(json!({ "do": "create", "title": "tea" }))["room"].clone();
    let said = refused(&late.ask(json!({ "do": "sync" })));
    assert!(said.contains("taken"), "{said}");
    late.end();
    let mut late = Bot::start("ada2", &place.path("late"), &served);
    let rooms = late.done(json!({ "do": "rooms" }));
    assert_eq!((&rooms["rooms"][0]["room"], &rooms["rooms"][0]["title"]), (&room, &json!("tea")));
    let sent = late.done(json!({ "do": "send", "room": room, "text": "from ada2" }));
    assert_eq!(sent["done"], true, "{sent}");
    late.end();
    // It is theirs now.
    let mut other = command("ada3", &place.path("late"), &served, &[]);
    let other = other.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("ada2") && said.contains("localhost") && said.contains("--home"), "{said}");
}

#[test]
fn a_service_of_another_name_is_told_from_a_wrong_proof() {
    let place = Place::with_key_file("mistakes");
    let served = serve_with(&place.path("server"), &["--name", "chat.example"]);
    let mut ada = Bot::start_with("ada", &place.path("ada"), &served, &["--patience", "1000"]);
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    let answer = ada.done(json!({ "do": "send", "room": room, "text": "hello" }));
    assert_eq!(answer["done"], false, "{answer}");
    let why = answer["why"].as_str().unwrap();
    assert!(why.contains("\"localhost\"") && why.contains("--service"), "{why}");
    ada.end();
    let mut ada = Bot::start_with("ada", &place.path("ada"), &served, &["--service", "chat.example"]);
    let message = ada.event("sent")["message"].clone();
    let history = ada.done(json!({ "do": "history", "room": room }));
    assert_eq!(history["messages"][0]["message"], message);
}

/// What the table says of options is what the program knows.
#[test]
fn each_option_is_in_the_documentation() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bot.md")).unwrap();
    let place = Place::new("mistakes");
    let help = place.run("bot --help").ok_text();
    let (own, _) = help.split_once("Options of every command").unwrap_or((&help, ""));
    let options = own.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let options: Vec<_> = options.filter_map(|line| line.split([' ', ',']).next()).collect();
    assert!(options.contains(&"service"), "{help}");
    let common = ["home", "key-file", "help"];
    for option in options.into_iter().filter(|option| !common.contains(option)) {
        assert!(docs.contains(&format!("| `--{option} ")), "--{option}");
    }
}

#[test]
fn who_only_listens_hears_that_the_service_is_gone_and_that_it_is_back() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let (mut ada, ben, room) = pair(&place, &served);
    ben.end();
    let (url, fingerprint) = (served.url.clone(), served.fingerprint.clone());
    drop(served);
    let told = ada.event("trouble");
    assert_eq!(told["error"]["class"], "io", "{told}");
    assert_eq!(told.get("cursor"), None);
    // It is told once, and what asks for nothing of the service is answered.
    let rooms = ada.done(json!({ "do": "rooms" }));
    assert_eq!(rooms["rooms"][0]["room"], room);
    ada.done(json!({ "do": "who" }));
    let again = ada.events.iter().any(|event| event["event"] == "trouble");
    assert!(!again, "{:?}", ada.events);
    let port = url.rsplit_once(':').unwrap().1;
    let served = serve_at(port, &place.path("server"), &[]);
    assert_eq!((&served.url, &served.fingerprint), (&url, &fingerprint));
    ada.event("well");
    let sent = ada.done(json!({ "do": "send", "room": room, "text": "there again" }));
    assert_eq!(sent["done"], true, "{sent}");
}

#[test]
fn a_device_that_is_not_there_is_not_revoked() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let devices = ada.done(json!({ "do": "devices" }))["devices"].clone();
    assert_eq!((devices.as_array().unwrap().len(), &devices[0]["this"]), (1, &json!(true)));
    assert_eq!(devices[0]["device"], ada.device);
    let unknown = "00112233445566778899aabbccddeeff";
    let said = refused(&ada.ask(json!({ "do": "revoke", "device": unknown })));
    assert!(said.contains(unknown) && said.contains("devices"), "{said}");
    let own = ada.device.clone();
    refused(&ada.ask(json!({ "do": "revoke", "device": own })));
}

#[test]
fn a_device_that_was_revoked_is_told_a_way_on_that_there_is() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    ada.done(json!({ "do": "sync" }));
    let mut phone = Bot::start("ada", &place.path("phone"), &served);
    link(&mut ada, &mut phone);
    let device = phone.device.clone();
    ada.done(json!({ "do": "revoke", "device": device }));
    for request in ["sync", "link"] {
        let said = refused(&phone.ask(json!({ "do": request })));
        assert!(said.contains("--home") && said.contains("link"), "{said}");
    }
    phone.end();
    let mut phone = Bot::start("ada", &place.path("another phone"), &served);
    link(&mut ada, &mut phone);
    assert_eq!(phone.done(json!({ "do": "devices" }))["devices"].as_array().unwrap().len(), 2);
}

fn link(old: &mut Bot, new: &mut Bot) {
    let shown = new.done(json!({ "do": "link" }))["show"].clone();
    let answer = old.done(json!({ "do": "authorize", "show": shown }))["answer"].clone();
    new.done(json!({ "do": "linked", "answer": answer }));
}

#[test]
fn what_is_kept_has_a_number_and_what_is_refused_is_told_once() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start_with("ada", &place.path("ada"), &served, &["--patience", "700"]);
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    let said = refused(&ada.ask(json!({ "do": "invite", "room": room, "person": "nobody" })));
    assert!(said.contains("nobody"), "{said}");
    ada.done(json!({ "do": "sync" }));
    assert!(!ada.events.iter().any(|event| event["event"] == "not_done"), "{:?}", ada.events);

    let port = served.url.rsplit_once(':').unwrap().1.to_owned();
    drop(served);
    let kept = ada.done(json!({ "do": "invite", "room": room, "person": "noone" }));
    assert_eq!(kept["done"], false, "{kept}");
    assert!(kept["intent"].is_number() && kept["why"].is_string(), "{kept}");
    let _served = serve_at(&port, &place.path("server"), &[]);
    let told = ada.event("not_done");
    assert_eq!((&told["intent"], &told["room"]), (&kept["intent"], &room), "{told}");
}

#[test]
fn who_waits_for_a_room_that_is_there_already_is_told_which() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start_with("ben", &place.path("ben"), &served, &["--invitations", "all"]);
    ben.done(json!({ "do": "sync" }));
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    // It was faster than he.
    let joined = ben.event("joined");
    for _ in 0..2 {
        let answer = ben.done(json!({ "do": "join", "timeout_ms": 2_000 }));
        assert_eq!((&answer["room"], &answer["cursor"]), (&room, &joined["cursor"]));
    }
    ben.done(json!({ "do": "ack", "cursor": joined["cursor"] }));
    let said = refused(&ben.ask(json!({ "do": "join", "timeout_ms": 10 })));
    assert!(said.contains("no invitation"), "{said}");
    ada.done(json!({ "do": "remove", "room": room, "person": "ben" }));
    ben.event("removed");
    refused(&ben.ask(json!({ "do": "join", "room": room, "timeout_ms": 10 })));
}

#[test]
fn a_room_that_is_over_is_forgotten() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let (mut ada, mut ben, room) = pair(&place, &served);
    let said = refused(&ben.ask(json!({ "do": "forget", "room": room })));
    assert!(said.contains("leave it first"), "{said}");
    ada.done(json!({ "do": "remove", "room": room, "person": "ben" }));
    ben.event("removed");
    ben.done(json!({ "do": "forget", "room": room }));
    assert_eq!(ben.done(json!({ "do": "rooms" }))["rooms"], json!([]));
    let said = refused(&ada.ask(json!({ "do": "leave", "room": room })));
    assert!(said.contains("forget it"), "{said}");
    ada.done(json!({ "do": "forget", "room": room }));
    ada.end();
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    assert_eq!(ada.done(json!({ "do": "rooms" }))["rooms"], json!([]));
}

#[test]
fn a_key_is_trusted_by_its_number_before_it_was_seen() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let mut ben = Bot::start_with("ben", &place.path("ben"), &served, &["--trust", "known"]);
    for bot in [&mut ada, &mut ben] {
        bot.done(json!({ "do": "sync" }));
    }
    let own = ben.done(json!({ "do": "create" }))["room"].clone();
    let said = refused(&ben.ask(json!({ "do": "invite", "room": own, "person": "ada" })));
    assert!(!said.contains("another key") && said.contains("trust"), "{said}");
    let doubts = ben.done(json!({ "do": "doubts" }))["doubts"].clone();
    let number = ada.done(json!({ "do": "who" }))["number"].clone();
    assert_eq!(doubts[0]["number"], number);
    ben.end();

    // Whoever begins anew has met nobody, and has the number from her.
    let mut ben = Bot::start_with("ben", &place.path("ben"), &served, &["--trust", "known"]);
    let said = refused(&ben.ask(json!({ "do": "trust", "person": "ada", "number": "12345 67890" })));
    assert!(said.contains("60 digits"), "{said}");
    let answer = ben.done(json!({ "do": "trust", "person": "Ada", "number": number }));
    assert_eq!(answer["seen"], false, "{answer}");
    let room = ada.done(json!({ "do": "create" }))["room"].clone();
    ada.done(json!({ "do": "invite", "room": room, "person": "ben" }));
    assert_eq!(ben.event("joined")["room"], room);
    let members = ben.done(json!({ "do": "members", "room": room }))["members"].clone();
    let of_ada = members.as_array().unwrap().iter().find(|one| one["person"] == "ada").unwrap().clone();
    assert_eq!(of_ada["trust"], "verified");
    let answer = ben.done(json!({ "do": "invite", "room": own, "person": "ada" }));
    assert!(answer["sequence"].is_number(), "{answer}");
}

/// What is wrong on the command line is told before anything is made.
#[test]
fn a_wrong_command_line_makes_no_home() {
    let place = Place::with_key_file("mistakes");
    let fingerprint = "ab".repeat(32);
    let cases: [(&[&str], &str); 5] = [
        (&["--server", "chat.example"], "https://chat.example:7443"),
        (&["--server", "https://127.0.0.1:1", "--fingerprint", "abc"], "64 hexadecimal digits"),
        (&["--server", "http://127.0.0.1:1", "--fingerprint", &fingerprint], "https://"),
        (&["--server", "https://127.0.0.1:1", "--ca", "/nowhere"], "/nowhere"),
        (
            &["--server", "https://127.0.0.1:1", "--fingerprint", &fingerprint, "--key-file", "-"],
            "--key-file FILE",
        ),
    ];
    for (words, said) in cases {
        let mut command = place.command(["bot", "ada", "--home", "home"]);
        let run = common::run(command.args(words), b"");
        assert_ne!(run.code, 0, "{words:?}");
        assert!(run.stderr.contains(said) && run.stderr.contains("what to do"), "{words:?}: {}", run.stderr);
        assert!(!place.path("home").exists(), "{words:?}");
    }
}

#[test]
fn a_server_that_is_not_the_one_that_was_meant_is_told_with_a_way_on() {
    let place = Place::with_key_file("mistakes");
    let mut served = serve(&place.path("server"));
    served.fingerprint = "ab".repeat(32);
    let mut ada = Bot::start_with("ada", &place.path("ada"), &served, &["--patience", "500"]);
    let told = ada.event("trouble");
    let advice = told["error"]["advice"].as_str().unwrap_or_default();
    assert!(advice.contains("--fingerprint") && advice.contains("--ca"), "{told}");
    ada.end();
}

/// What the table says can be asked for is what the program knows.
#[test]
fn each_request_of_the_documentation_is_known() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bot.md")).unwrap();
    let (_, requests) = docs.split_once("## Requests").unwrap();
    let (requests, _) = requests.split_once("## Events").unwrap();
    let first = requests.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names: Vec<_> = first.flat_map(|names| names.split('`').step_by(2)).collect();
    assert!(names.contains(&"create") && names.contains(&"refuse"), "{names:?}");
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut command = command("ada", &place.path("ada"), &served, &[]);
    let lines = names.iter().filter(|name| !["quit", "do", "link", "join", "wait"].contains(name));
    let lines: Vec<_> = lines.map(|name| format!("{}\n", json!({ "v": 1, "do": name }))).collect();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = common::run(&mut command, lines.concat().as_bytes());
    assert!(!run.text().contains("names nothing"), "{}", run.text());
    assert_eq!(run.text().matches("\"ok\":").count(), lines.len());
}

/// A disk that was full, or a crash, has left the file of a store with nothing in it.
#[test]
fn a_home_that_was_begun_and_not_ended_is_made() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    std::fs::create_dir_all(place.path("ada/client")).unwrap();
    place.write("ada/client/hushwood.db", b"");
    place.write("ada.key", "7".repeat(64).as_bytes());
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.path("ada.key"), private).unwrap();
    let ada = Bot::start("ada", &place.path("ada"), &served);
    ada.end();
    place.write("ada/client/hushwood.db", b"this is something else");
    let mut other = command("ada", &place.path("ada"), &served, &[]);
    let other = other.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("not a store") && said.contains("rejoin"), "{said}");
    assert_eq!(place.read("ada/client/hushwood.db"), b"this is something else");
}

/// Whoever begins a server anew in another folder has another service, though its name is the same.
#[test]
fn a_server_that_has_lost_its_data_is_not_told_as_a_device_that_was_revoked() {
    let place = Place::with_key_file("mistakes");
    let served = serve(&place.path("server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    ada.done(json!({ "do": "sync" }));
    ada.end();
    let served = serve(&place.path("another server"));
    let mut ada = Bot::start("ada", &place.path("ada"), &served);
    let said = refused(&ada.ask(json!({ "do": "sync" })));
    assert!(said.contains("another service of the same name") && said.contains("--server"), "{said}");
}
