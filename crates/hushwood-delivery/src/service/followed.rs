//! A group as the service follows it: a snapshot and the handshakes since.

use hushwood::credential::{CredentialCheck, Verdict, Verdicts};
use hushwood::policy::Timestamp;
use hushwood::public_group::{Observed, ObservedCommit, PublicGroup};
use hushwood::tree::LeafIndex;
use hushwood_aws_lc::OsRandom;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::{CryptoProvider, SignaturePublicKey, verify_with_label};

use crate::backend::{Backend, BackendError, Entry, Kinds, PageLimit, Seconds, Snapshot};
use crate::service::seal::{What, open, seal};
use crate::wire::{GroupKey, MemberProof, Refusal};

wire_struct! {
    /// Who stood at a leaf, and until which commit.
    #[derive(Clone, Debug, Eq, PartialEq)]
    struct Departed {
        leaf_index: u32,
        key: Vec<u8>,
        until: u64,
    }
}

wire_struct! {
    /// A snapshot as it is sealed.
    struct SnapshotRecord {
        public: Vec<u8>,
        departed: Vec<Departed>,
    }
}

/// A group's public state, as of a number in its log.
pub(super) struct Followed {
    public: PublicGroup,
    /// The number of the last handshake that is in it.
    sequence: u64,
    /// The number of the commit that began its epoch.
    commit: u64,
    /// The epoch of the snapshot that it goes on from.
    snapshot: u64,
    /// Members that have gone or have another key: they may still read what was there for them.
    departed: Vec<Departed>,
    key: GroupKey,
}

/// How many of those who have gone are remembered.
const MOST_DEPARTED: usize = 4096;

/// How far somebody may read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// A member: all.
    Member,
    /// Somebody who was one: up to this number.
    Until(u64),
}

impl Followed {
    pub(super) fn new(public: PublicGroup, key: GroupKey) -> Self {
        let snapshot = public.epoch();
        Self { public, sequence: 0, commit: 0, snapshot, departed: Vec::new(), key }
    }

    /// The group in an epoch, or in the current one.
    pub(super) async fn load(
        backend: &dyn Backend,
        (group, key): (&[u8], &GroupKey),
        epoch: Option<u64>,
        provider: &CryptoProvider,
    ) -> Result<Self, Refusal> {
        let wanted = epoch.unwrap_or(u64::MAX);
        let snapshot = backend.snapshot(group, wanted).await?;
        let snapshot = snapshot.ok_or(Refusal::NotFound("a group of this id, or its state of that epoch"))?;
        let record = open(key, (group, What::Snapshot, snapshot.epoch), &snapshot.body)?;
        let record = SnapshotRecord::from_bytes(&record).map_err(|_| corrupt("a snapshot"))?;
        let public = PublicGroup::from_bytes(&record.public, provider).map_err(|_| corrupt("a snapshot"))?;
        let mut followed = Self {
            public,
            sequence: snapshot.sequence,
            commit: snapshot.sequence,
            snapshot: snapshot.epoch,
            departed: record.departed,
            key: *key,
        };
        followed.catch_up(backend, epoch).await?;
        match epoch {
            Some(epoch) if followed.public.epoch() != epoch => Err(Refusal::NotFound("that epoch")),
            Some(_) | None => Ok(followed),
        }
    }

    /// Takes what the log has since, up to an epoch if one is named.
    pub(super) async fn catch_up(
        &mut self,
        backend: &dyn Backend,
        until: Option<u64>,
    ) -> Result<(), Refusal> {
        const PAGE: PageLimit = PageLimit { entries: 256, bytes: 16 << 20 };
        while until.is_none_or(|epoch| self.public.epoch() < epoch) {
            let group = self.public.group_id().to_vec();
            let page = backend.read(&group, Kinds::Handshakes, self.sequence, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                if until.is_some_and(|epoch| self.public.epoch() >= epoch) {
                    break;
                }
                self.take(&entry)?;
            }
        }
        Ok(())
    }

    /// An entry of the log, which was checked when it was accepted, perhaps by another node.
    fn take(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let what = (self.public.group_id(), What::Handshake, entry.epoch);
        let message = open(&self.key, what, &entry.body)?;
        let observed = self.observe(&message, entry.at).map_err(|_| corrupt("a handshake in the log"))?;
        self.accept(observed, entry.sequence).map_err(|_| corrupt("a handshake in the log"))
    }

    /// What a handshake would do.
    pub(super) fn observe(&self, message: &[u8], now: Seconds) -> Result<Observed, hushwood::error::Error> {
        self.public.receive(message, Timestamp(now.0), &mut OsRandom)
    }

