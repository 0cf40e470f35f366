//! A group in which everybody has committed: Alice and Bob, in different halves of the tree, and thousands who are
//! there and say nothing. Newcomers get the leaf beside Bob's, and leave it again.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::library::{Change, Library, Member, Observer};
use crate::recorder::{Mode, Recorder};
use crate::scene::{Scene, Setting, TEXT, agree, enter};

pub(super) struct Merged<'a> {
    library: &'a dyn Library,
    setting: Setting<'a>,
    alice: Box<dyn Member>,
    bob: Box<dyn Member>,
    observer: Option<Box<dyn Observer>>,
    /// For the external commits, always the same.
    group_info: Vec<u8>,
    /// Where the tree is in this round: in the Welcome, or beside it.
    inside: bool,
}

impl<'a> Merged<'a> {
    pub(super) fn set(library: &'a dyn Library, setting: Setting<'a>, observed: bool) -> Result<Self> {
        let (mut alice, bob) = enter(library, setting, None)?;
        let group_info = match setting.group {
            Some(group) => group.group_info.clone(),
            None => alice.group_info()?,
        };
        let observer = if observed { alice.observer()? } else { None };
        Ok(Self { library, setting, alice, bob, observer, group_info, inside: true })
    }

    fn tidy(&mut self) -> Result<()> {
        self.alice.tidy()?;
        self.bob.tidy()
    }

    /// Alice's commit, applied by her and followed by Bob and the observer.
    fn spread(&mut self, commit: &[u8], process: &str, recorder: &mut Recorder) -> Result<Option<Vec<u8>>> {
        let welcome = recorder.measure("apply_own", || self.alice.apply())?;
        let watches = recorder.watches(process);
        if watches {
            self.bob.watch();
        }
        recorder.measure(process, || self.bob.process(commit))?;
        if watches {
            recorder.handed_over(process, self.bob.handed_over());
        }
        if let Some(observer) = &mut self.observer {
            recorder.measure("observe", || observer.follow(commit))?;
        }
        self.tidy()?;
        agree(&*self.alice, &*self.bob)?;
        Ok(welcome)
    }

