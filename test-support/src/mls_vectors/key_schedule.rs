//! `key-schedule.json`: RFC 9420 §8, §8.1, §8.5.

use hushwood::extension::Extensions;
use hushwood::schedule::{CommitSecret, GroupContext, InitSecret, JoinerSecret, PskSecret};
use hushwood::version::ProtocolVersion;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    group_id: Hex,
    initial_init_secret: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Epoch {
    tree_hash: Hex,
    commit_secret: Hex,
    psk_secret: Hex,
    confirmed_transcript_hash: Hex,
    group_context: Hex,
    joiner_secret: Hex,
    welcome_secret: Hex,
    init_secret: Hex,
    sender_data_secret: Hex,
    encryption_secret: Hex,
    exporter_secret: Hex,
    epoch_authenticator: Hex,
    external_secret: Hex,
    confirmation_key: Hex,
    membership_key: Hex,
    resumption_psk: Hex,
    external_pub: Hex,
    exporter: Exporter,
}

#[derive(Deserialize)]
struct Exporter {
    label: String,
    context: Hex,
    length: usize,
    secret: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let mut init = InitSecret::new(vector.initial_init_secret.secret());
        for (number, epoch) in (0..).zip(&vector.epochs) {
            let group_context = GroupContext {
                version: ProtocolVersion::MLS10,
                cipher_suite: suite.id(),
                group_id: vector.group_id.0.clone(),
                epoch: number,
                tree_hash: epoch.tree_hash.0.clone(),
                confirmed_transcript_hash: epoch.confirmed_transcript_hash.0.clone(),
                extensions: Extensions::new(),
            };
            init = epoch.run(suite, init, &group_context.to_bytes().unwrap(), checks);
        }
    };
    super::for_each_suite("key-schedule", provider, json, |vector| vector.cipher_suite, case)
}

impl Epoch {
    fn run(
        &self,
        suite: &'static dyn CipherSuite,
        init: InitSecret,
        context: &[u8],
        checks: &mut Checks<'_>,
    ) -> InitSecret {
        checks.equal("group_context", context, &self.group_context);
        let commit = CommitSecret::new(self.commit_secret.secret());
        let joiner = JoinerSecret::derive(suite, init, commit, context).unwrap();
        checks.equal("joiner_secret", joiner.secret().expose(), &self.joiner_secret);

        let intermediate = joiner.with_psk(suite, PskSecret::new(self.psk_secret.secret()));
        let welcome = intermediate.welcome(suite).unwrap();
        checks.equal("welcome_secret", welcome.secret().expose(), &self.welcome_secret);

        let (epoch, encryption) = intermediate.epoch(suite, context).unwrap().derive(suite).unwrap();
        for (what, secret, expected) in [
            ("init_secret", epoch.init.secret(), &self.init_secret),
            ("sender_data_secret", epoch.sender_data.secret(), &self.sender_data_secret),
            ("encryption_secret", encryption.secret(), &self.encryption_secret),
            ("exporter_secret", epoch.exporter.secret(), &self.exporter_secret),
            ("epoch_authenticator", epoch.authenticator.secret(), &self.epoch_authenticator),
            ("external_secret", epoch.external.secret(), &self.external_secret),
            ("confirmation_key", epoch.confirmation.secret(), &self.confirmation_key),
            ("membership_key", epoch.membership.secret(), &self.membership_key),
            ("resumption_psk", epoch.resumption.secret(), &self.resumption_psk),
        ] {
            checks.equal(what, secret.expose(), expected);
        }

        let (_, external_pub) = epoch.external.key_pair(suite).unwrap();
        checks.equal("external_pub", &external_pub.0, &self.external_pub);
        let Exporter { label, context, length, secret } = &self.exporter;
        let exported = epoch.exporter.export(suite, label, &context.0, *length).unwrap();
        checks.equal("exporter", exported.expose(), secret);
        epoch.init
    }
}
