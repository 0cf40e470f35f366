//! RFC 9420 §12.4.3.1: what a member who means harm seals for those who join: the GroupSecrets, and the GroupInfo under
//! the keys that they give.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::{Decode, DecodeErrorKind, Encode, Writer};
use hushwood::commit::Answers;
use hushwood::error::{Error, NotNow, Violation};
use hushwood::framing::MlsMessage;
use hushwood::group::{CommitPlan, NewProposal, OpenedWelcome, client};
use hushwood::schedule::{
    IntermediateSecret, JoinerSecret, PreSharedKeyId, Psk, PskSecret, ResumptionPskUsage, WelcomeSecret,
};
use hushwood::welcome::{GroupInfo, GroupSecrets, Welcome};
use hushwood_crypto::hpke::HpkeInfo;
use hushwood_crypto::{CipherSuiteId, Secret, decrypt_with_label, sign_with_label};
use test_support::actor::{Actor, NOW};
use test_support::random::SeededRandom;
use test_support::{assert_breaks, assert_names};

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(3, |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed)
}

fn psk(id: &str) -> Psk {
    Psk::External { psk_id: id.as_bytes().to_vec() }
}

/// The key of every pre-shared key in these tests.
fn psk_key() -> Secret {
    Secret::copy_of(&[7; 32])
}

/// A Welcome for Bob, taken apart.
struct Taken {
    alice: Actor,
    bob: Actor,
    welcome: Welcome,
    secrets: GroupSecrets,
    group_info: Vec<u8>,
}

impl Taken {
    /// Bob is invited by a commit with these pre-shared keys.
    fn apart(psks: &[&str]) -> Self {
        let (mut alice, mut bob) = (actor("alice"), actor("bob"));
        alice.create();
        let names: Vec<Psk> = psks.iter().map(|id| psk(id)).collect();
        for id in psks {
            alice.keep_psk(id.as_bytes(), psk_key().expose());
            bob.keep_psk(id.as_bytes(), psk_key().expose());
        }
        let key_package = bob.key_package();
        let mut proposals: Vec<_> = names.iter().cloned().map(NewProposal::Psk).collect();
        proposals.push(NewProposal::Add(Box::new(alice.validate(&key_package).unwrap())));
        let answers = alice.answers(&names);
        let plan = CommitPlan { proposals, ..CommitPlan::default() };
        let (id, _) = alice.commit_with(plan, &answers).unwrap();
        let change = alice.apply(&id).unwrap();
        let Ok(MlsMessage::Welcome(welcome)) = MlsMessage::from_bytes(&change.welcomes[0].message) else {
            panic!("no Welcome");
        };

        let entry = &welcome.secrets[0];
        let kept = client::key_package(&bob.store, &entry.new_member).unwrap().unwrap();
        let context = &welcome.encrypted_group_info;
        let sealed = &entry.encrypted_group_secrets;
        let secrets = decrypt_with_label(bob.suite, kept.init_key(), "Welcome", context, sealed).unwrap();
        let secrets = GroupSecrets::from_bytes(secrets.expose()).unwrap();
        let group_info = welcome_secret(&bob, &secrets).open(bob.suite, context).unwrap();
        let group_info = group_info.expose().to_vec();
        Self { alice, bob, welcome, secrets, group_info }
    }

    /// The Welcome with other contents, sealed as it must be.
    fn sealed(&self, group_secrets: &[u8], group_info: &[u8]) -> Vec<u8> {
        let secrets = GroupSecrets::from_bytes(group_secrets).unwrap_or(GroupSecrets {
            joiner_secret: Secret::zero(32),
            path_secret: None,
            psks: Vec::new(),
        });
        let suite = self.bob.suite;
        let mut welcome = self.welcome.clone();
        welcome.encrypted_group_info = welcome_secret(&self.bob, &secrets).seal(suite, group_info).unwrap();
        let kept = client::key_package(&self.bob.store, &welcome.secrets[0].new_member).unwrap().unwrap();
        let info = HpkeInfo::new(suite, "Welcome", &welcome.encrypted_group_info).unwrap();
        let init_key = &kept.key_package().init_key;
        let sealed = info.seal(init_key, group_secrets, &mut SeededRandom::new(4)).unwrap();
        welcome.secrets[0].encrypted_group_secrets = sealed;
        MlsMessage::Welcome(welcome).to_bytes().unwrap()
    }

    fn secrets(&self) -> Vec<u8> {
        self.secrets.to_bytes().unwrap()
    }

