//! RFC 9420 §11: group creation.

use hushwood_crypto::{CipherSuite, Random, Signer};

use crate::commit::state::{MemberState, PublicState};
use crate::credential::Credential;
use crate::error::{ApiMisuse, Error, Unsupported};
use crate::extension::Extensions;
use crate::extension::support::check_group_context;
use crate::group::new_state::NewState;
use crate::group::{Group, Member};
use crate::policy::{Policy, Timestamp};
use crate::schedule::{EpochSecret, GroupContext, interim_transcript_hash};
use crate::secret_tree::SecretTree;
use crate::transition::Step;
use crate::tree::{
    GroupParameters, KeyPair, LeafChecks, LeafContent, LeafIndex, LeafNodeSource, LeafPlace, Lifetime,
    PrivateTree, RatchetTree, Supported, UnsignedLeafNode,
};
use crate::version::ProtocolVersion;

/// A group to be created.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// The suite of the group, for good.
    pub suite: &'static dyn CipherSuite,
    /// Its id; by default random and as long as a hash (C221).
    pub group_id: Option<Vec<u8>>,
    /// Who we are in it.
    pub credential: Credential,
    /// What we support, the suite of the group before others that we would rather not have
    /// ([`Supported::preferring`]): if all first members have a better one, they are not added (C220).
    pub supported: Supported,
    /// The group context's extensions. Everybody who joins must support them.
    pub extensions: Extensions,
    /// Extensions of our own leaf.
    pub leaf_extensions: Extensions,
    /// The policy it runs under on this client.
    pub policy: Policy,
}

impl NewGroup {
    /// A group with a random id, without extensions, under the default policy.
    #[must_use]
    pub fn new(suite: &'static dyn CipherSuite, credential: Credential, supported: Supported) -> Self {
        Self {
            suite,
            group_id: None,
            credential,
            supported,
            extensions: Extensions::new(),
            leaf_extensions: Extensions::new(),
            policy: Policy::default(),
        }
    }
}

impl Group {
    /// Creates a group of one: epoch 0, with ourselves at leaf 0 (RFC 9420 §11, C222).
    ///
    /// # Errors
    /// [`ApiMisuse::CapabilitiesInsufficient`] if we do not support what the group asks for (C225);
    /// [`Unsupported::CipherSuite`] if we do not list its suite; [`Error::WouldViolate`] with what those
    /// who join would find in its extensions or in our leaf; [`Error::Decode`] for the content of an
    /// extension that is malformed; [`Error::Signer`], [`Error::Crypto`].
    pub fn create(
        settings: NewGroup,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Step<'static, Self>, Error> {
        let (group, writes) = new_state(settings, signer, now, random)?.into_group(random)?;
        Ok(Step::new(writes, None, group))
    }
}

/// The state of a group in its epoch 0.
pub(super) fn new_state(
    settings: NewGroup,
    signer: &dyn Signer,
    now: Timestamp,
    random: &mut dyn Random,
) -> Result<NewState, Error> {
    let suite = settings.suite;
    // C221: two creators never choose the same id by accident.
    let group_id = match settings.group_id {
        Some(group_id) => group_id,
        None => random.bytes(suite.kdf().length())?,
    };
    let own_leaf = LeafIndex::new(0);
    let leaf_keys = KeyPair::generate(suite, random)?;
    let content = LeafContent {
        credential: settings.credential,
        supported: settings.supported,
        extensions: settings.leaf_extensions,
    };
    let lifetime = Lifetime { not_before: now.0, not_after: now.0.saturating_add(settings.policy.lifetime) };
    let source = LeafNodeSource::KeyPackage(lifetime);
    let leaf = UnsignedLeafNode::new(&content, leaf_keys.public.clone(), source, &settings.policy, random)?;
    let leaf = leaf.sign(signer, (&group_id, own_leaf))?;

    if !content.supported.suites.contains(&suite.id()) {
        return Err(Unsupported::CipherSuite.into());
    }
    // C256, C375: what those who join would refuse in the context is not put there.
    check_group_context(&settings.extensions, suite).map_err(Error::of_our_own)?;
    let parameters = GroupParameters::new(ProtocolVersion::MLS10, suite.id(), &settings.extensions)?;
    // C225: the creator itself satisfies what it asks of the others.
    if content.supported.check_group(&parameters).is_err() || parameters.check(&leaf.capabilities).is_err() {
        return Err(ApiMisuse::CapabilitiesInsufficient.into());
    }
    let checks = LeafChecks { suite, policy: &settings.policy, now, sending: true };
    let place = LeafPlace::Tree(&group_id, own_leaf);
    checks.alone(&leaf, place).map_err(|violation| Error::from(violation).of_our_own())?;
    let tree = RatchetTree::new(suite, leaf)?;

    let context = GroupContext {
        version: ProtocolVersion::MLS10,
        cipher_suite: suite.id(),
        group_id,
        epoch: 0,
        tree_hash: tree.tree_hash()?.as_bytes().to_vec(),
        // C166: the confirmed hash of epoch 0 is empty.
        confirmed_transcript_hash: Vec::new(),
        extensions: settings.extensions,
    };
    let (secrets, encryption) = EpochSecret::random(suite, random)?.derive(suite)?;
    let confirmation_tag = secrets.confirmation.tag(suite, &context.confirmed_transcript_hash);
    let interim = interim_transcript_hash(suite, &context.confirmed_transcript_hash, &confirmation_tag)?;
    let public = PublicState::new(context, tree, confirmation_tag, interim)?;
    let private = PrivateTree::new(own_leaf, leaf_keys);
    let state = MemberState { private, secrets };
    let secret_tree = SecretTree::new(suite, public.tree.leaf_count(), encryption)?;
    let member = Member { state, secret_tree };
    Ok(NewState { policy: settings.policy, public, own_leaf, member })
}
