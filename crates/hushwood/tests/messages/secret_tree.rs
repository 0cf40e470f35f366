//! RFC 9420 §9, against an oracle that is the RFC's figures written down.

use std::collections::{BTreeMap, BTreeSet};

use hushwood::error::{ApiMisuse, Error, NotNow, StoreReadError, Violation};
use hushwood::framing::{ContentType, MessageKey};
use hushwood::policy::Policy;
use hushwood::schedule::EncryptionSecret;
use hushwood::secret_tree::{Change, RatchetType, SecretTree, SecretTreeRow, Usage};
use hushwood::tree::{LeafIndex, NodeIndex};
use hushwood_crypto::{CipherSuite, Secret, expand_with_label};
use test_support::random::SeededRandom;

use crate::{any_suite, suites};

const APPLICATION: ContentType = ContentType::Application;

fn leaf(number: u32) -> LeafIndex {
    LeafIndex::new(number)
}

/// The whole tree, derived as the figures of RFC 9420 §9 and §9.1 show it, nothing forgotten.
struct Oracle {
    suite: &'static dyn CipherSuite,
    leaves: u32,
}

impl Oracle {
    fn root(&self) -> Secret {
        Secret::new(vec![0x5a; self.suite.kdf().length()])
    }

    fn tree(&self) -> SecretTree {
        SecretTree::new(self.suite, self.leaves, EncryptionSecret::new(self.root())).unwrap()
    }

    fn expand(&self, secret: &Secret, label: &str, context: &[u8], length: usize) -> Secret {
        expand_with_label(self.suite, secret, label, context, length).unwrap()
    }

    /// The secrets from the root to a leaf.
    fn path(&self, leaf: LeafIndex) -> Vec<Secret> {
        let length = self.suite.kdf().length();
        let (mut node, mut path) = (NodeIndex::root(self.leaves), vec![self.root()]);
        while let (Some(left), Some(right)) = (node.left(), node.right()) {
            let is_left = leaf.node().unwrap() < node;
            let side: &[u8] = if is_left { b"left" } else { b"right" };
            path.push(self.expand(path.last().unwrap(), "tree", side, length));
            node = if is_left { left } else { right };
        }
        path
    }

    /// `ratchet_secret_[N]_[0]` to `ratchet_secret_[N]_[generation]`.
    fn ratchet(&self, leaf: LeafIndex, content_type: ContentType, generation: u32) -> Vec<Secret> {
        let length = self.suite.kdf().length();
        let label = if content_type == APPLICATION { "application" } else { "handshake" };
        let mut secrets = vec![self.expand(self.path(leaf).last().unwrap(), label, b"", length)];
        for generation in 0..generation {
            let context = generation.to_be_bytes();
            secrets.push(self.expand(secrets.last().unwrap(), "secret", &context, length));
        }
        secrets
    }

    fn key(&self, leaf: LeafIndex, content_type: ContentType, generation: u32) -> MessageKey {
        let ratchet = self.ratchet(leaf, content_type, generation);
        let (secret, context) = (ratchet.last().unwrap(), generation.to_be_bytes());
        MessageKey {
            key: self.expand(secret, "key", &context, self.suite.aead().key_length()),
            nonce: self.expand(secret, "nonce", &context, self.suite.aead().nonce_length()),
        }
    }

    /// What the use of a key consumes (RFC 9420 §9.2).
    fn consumed(&self, leaf: LeafIndex, content_type: ContentType, generation: u32) -> Vec<Vec<u8>> {
        let MessageKey { key, nonce } = self.key(leaf, content_type, generation);
        let mut consumed = self.path(leaf);
        consumed.extend(self.ratchet(leaf, content_type, generation));
        consumed.extend([key, nonce]);
        consumed.iter().map(|secret| secret.expose().to_vec()).collect()
    }
}

/// What a store holds that does as the changes say.
#[derive(Default)]
struct Store(BTreeMap<SecretTreeRow, Vec<u8>>);

impl Store {
    fn of(tree: &SecretTree) -> Self {
        let records = tree.records().unwrap();
        Self(records.into_iter().map(|(row, record)| (row, record.expose().to_vec())).collect())
    }

