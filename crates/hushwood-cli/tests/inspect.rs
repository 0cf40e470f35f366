//! `hushwood inspect` and the manners of the program, without a home.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Place;
use hushwood::credential::Credential;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{ContentType, MlsMessage, PrivateMessage};
use hushwood::key_package::{KeyPackage, KeyPackageBuilder};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafContent, Supported};
use hushwood::unverified::Unverified;
use hushwood_aws_lc::PROVIDER;
use hushwood_codec::Encode;
use hushwood_crypto::SoftwareSigner;
use hushwood_rustcrypto::OsRandom;

fn key_package(identity: &str, now: u64) -> KeyPackage {
    let suite = PROVIDER.suites[0];
    let signer = SoftwareSigner::generate(suite, &mut OsRandom).unwrap();
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::APPLICATION_ID, b"kitchen".to_vec().to_bytes().unwrap());
    let supported = Supported::new(&PROVIDER);
    let content = LeafContent { credential: Credential::basic(identity), supported, extensions };
    let builder = KeyPackageBuilder::new(suite, content).last_resort();
    builder.build(&signer, &Policy::default(), Timestamp(now), &mut OsRandom).unwrap().key_package
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

fn message(key_package: KeyPackage) -> Vec<u8> {
    MlsMessage::KeyPackage(Box::new(Unverified::new(key_package))).to_bytes().unwrap()
}

