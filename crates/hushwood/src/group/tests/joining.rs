//! RFC 9420 §12.4.3: Welcomes and GroupInfos by a member who means harm.

use hushwood_codec::{DecodeErrorKind, Encode, Writer};
use hushwood_crypto::sign_with_label;

use super::*;
use crate::commit::advance::JoinSecrets;
use crate::credential::CredentialType;
use crate::error::Unsupported;
use crate::extension::RequiredCapabilities;
use crate::key_package::KeyPackage;
use crate::proposal::{Add, GroupContextExtensions};
use crate::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::welcome::create::{Joiner, welcomes};
use crate::welcome::{GroupInfo, Welcome};

/// A commit of Alice's that adds clients, and what is in its Welcome.
struct Invitation {
    public: PublicState,
    join: JoinSecrets,
    info: GroupInfo,
    joiners: Vec<Joiner>,
    psks: Vec<PreSharedKeyId>,
}

impl Invitation {
    fn new(alice: &mut Client, key_packages: &[ValidKeyPackage]) -> Self {
        let add = |key_package: &ValidKeyPackage| {
            Proposal::Add(Box::new(Add { key_package: key_package.key_package().clone() }))
        };
        let created = alice.create_commit(key_packages.iter().map(add).collect());
        let (public, path) = (created.next.public, created.path.unwrap());
        let contents = GroupInfoContents { ratchet_tree: true, external_pub: None };
        let signer: &dyn Signer = &alice.signer;
        let signer = (created.committer, signer);
        let info = group_info(&public, contents, signer, &alice.policy, &mut alice.random).unwrap();
        let joiners = key_packages.iter().zip(&created.applied.added).map(|(key_package, leaf)| Joiner {
            reference: key_package.reference().clone(),
            init_key: key_package.key_package().init_key.clone(),
            path_secret: path.path_secret_for(*leaf).map(crate::tree::PathSecret::into_secret),
        });
        let joiners = joiners.collect();
        Self { public, join: created.join, info, joiners, psks: vec![] }
    }

    fn sign(&mut self, alice: &Client) {
        let mut tbs = Writer::new();
        self.info.encode_tbs(&mut tbs);
        self.info.signature = sign_with_label(&alice.signer, "GroupInfoTBS", &tbs.finish().unwrap()).unwrap();
    }

    fn seal(self) -> Welcome {
        let Self { public, join, info, joiners, psks } = self;
        welcomes(&public, join, &info, (joiners, psks, false), &mut ToyRandom(5)).unwrap().remove(0)
    }
}

fn stage(client: &Client, welcome: Welcome) -> Result<StagedJoin, Error> {
    let welcome = encode(&MlsMessage::Welcome(welcome)).unwrap();
    let opened = OpenedWelcome::open(&welcome, &client.store, &PROVIDER, &client.policy)?;
    opened.stage(&Answers::none(), None, None, NOW, &mut ToyRandom(1))
}

/// What Bob says to an invitation after a change to it; his KeyPackage is kept (C346).
fn refused(change: impl FnOnce(&mut Invitation, &Client)) -> Error {
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    let mut invitation = Invitation::new(&mut alice, &[bob.key_package()]);
    change(&mut invitation, &alice);
    let before = bob.store.clone();
    let error = stage(&bob, invitation.seal()).unwrap_err();
    assert_eq!(bob.store.0, before.0);
    error
}

#[test]
fn an_invitation_that_nobody_changed_is_accepted() {
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    let mut invitation = Invitation::new(&mut alice, &[bob.key_package()]);
    invitation.sign(&alice);
    assert!(stage(&bob, invitation.seal()).is_ok());
}

/// C320, C382, C383, C389: values that nobody knows, GREASE among them, wherever they may be.
#[test]
fn what_is_unknown_in_key_packages_and_group_infos_is_ignored() {
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    bob.policy.grease = Grease::Everywhere;
    let unknown = ExtensionType(0x1234);
    bob.supported.extensions.push(unknown);
    bob.supported.proposals.push(ProposalType(0x1234));
    bob.supported.credentials.push(CredentialType(0x1234));
    bob.supported.suites.push(CipherSuiteId(0x1234));
    bob.leaf_extensions.set(unknown, vec![1, 2, 3]);
    let key_package = bob.key_package();
    let leaf = &key_package.key_package().leaf_node;
    assert_eq!((leaf.extensions.iter().len(), key_package.key_package().extensions.iter().len()), (2, 1));
    let mut invitation = Invitation::new(&mut alice, &[key_package]);
    for value in [0x0A0A, 0xEAEA, 0x1234, 0xF0F0] {
        invitation.info.extensions.set(ExtensionType(value), vec![4, 5]);
    }
    invitation.sign(&alice);
    assert!(stage(&bob, invitation.seal()).is_ok());
}

