//! Messages with good signatures and tags around content that is nearly right: what comes behind decryption.

use arbitrary::Unstructured;
use hushwood::commit::{Answers, Commit, ProposalOrRef};
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::extension::ExtensionType;
use hushwood::framing::{Content, MlsMessage};
use hushwood::group::{ExternalJoin, Group, GroupView, OpenedWelcome, Received, StagedExternalJoin};
use hushwood::key_package::KeyPackage;
use hushwood::policy::Policy;
use hushwood::proposal::Proposal;
use hushwood::public_group::{Observed, PublicGroup};
use hushwood::schedule::{JoinerSecret, PskSecret};
use hushwood::tree::{LeafIndex, LeafNode, RatchetTree, Supported, UnsignedLeafNode};
use hushwood::unverified::Unverified;
use hushwood::welcome::{GroupInfo, GroupSecrets, Welcome};
use hushwood_codec::{Decode, Encode, Writer};
use hushwood_crypto::hpke::HpkeInfo;
use hushwood_crypto::{
    HpkePublicKey, Secret, SignaturePrivateKey, SignaturePublicKey, SoftwareSigner, sign_with_label,
};

use super::mutation::{below, mutate, pick};
use super::scene::{Scene, actor, with};
use crate::actor::{Actor, NOW};
use crate::fake_crypto::{PROVIDER, SUITE};
use crate::random::SeededRandom;

/// A member gets bytes of anybody's.
pub(super) fn receive_bytes(data: &[u8]) {
    with(|scene| take(&mut copy(&scene.members[0]), data));
}

/// A member gets what another member has made of something valid.
pub(super) fn process_message(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    with(|scene| {
        let private = below(choices, 2) == 0;
        if let Some(message) = nearly_right(scene, choices, private) {
            take(&mut copy(&scene.members[below(choices, 2)]), &message);
        }
    });
}

/// An observer gets the same.
pub(super) fn observe_message(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    with(|scene| {
        let Some(message) = nearly_right(scene, choices, false) else { return };
        let group_info = copy(&scene.members[0]).group_info(true);
        let view = GroupView::verify(&group_info, None, &PROVIDER, (&Policy::default(), NOW), &mut random());
        let view = view.expect("the scene is valid");
        let verdicts = judge(view.checks(), &InsecureAcceptAll);
        let mut observer = PublicGroup::new(view, &verdicts).expect("the scene is valid");
        match observer.receive(&message, NOW, &mut random()) {
            Ok(Observed::Proposal(observed)) => {
                let verdicts = judge(observed.checks(), &InsecureAcceptAll);
                _ = observer.accept_proposal(observed, &verdicts);
            }
            Ok(Observed::Commit(observed)) => {
                let verdicts = judge(observed.checks(), &InsecureAcceptAll);
                _ = observer.accept_commit(*observed, &verdicts);
            }
            Err(_) => {}
        }
        assert!(observer.to_bytes().is_ok());
    });
}

/// A client gets a Welcome from a member who means harm.
pub(super) fn join_welcome(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    with(|scene| {
        let Some(welcome) = forged_welcome(scene, choices) else { return };
        let joiner = &scene.joiner;
        let Ok(opened) = OpenedWelcome::open(&welcome, &joiner.store, &PROVIDER, &joiner.policy) else {
            return;
        };
        let Ok(answers) = Answers::from_store(&joiner.store, opened.psks()) else { return };
        let Ok(staged) = opened.stage(&answers, None, None, NOW, &mut random()) else { return };
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let mut store = joiner.store.snapshot();
        if let Ok(step) = staged.accept(&verdicts, &joiner.store, &mut random()) {
            let group = step.commit(&mut store).expect("the store works");
            let group =
                Group::open(&store, &PROVIDER, group.instance()).expect("a group that was joined opens");
            assert!(group.members().all(|member| member.is_ok()));
        }
    });
}

