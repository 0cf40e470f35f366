//! A conversation as the bytes have it: whatever members do, they agree.

use arbitrary::Unstructured;
use hushwood::error::{Error, NotNow};
use hushwood::group::{CommitPlan, LeafUpdate, NewProposal, Status};
use hushwood::schedule::Psk;
use hushwood::tree::LeafIndex;

use super::mutation::below;
use super::scene::actor;
use crate::actor::{Actor, Outcome, assert_agree};

/// Up to sixteen deeds of a group of at most six.
pub(super) fn sim_ops(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    let mut born = 100;
    let mut members = vec![actor("first", 100)];
    members[0].create();
    for _ in 0..16 {
        let by = below(choices, members.len());
        match below(choices, 8) {
            0 | 1 if members.len() < 6 => {
                born += 1;
                let mut newcomer = actor(&format!("member {born}"), born);
                let key_package = newcomer.key_package();
                let add = NewProposal::Add(Box::new(members[by].validate(&key_package).expect("our own")));
                let welcome = commit(&mut members, by, vec![add]);
                newcomer.join(&welcome, None).expect("a Welcome of theirs");
                members.push(newcomer);
            }
            2 if members.len() > 1 => {
                let removed = members[(by + 1) % members.len()].leaf();
                commit(&mut members, by, vec![NewProposal::Remove(removed)]);
            }
            3 => propose(&mut members, by, NewProposal::Update(LeafUpdate::default())),
            4 => propose(&mut members, by, NewProposal::Psk(psk())),
            5 => {
                let length = below(choices, 20).min(choices.len());
                let text = choices.bytes(length).unwrap_or_default().to_vec();
                let message = match members[by].send(&text) {
                    // RFC 9420 §12.4: what was proposed is committed first.
                    Err(Error::NotNow(NotNow::ProposalPending)) => continue,
                    sent => sent.expect("a member sends"),
                };
                for other in (0..members.len()).filter(|other| *other != by) {
                    assert_eq!(members[other].read(&message).expect("a member reads"), text);
                }
            }
            6 if members.len() < 6 => {
                born += 1;
                let group_info = members[by].group_info(true);
                let mut newcomer = actor(&format!("member {born}"), born);
                let message = newcomer.external_join(&group_info, None, None).expect("a group of theirs");
                deliver(&mut members, None, &message);
                members.push(newcomer);
            }
            7 => {
                // Somebody loses what was in memory.
                members[by].reload = !members[by].reload;
            }
            _ => _ = commit(&mut members, by, Vec::new()),
        }
        assert_agree(&members.iter().collect::<Vec<_>>());
        if choices.is_empty() {
            break;
        }
    }
}

fn psk() -> Psk {
    Psk::External { psk_id: b"psk".to_vec() }
}

fn propose(members: &mut Vec<Actor>, by: usize, proposal: NewProposal<'_>) {
    let message = members[by].propose(proposal).expect("a member proposes");
    deliver(members, Some(members[by].leaf()), &message);
}

/// A commit that everybody takes: its Welcome, if there is one.
fn commit(members: &mut Vec<Actor>, by: usize, proposals: Vec<NewProposal<'_>>) -> Vec<u8> {
    let answers = members[by].answers(&[psk()]);
    let plan = CommitPlan { proposals, ..CommitPlan::default() };
    let (id, message) = members[by].commit_with(plan, &answers).expect("a member commits");
    let from = members[by].leaf();
    let change = members[by].apply(&id).expect("our own commit");
    deliver(members, Some(from), &message);
    change.welcomes.first().map(|welcome| welcome.message.clone()).unwrap_or_default()
}

fn deliver(members: &mut Vec<Actor>, from: Option<LeafIndex>, message: &[u8]) {
    members.retain_mut(|member| {
        if from == Some(member.leaf()) {
            return true;
        }
        match member.receive(message).expect("a valid message") {
            Outcome::Commit(change) => change.status != Status::Removed,
            Outcome::Message(_) | Outcome::Proposal => true,
        }
    });
}
