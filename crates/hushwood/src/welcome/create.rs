//! RFC 9420 §12.4.3: making a GroupInfo and the Welcomes around it.

use hushwood_codec::{Encode, Writer};
use hushwood_crypto::hpke::HpkeInfo;
use hushwood_crypto::{HashReference, HpkePublicKey, Random, Secret, Signer, sign_with_label};

use crate::commit::advance::JoinSecrets;
use crate::commit::state::PublicState;
use crate::error::Error;
use crate::extension::{ExtensionType, Extensions};
use crate::grease;
use crate::parallel::map_runs;
use crate::policy::{Grease, Policy};
use crate::schedule::PreSharedKeyId;
use crate::tree::LeafIndex;
use crate::tree::path_generation::FEW_SEALS;
use crate::welcome::types::GroupSecrets;
use crate::welcome::{EncryptedGroupSecrets, GroupInfo, Welcome};

/// What goes into a GroupInfo beside the state itself.
#[derive(Debug, Default)]
pub(crate) struct GroupInfoContents {
    /// The `ratchet_tree` extension (RFC 9420 §12.4.3.3).
    pub(crate) ratchet_tree: bool,
    /// The `external_pub` extension, which allows external commits (RFC 9420 §12.4.3.2).
    pub(crate) external_pub: Option<HpkePublicKey>,
}

/// Makes and signs a GroupInfo of this state.
pub(crate) fn group_info(
    state: &PublicState,
    contents: GroupInfoContents,
    (leaf, signer): (LeafIndex, &dyn Signer),
    policy: &Policy,
    random: &mut dyn Random,
) -> Result<GroupInfo, Error> {
    let mut extensions = Extensions::new();
    if contents.ratchet_tree {
        extensions.set(ExtensionType::RATCHET_TREE, state.tree.to_extension()?);
    }
    if let Some(external_pub) = contents.external_pub {
        extensions.set(ExtensionType::EXTERNAL_PUB, external_pub.to_bytes()?);
    }
    // RFC 9420 §12.4.3, §13.5, C348: some random GREASE, to keep receivers honest.
    if policy.grease == Grease::Everywhere {
        let extension = grease::extension(random)?;
        extensions.set(extension.extension_type, extension.extension_data);
    }
    let mut group_info = GroupInfo {
        group_context: state.context.clone(),
        extensions,
        confirmation_tag: state.confirmation_tag.clone(),
        signer: leaf,
        signature: Vec::new(),
    };
    let mut tbs = Writer::with_capacity(group_info.room());
    group_info.encode_tbs(&mut tbs);
    group_info.signature = sign_with_label(signer, "GroupInfoTBS", &tbs.finish()?)?;
    Ok(group_info)
}

/// A client that a commit adds, and what it needs.
#[derive(Debug)]
pub(crate) struct Joiner {
    /// Its KeyPackage.
    pub(crate) reference: HashReference,
    /// The KeyPackage's init key.
    pub(crate) init_key: HpkePublicKey,
    /// The path secret of the lowest common ancestor of it and the committer, if there is a path.
    pub(crate) path_secret: Option<Secret>,
}

/// Makes the Welcomes of a commit: one for all, or one for each (C301).
pub(crate) fn welcomes(
    state: &PublicState,
    secrets: JoinSecrets,
    group_info: &GroupInfo,
    (joiners, psks, one_each): (Vec<Joiner>, Vec<PreSharedKeyId>, bool),
    random: &mut dyn Random,
) -> Result<Vec<Welcome>, Error> {
    let suite = state.suite;
    let mut encoded = Writer::with_capacity(group_info.room());
    encoded.value(group_info);
    let encrypted_group_info = secrets.welcome.seal(suite, &encoded.finish()?)?;
    // One hash of the GroupInfo serves all joiners.
    let info = HpkeInfo::new(suite, "Welcome", &encrypted_group_info)?;
    let mut group_secrets =
        GroupSecrets { joiner_secret: secrets.joiner.into_secret(), path_secret: None, psks };
    let mut recipients = Vec::with_capacity(joiners.len());
    for joiner in joiners {
        group_secrets.path_secret = joiner.path_secret;
        recipients.push((joiner.reference, joiner.init_key, group_secrets.to_secret()?));
    }
    let entries = map_runs(&recipients, FEW_SEALS, (suite, random), |run, random| {
        let seal = |(reference, key, plaintext): &(HashReference, HpkePublicKey, Secret)| {
            let encrypted_group_secrets = info.seal(key, plaintext.expose(), random)?;
            Ok(EncryptedGroupSecrets { new_member: reference.clone(), encrypted_group_secrets })
        };
        run.iter().map(seal).collect::<Result<Vec<_>, Error>>()
    })?;
    let welcome = |secrets| Welcome {
        cipher_suite: suite.id(),
        secrets,
        encrypted_group_info: encrypted_group_info.clone(),
    };
    Ok(match one_each {
        true => entries.into_iter().map(|entry| welcome(vec![entry])).collect(),
        false if entries.is_empty() => Vec::new(),
        false => vec![welcome(entries)],
    })
}
