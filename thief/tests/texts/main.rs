//! No text of ours has a secret in it: of no type that holds one, and of no error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt::Debug;

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::error::Error;
use hushwood::framing::{ContentType, SealingKeys};
use hushwood::group::{
    Batch, CommitPlan, ExternalJoin, Group, LeafUpdate, NewProposal, OpenedWelcome, Received,
    StagedExternalJoin, client,
};
use hushwood::key_package::KeyPackageBuilder;
use hushwood::schedule::types::{
    CommitSecret, ConfirmationKey, EncryptionSecret, EpochAuthenticator, EpochSecret, ExporterSecret,
    ExternalSecret, InitSecret, IntermediateSecret, JoinerSecret, MembershipKey, PskSecret, ResumptionPsk,
    SenderDataSecret, WelcomeSecret,
};
use hushwood::schedule::{EpochSecrets, Psk};
use hushwood::secret_tree::SecretTree;
use hushwood::transition::{RecordKind, Records, Write};
use hushwood::tree::{KeyPair, LeafContent, LeafIndex, NewLeaf, NewPath, PathSecret, PrivateTree, Supported};
use hushwood::welcome::GroupSecrets;
use hushwood_crypto::hpke::HpkeContext;
use hushwood_crypto::{CipherSuiteId, HpkePrivateKey, Secret, SoftwareSigner};
use hushwood_store::{SqliteStore, Unlock};
use test_support::actor::{Actor, NOW};
use test_support::random::SeededRandom;
use thief::event::Event;
use thief::needles::{Needles, PIECE};
use thief::recorder::{aws_lc, noted};
use thief::theft::{options, passphrase};

/// Types that hold secrets and are not shown here, with the reason.
const NOT_SHOWN: &[(&str, &str)] = &[];

/// The texts of each type.
#[derive(Default)]
struct Texts(BTreeMap<&'static str, Vec<String>>);

impl Texts {
    fn show(&mut self, name: &'static str, value: &dyn Debug) {
        self.0.entry(name).or_default().extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn error(&mut self, error: &Error) {
        self.0.entry("errors").or_default().extend([format!("{error}"), format!("{error:#}")]);
        self.show("errors", error);
        let mut source = error.source();
        while let Some(error) = source {
            self.show("errors", &error);
            self.0.entry("errors").or_default().push(error.to_string());
            source = error.source();
        }
    }
}

/// D7, C-4: whatever it is that holds a secret, its text does not; and a new type that holds one has to be looked at here.
#[test]
fn no_text_of_a_type_that_holds_secrets_has_one() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (texts, events) = pool.install(|| noted(texts));
    let secrets = secrets(&events);
    assert!(secrets.len() > 300, "too few secrets to look for: {}", secrets.len());
    let needles = Needles::of(secrets.iter().map(Vec::as_slice));
    for (name, texts) in &texts.0 {
        for text in texts {
            assert_eq!(found(&needles, text), 0, "{name} prints a secret: {text}");
        }
    }
    let types = scan::types();
    let holders = scan::with_secrets(&types);
    let printable = holders.iter().filter(|place| types[*place].debug && types[*place].public);
    // The library around the protocol prints nothing of what it holds: below.
    let printable = printable.filter(|(crate_name, _)| crate_name != "hushwood-client");
    let missing: Vec<_> = printable
        .map(|(_, name)| name.as_str())
        .filter(|name| !texts.0.contains_key(name) && !NOT_SHOWN.iter().any(|(other, _)| other == name))
        .collect();
    assert!(missing.is_empty(), "these hold secrets and can be printed, but are not shown here: {missing:?}");
    for name in ["EpochSecrets", "KeyPair", "SecretTree", "Group", "SqliteStore", "MessageKey"] {
        assert!(
            holders.iter().any(|(_, other)| other == name),
            "the sources are not read as they should: {name}"
        );
    }
}

/// That the search finds what it looks for, in all the ways in which bytes are printed.
#[test]
fn a_secret_in_a_text_is_found() {
    let secret: Vec<u8> = (0..32).map(|byte| byte * 5 + 90).collect();
    let needles = Needles::of([&secret[..]]);
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        format!("{secret:?}"),
        format!("{secret:#?}"),
        format!("Key({hex})"),
        hex.to_uppercase(),
        format!("{secret:02x?}"),
        format!("{secret:02X?}"),
    ] {
        assert!(found(&needles, &text) > 0, "not found in {text}");
    }
    assert_eq!(found(&needles, "Secret(..)"), 0);
}

