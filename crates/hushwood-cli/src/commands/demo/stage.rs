//! The members, the wire between them, and what the audience is told.

use std::io::Write;
use std::path::{Path, PathBuf};

use hushwood::group::{CommitStaged, EpochChange, NewProposal};
use serde_json::{Map, Value};

use crate::commands::demo::member::{Directory, Heard, Member};
use crate::commands::demo::wire::Wire;
use crate::failure::Failure;
use crate::output::{Output, Report};

/// Where the demo plays.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    output: Output,
    pub(super) members: Vec<Member>,
    pub(super) directory: Directory,
    pub(super) wire: Wire,
    facts: Map<String, Value>,
    acts: usize,
}

impl Stage {
    pub(super) fn new(folder: &Path, output: Output) -> Self {
        Self {
            folder: folder.to_owned(),
            output,
            members: Vec::new(),
            directory: Directory::default(),
            wire: Wire::default(),
            facts: Map::new(),
            acts: 0,
        }
    }

    /// Begins an act.
    pub(super) fn act(&mut self, title: &str) {
        self.acts += 1;
        self.tell(format!("\n{}. {title}", self.acts));
    }

    /// Tells the audience, at once: this is to be watched.
    pub(super) fn tell(&self, line: impl AsRef<str>) {
        if !self.output.json {
            let mut stdout = std::io::stdout().lock();
            // An audience that has left misses the rest; the proofs are made all the same.
            let _ = writeln!(stdout, "{}", line.as_ref()).and_then(|()| stdout.flush());
        }
    }

    pub(super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// Ends the demo: what a program is told.
    pub(super) fn close(self) -> Report {
        self.facts.into_iter().fold(Report::new(), |report, (name, value)| report.fact(&name, value))
    }

    pub(super) fn enter(&mut self, name: &'static str) -> Result<(), Failure> {
        let member = Member::new(name, &self.folder)?;
        self.directory.enter(&member.identity);
        self.members.push(member);
        Ok(())
    }

    pub(super) fn member(&mut self, name: &str) -> Result<&mut Member, Failure> {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.ok_or_else(|| Failure::refused(format!("nobody on stage is called {name}")))
    }

    /// Takes a member off the stage, to put back another in its place.
    pub(super) fn take(&mut self, name: &str) -> Result<Member, Failure> {
        let place = self.members.iter().position(|member| member.name == name);
        let place = place.ok_or_else(|| Failure::refused(format!("nobody on stage is called {name}")))?;
        Ok(self.members.remove(place))
    }

    /// Sends a message to everybody else in the group.
    pub(super) fn post(&mut self, from: &str, message: &[u8]) {
        self.wire.carry(message);
        for member in self.members.iter_mut().filter(|member| member.name != from && member.is_in_group()) {
            member.mailbox.push_back(message.to_vec());
        }
    }

    /// Lets a member read what has come for it, in order.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<Heard>, Failure> {
        let directory = self.directory.clone();
        let member = self.member(name)?;
        let mut heard = Vec::new();
        while let Some(message) = member.mailbox.pop_front() {
            heard.push(member.receive(&message, &directory)?);
        }
        Ok(heard)
    }

    /// Everybody who is there reads; gives what each has heard.
    pub(super) fn everybody_reads(&mut self) -> Result<Vec<(&'static str, Heard)>, Failure> {
        let there: Vec<_> =
            self.members.iter().filter(|member| member.online).map(|member| member.name).collect();
        let mut heard = Vec::new();
        for name in there {
            heard.extend(self.read(name)?.into_iter().map(|what| (name, what)));
        }
        Ok(heard)
    }

    /// Somebody says something, everybody who is there reads it, and the audience sees who read what.
    pub(super) fn say(&mut self, from: &'static str, words: &str) -> Result<(), Failure> {
        let message = self.member(from)?.say(words)?;
        self.post(from, &message);
        let heard = self.everybody_reads()?;
        self.tell(format!("  {from} says: {words}"));
        self.tell_readers(&heard);
        Ok(())
    }

    /// Who read what: one line for each text.
    pub(super) fn tell_readers(&self, heard: &[(&'static str, Heard)]) {
        let mut texts: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for (reader, what) in heard {
            let Heard::Said { from, text } = what else { continue };
            match texts.iter_mut().find(|(f, t, _)| f == from && t == text) {
                Some((_, _, readers)) => readers.push(reader),
                None => texts.push((from, text, vec![reader])),
            }
        }
        for (from, text, readers) in texts {
            self.tell(format!("    {} read from {from}: {text}", readers.join(", ")));
        }
    }

    /// A commit: made, sent, followed by everybody who is there, applied, Welcomes opened.
    pub(super) fn commit(
        &mut self,
        committer: &'static str,
        proposals: Vec<NewProposal<'static>>,
        joiners: &[&'static str],
    ) -> Result<EpochChange, Failure> {
        let staged: CommitStaged = self.member(committer)?.commit(proposals)?;
        self.post(committer, &staged.outgoing.message);
        self.everybody_reads()?;
        let change = self.member(committer)?.apply(&staged)?;
        let directory = self.directory.clone();
        for welcome in &change.welcomes {
            self.wire.carry(&welcome.message);
            for joiner in joiners {
                self.member(joiner)?.join(&welcome.message, &directory)?;
            }
        }
        Ok(change)
    }
}
