//! How a client comes into groups and out of them.

use crate::ME;
use crate::command::{Plan, Proposing, Settings, What};
use crate::failure::Failure;
use crate::script::SUITE;
use crate::world::World;

type Done = Result<(), Failure>;

pub(super) fn create(w: &mut World<'_>) -> Done {
    w.begin();
    w.create(ME, &Settings::default())?;
    w.create(ME, &Settings { extensions: Some((1, true)), ..Settings::default() })
}

pub(super) fn create_and_invite(w: &mut World<'_>) -> Done {
    w.begin();
    w.create(ME, &Settings::default())?;
    w.invite(ME, &["bob", "carol"])?;
    w.say("hello")
}

pub(super) fn key_packages(w: &mut World<'_>) -> Done {
    w.begin();
    for suite in [SUITE, 3, SUITE] {
        w.key_package(ME, suite)?;
    }
    let first = w.view.key_packages[0].0.clone();
    w.me(What::ForgetKeyPackage(first))?;
    w.end();
    // Those that are left still work.
    w.gather(&["bob", "carol"], &Settings::default())
}

pub(super) fn last_resort_key_package(w: &mut World<'_>) -> Done {
    w.begin();
    let made = w.me(What::KeyPackage { last_resort: true, suite: SUITE })?.key_packages;
    let (reference, message) = made[0].clone();
    for creator in ["bob", "carol"] {
        w.create(creator, &Settings::default())?;
        let plan = Plan { proposals: vec![Proposing::Add(message.clone())], ..Plan::default() };
        let (_, welcomes) = w.commit(creator, plan)?;
        w.join(ME, &welcomes[0], None)?;
        w.acknowledge(creator)?;
    }
    // It is replaced, and the old one erased.
    w.me(What::KeyPackage { last_resort: true, suite: SUITE })?;
    w.me(What::ForgetKeyPackage(reference))?;
    Ok(())
}

pub(super) fn pre_shared_keys_kept(w: &mut World<'_>) -> Done {
    w.begin();
    for id in ["one", "two", "three"] {
        w.me(What::KeepPsk(id.into(), [7; 32].into()))?;
    }
    w.me(What::KeepPsk("two".into(), [8; 32].into()))?;
    w.me(What::ForgetPsk("three".into()))?;
    Ok(())
}

/// A group of others, who are about to invite the client.
fn invited(w: &mut World<'_>, settings: &Settings, psk: bool) -> Done {
    w.create("bob", settings)?;
    w.invite("bob", &["carol"])?;
    if psk {
        for name in ["bob", "carol", ME] {
            w.tell(name, What::KeepPsk("word".into(), [9; 32].into()))?;
        }
    }
    w.begin();
    let mut plan = Plan { proposals: vec![Proposing::Add(w.key_package(ME, SUITE)?)], ..Plan::default() };
    plan.proposals.extend(psk.then(|| Proposing::Psk("word".into())));
    let (commit, welcomes) = w.commit("bob", plan)?;
    w.acknowledge("bob")?;
    w.all_others_of("bob", &commit)?;
    let tree = w.tree_beside("bob")?;
    w.join(ME, &welcomes[0], tree)?;
    // The same Welcome does not work twice.
    w.refused(What::Join {
        welcome: welcomes[0].clone(),
        tree: None,
        parent: None,
        settings: settings.clone(),
    })?;
    w.say("here I am")?;
    w.hear("carol", "welcome")
}

pub(super) fn join_with_the_tree_inside(w: &mut World<'_>) -> Done {
    invited(w, &Settings::default(), false)
}

pub(super) fn join_with_the_tree_beside(w: &mut World<'_>) -> Done {
    invited(w, &Settings { tree_inside: false, ..Settings::default() }, false)
}

pub(super) fn join_with_a_pre_shared_key(w: &mut World<'_>) -> Done {
    invited(w, &Settings::default(), true)
}

/// Joins by an external commit, which the others take.
fn comes_from_outside(w: &mut World<'_>, inside: bool, resync: Option<u32>) -> Done {
    let (info, tree) = w.group_info("bob", inside)?;
    let settings = Settings::default();
    let seen = w.me(What::ExternalJoin { info, tree, resync, psk: None, settings })?;
    w.group = seen.groups[0].clone();
    let commit = seen.sent[0].1.clone();
    w.all_others_get(ME, &commit)?;
    w.acknowledge(ME)
}

pub(super) fn join_from_outside(w: &mut World<'_>) -> Done {
    w.create("bob", &Settings::default())?;
    w.invite("bob", &["carol"])?;
    w.begin();
    comes_from_outside(w, false, None)?;
    w.say("from outside")?;
    w.hear("carol", "so you are")
}

pub(super) fn join_from_outside_loses(w: &mut World<'_>) -> Done {
    w.create("bob", &Settings::default())?;
    w.invite("bob", &["carol"])?;
    w.begin();
    let (info, tree) = w.group_info("bob", true)?;
    let settings = Settings::default();
    let seen = w.me(What::ExternalJoin { info, tree, resync: None, psk: None, settings })?;
    // Another commit was taken for this epoch.
    let (commit, _) = w.commit("carol", Plan::default())?;
    w.tell("bob", What::Receive(w.instance("bob"), commit))?;
    w.me(What::Forget(seen.groups[0].clone()))?;
    comes_from_outside(w, true, None)?;
    w.say("at last")
}