/// An error is a fact, which needs no bytes and no text of anybody's.
#[test]
fn errors_hold_no_bytes() {
    let types = scan::types();
    // The library around the protocol tells its user which address of a server is wrong.
    let errors = types.iter().filter(|(place, of)| of.error && place.0 != "hushwood-client");
    let errors: Vec<_> = errors.collect();
    assert!(errors.len() > 5, "the errors are not found: {errors:?}");
    for (place, of) in errors {
        for raw in [
            "Vec",
            "String",
            "Box",
            "Cow",
            "u8",
            "Secret",
            "HpkePublicKey",
            "SignaturePublicKey",
            "Credential",
        ] {
            assert!(!of.fields.contains(raw), "{place:?} holds {raw}");
        }
    }
}

/// Every value that has gone through a primitive, but for what is public.
fn secrets(events: &[Event]) -> BTreeSet<Vec<u8>> {
    use thief::event::Kind;
    let mut secrets = BTreeSet::new();
    for event in events {
        let parts: Vec<&Vec<u8>> = match event.kind {
            Kind::Extract if event.parts.get(3).is_some_and(|label| thief::knowledge::is_public(label)) => {
                continue;
            }
            Kind::Expand => vec![&event.parts[0], &event.parts[2]],
            Kind::KeyPair => vec![&event.parts[0], &event.parts[1]],
            Kind::Encap => vec![&event.parts[1]],
            Kind::Seal | Kind::Open | Kind::Refused => vec![&event.parts[0], &event.parts[1]],
            Kind::Extract | Kind::Decap | Kind::Agree => event.parts.iter().collect(),
            Kind::Done => continue,
        };
        secrets.extend(
            parts.into_iter().filter(|part| part.len() >= 12 && part.iter().any(|b| *b != 0)).cloned(),
        );
    }
    secrets
}

/// How many pieces of secrets are in a text, as digits of hexadecimal or as lists of numbers.
fn found(needles: &Needles, text: &str) -> usize {
    let mut runs: Vec<Vec<u8>> = Vec::new();
    // Hexadecimal digits in a row.
    for run in text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * PIECE) {
        for begin in 0..2 {
            let digits = run.as_bytes()[begin..].chunks_exact(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            runs.push(digits.map(byte).collect());
        }
    }
    // Numbers one after another, whatever is between them.
    for radix in [10, 16] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        runs.push(
            words.filter_map(|word| u8::from_str_radix(word.trim_start_matches("0x"), radix).ok()).collect(),
        );
    }
    runs.iter().map(|run| needles.pieces_in(run).len()).sum()
}

