//! The end of all faults: everything is delivered, who can't follow joins again, and all must agree.

use hushwood::group::{CommitPlan, Group, Status};
use hushwood_crypto::SoftwareSigner;

use crate::checks::{Check, Facts, Failure};
use crate::client::{Character, Client, Dice};
use crate::world::World;

/// Larger groups have one member say something at the end, smaller ones all.
const TALKATIVE: usize = 12;
/// How often somebody tries to join again.
const TRIES: u32 = 3;
/// What is done while healing has numbers like actions, from this one on.
const FIRST: u64 = 1 << 63;

impl World {
    /// Ends all faults, and brings all together.
    ///
    /// # Errors
    /// [`Check::Healing`], and whatever else is found on the way.
    pub fn heal(&mut self) -> Result<(), Failure> {
        self.healing = true;
        for client in &mut self.clients {
            client.core.fault = None;
        }
        for room in 0..self.rooms.len() {
            self.rooms[room].fork = false;
            self.heal_room(room)?;
            self.check_touched()?;
        }
        self.check_all()
    }

    /// A number that nothing else has, so that nothing is done with the same randomness.
    fn next_number(&mut self) -> u64 {
        self.healed += 1;
        FIRST | self.healed
    }

    /// The seats that have to come together.
    fn living(&self, room: usize) -> Vec<(usize, usize)> {
        let mut living = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            let honest = client.character == Character::Honest && client.twin_of.is_none();
            let seat = client.seats.iter().rposition(|seat| seat.room == room && !seat.over);
            if let Some(seat) = seat.filter(|_| honest) {
                living.push((number, seat));
            }
        }
        living
    }

    fn heal_room(&mut self, room: usize) -> Result<(), Failure> {
        for (client, seat) in self.living(room) {
            let number = self.next_number();
            self.ready(client, seat, number)?;
            if !self.clients[client].seats[seat].over {
                self.send(client, seat)?;
            }
        }
        self.all_catch_up(room)?;
        if self.rooms[room].branches[0].ended || self.rooms[room].replaced || !self.find_head(room) {
            // Reinitialised: there is nothing to come back to. Or nobody is left.
            return Ok(());
        }
        self.all_rejoin(room)?;
        self.all_catch_up(room)?;
        let Some((first, _)) = self.living(room).first().copied() else { return Ok(()) };
        self.commit_at_last(room, first)?;
        self.all_catch_up(room)?;
        if !self.rooms[room].branches[0].ended {
            // Who lacks a key that this commit has used.
            self.all_rejoin(room)?;
            self.all_catch_up(room)?;
        }
        self.all_talk(room)?;
        self.agreed(room)
    }

    fn all_catch_up(&mut self, room: usize) -> Result<(), Failure> {
        for (client, seat) in self.living(room) {
            self.catch_up(client, seat)?;
        }
        Ok(())
    }

    /// Delivers everything to a member, in order, and then the commits that it lacks.
    fn catch_up(&mut self, client: usize, seat: usize) -> Result<(), Failure> {
        let number = self.next_number();
        self.ready(client, seat, number)?;
        let room = self.clients[client].seats[seat].room;
        loop {
            let own = &mut self.clients[client].seats[seat];
            if own.over || own.group.is_none() {
                return Ok(());
            }
            let lineage = own.lineage;
            let mut places = std::mem::take(&mut own.aside);
            places.extend(own.cursor..self.rooms[room].log.len());
            own.cursor = self.rooms[room].log.len();
            places.sort_unstable();
            for place in places {
                let own = &self.clients[client].seats[seat];
                let entry = &self.rooms[room].log[place];
                let is_commit = matches!(entry.what, crate::delivery::What::Commit(_));
                if !own.over && (!is_commit || entry.branch == own.branch) {
                    self.receive_entry(client, seat, place)?;
                }
            }
            let own = &self.clients[client].seats[seat];
            if let Some(place) = self.rooms[room].next_commit(own.branch, own.lineage).filter(|_| !own.over) {
                self.receive_entry(client, seat, place)?;
            }
            if self.clients[client].seats[seat].lineage == lineage {
                return Ok(());
            }
        }
    }

    fn is_at_head(&self, room: usize, (client, seat): (usize, usize)) -> bool {
        let own = &self.clients[client].seats[seat];
        let group = own.group.as_ref();
        let active = group.is_some_and(|group| *group.status() == Status::Active);
        own.is_live() && active && own.branch == 0 && self.rooms[room].is_head(own.lineage)
    }

    /// Where nobody is at the newest epoch, those who have come furthest are where the group goes on.
    fn find_head(&mut self, room: usize) -> bool {
        let living = self.living(room);
        if living.iter().any(|seat| self.is_at_head(room, *seat)) {
            return true;
        }
        let furthest = living.into_iter().filter(|(client, seat)| {
            let own = &self.clients[*client].seats[*seat];
            own.group.as_ref().is_some_and(|group| *group.status() == Status::Active) && !own.stuck
        });
        let furthest = furthest.max_by_key(|(client, seat)| {
            let client = &self.clients[*client];
            let epoch = client.seats[*seat].group.as_ref().map(Group::epoch);
            (client.is_trusted(), epoch)
        });
        let Some((client, seat)) = furthest else { return false };
        let own = &mut self.clients[client].seats[seat];
        let branch = &mut self.rooms[room].branches[0];
        own.branch = 0;
        (branch.head, branch.parent, branch.ended) = (own.lineage, own.lineage, false);
        branch.commits.remove(&own.lineage);
        true
    }

    fn all_rejoin(&mut self, room: usize) -> Result<(), Failure> {
        let Some(mut giver) = self.living(room).into_iter().find(|seat| self.is_at_head(room, *seat)) else {
            return Err(Failure::new(Check::Healing, "nobody is at the newest epoch"));
        };
        for (client, seat) in self.living(room) {
            if self.is_at_head(room, (client, seat)) || client == giver.0 {
                continue;
            }
            // It may be that it only did not know yet of those who came before it.
            self.catch_up(client, seat)?;
            if self.clients[client].seats[seat].over || self.is_at_head(room, (client, seat)) {
                continue;
            }
            let mut joined = false;
            for attempt in 0..TRIES {
                let number = self.next_number();
                if attempt > 0 {
                    let mut dice = Dice::new(self.config.seed ^ 9, number);
                    let core = &mut self.clients[client].core;
                    let signer = SoftwareSigner::generate(self.provider.suites[0], &mut dice);
                    core.signers.push(signer.expect("the dice do not fail"));
                }
                joined = self.join_with(client, room, giver, number, 1)?;
                if joined {
                    break;
                }
            }
            let seat = self.clients[client].seat_in(room);
            let Some(seat) = seat.filter(|_| joined) else {
                let what = format!("client {client} can't join again");
                return Err(Failure::new(Check::Healing, what));
            };
            giver = (client, seat);
        }
        Ok(())
    }

    /// One more epoch, which covers what waits.
    fn commit_at_last(&mut self, room: usize, client: usize) -> Result<(), Failure> {
        let Some(seat) = self.clients[client].seat_in(room) else { return Ok(()) };
        let number = self.next_number();
        self.ready(client, seat, number)?;
        self.commit(client, seat, CommitPlan::default())?;
        self.send(client, seat)?;
        self.settle(client, seat, 0)?;
        self.send(client, seat)
    }

    /// Everybody says something, and everybody reads it.
    fn all_talk(&mut self, room: usize) -> Result<(), Failure> {
        let living = self.living(room);
        let talking = if living.len() <= TALKATIVE { living.len() } else { 1 };
        let first = self.said.len();
        for (client, seat) in living.iter().take(talking) {
            let number = self.next_number();
            self.ready(*client, *seat, number)?;
            self.say(*client, *seat, 5)?;
            self.send(*client, *seat)?;
        }
        self.all_catch_up(room)?;
        for number in first..self.said.len() {
            let number = u64::try_from(number).expect("a number");
            for (client, seat) in &living {
                let said = self.said[usize::try_from(number).expect("a number")].client;
                let reader: &Client = &self.clients[*client];
                if said != *client
                    && !reader.seats[*seat].over
                    && !reader.seats[*seat].opened.contains(&number)
                {
                    let what = format!(
                        "client {client} has not got message {number}, the last that client {said} said"
                    );
                    return Err(Failure::new(Check::Healing, what));
                }
            }
        }
        Ok(())
    }

    /// All are in one epoch.
    fn agreed(&mut self, room: usize) -> Result<(), Failure> {
        let mut common: Option<Facts> = None;
        for (client, seat) in self.living(room) {
            let own = &self.clients[client].seats[seat];
            let facts = own.group.as_ref().and_then(Facts::of);
            // It may be that the last commit has ended the group.
            let there = own.is_live() && self.rooms[room].is_head(own.lineage);
            if !there || common.is_some() && common != facts {
                let what = format!("client {client} is elsewhere: {:?}", own.group);
                return Err(Failure::new(Check::Healing, what));
            }
            common = facts;
            self.totals.healed += 1;
        }
        Ok(())
    }
}
