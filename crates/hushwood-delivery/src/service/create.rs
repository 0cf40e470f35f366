//! Groups that come to the service.

use hushwood::framing::MlsMessage;
use hushwood::group::GroupView;
use hushwood::policy::{Policy, Timestamp};
use hushwood::public_group::PublicGroup;
use hushwood::tree::RatchetTree;
use hushwood_aws_lc::OsRandom;
use hushwood_crypto::{CryptoProvider, verify_with_label};

use crate::backend::{Created, GroupQuota, Incarnation, NewGroup, RequestId, Seconds};
use crate::service::followed::{Followed, all};
use crate::service::group::{check_group_info, invalid, message, request_id};
use crate::service::seal::{What, seal};
use crate::service::{Device, Service, ServiceSettings, random_array};
use crate::wire::{CreateRequest, REQUEST_LABEL, Refusal};

impl Service {
    /// Takes a group in, in the epoch of its GroupInfo. That an account has brought it is not written down.
    ///
    /// # Errors
    /// [`Refusal`]: `Invalid` if GroupInfo or tree are not valid, `Forbidden` if the proof is not of the member that has signed
    /// the GroupInfo, `Taken` if another group has the id, `TooLarge` also for an id of more than 255 bytes, `TooMany`, `Full` if the
    /// account has brought very many.
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
                let new = queue.run(check).await??;
                self.count_group(by).await?;
                self.backend.create_group(new).await?
            }
        };
        match there {
            Created::Created | Created::Duplicate => Ok(()),
            Created::Exists => Err(Refusal::Taken("a group has this id: choose a random one")),
        }
    }

    /// Counts a group that an account brings, for months: what is counted in memory is forgotten sooner, and at other nodes apart.
    async fn count_group(&self, by: Device) -> Result<(), Refusal> {
        let (at, most) = (self.now(), self.settings.max_groups);
        let since = Seconds(at.0.saturating_sub(self.settings.group_period.as_secs()));
        match self.backend.count_group(by.account, GroupQuota { most, since, at }).await? {
            true => Ok(()),
            false => Err(Refusal::Full(
                "this account has brought as many groups lately as it may: wait some weeks",
            )),
        }
    }
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
