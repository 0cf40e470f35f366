//! The demo: it ends well, and says what it should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Place;

#[test]
fn the_demo_makes_both_proofs_and_says_so() {
    let place = Place::new("demo");
    let mut command = place.command(["demo"]);
    let text = common::run(command.env("TMPDIR", place.path(".")), b"").ok_text();
    for part in [
        "ada, ben, cleo, dan, edith, finn, gwen",
        "Proof of forward secrecy",
        "Forward secrecy holds",
        "Proof of post-compromise security",
        "Post-compromise security holds",
        "mls_private_message",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(place.path(".").read_dir().unwrap().count(), 0, "the demo cleans up");
}

#[test]
fn the_demo_in_json_has_the_numbers() {
    let place = Place::new("demo");
    let mut command = place.command(["demo", "--json"]);
    let json: serde_json::Value =
        serde_json::from_slice(&common::run(command.env("TMPDIR", place.path(".")), b"").ok()).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["epoch_authenticator"]["agreeing"], 6);
    let forward = &json["forward_secrecy"];
    assert_eq!((&forward["holds"], &forward["opened"]), (&true.into(), &0.into()));
    assert!(forward["read_or_sent"].as_u64().unwrap() > 10);
    assert_eq!(forward["opened_of_these"], 1, "the thief's tools work");
    let healed = &json["post_compromise_security"];
    assert_eq!((&healed["opened_before"], &healed["opened_after"]), (&healed["before_update"], &0.into()));
}

#[test]
fn the_demo_goes_through_a_server_that_is_killed() {
    let place = Place::new("demo");
    let mut command = place.command(["demo", "--server", "--json"]);
    let json: serde_json::Value =
        serde_json::from_slice(&common::run(command.env("TMPDIR", place.path(".")), b"").ok()).unwrap();
    assert_eq!(json["epoch_authenticator"]["agreeing"], 6);
    assert_eq!((&json["server"]["said"], &json["server"]["found"]), (&8.into(), &0.into()));
    assert_eq!(place.path(".").read_dir().unwrap().count(), 0, "the demo cleans up");
}
