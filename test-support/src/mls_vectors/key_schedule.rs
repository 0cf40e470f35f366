//! `key-schedule.json`: RFC 9420 §8, §8.1, §8.5.

use hushwood::extension::Extensions;
use hushwood::schedule::{CommitSecret, GroupContext, InitSecret, JoinerSecret, PskSecret};
use hushwood::version::ProtocolVersion;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::{Deserialize, Serialize};

use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    group_id: Hex,
    initial_init_secret: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Default, Deserialize, Serialize)]
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

#[derive(Default, Deserialize, Serialize)]
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
            let context = epoch.context(suite, &vector.group_id, number);
            init = epoch.run(suite, init, &context, checks);
        }
    };
    super::for_each_suite("key-schedule", provider, json, |vector| vector.cipher_suite, case)
}

/// Makes a file.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("key-schedule", |suite, random| vec![Vector::generate(suite, random)])
}

impl Vector {
    fn generate(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let mut hash = || Hex(random.bytes(suite.kdf().length()));
        let (group_id, initial_init_secret) = (hash(), hash());
        let mut init = InitSecret::new(initial_init_secret.secret());
        let mut epochs = Vec::new();
        for number in 0..5_u8 {
            // Every other epoch is without pre-shared keys.
            let psk_secret = match number % 2 {
                0 => Hex::of(PskSecret::zero(suite).secret()),
                _ => hash(),
            };
            let mut epoch = Epoch {
                tree_hash: hash(),
                commit_secret: hash(),
                psk_secret,
                confirmed_transcript_hash: hash(),
                exporter: Exporter {
                    label: hex::encode(hash().0),
                    context: hash(),
                    length: 32 + usize::from(number),
                    secret: Hex::default(),
                },
                ..Epoch::default()
            };
            epoch.group_context = Hex(epoch.context(suite, &group_id, number.into()));
            init = epoch.fill(suite, init);
            epochs.push(epoch);
        }
        Self { cipher_suite: suite.id().0, group_id, initial_init_secret, epochs }
    }
}

impl Epoch {
    fn context(&self, suite: &dyn CipherSuite, group_id: &Hex, epoch: u64) -> Vec<u8> {
        let context = GroupContext {
            version: ProtocolVersion::MLS10,
            cipher_suite: suite.id(),
            group_id: group_id.0.clone(),
            epoch,
            tree_hash: self.tree_hash.0.clone(),
            confirmed_transcript_hash: self.confirmed_transcript_hash.0.clone(),
            extensions: Extensions::new(),
        };
        context.to_bytes().unwrap()
    }

    /// Computes what the key schedule has for the chosen values, and gives the next epoch's `init_secret`.
    fn fill(&mut self, suite: &'static dyn CipherSuite, init: InitSecret) -> InitSecret {
        let context = self.group_context.0.as_slice();
        let commit = CommitSecret::new(self.commit_secret.secret());
        let joiner = JoinerSecret::derive(suite, init, commit, context).unwrap();
        self.joiner_secret = Hex::of(joiner.secret());
        let intermediate = joiner.with_psk(suite, PskSecret::new(self.psk_secret.secret()));
        self.welcome_secret = Hex::of(intermediate.welcome(suite).unwrap().secret());
        let (epoch, encryption) = intermediate.epoch(suite, context).unwrap().derive(suite).unwrap();
        self.init_secret = Hex::of(epoch.init.secret());
        self.sender_data_secret = Hex::of(epoch.sender_data.secret());
        self.encryption_secret = Hex::of(encryption.secret());
        self.exporter_secret = Hex::of(epoch.exporter.secret());
        self.epoch_authenticator = Hex::of(epoch.authenticator.secret());
        self.external_secret = Hex::of(epoch.external.secret());
        self.confirmation_key = Hex::of(epoch.confirmation.secret());
        self.membership_key = Hex::of(epoch.membership.secret());
        self.resumption_psk = Hex::of(epoch.resumption.secret());
        self.external_pub = Hex(epoch.external.key_pair(suite).unwrap().1.0);
        let Exporter { label, context, length, .. } = &self.exporter;
        self.exporter.secret = Hex::of(&epoch.exporter.export(suite, label, &context.0, *length).unwrap());
        epoch.init
    }

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