    fn write(&mut self, change: &Change) {
        for row in change.erases() {
            assert!(self.0.remove(row).is_some(), "{row:?} is erased and is not there");
        }
        for (row, record) in change.puts().unwrap() {
            self.0.insert(row, record.expose().to_vec());
        }
    }

    fn open(&self, suite: &'static dyn CipherSuite, leaves: u32, usage: Usage) -> SecretTree {
        let rows = self.0.iter().map(|(row, record)| (*row, Secret::copy_of(record)));
        SecretTree::from_rows(suite, leaves, usage, rows).unwrap()
    }

    fn holds(&self, secret: &[u8]) -> bool {
        self.0.values().any(|record| record.windows(secret.len()).any(|window| window == secret))
    }
}

/// Opens, writes, applies.
fn open(
    tree: &mut SecretTree,
    (leaf, content_type, generation): (LeafIndex, ContentType, u32),
    policy: &Policy,
) -> Result<MessageKey, Error> {
    let (key, change) = tree.open_key(leaf, content_type, generation, policy)?;
    tree.apply(change)?;
    Ok(key)
}

#[test]
fn in_any_order_each_key_is_had_once_and_what_was_consumed_is_nowhere() {
    for seed in 0..150 {
        let mut random = SeededRandom::new(seed);
        let suite = suites().nth(random.below(14)).unwrap();
        let leaves = 1 << random.below(5);
        let oracle = Oracle { suite, leaves };
        let policy = Policy::default();
        let mut tree = oracle.tree();
        let mut store = Store::of(&tree);
        let mut used = BTreeSet::new();
        let mut consumed = BTreeSet::new();
        for _ in 0..40 {
            let leaf = leaf(random.below(leaves.min(4) as usize) as u32);
            let content_type = [APPLICATION, ContentType::Proposal, ContentType::Commit][random.below(3)];
            let generation = random.below(12) as u32;
            let opened = tree.open_key(leaf, content_type, generation, &policy);
            if !used.insert((leaf, RatchetType::from(content_type), generation)) {
                assert_eq!(opened.err(), Some(NotNow::KeyUsed.into()), "seed {seed}");
                continue;
            }
            let (key, change) = opened.unwrap();
            let expected = oracle.key(leaf, content_type, generation);
            assert!(key.key.ct_eq(&expected.key) && key.nonce.ct_eq(&expected.nonce), "seed {seed}");
            store.write(&change);
            drop(tree.apply(change).unwrap());

            assert_eq!(store.0, Store::of(&tree).0, "seed {seed}: memory and store differ");
            consumed.extend(oracle.consumed(leaf, content_type, generation));
            assert!(consumed.iter().all(|secret| !store.holds(secret)), "seed {seed}: a consumed secret");
            if random.below(3) == 0 {
                tree = store.open(suite, leaves, Usage::Current);
            }
        }
    }
}

#[test]
fn the_example_of_the_rfc_keeps_what_it_says_and_nothing_else() {
    // RFC 9420 §9.2: a message of D with generation 1 arrives, generation 0 has not.
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let (mut tree, d) = (oracle.tree(), leaf(3));
    open(&mut tree, (d, APPLICATION, 1), &Policy::default()).unwrap();
    let rows: BTreeSet<_> = tree.rows().collect();
    let kept = [
        SecretTreeRow::Node(NodeIndex::new(3).unwrap()),   // of G: E, C
        SecretTreeRow::Ratchet(d, RatchetType::Handshake), // HR0
        SecretTreeRow::Ratchet(d, RatchetType::Application), // AR2
        SecretTreeRow::Skipped(d, RatchetType::Application, 0), // K0, N0
    ];
    assert_eq!(rows, BTreeSet::from(kept));
    let store = Store::of(&tree);
    for (number, depth, is_kept) in [(0, 1, true), (2, 2, true), (3, 0, false), (3, 1, false), (3, 2, false)]
    {
        let secret = &oracle.path(leaf(number))[depth];
        assert_eq!(store.holds(secret.expose()), is_kept, "above leaf {number}, at depth {depth}");
    }
    let ratchet = oracle.ratchet(d, APPLICATION, 2);
    assert!(!store.holds(ratchet[0].expose()) && !store.holds(ratchet[1].expose()));
    assert!(store.holds(ratchet[2].expose()));
}

