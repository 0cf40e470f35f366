//! The home: who may read it, what opens it, and what happens when it is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Place, run};

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn an_identity_is_made_and_shown() {
    let place = Place::new("identity");
    let made = place.run("--home a identity new desk").ok_text();
    assert!(made.starts_with("desk, at home in a\n") && made.contains("safety number (Ed25519):"), "{made}");
    assert_eq!(place.run("--home a identity show").ok_text(), made);
    let json = place.run("--home a --json identity show").ok_json();
    assert_eq!(json["name"], "desk");
    let numbers = json["safety_numbers"].as_array().unwrap();
    assert_eq!(numbers.len(), 5, "one for each signature scheme");
    assert_eq!(numbers[0]["digits"].as_str().unwrap().len(), 71);
    assert_eq!(numbers[0]["words"].as_str().unwrap().split(' ').count(), 16);
    let all = place.run("--home a identity show --all").ok_text();
    assert!(["Ed25519", "P256", "Ed448", "P521", "P384"].iter().all(|scheme| all.contains(scheme)));
}

#[cfg(unix)]
#[test]
fn the_home_is_for_its_owner_alone() {
    let place = Place::new("mode");
    place.run("--home a/b identity new desk").ok();
    assert_eq!(mode(&place.path("a/b")), 0o700);
    for entry in place.path("a/b").read_dir().unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(place.path("a/b"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = place.run("--home a/b identity show");
    assert!(run.stderr.contains("was open to others"), "{}", run.stderr);
    run.ok();
    assert_eq!(mode(&place.path("a/b")), 0o700);
}

#[test]
fn a_home_is_where_the_platform_keeps_data() {
    let place = Place::new("default");
    place.run("identity new desk").ok();
    #[cfg(target_os = "linux")]
    assert!(place.path(".local/share/hushwood/hushwood.db").exists());
    let mut elsewhere = place.command(["identity", "new", "pad"]);
    run(elsewhere.env("XDG_DATA_HOME", place.path("data")), b"").ok();
    assert!(place.path("data/hushwood/hushwood.db").exists());
    let mut named = place.command(["identity", "new", "phone"]);
    run(named.env("HUSHWOOD_HOME", place.path("phone")), b"").ok();
    assert!(place.path("phone/hushwood.db").exists());
}

#[test]
fn a_wrong_or_missing_key_is_3_and_says_the_way_out() {
    let place = Place::new("locked");
    place.run("--home a identity new desk").ok();
    let mut wrong = place.command(["--home", "a", "identity", "show"]);
    let error = run(wrong.env("HUSHWOOD_PASSPHRASE", "wrong horse"), b"").fails(3);
    assert!(error.contains("does not open this store") && error.contains("what to do"), "{error}");
    let json =
        run(place.command(["--home", "a", "--json", "identity", "show"]).env("HUSHWOOD_PASSPHRASE", ""), b"");
    let json: serde_json::Value = serde_json::from_str(&json.fails(3)).unwrap();
    assert_eq!(json["error"]["class"], "locked");
    let error = place.run("--home a --key-file none identity show").fails(3);
    assert!(error.contains("can't read none"), "{error}");
    place.write("short.key", b"too short");
    assert!(
        place.run("--home a --key-file short.key identity show").fails(3).contains("shorter than 32 bytes")
    );
}

#[cfg(unix)]
#[test]
fn without_a_terminal_nobody_is_asked() {
    let place = Place::new("terminal");
    place.run("--home a identity new desk").ok();
    // In a session of its own there is no terminal to ask on.
    let mut command = std::process::Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_hushwood")).args(["--home", "a", "identity", "show"]);
    command.current_dir(place.path(".")).env_remove("HUSHWOOD_PASSPHRASE");
    let Ok(output) = command.output() else { return };
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("HUSHWOOD_PASSPHRASE") && error.contains("--key-file"), "{error}");
}

#[test]
fn a_key_file_is_made_and_opens() {
    let place = Place::new("key-file");
    place.run("--home a --key-file a.key identity new desk").ok();
    assert_eq!(place.read("a.key").len(), 65);
    #[cfg(unix)]
    assert_eq!(mode(&place.path("a.key")), 0o600);
    place.run("--home a --key-file a.key identity show").ok();
    // A passphrase does not.
    place.run("--home a identity show").fails(3);
    // A transfer has changed the end of the line.
    let key = place.read("a.key");
    place.write("b.key", &[&key[..64], b"\r\n"].concat());
    let shown = place.run("--home a --key-file b.key identity show");
    #[cfg(unix)]
    assert!(shown.stderr.contains("chmod 600 b.key"), "{}", shown.stderr);
    shown.ok();
}

#[test]
fn a_key_comes_from_standard_input_as_well() {
    let place = Place::new("key-stdin");
    place.run_with("--home a --key-file - identity new desk", &[b'k'; 32]).ok();
    assert!(!place.path("-").exists());
    place.run_with("--home a --key-file - identity show", &[b'k'; 32]).ok();
    place.run_with("--home a --key-file - identity show", &[b'l'; 32]).fails(3);
}

#[test]
fn variables_that_are_empty_are_as_if_they_were_not_there() {
    let place = Place::new("empty");
    let mut new = place.command(["identity", "new", "desk"]);
    run(new.env("HUSHWOOD_HOME", "").env("HUSHWOOD_KEY_FILE", "").env("XDG_DATA_HOME", ""), b"").ok();
    #[cfg(target_os = "linux")]
    assert!(place.path(".local/share/hushwood/hushwood.db").exists());
    let error = run(place.command(["identity", "show"]).env("HUSHWOOD_PASSPHRASE", ""), b"").fails(3);
    assert!(error.contains("HUSHWOOD_PASSPHRASE is empty") && error.contains("what to do"), "{error}");
}

#[test]
fn a_home_that_is_not_there_or_not_empty_is_refused() {
    let place = Place::new("nowhere");
    let error = place.run("--home a identity show").fails(1);
    assert!(error.contains("there is no home in a") && error.contains("identity new"), "{error}");
    place.run("--home a identity new desk").ok();
    assert!(place.run("--home a identity new desk").fails(1).contains("already"));
    std::fs::create_dir(place.path("full")).unwrap();
    place.write("full/file", b"");
    assert!(place.run("--home full identity new desk").fails(1).contains("not empty"));
    place.write("a/hushwood.db", b"something else, and longer than a header of SQLite");
    let damaged = place.run("--home a identity show").fails(1);
    assert!(damaged.contains("not a store") && damaged.contains("--resync"), "{damaged}");
}

#[cfg(unix)]
#[test]
fn a_home_is_made_whole_or_not_at_all() {
    let place = Place::new("whole");
    // As if the disk were full: nothing longer than a few KiB can be written.
    let program = env!("CARGO_BIN_EXE_hushwood");
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f 4; {program} --home a identity new desk"));
    shell.current_dir(place.path(".")).env("HUSHWOOD_PASSPHRASE", "correct horse");
    assert_eq!(shell.output().unwrap().status.code(), Some(1));
    assert!(!place.path("a").exists());
    // As if it had been killed: what it has left behind is in nobody's way.
    std::fs::create_dir(place.path("a")).unwrap();
    place.write("a/.new-0123456789abcdef", b"");
    place.run("--home a identity new desk").ok();
    let names = place.path("a").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["hushwood.db"]);
    place.run("--home a identity show").ok();
}

#[test]
fn another_passphrase_opens_and_the_old_one_does_not_any_more() {
    let place = Place::new("change");
    place.run("--home a identity new desk").ok();
    let mut change = place.command(["--home", "a", "identity", "unlock"]);
    run(change.env("HUSHWOOD_NEW_PASSPHRASE", "staple battery"), b"").ok();
    place.run("--home a identity show").fails(3);
    let mut show = place.command(["--home", "a", "identity", "unlock", "--new-key-file", "a.key"]);
    run(show.env("HUSHWOOD_PASSPHRASE", "staple battery"), b"").ok();
    place.run("--home a --key-file a.key identity show").ok();
}