/// C348, C386: ours has GREASE, in a GroupInfo as well.
#[test]
fn group_infos_have_an_extension_that_nobody_knows() {
    let (mut alice, _) = group_of(["bob"]);
    alice.group.as_mut().unwrap().policy.grease = Grease::Everywhere;
    let MlsMessage::GroupInfo(info) = MlsMessage::from_bytes(&info(&mut alice, true)).unwrap() else {
        panic!("no GroupInfo")
    };
    let known = [ExtensionType::RATCHET_TREE, ExtensionType::EXTERNAL_PUB];
    let mut unknown = info
        .inspect()
        .extensions
        .iter()
        .map(|extension| extension.extension_type)
        .filter(|t| !known.contains(t));
    assert!(unknown.next().is_some_and(|grease| crate::grease::is_grease(grease.0)));
}

/// C321, C347, C385: the member that added us did not look.
#[test]
fn a_group_that_asks_for_what_we_lack_is_not_joined() {
    let error = refused(|invitation, alice| {
        invitation.info.group_context.extensions.set(ExtensionType(0xF0EE), vec![]);
        invitation.sign(alice);
    });
    assert_eq!(error, Violation::CapabilitiesLackExtension.into());
    assert_names!(error, "C321");
    assert_names!(error, "C385");
    let required = RequiredCapabilities { proposal_types: vec![ProposalType(0xF0EE)], ..Default::default() };
    let error = refused(|invitation, alice| {
        let extensions = &mut invitation.info.group_context.extensions;
        extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().unwrap());
        invitation.sign(alice);
    });
    assert_eq!(error, Violation::CapabilitiesLackRequired.into());
    assert_names!(error, "C347");
}

/// C302: in another order the keys would be others.
#[test]
fn a_welcome_names_the_pre_shared_keys_in_the_order_of_the_commit() {
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    let names = [b"second", b"first.", b"third."].map(|name| Psk::External { psk_id: name.to_vec() });
    let mut answers = Answers::none();
    for (number, name) in (1..).zip(&names) {
        answers.add_psk(name.clone(), Secret::new(vec![number; 32]));
    }
    let mut proposals: Vec<_> = names.iter().cloned().map(NewProposal::Psk).collect();
    proposals.insert(1, add(bob.key_package()));
    let staged = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, &answers).unwrap();
    let change = alice.apply(&staged.id);
    let welcome = &change.welcomes[0].message;
    let opened = OpenedWelcome::open(welcome, &bob.store, &PROVIDER, &bob.policy).unwrap();
    assert_eq!(opened.psks(), names);
    assert!(opened.stage(&answers, None, None, NOW, &mut ToyRandom(1)).is_ok());
}

#[test]
fn a_welcome_to_a_group_without_our_leaf_is_refused() {
    let mut carol = Client::new("carol");
    let (first, second) = (carol.key_package(), carol.key_package());
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    for added in [bob.key_package(), first] {
        // Bob's place, then that of another KeyPackage of Carol's: neither is the leaf she offered.
        let mut invitation = Invitation::new(&mut alice, &[added]);
        invitation.joiners[0].reference = second.reference().clone();
        invitation.joiners[0].init_key = second.key_package().init_key.clone();
        let error = stage(&carol, invitation.seal()).unwrap_err();
        assert_eq!(error, Violation::LeafNotInTree.into());
        assert_names!(error, "C339");
    }
}