pub(super) fn resync(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.hear("bob", "before")?;
    let old = w.group.clone();
    let leaf = w.group_of(ME).own_leaf;
    // The client misses a commit.
    let (commit, _) = w.commit("bob", Plan::default())?;
    w.tell("carol", What::Receive(w.instance("carol"), commit))?;
    w.begin();
    comes_from_outside(w, true, Some(leaf))?;
    w.me(What::Forget(old))?;
    w.say("back again")?;
    w.hear("carol", "good")
}

pub(super) fn removed_and_back(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let late = w.said("bob", "a last word")?;
    let leaf = w.group_of(ME).own_leaf;
    let plan = Plan { proposals: vec![Proposing::Remove(leaf)], ..Plan::default() };
    let (commit, _) = w.commit("bob", plan)?;
    w.tell("carol", What::Receive(w.instance("carol"), commit.clone()))?;
    w.get(&commit)?;
    w.read_by(ME, "bob", &late, "a last word")?;
    w.acknowledge(ME)?;
    w.refused(What::Say(w.group.clone(), "no".into()))?;
    let old = w.group.clone();
    let key_package = w.key_package(ME, SUITE)?;
    let plan = Plan { proposals: vec![Proposing::Add(key_package)], ..Plan::default() };
    let (commit, welcomes) = w.commit("bob", plan)?;
    w.tell("carol", What::Receive(w.instance("carol"), commit))?;
    w.join(ME, &welcomes[0], None)?;
    w.me(What::Forget(old))?;
    w.say("again")
}

pub(super) fn forget(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.say("I go")?;
    w.begin();
    w.me(What::Forget(w.group.clone()))?;
    w.create(ME, &Settings::default())
}

pub(super) fn branch(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let bob = w.key_package("bob", SUITE)?;
    w.begin();
    let parent = w.group.clone();
    let seen = w.me(What::Branch(parent, vec![bob]))?;
    w.group = seen.groups[0].clone();
    let old = w.instance("bob");
    w.join_from("bob", &seen.sent[0].1, None, Some(old))?;
    w.acknowledge(ME)?;
    w.say("between us")?;
    w.hear("bob", "yes")
}

pub(super) fn branched_by_another(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let mine = w.key_package(ME, SUITE)?;
    let old = w.instance("bob");
    let seen = w.tell("bob", What::Branch(old, vec![mine]))?;
    w.peer("bob").group = seen.groups[0].clone();
    let parent = w.group.clone();
    w.join_from(ME, &seen.sent[0].1, None, Some(parent))?;
    w.say("between us")
}

/// The group ends, and all are to come over into the one that replaces it.
fn ended(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let reinit = Proposing::ReInit("the next one".into(), 3);
    let plan = Plan { proposals: vec![reinit], ..Plan::default() };
    let (commit, _) = w.commit("bob", plan)?;
    w.tell("carol", What::Receive(w.instance("carol"), commit.clone()))?;
    w.begin();
    w.get(&commit)
}

pub(super) fn reinit(w: &mut World<'_>) -> Done {
    ended(w)?;
    let others = [w.key_package("bob", 3)?, w.key_package("carol", 3)?];
    let old = w.group.clone();
    let seen = w.me(What::Reinit(old.clone(), others.to_vec()))?;
    w.group = seen.groups[0].clone();
    for other in ["bob", "carol"] {
        let parent = w.instance(other);
        w.join_from(other, &seen.sent[0].1, None, Some(parent))?;
    }
    w.acknowledge(ME)?;
    w.me(What::Forget(old))?;
    w.say("all here?")
}

pub(super) fn reinit_by_another(w: &mut World<'_>) -> Done {
    ended(w)?;
    let others = [w.key_package(ME, 3)?, w.key_package("carol", 3)?];
    let parent = w.instance("bob");
    let seen = w.tell("bob", What::Reinit(parent, others.to_vec()))?;
    w.peer("bob").group = seen.groups[0].clone();
    for other in [ME, "carol"] {
        let parent = w.instance(other);
        w.join_from(other, &seen.sent[0].1, None, Some(parent))?;
    }
    w.hear("carol", "all here")
}

pub(super) fn another_store_key(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    w.begin();
    w.say("one")?;
    w.me(What::ChangeUnlock(1))?;
    w.say("two")?;
    w.me(What::ChangeUnlock(0))?;
    w.me(What::Reopen)?;
    w.hear("bob", "three")
}

pub(super) fn log_emptied(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    w.begin();
    for text in ["one", "two"] {
        w.say(text)?;
        w.me(What::Checkpoint)?;
    }
    w.hear("bob", "three")?;
    w.me(What::Checkpoint)?;
    Ok(())
}

pub(super) fn opened_again(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    w.begin();
    for text in ["one", "two"] {
        w.say(text)?;
        w.me(What::Reopen)?;
        w.hear("bob", text)?;
        w.me(What::Reopen)?;
    }
    Ok(())
}
