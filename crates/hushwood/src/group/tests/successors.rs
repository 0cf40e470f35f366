//! RFC 9420 §11.2, §11.3, §12.4.3.1: Welcomes into groups that are not what they claim to have grown out of.

use super::*;
use crate::credential::{CredentialCheck, CredentialType, CredentialValidator, Verdict};
use crate::error::{ApiMisuse, Unsupported};
use crate::group::create::new_state;
use crate::schedule::{Psk, ResumptionPskUsage};
use crate::version::ProtocolVersion;

/// As if this client were this user, with as many clients as there are credentials.
fn custom(user: u8, client: u8) -> Credential {
    Credential::Custom { credential_type: CredentialType(0xF0C0), data: vec![user, client] }
}

/// Knows users by the first byte of their credentials.
struct ByFirstByte;

impl CredentialValidator for ByFirstByte {
    fn judge(&self, _: &CredentialCheck) -> Verdict {
        Verdict::Accept
    }

    fn user(&self, credential: &Credential) -> Option<Vec<u8>> {
        match credential {
            Credential::Custom { data, .. } => data.first().map(|user| vec![*user]),
            Credential::Basic { .. } | Credential::X509 { .. } => None,
        }
    }
}

fn next(number: u16) -> ReInit {
    let mut extensions = Extensions::new();
    extensions.set(KNOWN_EXTENSION, vec![7]);
    let (version, cipher_suite) = (ProtocolVersion::MLS10, CipherSuiteId(number));
    ReInit { group_id: b"next".to_vec(), version, cipher_suite, extensions }
}

/// Alice has committed a ReInit, and the others have followed.
fn end(alice: &mut Client, others: &mut [Client], reinit: &ReInit) {
    let (commit, _) = alice.commits(vec![NewProposal::ReInit(reinit.clone())]);
    others.iter_mut().for_each(|other| other.receive(&commit).unwrap());
}

/// What the reinitialised group should be.
fn settings(alice: &Client, reinit: &ReInit) -> NewGroup {
    NewGroup {
        group_id: Some(reinit.group_id.clone()),
        extensions: reinit.extensions.clone(),
        ..alice.new_group()
    }
}

fn resumption(group: &Group, usage: ResumptionPskUsage) -> Psk {
    Psk::Resumption { usage, psk_group_id: group.group_id().to_vec(), psk_epoch: group.epoch() }
}

/// The Welcome of a group that grows out of Alice's in whatever way, after this many epochs.
fn grow(
    alice: &mut Client,
    settings: NewGroup,
    others: Vec<ValidKeyPackage>,
    (psk, epochs): (Psk, usize),
) -> Vec<u8> {
    let mut answers = Answers::none();
    answers.add_psk(psk.clone(), alice.group().own_resumption_psk(&psk).unwrap().duplicate());
    let (mut group, _) = new_state(settings, &alice.signer, NOW, &mut alice.random)
        .unwrap()
        .into_group(&mut alice.random)
        .unwrap();
    group.purpose = match &psk {
        Psk::Resumption { usage: ResumptionPskUsage::Branch, .. } => Purpose::Branch,
        _ => Purpose::Reinit,
    };
    let old = alice.group.replace(group);
    (0..epochs).for_each(|_| _ = alice.commits(vec![]));
    let mut proposals: Vec<_> = others.into_iter().map(add).collect();
    proposals.push(NewProposal::Psk(psk));
    let staged = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, &answers).unwrap();
    let change = alice.apply(&staged.id);
    alice.group = old;
    change.welcomes[0].message.clone()
}

/// What a client says to a Welcome of a group that claims to have grown out of its own.
fn stage(client: &mut Client, welcome: &[u8], users: &dyn CredentialValidator) -> Result<StagedJoin, Error> {
    let opened = OpenedWelcome::open(welcome, &client.store, &PROVIDER, &client.policy).unwrap();
    let parent = client.group.as_ref().map(|group| (group, users));
    opened.stage(&Answers::none(), None, parent, NOW, &mut client.random)
}

fn refused(client: &mut Client, welcome: &[u8]) -> Error {
    stage(client, welcome, &InsecureAcceptAll).unwrap_err()
}