#[test]
fn a_welcome_for_others_or_for_another_suite_is_refused() {
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    let welcome = Invitation::new(&mut alice, &[bob.key_package()]).seal();
    let error = stage(&Client::new("carol"), welcome.clone()).unwrap_err();
    assert_eq!(error, NotNow::NoKeyPackage.into());
    assert_names!(error, "C325");
    let error = stage(&bob, Welcome { cipher_suite: CipherSuiteId(3), ..welcome.clone() }).unwrap_err();
    assert_eq!(error, Violation::KeyPackageSuite.into());
    assert_names!(error, "C326");
    let error = stage(&bob, Welcome { cipher_suite: CipherSuiteId(0xF0F0), ..welcome.clone() }).unwrap_err();
    assert_eq!(error, Unsupported::CipherSuite.into());
    // C327, C330.
    let mut altered = welcome.clone();
    altered.encrypted_group_info[3] ^= 1;
    let error = stage(&bob, altered).unwrap_err();
    assert_breaks!(error, Violation::WelcomeDoesNotOpen, "C039", "C327");
    assert!(stage(&bob, welcome).is_ok());
}

#[test]
fn a_welcome_whose_confirmation_tag_is_not_the_epochs_is_refused() {
    let error = refused(|invitation, alice| {
        invitation.info.confirmation_tag[0] ^= 1;
        invitation.sign(alice);
    });
    assert_eq!(error, Violation::ConfirmationTag.into());
    assert_names!(error, "C342");
}

#[test]
fn a_welcome_of_another_version_or_suite_than_the_key_package_is_refused() {
    let error = refused(|invitation, alice| {
        invitation.info.group_context.cipher_suite = CipherSuiteId(3);
        invitation.sign(alice);
    });
    assert_eq!(error, Violation::KeyPackageSuite.into());
    let other = refused(|invitation, alice| {
        invitation.info.group_context.version = crate::version::ProtocolVersion(2);
        invitation.sign(alice);
    });
    assert_eq!(other, Unsupported::ProtocolVersion.into());
    assert_names!(error, "C331");
    assert_names!(other, "C331");
}

#[test]
fn a_welcome_whose_path_secret_is_absent_or_wrong_is_refused() {
    let absent = refused(|invitation, _| invitation.joiners[0].path_secret = None);
    assert_eq!(absent, Violation::WelcomePathSecret.into());
    assert_names!(absent, "C341");
    let wrong = refused(|invitation, _| invitation.joiners[0].path_secret = Some(Secret::new(vec![3; 32])));
    assert_eq!(wrong, Violation::PathKeyMismatch.into());
    assert_names!(wrong, "C340");
    let short = refused(|invitation, _| invitation.joiners[0].path_secret = Some(Secret::new(vec![3; 31])));
    assert_breaks!(short, Violation::PathSecret, "C140");
}

fn psk(psk: Psk, nonce_length: usize) -> PreSharedKeyId {
    PreSharedKeyId { psk, psk_nonce: vec![4; nonce_length] }
}

#[test]
fn a_welcome_whose_pre_shared_keys_are_not_to_be_had_together_is_refused() {
    let of = |usage, psk_epoch| psk(Psk::Resumption { usage, psk_group_id: b"old".to_vec(), psk_epoch }, 32);
    let external = |nonce_length| psk(Psk::External { psk_id: b"key".to_vec() }, nonce_length);
    let (reinit, branch) = (ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch);
    for two in
        [[of(reinit, 1), of(reinit, 2)], [of(branch, 1), of(reinit, 1)], [of(branch, 1), of(branch, 1)]]
    {
        let error = refused(|invitation, _| invitation.psks = two.to_vec());
        assert_eq!(error, Violation::PskUsage.into());
        assert_names!(error, "C329");
    }
    let error = refused(|invitation, _| invitation.psks = vec![external(31)]);
    assert_breaks!(error, Violation::PskNonce, "C171");
    for missing in [vec![external(32)], vec![of(branch, 1), external(32)]] {
        let error = refused(|invitation, _| invitation.psks = missing);
        assert_eq!(error, NotNow::PskMissing.into());
        assert_names!(error, "C328");
    }
}

#[test]
fn a_tree_that_is_nowhere_is_asked_for() {
    let error = refused(|invitation, alice| {
        invitation.info.extensions.remove(ExtensionType::RATCHET_TREE);
        invitation.sign(alice);
    });
    assert_eq!(error, NotNow::TreeMissing.into());
    assert_names!(error, "C332");
}

