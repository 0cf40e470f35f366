//! Two clients, a group, and a message: what the README shows.

use hushwood::codec::Decode;
use hushwood::commit::Answers;
use hushwood::credential::{Credential, InsecureAcceptAll, judge};
use hushwood::crypto::{CipherSuiteId, SoftwareSigner};
use hushwood::extension::Extensions;
use hushwood::framing::MlsMessage;
use hushwood::group::{CommitPlan, Group, NewGroup, NewProposal, OpenedWelcome, Received, client};
use hushwood::key_package::{KeyPackageBuilder, validate};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafContent, Supported};
use hushwood_rustcrypto::{OsRandom, PROVIDER};
use hushwood_store::MemoryStore;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp(1_800_000_000);
    let suite = PROVIDER
        .suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519)
        .ok_or("the provider lacks the suite")?;
    let (policy, supported) = (Policy::default(), Supported::new(&PROVIDER));
    let signers =
        [SoftwareSigner::generate(suite, &mut OsRandom)?, SoftwareSigner::generate(suite, &mut OsRandom)?];
    let [signer, bobs_signer] = signers;
    let (mut store, mut bobs_store) = (MemoryStore::new(), MemoryStore::new());

    // Bob makes a KeyPackage, keeps its private keys, and lets Alice have it.
    let content = LeafContent {
        credential: Credential::basic("bob"),
        supported: supported.clone(),
        extensions: Extensions::new(),
    };
    let new = KeyPackageBuilder::new(suite, content).build(&bobs_signer, &policy, now, &mut OsRandom)?;
    let sent = client::keep_key_package(new)?.commit(&mut bobs_store)?;
    let MlsMessage::KeyPackage(received) = MlsMessage::from_bytes(&sent)? else {
        return Err("a KeyPackage".into());
    };
    let bob = validate(*received, suite, &policy, now)?;

    // README: begin
    let new = NewGroup::new(suite, Credential::basic("alice"), supported);
    let mut group = Group::create(new, &signer, now, &mut OsRandom)?.commit(&mut store)?;
    let plan = CommitPlan { proposals: vec![NewProposal::Add(Box::new(bob))], ..CommitPlan::default() };
    let staged = group.commit(plan, &Answers::none(), &signer, now, &mut OsRandom)?.commit(&mut store)?;
    let change = group.apply(&staged.id, now)?.commit(&mut store)?; // send change.welcomes to who joins
    let sent = group.encrypt(b"hello", b"", &signer, &mut OsRandom)?.commit(&mut store)?;

    let welcome = change.welcomes.first().ok_or("somebody joins")?;
    let opened = OpenedWelcome::open(&welcome.message, &bobs_store, &PROVIDER, &policy)?;
    let joining = opened.stage(&Answers::none(), None, None, now, &mut OsRandom)?;
    let verdicts = judge(joining.checks(), &InsecureAcceptAll); // your Authentication Service says who is who
    let mut bobs = joining.accept(&verdicts, &bobs_store, &mut OsRandom)?.commit(&mut bobs_store)?;
    if let Received::Message(message) = bobs.receive(&sent.message, now)? {
        let said = bobs.accept_message(message)?.commit(&mut bobs_store)?; // written first, then read
        println!("{:?}: {}", said.credential, String::from_utf8_lossy(said.plaintext.expose()));
    }
    // README: end
    Ok(())
}
