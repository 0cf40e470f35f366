//! Whether what a command has changed is what it should have changed, and nothing else.

use crate::command::{Bytes, GroupView, Text, View, What};
use crate::failure::{Failure, Kind};

/// What members of one epoch have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    authenticator: Bytes,
    exported: Bytes,
    tree: Bytes,
}

impl Facts {
    /// What a member says of its epoch.
    #[must_use]
    pub fn of(group: &GroupView) -> Self {
        let GroupView { authenticator, exported, tree, .. } = group.clone();
        Self { authenticator, exported, tree }
    }
}

/// What has come of a command.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Messages that are to be sent from now on: id and bytes.
    pub sent: Vec<(Bytes, Bytes)>,
    /// Messages that were read.
    pub read: Vec<Text>,
    /// States of groups that there were not before.
    pub groups: Vec<Bytes>,
    /// KeyPackages that there were not before: reference and message.
    pub key_packages: Vec<(Bytes, Bytes)>,
}

/// Nothing has changed.
///
/// # Errors
/// [`Kind::Torn`].
pub fn same(before: &View, after: &View, when: &str) -> Result<(), Failure> {
    match before == after {
        true => Ok(()),
        false => Err(Failure::new(Kind::Torn, format!("{when}: {after:?}, before: {before:?}"))),
    }
}

/// Nothing has changed, but perhaps the key of the store.
///
/// # Errors
/// [`Kind::Torn`].
pub fn same_but_unlock(before: &View, after: &View, what: &What, when: &str) -> Result<(), Failure> {
    match what {
        What::ChangeUnlock(_) => same(&View { unlock: after.unlock, ..before.clone() }, after, when),
        _ => same(before, after, when),
    }
}

/// What is gone of a list.
fn gone<'a, T: PartialEq>(before: &'a [T], after: &'a [T]) -> Vec<&'a T> {
    before.iter().filter(|item| !after.contains(item)).collect()
}

/// The command has changed what it was to change, and nothing else.
///
/// # Errors
/// [`Kind::Lost`], [`Kind::Twice`], [`Kind::Torn`].
pub fn change(before: &View, after: &View, what: &What) -> Result<Seen, Failure> {
    if !what.is_step() {
        same_but_unlock(before, after, what, "after what changes nothing")?;
    }
    let mut seen = Seen::default();
    for group in before.all_groups() {
        let Some(now) = after.group(&group.instance) else {
            if *what == What::Forget(group.instance.clone()) {
                continue;
            }
            return Err(Failure::new(Kind::Lost, format!("a group, by {what:?}")));
        };
        let added = changed_group(group, now, what)?;
        seen.sent.extend(added.sent);
        seen.read.extend(added.read);
    }
    for group in after.all_groups().filter(|group| before.group(&group.instance).is_none()) {
        seen.groups.push(group.instance.clone());
        seen.sent.extend(group.outbox.iter().cloned());
    }
    let expected = match what {
        What::Create(_)
        | What::Join { .. }
        | What::ExternalJoin { .. }
        | What::Branch(..)
        | What::Reinit(..) => 1,
        _ => 0,
    };
    if seen.groups.len() != expected {
        return Err(Failure::new(Kind::Torn, format!("{} new groups by {what:?}", seen.groups.len())));
    }
    let used = gone(&before.key_packages, &after.key_packages);
    let may_use = match what {
        What::Join { .. } => used.len() <= 1,
        What::ForgetKeyPackage(reference) => used.iter().all(|(used, _)| used == reference),
        _ => used.is_empty(),
    };
    seen.key_packages = gone(&after.key_packages, &before.key_packages).into_iter().cloned().collect();
    let made = usize::from(matches!(what, What::KeyPackage { .. }));
    if !may_use || seen.key_packages.len() != made {
        return Err(Failure::new(Kind::Lost, format!("KeyPackages, by {what:?}")));
    }
    Ok(seen)
}

/// The same of one group.
fn changed_group(before: &GroupView, after: &GroupView, what: &What) -> Result<Seen, Failure> {
    let lost = |part: &str| Failure::new(Kind::Lost, format!("{part}, by {what:?}: {before:?}, {after:?}"));
    let at = |instance: &Bytes| *instance == before.instance;

    // The epoch: it moves by a commit, and with it what belongs to the epoch.
    let commits = match what {
        What::Apply(instance, _) | What::Receive(instance, _) if at(instance) => 1,
        What::Batch(instance, messages) if at(instance) => messages.len(),
        _ => 0,
    };
    let moved = after.epoch.checked_sub(before.epoch).ok_or_else(|| lost("an epoch"))?;
    if moved > u64::try_from(commits).expect("a few") {
        return Err(Failure::new(Kind::Torn, format!("{moved} epochs by {what:?}")));
    }
    if moved == 0 {
        let same_facts = before.status == "removed" || Facts::of(before) == Facts::of(after);
        if !same_facts || before.transcript != after.transcript {
            // A commit that removes us is followed in public.
            if after.status != "removed" {
                return Err(Failure::new(Kind::Torn, format!("an epoch that changes, by {what:?}")));
            }
        }
        let discarded = |id: &&Bytes| match what {
            What::Discard(instance, discarded) => at(instance) && discarded == *id,
            _ => false,
        };
        if gone(&before.staged, &after.staged).iter().any(|id| !discarded(id)) {
            return Err(lost("a staged commit"));
        }
        if !gone(&before.pending, &after.pending).is_empty() {
            return Err(lost("a proposal"));
        }
    }

    // Messages to be sent.
    let acknowledged = |id: &Bytes| match what {
        What::Acknowledge(instance, done) | What::Discard(instance, done) => at(instance) && done == id,
        _ => false,
    };
    if gone(&before.outbox, &after.outbox).iter().any(|(id, _)| !acknowledged(id)) {
        return Err(lost("a message to be sent"));
    }
    let sent: Vec<_> = gone(&after.outbox, &before.outbox).into_iter().cloned().collect();
    let may_send = match what {
        What::Say(instance, _) | What::Propose(instance, _) | What::Commit(instance, _) if at(instance) => {
            sent.len() == 1
        }
        What::Apply(instance, _) if at(instance) => true,
        // A commit of our own that comes back.
        What::Receive(instance, _) if at(instance) => sent.is_empty() || moved == 1,
        _ => sent.is_empty(),
    };
    if !may_send {
        return Err(Failure::new(Kind::Twice, format!("{} messages by {what:?}", sent.len())));
    }

    // Messages that were read.
    if gone(&before.inbox, &after.inbox).iter().any(|text| !acknowledged(&text.id)) {
        return Err(lost("a message that was read"));
    }
    let read: Vec<_> = gone(&after.inbox, &before.inbox).into_iter().cloned().collect();
    let most = match what {
        What::Receive(instance, _) if at(instance) => 1,
        What::Batch(instance, messages) if at(instance) => messages.len(),
        _ => 0,
    };
    if read.len() > most {
        return Err(Failure::new(Kind::Twice, format!("{} messages read by {what:?}", read.len())));
    }
    Ok(Seen { sent, read, ..Seen::default() })
}
