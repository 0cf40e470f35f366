//! The commands, one file each.

mod accept;
mod bot;
mod commit;
mod completions;
mod demo;
mod discard;
mod export;
mod group;
mod group_info;
mod identity;
mod inspect;
mod invite;
mod join;
mod key_package;
mod leave;
mod propose;
mod psk;
mod receive;
mod remove;
mod resend;
mod send;
mod serve;
mod successor;
mod trust;
mod update;
mod verify;

use clap::Subcommand;

use crate::args::{Cli, Global};
use crate::failure::Failure;
use crate::output::Output;

/// The commands, in the order in which they are needed.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Identity(identity::IdentityCommand),
    KeyPackage(key_package::KeyPackageCommand),
    Group(group::GroupCommand),
    Invite(invite::Invite),
    Join(join::Join),
    Accept(accept::Accept),
    Discard(discard::Discard),
    Send(send::Send),
    Receive(receive::Receive),
    Propose(propose::Propose),
    Commit(commit::Commit),
    Remove(remove::Remove),
    Update(update::Update),
    Leave(leave::Leave),
    Branch(successor::Branch),
    Reinit(successor::Reinit),
    Psk(psk::PskCommand),
    Export(export::Export),
    GroupInfo(group_info::GroupInfoCommand),
    Verify(verify::Verify),
    Trust(trust::TrustCommand),
    Resend(resend::Resend),
    Inspect(inspect::Inspect),
    Bot(bot::Bot),
    Serve(serve::Serve),
    Demo(demo::Demo),
    Completions(completions::Completions),
}

/// Runs the command and gives the exit code.
pub(crate) fn run(cli: Cli) -> Result<u8, Failure> {
    let output = Output { json: cli.global.json };
    let global: &Global = &cli.global;
    match cli.command {
        Command::Identity(command) => command.run(global, output),
        Command::KeyPackage(command) => command.run(global, output),
        Command::Group(command) => command.run(global, output),
        Command::Invite(command) => command.run(global, output),
        Command::Join(command) => command.run(global, output),
        Command::Accept(command) => command.run(global, output),
        Command::Discard(command) => command.run(global, output),
        Command::Send(command) => command.run(global, output),
        Command::Receive(command) => command.run(global, output),
        Command::Propose(command) => command.run(global, output),
        Command::Commit(command) => command.run(global, output),
        Command::Remove(command) => command.run(global, output),
        Command::Update(command) => command.run(global, output),
        Command::Leave(command) => command.run(global, output),
        Command::Branch(command) => command.run(global, output),
        Command::Reinit(command) => command.run(global, output),
        Command::Psk(command) => command.run(global, output),
        Command::Export(command) => command.run(global, output),
        Command::GroupInfo(command) => command.run(global, output),
        Command::Verify(command) => command.run(global, output),
        Command::Trust(command) => command.run(global, output),
        Command::Resend(command) => command.run(global, output),
        Command::Inspect(command) => command.run(output),
        Command::Bot(command) => command.run(global, output),
        Command::Serve(command) => command.run(output),
        Command::Demo(command) => command.run(output),
        Command::Completions(command) => command.run(output),
    }
}
