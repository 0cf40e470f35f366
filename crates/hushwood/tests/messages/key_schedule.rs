//! RFC 9420 §8.

use hushwood::error::{ApiMisuse, Error, StoreReadError, Violation};
use hushwood::proposal::ExternalInit;
use hushwood::schedule::{
    CommitSecret, ConfirmationKey, EpochSecret, EpochSecrets, ExternalSecret, InitSecret, JoinerSecret,
    PreSharedKeyId, Psk, PskSecret, WelcomeSecret, confirmed_transcript_hash, interim_transcript_hash,
};
use hushwood_crypto::{CipherSuite, CryptoError, HpkePublicKey, Secret};
use test_support::assert_breaks;
use test_support::random::{BrokenRandom, SeededRandom};

use crate::world::{World, commit};
use crate::{any_suite, flipped, suites, wrong_tags};

fn epoch(suite: &'static dyn CipherSuite) -> EpochSecrets {
    EpochSecret::random(suite, &mut SeededRandom::new(3)).unwrap().derive(suite).unwrap().0
}

#[test]
fn confirmation_tags_of_other_lengths_or_with_a_bit_changed_are_refused() {
    for suite in suites() {
        let key = ConfirmationKey::new(Secret::new(vec![5; suite.kdf().length()]));
        let tag = key.tag(suite, b"hash");
        assert_eq!(tag.len(), suite.kdf().length());
        assert_eq!(key.verify(suite, b"hash", &tag), Ok(()));
        assert_eq!(key.verify(suite, b"hush", &tag), Err(Violation::ConfirmationTag.into()));
        for wrong in wrong_tags(&tag) {
            assert_eq!(key.verify(suite, b"hash", &wrong), Err(Violation::ConfirmationTag.into()));
        }
    }
}

#[test]
fn both_ends_of_an_external_init_get_one_secret() {
    for suite in suites() {
        let external = epoch(suite).external;
        let (_, external_pub) = external.key_pair(suite).unwrap();
        let (sent, proposal) =
            InitSecret::external_sender(suite, &external_pub, &mut SeededRandom::new(1)).unwrap();
        let received = InitSecret::external_receiver(suite, &external, &proposal).unwrap();
        assert!(sent.secret().ct_eq(received.secret()));
        assert_eq!(sent.secret().len(), suite.kdf().length());
    }
}

#[test]
fn external_inits_that_do_not_decapsulate_are_refused() {
    for suite in suites() {
        let external = epoch(suite).external;
        let length = suite.kem().encapsulation_length();
        for length in [0, 1, length - 1, length + 1] {
            let proposal = ExternalInit { kem_output: vec![4; length] };
            let refused = InitSecret::external_receiver(suite, &external, &proposal);
            assert_breaks!(refused.err().unwrap(), Violation::ExternalInit, "C169");
        }
        // All zeros: of small order, or no point at all.
        let proposal = ExternalInit { kem_output: vec![0; length] };
        let refused = InitSecret::external_receiver(suite, &external, &proposal);
        assert_breaks!(refused.err().unwrap(), Violation::ExternalInit, "C169");
        let refused =
            InitSecret::external_sender(suite, &HpkePublicKey(vec![0; length]), &mut SeededRandom::new(1));
        assert_breaks!(refused.err().unwrap(), Violation::HpkePublicKey, "C034");
    }
}

#[test]
fn an_external_init_to_another_epoch_gives_another_secret() {
    let suite = any_suite();
    let (_, external_pub) = epoch(suite).external.key_pair(suite).unwrap();
    let (sent, proposal) =
        InitSecret::external_sender(suite, &external_pub, &mut SeededRandom::new(1)).unwrap();
    let other = ExternalSecret::new(Secret::new(vec![8; suite.kdf().length()]));
    let received = InitSecret::external_receiver(suite, &other, &proposal).unwrap();
    assert!(!sent.secret().ct_eq(received.secret()));
}

#[test]
fn without_randomness_no_secret_is_made() {
    let suite = any_suite();
    let (_, external_pub) = epoch(suite).external.key_pair(suite).unwrap();
    let failed = InitSecret::external_sender(suite, &external_pub, &mut BrokenRandom);
    assert_eq!(failed.err(), Some(CryptoError::Random.into()));
    assert_eq!(EpochSecret::random(suite, &mut BrokenRandom).err(), Some(CryptoError::Random.into()));
}

#[test]
fn more_psks_than_a_uint16_counts_are_refused() {
    let suite = any_suite();
    let id = PreSharedKeyId { psk: Psk::External { psk_id: vec![1] }, psk_nonce: vec![2; 32] };
    let key = Secret::new(vec![3; 32]);
    let psks = vec![(&id, &key); 1 << 16];
    assert!(PskSecret::derive(suite, &psks[1..]).is_ok());
    assert_eq!(PskSecret::derive(suite, &psks).err(), Some(ApiMisuse::PskTooMany.into()));
}

#[test]
fn a_psk_secret_depends_on_order_nonce_and_number() {
    let suite = any_suite();
    let id = |nonce| PreSharedKeyId { psk: Psk::External { psk_id: vec![1] }, psk_nonce: vec![nonce; 32] };
    let (one, two, key) = (id(1), id(2), Secret::new(vec![3; 32]));
    let derive = |psks: &[_]| PskSecret::derive(suite, psks).unwrap().into_secret();
    let secrets = [
        derive(&[]),
        derive(&[(&one, &key)]),
        derive(&[(&two, &key)]),
        derive(&[(&one, &key), (&two, &key)]),
        derive(&[(&two, &key), (&one, &key)]),
    ];
    for (index, secret) in secrets.iter().enumerate() {
        assert!(secrets[..index].iter().all(|other| !other.ct_eq(secret)));
    }
}

