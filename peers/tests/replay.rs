//! Vectors of our own making, followed by the peers: each keeps up, and notices where the file says otherwise.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::{fs, path::Path};

use hushwood::crypto::CipherSuiteId;
use peers::{
    mls_rs_peer::MlsRs,
    openmls_peer::OpenMls,
    peer::Peer,
    replay::{FILES, Replayed, replay},
    run::Verdict,
    table,
};
use serde_json::Value;
use test_support::mls_vectors::Generator;

const PEERS: [&dyn Peer; 2] = [&OpenMls, &MlsRs];

fn generate(folder: &Path) {
    Generator::new(&[CipherSuiteId(1)], 5).unwrap().write_all(folder).unwrap();
}

fn has_failed(replayed: &Replayed<'_>) -> bool {
    matches!(replayed.verdict, Verdict::Fail(..))
}

#[test]
fn peers_follow_the_conversations_that_we_generate() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path());
    let replayed = replay(&PEERS, folder.path()).unwrap();
    assert!(replayed.iter().all(|replayed| matches!(replayed.verdict, Verdict::Pass)));
    for file in FILES {
        assert!(replayed.iter().any(|replayed| replayed.file == file));
    }
    assert_eq!(table::replay_report(&replayed).failed, 0);
}

#[test]
fn an_authenticator_that_is_not_the_files_fails_with_every_peer() {
    for pointer in ["/0/initial_epoch_authenticator", "/0/epochs/1/epoch_authenticator"] {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path());
        let path = folder.path().join("passive-client-handling-commit.json");
        let mut vectors: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        *vectors.pointer_mut(pointer).unwrap() = "00".repeat(32).into();
        fs::write(&path, vectors.to_string()).unwrap();

        let replayed = replay(&PEERS, folder.path()).unwrap();
        let failed: Vec<_> = replayed.iter().filter(|replayed| has_failed(replayed)).collect();
        assert_eq!(failed.len(), PEERS.len());
        assert!(failed.iter().all(|failed| (failed.file, failed.number) == (FILES[1], 0)));
        assert_eq!(table::replay_report(&replayed).failed, PEERS.len());
    }
}

#[test]
fn a_folder_without_the_files_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(replay(&PEERS, folder.path()).is_err());
}
