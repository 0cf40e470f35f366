//! RFC 9420 §12.2: thousands of lists, judged by a second reading of the section.
//!
//! The oracle goes through the bullets as they stand, comparing every proposal with every other, and
//! shares no code with what it is compared to. It says yes or no; the reason is for the other tests.

use super::*;

/// A proposal, and what the oracle has to know of it.
#[derive(Clone)]
struct Sample {
    committed: CommittedProposal,
    kind: Kind,
    valid: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A client, by number.
    Add(u32),
    Update(u32),
    Remove(u32),
    /// A PSK and its nonce.
    Psk(u8, u8),
    ReInit,
    ExternalInit,
    GroupContextExtensions,
    Custom,
}

/// The group has members 0 to 3; member 3 does not support the custom proposal.
fn samples(world: &mut World, by_value: Sender) -> Vec<Sample> {
    let third = world.signers.pop().unwrap();
    let readd = world.key_package_of(&content("member 3"), &third);
    let (dora, signer) = world.key_package(&content("dora"));
    let again = world.key_package_of(&content("dora"), &signer);
    let add = |key_package| Proposal::Add(Box::new(Add { key_package }));
    let Proposal::Add(mut broken) = world.add("broken") else { unreachable!() };
    broken.key_package.signature[0] ^= 1;
    let mut samples = Vec::new();
    let mut sample = |proposal: Proposal, kind, valid| {
        let committed = CommittedProposal::by_value(proposal, by_value);
        samples.push(Sample { committed, kind, valid });
    };
    sample(add(readd), Kind::Add(3), true);
    sample(add(dora), Kind::Add(100), true);
    sample(add(again), Kind::Add(100), true);
    sample(Proposal::Add(broken), Kind::Add(101), false);
    sample(remove(0), Kind::Remove(0), true);
    sample(remove(1), Kind::Remove(1), true);
    sample(remove(3), Kind::Remove(3), true);
    sample(remove(9), Kind::Remove(9), false);
    sample(psk("a", 1), Kind::Psk(1, 1), true);
    sample(psk("a", 2), Kind::Psk(1, 2), true);
    sample(reinit(), Kind::ReInit, true);
    sample(external_init(), Kind::ExternalInit, true);
    sample(gce(Extensions::new()), Kind::GroupContextExtensions, true);
    sample(gce(extensions(&[ExtensionType::RATCHET_TREE])), Kind::GroupContextExtensions, false);
    sample(custom(KNOWN_PROPOSAL), Kind::Custom, true);
    for number in [0, 1, 2] {
        let update = world.update(number);
        let committed = world.sent(update, member(number));
        samples.push(Sample { committed, kind: Kind::Update(number), valid: true });
    }
    samples
}

fn changed(kind: Kind) -> Option<u32> {
    match kind {
        Kind::Update(leaf) | Kind::Remove(leaf) => Some(leaf),
        _ => None,
    }
}

fn regular(list: &[Sample]) -> bool {
    let has = |kind| list.iter().any(|sample| sample.kind == kind);
    let pairs = || (0..list.len()).flat_map(|i| (0..i).map(move |j| (list[i].kind, list[j].kind)));
    let invalid = list.iter().any(|sample| !sample.valid);
    let own_update = has(Kind::Update(0));
    let own_remove = has(Kind::Remove(0));
    let one_leaf = pairs().any(|(a, b)| changed(a).is_some() && changed(a) == changed(b));
    let same_client = pairs().any(|(a, b)| matches!(a, Kind::Add(_)) && a == b);
    let present = has(Kind::Add(3)) && !has(Kind::Remove(3));
    let psk_twice = pairs().any(|(a, b)| matches!(a, Kind::Psk(..)) && a == b);
    let extensions_twice =
        pairs().any(|(a, b)| a == Kind::GroupContextExtensions && b == Kind::GroupContextExtensions);
    let reinit_and_other = has(Kind::ReInit) && list.len() > 1;
    let external_init = has(Kind::ExternalInit);
    let unsupported = has(Kind::Custom) && !has(Kind::Remove(3));
    let broken = invalid
        || own_update
        || own_remove
        || one_leaf
        || same_client
        || present
        || psk_twice
        || extensions_twice
        || reinit_and_other
        || external_init
        || unsupported;
    !broken
}

fn external(list: &[Sample]) -> bool {
    let count = |is: fn(Kind) -> bool| list.iter().filter(|sample| is(sample.kind)).count();
    let inits = count(|kind| kind == Kind::ExternalInit);
    let removes = count(|kind| matches!(kind, Kind::Remove(_)));
    let psks = count(|kind| matches!(kind, Kind::Psk(..)));
    let psk_twice = (0..list.len()).any(|i| {
        let is_psk = matches!(list[i].kind, Kind::Psk(..));
        is_psk && list[..i].iter().any(|other| other.kind == list[i].kind)
    });
    let others = list.len() - inits - removes - psks;
    inits == 1 && removes <= 1 && others == 0 && list.iter().all(|sample| sample.valid) && !psk_twice
}

/// All lists of up to three of the samples, in every order and with repetition.
fn lists(samples: &[Sample]) -> impl Iterator<Item = Vec<Sample>> {
    let count = samples.len() + 1;
    (0..count * count * count).map(move |number| {
        let picks = [number % count, number / count % count, number / count / count];
        picks.into_iter().filter_map(|pick| samples.get(pick).cloned()).collect()
    })
}

fn compare(committer: Sender, oracle: fn(&[Sample]) -> bool) -> (usize, usize) {
    let mut world = World::with(4, |number| {
        let mut content = content(&format!("member {number}"));
        if number == 3 {
            content.supported.proposals.clear();
        }
        content
    });
    let samples = samples(&mut world, committer);
    let (mut accepted, mut refused) = (0, 0);
    for list in lists(&samples) {
        let committed = list.iter().map(|sample| sample.committed.clone()).collect();
        let result = world.check(committed, committer);
        assert_eq!(result.is_ok(), oracle(&list), "{result:?}");
        match result {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
    }
    (accepted, refused)
}

#[test]
fn lists_of_member_commits_are_judged_like_the_oracle_does() {
    let (accepted, refused) = compare(member(0), regular);
    assert_eq!(accepted + refused, 19 * 19 * 19);
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn lists_of_external_commits_are_judged_like_the_oracle_does() {
    let (accepted, refused) = compare(Sender::NewMemberCommit, external);
    assert_eq!(accepted + refused, 19 * 19 * 19);
    assert!(accepted > 50, "{accepted}");
}
