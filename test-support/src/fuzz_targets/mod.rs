//! What fuzzing tries: functions of bytes that may do anything with them but panic, take too much memory, or be
//! inconsistent.
//!
//! `fuzz/` has a program for each under libFuzzer, and files of inputs, which the tests of this crate replay on any
//! toolchain.

mod decoders;
mod group;
mod mutation;
mod providers;
mod scene;
mod secret_tree;
mod simulation;
mod stored;
mod tree;

pub use decoders::HEAP;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the program, and of the folder of inputs.
    pub name: &'static str,
    /// What is tried.
    pub run: fn(&[u8]),
    /// How inputs to begin with are made.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
#[must_use]
pub fn targets() -> &'static [Target] {
    const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
        Target { name, run, seeds }
    }
    const TARGETS: [Target; 26] = [
        target("commit", decoders::commit, scene::seeds::commits),
        target("credential_x509", decoders::credential_x509, scene::seeds::credentials),
        target("extensions", decoders::extensions, scene::seeds::extensions),
        target("external_join", group::external_join, mutation::seeds),
        target("group_info", decoders::group_info, scene::seeds::group_infos),
        target("group_secrets", decoders::group_secrets, scene::seeds::group_secrets),
        target("join_welcome", group::join_welcome, mutation::seeds),
        target("key_package", decoders::key_package, scene::seeds::key_packages),
        target("mls_message", decoders::mls_message, scene::seeds::messages),
        target("observe_message", group::observe_message, mutation::seeds),
        target("observer_state", stored::observer_state, stored::observer_seeds),
        target("private_message", decoders::private_message, scene::seeds::private_messages),
        target("process_message", group::process_message, mutation::seeds),
        target("proposal", decoders::proposal, scene::seeds::proposals),
        target("provider_diff", providers::provider_diff, mutation::seeds),
        target("public_message", decoders::public_message, scene::seeds::public_messages),
        target("ratchet_tree", decoders::ratchet_tree, scene::seeds::trees),
        target("receive_bytes", group::receive_bytes, scene::seeds::messages),
        target("roundtrip_canonical", decoders::roundtrip_canonical, mutation::seeds),
        target("secret_tree_ops", secret_tree::secret_tree_ops, mutation::seeds),
        target("sim_ops", simulation::sim_ops, mutation::seeds),
        target("stored_state", stored::stored_state, mutation::seeds),
        target("tree_ops_vs_oracle", tree::tree_ops_vs_oracle, mutation::seeds),
        target("tree_validate_vs_oracle", tree::tree_validate_vs_oracle, scene::seeds::trees),
        target("update_path", decoders::update_path, scene::seeds::update_paths),
        target("welcome", decoders::welcome, scene::seeds::welcomes),
    ];
    &TARGETS
}