    /// The GroupSecrets with other pre-shared keys.
    fn secrets_with(&self, psks: &[PreSharedKeyId]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.value(&self.secrets.joiner_secret).value(&self.secrets.path_secret).vector(psks);
        writer.finish().unwrap()
    }

    /// What becomes of it at Bob's, who stays as he was.
    fn stage(&self, welcome: &[u8]) -> Result<(), Error> {
        let before = self.bob.rows();
        let staged = OpenedWelcome::open(welcome, &self.bob.store, &self.bob.provider, &self.bob.policy)
            .and_then(|opened| {
                let mut answers = Answers::none();
                for psk in opened.psks().to_vec() {
                    answers.add_psk(psk, psk_key());
                }
                opened.stage(&answers, None, None, NOW, &mut SeededRandom::new(5)).map(drop)
            });
        assert_eq!(self.bob.rows(), before);
        staged
    }

    /// The Welcome of the commit that has these pre-shared keys instead: nothing else about it is wrong.
    fn committed_with(&self, psks: &[PreSharedKeyId]) -> Vec<u8> {
        let suite = self.bob.suite;
        let group_secrets = self.secrets_with(psks);
        let secrets = GroupSecrets::from_bytes(&group_secrets).unwrap();
        let mut info = GroupInfo::from_bytes(&self.group_info).unwrap();
        let context = &info.group_context;
        let epoch =
            intermediate_secret(&self.bob, &secrets).epoch(suite, &context.to_bytes().unwrap()).unwrap();
        let (epoch, _) = epoch.derive(suite).unwrap();
        info.confirmation_tag = epoch.confirmation.tag(suite, &context.confirmed_transcript_hash);
        let mut tbs = Writer::new();
        tbs.value(context).value(&info.extensions).opaque(&info.confirmation_tag).value(&info.signer);
        let tbs = tbs.finish().unwrap();
        info.signature = sign_with_label(&self.alice.signer, "GroupInfoTBS", &tbs).unwrap();
        self.sealed(&group_secrets, &info.to_bytes().unwrap())
    }

    fn assert_refused(&self, welcome: &[u8], violation: Violation, row: &'static str) {
        assert_breaks!(self.stage(welcome).unwrap_err(), violation, row);
    }
}

fn intermediate_secret(bob: &Actor, secrets: &GroupSecrets) -> IntermediateSecret {
    let key = psk_key();
    let psks: Vec<_> = secrets.psks.iter().take(65_535).map(|id| (id, &key)).collect();
    let psk = PskSecret::derive(bob.suite, &psks).unwrap();
    JoinerSecret::new(secrets.joiner_secret.duplicate()).with_psk(bob.suite, psk)
}

fn welcome_secret(bob: &Actor, secrets: &GroupSecrets) -> WelcomeSecret {
    intermediate_secret(bob, secrets).welcome(bob.suite).unwrap()
}

#[test]
fn a_welcome_put_together_again_is_accepted() {
    // Shows that the other tests refuse for the reason they name.
    for psks in [&[][..], &["one"], &["one", "two"]] {
        let taken = Taken::apart(psks);
        assert_eq!(taken.stage(&taken.sealed(&taken.secrets(), &taken.group_info)), Ok(()));
    }
}

/// C014.
#[test]
fn bytes_behind_the_group_secrets_or_the_group_info_are_refused() {
    let taken = Taken::apart(&[]);
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    for welcome in [
        taken.sealed(&longer(&taken.secrets()), &taken.group_info),
        taken.sealed(&taken.secrets(), &longer(&taken.group_info)),
    ] {
        let error = taken.stage(&welcome).unwrap_err();
        let Error::Decode(found) = error else { panic!("{error:?}") };
        assert_eq!(found.kind, DecodeErrorKind::TrailingBytes);
        assert_names!(error, "C014");
    }
    for length in 0..taken.secrets().len() {
        let welcome = taken.sealed(&taken.secrets()[..length], &taken.group_info);
        assert!(matches!(taken.stage(&welcome), Err(Error::Decode(_))), "{length} bytes");
    }
}

/// C171. Nothing else is wrong with the Welcome: the policy that does not look takes it.
#[test]
fn a_psk_nonce_of_another_length_is_refused() {
    let mut taken = Taken::apart(&["one"]);
    for length in [0, 1, 31, 33, 64] {
        let id = PreSharedKeyId { psk_nonce: vec![1; length], ..taken.secrets.psks[0].clone() };
        let welcome = taken.committed_with(&[id]);
        taken.bob.policy.check_welcome_psk_nonces = true;
        taken.assert_refused(&welcome, Violation::PskNonce, "C171");
        taken.bob.policy.check_welcome_psk_nonces = false;
        assert_eq!(taken.stage(&welcome), Ok(()), "{length} bytes");
    }
}

