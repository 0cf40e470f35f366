//! One member of the demo: a home on disk, and what the group looks like from there.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use hushwood::commit::Answers;
use hushwood::credential::{Claim, CredentialCheck, CredentialValidator, Verdict, judge};
use hushwood::error::{ApiMisuse, Error};
use hushwood::framing::MlsMessage;
use hushwood::group::{
    CommitPlan, CommitStaged, EpochChange, ExternalJoin, Group, GroupInfoOptions, NewGroup, NewProposal,
    OpenedWelcome, Received, StagedExternalJoin, Status, client,
};
use hushwood::key_package::{self, KeyPackageBuilder, ValidKeyPackage};
use hushwood::policy::Policy;
use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, Secret, SoftwareSigner};
use hushwood_store::Unlock;

use crate::failure::Failure;
use crate::home::Home;
use crate::identity::Identity;
use crate::room::credential_name;
use crate::system::{OsRandom, PROVIDER};
use crate::text;

/// Who is who, known to all: what an authentication service would say (RFC 9750 §4).
#[derive(Clone, Debug, Default)]
pub(super) struct Directory(Vec<Claim>);

impl Directory {
    pub(super) fn enter(&mut self, identity: &Identity) {
        self.0.extend(identity.claims());
    }
}

impl CredentialValidator for Directory {
    fn judge(&self, check: &CredentialCheck) -> Verdict {
        if self.0.contains(&check.new) { Verdict::Accept } else { Verdict::Refuse }
    }
}

/// A member, with the messages that wait for it.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) home: Home,
    pub(super) identity: Identity,
    group: Option<Group>,
    pub(super) mailbox: VecDeque<Vec<u8>>,
    pub(super) online: bool,
}

/// What a message told a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    Said { from: String, text: String },
    Change(EpochChange),
}

impl Member {
    /// A member with a fresh home.
    pub(super) fn new(name: &'static str, folder: &Path) -> Result<Self, Failure> {
        let mut home = Home::create_in(&folder.join(name), &passphrase(name))?;
        let identity = Identity::generate(name)?;
        let mut rows = home.begin()?;
        identity.put(&mut rows)?;
        home.write(rows)?;
        Ok(Self { name, home, identity, group: None, mailbox: VecDeque::new(), online: true })
    }

    /// Ends this member's program and starts it again: all that is left is what is on disk.
    pub(super) fn restart(
        self,
        meanwhile: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let Self { name, home, mailbox, online, group, .. } = self;
        let path: PathBuf = home.path.clone();
        let instance = group.map(|group| group.instance());
        home.close()?;
        meanwhile(&path)?;
        let home = Home::open_in(&path, &passphrase(name))?;
        let identity = Identity::load(&home)?;
        let group = instance.map(|instance| Group::open(&home.store, PROVIDER, instance)).transpose()?;
        Ok(Self { name, home, identity, group, mailbox, online })
    }

    pub(super) fn group(&self) -> Result<&Group, Failure> {
        Ok(self.group.as_ref().ok_or(Error::from(ApiMisuse::NoSuchRecord))?)
    }

    /// Whether messages of the group go to it.
    pub(super) fn is_in_group(&self) -> bool {
        self.group.as_ref().is_some_and(|group| !matches!(group.status(), Status::Removed))
    }

    fn parts(&mut self) -> Result<(&mut Home, &mut Group, &Identity), Failure> {
        let group = self.group.as_mut().ok_or(Error::from(ApiMisuse::NoSuchRecord))?;
        Ok((&mut self.home, group, &self.identity))
    }

    fn signer(&self, suite: &dyn CipherSuite) -> Result<&SoftwareSigner, Failure> {
        self.identity.signer(suite)
    }

    pub(super) fn key_package(
        &mut self,
        suite: &'static dyn CipherSuite,
    ) -> Result<ValidKeyPackage, Failure> {
        let builder = KeyPackageBuilder::new(suite, self.identity.leaf_content());
        let (policy, now) = (Policy::default(), text::now());
        let new = builder.build(self.signer(suite)?, &policy, now, &mut OsRandom)?;
        let message = self.home.commit(client::keep_key_package(new)?)?;
        let MlsMessage::KeyPackage(package) = MlsMessage::from_bytes(&message).map_err(Error::from)? else {
            return Err(Error::Bug("a key package came out as something else").into());
        };
        Ok(key_package::validate(*package, suite, &policy, now)?)
    }

    pub(super) fn create(&mut self, suite: &'static dyn CipherSuite) -> Result<(), Failure> {
        let content = self.identity.leaf_content();
        let new = NewGroup::new(suite, content.credential, content.supported.preferring(suite.id()));
        let step = Group::create(new, self.signer(suite)?, text::now(), &mut OsRandom)?;
        self.group = Some(self.home.commit(step)?);
        Ok(())
    }

