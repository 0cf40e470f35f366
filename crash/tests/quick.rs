//! A few crashes of every scenario, as many as a test has time for.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use crash::campaign::{Campaign, Sizes};
use crash::process::Programs;
use crash::scenarios::ALL;
use crash::shim;

#[test]
fn whatever_happens_to_a_process_nothing_is_lost_torn_or_used_twice() {
    let crash = Path::new(env!("CARGO_BIN_EXE_crash"));
    let shim = shim::built(crash.parent().unwrap()).unwrap();
    let programs = Programs { crash: crash.into(), shim };
    let scenarios = ALL.iter().collect();
    let campaign =
        Campaign { programs, scenarios, seed: 1, threads: 2, sizes: Sizes::TEST, seconds: Some(45) };
    let counts = campaign.run();
    assert_eq!(counts.found, 0, "see above");
    assert!(counts.killed > 0 && counts.failed > 0 && counts.images > 0 && counts.copies > 0);
}
