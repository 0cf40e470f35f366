//! What members make: messages, proposals, commits; and how it leaves them.

use hushwood::commit::Answers;
use hushwood::group::{
    CommitId, CommitPlan, Cover, EpochChange, Group, LeafUpdate, MessageId, NewProposal, Outgoing,
    Unacknowledged,
};
use hushwood::proposal::ReInit;
use hushwood::schedule::{Psk, ResumptionPskUsage};
use hushwood::version::ProtocolVersion;
use hushwood_crypto::{Signer, SoftwareSigner};

use crate::action::Action;
use crate::checks::{Check, Failure};
use crate::client::{Attempt, Client, Core, Dice, Handed, Making, Seat};
use crate::delivery::{Answer, Entry, What};
use crate::world::{PROPOSAL, PSKS, Said, World, pick, psk_id};

impl World {
    /// Says something, and sends it or leaves it in the outbox.
    pub(crate) fn say_something(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let length = usize::try_from(action.how % 64).expect("a few");
        if self.say(client, seat, length)? && !action.how.is_multiple_of(16) {
            self.send(client, seat)?;
        }
        Ok(true)
    }

    /// Encrypts a message. True if it waits in the outbox now.
    pub(crate) fn say(&mut self, client: usize, seat: usize, length: usize) -> Result<bool, Failure> {
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        let Some(group) = &own.group else { return Ok(false) };
        let number = u64::try_from(self.said.len()).expect("a number");
        let (leaf, epoch) = (group.own_leaf().number(), group.epoch());
        let mut text = number.to_be_bytes().to_vec();
        text.resize(8 + length, 0x5a);
        let signer = own.signer(core);
        own.making = Making::Said(number);
        let lineage = own.lineage;
        let made = own.attempt(core, &mut self.seals, |group, core| {
            let Core { signers, dice, .. } = core;
            group.encrypt(&text, b"sim", &signers[signer], dice)
        })?;
        let said = Said { client, leaf, lineage, epoch };
        let waits = Self::made(own, &made, |outgoing| outgoing.id);
        if waits || matches!(made, Attempt::Down { written: true }) {
            self.said.push(said);
        }
        Ok(waits)
    }

    /// Notes what waits in an outbox.
    fn made<T>(own: &mut Seat, made: &Attempt<T>, id: impl FnOnce(&T) -> MessageId) -> bool {
        let Attempt::Done(output) = made else { return false };
        let id = *id(output).as_bytes();
        let epoch = own.group.as_ref().map_or(0, Group::epoch);
        own.known.outbox.insert(id);
        own.outgoing.insert(id, (own.making, own.lineage, epoch));
        own.making = Making::Nothing;
        true
    }

    /// Proposes something.
    pub(crate) fn propose_something(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let Some(proposal) = self.proposal(client, seat, action.how, action)? else { return Ok(false) };
        if self.propose(client, seat, |_| proposal)? && !(action.how >> 8).is_multiple_of(8) {
            self.send(client, seat)?;
        }
        Ok(true)
    }

