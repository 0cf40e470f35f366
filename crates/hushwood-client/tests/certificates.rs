//! Members with certificates (RFC 9750 §8.4.2, A039).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::mallory::Mallory;
use common::{Person, World, invited_by_all};
use hushwood::credential::{Certificate, Credential, CredentialType};
use hushwood_client::{EventKind, RoomId, Trust};
use hushwood_crypto::{CipherSuiteId, Signer, SoftwareSigner};
use hushwood_delivery::wire::Recipient;
use hushwood_rustcrypto::PROVIDER;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PublicKeyData, SanType, SignatureAlgorithm};
use test_support::random::SeededRandom;

/// An inbox that is nobody's.
const NOWHERE: Recipient = Recipient { account: [0; 16], device: [0; 16] };

struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

/// A certificate for a key, with these names in it.
fn certificate(seed: u64, names: Vec<SanType>) -> (Credential, SoftwareSigner) {
    let suite = PROVIDER.suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519).unwrap();
    let signer = SoftwareSigner::generate(suite, &mut SeededRandom::new(seed)).unwrap();
    let (root, root_key) = (CertificateParams::default(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Carol Carter");
    params.subject_alt_names = names;
    let key = PublicKey(signer.public_key().0.clone());
    let signed = params.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap();
    let certificates = vec![Certificate { cert_data: signed.der().to_vec() }];
    (Credential::X509 { certificates }, signer)
}

fn room_of(world: &mut World, trust: fn() -> Trust) -> (Vec<Person>, Mallory, RoomId) {
    let person = |name: &str, seed| Person::with(name, seed, invited_by_all(), trust);
    let mut people = vec![person("alice", 1), person("bob", 2), person("mallory", 3)];
    let now = world.now;
    let room = people[0].does(|core| core.create_room("tea", now));
    for number in 1..3 {
        people[number].sync(world);
        let name = people[number].name.clone();
        people[0].done(world, |core| core.invite(&room, &name));
    }
    for person in &mut people {
        person.sync(world);
        person.events();
    }
    let mallory = Mallory::instead_of(&people.pop().unwrap(), &room, world, 2);
    (people, mallory, room)
}

#[test]
fn a_member_with_a_certificate_has_the_name_in_it() {
    let mut world = World::new();
    let (mut people, mut mallory, room) = room_of(&mut world, Trust::insecure_accept_all);
    let names = vec![
        SanType::DnsName("phone.carol.example".try_into().unwrap()),
        SanType::Rfc822Name("carol@example.org".try_into().unwrap()),
    ];
    let mut carol = mallory.bring_as(&world, certificate(5, names), NOWHERE);
    mallory.bring_as(&world, certificate(6, Vec::new()), NOWHERE);
    carol.read(&world);
    carol.say(&world, |_| {}, "hello");
    let alice = &mut people[0];
    alice.sync(&mut world);
    let events = alice.events();
    let added = events.iter().filter_map(|event| match &event.kind {
        EventKind::MemberAdded { member, .. } => Some(member.person.as_str()),
        _ => None,
    });
    assert_eq!(added.collect::<Vec<_>>(), ["carol@example.org", "Carol Carter"]);
    let said = events.iter().any(
        |event| matches!(&event.kind, EventKind::Message(said) if said.from.person == "carol@example.org"),
    );
    assert!(said, "{events:?}");
    let contacts = alice.does(|core| core.contacts(&room));
    assert!(contacts.iter().any(|one| one.member.person == "carol@example.org"));
    alice.done(&mut world, |core| core.remove(&room, "carol@example.org"));
    assert_eq!(alice.people(&room), ["Carol Carter", "alice", "bob", "mallory"]);
}

/// Pins are of basic credentials: where nobody judges others, the protocol keeps out who has one.
#[test]
fn where_no_validator_judges_there_are_no_certificates() {
    let mut world = World::new();
    let (mut people, _, room) = room_of(&mut world, Trust::on_first_use);
    let mut judging = Person::with("dave", 9, invited_by_all(), Trust::insecure_accept_all);
    let now = world.now;
    let other = judging.does(|core| core.create_room("coffee", now));
    let takes = |person: &mut Person, room: &RoomId| {
        person.does(|core| {
            let group = core.group(room)?;
            let own = group.member(group.own_leaf())?.unwrap();
            Ok(own.leaf.capabilities.credentials.contains(&CredentialType::X509))
        })
    };
    assert!(!takes(&mut people[0], &room));
    assert!(!takes(&mut people[1], &room));
    assert!(takes(&mut judging, &other));
}
