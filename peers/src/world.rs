//! The members of one conversation, the wire between them, and the check after each epoch.
//!
//! The world knows what *should* happen (who is in, which proposals a commit covers, which extensions the context has)
//! and compares every member with that and with every other member. So a commit that all members agree on but that
//! silently left something out is a divergence too.

use std::fmt;

use crate::peer::{
    CipherSuite, CommitOptions, Extension, ExternalJoin, Limits, Member, Outcome, Peer, PeerError, Proposal,
    ProposalType, Settings, View, WireFormat,
};

/// One conversation.
pub struct World {
    suite: CipherSuite,
    handshake: WireFormat,
    greased_extensions: bool,
    group_id: Vec<u8>,
    seats: Vec<Seat>,
    /// Proposals sent by reference in this epoch.
    pending: Vec<Pending>,
    extensions: Vec<Extension>,
    steps: Vec<String>,
}

struct Seat {
    identity: String,
    peer: &'static str,
    limits: Limits,
    member: Box<dyn Member>,
    inside: bool,
}

struct Pending {
    change: Change,
    by: SeatId,
}

/// A member's place in the world; it keeps it when it leaves the group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SeatId(usize);

/// A proposal in the world's terms.
#[derive(Clone, Debug)]
pub enum Change {
    /// Add this member, who makes a KeyPackage.
    Add(SeatId),
    /// The proposer's own leaf.
    Update,
    /// Remove this member.
    Remove(SeatId),
    /// A PSK that was [shared](World::share_psk).
    ExternalPsk(&'static str),
    /// The resumption PSK of a past epoch.
    ResumptionPsk(u64),
    /// Replace the GroupContext's extensions.
    Extensions(Vec<Extension>),
    /// Close the group in favour of one with this suite.
    ReInit(CipherSuite),
}

/// An application message on the wire.
#[derive(Clone, Debug)]
pub struct Said {
    bytes: Vec<u8>,
    plaintext: Vec<u8>,
    aad: Vec<u8>,
    by: SeatId,
}

impl Said {
    /// Who said it.
    pub fn by(&self) -> SeatId {
        self.by
    }
}

/// Why a conversation ended before its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Halt {
    /// Members disagree, or one refused or failed.
    Diverged(String),
    /// A peer lacks an operation or has a documented defect: the reason.
    NotAvailable(String),
}

