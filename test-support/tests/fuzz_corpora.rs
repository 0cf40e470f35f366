//! All inputs of `fuzz/corpus` on any toolchain, with the heap watched. What fuzzing has found is among them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::proposal::{Proposal, Remove};
use hushwood::tree::{LeafIndex, Node};
use hushwood_codec::{Decode, Encode, Writer};
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
    large_inputs();
}

/// Large lists of small elements, which grow most: 8 bytes for each of the input's and a MiB, taken or refused.
fn large_inputs() {
    let remove = ProposalOrRef::Proposal(Proposal::Remove(Remove { removed: LeafIndex::new(3) }));
    let removes = Commit { proposals: vec![remove; 150_000], path: None }.to_bytes().unwrap();
    let mut blanks = Writer::new();
    blanks.opaque(&vec![0; 1 << 20]);
    let blanks = blanks.finish().unwrap();
    let most = |bytes: &[u8]| 8 * bytes.len() + (1 << 20);
    assert!(peak(&removes, |bytes| Commit::from_bytes(bytes).is_ok()) <= most(&removes));
    assert!(peak(&blanks, |bytes| Vec::<Option<Node>>::from_bytes(bytes).is_err()) <= most(&blanks));
}

fn peak(bytes: &[u8], decodes_as_it_should: impl Fn(&[u8]) -> bool) -> usize {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    assert!(decodes_as_it_should(bytes));
    HEAP.peak_usage() - before
}
