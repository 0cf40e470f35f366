//! Proposals of those who are not in the group (RFC 9420 §12.1.8).

use hushwood::codec::Encode;
use hushwood::crypto::Signer;
use hushwood::extension::ExternalSender;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::group::{CommitPlan, GroupView, NewProposal};
use hushwood::proposal::{Proposal, Remove};
use hushwood_delivery::service::{ProposalLimits, Rate};
use hushwood_delivery::wire::{
    ClaimRequest, GroupInfoAnswer, ProposeRequest, PublishedKeyPackage, Recipient, Refusal, SendAnswer,
};
use std::time::Duration;
use test_support::actor::NOW;
use test_support::random::SeededRandom;

use crate::world::{Client, external_sender, invited, key, settings, two, world, world_with};

fn view(client: &Client, info: &GroupInfoAnswer) -> GroupView {
    let (tree, policy) = (Some(info.ratchet_tree.as_slice()), (&client.actor.policy, NOW));
    let random = &mut SeededRandom::new(3);
    GroupView::verify(&info.group_info, tree, &client.actor.provider, policy, random).unwrap()
}

fn propose(client: &mut Client, group_id: &[u8], message: Vec<u8>) -> ProposeRequest {
    ProposeRequest { request: client.request(), group_id: group_id.to_vec(), key: key(), message }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_sender_sees_the_group_and_proposes_to_it() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, mut bob) = two(&world).await;
    let (mut watch, device) = Client::registered("watch", service).await;
    let group_id = alice.group_id();
    let refused = watch.group_info(service, &group_id, external_sender(0)).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "it is not listed");

    let listed = ExternalSender {
        signature_key: watch.actor.signer.public_key().clone(),
        credential: watch.actor.credential(),
    };
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![listed].to_bytes().unwrap());
    let proposals = vec![NewProposal::GroupContextExtensions(extensions)];
    let commit = alice.commit(CommitPlan { proposals, ..CommitPlan::default() }, Vec::new());
    alice.send_commit(service, commit).await;
    bob.sync(service).await;

    let info = watch.group_info(service, &group_id, external_sender(0)).await.unwrap();
    let remove = || Proposal::Remove(Remove { removed: bob.actor.leaf() });
    let one = view(&watch, &info).external_proposal(0, remove(), &watch.actor.signer, NOW).unwrap();
    let sent = watch.send_request_as(group_id.clone(), one.clone(), external_sender(0));
    assert_eq!(service.send(sent).await, Ok(SendAnswer::Accepted(3)));
    // Or with its account alone.
    let sent = propose(&mut watch, &group_id, one.clone());
    assert_eq!(service.propose(device, sent).await, Ok(SendAnswer::Accepted(4)));
    // It does not speak for a member, nor a member in its name.
    let message = alice.actor.send(b"hi").unwrap();
    let sent = watch.send_request_as(group_id.clone(), message, external_sender(0));
    assert!(matches!(service.send(sent).await, Err(Refusal::Forbidden(_))));
    let refused = bob.group_info(service, &group_id, external_sender(0)).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));

    alice.sync(service).await;
    alice.update(service).await;
    bob.sync(service).await;
    assert!(bob.actor.send(b"no longer").is_err(), "the proposal was committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_proposes_to_be_added_and_its_welcome_finds_it() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let mut carol = Client::new("carol");
    service.register(carol.registration(service)).await.unwrap();
    let device = carol.log_in(service).await;
    let group_id = alice.group_id();
    let info = alice.group_info(service, &group_id, alice.member()).await.unwrap();
    let package = carol.actor.key_package();
    let valid = carol.actor.validate(&package).unwrap();
    let view = view(&carol, &info);
    let message = view.new_member_proposal(&valid, &carol.actor.signer, NOW).unwrap();
    let sent = propose(&mut carol, &group_id, message.clone());
    assert_eq!(service.propose(device, sent.clone()).await, Ok(SendAnswer::Accepted(2)));
    assert_eq!(service.propose(device, sent).await, Ok(SendAnswer::Accepted(2)), "asked again");
    // The KeyPackage in it is for this group: nobody else is given it.
    let by = alice.log_in(service).await;
    let claim = ClaimRequest { name: b"carol".to_vec(), suite: 1 };
    assert!(matches!(service.claim(by, claim).await, Err(Refusal::NotFound(_))));
    // Who is invited may send it without an account.
    let sent = carol.send_request_as(group_id.clone(), message, invited(alice.invitation(&carol)));
    assert!(service.send(sent).await.is_ok());

    alice.sync(service).await;
    let recipients = vec![Recipient { account: carol.account, device: carol.device }];
    let commit = alice.commit(CommitPlan::default(), recipients);
    alice.send_commit(service, commit).await;
    carol.join(service).await;
    assert_eq!(carol.actor.group().epoch(), alice.actor.group().epoch());
}

