//! People with real groups: who makes one, who is in it, and what each of them asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64ct::{Base64UrlUnpadded, Encoding};
use hushwood::commit::Answers;
use hushwood::group::{CommitPlan, GroupInfoOptions, NewProposal};
use hushwood::policy::Timestamp;
use hushwood_crypto::{CipherSuiteId, Signer, SoftwareSigner, sign_with_label};
use hushwood_delivery::wire::{
    Admission, Answer, Call, CallKind, ClientFrame, CommitRequest, CreateRequest, GroupKey, Login,
    MemberProof, Nothing, REQUEST_LABEL, ReadRequest, Registration, SendRequest, Subscribe,
};
use hyper::body::Bytes;
use test_support::actor::Actor;

use crate::net::Link;

/// The name that the service is given.
pub const SERVICE: &str = "localhost";

const SUITE: CipherSuiteId = CipherSuiteId(1);

/// The clock, in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Somebody who is nobody else in this run.
fn actor(name: &str) -> Actor {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let seed = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut actor = Actor::new(&format!("{name}{seed:08}"), hushwood_aws_lc::PROVIDER, SUITE, seed);
    actor.now = Timestamp(now());
    actor.reload = false;
    actor.policy.encrypt_handshakes = false;
    actor.policy.ratchet_tree_extension = false;
    actor
}

/// Somebody with an account, who brings groups to the service.
pub struct Founder {
    link: Link,
    token: String,
}

/// What the call's answer has.
macro_rules! answered {
    ($kind:ident, $answer:expr) => {
        match $answer? {
            Ok(Answer::$kind(answer)) => answer,
            Ok(other) => bail!("{other:?} is no answer to this"),
            Err(refused) => bail!("{refused}"),
        }
    };
}

impl Founder {
    /// Makes an account.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn new(mut link: Link) -> Result<Self> {
        let mut person = actor("founder");
        let (account, device) = (bytes(&mut person), bytes(&mut person));
        let key = SoftwareSigner::generate(person.suite, &mut person.random)?;
        let challenge = something_to_sign(&mut link).await?;
        let mut registration = Registration {
            account,
            name: person.name.clone().into_bytes(),
            device,
            key: key.public_key().0.clone(),
            challenge,
            signature: Vec::new(),
            authorization: None,
            invite_token: None,
        };
        registration.signature = key.sign(&registration.signed(SERVICE))?;
        let body = Call::Register(registration).to_body()?.into();
        answered!(Register, link.call(CallKind::Register, body, None).await);
        let challenge = something_to_sign(&mut link).await?;
        let signature = key.sign(&Login::signed(SERVICE, account, device, &challenge))?;
        let body = Call::Login(Login { account, device, challenge, signature }).to_body()?.into();
        let token = answered!(Login, link.call(CallKind::Login, body, None).await);
        Ok(Self { link, token: Base64UrlUnpadded::encode_string(&token.bytes) })
    }

    /// What shows that it is this account.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Brings a group.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn bring(&mut self, author: &mut Author) -> Result<()> {
        let body = author.create()?;
        answered!(CreateGroup, self.link.call(CallKind::CreateGroup, body, Some(&self.token)).await);
        Ok(())
    }

    /// Brings many, by as many accounts as may bring so many.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn bring_all<'a>(link: &Link, authors: impl Iterator<Item = &'a mut Author>) -> Result<()> {
        /// An account may bring a hundred at once.
        const GROUPS: usize = 90;
        let mut founder = None;
        for (number, author) in authors.enumerate() {
            if number.is_multiple_of(GROUPS) {
                founder = Some(Self::new(link.clone()).await?);
            }
            founder.as_mut().context("no account")?.bring(author).await?;
        }
        Ok(())
    }
}

async fn something_to_sign(link: &mut Link) -> Result<Vec<u8>> {
    let body = Call::Challenge(Nothing).to_body()?.into();
    Ok(answered!(Challenge, link.call(CallKind::Challenge, body, None).await).bytes)
}

fn bytes<const N: usize>(person: &mut Actor) -> [u8; N] {
    person.random.bytes(N).try_into().unwrap_or([0; N])
}

/// Who writes in a group, and has made it.
pub struct Author {
    actor: Actor,
    key: GroupKey,
    group_id: Vec<u8>,
}

/// Somebody else in it.
pub struct Reader {
    signer: SoftwareSigner,
    leaf: u32,
    key: GroupKey,
    group_id: Vec<u8>,
}

impl Author {
    /// A group with so many others in it, which the service does not know yet.
    ///
    /// # Errors
    /// Of the protocol.
    pub fn new(others: usize) -> Result<(Self, Vec<Reader>)> {
        let mut author = actor("author");
        author.create();
        let key = GroupKey::new(bytes(&mut author));
        let group_id = author.group().group_id().to_vec();
        let (mut proposals, mut readers) = (Vec::with_capacity(others), Vec::with_capacity(others));
        for number in 0..others {
            let mut other = actor("reader");
            let package = author.validate(&other.key_package())?;
            proposals.push(NewProposal::Add(Box::new(package)));
            // An empty tree is filled from the left.
            let leaf = u32::try_from(number)?.saturating_add(1);
            readers.push(Reader { signer: other.signer, leaf, key: key.clone(), group_id: group_id.clone() });
        }
        let plan = CommitPlan { proposals, ..CommitPlan::default() };
        let (id, _) = author.commit(plan)?;
        author.apply(&id)?;
        Ok((Self { actor: author, key, group_id }, readers))
    }

