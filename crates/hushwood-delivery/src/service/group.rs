//! The group plane: commits and messages in a group's log, and what becomes true with them.

use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{ContentType, MlsMessage};
use hushwood::policy::{ExternalCommits, Policy};
use hushwood::proposal::ProposalType;
use hushwood::public_group::{Observed, ObservedCommit};
use hushwood_codec::Decode;
use hushwood_crypto::SignaturePublicKey;
use sha2::{Digest, Sha256};

use crate::backend::{Appended, Committed, NewCommit, NewEntry, RequestId, Seconds};
use crate::rules::InForce;
use crate::service::admission::Admitted;
use crate::service::followed::Followed;
use crate::service::groups::NO_GROUP;
use crate::service::propose::check_proposer;
use crate::service::seal::{What, seal};
use crate::service::welcomes::{Split, split};
use crate::service::{Service, ServiceSettings};
use crate::wire::{
    CommitAnswer, CommitRequest, DELIVERY_EXTENSION, EntryKind, Refusal, SendAnswer, SendRequest,
};

impl Service {
    /// The only way in which an epoch ends. A commit that the members would refuse is refused; one that lost a race is
    /// [`CommitAnswer::Stale`]; the same request again gets the same answer.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` for another key than the group's, or if the admission is not good for this commit; `Invalid`,
    /// `NotFound`, `TooMany`.
    pub async fn commit(&self, request: CommitRequest) -> Result<CommitAnswer, Refusal> {
        let welcome = request.welcome.as_deref().unwrap_or_default();
        self.check_size(&[&request.commit, &request.group_info, welcome])?;
        let id = request_id("commit", &request.request, &[&request.commit]);
        let group = request.group_id.clone();
        let followed = self.follow(&group, &request.key).await?;
        let signed = request.signed(&self.settings.name);
        if followed.public().epoch() != request.epoch {
            // Lost, early, or asked again. What has not been checked is not written, whoever is faster meanwhile.
            let outcome = self.backend.outcome(&group, id, request.epoch).await?;
            if !matches!(outcome, Committed::Duplicate(_)) {
                // How far the group is, is for those who are in it. Who asks again may have gone by that very commit.
                self.admit(&followed, &request.admission, (&signed, 0))?;
            }
            return commit_answer(outcome);
        }
        let brought = request.commit.len().saturating_add(welcome.len());
        let admitted = self.admit(&followed, &request.admission, (&signed, brought))?;
        let most = self.settings.max_log.saturating_add(self.settings.max_log / 8);
        followed.check_log(request.commit.len(), most)?;
        if request.welcome.is_some() {
            self.check_uncarried(&group).await?;
        }
        let (settings, now) = (self.settings.clone(), self.now());
        let length = request.commit.len();
        let check = move || {
            let checked = new_commit(&followed, &request, admitted, (&settings, id, now));
            (followed, checked)
        };
        let (mut followed, checked) = self.work.run(check).await?;
        let (observed, new) = checked?;
        let welcomes = !new.welcomes.is_empty();
        let committed = self.backend.commit(&group, new).await?;
        if let Committed::Accepted(sequence) = committed {
            if welcomes {
                self.background.wake();
            }
            let every = self.settings.snapshot_every;
            let accept = move || {
                followed.accept(Observed::Commit(observed), (sequence, length)).ok()?;
                followed.snapshot_due(every).then(|| followed.to_snapshot().ok()).flatten()
            };
            // It has happened: whatever fails from here on is no answer to the request. The log has it.
            if let Ok(Some(snapshot)) = self.work.run(accept).await {
                drop(self.backend.put_snapshot(&group, snapshot, self.settings.snapshots).await);
            }
        }
        commit_answer(committed)
    }

