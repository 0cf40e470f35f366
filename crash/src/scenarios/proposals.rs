//! Proposals, made and received.

use crate::ME;
use crate::command::{Bytes, Plan, Proposing, Settings, What};
use crate::failure::Failure;
use crate::script::{Outsider, SUITE};
use crate::world::World;

type Done = Result<(), Failure>;

/// The client proposes something, and the others hear it.
fn propose(w: &mut World<'_>, proposing: Proposing) -> Done {
    let message = w.make(ME, What::Propose(w.group.clone(), proposing))?;
    w.all_others_get(ME, &message)?;
    w.acknowledge(ME)
}

/// Somebody proposes something, and all hear it.
fn hear(w: &mut World<'_>, name: &str, proposing: Proposing) -> Done {
    let message = w.make(name, What::Propose(w.instance(name), proposing))?;
    w.get(&message)?;
    w.all_others_get(name, &message)
}

/// Somebody commits what waits, and all follow.
fn commit_by(w: &mut World<'_>, name: &str) -> Result<Vec<Bytes>, Failure> {
    let (commit, welcomes) = w.commit(name, Plan::default())?;
    if name != ME {
        w.get(&commit)?;
    }
    w.all_others_get(name, &commit)?;
    Ok(welcomes)
}

fn with_a_word(w: &mut World<'_>, others: &[&str], settings: &Settings) -> Done {
    w.gather(others, settings)?;
    for name in others.iter().copied().chain([ME]) {
        w.tell(name, What::KeepPsk("word".into(), [9; 32].into()))?;
    }
    Ok(())
}

pub(super) fn propose_each_kind(w: &mut World<'_>) -> Done {
    with_a_word(w, &["bob", "carol"], &Settings::default())?;
    w.begin();
    propose(w, Proposing::Resumption(w.group_of(ME).epoch))?;
    propose(w, Proposing::Update { signer: 0 })?;
    commit_by(w, "carol")?;
    let dave = w.key_package("dave", SUITE)?;
    w.tell("dave", What::KeepPsk("word".into(), [9; 32].into()))?;
    propose(w, Proposing::Add(dave))?;
    propose(w, Proposing::Psk("word".into()))?;
    propose(w, Proposing::Extensions(2, false))?;
    propose(w, Proposing::Custom("anything".into()))?;
    let leaf = w.group_of("carol").own_leaf;
    propose(w, Proposing::Remove(leaf))?;
    let welcomes = commit_by(w, "bob")?;
    w.join("dave", &welcomes[0], None)?;
    w.hear("dave", "hello")
}

pub(super) fn propose_in_the_open(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    let open = Settings { encrypt_handshakes: false, ..Settings::default() };
    w.me(What::Policy(w.group.clone(), open))?;
    w.begin();
    propose(w, Proposing::Update { signer: 0 })?;
    propose(w, Proposing::Extensions(5, true))?;
    commit_by(w, "bob")?;
    w.say("done")
}

pub(super) fn propose_update_committed_by_another(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    propose(w, Proposing::Update { signer: 0 })?;
    // A second one takes the place of the first.
    propose(w, Proposing::Update { signer: 0 })?;
    commit_by(w, "carol")?;
    w.say("new keys")?;
    w.hear("bob", "I see")
}

pub(super) fn propose_update_with_another_key(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    propose(w, Proposing::Update { signer: 1 })?;
    commit_by(w, "bob")?;
    w.say("signed with another key")
}

pub(super) fn propose_to_leave(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let leaf = w.group_of(ME).own_leaf;
    propose(w, Proposing::Remove(leaf))?;
    commit_by(w, "bob")?;
    w.me(What::Forget(w.group.clone()))?;
    Ok(())
}

pub(super) fn propose_reinit(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    w.begin();
    propose(w, Proposing::ReInit("another".into(), 3))?;
    commit_by(w, "bob")?;
    w.refused(What::Say(w.group.clone(), "too late".into()))?;
    Ok(())
}

pub(super) fn receive_each_kind(w: &mut World<'_>) -> Done {
    with_a_word(w, &["bob", "carol"], &Settings::default())?;
    w.begin();
    hear(w, "bob", Proposing::Resumption(w.group_of("bob").epoch))?;
    commit_by(w, ME)?;
    let dave = w.key_package("dave", SUITE)?;
    w.tell("dave", What::KeepPsk("word".into(), [9; 32].into()))?;
    hear(w, "bob", Proposing::Add(dave))?;
    hear(w, "bob", Proposing::Update { signer: 1 })?;
    hear(w, "bob", Proposing::Psk("word".into()))?;
    hear(w, "bob", Proposing::Extensions(2, true))?;
    hear(w, "bob", Proposing::Custom("anything".into()))?;
    hear(w, "bob", Proposing::Remove(w.group_of("carol").own_leaf))?;
    w.refused(What::Say(w.group.clone(), "not while they wait".into()))?;
    let (commit, welcomes) = w.commit(ME, Plan::default())?;
    w.all_others_get(ME, &commit)?;
    w.join("dave", &welcomes[0], None)?;
    w.acknowledge(ME)?;
    w.say("committed")
}

pub(super) fn receive_from_outside(w: &mut World<'_>) -> Done {
    let settings = Settings { extensions: Some((1, true)), ..Settings::default() };
    w.gather(&["bob", "carol"], &settings)?;
    let dave = w.key_package("dave", SUITE)?;
    let erin = w.key_package("erin", SUITE)?;
    let leaf = w.group_of("carol").own_leaf;
    w.begin();
    for what in [Outsider::Adds(dave), Outsider::Removes(leaf), Outsider::Asks("erin".into(), erin)] {
        let message = w.from_outside("bob", &what)?;
        w.get(&message)?;
        w.all_others_get(ME, &message)?;
    }
    let (commit, welcomes) = w.commit(ME, Plan::default())?;
    w.all_others_get(ME, &commit)?;
    for new in ["dave", "erin"] {
        w.join(new, &welcomes[0], None)?;
    }
    w.acknowledge(ME)?;
    w.hear("erin", "I have asked")
}

pub(super) fn receive_late_and_commit(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let late = w.make("bob", What::Propose(w.instance("bob"), Proposing::Update { signer: 0 }))?;
    w.tell("carol", What::Receive(w.instance("carol"), late.clone()))?;
    w.begin();
    let (commit, _) = w.commit("carol", Plan::default())?;
    w.tell("bob", What::Receive(w.instance("bob"), commit.clone()))?;
    // The commit names a proposal that has not come.
    w.refused(What::Receive(w.group.clone(), commit.clone()))?;
    w.get(&late)?;
    w.get(&commit)?;
    w.say("complete")
}