#[test]
fn sealing_gives_each_key_once_and_the_keys_that_others_open_with() {
    for suite in suites() {
        let oracle = Oracle { suite, leaves: 8 };
        let mut tree = oracle.tree();
        for expected in 0..5 {
            for content_type in [APPLICATION, ContentType::Commit] {
                let (generation, key, change) = tree.seal_key(leaf(5), content_type).unwrap();
                assert_eq!(generation, expected);
                let oracle = oracle.key(leaf(5), content_type, generation);
                assert!(key.key.ct_eq(&oracle.key) && key.nonce.ct_eq(&oracle.nonce));
                tree.apply(change).unwrap();
            }
        }
    }
}

#[test]
fn proposals_and_commits_share_a_ratchet() {
    let oracle = Oracle { suite: any_suite(), leaves: 2 };
    let mut tree = oracle.tree();
    let mut seal = |content_type| {
        let (generation, _, change) = tree.seal_key(leaf(0), content_type).unwrap();
        tree.apply(change).unwrap();
        generation
    };
    assert_eq!([ContentType::Proposal, ContentType::Commit, APPLICATION].map(&mut seal), [0, 1, 0]);
}

#[test]
fn a_first_message_writes_few_rows_in_any_group_and_later_ones_one() {
    for depth in [0, 1, 10, 17, 24] {
        let oracle = Oracle { suite: any_suite(), leaves: 1 << depth };
        let mut tree = oracle.tree();
        let (_, _, change) = tree.seal_key(leaf(oracle.leaves / 3), APPLICATION).unwrap();
        // Its ratchets, and in place of the root's secret those of a node at each level.
        let expected = if depth == 0 { (2, 1) } else { (3, 0) };
        assert_eq!((change.puts().unwrap().len(), change.erases().len()), expected);
        let bytes: usize = change.puts().unwrap().iter().map(|(_, record)| record.len()).sum();
        assert!(bytes <= 2 * 37 + 4 + depth * 34, "{bytes} bytes");
        tree.apply(change).unwrap();
        if depth > 1 {
            // From a secret of that row, which is written without it.
            let (_, change) = tree.open_key(leaf(0), APPLICATION, 0, &Policy::default()).unwrap();
            assert_eq!((change.puts().unwrap().len(), change.erases().len()), (4, 0));
            drop(change);
        }
        let (_, _, change) = tree.seal_key(leaf(oracle.leaves / 3), APPLICATION).unwrap();
        assert_eq!((change.puts().unwrap().len(), change.erases().len()), (1, 0));
        let (_, change) = tree.open_key(leaf(oracle.leaves / 3), APPLICATION, 5, &Policy::default()).unwrap();
        assert_eq!((change.puts().unwrap().len(), change.erases().len()), (5, 0));
    }
}

#[test]
fn a_change_that_is_dropped_changes_nothing() {
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let mut tree = oracle.tree();
    open(&mut tree, (leaf(1), APPLICATION, 3), &Policy::default()).unwrap();
    let before = Store::of(&tree).0;
    for generation in 0..6 {
        for number in 0..4 {
            drop(tree.open_key(leaf(number), APPLICATION, generation, &Policy::default()));
            drop(tree.seal_key(leaf(number), ContentType::Commit));
        }
    }
    drop(tree.discard_handshakes());
    assert_eq!(Store::of(&tree).0, before);
}

