//! Benchmarks against peers. `chainwright-bench generate FILE` writes the chain they all import; `chainwright-bench sync`
//! pairs our import with the opponents' and prints ratios; `chainwright-bench evm` does it for Ethereum's ledger.
//!
//! Invariant: nothing here decides whether the product is right; that is the tests' business.

// A command line program talks to a person.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod coins;
mod evm;
mod generate;
mod measure;
mod sync;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Benchmarks against peers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a regtest chain of signed payments as framed blocks.
    Generate {
        /// The file; replaced if it exists.
        file: PathBuf,
        /// The height of its last block; 600 gives 1.4 million signed inputs.
        #[arg(long, default_value_t = generate::BLOCKS)]
        blocks: u32,
        /// Signed inputs in each block of payments.
        #[arg(long, default_value_t = generate::INPUTS)]
        inputs: u32,
    },
    /// Import one chain with our node and with opponents, in turn, and compare.
    Sync(sync::Options),
    /// Send transactions to our node, geth and anvil, import geth's blocks, and compare.
    Evm(evm::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Generate { file, blocks, inputs } => generate::generate(&file, blocks, inputs),
        Command::Sync(options) => sync::run(&options),
        Command::Evm(options) => evm::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