#[test]
fn a_key_package_is_shown_and_found_valid() {
    let place = Place::new("inspect");
    place.write("phone.kp", &message(key_package("phone", now())));
    let text = place.run("inspect phone.kp").ok_text();
    for part in [
        "wire_format: mls_key_package",
        "identity: phone",
        "content: kitchen",
        "(GREASE)",
        "signature: valid",
        "all of RFC 9420 §10.1, now: valid",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json = place.run("--json inspect phone.kp").ok_json();
    assert_eq!(json["command"], "inspect");
    assert_eq!(json["valid"], true);
    let leaf = &json["objects"][0]["content"]["key_package"]["leaf_node"];
    assert_eq!(leaf["credential"]["identity"]["text"], "phone");
}

#[test]
fn bare_structures_are_recognised_or_named() {
    let place = Place::new("inspect");
    let key_package = key_package("phone", now());
    place.write("bare", &key_package.to_bytes().unwrap());
    assert!(place.run("inspect bare").ok_text().starts_with("KeyPackage\n"));
    let leaf = key_package.leaf_node.to_bytes().unwrap();
    let text = place.run_with("inspect --as leaf-node -", &leaf).ok_text();
    assert!(text.starts_with("LeafNode\n") && text.contains("identity: phone"));
    assert!(place.run_with("inspect --as commit", &leaf).fails(1).contains("malformed at byte"));
}

#[test]
fn contents_of_proposals_are_shown_when_somebody_says_what_they_are() {
    let place = Place::new("inspect");
    let text = place.run_with("inspect --as remove", &[0, 0, 0, 7]).ok_text();
    assert!(text.starts_with("Remove\n") && text.contains("removed: 7"), "{text}");
    assert!(place.run_with("inspect", &[0, 0, 0, 7]).fails(1).contains("--as"));
    let text = place.run_with("inspect --as external-init", &[3, 1, 2, 3]).ok_text();
    assert!(text.contains("kem_output: 010203"), "{text}");
}

#[test]
fn an_expired_or_altered_key_package_is_told() {
    let place = Place::new("inspect");
    let year = 365 * 24 * 3600;
    let old = place.run_with("inspect", &message(key_package("phone", now() - year)));
    assert_eq!(old.code, 0, "an object that says it is invalid is shown all the same");
    assert!(old.text().contains("now: INVALID: a peer broke the protocol: a leaf is not valid yet"));

    let mut altered = key_package("phone", now());
    altered.leaf_node.credential = Credential::basic("clone");
    let json = place.run_with("inspect --json", &message(altered)).ok_json();
    assert_eq!(json["valid"], false);
    let checks = json["objects"][0]["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["result"] == "invalid"), "{checks:?}");
    assert_eq!(checks[1]["rows"][0], "C036");
}

#[test]
fn messages_in_a_row_and_in_armour_are_all_shown() {
    let place = Place::new("inspect");
    let private = MlsMessage::PrivateMessage(PrivateMessage {
        group_id: b"g".to_vec(),
        epoch: 7,
        content_type: ContentType::Application,
        authenticated_data: b"\x1b[31mred".to_vec(),
        encrypted_sender_data: vec![1; 20],
        ciphertext: vec![2; 100],
    });
    let private = private.to_bytes().unwrap();
    let both = [private.as_slice(), &private].concat();
    let text = place.run_with("inspect", &both).ok_text();
    assert_eq!(text.matches("wire_format: mls_private_message").count(), 2);
    assert!(text.contains("authenticated_data: <001B>[31mred") && !text.contains('\u{1b}'));
    assert!(text.contains("(100 bytes)"));
    assert!(place.run_with("inspect --full", &both).ok_text().contains(&"02".repeat(100)));

    let armour = format!("From: b\n\n-----BEGIN MLS MESSAGE-----\n{}\n-----END MLS MESSAGE-----\n", {
        use base64ct::Encoding;
        base64ct::Base64::encode_string(&private)
    });
    assert!(place.run_with("inspect", armour.as_bytes()).ok_text().contains("epoch: 7"));
}

#[test]
fn what_is_no_mls_structure_is_refused_with_advice() {
    let place = Place::new("inspect");
    for (input, part) in [
        (&b""[..], "it is empty"),
        (b"SQLite format 3\0", "no MLS structure"),
        (&[0, 1, 0, 9, 0], "a wire format this client does not know"),
        (&[0, 1, 0, 5, 0, 1, 0, 1, 0xff], "malformed at byte"),
    ] {
        let error = place.run_with("inspect", input).fails(1);
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let error = place.run("inspect nowhere").fails(1);
    assert!(error.contains("can't read nowhere: No such file") && error.contains("what to do"), "{error}");
}

#[test]
fn wrong_usage_is_2_and_json_when_asked_for() {
    let place = Place::new("usage");
    assert!(place.run("inspect --frobnicate").fails(2).contains("--help"));
    assert!(place.run("").fails(2).contains("Usage"));
    let error = place.run("--json frobnicate").fails(2);
    let json: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!((&json["ok"], &json["error"]["class"]), (&false.into(), &"usage".into()));
    let error: serde_json::Value = serde_json::from_str(&place.run("--json group rename").fails(2)).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("<NAME>") && message.contains("<NEW>"), "{message}");
    let error: serde_json::Value = serde_json::from_str(&place.run("--json group").fails(2)).unwrap();
    assert_eq!(error["error"]["message"], "a command or an argument is missing");
    let error: serde_json::Value = serde_json::from_str(&place.run("--json inspect x").fails(1)).unwrap();
    assert_eq!(error["error"]["class"], "io");
    assert!(error["error"]["advice"].is_string() && error["error"]["rows"].is_array());
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new("help");
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    while let Some(command) = waiting.pop() {
        let help = place.run(&format!("{command} --help")).ok_text();
        assert!(help.contains("Example"), "`{command}` has no example");
        seen += 1;
        let Some(list) = help.split("Commands:\n").nth(1) else { continue };
        let names = list.lines().take_while(|line| !line.is_empty());
        // Names stand two columns in; what goes on below a description, further.
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let names = names.filter(|name| !name.is_empty() && *name != "help");
        waiting.extend(names.map(|name| format!("{command} {name}")));
    }
    assert!(seen > 35, "{seen} commands were found");
}

#[test]
fn completions_are_there_for_every_shell() {
    let place = Place::new("completions");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.run(&format!("completions {shell}")).ok_text();
        assert!(script.contains("inspect"));
        assert_eq!(place.run(&format!("--json completions {shell}")).ok_json()["script"], script);
    }
}

#[test]
fn a_closed_pipe_is_no_error_worth_a_word() {
    let place = Place::new("pipe");
    let program = env!("CARGO_BIN_EXE_hushwood");
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("{program} completions bash | true")).current_dir(place.path("."));
    let output = shell.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