#[test]
fn a_change_from_another_state_is_stale_and_brings_nothing_back() {
    let policy = Policy::default();
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let mut tree = oracle.tree();
    let refused = |tree: &mut SecretTree, change| {
        let before = Store::of(tree).0;
        assert_eq!(tree.apply(change).err(), Some(NotNow::Stale.into()));
        assert_eq!(Store::of(tree).0, before);
    };
    // From the root: another leaf was derived meanwhile.
    let (_, stale) = tree.open_key(leaf(0), APPLICATION, 0, &policy).unwrap();
    open(&mut tree, (leaf(1), APPLICATION, 0), &policy).unwrap();
    refused(&mut tree, stale);
    // From a ratchet: it moved meanwhile.
    let (_, stale) = tree.open_key(leaf(1), APPLICATION, 2, &policy).unwrap();
    let (_, _, sealed) = tree.seal_key(leaf(1), APPLICATION).unwrap();
    open(&mut tree, (leaf(1), APPLICATION, 4), &policy).unwrap();
    refused(&mut tree, stale);
    refused(&mut tree, sealed);
    // From a skipped key: it was used meanwhile.
    let (_, stale) = tree.open_key(leaf(1), APPLICATION, 3, &policy).unwrap();
    open(&mut tree, (leaf(1), APPLICATION, 3), &policy).unwrap();
    refused(&mut tree, stale);
    // Ratchets of different leaves are independent once they are there.
    open(&mut tree, (leaf(2), APPLICATION, 0), &policy).unwrap();
    let (_, one) = tree.open_key(leaf(1), APPLICATION, 5, &policy).unwrap();
    let (_, other) = tree.open_key(leaf(2), APPLICATION, 1, &policy).unwrap();
    assert!(tree.apply(other).is_ok() && tree.apply(one).is_ok());
}

#[test]
fn changes_that_were_not_written_can_be_taken_back() {
    let oracle = Oracle { suite: any_suite(), leaves: 8 };
    let mut random = SeededRandom::new(5);
    let policy = Policy { max_skipped: 5, ..Policy::default() };
    let mut tree = oracle.tree();
    let (mut states, mut undos) = (Vec::new(), Vec::new());
    for round in 0..60 {
        let change = match (round, random.below(3)) {
            (40, _) => tree.discard_handshakes(),
            (_, 0) => tree.seal_key(leaf(0), APPLICATION).unwrap().2,
            _ => {
                let sender = leaf(random.below(8) as u32);
                let generation = random.below(30) as u32;
                match tree.open_key(sender, APPLICATION, generation, &policy) {
                    Ok((_, change)) => change,
                    Err(_) => continue,
                }
            }
        };
        states.push(Store::of(&tree).0);
        undos.push(tree.apply(change).unwrap());
    }
    assert!(undos.len() > 30);
    while let (Some(undo), Some(state)) = (undos.pop(), states.pop()) {
        tree.revert(undo);
        assert_eq!(Store::of(&tree).0, state);
    }
    assert!(tree.seal_key(leaf(0), ContentType::Commit).is_ok(), "the epoch is current again");
}

#[test]
fn a_ratchet_moves_as_far_as_the_policy_allows() {
    let oracle = Oracle { suite: any_suite(), leaves: 2 };
    let policy = Policy { max_forward: 10, ..Policy::default() };
    let mut tree = oracle.tree();
    let too_far = Some(Error::from(NotNow::GenerationTooFar));
    assert_eq!(open(&mut tree, (leaf(0), APPLICATION, 11), &policy).err(), too_far);
    assert!(open(&mut tree, (leaf(0), APPLICATION, 10), &policy).is_ok());
    assert_eq!(open(&mut tree, (leaf(0), APPLICATION, 22), &policy).err(), too_far);
    assert!(open(&mut tree, (leaf(0), APPLICATION, 21), &policy).is_ok());
    assert!(open(&mut tree, (leaf(0), APPLICATION, 22), &policy).is_ok());
    let unlimited = Policy { max_forward: u32::MAX, ..Policy::default() };
    assert_eq!(open(&mut tree, (leaf(0), APPLICATION, u32::MAX), &unlimited).err(), too_far);
}

#[test]
fn a_sender_has_the_oldest_of_its_skipped_keys_dropped() {
    let oracle = Oracle { suite: any_suite(), leaves: 2 };
    let policy = Policy { max_skipped: 3, ..Policy::default() };
    let mut tree = oracle.tree();
    let skipped = |tree: &SecretTree| {
        let generation = |row| match row {
            SecretTreeRow::Skipped(_, _, generation) => Some(generation),
            SecretTreeRow::Node(_) | SecretTreeRow::Ratchet(_, _) => None,
        };
        tree.rows().filter_map(generation).collect::<Vec<_>>()
    };
    for (generation, kept) in
        [(2, vec![0, 1]), (4, vec![0, 1, 3]), (5, vec![0, 1, 3]), (7, vec![1, 3, 6]), (50, vec![47, 48, 49])]
    {
        open(&mut tree, (leaf(0), APPLICATION, generation), &policy).unwrap();
        assert_eq!(skipped(&tree), kept);
    }
    assert_eq!(open(&mut tree, (leaf(0), APPLICATION, 6), &policy).err(), Some(NotNow::KeyUsed.into()));
    assert!(open(&mut tree, (leaf(0), APPLICATION, 48), &policy).is_ok());
    // A policy that keeps none forgets those there are, once the ratchet moves.
    let none = Policy { max_skipped: 0, ..Policy::default() };
    open(&mut tree, (leaf(0), APPLICATION, 60), &none).unwrap();
    assert_eq!(tree.skipped_keys(), 0);
}