/// C322: Bob is in a group of this id.
#[test]
fn a_second_group_of_an_id_is_not_joined_while_the_first_goes_on() {
    let (alice, [mut bob]) = group_of(["bob"]);
    let mut mallory = Client::new("mallory");
    let same_id = Some(alice.group().group_id().to_vec());
    mallory.create(NewGroup { group_id: same_id, ..mallory.new_group() });
    let welcome = Invitation::new(&mut mallory, &[bob.key_package()]).seal();
    let staged = stage(&bob, welcome.clone()).unwrap();
    let verdicts = judge(staged.checks(), &InsecureAcceptAll);
    let error = staged.accept(&verdicts, &bob.store, &mut ToyRandom(1)).unwrap_err();
    assert_eq!(error, NotNow::GroupExists.into());
    assert_names!(error, "C322");
    bob.group.take().unwrap().forget(&bob.store).unwrap().commit(&mut bob.store).unwrap();
    let staged = stage(&bob, welcome).unwrap();
    assert!(staged.accept(&verdicts, &bob.store, &mut ToyRandom(1)).is_ok());
}

/// C209: a KeyPackage of last resort is used more than once, a Welcome is not: to join by it again would be to use the
/// epoch's message keys again.
#[test]
fn an_epoch_is_joined_once_with_a_key_package_of_last_resort() {
    let mut alice = Client::new("alice");
    alice.create(alice.new_group());
    let mut bob = Client::new("bob");
    let last_resort = bob.last_resort();
    let reference = last_resort.reference().clone();
    let first = Invitation::new(&mut alice, std::slice::from_ref(&last_resort)).seal();
    let accept = |bob: &mut Client, welcome: &Welcome| {
        let staged = stage(bob, welcome.clone()).unwrap();
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let accepted = staged.accept(&verdicts, &bob.store, &mut ToyRandom(1));
        accepted.map(|step| bob.group = Some(step.commit(&mut bob.store).unwrap()))
    };
    let joins =
        |bob: &Client| bob.store.0.keys().filter(|key| key.kind == RecordKind::LastResortJoin).count();
    let forget = |bob: &mut Client| {
        bob.group.take().unwrap().forget(&bob.store).unwrap().commit(&mut bob.store).unwrap();
    };
    accept(&mut bob, &first).unwrap();
    forget(&mut bob);
    let before = bob.store.clone();
    let error = accept(&mut bob, &first).unwrap_err();
    assert_eq!(error, NotNow::NoKeyPackage.into());
    assert_eq!(bob.store.0, before.0);

    // Another epoch, the same KeyPackage.
    let mut carol = Client::new("carol");
    carol.create(carol.new_group());
    let second = Invitation::new(&mut carol, &[last_resort]).seal();
    accept(&mut bob, &second).unwrap();
    assert_eq!(joins(&bob), 2);
    forget(&mut bob);
    // What is known of a KeyPackage goes with it, at the next join.
    client::forget_key_package(&reference).commit(&mut bob.store).unwrap();
    let third = Invitation::new(&mut alice, &[bob.last_resort()]).seal();
    accept(&mut bob, &third).unwrap();
    assert_eq!(joins(&bob), 1);
}

fn external_join(joiner: &mut Client, info: &[u8]) -> Result<(), Error> {
    let join = ExternalJoin::new(PROVIDER, joiner.credential.clone(), joiner.supported.clone());
    StagedExternalJoin::stage(info, None, join, &joiner.signer, NOW, &mut joiner.random).map(drop)
}

fn info(alice: &mut Client, external_pub: bool) -> Vec<u8> {
    let options = GroupInfoOptions { ratchet_tree: true, external_pub };
    alice.group.as_ref().unwrap().group_info(options, &alice.signer, &mut alice.random).unwrap()
}

#[test]
fn a_group_whose_info_has_no_external_key_is_not_joined_from_outside() {
    let (mut alice, _) = group_of(["bob"]);
    let mut dave = Client::new("dave");
    let error = external_join(&mut dave, &info(&mut alice, false)).unwrap_err();
    assert_eq!(error, Violation::ExternalPubAbsent.into());
    assert_names!(error, "C350");
    assert_eq!(external_join(&mut dave, &info(&mut alice, true)), Ok(()));
}

