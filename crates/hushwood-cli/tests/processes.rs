//! Several processes on one home, and processes that end in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::process::Stdio;

use common::Place;

/// Two homes with a group `tea`.
fn pair(test: &str) -> Place {
    let place = Place::with_key_file(test);
    place.run("--home a identity new a").ok();
    place.run("--home b identity new b").ok();
    let package = place.run("--home b key-package").ok();
    place.write("b.kp", &package);
    place.run("--home a group create tea").ok();
    place.run("--home a invite tea b.kp").ok();
    place.run("--home b join tea-0.welcome").ok();
    place
}

#[test]
fn processes_that_send_at_once_all_succeed_and_no_key_is_used_twice() {
    const COUNT: usize = 12;
    let place = pair("senders");
    let senders: Vec<_> = (0..COUNT)
        .map(|number| {
            let mut command = place.command(["--home", "a", "send", "tea"]);
            let mut child = command.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{number}").as_bytes())
                .unwrap();
            child
        })
        .collect();
    let mut messages = Vec::new();
    for sender in senders {
        let output = sender.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        messages.push(output.stdout);
    }
    // And as many processes receive them at once.
    let receivers: Vec<_> = messages
        .iter()
        .map(|message| {
            let mut child = place.command(["--home", "b", "receive"]).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), message).unwrap();
            child
        })
        .collect();
    let mut heard = BTreeSet::new();
    for receiver in receivers {
        let output = receiver.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        heard.insert(String::from_utf8(output.stdout).unwrap());
    }
    let said: BTreeSet<_> = (0..COUNT).map(|number| format!("a: {number}\n")).collect();
    assert_eq!(heard, said);
}

#[test]
fn processes_that_receive_the_same_at_once_show_it_once() {
    let place = pair("receivers");
    for round in 0..4 {
        let message = place.run_with("--home a send tea", format!("{round}").as_bytes()).ok();
        place.write("m", &message);
        let receivers: Vec<_> =
            (0..4).map(|_| place.command(["--home", "b", "receive", "m"]).spawn().unwrap()).collect();
        let runs: Vec<_> = receivers.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let (heard, refused): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.status.success());
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].stdout, format!("a: {round}\n").into_bytes());
        for run in refused {
            assert_eq!((run.status.code(), run.stdout.as_slice()), (Some(1), &b""[..]));
            assert!(String::from_utf8_lossy(&run.stderr).contains("[C190]"));
        }
    }
}

#[test]
fn names_and_groups_made_at_once_are_all_there() {
    let place = pair("creators");
    let creators: Vec<_> = (0..6)
        .map(|number| {
            place.command(["--home", "a", "group", "create", &format!("g{number}")]).spawn().unwrap()
        })
        .collect();
    for creator in creators {
        assert!(creator.wait_with_output().unwrap().status.success());
    }
    let groups = place.run("--home a --json group list").ok_json();
    assert_eq!(groups["groups"].as_array().unwrap().len(), 7);
    // One name is given once.
    let racers: Vec<_> =
        (0..4).map(|_| place.command(["--home", "a", "group", "create", "one"]).spawn().unwrap()).collect();
    let codes = racers.into_iter().map(|racer| racer.wait_with_output().unwrap().status.code().unwrap());
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 1, 1]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_could_not_be_shown_or_written_is_kept() {
    let place = pair("full");
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());

    let mut send = place.command(["--home", "a", "send", "tea"]);
    let run = common::run(send.stdout(full()), b"precious");
    let told = run.fails(1);
    assert!(told.contains("No space left") && told.contains("hushwood resend tea"), "{told}");
    assert!(place.run("--home a group show tea").ok_text().contains("1 message not delivered"));
    let json = place.run("--home a --json resend tea").ok_json();
    let file = json["files"][0].as_str().unwrap();
    assert!(place.run("--home a resend tea").ok_text().contains("nothing waits"));

    let mut receive = place.command(["--home", "b", "receive", file]);
    let run = common::run(receive.stdout(full()), b"");
    assert!(run.fails(1).contains("No space left"));
    assert!(place.run(&format!("--home b receive {file}")).fails(1).contains("[C190]"));
    assert_eq!(place.run("--home b receive --pending").ok_text(), "a: precious\n");
    assert_eq!(place.run("--home b receive --pending").ok_text(), "");

    let json = place.run_with("--home a --json send tea", b"again").ok_json();
    let message = {
        use base64ct::Encoding;
        base64ct::Base64::decode_vec(json["message"].as_str().unwrap()).unwrap()
    };
    let mut receive = place.command(["--home", "b", "--json", "receive"]);
    common::run(receive.stdout(full()), &message).fails(1);
    let again = place.run("--home b --json receive --pending").ok_json();
    assert_eq!(again["events"][0]["text"], "again");
}

#[test]
fn a_process_that_is_killed_leaves_a_group_that_goes_on() {
    let place = pair("killed");
    for round in 0..8 {
        let mut child = place.command(["--home", "a", "send", "tea"]).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"x").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round * 7));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let json = place.run("--home a --json resend tea").ok_json();
    for file in json["files"].as_array().unwrap() {
        assert_eq!(place.run(&format!("--home b receive {}", file.as_str().unwrap())).ok_text(), "a: x\n");
    }
    let message = place.run_with("--home a send tea", b"alive").ok();
    assert_eq!(place.run_with("--home b receive", &message).ok_text(), "a: alive\n");
}
