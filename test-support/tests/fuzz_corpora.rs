//! All inputs of `fuzz/corpus` on any toolchain, with the heap watched. What fuzzing has found is among them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use peak_alloc::PeakAlloc;
use test_support::fuzz_targets::{HEAP, targets};

#[global_allocator]
static ALLOCATOR: PeakAlloc = HEAP;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// One test alone in its program: another's memory would be counted, too.
#[test]
fn every_input_of_every_corpus_is_borne() {
    // The allocator counts: without that, the targets would find nothing.
    let before = HEAP.current_usage();
    let taken = vec![0_u8; 1 << 20];
    assert!(HEAP.current_usage() >= before + taken.len());
    drop(taken);

    let named: BTreeSet<String> = targets().iter().map(|target| target.name.to_owned()).collect();
    assert!(named.len() >= 20);
    assert_eq!(names(&fuzz().join("corpus")), named, "a folder for each target");
    let programs = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in targets() {
        let program = format!("name = \"{}\"\n", target.name);
        assert!(programs.contains(&program), "{} has no program", target.name);
        let folder = fuzz().join("corpus").join(target.name);
        let inputs = names(&folder);
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for input in inputs {
            println!("{}/{input}", target.name);
            (target.run)(&fs::read(folder.join(input)).unwrap());
        }
    }
}
