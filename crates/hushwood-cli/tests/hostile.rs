//! Names, files and texts that somebody else has chosen: they are shown, and do nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Place, run};

/// `desk` has a group `tea` with whoever is called `name`, at home in `other`.
fn tea_with(test: &str, name: &str) -> Place {
    let place = Place::with_key_file(test);
    place.run("--home desk identity new desk").ok();
    run(&mut place.command(["--home", "other", "identity", "new", name]), b"").ok();
    place.run("--home other key-package --out other.kp").ok();
    place.run("--home desk group create tea").ok();
    place.run("--home desk invite tea other.kp").ok();
    place.run("--home other join tea-0.welcome").ok();
    place
}

#[cfg(unix)]
#[test]
fn file_names_do_not_reach_the_terminal_as_they_are() {
    let place = tea_with("files", "phone");
    let message = place.run_with("--home desk send tea", b"hello").ok();
    place.write("m\u{1b}[2J\u{9b}1m", &message);
    let receive = || run(&mut place.command(["--home", "other", "receive", "m\u{1b}[2J\u{9b}1m"]), b"");
    receive().ok();
    let refused = receive().fails(1);
    assert!(refused.starts_with("hushwood: m<001B>[2J<009B>1m: not now"), "{refused}");
    let made = run(&mut place.command(["--home", "desk", "key-package", "--out", "k\u{1b}c"]), b"").ok_text();
    assert!(made.contains("wrote k<001B>c"), "{made}");
    let usage = run(&mut place.command(["--home", "desk", "receive", "--\u{1b}c"]), b"").fails(2);
    assert!(!usage.contains('\u{1b}'), "{usage:?}");
    let json = run(&mut place.command(["--json", "inspect", "no\u{7f}\u{9b}1m"]), b"").fails(1);
    assert!(json.contains(r"no\u007f\u009b1m"), "{json:?}");
}

#[test]
fn nobody_writes_what_looks_like_an_event_or_like_words_of_others() {
    let fake = b"epoch 2 begun by desk\n  removed desk";
    for (name, shown) in [("tea", "tea: "), ("* tea", "<002A> tea: "), ("desk: hello", "desk<003A> hello: ")]
    {
        let place = tea_with("event", name);
        let message = place.run_with("--home other send tea", fake).ok();
        let heard = place.run_with("--home desk receive", &message).ok_text();
        assert_eq!(heard, format!("{shown}epoch 2 begun by desk\n    removed desk\n"));
        place.run("--home other update tea").ok();
        let event = place.run("--home desk receive tea-1.commit").ok_text();
        assert!(event.starts_with("* tea: epoch 2 begun by"), "{event}");
    }
}

#[test]
fn what_is_advised_can_be_copied_whatever_a_group_is_called() {
    let place = tea_with("advice", "phone");
    let group = "$(touch pwned)";
    run(&mut place.command(["--home", "desk", "group", "rename", "tea", group]), b"").ok();
    let made = run(&mut place.command(["--home", "desk", "update", group]), b"").ok_text();
    assert!(made.contains("hushwood accept '$(touch pwned)'\n"), "{made}");
    for hidden in ["a\u{202e}b", "a\u{200b}b"] {
        run(&mut place.command(["--home", "desk", "group", "create", hidden]), b"").fails(2);
    }
}

#[test]
fn the_way_to_accept_a_changed_key_can_be_copied_whatever_a_member_is_called() {
    for (name, word) in [("d'; x", r"'d'\''; x'"), ("a\u{200b}b", "0x61e2808b62"), ("0xff", "0x30786666")] {
        let place = tea_with("accept", name);
        run(&mut place.command(["--home", "thief", "identity", "new", name]), b"").ok();
        place.run("--home thief key-package --out thief.kp").ok();
        let refused = place.run("--home desk invite tea thief.kp").fails(1);
        let (_, advice) = refused.split_once("`hushwood verify --accept ").unwrap();
        let (advised, number) = advice.split_once(" '").unwrap();
        assert_eq!(advised, word);
        let number = number.split('\'').next().unwrap();
        let who = if word.starts_with("0x") { word } else { name };
        run(&mut place.command(["--home", "desk", "verify", "--accept", who, number]), b"").ok();
        place.run("--home desk invite tea thief.kp").ok();
    }
}

#[test]
fn a_file_that_can_not_be_read_does_not_keep_others_from_being_received() {
    let place = tea_with("folder", "phone");
    std::fs::create_dir(place.path("inbox")).unwrap();
    let message = place.run_with("--home desk send tea", b"hello").ok();
    place.write("m1", &message);
    place.write("broken", b"-----BEGIN MLS MESSAGE-----\n!");
    let received = place.run("--home other receive inbox nowhere broken m1");
    assert_eq!(received.text(), "desk: hello\n");
    let told = received.fails(1);
    for name in ["inbox", "nowhere", "broken"] {
        assert!(told.contains(name), "{name}: {told}");
    }
}

#[cfg(unix)]
#[test]
fn only_files_are_overwritten() {
    let place = Place::with_key_file("overwrite");
    place.run("--home desk identity new desk").ok();
    place.write("file", b"precious");
    std::os::unix::fs::symlink("file", place.path("link")).unwrap();
    std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for taken in ["link", "socket"] {
        let refused = place.run(&format!("--home desk key-package --out {taken} --force")).fails(1);
        assert!(refused.contains("is no file that could be overwritten"), "{refused}");
    }
    assert_eq!(place.read("file"), b"precious");
    place.run("--home desk key-package --out file --force").ok();
    assert_ne!(place.read("file"), b"precious");
}
