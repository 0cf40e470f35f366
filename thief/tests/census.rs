//! A census of secrets, short; and that it finds what is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use hushwood_crypto::CipherSuiteId;
use thief::census::{Program, Scene, built_shim, run};

fn program() -> Program {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_thief"));
    let shim = built_shim(path.parent().unwrap()).unwrap();
    Program { path, shim: Some(shim) }
}

/// C141, C184 to C188, C192: nothing is found past its time, in memory after each step, on disk after the log is emptied.
#[test]
fn no_secret_is_found_past_its_time() {
    for (provider, seed) in [("aws-lc", 1), ("rustcrypto", 2)] {
        let census = run(&program(), provider, CipherSuiteId(1), seed, 40);
        assert_eq!(census.failures(), 0, "{provider}, seed {seed}: {census}");
        assert!(census.dead > 500 && census.alive > 500, "too little was seen: {census}");
        assert!(census.in_log > 0 && census.erased_rows > 0, "{census}");
    }
}

/// What is kept, and what was freed without being erased.
#[test]
fn a_secret_that_stays_is_found() {
    for command in ["keep", "keep less"] {
        let mut scene = Scene::new(&program(), "aws-lc", CipherSuiteId(1), 3);
        scene.tell(command, b"on purpose").unwrap();
        let found = scene.end().found;
        let exported =
            |(place, name, _): &(String, String, String)| place == "Heap" && name.contains("exported");
        assert!(found.keys().any(exported), "`{command}` was not noticed: {found:?}");
    }
}
