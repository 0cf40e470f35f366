//! That the kit does what it says: that it bites, that it is undone where it should be, and that it reads the RFC as the library
//! does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use hostile::at::At;
use hostile::campaign::{Report, Settings, Shape};
use hostile::honest::{State, accept, look};
use hostile::mutation::{Spot, To};
use hostile::scene::{Scene, copy};
use hostile::{families, nothing, play};
use hushwood::error::{Error, NotNow};
use hushwood::policy::ExternalCommits;
use test_support::actor::Actor;
use test_support::{assert_names, fake_crypto};

fn settings(size: usize, position: usize, shape: Shape) -> Settings {
    Settings { provider: hushwood_aws_lc::PROVIDER, size, position, shape }
}

fn scene() -> Scene {
    Scene::new(&settings(4, 1, Shape::Full))
}

/// What a mutation makes, and what the same family makes without it.
fn changed(scene: &Scene, family: &str, name: &str) -> (Vec<u8>, Vec<u8>, To) {
    let family = families::all().into_iter().find(|other| other.name == family).expect("the family");
    let mutation = *family.mutations.iter().find(|other| other.name == name).expect("the mutation");
    let mut spot = Spot::number(0);
    let message = (family.build)(scene, &mut |at: At<'_>| (mutation.how)(at, scene, &mut spot));
    assert!(spot.hit);
    (message, (family.build)(scene, &mut nothing), family.to)
}

#[test]
fn there_are_more_than_two_hundred_mutations_and_each_has_a_place() {
    let mut report = Report::default();
    let families = families::all();
    let [full, sparse, holed] = Shape::ALL;
    for (size, position, shape) in [(2, 0, full), (6, 1, full), (6, 4, sparse), (6, 1, holed), (6, 4, holed)]
    {
        report.add(play(&Settings { provider: fake_crypto::PROVIDER, size, position, shape }, &families));
    }
    // Trees in which somebody is unmerged in two nodes, one above the other.
    let trees: Vec<_> = families.iter().filter(|family| family.name.starts_with("tree")).cloned().collect();
    let settings = Settings { provider: fake_crypto::PROVIDER, size: 16, position: 0, shape: Shape::Holed };
    report.add(play(&settings, &trees));
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    let mut names = BTreeSet::new();
    for family in &families {
        for mutation in &family.mutations {
            let name = format!("{}: {}", family.name, mutation.name);
            assert!(report.mutations.contains_key(&name), "{name} has no place");
            assert!(names.insert(name), "{} twice", mutation.name);
        }
    }
    assert!(names.len() > 200, "{}", names.len());
    let rows: BTreeSet<_> = families.iter().flat_map(|family| &family.mutations).map(|one| one.row).collect();
    assert!(rows.len() > 80, "{}", rows.len());
}

/// The same bit flipped again: what is there is what was accepted.
#[test]
fn a_change_that_is_undone_is_accepted() {
    let scene = scene();
    let bob = &scene.plain.honest[0];
    for (family, name) in [
        ("commit", "membership tag, one bit"),
        ("commit", "signature, one bit"),
        ("commit", "confirmation tag, one bit"),
        ("leaf", "another parent hash"),
        ("schedule", "another init secret"),
        ("schedule", "another tree for the keys"),
        ("Welcome", "another path secret"),
        ("Welcome", "the GroupInfo's signature, one bit"),
    ] {
        let all = families::all();
        let family = all.iter().find(|other| other.name == family).expect("the family");
        let mutation = family.mutations.iter().find(|other| other.name == name).expect("the mutation");
        let genuine = (family.build)(&scene, &mut nothing);
        let receiver = if family.to == To::Joiner { &scene.joiner } else { bob };
        for place in 0..32 {
            let build = |times: usize| {
                let mut spots = vec![Spot::number(place); times];
                (family.build)(&scene, &mut |at: At<'_>| apply(mutation, at, &scene, &mut spots))
            };
            let once = build(1);
            assert_ne!(once, genuine, "{name}");
            assert!(look(receiver, family.to, &once).is_err(), "{name}");
            let twice = build(2);
            assert_eq!(twice, genuine, "{name}");
            assert_eq!(look(receiver, family.to, &twice), Ok(()), "{name}");
        }
    }
}

/// Does a mutation as often as there are spots.
fn apply(mutation: &hostile::Mutation, at: At<'_>, scene: &Scene, spots: &mut [Spot]) {
    match (at, spots) {
        (At::MembershipTag(tag), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::MembershipTag(tag), scene, spot));
        }
        (At::Auth(auth), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::Auth(auth), scene, spot))
        }
        (At::ConfirmationTag(tag), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::ConfirmationTag(tag), scene, spot));
        }
        (At::Leaf(leaf), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::Leaf(leaf), scene, spot))
        }
        (At::Next(context), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::Next(context), scene, spot));
        }
        (At::Inputs(init, commit, psk), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::Inputs(init, commit, psk), scene, spot));
        }
        (At::Secrets(secrets), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::Secrets(secrets), scene, spot));
        }
        (At::GroupInfoSigned(info), spots) => {
            spots.iter_mut().for_each(|spot| (mutation.how)(At::GroupInfoSigned(info), scene, spot));
        }
        _ => {}
    }
}

