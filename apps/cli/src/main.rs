//! The binary `chainwright`: a chain is a file, any consensus with any ledger.
//!
//! ```text
//!   command line ─► spec (chain file) ─► registry (names every engine and ledger) ─► node
//!   show, pay, dev's wallet ─► RPC of a running node, nothing else
//! ```
//!
//! Start reading at `registry.rs`.

mod args;
mod bitcoind;
mod dev;
mod discovery;
mod error;
mod frames;
mod import;
mod node;
mod registry;
mod rpc_client;
mod show;
mod snapshot;
mod spec;
mod spec_command;
mod wallet;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Command, CommandLine};
use error::{CliResult, EXIT_OK};

/// Prints a result.
pub(crate) fn print(text: impl AsRef<str>) {
    // A reader that has gone away (`| head`) is no reason to panic.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// Prints everything that is no result.
pub(crate) fn talk(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // Flags with a single dash are none that `clap` could read.
    if arguments.next().as_deref() == Some("bitcoind") {
        return bitcoind::run(arguments);
    }
    let command_line = CommandLine::parse();
    hear_warnings(std::io::stderr);
    match run(command_line.command, command_line.json) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => error.report(command_line.json),
    }
}

/// Where libraries and the store tell what went wrong and was mended.
pub(crate) fn hear_warnings<W>(writer: W)
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false);
    // A second caller in one process keeps the first one's choice.
    let _ = lines.without_time().with_target(false).with_writer(writer).try_init();
}

fn run(command: Command, is_json: bool) -> CliResult<()> {
    match command {
        Command::Dev(args) => dev::run(&args, is_json),
        Command::Node(args) => node::run(&args, is_json),
        // Only when a global flag stands before it.
        Command::Bitcoind { flags } => bitcoind::run_flags(flags),
        Command::Show(command) => show::run(command, is_json),
        Command::Spec(command) => spec_command::run(command, is_json),
        Command::Import(args) => import::import(&args, is_json),
        Command::Export(args) => import::export(&args, is_json),
        Command::Snapshot(command) => snapshot::run(command, is_json),
        Command::Key(command) => wallet::key(command, is_json),
        Command::Pay(args) => wallet::pay(&args, is_json),
    }
}
