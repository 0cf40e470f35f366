//! A whole conversation, as a person holds it: the example of the README, and what can go wrong in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Place;

/// Homes with these names, their key packages in `NAME.kp`.
fn homes(place: &Place, names: &[&str]) {
    for name in names {
        place.run(&format!("--home {name} identity new {name}")).ok();
        let key_package = place.run(&format!("--home {name} key-package")).ok();
        place.write(&format!("{name}.kp"), &key_package);
    }
}

/// `desk` has a group `tea` with these others in it, epoch 1.
fn tea(test: &str, others: &[&str]) -> Place {
    let place = Place::with_key_file(test);
    homes(&place, &["desk"]);
    homes(&place, others);
    place.run("--home desk group create tea").ok();
    let packages: Vec<_> = others.iter().map(|other| format!("{other}.kp")).collect();
    place.run(&format!("--home desk invite tea {}", packages.join(" "))).ok();
    for other in others {
        place.run(&format!("--home {other} join tea-0.welcome")).ok();
    }
    place
}

/// `desk` says this; the message is in the file.
fn say(place: &Place, home: &str, text: &str, file: &str) {
    let message = place.run_with(&format!("--home {home} send tea"), text.as_bytes()).ok();
    place.write(file, &message);
}

#[test]
fn the_example_works_as_it_is_written() {
    let place = Place::new("example");
    place.run("--home a identity new desk").ok();
    place.run("--home b identity new phone").ok();
    let key_package = place.run("--home b key-package").ok();
    place.write("phone.kp", &key_package);
    place.run("--home a group create tea").ok();
    let invited = place.run("--home a invite tea phone.kp").ok_text();
    assert!(invited.contains("wrote tea-0.commit") && invited.contains("wrote tea-0.welcome"), "{invited}");
    let joined = place.run("--home b join tea-0.welcome").ok_text();
    assert!(joined.contains("joined `tea`, invited by desk"), "{joined}");
    let message = place.run_with("--home a send tea", b"hello\n").ok();
    place.write("m1", &message);
    assert_eq!(place.run("--home b receive m1").ok_text(), "desk: hello\n");
    let again = place.run("--home b receive m1").fails(1);
    assert!(again.contains("[C190]") && again.contains("what to do"), "{again}");
    // Both have one view of the group, and know it by one number.
    let number = |home: &str| place.run(&format!("--home {home} verify tea")).ok_text();
    assert_eq!(number("a"), number("b"));
}

#[test]
fn own_early_and_foreign_messages_are_refused_with_advice() {
    let place = tea("refusals", &["phone"]);
    say(&place, "desk", "mine", "m");
    assert!(place.run("--home desk receive m").fails(1).contains("this client sent the message itself"));

    place.run("--home desk update tea").ok();
    assert!(place.run("--home desk receive tea-1.commit").fails(1).contains("hushwood accept tea"));
    place.run("--home desk accept tea").ok();
    say(&place, "desk", "early", "early");
    let early = place.run("--home phone receive early").fails(1);
    assert!(early.contains("keep it and receive it after"), "{early}");
    place.run("--home phone receive tea-1.commit").ok();
    assert_eq!(place.run("--home phone receive early").ok_text(), "desk: early\n");
    // A message of the epoch before is late, not lost.
    assert_eq!(place.run("--home phone receive m").ok_text(), "desk (late, of epoch 1): mine\n");
    assert!(place.run("--home phone receive tea-1.commit").fails(1).contains("what to do: nothing"));

    homes(&place, &["pad"]);
    assert!(place.run("--home pad receive m").fails(1).contains("a group that this home does not have"));
    for (file, advice) in [("tea-0.welcome", "hushwood join"), ("pad.kp", "hushwood invite")] {
        assert!(place.run(&format!("--home phone receive {file}")).fails(1).contains(advice));
    }
    assert!(place.run("--home pad join tea-0.welcome").fails(1).contains("[C325]"));
    assert!(place.run("--home phone join tea-0.welcome --name other").fails(1).contains("what to do"));
}

