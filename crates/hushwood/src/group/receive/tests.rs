//! RFC 9420 §6: what a member who has all keys of the epoch sends in the name of others.

use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, SoftwareSigner};
use test_support::assert_breaks;

use super::*;
use crate::commit::Answers;
use crate::credential::{InsecureAcceptAll, judge};
use crate::extension::Extensions;
use crate::framing::{FramedContent, SealingKeys, Signed, WireFormat};
use crate::group::{CommitPlan, NewGroup, NewProposal, OpenedWelcome, client};
use crate::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use crate::policy::Policy;
use crate::proposal::Remove;
use crate::testing::{ToyRandom, ToyStore};
use crate::tree::{LeafContent, Supported};
use crate::unverified::Unverified;

const NOW: Timestamp = Timestamp(1_000_000);
const BOB: LeafIndex = LeafIndex::new(1);
const CAROL: LeafIndex = LeafIndex::new(2);

fn suite() -> &'static dyn CipherSuite {
    hushwood_rustcrypto::PROVIDER.suites[0]
}

struct Client {
    name: &'static str,
    signer: SoftwareSigner,
    random: ToyRandom,
    store: ToyStore,
    group: Option<Group>,
}

impl Client {
    fn new(name: &'static str) -> Self {
        let seed = name.bytes().fold(0, |seed, byte| (seed << 8) | u64::from(byte));
        let mut random = ToyRandom(seed << 16);
        let signer = SoftwareSigner::generate(suite(), &mut random).unwrap();
        Self { name, signer, random, store: ToyStore::default(), group: None }
    }

    fn group(&self) -> &Group {
        self.group.as_ref().unwrap()
    }

    fn supported() -> Supported {
        Supported::new(&hushwood_rustcrypto::PROVIDER)
    }

    fn create(&mut self) {
        let settings = NewGroup::new(suite(), Credential::basic(self.name), Self::supported());
        let step = Group::create(settings, &self.signer, NOW, &mut self.random).unwrap();
        self.group = Some(step.commit(&mut self.store).unwrap());
    }

    fn key_package(&mut self) -> ValidKeyPackage {
        let content = LeafContent {
            credential: Credential::basic(self.name),
            supported: Self::supported(),
            extensions: Extensions::new(),
        };
        let policy = Policy::default();
        let builder = KeyPackageBuilder::new(suite(), content);
        let new = builder.build(&self.signer, &policy, NOW, &mut self.random).unwrap();
        let key_package = new.key_package.clone();
        client::keep_key_package(new).unwrap().commit(&mut self.store).unwrap();
        validate(Unverified::new(key_package), suite(), &policy, NOW).unwrap()
    }

    /// Commits: the commit, and the Welcome if there is one.
    fn commit(&mut self, proposals: Vec<NewProposal<'_>>) -> (Vec<u8>, Option<Vec<u8>>) {
        let group = self.group.as_mut().unwrap();
        let plan = CommitPlan { proposals, ..CommitPlan::default() };
        let step = group.commit(plan, &Answers::none(), &self.signer, NOW, &mut self.random).unwrap();
        let staged = step.commit(&mut self.store).unwrap();
        let change = group.apply(&staged.id, NOW).unwrap().commit(&mut self.store).unwrap();
        (staged.outgoing.message, change.welcomes.into_iter().next().map(|welcome| welcome.message))
    }