#[test]
fn a_reinitialised_group_is_joined_by_all_its_members() {
    let (mut alice, mut others) = group_of(["bob", "carol"]);
    end(&mut alice, &mut others, &next(1));
    let key_packages = others.iter_mut().map(Client::key_package).collect();
    let [mut bob, mut carol] = others;
    let successor = Successor::new(alice.credential.clone(), alice.supported.clone(), key_packages);
    let step = alice
        .group()
        .reinit((&PROVIDER, &alice.store), successor, &alice.signer, NOW, &mut ToyRandom(3))
        .unwrap();
    let (group, change) = step.commit(&mut alice.store).unwrap();
    for client in [&mut bob, &mut carol] {
        let staged = stage(client, &change.welcomes[0].message, &InsecureAcceptAll).unwrap();
        assert_eq!(staged.context(), group.context());
    }
}

/// C297: the first commit adds and brings a pre-shared key, which need no path (RFC 9420 §12.4).
#[test]
fn the_first_commit_of_a_successor_has_a_path_unless_it_is_to_have_none() {
    for omit_path in [false, true] {
        let (mut alice, mut others) = group_of(["bob", "carol"]);
        let key_packages = others.iter_mut().map(Client::key_package).collect();
        let mut successor = Successor::new(alice.credential.clone(), alice.supported.clone(), key_packages);
        successor.omit_path = omit_path;
        let step = alice.group().branch(successor.clone(), &alice.signer, NOW, &mut ToyRandom(3)).unwrap();
        let (branch, change) = step.commit(&mut alice.store).unwrap();
        assert_joined(&branch, &change, omit_path, &mut others);

        end(&mut alice, &mut others, &next(1));
        successor.key_packages = others.iter_mut().map(Client::key_package).collect();
        let stored: (_, &dyn crate::transition::Records) = (&PROVIDER, &alice.store);
        let step = alice.group().reinit(stored, successor, &alice.signer, NOW, &mut ToyRandom(4)).unwrap();
        let (next, change) = step.commit(&mut alice.store).unwrap();
        assert_joined(&next, &change, omit_path, &mut others);
    }
}

/// A path gives its sender a leaf that says so; those who are added join either way.
fn assert_joined(group: &Group, change: &EpochChange, omit_path: bool, others: &mut [Client]) {
    let own =
        group.members().find_map(|member| member.ok().filter(|member| member.index == group.own_leaf()));
    let from_path = matches!(own.unwrap().leaf.leaf_node_source, LeafNodeSource::Commit { .. });
    assert_eq!(from_path, !omit_path);
    for client in others {
        let staged = stage(client, &change.welcomes[0].message, &InsecureAcceptAll).unwrap();
        assert_eq!(staged.context(), group.context());
    }
}

/// C230: Alice has ended the group, and Bob makes the next one.
#[test]
fn any_member_of_the_old_group_may_complete_a_reinitialisation() {
    let (mut alice, mut others) = group_of(["bob", "carol"]);
    end(&mut alice, &mut others, &next(1));
    let [mut bob, mut carol] = others;
    let key_packages = vec![alice.key_package(), carol.key_package()];
    let successor = Successor::new(bob.credential.clone(), bob.supported.clone(), key_packages);
    let step =
        bob.group().reinit((&PROVIDER, &bob.store), successor, &bob.signer, NOW, &mut ToyRandom(3)).unwrap();
    let (group, change) = step.commit(&mut bob.store).unwrap();
    for client in [&mut alice, &mut carol] {
        let staged = stage(client, &change.welcomes[0].message, &InsecureAcceptAll).unwrap();
        assert_eq!(staged.context(), group.context());
    }
}