/// C172: the GroupSecrets list the same keys as the Commit, in its order.
#[test]
fn psks_that_are_not_those_of_the_commit_are_refused() {
    let taken = Taken::apart(&["one", "two"]);
    let [one, two] = [0, 1].map(|place| taken.secrets.psks[place].clone());
    let other_nonce = PreSharedKeyId { psk_nonce: vec![1; 32], ..one.clone() };
    for psks in [vec![], vec![one.clone()], vec![two.clone(), one], vec![other_nonce, two]] {
        // Everything is sealed under the keys that these give: up to the confirmation tag it is right.
        let welcome = taken.sealed(&taken.secrets_with(&psks), &taken.group_info);
        taken.assert_refused(&welcome, Violation::ConfirmationTag, "C172");
        // The GroupInfo is sealed under the keys of the commit.
        let Ok(MlsMessage::Welcome(mut mixed)) = MlsMessage::from_bytes(&welcome) else { panic!() };
        mixed.encrypted_group_info = taken.welcome.encrypted_group_info.clone();
        let info = HpkeInfo::new(taken.bob.suite, "Welcome", &mixed.encrypted_group_info).unwrap();
        let kept = client::key_package(&taken.bob.store, &mixed.secrets[0].new_member).unwrap().unwrap();
        let init_key = &kept.key_package().init_key;
        let sealed = info.seal(init_key, &taken.secrets_with(&psks), &mut SeededRandom::new(6));
        mixed.secrets[0].encrypted_group_secrets = sealed.unwrap();
        let welcome = MlsMessage::Welcome(mixed).to_bytes().unwrap();
        taken.assert_refused(&welcome, Violation::WelcomeDoesNotOpen, "C172");
        taken.assert_refused(&welcome, Violation::WelcomeDoesNotOpen, "C330");
    }
}

/// C173.
#[test]
fn more_psks_than_a_uint16_counts_are_refused() {
    let taken = Taken::apart(&["one"]);
    let id = |number: u32| {
        let psk_nonce = [&number.to_be_bytes()[..], &[0; 28]].concat();
        PreSharedKeyId { psk_nonce, ..taken.secrets.psks[0].clone() }
    };
    let psks: Vec<_> = (0..65_536).map(id).collect();
    let welcome = taken.sealed(&taken.secrets_with(&psks), &taken.group_info);
    taken.assert_refused(&welcome, Violation::PskTooMany, "C173");
}

/// C175, C308, C328: the key of an epoch that we were not there for.
#[test]
fn a_resumption_psk_that_we_do_not_have_is_missed_and_nothing_is_consumed() {
    let (mut alice, mut bob, mut carol) = (actor("alice"), actor("bob"), actor("carol"));
    alice.create();
    let key_package = bob.key_package();
    let (_, change) = alice.invite(&[key_package]).unwrap();
    bob.join(&change.welcomes[0].message, None).unwrap();
    // Alice has the key of epoch 0, when she was alone.
    let before_bob = Psk::Resumption {
        usage: ResumptionPskUsage::Application,
        psk_group_id: alice.group().group_id().to_vec(),
        psk_epoch: 0,
    };
    let missing = |error: Error| {
        assert_breaks!(error, NotNow::PskMissing, "C175", "C308", "C328");
    };
    let key_package = carol.key_package();
    let carol_add = NewProposal::Add(Box::new(alice.validate(&key_package).unwrap()));
    let proposals = vec![carol_add, NewProposal::Psk(before_bob.clone())];
    let (id, commit) = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }).unwrap();
    let (rows, epoch) = (bob.rows(), bob.group().epoch());
    missing(bob.receive(&commit).unwrap_err());
    assert_eq!((bob.rows(), bob.group().epoch()), (rows, epoch));
    let change = alice.apply(&id).unwrap();
    missing(carol.join(&change.welcomes[0].message, None).unwrap_err());
    let kept = client::key_packages(&carol.store).unwrap();
    assert_eq!(kept.len(), 1);
    // A key of another epoch than any that there was.
    let never = Psk::Resumption {
        usage: ResumptionPskUsage::Application,
        psk_group_id: alice.group().group_id().to_vec(),
        psk_epoch: 77,
    };
    let plan = CommitPlan { proposals: vec![NewProposal::Psk(never)], ..CommitPlan::default() };
    missing(alice.commit(plan).unwrap_err());
}
