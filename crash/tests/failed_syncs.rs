//! What a process does after a sync has failed counts only if it is still there when the power goes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use crash::images::{Disk, Loss, outages, survive};
use crash::process::{Fault, Programs};
use crash::run::Recorded;
use crash::scenarios::Scenario;
use crash::shim;
use test_support::random::SeededRandom;

/// The system takes pages for written whose sync has failed, and never writes them. A store that was opened on such a log went
/// on from it, gave out messages, and was back in an earlier state after a loss of power, to encrypt with the same keys.
#[test]
fn what_a_failed_sync_has_left_in_the_log_does_not_count_before_it_is_safe() {
    let crash = Path::new(env!("CARGO_BIN_EXE_crash"));
    let shim = shim::built(crash.parent().unwrap()).unwrap();
    let programs = Programs { crash: crash.into(), shim };
    let mut images = 0;
    for name in ["first_message_sent", "create"] {
        let scenario = (Scenario::named(name).unwrap(), 1);
        let syncs = Recorded::play(&programs, scenario, None).unwrap().syncs();
        for (sync, times) in syncs.flat_map(|sync| [(sync, 1), (sync, 6)]).step_by(3) {
            let recorded = Recorded::play(&programs, scenario, Some(Fault::Sync(sync, times))).unwrap();
            let (mut disk, mut at) = (Disk::default(), 0);
            for outage in outages(&recorded).into_iter().step_by(11) {
                recorded.events[at..outage.event].iter().for_each(|event| disk.apply(event));
                at = outage.event;
                let files = disk.image(Loss::Everything, &mut SeededRandom::new(1));
                if let Err(failure) = survive(&recorded, scenario, outage, &files) {
                    panic!("{name}, sync {sync} and {times}, {outage:?}: {failure}");
                }
                images += 1;
            }
        }
    }
    assert!(images > 20);
}
