//! What a newcomer does wrong with `hushwood bot`, and what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Place;
use common::bot::{Bot, Served, serve};
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