    /// A commit to be sent; [`apply`](Self::apply) it when it is.
    pub(super) fn commit(&mut self, proposals: Vec<NewProposal<'static>>) -> Result<CommitStaged, Failure> {
        let (home, group, identity) = self.parts()?;
        let plan = CommitPlan { proposals, ..CommitPlan::default() };
        let signer = identity.signer(group.suite())?;
        let step = group.commit(plan, &Answers::none(), signer, text::now(), &mut OsRandom)?;
        home.commit(step)
    }

    pub(super) fn apply(&mut self, staged: &CommitStaged) -> Result<EpochChange, Failure> {
        let (home, group, _) = self.parts()?;
        let change = home.commit(group.apply(&staged.id, text::now())?)?;
        let sent = change.welcomes.iter().map(|welcome| welcome.id).chain([staged.outgoing.id]);
        for id in sent.collect::<Vec<_>>() {
            home.commit(group.acknowledge(&id)?)?;
        }
        Ok(change)
    }

    pub(super) fn join(&mut self, welcome: &[u8], directory: &Directory) -> Result<(), Failure> {
        let opened = OpenedWelcome::open(welcome, &self.home.store, PROVIDER, &Policy::default())?;
        let staged = opened.stage(&Answers::none(), None, None, text::now(), &mut OsRandom)?;
        let verdicts = judge(staged.checks(), directory);
        let step = staged.accept(&verdicts, &self.home.store, &mut OsRandom)?;
        self.group = Some(self.home.commit(step)?);
        Ok(())
    }

    pub(super) fn group_info(&self) -> Result<Vec<u8>, Failure> {
        let group = self.group()?;
        let signer = self.signer(group.suite())?;
        Ok(group.group_info(GroupInfoOptions::default(), signer, &mut OsRandom)?)
    }

    /// Lets itself in; gives the commit for the members.
    pub(super) fn join_from_outside(
        &mut self,
        info: &[u8],
        directory: &Directory,
    ) -> Result<Vec<u8>, Failure> {
        let content = self.identity.leaf_content();
        let settings = ExternalJoin::new(*PROVIDER, content.credential, content.supported);
        let MlsMessage::GroupInfo(parsed) = MlsMessage::from_bytes(info).map_err(Error::from)? else {
            return Err(Error::Bug("a group info came out as something else").into());
        };
        let suite = crate::session::suite(parsed.inspect().group_context.cipher_suite)?;
        let signer = self.identity.signer(suite)?;
        let staged = StagedExternalJoin::stage(info, None, settings, signer, text::now(), &mut OsRandom)?;
        let verdicts = judge(staged.checks(), directory);
        let step = staged.accept(&verdicts, &self.home.store, &mut OsRandom)?;
        let (mut group, outgoing) = self.home.commit(step)?;
        self.home.commit(group.acknowledge(&outgoing.id)?)?;
        self.group = Some(group);
        Ok(outgoing.message)
    }

    pub(super) fn say(&mut self, words: &str) -> Result<Vec<u8>, Failure> {
        let (home, group, identity) = self.parts()?;
        let signer = identity.signer(group.suite())?;
        let outgoing = home.commit(group.encrypt(words.as_bytes(), b"", signer, &mut OsRandom)?)?;
        home.commit(group.acknowledge(&outgoing.id)?)?;
        Ok(outgoing.message)
    }

    pub(super) fn receive(&mut self, message: &[u8], directory: &Directory) -> Result<Heard, Failure> {
        let now = text::now();
        let (home, group, _) = self.parts()?;
        match group.receive(message, now)? {
            Received::Message(received) => {
                let said = home.commit(group.accept_message(received)?)?;
                let text = String::from_utf8_lossy(said.plaintext.expose()).into_owned();
                home.commit(group.acknowledge(&said.id)?)?;
                Ok(Heard::Said { from: credential_name(&said.credential), text })
            }
            Received::Commit(commit) => {
                let staged = group.stage_commit(&commit, &Answers::none(), now, &mut OsRandom)?;
                let verdicts = judge(staged.checks(), directory);
                Ok(Heard::Change(home.commit(group.accept_commit(staged, &verdicts, now)?)?))
            }
            Received::Proposal(_) | Received::OwnCommit(_) | Received::OwnProposal(_) => {
                Err(Error::Bug("the demo has no such messages").into())
            }
        }
    }
}

/// What opens a member's home.
pub(super) fn passphrase(name: &str) -> Unlock {
    Unlock::Passphrase(Secret::copy_of(name.as_bytes()))
}
