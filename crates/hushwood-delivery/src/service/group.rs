//! The group plane: what is written to a group's log, and what becomes true with it.

use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{Content, ContentType, MlsMessage, PublicMessage, Sender};
use hushwood::group::GroupView;
use hushwood::policy::{ExternalCommits, Policy, Timestamp};
use hushwood::proposal::{Proposal, ProposalType};
use hushwood::public_group::{Observed, ObservedCommit, PublicGroup};
use hushwood::tree::RatchetTree;
use hushwood::unverified::Unverified;
use hushwood_aws_lc::OsRandom;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CryptoProvider, SignaturePublicKey, verify_with_label};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use crate::backend::{
    Appended, Committed, Created, Incarnation, NewCommit, NewEntry, NewGroup, RequestId, Seconds,
};
use crate::rules::InForce;
use crate::service::admission::Admitted;
use crate::service::followed::{Followed, all};
use crate::service::groups::NO_GROUP;
use crate::service::seal::{What, seal};
use crate::service::welcomes::{Split, split};
use crate::service::{Device, Service, ServiceSettings, random_array};
use crate::wire::{
    CommitAnswer, CommitRequest, CreateRequest, DELIVERY_EXTENSION, EntryKind, ProposeRequest, REQUEST_LABEL,
    Refusal, SendAnswer, SendRequest,
};

impl Service {
    /// Takes a group in, in the epoch of its GroupInfo. That an account has brought it is not written down.
    ///
    /// # Errors
    /// [`Refusal`]: `Invalid` if GroupInfo or tree are not valid, `Forbidden` if the proof is not of the member that has signed
    /// the GroupInfo, `Taken` if another group has the id, `TooLarge` also for an id of more than 255 bytes, `TooMany`.
    pub async fn create_group(&self, by: Device, request: CreateRequest) -> Result<(), Refusal> {
        self.alive(by).await?;
        self.check_size(&[&request.group_info])?;
        if request.ratchet_tree.len() > self.settings.max_tree {
            return Err(Refusal::TooLarge("a group"));
        }
        self.check_time(request.proof.at)?;
        let _turn = self.turns.take(by.account)?;
        let (settings, provider, at) = (self.settings.clone(), self.provider, self.now());
        let look = move || brought(&request, (&settings, &provider)).map(|brought| (request, brought));
        let (request, Brought { group, id }) = self.work.run(look).await??;
        // What costs much is done for what is not there already, and for each account now and then.
        let there = match self.backend.created(&group, id).await? {
            Some(there) => there,
            None => {
                self.limits.group(by.account, request.ratchet_tree.len())?;
                let queue = if request.ratchet_tree.len() <= SMALL { &self.work } else { &self.creates };
                let settings = self.settings.clone();
                let incarnation = Incarnation(random_array()?);
                let check = move || new_group(&request, id, (&settings, &provider), (incarnation, at));
                self.backend.create_group(queue.run(check).await??).await?
            }
        };
        match there {
            Created::Created | Created::Duplicate => Ok(()),
            Created::Exists => Err(Refusal::Taken("a group has this id: choose a random one")),
        }
    }

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

    /// Appends a proposal from outside the group, by an external sender or of a client to be added (RFC 9420 §12.1.8), that an
    /// account has brought. Members decide what becomes of it.
    ///
    /// # Errors
    /// [`Refusal`]: as [`send`](Self::send).
    pub async fn propose(&self, by: Device, request: ProposeRequest) -> Result<SendAnswer, Refusal> {
        self.alive(by).await?;
        self.check_size(&[&request.message])?;
        let MlsMessage::PublicMessage(message) = message(&request.message)? else {
            return Err(Refusal::Malformed("a proposal from outside is not encrypted".to_owned()));
        };
        let package = match (&message.content.sender, &message.content.content) {
            (Sender::External(_), _) => None,
            (Sender::NewMemberProposal, Content::Proposal(Proposal::Add(add))) => {
                let package = Unverified::new(add.key_package.clone());
                Some(MlsMessage::KeyPackage(Box::new(package)).to_bytes())
            }
            _ => return Err(Refusal::Malformed("this is no proposal from outside the group".to_owned())),
        };
        self.limits.outside(by.account)?;
        let followed = self.follow(&request.group_id, &request.key).await?;
        self.limits.outside_of(followed.name())?;
        let package = package.transpose().map_err(|_| Refusal::TooLarge("a KeyPackage"))?;
        let id = request_id("propose", &request.request, &[&request.message]);
        if let Err(full) = followed.check_log(request.message.len(), self.settings.max_log) {
            return self.before(&request.group_id, id, full).await;
        }
        self.add_proposal(followed, &message, (id, request.message), Some(Outsider { by, package })).await
    }