#[test]
fn one_sender_cannot_push_out_the_skipped_keys_of_another() {
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let policy = Policy { max_skipped: 6, max_skipped_total: 10, ..Policy::default() };
    let mut tree = oracle.tree();
    open(&mut tree, (leaf(0), APPLICATION, 4), &policy).unwrap();
    for round in 1..20 {
        for number in 1..4 {
            open(&mut tree, (leaf(number), APPLICATION, round * 50), &policy).unwrap();
            open(&mut tree, (leaf(number), ContentType::Commit, round * 50), &policy).unwrap();
            assert!(tree.skipped_keys() <= 10);
        }
    }
    for generation in 0..4 {
        assert!(open(&mut tree, (leaf(0), APPLICATION, generation), &policy).is_ok());
    }
}

#[test]
fn the_last_generation_is_never_used() {
    let suite = any_suite();
    let row = SecretTreeRow::Ratchet(leaf(0), RatchetType::Application);
    let tree = |generation: u32| {
        let record = [&generation.to_be_bytes()[..], &[32], &[7; 32]].concat();
        SecretTree::from_rows(suite, 1, Usage::Current, [(row, Secret::new(record))]).unwrap()
    };
    let mut end = tree(u32::MAX - 1);
    let (generation, _, change) = end.seal_key(leaf(0), APPLICATION).unwrap();
    assert_eq!(generation, u32::MAX - 1);
    end.apply(change).unwrap();
    let refused = end.seal_key(leaf(0), APPLICATION).err();
    assert_eq!(refused, Some(ApiMisuse::GenerationOverflow.into()));
    let refused = open(&mut end, (leaf(0), APPLICATION, u32::MAX), &Policy::default()).err();
    assert_eq!(refused, Some(NotNow::GenerationTooFar.into()));
    assert!(open(&mut tree(u32::MAX - 3), (leaf(0), APPLICATION, u32::MAX - 1), &Policy::default()).is_ok());
}

#[test]
fn a_past_epoch_opens_application_data_only_and_holds_no_handshake_ratchet() {
    let policy = Policy::default();
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let mut tree = oracle.tree();
    open(&mut tree, (leaf(0), APPLICATION, 2), &policy).unwrap();
    open(&mut tree, (leaf(1), ContentType::Proposal, 2), &policy).unwrap();
    let mut store = Store::of(&tree);
    let change = tree.discard_handshakes();
    store.write(&change);
    tree.apply(change).unwrap();

    for reopened in [false, true] {
        if reopened {
            tree = store.open(any_suite(), 4, Usage::Past);
        }
        for number in 0..4 {
            let refused = tree.open_key(leaf(number), ContentType::Commit, 5, &policy);
            assert_eq!(refused.err(), Some(NotNow::EpochPast.into()));
            let refused = tree.seal_key(leaf(number), ContentType::Proposal);
            assert_eq!(refused.err(), Some(NotNow::EpochPast.into()));
            let (_, change) = tree.open_key(leaf(number), APPLICATION, 1, &policy).unwrap();
            if reopened {
                tree.apply(change).unwrap();
            }
        }
    }
    let is_handshake = |row: SecretTreeRow| match row {
        SecretTreeRow::Node(_) => false,
        SecretTreeRow::Ratchet(_, kind) | SecretTreeRow::Skipped(_, kind, _) => {
            kind == RatchetType::Handshake
        }
    };
    assert!(!tree.rows().any(is_handshake));
}

