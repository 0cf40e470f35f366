//! Whether a script can be played at all, seen without a client.

use std::collections::BTreeSet;

use crate::script::{Actor, Plan, Proposed, Script, Step, StepId};

/// What a script that can be played comes to.
pub(crate) struct Checked {
    /// The most members at a time.
    pub(crate) largest: usize,
}

/// Refuses a script whose steps name what is not there: results of later steps or of another kind, proposals of an
/// earlier epoch, actors who are not in the group.
pub(crate) fn check(script: &Script) -> Result<Checked, String> {
    let mut state = State { script, members: BTreeSet::new(), epoch_began: 0, largest: 0 };
    for (position, step) in script.steps().iter().enumerate() {
        state
            .step(position, step)
            .map_err(|why| format!("{} step {}: {step}: {why}", script.full_name(), position + 1))?;
        state.largest = state.largest.max(state.members.len());
    }
    Ok(Checked { largest: state.largest })
}

struct State<'a> {
    script: &'a Script,
    members: BTreeSet<Actor>,
    epoch_began: usize,
    largest: usize,
}

impl State<'_> {
    fn step(&mut self, position: usize, step: &Step) -> Result<(), String> {
        match step {
            Step::CreateGroup { actor, members } => {
                self.members = members.iter().chain([actor]).cloned().collect();
            }
            Step::CreateKeyPackage { .. } | Step::StorePsk { .. } => {}
            Step::Propose { actor, what } => {
                self.member(actor)?;
                self.proposed(position, what)?;
            }
            Step::ProposeAsNewMember { joiner, via } => {
                self.member(via)?;
                self.stranger(joiner)?;
            }
            Step::AddExternalSigner { actor, signer } => {
                self.member(actor)?;
                self.stranger(signer)?;
            }
            Step::ProposeFromOutside { signer, via, what } => {
                self.member(via)?;
                self.stranger(signer)?;
                let added =
                    |step: &Step| matches!(step, Step::AddExternalSigner { signer: s, .. } if s == signer);
                self.before(position).iter().find(|step| added(step)).ok_or("the signer was never added")?;
                self.proposed(position, what)?;
            }
            Step::Commit { actor, plan } => {
                self.member(actor)?;
                self.commit(position, actor, plan)?;
                self.epoch_began = position;
            }
            Step::ExternalJoin { joiner, via, psks, remove_prior, .. } => {
                self.member(via)?;
                if *remove_prior {
                    self.member(joiner)?
                } else {
                    self.stranger(joiner)?
                }
                if joiner == via {
                    return Err("the joiner gives the GroupInfo".into());
                }
                for psk in psks {
                    self.made(position, *psk, |step| matches!(step, Step::StorePsk { .. }))?;
                }
                self.members.insert(joiner.clone());
                self.epoch_began = position;
            }
            Step::Protect { actor, .. } => {
                self.member(actor)?;
                // RFC 9420 §12.4: no application messages while proposals wait.
                let waits =
                    |step: &Step| matches!(step, Step::Propose { .. } | Step::ProposeFromOutside { .. });
                if self.before(position).iter().skip(self.epoch_began).any(waits) {
                    return Err("proposals wait".into());
                }
            }
            Step::Unprotect { actor, message } => {
                self.member(actor)?;
                self.made(position, *message, |step| matches!(step, Step::Protect { .. }))?;
                let own =
                    |step: &Step| matches!(step, Step::Protect { actor: sender, .. } if sender == actor);
                let earlier = |step: &Step| matches!(step, Step::Unprotect { message: m, actor: a } if m == message && a == actor);
                if self.script.steps().get(message.index()).is_some_and(own) {
                    return Err("the sender reads".into());
                }
                if self.before(position).iter().any(earlier) {
                    return Err("read twice".into());
                }
            }
            Step::Branch { actor, .. } => self.member(actor)?,
            Step::ReInit { proposal, committer, welcomer, .. } => {
                self.member(committer)?;
                self.member(welcomer)?;
                let reinit = |step: &Step| {
                    matches!(
                        step,
                        Step::Propose { what: Proposed::ReInit(_), .. }
                            | Step::ProposeFromOutside { what: Proposed::ReInit(_), .. }
                    )
                };
                self.made(position, *proposal, reinit)?;
            }
        }
        Ok(())
    }

    fn commit(&mut self, position: usize, committer: &Actor, plan: &Plan) -> Result<(), String> {
        let mut effects = Vec::new();
        for reference in &plan.by_reference {
            let step = self.made(position, *reference, |_| true)?;
            if reference.index() < self.epoch_began {
                return Err(format!("the proposal of {reference} is of an earlier epoch"));
            }
            match step {
                Step::Propose { actor, what: Proposed::Update } if actor == committer => {
                    return Err("the committer's own Update".into());
                }
                Step::Propose { actor, what: Proposed::Update } => effects.push((actor.clone(), false)),
                Step::Propose { what, .. } | Step::ProposeFromOutside { what, .. } => {
                    effects.extend(self.effect(what));
                }
                Step::ProposeAsNewMember { joiner, .. } => effects.push((joiner.clone(), true)),
                Step::AddExternalSigner { .. } => {}
                _ => return Err(format!("{reference} makes no proposal")),
            }
        }
        for what in &plan.by_value {
            self.proposed(position, what)?;
            effects.extend(self.effect(what));
        }
        // RFC 9420 §12.2: no two proposals for one leaf.
        let mut touched = BTreeSet::new();
        for (actor, joins) in &effects {
            if !touched.insert(actor.clone()) {
                return Err(format!("two proposals for {actor}"));
            }
            if *joins { self.stranger(actor)? } else { self.member(actor)? }
        }
        for what in self.removed(plan) {
            if what == *committer {
                return Err("the committer is removed".into());
            }
            self.members.remove(&what);
        }
        for (actor, joins) in effects {
            if joins && !plan.absent.contains(&actor) {
                self.members.insert(actor);
            }
        }
        Ok(())
    }

    fn removed(&self, plan: &Plan) -> Vec<Actor> {
        let referred =
            plan.by_reference.iter().filter_map(|step| match self.script.steps().get(step.index())? {
                Step::Propose { what, .. } | Step::ProposeFromOutside { what, .. } => Some(what),
                _ => None,
            });
        let removed = referred.chain(&plan.by_value).filter_map(|what| match what {
            Proposed::Remove(actor) => Some(actor.clone()),
            _ => None,
        });
        removed.collect()
    }

    /// Whom a proposal touches, and whether it adds them.
    fn effect(&self, what: &Proposed) -> Option<(Actor, bool)> {
        match what {
            Proposed::Add(step) => match self.script.steps().get(step.index())? {
                Step::CreateKeyPackage { actor } => Some((actor.clone(), true)),
                _ => None,
            },
            Proposed::Remove(actor) => Some((actor.clone(), false)),
            _ => None,
        }
    }

    fn proposed(&self, position: usize, what: &Proposed) -> Result<(), String> {
        match what {
            Proposed::Add(step) => {
                self.made(position, *step, |step| matches!(step, Step::CreateKeyPackage { .. }))?;
            }
            Proposed::ExternalPsk(step) => {
                self.made(position, *step, |step| matches!(step, Step::StorePsk { .. }))?;
            }
            Proposed::Remove(actor) => self.member(actor)?,
            _ => {}
        }
        Ok(())
    }

    fn before(&self, position: usize) -> &[Step] {
        self.script.steps().get(..position).unwrap_or_default()
    }

    fn made(&self, position: usize, step: StepId, right: impl Fn(&Step) -> bool) -> Result<&Step, String> {
        let made = self.before(position).get(step.index()).ok_or(format!("{step} is not earlier"))?;
        if right(made) { Ok(made) } else { Err(format!("{step} makes something else")) }
    }

    fn member(&self, actor: &Actor) -> Result<(), String> {
        if self.members.contains(actor) { Ok(()) } else { Err(format!("{actor} is no member")) }
    }

    fn stranger(&self, actor: &Actor) -> Result<(), String> {
        if self.members.contains(actor) { Err(format!("{actor} is a member")) } else { Ok(()) }
    }
}