/// A client joins by a GroupInfo of a member who means harm.
pub(super) fn external_join(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    with(|scene| {
        let message = copy(&scene.members[0]).group_info(true);
        let Ok(MlsMessage::GroupInfo(valid)) = MlsMessage::from_bytes(&message) else { return };
        let bytes = mutate(&valid.inspect().to_bytes().expect("it was decoded"), choices);
        let Some(group_info) = resigned_group_info(&bytes, choices) else { return };
        let Ok(message) = MlsMessage::GroupInfo(Box::new(Unverified::new(group_info))).to_bytes() else {
            return;
        };
        let joiner = actor("outside", 30);
        let mut settings = ExternalJoin::new(PROVIDER, joiner.credential(), Supported::new(&PROVIDER));
        settings.resync = (below(choices, 4) == 0).then(|| LeafIndex::new(1));
        let staged = StagedExternalJoin::stage(&message, None, settings, &joiner.signer, NOW, &mut random());
        if let Ok(staged) = staged {
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            _ = staged.accept(&verdicts, &joiner.store, &mut random());
        }
    });
}

fn random() -> SeededRandom {
    SeededRandom::new(77)
}

/// The same member, of whom nothing is changed by what is done to the copy.
fn copy(member: &Actor) -> Actor {
    let mut copy = Actor::new(&member.name, PROVIDER, super::scene::SUITE_ID, 1);
    copy.store = member.store.snapshot();
    copy.reload = false;
    let key = SignaturePrivateKey(Secret::copy_of(member.signer.private_key().0.expose()));
    copy.signer = SoftwareSigner::new(SUITE, key).expect("it is a key");
    let group = Group::open(&copy.store, &PROVIDER, member.group().instance()).expect("the group opens");
    copy.group = Some(group);
    copy
}

/// Receives a message, and accepts it if it can be. What was refused has changed nothing.
fn take(member: &mut Actor, message: &[u8]) {
    let before = member.rows();
    if member_takes(member, message).is_none() {
        assert_eq!(member.rows(), before, "a refused message has changed something");
    }
    let instance = member.group().instance();
    let group = Group::open(&member.store, &PROVIDER, instance).expect("the group opens again");
    assert_eq!(group.context(), member.group().context());
}

fn member_takes(member: &mut Actor, message: &[u8]) -> Option<()> {
    let (group, store) = (member.group.as_mut()?, &mut member.store);
    match group.receive(message, NOW).ok()? {
        Received::Message(received) => _ = group.accept_message(received).ok()?.commit(store).ok()?,
        Received::Proposal(received) => {
            let verdicts = judge(received.checks(), &InsecureAcceptAll);
            group.accept_proposal(received, &verdicts).ok()?.commit(store).ok()?;
        }
        Received::Commit(received) => {
            let answers = Answers::from_store(store, received.psks()).ok()?;
            let staged = group.stage_commit(&received, &answers, NOW, &mut random()).ok()?;
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            _ = group.accept_commit(staged, &verdicts, NOW).ok()?.commit(store).ok()?;
        }
        Received::OwnCommit(_) | Received::OwnProposal(_) => return None,
    }
    Some(())
}

/// Content that was valid, a bit changed, signed again inside and outside.
fn nearly_right(scene: &Scene, choices: &mut Unstructured<'_>, private: bool) -> Option<Vec<u8>> {
    let sender = LeafIndex::new(u32::try_from(below(choices, 4)).ok()?);
    let content = match below(choices, 5) {
        0 => Content::Application(mutate(b"something", choices)),
        1 | 2 => {
            let valid = pick(choices, &scene.proposals);
            let mut proposal = Proposal::from_bytes(&mutate(valid, choices)).ok()?;
            resign(&mut proposal, scene, sender)?;
            Content::Proposal(proposal)
        }
        _ => {
            let valid = pick(choices, &scene.commits);
            let mut commit = Commit::from_bytes(&mutate(valid, choices)).ok()?;
            // Proposals in the order of somebody who does not care.
            for _ in 0..below(choices, 3) {
                let valid = pick(choices, &scene.proposals);
                let proposal = Proposal::from_bytes(&mutate(valid, choices)).ok()?;
                commit.proposals.push(ProposalOrRef::Proposal(proposal));
            }
            for proposal in &mut commit.proposals {
                if let ProposalOrRef::Proposal(proposal) = proposal {
                    resign(proposal, scene, sender)?;
                }
            }
            match below(choices, 3) {
                0 => commit.path = None,
                _ => {
                    if let Some(path) = &mut commit.path {
                        path.leaf_node = resigned_leaf(&path.leaf_node, scene, sender)?;
                    }
                }
            }
            Content::Commit(Box::new(commit))
        }
    };
    scene.forge(sender, content, private)
}

