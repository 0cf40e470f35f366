//! The merged group again, in which five members speak and Bob listens.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::library::{Change, Library, Member};
use crate::recorder::Recorder;
use crate::scene::{Scene, Setting, TEXT, agree, enter};

pub(super) struct Many {
    speakers: Vec<Box<dyn Member>>,
    bob: Box<dyn Member>,
}

impl Many {
    pub(super) fn set(library: &dyn Library, setting: Setting<'_>) -> Result<Self> {
        let (mut alice, mut bob) = enter(library, setting, None)?;
        let mut speakers = Vec::new();
        for name in ["carol", "dave", "erin", "frank"] {
            speakers.push(library.member(setting.suite, name, None)?);
        }
        let key_packages =
            speakers.iter_mut().map(|speaker| speaker.key_package()).collect::<Result<Vec<_>>>()?;
        let commit = alice.commit(Change::Add(&key_packages))?;
        let welcome = alice.apply()?.context("no Welcome")?;
        bob.process(&commit)?;
        for speaker in &mut speakers {
            speaker.join(&welcome, None)?;
            agree(&**speaker, &*bob)?;
        }
        speakers.push(alice);
        Ok(Self { speakers, bob })
    }
}

impl Scene for Many {
    fn round(&mut self, recorder: &mut Recorder) -> Result<()> {
        let mut messages = Vec::new();
        for _ in 0..TURNS {
            for speaker in &mut self.speakers {
                messages.push(speaker.encrypt(&TEXT)?);
            }
        }
        let started = Instant::now();
        for message in &messages {
            ensure!(self.bob.decrypt(message)? == TEXT, "another text");
        }
        recorder.time("rate.many", started.elapsed() / u32::try_from(messages.len())?);
        for speaker in &mut self.speakers {
            speaker.tidy()?;
        }
        self.bob.tidy()
    }
}

const TURNS: usize = 20;
