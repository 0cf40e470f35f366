//! Members who mean harm, by what the library's own operations let them do, and a door for those who can do more.

use hushwood::commit::Answers;
use hushwood::framing::{Content, FramedContent, MlsMessage, PublicMessage, Sender, Signed, WireFormat};
use hushwood::group::{CommitPlan, Group, NewProposal};
use hushwood::key_package::{KeyPackageBuilder, validate};
use hushwood::policy::Policy;
use hushwood::proposal::{Add, Proposal};
use hushwood::tree::{LeafContent, LeafIndex};
use hushwood_codec::Encode;
use hushwood_crypto::SoftwareSigner;
use test_support::recording;

use crate::action::Action;
use crate::checks::{Failure, Lineage};
use crate::client::{Character, Client, Core, Dice, Handed, Liar, Making};
use crate::delivery::{Answer, Entry, What};
use crate::grow::unwanted;
use crate::join::long_ago;
use crate::world::{World, pick, supported};

/// Something that was made to do harm.
#[derive(Clone, Debug)]
pub struct Forged {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether it is to be taken for the commit that ends its epoch.
    pub is_commit: bool,
}

/// What a hostile member has at hand.
pub struct Hand<'w> {
    /// Its group.
    pub group: &'w Group,
    /// Its keys.
    pub signer: &'w SoftwareSigner,
    /// Its disk, where the secrets of the epoch are.
    pub disk: &'w hushwood_store::MemoryStore,
    /// Its randomness.
    pub dice: &'w mut Dice,
    /// What it has seen: everything in the log of its group.
    pub log: &'w [Entry],
}

/// Makes what the library would not. It is asked whenever a hostile member acts, if a world has one.
pub trait Forger {
    /// Something to send, or nothing this time. The world expects that every honest member refuses it, or that all
    /// of them take it for what it is.
    fn forge(&mut self, hand: Hand<'_>, how: u32) -> Option<Forged>;
}

impl World {
    /// A hostile member does something.
    pub(crate) fn harm(&mut self, action: &Action) -> Result<bool, Failure> {
        let hostile = |client: &&usize| self.clients[**client].character == Character::Hostile;
        let hostile: Vec<_> = self.seated.iter().filter(hostile).copied().collect();
        let Some(client) = pick(&hostile, action.who).copied() else { return Ok(false) };
        let seats = &self.clients[client].seats;
        let Some(seat) = seats.iter().position(|seat| seat.is_live()) else { return Ok(false) };
        self.ready(client, seat, action.number)?;
        if self.clients[client].seats[seat].group.is_none() || self.forge(client, seat, action)? {
            return Ok(true);
        }
        match action.how % 8 {
            0 | 1 => self.lie(client, seat, action),
            2 | 3 => self.deceive(client, seat, action),
            4 => self.add_somebody(client, seat, action, true),
            5 => self.add_somebody(client, seat, action, false),
            6 => self.propose_for_others(client, seat, action),
            _ => self.garble(client, seat, action),
        }
    }

    /// What the forger makes.
    fn forge(&mut self, client: usize, seat: usize, action: &Action) -> Result<bool, Failure> {
        let Some(forger) = &mut self.forger else { return Ok(false) };
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &seats[seat];
        let signer = own.signer(core);
        let Some(group) = &own.group else { return Ok(false) };
        let Core { signers, dice, disk, .. } = core;
        let hand = Hand {
            group,
            signer: &signers[signer],
            disk: disk.inner(),
            dice,
            log: &self.rooms[own.room].log,
        };
        let (lineage, epoch) = (own.lineage, group.epoch());
        let forged = forger.forge(hand, action.how);
        recording::take();
        let Some(Forged { bytes, is_commit }) = forged else { return Ok(false) };
        self.hand_in_harm(client, seat, is_commit, (lineage, epoch), &bytes);
        Ok(true)
    }

    /// A message whose signature is of something else.
    fn lie(&mut self, client: usize, seat: usize, action: &Action) -> Result<bool, Failure> {
        let now = self.now;
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        // If it ends in the middle of this, what is in its outbox then is not sent.
        own.making = Making::Nothing;
        let (lineage, signer) = (own.lineage, own.signer(core));
        let epoch = own.group.as_ref().map_or(0, Group::epoch);
        let is_commit = action.how >> 8 & 1 == 0;
        let outgoing = match is_commit {
            false => {
                let made = own.attempt(core, &mut self.seals, |group, core| {
                    let Core { signers, dice, .. } = core;
                    let removed = LeafIndex::new(action.which % group.member_count().max(1));
                    group.propose(NewProposal::Remove(removed), b"", &Liar(&signers[signer]), now, dice)
                });
                made?.done()
            }
            true => {
                let made = own.attempt(core, &mut self.seals, |group, core| {
                    let Core { signers, dice, .. } = core;
                    group.commit(CommitPlan::default(), &Answers::none(), &Liar(&signers[signer]), now, dice)
                })?;
                made.done().map(|staged| {
                    own.commits.insert(staged.id, Handed::No);
                    staged.outgoing
                })
            }
        };
        let Some(outgoing) = outgoing else { return Ok(true) };
        self.clients[client].seats[seat].known.outbox.insert(*outgoing.id.as_bytes());
        self.acknowledge(client, seat, outgoing.id)?;
        self.hand_in_harm(client, seat, is_commit, (lineage, epoch), &outgoing.message);
        Ok(true)
    }