fn signer(public: &SignaturePublicKey) -> Option<SoftwareSigner> {
    // In this suite a private key is its public key.
    SoftwareSigner::new(SUITE, SignaturePrivateKey(Secret::copy_of(&public.0))).ok()
}

fn resigned_leaf(leaf: &LeafNode, scene: &Scene, place: LeafIndex) -> Option<LeafNode> {
    let (key, source) = (leaf.encryption_key.clone(), leaf.leaf_node_source.clone());
    let unsigned = UnsignedLeafNode::successor(leaf, key, source);
    unsigned.sign(&signer(&leaf.signature_key)?, (&scene.context.group_id, place)).ok()
}

fn resign(proposal: &mut Proposal, scene: &Scene, sender: LeafIndex) -> Option<()> {
    match proposal {
        Proposal::Add(add) => {
            let leaf_node = resigned_leaf(&add.key_package.leaf_node, scene, sender)?;
            let mut key_package = KeyPackage { leaf_node, ..add.key_package.clone() };
            let mut tbs = Writer::new();
            tbs.value(&key_package.version).value(&key_package.cipher_suite).value(&key_package.init_key);
            tbs.value(&key_package.leaf_node).value(&key_package.extensions);
            let signer = signer(&key_package.leaf_node.signature_key)?;
            key_package.signature = sign_with_label(&signer, "KeyPackageTBS", &tbs.finish().ok()?).ok()?;
            add.key_package = key_package;
        }
        Proposal::Update(update) => update.leaf_node = resigned_leaf(&update.leaf_node, scene, sender)?,
        Proposal::Remove(_)
        | Proposal::Psk(_)
        | Proposal::ReInit(_)
        | Proposal::ExternalInit(_)
        | Proposal::GroupContextExtensions(_)
        | Proposal::Custom { .. } => {}
    }
    Some(())
}

/// A GroupInfo, signed by its signer; perhaps with the hash of the tree that it has.
fn resigned_group_info(bytes: &[u8], choices: &mut Unstructured<'_>) -> Option<GroupInfo> {
    let mut group_info = GroupInfo::from_bytes(bytes).ok()?;
    let data = &group_info.extensions.get(ExtensionType::RATCHET_TREE)?.extension_data;
    let tree = RatchetTree::from_extension(SUITE, data, &Policy::default()).ok()?;
    if below(choices, 2) == 0 {
        group_info.group_context.tree_hash = tree.tree_hash().ok()?.as_bytes().to_vec();
    }
    let key = tree.leaf(group_info.signer).ok()??.signature_key;
    let mut tbs = Writer::new();
    tbs.value(&group_info.group_context).value(&group_info.extensions);
    tbs.opaque(&group_info.confirmation_tag).value(&group_info.signer);
    group_info.signature = sign_with_label(&signer(&key)?, "GroupInfoTBS", &tbs.finish().ok()?).ok()?;
    Some(group_info)
}

/// A Welcome that opens, to a GroupInfo whose confirmation tag is right.
fn forged_welcome(scene: &Scene, choices: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let valid = scene.group_info.to_bytes().ok()?;
    let mut group_info = GroupInfo::from_bytes(&mutate(&valid, choices)).ok()?;
    let secrets = mutate(&scene.group_secrets, choices);
    let secrets = GroupSecrets::from_bytes(&secrets).ok();
    let joiner_secret = secrets.as_ref().map_or(scene.joiner_secret.as_slice(), |s| s.joiner_secret.expose());
    let psks = secrets.as_ref().map(|secrets| secrets.psks.clone()).unwrap_or_default();
    // The key that all have, whatever the name is.
    let key = Secret::copy_of(b"a key of theirs");
    let named: Vec<_> = psks.iter().map(|id| (id, &key)).collect();
    let psk = PskSecret::derive(SUITE, &named).ok()?;
    let intermediate = JoinerSecret::new(Secret::copy_of(joiner_secret)).with_psk(SUITE, psk);
    let welcome = intermediate.welcome(SUITE).ok()?;
    group_info = resigned_group_info(&group_info.to_bytes().ok()?, choices)?;
    let context = group_info.group_context.to_bytes().ok()?;
    let (epoch, _) = intermediate.epoch(SUITE, &context).ok()?.derive(SUITE).ok()?;
    group_info.confirmation_tag =
        epoch.confirmation.tag(SUITE, &group_info.group_context.confirmed_transcript_hash);
    let group_info = resigned_group_info(&group_info.to_bytes().ok()?, &mut Unstructured::new(&[]))?;

    let sealed_info = welcome.seal(SUITE, &group_info.to_bytes().ok()?).ok()?;
    let secrets = secrets.map_or(Some(scene.group_secrets.clone()), |secrets| secrets.to_bytes().ok())?;
    let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(&scene.joiner_key_package).ok()? else {
        return None;
    };
    let init_key: HpkePublicKey = key_package.inspect().init_key.clone();
    let info = HpkeInfo::new(SUITE, "Welcome", &sealed_info).ok()?;
    let mut entry = scene.welcome.secrets.first()?.clone();
    entry.encrypted_group_secrets = info.seal(&init_key, &secrets, &mut random()).ok()?;
    let welcome =
        Welcome { secrets: vec![entry], encrypted_group_info: sealed_info, ..scene.welcome.clone() };
    MlsMessage::Welcome(welcome).to_bytes().ok()
}