/// What is done to a client.
type Change<'c> = &'c dyn Fn(&mut Actor);

/// Where a policy takes a guard away, what was refused for it alone is accepted: nothing else was wrong with it.
#[test]
fn without_its_guard_a_change_is_accepted() {
    let scene = scene();
    let lax = |change: Change<'_>| {
        let mut actor = copy(&scene.plain.honest[0]);
        change(&mut actor);
        let policy = actor.policy.clone();
        actor.group.as_mut().unwrap().set_policy(policy).unwrap().commit(&mut actor.store).unwrap();
        actor
    };
    let expired = |actor: &mut Actor| actor.policy.check_lifetime_on_add = false;
    let endless = |actor: &mut Actor| actor.policy.max_lifetime = u64::MAX;
    let guards: [(&str, &str, Change<'_>); 4] = [
        ("its lifetime is over", "C122", &expired),
        ("its lifetime has not begun", "C122", &expired),
        ("its lifetime is too long", "C110", &endless),
        ("its lifetime has no end", "C110", &endless),
    ];
    for (name, row, change) in guards {
        let (message, _, to) = changed(&scene, "Add", name);
        assert_names!(look(&scene.plain.honest[0], to, &message).unwrap_err(), row);
        assert_eq!(look(&lax(change), to, &message), Ok(()), "{name}");
    }
    // And the other way round: what is accepted is refused where the policy has a guard more.
    for (family, policy) in [
        ("external commit", ExternalCommits::Refused),
        ("external commit", ExternalCommits::WithPsk),
        ("external commit in place of a member", ExternalCommits::WithoutResync),
    ] {
        let family = families::all().into_iter().find(|other| other.name == family).unwrap();
        let genuine = (family.build)(&scene, &mut nothing);
        assert_eq!(look(&scene.plain.honest[0], family.to, &genuine), Ok(()));
        let strict = lax(&|actor| actor.policy.external_commits = policy);
        assert_names!(look(&strict, family.to, &genuine).unwrap_err(), "C362");
    }
    let mut joiner = copy(&scene.joiner);
    joiner.policy.check_welcome_psk_nonces = false;
    let (message, _, to) = changed(&scene, "Welcome", "a nonce of another length");
    assert_names!(look(&scene.joiner, to, &message).unwrap_err(), "C171");
    assert_eq!(look(&joiner, to, &message), Ok(()));
}

#[test]
fn a_state_that_has_changed_is_noticed() {
    let scene = scene();
    let mut bob = copy(&scene.plain.honest[0]);
    let before = State::of(&bob);
    assert_eq!(before, State::of(&scene.plain.honest[0]));
    let (_, genuine, to) = changed(&scene, "proposal", "signature, one bit");
    accept(&mut bob, to, &genuine).unwrap();
    assert_ne!(before, State::of(&bob));
    let mut bob = copy(&scene.plain.honest[0]);
    bob.read(&scene.plain.said).unwrap();
    assert_ne!(before, State::of(&bob));
}

/// Both sides read §8 and §9 in the same way.
#[test]
fn the_literal_key_schedule_is_the_librarys() {
    for (position, shape) in [(0, Shape::Full), (2, Shape::Holed), (4, Shape::Sparse)] {
        let scene = Scene::new(&settings(5, position, shape));
        for world in [&scene.plain, &scene.open] {
            let (hostile, honest) = (&world.hostile, world.honest[0].group());
            assert_eq!(honest.context(), &hostile.context);
            assert_eq!(honest.ratchet_tree().unwrap(), hostile.tree.extension());
            assert!(hostile.tree.parent_hashes_hold(hostile.client.suite));
            let exported = honest.export("label", b"context", 40).unwrap();
            assert_eq!(
                exported.expose(),
                hostile.epoch.export(hostile.client.suite, "label", b"context", 40)
            );
        }
    }
}