#[test]
fn exports_are_bound_to_label_and_context_and_limited_in_length() {
    for suite in suites() {
        let exporter = epoch(suite).exporter;
        let longest = 255 * suite.kdf().length();
        assert_eq!(exporter.export(suite, "label", b"context", longest).unwrap().len(), longest);
        for length in [longest + 1, 1 << 16, 1 << 20] {
            let refused = exporter.export(suite, "label", b"context", length);
            assert_eq!(refused.err(), Some(ApiMisuse::ExportTooLong.into()));
        }
        let export = |label, context| exporter.export(suite, label, context, 32).unwrap();
        assert!(export("label", b"context").ct_eq(&export("label", b"context")));
        assert!(!export("label", b"context").ct_eq(&export("lable", b"context")));
        assert!(!export("label", b"context").ct_eq(&export("label", b"contest")));
    }
}

#[test]
fn a_group_info_opens_with_its_welcome_secret_only() {
    for suite in suites() {
        let secret = |byte| WelcomeSecret::new(Secret::new(vec![byte; suite.kdf().length()]));
        let sealed = secret(1).seal(suite, b"group info").unwrap();
        assert_eq!(secret(1).open(suite, &sealed).unwrap().expose(), b"group info");
        assert_breaks!(secret(2).open(suite, &sealed).err().unwrap(), Violation::WelcomeDoesNotOpen, "C330");
        for bit in 0..sealed.len() * 8 {
            let refused = secret(1).open(suite, &flipped(&sealed, bit));
            assert_breaks!(refused.err().unwrap(), Violation::WelcomeDoesNotOpen, "C330");
        }
        for length in 0..sealed.len() {
            let refused = secret(1).open(suite, &sealed[..length]);
            assert_breaks!(refused.err().unwrap(), Violation::WelcomeDoesNotOpen, "C330");
        }
    }
}

#[test]
fn stored_epoch_secrets_come_back_or_are_corrupt() {
    for suite in suites() {
        let record = epoch(suite).to_record().unwrap();
        let read = EpochSecrets::from_record(suite, &record).unwrap();
        assert!(read.to_record().unwrap().ct_eq(&record));
        let bytes = record.expose();
        let longer = [bytes, &[0]].concat();
        let shorter = [&[31], &bytes[2..]].concat();
        for wrong in [&bytes[..bytes.len() - 1], &longer, &shorter, &[]] {
            let refused = EpochSecrets::from_record(suite, &Secret::copy_of(wrong));
            assert_eq!(refused.err(), Some(Error::StoreRead(StoreReadError::Corrupt)));
        }
    }
}

#[test]
fn every_input_of_the_key_schedule_changes_every_secret() {
    let suite = any_suite();
    let secret = |byte| Secret::new(vec![byte; suite.kdf().length()]);
    let epoch = |init, commit, psk, joiner_context, context| {
        let (init, commit) = (InitSecret::new(secret(init)), CommitSecret::new(secret(commit)));
        let joiner = JoinerSecret::derive(suite, init, commit, joiner_context).unwrap();
        let intermediate = joiner.with_psk(suite, PskSecret::new(secret(psk)));
        intermediate.epoch(suite, context).unwrap().derive(suite).unwrap()
    };
    let epochs = [
        epoch(1, 2, 3, b"context", b"context"),
        epoch(9, 2, 3, b"context", b"context"),
        epoch(1, 9, 3, b"context", b"context"),
        epoch(1, 2, 9, b"context", b"context"),
        epoch(1, 2, 3, b"contest", b"context"),
        epoch(1, 2, 3, b"context", b"contest"),
    ];
    let mut all: Vec<&[u8]> = Vec::new();
    for (epoch, encryption) in &epochs {
        all.extend([
            epoch.init.secret().expose(),
            epoch.sender_data.secret().expose(),
            encryption.secret().expose(),
            epoch.exporter.secret().expose(),
            epoch.external.secret().expose(),
            epoch.confirmation.secret().expose(),
            epoch.membership.secret().expose(),
            epoch.resumption.secret().expose(),
            epoch.authenticator.secret().expose(),
        ]);
    }
    let number = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), number);
}

#[test]
fn transcript_hashes_cover_format_content_signature_and_tag() {
    use hushwood::framing::WireFormat;
    let world = World::new(any_suite());
    let message = world.sign_as_member(1, WireFormat::PUBLIC_MESSAGE, commit());
    let confirmed = |interim: &[u8], format, signature: &[u8]| {
        confirmed_transcript_hash(world.suite, interim, format, message.content(), signature).unwrap()
    };
    let signature = &message.auth().signature;
    let hash = confirmed(b"", WireFormat::PUBLIC_MESSAGE, signature);
    assert_eq!(hash.len(), world.suite.hash().length());
    assert_ne!(hash, confirmed(b"before", WireFormat::PUBLIC_MESSAGE, signature));
    assert_ne!(hash, confirmed(b"", WireFormat::PRIVATE_MESSAGE, signature));
    assert_ne!(hash, confirmed(b"", WireFormat::PUBLIC_MESSAGE, &flipped(signature, 0)));
    let interim =
        |confirmed: &[u8], tag: &[u8]| interim_transcript_hash(world.suite, confirmed, tag).unwrap();
    assert_ne!(interim(b"", b"tag"), interim(b"", b"tug"));
    assert_ne!(interim(b"", b"tag"), interim(b"before", b"tag"));
}