/// Who has only heard of a group, or was in it, is not told how far it is; and what is refused leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_from_outside_tells_and_leaves_nothing_if_it_is_refused() {
    let world = world().await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let mut carol = Client::new("carol");
    service.register(carol.registration(service)).await.unwrap();
    let device = carol.log_in(service).await;
    let group_id = alice.group_id();
    let info = alice.group_info(service, &group_id, alice.member()).await.unwrap();
    let package = carol.actor.key_package();
    let valid = carol.actor.validate(&package).unwrap();
    let message = view(&carol, &info).new_member_proposal(&valid, &carol.actor.signer, NOW).unwrap();
    let mut forged = message.clone();
    *forged.last_mut().unwrap() ^= 1;
    let sent = propose(&mut carol, &group_id, forged);
    assert!(matches!(service.propose(device, sent).await, Err(Refusal::Invalid(_))));
    // Its KeyPackage is not reserved: others may be given it.
    let package = vec![PublishedKeyPackage { message: package }];
    service.publish(device, package).await.unwrap();
    let by = alice.log_in(service).await;
    let claim = ClaimRequest { name: b"carol".to_vec(), suite: 1 };
    assert_eq!(service.claim(by, claim).await.unwrap().len(), 1);
    alice.update(service).await;
    let sent = propose(&mut carol, &group_id, message);
    assert_eq!(service.propose(device, sent).await, Ok(SendAnswer::Stale { epoch: 0 }));
}

/// Many accounts do not make a group's members commit without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_takes_so_many_proposals_of_all_accounts() {
    let mut settings = settings();
    settings.rates.outside_of_group = Rate { burst: 1, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (alice, _) = two(&world).await;
    let group_id = alice.group_id();
    let info = alice.group_info(service, &group_id, alice.member()).await.unwrap();
    let mut answers = Vec::new();
    for name in ["carol", "dave"] {
        let (mut guest, device) = Client::registered(name, service).await;
        let package = guest.actor.key_package();
        let valid = guest.actor.validate(&package).unwrap();
        let message = view(&guest, &info).new_member_proposal(&valid, &guest.actor.signer, NOW).unwrap();
        let sent = propose(&mut guest, &group_id, message);
        answers.push(service.propose(device, sent).await);
    }
    assert!(answers[0].is_ok() && matches!(answers[1], Err(Refusal::TooMany(_))), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_from_outside_is_limited_and_takes_no_members_place() {
    let mut settings = settings();
    settings.proposals = ProposalLimits { outside: 2, ..ProposalLimits::default() };
    settings.rates.outside = Rate { burst: 4, every: Duration::from_secs(3600) };
    let world = world_with(settings).await;
    let service = &world.service;
    let (mut alice, _) = two(&world).await;
    let (mut carol, device) = Client::registered("carol", service).await;
    let group_id = alice.group_id();
    let info = alice.group_info(service, &group_id, alice.member()).await.unwrap();
    let view = view(&carol, &info);
    let proposal = |carol: &mut Client| {
        let package = carol.actor.key_package();
        let valid = carol.actor.validate(&package).unwrap();
        let message = view.new_member_proposal(&valid, &carol.actor.signer, NOW).unwrap();
        propose(carol, &group_id, message)
    };
    for _ in 0..2 {
        service.propose(device, proposal(&mut carol)).await.unwrap();
    }
    assert!(matches!(service.propose(device, proposal(&mut carol)).await, Err(Refusal::Full(_))));
    let other_group = ProposeRequest { group_id: b"nowhere".to_vec(), ..proposal(&mut carol) };
    assert!(matches!(service.propose(device, other_group).await, Err(Refusal::NotFound(_))));
    let refused = service.propose(device, proposal(&mut carol)).await;
    assert!(matches!(refused, Err(Refusal::TooMany(_))), "{refused:?}");

    let own = alice.actor.propose(NewProposal::Update(Default::default())).unwrap();
    assert!(service.send(alice.send_request(own.clone())).await.is_ok());
    let as_outsider = propose(&mut carol, &group_id, own);
    let refused = service.propose(device, as_outsider).await;
    assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
}