    /// Appends a proposal, if the members would accept it and there is room for it.
    async fn add_proposal(
        &self,
        followed: OwnedMutexGuard<Followed>,
        message: &PublicMessage,
        (id, bytes): (RequestId, Vec<u8>),
        outsider: Option<Outsider>,
    ) -> Result<SendAnswer, Refusal> {
        // How far the group is, is not for those who have only heard of it.
        let told = |epoch| SendAnswer::Stale { epoch: if outsider.is_some() { 0 } else { epoch } };
        let (sender, epoch, now) = (message.content.sender, message.content.epoch, self.now());
        let group = followed.public().group_id().to_vec();
        if epoch != followed.public().epoch() {
            // What has not been checked is not written.
            return match self.backend.outcome(&group, id, epoch).await? {
                Committed::Accepted(sequence) | Committed::Duplicate(sequence) => {
                    Ok(SendAnswer::Accepted(sequence))
                }
                Committed::Stale { epoch, .. } => Ok(told(epoch)),
                Committed::NoGroup => Err(NO_GROUP),
            };
        }
        followed.check_room(sender, bytes.len(), &self.settings.proposals)?;
        let check = move || {
            let new = new_proposal(&followed, &bytes, (id, now));
            (followed, new)
        };
        // It is followed when it is read, by the next who asks: another node may have been faster with another. Until it is
        // there nobody else is asked whether there is room.
        let (followed, new) = self.work.run(check).await?;
        let new = new?;
        if let Some(Outsider { by, package: Some(package) }) = &outsider {
            // Its Welcome finds the inbox, and nobody else is given it.
            self.reserve(*by, package.clone()).await?;
        }
        let answer = self.append(&group, new).await;
        drop(followed);
        match answer? {
            SendAnswer::Stale { epoch } => Ok(told(epoch)),
            accepted @ SendAnswer::Accepted(_) => Ok(accepted),
        }
    }

    /// What does not fit now may have come before: then that is the answer.
    async fn before(&self, group: &[u8], id: RequestId, full: Refusal) -> Result<SendAnswer, Refusal> {
        match self.backend.outcome(group, id, 0).await? {
            Committed::Duplicate(sequence) => Ok(SendAnswer::Accepted(sequence)),
            Committed::Accepted(_) | Committed::Stale { .. } | Committed::NoGroup => Err(full),
        }
    }