    /// A commit that all can follow but one.
    fn deceive(&mut self, client: usize, seat: usize, action: &Action) -> Result<bool, Failure> {
        let before = self.clients[client].seats[seat].known.outbox.clone();
        recording::deceive(Some(action.how >> 8 & 3));
        let made = self.commit(client, seat, CommitPlan::default());
        let deceives = recording::deceive(None);
        made?;
        let own = &mut self.clients[client].seats[seat];
        if deceives {
            // Also where a write of unknown outcome has made it.
            own.deceits.push(own.lineage);
        }
        if own.known.outbox == before {
            return Ok(true);
        }
        self.send(client, seat)?;
        self.settle(client, seat, 0)?;
        self.send(client, seat)?;
        Ok(true)
    }

    /// An Add that honest members must not take: of somebody unwanted, or by a KeyPackage that has expired.
    fn add_somebody(
        &mut self,
        client: usize,
        seat: usize,
        action: &Action,
        expired: bool,
    ) -> Result<bool, Failure> {
        let suite = self.provider.suites[0];
        let room = self.clients[client].seats[seat].room;
        if self.suite(room).id() != suite.id() {
            return Ok(false);
        }
        let mut dice = Dice::new(self.config.seed ^ 5, action.number);
        let signer = SoftwareSigner::generate(suite, &mut dice).expect("the dice do not fail");
        let then = if expired { long_ago(self.now) } else { self.now };
        let content = LeafContent {
            credential: unwanted(usize::try_from(action.number).expect("a number")),
            supported: supported(&self.provider),
            extensions: hushwood::extension::Extensions::new(),
        };
        let lax = Policy { check_lifetime_on_add: false, ..Policy::default() };
        let made = KeyPackageBuilder::new(suite, content).build(&signer, &lax, then, &mut dice);
        recording::take();
        let Ok(made) = made else { return Ok(false) };
        let key_package = hushwood::unverified::Unverified::new(made.key_package);
        let Ok(valid) = validate(key_package, suite, &lax, self.now) else { return Ok(false) };
        let add = NewProposal::Add(Box::new(valid));
        match action.how >> 8 & 1 {
            0 => {
                self.commit(client, seat, CommitPlan { proposals: vec![add], ..CommitPlan::default() })?;
                self.send(client, seat)?;
            }
            _ => {
                if self.propose(client, seat, |_| add)? {
                    self.send(client, seat)?;
                }
            }
        }
        Ok(true)
    }

    /// Proposals in the name of somebody who has not made them.
    fn propose_for_others(&mut self, client: usize, seat: usize, action: &Action) -> Result<bool, Failure> {
        let room = self.clients[client].seats[seat].room;
        let Some(invited) = self.candidate(room, action)? else { return Ok(false) };
        let Some(valid) = self.invitable(invited, room)? else { return Ok(false) };
        let own = &self.clients[client].seats[seat];
        let Some(group) = &own.group else { return Ok(false) };
        let (lineage, epoch) = (own.lineage, group.epoch());
        let sender = if action.how >> 8 & 1 == 0 {
            Sender::NewMemberProposal
        } else {
            Sender::External(action.how >> 9 & 1)
        };
        let content = FramedContent {
            group_id: group.group_id().to_vec(),
            epoch,
            sender,
            authenticated_data: Vec::new(),
            content: Content::Proposal(Proposal::Add(Box::new(Add {
                key_package: valid.key_package().clone(),
            }))),
        };
        let signer = &self.clients[client].core.signers[0];
        let signed = Signed::sign(signer, WireFormat::PUBLIC_MESSAGE, content, &[]);
        let message = signed.and_then(|signed| PublicMessage::from_outside(signed.complete(None)?));
        let Ok(message) = message else { return Ok(false) };
        let Ok(bytes) = MlsMessage::PublicMessage(Box::new(message)).to_bytes() else { return Ok(false) };
        self.hand_in_harm(client, seat, false, (lineage, epoch), &bytes);
        Ok(true)
    }

    /// Bytes of others, cut or put together in another way.
    fn garble(&mut self, client: usize, seat: usize, action: &Action) -> Result<bool, Failure> {
        let own = &self.clients[client].seats[seat];
        let (lineage, epoch) = (own.lineage, own.group.as_ref().map_or(0, Group::epoch));
        let log = &self.rooms[own.room].log;
        let (Some(one), Some(other)) = (pick(log, action.how >> 8), pick(log, action.which)) else {
            return Ok(false);
        };
        let shorter = one.bytes.len().min(other.bytes.len());
        let cut = 1 + usize::try_from(action.how >> 12).expect("a number") % (shorter - 1).max(1);
        let bytes = match action.how >> 8 & 3 {
            0 => one.bytes[..cut].to_vec(),
            1 => [&one.bytes[..], &[0]].concat(),
            _ => [&one.bytes[..cut], &other.bytes[cut..]].concat(),
        };
        // Two messages with one beginning may give one of them again.
        if !log.iter().any(|entry| *entry.bytes == *bytes) {
            self.hand_in_harm(client, seat, false, (lineage, epoch), &bytes);
        }
        Ok(true)
    }

    fn hand_in_harm(
        &mut self,
        client: usize,
        seat: usize,
        is_commit: bool,
        (lineage, epoch): (Lineage, u64),
        bytes: &[u8],
    ) {
        let next = lineage.child(bytes);
        let what = if is_commit { What::Commit(next) } else { What::Harm };
        let mut entry = self.entry(client, seat, what, (lineage, epoch), bytes);
        entry.trusted = false;
        let room = &mut self.rooms[self.clients[client].seats[seat].room];
        match is_commit {
            true => {
                let _answer: Answer = room.submit(entry, next);
            }
            false => room.log.push(entry),
        }
    }
}