    fn join(&mut self, welcome: &[u8]) {
        let provider = &hushwood_rustcrypto::PROVIDER;
        let opened = OpenedWelcome::open(welcome, &self.store, provider, &Policy::default()).unwrap();
        let staged = opened.stage(&Answers::none(), None, None, NOW, &mut self.random).unwrap();
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut self.random).unwrap();
        self.group = Some(step.commit(&mut self.store).unwrap());
    }

    fn stage(&self, message: &[u8]) -> Result<crate::group::StagedCommit, Error> {
        let Received::Commit(received) = self.group().receive(message, NOW)? else { panic!("no commit") };
        self.group().stage_commit(&received, &Answers::none(), NOW, &mut ToyRandom(1))
    }

    fn follow(&mut self, commit: &[u8]) {
        let staged = self.stage(commit).unwrap();
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = self.group.as_mut().unwrap().accept_commit(staged, &verdicts, NOW).unwrap();
        step.commit(&mut self.store).unwrap();
    }

    fn refusal(&self, message: &[u8]) -> Error {
        self.group().receive(message, NOW).unwrap_err()
    }

    /// A message of this epoch in the name of any leaf, signed with our key.
    fn signed(&self, name: LeafIndex, wire_format: WireFormat, content: Content) -> Signed {
        let group = self.group();
        let content = FramedContent {
            group_id: group.group_id().to_vec(),
            epoch: group.epoch(),
            sender: Sender::Member(name),
            authenticated_data: Vec::new(),
            content,
        };
        Signed::sign(&self.signer, wire_format, content, &group.public.context_bytes).unwrap()
    }

    /// Sealed with the key of that leaf's first message.
    fn private(&self, name: LeafIndex, content: Content) -> Vec<u8> {
        let content_type = content.content_type();
        let signed = self.signed(name, WireFormat::PRIVATE_MESSAGE, content).complete(None).unwrap();
        let member = self.group().active_member().unwrap();
        let policy = Policy::default();
        let (message, _) = member.secret_tree.open_key(name, content_type, 0, &policy).unwrap();
        let keys = SealingKeys { sender_data: &member.state.secrets.sender_data, generation: 0, message };
        let sealed = PrivateMessage::protect(suite(), &signed, keys, policy.padding, &mut ToyRandom(5));
        MlsMessage::PrivateMessage(sealed.unwrap()).to_bytes().unwrap()
    }

    /// With the right membership tag.
    fn public(&self, name: LeafIndex, content: Content, confirmation_tag: Option<Vec<u8>>) -> Vec<u8> {
        let signed =
            self.signed(name, WireFormat::PUBLIC_MESSAGE, content).complete(confirmation_tag).unwrap();
        self.tagged(signed)
    }

    fn tagged(&self, message: Authenticated) -> Vec<u8> {
        let group = self.group();
        let key = &group.active_member().unwrap().state.secrets.membership;
        let tagged = PublicMessage::protect(suite(), message, key, &group.public.context_bytes);
        MlsMessage::PublicMessage(Box::new(tagged.unwrap())).to_bytes().unwrap()
    }
}

fn data() -> Content {
    Content::Application(b"data".to_vec())
}

fn proposal() -> Content {
    Content::Proposal(Proposal::Remove(Remove { removed: CAROL }))
}

fn commit() -> Content {
    Content::Commit(Box::new(Commit { proposals: Vec::new(), path: None }))
}

/// Alice and Carol, with a blank leaf between them that was Bob's, and Bob as he was.
fn group_with_a_blank_leaf() -> [Client; 3] {
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(Client::new);
    alice.create();
    let adds = [&mut bob, &mut carol].map(|client| NewProposal::Add(Box::new(client.key_package())));
    let (_, welcome) = alice.commit(adds.into());
    bob.join(welcome.as_ref().unwrap());
    carol.join(welcome.as_ref().unwrap());
    let (remove, _) = alice.commit(vec![NewProposal::Remove(BOB)]);
    carol.follow(&remove);
    assert_eq!((carol.group().own_leaf, carol.group().tree().leaf_count()), (CAROL, 4));
    [alice, bob, carol]
}

#[test]
fn what_is_right_is_accepted() {
    // Shows that the other tests refuse for the reason they name.
    let [alice, _, carol] = group_with_a_blank_leaf();
    let own = alice.group().own_leaf;
    for message in [alice.private(own, data()), alice.private(own, proposal())] {
        carol.group().receive(&message, NOW).unwrap();
    }
    carol.group().receive(&alice.public(own, proposal(), None), NOW).unwrap();
}

#[test]
fn a_blank_leaf_or_one_beyond_the_tree_sends_nothing() {
    let [mut alice, _, mut carol] = group_with_a_blank_leaf();
    let blank: Error = Violation::SenderBlank.into();
    // The second is in the tree of another size that the group had.
    for name in [BOB, LeafIndex::new(3)] {
        let refused = carol.refusal(&alice.private(name, data()));
        assert_breaks!(refused, Violation::SenderBlank, "C067", "C095");
        assert_eq!(carol.refusal(&alice.private(name, proposal())), blank);
    }
    for name in [BOB, LeafIndex::new(3), LeafIndex::new(4), LeafIndex::new(u32::MAX)] {
        assert_eq!(carol.refusal(&alice.public(name, proposal(), None)), blank);
        assert_eq!(carol.refusal(&alice.public(name, commit(), Some(vec![1; 32]))), blank);
    }
    // When the epoch is over too, and when somebody else has come to the leaf since.
    let late = alice.private(BOB, data());
    let (update, _) = alice.commit(vec![]);
    carol.follow(&update);
    assert_eq!(carol.refusal(&late), blank);
    let mut dora = Client::new("dora");
    let add = NewProposal::Add(Box::new(dora.key_package()));
    let (add, welcome) = alice.commit(vec![add]);
    carol.follow(&add);
    dora.join(welcome.as_ref().unwrap());
    assert_eq!(dora.group().own_leaf, BOB);
    assert_eq!(carol.refusal(&late), blank);
    assert_eq!(dora.refusal(&late), NotNow::EpochPast.into());
}