/// Replays, for those who have taken the genuine one.
#[test]
fn what_was_taken_is_not_taken_again() {
    let scene = scene();
    // A Welcome, twice; and another one into the same group.
    let mut joiner = copy(&scene.joiner);
    let (_, welcome, to) = changed(&scene, "Welcome", "for somebody else");
    accept(&mut joiner, to, &welcome).unwrap();
    let before = State::of(&joiner);
    assert_names!(look(&joiner, to, &welcome).unwrap_err(), "C325");
    assert_eq!(State::of(&joiner), before);
    let again = joiner.key_package();
    let key_package = hostile::scene::key_package(&again);
    let mut random = scene.random();
    let plan = hostile::member::Plan::of(vec![hostile::scene::add(key_package)]);
    let made = scene.hostile().commit(&plan, &mut random, &mut nothing);
    let second = made.next.welcome(&made.behind(), &mut random, &mut nothing);
    let before = State::of(&joiner);
    assert_names!(look(&joiner, to, &second).unwrap_err(), "C322");
    assert_eq!(State::of(&joiner), before);

    // Application data, a second time and under the same key.
    let mut bob = copy(&scene.plain.honest[0]);
    let family = families::all().into_iter().find(|family| family.name == "application data").unwrap();
    let genuine = (family.build)(&scene, &mut nothing);
    accept(&mut bob, family.to, &genuine).unwrap();
    let other = (family.build)(&scene, &mut |at: At<'_>| {
        if let At::Content(content) = at {
            content.content = hushwood::framing::Content::Application(b"something else".to_vec());
        }
    });
    let before = State::of(&bob);
    for message in [&genuine, &other] {
        assert_names!(look(&bob, family.to, message).unwrap_err(), "C190");
    }
    assert_eq!(State::of(&bob), before);

    // A commit, after it was taken.
    let (_, commit, to) = changed(&scene, "commit", "signature, one bit");
    accept(&mut bob, to, &commit).unwrap();
    let before = State::of(&bob);
    assert_eq!(look(&bob, to, &commit), Err(Error::NotNow(NotNow::EpochPast)));
    assert_eq!(State::of(&bob), before);
}

/// A fork by a member that sends different members different commits: no side can read, or follow, the other.
#[test]
fn two_sides_of_a_fork_do_not_mix() {
    let scene = scene();
    let mut random = scene.random();
    let plan = hostile::member::Plan::of(vec![]);
    let one = scene.hostile().commit(&plan, &mut random, &mut nothing);
    let other = scene.hostile().commit(&plan, &mut random, &mut nothing);
    let (mut bob, mut carol) = (copy(&scene.plain.honest[0]), copy(&scene.plain.honest[1]));
    bob.receive(&one.message).unwrap();
    carol.receive(&other.message).unwrap();
    assert_eq!(bob.group().epoch(), carol.group().epoch());
    assert_ne!(bob.group().epoch_authenticator(), carol.group().epoch_authenticator());
    let said = carol.send(b"who is there").unwrap();
    let (id, commit) = carol.commit(hushwood::group::CommitPlan::default()).unwrap();
    let before = State::of(&bob);
    assert_names!(look(&bob, To::Members, &said).unwrap_err(), "C096");
    assert_names!(look(&bob, To::Members, &commit).unwrap_err(), "C082");
    // The hostile member is on both sides: it tags Carol's commit for Bob's side, and can't sign it.
    carol.apply(&id).unwrap();
    let Ok(hushwood::framing::MlsMessage::PublicMessage(message)) =
        hushwood_codec::Decode::from_bytes(&commit)
    else {
        panic!("not in the open");
    };
    let message = hushwood::framing::AuthenticatedContent {
        wire_format: hushwood::framing::WireFormat::PUBLIC_MESSAGE,
        content: message.content,
        auth: message.auth,
    };
    let tagged = one.next.protected(message, 0, &mut random, &mut nothing);
    assert_names!(look(&bob, To::Members, &tagged).unwrap_err(), "C079");
    assert_eq!(State::of(&bob), before);
    // Each side goes on by itself.
    let next = one.next.commit(&plan, &mut random, &mut nothing);
    bob.receive(&next.message).unwrap();
}
