//! People with real groups, who have nothing but the server's address.

use hushwood::commit::Answers;
use hushwood::crypto::{CipherSuiteId, Random, Signer, SoftwareSigner, sign_with_label};
use hushwood::group::{CommitId, CommitPlan, GroupInfoOptions, NewProposal, OpenedWelcome};
use hushwood_delivery::wire::{
    AcknowledgeRequest, Admission, Call, ClaimRequest, CommitRequest, CreateRequest, GroupInfoAnswer,
    GroupInfoRequest, HeadRequest, InboxRequest, LogEntry, Login, MemberProof, Nothing, PublishRequest,
    PublishedKeyPackage, REQUEST_LABEL, ReadAnswer, ReadRequest, Recipient, Registration, SendRequest,
    Subscribe, Token, TreeRequest, WelcomeEntry, WelcomeId,
};
use test_support::actor::{Actor, NOW, Outcome};

use crate::net::Place;
use crate::world::{SERVICE, key, until};

const INFO: GroupInfoOptions = GroupInfoOptions { ratchet_tree: false, external_pub: true };

pub struct Person {
    pub actor: Actor,
    pub place: Place,
    pub account: [u8; 16],
    pub device: [u8; 16],
    /// How much of the log is known here.
    pub read: u64,
    key: SoftwareSigner,
}

/// What the call's answer has, or the test fails.
#[macro_export]
macro_rules! answered {
    ($kind:ident, $answer:expr) => {
        match $answer {
            Ok(hushwood_delivery::wire::Answer::$kind(answer)) => answer,
            other => panic!("{other:?}"),
        }
    };
}