    async fn append(&self, group: &[u8], new: NewEntry) -> Result<SendAnswer, Refusal> {
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

    fn check_size(&self, messages: &[&[u8]]) -> Result<(), Refusal> {
        match messages.iter().all(|message| message.len() <= self.settings.max_message) {
            true => Ok(()),
            false => Err(Refusal::TooLarge("a message")),
        }
    }
}

/// An account that brings a proposal, and shows nothing of what it has to do with the group.
struct Outsider {
    by: Device,
    /// The KeyPackage by which it wants to be added.
    package: Option<Vec<u8>>,
}

/// A tree of so many bytes takes no longer to check than what others wait for.
const SMALL: usize = 64 << 10;

/// A group that comes here, before it was checked: by whom it says it is.
struct Brought {
    group: Vec<u8>,
    id: RequestId,
}

/// What can be said without much work: the GroupInfo has the right form, and the member that it says to be signed by has signed
/// the request. Whether the rest is true is seen later.
fn brought(
    request: &CreateRequest,
    (settings, provider): (&ServiceSettings, &CryptoProvider),
) -> Result<Brought, Refusal> {
    /// Longer ids are of no use to anybody.
    const LONGEST_ID: usize = 255;
    /// No group comes so far, and databases count no further.
    const LAST_EPOCH: u64 = 1 << 62;
    let signer = check_group_info(&request.group_info, &settings.policy)?;
    let MlsMessage::GroupInfo(group_info) = message(&request.group_info)? else {
        return Err(Refusal::Malformed("this is no GroupInfo in an MLSMessage".to_owned()));
    };
    let context = &group_info.inspect().group_context;
    if context.group_id.len() > LONGEST_ID {
        return Err(Refusal::TooLarge("a group's id"));
    }
    if context.epoch > LAST_EPOCH {
        return Err(Refusal::TooLarge("a group's epoch"));
    }
    let suite = provider.suite(context.cipher_suite);
    let suite = suite.ok_or_else(|| Refusal::Invalid("a suite that is unknown here".to_owned()))?;
    let tree =
        RatchetTree::from_extension(suite, &request.ratchet_tree, &settings.policy).map_err(invalid)?;
    let key = tree.leaf(signer).map_err(invalid)?.map(|leaf| leaf.signature_key);
    let (proof, content) = (&request.proof, request.signed(&settings.name));
    // Whoever brings a group is in it: nobody takes the place of a group that they have only heard of.
    let verified = key
        .filter(|_| signer.number() == proof.leaf_index)
        .is_some_and(|key| verify_with_label(suite, &key, REQUEST_LABEL, &content, &proof.signature).is_ok());
    if !verified {
        return Err(Refusal::Forbidden("a group is brought by the member that has signed its GroupInfo"));
    }
    let id = request_id("create", &request.request, &[&request.group_info, &request.ratchet_tree]);
    Ok(Brought { group: context.group_id.clone(), id })
}

/// A group that was [`brought`] here, checked.
fn new_group(
    request: &CreateRequest,
    id: RequestId,
    (settings, provider): (&ServiceSettings, &CryptoProvider),
    (incarnation, at): (Incarnation, Seconds),
) -> Result<NewGroup, Refusal> {
    // What stands in the log is followed whatever it is; how many proposals may wait is asked before.
    let all_proposals = Policy {
        max_pending_proposals: usize::MAX,
        max_pending_proposals_of_sender: usize::MAX,
        ..settings.policy.clone()
    };
    let circumstances = (&all_proposals, Timestamp(at.0));
    let tree = Some(request.ratchet_tree.as_slice());
    let view = GroupView::verify(&request.group_info, tree, provider, circumstances, &mut OsRandom);
    let view = view.map_err(invalid)?;
    let verdicts = all(view.checks());
    let public = PublicGroup::new(view, &verdicts).map_err(invalid)?;
    let followed = Followed::new(public, incarnation, request.key.clone());
    let epoch = followed.public().epoch();
    Ok(NewGroup {
        group: followed.public().group_id().to_vec(),
        incarnation,
        request: id,
        epoch,
        snapshot: followed.to_snapshot()?.body,
        group_info: seal(&request.key, (followed.place(epoch), What::GroupInfo), &request.group_info)?,
        at,
    })
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

/// A proposal of the current epoch, checked.
fn new_proposal(
    group: &Followed,
    bytes: &[u8],
    (request, at): (RequestId, Seconds),
) -> Result<NewEntry, Refusal> {
    match group.observe(bytes, at).map_err(invalid)? {
        Observed::Commit(_) => {
            return Err(Refusal::Malformed("a commit is sent with what belongs to it".to_owned()));
        }
        Observed::Proposal(observed) => {
            if let Proposal::GroupContextExtensions(changed) = observed.proposal() {
                check_delivery(group, &changed.extensions)?;
            }
            let rules = InForce::new(&group.public().context().extensions, group.public().tree());
            if !rules.map_err(invalid)?.let_propose(observed.sender(), observed.proposal()) {
                return Err(AGAINST_THE_RULES);
            }
        }
    }
    let epoch = group.public().epoch();
    let body = seal(group.key(), (group.place(epoch), What::Handshake), bytes)?;
    let incarnation = group.incarnation();
    Ok(NewEntry { incarnation, request, kind: EntryKind::Proposal, epoch, late: 0, body, at })
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
fn check_delivery(group: &Followed, next: &Extensions) -> Result<(), Refusal> {
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

const AGAINST_THE_RULES: Refusal = Refusal::Forbidden("the group's rules leave this to its admins");

/// Whether who asks may send this proposal: members their own, and those of others outside; who is outside their own.
fn check_proposer(admitted: &Admitted, message: &PublicMessage) -> Result<(), Refusal> {
    let allowed = match (admitted, &message.content.sender) {
        (Admitted::Member(leaf), Sender::Member(sender)) => leaf == sender,
        (Admitted::Member(_), Sender::External(_) | Sender::NewMemberProposal) => true,
        (Admitted::Invited(key), Sender::NewMemberProposal) => adds(message, key),
        (Admitted::ExternalSender(index), Sender::External(sender)) => index == sender,
        (Admitted::Member(_) | Admitted::Invited(_) | Admitted::ExternalSender(_), _) => false,
    };
    match allowed {
        true => Ok(()),
        false => Err(Refusal::Forbidden("the message is of somebody else than who sends it")),
    }
}

fn adds(message: &PublicMessage, key: &SignaturePublicKey) -> bool {
    match &message.content.content {
        Content::Proposal(Proposal::Add(add)) => add.key_package.leaf_node.signature_key == *key,
        Content::Proposal(_) | Content::Application(_) | Content::Commit(_) => false,
    }
}

/// A GroupInfo is as those need it who join: without the tree, which they get from here, and with the key for those who come
/// from outside, as long as anybody may (RFC 9420 §12.4.3.2; RFC 9750 §7, A064). Gives who has signed it.
fn check_group_info(bytes: &[u8], policy: &Policy) -> Result<hushwood::tree::LeafIndex, Refusal> {
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
fn request_id(call: &str, request: &[u8; 32], parts: &[&[u8]]) -> RequestId {
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

fn invalid(error: hushwood::error::Error) -> Refusal {
    Refusal::Invalid(error.to_string())
}
