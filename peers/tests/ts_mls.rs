//! The adapter of ts-mls: whatever its program does wrong is a failure at once, and not a wait.

#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use peers::{
    peer::{CipherSuite, Member, Peer, PeerError, Settings, WireFormat},
    ts_mls_peer::TsMls,
};

const HELLO: &str = r#"read line; echo '{"id":1,"suites":[1]}';"#;
const CLIENT: &str = r#"read line; echo '{"id":2,"client":1}';"#;

#[test]
fn a_program_that_is_not_there_is_a_failure() {
    let failure = TsMls::new(|| Command::new("no-such-program"), LIMIT).err().unwrap();
    assert_says(&failure, "no-such-program does not start");
}

#[test]
fn a_program_that_ends_is_a_failure() {
    let mut member = member(format!("{HELLO} {CLIENT} read line"));
    assert_says(&member.key_package().unwrap_err(), "keyPackage: the program ended");
}

#[test]
fn a_program_that_is_silent_is_a_failure_after_the_limit() {
    let mut member = member(format!("{HELLO} {CLIENT} exec sleep 600"));
    let start = Instant::now();
    assert_says(&member.key_package().unwrap_err(), "keyPackage: the program gave no answer in 1 s");
    // It is not waited for again.
    assert_says(&member.key_package().unwrap_err(), "keyPackage: the program gave no answer in 1 s");
    assert!(start.elapsed() < 2 * LIMIT + Duration::from_secs(5));
}

#[test]
fn an_answer_to_another_question_is_a_failure() {
    let mut member =
        member(format!(r#"{HELLO} {CLIENT} read line; echo '{{"id":2,"keyPackage":""}}'; read line"#));
    assert_says(&member.key_package().unwrap_err(), "the program answers another question");
}

#[test]
fn an_answer_that_is_not_json_is_a_failure() {
    let mut member = member(format!("{HELLO} {CLIENT} read line; echo Segmentation fault; read line"));
    assert_says(&member.key_package().unwrap_err(), "the program does not answer JSON");
}

#[test]
fn an_answer_without_what_was_asked_for_is_a_failure() {
    for answer in [r#"{"id":3}"#, r#"{"id":3,"keyPackage":7}"#, r#"{"id":3,"keyPackage":"???"}"#] {
        let mut member = member(format!("{HELLO} {CLIENT} read line; echo '{answer}'; read line"));
        assert_says(&member.key_package().unwrap_err(), "keyPackage: the answer has no good `keyPackage`");
    }
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_program() {
    let mut member = member(format!(
        r#"{HELLO} {CLIENT} read line; echo '{{"id":3,"error":"ValidationError: no"}}'; read line"#
    ));
    assert_says(&member.key_package().unwrap_err(), "keyPackage: ValidationError: no");
}

#[test]
fn after_a_program_broke_the_next_client_has_a_new_one() {
    let peer = peer(format!("{HELLO} {CLIENT} read line"));
    let mut first = peer.client(settings()).unwrap();
    first.key_package().unwrap_err();
    // The new program's first answer is to another question, so what comes back shows that it was started.
    let failure = peer.client(settings()).err().unwrap();
    assert_says(&failure, "client: the answer has no good `client`");
}

fn peer(script: String) -> TsMls {
    let start = move || {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    };
    TsMls::new(start, LIMIT).unwrap()
}

fn member(script: String) -> Box<dyn Member> {
    peer(script).client(settings()).unwrap()
}

fn settings() -> Settings {
    Settings {
        identity: b"alice".to_vec(),
        suite: CipherSuite(1),
        handshake: WireFormat::PrivateMessage,
        greased_extensions: false,
    }
}

fn assert_says(error: &PeerError, words: &str) {
    let PeerError::Failed(text) = error else { panic!("{error:?}") };
    assert!(text.contains(words), "{text}");
}

const LIMIT: Duration = Duration::from_secs(1);