    /// Some make a Welcome's content without anybody to be welcomed: it matters to them where the tree is.
    fn variant(&self, inside: &'static str, beside: &'static str) -> &'static str {
        if self.inside { inside } else { beside }
    }

    fn updates(&mut self, recorder: &mut Recorder) -> Result<()> {
        for _ in 0..3 {
            let update = self.variant("update_commit", "update_commit.beside");
            let commit = recorder.measure(update, || self.alice.commit(Change::Update))?;
            recorder.wire(update, commit.len());
            self.spread(&commit, "update_process", recorder)?;
        }
        Ok(())
    }

    /// Somebody comes, joins and goes: the leaf where that was.
    fn newcomer(&mut self, recorder: &mut Recorder) -> Result<u32> {
        let (add, join) = match self.inside {
            true => ("add_commit.inside", "join_merged"),
            false => ("add_commit", "join_merged.beside"),
        };
        let mut newcomer = self.library.member(self.setting.suite, "carol", None)?;
        let key_packages = [newcomer.key_package()?];
        self.tidy()?;
        let commit = recorder.measure(add, || self.alice.commit(Change::Add(&key_packages)))?;
        let welcome = self.spread(&commit, "add_process", recorder)?.context("no Welcome")?;
        let tree = if self.inside { None } else { Some(self.alice.ratchet_tree()?) };
        // The tree beside the Welcome is not made by the commit.
        recorder.wire(add, commit.len() + welcome.len());
        recorder.wire(join, welcome.len() + tree.as_ref().map_or(0, Vec::len));
        recorder.measure(join, || newcomer.join(&welcome, tree.as_deref()))?;
        agree(&*self.alice, &*newcomer)?;
        let leaf = newcomer.leaf()?;
        if let Mode::Heap(heap) = recorder.mode() {
            // What a group has that was joined and not opened lazily.
            let before = (heap.in_use)();
            newcomer.close();
            recorder.heap("memory", before.saturating_sub((heap.in_use)()) as u64);
            recorder.wire("memory", self.alice.ratchet_tree()?.len());
        }
        self.removal(leaf, recorder)?;
        Ok(leaf)
    }

    /// The same with nobody who joins: what an Add and a Remove cost where they are not the first thing after a long
    /// time with another tree.
    fn come_and_go(&mut self, leaf: u32, recorder: &mut Recorder) -> Result<()> {
        let add = self.variant("add_commit.inside", "add_commit");
        let key_packages = [self.library.member(self.setting.suite, "erin", None)?.key_package()?];
        let commit = recorder.measure(add, || self.alice.commit(Change::Add(&key_packages)))?;
        self.spread(&commit, "add_process", recorder)?;
        self.removal(leaf, recorder)
    }

    fn removal(&mut self, leaf: u32, recorder: &mut Recorder) -> Result<()> {
        let remove = self.variant("remove_commit", "remove_commit.beside");
        let commit = recorder.measure(remove, || self.alice.commit(Change::Remove(leaf)))?;
        recorder.wire(remove, commit.len());
        self.spread(&commit, "remove_process", recorder)?;
        Ok(())
    }

    /// Bob, who is beside the one that left, populates the blank parents.
    fn repair(&mut self) -> Result<()> {
        let commit = self.bob.commit(Change::Update)?;
        self.bob.apply()?;
        self.alice.process(&commit)?;
        if let Some(observer) = &mut self.observer {
            observer.follow(&commit)?;
        }
        self.tidy()
    }

    fn external_commit(&mut self, recorder: &mut Recorder) -> Result<()> {
        if !recorder.wants(&["external_commit"]) {
            return Ok(());
        }
        let mut member = self.library.member(self.setting.suite, "dave", None)?;
        let commit = recorder.measure("external_commit", || member.external_commit(&self.group_info))?;
        recorder.wire("external_commit", commit.len());
        Ok(())
    }

    fn messages(&mut self, recorder: &mut Recorder) -> Result<()> {
        if !recorder.wants(&["encrypt_1k", "decrypt_1k", "rate"]) {
            return Ok(());
        }
        let later = recorder.repetitions(30);
        for number in 0..=later {
            let (encrypt, decrypt) = match number {
                0 => ("encrypt_1k.first", "decrypt_1k.first"),
                _ => ("encrypt_1k", "decrypt_1k"),
            };
            self.tidy()?;
            let watches = recorder.watches(encrypt);
            if watches {
                self.alice.watch();
                self.bob.watch();
            }
            let message = recorder.measure(encrypt, || self.alice.encrypt(&TEXT))?;
            recorder.wire(encrypt, message.len());
            let text = recorder.measure(decrypt, || self.bob.decrypt(&message))?;
            if watches {
                recorder.handed_over(encrypt, self.alice.handed_over());
                recorder.handed_over(decrypt, self.bob.handed_over());
            }
            ensure!(text == TEXT, "another text");
        }
        self.rate(recorder)
    }

    /// Per message, of a row of them without anything between: sent by one, and read from one.
    fn rate(&mut self, recorder: &mut Recorder) -> Result<()> {
        if !recorder.wants(&["rate"]) || !matches!(recorder.mode(), Mode::Time) {
            return Ok(());
        }
        let mut messages = Vec::new();
        let started = Instant::now();
        for _ in 0..ROW {
            messages.push(self.alice.encrypt(&TEXT)?);
        }
        recorder.time("rate.send", started.elapsed() / ROW);
        let started = Instant::now();
        for message in &messages {
            self.bob.decrypt(message)?;
        }
        recorder.time("rate.read", started.elapsed() / ROW);
        self.tidy()?;
        // Both at once speak and listen.
        let started = Instant::now();
        for _ in 0..ROW / 2 {
            let message = self.alice.encrypt(&TEXT)?;
            self.bob.decrypt(&message)?;
            let answer = self.bob.encrypt(&TEXT)?;
            self.alice.decrypt(&answer)?;
        }
        recorder.time("rate", started.elapsed() / ROW);
        self.tidy()
    }
}

impl Scene for Merged<'_> {
    fn round(&mut self, recorder: &mut Recorder) -> Result<()> {
        self.external_commit(recorder)?;
        self.alice.tree_in_welcome(self.inside)?;
        let late = self.alice.encrypt(&TEXT)?;
        self.updates(recorder)?;
        self.messages(recorder)?;
        let leaf = self.newcomer(recorder)?;
        // Five commits later.
        if self.bob.past_epochs() < 5 {
            recorder.lacks("past_epochs", "keeps no past epochs unless configured");
        } else if recorder.wants(&["past_epochs"]) {
            let text = recorder.measure("past_epochs", || self.bob.decrypt(&late))?;
            ensure!(text == TEXT, "another text");
        }
        self.repair()?;
        for _ in 0..2 {
            self.come_and_go(leaf, recorder)?;
            self.repair()?;
        }
        self.inside = !self.inside;
        Ok(())
    }
}

const ROW: u32 = 100;