#[test]
fn leaves_outside_the_tree_are_refused() {
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let mut tree = oracle.tree();
    for number in [4, 1 << 24, u32::MAX] {
        let refused = open(&mut tree, (leaf(number), APPLICATION, 0), &Policy::default());
        assert_eq!(refused.err(), Some(Violation::SenderBlank.into()));
        assert_eq!(tree.seal_key(leaf(number), APPLICATION).err(), Some(Violation::SenderBlank.into()));
    }
    for leaves in [0, 3, 5, (1 << 24) + 1, 1 << 25] {
        let root = EncryptionSecret::new(oracle.root());
        assert!(matches!(SecretTree::new(any_suite(), leaves, root), Err(Error::Bug(_))));
    }
}

#[test]
fn rows_that_are_not_what_they_should_be_are_corrupt() {
    let suite = any_suite();
    let (ratchet, application) = (RatchetType::Handshake, RatchetType::Application);
    let secret = |length: u8| [vec![length], vec![1; usize::from(length)]].concat();
    let numbered = |length| [vec![0; 4], secret(length)].concat();
    let at = |level, length| [vec![level], secret(length)].concat();
    let of = |leaf, secrets: &[Vec<u8>]| [vec![0, 0, 0, leaf], secrets.concat()].concat();
    let key = |key, nonce| [secret(key), secret(nonce)].concat();
    let node = |number| SecretTreeRow::Node(NodeIndex::new(number).unwrap());
    let read = |row, record: Vec<u8>| {
        SecretTree::from_rows(suite, 4, Usage::Current, [(row, Secret::new(record))]).map(drop)
    };
    let corrupt = Err(Error::StoreRead(StoreReadError::Corrupt));
    assert_eq!(read(node(3), of(0, &[at(2, 32)])), Ok(()));
    assert_eq!(read(node(3), of(3, &[at(0, 32), at(1, 32)])), Ok(()));
    assert_eq!(read(SecretTreeRow::Ratchet(leaf(3), ratchet), numbered(32)), Ok(()));
    assert_eq!(read(SecretTreeRow::Skipped(leaf(3), application, 9), key(16, 12)), Ok(()));
    for (row, record) in [
        (node(3), of(0, &[at(2, 31)])),
        (node(3), of(0, &[at(2, 33)])),
        (node(3), of(0, &[at(2, 32), vec![0]])),
        (node(3), of(0, &[at(3, 32)])),
        (node(3), of(0, &[at(1, 32), at(0, 32)])),
        (node(3), of(0, &[at(1, 32), at(1, 32)])),
        (node(3), of(0, &[at(1, 32), at(2, 32)])),
        (node(3), of(4, &[at(2, 32)])),
        (node(3), of(0, &[])),
        (node(3), vec![]),
        (node(7), of(0, &[at(3, 32)])),
        (SecretTreeRow::Ratchet(leaf(3), ratchet), secret(32)),
        (SecretTreeRow::Ratchet(leaf(3), ratchet), numbered(16)),
        (SecretTreeRow::Ratchet(leaf(4), ratchet), numbered(32)),
        (SecretTreeRow::Skipped(leaf(3), application, 9), key(12, 16)),
        (SecretTreeRow::Skipped(leaf(3), application, 9), secret(16)),
        (SecretTreeRow::Skipped(leaf(4), application, 9), key(16, 12)),
    ] {
        assert_eq!(read(row, record), corrupt, "{row:?}");
    }
    let lost = SecretTree::from_rows(suite, 4, Usage::Current, []).unwrap();
    let missing = lost.seal_key(leaf(0), APPLICATION).err();
    assert_eq!(missing, Some(Error::StoreRead(StoreReadError::Missing)));
}

#[test]
fn nothing_secret_is_printed() {
    let oracle = Oracle { suite: any_suite(), leaves: 4 };
    let mut tree = oracle.tree();
    let (key, change) = tree.open_key(leaf(1), APPLICATION, 1, &Policy::default()).unwrap();
    let texts = [format!("{change:?}"), format!("{key:?}"), format!("{tree:?}")];
    let undo = tree.apply(change).unwrap();
    for text in texts.iter().chain([&format!("{undo:?}")]) {
        assert!(text.len() < 400, "{text}");
        assert!(!text.contains("90, 90") && !text.contains("5a5a"), "{text}");
    }
}
