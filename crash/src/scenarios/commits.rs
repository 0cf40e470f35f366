//! Commits: staged, applied, discarded, lost, returned, and those of others.

use crate::ME;
use crate::command::{Bytes, Plan, Proposing, Settings, What};
use crate::failure::Failure;
use crate::script::SUITE;
use crate::world::World;

type Done = Result<(), Failure>;

/// The client commits, the others follow.
fn applied(w: &mut World<'_>, plan: Plan) -> Result<Vec<Bytes>, Failure> {
    let (commit, welcomes) = w.commit(ME, plan)?;
    w.all_others_get(ME, &commit)?;
    Ok(welcomes)
}

fn by_value(proposals: Vec<Proposing>) -> Plan {
    Plan { proposals, ..Plan::default() }
}

fn adds(w: &mut World<'_>, change: fn(Plan) -> Plan, one_each: bool) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let new = [w.key_package("dave", SUITE)?, w.key_package("erin", SUITE)?];
    w.begin();
    let plan = change(by_value(new.map(Proposing::Add).into()));
    let welcomes = applied(w, plan)?;
    w.join_any("dave", &welcomes)?;
    w.join_any("erin", &welcomes)?;
    assert_eq!(welcomes.len(), if one_each { 2 } else { 1 });
    w.acknowledge(ME)?;
    w.say("welcome")?;
    w.hear("erin", "thanks")
}

pub(super) fn add_applied(w: &mut World<'_>) -> Done {
    adds(w, |plan| plan, false)
}

pub(super) fn add_without_path(w: &mut World<'_>) -> Done {
    adds(w, |plan| Plan { omit_path: true, ..plan }, false)
}

pub(super) fn add_one_welcome_each(w: &mut World<'_>) -> Done {
    adds(w, |plan| Plan { welcome_per_joiner: true, ..plan }, true)
}

pub(super) fn remove_applied(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let leaf = w.group_of("carol").own_leaf;
    w.begin();
    applied(w, by_value(vec![Proposing::Remove(leaf)]))?;
    w.acknowledge(ME)?;
    w.say("two of us")
}

pub(super) fn update_applied(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    for _ in 0..2 {
        applied(w, Plan::default())?;
        w.acknowledge(ME)?;
    }
    w.say("new keys")
}

pub(super) fn update_with_another_key(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    applied(w, Plan { signer: 1, ..Plan::default() })?;
    w.acknowledge(ME)?;
    w.say("signed with another key")
}

pub(super) fn pre_shared_key_applied(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    for name in ["bob", ME] {
        w.tell(name, What::KeepPsk("word".into(), [9; 32].into()))?;
    }
    w.begin();
    let epoch = w.group_of(ME).epoch;
    let psks = vec![Proposing::Psk("word".into()), Proposing::Resumption(epoch)];
    applied(w, Plan { omit_path: true, ..by_value(psks) })?;
    w.me(What::ForgetPsk("word".into()))?;
    w.say("injected")
}

pub(super) fn extensions_applied(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    w.begin();
    applied(w, by_value(vec![Proposing::Extensions(9, true)]))?;
    applied(w, by_value(vec![Proposing::Custom("own".into())]))?;
    w.say("extended")
}

pub(super) fn discarded(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let group = w.group.clone();
    let seen = w.me(What::Commit(group.clone(), Plan::default()))?;
    w.me(What::Discard(group.clone(), seen.sent[0].0.clone()))?;
    // It comes back all the same: nobody can follow it any more, and nothing happens.
    w.refused(What::Receive(group.clone(), seen.sent[0].1.clone()))?;
    w.refused(What::Apply(group, seen.sent[0].0.clone()))?;
    w.hear("bob", "nothing has happened")?;
    w.say("no")
}

pub(super) fn lost_to_another(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let dave = w.key_package("dave", SUITE)?;
    w.begin();
    let group = w.group.clone();
    let seen = w.me(What::Commit(group.clone(), by_value(vec![Proposing::Add(dave)])))?;
    let (commit, _) = w.commit("bob", Plan::default())?;
    w.all_others_get("bob", &commit)?;
    w.get(&commit)?;
    w.refused(What::Apply(group, seen.sent[0].0.clone()))?;
    w.acknowledge(ME)?;
    w.say("you were faster")
}

pub(super) fn two_staged_one_applied(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let dave = w.key_package("dave", SUITE)?;
    w.begin();
    let group = w.group.clone();
    w.me(What::Commit(group.clone(), by_value(vec![Proposing::Add(dave)])))?;
    let second = w.me(What::Commit(group.clone(), Plan { data: "2".into(), ..Plan::default() }))?;
    w.all_others_get(ME, &second.sent[0].1)?;
    w.me(What::Apply(group, second.sent[0].0.clone()))?;
    w.acknowledge(ME)?;
    w.say("the second one")
}

pub(super) fn own_commit_returned(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let dave = w.key_package("dave", SUITE)?;
    w.begin();
    let seen = w.me(What::Commit(w.group.clone(), by_value(vec![Proposing::Add(dave)])))?;
    let commit = seen.sent[0].1.clone();
    w.all_others_get(ME, &commit)?;
    // No answer came, but the commit.
    let applied = w.me(What::Receive(w.group.clone(), commit))?;
    w.join("dave", &applied.sent[0].1, None)?;
    w.acknowledge(ME)?;
    w.hear("dave", "hello")
}

pub(super) fn in_the_open(w: &mut World<'_>) -> Done {
    let open = Settings { encrypt_handshakes: false, ..Settings::default() };
    w.gather(&["bob", "carol"], &open)?;
    w.me(What::Policy(w.group.clone(), open))?;
    let dave = w.key_package("dave", SUITE)?;
    w.begin();
    let welcomes = applied(w, by_value(vec![Proposing::Add(dave)]))?;
    w.join("dave", &welcomes[0], None)?;
    w.acknowledge(ME)?;
    let (commit, _) = w.commit("bob", Plan::default())?;
    w.all_others_get("bob", &commit)?;
    w.get(&commit)?;
    w.hear("dave", "hello")
}

pub(super) fn processed(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let dave = w.key_package("dave", SUITE)?;
    let leaf = w.group_of("carol").own_leaf;
    for proposals in [vec![Proposing::Add(dave)], Vec::new(), vec![Proposing::Remove(leaf)]] {
        let (commit, welcomes) = w.commit("bob", by_value(proposals))?;
        w.all_others_get("bob", &commit)?;
        w.get(&commit)?;
        if let Some(welcome) = welcomes.first() {
            w.join("dave", welcome, None)?;
        }
    }
    w.hear("dave", "hello")
}

pub(super) fn processed_by_reference(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let message = w.make("carol", What::Propose(w.instance("carol"), Proposing::Update { signer: 1 }))?;
    w.all_others_get("carol", &message)?;
    w.get(&message)?;
    let (commit, _) = w.commit("bob", Plan::default())?;
    w.all_others_get("bob", &commit)?;
    w.get(&commit)?;
    w.hear("carol", "with another key")
}

pub(super) fn removed_by_another(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    // A commit of our own waits meanwhile, and a message in the outbox.
    w.me(What::Commit(w.group.clone(), Plan::default()))?;
    w.begin();
    let leaf = w.group_of(ME).own_leaf;
    let (commit, _) = w.commit("bob", by_value(vec![Proposing::Remove(leaf)]))?;
    w.all_others_get("bob", &commit)?;
    w.get(&commit)?;
    w.me(What::Forget(w.group.clone()))?;
    Ok(())
}