    /// Makes a proposal. True if it waits in the outbox now.
    pub(crate) fn propose(
        &mut self,
        client: usize,
        seat: usize,
        proposal: impl for<'s> FnOnce(&'s SoftwareSigner) -> NewProposal<'s>,
    ) -> Result<bool, Failure> {
        let now = self.now;
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        if own.group.is_none() {
            return Ok(false);
        }
        let signer = own.signer(core);
        own.making = Making::Proposal;
        let made = own.attempt(core, &mut self.seals, |group, core| {
            let Core { signers, dice, .. } = core;
            let newest = signers.last().expect("at least one");
            group.propose(proposal(newest), b"", &signers[signer], now, dice)
        })?;
        Ok(Self::made(own, &made, |outgoing| outgoing.id))
    }

    /// A proposal of one of all kinds.
    fn proposal(
        &mut self,
        client: usize,
        seat: usize,
        how: u32,
        action: &Action,
    ) -> Result<Option<NewProposal<'static>>, Failure> {
        let room = self.clients[client].seats[seat].room;
        let seed = self.config.seed;
        let Some(group) = &self.clients[client].seats[seat].group else { return Ok(None) };
        let small = group.member_count() < 3;
        Ok(Some(match how % 32 {
            0..12 => {
                let Some(invited) = self.candidate(room, action)? else { return Ok(None) };
                let Some(valid) = self.invitable(invited, room)? else { return Ok(None) };
                NewProposal::Add(Box::new(valid))
            }
            12..18 => {
                if how >> 8 & 3 == 0 {
                    let core = &mut self.clients[client].core;
                    let mut dice = Dice::new(seed ^ 0x5167, action.number);
                    let signer = SoftwareSigner::generate(core.suite(), &mut dice);
                    core.signers.push(signer.expect("the dice do not fail"));
                }
                NewProposal::Update(LeafUpdate::default())
            }
            18..23 if !small => {
                let leaves: Vec<_> = match group.member_count() < 256 {
                    true => group.members().filter_map(|member| Some(member.ok()?.index)).collect(),
                    false => vec![hushwood::tree::LeafIndex::new(action.which % group.member_count())],
                };
                NewProposal::Remove(*pick(&leaves, action.which).expect("a member"))
            }
            23..26 => NewProposal::Psk(Psk::External {
                psk_id: psk_id(usize::try_from(how >> 8).expect("a number") % PSKS),
            }),
            26..28 => NewProposal::Psk(Psk::Resumption {
                usage: ResumptionPskUsage::Application,
                psk_group_id: group.group_id().to_vec(),
                psk_epoch: group.epoch().saturating_sub(u64::from(how >> 8 & 3)),
            }),
            28..30 => NewProposal::GroupContextExtensions(self.extensions(action.which)),
            30 => NewProposal::Custom { proposal_type: PROPOSAL, data: how.to_be_bytes().to_vec() },
            _ if (how >> 8).is_multiple_of(6) && group.member_count() < 48 => {
                let suites = self.provider.suites;
                let suite = pick(suites, how >> 16).expect("a suite").id();
                let mut group_id = group.group_id().to_vec();
                if how >> 24 & 1 == 0 {
                    group_id = action.number.to_be_bytes().to_vec();
                }
                let extensions = self.extensions(0);
                let version = ProtocolVersion::MLS10;
                NewProposal::ReInit(ReInit { group_id, version, cipher_suite: suite, extensions })
            }
            _ => NewProposal::Update(LeafUpdate::default()),
        }))
    }

    /// Commits something, and hands it in or keeps it.
    pub(crate) fn commit_something(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let mut proposals = Vec::new();
        for number in 0..(action.how >> 4) % 4 {
            let how = action.how.rotate_left(7 * number) ^ number;
            let action = Action { which: action.which.rotate_left(5 * number), ..*action };
            match self.proposal(client, seat, how, &action)? {
                Some(NewProposal::Update(_)) | None => {}
                Some(proposal) => proposals.push(proposal),
            }
        }
        let Some(group) = &self.clients[client].seats[seat].group else { return Ok(false) };
        let waiting: Vec<_> = group.pending_proposals().map(|pending| pending.reference.clone()).collect();
        let first = waiting.first().cloned().into_iter();
        let plan = CommitPlan {
            proposals,
            cover: match action.how % 8 {
                0 => Cover::None,
                1 => Cover::Except(first.collect()),
                2 => Cover::Only(first.collect()),
                _ => Cover::All,
            },
            omit_path: action.how >> 12 & 1 == 0,
            // Two commits of the same content without a path lead to one epoch: here each is another one.
            authenticated_data: action.number.to_be_bytes().to_vec(),
            welcome_per_joiner: action.how >> 13 & 3 == 0,
            leaf: LeafUpdate::default(),
        };
        self.commit(client, seat, plan)?;
        if !(action.how >> 16).is_multiple_of(4) {
            self.send(client, seat)?;
            if !(action.how >> 20).is_multiple_of(3) {
                self.settle(client, seat, 0)?;
                self.send(client, seat)?;
            }
        }
        Ok(true)
    }

    /// Makes a commit.
    pub(crate) fn commit(&mut self, client: usize, seat: usize, plan: CommitPlan<'_>) -> Result<(), Failure> {
        let now = self.now;
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        let Some(group) = &own.group else { return Ok(()) };
        let mut asked = Vec::new();
        for proposal in plan.proposals.iter() {
            if let NewProposal::Psk(psk) = proposal {
                asked.push(psk.clone());
            }
        }
        for pending in group.pending_proposals() {
            if let hushwood::proposal::Proposal::Psk(psk) = pending.proposal {
                asked.push(psk.psk.psk.clone());
            }
        }
        let answers = Answers::from_store(core.disk.inner(), &asked);
        let answers = answers.map_err(|error| Failure::new(Check::Bug, format!("{error:?}")))?;
        let signer = own.signer(core);
        own.making = Making::Commit;
        let made = own.attempt(core, &mut self.seals, |group, core| {
            let Core { signers, dice, .. } = core;
            let newest = signers.last().map(|signer| -> &dyn Signer { signer });
            let plan = match signers.len() - 1 == signer {
                true => plan,
                // A key that was made for an Update comes into use.
                false => CommitPlan { leaf: LeafUpdate { signer: newest, ..plan.leaf }, ..plan },
            };
            group.commit(plan, &answers, &signers[signer], now, dice)
        })?;
        if Self::made(own, &made, |staged| staged.id)
            && let Attempt::Done(staged) = made
        {
            own.commits.insert(staged.id, Handed::No);
        }
        Ok(())
    }

    /// Sends what waits.
    pub(crate) fn send_all(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let waits = !self.clients[client].seats[seat].known.outbox.is_empty();
        self.send(client, seat)?;
        Ok(waits)
    }

    /// Hands everything in the outbox to the delivery service, proposals first.
    pub(crate) fn send(&mut self, client: usize, seat: usize) -> Result<(), Failure> {
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &seats[seat];
        let Some(group) = &own.group else { return Ok(()) };
        if own.known.outbox.is_empty() {
            return Ok(());
        }
        let all = group.unacknowledged(core.disk.inner());
        let all = all.map_err(|error| Failure::new(Check::Lost, format!("{error:?}")))?;
        let mut outbox: Vec<_> = all
            .into_iter()
            .filter_map(|message| match message {
                Unacknowledged::Outgoing(outgoing) => {
                    Some((own.outgoing.get(outgoing.id.as_bytes()).copied()?, outgoing))
                }
                Unacknowledged::Incoming(_) => None,
            })
            .collect();
        outbox.sort_by_key(|((making, ..), _)| *making);
        for (meta, outgoing) in outbox {
            self.hand_in(client, seat, meta, &outgoing)?;
            self.acknowledge(client, seat, outgoing.id)?;
        }
        Ok(())
    }

    /// Hands one message to the delivery service.
    fn hand_in(
        &mut self,
        client: usize,
        seat: usize,
        (making, lineage, epoch): (Making, crate::checks::Lineage, u64),
        outgoing: &Outgoing,
    ) -> Result<(), Failure> {
        let what = match making {
            Making::Nothing => return Ok(()),
            Making::Welcome => return self.invite(client, seat, outgoing),
            Making::Proposal => What::Proposal,
            Making::Said(number) => What::Said(number),
            Making::Commit => What::Commit(lineage.child(&outgoing.message)),
        };
        let entry = self.entry(client, seat, what, (lineage, epoch), &outgoing.message);
        let own = &mut self.clients[client].seats[seat];
        let room = &mut self.rooms[own.room];
        let What::Commit(next) = what else {
            room.log.push(entry);
            return Ok(());
        };
        let answer = room.submit(entry, next);
        if own.lineage != lineage {
            // Of an epoch that is over for its maker.
            return Ok(());
        }
        let handed = match answer {
            Answer::Taken => Handed::Taken,
            Answer::Refused => Handed::Refused,
            Answer::Forked(branch) => {
                own.branch = branch;
                Handed::Taken
            }
        };
        if handed == Handed::Taken {
            // If another one was taken before, that is for those who follow the other history.
            own.commits.values_mut().for_each(|other| *other = Handed::Refused);
        }
        if let Some(commit) = own.commits.get_mut(&outgoing.id) {
            *commit = handed;
        }
        if let Answer::Forked(branch) = answer {
            self.follow_fork(own_room(&self.clients[client], seat), lineage, branch);
        }
        Ok(())
    }

    /// Members that have not gone on yet may be shown the other history.
    fn follow_fork(&mut self, room: usize, lineage: crate::checks::Lineage, branch: usize) {
        for client in &mut self.clients {
            let number = client.core.number + branch;
            for seat in client.seats.iter_mut().filter(|seat| seat.room == room && seat.lineage == lineage) {
                // Whose own commit was taken knows what follows.
                let knows = seat.commits.values().any(|handed| *handed == Handed::Taken);
                if number.is_multiple_of(2) && !knows {
                    seat.branch = branch;
                }
            }
        }
    }

    /// A message as the log has it.
    pub(crate) fn entry(
        &self,
        client: usize,
        seat: usize,
        what: What,
        (lineage, epoch): (crate::checks::Lineage, u64),
        bytes: &[u8],
    ) -> Entry {
        let maker = &self.clients[client];
        Entry {
            bytes: bytes.into(),
            what,
            from: client,
            trusted: maker.is_trusted(),
            lineage,
            epoch,
            branch: maker.seats[seat].branch,
            judged: None,
            deceives: maker.seats[seat].deceits.contains(&lineage),
            origin: None,
        }
    }

    /// Applies or discards a commit.
    pub(crate) fn settle_something(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let any = !self.clients[client].seats[seat].commits.is_empty();
        self.settle(client, seat, action.how)?;
        Ok(any)
    }

    /// Applies the commit that was taken; discards one that was not, or perhaps one that was never handed in.
    pub(crate) fn settle(&mut self, client: usize, seat: usize, how: u32) -> Result<(), Failure> {
        let own = &self.clients[client].seats[seat];
        let taken = own.commits.iter().find(|(_, handed)| **handed == Handed::Taken).map(|(id, _)| *id);
        if let Some(id) = taken {
            return self.apply(client, seat, id);
        }
        let settled = own.commits.iter().find(|(_, handed)| **handed == Handed::Refused || how % 8 == 7);
        let Some((id, _)) = settled.map(|(id, handed)| (*id, *handed)) else { return Ok(()) };
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        if own.group.is_none() {
            return Ok(());
        }
        own.making = Making::Nothing;
        own.acknowledging = 1;
        let discarded = own.attempt(core, &mut self.seals, |group, _| group.discard(&id))?;
        if let Attempt::Done(()) | Attempt::Refused(_) | Attempt::Down { written: true } = discarded {
            own.commits.remove(&id);
        }
        if let Attempt::Done(()) = discarded {
            own.known.outbox.remove(id.as_bytes());
            own.outgoing.remove(id.as_bytes());
        }
        Ok(())
    }

    /// Applies a commit of a member's own, which was taken.
    pub(crate) fn apply(&mut self, client: usize, seat: usize, id: CommitId) -> Result<(), Failure> {
        let now = self.now;
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        if own.group.is_none() {
            return Ok(());
        }
        let Some(place) = self.rooms[own.room].next_commit(own.branch, own.lineage) else { return Ok(()) };
        let next = own.lineage.child(&self.rooms[own.room].log[place].bytes);
        own.underway = Some(next);
        own.making = Making::Welcome;
        let applied = own.attempt(core, &mut self.seals, |group, _| group.apply(&id, now))?;
        let change: EpochChange = match applied {
            Attempt::Done(change) => change,
            Attempt::Down { .. } => return Ok(()),
            Attempt::Refused(_) | Attempt::Undone => {
                own.underway = None;
                return Ok(());
            }
        };
        own.underway = None;
        own.enter(change.epoch, next, now.0);
        let group = own.group.as_ref().expect("it was just used");
        let tree = match group.policy().ratchet_tree_extension || change.welcomes.is_empty() {
            true => None,
            false => {
                Some(group.ratchet_tree().map_err(|error| Failure::new(Check::Bug, format!("{error:?}")))?)
            }
        };
        let tree: Option<std::rc::Rc<[u8]>> = tree.map(Into::into);
        for welcome in &change.welcomes {
            let id = *welcome.id.as_bytes();
            own.known.outbox.insert(id);
            own.outgoing.insert(id, (Making::Welcome, next, change.epoch));
            own.invitations.insert(id, (next, tree.clone()));
        }
        own.making = Making::Nothing;
        let trusted = self.clients[client].is_trusted();
        if trusted {
            let room = own_room(&self.clients[client], seat);
            self.rooms[room].log[place].judged.get_or_insert(true);
        }
        self.noticed(client, seat);
        Ok(())
    }
}

fn own_room(client: &Client, seat: usize) -> usize {
    client.seats[seat].room
}