    /// Does it: it has this number in the log.
    pub(super) fn accept(&mut self, observed: Observed, sequence: u64) -> Result<(), hushwood::error::Error> {
        match observed {
            Observed::Proposal(observed) => {
                let verdicts = all(observed.checks());
                self.public.accept_proposal(observed, &verdicts)?;
            }
            Observed::Commit(observed) => {
                let gone = self.gone(&observed, sequence)?;
                let verdicts = all(observed.checks());
                self.public.accept_commit(*observed, &verdicts)?;
                self.departed.extend(gone);
                let surplus = self.departed.len().saturating_sub(MOST_DEPARTED);
                self.departed.drain(..surplus);
                self.commit = sequence;
            }
        }
        self.sequence = sequence;
        Ok(())
    }

    /// Those who will have gone, or have another key, after a commit.
    fn gone(&self, commit: &ObservedCommit, until: u64) -> Result<Vec<Departed>, hushwood::error::Error> {
        let change = commit.change();
        let changed = change.removed.iter().map(|(leaf, _)| *leaf);
        let changed = changed.chain(change.updated.iter().copied()).chain([change.committer]);
        let mut gone = Vec::new();
        for leaf_index in changed {
            let Some(old) = self.public.tree().leaf(leaf_index)? else { continue };
            let new = commit.tree().leaf(leaf_index)?;
            if new.is_none_or(|new| new.signature_key != old.signature_key) {
                gone.push(Departed { leaf_index: leaf_index.number(), key: old.signature_key.0, until });
            }
        }
        Ok(gone)
    }

    /// Who has made this proof: the member at a leaf, or somebody who stood there.
    pub(super) fn check(&self, proof: &MemberProof, content: &[u8]) -> Result<Reach, Refusal> {
        let leaf = self.public.tree().leaf(LeafIndex::new(proof.leaf_index));
        let leaf = leaf.map_err(|_| corrupt("a tree"))?;
        if leaf.is_some_and(|leaf| self.verifies(&leaf.signature_key, proof, content)) {
            return Ok(Reach::Member);
        }
        let departed = self.departed.iter().rev().filter(|one| one.leaf_index == proof.leaf_index);
        for one in departed {
            if self.verifies(&SignaturePublicKey(one.key.clone()), proof, content) {
                return Ok(Reach::Until(one.until));
            }
        }
        Err(Refusal::Forbidden("the proof is not of a member of the group"))
    }

    /// How far whoever has this key at this leaf may read, as of [`sequence`](Self::sequence).
    pub(super) fn reach(&self, leaf_index: u32, key: &SignaturePublicKey) -> Result<Reach, Refusal> {
        let leaf = self.public.tree().leaf(LeafIndex::new(leaf_index)).map_err(|_| corrupt("a tree"))?;
        if leaf.is_some_and(|leaf| leaf.signature_key == *key) {
            return Ok(Reach::Member);
        }
        let departed = self.departed.iter().rev();
        let gone =
            departed.filter(|one| one.leaf_index == leaf_index && one.key == key.0).map(|one| one.until);
        Ok(Reach::Until(gone.max().unwrap_or(0)))
    }

    fn verifies(&self, key: &SignaturePublicKey, proof: &MemberProof, content: &[u8]) -> bool {
        let suite = self.public.suite();
        verify_with_label(suite, key, "DeliveryRequest", content, &proof.signature).is_ok()
    }

    /// Whether it was opened with this key.
    pub(super) fn has_key(&self, key: &GroupKey) -> bool {
        use subtle::ConstantTimeEq;
        self.key.ct_eq(key).into()
    }

    /// The state, to go on from later.
    pub(super) fn to_snapshot(&self) -> Result<Snapshot, Refusal> {
        let public = self.public.to_bytes().map_err(|_| corrupt("a group"))?;
        let record = SnapshotRecord { public, departed: self.departed.clone() };
        let record = record.to_bytes().map_err(|_| Refusal::TooLarge("a group"))?;
        let epoch = self.public.epoch();
        let body = seal(&self.key, (self.public.group_id(), What::Snapshot, epoch), &record)?;
        Ok(Snapshot { epoch, sequence: self.commit, body })
    }

    /// Whether there have been so many commits since the last snapshot, of which this is the next if so. A snapshot is of the
    /// beginning of an epoch: no proposal is in it.
    pub(super) fn snapshot_due(&mut self, every: u64) -> bool {
        let epoch = self.public.epoch();
        let due = epoch.saturating_sub(self.snapshot) >= every;
        if due {
            self.snapshot = epoch;
        }
        due
    }

    pub(super) fn public(&self) -> &PublicGroup {
        &self.public
    }

    /// The number of the last handshake that is in it.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The number of the commit that began the epoch.
    pub(super) fn commit(&self) -> u64 {
        self.commit
    }
}

/// Who is who is for the members to judge (RFC 9420 §5.3.1): to the service they are keys.
pub(super) fn all(checks: &[CredentialCheck]) -> Verdicts {
    Verdicts(vec![Verdict::Accept; checks.len()])
}

fn corrupt(what: &'static str) -> Refusal {
    Refusal::Failed(BackendError::Corrupt(what))
}