impl Person {
    pub fn new(name: &str, place: Place) -> Self {
        let seed = name.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte));
        let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed);
        actor.policy.encrypt_handshakes = false;
        actor.policy.ratchet_tree_extension = false;
        actor.reload = false;
        let key = SoftwareSigner::generate(actor.suite, &mut actor.random).unwrap();
        let mut ids = [0; 32];
        actor.random.fill(&mut ids).unwrap();
        let (account, device) = (ids[..16].try_into().unwrap(), ids[16..].try_into().unwrap());
        Self { actor, place, account, device, read: 0, key }
    }

    /// Somebody with an account and a KeyPackage.
    pub async fn registered(name: &str, place: Place) -> (Self, Token) {
        let mut person = Self::new(name, place);
        let registration = person.registration().await;
        answered!(Register, place.call(Call::Register(registration), None).await);
        let token = person.log_in().await;
        let packages = vec![PublishedKeyPackage { message: person.actor.key_package() }];
        let publish = Call::Publish(PublishRequest { packages });
        answered!(Publish, place.call(publish, Some(&token.bytes)).await);
        (person, token)
    }

    pub async fn registration(&self) -> Registration {
        let challenge = answered!(Challenge, self.place.call(Call::Challenge(Nothing), None).await).bytes;
        let mut registration = Registration {
            account: self.account,
            name: self.actor.name.clone().into_bytes(),
            device: self.device,
            key: self.key.public_key().0.clone(),
            challenge,
            signature: Vec::new(),
            authorization: None,
            invite_token: None,
        };
        registration.signature = self.key.sign(&registration.signed(SERVICE)).unwrap();
        registration
    }

    pub async fn log_in(&self) -> Token {
        let challenge = answered!(Challenge, self.place.call(Call::Challenge(Nothing), None).await).bytes;
        let signed = Login::signed(SERVICE, self.account, self.device, &challenge);
        let signature = self.key.sign(&signed).unwrap();
        let login = Login { account: self.account, device: self.device, challenge, signature };
        answered!(Login, self.place.call(Call::Login(login), None).await)
    }

    pub async fn create_group(&mut self, token: &Token) {
        self.actor.create();
        let group_info = self.actor.group_info(false);
        let ratchet_tree = self.actor.group().ratchet_tree().unwrap();
        let (request, proof) = (self.request(), self.proof());
        let mut request = CreateRequest { request, key: key(), group_info, ratchet_tree, proof };
        request.proof.signature = self.sign(&request.signed(SERVICE));
        answered!(CreateGroup, self.place.call(Call::CreateGroup(request), Some(&token.bytes)).await);
    }

    pub fn commit(&mut self, plan: CommitPlan<'_>, recipients: Vec<Recipient>) -> (CommitId, CommitRequest) {
        let (id, commit) = self.actor.commit_with(plan, &Answers::none()).unwrap();
        let request = self.request();
        let Actor { group, signer, random, .. } = &mut self.actor;
        let group = group.as_ref().unwrap();
        let group_info = group.group_info_after(&id, INFO, signer, random).unwrap();
        let welcome = group.welcomes_after(&id).unwrap().pop();
        let (group_id, epoch) = (group.group_id().to_vec(), group.epoch());
        let admission = self.member();
        let mut request = CommitRequest {
            request,
            group_id,
            key: key(),
            epoch,
            commit,
            group_info,
            welcome,
            recipients,
            admission,
        };
        let signature = self.sign(&request.signed(SERVICE));
        request.admission.set_signature(signature);
        (id, request)
    }

    /// Sends a commit that wins, and applies it.
    pub async fn commit_now(&mut self, plan: CommitPlan<'_>, recipients: Vec<Recipient>) -> u64 {
        use hushwood_delivery::wire::CommitAnswer;
        let (id, request) = self.commit(plan, recipients);
        let answer = answered!(Commit, self.place.call(Call::Commit(request), None).await);
        let CommitAnswer::Accepted(sequence) = answer else { panic!("{answer:?}") };
        self.actor.apply(&id).unwrap();
        self.read = sequence;
        sequence
    }

    pub async fn invite(&mut self, token: &Token, name: &str) -> u64 {
        let claim = Call::Claim(ClaimRequest { name: name.as_bytes().to_vec(), suite: 1 });
        let claimed = answered!(Claim, self.place.call(claim, Some(&token.bytes)).await);
        let (mut recipients, mut proposals) = (Vec::new(), Vec::new());
        for claimed in claimed.packages {
            let valid = self.actor.validate(&claimed.message).unwrap();
            proposals.push(NewProposal::Add(Box::new(valid)));
            recipients.push(Recipient { account: claimed.account, device: claimed.device });
        }
        self.commit_now(CommitPlan { proposals, ..CommitPlan::default() }, recipients).await
    }

    pub async fn inbox(&self, token: &Token) -> Vec<WelcomeEntry> {
        answered!(Inbox, self.place.call(Call::Inbox(InboxRequest::default()), Some(&token.bytes)).await)
            .welcomes
    }

    pub async fn join(&mut self, token: &Token) {
        // It is carried to the inbox after the commit has been answered.
        until("a Welcome", || async { !self.inbox(token).await.is_empty() }).await;
        let inbox = self.inbox(token).await;
        let Actor { store, provider, policy, .. } = &self.actor;
        let opened = OpenedWelcome::open(&inbox[0].message, store, provider, policy).unwrap();
        let group_info = opened.group_info(&Answers::none(), None).unwrap();
        let context = group_info.inspect().group_context.clone();
        let (group_id, epoch, tree_hash) = (context.group_id, context.epoch, context.tree_hash);
        let tree = Call::Tree(TreeRequest { group_id, key: key(), epoch, tree_hash });
        let there = answered!(Tree, self.place.call(tree, None).await);
        self.actor.join(&inbox[0].message, Some(&there.ratchet_tree)).unwrap();
        self.read = there.sequence;
        let ids = vec![WelcomeId(inbox[0].id)];
        let acknowledge = Call::Acknowledge(AcknowledgeRequest { ids });
        answered!(Acknowledge, self.place.call(acknowledge, Some(&token.bytes)).await);
    }

    pub async fn group_info(&self) -> GroupInfoAnswer {
        let (group_id, admission) = (self.group_id(), self.member());
        let mut request = GroupInfoRequest { group_id, key: key(), admission };
        let signature = self.sign(&request.signed(SERVICE));
        request.admission.set_signature(signature);
        answered!(GroupInfo, self.place.call(Call::GroupInfo(request), None).await)
    }

    pub fn head_request(&self) -> HeadRequest {
        let (group_id, admission) = (self.group_id(), self.member());
        let mut request = HeadRequest { group_id, key: key(), admission };
        let signature = self.sign(&request.signed(SERVICE));
        request.admission.set_signature(signature);
        request
    }

    pub fn group_id(&self) -> Vec<u8> {
        self.actor.group().group_id().to_vec()
    }

    fn request(&mut self) -> [u8; 32] {
        let mut id = [0; 32];
        self.actor.random.fill(&mut id).unwrap();
        id
    }

    fn proof(&self) -> MemberProof {
        MemberProof { leaf_index: self.actor.leaf().number(), at: NOW.0, signature: Vec::new() }
    }

    fn member(&self) -> Admission {
        Admission::Member(self.proof())
    }

    fn sign(&self, content: &[u8]) -> Vec<u8> {
        sign_with_label(&self.actor.signer, REQUEST_LABEL, content).unwrap()
    }

    pub fn send_request(&mut self, text: &[u8]) -> SendRequest {
        let message = self.actor.send(text).unwrap();
        let (request, group_id, admission) = (self.request(), self.group_id(), self.member());
        let mut send = SendRequest { request, group_id, key: key(), message, admission };
        let signature = self.sign(&send.signed(SERVICE));
        send.admission.set_signature(signature);
        send
    }

    /// Sends a message and gives its number.
    pub async fn send(&mut self, text: &[u8]) -> u64 {
        use hushwood_delivery::wire::SendAnswer;
        let send = self.send_request(text);
        let answer = answered!(Send, self.place.call(Call::Send(send), None).await);
        let SendAnswer::Accepted(sequence) = answer else { panic!("{answer:?}") };
        sequence
    }

    pub fn read_request(&self, after: u64) -> ReadRequest {
        let (group_id, proof) = (self.group_id(), self.proof());
        let mut read = ReadRequest { group_id, key: key(), after, most: 100, proof };
        read.proof.signature = self.sign(&read.signed(SERVICE));
        read
    }

    pub fn subscribe(&self, number: u32, after: u64) -> Subscribe {
        let (group_id, proof) = (self.group_id(), self.proof());
        let mut subscribe = Subscribe { number, group_id, key: key(), after, proof };
        subscribe.proof.signature = self.sign(&subscribe.signed(SERVICE));
        subscribe
    }

    /// Takes an entry of the log, and gives its text if it has one.
    pub fn take(&mut self, entry: &LogEntry) -> Option<Vec<u8>> {
        assert_eq!(entry.sequence, self.read + 1, "no gaps");
        self.read = entry.sequence;
        match self.actor.receive(&entry.message) {
            Ok(Outcome::Message(message)) => Some(message.plaintext.expose().to_vec()),
            _ => None,
        }
    }

    /// Reads on, and gives the texts.
    pub async fn sync(&mut self) -> Vec<Vec<u8>> {
        let read = Call::Read(self.read_request(self.read));
        let answer = answered!(Read, self.place.call(read, None).await);
        let ReadAnswer::Page(page) = answer else { panic!("{answer:?}") };
        page.entries.iter().filter_map(|entry| self.take(entry)).collect()
    }
}

/// Alice's group with Bob in it, and their tokens.
pub async fn two(place: Place) -> ((Person, Token), (Person, Token)) {
    let (mut alice, token) = Person::registered("alice", place).await;
    let (mut bob, bobs) = Person::registered("bob", place).await;
    alice.create_group(&token).await;
    assert_eq!(alice.invite(&token, "bob").await, 1);
    bob.join(&bobs).await;
    ((alice, token), (bob, bobs))
}