    /// Appends a proposal that the members would accept, or an application message, which nobody but they can read.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the admission is not good for this message, `Full` if too many proposals wait; `Invalid`,
    /// `NotFound`, `Malformed`, `TooMany`.
    pub async fn send(&self, request: SendRequest) -> Result<SendAnswer, Refusal> {
        self.check_size(&[&request.message])?;
        let message = message(&request.message)?;
        let followed = self.follow(&request.group_id, &request.key).await?;
        let content = request.signed(&self.settings.name);
        let admitted = self.admit(&followed, &request.admission, (&content, request.message.len()))?;
        let id = request_id("send", &request.request, &[&request.message]);
        if let Err(full) = followed.check_log(request.message.len(), self.settings.max_log) {
            return self.before(&request.group_id, id, full).await;
        }
        match message {
            MlsMessage::PrivateMessage(message) if message.content_type == ContentType::Application => {
                if message.group_id != request.group_id {
                    return Err(Refusal::Malformed("the message is for another group".to_owned()));
                }
                if !matches!(admitted, Admitted::Member(_)) {
                    return Err(Refusal::Forbidden("messages are sent by members"));
                }
                let new = NewEntry {
                    incarnation: followed.incarnation(),
                    request: id,
                    kind: EntryKind::Message,
                    epoch: message.epoch,
                    late: self.settings.late_epochs,
                    body: request.message,
                    at: self.now(),
                };
                // Messages change nothing that is followed: they need not wait for each other.
                drop(followed);
                self.append(&request.group_id, new).await
            }
            MlsMessage::PrivateMessage(_) => {
                Err(Refusal::Malformed("handshakes of this group are not encrypted".to_owned()))
            }
            MlsMessage::PublicMessage(message) => {
                check_proposer(&admitted, &message)?;
                self.add_proposal(followed, &message, (id, request.message), None).await
            }
            MlsMessage::Welcome(_) | MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_) => {
                Err(Refusal::Malformed("only messages of the group are sent to it".to_owned()))
            }
        }
    }

    /// What does not fit now may have come before: then that is the answer.
    pub(super) async fn before(
        &self,
        group: &[u8],
        id: RequestId,
        full: Refusal,
    ) -> Result<SendAnswer, Refusal> {
        match self.backend.outcome(group, id, 0).await? {
            Committed::Duplicate(sequence) => Ok(SendAnswer::Accepted(sequence)),
            Committed::Accepted(_) | Committed::Stale { .. } | Committed::NoGroup => Err(full),
        }
    }

    pub(super) async fn append(&self, group: &[u8], new: NewEntry) -> Result<SendAnswer, Refusal> {
        match self.backend.append(group, new).await? {
            Appended::Accepted(sequence) | Appended::Duplicate(sequence) => {
                Ok(SendAnswer::Accepted(sequence))
            }
            Appended::Stale { epoch } => Ok(SendAnswer::Stale { epoch }),
            Appended::NoGroup => Err(NO_GROUP),
        }
    }

    /// Whether more Welcomes of a group may wait: those for inboxes that are full do so for days.
    async fn check_uncarried(&self, group: &[u8]) -> Result<(), Refusal> {
        let (waiting, most) = (self.backend.uncarried(group).await?, self.settings.uncarried);
        match waiting.number < u64::from(most.entries) && waiting.bytes < most.bytes {
            true => Ok(()),
            false => Err(Refusal::Full(
                "many Welcomes of this group wait for inboxes that are full: add others when they have gone",
            )),
        }
    }

    pub(super) fn check_size(&self, messages: &[&[u8]]) -> Result<(), Refusal> {
        match messages.iter().all(|message| message.len() <= self.settings.max_message) {
            true => Ok(()),
            false => Err(Refusal::TooLarge("a message")),
        }
    }
}

/// A commit of the current epoch, checked, with all that becomes true with it.
fn new_commit(
    group: &Followed,
    request: &CommitRequest,
    admitted: Admitted,
    (settings, id, at): (&ServiceSettings, RequestId, Seconds),
) -> Result<(Box<ObservedCommit>, NewCommit), Refusal> {
    let Observed::Commit(observed) = group.observe(&request.commit, at).map_err(invalid)? else {
        return Err(Refusal::Malformed("this is no commit".to_owned()));
    };
    check_committer(&admitted, &observed)?;
    check_delivery(group, &observed.context().extensions)?;
    check_rules(group, &observed)?;
    observed.check_group_info(&request.group_info, &settings.policy).map_err(invalid)?;
    check_group_info(&request.group_info, &settings.policy)?;
    let Split { welcomes, shared } = split(request, settings.max_welcomes)?;
    // Nobody is added who could not join, and nobody else gets a Welcome (RFC 9420 §12.4.3.1).
    let mut added: Vec<_> = observed.added().iter().map(|reference| reference.0.as_slice()).collect();
    let mut welcomed: Vec<_> = welcomes.iter().map(|welcome| welcome.reference.as_slice()).collect();
    added.sort_unstable();
    welcomed.sort_unstable();
    if added != welcomed {
        return Err(Refusal::Malformed(
            "a commit comes with a Welcome for each KeyPackage that it adds, and for no other".to_owned(),
        ));
    }
    let next = group.place(request.epoch.saturating_add(1));
    let new = NewCommit {
        incarnation: group.incarnation(),
        request: id,
        epoch: request.epoch,
        body: seal(&request.key, (group.place(request.epoch), What::Handshake), &request.commit)?,
        group_info: seal(&request.key, (next, What::GroupInfo), &request.group_info)?,
        welcomes,
        shared,
        at,
    };
    Ok((observed, new))
}

