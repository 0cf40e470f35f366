//! `welcome.json`: RFC 9420 §12.4.3, as far as it goes without a tree.

use hushwood::framing::MlsMessage;
use hushwood::schedule::{JoinerSecret, PskSecret};
use hushwood::welcome::GroupInfo;
use hushwood::welcome::types::GroupSecrets;
use hushwood_codec::{Decode, Encode, Writer};
use hushwood_crypto::{
    CipherSuite, CryptoProvider, HpkePrivateKey, SignaturePublicKey, Signer, decrypt_with_label,
    verify_with_label,
};
use serde::{Deserialize, Serialize};

use super::newcomer::Newcomer;
use super::talk::Talk;
use super::{Checks, Generator, Hex};
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    init_priv: Hex,
    signer_pub: Hex,
    key_package: Hex,
    welcome: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let (Ok(MlsMessage::KeyPackage(key_package)), Ok(MlsMessage::Welcome(welcome))) =
            (MlsMessage::from_bytes(&vector.key_package.0), MlsMessage::from_bytes(&vector.welcome.0))
        else {
            return checks.good("decode", false);
        };
        checks.good("suite", welcome.cipher_suite == suite.id());

        let reference = key_package.inspect().reference(suite).unwrap();
        let Some(entry) = welcome.secrets.iter().find(|entry| entry.new_member == reference) else {
            return checks.good("new_member", false);
        };
        let (context, sealed) = (&welcome.encrypted_group_info, &entry.encrypted_group_secrets);
        let key = HpkePrivateKey(vector.init_priv.secret());
        let opened = decrypt_with_label(suite, &key, "Welcome", context, sealed).unwrap();
        let secrets = GroupSecrets::from_bytes(opened.expose()).unwrap();

        let joiner = JoinerSecret::new(secrets.joiner_secret);
        let intermediate = joiner.with_psk(suite, PskSecret::zero(suite));
        let opened = intermediate.welcome(suite).unwrap().open(suite, context).unwrap();
        let group_info = GroupInfo::from_bytes(opened.expose()).unwrap();

        let mut tbs = Writer::new();
        tbs.value(&group_info.group_context).value(&group_info.extensions);
        tbs.opaque(&group_info.confirmation_tag).value(&group_info.signer);
        let (key, tbs) = (SignaturePublicKey(vector.signer_pub.0.clone()), tbs.finish().unwrap());
        let verified = verify_with_label(suite, &key, "GroupInfoTBS", &tbs, &group_info.signature);
        checks.good("signature", verified.is_ok());

        let context = group_info.group_context.to_bytes().unwrap();
        let (epoch, _) = intermediate.epoch(suite, &context).unwrap().derive(suite).unwrap();
        let hash = &group_info.group_context.confirmed_transcript_hash;
        let confirmed = epoch.confirmation.verify(suite, hash, &group_info.confirmation_tag);
        checks.good("confirmation_tag", confirmed.is_ok());
    };
    super::for_each_suite("welcome", provider, json, |vector| vector.cipher_suite, case)
}

/// Makes a file: each vector a Welcome into a group of three.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("welcome", |suite, random| {
        let newcomer = Newcomer::new(generator.provider(), suite, random);
        let mut talk = Talk::new(generator.provider(), suite, (3, true), random);
        let (_, change) = talk.tell(&newcomer.key_package, false, false);
        let committer = talk.actors.iter().find(|actor| actor.leaf() == change.committer).unwrap();
        vec![Vector {
            cipher_suite: suite.id().0,
            init_priv: newcomer.init_priv,
            signer_pub: Hex(committer.signer.public_key().0.clone()),
            key_package: newcomer.key_package,
            welcome: Hex(change.welcomes[0].message.clone()),
        }]
    })
}