#[test]
fn a_welcome_that_differs_from_the_reinit_in_anything_is_refused() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let reinit = next(1);
    let before = resumption(alice.group(), ResumptionPskUsage::Reinit);
    end(&mut alice, std::slice::from_mut(&mut bob), &reinit);
    let psk = resumption(alice.group(), ResumptionPskUsage::Reinit);
    let right = settings(&alice, &reinit);
    let mut attempt = |settings, psk| {
        let key_package = bob.key_package();
        let welcome = grow(&mut alice, settings, vec![key_package], psk);
        stage(&mut bob, &welcome, &InsecureAcceptAll).map(drop)
    };
    assert_eq!(attempt(right.clone(), (psk.clone(), 0)), Ok(()));
    let other_id = NewGroup { group_id: Some(b"other".to_vec()), ..right.clone() };
    let other_extensions = NewGroup { extensions: Extensions::new(), ..right.clone() };
    for (settings, psk, rows) in [
        (other_id, (psk.clone(), 0), ["C226", "C344"]),
        (other_extensions, (psk.clone(), 0), ["C226", "C344"]),
        // An epoch after the first.
        (right.clone(), (psk, 1), ["C227", "C343"]),
        // The key of the epoch before the ReInit.
        (right, (before, 0), ["C228", "C344"]),
    ] {
        let error = attempt(settings, psk).unwrap_err();
        assert_eq!(error, Violation::ReInitLinkage.into());
        rows.iter().for_each(|row| assert_names!(error, *row));
    }
}

/// C228: somebody who was not in the old group makes one of the right name.
#[test]
fn a_welcome_that_does_not_say_that_it_completes_a_reinitialisation_does_not() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    end(&mut alice, std::slice::from_mut(&mut bob), &next(1));
    let mut mallory = Client::new("alice");
    mallory.create(settings(&mallory, &next(1)));
    let (_, change) = mallory.commits(vec![add(bob.key_package())]);
    let error = refused(&mut bob, &change.welcomes[0].message);
    assert_eq!(error, Violation::ReInitLinkage.into());
    assert_names!(error, "C228");
}

#[test]
fn a_reinitialised_group_of_another_suite_than_agreed_is_refused() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    end(&mut alice, std::slice::from_mut(&mut bob), &next(2));
    let psk = resumption(alice.group(), ResumptionPskUsage::Reinit);
    let right = settings(&alice, &next(2));
    // Suite 1 instead of 2.
    let key_package = bob.key_package();
    let welcome = grow(&mut alice, right, vec![key_package], (psk, 0));
    assert_breaks!(refused(&mut bob, &welcome), Violation::ReInitLinkage, "C226");
}

#[test]
fn a_group_that_was_not_reinitialised_has_no_successor() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let psk = resumption(alice.group(), ResumptionPskUsage::Reinit);
    let (right, key_package) = (settings(&alice, &next(1)), bob.key_package());
    let welcome = grow(&mut alice, right, vec![key_package], (psk, 0));
    assert_eq!(refused(&mut bob, &welcome), Violation::ReInitLinkage.into());
    let successor =
        Successor::new(alice.credential.clone(), alice.supported.clone(), vec![bob.key_package()]);
    let error = alice
        .group()
        .reinit((&PROVIDER, &alice.store), successor, &alice.signer, NOW, &mut ToyRandom(3))
        .unwrap_err();
    assert_eq!(error, ApiMisuse::NotReinitialised.into());
}

#[test]
fn a_reinitialised_group_without_a_member_of_the_old_one_is_neither_made_nor_joined() {
    let (mut alice, mut others) = group_of(["bob", "carol"]);
    end(&mut alice, &mut others, &next(1));
    let [mut bob, _] = others;
    let psk = resumption(alice.group(), ResumptionPskUsage::Reinit);
    let (right, key_package) = (settings(&alice, &next(1)), bob.key_package());
    let welcome = grow(&mut alice, right, vec![key_package], (psk, 0));
    assert_breaks!(refused(&mut bob, &welcome), Violation::ReInitLinkage, "C344");
    let successor =
        Successor::new(alice.credential.clone(), alice.supported.clone(), vec![bob.key_package()]);
    let error = alice
        .group()
        .reinit((&PROVIDER, &alice.store), successor, &alice.signer, NOW, &mut ToyRandom(3))
        .unwrap_err();
    assert_breaks!(error, Error::WouldViolate(Violation::ReInitLinkage), "C344");
}

