//! What scenarios are made of: short words for what clients do with each other.

use hushwood::credential::Credential;
use hushwood::group::{Group, GroupInfoOptions, GroupView as Outside};
use hushwood::policy::{Policy, Timestamp};
use hushwood::proposal::{Add, Proposal, Remove};
use hushwood::tree::LeafIndex;
use hushwood_codec::Encode;
use test_support::random::SeededRandom;

use crate::command::{Bytes, GroupView, Plan, Proposing, Settings, What};
use crate::failure::{Failure, Kind};
use crate::world::World;
use crate::{ME, client, provider};

/// The suite that all groups begin with.
pub const SUITE: u16 = 1;

impl World<'_> {
    /// The group that a client is in.
    #[must_use]
    pub fn instance(&self, name: &str) -> Bytes {
        match name {
            ME => self.group.clone(),
            other => self.peers.get(other).map(|peer| peer.group.clone()).unwrap_or_default(),
        }
    }

    /// What a client has of the group that it is in.
    ///
    /// # Panics
    /// If it is in none.
    #[must_use]
    pub fn group_of(&self, name: &str) -> &GroupView {
        let instance = self.instance(name);
        let view = if name == ME { &self.view } else { &self.peers[name].view };
        view.group(&instance).expect("it is in a group")
    }

    fn sit(&mut self, name: &str, instance: Bytes) {
        match name {
            ME => self.group = instance,
            other => self.peer(other).group = instance,
        }
    }

    /// The others who are in the client's group.
    #[must_use]
    pub fn others(&self) -> Vec<String> {
        let Some(own) = self.view.group(&self.group) else { return Vec::new() };
        let is_in = |name: &&String| {
            let view = &self.peers[*name].view;
            view.group(&self.instance(name))
                .is_some_and(|group| group.group_id == own.group_id && group.status == "active")
        };
        self.peers.keys().filter(is_in).cloned().collect()
    }

    /// Has a client make something that is sent: the message. The client does not acknowledge it yet.
    ///
    /// # Errors
    /// What the checks find.
    pub fn make(&mut self, name: &str, what: What) -> Result<Bytes, Failure> {
        let seen = self.tell(name, what)?;
        let [(_, message)] = seen.sent.as_slice() else {
            return Err(Failure::new(Kind::Lost, format!("{} messages are sent", seen.sent.len())));
        };
        Ok(message.clone())
    }

    /// A client has sent, or shown, everything that waits.
    ///
    /// # Errors
    /// What the checks find.
    pub fn acknowledge(&mut self, name: &str) -> Result<(), Failure> {
        let group = self.group_of(name).clone();
        let sent = group.outbox.iter().map(|(id, _)| id);
        for id in sent.chain(group.inbox.iter().map(|text| &text.id)) {
            self.tell(name, What::Acknowledge(group.instance.clone(), id.clone()))?;
        }
        Ok(())
    }

    /// A KeyPackage.
    ///
    /// # Errors
    /// What the checks find.
    pub fn key_package(&mut self, name: &str, suite: u16) -> Result<Bytes, Failure> {
        let seen = self.tell(name, What::KeyPackage { last_resort: false, suite })?;
        Ok(seen.key_packages[0].1.clone())
    }

    /// A client creates a group.
    ///
    /// # Errors
    /// What the checks find.
    pub fn create(&mut self, name: &str, settings: &Settings) -> Result<(), Failure> {
        let seen = self.tell(name, What::Create(settings.clone()))?;
        self.sit(name, seen.groups[0].clone());
        Ok(())
    }

    /// A client joins by a Welcome.
    ///
    /// # Errors
    /// What the checks find.
    pub fn join(&mut self, name: &str, welcome: &Bytes, tree: Option<Bytes>) -> Result<(), Failure> {
        self.join_from(name, welcome, tree, None)
    }

    /// A client joins a group that has grown out of one.
    ///
    /// # Errors
    /// What the checks find.
    pub fn join_from(
        &mut self,
        name: &str,
        welcome: &Bytes,
        tree: Option<Bytes>,
        parent: Option<Bytes>,
    ) -> Result<(), Failure> {
        let settings = Settings::default();
        let seen = self.tell(name, What::Join { welcome: welcome.clone(), tree, parent, settings })?;
        self.sit(name, seen.groups[0].clone());
        Ok(())
    }

    /// A client commits, and the delivery service takes it: the commit, and the Welcomes. Nobody else has got them.
    ///
    /// # Errors
    /// What the checks find.
    pub fn commit(&mut self, name: &str, plan: Plan) -> Result<(Bytes, Vec<Bytes>), Failure> {
        let instance = self.instance(name);
        let seen = self.tell(name, What::Commit(instance.clone(), plan))?;
        let (id, commit) = seen.sent[0].clone();
        let applied = self.tell(name, What::Apply(instance, id))?;
        let welcomes = applied.sent.into_iter().map(|(_, message)| message).collect();
        Ok((commit, welcomes))
    }

    /// A client invites others, who join. Members that are there already have to get the commit.
    ///
    /// # Errors
    /// What the checks find.
    pub fn invite(&mut self, name: &str, others: &[&str]) -> Result<Bytes, Failure> {
        let mut plan = Plan::default();
        for other in others {
            plan.proposals.push(Proposing::Add(self.key_package(other, SUITE)?));
        }
        let (commit, welcomes) = self.commit(name, plan)?;
        let tree = self.tree_beside(name)?;
        for other in others {
            self.join(other, &welcomes[0], tree.clone())?;
        }
        self.acknowledge(name)?;
        Ok(commit)
    }

    /// The tree, where a client's Welcomes do not have it.
    ///
    /// # Errors
    /// What the checks find.
    pub fn tree_beside(&mut self, name: &str) -> Result<Option<Bytes>, Failure> {
        if name == ME {
            return Ok(None);
        }
        let group = self.peer_group(name)?;
        match group.policy().ratchet_tree_extension {
            true => Ok(None),
            false => Ok(Some(group.ratchet_tree().map_err(refusal)?.into())),
        }
    }

    fn peer_group(&self, name: &str) -> Result<&Group, Failure> {
        let peer = &self.peers[name];
        peer.client.group(&peer.group).ok_or_else(|| Failure::new(Kind::Lost, format!("the group of {name}")))
    }

    /// A group of others, the first of whom has created it, and of the client itself.
    ///
    /// # Errors
    /// What the checks find.
    pub fn gather(&mut self, others: &[&str], settings: &Settings) -> Result<(), Failure> {
        self.create(others[0], settings)?;
        let joining: Vec<_> = [ME].into_iter().chain(others[1..].iter().copied()).collect();
        self.invite(others[0], &joining)?;
        Ok(())
    }

    /// The others get a message, and read what it says.
    ///
    /// # Errors
    /// What the checks find.
    pub fn all_others_get(&mut self, from: &str, message: &Bytes) -> Result<(), Failure> {
        for other in self.others() {
            if other != from {
                self.tell(&other, What::Receive(self.instance(&other), message.clone()))?;
            }
        }
        Ok(())
    }

    /// All others who are in somebody's group get a message of his; the client is not among them.
    ///
    /// # Errors
    /// What the checks find.
    pub fn all_others_of(&mut self, from: &str, message: &Bytes) -> Result<(), Failure> {
        let group_id = self.group_of(from).group_id.clone();
        let names: Vec<_> = self.peers.keys().filter(|name| *name != from).cloned().collect();
        for name in names {
            let instance = self.instance(&name);
            let group = self.peers[&name].view.group(&instance);
            if group.is_some_and(|group| group.group_id == group_id && group.status == "active") {
                self.tell(&name, What::Receive(instance, message.clone()))?;
            }
        }
        Ok(())
    }

    /// A client joins by one of several Welcomes, of which one is for it.
    ///
    /// # Errors
    /// What the checks find.
    pub fn join_any(&mut self, name: &str, welcomes: &[Bytes]) -> Result<(), Failure> {
        let mut last = Failure::new(Kind::Lost, "no Welcome");
        for welcome in welcomes {
            match self.join(name, welcome, None) {
                Ok(()) => return Ok(()),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// The client gets a message.
    ///
    /// # Errors
    /// What the checks find.
    pub fn get(&mut self, message: &Bytes) -> Result<(), Failure> {
        self.me(What::Receive(self.group.clone(), message.clone()))?;
        Ok(())
    }

    /// The client says something, and the others read it.
    ///
    /// # Errors
    /// What the checks find.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        let message = self.make(ME, What::Say(self.group.clone(), text.into()))?;
        for other in self.others() {
            self.read_by(&other, ME, &message, text)?;
        }
        self.acknowledge(ME)
    }

    /// Somebody says something: the message, which nobody has got.
    ///
    /// # Errors
    /// What the checks find.
    pub fn said(&mut self, from: &str, text: &str) -> Result<Bytes, Failure> {
        let message = self.make(from, What::Say(self.instance(from), text.into()))?;
        Ok(message)
    }

    /// Somebody gets a message that says this.
    ///
    /// # Errors
    /// What the checks find.
    pub fn read_by(&mut self, reader: &str, from: &str, message: &Bytes, text: &str) -> Result<(), Failure> {
        let seen = self.tell(reader, What::Receive(self.instance(reader), message.clone()))?;
        let credential = Credential::basic(from).to_bytes().expect("short");
        match seen.read.as_slice() {
            [read] if read.text == text.into() && read.from == credential.into() => Ok(()),
            other => Err(Failure::new(Kind::Lost, format!("{reader} reads {other:?}, not {text}"))),
        }
    }

    /// Somebody says something to all.
    ///
    /// # Errors
    /// What the checks find.
    pub fn hear(&mut self, from: &str, text: &str) -> Result<(), Failure> {
        let message = self.said(from, text)?;
        self.read_by(ME, from, &message, text)?;
        for other in self.others() {
            if other != from {
                self.read_by(&other, from, &message, text)?;
            }
        }
        self.acknowledge(ME)
    }

    /// A GroupInfo, and the tree if that is to be beside it.
    ///
    /// # Errors
    /// [`Kind::Liveness`].
    pub fn group_info(&mut self, name: &str, inside: bool) -> Result<(Bytes, Option<Bytes>), Failure> {
        let mut random = SeededRandom::new(self.seed ^ 0x1f0);
        let signer = self.peers[name].client.signer();
        let group = self.peer_group(name)?;
        let options = GroupInfoOptions { ratchet_tree: inside, external_pub: true };
        let info = group.group_info(options, signer, &mut random).map_err(refusal)?;
        let tree = match inside {
            true => None,
            false => Some(group.ratchet_tree().map_err(refusal)?.into()),
        };
        Ok((info.into(), tree))
    }

    /// A proposal from outside: the moderator's, to add or to remove somebody; or that of a client that wants to be added.
    ///
    /// # Errors
    /// [`Kind::Liveness`].
    pub fn from_outside(&mut self, inside: &str, what: &Outsider) -> Result<Bytes, Failure> {
        let (info, _) = self.group_info(inside, true)?;
        let mut random = SeededRandom::new(self.seed ^ 0x0071);
        let (policy, now, provider) = (Policy::default(), Timestamp(self.now), provider());
        let view = Outside::verify(&info.0, None, &provider, (&policy, now), &mut random).map_err(refusal)?;
        let valid =
            |message: &Bytes| client::validated(&message.0, (provider, view.context().cipher_suite), now);
        let made = match what {
            Outsider::Adds(message) => {
                let key_package = valid(message).map_err(refusal)?.key_package().clone();
                let add = Proposal::Add(Box::new(Add { key_package }));
                view.external_proposal(0, add, &client::moderator(provider), now)
            }
            Outsider::Removes(leaf) => {
                let remove = Proposal::Remove(Remove { removed: LeafIndex::new(*leaf) });
                view.external_proposal(0, remove, &client::moderator(provider), now)
            }
            Outsider::Asks(name, message) => {
                let valid = valid(message).map_err(refusal)?;
                let signer = self.peers[name].client.signer();
                view.new_member_proposal(&valid, signer, now)
            }
        };
        Ok(made.map_err(refusal)?.into())
    }

    /// The end: all who are in the group still understand each other, all keys were used once.
    ///
    /// # Errors
    /// What the checks find.
    pub fn finish(&mut self) -> Result<u64, Failure> {
        let active = self.view.group(&self.group).is_some_and(|group| group.status == "active");
        if active {
            let others = self.others();
            for other in &others {
                if self.group_of(other).epoch != self.group_of(ME).epoch {
                    return Err(Failure::new(Kind::Agreement, format!("{other} is in another epoch")));
                }
            }
            self.acknowledge(ME)?;
            // What waits is committed, with new keys for everybody above the client.
            let (commit, _) = self.commit(ME, Plan::default())?;
            self.all_others_get(ME, &commit)?;
            self.say("that was all")?;
            if let Some(other) = others.first() {
                let (commit, _) = self.commit(other, Plan::default())?;
                self.get(&commit)?;
                self.all_others_get(other, &commit)?;
                self.hear(other, "yes")?;
            }
        }
        self.ledger.check()
    }
}

/// What somebody outside proposes.
#[derive(Clone, Debug)]
pub enum Outsider {
    /// The moderator adds whose KeyPackage this is.
    Adds(Bytes),
    /// The moderator removes a member.
    Removes(u32),
    /// A client asks to be added with this KeyPackage.
    Asks(String, Bytes),
}

fn refusal(error: hushwood::error::Error) -> Failure {
    Failure::new(Kind::Liveness, format!("{error:?}"))
}
