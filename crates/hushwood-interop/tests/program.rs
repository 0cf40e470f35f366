//! The program: says where it listens, serves, and ends when it is told to.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use hushwood_interop::proto::NameRequest;

/// The program, and where it says that it listens.
fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hushwood-interop"))
        .args(["--port", "0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("hushwood-interop listens on ").unwrap();
    (child, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_on_this_machine_and_ends_cleanly_on_signals() {
    for (signal, provider) in [("-TERM", "aws-lc"), ("-INT", "rustcrypto")] {
        let (mut child, address) = start(&["--provider", provider, "--grease", "everywhere"]);
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        let mut rpc = world::Rpc::connect(address).await.unwrap();
        assert_eq!(rpc.name(NameRequest {}).await.unwrap().into_inner().name, "hushwood");
        // The connection stays open: it does not keep the program from ending.
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "{signal}: {ended}");
    }
}

#[test]
fn help_says_what_it_is_for() {
    let help = Command::new(env!("CARGO_BIN_EXE_hushwood-interop")).arg("--help").output().unwrap();
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for word in ["--port", "--host", "--provider", "--grease", "mls_client.MLSClient", "127.0.0.1"] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let failed =
        Command::new(env!("CARGO_BIN_EXE_hushwood-interop")).args(["--port", &port]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(!failed.stderr.is_empty() && failed.stdout.is_empty());
}