#[test]
fn a_commit_takes_effect_when_it_is_accepted_or_not_at_all() {
    let place = tea("commits", &["phone"]);
    homes(&place, &["pad"]);
    let staged = place.run("--home desk invite tea pad.kp").ok_text();
    assert!(staged.contains("hushwood accept tea") && staged.contains("hushwood discard tea"), "{staged}");
    assert!(!place.path("tea-1.welcome").exists(), "no Welcome leaves before the commit is accepted");
    place.run("--home desk discard tea").ok();
    assert!(place.run("--home desk accept tea").fails(1).contains("no such commit"));

    std::fs::remove_file(place.path("tea-1.commit")).unwrap();
    place.run("--home desk invite tea pad.kp").ok();
    // Somebody else's commit is taken: ours is void.
    std::fs::create_dir(place.path("phone-out")).unwrap();
    place.run("--home phone update tea --out phone-out").ok();
    let taken = place.run("--home desk receive phone-out/tea-1.commit").ok_text();
    assert!(taken.contains("epoch 2 begun by phone") && taken.contains("is void"), "{taken}");
    assert!(place.run("--home desk accept tea").fails(1).contains("no such commit"));
    place.run("--home phone accept tea").ok();

    place.run("--home desk invite tea pad.kp").ok();
    place.run("--home phone receive tea-2.commit").ok();
    let accepted = place.run("--home desk accept tea").ok_text();
    assert!(accepted.contains("added pad") && accepted.contains("wrote tea-2.welcome"), "{accepted}");
    place.run("--home pad join tea-2.welcome").ok();
    say(&place, "pad", "all here", "m");
    for home in ["desk", "phone"] {
        assert_eq!(place.run(&format!("--home {home} receive m")).ok_text(), "pad: all here\n");
    }
}

#[test]
fn a_commit_that_was_discarded_too_early_or_comes_too_late_is_told_with_the_way_back() {
    let place = tea("discarded", &["phone"]);
    place.run("--home desk update tea").ok();
    place.run("--home desk discard tea").ok();
    place.run("--home phone receive tea-1.commit").ok();
    let own = place.run("--home desk receive tea-1.commit").fails(1);
    assert!(own.contains("has discarded it") && own.contains("--resync"), "{own}");
    let late = place.run("--home phone receive tea-1.commit").fails(1);
    assert!(late.contains("hushwood verify tea") && late.contains("--resync"), "{late}");
}

