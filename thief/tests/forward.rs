//! Forward secrecy and post-compromise security, in some hundreds of messages: `cargo xtask thief` has more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood_crypto::CipherSuiteId;
use thief::forward::{Tally, conversation};
use thief::lockout;
use thief::recorder::{aws_lc, rustcrypto};
use thief::world::Renewal;

/// In threads of its own: what is derived there is told of to the thread that asked.
fn alone<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(what)
}

/// C184 to C193: whoever steals disk, memory and passphrase opens nothing that was read or sent before, and nothing that is
/// older than the policy keeps.
#[test]
fn a_thief_opens_nothing_that_was_read_or_sent() {
    let mut all = Tally::default();
    for seed in 0..6 {
        let provider = if seed % 2 == 0 { aws_lc() } else { rustcrypto() };
        let tally = alone(|| conversation(provider, CipherSuiteId(1), seed, 60));
        assert_eq!(tally.failures(), 0, "seed {seed}: {tally:?}");
        all = all.and(tally);
    }
    assert!(all.done > 150 && all.expired > 5 && all.kept > 100, "too little was tried: {all:?}");
}

/// RFC 9420 §16.6.
#[test]
fn a_thief_is_shut_out_by_an_update_and_reads_on_without() {
    for seed in 0..9 {
        let renewal = Renewal::ALL[usize::try_from(seed).unwrap() % 3];
        let outcome = alone(|| lockout::run(aws_lc(), CipherSuiteId(1), renewal, seed));
        assert!(outcome.read_before > 0 || outcome.before == 0, "seed {seed}: {outcome:?}");
        assert!(outcome.shut_out(), "seed {seed}, {renewal:?}: {outcome:?}");
        let outcome = alone(|| lockout::control(aws_lc(), CipherSuiteId(1), seed));
        assert!(outcome.read_on(), "seed {seed}: {outcome:?}");
    }
}
