//! RFC 9420 §12.1: proposals alone.

use hushwood::commit::ProposalOrRef;
use hushwood::framing::{Content, WireFormat};
use hushwood::proposal::{Proposal, Update};
use hushwood::tree::{LeafNodeSource, Lifetime};
use test_support::random::SeededRandom;

use crate::at::{At, Tamper};
use crate::literal::crypto::Key;
use crate::member::Member;
use crate::mutation::{Family, Mutation, To, all};
use crate::scene::{Scene, remove};

/// The families of this file.
pub fn families() -> Vec<Family> {
    let update = [super::leaves::any().into_iter().filter(without_group).collect(), updates()].concat();
    vec![
        Family { name: "proposed", to: To::Members, build: proposed, mutations: super::lists::values() },
        Family { name: "Update", to: To::Members, build: update_message, mutations: update },
    ]
}

/// What depends on who else is there is seen when a commit covers it.
fn without_group(mutation: &Mutation) -> bool {
    !["C119", "C120"].contains(&mutation.row)
}

/// One proposal in the open: the last of a list that has a Remove at first.
fn proposed(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    let mut list = vec![ProposalOrRef::Proposal(remove(scene.plain.others()[0]))];
    tamper(At::Proposals(&mut list));
    let Some(ProposalOrRef::Proposal(proposal)) = list.pop() else { panic!("no proposal") };
    let format = (WireFormat::PUBLIC_MESSAGE, 0);
    scene.hostile().send(Content::Proposal(proposal), format, &mut scene.random(), tamper)
}

fn update_message(scene: &Scene, tamper: Tamper<'_>) -> Vec<u8> {
    own_update(scene.hostile(), &mut scene.random(), tamper)
}

/// An Update of a member's own leaf, as a message.
pub fn own_update(member: &Member, random: &mut SeededRandom, tamper: Tamper<'_>) -> Vec<u8> {
    let mut key = Key::hpke(member.client.suite, random);
    tamper(At::Path(&mut key, &mut Vec::new()));
    let mut leaf_node = member.client.leaf(&key, LeafNodeSource::Update);
    member.client.sign_leaf(&mut leaf_node, (&member.context.group_id, member.leaf), tamper);
    let update = Proposal::Update(Box::new(Update { leaf_node }));
    member.send(Content::Proposal(update), (WireFormat::PUBLIC_MESSAGE, 0), random, tamper)
}

/// What is wrong with an Update.
fn updates() -> Vec<Mutation> {
    vec![
        all("an Update that keeps its key", "C125", |at, scene, spot| {
            if let At::Path(key, _) = at
                && spot.once()
            {
                *key = scene.hostile().private[&(2 * scene.hostile().leaf)].clone();
            }
        }),
        all("an Update's leaf says it is from a commit", "C124", |at, scene, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                let own = scene.hostile().tree.leaf(scene.hostile().leaf).expect("a member");
                leaf.leaf_node_source = own.leaf_node_source.clone();
            }
        }),
        all("an Update's leaf says it is from a KeyPackage", "C124", |at, _, spot| {
            if let At::Leaf(leaf) = at
                && spot.once()
            {
                leaf.leaf_node_source =
                    LeafNodeSource::KeyPackage(Lifetime { not_before: 0, not_after: u64::MAX });
            }
        }),
        all("an Update of another group", "C112", |at, _, spot| {
            if let At::LeafPlace(group_id, _) = at
                && spot.once()
            {
                group_id.push(1);
            }
        }),
        all("an Update of another leaf", "C244", |at, scene, spot| {
            if let At::LeafPlace(_, number) = at
                && let Some(other) = spot.one_of(&scene.plain.others())
            {
                *number = crate::member::index(other).number();
            }
        }),
    ]
}