#[test]
fn a_member_speaks_for_itself_only() {
    let [mut alice, _, mut carol] = group_with_a_blank_leaf();
    let mut dora = Client::new("dora");
    let add = NewProposal::Add(Box::new(dora.key_package()));
    let (add, welcome) = alice.commit(vec![add]);
    carol.follow(&add);
    dora.join(welcome.as_ref().unwrap());
    let own = alice.group().own_leaf;
    for message in [
        carol.private(own, data()),
        carol.private(own, proposal()),
        carol.public(own, proposal(), None),
        carol.public(own, commit(), Some(vec![1; 32])),
    ] {
        assert_breaks!(dora.refusal(&message), Violation::MessageSignature, "C068", "C083", "C090", "C240");
    }
    // C189: what was forged has taken no key away.
    for message in [alice.private(own, data()), alice.private(own, proposal())] {
        dora.group().receive(&message, NOW).unwrap();
    }
}

#[test]
fn application_data_that_is_not_encrypted_is_refused() {
    let [alice, _, carol] = group_with_a_blank_leaf();
    let group = alice.group();
    // Nothing of ours makes such a message, so it is put together: of this epoch, and of one that is over.
    for epoch in [group.epoch(), group.epoch() - 1] {
        let content = FramedContent {
            group_id: group.group_id().to_vec(),
            epoch,
            sender: Sender::Member(group.own_leaf),
            authenticated_data: Vec::new(),
            content: data(),
        };
        let auth = crate::framing::FramedContentAuthData { signature: vec![2; 64], confirmation_tag: None };
        let message = PublicMessage { content, auth, membership_tag: Some(vec![3; 32]) };
        let message = MlsMessage::PublicMessage(Box::new(message)).to_bytes().unwrap();
        let refused = carol.refusal(&message);
        assert_breaks!(refused, Violation::ApplicationInPublicMessage, "C060");
    }
}

/// C080, C172: the signature is right and the tag is not, as when the committer has used other keys.
#[test]
fn a_commit_whose_confirmation_tag_is_not_the_new_epochs_is_refused() {
    let [mut alice, _, mut carol] = group_with_a_blank_leaf();
    alice.group.as_mut().unwrap().policy.encrypt_handshakes = false;
    let before = carol.group().public.context_bytes.clone();
    let plan = CommitPlan::default();
    let group = alice.group.as_mut().unwrap();
    let step = group.commit(plan, &Answers::none(), &alice.signer, NOW, &mut alice.random).unwrap();
    let message = step.commit(&mut alice.store).unwrap().outgoing.message;
    let Ok(MlsMessage::PublicMessage(right)) = MlsMessage::from_bytes(&message) else { panic!("not public") };
    let tag = right.auth.confirmation_tag.clone().unwrap();
    for wrong in [vec![], tag[..31].to_vec(), [&tag[..], &[0]].concat(), vec![0; 32]] {
        let signed =
            Signed::sign(&alice.signer, WireFormat::PUBLIC_MESSAGE, right.content.clone(), &before).unwrap();
        let message = alice.tagged(signed.complete(Some(wrong)).unwrap());
        assert_breaks!(
            carol.stage(&message).unwrap_err(),
            Violation::ConfirmationTag,
            "C080",
            "C172",
            "C313"
        );
    }
    assert_eq!(carol.group().public.context_bytes, before);
    carol.follow(&message);
    assert_eq!(carol.group().epoch(), alice.group().epoch() + 1);
}

#[test]
fn a_removed_member_sends_nothing_that_counts() {
    let [_, bob, carol] = group_with_a_blank_leaf();
    // In the name of an epoch that he has no keys of.
    let mut late = bob.private(BOB, proposal());
    assert_eq!(carol.refusal(&late), NotNow::EpochPast.into());
    let epoch = late.windows(8).position(|window| window == bob.group().epoch().to_be_bytes()).unwrap();
    late[epoch + 7] += 1;
    let refused = carol.refusal(&late);
    assert_breaks!(refused, Violation::SenderDoesNotOpen, "C094", "C096");
}