/// That inputs get as far as they are meant to: what is not changed is taken.
#[cfg(test)]
mod tests {
    use hushwood::error::{Error, Violation};

    use super::*;

    fn nothing() -> Unstructured<'static> {
        Unstructured::new(&[])
    }

    #[test]
    fn a_forged_proposal_is_accepted_in_both_forms() {
        for private in [true, false] {
            with(|scene| {
                for proposal in &scene.proposals {
                    let mut proposal = Proposal::from_bytes(proposal).unwrap();
                    // An Update is of the leaf it was made for.
                    let sender = LeafIndex::new(2);
                    resign(&mut proposal, scene, sender).unwrap();
                    let message = scene.forge(sender, Content::Proposal(proposal), private).unwrap();
                    assert_eq!(member_takes(&mut copy(&scene.members[0]), &message), Some(()));
                }
            });
        }
    }

    #[test]
    fn a_forged_commit_gets_as_far_as_the_confirmation_tag() {
        with(|scene| {
            for commit in &scene.commits {
                let commit = Box::new(Commit::from_bytes(commit).unwrap());
                let message = scene.forge(LeafIndex::new(2), Content::Commit(commit), true).unwrap();
                let mut member = copy(&scene.members[0]);
                let store = member.store.snapshot();
                let group = member.group.as_mut().unwrap();
                let Received::Commit(received) = group.receive(&message, NOW).unwrap() else {
                    panic!("not a commit");
                };
                let answers = Answers::from_store(&store, received.psks()).unwrap();
                let staged = group.stage_commit(&received, &answers, NOW, &mut random());
                assert_eq!(staged.err(), Some(Error::Violation(Violation::ConfirmationTag)));
            }
        });
    }

    #[test]
    fn a_forged_welcome_is_joined_by() {
        with(|scene| {
            let welcome = forged_welcome(scene, &mut nothing()).unwrap();
            let joiner = &scene.joiner;
            let opened = OpenedWelcome::open(&welcome, &joiner.store, &PROVIDER, &joiner.policy).unwrap();
            let staged = opened.stage(&Answers::none(), None, None, NOW, &mut random()).unwrap();
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            assert!(staged.accept(&verdicts, &joiner.store, &mut random()).is_ok());
        });
    }

    #[test]
    fn a_group_info_that_was_signed_again_is_joined_by() {
        with(|scene| {
            let valid = copy(&scene.members[0]).group_info(true);
            let MlsMessage::GroupInfo(valid) = MlsMessage::from_bytes(&valid).unwrap() else {
                panic!("not a GroupInfo");
            };
            let valid = valid.inspect().to_bytes().unwrap();
            let group_info = resigned_group_info(&valid, &mut nothing()).unwrap();
            assert_eq!(group_info.group_context, scene.context);
            let message = MlsMessage::GroupInfo(Box::new(Unverified::new(group_info))).to_bytes().unwrap();
            let joiner = actor("outside", 30);
            let settings = ExternalJoin::new(PROVIDER, joiner.credential(), Supported::new(&PROVIDER));
            let staged =
                StagedExternalJoin::stage(&message, None, settings, &joiner.signer, NOW, &mut random());
            assert!(staged.is_ok());
        });
    }
}