#[test]
fn nothing_is_overwritten_unless_asked_for() {
    let place = tea("overwrite", &["phone"]);
    place.write("tea-1.commit", b"something of mine");
    let refused = place.run("--home desk update tea").fails(1);
    assert!(refused.contains("tea-1.commit exists") && refused.contains("--force"), "{refused}");
    assert_eq!(place.read("tea-1.commit"), b"something of mine");
    assert_eq!(
        place.run("--home desk --json group show tea").ok_json()["staged_commits"],
        serde_json::json!([])
    );
    place.run("--home desk update tea --force").ok();
    assert_ne!(place.read("tea-1.commit"), b"something of mine");
    let left: Vec<_> = place.path(".").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn proposals_wait_and_are_committed_by_others() {
    let place = tea("proposals", &["phone", "pad"]);
    let proposal = place.run("--home pad leave tea").ok();
    place.write("bye", &proposal);
    for home in ["desk", "phone"] {
        let told = place.run(&format!("--home {home} receive bye")).ok_text();
        assert!(told.contains("pad proposes to remove pad"), "{told}");
    }
    assert!(place.run_with("--home desk send tea", b"x").fails(1).contains("commit the proposals first"));
    assert!(
        place.run("--home pad commit tea").fails(1).contains("what to do"),
        "nobody commits its own removal"
    );
    place.run("--home desk commit tea").ok();
    place.run("--home desk accept tea").ok();
    for home in ["phone", "pad"] {
        let told = place.run(&format!("--home {home} receive tea-1.commit")).ok_text();
        assert!(told.contains("removed pad"), "{told}");
    }
    let json = place.run("--home pad --json group list").ok_json();
    assert_eq!(json["groups"][0]["status"], "removed");
    assert!(place.run_with("--home pad send tea", b"x").fails(1).contains("what to do"));
    place.run("--home pad group forget tea").fails(1);
    place.run("--home pad group forget tea --yes").ok();
    assert_eq!(place.run("--home pad --json group list").ok_json()["groups"], serde_json::json!([]));
}

#[test]
fn text_from_others_is_shown_safely_and_bytes_are_not_lost() {
    let place = tea("bytes", &["phone"]);
    say(&place, "desk", "one\nphone: two\x1b[31m\n", "m1");
    let shown = place.run("--home phone receive m1").ok_text();
    assert_eq!(shown, "desk: one\n  phone: two<001B>[31m\n");

    let photo: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    place.write("photo", &photo);
    place.run("--home desk send tea photo --out m2").ok();
    let told = place.run("--home phone receive m2");
    assert!(told.stderr.contains("receive --pending --out FILE"), "{}", told.stderr);
    assert!(told.ok_text().contains("that are no text"));
    place.run("--home phone receive --pending --out saved").ok();
    assert_eq!(place.read("saved"), photo);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(place.path("saved").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(place.run("--home phone receive --pending").stderr.contains("nothing waits"));

    place.run("--home desk send tea photo --out m3 --force").ok();
    assert_eq!(place.run("--home phone receive --raw m3").ok(), photo);
    say(&place, "desk", "", "m4");
    assert_eq!(place.run("--home phone receive m4").ok_text(), "desk:\n");
}

#[test]
fn many_messages_come_in_one_file_or_in_armour() {
    let place = tea("many", &["phone"]);
    say(&place, "desk", "one", "m1");
    say(&place, "desk", "two", "m2");
    let three = place.run_with("--home desk send tea --armor", b"three").ok_text();
    assert!(three.starts_with("-----BEGIN MLS MESSAGE-----\n"));
    let both = [place.read("m2"), place.read("m1")].concat();
    assert_eq!(place.run_with("--home phone receive", &both).ok_text(), "desk: two\ndesk: one\n");
    // One bad message does not hold up the others.
    place.write("junk", b"junk");
    place.write("m3", three.as_bytes());
    let run = place.run("--home phone receive m1 junk m3");
    assert_eq!((run.code, run.text().as_str()), (1, "desk: three\n"));
    assert!(run.stderr.contains("m1: ") && run.stderr.contains("junk: "), "{}", run.stderr);
}

#[test]
fn json_says_the_same_in_a_stable_form() {
    let place = tea("json", &["phone"]);
    let sent = place.run_with("--home desk --json send tea --aad subject", b"hello").ok_json();
    let message = {
        use base64ct::Encoding;
        base64ct::Base64::decode_vec(sent["message"].as_str().unwrap()).unwrap()
    };
    let received = place.run_with("--home phone --json receive", &message).ok_json();
    let event = &received["events"][0];
    assert_eq!(event["type"], "application");
    assert_eq!((&event["group"], &event["text"]), (&"tea".into(), &"hello".into()));
    assert_eq!((&event["epoch"], &event["sender"]["name"]), (&1.into(), &"desk".into()));
    let sent = place.run_with("--home desk send tea --aad subject", b"hello").ok();
    let heard = place.run_with("--home phone receive", &sent).ok_text();
    assert_eq!(heard, "desk: hello\n  (beside it, for all to read: subject)\n");
    let run = place.run_with("--home phone --json receive", &message);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((&error["ok"], &error["error"]["class"]), (&false.into(), &"not-now".into()));
    assert_eq!(error["error"]["rows"], serde_json::json!(["C190"]));
    assert_eq!(run.code, 1);
    let result: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&result["ok"], &result["events"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(result["failures"][0], error["error"]);

    let commit = place.run("--home desk --json remove tea phone").ok_json();
    assert_eq!((&commit["commit"], &commit["applied"]), (&"tea-1.commit".into(), &false.into()));
    let accepted = place.run("--home desk --json accept tea").ok_json();
    assert_eq!(accepted["change"]["removed"][0]["name"], "phone");
}

#[test]
fn members_are_pinned_and_a_changed_key_is_refused_until_accepted() {
    let place = tea("pins", &["phone"]);
    let own = place.run("--home phone --json identity show").ok_json();
    let digits = own["safety_numbers"][0]["digits"].as_str().unwrap();
    let words = own["safety_numbers"][0]["words"].as_str().unwrap();
    let seen = place.run("--home desk --json verify tea phone").ok_json();
    assert_eq!((&seen["number"]["digits"], &seen["trust"]), (&digits.into(), &"first seen".into()));
    for number in [digits, words] {
        let mut command =
            place.command(["--home", "desk", "--json", "verify", "tea", "phone", "--number", number]);
        assert_eq!(common::run(&mut command, b"").ok_json()["trust"], "verified");
    }
    let wrong = digits.replace(|c: char| c.is_ascii_digit(), "1");
    let mut command = place.command(["--home", "desk", "verify", "tea", "phone", "--number", &wrong]);
    assert!(common::run(&mut command, b"").fails(1).contains("the numbers differ"));

    // Somebody else who calls themselves phone.
    place.run("--home thief identity new phone").ok();
    let key_package = place.run("--home thief key-package").ok();
    place.write("thief.kp", &key_package);
    let refused = place.run("--home desk invite tea thief.kp").fails(1);
    assert!(refused.contains("another key than the one known") && refused.contains("--accept"), "{refused}");
    let number = place.run("--home thief --json identity show").ok_json();
    let number = number["safety_numbers"][0]["digits"].as_str().unwrap();
    let mut command = place.command(["--home", "desk", "verify", "--accept", "phone", number]);
    common::run(&mut command, b"").ok();
    place.run("--home desk invite tea thief.kp").ok();
    place.run("--home desk accept tea").ok();
    // The other members have to make up their own minds.
    assert!(place.run("--home phone receive tea-1.commit").fails(1).contains("another key"));
    let ambiguous = place.run("--home desk remove tea phone").fails(1);
    assert!(ambiguous.contains("leaf:1, leaf:2"), "{ambiguous}");
    place.run("--home desk remove tea leaf:2").ok();
}

#[test]
fn the_epochs_secret_is_the_same_for_all_and_for_one_label() {
    let place = tea("export", &["phone"]);
    let export = |home: &str, label: &str| place.run(&format!("--home {home} export tea {label}")).ok_text();
    assert_eq!(export("desk", "backup"), export("phone", "backup"));
    assert_ne!(export("desk", "backup"), export("desk", "call"));
    assert_eq!(export("desk", "backup").trim().len(), 64);
    place.run("--home desk export tea backup --raw --length 16 --out key").ok();
    assert_eq!(place.read("key").len(), 16);
    place.run("--home desk export tea backup --length 60000").fails(1);
}

#[test]
fn a_pre_shared_key_is_mixed_in_by_whoever_has_it() {
    let place = tea("psk", &["phone", "pad"]);
    place.write("gate", &[7; 32]);
    for home in ["desk", "phone"] {
        place.run(&format!("--home {home} psk add gate gate")).ok();
    }
    let proposal = place.run("--home desk propose psk tea gate").ok();
    place.write("p", &proposal);
    for home in ["phone", "pad"] {
        assert!(
            place
                .run(&format!("--home {home} receive p"))
                .ok_text()
                .contains("mix in the pre-shared key `gate`")
        );
    }
    place.run("--home phone commit tea").ok();
    place.run("--home phone accept tea").ok();
    place.run("--home desk receive tea-1.commit").ok();
    let missing = place.run("--home pad receive tea-1.commit").fails(1);
    assert!(missing.contains("hushwood psk add gate FILE"), "{missing}");
    place.run("--home pad psk add gate gate").ok();
    place.run("--home pad receive tea-1.commit").ok();
}

#[test]
fn a_pre_shared_key_that_is_not_here_is_not_proposed_and_one_that_is_not_replaced() {
    let place = tea("psk-names", &["phone"]);
    let missing = place.run("--home desk propose psk tea gate").fails(1);
    assert!(missing.contains("`gate`") && missing.contains("hushwood psk add gate FILE"), "{missing}");
    assert!(place.run("--home desk propose psk tea --epoch 7").fails(1).contains("a key of epoch 7"));
    place.run_with("--home desk send tea", b"nothing waits for a commit").ok();
    for key in [[1; 32], [1; 32]] {
        place.run_with("--home desk psk add gate", &key).ok();
    }
    assert!(place.run_with("--home desk psk add gate", &[2; 32]).fails(1).contains("another key"));
    place.run_with("--home desk psk add gate --force", &[2; 32]).ok();
    place.run("--home desk propose psk tea --epoch 1").ok();
}

#[test]
fn a_group_with_an_external_sender_is_reinitialised_to_another_signature_scheme() {
    let place = tea("senders", &["phone"]);
    homes(&place, &["bot"]);
    let commit = |command: &str, epoch: u64| {
        let proposal = place.run(&format!("--home desk {command}")).ok();
        place.run_with("--home phone receive", &proposal).ok();
        place.run("--home phone commit tea").ok();
        place.run("--home phone accept tea").ok();
        place.run(&format!("--home desk receive tea-{epoch}.commit")).ok();
    };
    commit("propose context tea --external-sender bot.kp", 1);
    commit("propose reinit tea --suite 7", 2);
    let package = place.run("--home phone key-package --suite 7").ok();
    place.write("phone7.kp", &package);
    place.run("--home desk reinit tea tea2 phone7.kp").ok();
    place.run("--home phone join tea2-0.welcome").ok();
}

#[test]
fn groups_of_every_suite_with_public_handshakes_and_trees_apart() {
    let place = Place::with_key_file("suites");
    place.run("--home a identity new a").ok();
    place.run("--home b identity new b").ok();
    for suite in 1..=7 {
        let package = place.run(&format!("--home b key-package --suite {suite}")).ok();
        place.write("b.kp", &package);
        let name = format!("g{suite}");
        let options = "--handshakes public --trees apart --padding 64";
        place.run(&format!("--home a group create {name} --suite {suite} {options}")).ok();
        place.run(&format!("--home a invite {name} b.kp")).ok();
        assert!(place.run(&format!("--home b join {name}-0.welcome")).fails(1).contains("--tree"));
        place.run(&format!("--home b join {name}-0.welcome --tree {name}-0.tree")).ok();
        let update = place.run(&format!("--home a --json update {name}")).ok_json();
        assert_eq!(update["commit"], format!("{name}-1.commit"));
        assert!(place.run(&format!("inspect {name}-1.commit")).ok_text().contains("mls_public_message"));
        place.run(&format!("--home a accept {name}")).ok();
        place.run(&format!("--home b receive {name}-1.commit")).ok();
        let message = place.run_with(&format!("--home b send {name}"), b"hi").ok();
        assert_eq!(place.run_with("--home a receive", &message).ok_text(), "b: hi\n");
    }
}

#[test]
fn others_let_themselves_in_from_outside_and_come_back_after_a_loss() {
    let place = tea("outside", &["phone"]);
    homes(&place, &["pad"]);
    let info = place.run("--home desk group-info tea").ok();
    place.write("tea.info", &info);
    let inspected = place.run("inspect tea.info").ok_text();
    for check in ["signature: valid", "its parent hashes: valid", "signatures of the leaves: valid"] {
        assert!(inspected.contains(check), "{check} is not in\n{inspected}");
    }
    let joined = place.run("--home pad join tea.info").ok_text();
    assert!(joined.contains("wrote tea-1.commit") && joined.contains("epoch 2"), "{joined}");
    for home in ["desk", "phone"] {
        let told = place.run(&format!("--home {home} receive tea-1.commit")).ok_text();
        assert!(told.contains("begun by pad") && told.contains("first seen: pad"), "{told}");
    }
    say(&place, "pad", "here", "m");
    assert_eq!(place.run("--home desk receive m").ok_text(), "pad: here\n");

    // The group goes on without pad, who then finds the way back.
    place.run("--home desk update tea --out . --force").ok();
    place.run("--home phone receive tea-2.commit").ok();
    place.run("--home desk accept tea").ok();
    let info = place.run("--home phone group-info tea --no-tree --tree-to tea.tree").ok();
    place.write("again.info", &info);
    let missing = place.run("--home pad join again.info --resync --name tea").fails(1);
    assert!(missing.contains("--tree"), "{missing}");
    place.run("--home pad join again.info --resync --name tea --tree tea.tree").ok();
    for home in ["desk", "phone"] {
        place.run(&format!("--home {home} receive tea-3.commit")).ok();
    }
    let members = place.run("--home desk --json group members tea").ok_json();
    assert_eq!(members["members"].as_array().unwrap().len(), 3, "pad is there once");
    say(&place, "desk", "welcome back", "m2");
    assert_eq!(place.run("--home pad receive m2").ok_text(), "desk: welcome back\n");

    let info = place.run("--home desk group-info tea --no-join").ok();
    place.write("look.info", &info);
    place.run("--home pad join look.info --name other").fails(1);
}

#[test]
fn who_comes_back_finds_the_group_under_its_name() {
    let place = tea("back", &["phone", "pad"]);
    // By a Welcome, after a removal.
    place.run("--home desk remove tea phone").ok();
    place.run("--home desk accept tea").ok();
    let told = place.run("--home phone receive tea-1.commit").ok_text();
    assert!(told.contains("you have been removed"), "{told}");
    place.run("--home pad receive tea-1.commit").ok();
    let refused = place.run_with("--home phone send tea", b"x").fails(1);
    assert!(refused.contains("you were removed from `tea`") && refused.contains("key-package"), "{refused}");
    let package = place.run("--home phone key-package").ok();
    place.write("phone.kp", &package);
    place.run("--home desk invite tea phone.kp").ok();
    place.run("--home desk accept tea").ok();
    place.run("--home pad receive tea-2.commit").ok();
    place.run("--home phone join tea-2.welcome").ok();
    let again = place.run("--home phone join tea-2.welcome").fails(1);
    assert!(again.contains("nothing, if you have joined by it"), "{again}");

    // From outside, whatever the file is called: the old state goes, its name stays.
    let info = place.run("--home desk group-info tea").ok();
    place.write("fresh", &info);
    let refused = place.run("--home phone join fresh").fails(1);
    assert!(refused.contains("`tea`") && refused.contains("--resync"), "{refused}");
    place.run("--home phone join fresh --resync").ok();
    let groups = place.run("--home phone --json group list").ok_json();
    let names: Vec<_> = groups["groups"].as_array().unwrap().iter().map(|group| &group["group"]).collect();
    assert_eq!(names, ["tea"]);
    let told = place.run("--home desk receive tea-3.commit").ok_text();
    assert!(told.contains("phone has joined from outside again") && !told.contains("removed"), "{told}");
    place.run("--home pad receive tea-3.commit").ok();
    say(&place, "phone", "here I am", "m");
    assert_eq!(place.run("--home pad receive m").ok_text(), "phone: here I am\n");
}

#[test]
fn a_state_is_not_given_up_for_a_new_one_while_it_has_messages_that_nobody_saw() {
    let place = tea("unseen", &["phone"]);
    place.write("photo", &[0xff; 100]);
    place.run("--home desk send tea photo --out m").ok();
    place.run("--home phone receive m").ok();
    let info = place.run("--home desk group-info tea").ok();
    place.write("fresh", &info);
    let refused = place.run("--home phone join fresh --resync").fails(1);
    assert!(refused.contains("receive --pending"), "{refused}");
    assert!(!place.path("tea-1.commit").exists());
    place.run("--home phone receive --pending --out saved").ok();
    place.run("--home phone join fresh --resync").ok();
}

#[test]
fn a_commit_that_waits_is_not_overwritten_by_another() {
    let place = tea("waiting", &["phone"]);
    place.run("--home desk update tea").ok();
    let refused = place.run("--home desk update tea --force").fails(1);
    assert!(refused.contains("tea-1.commit is a commit of yours that waits"), "{refused}");
    std::fs::create_dir(place.path("second")).unwrap();
    let told = place.run("--home desk update tea --out second").ok_text();
    assert!(told.contains("1 commit of yours waits"), "{told}");
    let refused = place.run("--home desk accept tea").fails(1);
    let staged = place.run("--home desk --json group show tea").ok_json()["staged_commits"].clone();
    let ids: Vec<_> = staged.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| refused.contains(id)), "{refused}");
    // One can be meant by its file, or by its id where the file is gone.
    place.run("--home desk discard tea second/tea-1.commit").ok();
    let left = place.run("--home desk --json group show tea").ok_json()["staged_commits"].clone();
    place.run(&format!("--home desk accept tea {}", left[0].as_str().unwrap())).ok();
    let told = place.run("--home phone receive tea-1.commit").ok_text();
    assert_eq!(told, "* tea: epoch 2 begun by desk\n  new keys of desk\n");
}

#[test]
fn two_who_were_led_apart_are_told_how_to_find_out() {
    let place = tea("apart", &["phone"]);
    std::fs::create_dir(place.path("other")).unwrap();
    for (home, folder) in [("desk", "."), ("phone", "other")] {
        place.run(&format!("--home {home} update tea --out {folder}")).ok();
        place.run(&format!("--home {home} accept tea")).ok();
    }
    say(&place, "desk", "hello?", "m");
    let refused = place.run("--home phone receive m").fails(1);
    assert!(refused.contains("hushwood verify tea") && refused.contains("--resync"), "{refused}");
}

#[test]
fn it_is_said_whose_welcome_is_whose() {
    let place = Place::with_key_file("whose");
    homes(&place, &["desk", "phone", "pad"]);
    place.run("--home desk group create tea").ok();
    let told = place.run("--home desk invite tea phone.kp pad.kp --each").ok_text();
    assert!(told.contains("wrote tea-0.1.welcome, for phone to join with"), "{told}");
    assert!(told.contains("wrote tea-0.2.welcome, for pad to join with"), "{told}");
    place.run("--home phone join tea-0.1.welcome").ok();
    place.run("--home pad join tea-0.2.welcome").ok();
}

#[test]
fn a_reinitialised_group_goes_on_with_all_its_members_or_not_at_all() {
    let place = tea("whole", &["phone", "pad"]);
    let proposal = place.run("--home desk propose reinit tea --suite 3").ok();
    place.write("p", &proposal);
    for home in ["phone", "pad"] {
        place.run(&format!("--home {home} receive p")).ok();
    }
    place.run("--home phone commit tea").ok();
    place.run("--home phone accept tea").ok();
    let told = place.run("--home desk receive tea-1.commit").ok_text();
    assert!(told.contains("hushwood key-package --suite 3"), "{told}");
    let shown = place.run("--home desk group show tea").ok_text();
    assert!(shown.contains("hushwood reinit tea NEWNAME KEYPACKAGE"), "{shown}");
    for home in ["phone", "pad"] {
        for suite in ["1", "3"] {
            let package = place.run(&format!("--home {home} key-package --suite {suite}")).ok();
            place.write(&format!("{home}{suite}"), &package);
        }
    }
    let refused = place.run("--home desk reinit tea tea2 phone3 pad1").fails(1);
    assert!(
        refused.contains("the key package of pad is not for") && refused.contains("--suite 3"),
        "{refused}"
    );
    let refused = place.run("--home desk reinit tea tea2 phone3").fails(1);
    assert!(refused.contains("there is no key package of pad"), "{refused}");
    place.run("--home desk reinit tea tea2 phone3 pad3").ok();
    place.run("--home phone join tea2-0.welcome").ok();
    let refused = place.run("--home pad join tea2-0.welcome").fails(1);
    assert!(refused.contains("first receive the commits that lead there"), "{refused}");
    place.run("--home pad receive tea-1.commit").ok();
    place.run("--home pad join tea2-0.welcome").ok();
}

#[test]
fn the_keys_that_were_added_are_listed_and_erased() {
    let place = Place::with_key_file("psk-list");
    homes(&place, &["desk"]);
    assert!(place.run("--home desk psk list").ok_text().contains("no keys"));
    place.run_with("--home desk psk add gate", &[7; 32]).ok();
    assert_eq!(place.run("--home desk psk list").ok_text(), "gate\n");
    assert_eq!(place.run("--home desk --json psk list").ok_json()["psks"], serde_json::json!(["gate"]));
    place.run("--home desk psk remove gate").ok();
    assert!(place.run("--home desk psk remove gate").fails(1).contains("psk list"));
    assert!(place.run("--home desk psk list").ok_text().contains("no keys"));
}

#[test]
fn a_change_of_the_groups_extensions_says_which() {
    let place = tea("extensions", &["phone", "bot"]);
    let change = |arguments: &str, epoch: u64| {
        let proposal = place.run(&format!("--home desk propose context tea {arguments}")).ok();
        let told = place.run_with("--home phone receive", &proposal).ok_text();
        place.run_with("--home bot receive", &proposal).ok();
        place.run("--home phone commit tea").ok();
        place.run("--home phone accept tea").ok();
        for home in ["desk", "bot"] {
            place.run(&format!("--home {home} receive tea-{epoch}.commit")).ok();
        }
        told
    };
    let told = change("--external-sender bot.kp", 1);
    assert!(told.contains("change the group's extensions (set external_senders)"), "{told}");
    let told = change("--unset external_senders", 2);
    assert!(told.contains("change the group's extensions (remove external_senders)"), "{told}");
}

#[test]
fn a_branch_and_a_reinitialisation_to_another_suite_follow_the_group() {
    let place = tea("successors", &["phone"]);
    let package = place.run("--home phone key-package").ok();
    place.write("phone.kp", &package);
    let told = place.run("--home desk branch tea cake phone.kp").ok_text();
    assert!(told.contains("`cake` follows `tea`") && told.contains("wrote cake-0.welcome"), "{told}");
    place.run("--home phone join cake-0.welcome").ok();
    let message = place.run_with("--home phone send cake", b"crumbs").ok();
    assert_eq!(place.run_with("--home desk receive", &message).ok_text(), "phone: crumbs\n");
    homes(&place, &["stranger"]);
    assert!(
        place.run("--home desk branch tea other stranger.kp").fails(1).contains("must be made from members")
    );

    assert!(place.run("--home desk reinit tea tea2 phone.kp").fails(1).contains("what to do"));
    let proposal = place.run("--home desk propose reinit tea --suite 7").ok();
    place.write("p", &proposal);
    place.run("--home phone receive p").ok();
    let committed = place.run("--home phone commit tea").ok_text();
    assert!(committed.contains("wrote tea-1.commit"), "{committed}");
    place.run("--home phone accept tea").ok();
    let told = place.run("--home desk receive tea-1.commit").ok_text();
    assert!(told.contains("the group has ended"), "{told}");
    assert!(place.run_with("--home desk send tea", b"x").fails(1).contains("what to do"));
    let package = place.run("--home phone key-package --suite 7").ok();
    place.write("phone7.kp", &package);
    place.run("--home desk reinit tea tea2 phone7.kp").ok();
    place.run("--home phone join tea2-0.welcome").ok();
    let message = place.run_with("--home desk send tea2", b"stronger").ok();
    assert_eq!(place.run_with("--home phone receive", &message).ok_text(), "desk: stronger\n");
    let shown = place.run("--home phone group show tea2").ok_text();
    assert!(shown.contains("MLS_256_DHKEMP384"), "{shown}");
}

#[test]
fn a_group_is_renamed_and_its_settings_are_changed() {
    let place = tea("settings", &["phone"]);
    place.run("--home desk group rename tea kitchen").ok();
    assert!(place.run("--home desk group show tea").fails(1).contains("there is no group `tea` here"));
    place.run("--home desk group set kitchen --padding none --handshakes public").ok();
    let shown = place.run("--home desk group show kitchen").ok_text();
    assert!(shown.contains("handshakes public, padding none, trees inside"), "{shown}");
    let json = place.run("--home desk --json group show kitchen").ok_json();
    assert_eq!(json["settings"]["padding"], "none");
    place.run("--home desk group set kitchen").fails(2);
    place.run("--home desk group create kitchen").fails(1);
    place.run("--home desk group create ../kitchen").fails(2);
    place.run("--home desk update kitchen").ok();
    assert!(place.run("inspect kitchen-1.commit").ok_text().contains("sender: member, leaf 0"));
    place.run("--home phone receive kitchen-1.commit").ok();
}

#[test]
fn messages_go_up_to_the_limit_and_no_further() {
    let place = tea("size", &["phone"]);
    let limit = vec![b'x'; 16 << 20];
    let message = place.run_with("--home desk send tea", &limit).ok();
    assert_eq!(place.run_with("--home phone receive --raw", &message).ok(), limit);
    let refused = place.run_with("--home desk send tea", &vec![b'x'; (16 << 20) + 1]).fails(1);
    assert!(refused.contains("send it in parts"), "{refused}");
}