/// Whether who asks may send this commit. The members would take an external commit of anybody who knows the group's public
/// state, and who has been removed does: here it is of a member who comes back, or of somebody who was invited (RFC 9750 §6.4,
/// A102).
fn check_committer(admitted: &Admitted, commit: &ObservedCommit) -> Result<(), Refusal> {
    let change = commit.change();
    let external = change.proposals.contains(&ProposalType::EXTERNAL_INIT);
    match (admitted, external) {
        (Admitted::Member(leaf), false) if *leaf == change.committer => Ok(()),
        (Admitted::Member(_), false) => Err(Refusal::Forbidden("a commit is sent by the member who made it")),
        (Admitted::Member(leaf), true) => match change.removed.as_slice() {
            [(removed, _)] if removed == leaf => Ok(()),
            _ => Err(Refusal::Forbidden(
                "an external commit of a member replaces its own leaf: others are invited",
            )),
        },
        (Admitted::Invited(key), true) => {
            let leaf = commit.tree().leaf(change.committer).map_err(invalid)?;
            if leaf.is_none_or(|leaf| leaf.signature_key != *key) {
                return Err(Refusal::Forbidden("the invitation is for another key than that which joins"));
            }
            match change.removed.is_empty() {
                true => Ok(()),
                false => Err(Refusal::Forbidden("who joins by an invitation removes nobody")),
            }
        }
        (Admitted::Invited(_), false) | (Admitted::ExternalSender(_), _) => {
            Err(Refusal::Forbidden("commits are sent by members, and by those who join by an invitation"))
        }
    }
}

/// How a group is delivered stays as it was when it came here: its members know it from when they joined, and who joins later has to
/// find the same.
pub(super) fn check_delivery(group: &Followed, next: &Extensions) -> Result<(), Refusal> {
    let delivery = ExtensionType(DELIVERY_EXTENSION);
    match group.public().context().extensions.get(delivery) == next.get(delivery) {
        true => Ok(()),
        false => Err(Refusal::Forbidden("the extension that says how the group is delivered stays as it is")),
    }
}

/// Whether the group's rules let this be committed (RFC 9750 §6.1, A100). Its members judge by the same, so a commit that is
/// against them would end the epoch for nobody, and nothing would come after it.
fn check_rules(group: &Followed, commit: &ObservedCommit) -> Result<(), Refusal> {
    let rules = InForce::new(&group.public().context().extensions, group.public().tree()).map_err(invalid)?;
    let leaf = commit.tree().leaf(commit.change().committer).map_err(invalid)?;
    let key = leaf.map_or_else(|| SignaturePublicKey(Vec::new()), |leaf| leaf.signature_key);
    match rules.let_commit(&key, commit.proposals()).map_err(invalid)? {
        true => Ok(()),
        false => Err(AGAINST_THE_RULES),
    }
}

/// What is answered to what the rules forbid.
pub(super) const AGAINST_THE_RULES: Refusal =
    Refusal::Forbidden("the group's rules leave this to its admins");

/// A GroupInfo is as those need it who join: without the tree, which they get from here, and with the key for those who come
/// from outside, as long as anybody may (RFC 9420 §12.4.3.2; RFC 9750 §7, A064). Gives who has signed it.
pub(super) fn check_group_info(bytes: &[u8], policy: &Policy) -> Result<hushwood::tree::LeafIndex, Refusal> {
    let MlsMessage::GroupInfo(group_info) = message(bytes)? else {
        return Err(Refusal::Malformed("this is no GroupInfo in an MLSMessage".to_owned()));
    };
    let group_info = group_info.inspect();
    if group_info.extensions.get(ExtensionType::RATCHET_TREE).is_some() {
        return Err(Refusal::Malformed("a GroupInfo comes without the tree: the service has it".to_owned()));
    }
    let external_pub = group_info.extensions.external_pub().map_err(invalid)?;
    if external_pub.is_none() && policy.external_commits != ExternalCommits::Refused {
        return Err(Refusal::Malformed("a GroupInfo comes with the extension external_pub".to_owned()));
    }
    Ok(group_info.signer)
}

/// The name of a request in the log: of what is asked, too, so that an answer is never one to something else.
pub(super) fn request_id(call: &str, request: &[u8; 32], parts: &[&[u8]]) -> RequestId {
    let mut hash = Sha256::new();
    hash.update(request);
    for part in std::iter::once(&call.as_bytes()).chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    RequestId(hash.finalize().into())
}

fn commit_answer(committed: Committed) -> Result<CommitAnswer, Refusal> {
    match committed {
        Committed::Accepted(sequence) | Committed::Duplicate(sequence) => {
            Ok(CommitAnswer::Accepted(sequence))
        }
        Committed::Stale { epoch, winner } => Ok(CommitAnswer::Stale { epoch, winner }),
        Committed::NoGroup => Err(NO_GROUP),
    }
}

pub(super) fn message(bytes: &[u8]) -> Result<MlsMessage, Refusal> {
    MlsMessage::from_bytes(bytes).map_err(|error| Refusal::Malformed(error.to_string()))
}

pub(super) fn invalid(error: hushwood::error::Error) -> Refusal {
    Refusal::Invalid(error.to_string())
}