    /// The body of the request that brings the group.
    fn create(&mut self) -> Result<Bytes> {
        let group_info = self.actor.group_info(false);
        let ratchet_tree = self.actor.group().ratchet_tree()?;
        let (request, proof) = (bytes(&mut self.actor), self.proof());
        let mut create = CreateRequest { request, key: self.key.clone(), group_info, ratchet_tree, proof };
        create.proof.signature = self.sign(&create.signed(SERVICE))?;
        Ok(Call::CreateGroup(create).to_body()?.into())
    }

    /// The body of a request that sends a message with a text of so many bytes.
    ///
    /// # Errors
    /// Of the protocol.
    pub fn message(&mut self, text: usize) -> Result<Bytes> {
        let message = self.actor.send(&vec![b'.'; text])?;
        let (request, group_id) = (bytes(&mut self.actor), self.group_id.clone());
        let admission = Admission::Member(self.proof());
        let mut send = SendRequest { request, group_id, key: self.key.clone(), message, admission };
        let signature = self.sign(&send.signed(SERVICE))?;
        send.admission.set_signature(signature);
        Ok(Call::Send(send).to_body()?.into())
    }

    /// The body of a request with a commit that renews the author's keys. Here it counts as accepted.
    ///
    /// # Errors
    /// Of the protocol.
    pub fn commit(&mut self) -> Result<Bytes> {
        let (id, commit) = self.actor.commit_with(CommitPlan::default(), &Answers::none())?;
        let (request, admission) = (bytes(&mut self.actor), Admission::Member(self.proof()));
        let Actor { group, signer, random, .. } = &mut self.actor;
        let group = group.as_ref().context("no group")?;
        let options = GroupInfoOptions { ratchet_tree: false, external_pub: true };
        let group_info = group.group_info_after(&id, options, signer, random)?;
        let mut commit = CommitRequest {
            request,
            group_id: self.group_id.clone(),
            key: self.key.clone(),
            epoch: group.epoch(),
            commit,
            group_info,
            welcome: None,
            recipients: Vec::new(),
            admission,
        };
        let signature = self.sign(&commit.signed(SERVICE))?;
        commit.admission.set_signature(signature);
        self.actor.apply(&id)?;
        Ok(Call::Commit(commit).to_body()?.into())
    }

    fn proof(&self) -> MemberProof {
        MemberProof { leaf_index: self.actor.leaf().number(), at: now(), signature: Vec::new() }
    }

    fn sign(&self, content: &[u8]) -> Result<Vec<u8>> {
        Ok(sign_with_label(&self.actor.signer, REQUEST_LABEL, content)?)
    }
}

impl Reader {
    /// What opens the log for it, from the beginning.
    ///
    /// # Errors
    /// If it can't sign.
    pub fn subscribe(&self, number: u32) -> Result<ClientFrame> {
        let (group_id, key, proof) = (self.group_id.clone(), self.key.clone(), self.proof());
        let mut subscribe = Subscribe { number, group_id, key, after: 0, proof };
        subscribe.proof.signature = self.sign(&subscribe.signed(SERVICE))?;
        Ok(ClientFrame::Subscribe(subscribe))
    }

    /// The body of a request for the log from the beginning.
    ///
    /// # Errors
    /// If it can't sign.
    pub fn read(&self) -> Result<Bytes> {
        let (group_id, key, proof) = (self.group_id.clone(), self.key.clone(), self.proof());
        let mut read = ReadRequest { group_id, key, after: 0, most: 100, proof };
        read.proof.signature = self.sign(&read.signed(SERVICE))?;
        Ok(Call::Read(read).to_body()?.into())
    }

    fn proof(&self) -> MemberProof {
        MemberProof { leaf_index: self.leaf, at: now(), signature: Vec::new() }
    }

    fn sign(&self, content: &[u8]) -> Result<Vec<u8>> {
        Ok(sign_with_label(&self.signer, REQUEST_LABEL, content)?)
    }
}

#[cfg(test)]
mod tests {
    use hushwood::tree::LeafIndex;

    use super::*;

    #[test]
    fn readers_are_where_they_say_they_are() {
        let (author, readers) = Author::new(5).unwrap();
        assert_eq!(readers.len(), 5);
        for reader in &readers {
            let leaf = author.actor.group().tree().leaf(LeafIndex::new(reader.leaf)).unwrap().unwrap();
            assert_eq!(&leaf.signature_key, reader.signer.public_key());
        }
    }
}