/// C344: whether somebody is in both groups is for the application to say, who counts clients of one user.
#[test]
fn members_are_compared_by_what_the_application_knows_of_them() {
    let mut clients = [(1, 0), (2, 0), (2, 1)].map(|(user, client)| {
        let mut new = Client::new(&format!("user {user}, client {client}"));
        new.credential = custom(user, client);
        new.supported.credentials.push(CredentialType(0xF0C0));
        new
    });
    let [alice, bob, bobs_phone] = &mut clients;
    alice.create(alice.new_group());
    let (_, change) = alice.commits(vec![add(bob.key_package()), add(bobs_phone.key_package())]);
    bob.join(&change.welcomes[0].message);
    bobs_phone.join(&change.welcomes[0].message);
    let (commit, _) = alice.commits(vec![NewProposal::ReInit(next(1))]);
    bob.receive(&commit).unwrap();
    // All have new credentials by now.
    alice.credential = custom(1, 9);
    bob.credential = custom(2, 9);
    bobs_phone.credential = custom(2, 8);
    let psk = resumption(alice.group(), ResumptionPskUsage::Reinit);
    let both = vec![bob.key_package(), bobs_phone.key_package()];
    let right = settings(alice, &next(1));
    let welcome = grow(alice, right.clone(), both.clone(), (psk.clone(), 0));
    assert!(stage(bob, &welcome, &ByFirstByte).is_ok());
    assert_eq!(stage(bob, &welcome, &InsecureAcceptAll).unwrap_err(), Violation::ReInitLinkage.into());
    // One of a user's two clients does not stand for both.
    let one = vec![bob.key_package()];
    let welcome = grow(alice, right, one.clone(), (psk, 0));
    assert_eq!(stage(bob, &welcome, &ByFirstByte).unwrap_err(), Violation::ReInitLinkage.into());
    // Who makes the group asks in the same way.
    let make = |key_packages, users: Arc<dyn CredentialValidator + Send + Sync>| {
        let successor = Successor::new(alice.credential.clone(), alice.supported.clone(), key_packages);
        let successor = Successor { users, ..successor };
        alice
            .group()
            .reinit((&PROVIDER, &alice.store), successor, &alice.signer, NOW, &mut ToyRandom(3))
            .map(drop)
    };
    assert_eq!(make(both.clone(), Arc::new(ByFirstByte)), Ok(()));
    let refused = Err(Error::WouldViolate(Violation::ReInitLinkage));
    assert_eq!(make(both, Arc::new(InsecureAcceptAll)), refused);
    assert_eq!(make(one, Arc::new(ByFirstByte)), refused);
}

#[test]
fn a_branch_with_a_stranger_another_suite_or_a_later_epoch_is_refused() {
    let (mut alice, [mut bob, _]) = group_of(["bob", "carol"]);
    let psk = resumption(alice.group(), ResumptionPskUsage::Branch);
    let right = alice.new_group();
    let mut attempt = |settings, strangers: Vec<ValidKeyPackage>, epochs| {
        let key_packages = [vec![bob.key_package()], strangers].concat();
        let welcome = grow(&mut alice, settings, key_packages, (psk.clone(), epochs));
        stage(&mut bob, &welcome, &InsecureAcceptAll).map(drop)
    };
    assert_eq!(attempt(right.clone(), vec![], 0), Ok(()));
    // C233, C345.
    let stranger = Client::new("dave").key_package();
    assert_breaks!(
        attempt(right.clone(), vec![stranger], 0).unwrap_err(),
        Violation::BranchExtraMember,
        "C233",
        "C345"
    );
    let renamed = NewGroup { credential: Credential::basic("mallory"), ..right.clone() };
    assert_breaks!(attempt(renamed, vec![], 0).unwrap_err(), Violation::BranchExtraMember, "C233", "C345");
    // C232, C343.
    let late = attempt(right, vec![], 1).unwrap_err();
    assert_eq!(late, Violation::BranchParameters.into());
    ["C231", "C232", "C343", "C345"].iter().for_each(|row| assert_names!(late, *row));
}

/// C231: the same people, in another suite.
#[test]
fn a_branch_of_another_suite_is_refused() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let psk = resumption(alice.group(), ResumptionPskUsage::Branch);
    let (mut alice_2, mut bob_2) =
        (Client::with_suite("alice", suite(3)), Client::with_suite("bob", suite(3)));
    let key_package = bob_2.key_package();
    alice_2.group = alice.group.take();
    let settings = alice_2.new_group();
    let welcome = grow(&mut alice_2, settings, vec![key_package], (psk, 0));
    bob_2.group = bob.group.take();
    assert_breaks!(refused(&mut bob_2, &welcome), Violation::BranchParameters, "C231", "C345");
}

