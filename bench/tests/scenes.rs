//! The scenes are played through, and what they measure is what they say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use bench::args::Args;
use bench::counting::{Counts, Kind};
use bench::recorder::{Mode, OPERATIONS};
use bench::run::Run;
use bench::table;
use clap::Parser;

fn args(line: &str) -> Args {
    Args::try_parse_from(line.split_whitespace()).unwrap()
}

fn counts(line: &str) -> BTreeMap<(String, u32), Counts> {
    Run::new(&args(line), Mode::Count).unwrap().counts().unwrap()
}

#[test]
fn every_operation_is_measured_in_small_and_in_written_groups() {
    let args = args("bench --quiet --sizes 2,10,21 --only rustcrypto --enough 0");
    let cells = Run::new(&args, Mode::Time).unwrap().cells().unwrap();
    let failed: Vec<_> = cells.iter().filter(|cell| cell.status != "ok").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for operation in OPERATIONS.iter().filter(|operation| **operation != "memory") {
        assert!(cells.iter().any(|cell| cell.op == *operation && cell.median_us.is_some()), "{operation}");
    }
    assert!(table::tables(&cells).lines().count() > 60);
}

#[test]
fn in_a_written_group_every_path_secret_is_sealed_once() {
    let counts = counts("bench --quiet --sizes 100 --ops update_commit");
    // 101 leaves, one of them for newcomers, in a tree of 128.
    assert_eq!(counts[&("update_commit".to_owned(), 100)].of(Kind::Encap).calls, 7);
}

#[test]
fn a_group_made_by_one_commit_has_nothing_but_the_creators_path() {
    let counts = counts("bench --quiet --sizes 40 --ops create_commit,join_flat");
    let created = &counts[&("create_commit".to_owned(), 40)];
    // One Welcome for each of 39; a path without anybody to seal it to.
    assert_eq!(created.of(Kind::Encap).calls, 39);
    assert!(counts[&("join_flat".to_owned(), 40)].of(Kind::Verify).calls >= 41);
}

#[test]
fn what_is_asked_for_twice_and_what_names_rows_is_not_counted() {
    let counts = counts("bench --quiet --sizes 40 --ops create_commit,add_commit,update_process,observe");
    // The leaf's signature and the KeyPackage's.
    assert_eq!(counts[&("create_commit".to_owned(), 40)].of(Kind::Verify).calls, 2 * 39);
    assert_eq!(counts[&("add_commit".to_owned(), 40)].of(Kind::Verify).calls, 2);
    // An observer hashes the same tree and transcript, and stores nothing.
    let of = |op: &str| counts[&(op.to_owned(), 40)].of(Kind::Hash).calls;
    assert!(of("update_process") <= of("observe") + 2, "{} {}", of("update_process"), of("observe"));
}

#[test]
fn operations_that_there_are_not_are_refused() {
    assert!(args("bench --ops join_flat,join_later").operations().is_err());
    assert_eq!(args("bench --ops join_flat.beside").operations().unwrap().len(), 1);
}

#[test]
fn an_operation_that_is_profiled_is_reached() {
    let args = args("bench --quiet --sizes 21 --only hushwood/rustcrypto --ops join_merged");
    let cells = Run::new(&args, Mode::Once("join_merged")).unwrap().cells().unwrap();
    let failed: Vec<_> = cells.iter().filter(|cell| cell.status.starts_with("error")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