impl World {
    /// An empty world whose groups use `suite` and frame their handshakes as `handshake`.
    /// Any of `peers` may be seated.
    pub fn new(suite: CipherSuite, handshake: WireFormat, peers: &[&dyn Peer]) -> Self {
        Self {
            suite,
            handshake,
            greased_extensions: !peers.iter().any(|peer| peer.refuses_greased_extensions()),
            group_id: b"cross-play".to_vec(),
            seats: Vec::new(),
            pending: Vec::new(),
            extensions: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Seats a client of `peer` under a name that is unique in this world. It is in no group yet.
    pub fn seat(&mut self, name: &str, peer: &dyn Peer) -> Result<SeatId, Halt> {
        let settings = Settings {
            identity: name.as_bytes().to_vec(),
            suite: self.suite,
            handshake: self.handshake,
            greased_extensions: self.greased_extensions,
        };
        let id = SeatId(self.seats.len());
        let member = peer
            .client(settings)
            .map_err(|e| halt(peer.name(), &format!("{name} ({})", peer.name()), "start", e))?;
        let (peer, limits) = (peer.name(), peer.limits());
        self.seats.push(Seat { identity: name.to_owned(), peer, limits, member, inside: false });
        Ok(id)
    }

    /// Gives everyone in this world, inside or outside the group, the same external PSK.
    pub fn share_psk(&mut self, id: &'static str) -> Result<(), Halt> {
        let secret = format!("the secret behind the PSK {id}, longer than a hash");
        for who in self.everyone() {
            self.ask(who, "store PSK", |member| member.add_psk(id.as_bytes(), secret.as_bytes()))?;
        }
        Ok(())
    }

    /// `who` creates the group.
    pub fn create(&mut self, who: SeatId) -> Result<(), Halt> {
        self.step(format!("{} creates the group", self.name(who)));
        let group_id = self.group_id.clone();
        self.ask(who, "create group", |member| member.create_group(&group_id))?;
        self.seat_mut(who)?.inside = true;
        self.agree()
    }

    /// `who` sends a proposal and everyone inside receives it.
    pub fn propose(&mut self, who: SeatId, change: Change) -> Result<(), Halt> {
        self.step(format!("{} proposes {}", self.name(who), self.describe(&change)));
        let proposal = self.proposal(who, &change)?;
        let message = self.ask(who, "propose", |member| member.propose(&proposal))?;
        let expected = Outcome::Proposal(proposal.proposal_type());
        for other in self.others(who) {
            let outcome = self.ask(other, "process proposal", |member| member.process(&message))?;
            self.expect(other, "the proposal", &outcome, &expected)?;
        }
        self.pending.push(Pending { change, by: who });
        Ok(())
    }

    /// `who` commits `changes` by value and everything proposed in this epoch by reference; everyone advances, those
    /// added join, and all views are compared.
    pub fn commit(&mut self, who: SeatId, changes: &[Change], options: CommitOptions) -> Result<(), Halt> {
        let described: Vec<_> = changes.iter().map(|change| self.describe(change)).collect();
        self.step(format!(
            "{} commits by value [{}], by reference {}, {options:?}",
            self.name(who),
            described.join(", "),
            self.pending.len()
        ));
        let proposals =
            changes.iter().map(|change| self.proposal(who, change)).collect::<Result<Vec<_>, _>>()?;
        let committed = self.ask(who, "commit", |member| member.commit(&proposals, options))?;
        if options.tree_in_welcome != committed.tree.is_none() {
            return Err(self.diverged(who, "commit", "the tree is not where it was asked to be"));
        }

        let pending = std::mem::take(&mut self.pending);
        let all: Vec<_> = pending.iter().map(|p| &p.change).chain(changes).cloned().collect();
        let mut expected: Vec<_> = all.iter().map(Change::proposal_type).collect();
        expected.sort_unstable();
        let removed: Vec<_> = all.iter().filter_map(Change::removes).collect();
        for other in self.others(who) {
            let outcome = self.ask(other, "process commit", |member| member.process(&committed.commit))?;
            let expected = Outcome::Commit { proposals: expected.clone(), removed: removed.contains(&other) };
            self.expect(other, "the commit", &outcome, &expected)?;
        }
        let applied = self.ask(who, "apply", |member| member.apply_pending())?;
        self.expect(who, "the own commit", &applied, &expected)?;
        for gone in removed {
            self.seat_mut(gone)?.inside = false;
        }
        for change in &all {
            if let Change::Extensions(extensions) = change {
                self.extensions.clone_from(extensions);
            }
        }
        for joiner in all.iter().filter_map(Change::adds) {
            self.join(joiner, &committed.welcomes, committed.tree.as_deref())?;
        }
        self.agree()
    }

    /// `who` makes a commit that is thrown away, as when another's commit won.
    pub fn discard_commit(&mut self, who: SeatId) -> Result<(), Halt> {
        self.step(format!("{} makes a commit and discards it", self.name(who)));
        self.ask(who, "commit", |member| member.commit(&[], CommitOptions::default()))?;
        self.ask(who, "discard", |member| member.discard_pending())
    }

    /// `who` joins by external commit with a GroupInfo from `via`. Where `who` is already inside, the commit removes
    /// its earlier self ("resync").
    pub fn external_join(
        &mut self,
        who: SeatId,
        via: SeatId,
        tree_in_group_info: bool,
        psks: &[&'static str],
    ) -> Result<(), Halt> {
        self.step(format!(
            "{} joins by external commit via {}, tree {}, PSKs {psks:?}",
            self.name(who),
            self.name(via),
            if tree_in_group_info { "inside" } else { "outside" },
        ));
        let view = self.ask(via, "view", |member| member.view())?;
        let identity = self.seat_mut(who)?.identity.clone();
        let resync = view.members.iter().find(|m| m.identity == identity.as_bytes()).map(|m| m.leaf_index);
        let group_info = self.ask(via, "group info", |member| member.group_info(tree_in_group_info))?;
        let psks: Vec<_> = psks.iter().map(|id| id.as_bytes().to_vec()).collect();
        let join = ExternalJoin {
            group_info: &group_info,
            tree: (!tree_in_group_info).then_some(view.tree.as_slice()),
            resync,
            psks: &psks,
        };
        let commit = self.ask(who, "external commit", |member| member.external_commit(join))?;

        let mut expected = vec![ProposalType::EXTERNAL_INIT];
        expected.extend(resync.map(|_| ProposalType::REMOVE));
        expected.extend(psks.iter().map(|_| ProposalType::PSK));
        expected.sort_unstable();
        let expected = Outcome::Commit { proposals: expected, removed: false };
        for other in self.others(who) {
            let outcome = self.ask(other, "process external commit", |member| member.process(&commit))?;
            self.expect(other, "the external commit", &outcome, &expected)?;
        }
        self.pending.clear();
        self.seat_mut(who)?.inside = true;
        self.agree()
    }

    /// After a committed ReInit: `who` makes the successor group and all others join it (RFC 9420 §11.2).
    pub fn reinit(&mut self, who: SeatId, suite: CipherSuite, tree_in_welcome: bool) -> Result<(), Halt> {
        self.step(format!("{} makes the successor group, suite {}", self.name(who), suite.0));
        let others = self.others(who);
        let mut key_packages = Vec::new();
        for other in &others {
            key_packages.push(self.ask(*other, "reinit key package", |member| member.reinit_key_package())?);
        }
        let created =
            self.ask(who, "reinit", |member| member.reinit_create(&key_packages, tree_in_welcome))?;
        for other in others {
            self.first_that_opens(other, "reinit join", &created.welcomes, |member, welcome| {
                member.reinit_join(welcome, created.tree.as_deref())
            })?;
        }
        self.suite = suite;
        self.extensions.clear();
        self.agree()
    }

    /// `who` branches off a subgroup with `others`; everyone else stays behind (RFC 9420 §11.3).
    pub fn branch(&mut self, who: SeatId, others: &[SeatId], tree_in_welcome: bool) -> Result<(), Halt> {
        self.step(format!("{} branches off a subgroup", self.name(who)));
        let mut key_packages = Vec::new();
        for other in others {
            key_packages.push(self.ask(*other, "key package", |member| member.key_package())?);
        }
        self.group_id.extend_from_slice(b"/branch");
        let group_id = self.group_id.clone();
        let created = self
            .ask(who, "branch", |member| member.branch_create(&group_id, &key_packages, tree_in_welcome))?;
        for other in others {
            self.first_that_opens(*other, "branch join", &created.welcomes, |member, welcome| {
                member.branch_join(welcome, created.tree.as_deref())
            })?;
        }
        for outsider in self.others(who) {
            self.seat_mut(outsider)?.inside = others.contains(&outsider);
        }
        self.agree()
    }

    /// `who` says something; nobody has heard it yet.
    pub fn say(&mut self, who: SeatId, what: &str) -> Result<Said, Halt> {
        let plaintext = format!("{}: {what}", self.name(who)).into_bytes();
        let aad = format!("aad of {what}").into_bytes();
        let bytes = self.ask(who, "send", |member| member.send(&plaintext, &aad))?;
        Ok(Said { bytes, plaintext, aad, by: who })
    }

    /// `who` receives what was said.
    pub fn hear(&mut self, who: SeatId, said: &Said) -> Result<(), Halt> {
        let sender = self.seat_mut(said.by)?.identity.clone().into_bytes();
        let outcome = self.ask(who, "process message", |member| member.process(&said.bytes))?;
        let expected =
            Outcome::Application { plaintext: said.plaintext.clone(), aad: said.aad.clone(), sender };
        self.expect(who, "the message", &outcome, &expected)
    }

    /// Everyone inside says something and everyone else hears it.
    pub fn everyone_talks(&mut self) -> Result<(), Halt> {
        for speaker in self.inside() {
            let said = self.say(speaker, "hello")?;
            for listener in self.others(speaker) {
                self.hear(listener, &said)?;
            }
        }
        Ok(())
    }

    /// The current epoch.
    pub fn epoch(&mut self) -> Result<u64, Halt> {
        let Some(first) = self.inside().first().copied() else {
            return Err(Halt::Diverged("nobody is inside".into()));
        };
        Ok(self.ask(first, "view", |member| member.view())?.epoch)
    }

    /// Those in the group.
    pub fn inside(&self) -> Vec<SeatId> {
        self.everyone().into_iter().filter(|id| self.is_inside(*id)).collect()
    }

    /// Those in the group except one.
    pub fn others(&self, except: SeatId) -> Vec<SeatId> {
        self.inside().into_iter().filter(|id| *id != except).collect()
    }

    /// Whether a member is in the group.
    pub fn is_inside(&self, who: SeatId) -> bool {
        self.seats.get(who.0).is_some_and(|seat| seat.inside)
    }

    /// What this member can do.
    pub fn limits(&self, who: SeatId) -> Limits {
        self.seats.get(who.0).map(|seat| seat.limits).unwrap_or_default()
    }

    /// Who proposed what by reference in this epoch.
    pub fn pending(&self) -> impl Iterator<Item = (SeatId, &Change)> {
        self.pending.iter().map(|pending| (pending.by, &pending.change))
    }

    /// The group's suite.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// What happened so far, for a report.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Compares what every member inside believes.
    fn agree(&mut self) -> Result<(), Halt> {
        let mut first: Option<(SeatId, View)> = None;
        let inside = self.inside();
        let mut identities = Vec::new();
        for who in &inside {
            identities.push(self.seat_mut(*who)?.identity.clone().into_bytes());
        }
        identities.sort();
        for who in inside {
            let view = self.ask(who, "view", |member| member.view())?;
            let mut seen: Vec<_> = view.members.iter().map(|m| m.identity.clone()).collect();
            seen.sort();
            self.expect(who, "the members", &seen, &identities)?;
            let extensions = self.extensions.clone();
            self.expect(who, "the GroupContext's extensions", &view.extensions, &extensions)?;
            match &first {
                None => first = Some((who, view)),
                Some((reference, expected)) => {
                    if let Some(difference) = difference(expected, &view) {
                        let reference = self.name(*reference);
                        return Err(self.diverged(who, &format!("disagrees with {reference}"), &difference));
                    }
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, joiner: SeatId, welcomes: &[Vec<u8>], tree: Option<&[u8]>) -> Result<(), Halt> {
        self.first_that_opens(joiner, "join", welcomes, |member, welcome| member.join(welcome, tree))?;
        self.seat_mut(joiner)?.inside = true;
        Ok(())
    }

    /// A joiner that got several Welcomes takes the first that it can open: the one made for it.
    fn first_that_opens(
        &mut self,
        joiner: SeatId,
        what: &str,
        welcomes: &[Vec<u8>],
        open: impl Fn(&mut dyn Member, &[u8]) -> Result<(), PeerError>,
    ) -> Result<(), Halt> {
        let mut last = PeerError::Failed("there is no Welcome".into());
        for welcome in welcomes {
            match open(self.seat_mut(joiner)?.member.as_mut(), welcome) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        let peer = self.seat_mut(joiner)?.peer;
        Err(halt(peer, &self.name(joiner), what, last))
    }

    fn proposal(&mut self, by: SeatId, change: &Change) -> Result<Proposal, Halt> {
        Ok(match change {
            Change::Add(who) => Proposal::Add(self.ask(*who, "key package", |member| member.key_package())?),
            Change::Update => Proposal::Update,
            Change::Remove(who) => {
                let identity = self.seat_mut(*who)?.identity.clone().into_bytes();
                let view = self.ask(by, "view", |member| member.view())?;
                let Some(entry) = view.members.iter().find(|m| m.identity == identity) else {
                    return Err(self.diverged(by, "remove", "does not see the member to remove"));
                };
                Proposal::Remove(entry.leaf_index)
            }
            Change::ExternalPsk(id) => Proposal::ExternalPsk(id.as_bytes().to_vec()),
            Change::ResumptionPsk(epoch) => Proposal::ResumptionPsk(*epoch),
            Change::Extensions(extensions) => Proposal::GroupContextExtensions(extensions.clone()),
            Change::ReInit(suite) => {
                Proposal::ReInit { group_id: b"cross-play/successor".to_vec(), suite: *suite }
            }
        })
    }

    fn describe(&self, change: &Change) -> String {
        match change {
            Change::Add(who) => format!("Add {}", self.name(*who)),
            Change::Remove(who) => format!("Remove {}", self.name(*who)),
            other => format!("{other:?}"),
        }
    }

    fn everyone(&self) -> Vec<SeatId> {
        (0..self.seats.len()).map(SeatId).collect()
    }

    fn name(&self, who: SeatId) -> String {
        self.seats
            .get(who.0)
            .map_or_else(|| "nobody".into(), |seat| format!("{} ({})", seat.identity, seat.peer))
    }

    fn seat_mut(&mut self, who: SeatId) -> Result<&mut Seat, Halt> {
        self.seats
            .get_mut(who.0)
            .ok_or_else(|| Halt::Diverged("the scenario names a member it did not seat".into()))
    }

    fn ask<T>(
        &mut self,
        who: SeatId,
        what: &str,
        f: impl FnOnce(&mut dyn Member) -> Result<T, PeerError>,
    ) -> Result<T, Halt> {
        let seat = self.seat_mut(who)?;
        f(seat.member.as_mut()).map_err(|error| {
            let epoch = seat.member.view().map(|view| format!(", epoch {}", view.epoch)).unwrap_or_default();
            halt(seat.peer, &format!("{} ({}{epoch})", seat.identity, seat.peer), what, error)
        })
    }

    fn expect<T: fmt::Debug + PartialEq>(
        &mut self,
        who: SeatId,
        what: &str,
        seen: &T,
        expected: &T,
    ) -> Result<(), Halt> {
        if seen == expected {
            return Ok(());
        }
        Err(self.diverged(
            who,
            &format!("sees {what} otherwise"),
            &format!("{seen:?}, expected {expected:?}"),
        ))
    }

    fn diverged(&mut self, who: SeatId, what: &str, detail: &str) -> Halt {
        let epoch = self.ask(who, "view", |member| member.view()).map(|view| view.epoch);
        let epoch = epoch.map(|epoch| format!(" in epoch {epoch}")).unwrap_or_default();
        Halt::Diverged(format!("{}{epoch} {what}: {detail}", self.name(who)))
    }

    fn step(&mut self, step: String) {
        self.steps.push(step);
    }
}

impl Change {
    fn proposal_type(&self) -> ProposalType {
        match self {
            Self::Add(_) => ProposalType::ADD,
            Self::Update => ProposalType::UPDATE,
            Self::Remove(_) => ProposalType::REMOVE,
            Self::ExternalPsk(_) | Self::ResumptionPsk(_) => ProposalType::PSK,
            Self::Extensions(_) => ProposalType::GROUP_CONTEXT_EXTENSIONS,
            Self::ReInit(_) => ProposalType::REINIT,
        }
    }

    fn adds(&self) -> Option<SeatId> {
        if let Self::Add(who) = self { Some(*who) } else { None }
    }

    fn removes(&self) -> Option<SeatId> {
        if let Self::Remove(who) = self { Some(*who) } else { None }
    }
}

/// `who` is for a divergence, `peer` for a reason that is the same whoever met it.
fn halt(peer: &str, who: &str, what: &str, error: PeerError) -> Halt {
    match error {
        PeerError::Defect(reason) => Halt::NotAvailable(format!("{peer}: peer defect: {reason}")),
        PeerError::Failed(detail) => Halt::Diverged(format!("{who} fails to {what}: {detail}")),
        PeerError::Unsupported(reason) => Halt::NotAvailable(format!("{peer}: {reason}")),
    }
}

fn difference(a: &View, b: &View) -> Option<String> {
    let View { epoch, epoch_authenticator, exported, members, tree, extensions } = a;
    if *epoch != b.epoch {
        return Some(format!("epoch {} against {epoch}", b.epoch));
    }
    if *members != b.members {
        return Some(format!("members {:?} against {members:?}", b.members));
    }
    if *extensions != b.extensions {
        return Some(format!("extensions {:?} against {extensions:?}", b.extensions));
    }
    for (what, a, b) in [
        ("ratchet tree", tree, &b.tree),
        ("epoch authenticator", epoch_authenticator, &b.epoch_authenticator),
        ("exported secret", exported, &b.exported),
    ] {
        if a != b {
            return Some(format!("{what} {} against {}", hex(b), hex(a)));
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