#[test]
fn a_successor_is_not_joined_without_the_group_that_it_grew_out_of() {
    let (mut alice, [mut bob]) = group_of(["bob"]);
    let psk = resumption(alice.group(), ResumptionPskUsage::Branch);
    let (settings, key_package) = (alice.new_group(), bob.key_package());
    let welcome = grow(&mut alice, settings, vec![key_package], (psk.clone(), 0));
    let open = |bob: &Client| OpenedWelcome::open(&welcome, &bob.store, &PROVIDER, &bob.policy).unwrap();
    let without = open(&bob).stage(&Answers::none(), None, None, NOW, &mut ToyRandom(1)).unwrap_err();
    assert_eq!(without, NotNow::PskMissing.into());
    assert_names!(without, "C328");
    let mut answers = Answers::none();
    answers.add_psk(psk.clone(), bob.group().own_resumption_psk(&psk).unwrap().duplicate());
    let without = open(&bob).stage(&answers, None, None, NOW, &mut ToyRandom(1)).unwrap_err();
    assert_breaks!(without, NotNow::ParentMissing, "C344", "C345");
    // C346: nothing has been used up by all that.
    assert!(stage(&mut bob, &welcome, &InsecureAcceptAll).is_ok());
}

#[test]
fn a_branch_is_made_of_members_and_fresh_key_packages_under_an_id_of_its_own() {
    let (alice, [mut bob]) = group_of(["bob"]);
    let branch = |change: &dyn Fn(&mut Successor)| {
        let mut successor = Successor::new(alice.credential.clone(), alice.supported.clone(), vec![]);
        change(&mut successor);
        alice.group().branch(successor, &alice.signer, NOW, &mut ToyRandom(3)).map(drop)
    };
    let fresh = bob.key_package();
    assert_eq!(branch(&|successor| successor.key_packages = vec![fresh.clone()]), Ok(()));
    let stranger = Client::new("dave").key_package();
    let other = Err(Error::from(ApiMisuse::BranchFromOther));
    assert_eq!(branch(&|successor| successor.key_packages = vec![stranger.clone()]), other);
    assert_eq!(branch(&|successor| successor.credential = Credential::basic("mallory")), other);
    let taken = branch(&|successor| successor.group_id = Some(alice.group().group_id().to_vec()));
    assert_eq!(taken, Err(NotNow::GroupExists.into()));
}

/// C236: the KeyPackage that Bob was added with.
#[test]
fn a_key_package_that_is_in_the_old_group_is_not_used_again() {
    let (mut alice, mut bob) = (Client::new("alice"), Client::new("bob"));
    alice.create(alice.new_group());
    let key_package = bob.key_package();
    alice.commits(vec![add(key_package.clone())]);
    let successor = Successor::new(alice.credential.clone(), alice.supported.clone(), vec![key_package]);
    let error = alice.group().branch(successor, &alice.signer, NOW, &mut ToyRandom(3)).unwrap_err();
    assert_eq!(error, ApiMisuse::KeyPackageUsed.into());
    assert_names!(error, "C236");
}

/// C248: a ReInit to a later version is valid, and nobody here can follow it.
#[test]
fn a_reinit_to_a_version_that_we_lack_is_followed_to_the_end_of_the_group_and_no_further() {
    let (mut alice, _) = group_of(["bob"]);
    let later = ReInit { version: ProtocolVersion(2), ..next(1) };
    let proposed = alice.commit(
        CommitPlan { proposals: vec![NewProposal::ReInit(later.clone())], ..CommitPlan::default() },
        &Answers::none(),
    );
    assert_eq!(proposed.unwrap_err(), ApiMisuse::CapabilitiesInsufficient.into());
    alice.group.as_mut().unwrap().status = Status::Reinitialised(later);
    let successor = Successor::new(alice.credential.clone(), alice.supported.clone(), vec![]);
    let error = alice
        .group()
        .reinit((&PROVIDER, &alice.store), successor, &alice.signer, NOW, &mut ToyRandom(3))
        .unwrap_err();
    assert_eq!(error, Unsupported::ProtocolVersion.into());
}
