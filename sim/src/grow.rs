//! Groups that grow out of others, and proposals from outside.

use std::rc::Rc;

use hushwood::credential::{Credential, judge};
use hushwood::group::{Group, GroupInfoOptions, GroupView, Status, Successor};
use hushwood::proposal::{Add, Proposal, Remove};
use hushwood::tree::LeafIndex;

use crate::action::Action;
use crate::checks::{Check, Failure, Lineage};
use crate::client::{Attempt, Client, Core, Making, Seat};
use crate::delivery::{Entry, OUTSIDE, Room, What};
use crate::world::{Judge, World, credential, named, pick, supported};

/// More groups than that are not made.
const ROOMS: usize = 8;
/// No larger groups are branched and replaced.
const LARGE: u32 = 64;

impl World {
    /// Makes the group that replaces one, or a branch.
    pub(crate) fn grow(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let own = &self.clients[client].seats[seat];
        let (room, branch, lineage) = (own.room, own.branch, own.lineage);
        let Some(group) = own.group.as_ref().filter(|group| group.member_count() <= LARGE) else {
            return Ok(false);
        };
        let reinit = match group.status() {
            Status::Reinitialised(reinit) if !self.rooms[room].replaced && branch == 0 => {
                Some(reinit.clone())
            }
            Status::Active if self.rooms.len() < ROOMS => None,
            Status::Active | Status::Reinitialised(_) | Status::Removed => return Ok(false),
        };
        let suite = match &reinit {
            Some(reinit) => self.provider.suite(reinit.cipher_suite).expect("one that all have"),
            None => group.suite(),
        };
        let own_leaf = group.own_leaf();
        let members = group.members().filter_map(Result::ok).filter(|member| member.index != own_leaf);
        let others: Vec<_> = members.filter_map(|member| named(&member.leaf.credential)).collect();
        let mut key_packages = Vec::new();
        for (number, other) in others.into_iter().enumerate() {
            if reinit.is_none() && action.how >> (number % 32) & 1 == 0 {
                continue;
            }
            // Those who come along make KeyPackages for it.
            self.clients[other].core.roll(self.config.seed ^ 2, action.number);
            let Some(made) = self.key_package(other, suite, false)? else { continue };
            let Some(valid) = self.validated(&made, suite) else { continue };
            self.owners.entry(valid.reference().0.clone()).or_default().push(other);
            key_packages.push(valid);
        }
        let policy = self.policy(client);
        let extensions = self.extensions(0);
        let now = self.now;
        let name = self.clients[client].twin_of.unwrap_or(client);
        let Client { core, seats, .. } = &mut self.clients[client];
        let Some(parent) = &seats[seat].group else { return Ok(false) };
        let made = core.attempt(&mut self.seals, |core| {
            let supported = supported(&core.provider).preferring(suite.id());
            let settings =
                Successor { policy, extensions, ..Successor::new(credential(name), supported, key_packages) };
            let Core { signers, dice, disk, provider, .. } = core;
            let newest = signers.last().expect("at least one");
            match reinit {
                Some(_) => parent.reinit((provider, disk), settings, newest, now, dice),
                None => parent.branch(settings, newest, now, dice),
            }
        })?;
        // After a crash nobody has the Welcomes: somebody makes the group anew.
        let Attempt::Done((group, change)) = made else { return Ok(true) };
        let first = Lineage::founded(group.group_id())
            .child(&change.epoch.to_be_bytes())
            .child(&lineage.0.to_be_bytes());
        let first = first.child(&action.number.to_be_bytes());
        let mut new = Room::new(&group, first, Some(room));
        new.replaces = matches!(parent_status(&self.clients[client], seat), Some(Status::Reinitialised(_)));
        self.rooms[room].replaced |= new.replaces;
        self.rooms.push(new);
        let tree = match group.policy().ratchet_tree_extension {
            true => None,
            false => {
                Some(group.ratchet_tree().map_err(|error| Failure::new(Check::Bug, format!("{error:?}")))?)
            }
        };
        let tree: Option<Rc<[u8]>> = tree.map(Into::into);
        let seat = self.sit(client, self.rooms.len() - 1, group, first, 0)?;
        let own: &mut Seat = &mut self.clients[client].seats[seat];
        for welcome in &change.welcomes {
            let id = *welcome.id.as_bytes();
            own.known.outbox.insert(id);
            own.outgoing.insert(id, (Making::Welcome, first, change.epoch));
            own.invitations.insert(id, (first, tree.clone()));
        }
        self.send(client, seat)?;
        Ok(true)
    }

    /// Somebody outside proposes: the moderator, or a client that wants to be added.
    pub(crate) fn outside(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((giver, seat)) = self.seat(action)? else { return Ok(false) };
        let Client { core, seats, .. } = &mut self.clients[giver];
        let own = &seats[seat];
        let (room, lineage, signer) = (own.room, own.lineage, own.signer(core));
        let trusted = self.clients[giver].is_trusted();
        let Client { core, seats, .. } = &mut self.clients[giver];
        let Some(group) = &seats[seat].group else { return Ok(false) };
        let options = GroupInfoOptions { ratchet_tree: true, external_pub: true };
        let Core { signers, dice, .. } = core;
        let Ok(info) = group.group_info(options, &signers[signer], dice) else { return Ok(false) };
        let (policy, now) = (group.policy().clone(), self.now);
        let view = GroupView::verify(&info, None, &self.provider, (&policy, now), dice);
        let view = match view {
            Ok(view) => view,
            Err(error) if trusted => {
                return Err(Failure::new(
                    Check::Liveness,
                    format!("the moderator refuses a GroupInfo: {error:?}"),
                ));
            }
            Err(_) => return Ok(false),
        };
        if judge(view.checks(), &Judge).confirm(view.checks()).is_err() {
            return Ok(false);
        }
        let epoch = view.context().epoch;
        let Some(invited) = self.candidate(room, action)? else { return Ok(false) };
        self.clients[invited].core.roll(self.config.seed ^ 3, action.number);
        let Some(valid) = self.invitable(invited, room)? else { return Ok(false) };
        let made = match action.how % 4 {
            0 => {
                let members: Vec<LeafIndex> =
                    view.members().filter_map(Result::ok).map(|member| member.index).collect();
                let Some(removed) = pick(&members, action.how >> 8).copied() else { return Ok(false) };
                view.external_proposal(0, Proposal::Remove(Remove { removed }), &self.moderator, now)
            }
            1 => {
                let add = Proposal::Add(Box::new(Add { key_package: valid.key_package().clone() }));
                view.external_proposal(0, add, &self.moderator, now)
            }
            _ => {
                let signers = &self.clients[invited].core.signers;
                let newest = signers.last().expect("at least one");
                view.new_member_proposal(&valid, newest, now)
            }
        };
        let Ok(bytes) = made else { return Ok(true) };
        let branch = self.clients[giver].seats[seat].branch;
        self.rooms[room].log.push(Entry {
            bytes: bytes.into(),
            what: What::Proposal,
            from: OUTSIDE,
            trusted,
            lineage,
            epoch,
            branch,
            judged: None,
            deceives: false,
            origin: None,
        });
        Ok(true)
    }
}

fn parent_status(client: &Client, seat: usize) -> Option<Status> {
    client.seats[seat].group.as_ref().map(Group::status).cloned()
}

/// Somebody whom nobody wants.
pub(crate) fn unwanted(number: usize) -> Credential {
    Credential::basic(format!("unwanted {number}"))
}
