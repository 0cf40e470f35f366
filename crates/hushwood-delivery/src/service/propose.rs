//! Proposals, of members and from outside.

use hushwood::framing::{Content, MlsMessage, PublicMessage, Sender};
use hushwood::proposal::Proposal;
use hushwood::public_group::Observed;
use hushwood::unverified::Unverified;
use hushwood_codec::Encode;
use hushwood_crypto::SignaturePublicKey;
use tokio::sync::OwnedMutexGuard;

use crate::backend::{Committed, NewEntry, RequestId, Seconds};
use crate::rules::InForce;
use crate::service::admission::Admitted;
use crate::service::followed::Followed;
use crate::service::group::{AGAINST_THE_RULES, check_delivery, invalid, message, request_id};
use crate::service::groups::NO_GROUP;
use crate::service::seal::{What, seal};
use crate::service::{Device, Service};
use crate::wire::{EntryKind, ProposeRequest, Refusal, SendAnswer};

impl Service {
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
    pub(super) async fn add_proposal(
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
}

/// An account that brings a proposal, and shows nothing of what it has to do with the group.
pub(super) struct Outsider {
    by: Device,
    /// The KeyPackage by which it wants to be added.
    package: Option<Vec<u8>>,
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

/// Whether who asks may send this proposal: members their own, and those of others outside; who is outside their own.
pub(super) fn check_proposer(admitted: &Admitted, message: &PublicMessage) -> Result<(), Refusal> {
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
