//! `hushwood serve`: it is ready by itself, says how it is reached, and stops when it is told to.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command};
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

/// A server that runs.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    ready: String,
}

impl Server {
    fn start(place: &Place, words: &str) -> Self {
        let mut child = place.command(format!("serve --port 0 {words}").split_whitespace()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        assert!(!ready.is_empty(), "{}", rest(child.stderr.as_mut().unwrap()));
        Self { child, stdout, ready }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.ready).unwrap()
    }

    /// What it says to its end, and how it ends.
    fn stop(mut self, signal: &str) -> (i32, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        assert_eq!(rest(&mut self.stdout), "", "one line on standard output, no more");
        (code, rest(self.child.stderr.as_mut().unwrap()))
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rest(from: &mut impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    rest(&mut socket)
}

#[test]
fn it_needs_no_option_and_keeps_its_certificate() {
    let place = Place::new("serve");
    let server = Server::start(&place, "");
    let words: Vec<_> = server.ready.split_whitespace().collect();
    let ["ready", address, "name=localhost", fingerprint] = words[..] else { panic!("{}", server.ready) };
    let address = address.strip_prefix("address=").unwrap();
    let fingerprint = fingerprint.strip_prefix("fingerprint=").unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"));
    assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(TcpStream::connect(address).is_ok());
    let data = place.path(".local/share/hushwood-server");
    assert!(data.join("delivery.db").exists() && data.join("server.key").exists());
    let mode = std::fs::metadata(&data).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
    let (code, said) = server.stop("-TERM");
    assert_eq!(code, 0, "{said}");
    for part in ["https://127.0.0.1:", &fingerprint, "stopping", "stopped"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let again = Server::start(&place, "--json");
    assert_eq!(again.json()["fingerprint"], fingerprint);
    assert_eq!(again.stop("-INT").0, 0);
}

#[test]
fn behind_a_proxy_and_for_the_operator_it_speaks_plainly() {
    let place = Place::new("serve-plain");
    let begun = Instant::now();
    let server = Server::start(
        &place,
        "--json --log debug --plain --forwarded --admin 127.0.0.1:0 --data data --name chat.example",
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    let json = server.json();
    assert_eq!((&json["ok"], &json["command"]), (&true.into(), &"serve".into()));
    assert_eq!((&json["name"], &json["fingerprint"]), (&"chat.example".into(), &Value::Null));
    let (address, admin) = (json["address"].as_str().unwrap(), json["admin"].as_str().unwrap());
    assert!(get(address, "/health").ends_with("{\"status\":\"ok\"}\n"));
    assert!(get(admin, "/metrics").contains("hushwood_connections"));
    assert!(get(address, "/metrics").starts_with("HTTP/1.1 404"));
    let mut socket = TcpStream::connect(address).unwrap();
    let head = "POST /v1/challenge HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n";
    write!(socket, "{head}content-type: application/hushwood-delivery\r\n\r\n").unwrap();
    let mut challenge = Vec::new();
    socket.read_to_end(&mut challenge).unwrap();
    assert!(challenge.starts_with(b"HTTP/1.1 200"));
    let (code, said) = server.stop("-TERM");
    assert_eq!(code, 0);
    assert!(
        said.contains("Challenge") && !said.contains("127.0.0.1"),
        "what was asked, and not from where:\n{said}"
    );
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string(), "{line}");
    }
}

#[test]
fn two_servers_do_not_share_a_folder_or_an_address() {
    let place = Place::new("serve-twice");
    let server = Server::start(&place, "--json --data data");
    let second = place.run("serve --port 0 --data data");
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another server has its data in data"), "{}", second.stderr);
    let json = server.json();
    let address = json["address"].as_str().unwrap();
    let third = place.run(&format!("serve --listen {address} --data other"));
    assert_eq!(third.code, 1);
    assert!(
        third.stderr.contains("can't listen on") && third.stderr.contains("--port 0"),
        "{}",
        third.stderr
    );
}

/// Tokens are made beside a service that runs, shown once, and taken back by their names.
#[test]
fn tokens_for_accounts_are_made_listed_and_taken_back() {
    let place = Place::new("serve-invite");
    let _server = Server::start(&place, "--registration invited --data data");
    let made = place.run("serve invite --data data");
    let token = String::from_utf8(made.stdout).unwrap();
    assert_eq!((made.code, token.trim_end().len()), (0, 32), "{}", made.stderr);
    assert!(made.stderr.contains("for one account, good for 7 days"), "{}", made.stderr);
    let many = place.run("serve invite --data data --uses 30 --days 1 --json");
    let many: Value = serde_json::from_slice(&many.stdout).unwrap();
    assert_eq!((&many["uses"], many["token"].as_str().unwrap().len()), (&30.into(), 32));

    let listed = || -> Value {
        serde_json::from_slice(&place.run("serve invites --data data --json").stdout).unwrap()
    };
    let invites = listed()["invites"].clone();
    assert_eq!((&invites[0]["left"], &invites[1]["left"]), (&30.into(), &1.into()), "{invites}");
    let text = String::from_utf8(place.run("serve invites --data data").stdout).unwrap();
    assert!(text.contains("30 accounts, good for 24 hours") && !text.contains(token.trim_end()), "{text}");
    let name = invites[0]["name"].as_str().unwrap();
    assert_eq!(place.run(&format!("serve uninvite --data data {}", &name[..8])).code, 0);
    assert_eq!(listed()["invites"].as_array().unwrap().len(), 1);
    let unknown = place.run(&format!("serve uninvite --data data {name}"));
    assert!(unknown.code == 1 && unknown.stderr.contains("no token has a name"), "{}", unknown.stderr);
}

#[test]
fn what_can_t_be_is_said_with_a_way_out() {
    let place = Place::new("serve-refused");
    place.write("no.pem", b"no");
    place.write("word", b"come in, there is tea");
    for (words, code, part) in [
        ("serve --listen 0.0.0.0:0", 2, "--name chat.example"),
        ("serve --port 0 --name two words", 2, "words"),
        ("serve --port 0 --database mysql://x", 2, "postgres://USER@HOST/NAME"),
        ("serve --port 0 --tls-cert no.pem", 2, "--tls-key"),
        ("serve --port 0 --tls-cert no.pem --tls-key no.pem", 1, "certificate"),
        ("serve --port 0 --tls-cert nowhere.pem --tls-key no.pem", 1, "nowhere.pem"),
        ("serve --port 0 --forwarded", 2, "--plain"),
        ("serve --port 0 --registration closed --invite-token-file word", 2, "--registration invited"),
        ("serve --port 0 invite", 2, "invite"),
    ] {
        let run = place.run(words);
        assert_eq!(run.code, code, "{words}: {}", run.stderr);
        assert!(run.stderr.contains(part), "{words}: {part} is not in {}", run.stderr);
    }
}