fn texts() -> Texts {
    let mut texts = Texts::default();
    let provider = aws_lc();
    let suite = provider.suites[0];
    let mut random = SeededRandom::new(7);
    let [mut alice, mut bob, mut carol] = [("alice", 1), ("bob", 2), ("carol", 3)]
        .map(|(name, seed)| Actor::new(name, provider, CipherSuiteId(1), seed));

    // KeyPackages and joining.
    let content = LeafContent {
        credential: alice.credential(),
        supported: Supported::new(&provider),
        extensions: hushwood::extension::Extensions::new(),
    };
    let new =
        KeyPackageBuilder::new(suite, content).build(&alice.signer, &alice.policy, NOW, &mut random).unwrap();
    texts.show("NewKeyPackage", &new);
    let step = client::keep_key_package(new).unwrap();
    texts.show("Step", &step);
    let (writes, pending) = step.begin();
    texts.show("WriteSet", &writes);
    texts.show("Pending", &pending);
    for (_, write) in writes.writes() {
        texts.show("Write", write);
    }
    texts.show("Write", &Write::Put(Secret::copy_of(&[0xab; 32])));
    alice.create();
    let key_packages = [bob.key_package(), carol.key_package()];
    for (_, private) in client::key_packages(&bob.store).unwrap() {
        texts.show("KeyPackagePrivate", &private);
        texts.show("HpkePrivateKey", private.init_key());
    }
    let (_, change) = alice.invite(&key_packages).unwrap();
    let welcome = &change.welcomes[0].message;
    let opened = OpenedWelcome::open(welcome, &bob.store, &provider, &bob.policy).unwrap();
    texts.show("OpenedWelcome", &opened);
    let staged = opened.stage(&Answers::none(), None, None, NOW, &mut random).unwrap();
    texts.show("StagedJoin", &staged);
    let verdicts = judge(staged.checks(), &InsecureAcceptAll);
    let step = staged.accept(&verdicts, &bob.store, &mut random).unwrap();
    texts.show("Step", &step);
    drop(step);
    bob.join(welcome, None).unwrap();
    carol.join(welcome, None).unwrap();
    texts.error(&bob.join(welcome, None).map(drop).unwrap_err());

    // What arrives.
    let message = alice.send(b"a text of ours").unwrap();
    let received = bob.group().receive(&message, NOW).unwrap();
    texts.show("Received", &received);
    if let Received::Message(received) = received {
        texts.show("ReceivedMessage", &received);
    }
    let group = bob.group.as_mut().unwrap();
    let mut batch = Batch::new(group);
    let Ok(Received::Message(received)) = batch.group().receive(&message, NOW) else { panic!("a message") };
    batch.run(|group| group.accept_message(received)).unwrap();
    texts.show("Batch", &batch);
    let read = batch.commit(&mut bob.store).unwrap();
    texts.show("ApplicationMessage", &read[0]);
    for waiting in bob.group().unacknowledged(&bob.store).unwrap() {
        texts.show("Unacknowledged", &waiting);
    }
    let (id, commit) = carol.commit(CommitPlan::default()).unwrap();
    texts.show("Group", carol.group());
    let Ok(Received::Commit(received)) = bob.group().receive(&commit, NOW) else { panic!("a commit") };
    texts.show("ReceivedCommit", &received);
    let staged = bob.group().stage_commit(&received, &Answers::none(), NOW, &mut random).unwrap();
    texts.show("StagedCommit", &staged);
    drop(staged);
    carol.propose(NewProposal::Update(LeafUpdate::default())).unwrap();
    texts.show("Group", carol.group());
    bob.receive(&commit).unwrap();
    alice.receive(&commit).unwrap();
    carol.apply(&id).unwrap();
    let info = alice.group_info(true);
    let mut join = ExternalJoin::new(provider, bob.credential(), Supported::new(&provider));
    join.answers.add_psk(Psk::External { psk_id: b"name".to_vec() }, Secret::copy_of(&[0xcd; 32]));
    texts.show("ExternalJoin", &join);
    texts.show("Answers", &join.answers);
    let mut join = ExternalJoin::new(provider, bob.credential(), Supported::new(&provider));
    join.resync = Some(bob.leaf());
    let staged = StagedExternalJoin::stage(&info, None, join, &bob.signer, NOW, &mut random).unwrap();
    texts.show("StagedExternalJoin", &staged);

    // What is refused.
    let message = alice.send(b"to be changed").unwrap();
    for at in 0..message.len() {
        let mut message = message.clone();
        message[at] ^= 1;
        if let Err(error) = bob.receive(&message) {
            texts.error(&error);
        }
    }
    bob.read(&message).unwrap();
    for error in [bob.receive(&message), bob.receive(&commit), alice.receive(&message), bob.receive(welcome)]
    {
        texts.error(&error.map(drop).unwrap_err());
    }
    let kinds = [RecordKind::Epoch, RecordKind::SecretTree, RecordKind::PrivateTree];
    for (.., value) in bob.store.list_all(bob.group().instance(), &kinds).unwrap() {
        texts.show("Secret", &value);
        if let Err(error) = EpochSecrets::from_record(suite, &value) {
            texts.error(&error);
        }
        if let Err(error) = PrivateTree::from_secret(&value) {
            texts.error(&error);
        }
    }

    let mut tree = bob.group().tree().clone();
    let content = LeafContent {
        credential: bob.credential(),
        supported: Supported::new(&provider),
        extensions: hushwood::extension::Extensions::new(),
    };
    let leaf = NewLeaf::new(&content, &bob.policy, &mut random).unwrap();
    let signer: &dyn hushwood_crypto::Signer = &bob.signer;
    let place = (bob.group().group_id(), signer);
    texts.show("NewPath", &NewPath::generate(&mut tree, bob.leaf(), leaf, place, &mut random).unwrap());

    // Stores.
    texts.show("MemoryStore", &bob.store);
    texts.show("Group", &Group::open(&bob.store, &provider, bob.group().instance()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::create_with(folder.path().join("store"), &passphrase(), options()).unwrap();
    texts.show("SqliteStore", &store);
    texts.show("Reading", &store.read().unwrap());
    texts.show("Unlock", &Unlock::KeyFile(Secret::copy_of(&[7; 32])));
    texts.show("Unlock", &passphrase());

    parts(&mut texts);
    texts
}

/// What groups are made of, as who builds on the parts holds it.
fn parts(texts: &mut Texts) {
    let provider = aws_lc();
    let suite = provider.suites[0];
    let mut random = SeededRandom::new(9);
    let epoch = EpochSecret::random(suite, &mut random).unwrap();
    let (secrets, encryption) = epoch.derive(suite).unwrap();
    texts.show("EpochSecrets", &secrets);
    let tree = SecretTree::new(suite, 4, encryption).unwrap();
    let (generation, message, change) = tree.seal_key(LeafIndex::new(1), ContentType::Application).unwrap();
    texts.show("MessageKey", &message);
    texts.show("Change", &change);
    let keys = SealingKeys { sender_data: &secrets.sender_data, generation, message };
    texts.show("SealingKeys", &keys);
    let mut tree = tree;
    texts.show("Undo", &tree.apply(change).unwrap());
    texts.show("SecretTree", &tree);
    let path = PathSecret::generate(suite, &mut random).unwrap();
    texts.show("PathSecret", &path);
    let pair = path.key_pair(suite).unwrap();
    texts.show("KeyPair", &pair);
    texts.show("PrivateTree", &PrivateTree::new(LeafIndex::new(1), pair));
    let pair = KeyPair::generate(suite, &mut random).unwrap();
    texts
        .show("PrivateChanges", &hushwood::tree::PrivateChanges { leaf_keys: Some(pair), nodes: Vec::new() });
    let joiner_secret =
        hushwood_crypto::derive_secret(suite, &Secret::new(random.bytes(32)), "joiner").unwrap();
    texts.show("GroupSecrets", &GroupSecrets { joiner_secret, path_secret: None, psks: Vec::new() });
    let (private, public) = suite.kem().derive_key_pair(&[9; 32]).unwrap();
    let key = Secret::copy_of(&[3; 32]);
    let psk = hushwood_crypto::hpke::Psk { key: &key, id: b"name" };
    texts.show("Psk", &psk);
    let (_, context) = HpkeContext::sender(suite, &public, b"info", Some(psk), &mut random).unwrap();
    texts.show("HpkeContext", &context);
    texts.show("HpkePrivateKey", &HpkePrivateKey(private.0));
    let signer = SoftwareSigner::generate(suite, &mut random).unwrap();
    texts.show("SignaturePrivateKey", signer.private_key());
    texts.show("SoftwareSigner", &signer);

    let derived = |random: &mut SeededRandom| {
        hushwood_crypto::derive_secret(suite, &Secret::new(random.bytes(32)), "shown").unwrap()
    };
    macro_rules! of_the_schedule {
        ($($name:ident)*) => { $( texts.show(stringify!($name), &$name::new(derived(&mut random))); )* };
    }
    of_the_schedule! {
        CommitSecret ConfirmationKey EncryptionSecret EpochAuthenticator EpochSecret ExporterSecret ExternalSecret
        InitSecret IntermediateSecret JoinerSecret MembershipKey PskSecret ResumptionPsk SenderDataSecret WelcomeSecret
    }
}