#[test]
fn who_lacks_what_a_group_has_or_requires_does_not_join_it_from_outside() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let mut lacking = Client::new("dave");
    lacking.supported.extensions.retain(|known| *known != KNOWN_EXTENSION);
    lacking.supported.proposals.clear();
    let mut extensions = Extensions::new();
    extensions.set(KNOWN_EXTENSION, vec![]);
    let (commit, _) = alice.commits(vec![NewProposal::GroupContextExtensions(extensions)]);
    bob.receive(&commit).unwrap();
    let error = external_join(&mut lacking, &info(&mut alice, true)).unwrap_err();
    assert_eq!(error, Unsupported::GroupExtension.into());
    assert_names!(error, "C363");
    assert_names!(error, "C385");
    let required = RequiredCapabilities { proposal_types: vec![KNOWN_PROPOSAL], ..Default::default() };
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().unwrap());
    alice.commits(vec![NewProposal::GroupContextExtensions(extensions)]);
    let error = external_join(&mut lacking, &info(&mut alice, true)).unwrap_err();
    assert_breaks!(error, Unsupported::RequiredCapability, "C347", "C363");
    // C363: the members' credentials are of a type that the joiner does not know.
    let mut stranger = Client::new("erin");
    stranger.credential = Credential::Custom { credential_type: CredentialType(0xF0C0), data: vec![] };
    stranger.supported.credentials = vec![CredentialType(0xF0C0)];
    let error = external_join(&mut stranger, &info(&mut alice, true)).unwrap_err();
    assert_eq!(error, Error::WouldViolate(Violation::CapabilitiesLackCredential));
}

/// C260: what the others would find in the group after our commit is our fault.
#[test]
fn a_commit_that_leads_to_an_invalid_group_is_not_made() {
    let (mut alice, _) = group_of(["bob"]);
    let required =
        RequiredCapabilities { credential_types: vec![CredentialType::X509], ..Default::default() };
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().unwrap());
    let proposals = vec![NewProposal::GroupContextExtensions(extensions)];
    let error =
        alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, &Answers::none()).unwrap_err();
    assert_eq!(error, Error::WouldViolate(Violation::CapabilitiesLackRequired));
    // From outside, in place of nobody.
    let dave = Client::new("dave");
    let mut join = ExternalJoin::new(PROVIDER, dave.credential.clone(), dave.supported.clone());
    join.resync = Some(LeafIndex::new(7));
    let info = info(&mut alice, true);
    let error =
        StagedExternalJoin::stage(&info, None, join, &dave.signer, NOW, &mut ToyRandom(1)).unwrap_err();
    assert_eq!(error, Error::WouldViolate(Violation::RemoveBlank));
}

/// C349: in each of the six lists.
#[test]
fn two_extensions_of_one_type_are_refused_wherever_they_are() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let mut two = Extensions::new();
    two.set(ExtensionType(0xF0A1), vec![]);
    two.set(ExtensionType(0xF0A2), vec![]);
    fn doubled<T: Encode + Decode>(value: &T) {
        let mut bytes = value.to_bytes().unwrap();
        assert!(T::from_bytes(&bytes).is_ok());
        let at = bytes.windows(2).position(|pair| pair == [0xF0, 0xA2]).unwrap();
        bytes[at + 1] = 0xA1;
        let error = T::from_bytes(&bytes).map(drop).map_err(Error::from).unwrap_err();
        let Error::Decode(decode) = &error else { panic!("{error:?}") };
        assert_eq!(decode.kind, DecodeErrorKind::Duplicate);
        assert_names!(error, "C349");
    }
    let key_package = bob.key_package().into_key_package();
    doubled(&KeyPackage { extensions: two.clone(), ..key_package.clone() });
    doubled(&LeafNode { extensions: two.clone(), ..key_package.leaf_node });
    doubled(&GroupContext { extensions: two.clone(), ..alice.group().context().clone() });
    let invitation = Invitation::new(&mut alice, &[Client::new("carol").key_package()]);
    doubled(&GroupInfo { extensions: two.clone(), ..invitation.info });
    let (group_id, version) = (b"next".to_vec(), crate::version::ProtocolVersion::MLS10);
    doubled(&ReInit { group_id, version, cipher_suite: CipherSuiteId(1), extensions: two.clone() });
    doubled(&GroupContextExtensions { extensions: two });
}
